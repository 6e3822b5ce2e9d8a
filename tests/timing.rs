// SPDX-License-Identifier: Apache-2.0
//! The timing contract of `docs/ports.md`, measured on the RTL.
//! `cargo test --release --test timing -- --nocapture` prints the tables.

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::bench::{self, Stats};
use nestwalk::campaign::Devices;
use nestwalk::format::Format;
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{Access, Context, Fence};
use nestwalk::report::Recorder;
use nestwalk::scenario::{AccessOp, Holes, Machine, NamedContext, Op, Scenario, Timing};

const LATENCIES: [u32; 3] = [1, 10, 50];

/// Contexts 0 to 3 are nested, with an ASID each. Context 4 has the guest table off. Every page is
/// mapped to itself in both stages.
const SINGLE_STAGE: usize = 4;

struct Roots {
    host: u64,
    guest: u64,
}

/// Lays out tables of one or four leaf tables that map every page to itself.
fn identity(memory: &mut HostMemory, format: Format) -> Roots {
    let geometry = format.geometry();
    let (roots, leaf_tables) = match format {
        Format::Handout => (
            Roots {
                host: 0x1000,
                guest: 0x2000,
            },
            4,
        ),
        Format::Classic32 => (
            Roots {
                host: 0x10_0000,
                guest: 0x20_0000,
            },
            1,
        ),
        Format::Rv32 | Format::Rv64 => panic!("the tables are of the handout's kind"),
    };
    for root in [roots.host, roots.guest] {
        for upper in 0..leaf_tables {
            let table = root + (upper + 1) * geometry.table_bytes();
            memory.write(Hpa(root + upper * geometry.pte_bytes()), table);
            for lower in 0..geometry.table_entries() {
                let page = (upper << geometry.index_width) + lower;
                let at = Hpa(table + lower * geometry.pte_bytes());
                memory.write(at, page << geometry.offset_width);
            }
        }
    }
    roots
}

fn scenario(format: Format, slots: u32, latency: u32, ops: Vec<Op>) -> Scenario {
    let machine = Machine {
        slots,
        ..Machine::of(format)
    };
    scenario_on(machine, latency, ops)
}

fn scenario_on(machine: Machine, latency: u32, ops: Vec<Op>) -> Scenario {
    let format = machine.format;
    let mut memory = HostMemory::new(format);
    let roots = identity(&mut memory, format);
    let contexts = (0..=SINGLE_STAGE)
        .map(|number| NamedContext {
            name: format!("c{number}"),
            context: Context {
                asid: number as u16,
                ..Context::handout(
                    (number != SINGLE_STAGE).then_some(Gpa(roots.guest)),
                    Hpa(roots.host),
                )
            },
        })
        .collect();
    Scenario {
        title: String::new(),
        machine,
        memory,
        holes: Holes::Fault,
        timing: Timing {
            latency: latency..=latency,
            ..Timing::default()
        },
        contexts,
        ops,
    }
}

fn load(context: usize, gva: u64) -> Op {
    Op::Access(AccessOp {
        context,
        gva: Gva(gva),
        access: Access::Load,
        speculative: false,
        expect: None,
        line: None,
    })
}

fn run(scenario: &Scenario) -> (Recorder, Stats) {
    let mut dut = Devices::make(scenario).expect("the variant is built in");
    let mut recorder = Recorder::new(scenario);
    let stats = bench::run(&mut dut, scenario, &mut recorder).expect("all checks hold");
    (recorder, stats)
}

/// Returns the cycles from the request of an operation to its response, and whether the TLB hit.
fn cycles(recorder: &Recorder, op: usize) -> (u64, bool) {
    let access = &recorder.accesses[op];
    let accepted = access.accepted.expect("its request was taken");
    let (answered, _, hit) = access.answered.expect("it was answered");
    (answered - accepted, hit)
}

#[test]
fn hits_and_walks_take_the_cycles_of_the_contract_at_every_latency_and_number_of_slots() {
    println!("format     slots   L   hit  1 table  both tables  8(L+1)+2");
    for format in Format::HANDOUT_KIND {
        for slots in [1, 4, 16] {
            for latency in LATENCIES {
                let ops = vec![
                    load(0, 0),
                    Op::Drain,
                    load(0, 4),
                    Op::Drain,
                    load(SINGLE_STAGE, 0),
                ];
                let scenario = scenario(format, slots, latency, ops);
                let (recorder, _) = run(&scenario);
                let (walk, hit, one_table) = (
                    cycles(&recorder, 0),
                    cycles(&recorder, 2),
                    cycles(&recorder, 4),
                );
                let contract = |reads: u64| reads * (u64::from(latency) + 1) + 2;
                println!(
                    "{:10} {slots:5} {latency:3} {:5} {:8} {:12} {:9}",
                    format.name(),
                    hit.0,
                    one_table.0,
                    walk.0,
                    contract(8)
                );
                assert_eq!(hit, (1, true));
                assert_eq!(one_table, (contract(2), false));
                assert_eq!(walk, (contract(8), false));
                assert_eq!(recorder.reads(0).len(), 8);
                assert_eq!(recorder.reads(4).len(), 2);
            }
        }
    }
}

