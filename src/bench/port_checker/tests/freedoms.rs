// SPDX-License-Identifier: Apache-2.0
//! Tests of the freedoms that a device file declares: with a freedom, the checks accept exactly one
//! behaviour that they reject by default.

use super::*;
use crate::addr::Gpa;
use crate::bench::freedoms::Freedom;
use crate::dut::description::{FaultOrder, PermissionCheck, Reads, Tval2};
use crate::mmu::{Fault, FaultKind, Position, Purpose, Rights};

/// The root table of the host stage. Its first two entries are an identity mapping of the first two
/// GiB. The third GiB is not mapped.
const HOST_ROOT: u64 = 0x8000;
const GIB: u64 = 1 << 30;

const EXECUTE: Rights = Rights {
    execute: true,
    ..Rights::NONE
};

/// Returns the same load as [`load`], but in a virtual machine with both stages on.
fn guest_load(number: u64) -> Query {
    let mut query = load(number);
    query.context.virt = true;
    query.context.host = StageControl {
        levels: 3,
        root: Hpa(HOST_ROOT),
        ..StageControl::default()
    };
    query
}

/// Returns a load of a gPA, with the guest stage Bare.
fn host_load(gpa: u64) -> Query {
    let mut query = guest_load(0);
    query.context.guest = StageControl::default();
    query.gva = Gva(gpa);
    query
}

impl Rig {
    /// Returns a rig of level `attributed` with both stages mapped.
    fn nested(change: fn(&mut Description)) -> Self {
        let mut rig = Self::new(Visibility::Attributed, change);
        rig.map_host();
        rig
    }

    fn map_host(&mut self) {
        let leaf = |gpa| Entry::leaf(gpa, Rights::ALL).with_user(true).0;
        let entries = [leaf(0), leaf(GIB), 0];
        for (index, entry) in (0..).zip(entries) {
            self.memory.write(Hpa(HOST_ROOT + 8 * index), entry);
        }
    }

    /// Returns the memory requests of the golden walk of a request that checks permissions at its
    /// end.
    fn late_reads(&mut self, query: &Query) -> Vec<Read> {
        let mut log = Log {
            memory: &mut self.memory,
            reads: Vec::new(),
            cycle: self.cycle,
        };
        let _ = golden::walk_with_late_checks(FORMAT, query, &mut log, &mut ());
        let (reads, cycle) = (log.reads, log.cycle);
        self.cycle = cycle;
        reads
    }

    fn read_all(&mut self, reads: &[Read]) -> Checked {
        reads.iter().try_for_each(|read| self.checker.read(0, read))
    }

    /// Plays a memory read by the device.
    fn read(&mut self, at: u64) -> Checked {
        self.cycle += 1;
        let read = Read {
            at: Hpa(at),
            update: None,
            word: self.memory.read(Hpa(at)).ok(),
            cycle: self.cycle,
        };
        self.checker.read(0, &read)
    }

    /// Returns the number of uses of a freedom.
    fn uses(&self, freedom: Freedom) -> u64 {
        self.checker.uses().of(freedom)
    }

    /// Returns the fault with which the golden walk of a request ends.
    fn fault_of(&mut self, query: &Query) -> Fault {
        golden::walk(FORMAT, query, &mut self.memory, &mut ()).unwrap_err()
    }

    /// Plays a response with a fault.
    fn fault(&mut self, id: u8, query: &Query, fault: &Fault) -> Checked<Response> {
        self.cycle += 1;
        let trap = fault.trap.unwrap();
        let mut outputs = Outputs {
            rsp_valid: true,
            rsp_id: id,
            rsp_gva: query.gva.0,
            rsp_fault_kind: fault.kind as u8,
            rsp_fault_level: fault.at.level() as u8,
            rsp_trap_cause: trap.cause,
            rsp_trap_gva: trap.gva,
            rsp_trap_tval2: trap.tval2,
            rsp_trap_tinst: trap.tinst,
            ..Outputs::default()
        };
        if let Position::Host { gpa, purpose, .. } = fault.at {
            outputs.rsp_fault_stage = 1;
            outputs.rsp_gpa = gpa.0;
            let (number, level) = match purpose {
                Purpose::GuestEntry(level) => (0, level),
                Purpose::Data => (1, 0),
                Purpose::GuestUpdate(level) => (2, level),
            };
            outputs.rsp_fault_purpose = number;
            outputs.rsp_fault_for_level = level as u8;
        }
        self.checker.response(&outputs, self.cycle)
    }
}

