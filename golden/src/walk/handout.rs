// SPDX-License-Identifier: Apache-2.0
//! The walk of the handout's machine. Each stage has tables of pointers and leaves; an entry's
//! address is the sum of base and offset.

use super::{Checks, EntryMemory, Leaf, Mapping, Meaning, Step, StepLog};
use crate::addr::{Gpa, Hpa};
use crate::format::handout::Entry;
use crate::format::{Format, Geometry, fits};
use crate::mmu::{
    Access, Context, Fault, FaultKind, MemoryType, Outcome, Position, Purpose, Query, Rights,
    Translation,
};

/// Walks both tables for `query`.
///
/// # Errors
/// The fault that the walk ends with.
pub(super) fn walk<M: EntryMemory, L: StepLog>(
    format: Format,
    query: &Query,
    checks: Checks<'_>,
    memory: &mut M,
    log: &mut L,
) -> Result<Mapping, Fault> {
    let walker = Walker {
        checks,
        geometry: format.geometry(),
        context: query.context,
        access: query.access,
        memory,
        log,
    };
    walker.translate(query)
}

/// Returns the response that an MMU must give to `query` from a mapping in its TLB. The response
/// equals that of a walk with the same leaves.
pub(super) fn outcome_from(format: Format, query: &Query, remembered: &Mapping) -> Outcome {
    let geometry = format.geometry();
    let offset = geometry.offset(query.gva.0);
    let in_page = |address: u64| address - geometry.offset(address) + offset;
    let gpa = Gpa(in_page(remembered.gpa.0));
    let permission = |at| Fault {
        kind: FaultKind::Permission,
        at,
        trap: None,
    };
    if query.context.rights {
        if !remembered.guest.rights.permit(query.access) {
            return Err(permission(Position::Guest { level: 0 }));
        }
        if !remembered.host.rights.permit(query.access) {
            return Err(permission(Position::Host {
                level: 0,
                gpa,
                purpose: Purpose::Data,
            }));
        }
    }
    Ok(Translation {
        gpa,
        hpa: Hpa(in_page(remembered.hpa.0)),
        page_size: geometry.offset_width,
        memory_type: MemoryType::Pma,
    })
}

struct Walker<'a, M, L> {
    checks: Checks<'a>,
    geometry: Geometry,
    context: Context,
    access: Access,
    memory: &'a mut M,
    log: &'a mut L,
}

impl<M: EntryMemory, L: StepLog> Walker<'_, M, L> {
    /// Translates gVA=>gPA through the guest table, then gPA=>hPA through the host table.
    fn translate(mut self, query: &Query) -> Result<Mapping, Fault> {
        let (gpa, guest_rights) = match self.context.guest_root() {
            Some(root) => self.guest_table(root, self.geometry.root_level(), query.gva.0)?,
            // Figure 1a: one table maps VA to PA.
            None => (Gpa(query.gva.0), Rights::ALL),
        };
        let (hpa, host_rights) = self.gpa_to_hpa(gpa, Purpose::Data)?;
        let leaf = |rights| Leaf {
            rights,
            user: true,
            dirty: true,
            page_size: self.geometry.offset_width,
        };
        Ok(Mapping {
            gpa,
            hpa,
            guest: leaf(guest_rights),
            host: leaf(host_rights),
            global: false,
            memory_type: MemoryType::Pma,
            page_size: self.geometry.offset_width,
        })
    }

    /// Walks the guest table of `level` at `base`, and the tables below it. "The guest tables
    /// reside in host physical memory", so each entry's gPA needs a host walk of its own.
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

    /// Translates gPA=>hPA through the host table, from its root.
    fn gpa_to_hpa(&mut self, gpa: Gpa, purpose: Purpose) -> Result<(Hpa, Rights), Fault> {
        self.host_table(
            self.context.host.root,
            self.geometry.root_level(),
            gpa,
            purpose,
        )
    }

    /// Walks the host table of `level` at `base`, and the tables below it.
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
        // The walk's own read of a guest entry is a load, whatever the kind of access.
        let access = match purpose {
            Purpose::Data => self.access,
            Purpose::GuestEntry(_) | Purpose::GuestUpdate(_) => Access::Load,
        };
        self.check_leaf(&mut step, entry, access)?;
        let hpa = Hpa(entry.page() + self.geometry.offset(gpa.0));
        self.done(step, Meaning::Found(hpa));
        Ok((hpa, entry.rights()))
    }

    /// Computes the address of the entry for `address` in the table at `base`, by addition without
    /// wrap.
    fn seek(&self, at: Position, base: u64, address: u64, level: u32) -> Step {
        let index = self.geometry.index(address, level);
        Step {
            at,
            base,
            index,
            entry: base + index * self.geometry.pte_bytes(),
            hpa: None,
            word: None,
            update: None,
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

    /// Checks a leaf. Validity is checked first, because the other bits of an invalid leaf have no
    /// meaning.
    fn check_leaf(&mut self, step: &mut Step, entry: Entry, access: Access) -> Result<(), Fault> {
        if self.context.rights && !entry.valid() {
            return Err(self.fault(step, FaultKind::Invalid));
        }
        self.check_reserved(step, entry)?;
        let is_denied = self.context.rights && !entry.rights().permit(access);
        if is_denied {
            let fault = self.fault(step, FaultKind::Permission);
            self.checks.fail(fault)?;
        }
        Ok(())
    }

    fn fault(&mut self, step: &mut Step, kind: FaultKind) -> Fault {
        step.meaning = Meaning::Fault(kind);
        self.log.step(*step);
        Fault {
            kind,
            at: step.at,
            trap: None,
        }
    }

    fn done(&mut self, mut step: Step, meaning: Meaning) {
        step.meaning = meaning;
        self.log.step(step);
    }
}
