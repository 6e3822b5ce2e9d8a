// SPDX-License-Identifier: Apache-2.0
// The contract of a device under test: reset, one call a clock, and waves on demand.
//
// Inputs and Outputs are the plain structs of the bridge (src/dut/bridge.rs).
#pragma once

#include <cstdint>
#include <memory>

#include "rust/cxx.h"

namespace nestwalk {

struct Inputs;
struct Outputs;

class Dut {
public:
    virtual ~Dut() = default;

    // Puts the device into its reset state. Waves continue with the next cycle number.
    virtual void reset() = 0;

    // One clock cycle: drives the inputs, evaluates the logic and samples the outputs. The rising
    // edge that ends the cycle comes in this call or in the next one. A valid and its ready that
    // are both high in the sample are a handshake.
    virtual void tick(const Inputs& in, Outputs& out) = 0;

    // Records every later cycle of number `from` or higher into a new FST file; the time is the
    // cycle's number. A failed write is an error of trace_close, not of a cycle.
    virtual void trace_open(rust::Str path, std::uint64_t from) = 0;
    virtual void trace_close() = 0;

    // Writes the code coverage of the RTL since the device was made, in Verilator's format. Throws
    // std::logic_error in a build without coverage.
    virtual void write_coverage(rust::Str path) = 0;
};

// Tells whether a device is compiled into the program.
bool is_built_in(rust::Str variant);

// Makes a device that is compiled in, by its name. In devices with RTL assertions, `seed` draws the
// values that the RTL leaves open. Throws std::invalid_argument for an unknown name.
std::unique_ptr<Dut> make_dut(rust::Str variant, std::uint32_t seed);

// Makes a device of the shared object at `path`, which stays loaded until the program ends. Throws
// std::runtime_error if it cannot be loaded, or has another version of the interface (dut_abi.h).
std::unique_ptr<Dut> load_dut(rust::Str path, std::uint32_t seed);

// Returns the description that a shared object carries (dut_abi.h). Throws as load_dut does.
rust::String describe_object(rust::Str path);

// Returns the text of the device file that a shared object carries; empty if it is a device of this
// project. Throws as load_dut does.
rust::String device_file_of(rust::Str path);

// Makes every later write past the limit on file sizes (RLIMIT_FSIZE) fail, in place of a signal
// that ends the process.
void ignore_file_size_signal();

}  // namespace nestwalk
