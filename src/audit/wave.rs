// SPDX-License-Identifier: Apache-2.0
//! FST and VCD files, read with the crate `wellen`, as the ports of a device cycle by cycle.
//!
//! The changes of the signals are read in a thread of their own, in the order of time, and in
//! batches. So the memory in use does not grow with the recording. `wellen` panics on some damaged
//! files: the panic ends its thread, and is an error here.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Once, OnceLock};
use std::thread::{self, JoinHandle};

use rustc_hash::FxHashMap;
use wellen::stream::{Filter, StreamError, StreamingWaveform};
use wellen::{
    FileFormat, Hierarchy, LoadOptions, SignalEncoding, SignalRef, SignalValueRef, VarRef,
};

use super::map::{Clock, Located, Map};
use super::signal::{Expression, Name, Part, Slice, Value};
use super::{AuditError, Cycles};
use crate::bench::auditor::Observed;
use crate::dut::description::Description;
use crate::dut::fields::{self, Field};
use crate::dut::foreign::SOCKET_MODULE;
use crate::dut::socket::{self, FAULT, FENCE_INSTRUCTION, PORTS, SocketPort};
use crate::dut::{Inputs, Outputs};
use crate::scenario::parse::error::Problem;
use crate::scenario::parse::reader::distance;

/// The name of the threads in which `wellen` runs.
const READER: &str = "wave reader";
/// Words of a batch of changes.
const BATCH: usize = 1 << 14;
/// Batches that may wait.
const BATCHES: usize = 8;
/// The files are read by one thread each.
const OPTIONS: LoadOptions = LoadOptions {
    multi_thread: false,
    remove_scopes_with_empty_name: false,
};
/// The most bits of a signal.
const WIDEST: u32 = 1 << 16;
/// Scopes of the waves of this program.
const OWN_SCOPES: [&str; 2] = ["tb_top", SOCKET_MODULE];

/// A signal that is read.
struct Slot {
    signal: SignalRef,
    width: u32,
}

impl Slot {
    fn words(&self) -> usize {
        self.width.div_ceil(64) as usize
    }
}

/// The field that a port sets.
enum Target {
    Input(Field<Inputs>),
    Output(Field<Outputs>),
    /// The port [`FAULT`].
    Fault,
    /// The port [`FENCE_INSTRUCTION`].
    Instruction,
}

/// A port with its signal.
struct Bound {
    port: &'static SocketPort,
    signal: Expression<Part>,
    target: Target,
}

/// A wave that has been opened.
pub(super) struct Wave {
    file: StreamingWaveform<Ordered<BufReader<File>>>,
    format: &'static str,
    slots: Vec<Slot>,
    bound: Vec<Bound>,
    clock: Sampling,
    /// The clock in words, for errors.
    clock_name: String,
    reset: Option<(Expression<Part>, bool)>,
    /// The device was reset just before the recording begins.
    at_start: bool,
    /// The wave is one of this program: it begins in reset if it begins with the first cycle.
    is_own: bool,
    times: Arc<Times>,
}

/// The times of a recording, as far as they are known.
#[derive(Default)]
struct Times {
    /// The last time.
    last: AtomicU64,
    /// The time has gone back: from this time to that.
    back: OnceLock<(u64, u64)>,
}

enum Sampling {
    Edge {
        signal: Expression<Part>,
        rising: bool,
    },
    Every(u64),
}

/// The variables of a recording by their names.
struct Names<'a> {
    hierarchy: &'a Hierarchy,
    vars: HashMap<String, Vec<VarRef>>,
}

impl<'a> Names<'a> {
    fn new(hierarchy: &'a Hierarchy) -> Self {
        let mut vars: HashMap<String, Vec<VarRef>> = HashMap::new();
        for var in hierarchy.all_vars() {
            let name = hierarchy[var].full_name(hierarchy);
            vars.entry(name).or_default().push(var);
        }
        Self { hierarchy, vars }
    }

    /// Returns the variables of a name, or of the only name that ends with it behind a scope.
    fn find(&self, name: &str) -> Option<&[VarRef]> {
        if let Some(found) = self.vars.get(name) {
            return Some(found);
        }
        let end = format!(".{name}");
        let mut longer = self.vars.iter().filter(|(full, _)| full.ends_with(&end));
        match (longer.next(), longer.next()) {
            (Some((_, found)), None) => Some(found),
            _ => None,
        }
    }

    /// Names that are like a name that there is not.
    fn near(&self, name: &str) -> Vec<&str> {
        let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
        let wanted = last(name);
        let edits = |full: &str| {
            let own = last(full);
            let length = own.len().max(wanted.len());
            (length <= 64)
                .then(|| distance(&own, &wanted))
                .filter(|&edits| edits <= length.div_ceil(3))
        };
        let mut near: Vec<(usize, usize, &str)> = (self.vars.keys())
            .filter_map(|full| {
                let whole = full.len().abs_diff(name.len());
                Some((edits(full)?, whole, full.as_str()))
            })
            .collect();
        near.sort();
        near.into_iter().take(3).map(|(_, _, name)| name).collect()
    }
}

