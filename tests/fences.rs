// SPDX-License-Identifier: Apache-2.0
//! Fences on the device: what each combination of operands invalidates and keeps, when no walk is
//! in flight and in every cycle of a walk. Contexts are distinguished in the TLB and in concurrent
//! walks.

use std::collections::HashSet;

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::campaign::Devices;
use nestwalk::dut::variants::VARIANTS;
use nestwalk::format::Format;
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{
    Access, Context, Fence, MemoryType, Outcome, Rights, StageControl, Translation,
};
use nestwalk::scenario::{Machine, Op, Scenario};

mod common {
    pub mod machine;
}
use common::machine::{Nest, access, device, golden, scenario};

/// Returns every device of the handout's kind that is built in.
fn machines() -> impl Iterator<Item = Machine> {
    VARIANTS
        .iter()
        .filter(|variant| Format::HANDOUT_KIND.contains(&variant.paging_format()))
        .map(Machine::of_variant)
}

fn load(context: usize, gva: u64) -> Op {
    access(context, Access::Load, gva)
}

fn translated(format: Format, gpa: u64, hpa: u64) -> Outcome {
    Ok(Translation {
        gpa: Gpa(gpa),
        hpa: Hpa(hpa),
        page_size: format.geometry().offset_width,
        memory_type: MemoryType::Pma,
    })
}

/// Returns the operands of `fence` in all combinations: 16, if it has every operand.
fn combinations(fence: Fence) -> Vec<Fence> {
    let mut all = Vec::new();
    for operands in 0..16 {
        let fence = Fence {
            gva: fence.gva.filter(|_| operands & 1 != 0),
            gpa: fence.gpa.filter(|_| operands & 2 != 0),
            asid: fence.asid.filter(|_| operands & 4 != 0),
            vmid: fence.vmid.filter(|_| operands & 8 != 0),
            ..fence
        };
        if !all.contains(&fence) {
            all.push(fence);
        }
    }
    all
}

/// A page in the TLB, with the operands by which a fence may match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tags {
    gva: u64,
    gpa: u64,
    asid: u16,
    vmid: u16,
}

impl Tags {
    /// Returns true if a fence matches it, operand by operand.
    fn named(&self, fence: &Fence, page_bytes: u64) -> bool {
        let same_page = |a: u64, b: u64| a / page_bytes == b / page_bytes;
        fence.gva.is_none_or(|gva| same_page(gva.0, self.gva))
            && fence.gpa.is_none_or(|gpa| same_page(gpa.0, self.gpa))
            && fence.asid.is_none_or(|asid| asid == self.asid)
            && fence.vmid.is_none_or(|vmid| vmid == self.vmid)
    }
}

/// 16 translations, one for each choice of two gVAs, two gPAs, two ASIDs and two VMIDs: their
/// contexts, and memory for them. A gVA has one gPA with rights mode off and another one with it
/// on, in two guest tables.
struct Sixteen {
    format: Format,
    memory: HostMemory,
    contexts: Vec<Context>,
    /// Each with its context.
    tags: Vec<(usize, Tags)>,
}

impl Sixteen {
    const GVAS: [u64; 2] = [0x1, 0x2];
    const GPAS: [u64; 2] = [0x2, 0x1];
    const ASIDS: [u16; 2] = [0x8001, 0x0001];
    const VMIDS: [u16; 2] = [0x2001, 0x0001];

    fn new(format: Format) -> Self {
        let geometry = format.geometry();
        let page = geometry.page_bytes();
        let mut memory = HostMemory::new(format);
        let mut put = |at: u64, word: u64| memory.write(Hpa(at), word | 0xF);
        // The host maps every page below 4 to itself. The guest tables are in page 0, and so are
        // the host tables.
        for number in 0..4 {
            put(0x800 + 4 * number, number * page);
        }
        for (table, gpa) in [(0x900, Self::GPAS[0]), (0xA00, Self::GPAS[1])] {
            for gva in Self::GVAS {
                put(table + 4 * gva, gpa * page);
            }
        }
        for (root, table) in [(0x400, 0x800), (0x500, 0x900), (0x600, 0xA00)] {
            memory.write(Hpa(root), table);
        }
        let mut contexts = Vec::new();
        let mut tags = Vec::new();
        for (asid, vmid) in Self::ASIDS
            .into_iter()
            .flat_map(|asid| Self::VMIDS.map(move |vmid| (asid, vmid)))
        {
            for (rights, root, gpa) in [(false, 0x500, Self::GPAS[0]), (true, 0x600, Self::GPAS[1])]
            {
                contexts.push(Context {
                    rights,
                    asid,
                    vmid,
                    ..Context::handout(Some(Gpa(root)), Hpa(0x400))
                });
                for gva in Self::GVAS {
                    let tag = Tags {
                        gva: gva * page,
                        gpa: gpa * page,
                        asid,
                        vmid,
                    };
                    tags.push((contexts.len() - 1, tag));
                }
            }
        }
        Self {
            format,
            memory,
            contexts,
            tags,
        }
    }

