// SPDX-License-Identifier: Apache-2.0
//! JSON documents: each document has the form of `docs/json.md`, and reports correctly whether
//! expectations are met.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::bench::memory_request::{
    MemoryRequest, RequestCounts, Update, WalkPlace, WalkRequest,
};
use nestwalk::bench::mismatch::{
    ActionAfterFence, AssignmentViolation, ExpectedHit, ExpectedRequest, FenceEvent, FillViolation,
    HitReason, MissReason, NoFillReason, NoReplayReason, NoWalkCacheHit, ObservedRequest,
    OvertakenUse, Page as GvaPage, PairingViolation, PortRequest, PortResponse, PortViolation,
    ReplayViolation, RequestEvent, ResponseViolation, StaleOrigin, Stall, Violation, WalkCache,
    WalkCacheHit, WalkCacheViolation, WalkEnd,
};
use nestwalk::bench::steps::{StepFault, StepPosition, StepRecord};
use nestwalk::bench::{Check, Failed, Failure, Mismatch};
use nestwalk::bundle::Bundle;
use nestwalk::campaign::{Campaign, Choose, Devices};
use nestwalk::dut::variants::{VARIANTS, Variant};
use nestwalk::dut::{DutError, MalformedResponse, Next};
use nestwalk::mmu::{
    Fault, FaultKind, Fence, MemoryType, Outcome, Position, Purpose, Query, Translation, Trap,
};
use nestwalk::output::Outputs;
use nestwalk::report::json as as_json;
use nestwalk::results::Results;
use nestwalk::scenario::Scenario;
use nestwalk::shard::Shard;
use nestwalk::stimulus::{self, Profile};
use serde_json::Value;
use tempfile::TempDir;

mod common {
    pub mod program;
}
use common::program::{Ran, nestwalk};

fn project(path: &str) -> String {
    format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))
}

// --- The page -----------------------------------------------------------------------------------

/// A row of a table of the page.
struct Row {
    /// The type, as in the page.
    kind: String,
    /// The column "when" is empty.
    always: bool,
}

/// The tables of `docs/json.md`, with the fields that have been seen.
struct Page {
    text: String,
    tables: BTreeMap<String, BTreeMap<String, Row>>,
    /// The schema versions that the page states, by the value of `schema`.
    versions: BTreeMap<String, u64>,
    seen: BTreeSet<String>,
}

