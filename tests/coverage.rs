// SPDX-License-Identifier: Apache-2.0
//! Coverage: counts are those of the events, sums do not depend on order, impossible bins are never
//! hit, and files and pages have the right form.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use nestwalk::bench::run;
use nestwalk::campaign::{Campaign, Devices};
use nestwalk::coverage::model::Model;
use nestwalk::coverage::{Bins, Coverage, CoverageCollector, Id, Run, file, html};
use nestwalk::dut::description::Visibility;
use nestwalk::format::Format;
use nestwalk::format::riscv::Entry;
use nestwalk::mmu::{Access, Fence, Rights, WalkCaches};
use nestwalk::scenario::{Machine, Op, Scenario, Timing, parse};
use nestwalk::shard::Shard;
use nestwalk::stimulus::Profile;
use tempfile::TempDir;

mod common {
    pub mod files;
    pub mod program;
}
use common::files::scenario_file;
use common::program::{Ran, nestwalk};
#[path = "common/riscv.rs"]
#[allow(dead_code)] // This test uses a part of the module.
mod rig;
use rig::{PAGE, Rig, access};

fn campaign(profile: Profile, count: u64, jobs: usize) -> Campaign {
    Campaign {
        profile,
        seed: 2026,
        count,
        jobs,
        coverage: true,
        lean: None,
        device: None,
        devices: Vec::new(),
        visibility: Visibility::Steps,
    }
}

fn covered(campaign: &Campaign) -> Coverage {
    let outcome = campaign.run(&|_| {}, &AtomicBool::new(false)).unwrap();
    assert!(outcome.failed.is_none());
    outcome.coverage.unwrap()
}

/// Returns the count of a bin, by its name.
#[track_caller]
fn count(coverage: &Coverage, format: Format, id: Id, bin: &str) -> u64 {
    let group = Model::of(format).group(id).unwrap();
    let bin = group.bin_of_name(bin).unwrap_or_else(|| panic!("{bin}"));
    coverage.group(format, group)[bin]
}

/// Returns the bins that a scenario reaches.
fn covered_by(scenario: &Scenario) -> Coverage {
    let mut bins = Bins::new(scenario.machine.format);
    let mut devices = Devices::default();
    run(
        devices.get(scenario).unwrap(),
        scenario,
        &mut CoverageCollector::new(scenario, &mut bins),
    )
    .unwrap();
    let mut coverage = Coverage::default();
    coverage.add(&bins.take());
    coverage
}

/// Compares the counts of a format's groups with the expected ones. There must be no others.
#[track_caller]
fn assert_counts(coverage: &Coverage, format: Format, groups: &[Id], expected: &[(Id, &str, u64)]) {
    for &(id, bin, times) in expected {
        assert_eq!(count(coverage, format, id, bin), times, "{id:?}: {bin}");
    }
    for &id in groups {
        let group = Model::of(format).group(id).unwrap();
        let bins = expected.iter().filter(|(of, ..)| *of == id).count();
        let reached = coverage.summary(format, group).reached;
        assert_eq!(reached, bins as u64, "{id:?}");
    }
}

#[test]
fn the_exercise_reaches_just_the_bins_of_its_walks() {
    let scenario = parse::load(&scenario_file("exercise.toml")).unwrap();
    let coverage = covered_by(&scenario);
    // Two walks of the host table alone; a nested walk that finds a hole at the guest leaf, and one
    // that finds the data, with eight reads; then a store that hits.
    let expected = [
        (Id::Translation, "host table | load | off | 64 KiB", 2),
        (Id::Translation, "both tables | load | 64 KiB | 64 KiB", 1),
        (Id::Fault, "both tables | load | memory | guest L2", 1),
        (Id::Entry, "host table | host L1 for the data | pointer", 2),
        (Id::Entry, "host table | host L2 for the data | leaf", 2),
        (
            Id::Entry,
            "both tables | host L1 to read guest L1 | pointer",
            2,
        ),
        (
            Id::Entry,
            "both tables | host L2 to read guest L1 | leaf",
            2,
        ),
        (Id::Entry, "both tables | guest L1 | pointer", 2),
        (
            Id::Entry,
            "both tables | host L1 to read guest L2 | pointer",
            2,
        ),
        (
            Id::Entry,
            "both tables | host L2 to read guest L2 | leaf",
            2,
        ),
        (Id::Entry, "both tables | guest L2 | leaf", 1),
        (Id::Entry, "both tables | host L1 for the data | pointer", 1),
        (Id::Entry, "both tables | host L2 for the data | leaf", 1),
        (Id::Use, "host L1 for the data | pointer | load", 3),
        (Id::LookUp, "host table | load | miss", 2),
        (Id::LookUp, "both tables | load | miss", 2),
        (Id::LookUp, "both tables | store | hit", 1),
        (Id::Slots, "4 | 1", 4),
        (Id::Shared, "4 | 1", 4),
        (Id::AnswerOrder, "miss | in order", 4),
        (Id::AnswerOrder, "hit | in order", 1),
        (Id::ReplyOrder, "0 | in order", 18),
    ];
    // No other bins of these groups are hit.
    let groups = [
        Id::Translation,
        Id::Fault,
        Id::Entry,
        Id::LookUp,
        Id::Slots,
        Id::ReplyOrder,
    ];
    assert_counts(&coverage, Format::Handout, &groups, &expected);
}

