// SPDX-License-Identifier: Apache-2.0
//! Faults, on golden model and device: each kind at each entry of both tables with every field, the
//! order of two faults, and the response of a hit.

use std::collections::HashSet;

use nestwalk::addr::{Gpa, Hpa};
use nestwalk::campaign::Devices;
use nestwalk::format::Format;
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{
    Access, Context, Fault, FaultKind, MemoryType, Outcome, Position, Purpose, Rights,
    StageControl, Translation,
};
use nestwalk::scenario::{Machine, Op, Scenario, Timing};

mod common {
    pub mod machine;
}
use common::machine::{Nest, access, device, golden, scenario};

const NOTHING: Rights = Rights {
    read: false,
    write: false,
    execute: false,
};

/// Returns every combination of rights.
fn every_rights() -> impl Iterator<Item = Rights> {
    (0..8u8).map(|bits| Rights {
        read: bits & 1 != 0,
        write: bits & 2 != 0,
        execute: bits & 4 != 0,
    })
}

/// Devices of a format: the default, one with a single slot, one with assertions on.
fn machines(format: Format) -> [Machine; 3] {
    let machine = Machine::of(format);
    [
        machine,
        Machine {
            slots: 1,
            ..machine
        },
        Machine {
            tlb_entries: 4,
            checked: true,
            ..machine
        },
    ]
}

/// Returns the position of the walk of a nest at each of its eight entries.
fn positions(nest: &Nest) -> [Position; 8] {
    let [first, second, data] = nest.gpas().map(Gpa);
    let guest = |level| Position::Guest { level };
    let host = |level, gpa, purpose| Position::Host {
        level,
        gpa,
        purpose,
    };
    [
        host(1, first, Purpose::GuestEntry(1)),
        host(0, first, Purpose::GuestEntry(1)),
        guest(1),
        host(1, second, Purpose::GuestEntry(0)),
        host(0, second, Purpose::GuestEntry(0)),
        guest(0),
        host(1, data, Purpose::Data),
        host(0, data, Purpose::Data),
    ]
}

fn fault(kind: FaultKind, at: Position) -> Outcome {
    Err(Fault {
        kind,
        at,
        trap: None,
    })
}

/// Returns the response with an hPA of the data's page.
fn translated(nest: &Nest, hpa: u64) -> Outcome {
    let geometry = nest.format.geometry();
    Ok(Translation {
        gpa: Gpa(nest.data + geometry.offset(hpa)),
        hpa: Hpa(hpa),
        page_size: geometry.offset_width,
        memory_type: MemoryType::Pma,
    })
}

/// Returns a scenario with one access of `contexts[0]` in `memory`.
fn one_access(machine: Machine, memory: &HostMemory, context: Context, op: Op) -> Scenario {
    scenario(machine, memory.clone(), &[context], vec![op])
}

/// Checks that golden model and device both respond to a single access with `outcome`, after
/// `reads`.
#[track_caller]
fn holds(devices: &mut Devices, scenario: &Scenario, outcome: &Outcome, reads: &[Hpa], what: &str) {
    let [(answer, walked)] = &golden(scenario)[..] else {
        panic!("not one access");
    };
    assert_eq!((answer, &walked[..]), (outcome, reads), "golden: {what}");
    let ran = device(devices, scenario);
    let [answer] = &ran.answers[..] else {
        panic!("not one answer");
    };
    assert_eq!(
        (&answer.outcome, &answer.reads[..]),
        (outcome, reads),
        "device: {what}"
    );
    assert!(!answer.hit, "{what}");
}

/// An error in one of the eight entries.
struct Case {
    what: String,
    nest: Nest,
    memory: HostMemory,
    kind: FaultKind,
    entry: usize,
}

impl Case {
    fn new(kind: FaultKind, entry: usize, what: &str, nest: Nest) -> Self {
        Self {
            what: format!(
                "{} {kind} {what} at entry {entry}, rights mode {}",
                nest.format, nest.rights_mode
            ),
            memory: nest.memory(),
            nest,
            kind,
            entry,
        }
    }

    /// Returns a case whose entry contains `word`, or lies in a hole of memory if it is none.
    fn word(kind: FaultKind, entry: usize, what: &str, nest: Nest, word: Option<u64>) -> Self {
        let mut case = Self::new(kind, entry, what, nest);
        let at = case.nest.entries()[entry];
        match word {
            Some(word) => case.memory.write(at, word),
            None => case.memory.remove(at),
        }
        case
    }

