// SPDX-License-Identifier: Apache-2.0
// The C interface of a device under test.
//
// A device is compiled into the program, or into a shared object that the program loads. A shared
// object exports one symbol, nestwalk_dut_interface. No C++ exception leaves a function of it.
#ifndef NESTWALK_DUT_ABI_H
#define NESTWALK_DUT_ABI_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// It changes with every change of this file that a shared object can notice.
#define NESTWALK_DUT_ABI_VERSION 1

// The fields of Inputs and Outputs of the bridge (src/dut/bridge.rs), in the same order.
#define NESTWALK_INPUTS(FIELD) \
    FIELD(uint64_t, req_gva) \
    FIELD(uint64_t, req_guest_root) \
    FIELD(uint64_t, req_host_root) \
    FIELD(uint64_t, fence_gva) \
    FIELD(uint64_t, fence_gpa) \
    FIELD(uint64_t, mem_rsp_data) \
    FIELD(uint16_t, req_asid) \
    FIELD(uint16_t, req_vmid) \
    FIELD(uint16_t, fence_asid) \
    FIELD(uint16_t, fence_vmid) \
    FIELD(uint8_t, req_id) \
    FIELD(uint8_t, req_access) \
    FIELD(uint8_t, req_guest_levels) \
    FIELD(uint8_t, req_host_levels) \
    FIELD(uint8_t, mem_rsp_id) \
    FIELD(uint8_t, walk_caches) \
    FIELD(bool, req_valid) \
    FIELD(bool, req_virt) \
    FIELD(bool, req_rights) \
    FIELD(bool, req_user) \
    FIELD(bool, req_sum) \
    FIELD(bool, req_guest_mxr) \
    FIELD(bool, req_host_mxr) \
    FIELD(bool, req_guest_adue) \
    FIELD(bool, req_host_adue) \
    FIELD(bool, req_guest_pbmte) \
    FIELD(bool, req_host_pbmte) \
    FIELD(bool, req_napot) \
    FIELD(bool, rsp_ready) \
    FIELD(bool, fence_valid) \
    FIELD(bool, fence_virt) \
    FIELD(bool, fence_use_gva) \
    FIELD(bool, fence_use_gpa) \
    FIELD(bool, fence_use_asid) \
    FIELD(bool, fence_use_vmid) \
    FIELD(bool, mem_req_ready) \
    FIELD(bool, mem_rsp_valid) \
    FIELD(bool, mem_rsp_error)

#define NESTWALK_OUTPUTS(FIELD, ARRAY) \
    FIELD(uint64_t, rsp_gva) \
    FIELD(uint64_t, rsp_gpa) \
    FIELD(uint64_t, rsp_hpa) \
    FIELD(uint64_t, rsp_trap_tval2) \
    FIELD(uint64_t, mem_req_hpa) \
    FIELD(uint64_t, mem_req_expected) \
    FIELD(uint64_t, mem_req_new) \
    ARRAY(uint32_t, event, 8) \
    FIELD(uint16_t, rsp_trap_tinst) \
    FIELD(uint8_t, rsp_id) \
    FIELD(uint8_t, rsp_page_size) \
    FIELD(uint8_t, rsp_attributes) \
    FIELD(uint8_t, rsp_fault_kind) \
    FIELD(uint8_t, rsp_fault_stage) \
    FIELD(uint8_t, rsp_fault_level) \
    FIELD(uint8_t, rsp_fault_purpose) \
    FIELD(uint8_t, rsp_fault_for_level) \
    FIELD(uint8_t, rsp_trap_cause) \
    FIELD(uint8_t, mem_req_id) \
    FIELD(bool, rsp_trap_gva) \
    FIELD(bool, req_ready) \
    FIELD(bool, rsp_valid) \
    FIELD(bool, rsp_hit) \
    FIELD(bool, rsp_replay) \
    FIELD(bool, fence_ready) \
    FIELD(bool, mem_req_valid) \
    FIELD(bool, mem_req_update) \
    FIELD(bool, mem_rsp_ready) \
    FIELD(bool, event_valid)

#define NESTWALK_FIELD(type, name) type name;
#define NESTWALK_ARRAY(type, name, count) type name[count];

// The inputs of a cycle: the ports of docs/ports.md, flat.
typedef struct nestwalk_inputs {
    NESTWALK_INPUTS(NESTWALK_FIELD)
} nestwalk_inputs;

// The outputs of a cycle. A payload is written only while its valid is set.
typedef struct nestwalk_outputs {
    NESTWALK_OUTPUTS(NESTWALK_FIELD, NESTWALK_ARRAY)
} nestwalk_outputs;

#undef NESTWALK_FIELD
#undef NESTWALK_ARRAY

// A device. One thread at a time uses it.
typedef struct nestwalk_dut nestwalk_dut;

// What a shared object offers. The functions that return int return 0, or -1 if they have failed:
// last_error then returns the reason. sim/verilated_dut.h says what each does.
typedef struct nestwalk_dut_abi {
    // NESTWALK_DUT_ABI_VERSION. It is the first field in every version.
    uint32_t version;
    // The sizes of nestwalk_inputs and nestwalk_outputs, in bytes.
    uint32_t inputs_size;
    uint32_t outputs_size;
    // Lines `key = value`: the device, its parameters, the hash of its RTL, the Verilator.
    const char* description;

    // Makes a device. NULL: it has failed.
    nestwalk_dut* (*create)(uint32_t seed);
    void (*destroy)(nestwalk_dut* dut);
    int (*reset)(nestwalk_dut* dut);
    int (*tick)(nestwalk_dut* dut, const nestwalk_inputs* inputs, nestwalk_outputs* outputs);
    int (*trace_open)(nestwalk_dut* dut, const char* path, uint64_t from);
    int (*trace_close)(nestwalk_dut* dut);
    int (*write_coverage)(nestwalk_dut* dut, const char* path);

    // The reason of the last failure in this thread. It is valid until the thread's next call.
    const char* (*last_error)(void);
} nestwalk_dut_abi;

// The type and the name of the only symbol that a shared object exports.
typedef const nestwalk_dut_abi* nestwalk_dut_interface_function(void);
#define NESTWALK_DUT_INTERFACE "nestwalk_dut_interface"

#ifdef __cplusplus
}
#endif

#endif
