// SPDX-License-Identifier: Apache-2.0
//! The check of a file of vectors on the golden model and on the RTL, on many threads. The result
//! does not depend on the number of threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;

use super::device::DeviceRun;
use super::judge::{Difference, Field, GoldenWalk};
use super::{FileError, Vector, VectorError, Vectors, record};
use crate::campaign::Devices;
use crate::dut::DutError;
use crate::dut::variants::Variant;

/// Vectors that a thread takes at a time.
const BATCH: usize = 32;

/// The options of a check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The golden model is checked.
    pub golden: bool,
    /// The RTL is checked.
    pub rtl: bool,
    /// Number of threads.
    pub jobs: usize,
    /// Number of disagreements that the report describes in full, for the golden model and for the
    /// RTL.
    pub keep: usize,
    /// The device of the vectors of its format; else each vector is for the default device of its
    /// format.
    pub device: Option<&'static Variant>,
}

/// The result of checking a file.
#[derive(Debug, Default)]
pub struct Report {
    /// Vectors in it.
    pub vectors: u64,
    /// The result on the golden model, if it was requested.
    pub golden: Option<Tally>,
    /// The result on the RTL, if it was requested.
    pub rtl: Option<Tally>,
    /// The check was interrupted: the figures count up to that point.
    pub interrupted: bool,
    /// The error that ended the check, if vectors before it disagree. The figures count up to that
    /// point.
    pub error: Option<CheckError>,
}

impl Report {
    /// Returns true if every vector agrees.
    pub fn agrees(&self) -> bool {
        let tallies = [&self.golden, &self.rtl];
        let mut tallies = tallies.into_iter().flatten();
        tallies.all(|tally| tally.disagreeing == 0)
    }
}

/// Figures of many vectors.
#[derive(Debug, Default)]
pub struct Tally {
    /// Vectors that agree in every field.
    pub agreeing: u64,
    /// The others.
    pub disagreeing: u64,
    /// Vectors that need what the device does not have. They are not checked.
    pub not_able: u64,
    /// The number of vectors that disagree in a field.
    pub fields: BTreeMap<Field, u64>,
    /// The first of them.
    pub first: Vec<Disagreement>,
}

/// A vector that disagrees.
#[derive(Debug)]
pub struct Disagreement {
    /// The vector.
    pub vector: Vector,
    /// The differences.
    pub differences: Vec<Difference>,
    /// Its walk on the golden model.
    pub golden: GoldenWalk,
    /// The run of the device, if the disagreement is one of the RTL.
    pub device: Option<DeviceRun>,
}

impl Tally {
    fn add(&mut self, differences: &[Difference]) {
        if differences.is_empty() {
            self.agreeing += 1;
            return;
        }
        self.disagreeing += 1;
        let mut fields: Vec<Field> = differences.iter().map(|d| d.field).collect();
        fields.sort_unstable();
        fields.dedup();
        for field in fields {
            *self.fields.entry(field).or_default() += 1;
        }
    }

    fn keep(&mut self, disagreement: Disagreement, most: usize) {
        self.first.push(disagreement);
        self.trim(most);
    }

    fn trim(&mut self, most: usize) {
        self.first.sort_by_key(|d| d.vector.line);
        self.first.truncate(most);
    }

    fn merge(&mut self, other: Tally, most: usize) {
        self.agreeing += other.agreeing;
        self.disagreeing += other.disagreeing;
        self.not_able += other.not_able;
        for (field, count) in other.fields {
            *self.fields.entry(field).or_default() += count;
        }
        self.first.extend(other.first);
        self.trim(most);
    }
}

/// The reason why a file was not checked to its end.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The device for a vector cannot be made.
    #[error(transparent)]
    Device(#[from] DutError),
}

/// The state that the threads share.
struct Shared<'a> {
    vectors: Mutex<Vectors>,
    report: Mutex<Report>,
    /// The error of the lowest line.
    error: Mutex<Option<(u64, CheckError)>>,
    stop: AtomicBool,
    interrupt: &'a AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Shared<'_> {
    fn fail(&self, line: u64, error: CheckError) {
        self.stop.store(true, Ordering::Relaxed);
        let mut first = locked(&self.error);
        if first.as_ref().is_none_or(|(at, _)| line < *at) {
            *first = Some((line, error));
        }
    }

    /// Returns the next lines; none if there is no more work. Lines are returned in order, so all
    /// lines before a failure are checked too.
    fn next(&self) -> Option<Vec<(u64, String)>> {
        let mut vectors = locked(&self.vectors);
        if self.stop.load(Ordering::Relaxed) || self.interrupt.load(Ordering::Relaxed) {
            return None;
        }
        match vectors.lines(BATCH) {
            Ok(lines) if lines.is_empty() => None,
            Ok(lines) => Some(lines),
            Err(error) => {
                self.fail(u64::MAX, error.into());
                None
            }
        }
    }
}

