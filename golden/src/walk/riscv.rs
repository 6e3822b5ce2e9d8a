// SPDX-License-Identifier: Apache-2.0
//! RISC-V: the "Virtual Address Translation Process" of the privileged specification, in two
//! stages.
//!
//! Step numbers and quotations are from the clause of that name (under "Sv32"). Sv39, Sv48 and Sv57
//! use the same process, and so does "Guest Physical Address Translation" of the hypervisor
//! extension. Where the specification leaves a choice, `docs/formats.md` states the choice.

use super::{Checks, EntryMemory, GuestTable, Leaf, Mapping, Meaning, Step, StepLog};
use crate::addr::{Gpa, Hpa};
use crate::format::riscv::{Entry, NAPOT_PAGE_SIZE};
use crate::format::{Format, Geometry, fits};
use crate::mmu::{
    Access, Context, Fault, FaultKind, MemoryType, Position, Purpose, Query, Rights, Translation,
    Trap,
};

/// Walks the stages for `query` that its context has switched on.
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
        format,
        geometry: format.geometry(),
        query,
        memory,
        log,
    };
    walker.translate()
}

/// Returns the response from a mapping in the TLB, if the mapping permits the access: the checks of
/// steps 6, 8 and 9 on both leaves.
pub(super) fn outcome_from(query: &Query, remembered: &Mapping) -> Option<Translation> {
    let Query {
        context,
        gva,
        access,
    } = query;
    let permits = |leaf: &Leaf, demand: Demand| {
        demand.permitted(leaf.rights, leaf.user) && (leaf.dirty || *access != Access::Store)
    };
    let guest = Demand::of_guest(context, *access);
    let host = Demand::of_host(context, *access, Purpose::Data);
    let permitted = (context.guest.levels == 0 || permits(&remembered.guest, guest))
        && (context.host.levels == 0 || permits(&remembered.host, host));
    let in_page = |address| merge(address, gva.0, remembered.page_size);
    permitted.then(|| Translation {
        gpa: Gpa(in_page(remembered.gpa.0)),
        hpa: Hpa(in_page(remembered.hpa.0)),
        page_size: remembered.page_size,
        memory_type: remembered.memory_type,
    })
}

/// Returns an address in the 2^`size` bytes of `page`, with the offset of `address`.
#[inline]
fn merge(page: u64, address: u64, size: u32) -> u64 {
    let offset = (1 << size) - 1;
    page & !offset | address & offset
}

/// The rights that an access needs from a leaf.
#[derive(Clone, Copy)]
struct Demand {
    access: Access,
    /// "The current privilege mode" is U-mode or VU-mode.
    user: bool,
    sum: bool,
    mxr: bool,
}

impl Demand {
    #[inline]
    fn of_guest(context: &Context, access: Access) -> Self {
        Self {
            access,
            user: context.user,
            sum: context.sum,
            mxr: context.guest.mxr,
        }
    }

    /// Returns the demand on a leaf of the G-stage. "All memory accesses are considered to be
    /// user-level accesses". An access "made to support VS-stage address translation" is checked
    /// "as though for an implicit load or store", and MXR applies to explicit loads only.
    #[inline]
    fn of_host(context: &Context, access: Access, purpose: Purpose) -> Self {
        let (access, mxr) = match purpose {
            Purpose::Data => (access, context.host.mxr),
            Purpose::GuestEntry(_) => (Access::Load, false),
            Purpose::GuestUpdate(_) => (Access::Store, false),
        };
        Self {
            access,
            user: true,
            sum: false,
            mxr,
        }
    }

    /// Steps 6 and 8: "Determine if the requested memory access is allowed by" the U bit, "given
    /// the current privilege mode and the value of the SUM and MXR fields", and by the R, W and X
    /// bits."
    #[inline]
    fn permitted(self, rights: Rights, user_page: bool) -> bool {
        let by_mode = if self.user {
            user_page
        } else {
            // "Irrespective of SUM, the supervisor may not execute code on pages with U=1."
            !user_page || self.sum && self.access != Access::Fetch
        };
        let by_mxr = self.mxr && self.access == Access::Load && rights.execute;
        by_mode && (rights.permit(self.access) || by_mxr)
    }
}

/// One pass of the process: the translation of one address in one stage.
#[derive(Clone, Copy)]
struct Pass {
    /// The purpose of a host walk; none in the guest stage.
    purpose: Option<Purpose>,
    /// The address to translate, _va_ in the process.
    address: u64,
    /// The root table: a gPA in the guest stage, an hPA in the host stage.
    root: u64,
    root_level: u32,
    adue: bool,
    pbmte: bool,
    demand: Demand,
}

impl Pass {
    #[inline]
    fn at(&self, level: u32) -> Position {
        match self.purpose {
            None => Position::Guest { level },
            Some(purpose) => Position::Host {
                level,
                gpa: Gpa(self.address),
                purpose,
            },
        }
    }
}

/// The result of steps 3 to 9 for an entry.
enum Verdict {
    Fault(FaultKind),
    /// A leaf whose rights, or A and D bits, do not permit the access.
    Denied(FaultKind),
    Pointer,
    Leaf,
    /// A leaf that permits the access, but must be replaced by this word first.
    Update(u64),
}

/// The result of a successful pass.
struct Found {
    address: u64,
    leaf: Leaf,
    pbmt: u8,
    global: bool,
}

