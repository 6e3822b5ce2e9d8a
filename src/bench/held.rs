// SPDX-License-Identifier: Apache-2.0
//! What walk caches must hold: what has gone in or has led a walk of late, until a fence may make them forget it.
//!
//! docs/ports.md, "Walk caches": of n entries the log2(n) + 1 that were filled or used last are there. When an entry has been filled is
//! known to the cycle. When it was used is not: at some time between what the walk was looked up after and the next read. So a use counts
//! against others from its earliest cycle on, and for its own entry only if nothing else can have come between.

use std::fmt;

use super::known::{self, Key, Keys, Of};
use crate::addr::Gpa;
use crate::dut::{Next, Pass, WalkStep};
use crate::format::riscv::Entry;
use crate::mmu::{Fence, Query, WalkCaches};
use crate::scenario::Machine;

/// Levels that a device can tell of.
const LEVELS: usize = 8;

/// A walk is to be looked up, or has been.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The cycle in which it began or took the entry before.
    pub since: u64,
    /// Before its first entry: the only time that a guest's table is sought.
    pub first: bool,
}

/// A walk has been looked up, and has taken an entry since.
pub(super) struct Looked<'a> {
    pub query: &'a Query,
    /// The entry.
    pub step: &'a WalkStep,
    pub look: Look,
    /// When memory took the read.
    pub read: u64,
    /// A fence has come since.
    pub fenced: bool,
}

/// By way of which cache, and to the table of which level, a walk has been led, or might have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    cache: Pass,
    level: u32,
}

impl Way {
    /// That of a step.
    pub fn of(step: &WalkStep) -> Self {
        let cache = step.pass;
        let level = match cache {
            Pass::Guest => step.guest_level.into(),
            Pass::Host => step.host_level.into(),
            Pass::None | Pass::Nested => 0,
        };
        Self { cache, level }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = self.level;
        match self.cache {
            Pass::None => write!(f, "no page-walk cache"),
            Pass::Guest => write!(f, "the guest page-walk cache of L{level}"),
            Pass::Host => write!(f, "the host page-walk cache of L{level}"),
            Pass::Nested => write!(f, "the nested TLB"),
        }
    }
}

/// An entry that a cache holds for sure.
#[derive(Clone, Copy, Debug)]
struct Kept {
    key: Key,
    /// It has been there all the time since this cycle.
    since: u64,
    /// It was touched (filled or used) for the last time not before `earliest`, and not after `latest`.
    earliest: u64,
    latest: u64,
    /// How many others may have been touched since.
    others: u32,
    /// When one of them was last filled: only a fill takes the place of another.
    pushed: Option<u64>,
}

impl Kept {
    /// Whether it is there, if each look-up that is under way may count as one more touch. `open`: how many began before a cycle.
    fn is_sure(&self, most: u32, open: impl FnOnce(u64) -> u32) -> bool {
        self.pushed
            .is_none_or(|pushed| self.others + open(pushed) <= most)
    }
}

#[derive(Default)]
struct Cache {
    kept: Vec<Kept>,
    /// The latest cycle in which an entry may have been touched.
    touched: u64,
}

/// A touch of an entry.
enum Touch {
    Fill {
        cycle: u64,
    },
    /// After one cycle and before another. `fenced`: or a fence may have named it since.
    Use {
        after: u64,
        before: u64,
        fenced: bool,
    },
}

pub(super) struct Held {
    keys: Keys,
    /// Bits of the gPAs that the device can tell apart.
    host_width: u32,
    used: WalkCaches,
    ever: WalkCaches,
    /// Others that may be touched after an entry before a fill can take its place, in the cache of guest tables, that of host tables
    /// and the nested TLB: log2 of the entries.
    most: [u32; 3],
    /// Those of guest tables by level, those of host tables by level, and the nested TLB.
    caches: [Cache; 2 * LEVELS + 1],
}

impl Held {
    /// `ever`: the walk caches that are in use at any time, which are filled at every time.
    pub fn new(machine: &Machine, ever: WalkCaches) -> Self {
        let keys = Keys::new(machine.format);
        let entries = machine.walk_cache_entries;
        Self {
            host_width: keys.host_width(machine.max_levels),
            keys,
            used: machine.walk_caches,
            ever,
            most: [entries.guest, entries.host, entries.nested].map(|n| n.max(1).ilog2()),
            caches: Default::default(),
        }
    }

