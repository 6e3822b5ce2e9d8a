// SPDX-License-Identifier: Apache-2.0
//! Host physical memory: sparse words. An address without a word is a hole.

use rustc_hash::FxHashMap;

use crate::addr::Hpa;
use crate::format::Format;

/// log2 of the number of words in a block.
const BLOCK_SHIFT: u32 = 6;
const BLOCK_WORDS: usize = 1 << BLOCK_SHIFT;

/// Blocks with a number below this are found without a hash, because a device reads memory in
/// nearly every cycle.
const LOW_BLOCKS: u64 = 8192;

/// A block of words, with a bit for each word that is present. Blocks are small, so that a single
/// word uses little memory.
#[derive(Clone, Debug)]
struct Block {
    words: [u64; BLOCK_WORDS],
    there: u64,
}

impl Block {
    fn blank() -> Box<Self> {
        Box::new(Self {
            words: [0; BLOCK_WORDS],
            there: 0,
        })
    }

    #[inline]
    fn get(&self, word: usize) -> Option<u64> {
        let there = (self.there >> word) & 1 != 0;
        there.then(|| self.words[word])
    }

    /// Returns the indices of the words that are present, in order.
    fn ones(&self) -> impl Iterator<Item = usize> + use<> {
        let there = self.there;
        (0..BLOCK_WORDS).filter(move |word| (there >> word) & 1 != 0)
    }
}

/// A range of memory in which walks may be forbidden to read or to update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first byte.
    pub from: Hpa,
    /// Size in bytes, 1 or more. The region ends within the machine's addresses.
    pub bytes: u64,
    /// Walks may read entries in the region.
    pub read: bool,
    /// Walks may update entries in the region.
    pub write: bool,
}

impl Region {
    fn has(&self, at: Hpa) -> bool {
        at.0 >= self.from.0 && at.0 - self.from.0 < self.bytes
    }
}

/// Host physical memory. A word is as wide as the format's table entries, and its address is a
/// multiple of its size. A word that was never written is a hole.
#[derive(Clone, Debug)]
pub struct HostMemory {
    /// log2 of the size of a word in bytes.
    word_shift: u32,
    low: Vec<Option<Box<Block>>>,
    high: FxHashMap<u64, Box<Block>>,
    /// Number of blocks in `low` and `high`.
    blocks: usize,
    /// The regions, usually few. They do not overlap.
    regions: Vec<Region>,
}

/// The error of an access to memory that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no memory at hPA {0}")]
pub struct Hole(pub Hpa);

impl HostMemory {
    /// Makes memory for a format. Every word is a hole.
    pub fn new(format: Format) -> Self {
        Self {
            word_shift: format.geometry().pte_bytes().ilog2(),
            low: Vec::new(),
            high: FxHashMap::default(),
            blocks: 0,
            regions: Vec::new(),
        }
    }

    /// Returns memory with the same regions and no words.
    pub fn without_words(&self) -> Self {
        Self {
            word_shift: self.word_shift,
            low: Vec::new(),
            high: FxHashMap::default(),
            blocks: 0,
            regions: self.regions.clone(),
        }
    }

    /// Returns the regions in which walks are restricted.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Sets the regions in which walks are restricted. Edits of memory ignore regions.
    pub fn set_regions(&mut self, regions: Vec<Region>) {
        self.regions = regions;
    }

    /// Returns true if the regions allow a walk to read the entry at `at`, or to update it if
    /// `update` is true.
    #[inline]
    pub fn permits(&self, at: Hpa, update: bool) -> bool {
        self.regions.is_empty()
            || self
                .regions
                .iter()
                .all(|region| !region.has(at) || if update { region.write } else { region.read })
    }

    /// Returns the word at `at` as a walk reads it.
    ///
    /// # Errors
    /// [`Hole`] if there is no word, or if a region forbids the read.
    #[inline]
    pub fn walk_read(&self, at: Hpa) -> Result<u64, Hole> {
        match self.permits(at, false) {
            true => self.read(at),
            false => Err(Hole(at)),
        }
    }

