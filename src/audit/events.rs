// SPDX-License-Identifier: Apache-2.0
//! Recordings as JSON lines: one event of a port in each line. `docs/audit.md` describes them.
//!
//! The fields of an event are the ports of its kind, without what all of them have in common: the
//! field `gva` of a `request` is the port `req_gva_i`.

use std::fmt::{self, Write as _};
use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{AuditError, Cycles};
use crate::bench::auditor::{Observed, RecordingError};
use crate::dut::description::Description;
use crate::dut::fields;
use crate::dut::socket::{FAULT, FENCE_INSTRUCTION, PORTS, Ports, SocketPort};
use crate::dut::{Inputs, Outputs};
use crate::format::Format;
use crate::scenario::access_key;
use crate::scenario::parse::reader::distance;

/// The value of the field `schema` of the first line.
pub const SCHEMA: &str = "nestwalk-events";
/// The version of the events.
pub const VERSION: u64 = 1;
/// The most bytes of a line.
pub const LONGEST_LINE: usize = 1 << 16;

/// An error in a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The line is too long.
    #[error("a line of more than {LONGEST_LINE} bytes: these are no JSON lines of events")]
    TooLong,
    /// It is not UTF-8.
    #[error("the line is not UTF-8")]
    NotText,
    /// It is not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// It is not an object.
    #[error("an event is an object, {{ ... }}")]
    NoObject,
    /// The first line is no header.
    #[error(
        "the first line is {{\"schema\": \"{SCHEMA}\", \"schema_version\": {VERSION}}}; this one {0}"
    )]
    Header(String),
    /// There is no line.
    #[error("the recording is empty: its first line is the header")]
    Empty,
    /// A field that is missing.
    #[error("{kind} has no field `{field}`{}", why(*port))]
    Missing {
        /// The kind of the event.
        kind: &'static str,
        /// The field.
        field: &'static str,
        /// The device has the port of the field.
        port: bool,
    },
    /// A field that there is not.
    #[error("{kind} has no field `{field}`{}; its fields are {known}", mean(near))]
    UnknownField {
        /// The kind of the event.
        kind: &'static str,
        /// The field.
        field: String,
        /// A field with a like name.
        near: Option<String>,
        /// Every field.
        known: String,
    },
    /// A value that the field cannot have.
    #[error("`{field}` is {found}; expected {expected}")]
    Value {
        /// The field.
        field: String,
        /// The value.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A kind of event that there is not.
    #[error("unknown kind {found:?}{}; the kinds are {}", mean(near), kinds())]
    Kind {
        /// The kind.
        found: String,
        /// A kind with a like name.
        near: Option<String>,
    },
    /// The cycles go back.
    #[error("cycle {cycle} comes after cycle {before}: the events are in the order of cycles")]
    Order {
        /// The cycle of the event.
        cycle: u64,
        /// The cycle before it.
        before: u64,
    },
    /// Two events of one port in one cycle.
    #[error("a second {kind} in cycle {cycle}: a port has one transfer a cycle")]
    Twice {
        /// The kind of the event.
        kind: &'static str,
        /// The cycle.
        cycle: u64,
    },
    /// A reset after other events of its cycle.
    #[error("the reset of cycle {0} comes after other events of the cycle; it is the first")]
    LateReset(u64),
    /// Something waits, and the header does not say so.
    #[error("`waits` and `withdrawn` need \"waits\": true in the first line")]
    NoWaits,
    /// An event after the end.
    #[error("an event after the end")]
    AfterEnd,
    /// A port that the device does not have.
    #[error("{kind}, but the device has no {what}, by the map")]
    NoPort {
        /// The kind of the event.
        kind: &'static str,
        /// What it does not have.
        what: &'static str,
    },
}

fn why(port: bool) -> &'static str {
    match port {
        true => ", and the device has its port, by the map",
        false => "",
    }
}

fn mean(near: &Option<String>) -> String {
    near.as_ref()
        .map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"))
}

fn kinds() -> String {
    KINDS.map(|(name, _)| name).join(", ")
}

/// Returns the name that is nearest to a wrong one.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let known = known.filter(|known| known.len().max(name.len()) <= 64);
    let (edits, nearest) = known.map(|known| (distance(name, known), known)).min()?;
    (edits <= nearest.len().div_ceil(3)).then(|| nearest.to_owned())
}