/// Binds names to the signals that are read.
struct Binder<'a> {
    names: Names<'a>,
    map: &'a Map,
    slots: Vec<Slot>,
    by_signal: FxHashMap<SignalRef, usize>,
}

impl Binder<'_> {
    fn slot(&mut self, signal: SignalRef, width: u32) -> usize {
        let slots = &mut self.slots;
        *self.by_signal.entry(signal).or_insert_with(|| {
            slots.push(Slot { signal, width });
            slots.len() - 1
        })
    }

    /// Returns the part of a signal of an expression of the map.
    fn part(&mut self, name: &Name, located: &Located) -> Result<Part, AuditError> {
        let span = located.span_of(name.at, name.text.len());
        let error = |problem: Box<Problem>| self.map.error(problem);
        let split = name.split();
        let whole = self.names.find(&name.text).map(|vars| (vars, None));
        let sliced = || {
            let (path, slice) = split?;
            self.names.find(path.trim()).map(|vars| (vars, Some(slice)))
        };
        let Some((vars, slice)) = whole.or_else(sliced) else {
            let path = split.map_or(name.text.as_str(), |(path, _)| path);
            let message = format!("the recording has no signal `{path}`");
            let problem = Problem::at(&span, message);
            let near = self.names.near(path);
            return Err(error(match near.is_empty() {
                true => problem.label("not in the recording"),
                false => problem
                    .label("not in the recording")
                    .help(format!("signals with like names: {}", near.join(", "))),
            }));
        };
        let hierarchy = self.names.hierarchy;
        let var = &hierarchy[vars[0]];
        let SignalEncoding::BitVector(all @ 1..=WIDEST) = var.signal_encoding(hierarchy) else {
            let message = format!("`{}` is no vector of 1 to {WIDEST} bits", name.text);
            return Err(error(Problem::at(&span, message).label("expected bits")));
        };
        let width = all;
        let indices = |var: VarRef| {
            hierarchy[var]
                .index()
                .map(|index| (index.msb(), index.lsb()))
        };
        if vars.iter().any(|&var| indices(var) != indices(vars[0])) {
            let message = format!("`{}` is recorded in parts", name.text);
            return Err(error(
                Problem::at(&span, message).label("the recording has several signals of this name"),
            ));
        }
        let (msb, lsb) = indices(vars[0]).unwrap_or((i64::from(width) - 1, 0));
        let (low, width) = match slice {
            None => (0, width),
            Some(Slice { high, low }) => {
                // The declared indices may rise or fall.
                let place = |index: i64| match msb >= lsb {
                    true => index - lsb,
                    false => lsb - index,
                };
                let (top, bottom) = (place(high), place(low));
                if bottom < 0 || top < bottom || top >= i64::from(width) {
                    let message = format!("`{}` is not within the signal", name.text);
                    return Err(error(
                        Problem::at(&span, message).label(format!("the signal is [{msb}:{lsb}]")),
                    ));
                }
                (bottom as u32, (top - bottom + 1) as u32)
            }
        };
        let signal = var.signal_ref();
        Ok(Part {
            signal: self.slot(signal, all),
            low,
            width,
        })
    }

    fn expression(&mut self, located: &Located) -> Result<Expression<Part>, AuditError> {
        let expression = located.expression.clone();
        expression.resolve(&mut |name: &Name| self.part(name, located))
    }

    /// Returns a signal of one bit.
    fn bit(&mut self, located: &Located, what: &str) -> Result<Expression<Part>, AuditError> {
        let expression = self.expression(located)?;
        let problem = |message: String| {
            let problem = Problem::at(&located.span(), message);
            self.map.error(problem.label("expected 1 bit"))
        };
        match expression.width() {
            Ok(Some(1)) => Ok(expression),
            Ok(Some(width)) => Err(problem(format!("{what} has {width} bits"))),
            Ok(None) => Err(problem(format!("{what} is a constant"))),
            Err(wrong) => Err(problem(format!("{what}: {wrong}"))),
        }
    }

    /// Returns the signal of a port, and its width.
    fn port(
        &mut self,
        port: &SocketPort,
        located: &Located,
    ) -> Result<(Expression<Part>, u32), AuditError> {
        let expression = self.expression(located)?;
        let [least, most] = port.width.range(self.map.format());
        let right = match least == most {
            true => format!("expected {least} bits"),
            false => format!("expected {least} to {most} bits"),
        };
        let wrong = |message: String| {
            let problem = Problem::at(&located.span(), message);
            self.map.error(problem.label(right.clone()))
        };
        match expression.width() {
            Ok(Some(width)) if (least..=most).contains(&width) => Ok((expression, width)),
            Ok(Some(width)) => {
                let message = format!("the signal of `{}` has the wrong width: {width}", port.name);
                Err(wrong(message))
            }
            // A constant without a width has that of the port.
            Ok(None) => match expression {
                Expression::Constant { value, .. } if most < 64 && value >> most > 0 => {
                    Err(wrong(format!("{value} does not fit `{}`", port.name)))
                }
                _ => Ok((expression, most)),
            },
            Err(problem) => Err(wrong(format!("the signal of `{}`: {problem}", port.name))),
        }
    }
}

