// SPDX-License-Identifier: Apache-2.0
//! Scenario files: the files of the project hold, each error is reported at its place, and writing
//! and reading agree.

use std::fs;
use std::path::{Path, PathBuf};

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::format::Format;
use nestwalk::golden::occupancy::RecentPages;
use nestwalk::golden::{self, Mapping, Overlay, Step};
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{
    Access, Context, Fault, FaultKind, Fence, MemoryType, Outcome, Purpose, Query, Stage,
    WalkCaches,
};
use nestwalk::scenario::parse::{LoadError, ParseError, load, parse};
use nestwalk::scenario::write::{to_toml, to_toml_with_header};
use nestwalk::scenario::{
    AccessOp, Expect, ExpectEntry, ExpectFault, Held, Holes, Machine, NamedContext, Op, Scenario,
    Timing,
};
use nestwalk::stimulus::{self, Profile};

mod holding {
    //! Files of `scenarios/` on the golden model.

    use super::*;

    fn files() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .collect();
        files.sort();
        files
    }

    /// Makes a TLB of unlimited size. With one access at a time it hits exactly if a device with
    /// room for everything does.
    fn empty_tlb(format: Format) -> RecentPages {
        RecentPages::new(format, u32::MAX)
    }

    /// Returns the expectations of the scenario that were not met.
    fn differences(scenario: &Scenario) -> Vec<String> {
        let mut memory = scenario.memory.clone();
        let format = scenario.machine.format;
        let mut tlb = empty_tlb(format);
        let mut differences = Vec::new();
        for op in &scenario.ops {
            match op {
                Op::Access(op) => {
                    let found = access(scenario, op, &mut memory, &mut tlb);
                    let line = op.line.unwrap();
                    differences.extend(found.iter().map(|d| format!("line {line}: {d}")));
                }
                Op::Write { at, word } => match word {
                    Some(word) => memory.write(*at, *word),
                    None => memory.remove(*at),
                },
                Op::Fence(fence) => tlb.on_fence(fence),
                Op::Reset => tlb = empty_tlb(format),
                Op::Timing(_) | Op::Wait(_) | Op::Drain | Op::Hold { .. } | Op::WalkCaches(_) => {}
            }
        }
        differences
    }

    fn access(
        scenario: &Scenario,
        op: &AccessOp,
        memory: &mut HostMemory,
        tlb: &mut RecentPages,
    ) -> Vec<String> {
        let format = scenario.machine.format;
        let query = Query {
            context: scenario.contexts[op.context].context,
            gva: op.gva,
            access: op.access,
        };
        let mut steps: Vec<Step> = Vec::new();
        let mut overlay = Overlay::new(memory);
        let found = golden::walk(format, &query, &mut overlay, &mut steps);
        let updates = overlay.updates;
        let expect = op.expect.clone().unwrap_or_default();
        let mut differences = expect.check_golden(format, &steps, &found);

        let expects_memory_fault = expect
            .fault
            .as_ref()
            .is_some_and(|fault| fault.kind == FaultKind::Memory);
        if let Err(fault) = &found
            && fault.kind == FaultKind::Memory
            && scenario.holes == Holes::Reject
            && !expects_memory_fault
        {
            differences.push(format!("a hole: {}", fault.describe(format)));
        }

        let remembered = tlb
            .find(&query)
            .and_then(|page| page.outcome(format, &query));
        let outcome = remembered.unwrap_or_else(|| golden::outcome(&found));
        let reads: Vec<(Hpa, Option<u64>)> = steps
            .iter()
            .filter_map(|step| Some((step.hpa?, step.word)))
            .collect();
        let hit = remembered.is_some();
        let reads = if hit { &[][..] } else { &reads };
        differences.extend(expect.check_device(format, &outcome, hit, reads));
        if hit {
            return differences;
        }
        for (at, word) in updates {
            memory.write(at, word);
        }
        if let Ok(mapping) = found
            && query.context.guest.levels + query.context.host.levels > 0
        {
            tlb.on_fill(&query, &mapping);
        }
        differences
    }

    #[test]
    fn every_answer_that_a_file_expects_is_the_golden_models() {
        let files = files();
        assert!(files.len() >= 5, "{files:?}");
        for file in files {
            let scenario = load(&file).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(differences(&scenario), [""; 0], "{}", file.display());
        }
    }

    #[test]
    fn the_example_of_the_documentation_holds() {
        let docs = include_str!("../docs/scenarios.md");
        let (_, example) = docs.split_once("```toml\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        let scenario = parse(example, "docs/scenarios.md").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(differences(&scenario), [""; 0]);
    }

    #[test]
    fn every_access_of_a_file_expects_something() {
        for file in files() {
            let scenario = load(&file).unwrap();
            let accesses = scenario.ops.iter().filter_map(|op| match op {
                Op::Access(access) => Some(access),
                _ => None,
            });
            let lines: Vec<_> = accesses
                .filter(|access| access.expect.is_none())
                .map(|access| access.line)
                .collect();
            assert_eq!(lines, [], "{}", file.display());
        }
    }

    #[test]
    fn every_file_is_written_as_one_that_says_the_same() {
        for file in files() {
            super::round_trip(&load(&file).unwrap());
        }
    }

    #[test]
    fn a_wrong_expectation_is_seen_in_the_golden_model_and_in_a_device() {
        let text = fs::read_to_string(&files()[1]).unwrap();
        assert!(text.contains("nested-paging") || text.contains("Nested Paging"));
        for (right, wrong, words) in [
            (
                "hpa = 0x11EAC",
                "hpa = 0x11EA8",
                "expected hPA 0x11EA8, observed hPA 0x11EAC",
            ),
            (
                "gpa = 0x41EAC",
                "gpa = 0x41EA8",
                "expected gPA 0x41EA8, observed gPA 0x41EAC",
            ),
            (
                "accesses = 9",
                "accesses = 8",
                "expected 8 memory accesses, observed 9",
            ),
            (
                "0x02008, 0x02040, 0x974D4, #",
                "0x02008, 0x02044, 0x974D4, #",
                "read 5 is the first that differs",
            ),
            (
                "expect.hit = false",
                "expect.hit = true",
                "expected a TLB hit, observed the result of a walk",
            ),
            (
                "word = 0x41234, access = 6",
                "word = 0x41235, access = 6",
                "a guest L2 entry at gPA 0xA74D4 at hPA 0x974D4 that is 0x41235",
            ),
            (
                "word = 0x41234, access = 6",
                "word = 0x41234, access = 5",
                "as access 5",
            ),
            (
                "\"memory\", stage = \"guest\"",
                "\"memory\", stage = \"host\"",
                "expected memory fault at host L2, observed memory fault at guest L2",
            ),
            (
                "kind = \"memory\"",
                "kind = \"reserved\"",
                "expected reserved fault at guest L2, observed memory fault at guest L2",
            ),
        ] {
            assert!(text.contains(right), "{right}");
            let scenario = parse(&text.replacen(right, wrong, 1), "exercise.toml").unwrap();
            let differences = differences(&scenario);
            assert!(
                differences.iter().any(|d| d.contains(words)),
                "{wrong}: {differences:#?}"
            );
        }
    }

    #[test]
    fn a_device_that_hits_is_not_asked_what_it_read() {
        let expect = Expect {
            hpa: Some(Hpa(0x11EAC)),
            reads: Some(vec![Hpa(0x2008)]),
            accesses: Some(9),
            entries: vec![ExpectEntry {
                stage: Stage::Guest,
                level: 1,
                gpa: None,
                hpa: Some(Hpa(0x229A4)),
                word: None,
                access: Some(3),
            }],
            ..Expect::default()
        };
        let outcome: Outcome = Ok(nestwalk::mmu::Translation {
            gpa: Gpa(0x41EAC),
            hpa: Hpa(0x11EAC),
            page_size: 16,
            memory_type: MemoryType::Pma,
        });
        assert_eq!(
            expect.check_device(Format::Handout, &outcome, true, &[]),
            [""; 0]
        );
        let missed = expect.check_device(Format::Handout, &outcome, false, &[]);
        assert_eq!(
            missed,
            [
                "expected reads of 0x02008, observed nothing; read 1 is the first that differs",
                "expected 9 memory accesses, observed 1",
                "expected a guest L1 entry at hPA 0x229A4 as access 3; read nothing",
            ]
        );
    }

    #[test]
    fn a_fault_is_compared_as_far_as_it_is_given() {
        let found: Result<Mapping, Fault> = Err(Fault {
            kind: FaultKind::Invalid,
            at: nestwalk::mmu::Position::Host {
                level: 0,
                gpa: Gpa(0x1234),
                purpose: Purpose::GuestEntry(1),
            },
            trap: None,
        });
        let check = |fault: ExpectFault| {
            let expect = Expect {
                fault: Some(fault),
                ..Expect::default()
            };
            expect.check_golden(Format::Handout, &[], &found)
        };
        let kind = ExpectFault {
            kind: FaultKind::Invalid,
            stage: None,
            level: None,
            gpa: None,
            purpose: None,
        };
        let all = ExpectFault {
            stage: Some(Stage::Host),
            level: Some(0),
            gpa: Some(Gpa(0x1234)),
            purpose: Some(Purpose::GuestEntry(1)),
            ..kind.clone()
        };
        assert_eq!(check(kind), [""; 0]);
        assert_eq!(check(all.clone()), [""; 0]);
        for wrong in [
            ExpectFault {
                stage: Some(Stage::Guest),
                ..all.clone()
            },
            ExpectFault {
                level: Some(1),
                ..all.clone()
            },
            ExpectFault {
                gpa: Some(Gpa(0x1230)),
                ..all.clone()
            },
            ExpectFault {
                purpose: Some(Purpose::Data),
                ..all.clone()
            },
            ExpectFault {
                kind: FaultKind::Permission,
                ..all
            },
        ] {
            assert_eq!(check(wrong.clone()).len(), 1, "{wrong:?}");
        }
    }
}

