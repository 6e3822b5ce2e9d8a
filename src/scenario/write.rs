// SPDX-License-Identifier: Apache-2.0
//! Writes a scenario as a file that runs the same, cycle by cycle. [`parse`](super::parse::parse)
//! reads it back, except for the lines of the accesses.
//!
//! The file has the raw form: words of memory and no mappings, and every wait for accesses is an
//! operation.

use std::fmt::{self, Write};
use std::ops::RangeInclusive;

use super::{
    AccessOp, Expect, ExpectEntry, ExpectFault, Holes, Machine, Op, Scenario, Timing, access_key,
    formats, size_name,
};
use crate::addr::Hpa;
use crate::dut::variants::{SecondTlb, WalkCacheEntries};
use crate::format::Format;
use crate::memory::Region;
use crate::mmu::{Fence, Purpose};

/// The number of words on a line.
const LINE_WORDS: usize = 8;
/// The number of equal words from which they are written once, with a repetition count.
const RUN_WORDS: usize = 16;
/// The largest number of words that a file may give in this way.
const MOST_RUN_WORDS: usize = 1 << 20;

/// Returns the scenario as a file.
pub fn to_toml(scenario: &Scenario) -> String {
    to_toml_with_header(scenario, "")
}

/// Returns the scenario as a file that starts with a comment: the lines of `header`.
pub fn to_toml_with_header(scenario: &Scenario, header: &str) -> String {
    let mut writer = Writer {
        out: String::new(),
        format: scenario.machine.format,
    };
    // Writing to a string does not fail.
    let _ = writer.scenario(scenario, header);
    writer.out
}

pub(super) struct Writer {
    pub(super) out: String,
    format: Format,
}

/// A number and its number of hexadecimal digits.
pub(super) struct Hex(pub(super) u64, pub(super) usize);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:0width$X}", self.0, width = self.1)
    }
}

