// SPDX-License-Identifier: Apache-2.0
//! The ports of a run of the testbench, as a recording.

use crate::bench::Observer;
use crate::bench::auditor::Observed;
use crate::dut::{Inputs, Outputs};

/// Observes a run, and hands the ports of each cycle to a function.
pub struct Recorder<F> {
    to: F,
    /// The device has been reset since the last cycle.
    was_reset: bool,
}

impl<F: FnMut(Observed)> Recorder<F> {
    /// Hands the cycles of a run to `to`. A run begins in reset.
    pub fn new(to: F) -> Self {
        Self {
            to,
            was_reset: true,
        }
    }
}

impl<F: FnMut(Observed)> Observer for Recorder<F> {
    const PORTS: bool = true;

    fn ports(&mut self, cycle: u64, inputs: &Inputs, outputs: &Outputs) {
        (self.to)(Observed {
            cycle,
            repeat: 1,
            reset: std::mem::take(&mut self.was_reset),
            inputs: inputs.clone(),
            outputs: outputs.clone(),
            fence_instruction: fence_instruction(inputs),
            unknown: Vec::new(),
        });
    }

    fn reset(&mut self) {
        self.was_reset = true;
    }
}

/// The instruction of a fence, as the socket of a foreign device drives it.
fn fence_instruction(inputs: &Inputs) -> u8 {
    match inputs {
        Inputs {
            fence_virt: false, ..
        } => 0,
        Inputs {
            fence_use_gva: true,
            ..
        }
        | Inputs {
            fence_use_asid: true,
            ..
        } => 1,
        _ => 2,
    }
}