#[test]
fn a_walk_goes_on_behind_a_permission_fault_of_a_device_that_checks_at_the_end() {
    let query = guest_load(1);
    let denied = Entry::leaf(GIB, EXECUTE).0;
    let after_the_fault = |change| {
        let mut rig = Rig::nested(change);
        rig.edit(1, denied);
        rig.accept(0, &query);
        let (at_entry, at_end) = (rig.reads(&query), rig.late_reads(&query));
        // The late walk has one read more: the host-stage walk of the data address.
        assert_eq!(at_entry.len() + 1, at_end.len());
        let checked = rig.read_all(&at_end);
        (rig, checked)
    };
    let (_, checked) = after_the_fault(|_| {});
    assert_eq!(found(checked), Check::Reads);

    let late: fn(&mut Description) = |description| {
        description.walks.permissions = PermissionCheck::End;
    };
    let (mut rig, checked) = after_the_fault(late);
    checked.unwrap();
    let fault = rig.fault_of(&query);
    assert_eq!(fault.kind, FaultKind::Permission);
    rig.fault(0, &query, &fault).unwrap();
    assert_eq!(rig.uses(Freedom::LatePermissions), 1);
    // The freedom allows further reads only. The response must still be the fault.
    let (mut rig, _) = after_the_fault(late);
    let page = Ok(Translation {
        gpa: Gpa(GIB),
        hpa: Hpa(GIB),
        page_size: 12,
        memory_type: MemoryType::Pma,
    });
    let checked = rig.respond(0, &query, &page);
    assert_eq!(found(checked), Check::WalkResponse);
    // A read that belongs to no walk is found with the freedom as well.
    let (mut rig, _) = after_the_fault(late);
    assert_eq!(found(rig.read(0x7000)), Check::Reads);
}

#[test]
fn a_walk_of_an_address_that_is_too_wide_is_one_of_a_device_that_checks_at_the_end() {
    let mut query = load(1);
    query.gva.0 |= 1 << 60;
    let walked = |change: fn(&mut Description)| {
        let mut rig = Rig::new(Visibility::Attributed, change);
        rig.accept(0, &query);
        let reads = rig.late_reads(&query);
        assert_eq!(reads.len(), 3);
        let checked = rig.read_all(&reads);
        (rig, checked)
    };
    let (_, checked) = walked(|_| {});
    assert_eq!(found(checked), Check::Reads);
    let (mut rig, checked) = walked(|description| {
        description.walks.permissions = PermissionCheck::End;
    });
    checked.unwrap();
    let fault = rig.fault_of(&query);
    assert_eq!(fault.kind, FaultKind::Width);
    rig.fault(0, &query, &fault).unwrap();
    // The TLB may contain the page of the legal address with the same lower bits, and not a page of
    // the illegal address.
    rig.hit(1, &load(1), &page(1)).unwrap();
    assert_eq!(found(rig.hit(2, &query, &page(1))), Check::WalkResponse);
}

#[test]
fn a_later_fault_of_a_walk_is_legal_if_the_order_of_faults_is_free() {
    let query = guest_load(1);
    let both = |change| {
        let mut rig = Rig::nested(change);
        // The guest leaf denies a load, and the host stage does not map the data address.
        let elsewhere = Entry::leaf(2 * GIB, EXECUTE).0;
        rig.edit(1, elsewhere);
        rig.accept(0, &query);
        let reads = rig.late_reads(&query);
        rig.read_all(&reads).unwrap();
        let first = rig.fault_of(&query);
        let second = golden::walk_with_late_checks(FORMAT, &query, &mut rig.memory, &mut ());
        let second = second.found.unwrap_err();
        assert!(first.at.stage() != second.at.stage());
        (rig, first, second)
    };
    let late: fn(&mut Description) = |description| {
        description.walks.permissions = PermissionCheck::End;
    };
    let free: fn(&mut Description) = |description| {
        description.walks.permissions = PermissionCheck::End;
        description.responses.order = FaultOrder::Any;
    };
    let (mut rig, _, second) = both(late);
    assert_eq!(found(rig.fault(0, &query, &second)), Check::WalkResponse);
    let (mut rig, _, second) = both(free);
    rig.fault(0, &query, &second).unwrap();
    assert_eq!(rig.uses(Freedom::FaultOrder), 1);
    let (mut rig, first, _) = both(free);
    rig.fault(0, &query, &first).unwrap();
    assert_eq!(rig.uses(Freedom::FaultOrder), 0);
    // A fault that neither stage gives is found.
    let (mut rig, first, _) = both(free);
    let other = Fault {
        trap: first
            .trap
            .map(|trap| crate::mmu::Trap { cause: 15, ..trap }),
        ..first
    };
    assert_eq!(found(rig.fault(0, &query, &other)), Check::WalkResponse);
}