/// A port of the socket with a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Request,
    Response,
    Fence,
    MemoryRequest,
    MemoryResponse,
}

impl Port {
    const ALL: [Self; 5] = [
        Self::Request,
        Self::Response,
        Self::Fence,
        Self::MemoryRequest,
        Self::MemoryResponse,
    ];

    /// The beginning of the names of its ports.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Request => "req_",
            Self::Response => "rsp_",
            Self::Fence => "fence_",
            Self::MemoryRequest => "mem_req_",
            Self::MemoryResponse => "mem_rsp_",
        }
    }

    /// The name in events of the kind `withdrawn`.
    const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Fence => "fence",
            Self::MemoryRequest => "read",
            Self::MemoryResponse => "read-data",
        }
    }

    /// The ports of the payload.
    fn payload(self) -> impl Iterator<Item = &'static SocketPort> {
        let prefix = self.prefix();
        PORTS.iter().filter(move |port| {
            let field = port.name.strip_prefix(prefix);
            field.is_some_and(|field| !field.starts_with("valid") && !field.starts_with("ready"))
        })
    }
}

/// The field of an event that is a port.
fn field_of(port: &SocketPort, of: Port) -> &'static str {
    let name = port.name.strip_prefix(of.prefix()).unwrap_or(port.name);
    name.strip_suffix("_i")
        .or_else(|| name.strip_suffix("_o"))
        .unwrap_or(name)
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reset,
    End,
    Withdrawn,
    Of(Port),
    /// A memory request, or its data: of an update, or not.
    Memory(Port, bool),
}

const KINDS: [(&str, Kind); 10] = [
    ("reset", Kind::Reset),
    ("request", Kind::Of(Port::Request)),
    ("response", Kind::Of(Port::Response)),
    ("fence", Kind::Of(Port::Fence)),
    ("read", Kind::Memory(Port::MemoryRequest, false)),
    ("update", Kind::Memory(Port::MemoryRequest, true)),
    ("read-data", Kind::Memory(Port::MemoryResponse, false)),
    ("update-answer", Kind::Memory(Port::MemoryResponse, true)),
    ("withdrawn", Kind::Withdrawn),
    ("end", Kind::End),
];

impl Kind {
    fn name(self) -> &'static str {
        let found = KINDS.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }
}

/// Reads recordings of JSON lines.
pub struct Reader {
    path: PathBuf,
    input: Box<dyn BufRead>,
    ports: Ports,
    format: Format,
    buffer: Vec<u8>,
    line: u64,
    shows_waits: bool,
    /// The ports in the cycle that is being read.
    now: State,
    cycle: Option<u64>,
    reset: bool,
    /// By port: an event of the cycle.
    had: [bool; 5],
    /// By port: it is offered and was not accepted.
    held: [bool; 5],
    ended: bool,
}

/// The ports in a cycle.
#[derive(Clone, Default)]
struct State {
    inputs: Inputs,
    outputs: Outputs,
    instruction: u8,
}

impl State {
    fn set(&mut self, port: &SocketPort, bits: u64) {
        match port.name {
            FAULT => {
                let kind = if bits != 0 {
                    Description::UNKNOWN_FAULT
                } else {
                    0
                };
                self.outputs.rsp_fault_kind = kind;
            }
            FENCE_INSTRUCTION => self.instruction = bits as u8,
            _ if port.is_input => {
                if let Some(field) = fields::input(port.field) {
                    (field.set)(&mut self.inputs, bits);
                }
            }
            _ => {
                if let Some(field) = fields::output(port.field) {
                    (field.set)(&mut self.outputs, bits);
                }
            }
        }
    }

    fn get(&self, port: &SocketPort) -> u64 {
        match port.name {
            FAULT => u64::from(self.outputs.rsp_fault_kind != 0),
            FENCE_INSTRUCTION => self.instruction.into(),
            _ if port.is_input => {
                fields::input(port.field).map_or(0, |field| (field.get)(&self.inputs))
            }
            _ => fields::output(port.field).map_or(0, |field| (field.get)(&self.outputs)),
        }
    }

    /// The `valid` and the `ready` of a port.
    fn handshake(&mut self, port: Port) -> [&mut bool; 2] {
        let (inputs, outputs) = (&mut self.inputs, &mut self.outputs);
        match port {
            Port::Request => [&mut inputs.req_valid, &mut outputs.req_ready],
            Port::Response => [&mut outputs.rsp_valid, &mut inputs.rsp_ready],
            Port::Fence => [&mut inputs.fence_valid, &mut outputs.fence_ready],
            Port::MemoryRequest => [&mut outputs.mem_req_valid, &mut inputs.mem_req_ready],
            Port::MemoryResponse => [&mut inputs.mem_rsp_valid, &mut outputs.mem_rsp_ready],
        }
    }
}

