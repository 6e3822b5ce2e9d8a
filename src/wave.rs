// SPDX-License-Identifier: Apache-2.0
//! Waves: the run of a scenario as an FST file, with views for GTKWave (`.gtkw`) and Surfer
//! (`.sucl`).
//!
//! One unit of time is one clock cycle. Its one sample is the state before the rising edge:
//! registers, inputs, and the logic behind both. So the clock itself never changes in a wave.
//!
//! One description of groups and signals (`groups`) gives both views.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use crate::bench::{self, Check, Failed, Failure, Observer, Stats};
use crate::dut::description::Description;
use crate::dut::foreign::SOCKET_MODULE;
use crate::dut::{Dut, Inputs, Outputs};
use crate::mmu::describe_outcome;
use crate::report::Recorder;
use crate::report::mismatch::title;
use crate::scenario::{Op, Scenario};
use crate::shown;

/// Name of the wave file in its folder.
pub const FST: &str = "wave.fst";
/// Name of the view for GTKWave.
pub const GTKW: &str = "wave.gtkw";
/// Name of the view for Surfer.
pub const SUCL: &str = "wave.sucl";
/// Every file of a folder of waves.
pub const FILES: [&str; 3] = [FST, GTKW, SUCL];

/// Cycles that are recorded after a failure, with nothing driven. They show what the failing cycle
/// has changed.
const BEHIND: u32 = 8;

/// The result of a recorded run.
#[derive(Debug)]
pub struct Recorded {
    /// The result of the run. It does not depend on the wave.
    pub result: Result<Stats, Box<Failed>>,
    /// The result of writing the wave.
    pub wave: io::Result<()>,
}

/// Runs a scenario on a new device and records it, from cycle `from` on, into a new FST file at
/// `path`. The file is a draft. If writing the wave fails, the file is incomplete.
pub fn record<O: Observer>(
    dut: &mut Dut,
    scenario: &Scenario,
    observer: &mut O,
    path: &Path,
    from: u64,
) -> Recorded {
    let opened = dut.trace_open(path, from).map_err(io::Error::other);
    let result = bench::run(dut, scenario, observer);
    if result.is_err() && opened.is_ok() {
        let (idle, mut outputs) = (Inputs::default(), Outputs::default());
        // A device that an assertion has stopped may not be clocked any more.
        for _ in 0..BEHIND {
            if dut.tick(&idle, &mut outputs).is_err() {
                break;
            }
        }
    }
    let wave = opened
        .and_then(|()| dut.trace_close().map_err(|_| cut_off()))
        .and_then(|()| must_be_whole(path));
    Recorded { result, wave }
}

/// Follows the blocks of an FST file from the first to the end of the file. The writer may not
/// notice a full disk.
fn must_be_whole(path: &Path) -> io::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    let length = file.get_ref().metadata()?.len();
    let (mut at, mut kinds) = (0, Vec::new());
    while at < length {
        let mut head = [0; 9];
        file.read_exact(&mut head).map_err(|_| cut_off())?;
        let [kind, section @ ..] = head;
        let section = u64::from_be_bytes(section);
        kinds.push(kind);
        // A section's length counts itself, and not the kind.
        let next = section.checked_add(at + 1).filter(|_| section >= 8);
        let next = next.filter(|&next| next <= length).ok_or_else(cut_off)?;
        file.seek(SeekFrom::Start(next))?;
        at = next;
    }
    let is_hierarchy = |kind: &u8| matches!(kind, 4 | 6 | 7);
    match kinds.first() == Some(&0) && kinds.contains(&3) && kinds.iter().any(is_hierarchy) {
        true => Ok(()),
        false => Err(cut_off()),
    }
}

fn cut_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::WriteZero,
        "the wave is truncated: the disk is full, or the file is larger than permitted",
    )
}

/// The radix of a signal in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Radix {
    Hex,
    Decimal,
    /// A single bit.
    Bit,
    /// The names of an enumeration.
    Name,
}

/// A signal of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signal {
    /// The label in the view.
    label: String,
    /// Its path in the FST file, without range.
    path: String,
    /// Its width in bits, if it is declared as a vector.
    width: Option<u32>,
    radix: Radix,
}

/// Signals that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    signals: Vec<Signal>,
}

fn signal(label: &str, path: &str, width: Option<u32>, radix: Radix) -> Signal {
    Signal {
        label: label.to_owned(),
        path: format!("tb_top.{path}"),
        width,
        radix,
    }
}

