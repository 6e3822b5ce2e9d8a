// SPDX-License-Identifier: Apache-2.0
// What the RTL and Verilator's runtime print goes through here (VL_PRINTF), not to the program's standard output. Included before
// every source of a model and of the runtime.
#pragma once

namespace nestwalk {

// Keeps the text for the error that a failed assertion or $fatal ends with.
int sim_print(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace nestwalk