    /// Returns the translations, of the 16, that still hit after a fence. Every response is right.
    fn left(&self, devices: &mut Devices, machine: Machine, fence: Fence) -> Vec<Tags> {
        let all = self
            .tags
            .iter()
            .map(|&(context, tag)| load(context, tag.gva));
        let mut ops = Vec::new();
        for op in all.clone() {
            ops.extend([op, Op::Drain]);
        }
        ops.push(Op::Fence(fence));
        for op in all {
            ops.extend([op, Op::Drain]);
        }
        let scenario = scenario(machine, self.memory.clone(), &self.contexts, ops);
        let answers = device(devices, &scenario).answers;
        let (before, after) = answers.split_at(self.tags.len());
        assert!(before.iter().all(|answer| !answer.hit));
        let mut left = Vec::new();
        for (&(_, tag), answer) in self.tags.iter().zip(after) {
            assert_eq!(answer.outcome, translated(self.format, tag.gpa, tag.gpa));
            if answer.hit {
                left.push(tag);
            }
        }
        left
    }
}

#[test]
fn a_fence_forgets_what_agrees_with_every_operand_in_use_and_keeps_the_rest() {
    let mut devices = Devices::default();
    // The checked devices have too few entries.
    for machine in machines().filter(|machine| machine.tlb_entries == 16) {
        let sixteen = Sixteen::new(machine.format);
        let page = machine.format.geometry().page_bytes();
        for &(_, tag) in &sixteen.tags {
            // The offset in a page is ignored.
            let fence = Fence {
                gva: Some(Gva(tag.gva + page - 1)),
                gpa: Some(Gpa(tag.gpa + 0x123)),
                asid: Some(tag.asid),
                vmid: Some(tag.vmid),
                ..Fence::default()
            };
            for fence in combinations(fence) {
                let left = sixteen.left(&mut devices, machine, fence);
                let expected: Vec<Tags> = sixteen
                    .tags
                    .iter()
                    .map(|&(_, tag)| tag)
                    .filter(|tag| !tag.named(&fence, page))
                    .collect();
                assert_eq!(left, expected, "{machine:?}: {fence}");
                let operands = [fence.gva.is_some(), fence.gpa.is_some()]
                    .into_iter()
                    .chain([fence.asid.is_some(), fence.vmid.is_some()])
                    .filter(|&in_use| in_use)
                    .count();
                assert_eq!(left.len(), 16 - (16 >> operands), "{machine:?}: {fence}");
            }
        }
    }
}

#[test]
fn a_fence_with_one_operand_that_agrees_with_nothing_keeps_everything() {
    let mut devices = Devices::default();
    for machine in machines().filter(|machine| machine.tlb_entries == 16) {
        let sixteen = Sixteen::new(machine.format);
        let page = machine.format.geometry().page_bytes();
        let (_, tag) = sixteen.tags[0];
        let right = Fence {
            gva: Some(Gva(tag.gva)),
            gpa: Some(Gpa(tag.gpa)),
            asid: Some(tag.asid),
            vmid: Some(tag.vmid),
            ..Fence::default()
        };
        // Values that differ in the highest bit, and in the lowest.
        let high = 1 << (machine.format.geometry().gpa_width - 1);
        for wrong in [
            Fence {
                gva: Some(Gva(tag.gva | high)),
                ..right
            },
            Fence {
                gva: Some(Gva(tag.gva - page)),
                ..right
            },
            Fence {
                gpa: Some(Gpa(tag.gpa | high)),
                ..right
            },
            Fence {
                gpa: Some(Gpa(tag.gpa + page)),
                ..right
            },
            Fence {
                asid: Some(tag.asid | 0x4000),
                ..right
            },
            Fence {
                asid: Some(tag.asid & !1),
                ..right
            },
            Fence {
                vmid: Some(tag.vmid & 0x1FFE),
                ..right
            },
            Fence {
                vmid: Some(tag.vmid & !1),
                ..right
            },
        ] {
            let alone = Fence {
                gva: wrong.gva.filter(|_| wrong.gva != right.gva),
                gpa: wrong.gpa.filter(|_| wrong.gpa != right.gpa),
                asid: wrong.asid.filter(|_| wrong.asid != right.asid),
                vmid: wrong.vmid.filter(|_| wrong.vmid != right.vmid),
                ..wrong
            };
            assert_ne!(alone, Fence::default());
            for fence in [wrong, alone] {
                let left = sixteen.left(&mut devices, machine, fence);
                assert_eq!(left.len(), 16, "{machine:?}: {fence}");
            }
        }
    }
}