    /// Returns the number of entries that are read.
    fn reads(&self) -> usize {
        match (self.kind, self.entry) {
            // The address of the entry is wrong. The address of a guest entry is checked before the
            // host table is walked for it.
            (FaultKind::Misaligned | FaultKind::Width, 2 | 5) => self.entry - 2,
            (FaultKind::Misaligned | FaultKind::Width, _) => self.entry,
            _ => self.entry + 1,
        }
    }
}

/// Returns the base of an entry's table.
fn base(nest: &mut Nest, entry: usize) -> &mut u64 {
    match entry {
        0 | 3 | 6 => &mut nest.host_root,
        1 | 4 | 7 => &mut nest.host_tables[entry / 3],
        2 => &mut nest.guest_root,
        _ => &mut nest.guest_table,
    }
}

/// Returns the index of an entry in its table.
fn index(nest: &Nest, entry: usize) -> u64 {
    let geometry = nest.format.geometry();
    match entry {
        2 => geometry.index(nest.gva, 1),
        5 => geometry.index(nest.gva, 0),
        _ => geometry.index(nest.gpas()[entry / 3], 1 - (entry % 3) as u32),
    }
}

/// Returns all faults of the address of an entry.
fn address_cases(nest: &Nest, entry: usize, first: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    let end = 1u64 << nest.width();
    let mut with_base = |kind, what: &str, value| {
        let mut nest = nest.clone();
        *base(&mut nest, entry) = value;
        cases.push(Case::new(kind, entry, what, nest));
    };
    // The host root is the base of several entries. The first of them in the walk faults.
    if !entry.is_multiple_of(3) || entry == first {
        let base = *base(&mut nest.clone(), entry);
        for low in 1..4 {
            with_base(FaultKind::Misaligned, &format!("+{low}"), base + low);
        }
        let last = end - 4;
        with_base(FaultKind::Width, "past the end", last);
    }
    with_base(FaultKind::Width, "at the end", end - 4 * index(nest, entry));
    cases
}

/// Returns all faults of the content of an entry.
fn word_cases(nest: &Nest, entry: usize) -> Vec<Case> {
    let word = nest.words()[entry];
    let is_leaf = matches!(entry, 1 | 4 | 5 | 7);
    let case = |kind, what: &str, word| Case::word(kind, entry, what, nest.clone(), word);
    let mut cases = vec![case(FaultKind::Memory, "hole", None)];
    for bit in nest.width()..32 {
        let what = format!("bit {bit}");
        cases.push(case(FaultKind::Reserved, &what, Some(word | 1 << bit)));
    }
    if is_leaf && nest.rights_mode {
        let invalid = FaultKind::Invalid;
        cases.push(case(invalid, "but for bit 0", Some(word & !1)));
        cases.push(case(invalid, "all 0", Some(0)));
        // The host leaf of a guest table needs only read permission.
        let refused = match entry {
            1 | 4 => word & !0b0010,
            _ => word & !0b1110,
        };
        cases.push(case(FaultKind::Permission, "no right", Some(refused)));
    }
    cases
}

/// Returns all faults of the entries from `first` on, in rights mode and without.
fn every_case(format: Format, first: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for rights_mode in [false, true] {
        let nest = Nest {
            rights_mode,
            ..Nest::new(format)
        };
        for entry in first..8 {
            cases.extend(address_cases(&nest, entry, first));
            cases.extend(word_cases(&nest, entry));
        }
    }
    cases
}

/// Returns the kinds of fault, with the entries at which they have been seen.
fn kinds_and_entries(cases: &[Case]) -> HashSet<(FaultKind, usize)> {
    cases.iter().map(|case| (case.kind, case.entry)).collect()
}

#[test]
fn a_walk_reads_the_eight_entries_that_are_worked_out_by_hand() {
    let mut devices = Devices::default();
    for (format, reads, hpa) in [
        (
            Format::Handout,
            [
                0x02008, 0x02118, 0x60108, 0x0200C, 0x02230, 0xB0218, 0x02010, 0x02344,
            ],
            0x91EAC,
        ),
        (
            Format::Classic32,
            [
                0x0001_2348,
                0x0003_1018,
                0x0060_0658,
                0x0001_234C,
                0x0004_2030,
                0x00B0_0CB4,
                0x0001_3340,
                0x0005_3044,
            ],
            0xFFF9_9EAC,
        ),
    ] {
        for rights_mode in [false, true] {
            let nest = Nest {
                rights_mode,
                ..Nest::new(format)
            };
            for machine in machines(format) {
                for kind in Access::ALL {
                    let op = access(0, kind, nest.gva);
                    let scenario = one_access(machine, &nest.memory(), nest.context(), op);
                    let outcome = translated(&nest, hpa);
                    holds(
                        &mut devices,
                        &scenario,
                        &outcome,
                        &reads.map(Hpa),
                        nest.format.name(),
                    );
                }
            }
        }
    }
}

