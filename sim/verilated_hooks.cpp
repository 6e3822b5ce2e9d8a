// SPDX-License-Identifier: Apache-2.0
// The functions that Verilator's runtime calls for output and for errors. $fatal, $stop, $finish
// and failed assertions end a tick with an exception, not the program.

#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "sim/print.h"
#include "verilated.h"

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

void vl_fatal(const char* file, int line, const char*, const char* message) {
    end_tick(file, line, message);
}

void vl_stop(const char* file, int line, const char* hierarchy) {
    end_tick(file, line, std::string("assertion or $stop in ") + hierarchy);
}

void vl_finish(const char* file, int line, const char*) {
    end_tick(file, line, "$finish");
}
