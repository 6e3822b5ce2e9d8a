// SPDX-License-Identifier: Apache-2.0
// Takes the place of the file of this name in Verilator's runtime, whose checks abort the program: one of them fails when the disk
// is full. Here they throw. The runtime is compiled with this folder before its own.
#pragma once

#include <sstream>

#include "sim/wave_error.h"

#define NESTWALK_FST_CHECK(passed, text, shown)                  \
    if (!(passed)) [[unlikely]] {                                \
        std::ostringstream what_;                                \
        what_ << "the wave file cannot be written: " text shown; \
        throw nestwalk::WaveError(what_.str());                  \
    }
#define NESTWALK_FST_COMPARE(a, b, op) \
    NESTWALK_FST_CHECK((a)op(b), #a " " #op " " #b, << " (" << (a) << " and " << (b) << ")")

#define FST_CHECK(a) NESTWALK_FST_CHECK(a, #a, )
#define FST_CHECK_EQ(a, b) NESTWALK_FST_COMPARE(a, b, ==)
#define FST_CHECK_NE(a, b) NESTWALK_FST_COMPARE(a, b, !=)
#define FST_CHECK_GT(a, b) NESTWALK_FST_COMPARE(a, b, >)
#define FST_CHECK_GE(a, b) NESTWALK_FST_COMPARE(a, b, >=)
#define FST_CHECK_LT(a, b) NESTWALK_FST_COMPARE(a, b, <)
#define FST_CHECK_LE(a, b) NESTWALK_FST_COMPARE(a, b, <=)

#define FST_DCHECK(a) FST_CHECK(a)
#define FST_DCHECK_EQ(a, b) FST_CHECK_EQ(a, b)
#define FST_DCHECK_NE(a, b) FST_CHECK_NE(a, b)
#define FST_DCHECK_GT(a, b) FST_CHECK_GT(a, b)
#define FST_DCHECK_GE(a, b) FST_CHECK_GE(a, b)
#define FST_DCHECK_LT(a, b) FST_CHECK_LT(a, b)
#define FST_DCHECK_LE(a, b) FST_CHECK_LE(a, b)

#define FST_UNREACHABLE throw nestwalk::WaveError("the wave file cannot be written")