    /// Others are in use from now on; no walk is under way.
    pub fn use_now(&mut self, used: WalkCaches) {
        self.used = used;
    }

    fn place(of: &Of) -> usize {
        match of {
            Of::Guest { level, .. } => *level as usize % LEVELS,
            Of::Host { level, .. } => LEVELS + *level as usize % LEVELS,
            Of::Nested { .. } => 2 * LEVELS,
        }
    }

    /// [`Held::most`] of the cache at a place.
    fn most_of(&self, place: usize) -> u32 {
        self.most[kind(place)]
    }

    /// What leads further than the entry that a walk has come to, and was there for it. `open`: how many look-ups of other walks, of
    /// guest tables or all, began before a cycle and are under way.
    pub fn missed(&self, looked: &Looked<'_>, open: impl Fn(bool, u64) -> u32) -> Option<Way> {
        let Looked { query, step, .. } = *looked;
        let guest_levels = u32::from(query.context.guest.levels);
        let host_levels = u32::from(query.context.host.levels);
        let is_there = |key: &Key| {
            let is_guest = matches!(key.0, Of::Guest { .. });
            let mut kept = self.caches[Self::place(&key.0)].kept.iter();
            kept.find(|kept| kept.key == *key).is_some_and(|kept| {
                kept.since <= looked.look.since
                    && kept.is_sure(self.most_of(Self::place(&key.0)), |cycle| {
                        open(is_guest, cycle)
                    })
            })
        };
        let lowest = |levels: u32, found: &dyn Fn(u32) -> Key| {
            (0..levels.saturating_sub(1)).find(|&level| is_there(&found(level)))
        };

        if self.used.guest && looked.look.first {
            let levels = match step.pass {
                // The root's level as the number of those below.
                Pass::Guest => u32::from(step.guest_level) + 1,
                _ => guest_levels,
            };
            let key = |level| self.keys.guest(query, level);
            if let Some(level) = lowest(levels.min(guest_levels), &key) {
                let cache = Pass::Guest;
                return Some(Way { cache, level });
            }
        }
        if matches!(step.pass, Pass::Guest | Pass::Nested) || host_levels == 0 {
            return None;
        }
        if self.used.nested && step.purpose == 0 && is_there(&self.keys.nested(query, step.gpa)) {
            let (cache, level) = (Pass::Nested, 0);
            return Some(Way { cache, level });
        }
        if self.used.host {
            let levels = match step.pass {
                Pass::Host => u32::from(step.host_level) + 1,
                _ => host_levels,
            };
            let key = |level| self.keys.host(query, step.gpa, level);
            let level = lowest(levels.min(host_levels), &key)?;
            let cache = Pass::Host;
            return Some(Way { cache, level });
        }
        None
    }

    /// The cycle since which a cache has held the entry by which a walk that has come to `step` should
    /// have been led.
    #[cold]
    pub fn since(&self, query: &Query, step: &WalkStep, way: Way) -> Option<u64> {
        let key = match way.cache {
            Pass::None => return None,
            Pass::Guest => self.keys.guest(query, way.level),
            Pass::Host => self.keys.host(query, step.gpa, way.level),
            Pass::Nested => self.keys.nested(query, step.gpa),
        };
        let mut kept = self.caches[Self::place(&key.0)].kept.iter();
        kept.find(|kept| kept.key == key).map(|kept| kept.since)
    }

    /// A cache has led a walk to an entry.
    pub fn led(&mut self, looked: &Looked<'_>, open: impl Fn(bool, u64) -> u32) {
        let Looked { query, step, .. } = *looked;
        let key = match step.pass {
            Pass::None => return,
            Pass::Guest => self.keys.guest(query, step.guest_level.into()),
            Pass::Host => self.keys.host(query, step.gpa, step.host_level.into()),
            Pass::Nested => self.keys.nested(query, step.gpa),
        };
        let touch = Touch::Use {
            after: looked.look.since,
            before: looked.read,
            fenced: looked.fenced,
        };
        self.touch(key, &touch, open);
    }

