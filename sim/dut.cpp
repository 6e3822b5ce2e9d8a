// SPDX-License-Identifier: Apache-2.0
// Makes the built-in variants. variants.inc (from build.rs) has a line for each: its name, model class and InputsAt.

#include "sim/dut.h"

#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "sim/print.h"
#include "sim/verilated_dut.h"
#include "variants.inc"

namespace {

// The last line that was printed, of this thread's device.
thread_local std::string last_print;

// The error that ends a tick.
[[noreturn]] void end_tick(const char* file, int line, const std::string& what) {
    std::string message = std::string(file) + ":" + std::to_string(line) + ": " + what;
    if (!last_print.empty()) message += " (" + last_print + ")";
    last_print.clear();
    throw std::runtime_error(message);
}

}  // namespace

int nestwalk::sim_print(const char* format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    last_print = text;
    while (!last_print.empty() && last_print.back() == '\n') last_print.pop_back();
    return length;
}

// $fatal, $stop, $finish and failed assertions end a tick with an error, not the program.
void vl_fatal(const char* file, int line, const char*, const char* message) {
    end_tick(file, line, message);
}

void vl_stop(const char* file, int line, const char* hierarchy) {
    end_tick(file, line, std::string("assertion or $stop in ") + hierarchy);
}

void vl_finish(const char* file, int line, const char*) {
    end_tick(file, line, "$finish");
}

namespace nestwalk {

std::unique_ptr<Dut> make_dut(rust::Str variant, std::uint32_t seed) {
#define NESTWALK_VARIANT(name, Model, inputs_at) \
    if (variant == #name) return std::make_unique<VerilatedDut<Model, inputs_at>>(seed);
    NESTWALK_VARIANTS
#undef NESTWALK_VARIANT
    throw std::invalid_argument("no device variant is called " + std::string(variant));
}

void ignore_file_size_signal() { std::signal(SIGXFSZ, SIG_IGN); }

}  // namespace nestwalk