/// An edit of one entry of a nest that changes the hPA of its gVA.
struct Edit {
    what: &'static str,
    nest: Nest,
    memory: HostMemory,
    at: Hpa,
    word: u64,
    old: Outcome,
    new: Outcome,
}

impl Edit {
    fn op(&self) -> Op {
        Op::Write {
            at: self.at,
            word: Some(self.word),
        }
    }

    /// Returns a fence with every operand, each of which matches the translation, before the edit
    /// and after.
    fn fence(&self) -> Fence {
        Fence {
            gva: Some(Gva(self.nest.gva)),
            // An edit of the guest table gives another gPA. A fence that matches the old gPA need
            // not match the new one.
            gpa: match self.what {
                "guest leaf" => None,
                _ => Some(Gpa(self.nest.data)),
            },
            asid: Some(self.nest.asid),
            vmid: Some(self.nest.vmid),
            ..Fence::default()
        }
    }

    fn scenario(&self, machine: Machine, ops: Vec<Op>) -> Scenario {
        scenario(machine, self.memory.clone(), &[self.nest.context()], ops)
    }
}

/// Edits of the last entries of each kind.
fn edits(format: Format) -> [Edit; 3] {
    let nest = Nest::new(format);
    let geometry = format.geometry();
    let page = geometry.page_bytes();
    let offset = geometry.offset(nest.gva);
    let entries = nest.entries();
    let mut memory = nest.memory();
    // The leaf maps another page: another page of the host, and a page of the guest that is mapped
    // to it.
    let (other_data, other_page) = (nest.data - page, nest.host_pages[2] + page);
    let other_leaf = nest.leaf(other_page, Rights::ALL);
    memory.write(Hpa(entries[7].0 - 4), other_leaf);
    // The pointer points to another L2 table of the host.
    let other_table = nest.host_tables[2] + 0x40;
    memory.write(Hpa(entries[7].0 + 0x40), other_leaf);
    let edit = |what, at, word, gpa| Edit {
        what,
        nest: nest.clone(),
        memory: memory.clone(),
        at,
        word,
        old: translated(format, nest.data + offset, nest.hpa()),
        new: translated(format, gpa + offset, other_page + offset),
    };
    [
        edit("host leaf", entries[7], other_leaf, nest.data),
        edit("host pointer", entries[6], other_table, nest.data),
        edit(
            "guest leaf",
            entries[5],
            nest.leaf(other_data, Rights::ALL),
            other_data,
        ),
    ]
}

#[test]
fn an_edit_may_stay_unseen_by_a_hit_until_a_fence_that_names_the_translation_and_is_seen_after_it()
{
    let mut devices = Devices::default();
    for machine in machines() {
        let format = machine.format;
        for edit in edits(format) {
            let nest = &edit.nest;
            let old_gpa = Some(Gpa(nest.data));
            for fence in combinations(Fence {
                gpa: old_gpa,
                ..edit.fence()
            }) {
                let op = load(0, nest.gva);
                let ops = vec![
                    op.clone(),
                    Op::Drain,
                    edit.op(),
                    op.clone(),
                    Op::Drain,
                    Op::Fence(fence),
                    op.clone(),
                    Op::Drain,
                    op,
                ];
                let answers = device(&mut devices, &edit.scenario(machine, ops)).answers;
                let seen: Vec<_> = answers.iter().map(|a| (a.outcome, a.hit)).collect();
                let (old, new) = (edit.old, edit.new);
                assert_eq!(
                    seen,
                    [(old, false), (old, true), (new, false), (new, true)],
                    "{machine:?}, {}: {fence}",
                    edit.what
                );
            }
        }
    }
}