    /// A walk that no fence has overtaken has taken an entry: what may be remembered of it is. `word`: the entry.
    pub fn stepped(
        &mut self,
        query: &Query,
        step: &WalkStep,
        word: Option<u64>,
        cycle: u64,
        open: impl Fn(bool, u64) -> u32,
    ) {
        let Some(word) = word.filter(|_| step.next != Next::Fault) else {
            return;
        };
        let fill = Touch::Fill { cycle };
        let (guest, host) = (&query.context.guest, &query.context.host);
        if !step.host {
            if self.ever.guest && !step.update && step.guest_level + 1 < guest.levels {
                let key = self.keys.guest(query, step.guest_level.into());
                self.touch(key, &fill, open);
            }
            return;
        }
        if self.ever.host && !step.update && step.host_level + 1 < host.levels {
            let key = self.keys.host(query, step.gpa, step.host_level.into());
            self.touch(key, &fill, &open);
        }
        // The leaf, and nothing to set in it: the guest's entry is read next.
        let is_found = step.next == Next::Read && !Entry(word).is_pointer();
        if self.ever.nested && step.purpose == 0 && is_found {
            let key = self.keys.nested(query, step.gpa);
            self.touch(key, &fill, &open);
        }
    }

    fn touch(&mut self, key: Key, touch: &Touch, open: impl Fn(bool, u64) -> u32) {
        let is_guest = matches!(key.0, Of::Guest { .. });
        let open = |cycle| open(is_guest, cycle);
        let place = Self::place(&key.0);
        let most = self.most_of(place);
        let Cache { kept, touched } = &mut self.caches[place];
        let (earliest, latest, fill) = match *touch {
            Touch::Fill { cycle } => (cycle, cycle, Some(cycle)),
            Touch::Use { after, before, .. } => (after, before, None),
        };

        let own = kept.iter().position(|one| one.key == key);
        let own_is_sure = own.is_some_and(|own| kept[own].is_sure(most, open));
        let counted_until = own.filter(|_| own_is_sure).map(|own| kept[own].latest);
        for other in kept.iter_mut().filter(|one| one.key != key) {
            // Where it has been ever since it was touched after the other, it counts once.
            let counts = latest > other.earliest
                && counted_until.is_none_or(|until| until <= other.earliest);
            other.others += u32::from(counts);
            other.pushed = fill.or(other.pushed);
        }

        let is_last = match *touch {
            Touch::Fill { .. } => true,
            Touch::Use { after, fenced, .. } => *touched <= after && !fenced,
        };
        if is_last {
            let since = match own {
                Some(own) if own_is_sure => kept[own].since,
                _ => latest,
            };
            let one = Kept {
                key,
                since,
                earliest,
                latest,
                others: 0,
                pushed: None,
            };
            match own {
                Some(own) => kept[own] = one,
                None => kept.push(one),
            }
        } else if let Some(own) = own {
            kept[own].latest = kept[own].latest.max(latest);
        }
        *touched = latest.max(*touched);
        kept.retain(|one| one.others <= most);
    }

    /// A walk has been overtaken, in a cycle, before it took the entry that it was looked up for. It may have been looked up, and have
    /// touched any one entry of each cache.
    pub fn abandoned(&mut self, look: Look, cycle: u64) {
        let most = self.most;
        let first_of_host = LEVELS;
        for (place, cache) in self.caches.iter_mut().enumerate() {
            if place < first_of_host && !look.first {
                continue;
            }
            for one in cache.kept.iter_mut().filter(|one| cycle > one.earliest) {
                one.others += 1;
            }
            cache.kept.retain(|one| one.others <= most[kind(place)]);
            cache.touched = cache.touched.max(cycle);
        }
    }

    /// A fence: what it names may be forgotten.
    pub fn fence(&mut self, fence: &Fence) {
        let (keys, width) = (&self.keys, self.host_width);
        for cache in &mut self.caches {
            cache
                .kept
                .retain(|one| !names(keys, width, fence, &one.key));
        }
    }
}

/// The kind of the cache at a place: 0 of guest tables, 1 of host tables, 2 the nested TLB.
fn kind(place: usize) -> usize {
    place / LEVELS
}