/// Runs code of `wellen` in a thread of its own. A panic, which is not printed, ends the thread.
fn spawn<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(READER) {
                before(info);
            }
        }));
    });
    let thread = thread::Builder::new().name(READER.to_owned()).spawn(run);
    thread.map_err(|error| error.to_string())
}

/// Runs code of `wellen` in a thread of its own to its end. A panic is an error.
fn guarded<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    spawn(run)?
        .join()
        .map_err(|panic| reason_of(panic.as_ref()))
}

/// Returns the last time of an FST, which may be later than the last change of a signal.
fn end_of_fst(path: &Path) -> Option<u64> {
    let input = BufReader::new(File::open(path).ok()?);
    let read = guarded(move || {
        let header = wellen::viewers::read_header(input, &OPTIONS).ok()?;
        let body = wellen::viewers::read_body(header.body, &header.hierarchy, None).ok()?;
        body.time_table.last().copied()
    });
    read.ok().flatten()
}

/// The text of a panic.
fn reason_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let line = text
        .and_then(|text| text.lines().next())
        .unwrap_or("unknown reason");
    format!("the file is damaged ({line})")
}

/// The name of a format of waves.
const fn format_name(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Vcd => "VCD",
        FileFormat::Fst => "FST",
        FileFormat::Ghw => "GHW",
        FileFormat::Unknown => "a wave",
    }
}

impl Wave {
    /// Opens a wave, and binds the signals of the map.
    pub fn open(path: &Path, file: File, map: &Map) -> Result<(Self, Description), AuditError> {
        let times = Arc::new(Times::default());
        let mut input = Ordered::new(BufReader::new(file), Arc::clone(&times));
        let kind = wellen::viewers::detect_file_format(&mut input);
        let format = match kind {
            FileFormat::Vcd | FileFormat::Fst => format_name(kind),
            FileFormat::Ghw | FileFormat::Unknown => {
                return Err(AuditError::UnknownFormat {
                    path: path.to_owned(),
                });
            }
        };
        let damaged = |reason: String| AuditError::Damaged {
            path: path.to_owned(),
            format,
            reason,
        };
        input
            .seek(SeekFrom::Start(0))
            .map_err(|source| AuditError::Read {
                path: path.to_owned(),
                source,
            })?;
        let read = guarded(move || wellen::stream::read(input, &OPTIONS));
        let file = read
            .map_err(&damaged)?
            .map_err(|error| damaged(error.to_string()))?;
        let mut binder = Binder {
            names: Names::new(file.hierarchy()),
            map,
            slots: Vec::new(),
            by_signal: FxHashMap::default(),
        };
        let (bound, description) = match map.device() {
            Some(description) => (
                own_ports(path, &mut binder, description)?,
                description.clone(),
            ),
            None => mapped_ports(&mut binder, map)?,
        };
        let (clock, clock_name) = match &map.clock {
            Some(Clock::Edge { signal, rising }) => {
                let name = match &signal.expression {
                    Expression::Signal(name) => format!("the clock `{}`", name.text),
                    _ => "the clock".to_owned(),
                };
                let signal = binder.bit(signal, "the clock")?;
                let rising = *rising;
                (Sampling::Edge { signal, rising }, name)
            }
            Some(Clock::Every(time)) => (Sampling::Every(*time), String::new()),
            None => return Err(map.lacks("[clock]")),
        };
        let reset = match &map.reset {
            Some(reset) => {
                let signal = binder.bit(&reset.signal, "the reset")?;
                Some((signal, reset.is_active_high))
            }
            None => None,
        };
        let slots = binder.slots;
        if kind == FileFormat::Fst
            && matches!(clock, Sampling::Every(_))
            && let Some(last) = end_of_fst(path)
        {
            times.last.store(last, Ordering::Relaxed);
        }
        let wave = Self {
            file,
            format,
            slots,
            bound,
            clock,
            clock_name,
            reset,
            at_start: map.at_start,
            is_own: map.device().is_some(),
            times,
        };
        Ok((wave, description))
    }