/// Fails unless the scenario, written and read, is the same except for line numbers.
fn round_trip(scenario: &Scenario) -> String {
    let text = to_toml(scenario);
    let read = parse(&text, "written.toml").unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.title, scenario.title);
    assert_eq!(read.machine, scenario.machine);
    assert_eq!(read.memory.words(), scenario.memory.words());
    assert_eq!(read.holes, scenario.holes);
    assert_eq!(read.timing, scenario.timing);
    assert_eq!(read.contexts, scenario.contexts);
    let without_lines = |ops: &[Op]| -> Vec<Op> {
        let mut ops = ops.to_vec();
        for op in &mut ops {
            if let Op::Access(access) = op {
                access.line = None;
            }
        }
        ops
    };
    assert_eq!(
        without_lines(&read.ops),
        without_lines(&scenario.ops),
        "{text}"
    );
    text
}

mod writing {
    //! The output of `write`.

    use super::*;

    fn full() -> Scenario {
        let mut memory = HostMemory::new(Format::Handout);
        for i in 0..40 {
            // A run of equal words with others around it, then a gap.
            memory.write(Hpa(0x100 + 4 * i), if (5..35).contains(&i) { 0 } else { i });
        }
        memory.write(Hpa(0xFFFFC), 0xFFFF_FFFF);
        let context = |name: &str, guest_root, rights, asid, vmid| NamedContext {
            name: name.into(),
            context: Context {
                rights,
                asid,
                vmid,
                ..Context::handout(guest_root, Hpa(0x2002))
            },
        };
        let access = |context, access, expect: Option<Expect>| {
            Op::Access(AccessOp {
                context,
                gva: Gva(0x61EAC),
                access,
                speculative: false,
                expect: expect.map(Box::new),
                line: None,
            })
        };
        let timing = Timing {
            seed: u64::MAX,
            latency: 1..=1000,
            memory_busy: 90,
            memory_run: 25,
            response_busy: 1,
            request_idle: 2,
            request_run: 3,
            errors: 1000,
            reorder: true,
            after_valid: true,
            response_after_valid: true,
        };
        let entry = ExpectEntry {
            stage: Stage::Guest,
            level: 1,
            gpa: Some(Gpa(0xB29A4)),
            hpa: Some(Hpa(0x229A4)),
            word: Some(0xA74CC),
            access: Some(3),
        };
        let fault = ExpectFault {
            kind: FaultKind::Memory,
            stage: Some(Stage::Host),
            level: Some(1),
            gpa: Some(Gpa(0x1234)),
            purpose: Some(Purpose::GuestEntry(0)),
        };
        let expects = [
            Expect::default(),
            Expect {
                hpa: Some(Hpa(0)),
                gpa: Some(Gpa(0xFFFFF)),
                reads: Some(vec![Hpa(0x2008), Hpa(0x2008)]),
                accesses: Some(9),
                hit: Some(false),
                fault: None,
                entries: vec![
                    entry.clone(),
                    ExpectEntry {
                        stage: Stage::Host,
                        level: 0,
                        gpa: None,
                        hpa: None,
                        word: None,
                        access: None,
                    },
                ],
                ..Expect::default()
            },
            Expect {
                reads: Some(vec![]),
                fault: Some(fault.clone()),
                hit: Some(true),
                ..Expect::default()
            },
            Expect {
                fault: Some(ExpectFault {
                    purpose: Some(Purpose::Data),
                    ..fault.clone()
                }),
                ..Expect::default()
            },
            Expect {
                fault: Some(ExpectFault {
                    kind: FaultKind::Permission,
                    stage: None,
                    level: None,
                    gpa: None,
                    purpose: None,
                }),
                ..Expect::default()
            },
        ];
        let mut ops: Vec<Op> = expects
            .into_iter()
            .map(|expect| access(0, Access::Load, Some(expect)))
            .collect();
        ops.extend([
            access(1, Access::Store, None),
            access(2, Access::Fetch, None),
            Op::Fence(Fence::default()),
            Op::Fence(Fence {
                gva: Some(Gva(0x12345)),
                gpa: Some(Gpa(0xFFFFF)),
                asid: Some(0xFFFF),
                vmid: Some(0x3FFF),
                ..Fence::default()
            }),
            Op::Write {
                at: Hpa(0xFFFFC),
                word: Some(0xFFFF_FFFF),
            },
            Op::Write {
                at: Hpa(0),
                word: None,
            },
            Op::Reset,
            Op::Timing(timing.clone()),
            Op::Timing(timing.clone()),
            Op::Timing(Timing {
                memory_run: 12,
                request_run: 1000,
                ..timing.clone()
            }),
            Op::Hold {
                what: Held::Reads,
                cycles: 1,
            },
            Op::Hold {
                what: Held::Answers,
                cycles: 300,
            },
            Op::Hold {
                what: Held::Responses,
                cycles: 100_000,
            },
            Op::Timing(Timing {
                request_idle: 3,
                ..timing.clone()
            }),
            Op::Timing(Timing {
                latency: 7..=7,
                request_idle: 0,
                ..timing
            }),
            Op::Wait(0),
            Op::Wait(20),
            Op::Drain,
            Op::Drain,
        ]);
        Scenario {
            title: "every \"kind\" of \\ op, and '''quotes'''".into(),
            machine: Machine {
                tlb_entries: 4,
                checked: true,
                ..Machine::of(Format::Handout)
            },
            memory,
            holes: Holes::Fault,
            timing: Timing {
                seed: 3,
                ..Timing::default()
            },
            contexts: vec![
                context("a", None, false, 0, 0),
                context("b \"quoted\"", Some(Gpa(0xBFFFA)), true, 65535, 16383),
                context("", Some(Gpa(0)), false, 1, 1),
            ],
            ops,
        }
    }