impl Page {
    fn read() -> Self {
        let text = fs::read_to_string(project("docs/json.md")).unwrap();
        let mut tables: BTreeMap<String, BTreeMap<String, Row>> = BTreeMap::new();
        let mut versions = BTreeMap::new();
        let mut name = String::new();
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("### ") {
                name = title.to_owned();
                assert!(!tables.contains_key(&name), "{name} is there twice");
                tables.insert(name.clone(), BTreeMap::new());
            } else if line.starts_with("| `") {
                let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
                let [field, kind, when, meaning] = cells[..] else {
                    panic!("no row of four cells: {line}");
                };
                assert!(!meaning.is_empty(), "{line}");
                let row = Row {
                    kind: kind.to_owned(),
                    always: when.is_empty(),
                };
                let table = tables.get_mut(&name).expect("a table has a heading");
                let before = table.insert(field.trim_matches('`').to_owned(), row);
                assert!(before.is_none(), "{name}.{field} is there twice");
            } else if let Some((_, rest)) = line.split_once("`schema` is `") {
                let (schema, rest) = rest.split_once('`').unwrap();
                let (_, version) = rest.split_once("`schema_version` is ").unwrap();
                let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap();
                versions.insert(schema.to_owned(), digits.parse().unwrap());
            }
        }
        assert!(tables.len() > 30);
        Self {
            text,
            tables,
            versions,
            seen: BTreeSet::new(),
        }
    }

    /// Checks a document that states its schema.
    fn document(&mut self, name: &str, value: &Value) {
        let schema = value["schema"]
            .as_str()
            .unwrap_or_else(|| panic!("{value:#}"));
        assert_eq!(schema, format!("nestwalk-{name}"));
        assert_eq!(value["schema_version"], self.versions[schema]);
        self.check(value, name, name);
    }

    /// Checks a value against a type of the page. `place` is its place in the document.
    fn check(&mut self, value: &Value, kind: &str, place: &str) {
        let fits = |one: &&str| match value {
            Value::Null => *one == "null",
            Value::Bool(_) => *one == "boolean",
            Value::Number(number) => {
                *one == "number" || *one == "integer" && (number.is_u64() || number.is_i64())
            }
            Value::String(_) => *one == "string",
            Value::Array(_) => one.starts_with("list of "),
            Value::Object(_) => one.starts_with("map of ") || self.tables.contains_key(*one),
        };
        let one = kind.split(" or ").find(fits);
        let one = one.unwrap_or_else(|| panic!("{place} is no {kind}: {value}"));
        match value {
            Value::Array(items) => {
                let kind = one.strip_prefix("list of ").unwrap();
                for (index, item) in items.iter().enumerate() {
                    self.check(item, kind, &format!("{place}[{index}]"));
                }
            }
            Value::Object(fields) => match one.strip_prefix("map of ") {
                Some(kind) => {
                    for (key, field) in fields {
                        self.check(field, kind, &format!("{place}[{key:?}]"));
                    }
                }
                None => self.object(fields, one, place),
            },
            _ => {}
        }
    }

    fn object(&mut self, fields: &serde_json::Map<String, Value>, table: &str, place: &str) {
        for (name, row) in &self.tables[table] {
            assert!(
                !row.always || fields.contains_key(name),
                "{place} lacks {name}, which table {table} has without a condition"
            );
        }
        for (name, value) in fields {
            let row = self.tables[table].get(name);
            let row = row.unwrap_or_else(|| panic!("{place}.{name} is not in table {table}"));
            let kind = row.kind.clone();
            self.seen.insert(format!("{table}.{name}"));
            self.check(value, &kind, &format!("{place}.{name}"));
        }
    }

    /// Checks that the page lists the kind and the reason of a side of a mismatch for its check: in
    /// a column of the table of the values of `what`.
    fn check_kind(&self, failure: &Value, side: &str, column: usize) {
        let (_, table) = self.text.split_once("The values of `what`").unwrap();
        let start = format!("| {} |", failure["check"]);
        let row = table.lines().find(|line| line.starts_with(&start)).unwrap();
        let cell = row.trim_matches('|').split('|').nth(column).unwrap();
        for field in ["what", "because"] {
            if let Some(value) = failure[side][field].as_str() {
                assert!(cell.contains(&format!("`{value}`")), "{value}: {row}");
            }
        }
    }

    /// Returns the fields of the page that no document had.
    fn unseen(&self) -> Vec<String> {
        let all = self
            .tables
            .iter()
            .flat_map(|(table, rows)| rows.keys().map(move |field| format!("{table}.{field}")));
        all.filter(|field| !self.seen.contains(field)).collect()
    }
}

/// A folder for the outputs.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }
}

/// Runs `nestwalk`, which must end with this exit code.
#[track_caller]
fn ran(code: i32, arguments: &[&str]) -> Ran {
    let ran = nestwalk(arguments);
    assert_eq!(
        ran.code, code,
        "{arguments:?}: {}{}",
        ran.stdout, ran.stderr
    );
    ran
}

const CHECKS: [Check; 15] = [
    Check::Reads,
    Check::WalkResponse,
    Check::Hit,
    Check::MustHit,
    Check::Fill,
    Check::Coalescing,
    Check::WrongWalk,
    Check::Overtaken,
    Check::AfterFence,
    Check::Replay,
    Check::OneResponse,
    Check::Port,
    Check::Stalled,
    Check::Steps,
    Check::WalkCache,
];

