// SPDX-License-Identifier: Apache-2.0
//! Benchmark of the testbench: translations per second with all checks on, next to a hand-written
//! C++ harness over the same Verilated model.
//!
//! `docs/performance.md` describes the method. Both sides run the same queries over the same
//! memory, in turns, and must have the same cycles, hits and reads. The printed figures are medians
//! over the rounds.

mod harness;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::ProgressBar;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use harness::ffi::{Harness, HarnessFigures, HarnessQuery, HarnessWord, make_harness};
use nestwalk::addr::{Gpa, Gva, Hpa};
use nestwalk::bench::{self, Stats};
use nestwalk::campaign::Devices;
use nestwalk::dut::Dut;
use nestwalk::format::Format;
use nestwalk::memory::HostMemory;
use nestwalk::mmu::{Access, Context, Rights};
use nestwalk::scenario::{AccessOp, Holes, Machine, NamedContext, Op, Scenario, Timing};
use nestwalk::tables::handout::{GuestTable, HostTable};
use nestwalk::tables::{GuestRoom, TableError, TableFrames};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const VMS: u64 = 4;
const PROCESSES: u64 = 4;
/// The largest number of tables of a VM's host table, and of a process's guest table.
const TABLES: u64 = 8;
/// The address of the first table: as in the handout, not a multiple of the table's size.
const FIRST_TABLE: u64 = 8;
/// The number of pages of a process, if the format has as many.
const PAGES: u64 = 64;
/// The number of pages used last, of which a workload with hits uses one again.
const RECENT: usize = 8;

/// Translations per second of the testbench, next to a hand-written C++ harness.
#[derive(Parser)]
struct Options {
    /// Turns of each side.
    #[arg(long, default_value_t = 61, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Translations in a turn.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u64).range(1..))]
    translations: u64,
    /// Run a few short turns, to test the benchmark and not to measure.
    #[arg(long)]
    quick: bool,
    /// An option that `cargo bench` passes.
    #[arg(long, hide = true)]
    bench: bool,
}

struct Workload {
    name: &'static str,
    format: Format,
    latency: u32,
    /// Percentage of accesses to a page used shortly before.
    again: u32,
}

const fn workload(name: &'static str, format: Format, latency: u32, again: u32) -> Workload {
    Workload {
        name,
        format,
        latency,
        again,
    }
}

const WORKLOADS: [Workload; 6] = [
    workload("walks", Format::Handout, 1, 0),
    workload("walks", Format::Handout, 10, 0),
    workload("mix", Format::Handout, 1, 93),
    workload("walks", Format::Classic32, 1, 0),
    workload("walks", Format::Classic32, 10, 0),
    workload("mix", Format::Classic32, 1, 93),
];

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let (rounds, translations) = if options.quick {
        (3, options.translations.min(1000))
    } else {
        (options.rounds, options.translations)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{translations} translations in a turn, {rounds} turns of each side, medians; {cores} cores.\n\
         C++ checks the address or the fault kind of every response against its own walk of both\n\
         tables. Rust checks everything that `nestwalk fuzz` checks: every read of every walk, every\n\
         field of every response, hits, fills, coalesced requests and port rules.\n\
         In every turn both must have the same cycles, hits and reads.\n"
    );

    let mut one = table(&[
        "hits",
        "cycles",
        "C++ transl/s",
        "Rust transl/s",
        "Rust cycles/s",
        "Rust/C++",
        "quartiles",
        "fastest",
    ]);
    let mut two = table(&[
        "1 thread, transl/s",
        "2 threads, transl/s",
        "2/1",
        "quartiles",
        "fastest",
    ]);
    let (mut ratios, mut threads) = (Vec::new(), Vec::new());
    // Nothing is drawn if the output is not a terminal.
    let progress = ProgressBar::new(WORKLOADS.len() as u64 * u64::from(rounds));
    for workload in &WORKLOADS {
        let measured = workload.measure(rounds, translations, &progress)?;
        one.add_row([workload.cells(), measured.one_thread()].concat());
        two.add_row([workload.cells(), measured.two_threads()].concat());
        ratios.push(quantile(&measured.ratios, 0.5));
        threads.push(quantile(&measured.threads, 0.5));
    }
    progress.finish_and_clear();
    println!(
        "One thread:\n{one}\n\nTwo threads, each with a scenario and a device of its own:\n{two}\n"
    );
    println!(
        "Geometric means: Rust on one thread {:.2} of C++, on two threads {:.2} of that on one.",
        geometric_mean(&ratios),
        geometric_mean(&threads)
    );
    Ok(())
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([&["device", "workload", "latency"], columns].concat());
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The measurements of the rounds.
struct Measured {
    stats: Stats,
    cpp: Vec<Duration>,
    rust: Vec<Duration>,
    /// One thread runs both streams, one after the other.
    alone: Vec<Duration>,
    /// Two threads, a stream each.
    together: Vec<Duration>,
    /// C++ time over Rust time, of each round.
    ratios: Vec<f64>,
    /// For each round, the rate of two threads relative to that of one.
    threads: Vec<f64>,
}

