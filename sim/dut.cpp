// Makes the built-in variants. variants.inc (from build.rs) has a line for each: its name and model class.

#include "sim/dut.h"

#include <stdexcept>
#include <string>

#include "sim/verilated_dut.h"
#include "variants.inc"

// $fatal, $stop, $finish and failed assertions end a tick with an error, not the program.
void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

void vl_stop(const char* file, int line, const char* hierarchy) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line)
                             + ": assertion or $stop in " + hierarchy);
}

void vl_finish(const char* file, int line, const char*) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": $finish");
}

namespace nestwalk {

std::unique_ptr<Dut> make_dut(rust::Str variant, std::uint32_t seed) {
#define NESTWALK_VARIANT(name, Model) \
    if (variant == #name) return std::make_unique<VerilatedDut<Model>>(seed);
    NESTWALK_VARIANTS
#undef NESTWALK_VARIANT
    throw std::invalid_argument("no device variant is called " + std::string(variant));
}

}  // namespace nestwalk
