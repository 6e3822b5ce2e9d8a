// SPDX-License-Identifier: Apache-2.0
//! Checks of ports: each looks at one rule, and keeps only what the rule needs.

mod arbitration;
mod ports;
mod progress;

pub(super) use arbitration::RoundRobin;
pub(super) use ports::StablePorts;
pub(super) use progress::Progress;
