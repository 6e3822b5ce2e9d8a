// SPDX-License-Identifier: Apache-2.0
//! The map of a recording: the signals behind the ports of the socket, and the description of the
//! device. `docs/audit.md` describes it, and [`template`] has every key.

use std::path::Path;

use toml::de::DeTable;

use super::AuditError;
use super::signal::{Expression, Name};
use crate::dut::description::{Description, DeviceFile, Port};
use crate::dut::socket::{self, CLOCK, PORTS, RESET, SocketPort};
use crate::format::Format;
use crate::input;
use crate::scenario::parse::ParseError;
use crate::scenario::parse::error::{Problem, Result, Span};
use crate::scenario::parse::reader::{Field, Table, distance};

/// A map with every key and its default.
pub fn template() -> &'static str {
    let text = include_str!("template.toml");
    // The licence is that of this project's file, not of a user's.
    text.split_once('\n').map_or(text, |(_, rest)| rest)
}

/// The keys of a map besides those of a device file.
const KEYS: [&str; 5] = ["clock", "reset", "scope", "signals", "fields"];

/// An expression with its place in the map.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub expression: Expression<Name>,
    /// The place of the value.
    span: Span,
    /// The place of the first byte of the expression, if the map has it as it is.
    start: Option<usize>,
}

impl Located {
    /// Returns the place of a part of the expression.
    pub fn span_of(&self, at: usize, length: usize) -> Span {
        match self.start {
            Some(start) => start + at..start + at + length,
            None => self.span.clone(),
        }
    }

    /// Returns the place of the whole value.
    pub fn span(&self) -> Span {
        self.span.clone()
    }
}

/// The time at which the ports are sampled.
#[derive(Clone, Debug)]
pub(super) enum Clock {
    /// Before each edge of a signal.
    Edge { signal: Located, rising: bool },
    /// Once in so many units of time.
    Every(u64),
}

/// The signal that resets the device.
#[derive(Clone, Debug)]
pub(super) struct Reset {
    pub signal: Located,
    pub is_active_high: bool,
}

/// The device that a map describes.
#[derive(Clone, Debug)]
enum Described {
    /// By the keys of a device file.
    File(Box<DeviceFile>),
    /// By a device that this program can run.
    Device(&'static Description),
}

/// The map of a recording.
#[derive(Clone, Debug)]
pub struct Map {
    text: String,
    path: String,
    described: Described,
    pub(super) clock: Option<Clock>,
    pub(super) reset: Option<Reset>,
    /// The device was reset just before the recording begins.
    pub(super) at_start: bool,
    /// The scope whose signals have the names of ports.
    pub(super) scope: Option<(String, Span)>,
    /// The signals of ports.
    pub(super) signals: Vec<(&'static SocketPort, Located)>,
    /// The ports that the events of JSON lines have.
    fields: Option<Vec<&'static SocketPort>>,
}

impl Map {
    /// Reads the map of a recording.
    ///
    /// # Errors
    /// If it cannot be read, or something in it is wrong.
    pub fn load(path: &Path) -> std::result::Result<Self, AuditError> {
        let text = input::read_text(path, input::MOST_SMALL);
        let text = text.map_err(|source| AuditError::ReadMap {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self::parse(&text, &path.to_string_lossy())?)
    }

    /// Reads the map in `text`. Errors call it `path`.
    ///
    /// # Errors
    /// [`ParseError`] for the first thing that is wrong.
    pub fn parse(text: &str, path: &str) -> std::result::Result<Self, ParseError> {
        let file = DeviceFile::parse_map(text, path, &KEYS)?;
        read(text, path, file).map_err(|problem| ParseError::new(*problem, text, path))
    }

    /// Returns the map of a recording of this program: a wave, or events, of a device.
    pub fn of_device(description: &'static Description) -> Self {
        Self {
            text: String::new(),
            path: String::new(),
            described: Described::Device(description),
            clock: Some(Clock::Every(1)),
            reset: None,
            at_start: false,
            scope: None,
            signals: Vec::new(),
            fields: None,
        }
    }

    /// The device whose recordings the map is for, if the map was made by [`Map::of_device`].
    pub(super) fn device(&self) -> Option<&'static Description> {
        match &self.described {
            Described::File(_) => None,
            Described::Device(description) => Some(description),
        }
    }