/// Loads of adjacent pages, each after the response to the load before it, with a fence before some
/// of them; Sv32 over Sv32x4, or Sv39 over Sv39x4.
fn side_by_side(machine: Machine, fences: &[Option<Fence>]) -> Scenario {
    const GVA: u64 = 0x4000_0000;
    const GPA: u64 = 0x8000_0000;
    let levels = if machine.format == Format::Rv32 { 2 } else { 3 };
    let mut rig = Rig::new(machine.format, levels, levels);
    let mut ops = Vec::new();
    for (page, fence) in fences.iter().enumerate() {
        let offset = page as u64 * PAGE;
        let leaf = |at| Entry::leaf(at, Rights::ALL);
        rig.map_host(GPA + offset, 0, leaf(GPA + offset).with_user(true));
        rig.map_guest(GVA + offset, 0, leaf(GPA + offset));
        ops.extend(fence.map(Op::Fence));
        ops.extend([access(0, GVA + offset, Access::Load), Op::Drain]);
    }
    let mut scenario = rig.scenario(&[rig.context()], Timing::default(), ops);
    scenario.machine = machine;
    scenario
}

fn with_caches(format: Format, walk_caches: WalkCaches) -> Machine {
    Machine {
        walk_caches,
        ..Machine::of(format)
    }
}

const OF_WALK_CACHES: [Id; 5] = [
    Id::Pass,
    Id::PassEnd,
    Id::PassAfter,
    Id::WalkCaches,
    Id::CacheFence,
];

#[test]
fn walks_count_by_what_walk_caches_have_led_them_to_and_by_what_fences_have_left_there() {
    let spares = Fence {
        vmid: Some(3),
        ..Fence::default()
    };
    let fences = [None, None, Some(spares), Some(Fence::default())];
    let coverage = covered_by(&side_by_side(
        with_caches(Format::Rv64, WalkCaches::ALL),
        &fences,
    ));
    let mode = "V=1 sv39 over sv39x4";
    let led = |to: &str| format!("{mode} | {to}");
    // The guest tables are adjacent. The first walk, and the walk after the second fence, hit for
    // the tables below the root.
    let [to_l1, to_l0] = ["L1", "L0"].map(|guest| {
        let to = format!("host cache to host L0 to read guest {guest}");
        led(&to)
    });
    let (data, guest) = (
        led("host cache to host L0 for the data"),
        led("guest cache to guest L0"),
    );
    let mut expected = vec![
        (Id::Pass, to_l1.as_str(), 2),
        (Id::Pass, &to_l0, 2),
        (Id::Pass, &data, 2),
        (Id::Pass, &guest, 2),
        (Id::PassEnd, "guest cache | load | a translation", 2),
        (Id::PassEnd, "host cache | load | a translation", 4),
        (Id::PassAfter, "guest L0 | what is spared by VMID", 1),
        (Id::PassAfter, "host L0 | what is spared by VMID", 1),
        (Id::WalkCaches, "guest host nested | 2", 4),
    ];
    let caches = ["guest L0", "guest L1", "host L0", "host L1", "nested"];
    let met = |cache: &str| {
        [
            format!("V=1 VMID | {cache} | what is spared by VMID"),
            format!("V=1 everything | {cache} | what it names"),
        ]
    };
    let unused = ["guest L2", "guest L3", "host L2", "host L3"];
    let nothing = |cache: &str| {
        ["VMID", "everything"].map(|operands| format!("V=1 {operands} | {cache} | nothing"))
    };
    let met: Vec<String> = caches
        .into_iter()
        .flat_map(met)
        .chain(unused.into_iter().flat_map(nothing))
        .collect();
    expected.extend(met.iter().map(|bin| (Id::CacheFence, bin.as_str(), 1)));
    assert_counts(&coverage, Format::Rv64, &OF_WALK_CACHES, &expected);
}

