// SPDX-License-Identifier: Apache-2.0
// The yardstick of `cargo bench`: a bench over the Verilated model as one writes it by hand in C++.
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

    // Asks every query, from the reset state on, and checks every answer. Virtual, but called once
    // for a whole run: a run knows its model at compile time. Throws std::runtime_error at the
    // first wrong answer.
    virtual HarnessFigures run() = 0;
};

// `format` names a device variant. A word of memory that is not given is 0; past the last one given
// there is no memory. Every read takes `latency` cycles, 1 or more. Throws std::invalid_argument if
// there is no such variant, or for no words.
std::unique_ptr<Harness> make_harness(rust::Str format, rust::Slice<const HarnessWord> words,
                                      rust::Slice<const HarnessQuery> queries,
                                      std::uint32_t latency);

}  // namespace nestwalk
