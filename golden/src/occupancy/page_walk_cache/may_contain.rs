// SPDX-License-Identifier: Apache-2.0
//! The may-contain model of page-walk caches: the entries that walks have read, until a fence
//! invalidates them.
//!
//! The legal contents are those of caches of unlimited size. RISC-V lets an implementation keep any
//! valid entry that it has read (privileged specification, "Supervisor Memory-Management Fence
//! Instruction", "Hypervisor Memory-Management Fence Instructions"). A fence with a gVA or an ASID
//! is a fence of the guest stage. A fence with a gPA is a fence of the host stage.

use rustc_hash::FxHashMap;

use super::{Hit, Key, PageWalkCache, page_of, prefix};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::riscv::{Entry, NAPOT_PAGE_SIZE};
use crate::format::{Format, Geometry};
use crate::mmu::{Fence, Position, Purpose, Query};
use crate::occupancy::history::{Absence, History, Invalidated};
use crate::occupancy::{NumberedFence, VALID};
use crate::walk::{Meaning, Step};

/// The contents of an entry: the table or page that it points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fact {
    /// The gPA of the guest table.
    gpa: Gpa,
    /// The hPA of the table, or of the page.
    hpa: Hpa,
    /// log2 of the size in bytes of the host page that contains the guest table.
    host_size: u32,
    is_global: bool,
    /// The number of the fence that has invalidated it; [`VALID`] if none has.
    fenced: u64,
}

/// The may-contain model of page-walk caches.
#[derive(Debug)]
pub struct MayContain {
    geometry: Geometry,
    facts: FxHashMap<Key, Vec<Fact>>,
    any_invalidated: bool,
    history: History<Key, Fact>,
}

/// The reason why a hit in a page-walk cache is not legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The cache cannot contain the entry.
    Absent(Absence),
    /// Walks have read that the entry points elsewhere: to these tables or pages.
    Elsewhere(Vec<Hpa>),
}

impl MayContain {
    /// Makes empty caches.
    pub fn new(format: Format) -> Self {
        Self {
            geometry: format.geometry(),
            facts: FxHashMap::default(),
            any_invalidated: false,
            history: History::default(),
        }
    }

    /// Returns the key of the entry that a hit has used.
    fn key_of(&self, query: &Query, hit: &Hit) -> Key {
        Key::new(&self.geometry, hit.cache, query, hit.gpa)
    }

    /// Returns true if a hit for `query` is legal. `fences` fences were accepted before the walk's
    /// lookup.
    pub fn may_contain(&self, query: &Query, hit: &Hit, fences: u64) -> bool {
        let is_guest = matches!(hit.cache, PageWalkCache::Guest { .. });
        let is_it = |one: &Fact| {
            one.hpa == hit.hpa
                && (!is_guest || (one.gpa, one.is_global) == (hit.gpa, hit.is_global))
        };
        let facts = self.facts.get(&self.key_of(query, hit));
        facts.is_some_and(|facts| facts.iter().any(|one| one.fenced > fences && is_it(one)))
    }

    /// Returns the reason why a hit is not legal.
    #[cold]
    pub fn why_not(&self, query: &Query, hit: &Hit, fences: u64) -> WhyNot {
        let key = self.key_of(query, hit);
        let facts = self.facts.get(&key).into_iter().flatten();
        let valid: Vec<Hpa> = facts
            .filter(|one| one.fenced > fences)
            .map(|one| one.hpa)
            .collect();
        match valid.is_empty() {
            true => WhyNot::Absent(self.history.absence(std::iter::once(key), fences)),
            false => WhyNot::Elsewhere(valid),
        }
    }

    /// Returns true if a fence matches a fact.
    fn matches(&self, fence: &Fence, key: &Key, fact: &Fact) -> bool {
        let is_in_host_page =
            |gpa: Gpa, other: u64| prefix(gpa.0, fact.host_size) == prefix(other, fact.host_size);
        match key.cache {
            PageWalkCache::Guest { .. } => {
                let covers = |gva: Gva| key.covers(&self.geometry, gva.0);
                fence.matches_tag(key.tag)
                    && !(fact.is_global && fence.asid.is_some())
                    && fence.gva.is_none_or(covers)
                    && (fence.gpa).is_none_or(|gpa| is_in_host_page(gpa, fact.gpa.0))
            }
            PageWalkCache::Host { .. } => {
                let covers = |gpa: Gpa| key.covers(&self.geometry, gpa.0);
                fence.matches_host_stage(key.tag) && fence.gpa.is_none_or(covers)
            }
            PageWalkCache::Nested => {
                let page = key.prefix << self.geometry.offset_width;
                fence.matches_host_stage(key.tag)
                    && fence.gpa.is_none_or(|gpa| is_in_host_page(gpa, page))
            }
        }
    }

