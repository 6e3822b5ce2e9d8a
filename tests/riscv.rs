// SPDX-License-Identifier: Apache-2.0
//! The two stages of RISC-V on the RTL, case by case: the time of a walk, updates of A and D, page
//! sizes, fences.

#[path = "common/riscv.rs"]
mod rig;

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::format::Format;
use nestwalk::format::riscv::Entry;
use nestwalk::mmu::{Access, Context, FaultKind, Fence, MemoryType, Position, Purpose, Rights};
use nestwalk::scenario::{Op, Timing};
use rig::{PAGE, Rig, access, page_size, run};

const GVA: u64 = 0x12_3456;
const GPA: u64 = 0x7654_3000;
const HPA: u64 = 0x9_8765_4000 & 0x3_FFFF_FFFF;

fn latency(cycles: u32) -> Timing {
    Timing {
        latency: cycles..=cycles,
        ..Timing::default()
    }
}

/// Leaves that permit every access to the supervisor of the guest.
fn guest_leaf(gpa: u64) -> Entry {
    Entry::leaf(gpa, Rights::ALL)
}

fn host_leaf(hpa: u64) -> Entry {
    Entry::leaf(hpa, Rights::ALL).with_user(true)
}

/// Returns one 4K page in each stage.
fn small(format: Format, guest: u8, host: u8) -> Rig {
    let mut rig = Rig::new(format, guest, host);
    if host > 0 {
        rig.map_host(GPA, 0, host_leaf(HPA));
    }
    if guest > 0 {
        rig.map_guest(GVA, 0, guest_leaf(GPA));
    }
    rig
}

#[test]
fn a_cold_walk_of_n_reads_takes_n_times_latency_plus_one_and_two_cycles() {
    println!("| walk | reads | L = 1 | L = 10 | L = 50 |");
    for (format, guest, host, virt, reads, name) in [
        (Format::Rv32, 2, 2, true, 8, "Sv32 over Sv32x4"),
        (Format::Rv64, 3, 3, true, 15, "Sv39 over Sv39x4"),
        (Format::Rv64, 4, 4, true, 24, "Sv48 over Sv48x4"),
        (Format::Rv64, 5, 5, true, 35, "Sv57 over Sv57x4"),
        (Format::Rv64, 3, 0, false, 3, "Sv39"),
        (Format::Rv32, 2, 0, false, 2, "Sv32"),
    ] {
        let rig = small(format, guest, host);
        let context = Context {
            virt,
            ..rig.context()
        };
        let cycles = [1, 10, 50].map(|cycles| {
            let seen = run(&rig.scenario(
                &[context],
                latency(cycles),
                vec![access(0, GVA, Access::Load)],
            ));
            assert_eq!(seen.reads.len(), reads, "{name}");
            let (accepted, answered, outcome, hit) = seen.answers[&0];
            let expected = if host > 0 { HPA } else { GPA };
            assert_eq!(outcome.unwrap().hpa, Hpa(expected + GVA % PAGE));
            assert!(!hit);
            answered - accepted
        });
        println!(
            "| {name} | {reads} | {} | {} | {} |",
            cycles[0], cycles[1], cycles[2]
        );
        let contract = [1, 10, 50].map(|cycles| reads as u64 * (cycles + 1) + 2);
        assert_eq!(cycles, contract, "{name}");
    }
}

/// Returns every size of page that a format has, as level and whether it is a NAPOT page.
fn sizes(format: Format, levels: u8) -> Vec<(u32, bool)> {
    let mut sizes: Vec<(u32, bool)> = (0..levels.into()).map(|level| (level, false)).collect();
    if format == Format::Rv64 {
        sizes.push((0, true));
    }
    sizes
}

