// SPDX-License-Identifier: Apache-2.0
//! The bench: drives a device through a scenario, plays memory for it, and checks all that it does.

mod checker;
mod draws;
mod driver;
mod held;
mod history;
mod known;
mod memory_server;
mod requests;
mod second;
mod steps;

pub use checker::{Check, Mismatch, Read, Update};
pub(crate) use driver::run_at;
pub use driver::{Failed, Failure, Observer, Stats, Walked, run};
pub use memory_server::Beside;