pub(super) fn string(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Renders the size of an L2 TLB for a file.
pub(super) fn second_tlb(size: SecondTlb) -> String {
    let SecondTlb {
        sets,
        ways,
        superpages,
    } = size;
    format!("{{ sets = {sets}, ways = {ways}, superpages = {superpages} }}")
}

/// Renders the entries of walk caches for a file.
pub(super) fn walk_cache_entries(entries: WalkCacheEntries) -> String {
    match entries.same() {
        Some(entries) => entries.to_string(),
        None => {
            let WalkCacheEntries {
                guest,
                host,
                nested,
            } = entries;
            format!("{{ guest = {guest}, host = {host}, nested = {nested} }}")
        }
    }
}

/// Formats an inline table: `{ a = 1, b = 2 }`.
fn inline(pairs: &[Option<String>]) -> String {
    let pairs: Vec<&str> = pairs.iter().flatten().map(String::as_str).collect();
    format!("{{ {} }}", pairs.join(", "))
}

impl Writer {
    pub(super) fn address(&self, address: u64) -> Hex {
        // All kinds of address have the same number of digits in a file, so that columns line up.
        let geometry = self.format.geometry();
        let width = geometry
            .gva_width
            .max(geometry.gpa_width)
            .max(geometry.hpa_width);
        Hex(address, width.div_ceil(4) as usize)
    }

    fn word(&self, word: u64) -> Hex {
        formats::of(self.format).word(self, word)
    }

    pub(super) fn word_bytes(&self) -> u64 {
        self.format.geometry().pte_bytes()
    }

    fn scenario(&mut self, scenario: &Scenario, header: &str) -> fmt::Result {
        for line in header.lines() {
            writeln!(self.out, "{}", format!("# {line}").trim_end())?;
        }
        if !header.is_empty() {
            writeln!(self.out)?;
        }
        writeln!(self.out, "title = {}", string(&scenario.title))?;
        let machine = &scenario.machine;
        writeln!(self.out, "\n[machine]")?;
        writeln!(self.out, "format = {}", string(machine.format.name()))?;
        if let Some(foreign) = machine.foreign {
            writeln!(self.out, "device = {}", string(foreign.path()))?;
        }
        writeln!(self.out, "slots = {}", machine.slots)?;
        writeln!(self.out, "tlb = {}", machine.tlb_entries)?;
        if self.format.has_walk_caches() {
            let used: Vec<_> = machine.walk_caches.names().map(string).collect();
            let entries = walk_cache_entries(machine.walk_cache_entries);
            writeln!(self.out, "walk_cache_entries = {entries}")?;
            writeln!(self.out, "walk_caches = [{}]", used.join(", "))?;
        }
        if machine.read_bypass {
            writeln!(self.out, "read_bypass = true")?;
        }
        let default = Machine::of(self.format);
        if machine.max_levels != default.max_levels {
            writeln!(self.out, "max_levels = {}", machine.max_levels)?;
        }
        if machine.svadu != default.svadu {
            writeln!(self.out, "svadu = {}", machine.svadu)?;
        }
        if let Some(size) = machine.tlb2 {
            writeln!(self.out, "tlb2 = {}", second_tlb(size))?;
        }
        writeln!(self.out, "checked = {}", machine.checked)?;
        if machine.visibility != default.visibility {
            let visibility = string(machine.visibility.name());
            writeln!(self.out, "visibility = {visibility}")?;
        }

        let holes = match scenario.holes {
            Holes::Reject => "reject",
            Holes::Fault => "fault",
        };
        writeln!(self.out, "\n[memory]\nholes = {}", string(holes))?;
        let default = Timing::default();
        for pair in memory_pairs(&default, &scenario.timing) {
            writeln!(self.out, "{pair}")?;
        }
        let requests = request_pairs(&default, &scenario.timing);
        if !requests.is_empty() {
            writeln!(self.out, "\n[requests]\n{}", requests.join("\n"))?;
        }
        self.images(&scenario.memory.words())?;
        self.regions(scenario.memory.regions())?;

        for named in &scenario.contexts {
            let context = &named.context;
            writeln!(self.out, "\n[[context]]\nname = {}", string(&named.name))?;
            formats::of(self.format).write_context(self, context)?;
        }
        let mut timing = &scenario.timing;
        for op in &scenario.ops {
            writeln!(self.out, "\n[[op]]")?;
            match op {
                Op::Access(access) => self.access(access, scenario)?,
                Op::Fence(fence) => self.fence(fence)?,
                Op::Write { at, word } => {
                    let what = match word {
                        Some(word) => format!("word = {}", self.word(*word)),
                        None => "hole = true".to_owned(),
                    };
                    writeln!(
                        self.out,
                        "write = {{ at = {}, {what} }}",
                        self.address(at.0)
                    )?;
                    writeln!(self.out, "race = true")?;
                }
                Op::Timing(next) => {
                    self.timing(timing, next)?;
                    timing = next;
                }
                Op::Wait(cycles) => writeln!(self.out, "wait = {cycles}")?,
                Op::Drain => writeln!(self.out, "wait = \"idle\"")?,
                Op::Reset => writeln!(self.out, "reset = true\nrace = true")?,
                Op::Hold { what, cycles } => {
                    let what = what.name();
                    writeln!(self.out, "hold = {{ {what} = {cycles} }}\nrace = true")?;
                }
                Op::WalkCaches(used) => {
                    let used: Vec<_> = used.names().map(string).collect();
                    writeln!(self.out, "walk_caches = [{}]", used.join(", "))?;
                }
            }
        }
        Ok(())
    }

    fn images(&mut self, words: &[(Hpa, u64)]) -> fmt::Result {
        let word_bytes = self.word_bytes();
        let is_next = |a: &(Hpa, u64), b: &(Hpa, u64)| b.0.0 == a.0.0 + word_bytes;
        for block in words.chunk_by(is_next) {
            let mut start = 0;
            let mut end = 0;
            for run in block.chunk_by(|a, b| a.1 == b.1) {
                let run_start = end;
                end += run.len();
                if run.len() >= RUN_WORDS {
                    self.image(&block[start..run_start])?;
                    for part in run.chunks(MOST_RUN_WORDS) {
                        self.run(part)?;
                    }
                    start = end;
                }
            }
            self.image(&block[start..])?;
        }
        Ok(())
    }

    fn regions(&mut self, regions: &[Region]) -> fmt::Result {
        for region in regions {
            let rights = match (region.read, region.write) {
                (true, false) => "r",
                (false, true) => "w",
                (false, false) => "",
                // A region with all rights has no effect.
                (true, true) => continue,
            };
            let (from, bytes) = (self.address(region.from.0), region.bytes);
            writeln!(self.out, "\n[[memory.region]]\nfrom = {from}")?;
            writeln!(self.out, "bytes = 0x{bytes:X}\nrights = {}", string(rights))?;
        }
        Ok(())
    }

    fn image(&mut self, block: &[(Hpa, u64)]) -> fmt::Result {
        let Some((at, _)) = block.first() else {
            return Ok(());
        };
        let (indent, end) = if block.len() <= LINE_WORDS {
            ("", "")
        } else {
            ("\n    ", ",\n")
        };
        let at = self.address(at.0);
        write!(self.out, "\n[[memory.image]]\nat = {at}\nwords = [")?;
        for (i, line) in block.chunks(LINE_WORDS).enumerate() {
            let words: Vec<String> = line.iter().map(|w| self.word(w.1).to_string()).collect();
            let comma = if i == 0 { "" } else { "," };
            write!(self.out, "{comma}{indent}{}", words.join(", "))?;
        }
        writeln!(self.out, "{end}]")
    }

    fn run(&mut self, run: &[(Hpa, u64)]) -> fmt::Result {
        let Some(&(at, word)) = run.first() else {
            return Ok(());
        };
        let (at, word) = (self.address(at.0), self.word(word));
        writeln!(self.out, "\n[[memory.image]]\nat = {at}")?;
        writeln!(self.out, "words = [{word}]\nrepeat = {}", run.len())
    }

    fn access(&mut self, op: &AccessOp, scenario: &Scenario) -> fmt::Result {
        let gva = self.address(op.gva.0);
        writeln!(self.out, "{} = {gva}", access_key(op.access))?;
        if scenario.contexts.len() > 1
            && let Some(context) = scenario.contexts.get(op.context)
        {
            writeln!(self.out, "context = {}", string(&context.name))?;
        }
        if op.speculative {
            writeln!(self.out, "speculative = true")?;
        }
        match &op.expect {
            Some(expect) if **expect == Expect::default() => writeln!(self.out, "expect = {{}}"),
            Some(expect) => {
                self.expect("expect", expect)?;
                match &expect.device {
                    Some(device) => self.expect("expect.device", device),
                    None => Ok(()),
                }
            }
            None => Ok(()),
        }
    }

    /// Writes the expectations, with `prefix` before each key, except those of the device alone.
    fn expect(&mut self, prefix: &str, expect: &Expect) -> fmt::Result {
        if let Some(hpa) = expect.hpa {
            writeln!(self.out, "{prefix}.hpa = {}", self.address(hpa.0))?;
        }
        if let Some(gpa) = expect.gpa {
            writeln!(self.out, "{prefix}.gpa = {}", self.address(gpa.0))?;
        }
        if let Some(size) = expect.page_size {
            writeln!(self.out, "{prefix}.page = {}", string(&size_name(size)))?;
        }
        if let Some(memory_type) = expect.memory_type {
            writeln!(
                self.out,
                "{prefix}.memory_type = {}",
                string(memory_type.name())
            )?;
        }
        if let Some(cause) = expect.cause {
            writeln!(self.out, "{prefix}.cause = {cause}")?;
        }
        if let Some(tval2) = expect.tval2 {
            writeln!(self.out, "{prefix}.tval2 = 0x{tval2:X}")?;
        }
        if let Some(tinst) = expect.tinst {
            writeln!(self.out, "{prefix}.tinst = 0x{tinst:X}")?;
        }
        if let Some(gva) = expect.gva {
            writeln!(self.out, "{prefix}.gva = {gva}")?;
        }
        if let Some(reads) = &expect.reads {
            let reads: Vec<String> = reads
                .iter()
                .map(|read| self.address(read.0).to_string())
                .collect();
            writeln!(self.out, "{prefix}.reads = [{}]", reads.join(", "))?;
        }
        if let Some(accesses) = expect.accesses {
            writeln!(self.out, "{prefix}.accesses = {accesses}")?;
        }
        if let Some(hit) = expect.hit {
            writeln!(self.out, "{prefix}.hit = {hit}")?;
        }
        if let Some(fault) = &expect.fault {
            writeln!(self.out, "{prefix}.fault = {}", self.fault(fault))?;
        }
        if !expect.entries.is_empty() {
            writeln!(self.out, "{prefix}.entries = [")?;
            for entry in &expect.entries {
                writeln!(self.out, "    {},", self.entry(entry))?;
            }
            writeln!(self.out, "]")?;
        }
        Ok(())
    }

    fn level(&self, level: u32) -> String {
        string(&self.format.level_name(level))
    }

    fn fault(&self, fault: &ExpectFault) -> String {
        inline(&[
            Some(format!("kind = {}", string(fault.kind.name()))),
            fault.stage.map(|stage| format!("stage = \"{stage}\"")),
            fault
                .level
                .map(|level| format!("level = {}", self.level(level))),
            fault
                .gpa
                .map(|gpa| format!("gpa = {}", self.address(gpa.0))),
            fault.purpose.map(|purpose| match purpose {
                Purpose::Data => "for = \"data\"".to_owned(),
                Purpose::GuestEntry(level) => format!("for = {}", self.level(level)),
                Purpose::GuestUpdate(level) => {
                    format!("for = {}, update = true", self.level(level))
                }
            }),
        ])
    }

    fn entry(&self, entry: &ExpectEntry) -> String {
        inline(&[
            Some(format!("stage = \"{}\"", entry.stage)),
            Some(format!("level = {}", self.level(entry.level))),
            entry
                .gpa
                .map(|gpa| format!("gpa = {}", self.address(gpa.0))),
            entry
                .hpa
                .map(|hpa| format!("hpa = {}", self.address(hpa.0))),
            entry.word.map(|word| format!("word = {}", self.word(word))),
            entry.access.map(|access| format!("access = {access}")),
        ])
    }

    fn fence(&mut self, fence: &Fence) -> fmt::Result {
        let what = if !self.format.has_native_contexts() && *fence == Fence::default() {
            string("all")
        } else {
            inline(&[
                (self.format.has_native_contexts()).then(|| format!("virt = {}", fence.virt)),
                fence
                    .gva
                    .map(|gva| format!("gva = {}", self.address(gva.0))),
                fence
                    .gpa
                    .map(|gpa| format!("gpa = {}", self.address(gpa.0))),
                fence.asid.map(|asid| format!("asid = {asid}")),
                fence.vmid.map(|vmid| format!("vmid = {vmid}")),
            ])
        };
        writeln!(self.out, "fence = {what}\nrace = true")
    }

    /// Writes the changes from `before` to `timing`.
    fn timing(&mut self, before: &Timing, timing: &Timing) -> fmt::Result {
        let mut memory = memory_pairs(before, timing);
        let requests = request_pairs(before, timing);
        if memory.is_empty() && requests.is_empty() {
            memory.push(format!("seed = {}", timing.seed));
        }
        for (key, pairs) in [("memory", memory), ("requests", requests)] {
            if !pairs.is_empty() {
                writeln!(self.out, "{key} = {{ {} }}", pairs.join(", "))?;
            }
        }
        writeln!(self.out, "race = true")
    }
}

fn latency(cycles: &RangeInclusive<u32>) -> String {
    let (least, most) = (cycles.start(), cycles.end());
    if least == most {
        least.to_string()
    } else {
        format!("[{least}, {most}]")
    }
}

fn changed<T: PartialEq>(
    key: &str,
    before: &T,
    after: &T,
    show: impl Fn(&T) -> String,
) -> Option<String> {
    (before != after).then(|| format!("{key} = {}", show(after)))
}

fn memory_pairs(before: &Timing, after: &Timing) -> Vec<String> {
    let pairs = [
        changed("seed", &before.seed, &after.seed, u64::to_string),
        changed("latency", &before.latency, &after.latency, latency),
        changed(
            "busy",
            &before.memory_busy,
            &after.memory_busy,
            u32::to_string,
        ),
        changed("run", &before.memory_run, &after.memory_run, u32::to_string),
        changed("errors", &before.errors, &after.errors, u32::to_string),
        changed("reorder", &before.reorder, &after.reorder, bool::to_string),
        changed(
            "after_valid",
            &before.after_valid,
            &after.after_valid,
            bool::to_string,
        ),
    ];
    pairs.into_iter().flatten().collect()
}

fn request_pairs(before: &Timing, after: &Timing) -> Vec<String> {
    let pairs = [
        changed(
            "idle",
            &before.request_idle,
            &after.request_idle,
            u32::to_string,
        ),
        changed(
            "response_busy",
            &before.response_busy,
            &after.response_busy,
            u32::to_string,
        ),
        changed(
            "run",
            &before.request_run,
            &after.request_run,
            u32::to_string,
        ),
        changed(
            "response_after_valid",
            &before.response_after_valid,
            &after.response_after_valid,
            bool::to_string,
        ),
    ];
    pairs.into_iter().flatten().collect()
}
