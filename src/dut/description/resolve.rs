// SPDX-License-Identifier: Apache-2.0
//! Derives the description of a device from its device file and the ports of its top module.
//!
//! All ports are checked here, before anything is compiled: a missing port, a port of a wrong
//! width, and a declared ability without the port that it needs are errors.

use super::file::{DeviceFile, Extension, Given, stage_modes};
use super::{
    Description, Fences, Memory, Modes, Precision, Responses, Stalls, Tlb, UpdateScheme, Walks,
};
use crate::dut::socket::{self, CLOCK, FAULT, MANDATORY, Ports, RESET, TOGETHER};
use crate::mmu::Access;
use crate::scenario::parse::ParseError;
use crate::scenario::parse::error::{Problem, Result, Span};
use crate::scenario::parse::reader::distance;

/// A port as the RTL declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The port is an input.
    pub is_input: bool,
    /// The width of the port in bits.
    pub width: u32,
}

/// The most requests in flight of a device whose requests have ids.
const MOST_OUTSTANDING: u32 = 256;

impl DeviceFile {
    /// Compares the ports of the top module with the socket, and derives the description.
    ///
    /// # Errors
    /// If a port is missing, unknown or of the wrong width or direction, or if the file
    /// declares an ability and the top module lacks a port for it.
    pub fn resolve(&self, ports: &[Port]) -> std::result::Result<Description, ParseError> {
        let resolved = self
            .check_ports(ports)
            .and_then(|ports| self.describe(ports));
        resolved.map_err(|problem| self.error(*problem))
    }

    /// Returns the position of the name of the top module in the file, for errors about its ports.
    fn top_span(&self) -> Span {
        if self.is_map {
            let head = "[signals]";
            let at = self.text.find(head);
            return at.map_or(0..0, |at| at..at + head.len());
        }
        let value = format!("\"{}\"", self.top);
        let at = self.text.find("top").unwrap_or_default();
        match self.text[at..].find(&value) {
            Some(start) => at + start..at + start + value.len(),
            None => at..at,
        }
    }

    fn about_ports(&self, message: String) -> Box<Problem> {
        Problem::at(&self.top_span(), message)
    }

    fn check_ports(&self, ports: &[Port]) -> Result<Ports> {
        let top = &self.top;
        for port in ports {
            let (is_input, [least, most]) = match port.name.as_str() {
                CLOCK | RESET => (true, [1, 1]),
                name => match socket::port(name) {
                    Some(known) => (known.is_input, known.width.range(self.format)),
                    None => return Err(self.unknown_port(port)),
                },
            };
            let side = |is_input| if is_input { "an input" } else { "an output" };
            if port.is_input != is_input {
                let message = format!("port `{}` of {top} is {}", port.name, side(port.is_input));
                return Err(self
                    .about_ports(message)
                    .label(format!("in the socket it is {}", side(is_input))));
            }
            if !(least..=most).contains(&port.width) {
                let message = format!(
                    "port `{}` of {top} has the wrong width: {}",
                    port.name,
                    bits(port.width)
                );
                let right = match least == most {
                    true => bits(least),
                    false => format!("{least} to {}", bits(most)),
                };
                return Err(self.about_ports(message).label(format!("expected {right}")));
            }
        }
        let ports = Ports::new(ports.iter().map(|port| (port.name.clone(), port.width)));
        let mut missing: Vec<String> = (MANDATORY.iter())
            .filter(|name| !ports.has(name))
            .map(|name| format!("`{name}`"))
            .collect();
        if !ports.has(FAULT) && !ports.has("rsp_fault_kind_o") {
            missing.push(format!("`{FAULT}` or `rsp_fault_kind_o`"));
        }
        if !missing.is_empty() {
            let message = format!("{top} has no port {}", missing.join(", "));
            return Err(self
                .about_ports(message)
                .label("the socket needs these ports")
                .help(match self.is_map {
                    true => "`nestwalk audit --new FILE` writes a map with every port",
                    false => "`nestwalk build --new DIR` writes a top with the ports of the socket",
                }));
        }
        for group in TOGETHER {
            let (there, absent): (Vec<&str>, Vec<&str>) =
                group.iter().partition(|name| ports.has(name));
            if let ([there, ..], [absent, ..]) = (&there[..], &absent[..]) {
                let message = format!("{top} has the port `{there}` but not `{absent}`");
                return Err(self.about_ports(message).label("these ports go together"));
            }
        }
        let same = [
            ("req_id_i", "rsp_id_o"),
            ("mem_req_id_o", "mem_rsp_id_i"),
            ("mem_req_hpa_o", "rsp_hpa_o"),
        ];
        for (one, other) in same {
            let widths = [one, other].map(|name| ports.width(name).unwrap_or_default());
            if widths[0] != widths[1] {
                let message = format!(
                    "ports `{one}` and `{other}` of {top} differ in width: {} and {}",
                    widths[0],
                    bits(widths[1])
                );
                return Err(self.about_ports(message).label("expected equal widths"));
            }
        }
        Ok(ports)
    }

