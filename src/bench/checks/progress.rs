// SPDX-License-Identifier: Apache-2.0
//! Checks that a device makes progress unless it waits for something outside it.

/// Counts the cycles in which a device makes no progress.
pub(in crate::bench) struct Progress {
    /// The most cycles for which the device may be idle.
    idle_cycles: u32,
    /// The most cycles for which a request may be stalled without a visible cause.
    stall_cycles: u32,
    /// Consecutive cycles without any progress and without a visible cause.
    idle: u32,
    /// Consecutive cycles in which a request was stalled without a visible cause.
    stalled: u32,
}

impl Progress {
    /// Returns the check of a device that may be idle for `idle_cycles` cycles, and may stall a
    /// request for `stall_cycles` cycles.
    pub fn new(idle_cycles: u32, stall_cycles: u32) -> Self {
        Self {
            idle_cycles,
            stall_cycles,
            idle: 0,
            stalled: 0,
        }
    }

    /// Counts a cycle, and returns true if the device has been idle for too long. `is_fine`: the
    /// device did something in the cycle, or has a cause to do nothing.
    #[inline]
    pub fn is_idle_for_too_long(&mut self, is_fine: bool) -> bool {
        self.idle = if is_fine { 0 } else { self.idle + 1 };
        self.idle > self.idle_cycles
    }

    /// Counts a cycle, and returns true if a request has been stalled for so long that the caller
    /// has to find a cause. `is_stalled`: a request is stalled without a visible cause in this
    /// cycle.
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