impl Reader {
    /// Opens a recording, and reads its first line.
    ///
    /// # Errors
    /// If it is no recording of events.
    pub(super) fn open(
        path: &Path,
        input: impl BufRead + 'static,
        description: &Description,
    ) -> Result<Self, AuditError> {
        let mut reader = Self {
            path: path.to_owned(),
            input: Box::new(input),
            ports: description.ports.clone(),
            format: description.format,
            buffer: Vec::new(),
            line: 0,
            shows_waits: false,
            now: State {
                inputs: Inputs {
                    // Without a word about them, all may be in use.
                    walk_caches: 7,
                    ..Inputs::default()
                },
                ..State::default()
            },
            cycle: None,
            reset: false,
            had: [false; 5],
            held: [false; 5],
            ended: false,
        };
        let Some(header) = reader.next_line()? else {
            reader.line = 1;
            return Err(reader.error(Problem::Empty));
        };
        reader.shows_waits = reader
            .header(&header)
            .map_err(|problem| reader.error(problem))?;
        Ok(reader)
    }

    /// Tells whether the recording shows what is offered and not accepted.
    pub fn shows_waits(&self) -> bool {
        self.shows_waits
    }

    fn error(&self, problem: Problem) -> AuditError {
        AuditError::Line {
            path: self.path.clone(),
            line: self.line,
            problem,
        }
    }

    /// Reads the next object; none at the end.
    fn next_line(&mut self) -> Result<Option<Map<String, Value>>, AuditError> {
        loop {
            self.buffer.clear();
            self.line += 1;
            let most = LONGEST_LINE as u64 + 1;
            let read = (&mut self.input)
                .take(most)
                .read_until(b'\n', &mut self.buffer);
            let count = read.map_err(|source| AuditError::Read {
                path: self.path.clone(),
                source,
            })?;
            if count == 0 {
                return Ok(None);
            }
            if count > LONGEST_LINE {
                return Err(self.error(Problem::TooLong));
            }
            let text = std::str::from_utf8(&self.buffer);
            let text = text.map_err(|_| self.error(Problem::NotText))?.trim();
            if text.is_empty() {
                continue;
            }
            return match serde_json::from_str::<Value>(text) {
                Ok(Value::Object(fields)) => Ok(Some(fields)),
                Ok(_) => Err(self.error(Problem::NoObject)),
                Err(error) => Err(self.error(Problem::Syntax(error.to_string()))),
            };
        }
    }