/// Checks a case on golden model and device, for every access, the first time and the second time.
fn case_holds(devices: &mut Devices, machine: Machine, case: &Case, first: usize) {
    let nest = &case.nest;
    let (context, gva) = match first {
        0 => (nest.context(), nest.gva),
        _ => {
            let context = Context {
                guest: StageControl::default(),
                ..nest.context()
            };
            (context, nest.gpas()[2])
        }
    };
    let outcome = fault(case.kind, positions(nest)[case.entry]);
    let reads = &nest.entries()[first..case.reads().max(first)];
    for kind in Access::ALL {
        let op = access(0, kind, gva);
        let what = format!("{}, {kind}", case.what);
        let once = one_access(machine, &case.memory, context, op.clone());
        holds(devices, &once, &outcome, reads, &what);

        let twice = Scenario {
            ops: vec![op.clone(), Op::Drain, op],
            ..once
        };
        let ran = device(devices, &twice);
        assert!(!ran.results.iter().any(|&(_, fill)| fill), "{what}");
        assert_eq!(ran.answers[1].outcome, outcome, "{what}");
        assert!(!ran.answers[1].hit, "{what}");
    }
}

#[test]
fn every_kind_of_fault_names_its_entry_and_gpa_at_every_entry_of_a_nested_walk() {
    let mut devices = Devices::default();
    for (format, seen) in [(Format::Handout, 38), (Format::Classic32, 30)] {
        let cases = every_case(format, 0);
        // 8 entries can be a hole, beyond the width, or reserved; 6 misaligned (the host root is
        // one for three walks); 4 are leaves, which can be invalid or deny the access.
        assert_eq!(kinds_and_entries(&cases).len(), seen);
        for machine in machines(format) {
            for case in &cases {
                case_holds(&mut devices, machine, case, 0);
            }
        }
    }
}

#[test]
fn every_kind_of_fault_names_its_entry_and_gpa_with_the_guest_table_off() {
    let mut devices = Devices::default();
    for (format, seen) in [(Format::Handout, 10), (Format::Classic32, 8)] {
        let cases = every_case(format, 6);
        assert_eq!(kinds_and_entries(&cases).len(), seen);
        for machine in machines(format) {
            for case in &cases {
                case_holds(&mut devices, machine, case, 6);
            }
        }
    }
}

#[test]
fn the_last_word_of_memory_is_an_entry_like_any_other() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        for entry in 0..8 {
            let mut nest = Nest::new(format);
            *base(&mut nest, entry) = (1 << nest.width()) - 4 - 4 * index(&nest, entry);
            // The host's L1 entry of the last page is also that of the data.
            match entry {
                2 => nest.host_tables[0] = nest.host_tables[2],
                5 => nest.host_tables[1] = nest.host_tables[2],
                // Later entries of the host root would be past the end.
                0 | 3 => continue,
                _ => {}
            }
            let op = access(0, Access::Load, nest.gva);
            let scenario = one_access(Machine::of(format), &nest.memory(), nest.context(), op);
            let outcome = translated(&nest, nest.hpa());
            let what = format!("{format}, entry {entry}");
            holds(&mut devices, &scenario, &outcome, &nest.entries(), &what);
            let last = match entry {
                2 => nest.gpas()[0],
                5 => nest.gpas()[1],
                _ => nest.entries()[entry].0,
            };
            assert_eq!(last, (1 << nest.width()) - 4, "{what}");
        }
    }
}

#[test]
fn of_two_faults_at_an_address_misaligned_comes_first() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        for entry in [0, 1, 2, 4, 5, 7] {
            let mut nest = Nest::new(format);
            *base(&mut nest, entry) = (1 << nest.width()) - 4 * index(&nest, entry) + 2;
            // The address 2^w + 2, and a hole at each address to which it may wrap.
            let case = Case::new(FaultKind::Misaligned, entry, "and past the end", nest);
            case_holds(&mut devices, Machine::of(format), &case, 0);
        }
    }
}