/// Returns violations of every check, with every field.
fn violations(query: Query) -> Vec<Violation> {
    let page: Outcome = Ok(Translation {
        gpa: Gpa(0x1000),
        hpa: Hpa(0x2000),
        page_size: 16,
        memory_type: MemoryType::Pma,
    });
    let at = Position::Host {
        level: 0,
        gpa: Gpa(0x1000),
        purpose: Purpose::GuestEntry(1),
    };
    let fault = Fault {
        kind: FaultKind::Invalid,
        at,
        trap: Some(Trap::default()),
    };
    let by = FenceEvent {
        fence: Fence {
            virt: true,
            gva: Some(Gva(1)),
            gpa: Some(Gpa(2)),
            asid: Some(3),
            vmid: Some(4),
        },
        cycle: 5,
    };
    let read = MemoryRequest {
        hpa: Hpa(0x3000),
        update: None,
    };
    let update = MemoryRequest {
        update: Some(Update {
            expected: 1,
            new: 0x41,
        }),
        ..read
    };
    let place = |is_update| WalkPlace {
        is_update,
        number: 2,
    };
    let made = RequestCounts {
        reads: 3,
        updates: 1,
    };
    let observed = |request: MemoryRequest, in_walk: bool| ObservedRequest::Request {
        request,
        place: in_walk.then(|| place(request.update.is_some())),
        cycle: 7,
    };
    let end = |response| {
        ObservedRequest::End(WalkEnd {
            made,
            id: 1,
            response,
        })
    };
    let walk_request = |request: MemoryRequest| WalkRequest {
        request,
        place: place(request.update.is_some()),
    };
    let expected = |request| ExpectedRequest::Request {
        request: walk_request(request),
        at,
    };
    let reads = |expected, observed| Violation::Reads { expected, observed };
    let mut all = vec![
        reads(expected(read), observed(update, true)),
        reads(expected(update), end(None)),
        reads(expected(read), end(Some(Ok(Err(fault))))),
        reads(
            ExpectedRequest::End {
                made,
                outcome: page,
            },
            observed(read, true),
        ),
        reads(ExpectedRequest::NoWalk { slot: 1 }, observed(read, false)),
    ];

    let mut responses = vec![
        ResponseViolation::Outcome {
            expected: page,
            observed: Err(fault),
        },
        ResponseViolation::Gva {
            expected: Gva(1),
            observed: Gva(2),
        },
    ];
    let malformed = [
        MalformedResponse::TranslationWithFaultFields,
        MalformedResponse::TranslationWithTrapFields,
        MalformedResponse::UnknownMemoryType,
        MalformedResponse::UnknownFaultKind(15),
        MalformedResponse::FaultWithTranslation,
        MalformedResponse::GuestFaultWithHostFields,
        MalformedResponse::DataFaultWithGuestLevel,
        MalformedResponse::UnknownPurpose,
        MalformedResponse::TrapWithoutTraps,
    ];
    responses.extend(malformed.map(ResponseViolation::Malformed));
    all.extend(responses.into_iter().map(Violation::WalkResponse));

    let hits = [
        ExpectedHit::AnyOf(vec![page, Err(fault)]),
        ExpectedHit::Miss(MissReason::NotPermitted),
        ExpectedHit::Miss(MissReason::Invalidated(by)),
        ExpectedHit::Miss(MissReason::NeverFound),
        ExpectedHit::Miss(MissReason::NotFoundOfLate { known: 8 }),
    ];
    all.extend(hits.map(|expected| Violation::Hit {
        expected,
        observed: page,
        origin: Some(StaleOrigin { found: 4, by }),
    }));
    let reasons = [
        HitReason::Recent { of: 2 },
        HitReason::Room { entries: 4 },
        HitReason::L2,
    ];
    all.extend(reasons.map(|because| Violation::MustHit {
        page: GvaPage {
            gva: Gva(0x10000),
            size: 16,
        },
        found: 9,
        because,
    }));
    let no_fill = [
        NoFillReason::Fault(fault),
        NoFillReason::Invalidated(by),
        NoFillReason::Overtaken(by),
        NoFillReason::StagesOff,
    ];
    all.extend(no_fill.map(|reason| Violation::Fill(FillViolation::Unexpected(reason))));
    all.extend([FillViolation::Missing, FillViolation::Repeated].map(Violation::Fill));
    all.push(Violation::Coalescing { walk: 0, second: 1 });
    let assignments = [
        AssignmentViolation::NoWalk { slot: 1 },
        AssignmentViolation::OtherRequest { slot: 1, query },
        AssignmentViolation::SlotInUse { slot: 1 },
        AssignmentViolation::OtherResult { slot: 1 },
    ];
    all.extend(assignments.map(Violation::WrongWalk));
    let uses = [OvertakenUse::Shared { slot: 1 }, OvertakenUse::Answered];
    all.extend(uses.map(|observed| Violation::Overtaken { by, observed }));
    let actions = [
        ActionAfterFence::Request {
            request: walk_request(read),
            cycle: 8,
        },
        ActionAfterFence::Request {
            request: walk_request(update),
            cycle: 8,
        },
        ActionAfterFence::Walk { slot: 1 },
    ];
    all.extend(actions.map(|observed| Violation::AfterFence { by, observed }));
    let replays = [
        ReplayViolation::Missing { by, observed: page },
        ReplayViolation::Unexpected(NoReplayReason::WalkEnded(by)),
        ReplayViolation::Unexpected(NoReplayReason::WalkNotOvertaken),
        ReplayViolation::Unexpected(NoReplayReason::RequestNotOvertaken),
        ReplayViolation::Fields {
            expected: Gva(1),
            observed: Gva(2),
        },
    ];
    all.extend(replays.map(Violation::Replay));
    let nobody = [
        RequestEvent::Response,
        RequestEvent::Miss,
        RequestEvent::WalkResult,
        RequestEvent::L2TlbHit,
    ];
    let mut pairings =
        Vec::from(nobody.map(|observed| PairingViolation::NoRequest { id: 1, observed }));
    pairings.extend([
        PairingViolation::L2HitAgain,
        PairingViolation::MissAfterL2Hit,
        PairingViolation::BeforeWalkEnd,
        PairingViolation::HitOfWalk,
        PairingViolation::NeitherHitNorWalk,
    ]);
    all.extend(pairings.into_iter().map(Violation::OneResponse));

    let response = |replay| PortResponse {
        id: 1,
        gva: Gva(1),
        hit: false,
        replay,
        outcome: Ok(page),
    };
    let on_port = |request| PortRequest { slot: 1, request };
    let changed = |stalled, now| PortViolation::ResponseChanged { stalled, now };
    let request_changed = |stalled, now| PortViolation::MemoryRequestChanged {
        stalled: on_port(stalled),
        now,
    };
    let ports = [
        changed(response(false), Some(response(true))),
        changed(response(true), None),
        request_changed(read, Some(on_port(update))),
        request_changed(update, None),
        PortViolation::FenceStalled { fence: by.fence },
        PortViolation::RequestWithFence,
        PortViolation::RequestBeforeFence { fence: by.fence },
        PortViolation::NotRoundRobin {
            slot: 1,
            waited: 4,
            most: 3,
        },
    ];
    all.extend(ports.map(Violation::Port));
    let stalls = [
        Stall::Idle { cycles: 16 },
        Stall::Walk { slot: 1, cycles: 5 },
        Stall::Unassigned {
            slots: 4,
            in_use: 1,
            waiting: 2,
            cycles: 4,
        },
    ];
    all.extend(stalls.map(Violation::Stalled));
    let step = StepRecord {
        at: StepPosition::Entry(at),
        gpa: Gpa(0x1000),
        hpa: Hpa(0x3000),
        update: false,
        word: Some(1),
        next: Next::Read,
        fault: None,
    };
    let reported = StepRecord {
        at: StepPosition::UnknownPurpose {
            level: 0,
            purpose: 3,
        },
        word: None,
        next: Next::Fault,
        fault: Some(StepFault::Unknown(15)),
        ..step
    };
    for (expected, observed) in [
        (Some(step), Some(reported)),
        (Some(step), None),
        (None, Some(step)),
    ] {
        all.push(Violation::Steps {
            place: place(false),
            expected,
            observed,
        });
    }
    let hit = |cache| WalkCacheHit { cache, level: 0 };
    let mut caches = vec![
        WalkCacheViolation::Missed {
            place: place(false),
            expected: hit(WalkCache::Guest),
            since: Some(3),
            observed: Some(hit(WalkCache::Host)),
        },
        WalkCacheViolation::Missed {
            place: place(false),
            expected: hit(WalkCache::Nested),
            since: None,
            observed: None,
        },
    ];
    for (hit, observed) in [
        (Some(hit(WalkCache::Host)), observed(read, true)),
        (None, end(Some(Err(MalformedResponse::UnknownPurpose)))),
    ] {
        caches.push(WalkCacheViolation::NothingSkipped {
            place: place(true),
            hit,
            observed,
        });
    }
    let reasons = [
        NoWalkCacheHit::NeverRead,
        NoWalkCacheHit::NotReadOfLate { known: 8 },
        NoWalkCacheHit::Invalidated(by),
        NoWalkCacheHit::Elsewhere(vec![Hpa(0x1000), Hpa(0x2000)]),
    ];
    caches.extend(reasons.map(|because| WalkCacheViolation::Illegal {
        place: place(false),
        observed: hit(WalkCache::Guest),
        hpa: Hpa(0x3000),
        because,
    }));
    all.extend(caches.into_iter().map(Violation::WalkCache));
    all
}

