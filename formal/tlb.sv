// SPDX-License-Identifier: Apache-2.0
// The TLB: one-hot hits, hits that return the last fill, and fences that invalidate every entry
// that they match and no other.
//
// Proved for one page, of one address space, that never changes and is otherwise free (watch_i),
// and for two ways that are likewise free (way_a_i, way_b_i): so for every page and any two ways.
// The rules which entries a fence matches, and which pages an entry covers, are in tlb_facts.svh.

`include "nested_mmu_types.svh"

module tlb_properties
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format     = FormatHandout,
  parameter int unsigned TlbEntries = 4,
  parameter int unsigned MaxLevels  = 5,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: TlbEntries, WalkSlots: 2, MissEntries: 4, IdWidth: 8,
    AsidWidth: 16, VmidWidth: 14, MaxLevels: MaxLevels, Svadu: 1'b1, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg),
  localparam type way_t = logic [index_width(Cfg.TlbEntries)-1:0]
) (
  input logic      clk_i,
  input logic      rst_ni,
  input tlb_key_t  key_i,
  input logic      use_i,
  input logic      fill_valid_i,
  input tlb_data_t fill_data_i,
  input logic      fence_valid_i,
  input fence_t    fence_i,

  input tlb_key_t  watch_i,
  input way_t      way_a_i,
  input way_t      way_b_i
);

  logic    hit;
  translation_t  translation;
  perms_t perms;
  logic    is_global;

  tlb #(.Cfg(Cfg)) u_dut (
    .clk_i,
    .rst_ni,
    .key_i,
    .hit_o    (hit),
    .translation_o  (translation),
    .perms_o (perms),
    .global_o (is_global),
    .use_i,
    .fill_valid_i,
    .fill_data_i,
    .fence_valid_i,
    .fence_i
  );

  `include "tlb_facts.svh"

  ///////////////////////
  // Assumptions       //
  ///////////////////////

  logic     started_q = 1'b0;
  tlb_key_t watch_q;
  way_t     way_a_q, way_b_q;
  always_ff @(posedge clk_i) begin : p_started
    started_q <= 1'b1;
    watch_q   <= watch_i;
    way_a_q   <= way_a_i;
    way_b_q   <= way_b_i;
  end

  always_comb begin : p_assume
    assume (rst_ni == started_q);
    if (started_q) assume (watch_i == watch_q && way_a_i == way_a_q && way_b_i == way_b_q);
    assume (way_a_i != way_b_i);
    // A lookup and a fill never come in one cycle, nor a fill and a fence that matches it: mmu.sv
    // shows both.
    assume (!(fill_valid_i && use_i));
    assume (!(fill_valid_i && fence_valid_i && is_matched(fence_i, key_i, fill_data_i)));
    assume (!use_i || hit);
    assume (!fill_valid_i || has_shape(key_i, fill_data_i));
    assume (Riscv || watch_i.tag.virt);
  end

  ///////////////////////////////
  // The watched page          //
  ///////////////////////////////

  // The last fill that covered the page, until a fence matched it or another fill replaced it.
  logic      known_q;
  tlb_key_t  known_key_q;
  tlb_data_t known_data_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_known
    if (!rst_ni)                                                          known_q <= 1'b0;
    else if (fill_valid_i && covers(key_i, fill_data_i, watch_i))         known_q <= 1'b1;
    else if (fence_valid_i && is_matched(fence_i, known_key_q, known_data_q))  known_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin : p_known_data
    if (fill_valid_i && covers(key_i, fill_data_i, watch_i)) begin
      known_key_q  <= key_i;
      known_data_q <= fill_data_i;
    end
  end

  logic      valid_a, valid_b, there, overlap, shaped;
  tlb_key_t  key_a, key_b;
  tlb_data_t data_a, data_b;
  assign valid_a = u_dut.valid_q[way_a_i];
  assign valid_b = u_dut.valid_q[way_b_i];
  assign key_a   = u_dut.key_q[way_a_i];
  assign key_b   = u_dut.key_q[way_b_i];
  assign data_a  = u_dut.data_q[way_a_i];
  assign data_b  = u_dut.data_q[way_b_i];
  assign there   = valid_a && covers(key_a, data_a, watch_i);

  // Two entries that both cover a page, in one address space.
  function automatic logic meet(tlb_key_t key, tlb_data_t data, tlb_key_t other_key,
                                tlb_data_t other_data);
    tlb_data_t both;
    both                  = data;
    both.is_global        = data.is_global || other_data.is_global;
    both.translation.guest_span = (data.translation.guest_span & data.translation.host_span)
                          | (other_data.translation.guest_span & other_data.translation.host_span);
    both.translation.host_span  = both.translation.guest_span;
    return covers(key, both, other_key);
  endfunction
  // Any two entries: the data of a hit are the OR of all ways that match.
  always_comb begin : p_overlap
    overlap = 1'b0;
    shaped  = 1'b1;
    for (int unsigned a = 0; a < Cfg.TlbEntries; a++) begin
      if (u_dut.valid_q[a] && !has_shape(u_dut.key_q[a], u_dut.data_q[a])) shaped = 1'b0;
      for (int unsigned b = 0; b < a; b++) begin
        if (u_dut.valid_q[a] && u_dut.valid_q[b]
            && meet(u_dut.key_q[a], u_dut.data_q[a], u_dut.key_q[b],
                    u_dut.data_q[b])) overlap = 1'b1;
      end
    end
  end

  // The entry was present in the cycle before, and neither a fill nor a fence that matches it came.
  logic kept_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_kept
    if (!rst_ni) kept_q <= 1'b0;
    else         kept_q <= there && !fill_valid_i
                        && !(fence_valid_i && is_matched(fence_i, known_key_q, known_data_q));
  end

  translation_t expected;
  always_comb begin : p_expected
    page_t mask;
    mask          = in_page(known_data_q.translation.guest_span
                            & known_data_q.translation.host_span);
    expected      = known_data_q.translation;
    expected.gppn = gppn_t'((page_t'(expected.gppn) & ~mask) | (page_t'(watch_i.vpn) & mask));
    expected.hppn = hppn_t'((page_t'(expected.hppn) & ~mask) | (page_t'(watch_i.vpn) & mask));
  end

  always_comb begin : p_properties
    if (rst_ni) begin
      // 2.1 No two entries cover one page.
      Disjoint_A: assert (!overlap);
      Shape_A:    assert (shaped);
      // 2.2 A lookup hits one entry at most.
      OneHot_A:   assert (fill_valid_i || !(u_dut.match[way_a_i] && u_dut.match[way_b_i]));
      // 2.3 An entry that covers a page is the last one filled for it, which no fence has matched
      // since.
      LastFill_A: assert (!there || (known_q && key_a == known_key_q && data_a == known_data_q));
      // 2.4 A hit returns the last fill for its page, at the page's own place in it.
      if (hit && !fill_valid_i && key_i == watch_i && u_dut.match[way_a_i]) begin
        HitIsThere_A: assert (there && known_q);
        HitPlace_A:   assert (translation == expected);
        HitGrants_A:  assert (perms == known_data_q.perms && is_global == known_data_q.is_global);
      end
      // 2.5 A lookup of a page that is present hits.
      Found_A:  assert (fill_valid_i || key_i != watch_i || !there || hit);
      // 2.6 An entry stays in a cycle without a fill and without a fence that matches it.
      Stays_A:  assert (!kept_q || there);

      Hit_C:        cover (hit && !fill_valid_i && key_i == watch_i && use_i);
      Superpage_C:  cover (!Riscv || (there && hit && !fill_valid_i && key_i == watch_i
                                          && key_a.vpn != watch_i.vpn
                                          && translation.hppn != data_a.translation.hppn));
      Replaced_C:   cover (fill_valid_i && valid_a && meet(key_a, data_a, key_i, fill_data_i)
                           && !u_dut.fill_way[way_a_i] || !Riscv);
      FenceSpares_C: cover (fence_valid_i && there && !is_matched(fence_i, key_a, data_a) && valid_b
                            && is_matched(fence_i, key_b, data_b));
    end
  end

endmodule