/// Whether a fence names an entry, whatever it leads to.
fn names(keys: &Keys, host_width: u32, fence: &Fence, key: &Key) -> bool {
    match key.0 {
        Of::Guest { space, .. } => {
            fence.names_space(space) && fence.gva.is_none_or(|gva| keys.is_for(key, gva.0))
        }
        // Above what the widest host's stage maps a gPA says nothing.
        Of::Host { space, .. } => {
            let mapped = |gpa: Gpa| gpa.0 & !(u64::MAX << host_width);
            known::is_of_host(fence, space)
                && fence.gpa.is_none_or(|gpa| keys.is_for(key, mapped(gpa)))
        }
        Of::Nested { space } => known::is_of_host(fence, space),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::{Gva, Hpa};
    use crate::dut::variants::WalkCacheEntries;
    use crate::format::Format;
    use crate::mmu::{Access, Context, Rights, StageControl};

    const MIB: u64 = 1 << 20;

    fn held(entries: u32) -> Held {
        let machine = Machine {
            walk_cache_entries: WalkCacheEntries::all(entries),
            walk_caches: WalkCaches::ALL,
            ..Machine::of(Format::Rv64)
        };
        Held::new(&machine, WalkCaches::ALL)
    }

    fn query(gva: u64) -> Query {
        let stage = StageControl {
            levels: 3,
            ..StageControl::<u64>::default()
        };
        Query {
            context: Context {
                virt: true,
                guest: stage.with_root(Gpa(0)),
                host: stage.with_root(Hpa(0)),
                user: false,
                sum: false,
                napot: false,
                rights: false,
                asid: 1,
                vmid: 2,
            },
            gva: Gva(gva),
            access: Access::Load,
        }
    }

    /// A guest entry of a level, by way of a cache.
    fn guest_step(level: u8, pass: Pass) -> WalkStep {
        WalkStep {
            slot: 0,
            host: false,
            guest_level: level,
            host_level: 0,
            purpose: 0,
            update: false,
            pass,
            global: false,
            gpa: Gpa(0),
            hpa: Hpa(0),
            error: false,
            word: 0,
            next: Next::Read,
            fault: 0,
        }
    }

    fn fill(held: &mut Held, gva: u64, cycle: u64) {
        let word = Entry::leaf(0, Rights::ALL).0;
        let step = guest_step(0, Pass::None);
        held.stepped(&query(gva), &step, Some(word), cycle, |_, _| 0);
    }

    /// Whether a walk that began in a cycle must have come by the table of level 0. `open`: look-ups of others that may meet it.
    fn must_lead(held: &Held, gva: u64, since: u64, open: u32) -> bool {
        let looked = Looked {
            query: &query(gva),
            step: &guest_step(1, Pass::None),
            look: Look { since, first: true },
            read: since + 2,
            fenced: false,
        };
        let way = held.missed(&looked, |_, _| open);
        assert!(way.is_none_or(|way| (way.cache, way.level) == (Pass::Guest, 0)));
        way.is_some()
    }

    fn lead(held: &mut Held, gva: u64, since: u64, read: u64) {
        let looked = Looked {
            query: &query(gva),
            step: &guest_step(0, Pass::Guest),
            look: Look { since, first: true },
            read,
            fenced: false,
        };
        held.led(&looked, |_, _| 0);
    }

    #[test]
    fn the_last_entries_must_lead_one_more_than_the_log_of_their_number() {
        for (entries, last) in [(2, 2), (4, 3), (8, 4)] {
            let mut held = held(entries);
            for table in 0..10 {
                fill(&mut held, table * 2 * MIB, 10 + table);
            }
            for table in 0..10 {
                let must = must_lead(&held, table * 2 * MIB, 30, 0);
                assert_eq!(must, table >= 10 - last, "{entries} entries, {table}");
            }
        }
    }

    #[test]
    fn what_is_filled_after_a_walk_has_begun_need_not_lead_it() {
        let mut held = held(2);
        fill(&mut held, 0, 10);
        assert!(must_lead(&held, MIB, 10, 0));
        assert!(!must_lead(&held, MIB, 9, 0));
        // Filled again, it has been there since the first time.
        fill(&mut held, 0, 20);
        assert!(must_lead(&held, MIB, 10, 0));
    }

    #[test]
    fn a_walk_that_was_led_as_far_or_further_has_missed_nothing() {
        let mut held = held(2);
        fill(&mut held, 0, 10);
        let word = Entry::pointer(0).0;
        held.stepped(
            &query(0),
            &guest_step(1, Pass::None),
            Some(word),
            11,
            |_, _| 0,
        );
        for (step, missed) in [
            (guest_step(0, Pass::Guest), None),
            (guest_step(1, Pass::Guest), Some((Pass::Guest, 0))),
            (guest_step(2, Pass::Nested), Some((Pass::Guest, 0))),
        ] {
            let looked = Looked {
                query: &query(0),
                step: &step,
                look: Look {
                    since: 20,
                    first: true,
                },
                read: 22,
                fenced: false,
            };
            let way = held.missed(&looked, |_, _| 0);
            assert_eq!(way.map(|way| (way.cache, way.level)), missed, "{step:?}");
        }
    }

    #[test]
    fn a_look_up_under_way_may_have_used_another_entry_before_a_fill() {
        let mut held = held(2);
        fill(&mut held, 0, 10);
        // Nothing has been filled since: what is used takes no place.
        assert!(must_lead(&held, 0, 30, 3));
        fill(&mut held, 2 * MIB, 20);
        assert!(must_lead(&held, 0, 30, 0));
        assert!(!must_lead(&held, 0, 30, 1));
        // The last fill itself is sure.
        assert!(must_lead(&held, 2 * MIB, 30, 3));
    }

    #[test]
    fn a_use_makes_its_entry_the_last_only_where_nothing_can_have_come_after_it() {
        let tables = [0, 2 * MIB, 4 * MIB];
        let mut last = held(2);
        fill(&mut last, tables[0], 10);
        fill(&mut last, tables[1], 11);
        lead(&mut last, tables[0], 20, 30);
        fill(&mut last, tables[2], 40);
        assert!(must_lead(&last, tables[0], 50, 0));
        assert!(!must_lead(&last, tables[1], 50, 0));

        // Another fill between the walk's beginning and its read.
        let mut unsure = held(2);
        fill(&mut unsure, tables[0], 10);
        fill(&mut unsure, tables[1], 25);
        lead(&mut unsure, tables[0], 20, 30);
        fill(&mut unsure, tables[2], 40);
        assert!(!must_lead(&unsure, tables[0], 50, 0));
        assert!(!must_lead(&unsure, tables[1], 50, 0));
        assert!(must_lead(&unsure, tables[2], 50, 0));
    }

    #[test]
    fn a_fence_frees_what_it_names_and_nothing_else() {
        let fence = Fence::default();
        for (fence, kept) in [
            (fence, false),
            (
                Fence {
                    virt: false,
                    ..fence
                },
                true,
            ),
            (
                Fence {
                    asid: Some(1),
                    vmid: Some(2),
                    ..fence
                },
                false,
            ),
            (
                Fence {
                    asid: Some(2),
                    ..fence
                },
                true,
            ),
            (
                Fence {
                    gva: Some(Gva(MIB)),
                    ..fence
                },
                false,
            ),
            (
                Fence {
                    gva: Some(Gva(2 * MIB)),
                    ..fence
                },
                true,
            ),
            // Wherever that is.
            (
                Fence {
                    gpa: Some(Gpa(1 << 40)),
                    ..fence
                },
                false,
            ),
        ] {
            let mut held = held(2);
            fill(&mut held, 0, 10);
            held.fence(&fence);
            assert_eq!(must_lead(&held, 0, 20, 0), kept, "{fence}");
        }
    }

    #[test]
    fn a_fence_by_gpa_frees_by_the_bits_that_a_host_stage_can_map() {
        let keys = Keys::new(Format::Rv64);
        let key = keys.host(&query(0), Gpa(0x1234_5678), 0);
        for (levels, gpa, named) in [
            (5, 0x1235_0000, true),
            (5, 0x1435_0000, false),
            (5, 1 << 58 | 0x1235_0000, false),
            (5, 1 << 59 | 0x1235_0000, true),
            // Those of Sv39x4 are narrower than an hPA.
            (3, 1 << 55 | 0x1235_0000, false),
            (3, 1 << 56 | 0x1235_0000, true),
        ] {
            let fence = Fence {
                gpa: Some(Gpa(gpa)),
                ..Fence::default()
            };
            let width = keys.host_width(levels);
            assert_eq!(names(&keys, width, &fence, &key), named, "{fence}");
        }
    }

    #[test]
    fn neither_a_fault_nor_an_update_nor_the_root_is_kept() {
        let word = Some(Entry::leaf(0, Rights::ALL).0);
        let step = guest_step(0, Pass::None);
        for (step, word) in [
            (
                WalkStep {
                    next: Next::Fault,
                    ..step
                },
                word,
            ),
            (
                WalkStep {
                    update: true,
                    ..step
                },
                word,
            ),
            (guest_step(2, Pass::None), word),
            (step, None),
        ] {
            let mut held = held(2);
            held.stepped(&query(0), &step, word, 10, |_, _| 0);
            assert!(!must_lead(&held, 0, 20, 0), "{step:?}");
        }
    }
}