/// Returns a device with a smaller TLB than the checker assumes: it misses where it must hit.
fn small(scenario: &Scenario) -> Result<&'static Variant, DutError> {
    let own = scenario.machine.variant()?;
    let small = |v: &&Variant| {
        v.format == own.format && v.slots == own.slots && v.tlb_entries < own.tlb_entries
    };
    Ok(VARIANTS.iter().find(small).unwrap_or(own))
}

/// Returns an error of a device: there is none with so many TLB entries.
fn no_device(scenario: &Scenario) -> DutError {
    let mut scenario = scenario.clone();
    scenario.machine.tlb_entries = 999;
    Devices::make(&scenario).err().expect("no such device")
}

/// Runs a campaign that fails, because its devices are not the devices that it is for.
fn failing(folder: &Folder, page: &mut Page) {
    let choose: Choose = small;
    let campaign = Campaign {
        profile: Profile::ALL[0],
        seed: 5,
        count: 4_000,
        jobs: 1,
        coverage: false,
        lean: None,
        device: Some(&VARIANTS[0]),
        devices: Vec::new(),
        visibility: nestwalk::dut::description::Visibility::Steps,
    };
    let devices = || Devices::chosen(choose);
    let never = AtomicBool::new(false);
    let outcome = campaign
        .run_shard(Shard::WHOLE, &devices, &|_| {}, &never, &|_| Ok(()))
        .unwrap();
    let results = Results::new(&campaign, Shard::WHOLE, &outcome);
    page.check(
        &serde_json::to_value(&results).unwrap(),
        "results",
        "results",
    );

    let drawn = Campaign {
        device: None,
        devices: stimulus::devices(campaign.profile.format, campaign.seed, 2, false),
        ..campaign.clone()
    };
    let shape = serde_json::to_value(drawn.shape()).unwrap();
    page.check(&shape, "shape", "shape");

    let (number, failed) = outcome.failed.expect("a TLB that is too small is seen");
    let scenario = campaign.scenario(number);
    let first = as_json::failure(&scenario, &failed);
    let mut others = Vec::new();
    for failure in [
        Failure::Hang {
            cycle: 7,
            op: 0,
            since: 3,
        },
        Failure::Device {
            cycle: 7,
            error: no_device(&scenario),
        },
    ] {
        let failed = Failed {
            failure,
            ..Failed::clone(&failed)
        };
        others.push(as_json::failure(&scenario, &failed));
    }
    for failure in &others {
        page.check(failure, "failure", "failure");
    }
    let Failure::Mismatch(mismatch) = &failed.failure else {
        panic!("{}", failed.failure);
    };
    let query = mismatch.query.unwrap();
    let mut checks = BTreeSet::new();
    for violation in violations(query) {
        checks.insert(violation.check().name());
        let mismatch = Mismatch {
            violation,
            ..Mismatch::clone(mismatch)
        };
        let failed = Failed {
            failure: Failure::Mismatch(Box::new(mismatch)),
            ..Failed::clone(&failed)
        };
        let value = as_json::failure(&scenario, &failed);
        page.check(&value, "failure", "failure");
        let (document, section) = (&value["clause"]["document"], &value["clause"]["section"]);
        let document = fs::read_to_string(project(document.as_str().unwrap())).unwrap();
        let heading = format!("\n## {}\n", section.as_str().unwrap());
        assert!(document.contains(&heading), "{heading}");
        page.check_kind(&value, "expected", 1);
        page.check_kind(&value, "observed", 2);
    }
    let every: BTreeSet<&str> = CHECKS.map(Check::name).into_iter().collect();
    assert_eq!(checks, every);
    let small = (scenario, *failed);
    let bundle = Bundle::new(&campaign, number, small, folder.0.path(), "nestwalk");
    bundle
        .write(&Devices::chosen(choose), &mut Outputs::default())
        .unwrap();
    let name = Bundle::name("handout", 5, number);
    let report = folder.json(&format!("{name}/report.json"));
    page.document("bundle", &report);
    page.check(&bundle.summary(first.clone(), true), "found", "found");
    let left = bundle.summary(first, false);
    assert_eq!(left["shrunk"], Value::Null);
    page.check(&left, "found", "found");
}

