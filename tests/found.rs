// SPDX-License-Identifier: Apache-2.0
//! Scenarios that once failed because of a bug in the device or in the testbench. Each file states
//! the bug at its head, and now runs without a mismatch.

use std::fs;
use std::path::Path;

use nestwalk::bench;
use nestwalk::campaign::Devices;
use nestwalk::report::text;
use nestwalk::scenario::parse;

#[test]
fn what_once_failed_fails_no_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    let mut ran = 0;
    for entry in fs::read_dir(&folder).expect("the folder is in the project") {
        let path = entry.expect("the folder can be read").path();
        let scenario = parse::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let mut dut = Devices::make(&scenario).expect("the device is built in");
        if let Err(failed) = bench::run(&mut dut, &scenario, &mut ()) {
            panic!("{}:\n{}", path.display(), text::failure(&scenario, &failed));
        }
        ran += 1;
    }
    assert!(ran > 0);
}
