// SPDX-License-Identifier: Apache-2.0
//! A trace on the golden model: every access is walked afresh.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    AccessLine, Counts, Differences, Fresh, Reader, Record, TraceError, describe_outcome,
    describe_result, describe_updates, is_result,
};
use crate::addr::Hpa;
use crate::format::Format;
use crate::golden;
use crate::memory::HostMemory;

/// Accesses from one call of the progress to the next.
const PROGRESS: u64 = 1 << 14;

/// The result of a replay on the golden model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Lines that were replayed.
    pub counts: Counts,
    /// Table words read.
    pub reads: u64,
    /// Accesses that fault.
    pub faults: u64,
    /// Accesses for which another result is legal too.
    pub marked: u64,
    /// Differences from the trace.
    pub differences: Differences,
}

/// The access whose W lines may yet come.
struct Pending {
    line: u64,
    /// The updates of its walk, and how many of them the trace has had.
    updates: Vec<(Hpa, u64)>,
    compared: usize,
    /// A difference has been reported. One per access is enough.
    differs: bool,
}

/// Replays a trace up to its end, its first `limit` accesses, or an interrupt. `progress` is called
/// with the number of further accesses. `replay` has the result, also before an error.
///
/// # Errors
/// If the trace cannot be read any further.
pub fn replay(
    reader: &mut Reader,
    limit: u64,
    progress: &dyn Fn(u64),
    interrupt: &AtomicBool,
    replay: &mut Replay,
) -> Result<(), TraceError> {
    let mut pending: Option<Pending> = None;
    let result = replay.all(reader, limit, progress, interrupt, &mut pending);
    match result {
        Ok(()) => replay.finish(pending),
        // The updates of the last access are not known.
        Err(_) => replay.counts = *reader.counts(),
    }
    progress(replay.counts.accesses % PROGRESS);
    result
}

impl Replay {
    fn all(
        &mut self,
        reader: &mut Reader,
        limit: u64,
        progress: &dyn Fn(u64),
        interrupt: &AtomicBool,
        pending: &mut Option<Pending>,
    ) -> Result<(), TraceError> {
        let mut memory = HostMemory::new(Format::Rv64);
        loop {
            let before = *reader.counts();
            let Some(record) = reader.next_record()? else {
                self.counts = before;
                return Ok(());
            };
            match record {
                Record::Update { at, word } => {
                    if let Some(pending) = pending {
                        self.update(pending, at, word);
                    }
                    reader.write(&mut memory, at, word)?;
                    continue;
                }
                Record::Access(access) => {
                    self.finish(pending.take());
                    if before.accesses == limit || interrupt.load(Ordering::Relaxed) {
                        self.counts = before;
                        return Ok(());
                    }
                    *pending = Some(self.access(reader, &access, &memory));
                    if reader.counts().accesses.is_multiple_of(PROGRESS) {
                        progress(PROGRESS);
                    }
                }
                Record::Memory { at, word } => reader.write(&mut memory, at, word)?,
                Record::Context | Record::Fence(_) => {}
            }
        }
    }
}

impl Replay {
    #[inline]
    fn access(&mut self, reader: &Reader, access: &AccessLine, memory: &HostMemory) -> Pending {
        let query = access.query(reader);
        let mut fresh = Fresh::new(memory);
        let outcome = golden::outcome(&golden::walk(Format::Rv64, &query, &mut fresh, &mut ()));
        self.reads += fresh.reads;
        self.faults += u64::from(outcome.is_err());
        self.marked += u64::from(!access.marks.is_empty());
        let is_right = is_result(&outcome, &access.result, query.context.virt);
        if !is_right {
            self.differences.add(
                reader.line(),
                describe_result(&access.result),
                describe_outcome(&outcome),
            );
        } else if fresh.reads != access.reads {
            self.differences.add(
                reader.line(),
                format!("{} reads", access.reads),
                format!("{} reads", fresh.reads),
            );
        }
        Pending {
            line: reader.line(),
            updates: fresh.updates,
            compared: 0,
            differs: !is_right || fresh.reads != access.reads,
        }
    }

    fn update(&mut self, pending: &mut Pending, at: Hpa, word: u64) {
        let made = pending.updates.get(pending.compared);
        if !pending.differs && made != Some(&(at, word)) {
            let rest = pending.updates.get(pending.compared..).unwrap_or_default();
            self.differences.add(
                pending.line,
                describe_updates(&[(at, word)]),
                describe_updates(rest),
            );
            pending.differs = true;
        }
        pending.compared += 1;
    }

    #[inline]
    fn finish(&mut self, pending: Option<Pending>) {
        if let Some(pending) = pending
            && !pending.differs
            && let Some(rest @ [_, ..]) = pending.updates.get(pending.compared..)
        {
            self.differences
                .add(pending.line, describe_updates(&[]), describe_updates(rest));
        }
    }
}
