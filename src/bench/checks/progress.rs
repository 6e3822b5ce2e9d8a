// SPDX-License-Identifier: Apache-2.0
//! A device makes progress unless it waits for something.

/// Counts the cycles in which a device makes no progress.
pub(in crate::bench) struct Progress {
    /// Cycles for which it may be idle.
    idle_cycles: u32,
    /// Cycles for which a request may be stalled.
    stall_cycles: u32,
    /// Consecutive cycles without any progress and without a visible cause.
    idle: u32,
    /// Consecutive cycles in which a request was stalled without a visible cause.
    stalled: u32,
}

impl Progress {
    /// Returns the check of a device that may be idle, and may stall a request, for so many cycles.
    pub fn new(idle_cycles: u32, stall_cycles: u32) -> Self {
        Self {
            idle_cycles,
            stall_cycles,
            idle: 0,
            stalled: 0,
        }
    }

    /// Counts a cycle, and returns whether the device has been idle for too long. `is_fine`: it did
    /// something, or has a cause to do nothing.
    #[inline]
    pub fn is_idle_for_too_long(&mut self, is_fine: bool) -> bool {
        self.idle = if is_fine { 0 } else { self.idle + 1 };
        self.idle > self.idle_cycles
    }

    /// Counts a cycle, and returns true if a stalled request must have a cause by now.
    /// `is_stalled`: a request is stalled without a visible cause.
    #[inline]
    pub fn needs_a_cause(&mut self, is_stalled: bool) -> bool {
        if !is_stalled {
            self.stalled = 0;
            return false;
        }
        self.stalled += 1;
        self.stalled.is_multiple_of(self.stall_cycles)
    }
}