    /// Hands the cycles to a consumer.
    pub fn run(self, path: &Path, to: &mut impl Cycles) -> Result<(), AuditError> {
        let Self {
            file,
            format,
            slots,
            bound,
            clock,
            clock_name,
            reset,
            at_start,
            is_own,
            times,
        } = self;
        let damaged = |reason: String| AuditError::Damaged {
            path: path.to_owned(),
            format,
            reason,
        };
        let (sender, batches) = sync_channel(BATCHES);
        let signals: Vec<SignalRef> = slots.iter().map(|slot| slot.signal).collect();
        let widths: Vec<usize> = slots.iter().map(Slot::words).collect();
        let reader = spawn(move || send_changes(file, &signals, &widths, sender));
        let reader = reader.map_err(damaged)?;
        let mut sampler = Sampler::new(slots, bound, reset, path.to_owned());
        sampler.starts_in_reset = at_start;
        sampler.is_own = is_own;
        let sampled = match &clock {
            Sampling::Edge { signal, rising } => sampler.by_edges(signal, *rising, &batches, to),
            Sampling::Every(time) => sampler.by_time(*time, &batches, &times.last, to),
        };
        // The reader ends when it can send no further batch.
        drop(batches);
        let read = reader
            .join()
            .unwrap_or_else(|panic| Err(reason_of(panic.as_ref())));
        let cycles = sampled?;
        if let Some((before, after)) = times.back.get() {
            return Err(damaged(format!("time goes back from {before} to {after}")));
        }
        read.map_err(damaged)?;
        if let Sampling::Edge { rising, .. } = clock
            && cycles == 0
        {
            return Err(AuditError::NoCycles {
                path: path.to_owned(),
                clock: clock_name,
                edge: if rising { "rising" } else { "falling" },
            });
        }
        sampler.must_leave_reset(path)
    }
}

/// Binds the ports of a map.
fn mapped_ports(
    binder: &mut Binder<'_>,
    map: &Map,
) -> Result<(Vec<Bound>, Description), AuditError> {
    let mut bound = Vec::new();
    let mut widths = Vec::new();
    for (port, located) in &map.signals {
        let (signal, width) = binder.port(port, located)?;
        widths.push((*port, width));
        bound.extend(bind(port, signal));
    }
    if let Some((scope, span)) = &map.scope {
        let found = ports_in(binder, scope);
        if found.is_empty() {
            let problem = Problem::at(
                span,
                format!("no signal of `{scope}` has the name of a port"),
            )
            .label("expected a scope of the recording");
            return Err(map.error(problem));
        }
        for (port, part) in found {
            if widths.iter().all(|(other, _)| *other != port) {
                widths.push((port, part.width));
                bound.extend(bind(port, Expression::Signal(part)));
            }
        }
    }
    Ok((bound, map.resolve(&widths)?))
}

/// The signals of a scope that have the names of ports.
fn ports_in(binder: &mut Binder<'_>, scope: &str) -> Vec<(&'static SocketPort, Part)> {
    let ports = PORTS.iter().filter(|port| !port.name.starts_with("event"));
    let mut found = Vec::new();
    for port in ports {
        let hierarchy = binder.names.hierarchy;
        let name = format!("{scope}.{}", port.name);
        let Some(&[var]) = binder.names.find(&name) else {
            continue;
        };
        let var = &hierarchy[var];
        if let SignalEncoding::BitVector(width @ 1..=64) = var.signal_encoding(hierarchy) {
            let signal = binder.slot(var.signal_ref(), width);
            let part = Part {
                signal,
                low: 0,
                width,
            };
            found.push((port, part));
        }
    }
    found
}

/// Binds the ports of a device in a wave of this program.
fn own_ports(
    path: &Path,
    binder: &mut Binder<'_>,
    description: &Description,
) -> Result<Vec<Bound>, AuditError> {
    let not_ours = |what: String| AuditError::NotOurWave {
        path: path.to_owned(),
        what,
    };
    let found = OWN_SCOPES
        .iter()
        .map(|scope| ports_in(binder, scope))
        .find(|f| !f.is_empty());
    let Some(found) = found else {
        let [one, other] = OWN_SCOPES;
        return Err(not_ours(format!(
            "no ports in a scope `{one}` or `{other}`"
        )));
    };
    let mut bound = Vec::new();
    for (name, width) in description.ports.iter() {
        let Some(port) = socket::port(name).filter(|port| !port.name.starts_with("event")) else {
            continue;
        };
        match found.iter().find(|(other, _)| *other == port) {
            // The ports of one format have the same width; a device with ids may have fewer.
            Some((_, part)) if part.width <= width => {
                bound.extend(bind(port, Expression::Signal(*part)));
            }
            Some((_, part)) => {
                return Err(not_ours(format!("`{name}` with {} bits", part.width)));
            }
            None => return Err(not_ours(format!("no signal `{name}`"))),
        }
    }
    Ok(bound)
}

fn bind(port: &'static SocketPort, signal: Expression<Part>) -> Option<Bound> {
    let target = match port.name {
        FAULT => Target::Fault,
        FENCE_INSTRUCTION => Target::Instruction,
        _ if port.is_input => Target::Input(fields::input(port.field)?),
        _ => Target::Output(fields::output(port.field)?),
    };
    Some(Bound {
        port,
        signal,
        target,
    })
}

/// Changes of signals: for each the time, the place of the signal, its words, and the words of its
/// unknown bits.
type Batch = Vec<u64>;

/// The consumer reads no further.
struct Stopped;