#[test]
fn a_walk_that_a_fence_of_its_asid_and_vmid_overtakes_fills_nothing_and_is_asked_for_again() {
    let mut devices = Devices::default();
    for machine in machines() {
        let nest = Nest::new(machine.format);
        let page = machine.format.geometry().page_bytes();
        // The address of a walk in flight is not compared: the fence matches it if its ASID and
        // VMID match.
        for (gva, gpa) in [(nest.gva, nest.data), (nest.gva ^ page, nest.data ^ page)] {
            for (asid, vmid) in [
                (nest.asid, nest.vmid),
                (nest.asid ^ 1, nest.vmid),
                (nest.asid, nest.vmid ^ 1),
            ] {
                for fence in combinations(Fence {
                    gva: Some(Gva(gva)),
                    gpa: Some(Gpa(gpa)),
                    asid: Some(asid),
                    vmid: Some(vmid),
                    ..Fence::default()
                }) {
                    let overtaken = fence.asid.is_none_or(|asid| asid == nest.asid)
                        && fence.vmid.is_none_or(|vmid| vmid == nest.vmid);
                    let op = load(0, nest.gva);
                    let ops = vec![
                        op.clone(),
                        Op::Wait(20),
                        Op::Fence(fence),
                        Op::Drain,
                        op.clone(),
                        Op::Drain,
                        op,
                    ];
                    let mut scenario = scenario(machine, nest.memory(), &[nest.context()], ops);
                    scenario.timing.latency = 10..=10;
                    let ran = device(&mut devices, &scenario);
                    let what = format!("{machine:?}: {fence}");
                    let right = translated(machine.format, nest.gpas()[2], nest.hpa());
                    assert!(ran.fences[0] < ran.answers[0].answered, "{what}");
                    assert!(ran.answers.iter().all(|a| a.outcome == right), "{what}");
                    let hits: Vec<bool> = ran.answers.iter().map(|answer| answer.hit).collect();
                    assert_eq!(hits, [false, true, true], "{what}");
                    assert_eq!(ran.answers[0].replays, usize::from(overtaken), "{what}");
                    let fills: Vec<bool> = ran.results.iter().map(|&(_, fill)| fill).collect();
                    match overtaken {
                        true => assert_eq!(fills, [false, true], "{what}"),
                        false => assert_eq!(fills, [true], "{what}"),
                    }
                }
            }
        }
    }
}

#[test]
fn an_equal_request_after_a_fence_does_not_share_the_walk_from_before_it() {
    let mut devices = Devices::default();
    for machine in machines().filter(|machine| machine.slots > 1) {
        for edit in edits(machine.format) {
            let op = load(0, edit.nest.gva);
            let ops = vec![
                op.clone(),
                op.clone(),
                Op::Wait(60),
                edit.op(),
                Op::Fence(Fence::default()),
                op.clone(),
                op,
            ];
            let mut scenario = edit.scenario(machine, ops);
            scenario.timing.latency = 10..=10;
            let ran = device(&mut devices, &scenario);
            assert!(ran.fences[0] < ran.answers[0].answered);
            let merged: Vec<bool> = ran.answers.iter().map(|answer| answer.merged).collect();
            // The requests from before the fence are repeated, and are coalesced with the walk that
            // the request after it has started.
            assert_eq!(merged, [true, true, false, true], "{machine:?}");
            let replays: Vec<usize> = ran.answers.iter().map(|a| a.replays).collect();
            assert_eq!(replays, [1, 1, 0, 0], "{machine:?}");
            for answer in &ran.answers {
                assert_eq!(answer.outcome, edit.new, "{machine:?}, {}", edit.what);
            }
        }
    }
}

