// SPDX-License-Identifier: Apache-2.0
//! The socket adapters of `sim/socket/`: the project's own RTL behind the inverse of each adapter,
//! and the adapter, is a foreign device that agrees with the golden model. Faults that are planted
//! into an adapter are found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

mod common {
    pub mod program;
}
use common::program::{Ran, nestwalk};

/// A device of `tests/socket/own_top.sv`.
struct Device {
    name: &'static str,
    format: &'static str,
    /// The macros that choose its ports.
    defines: &'static [&'static str],
    /// Parameters of the top module, and further sections of the device file.
    rest: &'static str,
    /// The adapters that it has.
    adapters: &'static [&'static str],
}

const RV64: &str = "[modes]\nguest = [\"bare\", \"sv39\"]\nhost = [\"bare\", \"sv39x4\"]\n";

/// Together they have every adapter. Faults are planted into the adapters of the last device that
/// has them.
const DEVICES: [Device; 7] = [
    Device {
        name: "cache-port",
        format: "rv64",
        defines: &["ONE", "CACHE_PORT"],
        rest: "WalkSlots = 1\n[context]\ncsrs = true\n",
        adapters: &["hold_request", "fence_pulse", "csr_images", "cache_port"],
    },
    Device {
        name: "cache-port-with-late-kills",
        format: "rv64",
        defines: &["ONE", "CACHE_PORT"],
        rest: "WalkSlots = 1\nMoreReads = 1\n[context]\ncsrs = true\n\
               [walks]\nreads = { line = 8 }\n",
        adapters: &["hold_request", "csr_images", "cache_port"],
    },
    Device {
        name: "axi",
        format: "rv64",
        defines: &["AXI"],
        rest: "Svadu = 1\n[walks]\noutstanding = 4\n",
        adapters: &["axi_read", "axi_atomic"],
    },
    // The bus is wider than an entry.
    Device {
        name: "axi-with-bursts",
        format: "rv64",
        defines: &["AXI"],
        rest: "Svadu = 1\nDataWidth = 128\nMoreReads = 1\n\
               [walks]\noutstanding = 4\nreads = { line = 64 }\n",
        adapters: &["axi_read", "axi_atomic"],
    },
    Device {
        name: "tilelink",
        format: "rv32",
        defines: &["TILELINK"],
        rest: "Format = 2\nMoreReads = 1\n[walks]\noutstanding = 4\nreads = { line = 8 }\n",
        adapters: &["tilelink_get"],
    },
    Device {
        name: "obi",
        format: "rv32",
        defines: &["OBI"],
        rest: "Format = 2\n[walks]\noutstanding = 4\n",
        adapters: &["obi"],
    },
    Device {
        name: "req-ack",
        format: "rv32",
        defines: &["ONE", "COMB", "REQ_ACK"],
        rest: "Format = 2\nWalkSlots = 1\n[context]\ncsrs = true\n",
        adapters: &["comb_hit", "fence_pulse", "req_ack", "data_lanes"],
    },
];

impl Device {
    /// Writes the device file into a folder. `mutated`: a source that takes the place of an adapter
    /// that the program has.
    fn write(&self, folder: &Path, mutated: Option<&Path>) -> PathBuf {
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let inverses = folder.join("inverses.f");
        let library = format!("-y {}\n", project.join("tests/socket").display());
        fs::write(&inverses, library).unwrap();
        let own = ["rtl/nested_mmu.f", "tests/socket/own_top.sv"].map(|file| project.join(file));
        let files: Vec<&Path> = (own.iter().map(PathBuf::as_path))
            .chain([inverses.as_path()])
            .chain(mutated)
            .collect();
        let path = folder.join(format!("{}.toml", self.name));
        let modes = if self.format == "rv64" { RV64 } else { "" };
        let text = format!(
            "name = \"socket-{}\"\ntop = \"own_top\"\nfiles = {files:?}\ndefines = {:?}\n\
             format = {:?}\n{modes}[tlb]\nentries = 4\nrecent = 3\n[parameters]\n{}",
            self.name, self.defines, self.format, self.rest
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn campaign(&self, device: &Path, out: &Path, options: &[&str]) -> Ran {
        let paths = [device, out].map(|path| path.to_str().unwrap());
        let fixed = [
            "fuzz",
            "--profile",
            self.format,
            "--seed",
            "1",
            "--jobs",
            "1",
        ];
        let named = ["--count", "20000", "--device", paths[0], "-o", paths[1]];
        nestwalk(&[&fixed[..], &named, options].concat())
    }
}

/// Does the work of each item, two at a time.
fn in_pairs<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work();
        other.join().unwrap();
    });
}