    fn unknown_port(&self, port: &Port) -> Box<Problem> {
        let known = socket::PORTS.iter().map(|port| port.name);
        let nearest = known
            .map(|name| (distance(&port.name, name), name))
            .min()
            .filter(|&(edits, _)| edits <= 3);
        let message = format!(
            "port `{}` of {} is not a port of the socket",
            port.name, self.top
        );
        let problem = self.about_ports(message);
        match nearest {
            Some((_, name)) => problem.label(format!("did you mean `{name}`?")),
            None => problem.label("the socket has no port of this name"),
        }
        .help("docs/your-walker.md lists the ports of the socket; connect others in the top module")
    }

    /// Returns the error of an ability that needs a missing port.
    fn no_port(&self, span: &Span, ability: &str, port: &str) -> Box<Problem> {
        Problem::at(
            span,
            format!("{ability}, but {} has no port `{port}`", self.top),
        )
        .label(format!("add the port, or do not declare {ability}"))
    }

    /// Returns the width that the file gives, which must not exceed the width of the port. The
    /// default is the width of the port.
    fn width(
        &self,
        given: Option<&Given<u32>>,
        ports: &Ports,
        port: &'static str,
        most: u32,
        what: &str,
    ) -> Result<u32> {
        let of_port = ports.width(port).unwrap_or(0).min(most);
        match given {
            None => Ok(of_port),
            Some(given) if given.value <= of_port => Ok(given.value),
            Some(given) => Err(Problem::at(
                &given.span,
                format!(
                    "{what} of {}, but `{port}` has {}",
                    bits(given.value),
                    bits(of_port)
                ),
            )
            .label(format!("expected at most {of_port}"))),
        }
    }