/// Makes a list of defects of a device with a bug, with a deviation that applies to none.
fn list_of_defects(folder: &Folder, page: &mut Page) {
    fs::create_dir(folder.path("buggy")).unwrap();
    for name in ["classic_mmu.sv", "classic_top.sv", "classic_mmu.toml"] {
        let text = fs::read_to_string(project(&format!("examples/classic_mmu/{name}"))).unwrap();
        let buggy = text.replace("{2'd0, g_addr[63:2]}", "g_addr");
        assert_eq!(buggy != text, name == "classic_mmu.sv");
        folder.write(&format!("buggy/{name}"), &buggy);
    }
    let known = folder.write(
        "known.toml",
        "[[deviation]]\nid = \"a\"\naction = \"accept\"\nwhen = { check = \"hang\" }\n",
    );
    let device = folder.path("buggy/classic_mmu.toml");
    let out = folder.path("out");
    let campaign = [
        "fuzz",
        "--profile",
        "rv64",
        "--seed",
        "1",
        "--count",
        "2000",
        "--all",
    ];
    let options = [
        "--device",
        &device,
        "-o",
        &out,
        "--deviations",
        &known,
        "--json",
    ];
    let list = ran(1, &[&campaign[..], &options].concat()).json();
    page.document("fuzz", &list);
    assert_ne!(list["findings"], Value::Array(Vec::new()));
    assert_eq!(list["deviations"][0]["stale"], true);
}