/// Returns the groups of signals in a view of a scenario's device.
fn groups(scenario: &Scenario) -> Vec<Group> {
    use Radix::{Bit, Decimal, Hex, Name};
    let format = scenario.machine.format;
    let geometry = format.geometry();
    let slots = scenario.machine.slots;
    let width_of = |n: u32| Some((n.max(2) - 1).ilog2() + 1);
    let most_levels = geometry.levels.min(scenario.machine.max_levels);
    let (slot, level) = (width_of(slots), width_of(most_levels));
    let (gva, gpa, hpa) = (
        Some(geometry.gva_width),
        Some(geometry.gpa_width),
        Some(geometry.hpa_width),
    );
    let (asid, vmid, id) = (Some(16), Some(14), Some(8));
    let (levels, purpose, kind) = (Some(3), Some(2), Some(4));
    let pte = Some(geometry.pte_width);
    let group = |name: &str, signals: Vec<Signal>| Group {
        name: name.to_owned(),
        signals,
    };
    // Signals that the format may lack.
    let only = |has: bool, signals: Vec<Signal>| if has { signals } else { Vec::new() };

    let mut groups = vec![
        group(
            "request",
            [
                vec![
                    signal("req valid", "req_valid_i", None, Bit),
                    signal("req ready", "req_ready_o", None, Bit),
                    signal("req id", "req_id_i", id, Decimal),
                    signal("req access", "req_access_i", Some(2), Name),
                    signal("req gVA", "req_gva_i", gva, Hex),
                ],
                only(
                    !format.has_privileges(),
                    vec![signal("req rights mode", "req_rights_i", None, Bit)],
                ),
                only(
                    format.has_privileges(),
                    vec![
                        signal("req virtual", "req_virt_i", None, Bit),
                        signal("req user", "req_user_i", None, Bit),
                        signal("req SUM", "req_sum_i", None, Bit),
                        signal("req guest MXR", "req_guest_mxr_i", None, Bit),
                        signal("req host MXR", "req_host_mxr_i", None, Bit),
                        signal("req guest ADUE", "req_guest_adue_i", None, Bit),
                        signal("req host ADUE", "req_host_adue_i", None, Bit),
                        signal("req guest PBMTE", "req_guest_pbmte_i", None, Bit),
                        signal("req host PBMTE", "req_host_pbmte_i", None, Bit),
                        signal("req Svnapot", "req_napot_i", None, Bit),
                    ],
                ),
                vec![
                    signal("req ASID", "req_asid_i", asid, Decimal),
                    signal("req VMID", "req_vmid_i", vmid, Decimal),
                    signal("req guest levels", "req_guest_levels_i", levels, Decimal),
                    signal("req guest root", "req_guest_root_i", gpa, Hex),
                    signal("req host levels", "req_host_levels_i", levels, Decimal),
                    signal("req host root", "req_host_root_i", hpa, Hex),
                ],
            ]
            .concat(),
        ),
        group(
            "response",
            [
                vec![
                    signal("rsp valid", "rsp_valid_o", None, Bit),
                    signal("rsp ready", "rsp_ready_i", None, Bit),
                    signal("rsp id", "rsp_id_o", id, Decimal),
                    signal("rsp hit", "rsp_hit_o", None, Bit),
                    signal("rsp gVA", "rsp_gva_o", gva, Hex),
                    signal("rsp gPA", "rsp_gpa_o", gpa, Hex),
                    signal("rsp hPA", "rsp_hpa_o", hpa, Hex),
                ],
                only(
                    format.has_superpages(),
                    vec![
                        signal("rsp page size (log2)", "rsp_page_size_o", Some(6), Decimal),
                        signal("rsp memory type", "rsp_attributes_o", Some(2), Decimal),
                    ],
                ),
            ]
            .concat(),
        ),
        group(
            "fault",
            [
                vec![
                    signal("fault kind", "rsp_fault_kind_o", kind, Name),
                    signal("fault stage (1 host)", "rsp_fault_stage_o", None, Bit),
                    signal("fault level", "rsp_fault_level_o", level, Decimal),
                    signal("fault purpose", "rsp_fault_purpose_o", purpose, Name),
                    signal(
                        "fault for guest level",
                        "rsp_fault_for_level_o",
                        level,
                        Decimal,
                    ),
                ],
                only(
                    format.has_traps(),
                    vec![
                        signal("trap cause", "rsp_trap_cause_o", Some(6), Decimal),
                        signal("trap GVA", "rsp_trap_gva_o", None, Bit),
                        signal("trap tval2", "rsp_trap_tval2_o", gpa, Hex),
                        signal("trap tinst", "rsp_trap_tinst_o", Some(16), Hex),
                    ],
                ),
            ]
            .concat(),
        ),
    ];
    for number in 0..slots {
        let of = |field: &str| format!("u_flat.u_mmu.u_walks.walk_q.[{number}].{field}");
        let state = format!("u_flat.u_mmu.u_walks.state_q.state_q[{number}]");
        let label = |what: &str| format!("slot {number} {what}");
        groups.push(group(
            &format!("walk slot {number}"),
            [
                vec![
                    signal(&label("state"), &state, Some(2), Name),
                    signal(&label("stage (1 host)"), &of("stage"), None, Bit),
                    signal(&label("guest level"), &of("guest_level"), level, Decimal),
                    signal(&label("host level"), &of("host_level"), level, Decimal),
                    signal(&label("purpose"), &of("purpose"), purpose, Name),
                ],
                only(
                    format.updates_entries(),
                    vec![signal(&label("update"), &of("update"), None, Bit)],
                ),
                vec![
                    signal(&label("gVA"), &of("query.gva"), gva, Hex),
                    signal(&label("gPA"), &of("gpa"), gpa, Hex),
                    signal(&label("hPA"), &of("hpa"), hpa, Hex),
                    signal(&label("fault"), &of("fault"), kind, Name),
                ],
            ]
            .concat(),
        ));
    }
    groups.extend([
        group(
            "memory port",
            [
                vec![
                    signal("read valid", "mem_req_valid_o", None, Bit),
                    signal("read ready", "mem_req_ready_i", None, Bit),
                    signal("read slot", "mem_req_id_o", slot, Decimal),
                    signal("read hPA", "mem_req_hpa_o", hpa, Hex),
                ],
                only(
                    format.updates_entries(),
                    vec![
                        signal("update", "mem_req_update_o", None, Bit),
                        signal("update of", "mem_req_expected_o", pte, Hex),
                        signal("update to", "mem_req_new_o", pte, Hex),
                    ],
                ),
                vec![
                    signal("data valid", "mem_rsp_valid_i", None, Bit),
                    signal("data slot", "mem_rsp_id_i", slot, Decimal),
                    signal("data error", "mem_rsp_error_i", None, Bit),
                    signal("data", "mem_rsp_data_i", pte, Hex),
                ],
            ]
            .concat(),
        ),
        group(
            "TLB",
            vec![
                signal("look-up", "u_flat.u_mmu.lookup_valid", None, Bit),
                signal("hit", "u_flat.u_mmu.hit", None, Bit),
                signal("fill", "u_flat.u_mmu.u_tlb.fill_valid_i", None, Bit),
                signal(
                    "valid entries",
                    "u_flat.u_mmu.u_tlb.valid_q",
                    Some(scenario.machine.tlb_entries),
                    Hex,
                ),
            ],
        ),
        group(
            "fence",
            [
                vec![signal("fence valid", "fence_valid_i", None, Bit)],
                only(
                    format.has_native_contexts(),
                    vec![signal("of virtual", "fence_virt_i", None, Bit)],
                ),
                vec![
                    signal("by gVA", "fence_use_gva_i", None, Bit),
                    signal("by gPA", "fence_use_gpa_i", None, Bit),
                    signal("by ASID", "fence_use_asid_i", None, Bit),
                    signal("by VMID", "fence_use_vmid_i", None, Bit),
                    signal("fence gVA", "fence_gva_i", gva, Hex),
                    signal("fence gPA", "fence_gpa_i", gpa, Hex),
                ],
            ]
            .concat(),
        ),
    ]);
    match scenario.machine.foreign_description() {
        Some(device) => foreign_groups(groups, device),
        None => groups,
    }
}