/// Sends every change of some signals, in the order of time.
fn send_changes(
    mut file: StreamingWaveform<Ordered<BufReader<File>>>,
    signals: &[SignalRef],
    words: &[usize],
    sender: SyncSender<Batch>,
) -> Result<(), String> {
    let places: FxHashMap<SignalRef, usize> = signals
        .iter()
        .enumerate()
        .map(|(place, &signal)| (signal, place))
        .collect();
    let mut batch = Vec::with_capacity(BATCH + 64);
    let changed = |time: u64, signal: SignalRef, value: SignalValueRef<'_>| {
        let (Some(&place), SignalValueRef::BitVec(bits)) = (places.get(&signal), value) else {
            return Ok(());
        };
        batch.extend([time, place as u64]);
        let start = batch.len();
        let count = words[place];
        batch.resize(start + 2 * count, 0);
        match bits.be_bytes() {
            Some(bytes) => {
                for (index, &byte) in bytes.iter().rev().enumerate() {
                    if let Some(word) = batch[start..start + count].get_mut(index / 8) {
                        *word |= u64::from(byte) << (8 * (index % 8));
                    }
                }
            }
            None => {
                for (index, bit) in bits.iter_lsb_to_msb().enumerate() {
                    let (word, shift) = (index / 64, index % 64);
                    let place = match bit.as_ascii() {
                        '0' | 'l' => continue,
                        '1' | 'h' => start + word,
                        _ => start + count + word,
                    };
                    batch[place] |= 1 << shift;
                }
            }
        }
        if batch.len() < BATCH {
            return Ok(());
        }
        let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH + 64));
        sender.send(full).map_err(|_| Stopped)
    };
    let streamed = file.stream_changes(Filter::include_signals(signals), changed);
    match streamed {
        Ok(()) => {
            let _ = sender.send(batch);
            Ok(())
        }
        Err(StreamError::Callback(Stopped)) => Ok(()),
        Err(StreamError::Wellen(error)) => {
            // What has come before the damage is judged.
            let _ = sender.send(batch);
            Err(error.to_string())
        }
    }
}

/// Samples the ports.
struct Sampler {
    slots: Vec<Slot>,
    /// By signal: its words, and those of its unknown bits.
    values: Vec<(Vec<u64>, Vec<u64>)>,
    bound: Vec<Bound>,
    /// By signal: the ports that depend on it.
    users: Vec<Vec<usize>>,
    /// By port: its signal has changed since the last sample.
    is_stale: Vec<bool>,
    stale: Vec<usize>,
    /// By port: bits that are unknown, and whether that was reported.
    unknown: Vec<(bool, bool)>,
    reset: Option<(Expression<Part>, bool)>,
    path: PathBuf,
    starts_in_reset: bool,
    is_own: bool,
    /// A reset has come since the last cycle.
    was_reset: bool,
    inputs: Inputs,
    outputs: Outputs,
    fault: bool,
    instruction: u8,
    has: Has,
    cycles: u64,
    cycles_in_reset: u64,
}

/// Ports that have a value also if there is no such port.
struct Has {
    fault_kind: bool,
}

impl Sampler {
    fn new(
        slots: Vec<Slot>,
        bound: Vec<Bound>,
        reset: Option<(Expression<Part>, bool)>,
        path: PathBuf,
    ) -> Self {
        let mut users = vec![Vec::new(); slots.len()];
        for (index, port) in bound.iter().enumerate() {
            port.signal
                .each_signal(&mut |signal| users[signal].push(index));
        }
        let has = |name: &str| bound.iter().any(|bound| bound.port.name == name);
        let values = slots.iter().map(|slot| {
            // Before its first value, a signal is unknown.
            (vec![0; slot.words()], vec![u64::MAX; slot.words()])
        });
        Self {
            values: values.collect(),
            users,
            is_stale: vec![true; bound.len()],
            stale: (0..bound.len()).collect(),
            unknown: vec![(false, false); bound.len()],
            reset,
            path,
            starts_in_reset: false,
            is_own: false,
            was_reset: false,
            inputs: Inputs {
                rsp_ready: !has("rsp_ready_i"),
                ..Inputs::default()
            },
            outputs: Outputs {
                mem_rsp_ready: !has("mem_rsp_ready_o"),
                ..Outputs::default()
            },
            fault: false,
            instruction: 0,
            has: Has {
                fault_kind: has("rsp_fault_kind_o"),
            },
            slots,
            bound,
            cycles: 0,
            cycles_in_reset: 0,
        }
    }

    fn value(&self, expression: &Expression<Part>) -> Value {
        expression.value(&|part: &Part| {
            let (bits, unknown) = &self.values[part.signal];
            Value {
                bits: cut(bits, part),
                unknown: cut(unknown, part),
            }
        })
    }

    /// Sets the value of a signal.
    fn set(&mut self, signal: usize, words: &[u64]) {
        let count = self.slots[signal].words();
        let (bits, unknown) = &mut self.values[signal];
        bits.copy_from_slice(&words[..count]);
        unknown.copy_from_slice(&words[count..2 * count]);
        for &port in &self.users[signal] {
            if !self.is_stale[port] {
                self.is_stale[port] = true;
                self.stale.push(port);
            }
        }
    }

