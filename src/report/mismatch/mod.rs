// SPDX-License-Identifier: Apache-2.0
//! Mismatches for people (text) and for programs (JSON).

mod json;
mod text;

pub use json::{clause, expected, observed};
pub use text::{Sides, rests_on, title};