/// The fields that no document of these tests has: those of mismatches that only a device shows in
/// a replay, and of a wrong coverage model.
const UNSEEN: [&str; 4] = [
    "bin.bin",
    "bin.group",
    "tracefailure.line",
    "tracefailure.what",
];

/// A map of constants, with one signal.
const MAP: &str = "name = \"x\"\nformat = \"rv64\"\n[clock]\nsignal = \"tb.c\"\n[reset]\n\
    at_start = true\n[signals]\nreq_valid_i = 0\nreq_ready_o = 0\nreq_access_i = 0\n\
    req_gva_i = 0\nreq_guest_root_i = 0\nrsp_valid_o = \"tb.v\"\nrsp_hpa_o = 0\n\
    rsp_fault_o = 0\nmem_req_valid_o = 0\nmem_req_ready_i = 0\nmem_req_hpa_o = 0\n\
    mem_rsp_valid_i = 0\nmem_rsp_data_i = 0\n[modes]\nguest = [\"sv39\"]\nvirt = [0]\n";

/// A VCD in which that signal is unknown.
const UNKNOWN: &str = "$scope module tb $end\n$var wire 1 c c $end\n$var wire 1 v v $end\n\
    $upscope $end\n$enddefinitions $end\n#0\n0c\nxv\n#5\n1c\n#10\n0c\n0v\n#15\n1c\n";

/// Audits of a recording: right, with a wrong response, cut short, and with unknown bits.
fn audits(folder: &Folder, page: &mut Page, scenario: &str) {
    let record = folder.path("record.jsonl");
    ran(0, &["run", scenario, "--record", &record]);
    let audit =
        |code, file: &str| ran(code, &["audit", file, "--device", "handout", "--json"]).json();
    page.document("audit", &audit(0, &record));
    let lines = fs::read_to_string(&record).unwrap();
    let right = "\"hpa\":\"0x229A0\",\"page_size\"";
    assert!(lines.contains(right));
    let wrong = lines.replace(right, "\"hpa\":\"0x329A0\",\"page_size\"");
    page.document(
        "audit",
        &audit(1, &folder.write("wrong-record.jsonl", &wrong)),
    );
    let cut = folder.write("cut.jsonl", &lines[..lines.len() - 10]);
    page.document("audit", &audit(2, &cut));
    let (map, vcd) = (folder.write("x.toml", MAP), folder.write("x.vcd", UNKNOWN));
    let unknown = ran(1, &["audit", &vcd, "--map", &map, "--json"]);
    page.document("audit", &unknown.json());
}