#[test]
fn a_walk_cache_that_is_not_in_use_counts_nothing() {
    let nested = WalkCaches {
        nested: true,
        ..WalkCaches::default()
    };
    let fences = [None, None, Some(Fence::default())];
    let rv32 = Format::Rv32;
    let coverage = covered_by(&side_by_side(with_caches(rv32, nested), &fences));
    let mode = "V=1 sv32 over sv32x4";
    let led = ["L1", "L0"].map(|guest| format!("{mode} | nested TLB to guest {guest}"));
    let expected = [
        (Id::Pass, led[0].as_str(), 1),
        (Id::Pass, &led[1], 1),
        (Id::PassEnd, "nested TLB | load | a translation", 1),
        (Id::WalkCaches, "nested | 0", 2),
        (Id::WalkCaches, "nested | 2", 1),
        (Id::CacheFence, "V=1 everything | nested | what it names", 1),
    ];
    assert_counts(&coverage, rv32, &OF_WALK_CACHES, &expected);

    let none = with_caches(rv32, WalkCaches::default());
    let coverage = covered_by(&side_by_side(none, &fences));
    let expected = [(Id::WalkCaches, "none | 0", 3)];
    assert_counts(&coverage, rv32, &OF_WALK_CACHES, &expected);
}

#[test]
fn a_read_follows_upon_a_word_at_once_only_with_the_read_bypass() {
    for (read_bypass, bin) in [
        (false, "no read bypass | in the next"),
        (true, "read bypass | in the cycle of the word"),
    ] {
        let machine = Machine {
            read_bypass,
            ..Machine::of(Format::Rv64)
        };
        let coverage = covered_by(&side_by_side(machine, &[None]));
        // All 15 reads of the walk except the first.
        let expected = [(Id::NextRead, bin, 14)];
        assert_counts(&coverage, Format::Rv64, &[Id::NextRead], &expected);
    }
}

#[test]
fn what_a_level_of_visibility_hides_is_neither_counted_nor_missing() {
    let profile = Profile::ALL[4];
    let shows = |level| {
        let campaign = Campaign {
            visibility: level,
            ..campaign(profile, 2_000, 2)
        };
        covered(&campaign)
    };
    let (whole, ports) = (shows(Visibility::Steps), shows(Visibility::Ports));
    let model = Model::of(profile.format);
    for group in &model.groups {
        for (bin, &count) in ports.group(profile.format, group).iter().enumerate() {
            let needed = model.visibility[group.start + bin];
            assert!(count == 0 || needed == Visibility::Ports, "{}", group.name);
        }
        for bin in ports.empty_bins(profile.format, group) {
            let needed = model.visibility[group.start + bin];
            assert_eq!(needed, Visibility::Ports, "{}", group.name);
        }
    }
    let of_ports = ports.total(profile.format);
    let of_whole = whole.total(profile.format);
    assert_eq!((of_whole.not_visible, of_whole.not_able), (0, 0));
    assert!(of_ports.reached > 0 && of_ports.not_able == 0);
    assert_eq!(
        of_ports.reachable + of_ports.not_visible,
        of_whole.reachable
    );

    // A run that sees a bin makes it visible, and a file keeps what was hidden.
    let text = file::to_json(&ports);
    let mut sum = file::parse(Path::new("ports.json"), &text).unwrap();
    assert_eq!(sum, ports);
    sum.merge(&whole).unwrap();
    assert_eq!(sum.total(profile.format).not_visible, 0);
    assert_eq!(sum.total(profile.format).reachable, of_whole.reachable);
}