#[test]
fn an_address_past_the_end_is_a_width_fault_where_a_wrapped_one_would_be_a_hole() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        for entry in 0..8 {
            let mut nest = Nest::new(format);
            *base(&mut nest, entry) = (1 << nest.width()) - 4 * index(&nest, entry);
            let case = Case::word(FaultKind::Width, entry, "over a hole", nest, None);
            case_holds(&mut devices, Machine::of(format), &case, 0);
        }
    }
}

#[test]
fn what_is_not_valid_has_no_reserved_bits_and_no_rights() {
    let mut devices = Devices::default();
    let format = Format::Handout;
    for rights_mode in [false, true] {
        let nest = Nest {
            rights_mode,
            ..Nest::new(format)
        };
        for entry in [1, 4, 5, 7] {
            // Reserved bits set, no rights, not valid.
            let word = 0xFFF0_0000 | (nest.words()[entry] & !0b1111);
            let kind = match rights_mode {
                true => FaultKind::Invalid,
                // Without rights mode there is no valid bit.
                false => FaultKind::Reserved,
            };
            let case = Case::word(kind, entry, "and reserved", nest.clone(), Some(word));
            case_holds(&mut devices, Machine::of(format), &case, 0);
        }
    }
}

#[test]
fn reserved_bits_come_before_rights() {
    let mut devices = Devices::default();
    let format = Format::Handout;
    let nest = Nest {
        rights_mode: true,
        ..Nest::new(format)
    };
    for entry in [1, 4, 5, 7] {
        let word = 0x8000_0000 | (nest.words()[entry] & !0b1110);
        let case = Case::word(
            FaultKind::Reserved,
            entry,
            "and no right",
            nest.clone(),
            Some(word),
        );
        case_holds(&mut devices, Machine::of(format), &case, 0);
    }
}

#[test]
fn a_reserved_bit_of_a_pointer_comes_before_all_that_is_wrong_with_where_it_points() {
    let mut devices = Devices::default();
    let format = Format::Handout;
    for entry in [0, 2, 3, 6] {
        let nest = Nest::new(format);
        let word = Some(0x001F_FFFF);
        let case = Case::word(FaultKind::Reserved, entry, "in a bad pointer", nest, word);
        case_holds(&mut devices, Machine::of(format), &case, 0);
    }
}

#[test]
fn the_host_is_not_walked_for_the_data_of_a_guest_leaf_that_faults() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        let nest = Nest {
            rights_mode: true,
            ..Nest::new(format)
        };
        for case in word_cases(&nest, 5) {
            for worse in word_cases(&nest, 7).iter().chain(&word_cases(&nest, 6)) {
                let at = nest.entries()[worse.entry];
                let mut memory = case.memory.clone();
                match worse.memory.read(at) {
                    Ok(word) => memory.write(at, word),
                    Err(_) => memory.remove(at),
                }
                let both = Case {
                    what: format!("{}; {}", case.what, worse.what),
                    nest: nest.clone(),
                    memory,
                    ..case
                };
                assert_eq!(both.reads(), 6);
                case_holds(&mut devices, Machine::of(format), &both, 0);
            }
        }
    }
}

#[test]
fn the_walks_own_reads_of_guest_tables_need_a_readable_host_leaf_and_no_more() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        for machine in machines(format) {
            for (number, rights, kind) in [0, 1].into_iter().flat_map(|number| {
                every_rights()
                    .flat_map(move |rights| Access::ALL.map(|kind| (number, rights, kind)))
            }) {
                let mut nest = Nest {
                    rights_mode: true,
                    ..Nest::new(format)
                };
                nest.host_rights[number] = rights;
                let what = format!("{format}, table {number}: {rights:?}, {kind}");
                let op = access(0, kind, nest.gva);
                let scenario = one_access(machine, &nest.memory(), nest.context(), op);
                let entries = nest.entries();
                let (outcome, reads) = if rights.read {
                    (translated(&nest, nest.hpa()), &entries[..])
                } else {
                    let entry = 3 * number + 1;
                    let at = positions(&nest)[entry];
                    (fault(FaultKind::Permission, at), &entries[..=entry])
                };
                holds(&mut devices, &scenario, &outcome, reads, &what);
            }
        }
    }
}