#[test]
fn the_page_has_every_field_that_is_written_and_no_other() {
    let mut page = Page::read();
    let folder = Folder::new();

    // Scenarios of both format families, with and without faults and expectations.
    let mut scenarios: Vec<_> = fs::read_dir(project("scenarios")).unwrap().collect();
    scenarios.extend(fs::read_dir(project("tests/found")).unwrap());
    for entry in scenarios {
        let path = entry.unwrap().path();
        let walked = ran(0, &["walk", path.to_str().unwrap(), "--json"]);
        page.document("walk", &walked.json());
    }
    for name in ["exercise", "sv39-kvm", "svadu", "host-process"] {
        let path = project(&format!("scenarios/{name}.toml"));
        page.document("run", &ran(0, &["run", &path, "--json"]).json());
    }
    let exercise = project("scenarios/exercise.toml");
    let wave = ran(
        0,
        &["wave", &exercise, "-o", &folder.path("wave"), "--json"],
    );
    page.document("wave", &wave.json());

    // A device of a user.
    let device = project("examples/classic_mmu/classic_mmu.toml");
    page.document("build", &ran(0, &["build", &device, "--json"]).json());
    audits(&folder, &mut page, &exercise);

    // Campaigns.
    let campaign = ["fuzz", "--seed", "1", "--count", "1500", "--json"];
    let fuzz = |more: &[&str]| ran(0, &[&campaign[..], more].concat()).json();
    let coverage = folder.path("coverage.json");
    page.document("fuzz", &fuzz(&["--coverage", &coverage, "--memory"]));
    page.check(&folder.json("coverage.json"), "coverage", "coverage");
    let hidden = folder.path("hidden.json");
    fuzz(&["--visibility", "ports", "--coverage", &hidden]);
    page.check(&folder.json("hidden.json"), "coverage", "coverage");
    let shards = [folder.path("0.json"), folder.path("1.json")];
    for (shard, file) in ["0/2", "1/2"].iter().zip(&shards) {
        page.document("fuzz", &fuzz(&["--shard", shard, "--results", file]));
    }
    page.check(&folder.json("0.json"), "results", "results");
    let merged = ran(0, &["merge", &shards[0], &shards[1], "--json"]);
    page.check(&merged.json(), "results", "merge");
    failing(&folder, &mut page);
    list_of_defects(&folder, &mut page);

    // Coverage, including code coverage of the RTL.
    fs::create_dir(folder.path("rtl")).unwrap();
    folder.write("rtl/a.sv", "module a;\n  if (x) y = 1;\nendmodule\n");
    let point = |kind: &str, what: &str, count: u64| {
        format!(
            "C '\x01t\x02{kind}\x01page\x02v_{kind}/a__pi1\x01f\x02rtl/a.sv\x01l\x022\x01n\x023\x01o\x02{what}\x01S\x022' {count}\n"
        )
    };
    let points = point("branch", "if", 3) + &point("branch", "else", 0);
    let code = folder.write("a.dat", &format!("# SystemC::Coverage-3\n{points}"));
    let sources = folder.path("");
    let cover = ["cover", &coverage, &code, "--sources", &sources, "--json"];
    page.document("cover", &ran(0, &cover).json());

    // Vectors and traces: right, wrong, and missing.
    let vectors = project("tests/vectors/hyp-tests.jsonl.gz");
    page.document("vectors", &ran(0, &["vectors", &vectors, "--json"]).json());
    let vector = r#"{"id":"v","xlen":64,"ext":{"svnapot":0,"svpbmt":0,"svadu":0},
        "csrs":{"satp":"8000000000080022","vsatp":"0","hgatp":"0","priv":1,"virt":0,"mxr":0,"sum":0,"mprv":0,
        "mpp":0,"mpv":0,"vs_mxr":0,"vs_sum":0,"spvp":0,"hu":0,"m_adue":0,"m_pbmte":0,"h_adue":0,"h_pbmte":0},
        "access":{"type":"load","kind":"plain","size":4,"va":"8000ce70"},"eff":{"priv":1,"virt":0},
        "mem":[["80022010","200000cf"]],"expect":{"ok":true,"pa":"9000ce70"},
        "reads":[["80022010","S2"]],"writes":[]}"#;
    let wrong = folder.write("wrong.jsonl", &vector.replace('\n', ""));
    page.document("vectors", &ran(1, &["vectors", &wrong, "--json"]).json());
    let absent = folder.path("absent");
    page.document("vectors", &ran(2, &["vectors", &absent, "--json"]).json());
    let trace = |pa: &str| {
        format!(
            "H 1 64 0 0 1 1\n\
             C 1 0 1 8000500000080000 0 0 0 0 0 0 1 0 0 0 0\n\
             M 80000000 20000401\nM 80001000 20000801\nM 80002008 20000cc7\n\
             A 1 r 1008 ={pa} 3\nE 1 3 0 0 1 0 0 0\n"
        )
    };
    let right = folder.write("right.trace", &trace("80003008"));
    folder.write(
        "right.stats.txt",
        "TLB 32: hit 50%, walks 1, reads/walk 3.00\n",
    );
    page.document("trace", &ran(0, &["trace", &right, "--json"]).json());
    let wrong = folder.write("wrong.trace", &trace("90003008"));
    page.document("trace", &ran(1, &["trace", &wrong, "--json"]).json());
    page.document("trace", &ran(2, &["trace", &absent, "--json"]).json());

    assert_eq!(page.unseen(), UNSEEN);
}

