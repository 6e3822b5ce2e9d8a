// SPDX-License-Identifier: Apache-2.0
//! Checks of single port rules. Each check keeps only the state that its rule needs.

mod arbitration;
mod ports;
mod progress;

pub(super) use arbitration::RoundRobin;
pub(super) use ports::StablePorts;
pub(super) use progress::Progress;
