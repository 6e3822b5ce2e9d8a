//! Host physical memory: sparse words, with holes.

use rustc_hash::FxHashMap;

use crate::addr::Hpa;

/// Bytes of a word.
pub const WORD_BYTES: u64 = 4;

const PAGE_WORDS: usize = 1024;
const PAGE_SHIFT: u32 = 12;

/// Pages below this number are found without a hash: a device reads memory in nearly every cycle.
const LOW_PAGES: u64 = 4096;

type Page = Box<[Option<u32>; PAGE_WORDS]>;

/// Memory of 32-bit words at addresses that are multiples of 4. A word that was never given is a hole.
#[derive(Clone, Debug, Default)]
pub struct HostMemory {
    low: Vec<Option<Page>>,
    high: FxHashMap<u64, Page>,
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

    fn page(&self, number: u64) -> Option<&Page> {
        if number < LOW_PAGES {
            self.low.get(number as usize)?.as_ref()
        } else {
            self.high.get(&number)
        }
    }

    /// The word at `at`.
    ///
    /// # Errors
    /// [`Hole`] where there is none; an address that is not a multiple of 4 has none.
    #[inline]
    pub fn read(&self, at: Hpa) -> Result<u32, Hole> {
        let (page, word) = Self::split(at);
        match self.page(page) {
            Some(page) if at.0.is_multiple_of(WORD_BYTES) => page[word].ok_or(Hole(at)),
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
        let blank = || Box::new([None; PAGE_WORDS]);
        let page = if page < LOW_PAGES {
            let page = page as usize;
            if self.low.len() <= page {
                self.low.resize(page + 1, None);
            }
            self.low[page].get_or_insert_with(blank)
        } else {
            self.high.entry(page).or_insert_with(blank)
        };
        page[word] = Some(value);
    }

    /// Makes a hole at `at`.
    pub fn remove(&mut self, at: Hpa) {
        let (page, word) = Self::split(at);
        let page = if page < LOW_PAGES {
            self.low.get_mut(page as usize).and_then(Option::as_mut)
        } else {
            self.high.get_mut(&page)
        };
        if let Some(page) = page {
            page[word] = None;
        }
    }

    /// Every word that is there, by address.
    pub fn words(&self) -> Vec<(Hpa, u32)> {
        let mut high: Vec<_> = self
            .high
            .iter()
            .map(|(number, page)| (*number, page))
            .collect();
        high.sort_unstable_by_key(|(number, _)| *number);
        let low = (0..)
            .zip(&self.low)
            .filter_map(|(number, page)| Some((number, page.as_ref()?)));
        let mut words = Vec::new();
        for (number, page) in low.chain(high) {
            for (index, word) in (0..).zip(page.iter()) {
                let at = Hpa((number << PAGE_SHIFT) + index * WORD_BYTES);
                words.extend(word.map(|word| (at, word)));
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
        for at in [0xFFFF_FFFC, 0, 0x2000, 0x1FFC, 0x100_0000, 0xFF_FFFC] {
            memory.write(Hpa(at), at as u32);
        }
        let at: Vec<u64> = memory.words().iter().map(|(at, _)| at.0).collect();
        assert_eq!(at, [0, 0x1FFC, 0x2000, 0xFF_FFFC, 0x100_0000, 0xFFFF_FFFC]);
    }
}