#[test]
fn the_rtl_behind_the_inverse_of_each_adapter_agrees_with_the_golden_model() {
    in_pairs(&DEVICES, |device| {
        let folder = tempfile::tempdir().unwrap();
        let file = device.write(folder.path(), None);
        let ran = device.campaign(&file, &folder.path().join("out"), &["--json"]);
        let name = device.name;
        assert_eq!(ran.code, 0, "{name}: {}{}", ran.stdout, ran.stderr);
        let json = ran.json();
        let stats = |key: &str| json["stats"][key].as_u64().unwrap();
        assert!(stats("accesses") >= 20_000, "{name}: {json}");
        for key in ["faults", "fences", "reads"] {
            assert!(stats(key) > 1000, "{name}, {key}: {json}");
        }
        let updates = device.adapters.contains(&"axi_atomic");
        assert_eq!(stats("updates") > 100, updates, "{name}: {json}");
    });
}

/// The planted faults of each adapter.
fn bugs() -> BTreeMap<String, Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/socket/bugs");
    let mut bugs: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (adapter, _) = name.split_once('-').unwrap();
        bugs.entry(adapter.to_owned()).or_default().push(path);
    }
    bugs
}

#[test]
fn every_adapter_has_a_device_and_planted_faults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sim/socket");
    let bugs = bugs();
    let mut adapters: Vec<String> = (fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    adapters.sort();
    assert_eq!(adapters, bugs.keys().cloned().collect::<Vec<_>>());
    for adapter in &adapters {
        let has = |device: &Device| device.adapters.contains(&adapter.as_str());
        assert!(DEVICES.iter().any(has), "{adapter}");
        // data_lanes is a part of others.
        let least = if adapter == "data_lanes" { 1 } else { 2 };
        assert!(bugs[adapter].len() >= least, "{adapter}");
    }
}

#[test]
fn every_fault_that_is_planted_into_an_adapter_is_found() {
    let bugs: Vec<(String, PathBuf)> = (bugs().into_iter())
        .flat_map(|(adapter, paths)| paths.into_iter().map(move |path| (adapter.clone(), path)))
        .collect();
    in_pairs(&bugs, |(adapter, bug)| {
        let name = bug.display();
        let has = |device: &&Device| device.adapters.contains(&adapter.as_str());
        let device = DEVICES.iter().rfind(has).unwrap();
        let project = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().unwrap();
        let source = format!("sim/socket/{adapter}.sv");
        fs::create_dir_all(folder.path().join("sim/socket")).unwrap();
        fs::copy(project.join(&source), folder.path().join(&source)).unwrap();
        let planted = Command::new(project.join("tools/mutant.py"))
            .arg("plant")
            .args([bug, folder.path()])
            .status();
        assert!(planted.unwrap().success(), "{name}");
        // A module of the user takes the place of the program's adapter.
        let file = device.write(folder.path(), Some(&folder.path().join(&source)));
        let out = folder.path().join("out");
        let ran = device.campaign(&file, &out, &["--no-shrink"]);
        assert_eq!(ran.code, 1, "{name}: {}{}", ran.stdout, ran.stderr);
    });
}