impl Measured {
    fn one_thread(&self) -> Vec<String> {
        let per_access = |n: u64| n as f64 / self.stats.accesses as f64;
        vec![
            format!("{:.0} %", 100.0 * per_access(self.stats.hits)),
            format!("{:.1}", per_access(self.stats.cycles)),
            format!("{:.0}", rate(self.stats.accesses, &self.cpp)),
            format!("{:.0}", rate(self.stats.accesses, &self.rust)),
            format!("{:.2} M", rate(self.stats.cycles, &self.rust) / 1e6),
            format!("{:.3}", quantile(&self.ratios, 0.5)),
            quartiles(&self.ratios),
            format!("{:.3}", fastest(&self.cpp) / fastest(&self.rust)),
        ]
    }

    fn two_threads(&self) -> Vec<String> {
        // The second scenario has as many accesses as the first.
        let accesses = 2 * self.stats.accesses;
        vec![
            format!("{:.0}", rate(accesses, &self.alone)),
            format!("{:.0}", rate(accesses, &self.together)),
            format!("{:.2}", quantile(&self.threads, 0.5)),
            quartiles(&self.threads),
            format!("{:.2}", fastest(&self.alone) / fastest(&self.together)),
        ]
    }
}

/// Returns `n` divided by the median of the times, per second.
fn rate(n: u64, times: &[Duration]) -> f64 {
    let seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    n as f64 / quantile(&seconds, 0.5)
}

fn fastest(times: &[Duration]) -> f64 {
    times.iter().min().map_or(f64::NAN, Duration::as_secs_f64)
}

