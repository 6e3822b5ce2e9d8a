// SPDX-License-Identifier: Apache-2.0
// The page-walk caches: a hit returns the last read for its prefix, which no fence has matched
// since.
//
// Proved for one address space, gVA and gPA that never change and are otherwise free (watch_*), for
// the tables of one level, and for two ways that are free too: so for every prefix and any two
// ways. The rules of fills and fences are written here from docs/ports.md.

`include "nested_mmu_types.svh"

module walk_caches_properties
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format  = FormatRv64,
  parameter int unsigned Level   = 0,
  parameter int unsigned Entries = 2,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: 4, WalkSlots: 2, MissEntries: 4, IdWidth: 2, AsidWidth: 4,
    VmidWidth: 4, MaxLevels: 5, Svadu: 1'b1, GuestCacheEntries: Entries,
    HostCacheEntries: Entries, NestedTlbEntries: Entries, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg),
  localparam type way_t = logic [index_width(Entries)-1:0]
) (
  input logic         clk_i,
  input logic         rst_ni,
  input walk_caches_t use_i,
  input logic         lookup_valid_i,
  input walk_t        lookup_walk_i,
  input logic         step_valid_i,
  input walk_t        step_walk_i,
  input walk_t        step_next_i,
  input logic         fence_valid_i,
  input fence_t       fence_i,

  input as_tag_t       watch_space_i,
  input gva_t         watch_gva_i,
  input gpa_t         watch_gpa_i,
  input way_t         way_a_i,
  input way_t         way_b_i
);

  logic  lookup_ready;
  pwc_hit_t pwc_hit;

  walk_caches #(.Cfg(Cfg)) u_dut (
    .clk_i,
    .rst_ni,
    .use_i,
    .lookup_valid_i,
    .lookup_ready_o (lookup_ready),
    .lookup_walk_i,
    .pwc_hit_o  (pwc_hit),
    .step_valid_i,
    .step_walk_i,
    .step_next_i,
    .fence_valid_i,
    .fence_i
  );

  //////////////////////////////////
  // Prefixes, spaces, and fences //
  //////////////////////////////////

  localparam type word_t = logic [63:0];
  // log2 of the size in bytes of the range that a table of the level maps
  localparam int unsigned Reach = 12 + (Level + 1) * Cfg.IndexWidth;

  function automatic logic same_prefix(word_t a, word_t b, int unsigned log2);
    return (a >> log2) == (b >> log2);
  endfunction

  function automatic logic same_guest(as_tag_t a, as_tag_t b);
    return a.virt == b.virt && a.guest_levels == b.guest_levels && a.host_levels == b.host_levels
        && a.rights == b.rights && a.asid == b.asid && (!a.virt || a.vmid == b.vmid);
  endfunction

  function automatic logic same_host(as_tag_t a, as_tag_t b);
    return a.virt && b.virt && a.host_levels == b.host_levels && a.vmid == b.vmid;
  endfunction

  // A fence with a gPA matches the guest tables of its address spaces at any gPA.
  function automatic logic matches_guest(fence_t fence, as_tag_t tag, gva_t gva);
    return fence.scope.virt == tag.virt
        && (!fence.scope.use_asid || fence.scope.asid == tag.asid)
        && (!fence.scope.use_vmid || !tag.virt || fence.scope.vmid == tag.vmid)
        && (!fence.use_gva || same_prefix(word_t'(fence.gva), word_t'(gva), Reach));
  endfunction

  function automatic logic is_of_host(fence_t fence, as_tag_t tag);
    return fence.scope.virt && !fence.use_gva && !fence.scope.use_asid
        && (!fence.scope.use_vmid || fence.scope.vmid == tag.vmid);
  endfunction

  // The caches hold only gPAs that the host stage maps.
  function automatic logic is_mapped(gpa_t gpa);
    return (word_t'(gpa) >> Cfg.GpaMapWidth) == '0;
  endfunction

  /////////////////
  // Assumptions //
  /////////////////

  logic   started_q = 1'b0;
  as_tag_t space_q;
  gva_t   gva_q;
  gpa_t   gpa_q;
  way_t   way_a_q, way_b_q;
  always_ff @(posedge clk_i) begin : p_started
    started_q <= 1'b1;
    space_q   <= watch_space_i;
    gva_q     <= watch_gva_i;
    gpa_q     <= watch_gpa_i;
    way_a_q   <= way_a_i;
    way_b_q   <= way_b_i;
  end

  // The fills and fences of this cycle for the watched addresses.
  logic fills_guest, fills_host, fills_nested, fence_guest, fence_host, fence_nested;
  assign fills_guest  = step_valid_i && step_walk_i.stage == StageGuest
      && step_walk_i.purpose == PurposeRead
                     && 32'(step_walk_i.guest_level) == Level
                     && 32'(step_walk_i.query.ctx.tag.guest_levels) != Level + 1
                     && same_guest(step_walk_i.query.ctx.tag, watch_space_i)
                     && same_prefix(word_t'(step_walk_i.query.gva), word_t'(watch_gva_i), Reach);
  assign fills_host   = step_valid_i && step_walk_i.stage == StageHost && !step_walk_i.update
                     && 32'(step_walk_i.host_level) == Level
                     && 32'(step_walk_i.query.ctx.tag.host_levels) != Level + 1
                     && same_host(step_walk_i.query.ctx.tag, watch_space_i)
                     && same_prefix(word_t'(step_walk_i.gpa), word_t'(watch_gpa_i), Reach);
  assign fills_nested = step_valid_i && step_walk_i.stage == StageHost
                     && step_walk_i.purpose == PurposeRead && step_next_i.stage == StageGuest
                     && same_host(step_walk_i.query.ctx.tag, watch_space_i)
                     && same_prefix(word_t'(step_walk_i.gpa), word_t'(watch_gpa_i), 12);
  assign fence_guest  = fence_valid_i && matches_guest(fence_i, watch_space_i, watch_gva_i);
  assign fence_nested = fence_valid_i && is_of_host(fence_i, watch_space_i);
  assign fence_host   = fence_nested
                     && (!fence_i.use_gpa
                         || same_prefix(word_t'(fence_i.gpa), word_t'(watch_gpa_i), Reach));

  always_comb begin : p_assume
    assume (rst_ni == started_q);
    if (started_q) begin
      assume (watch_space_i == space_q && watch_gva_i == gva_q && watch_gpa_i == gpa_q);
      assume (way_a_i == way_a_q && way_b_i == way_b_q);
    end
    assume (way_a_i != way_b_i);
    assume (watch_space_i.virt || watch_space_i.host_levels == '0);
    // The walk engine keeps a fill out of the cycle of a fence that matches its walk: 3.1 of
    // mmu.sv.
    assume (!(fills_guest && fence_guest) && !(fills_host && fence_host)
            && !(fills_nested && fence_nested));
    // A walk is at a level that its mode has.
    assume (32'(lookup_walk_i.guest_level) < Cfg.Levels
            && 32'(step_walk_i.guest_level) < Cfg.Levels);
    assume (32'(lookup_walk_i.host_level) < Cfg.Levels && 32'(step_walk_i.host_level) < Cfg.Levels);
    // It is in a stage that is on; before the first entry of a stage it is in the host stage if
    // that is on: 7 and walk_facts.sv.
    assume (step_walk_i.stage != StageHost || step_walk_i.query.ctx.tag.host_levels != '0);
    assume ((lookup_walk_i.stage == StageHost) == (lookup_walk_i.query.ctx.tag.host_levels != '0));
    assume (lookup_walk_i.query.ctx.tag.virt || lookup_walk_i.query.ctx.tag.host_levels == '0);
    assume (step_walk_i.query.ctx.tag.virt || step_walk_i.query.ctx.tag.host_levels == '0);
    // The walk step faults for a wider gPA: 7.4.
    assume (is_mapped(watch_gpa_i) && is_mapped(lookup_walk_i.gpa) && is_mapped(step_walk_i.gpa));
    // A fence whose gPA cannot be mapped matches more entries than necessary.
    assume (!fence_i.use_gpa || is_mapped(fence_i.gpa));
  end

  ////////////////////////////
  // The last reads         //
  ////////////////////////////

  typedef struct packed {
    hppn_t hppn;
    gppn_t gppn;
    logic  is_global;
  } guest_table_t;

  logic         known_guest_q, known_host_q, known_nested_q;
  guest_table_t guest_q;
  hppn_t        host_q, nested_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_known
    if (!rst_ni) begin
      known_guest_q  <= 1'b0;
      known_host_q   <= 1'b0;
      known_nested_q <= 1'b0;
    end else begin
      known_guest_q  <= fills_guest || (known_guest_q && !fence_guest);
      known_host_q   <= fills_host || (known_host_q && !fence_host);
      known_nested_q <= fills_nested || (known_nested_q && !fence_nested);
    end
  end

  always_ff @(posedge clk_i) begin : p_last
    if (fills_guest) begin
      guest_q <= '{hppn: step_walk_i.hpa[Cfg.HpaWidth-1:12], gppn: gppn_t'(step_walk_i.gpa >> 12),
                   is_global: step_walk_i.is_global};
    end
    if (fills_host)   host_q   <= step_walk_i.hpa[Cfg.HpaWidth-1:12];
    if (fills_nested) nested_q <= step_next_i.hpa[Cfg.HpaWidth-1:12];
  end

  // The entries of two ways, and whether they are the watched ones.
  logic [1:0]   guest_there, host_there, nested_there, guest_shape, host_shape, nested_shape;
  guest_table_t guest_data [2];
  hppn_t        host_data [2], nested_data [2];
  as_tag_t       guest_space [2];
  way_t         ways [2];
  assign ways[0] = way_a_i;
  assign ways[1] = way_b_i;

  for (genvar i = 0; i < 2; i++) begin : gen_way
    word_t guest_vpn, host_gppn;
    assign guest_vpn       = word_t'(u_dut.gen_level[Level].gen_guest.u_cache.key_q[ways[i]].vpn);
    assign guest_space[i]  = u_dut.gen_level[Level].gen_guest.u_cache.key_q[ways[i]].tag;
    assign guest_data[i]   = u_dut.gen_level[Level].gen_guest.u_cache.data_q[ways[i]];
    assign guest_there[i]  = u_dut.gen_level[Level].gen_guest.u_cache.valid_q[ways[i]]
                          && same_guest(guest_space[i], watch_space_i)
                          && same_prefix(guest_vpn, word_t'(watch_gva_i) >> 12, Reach - 12);
    // A key contains only its prefix.
    assign guest_shape[i]  = !u_dut.gen_level[Level].gen_guest.u_cache.valid_q[ways[i]]
                          || (guest_vpn % (word_t'(1) << (Reach - 12)) == '0
                              && (guest_space[i].virt || guest_space[i].vmid == '0));
    assign host_gppn       = word_t'(u_dut.gen_level[Level].gen_host.u_cache.key_q[ways[i]].gppn);
    assign host_data[i]    = u_dut.gen_level[Level].gen_host.u_cache.data_q[ways[i]];
    assign host_there[i]   = u_dut.gen_level[Level].gen_host.u_cache.valid_q[ways[i]]
                          && u_dut.gen_level[Level].gen_host.u_cache.key_q[ways[i]].host_levels
                              == watch_space_i.host_levels
                          && u_dut.gen_level[Level].gen_host.u_cache.key_q[ways[i]].vmid
                              == watch_space_i.vmid
                          && same_prefix(host_gppn, word_t'(watch_gpa_i) >> 12, Reach - 12)
                          && watch_space_i.virt;
    assign host_shape[i]   = !u_dut.gen_level[Level].gen_host.u_cache.valid_q[ways[i]]
                          || (host_gppn % (word_t'(1) << (Reach - 12)) == '0
                              && u_dut.gen_level[Level].gen_host.u_cache.key_q[ways[i]].host_levels
                                 != '0);
    assign nested_shape[i] = !u_dut.gen_nested.u_cache.valid_q[ways[i]]
                          || u_dut.gen_nested.u_cache.key_q[ways[i]].host_levels != '0;
    assign nested_data[i]  = u_dut.gen_nested.u_cache.data_q[ways[i]];
    assign nested_there[i] = u_dut.gen_nested.u_cache.valid_q[ways[i]] && watch_space_i.virt
                          && u_dut.gen_nested.u_cache.key_q[ways[i]].host_levels
                              == watch_space_i.host_levels
                          && u_dut.gen_nested.u_cache.key_q[ways[i]].vmid == watch_space_i.vmid
                          && word_t'(u_dut.gen_nested.u_cache.key_q[ways[i]].gppn)
                              == word_t'(watch_gpa_i) >> 12;
  end

  logic looks, looks_guest, looks_host, looks_nested;
  assign looks        = lookup_valid_i && lookup_ready;
  assign looks_guest  = looks && pwc_hit.kind == PwcGuest && 32'(pwc_hit.level) == Level
                     && same_guest(lookup_walk_i.query.ctx.tag, watch_space_i)
                     && same_prefix(word_t'(lookup_walk_i.query.gva), word_t'(watch_gva_i), Reach);
  assign looks_host   = looks && pwc_hit.kind == PwcHost && 32'(pwc_hit.level) == Level
                     && same_host(lookup_walk_i.query.ctx.tag, watch_space_i)
                     && same_prefix(word_t'(lookup_walk_i.gpa), word_t'(watch_gpa_i), Reach);
  assign looks_nested = looks && pwc_hit.kind == PwcNested
                     && same_host(lookup_walk_i.query.ctx.tag, watch_space_i)
                     && same_prefix(word_t'(lookup_walk_i.gpa), word_t'(watch_gpa_i), 12);

  always_comb begin : p_properties
    if (rst_ni) begin
      // 9.1 (helper) A key is a prefix of a host stage that is on, and no two ways have the same
      // key.
      Shapes_A:     assert (&guest_shape && &host_shape && &nested_shape);
      OneGuest_A:   assert (guest_there != 2'b11);
      OneHost_A:    assert (host_there != 2'b11);
      OneNested_A:  assert (nested_there != 2'b11);
      // 9.2 An entry for a guest table, a host table or the page of a guest table contains the last
      // read for its prefix, which no fence has matched since.
      GuestIs_A:    assert (!guest_there[0] || (known_guest_q && guest_data[0] == guest_q));
      HostIs_A:     assert (!host_there[0] || (known_host_q && host_data[0] == host_q));
      NestedIs_A:   assert (!nested_there[0] || (known_nested_q && nested_data[0] == nested_q));
      // 9.3 A hit returns that entry, and only from a cache that is in use.
      if (looks_guest && u_dut.gen_level[Level].gen_guest.u_cache.match[way_a_i]) begin
        GuestGiven_A: assert (use_i.guest && known_guest_q && pwc_hit.hppn == guest_q.hppn
                              && pwc_hit.gppn == guest_q.gppn
                              && pwc_hit.is_global == guest_q.is_global);
      end
      if (looks_host && u_dut.gen_level[Level].gen_host.u_cache.match[way_a_i]) begin
        HostGiven_A: assert (use_i.host && known_host_q && pwc_hit.hppn == host_q);
      end
      if (looks_nested && u_dut.gen_nested.u_cache.match[way_a_i]) begin
        NestedGiven_A: assert (use_i.nested && known_nested_q && pwc_hit.hppn == nested_q);
      end
      // 9.4 A hit skips the host stage only for reads of guest entries, and only at the host root;
      // a hit of a guest table is only at the guest root.
      NestedReads_A: assert (!looks || pwc_hit.kind != PwcNested
                             || (lookup_walk_i.purpose == PurposeRead
                                 && lookup_walk_i.stage == StageHost));
      HostRoot_A:    assert (!looks || pwc_hit.kind != PwcHost || 32'(pwc_hit.level) != Level
                             || lookup_walk_i.stage == StageHost);
      GuestRoot_A:   assert (!looks || pwc_hit.kind != PwcGuest
                             || (lookup_walk_i.purpose == PurposeRead
                                 && 32'(lookup_walk_i.guest_level) + 1
                                     == 32'(lookup_walk_i.query.ctx.tag.guest_levels)));

      Guest_C:      cover (looks_guest && guest_q.is_global);
      Host_C:       cover (looks_host);
      Nested_C:     cover (looks_nested);
      FenceNames_C: cover (fence_guest && guest_there[0] && fence_i.use_gva);
      FenceHost_C:  cover (fence_host && host_there[0] && fence_i.use_gpa);
      FenceSpares_C: cover (fence_valid_i && guest_there[0] && !fence_guest && fence_i.scope.virt
                            && watch_space_i.virt);
    end
  end

endmodule