    /// Returns the number of blocks of 64 words. Each uses about 550 bytes.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Returns the size of a word in bytes.
    pub fn word_bytes(&self) -> u64 {
        1 << self.word_shift
    }

    #[inline]
    fn split(&self, at: Hpa) -> (u64, usize) {
        let word = at.0 >> self.word_shift;
        (
            word >> BLOCK_SHIFT,
            (word & ((1 << BLOCK_SHIFT) - 1)) as usize,
        )
    }

    #[inline]
    fn is_word(&self, at: Hpa) -> bool {
        at.0 & (self.word_bytes() - 1) == 0
    }

    #[inline]
    fn block(&self, number: u64) -> Option<&Block> {
        if number < LOW_BLOCKS {
            self.low.get(number as usize)?.as_deref()
        } else {
            self.high.get(&number).map(Box::as_ref)
        }
    }

    /// Returns the word at `at`, regardless of regions.
    ///
    /// # Errors
    /// [`Hole`] if there is no word, or if `at` is not a multiple of the size of a word.
    #[inline]
    pub fn read(&self, at: Hpa) -> Result<u64, Hole> {
        let (block, word) = self.split(at);
        match self.block(block) {
            Some(block) if self.is_word(at) => block.get(word).ok_or(Hole(at)),
            _ => Err(Hole(at)),
        }
    }

    /// Sets the word at `at`. Bits above the width of a word are dropped.
    ///
    /// # Panics
    /// If `at` is not a multiple of a word's size.
    pub fn write(&mut self, at: Hpa, value: u64) {
        assert!(self.is_word(at), "{at} is not the address of a word");
        let (number, word) = self.split(at);
        let blocks = &mut self.blocks;
        let blank = || {
            *blocks += 1;
            Block::blank()
        };
        let block = if number < LOW_BLOCKS {
            let number = number as usize;
            if self.low.len() <= number {
                self.low.resize(number + 1, None);
            }
            self.low[number].get_or_insert_with(blank)
        } else {
            self.high.entry(number).or_insert_with(blank)
        };
        let width = 8 << self.word_shift;
        block.words[word] = value & (u64::MAX >> (64 - width));
        block.there |= 1 << word;
    }

    /// Performs the compare-and-swap of a walk: sets the word at `at` to `new` if it equals
    /// `expected`. Returns the word before.
    ///
    /// # Errors
    /// [`Hole`] if there is no word, or if a region forbids the update. Then nothing is written.
    pub fn update(&mut self, at: Hpa, expected: u64, new: u64) -> Result<u64, Hole> {
        if !self.permits(at, true) {
            return Err(Hole(at));
        }
        let found = self.read(at)?;
        if found == expected {
            self.write(at, new);
        }
        Ok(found)
    }

    /// Removes the word at `at`.
    pub fn remove(&mut self, at: Hpa) {
        let (number, word) = self.split(at);
        let block = if number < LOW_BLOCKS {
            self.low
                .get_mut(number as usize)
                .and_then(Option::as_deref_mut)
        } else {
            self.high.get_mut(&number).map(Box::as_mut)
        };
        if let Some(block) = block {
            block.there &= !(1 << word);
        }
    }