/// The groups of a foreign device: its ports, and the signals that its device file names.
fn foreign_groups(mut groups: Vec<Group>, device: &Description) -> Vec<Group> {
    for group in &mut groups {
        for signal in &mut group.signals {
            let port = signal.path.trim_start_matches("tb_top.");
            // The wave has other widths than those of the project's own ports.
            signal.width = device.ports.width(port).filter(|&width| width > 1);
            signal.path = format!("{SOCKET_MODULE}.{port}");
        }
        let is_port = |signal: &Signal| {
            let port = signal.path.rsplit('.').next().unwrap_or_default();
            signal.path.matches('.').count() == 1 && device.ports.has(port)
        };
        group.signals.retain(is_port);
    }
    groups.retain(|group| !group.signals.is_empty());
    if !device.waves.is_empty() {
        let own = device.waves.iter().map(|(path, width)| Signal {
            label: path.rsplit('.').next().unwrap_or(path).to_owned(),
            path: format!("{SOCKET_MODULE}.u_dut.{path}"),
            width: *width,
            radix: if width.is_some() {
                Radix::Hex
            } else {
                Radix::Name
            },
        });
        groups.push(Group {
            name: "device".to_owned(),
            signals: own.collect(),
        });
    }
    groups
}

/// Returns the cycles to mark, with the event in each: each access; in a failed run also each
/// fence, and the failure.
pub fn markers(
    scenario: &Scenario,
    recorder: &Recorder,
    failed_at: Option<u64>,
) -> Vec<(u64, String)> {
    let format = scenario.machine.format;
    let mut markers = Vec::new();
    for (op, device) in recorder.accesses.iter().enumerate() {
        if let (Some(Op::Access(access)), Some(cycle)) = (scenario.ops.get(op), device.accepted) {
            let answer = match &device.answered {
                Some((cycle, outcome, hit)) => format!(
                    "{}{}, in cycle {cycle}",
                    describe_outcome(outcome, format),
                    if *hit { " (hit)" } else { "" }
                ),
                None => "not answered".to_owned(),
            };
            let what = format!(
                "{} gVA {} in {}: {answer}",
                access.access, access.gva, scenario.contexts[access.context].name
            );
            markers.push((cycle, what));
        }
    }
    if let Some(cycle) = failed_at {
        for &(cycle, op) in &recorder.fences {
            if let Some(Op::Fence(fence)) = scenario.ops.get(op) {
                markers.push((cycle, fence.to_string()));
            }
        }
        markers.push((cycle, "FAILS HERE".to_owned()));
    }
    markers.sort_by_key(|(cycle, _)| *cycle);
    markers
}

