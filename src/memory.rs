//! Host physical memory: sparse words, with holes.

use bitvec::prelude::*;
use rustc_hash::FxHashMap;

use crate::addr::Hpa;

/// Bytes of a word.
pub const WORD_BYTES: u64 = 4;

const PAGE_WORDS: usize = 1024;
const PAGE_SHIFT: u32 = 12;

#[derive(Clone, Debug)]
struct Page {
    words: Box<[u32; PAGE_WORDS]>,
    present: BitArr!(for PAGE_WORDS, in u64),
}

/// Memory of 32-bit words at addresses that are multiples of 4. A word that was never given is a hole.
#[derive(Clone, Debug, Default)]
pub struct HostMemory {
    pages: FxHashMap<u64, Page>,
}

/// There is no memory at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory at hPA {0}")]
pub struct Hole(pub Hpa);

impl HostMemory {
    /// Memory that is all holes.
    pub fn new() -> Self {
        Self::default()
    }

    fn split(at: Hpa) -> (u64, usize) {
        (
            at.0 >> PAGE_SHIFT,
            (at.0 / WORD_BYTES) as usize % PAGE_WORDS,
        )
    }

    /// The word at `at`.
    ///
    /// # Errors
    /// [`Hole`] where there is none; an address that is not a multiple of 4 has none.
    pub fn read(&self, at: Hpa) -> Result<u32, Hole> {
        let (page, word) = Self::split(at);
        match self.pages.get(&page) {
            Some(p) if p.present[word] && at.0.is_multiple_of(WORD_BYTES) => Ok(p.words[word]),
            _ => Err(Hole(at)),
        }
    }

    /// Sets the word at `at`, which is there from now on.
    ///
    /// # Panics
    /// If `at` is not a multiple of 4.
    pub fn write(&mut self, at: Hpa, value: u32) {
        assert!(
            at.0.is_multiple_of(WORD_BYTES),
            "{at} is no address of a word"
        );
        let (page, word) = Self::split(at);
        let page = self.pages.entry(page).or_insert_with(|| Page {
            words: Box::new([0; PAGE_WORDS]),
            present: BitArray::ZERO,
        });
        page.words[word] = value;
        page.present.set(word, true);
    }

    /// Makes a hole at `at`.
    pub fn remove(&mut self, at: Hpa) {
        let (page, word) = Self::split(at);
        if let Some(page) = self.pages.get_mut(&page) {
            page.present.set(word, false);
        }
    }

    /// Every word that is there, by address.
    pub fn words(&self) -> Vec<(Hpa, u32)> {
        let mut numbers: Vec<_> = self.pages.keys().copied().collect();
        numbers.sort_unstable();
        let mut words = Vec::new();
        for number in numbers {
            let page = &self.pages[&number];
            for index in page.present.iter_ones() {
                let at = (number << PAGE_SHIFT) + index as u64 * WORD_BYTES;
                words.push((Hpa(at), page.words[index]));
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_never_given_is_a_hole_also_beside_words_that_are_there() {
        let mut memory = HostMemory::new();
        memory.write(Hpa(0x1000), 7);
        assert_eq!(memory.read(Hpa(0x1000)), Ok(7));
        assert_eq!(memory.read(Hpa(0x1004)), Err(Hole(Hpa(0x1004))));
        assert_eq!(memory.read(Hpa(0x1002)), Err(Hole(Hpa(0x1002))));
        memory.remove(Hpa(0x1000));
        assert_eq!(memory.read(Hpa(0x1000)), Err(Hole(Hpa(0x1000))));
    }

    #[test]
    fn words_come_in_the_order_of_their_addresses() {
        let mut memory = HostMemory::new();
        for at in [0xFFFF_FFFC, 0, 0x2000, 0x1FFC] {
            memory.write(Hpa(at), at as u32);
        }
        let at: Vec<u64> = memory.words().iter().map(|(at, _)| at.0).collect();
        assert_eq!(at, [0, 0x1FFC, 0x2000, 0xFFFF_FFFC]);
    }
}
