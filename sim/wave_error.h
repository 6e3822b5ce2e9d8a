// SPDX-License-Identifier: Apache-2.0
// The exception of the FST writer: it replaces an abort of the program.
#pragma once

#include <stdexcept>

namespace nestwalk {

struct WaveError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace nestwalk