    /// Returns every word with its address, by address.
    pub fn words(&self) -> Vec<(Hpa, u64)> {
        let mut high: Vec<_> = self
            .high
            .iter()
            .map(|(number, block)| (*number, block))
            .collect();
        high.sort_unstable_by_key(|(number, _)| *number);
        let low = (0..)
            .zip(&self.low)
            .filter_map(|(number, block)| Some((number, block.as_ref()?)));
        let mut words = Vec::new();
        for (number, block) in low.chain(high) {
            for word in block.ones() {
                let at = Hpa(((number << BLOCK_SHIFT) + word as u64) << self.word_shift);
                words.push((at, block.words[word]));
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
        let mut memory = HostMemory::new(Format::Handout);
        memory.write(Hpa(0x1000), 7);
        assert_eq!(memory.read(Hpa(0x1000)), Ok(7));
        assert_eq!(memory.read(Hpa(0x1004)), Err(Hole(Hpa(0x1004))));
        assert_eq!(memory.read(Hpa(0x1002)), Err(Hole(Hpa(0x1002))));
        memory.remove(Hpa(0x1000));
        assert_eq!(memory.read(Hpa(0x1000)), Err(Hole(Hpa(0x1000))));
    }

    #[test]
    fn words_that_are_far_from_one_another_take_little() {
        let mut memory = HostMemory::new(Format::Rv64);
        for page in 0..10_000 {
            memory.write(Hpa(page << 12), page);
            memory.write(Hpa(page << 12 | 8), page);
        }
        assert_eq!(memory.blocks(), 10_000);
        assert!(size_of::<Block>() <= 520);
        memory.remove(Hpa(0));
        assert_eq!(memory.words().len(), 19_999);
    }

    #[test]
    fn words_come_in_the_order_of_their_addresses() {
        let mut memory = HostMemory::new(Format::Handout);
        for at in [0xFFFF_FFFC, 0, 0x2000, 0x1FFC, 0x100_0000, 0xFF_FFFC] {
            memory.write(Hpa(at), at);
        }
        let at: Vec<u64> = memory.words().iter().map(|(at, _)| at.0).collect();
        assert_eq!(at, [0, 0x1FFC, 0x2000, 0xFF_FFFC, 0x100_0000, 0xFFFF_FFFC]);
    }

    #[test]
    fn words_are_as_wide_as_the_entries_of_the_format() {
        let mut memory = HostMemory::new(Format::Rv64);
        memory.write(Hpa(0x80_0000_1FF8), u64::MAX);
        assert_eq!(memory.read(Hpa(0x80_0000_1FF8)), Ok(u64::MAX));
        assert_eq!(
            memory.read(Hpa(0x80_0000_1FFC)),
            Err(Hole(Hpa(0x80_0000_1FFC)))
        );
        let mut memory = HostMemory::new(Format::Rv32);
        memory.write(Hpa(0x3_0000_1FFC), u64::MAX);
        assert_eq!(memory.read(Hpa(0x3_0000_1FFC)), Ok(0xFFFF_FFFF));
    }

    #[test]
    fn a_region_stops_walks_at_its_first_and_last_byte_and_edits_nowhere() {
        let mut memory = HostMemory::new(Format::Rv64);
        let region = |from, read, write| Region {
            from: Hpa(from),
            bytes: 0x10,
            read,
            write,
        };
        let regions = vec![region(0x1000, true, false), region(0x2000, false, true)];
        memory.set_regions(regions.clone());
        for at in [
            0xFF8, 0x1000, 0x1008, 0x1010, 0x1FF8, 0x2000, 0x2008, 0x2010,
        ] {
            memory.write(Hpa(at), at);
        }
        for at in [0x1000, 0x1008] {
            assert_eq!(memory.walk_read(Hpa(at)), Ok(at));
            assert_eq!(memory.update(Hpa(at), at, 1), Err(Hole(Hpa(at))));
            assert_eq!(
                memory.read(Hpa(at)),
                Ok(at),
                "a refused update sets nothing"
            );
        }
        for at in [0x2000, 0x2008] {
            assert_eq!(memory.walk_read(Hpa(at)), Err(Hole(Hpa(at))));
            assert_eq!(memory.update(Hpa(at), at, 1), Ok(at));
        }
        for at in [0xFF8, 0x1010, 0x1FF8, 0x2010] {
            assert_eq!(memory.walk_read(Hpa(at)), Ok(at));
            assert_eq!(memory.update(Hpa(at), at, 1), Ok(at));
        }
        let blank = memory.without_words();
        assert_eq!((blank.regions(), blank.words().len()), (&regions[..], 0));
    }

    #[test]
    fn an_update_writes_only_over_what_it_expects() {
        let mut memory = HostMemory::new(Format::Rv64);
        let at = Hpa(0x1000);
        assert_eq!(memory.update(at, 0, 1), Err(Hole(at)));
        memory.write(at, 5);
        assert_eq!(memory.update(at, 4, 1), Ok(5));
        assert_eq!(memory.update(at, 5, 1), Ok(5));
        assert_eq!(memory.read(at), Ok(1));
    }
}