// --- Expectations -------------------------------------------------------------------------------

/// Returns the exercise with one text in place of another, on a command with `--json`.
fn exercise(command: &str, from: &str, to: &str) -> Ran {
    let text = fs::read_to_string(project("scenarios/exercise.toml")).unwrap();
    assert!(text.contains(from));
    let folder = Folder::new();
    let path = folder.write("exercise.toml", &text.replace(from, to));
    nestwalk(&[command, &path, "--json"])
}

#[test]
fn an_expectation_that_fails_is_never_said_to_be_met() {
    // The hPA of the last access is wrong on both sides. The device alone expects a hit.
    for (from, to, golden_fails) in [
        ("expect.hpa = 0x1FFFC", "expect.hpa = 0x2FFFC", true),
        ("expect.hit = true", "expect.hit = false", false),
    ] {
        let ran = exercise("run", from, to);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        let report = ran.json();
        assert_eq!(report["agree"], false);
        let accesses = report["accesses"].as_array().unwrap();
        let (last, others) = accesses.split_last().unwrap();
        assert_eq!(last["golden"]["as_expected"], !golden_fails);
        assert_eq!(last["device"]["as_expected"], false);
        assert!(!last["device"]["differences"].as_array().unwrap().is_empty());
        for access in others {
            assert_eq!(access["golden"]["as_expected"], true);
            assert_eq!(access["device"]["as_expected"], true);
        }
        let walked = exercise("walk", from, to);
        assert_eq!(walked.code, i32::from(golden_fails));
        let report = walked.json();
        assert_eq!(report["agree"], !golden_fails);
        let last = report["accesses"].as_array().unwrap().last().unwrap();
        assert_eq!(last["as_expected"], !golden_fails);
    }
}

#[test]
fn an_access_without_expectations_is_neither_met_nor_failed() {
    let both = "expect.hpa = 0x1FFFC\nexpect.hit = true\n";
    let report = exercise("run", both, "").json();
    let last = report["accesses"].as_array().unwrap().last().unwrap();
    for side in ["golden", "device"] {
        assert_eq!(last[side]["as_expected"], Value::Null);
        assert_eq!(last[side]["differences"], serde_json::json!([]));
    }
    assert!(Path::new(report["scenario"].as_str().unwrap()).ends_with("exercise.toml"));
}