    /// The paging format.
    pub fn format(&self) -> Format {
        match &self.described {
            Described::File(file) => file.format,
            Described::Device(description) => description.format,
        }
    }

    /// Shows an error in the map.
    // Errors are made boxed.
    #[allow(clippy::boxed_local)]
    pub(super) fn error(&self, problem: Box<Problem>) -> AuditError {
        ParseError::new(*problem, &self.text, &self.path).into()
    }

    /// Shows the error of a key that a recording of waves needs.
    pub(super) fn lacks(&self, what: &str) -> AuditError {
        let end = self.text.len();
        let problem = Problem::at(&(end..end), format!("the map has no {what}"))
            .label("a recording of waves needs it")
            .help("`nestwalk audit --new FILE` writes a map with every key");
        self.error(problem)
    }

    /// Returns the description of the device whose ports have these widths.
    ///
    /// # Errors
    /// If a port is missing or of the wrong width, or no port backs an ability.
    pub(super) fn resolve(
        &self,
        ports: &[(&'static SocketPort, u32)],
    ) -> std::result::Result<Description, AuditError> {
        match &self.described {
            Described::Device(description) => Ok((*description).clone()),
            Described::File(file) => {
                let always = [CLOCK, RESET].map(|name| Port {
                    name: name.to_owned(),
                    is_input: true,
                    width: 1,
                });
                let ports = ports.iter().map(|&(port, width)| Port {
                    name: port.name.to_owned(),
                    is_input: port.is_input,
                    width,
                });
                let ports: Vec<Port> = always.into_iter().chain(ports).collect();
                Ok(file.resolve(&ports)?)
            }
        }
    }

    /// Returns the description of a device whose events are recorded as JSON lines.
    ///
    /// # Errors
    /// If the map does not say which ports the events have, or a port or an ability lacks the other.
    pub fn of_events(&self) -> std::result::Result<Description, AuditError> {
        if let Some(description) = self.device() {
            return Ok(description.clone());
        }
        let named: Vec<&'static SocketPort> = match &self.fields {
            Some(fields) => {
                let mandatory = socket::MANDATORY
                    .iter()
                    .filter_map(|name| socket::port(name));
                let all = mandatory.filter(|port| !fields.contains(port));
                all.chain(fields.iter().copied()).collect()
            }
            None if self.scope.is_some() || self.signals.is_empty() => {
                let end = self.text.len();
                let problem = Problem::at(&(end..end), "the map has no `fields`")
                    .label("expected a list of the ports that the events have")
                    .help(
                        "mandatory ports are always there; \
                         `nestwalk audit --new FILE` writes a map with every key",
                    );
                return Err(self.error(problem));
            }
            None => self.signals.iter().map(|(port, _)| *port).collect(),
        };
        let format = self.format();
        let widest = named
            .into_iter()
            .map(|port| (port, port.width.range(format)[1]));
        self.resolve(&widest.collect::<Vec<_>>())
    }
}

/// A port of the socket that a recording may have.
fn port_of(name: &str, span: &Span) -> Result<&'static SocketPort> {
    let known = PORTS.iter().filter(|port| !port.name.starts_with("event"));
    if let Some(port) = known.clone().find(|port| port.name == name) {
        return Ok(port);
    }
    let message = format!("`{name}` is no port of the socket");
    if name.starts_with("event") {
        return Err(Problem::at(span, message).label("the audit does not use the event record"));
    }
    if [CLOCK, RESET].contains(&name) {
        return Err(Problem::at(span, message).label("see [clock] and [reset]"));
    }
    let nearest = known
        .map(|port| (distance(name, port.name), port.name))
        .min();
    let problem = match nearest.filter(|&(edits, _)| name.len() <= 64 && edits <= 3) {
        Some((_, nearest)) => {
            Problem::at(span, message).label(format!("did you mean `{nearest}`?"))
        }
        None => Problem::at(span, message).label("expected a port such as `req_valid_i`"),
    };
    Err(problem.help("docs/your-walker.md lists the ports of the socket"))
}

/// The expression of a value: a string, or a number or a boolean as a constant.
fn located(field: &Field<'_>, text: &str, what: &'static str) -> Result<Located> {
    let constant = |value: u64| Located {
        expression: Expression::Constant { value, width: None },
        span: field.span.clone(),
        start: None,
    };
    if field.is_integer() {
        return Ok(constant(field.number(0, u64::MAX)?));
    }
    if !field.is_string() {
        let is_set = field.boolean().map_err(|_| field.wrong_kind(what))?;
        return Ok(constant(u64::from(is_set)));
    }
    let value = field.string(what)?;
    // Without escapes, the text of the value is that of the map.
    let inner = field.span.start + 1;
    let is_plain = text.get(inner..inner + value.len()) == Some(value);
    let start = is_plain.then_some(inner);
    match Expression::parse(value) {
        Ok(expression) => Ok(Located {
            expression,
            span: field.span.clone(),
            start,
        }),
        Err(error) => {
            let span = match start {
                Some(start) => start + error.at..start + value.len().max(error.at),
                None => field.span.clone(),
            };
            Err(Problem::at(&span, format!("{value:?} is no signal"))
                .label(error.problem.to_string()))
        }
    }
}

const SIGNAL: &str = "a signal of the recording, such as \"tb.dut.req_valid\"";

fn read(text: &str, path: &str, described: DeviceFile) -> Result<Map> {
    let document = DeTable::parse(text).map_err(|error| Problem::syntax(&error, text))?;
    let file = Table::document(document.get_ref());
    let clock = match file.get("clock") {
        None => None,
        Some(field) => Some(clock(&field.table("[clock]")?, text)?),
    };
    let (mut reset, mut at_start) = (None, false);
    if let Some(field) = file.get("reset") {
        let table = field.table("[reset]")?;
        table.only(&["signal", "active", "at_start"])?;
        if let Some(field) = table.get("signal") {
            let active = table.require("active", "`high` or `low`")?;
            reset = Some(Reset {
                signal: located(&field, text, SIGNAL)?,
                is_active_high: active.choice("level", &[("high", true), ("low", false)])?,
            });
        }
        at_start = match table.get("at_start") {
            Some(field) => field.boolean()?,
            None => false,
        };
    }
    let scope = match file.get("scope") {
        None => None,
        Some(field) => {
            let scope = field.string("a scope of the recording, such as \"tb.dut\"")?;
            Some((scope.to_owned(), field.span.clone()))
        }
    };
    let mut signals = Vec::new();
    if let Some(field) = file.get("signals") {
        for (name, field) in field.table("[signals]")?.all() {
            let port = port_of(name, &field.key_span)?;
            signals.push((port, located(&field, text, SIGNAL)?));
        }
    }
    let fields = match file.get("fields") {
        None => None,
        Some(field) => {
            let mut ports = Vec::new();
            for field in field.array("a list of ports")? {
                let port = port_of(field.string("a port")?, &field.span)?;
                if ports.contains(&port) {
                    return Err(Problem::at(&field.span, "`fields` has this port twice"));
                }
                ports.push(port);
            }
            Some(ports)
        }
    };
    Ok(Map {
        text: text.to_owned(),
        path: path.to_owned(),
        described: Described::File(Box::new(described)),
        clock,
        reset,
        at_start,
        scope,
        signals,
        fields,
    })
}

fn clock(table: &Table<'_>, text: &str) -> Result<Clock> {
    table.only(&["signal", "edge", "every"])?;
    match (table.get("signal"), table.get("every")) {
        (Some(field), None) => Ok(Clock::Edge {
            signal: located(&field, text, SIGNAL)?,
            rising: match table.get("edge") {
                Some(field) => field.choice("edge", &[("rising", true), ("falling", false)])?,
                None => true,
            },
        }),
        (None, Some(field)) => match table.get("edge") {
            Some(edge) => Err(Problem::at(&edge.key_span, "`edge` without `signal`")
                .label("without a clock signal there are no edges")),
            None => Ok(Clock::Every(field.number(1, u64::MAX)?)),
        },
        (Some(_), Some(every)) => Err(Problem::at(&every.key_span, "`every` beside `signal`")
            .label("write only one of the two")),
        (None, None) => Err(
            Problem::at(&table.span, "[clock] has neither `signal` nor `every`")
                .label("expected the clock, or the units of time of a cycle"),
        ),
    }
}