    /// Reads the first line. Returns whether the recording shows what waits.
    fn header(&self, fields: &Map<String, Value>) -> Result<bool, Problem> {
        if let Some(field) = fields.keys().find(|key| !HEADER.contains(&key.as_str())) {
            return Err(unknown_field("the first line", field, &HEADER));
        }
        if fields.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
            return Err(Problem::Header("has another schema".to_owned()));
        }
        match fields.get("schema_version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            Some(version) => return Err(Problem::Header(format!("has version {version}"))),
            None => return Err(Problem::Header("has no version".to_owned())),
        }
        match fields.get("format") {
            None => {}
            Some(format) if format.as_str() == Some(self.format.name()) => {}
            Some(format) => {
                return Err(Problem::Value {
                    field: "format".to_owned(),
                    found: format.to_string(),
                    expected: format!("\"{}\", the format of the map", self.format.name()),
                });
            }
        }
        flag(fields, "waits")
    }

    /// Hands the cycles to a consumer.
    pub(super) fn run(mut self, path: &Path, to: &mut impl Cycles) -> Result<(), AuditError> {
        let recording = |problem: RecordingError| AuditError::Recording {
            path: path.to_owned(),
            problem,
        };
        while let Some(fields) = self.next_line()? {
            if to.is_interrupted() {
                return Ok(());
            }
            let (cycle, kind) = self.head(&fields).map_err(|problem| self.error(problem))?;
            if self.cycle.is_some_and(|now| now < cycle) {
                self.end_cycle(cycle, to).map_err(recording)?;
            }
            self.cycle = Some(cycle);
            let taken = self.event(kind, cycle, &fields);
            taken.map_err(|problem| self.error(problem))?;
        }
        if let Some(last) = self.cycle {
            self.end_cycle(last + 1, to).map_err(recording)?;
        }
        Ok(())
    }

    /// Reads the cycle and the kind of an event.
    fn head(&self, fields: &Map<String, Value>) -> Result<(u64, Kind), Problem> {
        let missing = |field| Problem::Missing {
            kind: "an event",
            field,
            port: false,
        };
        let kind = fields.get("kind").ok_or_else(|| missing("kind"))?;
        let named = kind.as_str().unwrap_or_default();
        let known = KINDS.iter().find(|(name, _)| *name == named);
        let Some(&(_, kind)) = known else {
            return Err(Problem::Kind {
                found: kind
                    .as_str()
                    .map_or_else(|| kind.to_string(), str::to_owned),
                near: nearest(named, KINDS.iter().map(|(name, _)| *name)),
            });
        };
        let cycle = fields.get("cycle").ok_or_else(|| missing("cycle"))?;
        let cycle = cycle
            .as_u64()
            .filter(|&cycle| cycle < u64::MAX / 2)
            .ok_or_else(|| Problem::Value {
                field: "cycle".to_owned(),
                found: cycle.to_string(),
                expected: "the number of a cycle".to_owned(),
            })?;
        if self.ended {
            return Err(Problem::AfterEnd);
        }
        match self.cycle {
            Some(before) if cycle < before => Err(Problem::Order { cycle, before }),
            _ => Ok((cycle, kind)),
        }
    }

    /// Takes an event of a cycle.
    fn event(
        &mut self,
        kind: Kind,
        cycle: u64,
        fields: &Map<String, Value>,
    ) -> Result<(), Problem> {
        let name = kind.name();
        match kind {
            Kind::Reset => {
                only(name, fields, &[])?;
                if self.had.contains(&true) {
                    return Err(Problem::LateReset(cycle));
                }
                self.reset = true;
                self.held = [false; 5];
                Ok(())
            }
            Kind::End => {
                only(name, fields, &[])?;
                self.ended = true;
                Ok(())
            }
            Kind::Withdrawn => {
                only(name, fields, &["port"])?;
                let named = fields
                    .get("port")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let port = Port::ALL.into_iter().find(|port| port.name() == named);
                let Some(port) = port else {
                    return Err(Problem::Value {
                        field: "port".to_owned(),
                        found: fields
                            .get("port")
                            .map_or("missing".to_owned(), Value::to_string),
                        expected: Port::ALL.map(Port::name).join(", "),
                    });
                };
                self.first_of(port, name, cycle)?;
                self.held[port as usize] = false;
                match self.shows_waits {
                    true => Ok(()),
                    false => Err(Problem::NoWaits),
                }
            }
            Kind::Of(port) => self.transfer(port, name, cycle, fields, None),
            Kind::Memory(port, is_update) => {
                self.transfer(port, name, cycle, fields, Some(is_update))
            }
        }
    }

    fn first_of(&mut self, port: Port, kind: &'static str, cycle: u64) -> Result<(), Problem> {
        match std::mem::replace(&mut self.had[port as usize], true) {
            true => Err(Problem::Twice { kind, cycle }),
            false => Ok(()),
        }
    }

    /// Takes the event of a port that is offered, and accepted unless it waits.
    fn transfer(
        &mut self,
        port: Port,
        kind: &'static str,
        cycle: u64,
        fields: &Map<String, Value>,
        is_update: Option<bool>,
    ) -> Result<(), Problem> {
        self.first_of(port, kind, cycle)?;
        let lacks = |what| Err(Problem::NoPort { kind, what });
        if port == Port::Fence && !self.ports.has("fence_valid_i") {
            return lacks("fence port");
        }
        if is_update == Some(true) && !self.ports.has("mem_req_update_o") {
            return lacks("updates");
        }
        let known: Vec<&'static str> = payload_fields(port, is_update).collect();
        let others: &[&'static str] = match port {
            Port::Request => &["waits", WALK_CACHES],
            _ => &["waits"],
        };
        only(kind, fields, &[&known[..], others].concat())?;
        if let (Port::Request, Some(value)) = (port, fields.get(WALK_CACHES)) {
            let used = value.as_u64().filter(|&used| used <= 7);
            self.now.inputs.walk_caches = used.ok_or_else(|| Problem::Value {
                field: WALK_CACHES.to_owned(),
                found: value.to_string(),
                expected: "a sum of 1 (guest), 2 (host) and 4 (nested)".to_owned(),
            })? as u8;
        }
        let waits = flag(fields, "waits")?;
        if waits && !self.shows_waits {
            return Err(Problem::NoWaits);
        }
        let is_error = port == Port::MemoryResponse && flag(fields, "error")?;
        // What is not given is 0.
        for socket in port.payload() {
            self.now.set(socket, 0);
        }
        for socket in port.payload() {
            let field = field_of(socket, port);
            let has_port = self.ports.has(socket.name);
            match fields.get(field) {
                Some(value) if known.contains(&field) => {
                    if socket.name == FAULT && self.ports.has("rsp_fault_kind_o") {
                        continue;
                    }
                    let bits = self.bits(field, value, socket)?;
                    self.now.set(socket, bits);
                }
                _ if has_port && is_needed(port, field, is_update, is_error) => {
                    return Err(Problem::Missing {
                        kind,
                        field,
                        port: true,
                    });
                }
                _ => {}
            }
        }
        if port == Port::MemoryRequest {
            self.now.outputs.mem_req_update = is_update == Some(true);
        }
        if port == Port::Fence {
            for (field, uses) in FENCE_OPERANDS {
                if let Some(uses) = fields.get(field).and_then(|_| fields::input(uses)) {
                    (uses.set)(&mut self.now.inputs, 1);
                }
            }
        }
        let [valid, ready] = self.now.handshake(port);
        *valid = true;
        *ready = !waits;
        self.held[port as usize] = waits;
        Ok(())
    }

    /// Reads the value of a field.
    fn bits(&self, field: &str, value: &Value, port: &SocketPort) -> Result<u64, Problem> {
        let width = self
            .ports
            .width(port.name)
            .unwrap_or(port.width.range(self.format)[1]);
        let most = u64::MAX >> (64 - width.clamp(1, 64));
        let bits = match value {
            Value::Bool(bit) if width == 1 => Some(u64::from(*bit)),
            Value::Number(number) => number.as_u64(),
            Value::String(text) if port.name == "req_access_i" => {
                let accesses = self.format.accesses().iter();
                let named = |access: &crate::mmu::Access| {
                    access_key(*access) == text || access.name() == text
                };
                accesses.copied().find(named).map(|access| access as u64)
            }
            Value::String(text) => {
                let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
                digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        match bits {
            Some(bits) if bits <= most => Ok(bits),
            _ => Err(Problem::Value {
                field: field.to_owned(),
                found: value.to_string(),
                expected: match (port.name, width) {
                    ("req_access_i", _) => {
                        let names = self.format.accesses().iter().map(|&a| access_key(a));
                        names.collect::<Vec<_>>().join(", ")
                    }
                    (_, 1) => "true or false".to_owned(),
                    _ => format!("a number up to 0x{most:X}, or a string \"0x...\""),
                },
            }),
        }
    }

    /// The events of a cycle are complete; `next` is the cycle of the next.
    fn end_cycle(&mut self, next: u64, to: &mut impl Cycles) -> Result<(), RecordingError> {
        let Some(cycle) = self.cycle else {
            return Ok(());
        };
        let mut observed = Observed {
            cycle,
            repeat: 1,
            reset: std::mem::take(&mut self.reset),
            inputs: Inputs::default(),
            outputs: Outputs::default(),
            fence_instruction: self.now.instruction,
            unknown: Vec::new(),
        };
        for port in Port::ALL {
            let is_there = self.had[port as usize] || self.held[port as usize];
            let is_offered = is_there && *self.now.handshake(port)[0];
            if !is_offered {
                let [valid, ready] = self.now.handshake(port);
                (*valid, *ready) = (false, false);
            }
        }
        observed.inputs = self.now.inputs.clone();
        observed.outputs = self.now.outputs.clone();
        to.cycle(observed, None)?;
        // Behind the cycle, only what waits is offered.
        for port in Port::ALL {
            let is_held = self.held[port as usize];
            let [valid, ready] = self.now.handshake(port);
            (*valid, *ready) = (is_held, false);
        }
        self.had = [false; 5];
        if next > cycle + 1 {
            let gap = Observed {
                cycle: cycle + 1,
                repeat: next - cycle - 1,
                reset: false,
                inputs: self.now.inputs.clone(),
                outputs: self.now.outputs.clone(),
                fence_instruction: self.now.instruction,
                unknown: Vec::new(),
            };
            to.cycle(gap, None)?;
        }
        Ok(())
    }
}

/// The fields of the first line.
const HEADER: [&str; 4] = ["schema", "schema_version", "format", "waits"];

/// The field of a request with the page-walk caches that are in use: the port `walk_caches_i`.
const WALK_CACHES: &str = "walk_caches";

/// The operands of a fence, with the inputs that say that there is one.
const FENCE_OPERANDS: [(&str, &str); 4] = [
    ("gva", "fence_use_gva"),
    ("gpa", "fence_use_gpa"),
    ("asid", "fence_use_asid"),
    ("vmid", "fence_use_vmid"),
];

/// The fields of an event of a port, besides those of every event.
fn payload_fields(port: Port, is_update: Option<bool>) -> impl Iterator<Item = &'static str> {
    let fields = port.payload().map(move |socket| field_of(socket, port));
    fields.filter(move |&field| match port {
        // An operand is there or not.
        Port::Fence => !field.starts_with("use_"),
        Port::MemoryRequest => match field {
            "update" => false,
            "expected" | "new" => is_update == Some(true),
            _ => true,
        },
        _ => true,
    })
}