    /// Records that a fence was accepted.
    pub fn on_fence(&mut self, fence: &Fence, number: u64) {
        let mut facts = std::mem::take(&mut self.facts);
        for (key, facts) in &mut facts {
            for fact in facts.iter_mut().filter(|fact| fact.fenced == VALID) {
                if self.matches(fence, key, fact) {
                    self.history
                        .note(*key, Invalidated::new(*fact, fence, number));
                    fact.fenced = number;
                    self.any_invalidated = true;
                }
            }
        }
        self.facts = facts;
    }

    /// Drops all that fences have invalidated. The caller makes sure that every request accepted
    /// before such a fence has its response.
    pub fn drop_invalidated(&mut self) {
        if self.any_invalidated {
            self.facts.retain(|_, facts| {
                facts.retain(|one| one.fenced == VALID);
                !facts.is_empty()
            });
            self.any_invalidated = false;
        }
    }

    /// Records steps of a walk, as the golden model made them: the caches may contain the entries
    /// of these steps. `hit` returns the cache hit before a step; its argument counts the steps
    /// that have read or updated an entry. `fences` are the fences since the walk began.
    pub fn on_walk(
        &mut self,
        query: &Query,
        steps: &[Step],
        hit: impl Fn(usize) -> Option<Hit>,
        fences: &[NumberedFence],
    ) {
        let is_read =
            |step: &&Step| step.word.is_some() && !matches!(step.meaning, Meaning::Fault(_));
        let mut is_global = false;
        let mut host_size = self.geometry.offset_width;
        let steps = steps.iter().filter_map(|step| Some((step, step.hpa?)));
        for (number, (step, hpa)) in steps.enumerate() {
            let table = Hpa(hpa.0 - step.index * self.geometry.pte_bytes());
            let fact = |gpa, hpa, host_size, is_global| Fact {
                gpa,
                hpa,
                host_size,
                is_global,
                fenced: VALID,
            };
            let hit = hit(number);
            match step.at {
                Position::Guest { level } => {
                    if let Some(hit) = hit {
                        is_global = hit.is_global;
                        host_size = self.geometry.offset_width;
                    }
                    // A hit shows nothing new: the cache must have contained the entry before. So a
                    // hit is no evidence for itself.
                    let is_led =
                        hit.is_some_and(|hit| matches!(hit.cache, PageWalkCache::Guest { .. }));
                    let cache = PageWalkCache::Guest { level };
                    if is_read(&step)
                        && step.update.is_none()
                        && !is_led
                        && level + 1 < query.context.guest.levels.into()
                    {
                        let gpa = Gpa(step.base);
                        let key = Key::new(&self.geometry, cache, query, gpa);
                        self.add(key, fact(gpa, table, host_size, is_global), fences);
                    }
                    is_global |= step.word.is_some_and(|word| {
                        Entry(word).global() && matches!(step.meaning, Meaning::GuestTable(_))
                    });
                }
                Position::Host {
                    level,
                    gpa,
                    purpose,
                } => {
                    if !is_read(&step) {
                        continue;
                    }
                    let is_led =
                        hit.is_some_and(|hit| matches!(hit.cache, PageWalkCache::Host { .. }));
                    let cache = PageWalkCache::Host { level };
                    if step.update.is_none()
                        && !is_led
                        && level + 1 < query.context.host.levels.into()
                    {
                        let key = Key::new(&self.geometry, cache, query, gpa);
                        self.add(key, fact(gpa, table, 0, false), fences);
                    }
                    if let (Meaning::Found(found), Purpose::GuestEntry(_)) = (step.meaning, purpose)
                    {
                        host_size = match step.word.map(Entry) {
                            Some(entry) if entry.napot() => NAPOT_PAGE_SIZE,
                            _ => self.geometry.offset_width + level * self.geometry.index_width,
                        };
                        let page = page_of(&self.geometry, found);
                        let key = Key::new(&self.geometry, PageWalkCache::Nested, query, gpa);
                        self.add(key, fact(gpa, page, host_size, false), fences);
                    }
                }
            }
        }
    }

