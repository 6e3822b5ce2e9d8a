//! The nested walk as an executable specification: recursive, address by address, written from the handout.
//!
//! [`walk`] is the machine of "6.823 Computer System Architecture, Nested Paging" with the rules of `docs/formats.md` where the
//! handout leaves one open. It takes memory as a function from an address to a word, so that the checker can also
//! ask what follows from the words that a device was really given.

use crate::addr::{Gpa, Hpa};
use crate::format::handout::Entry;
use crate::format::{Format, Geometry, fits};
use crate::mmu::{
    Access, Context, Fault, FaultKind, Outcome, Position, Purpose, Query, Rights, Translation,
};

/// Where a walk reads table entries.
pub trait EntrySource {
    /// The word at `at`, or none where the memory answers with an error.
    fn read_entry(&mut self, at: Hpa) -> Option<u32>;
}

impl EntrySource for &crate::memory::HostMemory {
    fn read_entry(&mut self, at: Hpa) -> Option<u32> {
        self.read(at).ok()
    }
}

/// A step of a walk: one entry read, or found to be unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which entry.
    pub at: Position,
    /// The base of its table: a gPA for a guest's table, an hPA for a host's.
    pub base: u64,
    /// Its index there.
    pub index: u64,
    /// Base and index added up. For a guest entry it is a gPA.
    pub entry: u64,
    /// Where the entry was read; none if its address made a fault.
    pub hpa: Option<Hpa>,
    /// The entry; none if there was no read, or it failed.
    pub word: Option<u32>,
    /// What follows from it.
    pub meaning: Meaning,
}

/// What an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The next guest table, at a gPA.
    GuestTable(Gpa),
    /// The next host table, at an hPA.
    HostTable(Hpa),
    /// The guest leaf: the data's gPA.
    DataGpa(Gpa),
    /// The host leaf: the hPA of the guest entry sought, or of the data.
    Found(Hpa),
    /// A fault.
    Fault(FaultKind),
}

/// Takes the steps of a walk as they happen.
pub trait StepLog {
    /// One more step.
    fn step(&mut self, step: Step);
}

/// Nobody wants to know.
impl StepLog for () {
    fn step(&mut self, _: Step) {}
}

impl StepLog for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}

/// What a walk finds out, beyond the answer: what a TLB keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// The data's gPA.
    pub gpa: Gpa,
    /// The data's hPA.
    pub hpa: Hpa,
    /// What the guest leaf permits; everything, where the guest table is off.
    pub guest_rights: Rights,
    /// What the host leaf permits.
    pub host_rights: Rights,
}

/// Walks both tables for `query`.
///
/// # Errors
/// The fault that the walk ends with.
pub fn walk<M: EntrySource, L: StepLog>(
    format: Format,
    query: &Query,
    memory: &mut M,
    log: &mut L,
) -> Result<Mapping, Fault> {
    let walker = Walker {
        geometry: format.geometry(),
        context: query.context,
        access: query.access,
        memory,
        log,
    };
    walker.translate(query)
}

/// The answer that an MMU owes for what a walk found.
pub fn answer(format: Format, found: &Result<Mapping, Fault>) -> Outcome {
    found.map(|mapping| Translation {
        hpa: mapping.hpa,
        page_size: format.geometry().offset_width,
    })
}

/// The answer that an MMU owes to `query` for a mapping that it remembers of a page: that of a walk which finds the same
/// leaves.
pub fn answer_from(format: Format, query: &Query, remembered: &Mapping) -> Outcome {
    let geometry = format.geometry();
    let offset = geometry.offset(query.gva.0);
    let in_page = |address: u64| address - geometry.offset(address) + offset;
    if query.context.rights {
        if !remembered.guest_rights.permit(query.access) {
            return Err(Fault {
                kind: FaultKind::Permission,
                at: Position::Guest { level: 0 },
            });
        }
        if !remembered.host_rights.permit(query.access) {
            return Err(Fault {
                kind: FaultKind::Permission,
                at: Position::Host {
                    level: 0,
                    gpa: Gpa(in_page(remembered.gpa.0)),
                    purpose: Purpose::Data,
                },
            });
        }
    }
    Ok(Translation {
        hpa: Hpa(in_page(remembered.hpa.0)),
        page_size: geometry.offset_width,
    })
}

struct Walker<'a, M, L> {
    geometry: Geometry,
    context: Context,
    access: Access,
    memory: &'a mut M,
    log: &'a mut L,
}

