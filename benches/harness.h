// SPDX-License-Identifier: Apache-2.0
// The reference of `cargo bench`: a hand-written C++ testbench over the Verilated model.
#pragma once

#include <cstdint>
#include <memory>

#include "rust/cxx.h"

namespace nestwalk {

// Plain structs of the bridge, benches/harness.rs.
struct HarnessWord;
struct HarnessQuery;
struct HarnessFigures;

class Harness {
public:
    virtual ~Harness() = default;

    // Runs every query, from the reset state on, and checks every response. The call is virtual,
    // but a whole run is one call, whose model is known at compile time. Throws std::runtime_error
    // at the first wrong response.
    virtual HarnessFigures run() = 0;
};

// `format` names a device variant. Words of memory that are not given are 0; memory ends after the
// last word given. Every read takes `latency` cycles, 1 or more. Throws std::invalid_argument if
// there is no such variant, or if `words` is empty.
std::unique_ptr<Harness> make_harness(rust::Str format, rust::Slice<const HarnessWord> words,
                                      rust::Slice<const HarnessQuery> queries,
                                      std::uint32_t latency);

}  // namespace nestwalk