#[test]
fn each_read_is_offered_in_the_cycle_after_the_data_it_depends_on() {
    for latency in LATENCIES {
        let scenario = scenario(Format::Handout, 1, latency, vec![load(0, 0x61EAC)]);
        let (recorder, _) = run(&scenario);
        let reads: Vec<u64> = recorder.reads(0).iter().map(|read| read.cycle).collect();
        assert_eq!(reads[0], 1);
        for pair in reads.windows(2) {
            assert_eq!(pair[1], pair[0] + u64::from(latency) + 1);
        }
    }
}

#[test]
fn hits_are_answered_one_a_cycle_also_while_walks_are_under_way() {
    // A page that will hit, then a walk of another page, then hits during that walk.
    let mut ops = vec![load(0, 0), Op::Drain, load(1, 0)];
    ops.extend((0..60).map(|n| load(0, 4 * n)));
    let scenario = scenario(Format::Handout, 4, 10, ops);
    let (recorder, _) = run(&scenario);
    let walk_ends = recorder.accesses[2].answered.expect("it was answered").0;
    let hits: Vec<u64> = (3..63)
        .map(|op| {
            assert_eq!(cycles(&recorder, op), (1, true));
            recorder.accesses[op].answered.expect("it was answered").0
        })
        .collect();
    assert!(
        hits[0] < walk_ends,
        "the walk is under way at the first hit"
    );
    for pair in hits.windows(2) {
        assert_eq!(pair[1], pair[0] + 1);
    }
}

#[test]
fn a_walks_result_costs_the_request_port_one_cycle() {
    let mut ops = vec![load(0, 0), Op::Drain, load(1, 0)];
    ops.extend((0..60).map(|n| load(0, 4 * n)));
    let scenario = scenario(Format::Handout, 4, 1, ops);
    let (recorder, _) = run(&scenario);
    let accepted: Vec<u64> = (3..63)
        .map(|op| {
            assert_eq!(cycles(&recorder, op), (1, true));
            recorder.accesses[op].accepted.expect("it was taken")
        })
        .collect();
    let lost: u64 = accepted.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
    assert_eq!(lost, 1);
}

#[test]
fn eight_equal_misses_walk_once() {
    for format in Format::HANDOUT_KIND {
        for slots in [1, 4, 16] {
            let ops = (0..8).map(|n| load(0, 0x1230 + 4 * n)).collect();
            let scenario = scenario(format, slots, 10, ops);
            let (recorder, stats) = run(&scenario);
            assert_eq!(
                (stats.walks, stats.reads),
                (1, 8),
                "{format}, {slots} slots"
            );
            for op in 0..8 {
                let (_, outcome, _) = recorder.accesses[op].answered.expect("it was answered");
                assert_eq!(outcome.map(|t| t.hpa), Ok(Hpa(0x1230 + 4 * op as u64)));
            }
        }
    }
}

#[test]
fn a_fence_costs_one_cycle() {
    let ops = vec![
        load(0, 0),
        load(0, 4),
        Op::Drain,
        load(0, 8),
        Op::Fence(Fence {
            asid: Some(3),
            ..Fence::default()
        }),
        load(0, 12),
    ];
    let scenario = scenario(Format::Handout, 4, 1, ops);
    let (recorder, _) = run(&scenario);
    let taken = |op: usize| recorder.accesses[op].accepted.expect("it was taken");
    assert_eq!(recorder.fences, [(taken(3) + 1, 4)]);
    assert_eq!(taken(5), taken(3) + 2);
    assert_eq!(cycles(&recorder, 5), (1, true));
}

