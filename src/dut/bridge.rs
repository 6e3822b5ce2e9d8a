// SPDX-License-Identifier: Apache-2.0
//! The one place where Rust and C++ meet.
// The bridge is generated code around C++ calls; what makes it sound is said at each use of `unsafe`.
#![allow(unsafe_code, missing_docs)]

#[cxx::bridge(namespace = "nestwalk")]
pub(crate) mod ffi {
    /// What is driven into the device in a cycle: the ports of `docs/ports.md`, flat.
    #[derive(Clone, Debug, Default)]
    struct Inputs {
        req_gva: u64,
        req_guest_root: u64,
        req_host_root: u64,
        fence_gva: u64,
        fence_gpa: u64,
        mem_rsp_data: u64,
        req_asid: u16,
        req_vmid: u16,
        fence_asid: u16,
        fence_vmid: u16,
        req_id: u8,
        req_access: u8,
        req_guest_levels: u8,
        req_host_levels: u8,
        mem_rsp_id: u8,
        walk_caches: u8,
        req_valid: bool,
        req_virt: bool,
        req_rights: bool,
        req_user: bool,
        req_sum: bool,
        req_guest_mxr: bool,
        req_host_mxr: bool,
        req_guest_adue: bool,
        req_host_adue: bool,
        req_guest_pbmte: bool,
        req_host_pbmte: bool,
        req_napot: bool,
        rsp_ready: bool,
        fence_valid: bool,
        fence_virt: bool,
        fence_use_gva: bool,
        fence_use_gpa: bool,
        fence_use_asid: bool,
        fence_use_vmid: bool,
        mem_req_ready: bool,
        mem_rsp_valid: bool,
        mem_rsp_error: bool,
    }

    /// What the device showed in a cycle. A payload is renewed only while its `valid` is set.
    #[derive(Clone, Debug, Default)]
    struct Outputs {
        rsp_gva: u64,
        rsp_gpa: u64,
        rsp_hpa: u64,
        rsp_trap_tval2: u64,
        mem_req_hpa: u64,
        mem_req_expected: u64,
        mem_req_new: u64,
        event: [u32; 8],
        rsp_trap_tinst: u16,
        rsp_id: u8,
        rsp_page_size: u8,
        rsp_attributes: u8,
        rsp_fault_kind: u8,
        rsp_fault_stage: u8,
        rsp_fault_level: u8,
        rsp_fault_purpose: u8,
        rsp_fault_for_level: u8,
        rsp_trap_cause: u8,
        mem_req_id: u8,
        rsp_trap_gva: bool,
        req_ready: bool,
        rsp_valid: bool,
        rsp_hit: bool,
        rsp_replay: bool,
        fence_ready: bool,
        mem_req_valid: bool,
        mem_req_update: bool,
        mem_rsp_ready: bool,
        event_valid: bool,
    }

    unsafe extern "C++" {
        include!("sim/dut.h");

        type Dut;

        fn ignore_file_size_signal();
        fn is_built_in(variant: &str) -> bool;
        fn make_dut(variant: &str, seed: u32) -> Result<UniquePtr<Dut>>;
        fn load_dut(path: &str, seed: u32) -> Result<UniquePtr<Dut>>;
        fn describe_object(path: &str) -> Result<String>;
        fn reset(self: Pin<&mut Dut>) -> Result<()>;
        fn tick(self: Pin<&mut Dut>, inputs: &Inputs, outputs: &mut Outputs) -> Result<()>;
        fn trace_open(self: Pin<&mut Dut>, path: &str, from: u64) -> Result<()>;
        fn trace_close(self: Pin<&mut Dut>) -> Result<()>;
        fn write_coverage(self: Pin<&mut Dut>, path: &str) -> Result<()>;
    }
}

// SAFETY: a device owns its model, its VerilatedContext and its trace, and they share nothing with another
// device; the Verilator manual ("Multithreading") allows such a model to be evaluated on any one thread at a time.
unsafe impl Send for ffi::Dut {}
