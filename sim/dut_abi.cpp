// SPDX-License-Identifier: Apache-2.0
// The C interface of dut_abi.h over one Verilated model. device.inc, made with the model, includes
// the model's header and defines NESTWALK_MODEL, NESTWALK_INPUTS_AT, NESTWALK_PORTS,
// NESTWALK_DESCRIPTION and NESTWALK_DEVICE_FILE.

#include "sim/dut_abi.h"

#include <exception>
#include <string>

#include "sim/verilated_dut.h"
// It uses the includes above.
#include "device.inc"

struct nestwalk_dut {
    explicit nestwalk_dut(std::uint32_t seed) : device(seed) {}

    nestwalk::VerilatedDut<NESTWALK_MODEL, NESTWALK_INPUTS_AT, NESTWALK_PORTS> device;
};

namespace {

thread_local std::string error;

// Calls `function`, and keeps the text of an exception for last_error. Returns 0 or -1.
template <class Function>
int guarded(Function function) noexcept {
    try {
        function();
        return 0;
    } catch (const std::exception& exception) {
        error = exception.what();
    } catch (...) {
        error = "an exception of an unknown type";
    }
    return -1;
}

nestwalk_dut* create(std::uint32_t seed) {
    nestwalk_dut* dut = nullptr;
    guarded([&] { dut = new nestwalk_dut(seed); });
    return dut;
}

void destroy(nestwalk_dut* dut) {
    guarded([&] { delete dut; });
}

int reset(nestwalk_dut* dut) {
    return guarded([&] { dut->device.reset(); });
}

int tick(nestwalk_dut* dut, const nestwalk_inputs* inputs, nestwalk_outputs* outputs) {
    return guarded([&] { dut->device.tick(*inputs, *outputs); });
}

int trace_open(nestwalk_dut* dut, const char* path, std::uint64_t from) {
    return guarded([&] { dut->device.trace_open(path, from); });
}

int trace_close(nestwalk_dut* dut) {
    return guarded([&] { dut->device.trace_close(); });
}

int write_coverage(nestwalk_dut* dut, const char* path) {
    return guarded([&] { dut->device.write_coverage(path); });
}

const char* last_error() { return error.c_str(); }

constexpr nestwalk_dut_abi interface = {
    NESTWALK_DUT_ABI_VERSION,
    sizeof(nestwalk_inputs),
    sizeof(nestwalk_outputs),
    NESTWALK_DESCRIPTION,
    NESTWALK_DEVICE_FILE,
    create,
    destroy,
    reset,
    tick,
    trace_open,
    trace_close,
    write_coverage,
    last_error,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const nestwalk_dut_abi* nestwalk_dut_interface() {
    return &interface;
}
