// SPDX-License-Identifier: Apache-2.0
// The devices of the program: those that are compiled in, and those that it loads.
//
// variants.inc, made by build.rs, has a line for each device that is compiled in: its name, its
// model class and its InputsAt.

#include "sim/dut.h"

#include <dlfcn.h>

#include <csignal>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "nestwalk/src/dut/bridge.rs.h"
#include "sim/dut_abi.h"
#include "sim/verilated_dut.h"
#include "variants.inc"

namespace nestwalk {

namespace {

// The structs of the bridge and those of the C interface are the same bytes.
#define NESTWALK_SAME(bridge, plain, name)                                                   \
    static_assert(offsetof(bridge, name) == offsetof(plain, name) &&                         \
                      sizeof(bridge::name) == sizeof(plain::name),                           \
                  #bridge " and " #plain " differ in " #name);
#define NESTWALK_SAME_INPUT(type, name) NESTWALK_SAME(Inputs, nestwalk_inputs, name)
#define NESTWALK_SAME_OUTPUT(type, name) NESTWALK_SAME(Outputs, nestwalk_outputs, name)
#define NESTWALK_SAME_ARRAY(type, name, count) NESTWALK_SAME_OUTPUT(type, name)
static_assert(sizeof(Inputs) == sizeof(nestwalk_inputs));
static_assert(sizeof(Outputs) == sizeof(nestwalk_outputs));
NESTWALK_INPUTS(NESTWALK_SAME_INPUT)
NESTWALK_OUTPUTS(NESTWALK_SAME_OUTPUT, NESTWALK_SAME_ARRAY)

const nestwalk_inputs& plain(const Inputs& in) {
    return reinterpret_cast<const nestwalk_inputs&>(in);
}

nestwalk_outputs& plain(Outputs& out) { return reinterpret_cast<nestwalk_outputs&>(out); }

// A device that is compiled in.
template <class Model, int inputs_at>
class BuiltInDut final : public Dut {
public:
    explicit BuiltInDut(std::uint32_t seed) : device_(seed) {}

    void reset() override { device_.reset(); }
    void tick(const Inputs& in, Outputs& out) override { device_.tick(plain(in), plain(out)); }
    void trace_open(rust::Str path, std::uint64_t from) override {
        device_.trace_open(std::string(path), from);
    }
    void trace_close() override { device_.trace_close(); }
    void write_coverage(rust::Str path) override { device_.write_coverage(std::string(path)); }

private:
    VerilatedDut<Model, inputs_at> device_;
};

// The interface of a shared object, which stays loaded until the program ends.
const nestwalk_dut_abi& load(const std::string& path) {
    const auto reason = [] {
        const char* text = dlerror();
        return std::string(text ? text : "unknown error");
    };
    void* object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!object) throw std::runtime_error("cannot load the device: " + reason());
    auto* function = reinterpret_cast<nestwalk_dut_interface_function*>(
        dlsym(object, NESTWALK_DUT_INTERFACE));
    if (!function) throw std::runtime_error(path + " is not a device: " + reason());
    const nestwalk_dut_abi& abi = *function();
    if (abi.version != NESTWALK_DUT_ABI_VERSION) {
        throw std::runtime_error(path + " has version " + std::to_string(abi.version) +
                                 " of the device interface, not " +
                                 std::to_string(NESTWALK_DUT_ABI_VERSION));
    }
    if (abi.inputs_size != sizeof(nestwalk_inputs) ||
        abi.outputs_size != sizeof(nestwalk_outputs)) {
        throw std::runtime_error(path + " has other ports than this program");
    }
    return abi;
}

// A device of a shared object.
class LoadedDut final : public Dut {
public:
    LoadedDut(const nestwalk_dut_abi& abi, std::uint32_t seed) : abi_(abi), dut_(abi.create(seed)) {
        if (!dut_) throw std::runtime_error(abi_.last_error());
    }
    LoadedDut(const LoadedDut&) = delete;
    LoadedDut& operator=(const LoadedDut&) = delete;
    ~LoadedDut() override { abi_.destroy(dut_); }

    void reset() override { check(abi_.reset(dut_)); }
    void tick(const Inputs& in, Outputs& out) override {
        check(abi_.tick(dut_, &plain(in), &plain(out)));
    }
    void trace_open(rust::Str path, std::uint64_t from) override {
        check(abi_.trace_open(dut_, std::string(path).c_str(), from));
    }
    void trace_close() override { check(abi_.trace_close(dut_)); }
    void write_coverage(rust::Str path) override {
        check(abi_.write_coverage(dut_, std::string(path).c_str()));
    }

private:
    void check(int result) const {
        if (result != 0) throw std::runtime_error(abi_.last_error());
    }

    const nestwalk_dut_abi& abi_;
    nestwalk_dut* dut_;
};

}  // namespace

bool is_built_in(rust::Str variant) {
#define NESTWALK_VARIANT(name, Model, inputs_at) \
    if (variant == name) return true;
    NESTWALK_VARIANTS
#undef NESTWALK_VARIANT
    return false;
}

std::unique_ptr<Dut> make_dut(rust::Str variant, std::uint32_t seed) {
#define NESTWALK_VARIANT(name, Model, inputs_at) \
    if (variant == name) return std::make_unique<BuiltInDut<Model, inputs_at>>(seed);
    NESTWALK_VARIANTS
#undef NESTWALK_VARIANT
    throw std::invalid_argument("no device called " + std::string(variant) + " is compiled in");
}

std::unique_ptr<Dut> load_dut(rust::Str path, std::uint32_t seed) {
    return std::make_unique<LoadedDut>(load(std::string(path)), seed);
}

rust::String describe_object(rust::Str path) { return load(std::string(path)).description; }

rust::String device_file_of(rust::Str path) { return load(std::string(path)).device_file; }

void ignore_file_size_signal() { std::signal(SIGXFSZ, SIG_IGN); }

}  // namespace nestwalk