/// Returns the response to an access at an offset of the page, by the rights of both leaves.
fn by_rights(nest: &Nest, kind: Access, offset: u64) -> Outcome {
    let refused = |at| fault(FaultKind::Permission, at);
    if !nest.guest_rights.permit(kind) {
        refused(Position::Guest { level: 0 })
    } else if !nest.host_rights[2].permit(kind) {
        refused(Position::Host {
            level: 0,
            gpa: Gpa(nest.data + offset),
            purpose: Purpose::Data,
        })
    } else {
        translated(nest, nest.host_pages[2] + offset)
    }
}

#[test]
fn an_access_needs_the_right_of_both_leaves_the_guests_first_and_a_hit_says_what_a_miss_says() {
    let mut devices = Devices::default();
    let mut hits = HashSet::new();
    for format in Format::HANDOUT_KIND {
        for (guest_rights, host_rights) in
            every_rights().flat_map(|guest| every_rights().map(move |host| (guest, host)))
        {
            let mut nest = Nest {
                rights_mode: true,
                guest_rights,
                ..Nest::new(format)
            };
            nest.host_rights[2] = host_rights;
            let page = nest.gva - format.geometry().offset(nest.gva);
            let machine = Machine::of(format);
            for kind in Access::ALL {
                let offset = 0x7A8 + kind as u64;
                let op = access(0, kind, page + offset);
                let miss = one_access(machine, &nest.memory(), nest.context(), op.clone());
                let outcome = by_rights(&nest, kind, offset);
                let entries = nest.entries();
                // A guest leaf that denies the access is the last entry that is read.
                let reads = match guest_rights.permit(kind) {
                    true => &entries[..],
                    false => &entries[..6],
                };
                let what = format!("{format}, {guest_rights:?}, {host_rights:?}, {kind}");
                holds(&mut devices, &miss, &outcome, reads, &what);

                for filling in Access::ALL {
                    if !guest_rights.permit(filling) || !host_rights.permit(filling) {
                        continue;
                    }
                    let fill = access(0, filling, nest.gva);
                    let hit = Scenario {
                        ops: vec![fill, Op::Drain, op.clone()],
                        ..miss.clone()
                    };
                    let ran = device(&mut devices, &hit);
                    assert!(ran.answers[1].hit, "{what} after {filling}");
                    assert_eq!(ran.answers[1].outcome, outcome, "{what} after {filling}");
                    let kind_of_answer = outcome.map(drop).map_err(|fault| fault.at.stage());
                    hits.insert((format, filling, kind, kind_of_answer));
                }
            }
        }
    }
    // For each format: an access hits after itself only if it is permitted. After another access it
    // may hit even if it is denied.
    assert_eq!(hits.len(), 2 * (3 + 6 * 3));
}

#[test]
fn without_rights_mode_no_status_bit_counts() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        let mut nest = Nest::new(format);
        nest.guest_rights = NOTHING;
        nest.host_rights = [NOTHING; 3];
        let mut memory = nest.memory();
        for entry in [1, 4, 5, 7] {
            memory.write(nest.entries()[entry], nest.words()[entry] & !1);
        }
        for kind in Access::ALL {
            let op = access(0, kind, nest.gva);
            let scenario = one_access(Machine::of(format), &memory, nest.context(), op);
            let outcome = translated(&nest, nest.hpa());
            holds(
                &mut devices,
                &scenario,
                &outcome,
                &nest.entries(),
                format.name(),
            );
        }
    }
}

#[test]
fn an_entry_that_comes_back_is_read_again_without_a_fence_as_a_fault_fills_nothing() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        let nest = Nest::new(format);
        for entry in 0..8 {
            let at = nest.entries()[entry];
            let op = access(0, Access::Load, nest.gva);
            let write = |word| Op::Write { at, word };
            let ops = vec![
                write(None),
                op.clone(),
                Op::Drain,
                write(Some(nest.words()[entry])),
                op.clone(),
                Op::Drain,
                op,
            ];
            let scenario = scenario(Machine::of(format), nest.memory(), &[nest.context()], ops);
            let answers = device(&mut devices, &scenario).answers;
            let memory_fault = fault(FaultKind::Memory, positions(&nest)[entry]);
            let right = translated(&nest, nest.hpa());
            let what = format!("{format}, entry {entry}");
            let outcomes: Vec<_> = answers.iter().map(|a| (a.outcome, a.hit)).collect();
            assert_eq!(
                outcomes,
                [(memory_fault, false), (right, false), (right, true)],
                "{what}"
            );
            assert_eq!(answers[1].reads, nest.entries(), "{what}");
        }
    }
}