    /// Samples once in so many units of time, after the changes of the time.
    fn by_time(
        &mut self,
        every: u64,
        batches: &Receiver<Batch>,
        last_time: &AtomicU64,
        to: &mut impl Cycles,
    ) -> Result<u64, AuditError> {
        let mut now: Option<u64> = None;
        for batch in batches {
            let mut at = 0;
            while at < batch.len() {
                let time = batch[at];
                if let Some(before) = now
                    && time > before
                    && self.sample_until(before, time, every, to)?
                {
                    return Ok(self.cycles);
                }
                if now.is_none() {
                    // A wave of this program begins in reset if it begins with the run.
                    self.was_reset = self.starts_in_reset || self.is_own && time == 0;
                }
                now = Some(time.max(now.unwrap_or(0)));
                at += self.apply(&batch[at..]);
            }
        }
        if let Some(last) = now {
            // Time may have gone on without a change.
            let end = last.max(last_time.load(Ordering::Relaxed));
            self.sample_until(last, end.saturating_add(1), every, to)?;
        }
        Ok(self.cycles)
    }

    /// Samples the cycles whose times are from `from` to before `until`. Returns true if the
    /// consumer reads no further.
    fn sample_until(
        &mut self,
        from: u64,
        until: u64,
        every: u64,
        to: &mut impl Cycles,
    ) -> Result<bool, AuditError> {
        let mut cycle = from.div_ceil(every);
        let end = (until - 1) / every + 1;
        while cycle < end {
            let repeat = match self.is_quiet() {
                true => end - cycle,
                false => 1,
            };
            if self.sample(cycle, repeat, cycle.saturating_mul(every), to)? {
                return Ok(true);
            }
            cycle += repeat;
        }
        Ok(false)
    }

    /// Applies a change. Returns its words.
    fn apply(&mut self, batch: &[u64]) -> usize {
        let signal = batch[1] as usize;
        let words = 2 * self.slots[signal].words();
        self.set(signal, &batch[2..2 + words]);
        2 + words
    }

    /// Samples before each edge of a clock. Returns the number of cycles.
    fn by_edges(
        &mut self,
        clock: &Expression<Part>,
        rising: bool,
        batches: &Receiver<Batch>,
        to: &mut impl Cycles,
    ) -> Result<u64, AuditError> {
        self.was_reset = self.starts_in_reset;
        let mut of_clock = Vec::new();
        clock.each_signal(&mut |signal| of_clock.push(signal));
        // The changes of one time, and the time.
        let mut changes: Vec<u64> = Vec::new();
        let mut now = 0;
        let mut level = None;
        let mut edge = |sampler: &mut Self, changes: &mut Vec<u64>, now: u64| {
            let stop = sampler.step(clock, rising, &of_clock, changes, &mut level, now, to);
            changes.clear();
            stop
        };
        for batch in batches {
            let mut at = 0;
            while at < batch.len() {
                let time = batch[at];
                if time > now {
                    if edge(self, &mut changes, now)? {
                        return Ok(self.cycles);
                    }
                    now = time;
                }
                let words = 2 + 2 * self.slots[batch[at + 1] as usize].words();
                changes.extend_from_slice(&batch[at..at + words]);
                at += words;
            }
        }
        edge(self, &mut changes, now)?;
        Ok(self.cycles)
    }

    /// Applies the changes of one time. If the clock has its edge, the ports are sampled as they
    /// were before.
    #[expect(clippy::too_many_arguments)]
    fn step(
        &mut self,
        clock: &Expression<Part>,
        rising: bool,
        of_clock: &[usize],
        changes: &[u64],
        level: &mut Option<bool>,
        time: u64,
        to: &mut impl Cycles,
    ) -> Result<bool, AuditError> {
        let each = |sampler: &mut Self, wanted: &dyn Fn(usize) -> bool| {
            let mut at = 0;
            while at < changes.len() {
                let signal = changes[at + 1] as usize;
                let words = 2 + 2 * sampler.slots[signal].words();
                if wanted(signal) {
                    sampler.set(signal, &changes[at + 2..at + words]);
                }
                at += words;
            }
        };
        let is_of_clock = |signal: usize| of_clock.contains(&signal);
        let before: Vec<_> = of_clock
            .iter()
            .map(|&signal| self.values[signal].clone())
            .collect();
        each(self, &is_of_clock);
        let after = self.value(clock);
        let now = (after.unknown == 0).then_some(after.bits & 1 == 1);
        let is_edge = *level == Some(!rising) && now == Some(rising);
        if now.is_some() {
            *level = now;
        }
        let mut stops = false;
        if is_edge {
            // A port may depend on the clock.
            let after: Vec<_> = of_clock.iter().map(|&s| self.values[s].clone()).collect();
            for (&signal, value) in of_clock.iter().zip(before) {
                self.values[signal] = value;
            }
            let cycle = self.cycles;
            stops = self.sample(cycle, 1, time, to)?;
            for (&signal, value) in of_clock.iter().zip(after) {
                self.values[signal] = value;
                for &port in &self.users[signal] {
                    if !self.is_stale[port] {
                        self.is_stale[port] = true;
                        self.stale.push(port);
                    }
                }
            }
        }
        each(self, &|signal| !is_of_clock(signal));
        Ok(stops)
    }

