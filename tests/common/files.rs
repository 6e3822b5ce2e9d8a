// SPDX-License-Identifier: Apache-2.0
//! Files of the project.

use std::path::PathBuf;

/// Returns a file of `scenarios/`.
pub fn scenario_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "scenarios", name]
        .iter()
        .collect()
}
