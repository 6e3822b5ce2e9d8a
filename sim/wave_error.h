// SPDX-License-Identifier: Apache-2.0
// What the writer of waves throws where it would abort the program.
#pragma once

#include <stdexcept>

namespace nestwalk {

struct WaveError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace nestwalk
