// SPDX-License-Identifier: Apache-2.0
// A device over a Verilated tb_top. The devices that are compiled into the program use it, and so
// do those in shared objects, so it does not depend on the bridge to Rust.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "sim/dut_abi.h"
#include "sim/ports.h"
#include "sim/wave_error.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif
#include "verilated_fst_c.h"

namespace nestwalk {

// The ports of tb_top. Another top has a class like this one, which may keep state between the
// calls: reset comes before the first cycle, then drive and sample in turns.
template <class Model>
struct TbTopPorts {
    void reset() {}
    void drive(Model& model, const nestwalk_inputs& in) { drive_ports(model, in); }
    void sample(const Model& model, nestwalk_outputs& out) { sample_ports(model, out); }
};

// `inputs_at` is the parameter InputsAt of the model.
template <class Model, int inputs_at, class Ports = TbTopPorts<Model>>
class VerilatedDut final {
public:
    explicit VerilatedDut(std::uint32_t seed) : seed_(seed) { make(); }

    VerilatedDut(const VerilatedDut&) = delete;
    VerilatedDut& operator=(const VerilatedDut&) = delete;

    ~VerilatedDut() {
        end_trace();
        model_->final();
        destroy_model();
    }

    void reset() {
        // A failed assertion asks the context of the thread, which may be that of a device that has
        // gone since.
        Verilated::threadContextp(context_.get());
        // An assertion that threw has left the model in the middle of an evaluation: a new model is
        // made.
        if (in_evaluation_) make();
        nestwalk_inputs idle{};
        ports_.reset();
        ports_.drive(*model_, idle);
        model_->rst_ni = 0;
        edge();
        edge();
        model_->rst_ni = 1;
    }

    void tick(const nestwalk_inputs& in, nestwalk_outputs& out) {
        ports_.drive(*model_, in);
        evaluate(0);
        // The edge that begins the cycle; else it is the one that ends it.
        constexpr bool begins = inputs_at == 2;
        if constexpr (begins) evaluate(1);
        ports_.sample(*model_, out);
        if (trace_ && context_->time() >= trace_from_) dump();
        context_->timeInc(1);
        if constexpr (!begins) evaluate(1);
    }

    void trace_open(const std::string& path, std::uint64_t from) {
        end_trace();
        trace_error_.clear();
        trace_from_ = from;
        trace_ = std::make_unique<VerilatedFstC>();
        model_->trace(trace_.get(), 99);
        trace_->open(path.c_str());
        if (!trace_->isOpen()) {
            trace_.reset();
            throw std::runtime_error("cannot create the wave file");
        }
    }

    void trace_close() {
        end_trace();
        const std::string error = std::exchange(trace_error_, {});
        if (!error.empty()) throw WaveError(error);
    }

    void write_coverage(const std::string& path) {
#if VM_COVERAGE
        context_->coveragep()->write(path.c_str());
#else
        (void)path;
        throw std::logic_error("this program was built without code coverage of the RTL");
#endif
    }

private:
    void dump() {
        try {
            trace_->dump(context_->time());
        } catch (const WaveError& error) {
            give_up_trace(error);
        }
    }

    void end_trace() {
        if (!trace_) return;
        try {
            trace_->close();
            trace_.reset();
        } catch (const WaveError& error) {
            give_up_trace(error);
        }
    }

    // The destructor of a failed writer would write again and throw: the writer stays in memory.
    void give_up_trace(const WaveError& error) {
        trace_error_ = error.what();
        (void)trace_.release();
    }

    // The scopes of a model leave the context of the thread, which is the one that was made last:
    // that of another device, which may be gone.
    void destroy_model() {
        Verilated::threadContextp(context_.get());
        model_.reset();
    }

    void make() {
        end_trace();
        if (model_) destroy_model();
        context_ = std::make_unique<VerilatedContext>();
        // Otherwise Verilator makes a pool of threads, which a model of one thread does not use.
        context_->threads(1);
        // A model can be traced only if this precedes its construction.
        context_->traceEverOn(true);
        context_->randReset(2);
        context_->randSeed(static_cast<int>(seed_ & 0x7fffffff));
        model_ = std::make_unique<Model>(context_.get(), "");
        // The first evaluation, with the clock high, is no rising edge. The next edge is a falling
        // one.
        model_->rst_ni = 0;
        evaluate(1);
    }

    void evaluate(bool clock) {
        model_->clk_i = clock;
        in_evaluation_ = true;
        model_->eval();
        in_evaluation_ = false;
    }

    void edge() {
        evaluate(0);
        evaluate(1);
    }

    // In this order: the model uses the context, the trace uses both.
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Model> model_;
    std::unique_ptr<VerilatedFstC> trace_;
    // The reason why a wave is not complete; it is thrown when the wave is closed.
    std::string trace_error_;
    Ports ports_;
    std::uint64_t trace_from_ = 0;
    std::uint32_t seed_;
    bool in_evaluation_ = false;
};

}  // namespace nestwalk