#[test]
fn whatever_the_cycle_of_a_fence_no_request_after_it_is_given_what_was_there_before() {
    let mut devices = Devices::default();
    for machine in machines() {
        let format = machine.format;
        for edit in edits(format) {
            for fence in combinations(edit.fence()) {
                // Cycles from the request to the fence.
                let mut offsets = HashSet::new();
                let mut in_the_cycle_of_the_result = 0;
                let mut first_answers = HashSet::new();
                for wait in 0..=30 {
                    let op = load(0, edit.nest.gva);
                    let ops = vec![
                        op.clone(),
                        Op::Wait(wait),
                        edit.op(),
                        Op::Fence(fence),
                        op.clone(),
                        Op::Drain,
                        op,
                    ];
                    let ran = device(&mut devices, &edit.scenario(machine, ops));
                    let what = format!("{machine:?}, {}, wait {wait}: {fence}", edit.what);
                    let (old, new) = (edit.old, edit.new);
                    let [first, second, third] = &ran.answers[..] else {
                        panic!("not three answers");
                    };
                    assert!([old, new].contains(&first.outcome), "{what}");
                    assert_eq!((second.outcome, second.hit), (new, false), "{what}");
                    assert_eq!((third.outcome, third.hit), (new, true), "{what}");
                    first_answers.insert(first.outcome);
                    let fence = ran.fences[0];
                    offsets.insert(fence - first.first_accepted);
                    if ran.results[0].0 == fence {
                        in_the_cycle_of_the_result += 1;
                        assert!(!ran.results[0].1, "{what}");
                    }
                }
                let what = format!("{machine:?}, {}: {fence}", edit.what);
                assert_eq!(offsets, HashSet::from_iter(1..=31), "{what}");
                assert_eq!(in_the_cycle_of_the_result, 1, "{what}");
                // The walk in flight sees early edits and does not see late ones.
                assert_eq!(first_answers.len(), 2, "{what}");
            }
        }
    }
}

#[test]
fn a_fence_of_others_in_the_cycle_of_a_fill_does_not_keep_the_fill_out() {
    let mut devices = Devices::default();
    for machine in machines() {
        let nest = Nest::new(machine.format);
        let fence = Fence {
            asid: Some(nest.asid ^ 1),
            ..Fence::default()
        };
        let mut in_the_cycle_of_the_fill = 0;
        for wait in 0..=30 {
            let op = load(0, nest.gva);
            let ops = vec![op.clone(), Op::Wait(wait), Op::Fence(fence), Op::Drain, op];
            let scenario = scenario(machine, nest.memory(), &[nest.context()], ops);
            let ran = device(&mut devices, &scenario);
            assert!(ran.answers[1].hit, "{machine:?}, wait {wait}");
            in_the_cycle_of_the_fill += u32::from(ran.results[0] == (ran.fences[0], true));
        }
        assert_eq!(in_the_cycle_of_the_fill, 1, "{machine:?}");
    }
}

#[test]
fn a_request_is_taken_in_the_cycle_after_a_fence_and_what_was_not_named_hits_at_once() {
    let mut devices = Devices::default();
    for machine in machines() {
        let nest = Nest::new(machine.format);
        for (fence, hit) in [
            (Fence::default(), false),
            (
                Fence {
                    vmid: Some(nest.vmid ^ 1),
                    ..Fence::default()
                },
                true,
            ),
        ] {
            let op = load(0, nest.gva);
            let ops = vec![op.clone(), Op::Drain, Op::Fence(fence), op];
            let scenario = scenario(machine, nest.memory(), &[nest.context()], ops);
            let ran = device(&mut devices, &scenario);
            let answer = &ran.answers[1];
            assert_eq!(answer.hit, hit);
            assert_eq!(answer.accepted, ran.fences[0] + 1);
            // Eight reads with data in the next cycle, and the lookup in the L2 TLB, as in
            // docs/ports.md.
            let second = 2 * u64::from(machine.tlb2.is_some());
            let cycles = match (hit, machine.read_bypass) {
                (true, _) => 1,
                (false, false) => 8 * 2 + 2 + second,
                (false, true) => 8 + 3 + second,
            };
            assert_eq!(answer.answered - answer.accepted, cycles, "{machine:?}");
        }
    }
}

/// Returns two nests in one memory that translate the same gVA to different pages, each through
/// tables of its own.
fn two_nests(format: Format) -> (Nest, Nest, HostMemory) {
    let one = Nest::new(format);
    let page = format.geometry().page_bytes();
    let mut two = one.clone();
    two.host_root += 0x2000;
    two.host_tables = two.host_tables.map(|table| table + 0x2000);
    two.guest_root += page;
    two.guest_table -= page;
    two.data += page;
    two.host_pages = two.host_pages.map(|at| at + page);
    two.asid ^= 1;
    let mut memory = one.memory();
    two.write_into(&mut memory);
    (one, two, memory)
}

