// SPDX-License-Identifier: Apache-2.0
#include "benches/harness.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "Vclassic32.h"
#include "Vhandout.h"
#include "nestwalk/benches/harness.rs.h"
#include "verilated.h"

namespace nestwalk {
namespace {

// Levels of each table.
constexpr unsigned levels = 2;

struct Handout {
    static constexpr unsigned address_width = 20;
    static constexpr unsigned offset_width = 16;
    static constexpr unsigned index_width = 2;
};

struct Classic32 {
    static constexpr unsigned address_width = 32;
    static constexpr unsigned offset_width = 12;
    static constexpr unsigned index_width = 10;
};

enum Fault : std::uint8_t {
    fault_none = 0,
    fault_memory = 1,
    fault_misaligned = 2,
    fault_width = 3,
    fault_reserved = 4,
    fault_invalid = 5,
    fault_permission = 6,
};

enum Access : std::uint8_t { access_load = 0, access_store = 1, access_fetch = 2 };

class Memory {
public:
    explicit Memory(rust::Slice<const HarnessWord> words) {
        std::uint64_t last = 0;
        for (const HarnessWord& word : words) last = std::max(last, word.at);
        words_.resize(last / 4 + 1);
        for (const HarnessWord& word : words) words_[word.at / 4] = word.word;
    }

    bool has(std::uint64_t at) const { return at / 4 < words_.size(); }
    std::uint32_t operator[](std::uint64_t at) const { return words_[at / 4]; }

private:
    std::vector<std::uint32_t> words_;
};

// The result of a walk of both tables.
struct Answer {
    std::uint64_t address;
    Fault fault;
};

template <class Geometry>
class Golden {
public:
    explicit Golden(const Memory& memory) : memory_(memory) {}

    Answer translate(const HarnessQuery& query) const {
        std::uint64_t gpa = query.gva;
        if (query.nested) {
            std::uint64_t table = query.guest_root;
            for (unsigned level = levels; level-- > 0;) {
                const Answer at = entry_address(table, query.gva, level);
                if (at.fault) return at;
                const Answer found = host(at.address, access_load, query);
                if (found.fault) return found;
                const Answer next =
                    follow(found.address, query.gva, level, query.access, query.rights);
                if (next.fault) return next;
                table = next.address;
            }
            gpa = table;
        }
        return host(gpa, query.access, query);
    }

private:
    static constexpr std::uint64_t ones(unsigned width) { return (std::uint64_t{1} << width) - 1; }

    Answer host(std::uint64_t gpa, std::uint8_t access, const HarnessQuery& query) const {
        Answer answer{query.host_root, fault_none};
        for (unsigned level = levels; level-- > 0;) {
            answer = entry_address(answer.address, gpa, level);
            if (answer.fault) return answer;
            answer = follow(answer.address, gpa, level, access, query.rights);
            if (answer.fault) return answer;
        }
        return answer;
    }

    static Answer entry_address(std::uint64_t table, std::uint64_t address, unsigned level) {
        const std::uint64_t index =
            (address >> (Geometry::offset_width + level * Geometry::index_width))
            & ones(Geometry::index_width);
        const std::uint64_t at = table + 4 * index;
        if (at % 4 != 0) return {at, fault_misaligned};
        if (at > ones(Geometry::address_width)) return {at, fault_width};
        return {at, fault_none};
    }

    // The next table, or at level 0 the translated address.
    Answer follow(std::uint64_t at, std::uint64_t address, unsigned level, std::uint8_t access,
                  bool rights) const {
        if (!memory_.has(at)) return {at, fault_memory};
        const std::uint64_t entry = memory_[at];
        if (level == 0 && rights && !(entry & 1)) return {at, fault_invalid};
        if (entry > ones(Geometry::address_width)) return {at, fault_reserved};
        if (level > 0) return {entry, fault_none};
        if (rights && !(entry >> (1 + access) & 1)) return {at, fault_permission};
        const std::uint64_t offset = ones(Geometry::offset_width);
        return {(entry & ~offset) | (address & offset), fault_none};
    }

    const Memory& memory_;
};

template <class Model, class Geometry>
class HarnessOf final : public Harness {
public:
    HarnessOf(rust::Slice<const HarnessWord> words, rust::Slice<const HarnessQuery> queries,
              std::uint32_t latency)
        : memory_(words), queries_(queries.begin(), queries.end()), latency_(latency) {
        // A first evaluation with the clock high would not be a rising edge.
        model_.clk_i = 0;
        model_.rst_ni = 0;
        model_.eval();
    }

    ~HarnessOf() override { model_.final(); }

