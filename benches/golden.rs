// SPDX-License-Identifier: Apache-2.0
//! Benchmark of the golden model on RISC-V: walks per second. The checks make these walks, so this
//! is a part of their cost.
//!
//! Every walk reads all entries of both stages. Figures are medians over rounds. With files of
//! vectors as arguments, the figures of their walks follow.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::format::Format;
use nestwalk::format::riscv::{Entry, mode_name};
use nestwalk::golden::{self, EntryMemory, Step};
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{Access, Context, Query, Rights, Stage, StageControl};
use nestwalk::vectors::Vectors;
use nestwalk::vectors::judge::Words;

/// Walks per second of the golden model.
#[derive(Parser)]
struct Args {
    /// Rounds of each figure.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Files of translation vectors to walk too.
    files: Vec<String>,
    /// An option that cargo passes.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Pages that are mapped, and walked in turn.
const PAGES: u64 = 64;
/// A round of one figure.
const ROUND: Duration = Duration::from_millis(100);

/// Memory that tables are built in.
struct Tables {
    format: Format,
    memory: HostMemory,
    /// The next page that is free.
    free: u64,
}

impl Tables {
    fn allocate(&mut self, pages: u64) -> u64 {
        let bytes = pages * 0x1000;
        let at = self.free.next_multiple_of(bytes);
        self.free = at + bytes;
        at
    }

    /// Maps a page. `made` is called with every new table on the path to it.
    fn map(&mut self, root: u64, levels: u8, address: u64, leaf: Entry) -> Vec<u64> {
        let geometry = self.format.geometry();
        let mut table = root;
        let mut made = Vec::new();
        for level in (0..u32::from(levels)).rev() {
            let at = Hpa(table + geometry.index(address, level) * geometry.pte_bytes());
            if level == 0 {
                self.memory.write(at, leaf.0);
            } else if let Ok(word) = self.memory.read(at) {
                table = Entry(word).address();
            } else {
                table = self.allocate(1);
                made.push(table);
                self.memory.write(at, Entry::pointer(table).0);
            }
        }
        made
    }
}

/// Returns a guest under a host that maps the gPAs in use to the same hPAs. Without levels in the
/// host there is a single stage.
fn world(format: Format, guest_levels: u8, host_levels: u8) -> (HostMemory, Vec<Query>) {
    let mut tables = Tables {
        format,
        memory: HostMemory::new(format),
        free: 0x10_0000,
    };
    let host_root = tables.allocate(4);
    let guest_root = tables.allocate(1);
    let user = Entry::leaf(0, Rights::ALL).with_user(true);
    let mut used = vec![guest_root];
    let context = Context {
        virt: host_levels > 0,
        guest: StageControl {
            levels: guest_levels,
            root: Gpa(guest_root),
            ..Default::default()
        },
        host: StageControl {
            levels: host_levels,
            root: Hpa(host_root),
            ..Default::default()
        },
        user: true,
        sum: false,
        napot: true,
        rights: false,
        asid: 1,
        vmid: 1,
    };
    let mut queries = Vec::new();
    for page in 0..PAGES {
        // Some pages share their tables, others do not.
        let gva = (page % 8) << 12 | (page / 8) << 22;
        let data = tables.allocate(1);
        let leaf = user.with_address(data);
        used.extend(tables.map(guest_root, guest_levels, gva, leaf));
        used.push(data);
        queries.push(Query {
            context,
            gva: Gva(gva | 0x123),
            access: Access::Load,
        });
    }
    if host_levels > 0 {
        for gpa in used {
            tables.map(host_root, host_levels, gpa, user.with_address(gpa));
        }
    }
    (tables.memory, queries)
}

/// Walks per second: the median over rounds.
fn measure(rounds: usize, mut walk_all: impl FnMut() -> u64) -> f64 {
    let mut rates: Vec<f64> = (0..rounds.max(1))
        .map(|_| {
            let begun = Instant::now();
            let mut walks = 0;
            while begun.elapsed() < ROUND {
                walks += walk_all();
            }
            walks as f64 / begun.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn line(name: &str, entries: f64, rate: f64) {
    println!(
        "{name:24} {entries:8.1} {:14.2} M {:10.1}",
        rate / 1e6,
        1e9 / rate / entries.max(1.0)
    );
}

fn walk<M: EntryMemory>(format: Format, query: &Query, memory: &mut M) -> u64 {
    let found = golden::walk(format, black_box(query), memory, &mut ());
    black_box(found).map_or(0, |mapping| mapping.hpa.0)
}

fn modes(rounds: usize) {
    for (format, guest, host) in [
        (Format::Rv64, 3, 0),
        (Format::Rv32, 2, 2),
        (Format::Rv64, 3, 3),
        (Format::Rv64, 4, 4),
        (Format::Rv64, 5, 5),
    ] {
        let (mut memory, queries) = world(format, guest, host);
        let mut steps: Vec<Step> = Vec::new();
        for query in &queries {
            let found = golden::walk(format, query, &mut memory, &mut steps);
            assert!(found.is_ok(), "{found:?}");
        }
        let rate = measure(rounds, || {
            for query in &queries {
                walk(format, query, &mut memory);
            }
            PAGES
        });
        let name = |stage, levels| mode_name(stage, levels).unwrap_or("?");
        let name = match host {
            0 => name(Stage::Guest, guest).to_owned(),
            _ => format!("{}/{}", name(Stage::Guest, guest), name(Stage::Host, host)),
        };
        line(&name, steps.len() as f64 / PAGES as f64, rate);
    }
}

fn vectors(path: &str, rounds: usize) -> Result<(), Box<dyn Error>> {
    let vectors = Vectors::all(Path::new(path))?;
    let entries: usize = vectors.iter().map(|vector| vector.reads.len()).sum();
    // Bits that a walk sets stay set, so all rounds except the first walk the same.
    let mut walks: Vec<_> = vectors
        .iter()
        .map(|vector| (vector.format(), vector.query(), Words::of(vector)))
        .collect();
    let count = walks.len() as u64;
    let rate = measure(rounds, || {
        for (format, query, memory) in &mut walks {
            walk(*format, query, memory);
        }
        count
    });
    let name = Path::new(path).file_name().unwrap_or_default();
    line(&name.to_string_lossy(), entries as f64 / count as f64, rate);
    Ok(())
}

fn main() -> ExitCode {
    let args = Args::parse();
    println!(
        "{:24} {:>8} {:>16} {:>10}",
        "", "entries", "walks/s", "ns/entry"
    );
    modes(args.rounds);
    for path in &args.files {
        if let Err(error) = vectors(path, args.rounds) {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
