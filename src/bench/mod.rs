// SPDX-License-Identifier: Apache-2.0
//! The testbench: drives a device through a scenario, models host physical memory, and checks all
//! that the device does.

pub mod auditor;
mod checker;
mod checks;
pub mod clause;
mod draws;
mod driver;
pub mod freedoms;
pub mod memory_request;
mod memory_server;
pub mod mismatch;
mod port_checker;
mod replay_memory;
mod reported;
mod requests;
mod rules;
mod scoreboard;
pub mod steps;

pub(crate) use driver::run_at;
pub use driver::{Failed, Failure, Observer, Stats, Walked, run};
pub use memory_request::{Read, Update};
pub use memory_server::Beside;
pub use mismatch::{Check, Mismatch};
pub use scoreboard::{Request, Walk};