    #[test]
    fn every_kind_of_op_and_every_expectation_comes_back() {
        let text = round_trip(&full());
        // Runs of equal words do not make a file long.
        assert!(text.contains("words = [0x00000]\nrepeat = 30\n"), "{text}");
    }

    #[test]
    fn what_a_device_must_ignore_and_walk_caches_that_are_switched_come_back() {
        let mut scenario = stimulus::scenario(Profile::ALL[5], 1, 0, 10);
        scenario.machine = Machine {
            tlb_entries: 4,
            max_levels: 3,
            svadu: false,
            ..Machine::of(Format::Rv64)
        };
        scenario.contexts.truncate(1);
        let context = &mut scenario.contexts[0].context;
        context.guest.levels = 3;
        context.guest.root = Gpa(0x1FF8);
        context.host.levels = 3;
        context.host.root = Hpa(0x7FF1);
        (context.virt, context.guest.adue, context.host.adue) = (true, true, true);
        scenario.ops = [
            WalkCaches::default(),
            WalkCaches::ALL,
            WalkCaches {
                host: true,
                ..WalkCaches::default()
            },
        ]
        .map(Op::WalkCaches)
        .to_vec();
        let text = round_trip(&scenario);
        assert!(text.contains("walk_caches = [\"host\"]\n"), "{text}");
    }

    #[test]
    fn a_scenario_of_the_other_format_comes_back() {
        let mut scenario = full();
        scenario.machine = Machine::of(Format::Classic32);
        scenario.memory.write(Hpa(0xFFFF_FFFC), 1);
        scenario.contexts.truncate(1);
        scenario.ops = vec![Op::Access(AccessOp {
            context: 0,
            gva: Gva(0xFFFF_FFFF),
            access: Access::Load,
            speculative: false,
            expect: None,
            line: None,
        })];
        let text = round_trip(&scenario);
        assert!(text.contains("load = 0xFFFFFFFF\n"), "{text}");
    }

    #[test]
    fn random_scenarios_of_every_profile_come_back() {
        for profile in Profile::ALL {
            for number in 0..50 {
                round_trip(&stimulus::scenario(profile, 1, number, 100));
            }
        }
    }

    #[test]
    fn a_header_is_a_comment() {
        let text = to_toml_with_header(&full(), "first\n\nthird");
        assert!(
            text.starts_with("# first\n#\n# third\n\ntitle = "),
            "{text}"
        );
        parse(&text, "written.toml").unwrap();
    }
}

mod lowering {
    //! The scenario that a file describes.

    use super::*;

    const HEAD: &str = r#"
title = "test"
machine = { format = "handout" }
[memory]
tables = { from = 0x00000, bytes = 0x1000 }
[[host]]
name = "vm"
map = [{ from = 0x00000, to = 0x10000, pages = 6 }]
[[guest]]
name = "p"
host = "vm"
map = [{ from = 0x00000, to = 0x10000 }]
[[context]]
name = "one"
host = "vm"
guest = "p"
asid = 5
vmid = 6
rights = true
[[context]]
name = "two"
host = "vm"
asid = 7
vmid = 8
rights = true
"#;

    fn ops(text: &str) -> Vec<Op> {
        let text = format!("{HEAD}{text}");
        parse(&text, "test.toml")
            .unwrap_or_else(|error| panic!("{error}"))
            .ops
    }

