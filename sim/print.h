// SPDX-License-Identifier: Apache-2.0
// The printing function of the RTL and of Verilator's runtime (VL_PRINTF). Their output does not go
// to the program's standard output. This file is included before every source of a model and of
// the runtime.
#pragma once

namespace nestwalk {

// Keeps the text for the error of a failed assertion or $fatal.
int sim_print(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace nestwalk
