// SPDX-License-Identifier: Apache-2.0
//! `nestwalk build`: a shared object from a device file, or a device file for a new device.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{CliError, Ended, Verdict};
use crate::dut::description::{Description, template, template_top};
use crate::dut::foreign::{self, ForeignError};
use crate::dut::variants::Foreign;
use crate::report::json::Document;
use crate::shown;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The device file (TOML)
    #[arg(required_unless_present = "new")]
    device: Option<PathBuf>,
    /// Copy the shared object to this file
    #[arg(short, long, value_name = "FILE", requires = "device")]
    output: Option<PathBuf>,
    /// Write a device file with every key and its default, and a top module with the ports of the
    /// socket, into this folder; created if it does not exist
    #[arg(long, value_name = "DIR", conflicts_with = "device")]
    new: Option<PathBuf>,
    /// Print JSON
    #[arg(long, conflicts_with = "new")]
    json: bool,
}

pub(super) fn main(args: &Args) -> Result<Ended, CliError> {
    let mut ended = Ended::new(Verdict::Agree);
    if let Some(folder) = &args.new {
        let written = write_new(folder)?;
        ended.keep(super::print(&written));
        return Ok(ended);
    }
    let Some(path) = &args.device else {
        return Ok(ended);
    };
    if let Some(output) = &args.output {
        let mut outputs = super::outputs("the device file", [path])?;
        outputs.file_if("--output", Some(output))?;
    }
    let object = foreign::build(path)?;
    let object = match &args.output {
        Some(output) => {
            foreign::copy(&object, output)?;
            output.clone()
        }
        None => object,
    };
    let object = std::path::absolute(&object).map_err(CliError::Output)?;
    // It is loaded, so that an object that is no device is an error here.
    let device = foreign::load(Foreign::at(&object.to_string_lossy()))?;
    if args.json {
        let description = device.description;
        let ports = description.ports.iter();
        ended.keep(super::print_json(&Document::Build.of(json!({
            "device": description.name,
            "format": description.format,
            "visibility": description.visibility().name(),
            "object": object.display().to_string(),
            "sources": device.sources,
            "ports": ports.map(|(name, _)| name).collect::<Vec<_>>(),
        }))));
        return Ok(ended);
    }
    let text = format!(
        "{}object: {}\nsources: {}\n",
        summary(device.description),
        shown::path(&object),
        device.sources
    );
    ended.keep(super::print(&text));
    Ok(ended)
}

/// The abilities of a device in a few lines.
fn summary(device: &Description) -> String {
    let modes = &device.modes;
    let names = |is_host| {
        let stage = if is_host { &modes.host } else { &modes.guest };
        let names = Description::mode_names(device.format, is_host);
        let named = names.iter().filter(|(_, levels)| stage.contains(levels));
        let names: Vec<&str> = named.map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let virt: Vec<&str> = (modes.virt.iter())
        .map(|&virt| if virt { "1" } else { "0" })
        .collect();
    let extensions = [
        (modes.svadu, "Svadu"),
        (modes.svnapot, "Svnapot"),
        (modes.svpbmt, "Svpbmt"),
    ];
    let extensions: Vec<&str> = (extensions.iter())
        .filter_map(|&(has, name)| has.then_some(name))
        .collect();
    let list = |names: Vec<&str>| match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    };
    let tlb = match device.tlb {
        Some(tlb) => format!("{} entries", tlb.entries),
        None => "none".to_owned(),
    };
    format!(
        "device {}: {}, visibility {}\n  guest stage: {}\n  host stage: {}\n  V: {}\n  \
         extensions: {}\n  hPA {} bits, ASID {} bits, VMID {} bits\n  TLB: {tlb}\n  \
         walks in flight: {}, requests in flight: {}\n",
        device.name,
        device.format,
        device.visibility(),
        names(false),
        names(true),
        virt.join(", "),
        list(extensions),
        modes.hpa_width,
        modes.asid_width,
        modes.vmid_width,
        device.walks.outstanding,
        device.outstanding(),
    )
}

/// Writes the files of a new device. Returns what to do with them.
fn write_new(folder: &Path) -> Result<String, CliError> {
    let cannot = |path: PathBuf| {
        move |source: io::Error| -> CliError { ForeignError::Write { path, source }.into() }
    };
    fs::create_dir_all(folder).map_err(cannot(folder.to_owned()))?;
    let files = [
        ("my_mmu.toml", template().to_owned()),
        ("my_mmu_top.sv", template_top()),
    ];
    for (name, _) in &files {
        let path = folder.join(name);
        if path.exists() {
            let error = io::Error::new(io::ErrorKind::AlreadyExists, "the file exists");
            return Err(cannot(path)(error));
        }
    }
    let mut text = String::new();
    for (name, contents) in &files {
        let path = folder.join(name);
        let written =
            File::create_new(&path).and_then(|mut file| file.write_all(contents.as_bytes()));
        written.map_err(cannot(path.clone()))?;
        text.push_str(&format!("written: {}\n", shown::path(&path)));
    }
    let command = format!("{} build", super::program());
    let file = shown::word(folder.join(files[0].0));
    text.push_str(&format!(
        "Connect your MMU in the top module, edit the device file, and run\n  {command} {file}\n"
    ));
    Ok(text)
}