impl Check {
    /// Checks a file. `progress` is called with the number of finished vectors, from any thread.
    /// `interrupt` ends the check early. If no more threads can be created, there are fewer.
    ///
    /// # Errors
    /// If the file cannot be read, a line is not a vector, or a device cannot be made, and no
    /// vector before it disagrees.
    pub fn run(
        &self,
        path: &Path,
        progress: &(dyn Fn(u64) + Sync),
        interrupt: &AtomicBool,
    ) -> Result<Report, CheckError> {
        let shared = Shared {
            vectors: Mutex::new(Vectors::open(path)?),
            report: Mutex::new(self.blank()),
            error: Mutex::new(None),
            stop: AtomicBool::new(false),
            interrupt,
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs.max(1) {
                let work = || self.work(path, &shared, progress);
                if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            self.work(path, &shared, progress);
        });
        let mut report = shared
            .report
            .into_inner()
            .unwrap_or_else(|e| e.into_inner());
        if let Some((line, error)) = shared.error.into_inner().unwrap_or_else(|e| e.into_inner()) {
            // All vectors before the error were checked, by whichever thread.
            for tally in [&mut report.golden, &mut report.rtl].into_iter().flatten() {
                tally.first.retain(|found| found.vector.line < line);
            }
            let tallies = [&report.golden, &report.rtl];
            if (tallies.into_iter().flatten()).all(|tally| tally.first.is_empty()) {
                return Err(error);
            }
            report.error = Some(error);
        }
        report.interrupted = interrupt.load(Ordering::Relaxed);
        if report.vectors == 0 && !report.interrupted {
            return Err(FileError::Empty { path: path.into() }.into());
        }
        Ok(report)
    }

    fn blank(&self) -> Report {
        Report {
            golden: self.golden.then(Tally::default),
            rtl: self.rtl.then(Tally::default),
            ..Report::default()
        }
    }

    fn work(&self, path: &Path, shared: &Shared<'_>, progress: &(dyn Fn(u64) + Sync)) {
        let mut devices = Devices::default();
        let mut own = self.blank();
        'lines: while let Some(lines) = shared.next() {
            let count = lines.len() as u64;
            for (line, text) in lines {
                if let Err(error) = self.one(line, &text, &mut own, &mut devices) {
                    let error = match error {
                        OneError::Vector(error) => CheckError::File(FileError::Vector {
                            path: path.into(),
                            line,
                            error,
                        }),
                        OneError::Device(error) => error.into(),
                    };
                    shared.fail(line, error);
                    break 'lines;
                }
                own.vectors += 1;
            }
            progress(count);
        }
        let mut report = locked(&shared.report);
        let report = &mut *report;
        report.vectors += own.vectors;
        for (all, own) in [(&mut report.golden, own.golden), (&mut report.rtl, own.rtl)] {
            if let (Some(all), Some(own)) = (all, own) {
                all.merge(own, self.keep);
            }
        }
    }

    fn one(
        &self,
        line: u64,
        text: &str,
        report: &mut Report,
        devices: &mut Devices,
    ) -> Result<(), OneError> {
        let vector = record::parse(line, text)?;
        let golden = GoldenWalk::of(&vector);
        if let Some(tally) = &mut report.golden {
            let differences = golden.differences(&vector);
            tally.add(&differences);
            if !differences.is_empty() {
                let disagreement = Disagreement {
                    vector: vector.clone(),
                    differences,
                    golden: golden.clone(),
                    device: None,
                };
                tally.keep(disagreement, self.keep);
            }
        }
        if let Some(tally) = &mut report.rtl {
            let Some(device) = DeviceRun::of(&vector, devices, self.device)? else {
                tally.not_able += 1;
                return Ok(());
            };
            let differences = device.differences(&vector, &golden);
            tally.add(&differences);
            if !differences.is_empty() {
                let disagreement = Disagreement {
                    vector,
                    differences,
                    golden,
                    device: Some(device),
                };
                tally.keep(disagreement, self.keep);
            }
        }
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
enum OneError {
    #[error(transparent)]
    Vector(#[from] VectorError),
    #[error(transparent)]
    Device(#[from] DutError),
}
