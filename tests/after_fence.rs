// SPDX-License-Identifier: Apache-2.0
//! Tests of the fence rule: nothing outlives its fence. Software unmaps a table, issues a fence,
//! and gives the table's page to a new owner. The new owner stores data there that look like an
//! entry whose A and D bits are clear. In every cycle of a walk at which the fence may come, the
//! data must not change, and the walk must not follow them.

use nestwalk::addr::Hpa;
use nestwalk::bench::{self, Observer, Read, Request, Walk};
use nestwalk::campaign::Devices;
use nestwalk::dut::variants::VARIANTS;
use nestwalk::format::Format;
use nestwalk::mmu::{Fence, Outcome};
use nestwalk::report::text;
use nestwalk::scenario::{Machine, Op, Scenario, parse};

/// An address for data that look like a pointer. No walk may read there.
const DEVICE: u64 = 0x1000_0000;

/// A walk, with a fence during it.
struct Situation {
    name: &'static str,
    /// The tables: words of 8 bytes, each with its hPA.
    words: &'static [(u64, u64)],
    /// Keys of the context that makes the access.
    vm: &'static [&'static str],
    /// Keys of the context that uses the stored word as an entry.
    other: &'static [&'static str],
    /// The operations before the fence: one access, or several.
    accesses: &'static str,
    /// The entries that are removed: they become invalid.
    taken: &'static [u64],
    fence: &'static str,
    /// The entry in whose place data are stored, and the data.
    given: (u64, u64),
}