#[test]
fn coverage_is_the_same_at_any_number_of_threads_and_of_parts() {
    let profile = Profile::ALL[4];
    let whole = campaign(profile, 5_000, 1);
    let expected = file::to_json(&covered(&whole));
    assert_eq!(
        file::to_json(&covered(&campaign(profile, 5_000, 3))),
        expected
    );

    // The same scenarios on three machines, with their parts merged in another order.
    let mut devices = Devices::default();
    let mut parts: Vec<Coverage> = (0..3)
        .map(|machine| {
            let mut part = Coverage::default();
            let mut bins = Bins::new(profile.format);
            let mut of_part = Run {
                profile: profile.to_string(),
                seed: whole.seed,
                count: whole.count,
                shape: whole.shape(),
                abilities: None,
                version: env!("CARGO_PKG_VERSION").into(),
                parts: vec![Shard::new(machine, 3).unwrap()],
                scenarios: 0,
                of: 10,
                accesses: 0,
                cycles: 0,
            };
            for number in (machine..10).step_by(3) {
                let scenario = whole.scenario(number);
                let device = devices.get(&scenario).unwrap();
                let stats = run(
                    device,
                    &scenario,
                    &mut CoverageCollector::new(&scenario, &mut bins),
                )
                .unwrap();
                part.add(&bins.take());
                of_part.scenarios += 1;
                of_part.accesses += stats.accesses;
                of_part.cycles += stats.cycles;
            }
            part.runs.push(of_part);
            part
        })
        .collect();
    parts.rotate_left(1);
    let mut sum = Coverage::default();
    for part in &parts {
        // Through a file and back.
        let text = file::to_json(part);
        sum.merge(&file::parse(Path::new("part"), &text).unwrap())
            .unwrap();
    }
    assert_eq!(file::to_json(&sum), expected);
}

#[test]
fn nothing_that_is_held_impossible_is_ever_reached() {
    for profile in Profile::ALL {
        let coverage = covered(&campaign(profile, 20_000, 2));
        let found: Vec<String> = coverage
            .contradictions(profile.format)
            .iter()
            .map(|(group, bin)| format!("{}: {}", group.name, group.bin_name(*bin)))
            .collect();
        assert!(found.is_empty(), "{profile}: {found:?}");
        let total = coverage.total(profile.format);
        assert!(total.reached > 0 && total.reached <= total.reachable);
    }
}

/// Parses the HTML that this page uses: every tag is closed, in order. Returns the values of each
/// named attribute.
fn attributes(page: &str, names: &[&str]) -> Vec<(String, String)> {
    const EMPTY: [&str; 2] = ["meta", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let (tag, after) = rest[start + 1..].split_once('>').expect("a tag ends");
        assert!(!rest[..start].contains('>'), "a stray > before {tag}");
        rest = after;
        if tag == "style" {
            (_, rest) = rest.split_once("</style>").expect("the style ends");
            continue;
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
            continue;
        }
        let (name, mut list) = tag.split_once(' ').unwrap_or((tag, ""));
        if !EMPTY.contains(&name) {
            open.push(name);
        }
        while let Some((before, value)) = list.split_once("=\"") {
            let (value, next) = value.split_once('"').expect("a value ends");
            let key = before.split_whitespace().next_back().unwrap();
            if names.contains(&key) {
                found.push((key.to_owned(), value.to_owned()));
            }
            list = next;
        }
    }
    assert!(open.is_empty(), "{open:?}");
    found
}