impl<M: EntrySource, L: StepLog> Walker<'_, M, L> {
    /// gVA=>hPA: gVA=>gPA through the guest's table, then gPA=>hPA through the host's.
    fn translate(mut self, query: &Query) -> Result<Mapping, Fault> {
        let (gpa, guest_rights) = match self.context.guest_root {
            Some(root) => self.guest_table(root, self.geometry.root_level(), query.gva.0)?,
            // Figure 1a: one table, VA to PA.
            None => (Gpa(query.gva.0), Rights::ALL),
        };
        let (hpa, host_rights) = self.gpa_to_hpa(gpa, Purpose::Data)?;
        Ok(Mapping {
            gpa,
            hpa,
            guest_rights,
            host_rights,
        })
    }

    /// The guest table at `base`, of `level`, and those below: "the guest tables reside in host physical memory", so each
    /// entry's gPA needs a host walk of its own.
    fn guest_table(&mut self, base: Gpa, level: u32, gva: u64) -> Result<(Gpa, Rights), Fault> {
        let position = Position::Guest { level };
        let mut step = self.seek(position, base.0, gva, level);
        self.check_address(&mut step, self.geometry.gpa_width)?;
        let (hpa, _) = self.gpa_to_hpa(Gpa(step.entry), Purpose::GuestEntry(level))?;
        let entry = self.read(&mut step, hpa, self.geometry.gpa_width)?;
        if level > 0 {
            self.check_reserved(&mut step, entry)?;
            let table = Gpa(entry.table());
            self.done(step, Meaning::GuestTable(table));
            return self.guest_table(table, level - 1, gva);
        }
        self.check_leaf(&mut step, entry, self.access)?;
        let gpa = Gpa(entry.page() + self.geometry.offset(gva));
        self.done(step, Meaning::DataGpa(gpa));
        Ok((gpa, entry.rights()))
    }

    /// gPA=>hPA, through the host's table from its root.
    fn gpa_to_hpa(&mut self, gpa: Gpa, purpose: Purpose) -> Result<(Hpa, Rights), Fault> {
        self.host_table(
            self.context.host_root,
            self.geometry.root_level(),
            gpa,
            purpose,
        )
    }

    /// The host table at `base`, of `level`, and those below.
    fn host_table(
        &mut self,
        base: Hpa,
        level: u32,
        gpa: Gpa,
        purpose: Purpose,
    ) -> Result<(Hpa, Rights), Fault> {
        let position = Position::Host {
            level,
            gpa,
            purpose,
        };
        let mut step = self.seek(position, base.0, gpa.0, level);
        self.check_address(&mut step, self.geometry.hpa_width)?;
        let at = Hpa(step.entry);
        let entry = self.read(&mut step, at, self.geometry.hpa_width)?;
        if level > 0 {
            self.check_reserved(&mut step, entry)?;
            let table = Hpa(entry.table());
            self.done(step, Meaning::HostTable(table));
            return self.host_table(table, level - 1, gpa, purpose);
        }
        // The walk's own read of a guest entry is a load, whatever the access is.
        let access = match purpose {
            Purpose::Data => self.access,
            Purpose::GuestEntry(_) => Access::Load,
        };
        self.check_leaf(&mut step, entry, access)?;
        let hpa = Hpa(entry.page() + self.geometry.offset(gpa.0));
        self.done(step, Meaning::Found(hpa));
        Ok((hpa, entry.rights()))
    }

    /// The address of the entry for `address` in the table at `base`: a true addition.
    fn seek(&self, at: Position, base: u64, address: u64, level: u32) -> Step {
        let index = self.geometry.index(address, level);
        Step {
            at,
            base,
            index,
            entry: base + index * self.geometry.pte_bytes(),
            hpa: None,
            word: None,
            meaning: Meaning::Fault(FaultKind::Memory),
        }
    }

    fn check_address(&mut self, step: &mut Step, width: u32) -> Result<(), Fault> {
        if !step.entry.is_multiple_of(self.geometry.pte_bytes()) {
            return Err(self.fault(step, FaultKind::Misaligned));
        }
        if !fits(step.entry, width) {
            return Err(self.fault(step, FaultKind::Width));
        }
        Ok(())
    }

    fn read(&mut self, step: &mut Step, hpa: Hpa, width: u32) -> Result<Entry, Fault> {
        step.hpa = Some(hpa);
        step.word = self.memory.read_entry(hpa);
        match step.word {
            Some(word) => Ok(Entry::new(word, width, &self.geometry)),
            None => Err(self.fault(step, FaultKind::Memory)),
        }
    }

    fn check_reserved(&mut self, step: &mut Step, entry: Entry) -> Result<(), Fault> {
        if entry.reserved_set() {
            return Err(self.fault(step, FaultKind::Reserved));
        }
        Ok(())
    }

    /// What is not valid has no other bits, so validity is first.
    fn check_leaf(&mut self, step: &mut Step, entry: Entry, access: Access) -> Result<(), Fault> {
        if self.context.rights && !entry.valid() {
            return Err(self.fault(step, FaultKind::Invalid));
        }
        self.check_reserved(step, entry)?;
        if self.context.rights && !entry.rights().permit(access) {
            return Err(self.fault(step, FaultKind::Permission));
        }
        Ok(())
    }

    fn fault(&mut self, step: &mut Step, kind: FaultKind) -> Fault {
        step.meaning = Meaning::Fault(kind);
        self.log.step(*step);
        Fault { kind, at: step.at }
    }

    fn done(&mut self, mut step: Step, meaning: Meaning) {
        step.meaning = meaning;
        self.log.step(step);
    }
}