    /// Updates the fields of the ports whose signals have changed.
    fn refresh(&mut self) {
        while let Some(index) = self.stale.pop() {
            self.is_stale[index] = false;
            let value = self.value(&self.bound[index].signal);
            let (is_unknown, reported) = &mut self.unknown[index];
            *is_unknown = value.unknown != 0;
            *reported &= *is_unknown;
            match &self.bound[index].target {
                Target::Input(field) => (field.set)(&mut self.inputs, value.bits),
                Target::Output(field) => (field.set)(&mut self.outputs, value.bits),
                Target::Fault => self.fault = value.bits != 0,
                Target::Instruction => self.instruction = value.bits as u8,
            }
        }
        if !self.has.fault_kind {
            let kind = if self.fault {
                Description::UNKNOWN_FAULT
            } else {
                0
            };
            self.outputs.rsp_fault_kind = kind;
        }
    }

    /// Returns true if nothing happens at the ports.
    fn is_quiet(&mut self) -> bool {
        self.refresh();
        let Self {
            inputs, outputs, ..
        } = self;
        let handshakes = (inputs.req_valid && outputs.req_ready)
            || (inputs.fence_valid && outputs.fence_ready)
            || (outputs.rsp_valid && inputs.rsp_ready)
            || (outputs.mem_req_valid && inputs.mem_req_ready)
            || (inputs.mem_rsp_valid && outputs.mem_rsp_ready);
        !handshakes && self.unknown.iter().all(|(is_unknown, _)| !is_unknown)
    }

    /// Samples a cycle. Returns true if the consumer reads no further.
    fn sample(
        &mut self,
        cycle: u64,
        repeat: u64,
        time: u64,
        to: &mut impl Cycles,
    ) -> Result<bool, AuditError> {
        self.cycles += repeat;
        if to.is_interrupted() {
            return Ok(true);
        }
        if let Some((signal, is_active_high)) = &self.reset {
            let reset = self.value(signal);
            if reset.unknown != 0 || (reset.bits & 1 == 1) == *is_active_high {
                self.was_reset = true;
                self.cycles_in_reset += repeat;
                return Ok(false);
            }
        }
        self.refresh();
        let unknown = self.unknown_outputs(cycle, time)?;
        let observed = Observed {
            cycle,
            repeat,
            reset: std::mem::take(&mut self.was_reset),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            fence_instruction: self.instruction,
            unknown,
        };
        let taken = to.cycle(observed, Some(time));
        taken.map_err(|problem| AuditError::Recording {
            path: self.path.clone(),
            problem,
        })?;
        Ok(false)
    }

    /// Returns the outputs that count in this cycle and have unknown bits that were not reported.
    fn unknown_outputs(&mut self, cycle: u64, time: u64) -> Result<Vec<&'static str>, AuditError> {
        if self.unknown.iter().all(|(is_unknown, _)| !is_unknown) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (bound, (is_unknown, reported)) in self.bound.iter().zip(&mut self.unknown) {
            if !*is_unknown || !counts(bound.port.name, &self.inputs, &self.outputs) {
                continue;
            }
            if bound.port.is_input {
                return Err(AuditError::UnknownInput {
                    path: self.path.clone(),
                    cycle,
                    time: Some(time),
                    port: bound.port.name,
                });
            }
            if !std::mem::replace(reported, true) {
                found.push(bound.port.name);
            }
        }
        Ok(found)
    }

    fn must_leave_reset(&self, path: &Path) -> Result<(), AuditError> {
        match self.cycles > 0 && self.cycles == self.cycles_in_reset {
            true => Err(AuditError::AlwaysInReset {
                path: path.to_owned(),
                cycles: self.cycles,
            }),
            false => Ok(()),
        }
    }
}