#[test]
fn the_page_needs_nothing_but_itself_and_each_cell_opens_what_there_is() {
    let mut sum = Coverage::default();
    for profile in Profile::ALL {
        sum.merge(&covered(&campaign(profile, 1_000, 2))).unwrap();
    }
    let page = html::page(&sum, None);
    for foreign in [
        "http", "src=", "href=", "url(", "@import", "<script", "<link",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    let found = attributes(&page, &["id", "popovertarget"]);
    let of = |name: &str| -> Vec<&str> {
        found
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect()
    };
    let (ids, targets) = (of("id"), of("popovertarget"));
    let (unique, wanted): (BTreeSet<&str>, BTreeSet<&str>) =
        (ids.iter().copied().collect(), targets.into_iter().collect());
    assert_eq!(unique.len(), ids.len());
    assert_eq!(unique, wanted);
    // 3 x 3 cells for the formats of two levels, 6 x 6 for the one of five.
    assert_eq!(ids.len(), 3 * 9 + 36);
}

#[test]
fn a_cell_of_the_page_counts_the_entries_of_its_own_place_alone() {
    // The handout's formats have no updates of guest entries.
    let profile = Profile::ALL[0];
    let coverage = covered(&campaign(profile, 1_000, 2));
    let page = html::page(&coverage, None);
    let seen: u64 = attributes(&page, &["aria-label"])
        .iter()
        .filter_map(|(_, label)| label.split_once(" seen"))
        .filter(|(cell, _)| !cell.starts_with("translations"))
        .map(|(cell, _)| cell.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    let hits = |id| {
        let group = Model::of(profile.format).group(id).unwrap();
        coverage.group(profile.format, group).iter().sum::<u64>()
    };
    assert_eq!(seen, hits(Id::Fault) + hits(Id::Use));
}

/// Returns a folder with a coverage file of a short campaign in it.
fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.json");
    let ran = fuzz(&path, "1");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    (folder, path)
}

fn fuzz(path: &Path, jobs: &str) -> Ran {
    let path = path.to_str().unwrap();
    let arguments = ["--profile", "handout", "--seed", "3", "--count", "2000"];
    nestwalk(
        &[
            &["fuzz", "--jobs", jobs, "--coverage", path],
            &arguments[..],
        ]
        .concat(),
    )
}

fn cover(arguments: &[&Path]) -> Ran {
    nestwalk(&[&[Path::new("cover")], arguments].concat())
}

#[test]
fn cover_adds_files_up_and_writes_what_it_prints() {
    let (folder, path) = folder();
    let again = folder.path().join("again.json");
    assert_eq!(fuzz(&again, "3").code, 0);
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap());

    let out = folder.path().join("out");
    let ran = cover(&[&path, Path::new("-o"), &out]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("handout: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("not reached yet"), "{}", ran.stdout);
    // The sum of one file is that file.
    assert_eq!(
        fs::read(&path).unwrap(),
        fs::read(out.join("coverage.json")).unwrap()
    );
    let names: BTreeSet<String> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = ["coverage.html", "coverage.json", "coverage.txt"].map(String::from);
    assert_eq!(names, BTreeSet::from(expected));
    let html = cover(&[&path, Path::new("--html")]);
    assert_eq!(
        html.stdout,
        fs::read_to_string(out.join("coverage.html")).unwrap()
    );

    // Not every bin is reached in this short campaign.
    assert_eq!(cover(&[&path, Path::new("--complete")]).code, 1);
    let json = cover(&[&path, Path::new("--json")]).json();
    let format = &json["formats"][0];
    assert_eq!(format["format"], "handout");
    let missing: u64 = format["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["not_reached"].as_array().unwrap().len() as u64)
        .sum();
    let figure = |name: &str| format["summary"][name].as_u64().unwrap();
    assert_eq!(figure("reachable") - figure("reached"), missing);
}

#[test]
fn what_is_no_coverage_is_refused_by_file_and_reason() {
    let (folder, path) = folder();
    let text = fs::read_to_string(&path).unwrap();
    let bad = folder.path().join("bad.json");
    let refused = |text: &str, words: &[&str]| {
        fs::write(&bad, text).unwrap();
        let ran = cover(&[&path, &bad]);
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert_eq!(ran.stdout, "");
        for word in words.iter().chain(&["bad.json"]) {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
    };
    refused("", &["not a coverage file", "line 1"]);
    refused("{}", &["not a coverage file", "missing field"]);
    refused(&text[..text.len() / 2], &["not a coverage file"]);
    let with = |old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        text.replacen(old, new, 1)
    };
    refused(
        &with("\"nestwalk-coverage\": 2", "\"nestwalk-coverage\": 1"),
        &["version 1", "version 2"],
    );
    let model = format!("{:016x}", Model::of(Format::Handout).hash);
    refused(&with(&model, "0123456789abcdef"), &["other bins", &model]);
    refused(
        &with("\"handout\": {", "\"sparc\": {"),
        &["no format \"sparc\""],
    );
    refused(
        &with("\"reply-order\"", "\"reply\""),
        &["no group \"reply\""],
    );
    refused(
        &with("0 | in order", "0 | at random"),
        &["no bin \"0 | at random\""],
    );
    refused(&with("\"runs\"", "\"rums\""), &["rums"]);
    // The same campaign occurs twice.
    refused(&text, &["shard 0/1", "twice"]);
    refused(
        &with("\"index\": 0", "\"index\": 1"),
        &["the shards of a run"],
    );
    // A device's file that is truncated, and a file of an unknown kind.
    refused("# SystemC::Coverage-3\nC 'no end", &["bad.json:2"]);
    refused("# SystemC::Coverage-3\nD\n", &["bad.json:2"]);

    for (path, word) in [
        (folder.path().join("missing.json"), "No such file"),
        (folder.path().to_path_buf(), "cannot read"),
    ] {
        let ran = cover(&[&path]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
    assert_eq!(nestwalk(&["cover"]).code, 2);
    let ran = cover(&[&path, Path::new("--waivers"), Path::new("w.toml")]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--waivers"), "{}", ran.stderr);
}

#[test]
fn coverage_that_cannot_be_written_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("c.json").as_path(), folder.path()] {
        let ran = fuzz(path, "1");
        assert_eq!(ran.code, 2);
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("cannot write"), "{}", ran.stderr);
    }
    if !nestwalk::dut::COUNTS_CODE {
        let path = folder.path().join("dat");
        let ran = nestwalk(&["fuzz", "--rtl-coverage", path.to_str().unwrap()]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("NESTWALK_COVERAGE=1"), "{}", ran.stderr);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Sources, their coverage by two devices, and waivers, in a folder.
struct Rtl(TempDir);

impl Rtl {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("rtl")).unwrap();
        let rtl = Rtl(folder);
        rtl.write(
            "rtl/a.sv",
            "module a;\n  if (x) y = 1;\n  else y = 2;\nendmodule\n",
        );
        rtl.write(
            "one.dat",
            &Self::dat(&[
                ("2", "branch", "if", 3),
                ("2", "branch", "else", 0),
                ("1", "line", "block", 3),
            ]),
        );
        rtl.write(
            "two.dat",
            &Self::dat(&[
                ("2", "branch", "if", 0),
                ("2", "branch", "else", 0),
                ("1", "line", "block", 4),
            ]),
        );
        rtl
    }

    fn dat(points: &[(&str, &str, &str, u64)]) -> String {
        let mut text = "# SystemC::Coverage-3\n".to_owned();
        for (line, kind, what, count) in points {
            for (file, count) in [("rtl/a.sv", *count), ("sim/tb_top.sv", 0)] {
                text += &format!(
                    "C '\x01t\x02{kind}\x01page\x02v_{kind}/a__pi1\x01f\x02{file}\x01l\x02{line}\x01n\x023\x01o\x02{what}\x01S\x02{line}' {count}\n"
                );
            }
        }
        text
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn cover(&self, waivers: Option<&str>, more: &[&str]) -> Ran {
        let path = |name: &str| self.0.path().join(name).to_str().unwrap().to_owned();
        let mut arguments = vec!["cover".into(), path("one.dat"), path("two.dat")];
        arguments.extend(["--sources".into(), path("")]);
        if let Some(waivers) = waivers {
            self.write("waivers.toml", waivers);
            arguments.extend(["--waivers".into(), path("waivers.toml")]);
        }
        arguments.extend(more.iter().map(|argument| argument.to_string()));
        nestwalk(&arguments)
    }
}

const WAIVER: &str = "[[waiver]]\nfile = \"rtl/a.sv\"\nkind = \"branch\"\ntext = \"if (x) y = 1;\"\nwhat = \"else\"\nreason = \"x is tied\"\n";

#[test]
fn code_of_many_devices_adds_up_and_what_is_missing_is_named() {
    let rtl = Rtl::new();
    let ran = rtl.cover(None, &["--complete"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("not reached: rtl/a.sv:2: branch else: if (x) y = 1;"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("50.0 (1/2)"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("sim/"));
    let lcov = rtl.cover(None, &["--lcov"]).stdout;
    let expected = "TN:\nSF:rtl/a.sv\nBRDA:2,0,0,0\nBRDA:2,0,1,3\nBRF:2\nBRH:1\nDA:1,7\nDA:2,3\nLF:2\nLH:2\nend_of_record\n";
    assert_eq!(lcov, expected);
}

#[test]
fn waivers_need_a_reason_and_something_to_waive() {
    let rtl = Rtl::new();
    let ran = rtl.cover(Some(WAIVER), &["--complete"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("100.0 (1+1 waived/2)"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("x is tied"), "{}", ran.stdout);
    assert!(
        !rtl.cover(Some(WAIVER), &["--lcov"])
            .stdout
            .contains("BRDA:2,0,0,0")
    );
    for (old, new, word) in [
        ("x is tied", " ", "no reason"),
        ("\"else\"", "\"if\"", "stale"),
        ("y = 1", "y = 3", "stale"),
        ("branch", "line", "stale"),
        ("rtl/a.sv", "rtl/b.sv", "stale"),
        ("branch", "fork", "unknown variant"),
        ("reason", "raisin", "raisin"),
    ] {
        let ran = rtl.cover(Some(&WAIVER.replace(old, new)), &[]);
        assert_eq!(ran.code, 2, "{old}: {}", ran.stdout);
        assert!(
            ran.stderr.contains(word) && ran.stderr.contains("waivers.toml"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn code_whose_source_is_another_is_refused() {
    let rtl = Rtl::new();
    rtl.write("rtl/a.sv", "module a;\n");
    let ran = rtl.cover(None, &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no line 2"), "{}", ran.stderr);
    fs::remove_file(rtl.0.path().join("rtl/a.sv")).unwrap();
    let ran = rtl.cover(None, &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--sources"), "{}", ran.stderr);
}

#[test]
fn the_waivers_of_the_project_are_of_lines_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("tests/coverage-waivers.toml")).unwrap();
    let waivers: toml::Table = text.parse().unwrap();
    for waiver in waivers["waiver"].as_array().unwrap() {
        let field = |name: &str| waiver[name].as_str().unwrap();
        let source = fs::read_to_string(root.join(field("file"))).unwrap();
        let is_there = source.lines().any(|line| line.trim() == field("text"));
        assert!(is_there, "{}: {}", field("file"), field("text"));
        assert!(field("reason").len() > 10);
    }
}

#[test]
fn a_block_that_a_return_leaves_counts_as_often_as_the_return() {
    let rtl = Rtl::new();
    let points = [
        ("2", "branch", "if", 0),
        ("2", "branch", "cond_then", 0),
        ("3", "branch", "else", 0),
        ("2", "user", "cover", 5),
    ];
    rtl.write("one.dat", &Rtl::dat(&points));
    rtl.write("two.dat", &Rtl::dat(&points));
    let lcov = rtl.cover(None, &["--lcov"]).stdout;
    // The side of an expression in that line is not the block.
    assert!(
        lcov.contains("BRDA:2,0,0,0\nBRDA:2,0,1,10\nBRDA:3,0,0,0\n"),
        "{lcov}"
    );
}

#[test]
fn what_is_held_impossible_and_was_reached_is_a_mismatch() {
    let (folder, path) = folder();
    let text = fs::read_to_string(&path).unwrap();
    let bin = "both tables | load | pointer | guest L1";
    let wrong = folder.path().join("wrong.json");
    let with_bin = format!("\"fault\": {{ \"{bin}\": 5,");
    fs::write(&wrong, text.replacen("\"fault\": {", &with_bin, 1)).unwrap();
    let ran = cover(&[&wrong]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let said = ran
        .stdout
        .lines()
        .find(|line| line.contains("ALTHOUGH IMPOSSIBLE"));
    let said = said.unwrap_or_else(|| panic!("{}", ran.stdout));
    assert!(said.contains(bin) && said.contains("no such fault") && said.contains("5 times"));
    let json = cover(&[&wrong, Path::new("--json")]).json();
    let found = &json["formats"][0]["reached_and_held_impossible"][0];
    assert_eq!(
        (found["group"].as_str(), found["bin"].as_str()),
        (Some("fault"), Some(bin))
    );
    let page = cover(&[&wrong, Path::new("--html")]).stdout;
    assert!(page.contains("Reached 5 times, although impossible"));
}