fn quartiles(values: &[f64]) -> String {
    format!(
        "{:.2}-{:.2}",
        quantile(values, 0.25),
        quantile(values, 0.75)
    )
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// Returns a quantile of values. There must be at least one.
fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

impl Workload {
    fn cells(&self) -> Vec<String> {
        vec![
            self.format.to_string(),
            self.name.into(),
            self.latency.to_string(),
        ]
    }

    fn measure(&self, rounds: u32, translations: u64, progress: &ProgressBar) -> Result<Measured> {
        let first = self.scenario(1, translations)?;
        let second = self.scenario(2, translations)?;
        let mut harness = make_harness_for(&first, self.latency)?;
        let mut devices = (Devices::make(&first)?, Devices::make(&second)?);
        // One turn of each side is not measured: caches, branch predictors, first allocations.
        let (_, stats) = run_rust(&mut devices.0, &first)?;
        run_rust(&mut devices.1, &second)?;
        run_cpp(&mut harness, &stats)?;

        let mut measured = Measured {
            stats,
            cpp: Vec::new(),
            rust: Vec::new(),
            alone: Vec::new(),
            together: Vec::new(),
            ratios: Vec::new(),
            threads: Vec::new(),
        };
        for round in 0..rounds {
            // The order changes from round to round, so that a drift of the machine affects both
            // sides.
            let (cpp, rust) = if round.is_multiple_of(2) {
                let cpp = run_cpp(&mut harness, &stats)?;
                (cpp, run_rust(&mut devices.0, &first)?.0)
            } else {
                let rust = run_rust(&mut devices.0, &first)?.0;
                (run_cpp(&mut harness, &stats)?, rust)
            };
            let alone = rust + run_rust(&mut devices.1, &second)?.0;
            let together = run_two(&mut devices, &first, &second)?;
            measured.ratios.push(cpp.as_secs_f64() / rust.as_secs_f64());
            measured
                .threads
                .push(alone.as_secs_f64() / together.as_secs_f64());
            measured.alone.push(alone);
            measured.together.push(together);
            measured.cpp.push(cpp);
            measured.rust.push(rust);
            progress.inc(1);
        }
        Ok(measured)
    }

    /// Returns the workload as a scenario: accesses of several processes in several VMs. None of
    /// them faults.
    fn scenario(&self, seed: u64, translations: u64) -> Result<Scenario> {
        let mut draw = Draw(Xoshiro256PlusPlus::seed_from_u64(seed));
        let world = World::new(self.format, &mut draw)?;
        let geometry = self.format.geometry();
        let mut recent: Vec<(usize, Gva)> = Vec::new();
        let ops = (0..translations)
            .map(|_| {
                let (context, page) =
                    if recent.len() == RECENT && draw.below(100) < self.again.into() {
                        recent[draw.below(RECENT as u64) as usize]
                    } else {
                        let context = draw.below(world.contexts.len() as u64) as usize;
                        let pages = &world.pages[context];
                        let used = (context, pages[draw.below(pages.len() as u64) as usize]);
                        if recent.len() == RECENT {
                            recent.remove(0);
                        }
                        recent.push(used);
                        used
                    };
                Op::Access(AccessOp {
                    context,
                    gva: Gva(page.0 + draw.below(geometry.page_bytes())),
                    access: Access::ALL[draw.below(3) as usize],
                    speculative: false,
                    expect: None,
                    line: None,
                })
            })
            .collect();
        Ok(Scenario {
            title: format!("{} {}, latency {}", self.format, self.name, self.latency),
            machine: Machine::of(self.format),
            memory: world.memory,
            holes: Holes::Reject,
            timing: Timing {
                latency: self.latency..=self.latency,
                ..Timing::default()
            },
            contexts: world.contexts,
            ops,
        })
    }
}

fn run_rust(dut: &mut Dut, scenario: &Scenario) -> Result<(Duration, Stats)> {
    let start = Instant::now();
    let result = bench::run(dut, scenario, &mut ());
    let time = start.elapsed();
    match result {
        Ok(stats) if stats.faults == 0 => Ok((time, stats)),
        Ok(stats) => Err(format!("{}: {} faults", scenario.title, stats.faults).into()),
        Err(failed) => Err(format!("{}: {}", scenario.title, failed.failure).into()),
    }
}

/// Runs the C++ harness, which must have the figures of the testbench.
fn run_cpp(harness: &mut cxx::UniquePtr<Harness>, stats: &Stats) -> Result<Duration> {
    let start = Instant::now();
    let figures = harness.pin_mut().run()?;
    let time = start.elapsed();
    let expected = HarnessFigures {
        cycles: stats.cycles,
        translations: stats.accesses,
        hits: stats.hits,
        reads: stats.reads,
    };
    if figures != expected {
        return Err(format!("C++ has {figures:?}, Rust has {expected:?}").into());
    }
    Ok(time)
}

/// Runs two scenarios at once, each on a thread and a device of its own. Returns the time until
/// both have ended.
fn run_two(devices: &mut (Dut, Dut), first: &Scenario, second: &Scenario) -> Result<Duration> {
    let barrier = Barrier::new(2);
    let turn = |dut: &mut Dut, scenario: &Scenario| {
        barrier.wait();
        let start = Instant::now();
        let result = run_rust(dut, scenario).map_err(|e| e.to_string());
        result.map(|_| (start, Instant::now()))
    };
    let (here, there) = (&mut devices.0, &mut devices.1);
    let (one, two) = std::thread::scope(|scope| {
        let two = scope.spawn(|| turn(there, second));
        (turn(here, first), two.join())
    });
    let ((start_1, end_1), (start_2, end_2)) = (one?, two.map_err(|_| "a thread panicked")??);
    Ok(end_1.max(end_2) - start_1.min(start_2))
}

fn make_harness_for(scenario: &Scenario, latency: u32) -> Result<cxx::UniquePtr<Harness>> {
    let words: Vec<HarnessWord> = scenario
        .memory
        .words()
        .into_iter()
        .map(|(at, word)| {
            let word = u32::try_from(word)?;
            Ok(HarnessWord { at: at.0, word })
        })
        .collect::<Result<_>>()?;
    let queries: Vec<HarnessQuery> = scenario
        .ops
        .iter()
        .filter_map(|op| match op {
            Op::Access(access) => Some(access),
            _ => None,
        })
        .map(|access| {
            let context = &scenario.contexts[access.context].context;
            HarnessQuery {
                gva: access.gva.0,
                guest_root: context.guest.root.0,
                host_root: context.host.root.0,
                asid: context.asid,
                vmid: context.vmid,
                access: access.access as u8,
                nested: context.guest_root().is_some(),
                rights: context.rights,
            }
        })
        .collect();
    let device = scenario.machine.variant()?;
    Ok(make_harness(device.name, &words, &queries, latency)?)
}

/// A random stream.
struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// Returns a number in `0..n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0.random_range(0..n)
    }

    /// Returns `n` different numbers in `0..of`, or all if there are fewer.
    fn some(&mut self, n: u64, of: u64) -> Vec<u64> {
        if of <= n {
            return (0..of).collect();
        }
        let mut some = Vec::new();
        while (some.len() as u64) < n {
            let one = self.below(of);
            if !some.contains(&one) {
                some.push(one);
            }
        }
        some
    }

    /// Returns page numbers that need only a few tables below the root.
    fn pages(&mut self, format: Format) -> Vec<u64> {
        let entries = format.geometry().table_entries();
        let upper = self.some(4, entries);
        let numbers = self.some(PAGES, upper.len() as u64 * entries);
        numbers
            .into_iter()
            .map(|n| upper[(n / entries) as usize] * entries + n % entries)
            .collect()
    }
}