#[test]
fn the_other_words_of_a_line_are_free_and_those_of_other_lines_are_not() {
    let by_lines: fn(&mut Description) = |description| {
        description.walks.reads = Reads::Line(64);
    };
    // Entries 0 to 3 of the last table are in one line.
    let entry = |number: u64| LAST + 8 * number;
    let by_default: fn(&mut Description) = |_| {};
    for (change, is_free) in [(by_lines, true), (by_default, false)] {
        let mut rig = Rig::new(Visibility::Ports, change);
        rig.accept(0, &load(1));
        for read in rig.reads(&load(1)) {
            rig.checker.read(0, &read).unwrap();
        }
        assert_eq!(rig.uses(Freedom::FreeReads), 0);
        rig.read(entry(2)).unwrap();
        assert_eq!(rig.uses(Freedom::FreeReads), u64::from(is_free));
        rig.respond(0, &load(1), &page(1)).unwrap();
        // Another word of the line may serve the walk of another request.
        rig.hit(1, &load(2), &page(2)).unwrap();
        rig.fence();
        assert_eq!(found(rig.hit(2, &load(2), &page(2))), Check::WalkResponse);

        // Another line of the same table.
        let mut rig = Rig::new(Visibility::Ports, change);
        rig.serve(0, &load(1), &page(1)).unwrap();
        rig.accept(1, &load(1));
        let checked = rig.read(entry(8));
        match is_free {
            true => assert_eq!(found(checked), Check::Reads),
            // At level `ports` a read of another line is accepted, because it may belong to another
            // request.
            false => checked.unwrap(),
        }
    }
    // At level `attributed` and without the freedom, reads of other words of the line are found.
    let mut rig = Rig::new(Visibility::Attributed, |_| {});
    rig.accept(0, &load(1));
    for read in rig.reads(&load(1)) {
        rig.checker.read(0, &read).unwrap();
    }
    assert_eq!(found(rig.read(entry(2))), Check::Reads);
    let mut rig = Rig::new(Visibility::Attributed, by_lines);
    rig.serve(0, &load(1), &page(1)).unwrap();
    // The device may read the rest of a line after the response.
    rig.read(entry(3)).unwrap();
}

#[test]
fn speculative_walks_read_the_tables_that_roots_and_entries_lead_to() {
    let speculative: fn(&mut Description) = |description| description.walks.speculative = true;
    let last = |number: u64| LAST + 8 * number;
    let mut rig = Rig::new(Visibility::Attributed, speculative);
    rig.serve(0, &load(1), &page(1)).unwrap();
    // The device reads an entry for no request. A later request hits the translation that the
    // speculative walk has found.
    assert_eq!(rig.uses(Freedom::Speculative), 0);
    rig.read(last(2)).unwrap();
    assert_eq!(rig.uses(Freedom::Speculative), 1);
    rig.hit(1, &load(2), &page(2)).unwrap();
    rig.read(ROOT).unwrap();
    // Two reads that no pointer justifies: a page of data, and a table whose pointer the device has
    // not read.
    assert_eq!(found(rig.read(HPA)), Check::Reads);
    let mut rig = Rig::new(Visibility::Attributed, speculative);
    rig.accept(0, &load(1));
    assert_eq!(found(rig.read(last(2))), Check::Reads);
    // Without the freedom a read of no request is found.
    let mut rig = Rig::new(Visibility::Attributed, |_| {});
    rig.serve(0, &load(1), &page(1)).unwrap();
    assert_eq!(found(rig.read(last(2))), Check::Reads);
}

#[test]
fn a_speculative_walk_of_two_stages_reads_the_hosts_pages() {
    let mut rig = Rig::nested(|description| description.walks.speculative = true);
    rig.accept(0, &guest_load(1));
    // The first GiB is one page of the host stage, and contains the guest tables.
    rig.read(HOST_ROOT).unwrap();
    rig.read(LAST).unwrap();
    assert_eq!(found(rig.read(GIB)), Check::Reads);
}