    fn describe(&self, ports: Ports) -> Result<Description> {
        let modes = self.describe_modes(&ports)?;
        let has_fences = ports.has("fence_valid_i");
        let tlb = match &self.tlb {
            None => None,
            Some(tlb) if !has_fences => {
                return Err(self.no_port(&tlb.entries.span, "a TLB", "fence_valid_i"));
            }
            Some(tlb) => Some(Tlb {
                entries: tlb.entries.value,
                recent: tlb.recent.unwrap_or(tlb.entries.value),
                hit_may_fault: tlb.hit_may_fault,
                split: tlb.split,
                second: tlb.second,
            }),
        };
        let operands = |name: &str| ports.has(&format!("fence_use_{name}_i"));
        let by_ports = Precision {
            gva: operands("gva"),
            gpa: operands("gpa"),
            asid: operands("asid"),
            vmid: operands("vmid"),
        };
        for name in ["gva", "gpa", "asid", "vmid"] {
            let [with, value] = [format!("fence_use_{name}_i"), format!("fence_{name}_i")];
            if ports.has(&with) != ports.has(&value) {
                let message = format!("{} has only one of `{with}` and `{value}`", self.top);
                return Err(self.about_ports(message).label("these ports go together"));
            }
        }
        let fences = has_fences.then_some(Fences {
            precise: by_ports,
            zero_is_all: self.fences.zero_is_all,
            ignores_bare: self.fences.ignores_bare,
        });
        let fences = match (fences, &self.fences.precise) {
            (Some(fences), Some(given)) => {
                let Precision {
                    gva,
                    gpa,
                    asid,
                    vmid,
                } = given.value;
                let backed = [
                    ("gva", gva, by_ports.gva),
                    ("gpa", gpa, by_ports.gpa),
                    ("asid", asid, by_ports.asid),
                    ("vmid", vmid, by_ports.vmid),
                ];
                for (name, is_precise, has_port) in backed {
                    if is_precise && !has_port {
                        let port = format!("fence_use_{name}_i");
                        return Err(self.no_port(&given.span, "precise fences", &port));
                    }
                }
                Some(Fences {
                    precise: given.value,
                    ..fences
                })
            }
            (None, Some(given)) => {
                return Err(self.no_port(&given.span, "precise fences", "fence_valid_i"));
            }
            (fences, None) => fences,
        };

        let ids = ports.width("mem_req_id_o").map_or(1, |width| 1 << width);
        let outstanding = self.walks.outstanding.value;
        if ports.has("mem_req_id_o") && outstanding > ids {
            return Err(Problem::at(
                &self.walks.outstanding.span,
                format!("{outstanding} walks in flight, but `mem_req_id_o` has {ids} values"),
            )
            .label(format!("expected at most {ids}")));
        }
        let most_requests = match ports.width("req_id_i") {
            Some(width) => MOST_OUTSTANDING.min(1 << width),
            None => 1,
        };
        let requests = match &self.responses.outstanding {
            Some(given) if given.value > most_requests => {
                let why = match ports.has("req_id_i") {
                    true => format!("`req_id_i` has {most_requests} values"),
                    false => format!("{} has no port `req_id_i`", self.top),
                };
                return Err(Problem::at(
                    &given.span,
                    format!("{} requests in flight, but {why}", given.value),
                )
                .label(format!("expected at most {most_requests}")));
            }
            Some(given) => given.value,
            None => most_requests,
        };
        let caches = self.walks.caches.as_ref();
        if let Some(given) = caches
            && given.value.any()
            && !ports.has("walk_caches_i")
        {
            let ability = "page-walk caches that can be switched on and off";
            return Err(self.no_port(&given.span, ability, "walk_caches_i"));
        }
        let memory = self.describe_memory(&ports, &modes, ids)?;
        Ok(Description {
            name: self.name.clone(),
            format: self.format,
            modes,
            tlb,
            walks: Walks {
                outstanding,
                reads: self.walks.reads,
                permissions: self.walks.permissions,
                caches: caches.map(|given| given.value).unwrap_or_default(),
                read_bypass: self.walks.read_bypass,
                speculative: self.walks.speculative,
            },
            fences,
            responses: Responses {
                tval2: self.responses.tval2,
                order: self.responses.order,
                outstanding: requests,
            },
            memory,
            context: self.context.sampled,
            has_csrs: self.context.csrs,
            stalls: Stalls {
                request: self.stalls[0],
                fence: self.stalls[1],
            },
            assertions: self.assertions,
            ports,
            waves: self.waves.clone(),
            most_visibility: self.most_visibility,
        })
    }

    fn describe_memory(&self, ports: &Ports, modes: &Modes, ids: u32) -> Result<Memory> {
        let has_update = ports.has("mem_req_update_o");
        let default = match has_update && modes.svadu {
            true if ports.has("mem_req_expected_o") => UpdateScheme::CompareAndSwap,
            true => UpdateScheme::Write,
            false => UpdateScheme::None,
        };
        let updates = match &self.memory.updates {
            None => default,
            Some(given) => {
                let lacks = match given.value {
                    UpdateScheme::None => None,
                    _ if !has_update => Some("mem_req_update_o"),
                    UpdateScheme::CompareAndSwap if !ports.has("mem_req_expected_o") => {
                        Some("mem_req_expected_o")
                    }
                    _ => None,
                };
                if let Some(port) = lacks {
                    return Err(self.no_port(&given.span, "updates of entries", port));
                }
                given.value
            }
        };
        let backed = |given: Option<&Given<bool>>, ability, port: &str| match given {
            None => Ok(ports.has(port)),
            Some(given) if given.value && !ports.has(port) => {
                Err(self.no_port(&given.span, ability, port))
            }
            Some(given) => Ok(given.value),
        };
        Ok(Memory {
            updates,
            errors: backed(
                self.memory.errors.as_ref(),
                "memory errors",
                "mem_rsp_error_i",
            )?,
            ids,
            reorder: backed(
                self.memory.reorder.as_ref(),
                "reordered memory responses",
                "mem_rsp_id_i",
            )?,
        })
    }

