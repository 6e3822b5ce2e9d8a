// SPDX-License-Identifier: Apache-2.0
//! Operations: from the keys of a file to the operations of a run.

use super::error::{Lines, Problem, Result, Span};
use super::expect;
use super::formats::{self, FileFormat};
use super::head::{memory_timing, request_timing, walk_caches};
use super::layout::{Kind, Layout};
use super::limits::{self, MOST_OWED, MOST_WAIT};
use super::reader::{Field, Table, one_of};
use super::riscv;
use crate::addr::{Gva, Hpa};
use crate::format::Format;
use crate::mmu::{Access, Fence};
use crate::scenario::{AccessOp, Held, Machine, NamedContext, Op, Timing, access_key};

const ACTIONS: [&str; 15] = [
    "load",
    "store",
    "fetch",
    "hlvx",
    "switch",
    "fence",
    "write",
    "map",
    "unmap",
    "memory",
    "requests",
    "wait",
    "reset",
    "hold",
    "walk_caches",
];
/// Keys that modify an operation.
const MODIFIERS: [&str; 4] = ["context", "expect", "race", "speculative"];
/// The largest number of cycles of one `hold`.
const MOST_HOLD: u32 = 100_000;

/// An edit of more pages is followed by one fence of all pages in place of one for each, as in
/// operating systems.
pub(super) const MOST_PAGE_FENCES: u64 = 32;