#[test]
fn a_device_that_may_read_anything_is_checked_by_its_responses() {
    let any: fn(&mut Description) = |description| description.walks.reads = Reads::Any;
    let mut rig = Rig::new(Visibility::Attributed, any);
    rig.read(HPA).unwrap();
    rig.serve(0, &load(1), &page(1)).unwrap();
    rig.read(0x7000).unwrap();
    assert_eq!(found(rig.serve(1, &load(2), &page(1))), Check::WalkResponse);
}

#[test]
fn a_fence_with_an_operand_of_a_bare_stage_may_be_ignored_if_the_device_says_so() {
    let gpa = 0x40_0000;
    let query = host_load(gpa);
    let to = Ok(Translation {
        gpa: Gpa(gpa),
        hpa: Hpa(gpa),
        page_size: 30,
        memory_type: MemoryType::Pma,
    });
    let by_gva = Fence {
        gva: Some(Gva(gpa)),
        vmid: Some(0),
        ..Fence::default()
    };
    let by_gpa = Fence {
        gpa: Some(Gpa(gpa)),
        ..Fence::default()
    };
    let free: fn(&mut Description) = |description| {
        if let Some(fences) = &mut description.fences {
            fences.ignores_bare = true;
        }
    };
    for level in LEVELS {
        let hit_behind = |change: fn(&mut Description), fence: &Fence| {
            let mut rig = Rig::new(level, change);
            rig.map_host();
            rig.serve(0, &query, &to).unwrap();
            rig.cycle += 1;
            rig.checker.fence(fence, rig.cycle);
            let checked = rig.hit(1, &query, &to);
            let is_used = rig.uses(Freedom::IgnoresBare) > 0;
            assert_eq!(is_used, checked.is_ok());
            checked
        };
        assert_eq!(found(hit_behind(|_| {}, &by_gva)), Check::WalkResponse);
        hit_behind(free, &by_gva).unwrap();
        // The host stage is on, so a fence by gPA must not be ignored.
        assert_eq!(found(hit_behind(free, &by_gpa)), Check::WalkResponse);
        assert_eq!(
            found(hit_behind(free, &Fence::default())),
            Check::WalkResponse
        );
    }
}

#[test]
fn tval2_may_be_0_if_the_device_says_so_and_nothing_else_that_is_wrong() {
    let query = host_load(2 * GIB);
    let respond = |change, tval2: fn(u64) -> u64| {
        let mut rig = Rig::nested(change);
        let mut fault = rig.fault_of(&query);
        rig.accept(0, &query);
        let reads = rig.reads(&query);
        rig.read_all(&reads).unwrap();
        let trap = fault.trap.as_mut().unwrap();
        assert_ne!(trap.tval2, 0);
        let right = trap.tval2;
        trap.tval2 = tval2(right);
        let is_other = trap.tval2 != right;
        let checked = rig.fault(0, &query, &fault);
        let uses = u64::from(checked.is_ok() && is_other);
        assert_eq!(rig.uses(Freedom::Tval2), uses);
        checked
    };
    let free: fn(&mut Description) = |description| {
        description.responses.tval2 = Tval2::MayBeZero;
    };
    for change in [free, |_| {}] {
        respond(change, |right| right).unwrap();
        assert_eq!(
            found(respond(change, |right| right + 1)),
            Check::WalkResponse
        );
    }
    respond(free, |_| 0).unwrap();
    assert_eq!(found(respond(|_| {}, |_| 0)), Check::WalkResponse);
}

#[test]
fn a_device_without_replays_may_walk_anew_behind_a_fence_and_not_otherwise() {
    let begun = || {
        let mut rig = Rig::new(Visibility::Attributed, |description| {
            description.ports = description.ports.without(&["rsp_replay_o"]);
            description.responses.outstanding = 1;
        });
        rig.accept(0, &load(1));
        let reads = rig.reads(&load(1));
        rig.read_all(&reads[..2]).unwrap();
        rig
    };
    let mut rig = begun();
    assert_eq!(found(rig.walk(0, &load(1))), Check::Reads);
    let mut rig = begun();
    rig.fence();
    rig.walk(0, &load(1)).unwrap();
    rig.respond(0, &load(1), &page(1)).unwrap();
    // The device may start the walk again once for each fence, and no more.
    let mut rig = begun();
    rig.fence();
    let reads = rig.reads(&load(1));
    rig.read_all(&reads[..2]).unwrap();
    assert_eq!(found(rig.walk(0, &load(1))), Check::Reads);
    // The walk may have begun before memory accepts its first request.
    let mut rig = begun();
    rig.walk(0, &load(1)).unwrap_err();
    let mut rig = Rig::new(Visibility::Attributed, |description| {
        description.ports = description.ports.without(&["rsp_replay_o"]);
    });
    rig.accept(0, &load(1));
    rig.fence();
    let reads = rig.reads(&load(1));
    rig.read_all(&reads[..1]).unwrap();
    rig.walk(0, &load(1)).unwrap();
    rig.respond(0, &load(1), &page(1)).unwrap();
}