/// Returns true if an event must have the field of a port that the device has.
fn is_needed(port: Port, field: &str, is_update: Option<bool>, is_error: bool) -> bool {
    match port {
        Port::Request => true,
        Port::Response => field == "id",
        Port::Fence => field == "virt" || field == "instruction",
        Port::MemoryRequest => match field {
            "update" => false,
            "expected" | "new" => is_update == Some(true),
            _ => true,
        },
        Port::MemoryResponse => match field {
            "error" => false,
            "data" => !is_error,
            _ => true,
        },
    }
}

fn flag(fields: &Map<String, Value>, field: &str) -> Result<bool, Problem> {
    match fields.get(field) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(value) if value.as_u64().is_some_and(|bit| bit <= 1) => Ok(value.as_u64() == Some(1)),
        Some(value) => Err(Problem::Value {
            field: field.to_owned(),
            found: value.to_string(),
            expected: "true or false".to_owned(),
        }),
    }
}

fn unknown_field(kind: &'static str, field: &str, known: &[&str]) -> Problem {
    Problem::UnknownField {
        kind,
        field: field.to_owned(),
        near: nearest(field, known.iter().copied()),
        known: known.join(", "),
    }
}

/// Checks that an event has no other fields than these, and those of every event.
fn only(kind: &'static str, fields: &Map<String, Value>, known: &[&str]) -> Result<(), Problem> {
    let known = [&["cycle", "kind"], known].concat();
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(field) => Err(unknown_field(kind, field, &known)),
        None => Ok(()),
    }
}