/// A leaf of the VS-stage whose A and D bits are clear, in a page that gets a new owner. The
/// G-stage is off.
const GUEST_UPDATE: Situation = Situation {
    name: "an update of the VS-stage",
    words: &[
        (0x8000_0000, 0x2000_0401),
        (0x8000_1000, 0x2000_0801),
        (0x8000_2000, 0x2400_0007),
        (0x8000_6000, 0x2000_1C01),
        (0x8000_7000, 0x2000_0801),
    ],
    vm: &[
        r#"mode = "sv39""#,
        "root = 0x8000_0000",
        "vmid = 1",
        "adue = true",
    ],
    other: &[r#"mode = "sv39""#, "root = 0x8000_6000", "vmid = 2"],
    accesses: "[[op]]\nstore = 0x8\n",
    taken: &[0x8000_0000],
    fence: "{ hfence_vvma = { vmid = 1 } }",
    given: (0x8000_2000, 0x4321_0007),
};

/// The same for the G-stage.
const HOST_UPDATE: Situation = Situation {
    name: "an update of the G-stage",
    words: &[
        (0x8000_0000, 0x2000_1001),
        (0x8000_4000, 0x2000_1401),
        (0x8000_5000, 0x2400_0017),
        (0x8001_0000, 0x2000_5001),
        (0x8001_4000, 0x2000_1401),
    ],
    vm: &[
        r#"g_mode = "sv39x4""#,
        "g_root = 0x8000_0000",
        "g_adue = true",
        "vmid = 1",
    ],
    other: &[r#"g_mode = "sv39x4""#, "g_root = 0x8001_0000", "vmid = 2"],
    accesses: "[[op]]\nstore = 0x8\n",
    taken: &[0x8000_4000],
    fence: "{ hfence_gvma = { vmid = 1 } }",
    given: (0x8000_5000, 0x4321_0017),
};

/// A VS-stage leaf that must be updated. Before that, D of the G-stage leaf that maps the table
/// must be set: the host stage of an update.
const HOST_OF_UPDATE: Situation = Situation {
    name: "the G-stage of an update of the VS-stage",
    words: &[
        (0x8000_0000, 0x2000_1001),
        (0x8000_4000, 0x2000_1401),
        (0x8000_5000, 0x2000_8017),
        (0x8000_5008, 0x2400_00D7),
        (0x8002_0000, 0x407),
        (0x8001_0000, 0x2000_5001),
        (0x8001_4000, 0x2000_1401),
    ],
    vm: &[
        r#"mode = "sv39""#,
        "root = 0x0",
        "adue = true",
        r#"g_mode = "sv39x4""#,
        "g_root = 0x8000_0000",
        "g_adue = true",
        "vmid = 1",
    ],
    other: &[r#"g_mode = "sv39x4""#, "g_root = 0x8001_0000", "vmid = 2"],
    accesses: "[[op]]\nstore = 0x8\n",
    taken: &[0x8000_4000],
    fence: "{ hfence_gvma = { vmid = 1 } }",
    given: (0x8000_5000, 0x4321_0017),
};

/// A table whose page gets a word that looks like a pointer to a forbidden address.
const POINTER: Situation = Situation {
    name: "a pointer in a page that is no table any more",
    words: &[
        (0x8000_0000, 0x2000_0401),
        (0x8000_1000, 0x2000_0801),
        (0x8000_2000, 0x2400_00C7),
        (0x1000_0000, 0x41),
        (0x8000_6000, 0x2000_1C01),
        (0x8000_7000, 0x2000_0401),
    ],
    vm: &[r#"mode = "sv39""#, "root = 0x8000_0000", "vmid = 1"],
    other: &[r#"mode = "sv39""#, "root = 0x8000_6000", "vmid = 2"],
    accesses: "[[op]]\nload = 0x8\n",
    taken: &[0x8000_0000],
    fence: "\"all\"",
    given: (0x8000_1000, 0x0400_0001),
};

/// The page of the root table itself gets a new owner: that is safe only if the requester does not
/// repeat the request.
const ROOT: Situation = Situation {
    name: "a root that is given away, under an access that nobody wants any more",
    words: &[
        (0x8000_0000, 0x2000_1001),
        (0x8000_4000, 0x2000_1401),
        (0x8000_5000, 0x2400_0017),
        (0x8001_0000, 0x2000_5001),
        (0x8001_4000, 0x2000_0001),
    ],
    vm: &[
        r#"g_mode = "sv39x4""#,
        "g_root = 0x8000_0000",
        "g_adue = true",
        "vmid = 1",
    ],
    other: &[r#"g_mode = "sv39x4""#, "g_root = 0x8001_0000", "vmid = 2"],
    accesses: "[[op]]\nstore = 0x8\nspeculative = true\n",
    taken: &[0x8000_4000],
    fence: "{ hfence_gvma = { vmid = 1 } }",
    given: (0x8000_0000, 0x4000_0017),
};

/// Two requests share the walk. A third request, for other pages, is not affected.
const COALESCED: Situation = Situation {
    name: "a walk that requests share",
    accesses: "[[op]]\nstore = 0x8\n[[op]]\nstore = 0x10\n[[op]]\nload = 0x4000_0000\ncontext = \"other\"\n[[op]]\nswitch = \"vm\"\n",
    ..GUEST_UPDATE
};

/// The observations of a run.
#[derive(Default)]
struct Seen {
    reads: Vec<Read>,
    fenced: Option<u64>,
    answers: Vec<(usize, Outcome)>,
    replays: usize,
}

impl Observer for Seen {
    fn read(&mut self, _: u8, _: Option<&Walk>, read: &Read) {
        self.reads.push(*read);
    }

    fn fenced(&mut self, cycle: u64, _: usize, _: &Fence) {
        self.fenced = Some(cycle);
    }

    fn answered(&mut self, _: u64, request: &Request, outcome: &Outcome, _: bool) {
        self.answers.push((request.op, *outcome));
    }

    fn replayed(&mut self, _: u64, _: &Request) {
        self.replays += 1;
    }
}

impl Situation {
    /// Returns the scenario. The fence comes `wait` cycles after the accesses have been accepted,
    /// and the data are stored `later` cycles after that.
    fn scenario(&self, machine: &Machine, memory: &str, wait: u32, later: u32) -> Scenario {
        let mut file = format!(
            "title = \"{}\"\n[machine]\nformat = \"rv64\"\n[memory]\nholes = \"fault\"\n{memory}",
            self.name
        );
        for (at, word) in self.words {
            file += &format!("[[memory.image]]\nat = {at:#x}\nwords = [{word:#x}]\n");
        }
        for (name, keys) in [("vm", self.vm), ("other", self.other)] {
            file += &format!("[[context]]\nname = \"{name}\"\n{}\n", keys.join("\n"));
        }
        file += self.accesses;
        file += &format!("[[op]]\nwait = {wait}\n");
        for at in self.taken {
            file += &format!("[[op]]\nwrite = {{ at = {at:#x}, word = 0 }}\nrace = true\n");
        }
        let (at, word) = self.given;
        file += &format!("[[op]]\nfence = {}\nrace = true\n", self.fence);
        file += &format!("[[op]]\nwait = {later}\n");
        file += &format!("[[op]]\nwrite = {{ at = {at:#x}, word = {word:#x} }}\nrace = true\n");
        file += "[[op]]\nwait = \"idle\"\n";
        // `other` uses the stored word as an entry, and finds it unchanged: a fault for A = 0.
        file += "[[op]]\nload = 0x8\ncontext = \"other\"\n";
        let mut scenario = parse::parse(&file, self.name).unwrap_or_else(|error| panic!("{error}"));
        scenario.machine = *machine;
        scenario
    }

    /// Checks every cycle of the walk, until the fence comes after its end. Returns the number of
    /// replays.
    fn check(&self, machine: &Machine, memory: &str, later: u32) -> usize {
        let mut device = None;
        let (mut replays, mut untouched) = (0, 0);
        for wait in 1..400 {
            let scenario = self.scenario(machine, memory, wait, later);
            let device = device.get_or_insert_with(|| Devices::make(&scenario).unwrap());
            let mut seen = Seen::default();
            if let Err(failed) = bench::run(device, &scenario, &mut seen) {
                panic!(
                    "{}, wait {wait}: {}",
                    self.name,
                    text::failure(&scenario, &failed)
                );
            }
            let what = format!("{} on {machine:?}, wait {wait}", self.name);
            let fenced = seen.fenced.unwrap();
            // The stored word is unchanged: an entry with A = 0, or a pointer to something that is
            // not a table.
            let looks = scenario.ops.len() - 1;
            assert!(matches!(scenario.ops[looks], Op::Access(_)));
            let (_, found) = seen.answers.iter().find(|(op, _)| *op == looks).unwrap();
            let fault = found.expect_err(&what);
            let kind = fault.kind.name();
            if self.given.1 & 0b1110 != 0 {
                assert_eq!(kind, "accessed-dirty", "{what}");
            } else {
                // `other` follows the pointer long after the walk that the fence has overtaken has
                // ended.
                let early = |read: &&Read| read.at == Hpa(DEVICE) && read.cycle < fenced + 100;
                assert!(seen.reads.iter().find(early).is_none(), "{what}");
            }
            replays += seen.replays;
            untouched += usize::from(seen.replays == 0);
            if untouched > 4 {
                return replays;
            }
        }
        panic!(
            "{}: the fence never came after the end of the walk",
            self.name
        );
    }
}

/// Returns every RISC-V device of 64 bits that is built in and supports the situations, with each
/// of its walk caches, all of them and none in use.
fn machines() -> Vec<Machine> {
    let mut machines = Vec::new();
    for variant in VARIANTS {
        if variant.paging_format() != Format::Rv64 || !variant.svadu {
            continue;
        }
        let machine = Machine::of_variant(variant);
        let caches = match variant.walk_cache_entries.any() {
            false => vec![""],
            true => vec!["", "guest", "host", "nested", "guest host nested"],
        };
        for names in caches {
            let mut machine = machine;
            machine.walk_caches.guest = names.contains("guest");
            machine.walk_caches.host = names.contains("host");
            machine.walk_caches.nested = names.contains("nested");
            machines.push(machine);
        }
    }
    machines
}

fn check_everywhere(situation: &Situation, memory: &str) {
    for machine in machines() {
        let replays = situation.check(&machine, memory, 2);
        assert!(
            replays > 10,
            "{}: {replays} replays on {machine:?}",
            situation.name
        );
    }
}

#[test]
fn no_update_of_the_guests_stage_outlives_a_fence() {
    check_everywhere(&GUEST_UPDATE, "latency = 7\n");
}

#[test]
fn no_update_of_the_hosts_stage_outlives_a_fence() {
    check_everywhere(&HOST_UPDATE, "latency = 7\n");
}

#[test]
fn no_update_for_an_update_outlives_a_fence() {
    check_everywhere(&HOST_OF_UPDATE, "latency = 5\n");
}

#[test]
fn no_walk_follows_what_a_fence_has_taken_away() {
    check_everywhere(&POINTER, "latency = 7\n");
}

#[test]
fn a_root_can_be_given_away_after_its_fence() {
    check_everywhere(&ROOT, "latency = 7\n");
}

#[test]
fn requests_that_share_an_overtaken_walk_are_answered_rightly() {
    check_everywhere(&COALESCED, "latency = 7\n");
}

#[test]
fn a_fence_waits_for_what_memory_keeps_waiting_and_for_nothing_else() {
    for seed in 1..5 {
        check_everywhere(
            &GUEST_UPDATE,
            &format!("latency = 3\nbusy = 60\nseed = {seed}\n"),
        );
    }
}
