// SPDX-License-Identifier: Apache-2.0
//! The template of a top module, with the ports of the socket.

use std::fmt::Write;

use crate::dut::socket::{CLOCK, FAULT, MANDATORY, PORTS, RESET, SocketPort, Width};
use crate::format::Format;

/// The optional ports that most devices have.
const USUAL: &[&str] = &[
    "req_virt_i",
    "req_guest_levels_i",
    "req_host_levels_i",
    "req_guest_root_i",
    "req_host_root_i",
    "req_asid_i",
    "req_vmid_i",
    "req_user_i",
    "req_sum_i",
    "req_guest_mxr_i",
    "req_host_mxr_i",
    "rsp_ready_i",
    FAULT,
    "rsp_trap_cause_o",
    "mem_rsp_error_i",
];

/// Returns the text of a top module for a new device. Optional ports that most devices lack are
/// comments at the beginning of the port list, so that each can be made a port by removing its
/// `//`.
pub fn template_top() -> String {
    let format = Format::Rv64;
    let line = |port: &SocketPort| {
        let side = if port.is_input { "input " } else { "output" };
        let range = match port.width {
            Width::Bits(1) => String::new(),
            Width::Id | Width::Slot => "[3:0]".to_owned(),
            Width::Vmid => "[13:0]".to_owned(),
            Width::Hpa | Width::Gpa if port.name.contains("root") => "[55:0]".to_owned(),
            width => format!("[{}:0]", width.range(format)[1] - 1),
        };
        format!("{side} logic {range:<7}{}", port.name)
    };
    let is_active =
        |port: &&SocketPort| MANDATORY.contains(&port.name) || USUAL.contains(&port.name);
    let mut text = String::from(
        "// The ports by which nestwalk drives an MMU: docs/your-walker.md explains them.\n\
         // Connect your MMU here. Optional ports are comments; the testbench uses those that
         // exist.\n\
         module my_mmu_top (\n",
    );
    for port in PORTS.iter().filter(|port| !is_active(port)) {
        let _ = writeln!(text, "  // {},", line(port));
    }
    let clocks = [CLOCK, RESET].map(|name| format!("input  logic        {name}"));
    let active = PORTS.iter().filter(is_active).map(line);
    let ports: Vec<String> = clocks.into_iter().chain(active).collect();
    let _ = writeln!(text, "  {}\n);\n", ports.join(",\n  "));
    text.push_str("  // my_mmu u_mmu (...);\n\n  // Without an MMU, no request is accepted.\n");
    for name in ["req_ready_o", "rsp_valid_o", "mem_req_valid_o"] {
        let _ = writeln!(text, "  assign {name} = 1'b0;");
    }
    text.push_str("\nendmodule\n");
    text
}