    HarnessFigures run() override {
        Model& m = model_;
        const Golden<Geometry> golden(memory_);
        HarnessFigures figures{};

        reset();
        std::array<std::uint32_t, ids> query_of;
        query_of.fill(no_query);
        std::array<std::uint8_t, ids> free_ids;
        for (std::size_t i = 0; i < ids; ++i) free_ids[i] = static_cast<std::uint8_t>(i);
        std::size_t free_count = ids;

        // The latency is fixed, so replies come in the order of their reads.
        std::array<Reply, reads_in_flight> replies;
        std::size_t first_reply = 0;
        std::size_t reply_count = 0;

        m.rsp_ready_i = 1;
        m.mem_req_ready_i = 1;
        m.mem_rsp_error_i = 0;
        // The host table is always on; the other fields of a context are for RISC-V.
        m.req_virt_i = 1;
        m.req_host_levels_i = levels;
        m.req_user_i = 0;
        m.req_sum_i = 0;
        m.req_guest_mxr_i = 0;
        m.req_host_mxr_i = 0;
        m.req_guest_adue_i = 0;
        m.req_host_adue_i = 0;
        m.req_guest_pbmte_i = 0;
        m.req_host_pbmte_i = 0;
        m.req_napot_i = 0;
        std::size_t next = 0;
        std::uint64_t tail = 0;
        std::uint64_t last_answer = 0;
        for (std::uint64_t cycle = 0;; ++cycle) {
            if (figures.translations == queries_.size() && ++tail > tail_cycles) break;
            if (cycle - last_answer > patience) throw std::runtime_error("the device hangs");
            if (!m.req_valid_i && next < queries_.size() && free_count > 0) {
                const HarnessQuery& query = queries_[next];
                const std::uint8_t id = free_ids[--free_count];
                query_of[id] = static_cast<std::uint32_t>(next++);
                m.req_valid_i = 1;
                m.req_id_i = id;
                m.req_access_i = query.access;
                m.req_gva_i = query.gva;
                m.req_guest_levels_i = query.nested ? levels : 0;
                m.req_rights_i = query.rights;
                m.req_asid_i = query.asid;
                m.req_vmid_i = query.vmid;
                m.req_guest_root_i = query.guest_root;
                m.req_host_root_i = query.host_root;
            }
            m.mem_rsp_valid_i = reply_count > 0 && replies[first_reply].due <= cycle;
            if (m.mem_rsp_valid_i) {
                const Reply& reply = replies[first_reply];
                m.mem_rsp_id_i = reply.id;
                m.mem_rsp_error_i = reply.error;
                m.mem_rsp_data_i = reply.word;
            }

            m.clk_i = 0;
            m.eval();

            // Sampled before the edge, driven after it.
            if (m.mem_rsp_valid_i && m.mem_rsp_ready_o) {
                first_reply = (first_reply + 1) % reads_in_flight;
                --reply_count;
            }
            if (m.mem_req_valid_o) {
                if (reply_count == reads_in_flight)
                    throw std::runtime_error("more reads than walks");
                if (m.mem_req_update_o)
                    throw std::runtime_error("an update in a format without updates");
                const std::uint64_t at = m.mem_req_hpa_o;
                const bool error = at % 4 != 0 || !memory_.has(at);
                replies[(first_reply + reply_count++) % reads_in_flight] = {
                    cycle + latency_, error ? 0 : memory_[at], m.mem_req_id_o, error};
                ++figures.reads;
            }
            if (m.rsp_valid_o) {
                const std::uint8_t id = m.rsp_id_o;
                const std::uint32_t number = query_of[id];
                if (number == no_query) throw std::runtime_error("a response without a request");
                check(golden, queries_[number], number);
                query_of[id] = no_query;
                free_ids[free_count++] = id;
                figures.hits += m.rsp_hit_o;
                ++figures.translations;
                last_answer = cycle;
            }
            const bool accepted = m.req_valid_i && m.req_ready_o;

            m.clk_i = 1;
            m.eval();
            if (accepted) m.req_valid_i = 0;
            ++figures.cycles;
        }
        return figures;
    }

private:
    struct Reply {
        std::uint64_t due;
        std::uint32_t word;
        std::uint8_t id;
        bool error;
    };

    static constexpr std::size_t ids = 256;
    static constexpr std::size_t reads_in_flight = 16;
    static constexpr std::uint32_t no_query = UINT32_MAX;
    // Cycles after the last response in which no further response may come.
    static constexpr std::uint64_t tail_cycles = 24;
    // Cycles without a response after which the device counts as dead.
    static constexpr std::uint64_t patience = 1'000'000;

    void reset() {
        model_.req_valid_i = 0;
        model_.rsp_ready_i = 0;
        model_.fence_valid_i = 0;
        model_.fence_virt_i = 1;
        model_.mem_req_ready_i = 0;
        model_.mem_rsp_valid_i = 0;
        model_.rst_ni = 0;
        for (int i = 0; i < 2; ++i) {
            model_.clk_i = 0;
            model_.eval();
            model_.clk_i = 1;
            model_.eval();
        }
        model_.rst_ni = 1;
    }

    void check(const Golden<Geometry>& golden, const HarnessQuery& query,
               std::uint32_t number) const {
        const Answer expected = golden.translate(query);
        const bool right = model_.rsp_fault_kind_o == expected.fault
                           && (expected.fault || model_.rsp_hpa_o == expected.address);
        if (!right)
            throw std::runtime_error("query " + std::to_string(number) + " has a wrong response");
    }

    Memory memory_;
    std::vector<HarnessQuery> queries_;
    std::uint64_t latency_;
    // In this order: the model uses the context.
    VerilatedContext context_;
    Model model_{&context_, ""};
};

}  // namespace

std::unique_ptr<Harness> make_harness(rust::Str format, rust::Slice<const HarnessWord> words,
                                      rust::Slice<const HarnessQuery> queries,
                                      std::uint32_t latency) {
    if (words.empty()) throw std::invalid_argument("a harness needs memory");
    if (format == "handout") {
        return std::make_unique<HarnessOf<Vhandout, Handout>>(words, queries, latency);
    }
    if (format == "classic32") {
        return std::make_unique<HarnessOf<Vclassic32, Classic32>>(words, queries, latency);
    }
    throw std::invalid_argument("no harness is over a device called " + std::string(format));
}

}  // namespace nestwalk