struct Walker<'a, M, L> {
    checks: Checks<'a>,
    format: Format,
    geometry: Geometry,
    query: &'a Query,
    memory: &'a mut M,
    log: &'a mut L,
}

impl<M: EntryMemory, L: StepLog> Walker<'_, M, L> {
    /// "Two-Stage Address Translation": the VS-stage translates the virtual address to a gPA, and
    /// the G-stage translates that to an hPA. With V=0 the first stage is the only stage, and its
    /// result is the hPA. A stage that is Bare translates nothing and protects nothing.
    fn translate(mut self) -> Result<Mapping, Fault> {
        let Query { context, gva, .. } = *self.query;
        let guest = match context.guest.levels {
            0 => None,
            _ => Some(self.guest_stage(gva.0)?),
        };
        let gpa = Gpa(guest.as_ref().map_or(gva.0, |found| found.address));
        let host = match context.host.levels {
            0 => None,
            _ => Some(self.host_stage(gpa, Purpose::Data)?),
        };
        let hpa = Hpa(host.as_ref().map_or(gpa.0, |found| found.address));
        if !fits(hpa.0, self.geometry.hpa_width) {
            // Only an address that no stage has translated can be so wide.
            return Err(self.fault_at(FaultKind::Memory, Position::Guest { level: 0 }));
        }

        let size = |found: &Option<Found>| found.as_ref().map(|found| found.leaf.page_size);
        let page_size = match (size(&guest), size(&host)) {
            (Some(guest), Some(host)) => guest.min(host),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => self.geometry.offset_width,
        };
        let leaf = |found: &Option<Found>| match found {
            Some(found) => found.leaf,
            None => Leaf {
                rights: Rights::ALL,
                user: true,
                dirty: true,
                page_size,
            },
        };
        // "Svpbmt": if the guest's bits are not 0, they override the host's.
        let pbmt = |found: &Option<Found>| found.as_ref().map_or(0, |found| found.pbmt);
        let pbmt = match pbmt(&guest) {
            0 => pbmt(&host),
            pbmt => pbmt,
        };
        Ok(Mapping {
            gpa,
            hpa,
            guest: leaf(&guest),
            host: leaf(&host),
            global: guest.is_some_and(|found| found.global),
            memory_type: MemoryType::of(pbmt).unwrap_or_default(),
            page_size,
        })
    }

    fn guest_stage(&mut self, va: u64) -> Result<Found, Fault> {
        let Query {
            context, access, ..
        } = self.query;
        let stage = &context.guest;
        self.process(&Pass {
            purpose: None,
            address: va,
            // vsatp and satp contain a page number, so the bits below it are ignored.
            root: stage.root.0 & !(self.geometry.table_bytes() - 1),
            root_level: u32::from(stage.levels) - 1,
            adue: stage.adue,
            pbmte: stage.pbmte,
            demand: Demand::of_guest(context, *access),
        })
    }

    fn host_stage(&mut self, gpa: Gpa, purpose: Purpose) -> Result<Found, Fault> {
        let Query {
            context, access, ..
        } = self.query;
        let stage = &context.host;
        self.process(&Pass {
            purpose: Some(purpose),
            address: gpa.0,
            // "the two lowest bits of the physical page number (PPN) in hgatp always read as
            // zeros".
            root: stage.root.0
                & !((self.geometry.table_bytes() << self.geometry.host_root_extra) - 1),
            root_level: u32::from(stage.levels) - 1,
            adue: stage.adue,
            pbmte: stage.pbmte,
            demand: Demand::of_host(context, *access, purpose),
        })
    }

    /// Returns the hPA of an entry that the process of `pass` reads or updates. In the guest stage,
    /// "memory accesses that would normally bypass address translation are subject to G-stage
    /// address translation alone".
    fn locate(&mut self, pass: &Pass, entry: u64, purpose: Purpose) -> Result<Hpa, Fault> {
        if let Purpose::GuestEntry(_) = purpose
            && pass.purpose.is_none()
            && let Some(hpa) = self.memory.known_entry(Gpa(entry))
        {
            return Ok(hpa);
        }
        if pass.purpose.is_some() || self.query.context.host.levels == 0 {
            return Ok(Hpa(entry));
        }
        let found = self.host_stage(Gpa(entry), purpose)?;
        Ok(Hpa(found.address))
    }

    /// Runs the "Virtual Address Translation Process".
    fn process(&mut self, pass: &Pass) -> Result<Found, Fault> {
        // 1. "Let a be satp.ppn×PAGESIZE, and let i=LEVELS-1."
        let mut table = pass.root;
        let mut level = pass.root_level;
        let mut global = false;
        if !self.in_range(pass) {
            let step = self.seek(pass, table, level);
            let fault = self.fault(step, FaultKind::Width);
            self.checks.fail(fault)?;
        }
        // Start below the root if memory knows a table there.
        let mut table_hpa = None;
        if pass.purpose.is_some() {
            if let Some((known, hpa)) = self.memory.known_host_table(Gpa(pass.address)) {
                (level, table) = (known, hpa.0);
            }
        } else if let Some(known) = self.memory.known_guest_table() {
            GuestTable {
                level,
                gpa: Gpa(table),
                global,
                ..
            } = known;
            table_hpa = Some(known.hpa.0);
        }
        loop {
            // 2. "Let pte be the value of the PTE at address a+va.vpn[i]×PTESIZE."
            let mut step = self.seek(pass, table, level);
            let hpa = match table_hpa.take() {
                Some(hpa) => Hpa(hpa + step.index * self.geometry.pte_bytes()),
                None => self.locate(pass, step.entry, Purpose::GuestEntry(level))?,
            };
            step.hpa = Some(hpa);
            step.word = self.memory.read_entry(hpa);
            let Some(mut word) = step.word else {
                return Err(self.fault(step, FaultKind::Memory));
            };
            loop {
                let entry = Entry(word);
                match self.judge(pass, entry, level) {
                    Verdict::Fault(kind) => return Err(self.fault(step, kind)),
                    Verdict::Pointer => {
                        // "let i=i-1 ... let a=pte.ppn×PAGESIZE and go to step 2."
                        table = entry.address();
                        level -= 1;
                        global |= entry.global();
                        let meaning = match pass.purpose {
                            None => Meaning::GuestTable(Gpa(table)),
                            Some(_) => Meaning::HostTable(Hpa(table)),
                        };
                        self.done(step, meaning);
                        break;
                    }
                    verdict @ (Verdict::Leaf | Verdict::Denied(_)) => {
                        if let Verdict::Denied(kind) = verdict {
                            let fault = self.fault(step, kind);
                            self.checks.fail(fault)?;
                        }
                        let found = self.found(pass, entry, level, global);
                        let meaning = match pass.purpose {
                            None => Meaning::DataGpa(Gpa(found.address)),
                            Some(_) => Meaning::Found(Hpa(found.address)),
                        };
                        self.done(step, meaning);
                        return Ok(found);
                    }
                    Verdict::Update(new) => {
                        self.done(step, Meaning::SetAccessedDirty);
                        let hpa = self.locate(pass, step.entry, Purpose::GuestUpdate(level))?;
                        step.hpa = Some(hpa);
                        step.update = Some(new);
                        step.word = self.memory.update_entry(hpa, word, new);
                        word = match step.word {
                            None => return Err(self.fault(step, FaultKind::Memory)),
                            Some(found) if found == word => new,
                            // "If the comparison fails, return to step 2": the entry found is the
                            // result of that read.
                            Some(found) => found,
                        };
                    }
                }
            }
        }
    }

    /// Applies steps 3 to 9 to the entry of a level.
    #[inline]
    fn judge(&self, pass: &Pass, entry: Entry, level: u32) -> Verdict {
        // 3. "If pte.v=0, or if pte.r=0 and pte.w=1, or if any bits or encodings that are reserved
        //    for future standard use are set within pte".
        if !entry.valid() || entry.writable_only() {
            return Verdict::Fault(FaultKind::Invalid);
        }
        if entry.reserved_set() {
            return Verdict::Fault(FaultKind::Reserved);
        }
        // 4. "Otherwise, this PTE is a pointer to the next level of the page table."
        if entry.is_pointer() {
            return if entry.pointer_reserved_set() {
                Verdict::Fault(FaultKind::Reserved)
            } else if level == 0 {
                Verdict::Fault(FaultKind::Pointer)
            } else {
                Verdict::Pointer
            };
        }
        // "Svpbmt": with menvcfg.PBMTE or henvcfg.PBMTE clear, the bits are reserved.
        if entry.pbmt() != 0 && (!pass.pbmte || MemoryType::of(entry.pbmt()).is_none()) {
            return Verdict::Fault(FaultKind::Reserved);
        }
        // "Svnapot", Table "Page table entry encodings when pte.N=1".
        if entry.napot() && !(self.query.context.napot && level == 0 && entry.napot_is_64k()) {
            return Verdict::Fault(FaultKind::Reserved);
        }
        // 5. "If i>0 and pte.ppn[i-1:0] ≠ 0, this is a misaligned superpage".
        let page_offset = (1 << self.page_size(entry, level)) - 1;
        if !entry.napot() && entry.address() & page_offset != 0 {
            return Verdict::Fault(FaultKind::Misaligned);
        }
        // 6 to 8. "Determine if the requested memory access is allowed".
        if !pass.demand.permitted(entry.rights(), entry.user()) {
            return Verdict::Denied(FaultKind::Permission);
        }
        // 9. "If pte.a=0, or if the original memory access is a store and pte.d=0".
        let store = pass.demand.access == Access::Store;
        if entry.accessed() && (entry.dirty() || !store) {
            return Verdict::Leaf;
        }
        if !pass.adue {
            return Verdict::Denied(FaultKind::AccessedDirty);
        }
        let updated = entry.with_accessed(true).with_dirty(entry.dirty() || store);
        Verdict::Update(updated.0)
    }

    /// Applies step 10: "The translation is successful."
    #[inline]
    fn found(&self, pass: &Pass, entry: Entry, level: u32, global: bool) -> Found {
        let page_size = self.page_size(entry, level);
        Found {
            address: merge(entry.address(), pass.address, page_size),
            leaf: Leaf {
                // A is clear behind a late check alone.
                rights: match entry.accessed() {
                    true => entry.rights(),
                    false => Rights::NONE,
                },
                user: entry.user(),
                dirty: entry.dirty(),
                page_size,
            },
            pbmt: entry.pbmt(),
            global: global || entry.global(),
        }
    }

    /// Returns log2 of the size in bytes of a leaf's page.
    #[inline]
    fn page_size(&self, entry: Entry, level: u32) -> u32 {
        if entry.napot() {
            NAPOT_PAGE_SIZE
        } else {
            self.geometry.offset_width + level * self.geometry.index_width
        }
    }

    /// Returns true if the process translates the address. "Addressing and Memory Protection": a
    /// virtual address is sign-extended. "Guest Physical Address Translation": a gPA has two bits
    /// more, and zeros above them.
    #[inline]
    fn in_range(&self, pass: &Pass) -> bool {
        let geometry = &self.geometry;
        let width = geometry.offset_width + (pass.root_level + 1) * geometry.index_width;
        match pass.purpose {
            None if width >= geometry.gva_width => true,
            None => {
                let unused = 64 - width;
                (pass.address << unused) as i64 >> unused == pass.address as i64
            }
            Some(_) => fits(pass.address, width + geometry.host_root_extra),
        }
    }

    /// Returns a step at the entry for the address of `pass` in the table of a level. In the host
    /// stage, "the root page table (only) is expanded by a factor of four".
    #[inline]
    fn seek(&self, pass: &Pass, base: u64, level: u32) -> Step {
        let geometry = &self.geometry;
        let extra = match pass.purpose {
            Some(_) if level == pass.root_level => geometry.host_root_extra,
            _ => 0,
        };
        let vpn = pass.address >> (geometry.offset_width + level * geometry.index_width);
        let index = vpn & ((1 << (geometry.index_width + extra)) - 1);
        Step {
            at: pass.at(level),
            base,
            index,
            entry: base + index * geometry.pte_bytes(),
            hpa: None,
            word: None,
            update: None,
            meaning: Meaning::Fault(FaultKind::Memory),
        }
    }

    #[inline]
    fn done(&mut self, step: Step, meaning: Meaning) {
        self.log.step(Step { meaning, ..step });
    }

    fn fault(&mut self, step: Step, kind: FaultKind) -> Fault {
        self.done(step, Meaning::Fault(kind));
        self.fault_at(kind, step.at)
    }

    /// Returns a fault with the values of the trap registers. "Any exception is always reported for
    /// the original access type."
    fn fault_at(&self, kind: FaultKind, at: Position) -> Fault {
        let [access_fault, page_fault, guest_page_fault] = match self.query.access {
            Access::Fetch => [1, 12, 20],
            Access::Load | Access::LoadExecute => [5, 13, 21],
            Access::Store => [7, 15, 23],
        };
        let mut trap = Trap {
            cause: page_fault,
            gva: self.query.context.virt,
            tval2: 0,
            tinst: 0,
        };
        match at {
            _ if kind == FaultKind::Memory => trap.cause = access_fault,
            Position::Guest { .. } => {}
            Position::Host { gpa, purpose, .. } => {
                trap.cause = guest_page_fault;
                trap.tval2 = gpa.0 >> 2;
                // "(b) a nonzero value (the faulting guest physical address) is written".
                if trap.tval2 != 0 {
                    trap.tinst = self.pseudoinstruction(purpose);
                }
            }
        }
        Fault {
            kind,
            at,
            trap: Some(trap),
        }
    }

    /// Returns the pseudoinstruction of an access. "Special pseudoinstruction values for guest-page
    /// faults": "(a) the fault is caused by an implicit memory access for VS-stage address
    /// translation".
    fn pseudoinstruction(&self, purpose: Purpose) -> u16 {
        let (read, write) = match self.format {
            Format::Rv32 => (0x2000, 0x2020),
            _ => (0x3000, 0x3020),
        };
        match purpose {
            Purpose::Data => 0,
            Purpose::GuestEntry(_) => read,
            Purpose::GuestUpdate(_) => write,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Gva;
    use crate::memory::HostMemory;
    use crate::mmu::{Stage, StageControl};
    use crate::walk::{Overlay, walk, walk_with_late_checks};

    const RWX: Rights = Rights::ALL;
    const RW: Rights = Rights {
        execute: false,
        ..RWX
    };
    const RO: Rights = Rights { write: false, ..RW };
    const XO: Rights = Rights {
        read: false,
        write: false,
        execute: true,
    };

    const GUEST_ROOT: u64 = 0x1_0000;
    const HOST_ROOT: u64 = 0x4_0000;
    const GVA: u64 = 0x2468;

    /// Sv39 over Sv39x4, with all tables in the first 2 MiB of both spaces. The host maps these 2
    /// MiB to themselves by one megapage. The guest maps one page at 0x2000 to gPA 0x4000_5000,
    /// which the host maps to 0x9_0000.
    struct World {
        memory: HostMemory,
        context: Context,
    }

    const GUEST_LEAF: Hpa = Hpa(GUEST_ROOT + 0x2000 + 2 * 8);
    const HOST_TABLES_LEAF: Hpa = Hpa(HOST_ROOT + 0x4000);
    const HOST_LEAF: Hpa = Hpa(HOST_ROOT + 0x6000 + 5 * 8);

    impl World {
        fn new() -> Self {
            let mut memory = HostMemory::new(Format::Rv64);
            let user = |entry: Entry| entry.with_user(true);
            for (at, entry) in [
                (GUEST_ROOT, Entry::pointer(GUEST_ROOT + 0x1000)),
                (GUEST_ROOT + 0x1000, Entry::pointer(GUEST_ROOT + 0x2000)),
                (GUEST_LEAF.0, Entry::leaf(0x4000_5000, RWX)),
                (HOST_ROOT, Entry::pointer(HOST_ROOT + 0x4000)),
                (HOST_TABLES_LEAF.0, user(Entry::leaf(0, RW))),
                (HOST_ROOT + 8, Entry::pointer(HOST_ROOT + 0x5000)),
                (HOST_ROOT + 0x5000, Entry::pointer(HOST_ROOT + 0x6000)),
                (HOST_LEAF.0, user(Entry::leaf(0x9_0000, RWX))),
            ] {
                memory.write(Hpa(at), entry.0);
            }
            Self {
                memory,
                context: Context {
                    virt: true,
                    guest: StageControl {
                        levels: 3,
                        root: Gpa(GUEST_ROOT),
                        ..Default::default()
                    },
                    host: StageControl {
                        levels: 3,
                        root: Hpa(HOST_ROOT),
                        ..Default::default()
                    },
                    user: false,
                    sum: false,
                    napot: true,
                    rights: false,
                    asid: 0,
                    vmid: 0,
                },
            }
        }

        /// Changes an entry.
        fn with(mut self, at: Hpa, change: impl Fn(Entry) -> Entry) -> Self {
            let entry = Entry(self.memory.read(at).unwrap());
            self.memory.write(at, change(entry).0);
            self
        }

        fn set(mut self, change: impl Fn(&mut Context)) -> Self {
            change(&mut self.context);
            self
        }

        fn query(&self, access: Access) -> Query {
            Query {
                context: self.context,
                gva: Gva(GVA),
                access,
            }
        }

        fn walk(&self, access: Access) -> Result<Mapping, Fault> {
            self.updates(access).0
        }

        /// Returns the result of a walk and all its updates.
        fn updates(&self, access: Access) -> (Result<Mapping, Fault>, Vec<(Hpa, u64)>) {
            let mut memory = Overlay::new(&self.memory);
            let found = walk(Format::Rv64, &self.query(access), &mut memory, &mut ());
            (found, memory.updates)
        }

        /// Returns the kind, the stage and the cause of the fault.
        #[track_caller]
        fn fault(&self, access: Access) -> (FaultKind, Stage, u8) {
            let fault = self.walk(access).unwrap_err();
            (fault.kind, fault.at.stage(), fault.trap.unwrap().cause)
        }

        fn entry(&self, at: Hpa) -> Entry {
            Entry(self.memory.read(at).unwrap())
        }
    }

    #[test]
    fn fifteen_entries_are_read_of_three_levels_over_three() {
        let mut memory = World::new();
        // Without the megapage there are three levels everywhere.
        let table = HOST_ROOT + 0x7000;
        memory
            .memory
            .write(HOST_TABLES_LEAF, Entry::pointer(table).0);
        for page in 0x10..0x13 {
            let leaf = Entry::leaf(page << 12, RW).with_user(true);
            memory.memory.write(Hpa(table + page * 8), leaf.0);
        }
        let mut steps = Vec::new();
        let query = memory.query(Access::Load);
        let found = walk(Format::Rv64, &query, &mut memory.memory, &mut steps).unwrap();
        assert_eq!(steps.len(), 15);
        assert_eq!((found.gpa, found.hpa), (Gpa(0x4000_5468), Hpa(0x9_0468)));
        assert_eq!(found.page_size, 12);
    }

    #[test]
    fn the_walks_own_reads_need_readable_and_mxr_is_no_help() {
        let world = World::new()
            .with(HOST_TABLES_LEAF, |entry| entry.with_rights(XO))
            .set(|context| {
                context.guest.mxr = true;
                context.host.mxr = true;
            });
        for (access, cause) in [
            (Access::Load, 21),
            (Access::Fetch, 20),
            (Access::LoadExecute, 21),
            (Access::Store, 23),
        ] {
            let fault = world.walk(access).unwrap_err();
            assert_eq!(fault.kind, FaultKind::Permission);
            let trap = fault.trap.unwrap();
            assert_eq!((trap.cause, trap.tinst), (cause, 0x3000));
            assert_eq!(trap.tval2, GUEST_ROOT >> 2);
        }
    }

    #[test]
    fn mxr_of_the_guest_does_not_open_the_hosts_pages() {
        let guest = World::new().set(|context| context.guest.mxr = true);
        let both = World::new().set(|context| {
            context.guest.mxr = true;
            context.host.mxr = true;
        });
        for world in [guest, both] {
            let guest_leaf = |entry: Entry| entry.with_rights(XO);
            let world = world.with(GUEST_LEAF, guest_leaf);
            assert!(world.walk(Access::Load).is_ok());
            let host_mxr = world.context.host.mxr;
            let world = world.with(HOST_LEAF, |entry| entry.with_rights(XO));
            assert_eq!(world.walk(Access::Load).is_ok(), host_mxr);
            if !host_mxr {
                let denied = (FaultKind::Permission, Stage::Host, 21);
                assert_eq!(world.fault(Access::Load), denied);
            }
        }
    }

    #[test]
    fn hlvx_needs_execute_in_both_stages_whatever_else_there_is() {
        let world = World::new().set(|context| {
            context.guest.mxr = true;
            context.host.mxr = true;
        });
        assert!(world.walk(Access::LoadExecute).is_ok());
        let world = world.with(HOST_LEAF, |entry| entry.with_rights(RW));
        let denied = (FaultKind::Permission, Stage::Host, 21);
        assert_eq!(world.fault(Access::LoadExecute), denied);
        let world = world.with(GUEST_LEAF, |entry| entry.with_rights(RO));
        let denied = (FaultKind::Permission, Stage::Guest, 13);
        assert_eq!(world.fault(Access::LoadExecute), denied);
    }

    #[test]
    fn sum_opens_user_pages_to_loads_and_hlvx_but_never_to_fetches() {
        let world = World::new().with(GUEST_LEAF, |entry| entry.with_user(true));
        let denied = (FaultKind::Permission, Stage::Guest, 13);
        assert_eq!(world.fault(Access::Load), denied);
        let world = world.set(|context| context.sum = true);
        assert!(world.walk(Access::Load).is_ok());
        assert!(world.walk(Access::LoadExecute).is_ok());
        let denied = (FaultKind::Permission, Stage::Guest, 12);
        assert_eq!(world.fault(Access::Fetch), denied);
    }

    #[test]
    fn every_page_of_the_host_is_a_users() {
        let world = World::new()
            .with(HOST_LEAF, |entry| entry.with_user(false))
            .set(|context| context.sum = true);
        let denied = (FaultKind::Permission, Stage::Host, 21);
        assert_eq!(world.fault(Access::Load), denied);
    }

    #[test]
    fn a_store_marks_both_leaves_and_the_guests_table_dirty() {
        let fresh = |entry: Entry| entry.with_accessed(false).with_dirty(false);
        let world = World::new()
            .with(GUEST_LEAF, fresh)
            .with(HOST_TABLES_LEAF, fresh)
            .with(HOST_LEAF, fresh)
            .set(|context| {
                context.guest.adue = true;
                context.host.adue = true;
            });
        let used = |at| {
            let entry = world.entry(at).with_accessed(true);
            (at, entry.0)
        };
        let written = |at| {
            let entry = world.entry(at).with_accessed(true).with_dirty(true);
            (at, entry.0)
        };
        let (found, updates) = world.updates(Access::Store);
        assert!(found.unwrap().guest.dirty);
        let tables = HOST_TABLES_LEAF;
        assert_eq!(
            updates,
            [
                used(tables),
                written(tables),
                written(GUEST_LEAF),
                written(HOST_LEAF)
            ]
        );
        // A load writes the guest's entry too, and so its page; but not the data.
        let (found, updates) = world.updates(Access::Load);
        assert!(!found.unwrap().guest.dirty);
        assert_eq!(
            updates,
            [
                used(tables),
                written(tables),
                used(GUEST_LEAF),
                used(HOST_LEAF)
            ]
        );
    }

    #[test]
    fn an_update_of_a_guest_entry_needs_a_writable_page() {
        let world = World::new()
            .with(GUEST_LEAF, |entry| entry.with_accessed(false))
            .with(HOST_TABLES_LEAF, |entry| entry.with_rights(RO))
            .set(|context| context.guest.adue = true);
        let fault = world.walk(Access::Fetch).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Permission);
        assert!(matches!(
            fault.at,
            Position::Host {
                purpose: Purpose::GuestUpdate(0),
                ..
            }
        ));
        let trap = fault.trap.unwrap();
        assert_eq!((trap.cause, trap.tinst), (20, 0x3020));
        assert_eq!(trap.tval2, GUEST_LEAF.0 >> 2);
    }

    #[test]
    fn without_hardware_updates_a_clear_bit_faults_after_all_other_checks() {
        let world = World::new().with(GUEST_LEAF, |entry| entry.with_dirty(false));
        assert!(world.walk(Access::Load).is_ok());
        let stale = (FaultKind::AccessedDirty, Stage::Guest, 15);
        assert_eq!(world.fault(Access::Store), stale);
        let world = world.with(GUEST_LEAF, |entry| entry.with_rights(RO));
        let denied = (FaultKind::Permission, Stage::Guest, 15);
        assert_eq!(world.fault(Access::Store), denied);
    }

    /// Memory in which another hart changes an entry directly before its update.
    struct Contended {
        memory: HostMemory,
        at: Hpa,
        becomes: Option<Entry>,
    }

    impl EntryMemory for Contended {
        fn read_entry(&mut self, at: Hpa) -> Option<u64> {
            self.memory.read_entry(at)
        }

        fn update_entry(&mut self, at: Hpa, expected: u64, new: u64) -> Option<u64> {
            if at == self.at
                && let Some(entry) = self.becomes.take()
            {
                self.memory.write(at, entry.0);
            }
            self.memory.update_entry(at, expected, new)
        }
    }

    #[test]
    fn an_entry_that_changes_under_an_update_is_judged_anew() {
        let world = World::new()
            .with(GUEST_LEAF, |entry| entry.with_accessed(false))
            .set(|context| context.guest.adue = true);
        let stale = world.entry(GUEST_LEAF);
        let contended = |becomes| {
            let mut memory = Contended {
                memory: world.memory.clone(),
                at: GUEST_LEAF,
                becomes: Some(becomes),
            };
            let query = world.query(Access::Load);
            let found = walk(Format::Rv64, &query, &mut memory, &mut ());
            (found, Entry(memory.memory.read(GUEST_LEAF).unwrap()))
        };
        // The other hart has removed the entry.
        let (found, entry) = contended(stale.with_valid(false));
        assert_eq!(found.unwrap_err().kind, FaultKind::Invalid);
        assert!(!entry.accessed());
        // The entry has another RSW, and A is still clear: the walk sets A in it.
        let (found, entry) = contended(stale.with_address(0x4000_5000).with_rsw(3));
        assert!(found.is_ok());
        assert!(entry.accessed() && entry.rsw() == 3);
        // The other hart has set A, so no update is needed.
        let (found, entry) = contended(stale.with_accessed(true).with_rights(RO));
        assert_eq!(found.unwrap().guest.rights, RO);
        assert_eq!(entry, stale.with_accessed(true).with_rights(RO));
    }

    #[test]
    fn a_napot_page_takes_the_low_page_number_from_the_address() {
        let napot = |entry: Entry| entry.with_address(0x4001_0000).with_napot_64k();
        let world = World::new().with(GUEST_LEAF, napot);
        let fault = world.walk(Access::Load).unwrap_err();
        // The gPA is page 2 of the 16 pages, which the host does not map.
        let trap = fault.trap.unwrap();
        assert_eq!((fault.kind, trap.tval2), (FaultKind::Memory, 0));
        assert!(matches!(
            fault.at,
            Position::Host {
                gpa: Gpa(0x4001_2468),
                ..
            }
        ));
        for change in [
            |entry: Entry| entry.with_address(0x4001_4000),
            |entry: Entry| entry.with_address(0x4001_9000),
        ] {
            let world = World::new()
                .with(GUEST_LEAF, napot)
                .with(GUEST_LEAF, change);
            let reserved = (FaultKind::Reserved, Stage::Guest, 13);
            assert_eq!(world.fault(Access::Load), reserved);
        }
        let world = World::new()
            .with(GUEST_LEAF, napot)
            .set(|context| context.napot = false);
        let reserved = (FaultKind::Reserved, Stage::Guest, 13);
        assert_eq!(world.fault(Access::Load), reserved);
        // N is reserved in a superpage.
        let world = World::new().with(HOST_TABLES_LEAF, Entry::with_napot_64k);
        let reserved = (FaultKind::Reserved, Stage::Host, 21);
        assert_eq!(world.fault(Access::Load), reserved);
    }

    #[test]
    fn the_guests_memory_type_overrides_the_hosts() {
        for (guest, host, both) in [
            (0, 0, MemoryType::Pma),
            (0, 1, MemoryType::Nc),
            (2, 0, MemoryType::Io),
            (1, 2, MemoryType::Nc),
        ] {
            let world = World::new()
                .with(GUEST_LEAF, |entry| entry.with_pbmt(guest))
                .with(HOST_LEAF, |entry| entry.with_pbmt(host))
                .set(|context| {
                    context.guest.pbmte = true;
                    context.host.pbmte = true;
                });
            assert_eq!(world.walk(Access::Load).unwrap().memory_type, both);
            let world = world.set(|context| context.guest.pbmte = false);
            assert_eq!(world.walk(Access::Load).is_ok(), guest == 0);
        }
        let world = World::new()
            .with(HOST_LEAF, |entry| entry.with_pbmt(3))
            .set(|context| context.host.pbmte = true);
        let reserved = (FaultKind::Reserved, Stage::Host, 21);
        assert_eq!(world.fault(Access::Load), reserved);
    }

    #[test]
    fn addresses_that_are_too_wide_fault_before_any_read() {
        let at = |world: &World, gva| {
            let query = Query {
                gva: Gva(gva),
                ..world.query(Access::Load)
            };
            let mut steps = Vec::new();
            let mut memory = Overlay::new(&world.memory);
            let fault = walk(Format::Rv64, &query, &mut memory, &mut steps).unwrap_err();
            assert!(steps.iter().all(|step| step.word.is_none()));
            (fault.kind, fault.at.stage(), fault.trap.unwrap().cause)
        };
        let world = World::new();
        let width = (FaultKind::Width, Stage::Guest, 13);
        assert_eq!(at(&world, 1 << 38), width);
        assert_eq!(at(&world, u64::MAX << 39), width);
        // With the guest's stage off, a gPA of 41 bits is the limit.
        let world = world.set(|context| context.guest.levels = 0);
        assert_eq!(at(&world, 1 << 41), (FaultKind::Width, Stage::Host, 21));
        // With both stages off, the width of memory is the limit.
        let world = world.set(|context| context.host.levels = 0);
        assert_eq!(at(&world, 1 << 56), (FaultKind::Memory, Stage::Guest, 5));
    }

    #[test]
    fn a_walk_with_late_checks_goes_on_behind_rights_and_a_and_d_and_behind_no_other_fault() {
        let late = |world: &World, gva, access| {
            let query = Query {
                gva: Gva(gva),
                ..world.query(access)
            };
            let mut steps = Vec::new();
            let mut memory = Overlay::new(&world.memory);
            let late = walk_with_late_checks(Format::Rv64, &query, &mut memory, &mut steps);
            assert_eq!(memory.updates, []);
            let first = walk(Format::Rv64, &query, &mut memory, &mut ()).err();
            assert_eq!(late.passed.first().copied().or(late.found.err()), first);
            let reads = steps.iter().filter(|step| step.word.is_some());
            let is_fault = |step: &&Step| matches!(step.meaning, Meaning::Fault(_));
            let reads = reads.filter(|step| !is_fault(step)).count();
            (late.found, reads)
        };
        let reads = |world: &World, access| {
            let mut steps = Vec::new();
            let mut memory = Overlay::new(&world.memory);
            let query = world.query(access);
            let _ = walk(Format::Rv64, &query, &mut memory, &mut steps);
            steps.len()
        };
        let world = World::new();
        let whole = reads(&world, Access::Load);
        let mapping = world.walk(Access::Load).unwrap();

        // The guest does not permit the access; the host stage of the data is walked nonetheless.
        let denied = World::new().with(GUEST_LEAF, |entry| entry.with_rights(XO));
        assert!(reads(&denied, Access::Load) < whole);
        let (found, steps) = late(&denied, GVA, Access::Load);
        assert_eq!((found.unwrap().hpa, steps), (mapping.hpa, whole));
        assert_eq!(found.unwrap().guest.rights, XO);

        // An entry with A clear permits nothing in the mapping.
        let untouched = World::new().with(GUEST_LEAF, |entry| entry.with_accessed(false));
        let (found, steps) = late(&untouched, GVA, Access::Load);
        assert_eq!((found.unwrap().guest.rights, steps), (Rights::NONE, whole));

        // The bits above the width of the mode do not count.
        let (found, steps) = late(&world, GVA | 1 << 60, Access::Load);
        assert_eq!((found.unwrap().hpa, steps), (mapping.hpa, whole));

        let invalid = World::new().with(GUEST_LEAF, |entry| entry.with_valid(false));
        let (found, _) = late(&invalid, GVA, Access::Load);
        assert_eq!(found.unwrap_err().kind, FaultKind::Invalid);
    }

    #[test]
    fn the_hosts_root_table_has_four_times_the_entries() {
        let mut world = World::new().set(|context| context.guest.levels = 0);
        let last = Entry::leaf(0x1_4000_0000, RWX).with_user(true);
        world.memory.write(Hpa(HOST_ROOT + 0x7FF * 8), last.0);
        world.memory.write(Hpa(HOST_ROOT + 0x3FFF - 7), last.0);
        let query = Query {
            gva: Gva((1 << 41) - 4),
            ..world.query(Access::Fetch)
        };
        let found = walk(Format::Rv64, &query, &mut world.memory, &mut ()).unwrap();
        assert_eq!(found.hpa, Hpa(0x1_7FFF_FFFC));
        assert_eq!((found.page_size, found.guest.page_size), (30, 30));
    }

    #[test]
    fn reserved_bits_of_a_pointer_come_before_its_place() {
        let pointer = |entry: Entry| {
            entry.with_rights(XO).with_rights(Rights {
                execute: false,
                ..XO
            })
        };
        let world = World::new().with(GUEST_LEAF, pointer);
        // A and D are still set.
        let reserved = (FaultKind::Reserved, Stage::Guest, 13);
        assert_eq!(world.fault(Access::Load), reserved);
        let clean = |entry: Entry| entry.with_accessed(false).with_dirty(false);
        let world = world.with(GUEST_LEAF, clean);
        let pointer = (FaultKind::Pointer, Stage::Guest, 13);
        assert_eq!(world.fault(Access::Load), pointer);
    }

    #[test]
    fn a_remembered_mapping_answers_only_what_it_permits() {
        let world = World::new()
            .with(GUEST_LEAF, |entry| {
                entry.with_user(true).with_dirty(false).with_rights(RW)
            })
            .set(|context| {
                context.user = true;
                context.guest.adue = true;
            });
        let mapping = world.walk(Access::Load).unwrap();
        let answer = |change: &dyn Fn(&mut Context), access| {
            let mut query = world.query(access);
            query.gva = Gva(GVA ^ 0x0F0);
            change(&mut query.context);
            outcome_from(&query, &mapping)
        };
        let same = |_: &mut Context| {};
        let found = answer(&same, Access::Load).unwrap();
        assert_eq!((found.gpa, found.hpa), (Gpa(0x4000_5498), Hpa(0x9_0498)));
        // D is clear, X is.
        assert_eq!(answer(&same, Access::Store), None);
        assert_eq!(answer(&same, Access::Fetch), None);
        let supervisor = |context: &mut Context| context.user = false;
        assert_eq!(answer(&supervisor, Access::Load), None);
        let with_sum = |context: &mut Context| {
            context.user = false;
            context.sum = true;
        };
        assert!(answer(&with_sum, Access::Load).is_some());
    }

    #[test]
    fn a_remembered_mapping_of_one_stage_asks_nothing_of_the_other() {
        let world = World::new().set(|context| context.guest.levels = 0);
        let query = Query {
            gva: Gva(0x4000_5004),
            ..world.query(Access::Fetch)
        };
        let mut memory = Overlay::new(&world.memory);
        let mapping = walk(Format::Rv64, &query, &mut memory, &mut ()).unwrap();
        let found = outcome_from(&query, &mapping).unwrap();
        assert_eq!((found.gpa, found.hpa), (Gpa(0x4000_5004), Hpa(0x9_0004)));
    }

    #[test]
    fn a_global_entry_anywhere_on_the_guests_way_makes_the_mapping_global() {
        let world = World::new();
        assert!(!world.walk(Access::Load).unwrap().global);
        let host = World::new().with(HOST_LEAF, |entry| entry.with_global(true));
        assert!(!host.walk(Access::Load).unwrap().global);
        for at in [Hpa(GUEST_ROOT), GUEST_LEAF] {
            let world = World::new().with(at, |entry| entry.with_global(true));
            assert!(world.walk(Access::Load).unwrap().global);
        }
    }
}