    fn kinds(ops: &[Op]) -> Vec<&'static str> {
        ops.iter()
            .map(|op| match op {
                Op::Access(_) => "access",
                Op::Fence(_) => "fence",
                Op::Write { .. } => "write",
                Op::Timing(_) => "timing",
                Op::Wait(_) => "wait",
                Op::Drain => "drain",
                Op::Reset => "reset",
                Op::Hold { .. } => "hold",
                Op::WalkCaches(_) => "walk caches",
            })
            .collect()
    }

    #[test]
    fn what_changes_something_waits_for_the_accesses_before_unless_it_is_a_race() {
        let ops = ops(r#"
            [[op]]
            fence = "all"
            [[op]]
            load = 0
            [[op]]
            fence = "all"
            race = true
            [[op]]
            write = { at = 0x0, word = 1 }
            [[op]]
            write = { at = 0x0, hole = true }
            race = false
            [[op]]
            wait = 3
            [[op]]
            wait = "idle"
            [[op]]
            requests = { idle = 10 }
            [[op]]
            memory = { busy = 10 }
        "#);
        assert_eq!(
            kinds(&ops),
            [
                "fence", "access", "fence", "drain", "write", "drain", "write", "wait", "drain",
                "timing", "drain", "timing"
            ]
        );
    }

    #[test]
    fn one_access_at_a_time_waits_before_each() {
        let text = HEAD.replace("[memory]", "[requests]\none_at_a_time = true\n[memory]");
        let text = format!("{text}\n[[op]]\nload = 0\n[[op]]\nload = 4\n[[op]]\nload = 8");
        let ops = parse(&text, "test.toml").unwrap().ops;
        assert_eq!(
            kinds(&ops),
            ["access", "drain", "access", "drain", "access"]
        );
    }

    #[test]
    fn an_access_is_in_the_context_that_it_names_or_that_of_the_last_switch() {
        let ops = ops(r#"
            [[op]]
            load = 0
            [[op]]
            load = 0
            context = "two"
            [[op]]
            load = 0
            [[op]]
            switch = "two"
            [[op]]
            fetch = 0
            [[op]]
            store = 0
            context = "one"
        "#);
        let contexts: Vec<usize> = ops
            .iter()
            .filter_map(|op| match op {
                Op::Access(access) => Some(access.context),
                _ => None,
            })
            .collect();
        assert_eq!(contexts, [0, 1, 0, 1, 0]);
    }

    #[test]
    fn an_access_knows_its_line() {
        let ops = ops("[[op]]\ncontext = \"one\"\nload = 0\n");
        let line = HEAD.lines().count() as u32 + 3;
        assert!(matches!(&ops[0], Op::Access(access) if access.line == Some(line)));
    }

    #[test]
    fn the_fences_owed_are_those_of_the_contexts_that_use_the_table() {
        let ops = ops(r#"
            [[op]]
            map = { guest = "p", from = 0x00000, to = 0x20000 }
            [[op]]
            map = { guest = "p", from = 0x00000, to = 0x30000 }
            [[op]]
            fence = "owed"
            [[op]]
            map = { host = "vm", from = 0x10000, to = 0x80000 }
            [[op]]
            fence = "owed"
            [[op]]
            map = { host = "vm", from = 0x00000, to = 0x90000 }
            [[op]]
            fence = "owed"
            [[op]]
            map = { host = "vm", from = 0x10000, to = 0x80000 }
            [[op]]
            write = { at = 0x0, word = 1 }
            [[op]]
            fence = "owed"
        "#);
        let fences: Vec<Fence> = ops
            .iter()
            .filter_map(|op| match op {
                Op::Fence(fence) => Some(*fence),
                _ => None,
            })
            .collect();
        let host = |gpa, vmid| Fence {
            gpa,
            vmid: Some(vmid),
            ..Fence::default()
        };
        assert_eq!(
            fences,
            [
                Fence {
                    gva: Some(Gva(0)),
                    gpa: None,
                    asid: Some(5),
                    vmid: Some(6),
                    ..Fence::default()
                },
                host(Some(Gpa(0x10000)), 6),
                host(Some(Gpa(0x10000)), 8),
                // The guest tables are there.
                host(None, 6),
                host(None, 8),
                Fence::default(),
            ]
        );
    }

    #[test]
    fn a_host_with_guest_tables_that_are_not_known_owes_a_fence_of_all_its_pages() {
        let text = HEAD.replace("guest = \"p\"", "guest = 0x00000000")
            + "[[op]]\nmap = { host = \"vm\", from = 0x10000, to = 0x80000 }\n[[op]]\nfence = \"owed\"";
        // 0 is the address of p's tables, so its value is known; any other address is not.
        let known = parse(&text, "test.toml").unwrap().ops;
        let unknown = text.replace("guest = 0x00000000", "guest = 0x00004");
        let unknown = parse(&unknown, "test.toml").unwrap().ops;
        let gpa = |ops: &[Op]| match ops.iter().find(|op| matches!(op, Op::Fence(_))) {
            Some(Op::Fence(fence)) => fence.gpa,
            _ => panic!("no fence"),
        };
        assert_eq!(gpa(&known), Some(Gpa(0x10000)));
        assert_eq!(gpa(&unknown), None);
    }

    #[test]
    fn a_table_that_is_added_is_there_before_the_pointer_to_it() {
        let ops = ops(r#"
            [[op]]
            map = { guest = "p", from = 0xC0000, to = 0x20000 }
        "#);
        let written: Vec<u64> = ops
            .iter()
            .filter_map(|op| match op {
                Op::Write { at, .. } => Some(at.0),
                _ => None,
            })
            .collect();
        // Four words of an L2 table, then entry 3 of the L1 table, which is at gPA 0, hPA 0x10000.
        assert_eq!(written, [0x10030, 0x10034, 0x10038, 0x1003C, 0x1000C]);
    }

    #[test]
    fn behaviour_not_named_stays_as_it_was() {
        let ops = ops(r#"
            [[op]]
            memory = { latency = [1, 5], errors = 7 }
            [[op]]
            requests = { idle = 20 }
            [[op]]
            memory = { latency = 3 }
        "#);
        let Some(Op::Timing(timing)) = ops.last() else {
            panic!("{ops:?}")
        };
        let expected = Timing {
            latency: 3..=3,
            errors: 7,
            request_idle: 20,
            ..Timing::default()
        };
        assert_eq!(*timing, expected);
    }

    #[test]
    fn a_guest_table_in_a_host_known_by_its_root_is_put_where_the_image_leads() {
        let text = r#"
            title = "test"
            machine.format = "handout"
            [[memory.image]]
            at = 0x02000
            words = [0x02010, 0x02010, 0x02010, 0x02010, 0x50000, 0x60000, 0x70000, 0x80000]
            [[guest]]
            name = "p"
            host = 0x02000
            tables = 0x2FFFC
            map = [{ from = 0x00000, to = 0x10000 }]
            [[context]]
            name = "c"
            host = 0x02000
            guest = "p"
            [[op]]
            load = 0x00000
        "#;
        let scenario = parse(text, "test.toml").unwrap();
        // The L1 table is at gPA 0x2FFFC to 0x3000B, then comes the table for what is not mapped,
        // then the L2 table.
        let word = |at| scenario.memory.read(Hpa(at)).unwrap();
        assert_eq!(word(0x7FFFC), 0x3001C);
        assert_eq!(word(0x80000), 0x3000C);
        assert_eq!(word(0x8001C), 0x1000F);
    }

    #[test]
    fn a_table_may_be_given_in_lines_too_and_a_comment_anywhere() {
        let text = "title = 'x'\nmachine.format = 'handout'\n[[context]]\nname = 'c'\nhost = 0x1_000\n\
                    [[op]]\nload = 0b11\nexpect = {\n  hpa = 0x1, # comment\n  hit = false,\n}\n";
        let scenario = parse(text, "test.toml").unwrap();
        assert_eq!(scenario.contexts[0].context.host.root, Hpa(0x1000));
        assert!(matches!(&scenario.ops[0], Op::Access(access)
            if access.gva == Gva(3) && access.expect.as_ref().unwrap().hit == Some(false)));
    }
}

mod mistakes {
    //! Each error is reported at its place, with the correction.

    use super::*;

    /// Parses a text in which `@@` marks the place of the error, and checks that the error is there
    /// and contains all of the words.
    #[track_caller]
    fn wrong(marked: &str, words: &[&str]) -> ParseError {
        let at = marked.find("@@").expect("a mark");
        let text = marked.replacen("@@", "", 1);
        let error = parse(&text, "dir/test.toml").expect_err("no error");
        let shown = error.to_string();
        let before = &marked[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        assert_eq!((error.line(), error.column()), (line, column), "{shown}");
        assert_eq!(error.span().start, at, "{shown}");
        let place = format!("dir/test.toml:{line}:{column}\n");
        assert!(shown.contains(&place), "{place} is not in\n{shown}");
        for word in words {
            assert!(shown.contains(word), "{word:?} is not in\n{shown}");
        }
        // The line itself is shown, or a part of it.
        let source = text.lines().nth(line - 1).unwrap_or("").trim_end();
        assert!(source.len() > 100 || shown.contains(source), "{shown}");
        error
    }

    /// Checks the same as [`wrong`], with a correct head before the text.
    #[track_caller]
    fn wrong_op(op: &str, words: &[&str]) {
        wrong(&format!("{HEAD}{op}"), words);
    }

    const HEAD: &str = r#"title = "test"
[machine]
format = "handout"
[memory]
tables = { from = 0x00000, bytes = 0x1000 }
[[memory.image]]
at = 0x20000
words = [0x1, 0x2]
[[host]]
name = "vm0"
map = [{ from = 0x00000, to = 0x10000 }, { from = 0x40000, to = 0x30000, pages = 4 }]
[[guest]]
name = "p0"
host = "vm0"
tables = 0x41000
map = [{ from = 0x00000, to = 0x40000, pages = 4 }]
[[context]]
name = "vm0.p0"
host = "vm0"
guest = "p0"
[[op]]
load = 0x12345
"#;

    fn machine(rest: &str) -> String {
        format!("title = \"test\"\n[machine]\nformat = \"handout\"\n{rest}")
    }

    #[test]
    fn the_head_of_these_tests_is_right() {
        parse(HEAD, "test.toml").unwrap();
    }

    #[test]
    fn a_file_that_has_been_cut_off_ends_too_early() {
        wrong(
            "title = \"test\"\n[machine]\nformat = \"hand@@",
            &["not TOML", "truncated"],
        );
        wrong(
            "title = \"test\"\n[memory]\ntables = { from = 0x0, byt@@",
            &["not TOML", "`}`", "truncated"],
        );
        wrong(
            "title = \"test\"\n[[memory.image]]\nwords = [\n  0x1, 0x2,@@\n",
            &["not TOML", "`]`"],
        );
        wrong(
            "title = \"test\"\n[mach@@",
            &["not TOML", "`]`", "truncated"],
        );
        wrong("title@@", &["not TOML", "`=`"]);
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = 0x2000@@\n"),
            &["nothing happens", "[[op]]"],
        );
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = 0x2000\n@@[[op]]\n"),
            &["does nothing", "`load`"],
        );
    }

    #[test]
    fn every_beginning_of_a_file_is_read_or_gives_an_error_and_no_more() {
        for end in 0..HEAD.len() {
            if let Err(error) = parse(&HEAD[..end], "test.toml") {
                assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn a_text_that_is_no_toml_is_shown_where_it_stops_to_be() {
        wrong("title = @@test\n", &["not TOML"]);
        wrong(
            "title = \"a\"\n@@title = \"b\"\n",
            &["not TOML", "duplicate key", "[[op]]"],
        );
        wrong("@@", &["no `title`"]);
    }

    #[test]
    fn a_misspelt_key_is_told_the_near_one_and_all() {
        wrong(
            "title = \"test\"\n@@machin = 1\n",
            &["unknown key `machin`", "did you mean `machine`?"],
        );
        wrong(
            &machine("@@slot = 4\n"),
            &[
                "unknown key `slot` in [machine]",
                "did you mean `slots`?",
                "`checked`",
            ],
        );
        wrong_op(
            "[[op]]\n@@laod = 0x1\n",
            &[
                "unknown key `laod` in [[op]]",
                "did you mean `load`?",
                "`unmap`",
            ],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.@@hap = 0x1\n",
            &["`hap` in `expect`", "did you mean `hpa`?"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.fault = { kind = \"memory\", @@lvl = \"L1\" }\n",
            &["`lvl` in `fault`"],
        );
        wrong_op(
            "[[op]]\nfence = { @@vmdi = 1 }\n",
            &["did you mean `vmid`?"],
        );
        wrong(
            &machine("[memory]\n@@lattency = 1\n"),
            &["did you mean `latency`?"],
        );
        wrong(
            &machine("[memory]\n@@completely_different = 1\n"),
            &["keys: `holes`"],
        );
    }

    #[test]
    fn a_misspelt_value_is_told_the_near_one_and_all() {
        wrong(
            "title = \"test\"\nmachine.format = @@\"handuot\"\n",
            &[
                "unknown format `handuot`",
                "did you mean `handout`?",
                "`classic32`",
            ],
        );
        wrong(
            &machine("[memory]\nholes = @@\"rejct\"\n"),
            &["`rejct`", "did you mean `reject`?", "`fault`"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.fault.kind = @@\"permision\"\n",
            &[
                "unknown kind of fault",
                "did you mean `permission`?",
                "`misaligned`",
            ],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.fault = { kind = \"memory\", level = @@\"L3\" }\n",
            &["unknown level `L3`", "`L1`, `L2`"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.fault = { kind = \"memory\", for = @@\"date\" }\n",
            &["unknown purpose", "did you mean `data`?"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.entries = [{ stage = @@\"gest\", level = \"L1\" }]\n",
            &["unknown stage", "did you mean `guest`?"],
        );
        wrong_op(
            "[[op]]\nfence = @@\"everything\"\n",
            &["unknown fence", "`all`, `owed`"],
        );
        wrong_op("[[op]]\nwait = @@\"idel\"\n", &["did you mean `idle`?"]);
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", from = 0x0, to = 0x0, rights = @@\"rwz\" }\n",
            &["unknown right `z`", "r, w, x"],
        );
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", from = 0x0, to = 0x0, rights = @@\"rr\" }\n",
            &["`r` is given twice"],
        );
    }

    #[test]
    fn a_name_that_nothing_has_is_told_those_known() {
        wrong_op(
            "[[op]]\nload = 0x1\ncontext = @@\"vm0.p1\"\n",
            &[
                "unknown context `vm0.p1`",
                "did you mean `vm0.p0`?",
                "known: `vm0.p0`",
            ],
        );
        wrong_op(
            "[[op]]\nswitch = @@\"other\"\n",
            &["unknown context `other`", "known: `vm0.p0`"],
        );
        wrong_op(
            "[[op]]\nmap = { host = @@\"vm1\", from = 0x0, to = 0x0 }\n",
            &["unknown host table `vm1`", "`vm0`"],
        );
        wrong_op(
            "[[op]]\nunmap = { guest = @@\"p1\", from = 0x0 }\n",
            &["unknown guest table `p1`", "`p0`"],
        );
        wrong(
            &HEAD.replace("guest = \"p0\"", "guest = @@\"q\""),
            &["unknown guest table `q`", "`p0`"],
        );
        wrong(
            &HEAD.replace("host = \"vm0\"\nguest", "host = @@\"vm\"\nguest"),
            &["unknown host table `vm`", "did you mean `vm0`?"],
        );
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = @@\"0x2000\"\n"),
            &["unknown host table", "without quotes"],
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_the_right_one() {
        wrong(
            "title = @@5\n",
            &["`title` cannot be an integer", "one line"],
        );
        wrong(
            "title = \"test\"\nmachine = @@\"handout\"\n",
            &["`machine` cannot be a string", "a table"],
        );
        wrong(
            &machine("slots = @@\"4\"\n"),
            &["`slots` cannot be a string", "without quotes"],
        );
        wrong(
            &machine("checked = @@1\n"),
            &["`checked` cannot be an integer", "true or false"],
        );
        wrong(
            &machine("[@@op]\nload = 0\n"),
            &["`op` is one table", "write [[op]]"],
        );
        wrong(
            &machine("[[context]]\nname = @@1\nhost = 0\n"),
            &["`name` cannot be an integer", "in quotes"],
        );
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = @@1.5\n"),
            &["`host` cannot be a float", "[[host]]"],
        );
        wrong(
            &machine("[[memory.image]]\nat = 0x0\nwords = @@0x1\n"),
            &["`words` cannot be an integer", "a list of words"],
        );
        wrong(
            &machine("[memory]\nlatency = @@\"fast\"\n"),
            &["`latency` cannot be a string", "cycles, 1 to 1000"],
        );
        wrong_op(
            "[[op]]\nload = @@\"0x1\"\n",
            &["`load` cannot be a string", "write numbers without quotes"],
        );
        wrong_op(
            "[[op]]\nfence = @@5\n",
            &["`fence` cannot be an integer", "\"owed\""],
        );
        wrong_op(
            "[[op]]\nwait = @@true\n",
            &["`wait` cannot be a boolean", "\"idle\""],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect = @@0x1\n",
            &["`expect` cannot be an integer", "a table"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.entries = [@@0x1]\n",
            &["`entries` cannot be an integer", "stage"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.reads = @@0x1\n",
            &["`reads` cannot be an integer", "a list of hPAs"],
        );
    }

    #[test]
    fn a_number_out_of_range_is_told_the_range() {
        wrong_op(
            "[[op]]\nload = @@0x100000\n",
            &[
                "`load` = 0x100000 is out of range",
                "gVA has 20 bits: 0x0 to 0xFFFFF",
            ],
        );
        wrong_op("[[op]]\nload = @@-1\n", &["`load` = -1 is out of range"]);
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.hpa = @@0xFFFFFF\n",
            &["hPA has 20 bits"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.reads = [0x1, @@0x100000]\n",
            &["hPA has 20 bits"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.entries = [{ stage = \"guest\", level = \"L1\", access = @@0 }]\n",
            &["1 to 1000"],
        );
        wrong_op(
            "[[op]]\nfence = { gpa = @@0x100000 }\n",
            &["gPA has 20 bits"],
        );
        wrong_op("[[op]]\nfence = { vmid = @@16384 }\n", &["0 to 16383"]);
        wrong_op(
            "[[op]]\nwrite = { at = 0x0, word = @@0x100000000 }\n",
            &["a word has 32 bits"],
        );
        wrong_op("[[op]]\nwait = @@1000000001\n", &["0 to 1000000000"]);
        wrong_op("[[op]]\nmemory = { busy = @@91 }\n", &["0 to 90"]);
        wrong(&machine("[memory]\nlatency = @@0\n"), &["1 to 1000"]);
        wrong(
            &machine("[memory]\nlatency = [5, @@4]\n"),
            &["the least `latency` is 5, but the most is 4"],
        );
        wrong(
            &machine("[memory]\nlatency = @@[1, 2, 3]\n"),
            &["does not have two numbers"],
        );
        wrong(&machine("[memory]\nerrors = @@1001\n"), &["0 to 1000"]);
        wrong(
            &machine("[memory]\nseed = @@18446744073709551616\n"),
            &["0 to 18446744073709551615"],
        );
        wrong(&machine("[requests]\nidle = @@91\n"), &["0 to 90"]);
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = 0\nasid = @@65536\n"),
            &["`asid` = 65536", "0 to 65535"],
        );
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = 0\nvmid = @@16384\n"),
            &["0 to 16383"],
        );
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = @@0x100000\n"),
            &["hPA has 20 bits"],
        );
        wrong(
            &machine("[[context]]\nname = \"a\"\nhost = 0\nguest = @@0x100000\n"),
            &["gPA has 20 bits"],
        );
        wrong(
            &machine("[[memory.image]]\nat = @@0x100000\nwords = [1]\n"),
            &["hPA has 20 bits"],
        );
        wrong(
            &machine("[[memory.image]]\nat = 0xFFFFC\nwords = @@[1, 2]\n"),
            &["exceed the machine's memory", "20 bits"],
        );
        wrong(
            &machine("[[memory.image]]\nat = 0x0\nwords = [1]\nrepeat = @@0\n"),
            &["`repeat` = 0"],
        );
        wrong(
            &machine("[memory]\ntables = { from = 0xFFFF0, bytes = @@0x20 }\n"),
            &["16 to 16"],
        );
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", from = @@0xE0000, to = 0x0, pages = 3 }\n",
            &[
                "3 pages from gPA 0xE0000",
                "the address space has 2 from here on",
            ],
        );
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", from = 0x0, to = @@0xE0000, pages = 3 }\n",
            &["3 pages from hPA 0xE0000"],
        );
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", from = 0x0, to = 0x0, pages = @@17 }\n",
            &["1 to 16"],
        );
    }

    #[test]
    fn an_address_that_is_not_aligned_is_told_the_one_below() {
        wrong(
            &machine("[[memory.image]]\nat = @@0x02002\nwords = [1]\n"),
            &["hPA 0x02002 is not aligned", "0x02000"],
        );
        wrong(
            &machine("[memory]\ntables = { from = @@0x2, bytes = 0x100 }\n"),
            &["not aligned", "0x4"],
        );
        wrong(
            &HEAD.replace("tables = 0x41000", "tables = @@0x41001"),
            &["gPA 0x41001 is not aligned"],
        );
        wrong_op(
            "[[op]]\nwrite = { at = @@0x2, word = 0x1 }\n",
            &["hPA 0x00002 is not aligned"],
        );
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", from = @@0x1000, to = 0x0 }\n",
            &[
                "gPA 0x01000 is not aligned",
                "pages are at multiples of 0x10000",
            ],
        );
        wrong_op(
            "[[op]]\nmap = { guest = \"p0\", from = 0x0, to = @@0x12345 }\n",
            &["gPA 0x12345 is not aligned", "0x10000"],
        );
    }

    #[test]
    fn what_is_missing_is_named_with_what_it_is() {
        wrong("@@[machine]\nformat = \"handout\"\n", &["no `title`"]);
        wrong(
            "@@title = \"test\"\n",
            &["no `machine`", "`handout`, `classic32`, `rv32` or `rv64`"],
        );
        wrong(
            "title = \"test\"\n@@[machine]\nslots = 4\n",
            &["[machine] has no `format`", "`handout`"],
        );
        wrong(
            &machine("@@[[context]]\nname = \"a\"\n"),
            &["[[context]] has no `host`", "base register"],
        );
        wrong(
            &machine("@@[[context]]\nhost = 0x0\n"),
            &["[[context]] has no `name`"],
        );
        wrong(
            &machine("@@[[memory.image]]\nat = 0x0\n"),
            &["[[memory.image]] has no `words`"],
        );
        wrong(
            &machine("[[memory.image]]\nat = 0x0\nwords = @@[]\n"),
            &["an image without words"],
        );
        wrong(
            &machine("[[host]]\nname = @@\"vm\"\nmap = []\n"),
            &["no room for host table `vm`", "tables = {"],
        );
        wrong(
            &machine("@@[[guest]]\nname = \"p\"\nhost = 0x2000\n"),
            &["[[guest]] has no `tables`", "given by a register"],
        );
        wrong_op(
            "[[op]]\nmap = @@{ host = \"vm0\", from = 0x0 }\n",
            &["`map` has no `to`", "hPA"],
        );
        wrong_op(
            "[[op]]\nmap = @@{ from = 0x0, to = 0x0 }\n",
            &["names no table", "`host` or `guest`"],
        );
        wrong_op(
            "[[op]]\nwrite = @@{ at = 0x0 }\n",
            &["neither `word` nor `hole`", "`hole` = true"],
        );
        wrong_op(
            "[[op]]\nfence = @@{}\n",
            &["without an operand", "fence = \"all\""],
        );
        wrong_op("[[op]]\nmemory = @@{}\n", &["`memory` changes nothing"]);
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.fault = @@{ stage = \"host\" }\n",
            &["`fault` has no `kind`", "`permission`"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.entries = [@@{ stage = \"host\" }]\n",
            &["an entry has no `level`"],
        );
        wrong_op("@@[[op]]\nrace = true\n", &["does nothing"]);
        wrong(&machine("[[op]]\n@@load = 0x0\n"), &["no [[context]]"]);
    }

    #[test]
    fn an_op_does_one_thing() {
        wrong_op(
            "[[op]]\nload = 0x1\n@@store = 0x2\n",
            &["two things, `load` and `store`", "another [[op]]"],
        );
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", from = 0x0, to = 0x0 }\n@@memory = { busy = 1 }\n",
            &["`map` and `memory`"],
        );
        // Memory and requester may change in the same cycle.
        parse(
            &format!("{HEAD}[[op]]\nrequests = {{ idle = 1 }}\nmemory = {{ busy = 1 }}\n"),
            "test.toml",
        )
        .unwrap();
    }

    #[test]
    fn keys_that_do_not_go_together_are_shown() {
        wrong_op(
            "[[op]]\nfence = \"all\"\n@@context = \"vm0.p0\"\n",
            &["`context` with `fence`", "`load`"],
        );
        wrong_op(
            "[[op]]\nwait = 1\n@@expect = {}\n",
            &["`expect` with `wait`"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\n@@race = true\n",
            &["`race` with `load`", "`write`"],
        );
        wrong_op(
            "[[op]]\nwrite = { at = 0x0, word = 0x1, @@hole = true }\n",
            &["`word` and `hole`"],
        );
        wrong_op(
            "[[op]]\nwrite = { at = 0x0, hole = @@false }\n",
            &["has no effect"],
        );
        wrong_op(
            "[[op]]\nmap = { host = \"vm0\", @@guest = \"p0\", from = 0x0, to = 0x0 }\n",
            &["`host` and `guest`"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect = { hpa = 0x1, @@fault = { kind = \"memory\" } }\n",
            &["`hpa` and `fault`"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.fault = { kind = \"memory\", stage = \"guest\", @@gpa = 0x1 }\n",
            &["only a fault of the host stage"],
        );
        wrong_op(
            "[[op]]\nload = 0x1\nexpect.entries = [{ stage = \"host\", level = \"L1\", @@gpa = 0x1 }]\n",
            &["it has only an hPA"],
        );
    }

    /// Checks that the head of a file with one context and one operation is accepted.
    #[track_caller]
    fn accepted(head: &str) {
        let host = if head.contains("\"rv64\"") {
            ""
        } else {
            "host = 0x1000\n"
        };
        let text = format!("{head}[[context]]\nname = \"c\"\n{host}[[op]]\nload = 0x1000\n");
        parse(&text, "test.toml").unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn a_machine_has_any_legal_parameters_and_no_others() {
        for legal in [
            "slots = 3",
            "checked = true",
            "tlb = 8",
            "slots = 2\ntlb = 2\nread_bypass = true",
        ] {
            accepted(&machine(&format!("{legal}\n")));
        }
        let illegal = |rest: &str, words: &[&str]| wrong(&machine(rest), words);
        illegal(
            "slots = @@17\n",
            &["no handout machine with slots = 17", "expected 1 to 16"],
        );
        illegal("tlb = @@6\n", &["tlb = 6", "a power of two, 2 to 128"]);
        illegal(
            "max_levels = @@3\n",
            &["max_levels = 3", "only the levels of RV64"],
        );
        illegal("svadu = @@false\n", &["svadu = false", "formats of RISC-V"]);
        illegal(
            "tlb2 = @@{ sets = 4, ways = 2, superpages = 2 }\n",
            &[
                "tlb2 = { sets = 4, ways = 2, superpages = 2 }",
                "superpages",
            ],
        );
    }

    #[test]
    fn each_walk_cache_has_entries_of_its_own() {
        let riscv = |rest: &str| machine(rest).replace("\"handout\"", "\"rv64\"");
        let entries = "walk_cache_entries = { guest = 0, host = 4, nested = 2 }\n";
        accepted(&riscv(entries));
        accepted(&riscv(&format!("{entries}walk_caches = [\"host\"]\n")));
        wrong(
            &riscv(&format!("{entries}walk_caches = @@[\"host\", \"guest\"]\n")),
            &["no guest walk cache", "walk_cache_entries"],
        );
        wrong(
            &riscv("walk_cache_entries = @@{ guest = 3, host = 4, nested = 2 }\n"),
            &[
                "walk_cache_entries = { guest = 3, host = 4, nested = 2 }",
                "0, or a power of two",
            ],
        );
    }

    #[test]
    fn walk_caches_that_there_are_not_are_refused() {
        wrong(
            &machine("walk_caches = @@[\"guest\"]\n"),
            &["a handout machine has no walk caches"],
        );
        let riscv = |rest: &str| machine(rest).replace("\"handout\"", "\"rv64\"");
        wrong(
            &riscv("walk_caches = [@@\"gest\"]\n"),
            &["gest", "guest", "nested"],
        );
        wrong(
            &riscv("walk_cache_entries = @@3\n"),
            &["walk_cache_entries = 3", "0, or a power of two, 2 to 128"],
        );
    }

    #[test]
    fn words_that_overlap_are_shown_with_what_is_there() {
        let images = "[[memory.image]]\nat = 0x100\nwords = [1, 2]\n[[memory.image]]\nat = @@0x104\nwords = [3]\n";
        wrong(
            &machine(images),
            &[
                "overlapping images",
                "hPA 0x00104",
                "5 | at = 0x100",
                "8 | at = 0x104",
            ],
        );
        // A host table over an image, on any of its words.
        wrong(
            &machine(
                "[memory]\ntables = { from = 0x100, bytes = 0x100 }\n[[memory.image]]\nat = 0x11C\nwords = [1]\n\
                      [[host]]\nname = @@\"vm\"\n",
            ),
            &[
                "overlapping",
                "host table `vm`",
                "hPA 0x0011C is already used by the image of line 7",
            ],
        );
        // A guest table over an image.
        wrong(
            &HEAD
                .replace("tables = 0x41000", "tables = @@0x41000")
                .replace("at = 0x20000", "at = 0x3100C"),
            &[
                "overlapping",
                "guest table `p0`",
                "0x3100C is already used by the image of line 7",
            ],
        );
        // Over another guest's table.
        let second = "[[guest]]\nname = \"p1\"\nhost = \"vm0\"\ntables = @@0x41010\n[[context]]";
        wrong(
            &HEAD.replacen("[[context]]", second, 1),
            &[
                "guest table `p1`",
                "0x31010 is already used by guest table `p0`",
            ],
        );
        // An operation on a word that another operation has written.
        wrong_op(
            "[[op]]\nwrite = { at = 0x31034, word = 0x1 }\n\
             [[op]]\nmap = { guest = \"p0\", from = @@0x40000, to = 0x40000 }\n",
            &["0x31034 is already used by the `write` of line 24"],
        );
    }

    #[test]
    fn a_page_mapped_twice_in_one_list_is_shown_twice() {
        let list =
            "[{ from = 0x00000, to = 0x10000, pages = 3 }, { from = @@0x20000, to = 0x10000 }]";
        let list = format!(
            "[memory]\ntables = {{ from = 0x0, bytes = 0x100 }}\n[[host]]\nname = \"vm\"\nmap = {list}\n"
        );
        wrong(
            &machine(&list),
            &["page 0x20000 is mapped twice", "here", "and here"],
        );
    }

    #[test]
    fn tables_without_room_say_of_which_there_is_too_little() {
        let host = "[memory]\ntables = { from = 0x0, bytes = 0x20 }\n[[host]]\nname = \"vm\"\nmap = [{ from = @@0x0, to = 0x0 }]\n";
        wrong(
            &machine(host),
            &[
                "host table `vm`",
                "no room for another host table",
                "`bytes`",
            ],
        );
        wrong(
            &HEAD.replace("tables = 0x41000", "tables = @@0x80000"),
            &["the host does not map gPA 0x80000", "map that page"],
        );
        wrong(
            &HEAD.replace("tables = 0x41000", "tables = @@0x7FFFC"),
            &["does not map gPA 0x80000"],
        );
        wrong(
            &HEAD.replace("tables = 0x41000", "tables = @@0xFFFF8"),
            &["do not fit into 20 bits"],
        );
        // Every page that the host maps contains data.
        let text = HEAD
            .replace("tables = 0x41000\n", "")
            .replace("name = \"p0\"", "name = @@\"p0\"");
        let text = text.replace("to = 0x10000 }, ", "to = 0x10000, rights = \"x\" }, ");
        wrong(&text, &["guest table `p0`", "no room", "tables = ..."]);
        // A root in a page that is not mapped.
        wrong(
            &machine("[[guest]]\nname = \"p\"\nhost = 0x2000\ntables = @@0x0\n"),
            &["the host does not map gPA 0x00000"],
        );
    }

    #[test]
    fn a_second_of_the_same_name_is_shown_with_the_first() {
        let context = "[[context]]\nname = \"a\"\nhost = 0x0\n";
        wrong(
            &machine(&format!("{context}{}", context.replace("\"a\"", "@@\"a\""))),
            &["a second context with the name `a`", "the first"],
        );
    }

    #[test]
    fn a_guest_table_of_another_host_is_told_the_way_round() {
        let text = HEAD.replace("[[guest]]", "[[host]]\nname = \"vm1\"\n[[guest]]");
        wrong(
            &text.replace(
                "host = \"vm0\"\nguest = \"p0\"",
                "host = \"vm1\"\nguest = @@\"p0\"",
            ),
            &["`p0` is not in this host's memory", "guest = 0x41000"],
        );
    }

    #[test]
    fn unmapping_needs_rights_mode_and_something_mapped() {
        wrong_op(
            "[[op]]\nunmap = { host = @@\"vm0\", from = 0x0 }\n",
            &[
                "context `vm0.p0` has no rights mode",
                "page 0",
                "`rights` = true",
            ],
        );
        wrong_op(
            "[[op]]\nunmap = { guest = @@\"p0\", from = 0x0 }\n",
            &["no rights mode"],
        );
        let text = HEAD.replace("guest = \"p0\"", "guest = \"p0\"\nrights = true");
        wrong(
            &format!("{text}[[op]]\nunmap = {{ host = \"vm0\", from = @@0xC0000 }}\n"),
            &["gPA 0xC0000 is not mapped"],
        );
        wrong(
            &format!("{text}[[op]]\nunmap = {{ guest = \"p0\", from = @@0x30000, pages = 2 }}\n"),
            &["gVA 0x40000 is not mapped"],
        );
    }

    #[test]
    fn a_fence_that_is_owed_needs_somebody_who_owes_it() {
        wrong_op(
            "[[op]]\nfence = @@\"owed\"\n",
            &["no fence obligation", "`map`"],
        );
        wrong_op(
            "[[op]]\nwrite = { at = 0x0, word = 0 }\n[[op]]\nfence = \"all\"\n[[op]]\nfence = @@\"owed\"\n",
            &["no fence obligation"],
        );
    }

    #[test]
    fn ops_that_do_nothing_are_not_enough() {
        let text = HEAD.replace(
            "[[op]]\nload = 0x12345\n",
            "@@[[op]]\nswitch = \"vm0.p0\"\n",
        );
        wrong(&text, &["nothing happens"]);
        wrong(
            &HEAD.replace("\n[[op]]\nload = 0x12345\n", "@@\n\n"),
            &["nothing happens"],
        );
    }

    #[test]
    fn columns_are_counted_in_characters() {
        let error = parse("title = \"ä\" ü", "test.toml").unwrap_err();
        assert_eq!((error.line(), error.column()), (1, 13));
    }

    #[test]
    fn colour_is_only_where_it_is_asked_for() {
        let error = parse("", "test.toml").unwrap_err();
        assert!(!error.to_string().contains('\x1b'));
        assert!(error.render(true).contains('\x1b'));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.toml");
        let error = load(&path).unwrap_err();
        assert!(matches!(error, LoadError::Read { .. }));
        assert!(error.to_string().contains("none.toml: "), "{error}");

        fs::write(&path, b"title = \"test\"\nx = \xFF\n").unwrap();
        let error = load(&path).unwrap_err();
        let LoadError::NotText { line, at, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((*line, *at), (2, 5));
        assert!(
            error.to_string().contains("none.toml is not UTF-8"),
            "{error}"
        );

        fs::write(&path, "title = 1\n").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("none.toml:1:9"), "{error}");
    }
}