#[test]
fn walks_side_by_side_do_not_mix_their_contexts_whenever_the_second_begins() {
    let mut devices = Devices::default();
    for machine in machines() {
        let format = machine.format;
        let (one, two, memory) = two_nests(format);
        let host_only = |nest: &Nest| Context {
            guest: StageControl::default(),
            ..nest.context()
        };
        let contexts = [
            one.context(),
            two.context(),
            host_only(&one),
            host_only(&two),
        ];
        // The requests of each context, and their addresses.
        let asked = [one.gva, two.gva, one.gpas()[2], two.gpas()[2]];
        let right =
            [&one, &two, &one, &two].map(|nest| translated(format, nest.gpas()[2], nest.hpa()));
        let reads = [
            one.entries().to_vec(),
            two.entries().to_vec(),
            one.entries()[6..].to_vec(),
            two.entries()[6..].to_vec(),
        ];
        for (first, second) in (0..4).flat_map(|first| (0..4).map(move |second| (first, second))) {
            for wait in 0..=20 {
                let mut ops = vec![load(first, asked[first]), Op::Wait(wait)];
                ops.push(load(second, asked[second]));
                let scenario = scenario(machine, memory.clone(), &contexts, ops);
                let ran = device(&mut devices, &scenario);
                let what = format!("{machine:?}: {first}, {wait} cycles later {second}");
                for (context, answer) in [first, second].into_iter().zip(ran.answers) {
                    assert_eq!(answer.outcome, right[context], "{what}");
                    if first != second {
                        assert!(!answer.hit && !answer.merged, "{what}");
                        assert_eq!(answer.reads, reads[context], "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn spaces_of_one_asid_and_vmid_share_no_entries_if_guest_table_or_rights_mode_differ() {
    let mut devices = Devices::default();
    // Four entries of one page number.
    for machine in machines().filter(|machine| machine.tlb_entries >= 4) {
        let format = machine.format;
        let (one, mut two, mut memory) = two_nests(format);
        two.asid = one.asid;
        // With the guest table off the same gVA is a gPA, which each host table maps to a third
        // page.
        let geometry = format.geometry();
        let page = geometry.page_bytes();
        let offset = geometry.offset(one.gva);
        for (number, nest) in [(4, &one), (5, &two)] {
            let root = nest.host_root + geometry.index(nest.gva, 1) * 4;
            // The table of the HANDOUT machine exists already. Its page 7 gets an entry of its own.
            let table = match memory.read(Hpa(root)) {
                Ok(table) => table,
                Err(_) => {
                    let table = nest.host_tables[0] + 0x1_0000;
                    memory.write(Hpa(root), table);
                    table
                }
            };
            let leaf = Hpa(table + geometry.index(nest.gva, 0) * 4);
            assert!(memory.read(leaf).is_err());
            memory.write(leaf, nest.leaf(number * page, Rights::ALL));
        }
        let contexts: Vec<Context> = [(&one, false), (&two, true)]
            .into_iter()
            .flat_map(|(nest, rights)| {
                let nested = Context {
                    rights,
                    ..nest.context()
                };
                [
                    nested,
                    Context {
                        guest: StageControl::default(),
                        ..nested
                    },
                ]
            })
            .collect();
        let tags: HashSet<_> = contexts.iter().map(|c| (c.asid, c.vmid)).collect();
        assert_eq!(tags.len(), 1);
        let right = [
            (one.gpas()[2], one.hpa()),
            (one.gva, 4 * page + offset),
            (two.gpas()[2], two.hpa()),
            (two.gva, 5 * page + offset),
        ]
        .map(|(gpa, hpa)| translated(format, gpa, hpa));
        let mut ops = Vec::new();
        for context in [0, 1, 2, 3, 0, 1, 2, 3] {
            ops.extend([load(context, one.gva), Op::Drain]);
        }
        let scenario = scenario(machine, memory, &contexts, ops);
        let of_golden: Vec<Outcome> = golden(&scenario).into_iter().map(|(o, _)| o).collect();
        assert_eq!(of_golden, [right, right].concat());
        for (number, answer) in device(&mut devices, &scenario).answers.iter().enumerate() {
            assert_eq!(answer.outcome, right[number % 4], "{machine:?}");
            assert_eq!(answer.hit, number >= 4, "{machine:?}, access {number}");
        }
    }
}