/// Returns true if the value of a port counts in a cycle.
fn counts(port: &str, inputs: &Inputs, outputs: &Outputs) -> bool {
    let is_fault = outputs.rsp_fault_kind != 0;
    match port {
        "req_valid_i" | "rsp_valid_o" | "fence_valid_i" | "mem_req_valid_o" | "mem_rsp_valid_i" => {
            true
        }
        "req_ready_o" => inputs.req_valid,
        "rsp_ready_i" => outputs.rsp_valid,
        "fence_ready_o" => inputs.fence_valid,
        "mem_req_ready_i" => outputs.mem_req_valid,
        "mem_rsp_ready_o" => inputs.mem_rsp_valid,
        "walk_caches_i" | "rsp_hit_o" => false,
        "rsp_hpa_o" | "rsp_page_size_o" | "rsp_attributes_o" => outputs.rsp_valid && !is_fault,
        "rsp_trap_cause_o"
        | "rsp_trap_gva_o"
        | "rsp_trap_tval2_o"
        | "rsp_trap_tinst_o"
        | "rsp_fault_stage_o"
        | "rsp_fault_level_o"
        | "rsp_fault_purpose_o"
        | "rsp_fault_for_level_o" => outputs.rsp_valid && is_fault,
        "mem_req_expected_o" | "mem_req_new_o" => outputs.mem_req_valid && outputs.mem_req_update,
        "mem_rsp_data_i" => inputs.mem_rsp_valid && outputs.mem_rsp_ready && !inputs.mem_rsp_error,
        "fence_gva_i" => inputs.fence_valid && inputs.fence_use_gva,
        "fence_gpa_i" => inputs.fence_valid && inputs.fence_use_gpa,
        "fence_asid_i" => inputs.fence_valid && inputs.fence_use_asid,
        "fence_vmid_i" => inputs.fence_valid && inputs.fence_use_vmid,
        _ if port.starts_with("req_") => inputs.req_valid && outputs.req_ready,
        _ if port.starts_with("rsp_") => outputs.rsp_valid,
        _ if port.starts_with("fence_") => inputs.fence_valid,
        _ if port.starts_with("mem_req_") => outputs.mem_req_valid,
        _ => inputs.mem_rsp_valid && outputs.mem_rsp_ready,
    }
}

/// Returns the bits of a part of a signal.
fn cut(words: &[u64], part: &Part) -> u64 {
    let (word, shift) = ((part.low / 64) as usize, part.low % 64);
    let low = words.get(word).copied().unwrap_or(0) >> shift;
    let high = match shift {
        0 => 0,
        _ => words.get(word + 1).copied().unwrap_or(0) << (64 - shift),
    };
    (low | high) & (u64::MAX >> (64 - part.width.clamp(1, 64)))
}

/// The text of a VCD, in which the time must not go back: `wellen` skips such changes.
struct Ordered<R> {
    inner: R,
    times: Arc<Times>,
    state: Scan,
    token: Vec<u8>,
    /// The place of the next byte, and of the first that was not scanned.
    at: u64,
    scanned: u64,
    time: u64,
}

/// The place in the text of a VCD.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scan {
    /// Before `$enddefinitions`.
    Header,
    /// Behind it, up to `$end`.
    HeaderEnd,
    /// At the first token of a change or of a time.
    First,
    /// At the id of a vector.
    Id,
    /// In a comment.
    Comment,
}

/// The most bytes of a token that are kept.
const TOKEN: usize = 32;

impl<R> Ordered<R> {
    fn new(inner: R, times: Arc<Times>) -> Self {
        Self {
            inner,
            times,
            state: Scan::Header,
            token: Vec::new(),
            at: 0,
            scanned: 0,
            time: 0,
        }
    }

    fn scan(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if !byte.is_ascii_whitespace() {
                if self.token.len() < TOKEN {
                    self.token.push(byte);
                }
                continue;
            }
            if !self.token.is_empty() {
                self.on_token();
                self.token.clear();
            }
        }
    }

    fn on_token(&mut self) {
        let token = self.token.as_slice();
        self.state = match self.state {
            Scan::Header if token == b"$enddefinitions" => Scan::HeaderEnd,
            Scan::HeaderEnd if token == b"$end" => Scan::First,
            Scan::Comment if token == b"$end" => Scan::First,
            Scan::Id => Scan::First,
            Scan::First => match token {
                b"$comment" => Scan::Comment,
                [b'b' | b'B' | b'r' | b'R' | b's' | b'S', ..] => Scan::Id,
                [b'#', digits @ ..] => {
                    let time = std::str::from_utf8(digits)
                        .ok()
                        .and_then(|d| d.parse().ok());
                    if let Some(time) = time {
                        if time < self.time {
                            // Only the first counts.
                            let _ = self.times.back.set((self.time, time));
                        }
                        self.time = time;
                        self.times.last.store(time, Ordering::Relaxed);
                    }
                    Scan::First
                }
                _ => Scan::First,
            },
            state => state,
        };
    }

    /// Bytes have been read.
    fn advance(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len() as u64;
        if end > self.scanned && self.at <= self.scanned {
            let known = (self.scanned - self.at) as usize;
            self.scan(&bytes[known..]);
            self.scanned = end;
        }
        self.at = end;
    }

    /// Ends the reading if the time has gone back, before `wellen` gets to know it.
    fn check(&self) -> io::Result<()> {
        match self.times.back.get() {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl<R: BufRead> Read for Ordered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let count = self.inner.read(buffer)?;
        self.advance(&buffer[..count]);
        self.check()?;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Ordered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(buffer) = self.inner.fill_buf() {
            let bytes = buffer[..amount.min(buffer.len())].to_vec();
            self.advance(&bytes);
        }
        self.inner.consume(amount);
    }
}

impl<R: BufRead + Seek> Seek for Ordered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.inner.seek(to)?;
        Ok(self.at)
    }
}