/// Writes a recording as JSON lines.
pub struct Writer<W> {
    output: W,
    ports: Ports,
    /// By port: the payload that waits.
    held: [Option<Vec<u64>>; 5],
    /// The last cycle, and whether it had an event.
    last: Option<(u64, bool)>,
    /// Memory requests without data: by id, whether each is an update.
    updates: Vec<std::collections::VecDeque<bool>>,
    /// The device has page-walk caches.
    has_walk_caches: bool,
    line: String,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn new(mut output: W, description: &Description) -> io::Result<Self> {
        let format = description.format.name();
        writeln!(
            output,
            "{{\"schema\":\"{SCHEMA}\",\"schema_version\":{VERSION},\"format\":\"{format}\",\
             \"waits\":true}}"
        )?;
        Ok(Self {
            output,
            ports: description.ports.clone(),
            held: Default::default(),
            last: None,
            updates: vec![Default::default(); 16],
            has_walk_caches: description.walks.caches.any(),
            line: String::new(),
        })
    }

    /// Writes the events of a cycle.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn cycle(&mut self, observed: &Observed) -> io::Result<()> {
        let cycle = observed.cycle;
        let mut state = State {
            inputs: observed.inputs.clone(),
            outputs: observed.outputs.clone(),
            instruction: observed.fence_instruction,
        };
        let mut wrote = observed.reset;
        if observed.reset {
            self.held = Default::default();
            self.updates.iter_mut().for_each(|updates| updates.clear());
            writeln!(self.output, "{{\"cycle\":{cycle},\"kind\":\"reset\"}}")?;
        }
        if !self.ports.has("mem_rsp_ready_o") {
            state.outputs.mem_rsp_ready = true;
        }
        if !self.ports.has("rsp_ready_i") {
            state.inputs.rsp_ready = true;
        }
        for port in Port::ALL {
            let [valid, ready] = state.handshake(port).map(|bit| *bit);
            let held = self.held[port as usize].take();
            // A memory response that waits has no effect on the checks.
            let waits = valid && !ready && port != Port::MemoryResponse;
            if !valid || (!ready && !waits) {
                if held.is_some() {
                    let port = port.name();
                    writeln!(
                        self.output,
                        "{{\"cycle\":{cycle},\"kind\":\"withdrawn\",\"port\":\"{port}\"}}"
                    )?;
                    wrote = true;
                }
                continue;
            }
            let payload: Vec<u64> = port.payload().map(|socket| state.get(socket)).collect();
            if waits {
                let is_same = held.as_ref() == Some(&payload);
                self.held[port as usize] = Some(payload);
                if is_same {
                    continue;
                }
            }
            self.write(port, &state, cycle, waits)?;
            wrote = true;
        }
        self.last = Some((cycle + observed.repeat - 1, wrote && observed.repeat == 1));
        Ok(())
    }

    fn write(&mut self, port: Port, state: &State, cycle: u64, waits: bool) -> io::Result<()> {
        let place = usize::from(match port {
            Port::MemoryRequest => state.outputs.mem_req_id,
            _ => state.inputs.mem_rsp_id,
        });
        let place = if self.ports.has("mem_req_id_o") {
            place % 16
        } else {
            0
        };
        let is_update = match port {
            Port::MemoryRequest => {
                let is_update = self.ports.has("mem_req_update_o") && state.outputs.mem_req_update;
                if !waits {
                    self.updates[place].push_back(is_update);
                }
                Some(is_update)
            }
            Port::MemoryResponse => Some(self.updates[place].pop_front().unwrap_or(false)),
            _ => None,
        };
        let kind = match is_update {
            Some(is_update) => Kind::Memory(port, is_update),
            None => Kind::Of(port),
        };
        let line = &mut self.line;
        line.clear();
        let _ = write!(line, "{{\"cycle\":{cycle},\"kind\":\"{}\"", kind.name());
        let known: Vec<&str> = payload_fields(port, is_update).collect();
        for socket in port.payload().filter(|socket| self.ports.has(socket.name)) {
            let field = field_of(socket, port);
            let bits = state.get(socket);
            let is_absent = match port {
                Port::Fence => {
                    let operand = FENCE_OPERANDS.iter().find(|(name, _)| *name == field);
                    operand.is_some_and(|(_, uses)| {
                        fields::input(uses).is_none_or(|uses| (uses.get)(&state.inputs) == 0)
                    })
                }
                Port::Response => bits == 0 && field != "id",
                Port::MemoryResponse => match field {
                    "data" => state.inputs.mem_rsp_error,
                    "error" => bits == 0,
                    _ => false,
                },
                _ => false,
            };
            if is_absent || !known.contains(&field) {
                continue;
            }
            let _ = match (socket.name, self.ports.width(socket.name)) {
                ("req_access_i", _) => {
                    let access = crate::format::Format::Rv64.accesses().iter();
                    let access = access.copied().find(|&access| access as u64 == bits);
                    match access {
                        Some(access) => write!(line, ",\"access\":\"{}\"", access_key(access)),
                        None => write!(line, ",\"access\":{bits}"),
                    }
                }
                (_, Some(1)) => write!(line, ",\"{field}\":{}", bits != 0),
                (_, Some(..=16)) => write!(line, ",\"{field}\":{bits}"),
                _ => write!(line, ",\"{field}\":\"0x{bits:X}\""),
            };
        }
        if port == Port::Request && self.has_walk_caches {
            let _ = write!(line, ",\"{WALK_CACHES}\":{}", state.inputs.walk_caches);
        }
        line.push_str(if waits { ",\"waits\":true}\n" } else { "}\n" });
        self.output.write_all(line.as_bytes())
    }

    /// Ends the recording. Returns the output.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if let Some((cycle, false)) = self.last {
            writeln!(self.output, "{{\"cycle\":{cycle},\"kind\":\"end\"}}")?;
        }
        self.output.flush()?;
        Ok(self.output)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
