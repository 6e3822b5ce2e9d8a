// SPDX-License-Identifier: Apache-2.0
// A device over a Verilated tb_top. It serves the devices that are compiled into the program and
// those in shared objects, so it knows nothing of the bridge to Rust.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "sim/dut_abi.h"
#include "sim/wave_error.h"
#include "verilated.h"
#if VM_COVERAGE
#include "verilated_cov.h"
#endif
#include "verilated_fst_c.h"

namespace nestwalk {

// `inputs_at` is the parameter InputsAt of the model.
template <class Model, int inputs_at>
class VerilatedDut final {
public:
    explicit VerilatedDut(std::uint32_t seed) : seed_(seed) { make(); }

    VerilatedDut(const VerilatedDut&) = delete;
    VerilatedDut& operator=(const VerilatedDut&) = delete;

    ~VerilatedDut() {
        end_trace();
        model_->final();
    }

    void reset() {
        // What an assertion has thrown out of an evaluation has left it half done: it cannot go on from there.
        if (in_evaluation_) make();
        nestwalk_inputs idle{};
        drive(idle);
        model_->rst_ni = 0;
        edge();
        edge();
        model_->rst_ni = 1;
    }

    void tick(const nestwalk_inputs& in, nestwalk_outputs& out) {
        drive(in);
        evaluate(0);
        // The edge that begins the cycle; else it is the one that ends it.
        constexpr bool begins = inputs_at == 2;
        if constexpr (begins) evaluate(1);
        sample(out);
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

    // The destructor of a writer that has failed writes once more, and must not throw: the writer stays in memory.
    void give_up_trace(const WaveError& error) {
        trace_error_ = error.what();
        (void)trace_.release();
    }

    void make() {
        end_trace();
        model_.reset();
        context_ = std::make_unique<VerilatedContext>();
        // Or it makes a pool of threads, of which a model of one thread uses none.
        context_->threads(1);
        // Before the model is made, or it cannot be traced.
        context_->traceEverOn(true);
        context_->randReset(2);
        context_->randSeed(static_cast<int>(seed_ & 0x7fffffff));
        model_ = std::make_unique<Model>(context_.get(), "");
        // The very first evaluation with the clock high is not a rising edge, and what comes next is a falling one.
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

    // Payloads go with their valid or without it: to copy them costs less than to ask.
    void drive(const nestwalk_inputs& in) {
        Model& m = *model_;
        m.walk_caches_i = in.walk_caches;
        m.req_valid_i = in.req_valid;
        m.req_id_i = in.req_id;
        m.req_access_i = in.req_access;
        m.req_gva_i = in.req_gva;
        m.req_virt_i = in.req_virt;
        m.req_rights_i = in.req_rights;
        m.req_guest_levels_i = in.req_guest_levels;
        m.req_host_levels_i = in.req_host_levels;
        m.req_guest_root_i = in.req_guest_root;
        m.req_host_root_i = in.req_host_root;
        m.req_asid_i = in.req_asid;
        m.req_vmid_i = in.req_vmid;
        m.req_user_i = in.req_user;
        m.req_sum_i = in.req_sum;
        m.req_guest_mxr_i = in.req_guest_mxr;
        m.req_host_mxr_i = in.req_host_mxr;
        m.req_guest_adue_i = in.req_guest_adue;
        m.req_host_adue_i = in.req_host_adue;
        m.req_guest_pbmte_i = in.req_guest_pbmte;
        m.req_host_pbmte_i = in.req_host_pbmte;
        m.req_napot_i = in.req_napot;
        m.rsp_ready_i = in.rsp_ready;
        m.fence_valid_i = in.fence_valid;
        if (in.fence_valid) {
            m.fence_virt_i = in.fence_virt;
            m.fence_use_gva_i = in.fence_use_gva;
            m.fence_use_gpa_i = in.fence_use_gpa;
            m.fence_use_asid_i = in.fence_use_asid;
            m.fence_use_vmid_i = in.fence_use_vmid;
            m.fence_gva_i = in.fence_gva;
            m.fence_gpa_i = in.fence_gpa;
            m.fence_asid_i = in.fence_asid;
            m.fence_vmid_i = in.fence_vmid;
        }
        m.mem_req_ready_i = in.mem_req_ready;
        m.mem_rsp_valid_i = in.mem_rsp_valid;
        m.mem_rsp_id_i = in.mem_rsp_id;
        m.mem_rsp_error_i = in.mem_rsp_error;
        m.mem_rsp_data_i = in.mem_rsp_data;
    }

    void sample(nestwalk_outputs& out) const {
        const Model& m = *model_;
        out.req_ready = m.req_ready_o;
        out.rsp_valid = m.rsp_valid_o;
        if (m.rsp_valid_o) {
            out.rsp_id = m.rsp_id_o;
            out.rsp_hit = m.rsp_hit_o;
            out.rsp_replay = m.rsp_replay_o;
            out.rsp_gva = m.rsp_gva_o;
            out.rsp_gpa = m.rsp_gpa_o;
            out.rsp_hpa = m.rsp_hpa_o;
            out.rsp_page_size = m.rsp_page_size_o;
            out.rsp_attributes = m.rsp_attributes_o;
            out.rsp_fault_kind = m.rsp_fault_kind_o;
            out.rsp_fault_stage = m.rsp_fault_stage_o;
            out.rsp_fault_level = m.rsp_fault_level_o;
            out.rsp_fault_purpose = m.rsp_fault_purpose_o;
            out.rsp_fault_for_level = m.rsp_fault_for_level_o;
            out.rsp_trap_cause = m.rsp_trap_cause_o;
            out.rsp_trap_gva = m.rsp_trap_gva_o;
            out.rsp_trap_tval2 = m.rsp_trap_tval2_o;
            out.rsp_trap_tinst = m.rsp_trap_tinst_o;
        }
        out.fence_ready = m.fence_ready_o;
        out.mem_req_valid = m.mem_req_valid_o;
        out.mem_req_id = m.mem_req_id_o;
        out.mem_req_hpa = m.mem_req_hpa_o;
        out.mem_req_update = m.mem_req_update_o;
        if (m.mem_req_update_o) {
            out.mem_req_expected = m.mem_req_expected_o;
            out.mem_req_new = m.mem_req_new_o;
        }
        out.mem_rsp_ready = m.mem_rsp_ready_o;
        out.event_valid = m.event_valid_o;
        if (m.event_valid_o) std::memcpy(out.event, m.event_o.data(), sizeof out.event);
    }

    // In this order: the model uses the context, the trace uses both.
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Model> model_;
    std::unique_ptr<VerilatedFstC> trace_;
    // Why a wave is not whole, until it is closed.
    std::string trace_error_;
    std::uint64_t trace_from_ = 0;
    std::uint32_t seed_;
    bool in_evaluation_ = false;
};

}  // namespace nestwalk