#[test]
fn a_page_that_a_walk_with_a_fault_has_filled_may_be_the_one_that_hits() {
    let mut rig = Rig::new(Visibility::Attributed, |description| {
        description.responses.outstanding = 1;
        let tlb = description.tlb.as_mut().unwrap();
        (tlb.recent, tlb.hit_may_fault) = (2, true);
    });
    let of_asid = |asid| {
        let mut query = load(1);
        query.context.asid = asid;
        query
    };
    let mut user = of_asid(7);
    user.context.user = true;
    // A load in user mode from a supervisor page of ASID 7.
    let fault = rig.fault_of(&user);
    rig.accept(0, &user);
    rig.walk(0, &user).unwrap();
    rig.fault(0, &user, &fault).unwrap();
    // The page becomes a global page, and the TLB is filled with it again, for ASID 8.
    let global = Entry::leaf(HPA + PAGE, Rights::ALL).with_global(true);
    rig.edit(1, global.0);
    rig.serve(1, &of_asid(8), &page(1)).unwrap();
    // A hit of ASID 7 may use either entry. So after two other pages the entry of the global page
    // may have been evicted.
    rig.serve(2, &load(2), &page(2)).unwrap();
    rig.hit(3, &of_asid(7), &page(1)).unwrap();
    rig.serve(4, &load(3), &page(3)).unwrap();
    rig.serve(5, &of_asid(8), &page(1)).unwrap();
}

#[test]
fn a_page_of_a_split_tlb_must_hit_for_its_own_accesses_alone() {
    let fetch = Query {
        access: Access::Fetch,
        ..load(1)
    };
    for split in [false, true] {
        let mut rig = Rig::new(Visibility::Attributed, |description| {
            description.responses.outstanding = 1;
        });
        rig.checker.description.tlb.as_mut().unwrap().split = split;
        rig.edit(1, Entry::leaf(HPA + PAGE, Rights::ALL).0);
        rig.serve(0, &load(1), &page(1)).unwrap();
        rig.accept(1, &fetch);
        let checked = rig.walk(0, &fetch);
        if !split {
            assert_eq!(found(checked), Check::MustHit);
            continue;
        }
        checked.unwrap();
        rig.respond(1, &fetch, &page(1)).unwrap();
        for query in [fetch, load(1)] {
            rig.hit(2, &query, &page(1)).unwrap();
            rig.accept(3, &query);
            assert_eq!(found(rig.walk(0, &query)), Check::MustHit);
            rig.respond(3, &query, &page(1)).unwrap();
        }
    }
}

#[test]
fn a_hit_of_what_a_walk_with_a_fault_has_found_is_legal() {
    let user = |mut query: Query| {
        query.context.user = true;
        query
    };
    let of_user = |global| {
        Entry::leaf(HPA + PAGE, Rights::ALL)
            .with_user(true)
            .with_global(global)
    };
    for level in LEVELS {
        for is_global in [false, true] {
            let mut rig = Rig::new(level, |description| {
                let tlb = description.tlb.as_mut().unwrap();
                tlb.hit_may_fault = true;
            });
            rig.edit(1, of_user(is_global).0);
            // A load in supervisor mode from a user page.
            let fault = rig.fault_of(&load(1));
            rig.accept(0, &load(1));
            rig.walk(0, &load(1)).unwrap();
            rig.fault(0, &load(1), &fault).unwrap();
            // The page is in the TLB.
            rig.hit(1, &user(load(1)), &page(1)).unwrap();
            rig.accept(2, &load(1));
            rig.fault(2, &load(1), &fault).unwrap();
            let is_told = level == Visibility::Attributed;
            assert_eq!(rig.uses(Freedom::HitMayFault), u64::from(is_told));
            // A global page may also hit under another ASID with another root.
            let mut other = user(load(1));
            other.context.asid = 8;
            other.context.guest.root = Gpa(0x9000);
            let checked = rig.hit(3, &other, &page(1));
            match is_global {
                true => drop(checked.unwrap()),
                false => assert_eq!(found(checked), Check::WalkResponse),
            }
        }
    }
}