    fn add(&mut self, key: Key, fact: Fact, fences: &[NumberedFence]) {
        let invalidated = fences
            .iter()
            .find(|(_, fence)| self.matches(fence, &key, &fact));
        if let Some((number, fence)) = invalidated {
            self.history
                .note(key, Invalidated::new(fact, fence, *number));
        }
        let fact = Fact {
            fenced: invalidated.map_or(VALID, |(number, _)| *number),
            ..fact
        };
        self.any_invalidated |= fact.fenced != VALID;
        let facts = self.facts.entry(key).or_default();
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmu::Rights;
    use crate::occupancy::test_support::{ASID, VMID, query};

    const FORMAT: Format = Format::Rv64;
    const GVA: u64 = 0x4020_1000;
    /// The gPA of the last guest table, in a 2M page of the host stage.
    const TABLE: u64 = 0x8000_3000;
    /// The hPA of that table.
    const TABLE_HPA: u64 = 0xC000_3000;
    /// The hPA of the last host table on the path to it.
    const HOST_TABLE: u64 = 0x9000_0000;
    const GUEST: PageWalkCache = PageWalkCache::Guest { level: 0 };
    const HOST: PageWalkCache = PageWalkCache::Host { level: 1 };

    /// Returns the steps of a walk at its last guest table: the host leaf that maps the table, and
    /// the guest leaf. `is_global`: the pointer to the table is global.
    fn steps(is_global: bool) -> Vec<Step> {
        let geometry = FORMAT.geometry();
        let entry = |at, base: u64, index, hpa, word, meaning| Step {
            at,
            base,
            index,
            entry: base + 8 * index,
            hpa: Some(Hpa(hpa + 8 * index)),
            word: Some(word),
            update: None,
            meaning,
        };
        let gpa = Gpa(TABLE + 8);
        let host = Position::Host {
            level: 1,
            gpa,
            purpose: Purpose::GuestEntry(0),
        };
        let host_index = geometry.index(TABLE, 1);
        let pointer = Entry::pointer(TABLE).with_global(is_global).0;
        let leaf = Entry::leaf(0xC000_0000, Rights::ALL).0;
        vec![
            entry(
                Position::Guest { level: 1 },
                0x8000_2000,
                1,
                0xC000_2000,
                pointer,
                Meaning::GuestTable(Gpa(TABLE)),
            ),
            entry(
                host,
                HOST_TABLE,
                host_index,
                HOST_TABLE,
                leaf,
                Meaning::Found(Hpa(TABLE_HPA + 8)),
            ),
            entry(
                Position::Guest { level: 0 },
                TABLE,
                1,
                TABLE_HPA,
                Entry::leaf(0, Rights::ALL).0,
                Meaning::DataGpa(Gpa(0)),
            ),
        ]
    }

    fn hit(cache: PageWalkCache, hpa: u64, is_global: bool) -> Hit {
        let gpa = match cache {
            PageWalkCache::Guest { .. } => Gpa(TABLE),
            _ => Gpa(TABLE + 8),
        };
        Hit {
            cache,
            gpa,
            hpa: Hpa(hpa),
            is_global,
        }
    }

    /// Returns the hits that the walk of [`steps`] makes legal.
    fn hits(is_global: bool) -> [Hit; 3] {
        [
            hit(GUEST, TABLE_HPA, is_global),
            hit(HOST, HOST_TABLE, false),
            hit(PageWalkCache::Nested, TABLE_HPA, false),
        ]
    }

    fn walked(is_global: bool, fences: &[NumberedFence]) -> MayContain {
        let mut may = MayContain::new(FORMAT);
        may.on_walk(&query(GVA), &steps(is_global), |_| None, fences);
        may
    }

    fn allowed(may: &MayContain, is_global: bool, fences: u64) -> [bool; 3] {
        hits(is_global).map(|hit| may.may_contain(&query(GVA), &hit, fences))
    }

    #[test]
    fn what_a_walk_has_read_may_lead_the_next_and_nothing_else() {
        let may = walked(false, &[]);
        assert_eq!(allowed(&may, false, 0), [true; 3]);
        // The same table serves another gVA below the same pointer.
        let [guest, host, nested] = hits(false);
        assert!(may.may_contain(&query(GVA + 0x1F_0000), &guest, 0));
        assert!(!may.may_contain(&query(GVA + 0x20_0000), &guest, 0));
        for wrong in [
            Hit {
                gpa: Gpa(TABLE + 0x1000),
                ..guest
            },
            Hit {
                hpa: Hpa(TABLE_HPA + 0x1000),
                ..guest
            },
            Hit {
                is_global: true,
                ..guest
            },
            Hit {
                hpa: Hpa(HOST_TABLE + 0x1000),
                ..host
            },
            Hit {
                hpa: Hpa(TABLE_HPA + 0x1000),
                ..nested
            },
        ] {
            assert!(!may.may_contain(&query(GVA), &wrong, 0), "{wrong:?}");
            let right = hits(false).into_iter().find(|hit| hit.cache == wrong.cache);
            let elsewhere = WhyNot::Elsewhere(vec![right.unwrap().hpa]);
            assert_eq!(may.why_not(&query(GVA), &wrong, 0), elsewhere);
        }
        let mut other = query(GVA);
        other.context.asid += 1;
        assert!(!may.may_contain(&other, &guest, 0));
        assert!(may.may_contain(&other, &nested, 0));
        let never = WhyNot::Absent(Absence::NeverFound);
        assert_eq!(may.why_not(&other, &guest, 0), never);
    }

    #[test]
    fn a_hit_is_no_evidence_for_itself() {
        for (number, hit) in [(2, hits(false)[0]), (1, hits(false)[1])] {
            let mut may = MayContain::new(FORMAT);
            let led = |at| (at == number).then_some(hit);
            may.on_walk(&query(GVA), &steps(false), led, &[]);
            assert!(!may.may_contain(&query(GVA), &hit, 0), "{hit:?}");
        }
    }

    #[test]
    fn a_root_an_update_a_fault_and_an_error_are_not_kept() {
        let may_contain_guest = |change: fn(&mut Step), levels| {
            let mut query = query(GVA);
            query.context.guest.levels = levels;
            let mut may = MayContain::new(FORMAT);
            let mut steps = steps(false);
            change(&mut steps[2]);
            may.on_walk(&query, &steps, |_| None, &[]);
            may.may_contain(&query, &hits(false)[0], 0)
        };
        assert!(may_contain_guest(|_| {}, 3));
        assert!(!may_contain_guest(|_| {}, 1));
        assert!(!may_contain_guest(|step| step.update = Some(0), 3));
        assert!(!may_contain_guest(|step| step.word = None, 3));
        let fault = |step: &mut Step| {
            step.meaning = Meaning::Fault(crate::mmu::FaultKind::Invalid);
        };
        assert!(!may_contain_guest(fault, 3));
    }

    #[test]
    fn a_fence_invalidates_by_each_operand_what_its_stage_has_read() {
        let all = Fence::default();
        let gva = |gva| Fence {
            gva: Some(Gva(gva)),
            ..all
        };
        let gpa = |gpa| Fence {
            gpa: Some(Gpa(gpa)),
            ..all
        };
        let asid = |asid| Fence {
            asid: Some(asid),
            ..all
        };
        let vmid = |vmid| Fence {
            vmid: Some(vmid),
            ..all
        };
        let native = Fence { virt: false, ..all };
        for (fence, is_global, kept) in [
            (all, false, [false; 3]),
            (native, false, [true; 3]),
            (gva(GVA + 0x1F_0000), false, [false, true, true]),
            (gva(GVA + 0x20_0000), false, [true; 3]),
            // The host page of the guest table is a 2M page. The entry that points to the table
            // covers 1G.
            (gpa(TABLE + 0x1F_0000), false, [false; 3]),
            (gpa(TABLE + 0x20_0000), false, [true, false, true]),
            (gpa(TABLE + (1 << 30)), false, [true; 3]),
            (asid(ASID), false, [false, true, true]),
            (asid(ASID), true, [true; 3]),
            (asid(ASID + 1), false, [true; 3]),
            (vmid(VMID), false, [false; 3]),
            (vmid(VMID + 1), false, [true; 3]),
        ] {
            let mut may = walked(is_global, &[]);
            may.on_fence(&fence, 1);
            assert_eq!(allowed(&may, is_global, 1), kept, "{fence}");
            // A walk whose lookup came before the fence may still use the entry.
            assert_eq!(allowed(&may, is_global, 0), [true; 3], "{fence}");
            may.drop_invalidated();
            assert_eq!(allowed(&may, is_global, 0), kept, "{fence}");
            // The result is the same if the fence was accepted before the end of the walk.
            let late = walked(is_global, &[(1, fence)]);
            assert_eq!(allowed(&late, is_global, 1), kept, "{fence}");
        }
    }

    #[test]
    fn an_invalidated_entry_is_absent_because_of_the_last_fence() {
        let fence = Fence::default();
        let mut may = walked(false, &[]);
        may.on_fence(&fence, 4);
        may.drop_invalidated();
        let number = 4;
        let absent = WhyNot::Absent(Absence::Invalidated { fence, number });
        for hit in hits(false) {
            assert_eq!(may.why_not(&query(GVA), &hit, 4), absent);
        }
    }
}