#[test]
fn a_transient_error_is_a_memory_fault_whatever_the_word_and_fills_nothing() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        for machine in machines(format) {
            // Every field of the first entry is wrong. With the error it is ignored.
            let nest = Nest {
                rights_mode: true,
                ..Nest::new(format)
            };
            let first = nest.entries()[0];
            let op = access(0, Access::Store, nest.gva);
            let mut scenario = scenario(
                machine,
                nest.memory(),
                &[nest.context()],
                vec![
                    Op::Write {
                        at: first,
                        word: Some(0xFFFF_FFFF),
                    },
                    op.clone(),
                    Op::Drain,
                    Op::Write {
                        at: first,
                        word: Some(nest.words()[0]),
                    },
                    op.clone(),
                    Op::Drain,
                    Op::Timing(Timing::default()),
                    op.clone(),
                    Op::Drain,
                    op,
                ],
            );
            scenario.timing.errors = 1000;
            let answers = device(&mut devices, &scenario).answers;
            let memory_fault = fault(FaultKind::Memory, positions(&nest)[0]);
            let right = translated(&nest, nest.hpa());
            let outcomes: Vec<_> = answers.iter().map(|a| (a.outcome, a.hit)).collect();
            assert_eq!(
                outcomes,
                [
                    (memory_fault, false),
                    (memory_fault, false),
                    (right, false),
                    (right, true)
                ],
                "{format}"
            );
            assert_eq!(answers[0].reads, [first]);
            assert_eq!(answers[2].reads, nest.entries());
        }
    }
}

#[test]
fn each_of_several_requests_that_share_a_walk_gets_the_gpa_of_its_own_offset() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        let nest = Nest {
            rights_mode: true,
            ..Nest::new(format)
        };
        let page = nest.gva - format.geometry().offset(nest.gva);
        let offsets = [0xEAC, 0x001, 0xFFF, 0x7F0];
        for entry in 0..8 {
            for case in word_cases(&nest, entry) {
                let ops = offsets.map(|offset| access(0, Access::Load, page + offset));
                let mut scenario = scenario(
                    Machine::of(format),
                    case.memory.clone(),
                    &[nest.context()],
                    ops.to_vec(),
                );
                scenario.timing.latency = 9..=9;
                let answers = device(&mut devices, &scenario).answers;
                let merged: Vec<bool> = answers.iter().map(|a| a.merged).collect();
                assert_eq!(merged, [false, true, true, true], "{}", case.what);
                for (offset, answer) in offsets.into_iter().zip(answers) {
                    let mut at = positions(&nest)[entry];
                    if let Position::Host {
                        gpa,
                        purpose: Purpose::Data,
                        ..
                    } = &mut at
                    {
                        *gpa = Gpa(nest.data + offset);
                    }
                    assert_eq!(answer.outcome, fault(case.kind, at), "{}", case.what);
                }
            }
        }
    }
}

#[test]
fn a_fault_takes_no_other_answer_with_it() {
    let mut devices = Devices::default();
    for format in Format::HANDOUT_KIND {
        for machine in machines(format) {
            let nest = Nest::new(format);
            let misaligned = Context {
                guest: nest.context().guest.with_root(Gpa(nest.guest_root + 1)),
                asid: nest.asid + 1,
                ..nest.context()
            };
            let page = format.geometry().page_bytes();
            // In turn: an entry that is a hole, a root that is misaligned (without any read), and a
            // sound entry.
            let ops: Vec<Op> = (0..60)
                .map(|n| match n % 3 {
                    0 => access(0, Access::Load, nest.gva - page - n),
                    1 => access(1, Access::Store, nest.gva - n),
                    _ => access(0, Access::Fetch, nest.gva - n),
                })
                .collect();
            let mut scenario = scenario(machine, nest.memory(), &[nest.context(), misaligned], ops);
            for response_busy in [0, 70] {
                scenario.timing.response_busy = response_busy;
                let outcomes = golden(&scenario).into_iter().map(|(outcome, _)| outcome);
                let kinds: Vec<_> = outcomes
                    .clone()
                    .map(|o| o.map_err(|f| f.kind).err())
                    .collect();
                assert_eq!(
                    kinds[..3],
                    [Some(FaultKind::Memory), Some(FaultKind::Misaligned), None]
                );
                let answers = device(&mut devices, &scenario).answers;
                let answered: Vec<_> = answers.iter().map(|answer| answer.outcome).collect();
                assert_eq!(answered, outcomes.collect::<Vec<_>>(), "{format}");
            }
        }
    }
}
