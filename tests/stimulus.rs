// SPDX-License-Identifier: Apache-2.0
//! The random scenarios of the RISC-V formats: every possible situation occurs, and often.

use std::collections::BTreeMap;

use nestwalk::format::Format;
use nestwalk::mmu::{FaultKind, Position, Purpose};
use nestwalk::report::golden_accesses;
use nestwalk::scenario::Op;
use nestwalk::stimulus::{self, Profile};

const SCENARIOS: u64 = 1000;
const ACCESSES: u64 = 500;

#[derive(Default)]
struct Counts {
    accesses: u64,
    faults: u64,
    kinds: BTreeMap<String, u64>,
    pairs: BTreeMap<(u32, u32), u64>,
    modes: BTreeMap<(bool, u8, u8), u64>,
    fences: BTreeMap<[bool; 5], u64>,
}

fn count(format: Format) -> Counts {
    let profile = Profile {
        format,
        rights: false,
    };
    let mut counts = Counts::default();
    for number in 0..SCENARIOS {
        let scenario = stimulus::scenario(profile, 1, number, ACCESSES);
        for op in &scenario.ops {
            if let Op::Fence(fence) = op {
                let form = [
                    fence.virt,
                    fence.gva.is_some(),
                    fence.gpa.is_some(),
                    fence.asid.is_some(),
                    fence.vmid.is_some(),
                ];
                *counts.fences.entry(form).or_default() += 1;
            }
        }
        for access in golden_accesses(&scenario) {
            let context = &access.query.context;
            counts.accesses += 1;
            let modes = (context.virt, context.guest.levels, context.host.levels);
            *counts.modes.entry(modes).or_default() += 1;
            match access.found {
                Ok(mapping) => {
                    if context.guest.levels > 0 && context.host.levels > 0 {
                        let pair = (mapping.guest.page_size, mapping.host.page_size);
                        *counts.pairs.entry(pair).or_default() += 1;
                    }
                }
                Err(fault) => {
                    counts.faults += 1;
                    let at = match fault.at {
                        Position::Guest { level } => format!("guest L{level}"),
                        Position::Host { level, purpose, .. } => {
                            let purpose = match purpose {
                                Purpose::Data => "data",
                                Purpose::GuestEntry(_) => "read",
                                Purpose::GuestUpdate(_) => "update",
                            };
                            format!("host L{level} {purpose}")
                        }
                    };
                    let kind = format!("{at}: {}", fault.kind);
                    *counts.kinds.entry(kind).or_default() += 1;
                }
            }
        }
    }
    counts
}

/// Returns every possible fault, as `count` names it.
fn possible(format: Format) -> Vec<String> {
    let levels = format.geometry().levels;
    let rv64 = format == Format::Rv64;
    let mut all = Vec::new();
    for level in 0..levels {
        for place in ["guest", "host"] {
            let purposes: &[&str] = if place == "guest" {
                &[""]
            } else {
                &[" read", " data", " update"]
            };
            for purpose in purposes {
                for kind in FaultKind::ALL {
                    let possible = match kind {
                        FaultKind::Pointer => level == 0,
                        FaultKind::Misaligned => level > 0,
                        // At the root, which is at one of three levels. On RV32 every address fits.
                        // On RV64 every address of an entry fits Sv57x4.
                        FaultKind::Width if *purpose == " read" => {
                            rv64 && level + 3 >= levels && level + 1 < levels
                        }
                        FaultKind::Width => rv64 && level + 3 >= levels,
                        _ => true,
                    };
                    // An update uses the translation of the read before it, and differs from it
                    // only at a leaf.
                    let differs = matches!(kind, FaultKind::Permission | FaultKind::AccessedDirty);
                    if possible && (*purpose != " update" || (differs && level == 0)) {
                        all.push(format!("{place} L{level}{purpose}: {kind}"));
                    }
                }
            }
        }
    }
    all
}

#[test]
fn every_fault_at_every_level_every_pair_of_pages_and_every_fence_turns_up() {
    for format in [Format::Rv32, Format::Rv64] {
        let counts = count(format);
        println!(
            "{format}: {} accesses, {} faults",
            counts.accesses, counts.faults
        );
        for (what, count) in &counts.kinds {
            println!("  {what}: {count}");
        }
        println!(
            "  {:?}\n  {:?}\n  {:?}",
            counts.pairs, counts.modes, counts.fences
        );
        let missing: Vec<String> = possible(format)
            .into_iter()
            .filter(|what| !counts.kinds.contains_key(what))
            .collect();
        println!("missing: {missing:?}");
        let share = 100 * counts.faults / counts.accesses;
        assert!((15..55).contains(&share), "{share} % faults");
        let sizes: &[u32] = match format {
            Format::Rv32 => &[12, 22],
            _ => &[12, 16, 21, 30, 39],
        };
        for guest in sizes {
            for host in sizes {
                assert!(
                    counts.pairs.contains_key(&(*guest, *host)),
                    "{guest} {host}"
                );
            }
        }
        let forms = [(false, false), (false, true), (true, false), (true, true)];
        for (first, second) in forms {
            for form in [
                [false, first, false, second, false],
                [true, first, false, second, true],
                [true, false, first, false, second],
            ] {
                assert!(
                    counts.fences.get(&form).is_some_and(|&n| n > 10),
                    "{form:?}"
                );
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}