/// VMs and their processes, all their tables in low memory.
struct World {
    memory: HostMemory,
    contexts: Vec<NamedContext>,
    /// Pages of each context's process.
    pages: Vec<Vec<Gva>>,
}

impl World {
    fn new(format: Format, draw: &mut Draw) -> std::result::Result<Self, TableError> {
        let geometry = format.geometry();
        let host_room = VMS * TABLES * geometry.table_bytes();
        let guest_room = TABLES * geometry.table_bytes();
        // Guest tables are at the start of a VM's memory, whose pages follow the host tables.
        let table_pages = (PROCESSES * guest_room).div_ceil(geometry.page_bytes());
        let first_page = (FIRST_TABLE + host_room).div_ceil(geometry.page_bytes());
        let all_pages = 1 << (geometry.hpa_width - geometry.offset_width);

        let mut memory = HostMemory::new(format);
        let mut frames = TableFrames::new(format, Hpa(FIRST_TABLE), host_room)?;
        let mut contexts = Vec::new();
        let mut pages = Vec::new();
        for vm in 0..VMS {
            let mut host = HostTable::new(format, &mut memory, &mut frames)?;
            let mut map = |host: &mut HostTable, memory: &mut HostMemory, gpa: u64, hpa: u64| {
                let page = geometry.page_bytes();
                let (gpa, hpa) = (Gpa(gpa * page), Hpa(hpa * page));
                host.map(memory, &mut frames, gpa, hpa, Rights::ALL)
                    .map(|owed| owed.ignore())
            };
            for page in 0..table_pages {
                map(
                    &mut host,
                    &mut memory,
                    page,
                    first_page + vm * table_pages + page,
                )?;
            }
            let mut data = draw.pages(format);
            data.retain(|&page| page >= table_pages);
            for &page in &data {
                map(&mut host, &mut memory, page, draw.below(all_pages))?;
            }
            for process in 0..PROCESSES {
                let room = GuestRoom::from(Gpa(FIRST_TABLE + process * guest_room));
                let mut guest = GuestTable::new(format, &mut memory, &mut host, room)?;
                let used: Vec<Gva> = draw
                    .pages(format)
                    .into_iter()
                    .map(|page| Gva(page * geometry.page_bytes()))
                    .collect();
                for &gva in &used {
                    let to = data[draw.below(data.len() as u64) as usize];
                    let to = Gpa(to * geometry.page_bytes());
                    guest
                        .map(&mut memory, &mut host, gva, to, Rights::ALL)?
                        .ignore();
                }
                contexts.push(NamedContext {
                    name: format!("vm{vm}-process{process}"),
                    context: Context {
                        // Both modes: with status bits, and without.
                        rights: process.is_multiple_of(2),
                        asid: process as u16,
                        vmid: vm as u16,
                        ..Context::handout(Some(guest.root()), host.root())
                    },
                });
                pages.push(used);
            }
        }
        Ok(Self {
            memory,
            contexts,
            pages,
        })
    }
}