/// The signals that a view of a failed run puts first: those of the failing check.
struct Focus {
    /// The failure in one line.
    headline: String,
    /// Names of groups.
    first: Vec<String>,
}

impl Focus {
    fn of(failed: &Failed, recorder: &Recorder) -> Self {
        let (check, op, what) = match &failed.failure {
            Failure::Mismatch(mismatch) => (
                Some(mismatch.check()),
                mismatch.op,
                title(mismatch.check()).to_owned(),
            ),
            Failure::Hang { op, .. } => (None, Some(*op), "hang".to_owned()),
            Failure::Device { .. } => (None, None, "RTL assertion".to_owned()),
        };
        let slot = op
            .and_then(|op| recorder.accesses.get(op)?.walk)
            .map(|walk| format!("walk slot {}", recorder.walks[walk].slot));
        let others: &[&str] = match check {
            Some(Check::Reads) => &["memory port", "request"],
            Some(Check::WalkResponse) => &["memory port", "response", "fault"],
            Some(Check::Hit) => &["response", "fault", "TLB", "fence"],
            Some(_) => &["TLB", "fence", "response", "request"],
            None => &["request", "response", "memory port"],
        };
        Self {
            headline: format!("FAILS in cycle {}: {what}", failed.failure.cycle()),
            first: (slot.into_iter())
                .chain(others.iter().map(|&name| name.to_owned()))
                .collect(),
        }
    }

    fn rank(&self, group: &Group) -> usize {
        let place = self.first.iter().position(|name| *name == group.name);
        place.unwrap_or(self.first.len())
    }
}

/// Returns the views of a scenario's wave, each with the name of its file. The view of a failed run
/// is placed on the failing cycle.
pub fn views(
    scenario: &Scenario,
    recorder: &Recorder,
    failed: Option<&Failed>,
) -> [(&'static str, String); 2] {
    let mut groups = groups(scenario);
    let focus = failed.map(|failed| Focus::of(failed, recorder));
    if let Some(focus) = &focus {
        groups.sort_by_key(|group| focus.rank(group));
    }
    let failed_at = failed.map(|failed| failed.failure.cycle());
    let markers = markers(scenario, recorder, failed_at);
    let view = View {
        groups: &groups,
        markers: &markers,
        failed_at,
        focus: focus.as_ref(),
    };
    [(GTKW, view.gtkw()), (SUCL, view.sucl())]
}

/// Returns the line that opens a folder of waves.
pub fn open_line(folder: &Path) -> String {
    let [fst, gtkw, sucl] = FILES.map(|name| shown::word(folder.join(name)));
    format!("gtkwave {fst} {gtkw}   (or: surfer {fst} -c {sucl})")
}

/// GTKWave has 26 named markers besides the primary one.
const GTKWAVE_MARKERS: usize = 26;
/// Cycles in view before the failing one. At GTKWave's zoom a window shows some 15 cycles, wide
/// enough for the names of states.
const BEFORE: u64 = 9;
/// The most markers that are listed above the signals. More markers are listed below them.
const LISTED_ABOVE: usize = 8;

/// Returns the meanings of GTKWave's markers, one comment each.
fn legend(markers: &[(u64, String)]) -> String {
    let mut text = String::new();
    for (number, (cycle, what)) in markers.iter().enumerate() {
        let letter = char::from(b'A' + number as u8);
        // The list of signals is as wide as its widest line, so no more than what it is.
        let what = what.split(" in ").next().unwrap_or(what);
        let _ = writeln!(text, "-{letter}: {what}, cycle {cycle}");
    }
    text
}

/// A view, in whichever language.
struct View<'a> {
    groups: &'a [Group],
    markers: &'a [(u64, String)],
    failed_at: Option<u64>,
    focus: Option<&'a Focus>,
}