/// Returns the share of cycles with a read, from the first read to the last, over 64 walks of
/// different pages.
fn busy_share(format: Format, slots: u32, latency: u32) -> f64 {
    // Sixteen pages, all pages of HANDOUT, in four address spaces.
    let page_bytes = format.geometry().page_bytes();
    let ops = (0..64)
        .map(|n| load(n / 16, n as u64 % 16 * page_bytes))
        .collect();
    let scenario = scenario(format, slots, latency, ops);
    let (recorder, stats) = run(&scenario);
    assert_eq!((stats.walks, stats.reads, stats.hits), (64, 512, 0));
    let reads = || recorder.walks.iter().flat_map(|walk| &walk.reads);
    let first = reads()
        .map(|read| read.cycle)
        .min()
        .expect("there are reads");
    let last = reads()
        .map(|read| read.cycle)
        .max()
        .expect("there are reads");
    512.0 / (last - first + 1) as f64
}

#[test]
fn the_memory_port_is_busy_for_88_of_100_cycles_of_what_the_slots_can_ask_for() {
    println!("format     slots   L   busy  min(1, slots/(L+1))  of it");
    for format in Format::HANDOUT_KIND {
        for slots in [1, 4, 16] {
            for latency in LATENCIES {
                let busy = busy_share(format, slots, latency);
                let limit = (f64::from(slots) / f64::from(latency + 1)).min(1.0);
                println!(
                    "{:10} {slots:5} {latency:3} {busy:6.3} {limit:20.3} {:6.1} %",
                    format.name(),
                    100.0 * busy / limit
                );
                assert!(busy >= 0.88 * limit, "{format} {slots} {latency}: {busy}");
            }
        }
    }
}

/// Returns a machine of the classic geometry, which has many pages.
fn classic(slots: u32, read_bypass: bool) -> Machine {
    Machine {
        slots,
        read_bypass,
        ..Machine::of(Format::Classic32)
    }
}

#[test]
fn with_the_read_bypass_a_walk_of_n_reads_takes_n_times_latency_and_three_cycles() {
    println!("slots   L  1 table  both tables  8L+3");
    for slots in [1, 4, 16] {
        for latency in LATENCIES {
            let ops = vec![load(0, 0), Op::Drain, load(SINGLE_STAGE, 0)];
            let (recorder, _) = run(&scenario_on(classic(slots, true), latency, ops));
            let (walk, one_table) = (cycles(&recorder, 0), cycles(&recorder, 2));
            let contract = |reads: u64| reads * u64::from(latency) + 3;
            println!(
                "{slots:5} {latency:3} {:8} {:12} {:5}",
                one_table.0,
                walk.0,
                contract(8)
            );
            assert_eq!(walk, (contract(8), false));
            assert_eq!(one_table, (contract(2), false));
        }
    }
}

/// Returns the share of cycles with a read if there are always more misses than slots: in the
/// middle 80 % of the reads of 900 walks of different pages.
fn steady_share(machine: Machine, latency: u32) -> f64 {
    const WALKS: u64 = 900;
    let ops = (0..WALKS).map(|n| load(0, n * 4096)).collect();
    let (recorder, stats) = run(&scenario_on(machine, latency, ops));
    assert_eq!(
        (stats.walks, stats.reads, stats.hits),
        (WALKS, 8 * WALKS, 0)
    );
    let mut reads: Vec<u64> = (recorder.walks.iter())
        .flat_map(|walk| walk.reads.iter().map(|read| read.cycle))
        .collect();
    reads.sort_unstable();
    let (first, last) = (reads.len() / 10, reads.len() * 9 / 10);
    (last - first) as f64 / (reads[last] - reads[first]) as f64
}

#[test]
fn in_the_steady_state_of_independent_misses_the_memory_port_is_kept_busy() {
    println!("bypass  slots   L   busy  what the slots can ask for  of it");
    for bypass in [false, true] {
        for slots in [1, 4, 16] {
            for latency in LATENCIES {
                let busy = steady_share(classic(slots, bypass), latency);
                let each = f64::from(latency + u32::from(!bypass));
                let limit = (f64::from(slots) / each).min(1.0);
                println!(
                    "{bypass:6} {slots:6} {latency:3} {busy:6.3} {limit:27.3} {:5.1} %",
                    100.0 * busy / limit
                );
                // A slot is idle between two walks, for 2 cycles, or 3 with the bypass. With one
                // slot no other walk can use these cycles.
                let own = 8.0 * each;
                let alone = own / (own + 2.0 + f64::from(u8::from(bypass)));
                let expected = (f64::from(slots) / each * alone).min(0.95);
                assert!(
                    busy >= 0.995 * expected,
                    "{bypass} {slots} {latency}: {busy}"
                );
            }
        }
    }
}