    fn describe_modes(&self, ports: &Ports) -> Result<Modes> {
        let format = self.format;
        let given = &self.modes;
        let all = |is_host| -> Vec<u8> {
            let modes = stage_modes(format, is_host);
            modes.into_iter().map(|(_, levels)| levels).collect()
        };
        // Reads the levels of a stage, and checks the ports that they need.
        let stage = |given: Option<&Given<Vec<u8>>>, is_host: bool| -> Result<Vec<u8>> {
            let (root, count) = match is_host {
                false => ("req_guest_root_i", "req_guest_levels_i"),
                true => ("req_host_root_i", "req_host_levels_i"),
            };
            let levels = match given {
                Some(given) => given.value.clone(),
                None if !ports.has(root) => vec![0],
                None => all(is_host),
            };
            let span = given.map_or(&self.format_span, |given| &given.span);
            let is_on = levels.iter().any(|&levels| levels > 0);
            let ability = match is_host {
                false => "a guest stage",
                true => "a host stage",
            };
            if is_on && !ports.has(root) {
                return Err(self.no_port(span, ability, root));
            }
            if levels.len() > 1 && !ports.has(count) {
                let ability = format!("{ability} of several modes");
                return Err(self.no_port(span, &ability, count));
            }
            Ok(levels)
        };
        let guest = stage(given.guest.as_ref(), false)?;
        let host = stage(given.host.as_ref(), true)?;
        let has_virt = ports.has("req_virt_i");
        let virt = match &given.virt {
            Some(virt) => virt.value.clone(),
            None if !format.has_native_contexts() => vec![true],
            None if has_virt => vec![false, true],
            None => vec![host.iter().any(|&levels| levels > 0)],
        };
        let span = given.virt.as_ref().map_or(&self.format_span, |v| &v.span);
        if virt.len() > 1 && !has_virt {
            return Err(self.no_port(span, "both values of V", "req_virt_i"));
        }
        if virt.contains(&false) && !format.has_native_contexts() {
            return Err(
                Problem::at(span, format!("there is no V=0 in {format}")).label("expected [1]")
            );
        }
        let user = match &given.user {
            Some(user) => user.value.clone(),
            None if !format.has_privileges() => vec![false],
            None if ports.has("req_user_i") => vec![false, true],
            None => vec![false],
        };
        if user.len() > 1 && !ports.has("req_user_i") {
            let span = given.user.as_ref().map_or(&self.format_span, |u| &u.span);
            return Err(self.no_port(span, "both privileges", "req_user_i"));
        }
        let extension = |which: Extension, port: &str, ability: &str, is_possible: bool| {
            match &given.extensions {
                Some(list) if list.value.contains(&which) => {
                    if !is_possible {
                        let message = format!("{format} does not have {ability}");
                        return Err(Problem::at(&list.span, message).label("remove it"));
                    }
                    match ports.has(port) {
                        true => Ok(true),
                        false => Err(self.no_port(&list.span, ability, port)),
                    }
                }
                Some(_) => Ok(false),
                None => Ok(is_possible && ports.has(port)),
            }
        };
        let updates = format.updates_entries();
        let svadu = extension(Extension::Svadu, "mem_req_update_o", "Svadu", updates)?;
        if svadu && !ports.has("req_guest_adue_i") {
            let list = given.extensions.as_ref();
            let span = list.map_or(&self.format_span, |list| &list.span);
            return Err(self.no_port(span, "Svadu", "req_guest_adue_i"));
        }
        let svnapot = extension(
            Extension::Svnapot,
            "req_napot_i",
            "Svnapot",
            format.has_napot_pages(),
        )?;
        let svpbmt = extension(
            Extension::Svpbmt,
            "req_guest_pbmte_i",
            "Svpbmt",
            format.has_memory_types(),
        )?;
        let accesses: Vec<Access> = match &given.accesses {
            Some(accesses) => accesses.value.clone(),
            None => format.accesses().to_vec(),
        };
        let hpa = format.geometry().hpa_width;
        let hpa_width = given.hpa_width.as_ref();
        Ok(Modes {
            guest,
            host,
            virt,
            accesses,
            user,
            svadu,
            svnapot,
            svpbmt,
            sum: format.has_privileges() && ports.has("req_sum_i"),
            mxr: ["req_guest_mxr_i", "req_host_mxr_i"]
                .map(|port| format.has_privileges() && ports.has(port)),
            hpa_width: self.width(hpa_width, ports, "mem_req_hpa_o", hpa, "an hPA")?,
            asid_width: self.width(
                given.asid_width.as_ref(),
                ports,
                "req_asid_i",
                format.asid_width(),
                "an ASID",
            )?,
            vmid_width: self.width(
                given.vmid_width.as_ref(),
                ports,
                "req_vmid_i",
                format.vmid_width(),
                "a VMID",
            )?,
            rights: !format.has_privileges() && ports.has("req_rights_i"),
        })
    }
}

/// Returns a number of bits as text.
fn bits(count: u32) -> String {
    format!("{count} bit{}", if count == 1 { "" } else { "s" })
}