/// The operations so far, and everything on which the next one depends.
pub(super) struct Lowering<'a> {
    lines: &'a Lines,
    pub(super) format: Format,
    rules: &'static dyn FileFormat,
    machine: Machine,
    pub(super) contexts: &'a [NamedContext],
    /// The registers that define each context.
    by_registers: &'a [Option<riscv::ByRegisters>],
    pub(super) layout: Layout<'a>,
    timing: Timing,
    one_at_a_time: bool,
    /// Index of the context of accesses without `context`.
    current: usize,
    /// There was an edit since the last fence of all obligations.
    edited: bool,
    /// The fence obligations since then.
    owed: Vec<Fence>,
    ops: Vec<Op>,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(
        lines: &'a Lines,
        machine: Machine,
        contexts: &'a [NamedContext],
        by_registers: &'a [Option<riscv::ByRegisters>],
        layout: Layout<'a>,
        timing: &Timing,
        one_at_a_time: bool,
    ) -> Self {
        Self {
            lines,
            format: machine.format,
            rules: formats::of(machine.format),
            machine,
            contexts,
            by_registers,
            layout,
            timing: timing.clone(),
            one_at_a_time,
            current: 0,
            edited: false,
            owed: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// Reads `[[op]]`.
    pub(super) fn lower(mut self, file: &Table<'a>) -> Result<Vec<Op>> {
        let tables = file.tables("op", "[[op]]")?;
        if let Some(last) = tables.last() {
            limits::check_ops(tables.len(), &last.span)?;
        }
        for table in &tables {
            self.op(table)?;
        }
        if self.ops.is_empty() {
            // The place is the last operation, or the place for operations.
            let end = self.lines.end();
            let place = tables.last().map_or(end..end, |table| table.span.clone());
            return Err(Problem::at(&place, "nothing happens in this scenario")
                .label("an [[op]] with an access is missing")
                .help("for example: [[op]] and, on the next line, load = 0x12345"));
        }
        Ok(self.ops)
    }

    fn op(&mut self, table: &Table<'a>) -> Result<()> {
        let mut known: Vec<&str> = [&ACTIONS[..], &MODIFIERS].concat();
        known.retain(|&key| match key {
            "hlvx" => self.format.accesses().contains(&Access::LoadExecute),
            "walk_caches" => self.format.has_walk_caches(),
            _ => true,
        });
        self.rules.refuse_op(table)?;
        table.only(&known)?;
        let (action, field) = the_action(table)?;
        let access = Access::ALL
            .into_iter()
            .chain([Access::LoadExecute])
            .find(|&access| access_key(access) == action);
        if access.is_none() {
            for key in ["context", "expect", "speculative"] {
                if let Some(other) = table.get(key) {
                    return Err(Problem::at(
                        &other.key_span,
                        format!("`{key}` with `{action}`, which is not an access"),
                    )
                    .label("goes with `load`, `store` or `fetch`"));
                }
            }
        }
        if let ("walk_caches", Some(race)) = (action, table.get("race")) {
            return Err(Problem::at(
                &race.key_span,
                "`race` with `walk_caches`, which change only if no walk is in flight",
            )
            .label("remove `race`: the operation waits for the earlier accesses"));
        }
        let waits_for_nothing =
            matches!(action, "switch" | "wait" | "walk_caches") || access.is_some();
        match table.get("race") {
            Some(race) if waits_for_nothing => {
                return Err(Problem::at(
                    &race.key_span,
                    format!("`race` with `{action}`, which never waits for the earlier accesses"),
                )
                .label(
                    "goes with `fence`, `write`, `map`, `unmap`, `memory`, `requests`, `hold` or \
                     `reset`",
                ));
            }
            Some(race) if race.boolean()? => {}
            _ if waits_for_nothing => {}
            _ => self.drain(),
        }
        match (access, action) {
            (Some(access), _) => self.access(access, &field, table),
            (_, "switch") => {
                self.current = self.context(&field)?;
                Ok(())
            }
            (_, "fence") => self.fence(&field),
            (_, "write") => self.write(&field),
            (_, "map") => self.edit(&field, true),
            (_, "unmap") => self.edit(&field, false),
            (_, "wait") => self.wait(&field),
            (_, "reset") => self.reset(&field),
            (_, "hold") => self.hold(&field),
            (_, "walk_caches") => {
                let used = walk_caches(&field, &self.machine)?;
                self.ops.push(Op::WalkCaches(used));
                Ok(())
            }
            _ => self.behave(table),
        }
    }

    /// Waits for the earlier accesses, if there can be any.
    fn drain(&mut self) {
        if !matches!(self.ops.last(), None | Some(Op::Drain)) {
            self.ops.push(Op::Drain);
        }
    }

    fn access(&mut self, access: Access, field: &Field<'a>, table: &Table<'a>) -> Result<()> {
        let gva = Gva(field.address("gVA", self.format.geometry().gva_width)?);
        if self.contexts.is_empty() {
            return Err(Problem::at(
                &field.key_span,
                "an access, but no [[context]] to make it in",
            )
            .help("add a [[context]] with `name` and `host` before the first [[op]]"));
        }
        let context = match table.get("context") {
            Some(name) => self.context(&name)?,
            None => self.current,
        };
        let given = self.by_registers[context].as_ref();
        riscv::fits_access(access, &self.contexts[context], given, field)?;
        let expect = table
            .get("expect")
            .map(|field| expect::expect(&field, self.format))
            .transpose()?;
        let speculative = table.get("speculative");
        let speculative = speculative.map_or(Ok(false), |field| field.boolean())?;
        if self.one_at_a_time {
            self.drain();
        }
        self.ops.push(Op::Access(AccessOp {
            context,
            gva,
            access,
            speculative,
            expect: expect.map(Box::new),
            line: Some(self.lines.line_of(field.key_span.start) as u32),
        }));
        Ok(())
    }

    fn context(&self, field: &Field<'_>) -> Result<usize> {
        let name = field.string("the name of a [[context]]")?;
        self.contexts
            .iter()
            .position(|context| context.name == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self.contexts.iter().map(|c| c.name.as_str()).collect();
                field.unknown("context", name, &names)
            })
    }

    fn fence(&mut self, field: &Field<'_>) -> Result<()> {
        if field.is_string() {
            let owed = field.choice("fence", &[("all", false), ("owed", true)])?;
            if owed && !self.edited {
                return Err(field.wrong(
                    "there is no fence obligation here",
                    "there was no `map`, `unmap` or `write` since the last fence",
                ));
            }
            let owed_fences = std::mem::take(&mut self.owed);
            self.edited = false;
            if owed {
                self.ops.extend(owed_fences.into_iter().map(Op::Fence));
            } else {
                self.everything()
                    .for_each(|fence| self.ops.push(Op::Fence(fence)));
            }
            return Ok(());
        }
        self.ops
            .push(Op::Fence(self.rules.fence(field, self.format)?));
        Ok(())
    }

    /// Returns the fences that match everything: one of V=1, and one of V=0 if the format has such
    /// contexts.
    fn everything(&self) -> impl Iterator<Item = Fence> + use<> {
        let outside = Fence {
            virt: false,
            ..Fence::default()
        };
        let outside = self.format.has_native_contexts().then_some(outside);
        [Fence::default()].into_iter().chain(outside)
    }

    fn write(&mut self, field: &Field<'_>) -> Result<()> {
        let table = field.table("`write`")?;
        table.only(&["at", "word", "hole"])?;
        let at_field = table.require("at", "the hPA of a word")?;
        let geometry = self.format.geometry();
        let at = at_field.address("hPA", geometry.hpa_width)?;
        at_field.aligned("hPA", at, geometry.pte_bytes(), "words")?;
        let at = Hpa(at);
        let word = match (table.get("word"), table.get("hole")) {
            (Some(word), None) => Some(word.word(self.format)?),
            (None, Some(hole)) => {
                if !hole.boolean()? {
                    return Err(hole.wrong("`hole` = false has no effect", "true, or give `word`"));
                }
                None
            }
            (Some(_), Some(hole)) => {
                return Err(Problem::at(&hole.key_span, "`write` has `word` and `hole`")
                    .label("one of the two"));
            }
            (None, None) => {
                return Err(
                    Problem::at(&field.span, "`write` has neither `word` nor `hole`")
                        .label("`word` is missing, or `hole` = true"),
                );
            }
        };
        let line = self.lines.line_of(field.key_span.start);
        self.layout.write(at, word, line);
        self.layout.ledger.check(&at_field.span)?;
        self.ops.push(Op::Write { at, word });
        // The purpose of the word is not known.
        self.everything().for_each(|fence| self.owe(fence));
        self.edited = true;
        Ok(())
    }

    /// Reads `map` or `unmap`.
    fn edit(&mut self, field: &Field<'a>, map: bool) -> Result<()> {
        let name = if map { "`map`" } else { "`unmap`" };
        let table = field.table(name)?;
        table.only(self.rules.edit_keys(map))?;
        let (kind, of) = match (table.get("host"), table.get("guest")) {
            (Some(host), None) => (Kind::Host, host),
            (None, Some(guest)) => (Kind::Guest, guest),
            (Some(_), Some(guest)) => {
                return Err(
                    Problem::at(&guest.key_span, format!("{name} has `host` and `guest`"))
                        .label("one of the two"),
                );
            }
            (None, None) => {
                return Err(Problem::at(&field.span, format!("{name} names no table"))
                    .label("`host` or `guest` is missing, with a name"));
            }
        };
        self.rules.edit(self, &table, kind, &of, map)?;
        let written = self.layout.take_written();
        self.ops
            .extend(written.into_iter().map(|(at, word)| Op::Write {
                at,
                word: Some(word),
            }));
        self.edited = true;
        Ok(())
    }

    /// Counts the comparisons of an edit.
    pub(super) fn spend(&mut self, pages: u64, place: &Span) -> Result<()> {
        let (contexts, tables) = (self.contexts.len(), self.layout.count());
        let spent = &mut self.layout.spent;
        spent.pages(pages, place)?;
        spent.edit(pages.min(MOST_PAGE_FENCES), contexts, tables, place)
    }

    /// Adds a fence obligation, unless another one covers it.
    pub(super) fn owe(&mut self, fence: Fence) {
        if !self.owed.iter().any(|owed| covers(owed, &fence)) {
            self.owed.retain(|owed| !covers(&fence, owed));
            self.owed.push(fence);
            if self.owed.len() > MOST_OWED {
                self.owed = self.everything().collect();
            }
        }
    }

    /// Reads `memory` and `requests` of an operation.
    fn behave(&mut self, table: &Table<'a>) -> Result<()> {
        let something = |table: &Table<'_>, span: &Span| {
            if table.keys().is_empty() {
                return Err(Problem::at(span, format!("{} changes nothing", table.name))
                    .label("a key is missing"));
            }
            Ok(())
        };
        if let Some(field) = table.get("memory") {
            let table = field.table("`memory`")?;
            table.only(&[
                "seed",
                "latency",
                "busy",
                "run",
                "errors",
                "reorder",
                "after_valid",
            ])?;
            something(&table, &field.span)?;
            memory_timing(&table, &mut self.timing)?;
        }
        if let Some(field) = table.get("requests") {
            let table = field.table("`requests`")?;
            table.only(&["idle", "response_busy", "run", "response_after_valid"])?;
            something(&table, &field.span)?;
            request_timing(&table, &mut self.timing)?;
        }
        self.ops.push(Op::Timing(self.timing.clone()));
        Ok(())
    }

    fn hold(&mut self, field: &Field<'_>) -> Result<()> {
        let table = field.table("`hold`")?;
        let names = Held::ALL.map(Held::name);
        table.only(&names)?;
        if table.keys().is_empty() {
            return Err(field.wrong(
                "a hold without a port",
                format!("cycles for some of {}", one_of(&names)),
            ));
        }
        for what in Held::ALL {
            if let Some(cycles) = table.get(what.name()) {
                let cycles = cycles.number_u32(1, MOST_HOLD)?;
                self.ops.push(Op::Hold { what, cycles });
            }
        }
        Ok(())
    }

    fn reset(&mut self, field: &Field<'_>) -> Result<()> {
        if !field.boolean()? {
            return Err(field.wrong("`reset` = false has no effect", "`reset = true`"));
        }
        self.ops.push(Op::Reset);
        // The TLB is empty after it.
        self.owed.clear();
        Ok(())
    }

    fn wait(&mut self, field: &Field<'_>) -> Result<()> {
        if field.is_string() {
            field.choice("end of a wait", &[("idle", ())])?;
            self.ops.push(Op::Drain);
        } else if field.is_integer() {
            let cycles = field.number_u32(0, MOST_WAIT)?;
            self.layout.spent.wait(cycles, &field.span)?;
            self.ops.push(Op::Wait(cycles));
        } else {
            return Err(field.wrong_kind("a number of cycles, or \"idle\""));
        }
        Ok(())
    }
}