impl View<'_> {
    /// Returns the first cycle in view: some cycles before the failure, else the first marker.
    fn start(&self) -> u64 {
        match self.failed_at {
            Some(cycle) => cycle.saturating_sub(BEFORE),
            None => self.first_marker().saturating_sub(2),
        }
    }

    fn first_marker(&self) -> u64 {
        self.markers.first().map_or(0, |(cycle, _)| *cycle)
    }

    /// Returns the cycle of the cursor.
    fn cursor(&self) -> u64 {
        self.failed_at.unwrap_or(self.first_marker())
    }

    /// Returns the save file of GTKWave. A flag line (`@`, hexadecimal) holds for the signals after
    /// it.
    fn gtkw(&self) -> String {
        let mut text = String::from("[*] View of a nestwalk wave: a time unit is a clock cycle\n");
        // The primary marker, then A to Z. Of a failed run, the markers near the failure are kept.
        let _ = write!(text, "*-1.600000 {}", self.cursor());
        let markers = self.markers;
        let shown = match self.failed_at {
            Some(_) => &markers[markers.len().saturating_sub(GTKWAVE_MARKERS)..],
            None => &markers[..markers.len().min(GTKWAVE_MARKERS)],
        };
        for number in 0..GTKWAVE_MARKERS {
            match shown.get(number) {
                Some((cycle, _)) => {
                    let _ = write!(text, " {cycle}");
                }
                None => text.push_str(" -1"),
            }
        }
        let _ = writeln!(text, "\n[timestart] {}", self.start());
        text.push_str("[size] 1500 1000\n[sst_expanded] 0\n[signals_width] 400\n");
        let legend = legend(shown);
        let is_above = self.focus.is_some() && shown.len() <= LISTED_ABOVE;
        if let Some(focus) = self.focus {
            let _ = writeln!(text, "@200\n-{}", focus.headline);
            if is_above {
                text.push_str(&legend);
            }
        }
        for group in self.groups {
            // Groups that are not part of the failure are folded.
            let is_open = (self.focus).is_none_or(|focus| focus.first.contains(&group.name));
            let (begin, end) = match is_open {
                true => ("800200", "1000200"),
                false => ("c00200", "1401200"),
            };
            let _ = writeln!(text, "@{begin}\n-{}", group.name);
            for signal in &group.signals {
                let flags = match signal.radix {
                    Radix::Hex => "22",
                    Radix::Decimal => "24",
                    Radix::Bit => "28",
                    Radix::Name => "100000028",
                };
                // GTKWave names a vector of one bit like a single bit.
                let range = match signal.width {
                    None | Some(1) => String::new(),
                    Some(width) => format!("[{}:0]", width - 1),
                };
                let _ = writeln!(
                    text,
                    "@{flags}\n+{{{}}} {}{range}",
                    signal.label, signal.path
                );
            }
            let _ = writeln!(text, "@{end}\n-{}", group.name);
        }
        if !is_above {
            let _ = write!(text, "@200\n-\n{legend}");
        }
        text
    }

    /// Returns the command file of Surfer.
    fn sucl(&self) -> String {
        let mut text = String::new();
        for group in self.groups {
            let _ = writeln!(text, "divider_add {}", group.name.replace(' ', "_"));
            for signal in &group.signals {
                // Surfer reads the element of an array as a scope whose name is the index.
                let path = signal.path.replace("state_q.state_q[", "state_q.[");
                let _ = writeln!(text, "variable_add {path}");
            }
        }
        for (number, (cycle, what)) in self.markers.iter().enumerate() {
            let name = match what.as_str() {
                "FAILS HERE" => "FAILS_HERE".to_owned(),
                what if what.starts_with("fence") => format!("fence_{}", number + 1),
                _ => format!("access_{}", number + 1),
            };
            let _ = writeln!(text, "marker_set {name} {cycle}");
        }
        let _ = writeln!(text, "zoom_fit\ncursor_set {}", self.cursor());
        text
    }
}