#[test]
fn an_entry_of_the_tlb_covers_the_smaller_page_of_every_pair_of_sizes() {
    for (format, levels) in [(Format::Rv32, 2), (Format::Rv64, 4)] {
        for (guest_level, guest_napot) in sizes(format, levels) {
            for (host_level, host_napot) in sizes(format, levels) {
                let size = |level, napot| if napot { 16 } else { page_size(format, level) };
                let (guest_size, host_size) =
                    (size(guest_level, guest_napot), size(host_level, host_napot));
                let smaller = guest_size.min(host_size);
                let mut rig = Rig::new(format, levels, levels);
                // The page of each stage is aligned to its own size, and not to the next larger
                // one.
                let high = if format == Format::Rv32 {
                    0x8000_0000
                } else {
                    0x180_0000_0000
                };
                let gva = GVA & !0xFFF;
                let gpa_base = high >> guest_size << guest_size;
                let gpa = gpa_base + gva % (1 << guest_size);
                let hpa = (high >> host_size << host_size) + gpa % (1 << host_size);
                let leaf = |leaf: Entry, size: u32, base: u64, napot| {
                    let leaf = leaf.with_address(base >> size << size);
                    if napot { leaf.with_napot_64k() } else { leaf }
                };
                let host = leaf(host_leaf(0), host_size, hpa, host_napot);
                let guest = leaf(guest_leaf(0), guest_size, gpa_base, guest_napot);
                // Guest tables come first: their pages must not fall into the large page.
                rig.map_guest(gva, guest_level, guest);
                rig.map_host(gpa, host_level, host);
                let inside = gva ^ (1 << (smaller - 1));
                let outside = gva ^ (1 << smaller);
                let mut ops = vec![access(0, gva, Access::Load), Op::Drain];
                ops.push(access(0, inside, Access::Load));
                ops.push(Op::Drain);
                if smaller < 32.min(format.geometry().gva_width) {
                    ops.push(access(0, outside, Access::Load));
                }
                let seen = run(&rig.scenario(&[rig.context()], Timing::default(), ops));
                let what = format!("{format}: 2^{guest_size} over 2^{host_size}");
                let (_, _, first, _) = seen.answers[&0];
                let first = first.unwrap_or_else(|fault| panic!("{what}: {fault:?}"));
                assert_eq!((first.hpa, first.page_size), (Hpa(hpa), smaller), "{what}");
                let (_, _, second, hit) = seen.answers[&2];
                assert!(hit, "{what}");
                assert_eq!(second.unwrap().hpa, Hpa(hpa ^ (inside ^ gva)), "{what}");
                if let Some((_, _, _, hit)) = seen.answers.get(&4) {
                    assert!(!hit, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_store_to_a_clean_page_updates_the_leaves_of_both_stages_and_then_hits() {
    for (format, levels) in [(Format::Rv32, 2), (Format::Rv64, 3)] {
        let clean = |leaf: Entry| leaf.with_accessed(false).with_dirty(false);
        let mut rig = Rig::new(format, levels, levels);
        let host = rig.map_host(GPA, 0, clean(host_leaf(HPA)));
        let guest = rig.map_guest(GVA, 0, clean(guest_leaf(GPA)));
        let mut context = rig.context();
        context.guest.adue = true;
        context.host.adue = true;
        let ops = vec![
            access(0, GVA, Access::Load),
            Op::Drain,
            access(0, GVA, Access::Store),
            Op::Drain,
            access(0, GVA, Access::Store),
        ];
        let seen = run(&rig.scenario(&[context], latency(3), ops));
        let updates: Vec<(Hpa, Entry)> = seen
            .reads
            .iter()
            .filter_map(|read| Some((read.at, Entry(read.update?.new))))
            .collect();
        // The load sets A in both; the store has to walk again, and sets D in both.
        let guest_used = clean(guest_leaf(GPA)).with_accessed(true);
        let host_used = clean(host_leaf(HPA)).with_accessed(true);
        assert_eq!(
            updates,
            [
                (guest, guest_used),
                (host, host_used),
                (guest, guest_used.with_dirty(true)),
                (host, host_used.with_dirty(true)),
            ]
        );
        let hits: Vec<bool> = seen.answers.values().map(|(_, _, _, hit)| *hit).collect();
        assert_eq!(hits, [false, false, true]);
    }
}

/// Returns a load, and some cycles later an edit of an entry.
fn load_and_edit(wait: u32, at: Hpa, entry: Entry) -> Vec<Op> {
    vec![
        access(0, GVA, Access::Load),
        Op::Wait(wait),
        Op::Write {
            at,
            word: Some(entry.0),
        },
    ]
}

#[test]
fn an_update_that_finds_another_entry_starts_from_what_it_found() {
    let clean = |gpa| guest_leaf(gpa).with_accessed(false);
    let mut rig = Rig::new(Format::Rv64, 3, 0);
    let leaf = rig.map_guest(GVA, 0, clean(GPA));
    let mut context = rig.context();
    context.guest.adue = true;
    let other = clean(GPA + PAGE);
    // Between the read of the leaf and its update, whenever that is.
    let mut lost = 0;
    for wait in 1..60 {
        let ops = load_and_edit(wait, leaf, other);
        let seen = run(&rig.scenario(&[context], latency(10), ops));
        let updates: Vec<_> = seen.reads.iter().filter(|r| r.update.is_some()).collect();
        let (_, _, outcome, _) = seen.answers[&0];
        let last = updates.last().unwrap();
        assert_eq!(last.word, Some(last.update.unwrap().expected));
        let page = outcome.unwrap().hpa.0 & !0xFFF;
        assert_eq!(page, Entry(last.update.unwrap().new).address());
        lost += usize::from(updates.len() == 2);
    }
    assert!(
        (5..20).contains(&lost),
        "{lost} updates found another entry"
    );
}

#[test]
fn a_page_is_not_global_because_the_leaf_was_that_its_update_has_not_found() {
    let mut rig = Rig::new(Format::Rv64, 3, 0);
    let clean = guest_leaf(GPA).with_accessed(false);
    let leaf = rig.map_guest(GVA, 0, clean.with_global(true));
    let mut context = rig.context();
    context.guest.adue = true;
    let of_asid = Fence {
        virt: true,
        asid: Some(context.asid),
        vmid: Some(context.vmid),
        ..Fence::default()
    };
    let (mut walked, mut hit) = (0, 0);
    for wait in 1..60 {
        let mut ops = load_and_edit(wait, leaf, clean);
        ops.extend([Op::Drain, Op::Fence(of_asid), access(0, GVA, Access::Load)]);
        let seen = run(&rig.scenario(&[context], latency(10), ops));
        let of_leaf = seen.reads.iter().filter(|read| read.at == leaf);
        let lost = of_leaf.filter(|read| read.update.is_some()).count() > 1;
        match seen.answers[&5] {
            // The fence has matched the pages that are not global.
            (_, _, _, false) => walked += usize::from(lost),
            (_, _, _, true) => {
                assert!(!lost);
                hit += 1;
            }
        }
    }
    assert!(walked > 5 && hit > 5, "{walked} walked, {hit} hit");
}

#[test]
fn a_host_leaf_like_the_guests_leaf_before_it_is_updated_all_the_same() {
    // The third table of the rig: the table of the guest leaf.
    const TABLE: u64 = 0x4000_2000;
    let mut rig = Rig::new(Format::Rv64, 3, 3);
    let at = rig.map_guest(GVA, 0, guest_leaf(GPA));
    let frame = at.0 & !(PAGE - 1);
    // One word is both the guest leaf and the host leaf of the table that contains it.
    let word = host_leaf(frame).with_dirty(false);
    let host = rig.map_host(TABLE, 0, word);
    assert_eq!(rig.map_guest(GVA, 0, word), at);
    rig.map_host(frame, 0, host_leaf(HPA));
    let mut context = rig.context();
    context.user = true;
    context.guest.adue = true;
    context.host.adue = true;
    let mut scenario = rig.scenario(&[context], latency(3), vec![access(0, GVA, Access::Store)]);
    // The host leaf is read directly after the guest leaf.
    scenario.machine.walk_caches.host = true;
    let seen = run(&scenario);
    let updates: Vec<(Hpa, Entry)> = seen
        .reads
        .iter()
        .filter_map(|read| Some((read.at, Entry(read.update?.new))))
        .collect();
    let dirty = word.with_dirty(true);
    assert_eq!(updates, [(host, dirty), (at, dirty)]);
}

#[test]
fn an_access_that_faults_at_the_guest_leaf_updates_nothing() {
    let mut rig = small(Format::Rv64, 3, 3);
    let read_only = Rights {
        write: false,
        ..Rights::ALL
    };
    let leaf = Entry::leaf(GPA, read_only).with_accessed(false);
    rig.map_guest(GVA, 0, leaf);
    let mut context = rig.context();
    context.guest.adue = true;
    context.host.adue = true;
    let seen = run(&rig.scenario(&[context], latency(1), vec![access(0, GVA, Access::Store)]));
    let (_, _, outcome, _) = seen.answers[&0];
    let fault = outcome.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Permission);
    assert_eq!(fault.at, Position::Guest { level: 0 });
    assert_eq!(fault.trap.unwrap().cause, 15);
    assert!(seen.reads.iter().all(|read| read.update.is_none()));
}

#[test]
fn an_update_of_a_guest_entry_in_a_page_that_the_guest_may_not_write_is_a_store_guest_page_fault() {
    let mut rig = small(Format::Rv64, 3, 3);
    let place = rig.map_guest(GVA, 0, guest_leaf(GPA).with_accessed(false));
    // The page of the table that contains the entry: the last one made.
    let table_gpa = 0x4000_0000 + 2 * PAGE;
    let read_only = Rights {
        write: false,
        ..Rights::ALL
    };
    let leaf = Entry::leaf(place.0 & !0xFFF, read_only).with_user(true);
    rig.map_host(table_gpa, 0, leaf);
    let mut context = rig.context();
    context.guest.adue = true;
    let seen = run(&rig.scenario(&[context], latency(1), vec![access(0, GVA, Access::Load)]));
    let (_, _, outcome, _) = seen.answers[&0];
    let fault = outcome.unwrap_err();
    let gpa = Gpa(table_gpa + place.0 % PAGE);
    assert_eq!(
        fault.at,
        Position::Host {
            level: 0,
            gpa,
            purpose: Purpose::GuestUpdate(0)
        }
    );
    let trap = fault.trap.unwrap();
    // The trap of a load: the access keeps its type, and tinst states that the implicit access was
    // a write.
    assert_eq!(
        (trap.cause, trap.tinst, trap.tval2),
        (21, 0x3020, gpa.0 >> 2)
    );
}

#[test]
fn the_guests_memory_type_goes_before_the_hosts() {
    for (guest, host, expected) in [
        (0, 0, MemoryType::Pma),
        (0, 1, MemoryType::Nc),
        (0, 2, MemoryType::Io),
        (1, 2, MemoryType::Nc),
        (2, 1, MemoryType::Io),
    ] {
        let mut rig = Rig::new(Format::Rv64, 3, 3);
        rig.map_host(GPA, 0, host_leaf(HPA).with_pbmt(host));
        rig.map_guest(GVA, 0, guest_leaf(GPA).with_pbmt(guest));
        let ops = vec![
            access(0, GVA, Access::Load),
            Op::Drain,
            access(0, GVA, Access::Load),
        ];
        let seen = run(&rig.scenario(&[rig.context()], Timing::default(), ops));
        for (_, _, outcome, _) in seen.answers.values() {
            assert_eq!(outcome.unwrap().memory_type, expected);
        }
        assert!(seen.answers[&2].3, "the second is a hit");
    }
}

/// Walks three pages that differ in the fences that match them, issues the fence, and returns the
/// pages that hit afterwards.
fn hits_after(fence: Fence) -> Vec<&'static str> {
    let mut rig = Rig::new(Format::Rv64, 3, 3);
    // A 2M page of the host that contains two pages of the guest, and another page.
    let large = 0x8020_0000;
    rig.map_host(large, 1, host_leaf(0x1_4000_0000));
    rig.map_host(GPA, 0, host_leaf(HPA));
    let pages = [
        ("first in the large page", 0x10_0000, large + 0x3000, false),
        (
            "last in the large page",
            0x20_0000,
            large + 0x1F_F000,
            false,
        ),
        ("small", 0x30_0000, GPA, false),
        ("global", 0x40_0000, GPA, true),
    ];
    for (_, gva, gpa, global) in pages {
        rig.map_guest(gva, 0, guest_leaf(gpa).with_global(global));
    }
    // A 2M page of the guest, of which the TLB has 4K.
    let huge = 0x1_0000_0000;
    rig.map_guest(huge, 1, guest_leaf(0x7640_0000));
    rig.map_host(0x7640_0000, 0, host_leaf(0x5000));
    rig.map_host(0x7650_0000, 0, host_leaf(0x6000));
    let context = rig.context();
    let other_asid = Context {
        asid: context.asid + 1,
        ..context
    };
    let other_vmid = Context {
        vmid: context.vmid + 1,
        ..context
    };
    let outside = Context {
        virt: false,
        guest: nestwalk::mmu::StageControl {
            root: Gpa(0x4000_0000),
            ..context.guest
        },
        host: Default::default(),
        ..context
    };
    // Outside the virtual machine the root of the same tables is elsewhere: a table of one entry.
    rig.memory.write(Hpa(0x4000_0000), guest_leaf(0).0);
    let mut accesses: Vec<(&str, usize, u64)> = pages
        .iter()
        .map(|&(name, gva, ..)| (name, 0, gva))
        .collect();
    accesses.push(("splinter", 0, huge));
    accesses.push(("splinter further on", 0, huge + 0x10_0000));
    accesses.push(("other ASID", 1, 0x30_0000));
    accesses.push(("other VMID", 2, 0x30_0000));
    accesses.push(("outside", 3, 0x30_0000));
    let mut ops = Vec::new();
    for round in 0..2 {
        for &(_, context, gva) in &accesses {
            ops.push(access(context, gva, Access::Load));
            ops.push(Op::Drain);
        }
        if round == 0 {
            ops.push(Op::Fence(fence));
        }
    }
    let contexts = [context, other_asid, other_vmid, outside];
    let seen = run(&rig.scenario(&contexts, Timing::default(), ops));
    let answers: Vec<bool> = seen
        .answers
        .values()
        .map(|(_, _, outcome, hit)| {
            assert!(outcome.is_ok(), "{outcome:?}");
            *hit
        })
        .collect();
    let (before, after) = answers.split_at(accesses.len());
    assert!(before.iter().all(|hit| !hit));
    accesses
        .iter()
        .zip(after)
        .filter(|(_, hit)| **hit)
        .map(|((name, ..), _)| *name)
        .collect()
}

#[test]
fn a_fence_takes_what_it_names_whole_and_nothing_else() {
    const ALL: [&str; 9] = [
        "first in the large page",
        "last in the large page",
        "small",
        "global",
        "splinter",
        "splinter further on",
        "other ASID",
        "other VMID",
        "outside",
    ];
    let but = |gone: &[&str]| -> Vec<&str> {
        ALL.into_iter()
            .filter(|name| !gone.contains(name))
            .collect()
    };
    let virt = Fence::default();
    let vvma = Fence {
        vmid: Some(2),
        ..virt
    };
    let sfence = Fence {
        virt: false,
        ..virt
    };
    let gva = |gva| Some(Gva(gva));
    let gpa = |gpa| Some(Gpa(gpa));
    for (fence, kept) in [
        (virt, vec!["outside"]),
        (vvma, vec!["other VMID", "outside"]),
        // By ASID: global pages stay.
        (
            Fence {
                asid: Some(1),
                ..vvma
            },
            vec!["global", "other ASID", "other VMID", "outside"],
        ),
        (
            Fence {
                asid: Some(7),
                ..vvma
            },
            but(&[]),
        ),
        // By address: the guest's page, under every ASID.
        (
            Fence {
                gva: gva(0x30_0FFF),
                ..vvma
            },
            but(&["small", "other ASID"]),
        ),
        (
            Fence {
                gva: gva(0x30_0000),
                asid: Some(2),
                ..vvma
            },
            but(&["other ASID"]),
        ),
        (
            Fence {
                gva: gva(0x40_0000),
                asid: Some(1),
                ..vvma
            },
            but(&[]),
        ),
        // The whole 2M page of the guest, by an address in a part of it that was not used.
        (
            Fence {
                gva: gva(0x1_0003_2000),
                ..vvma
            },
            but(&["splinter", "splinter further on"]),
        ),
        // By gPA: the whole 2M page of the host.
        (
            Fence {
                gpa: gpa(0x8020_8000),
                ..virt
            },
            but(&["first in the large page", "last in the large page"]),
        ),
        (
            Fence {
                gpa: gpa(GPA + 0x123),
                vmid: Some(2),
                ..virt
            },
            but(&["small", "global", "other ASID"]),
        ),
        (
            Fence {
                gpa: gpa(GPA),
                vmid: Some(3),
                ..virt
            },
            but(&["other VMID"]),
        ),
        (
            Fence {
                gpa: gpa(GPA << 2),
                ..virt
            },
            but(&[]),
        ),
        (sfence, but(&["outside"])),
        // There is no VMID outside virtual machines.
        (
            Fence {
                vmid: Some(9),
                ..sfence
            },
            but(&["outside"]),
        ),
        (
            Fence {
                gva: gva(0x30_0000),
                ..sfence
            },
            // Its page is a 1G page.
            but(&["outside"]),
        ),
        (
            Fence {
                gva: gva(0x8000_0000),
                ..sfence
            },
            but(&[]),
        ),
    ] {
        assert_eq!(hits_after(fence), kept, "{fence}, {fence:?}");
    }
}

#[test]
fn a_fence_in_the_cycle_of_a_fill_that_it_does_not_name_leaves_it() {
    let rig = small(Format::Rv64, 3, 0);
    let outside = Context {
        virt: false,
        ..rig.context()
    };
    // The fence comes before, in and after the cycle in which the walk of 3 reads fills the TLB.
    for wait in 1..16 {
        let ops = vec![
            access(0, GVA, Access::Load),
            Op::Wait(wait),
            Op::Fence(Fence::default()),
            Op::Drain,
            access(0, GVA, Access::Load),
        ];
        let mut scenario = rig.scenario(&[outside], latency(1), ops);
        // A device with RTL assertions. They once reported the fill as stale.
        scenario.machine.checked = true;
        scenario.machine.tlb_entries = 4;
        let seen = run(&scenario);
        assert!(
            seen.answers[&4].3,
            "a fence {wait} cycles after the request"
        );
    }
}