/// Returns the only action of an operation. `memory` and `requests` together are one action.
fn the_action<'a>(table: &Table<'a>) -> Result<(&'static str, Field<'a>)> {
    let mut actions: Vec<(&str, Field<'a>)> = ACTIONS
        .into_iter()
        .filter_map(|action| Some((action, table.get(action)?)))
        .collect();
    actions.sort_by_key(|(_, field)| field.key_span.start);
    match &actions[..] {
        [] => Err(Problem::at(&table.span, "an [[op]] that does nothing")
            .label("its action is missing")
            .help(format!("one of {}", one_of(&ACTIONS)))),
        [only] => Ok(only.clone()),
        [first, second, ..] => {
            let names = [first.0, second.0];
            if actions.len() == 2 && names.contains(&"memory") && names.contains(&"requests") {
                return Ok(first.clone());
            }
            Err(Problem::at(
                &second.1.key_span,
                format!(
                    "an [[op]] that does two things, `{}` and `{}`",
                    names[0], names[1]
                ),
            )
            .label("start another [[op]] before this")
            .also(&first.1.key_span, "the first"))
        }
    }
}

/// Returns true if `one` invalidates everything that `other` invalidates.
fn covers(one: &Fence, other: &Fence) -> bool {
    one.virt == other.virt
        && (one.gva.is_none() || one.gva == other.gva)
        && (one.gpa.is_none() || one.gpa == other.gpa)
        && (one.asid.is_none() || one.asid == other.asid)
        && (one.vmid.is_none() || one.vmid == other.vmid)
}
