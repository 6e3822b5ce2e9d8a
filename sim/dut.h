// SPDX-License-Identifier: Apache-2.0
// What any device under test fulfils: reset, one call a clock, and waves on demand.
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

    // Puts the device into its reset state. Waves go on in the next cycle number.
    virtual void reset() = 0;

    // One clock cycle: drives the inputs, lets the logic settle, samples the outputs. The rising edge that ends the cycle is given
    // here, or at the latest with what comes next. A valid and its ready that are both high in the sample are a transfer.
    virtual void tick(const Inputs& in, Outputs& out) = 0;

    // Records every following cycle, of number `from` or higher, into a new FST file, at the cycle's number. What cannot be written
    // is an error of trace_close, not of a cycle.
    virtual void trace_open(rust::Str path, std::uint64_t from) = 0;
    virtual void trace_close() = 0;

    // Writes what of the RTL has been reached since the device was made, in Verilator's format. Throws std::logic_error in a
    // build that does not count it.
    virtual void write_coverage(rust::Str path) = 0;
};

// Tells whether a device is compiled into the program.
bool is_built_in(rust::Str variant);

// Makes a device that is compiled in, by its name. `seed` draws the values that the RTL leaves open,
// in devices with RTL assertions. Throws std::invalid_argument for an unknown name.
std::unique_ptr<Dut> make_dut(rust::Str variant, std::uint32_t seed);

// Makes a device of the shared object at `path`, which stays loaded until the program ends. Throws
// std::runtime_error if it cannot be loaded, or has another version of the interface (dut_abi.h).
std::unique_ptr<Dut> load_dut(rust::Str path, std::uint32_t seed);

// Returns the description that a shared object carries (dut_abi.h). Throws as load_dut does.
rust::String describe_object(rust::Str path);

// A write past the limit on the size of files (RLIMIT_FSIZE) fails from now on, and does not end the process by a signal.
void ignore_file_size_signal();

}  // namespace nestwalk
