// SPDX-License-Identifier: Apache-2.0
// The sets of the second-level TLB: hits that return the fill of a walk, fences that apply at once
// to every entry that they match, and the entries that they leave.
//
// Proved for one way (the parameter) of one set that never changes and is otherwise free (set_i),
// so for all. Pages larger than the smallest size are in an instance of tlb.sv, which has
// properties of its own. The rules which entries a fence matches, and which pages an entry covers,
// are in tlb_facts.svh.

`include "nested_mmu_types.svh"

module tlb2_properties
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format    = FormatRv32,
  parameter int unsigned Sets      = 4,
  parameter int unsigned Way       = 0,
  parameter int unsigned MaxLevels = 5,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: 4, WalkSlots: 2, MissEntries: 4, IdWidth: 8, AsidWidth: 16,
    VmidWidth: 14, MaxLevels: MaxLevels, Svadu: 1'b1, Tlb2Sets: Sets, Tlb2Ways: 2, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg),
  localparam type set_t = logic [index_width(Sets)-1:0]
) (
  input logic      clk_i,
  input logic      rst_ni,
  input logic      read_valid_i,
  input vpn_t      read_vpn_i,
  input logic      lookup_valid_i,
  input tlb_key_t  lookup_key_i,
  input logic      use_i,
  input access_e   lookup_access_i,
  input priv_ctx_t      lookup_priv_i,
  input tlb_key_t  key_i,
  input logic      fill_valid_i,
  input tlb_data_t fill_data_i,
  input logic      fence_valid_i,
  input fence_t    fence_i,

  input set_t      set_i
);

  logic      hit;
  tlb_data_t data;

  tlb2 #(.Cfg(Cfg)) u_dut (
    .clk_i,
    .rst_ni,
    .read_valid_i,
    .read_vpn_i,
    .lookup_valid_i,
    .lookup_key_i,
    .lookup_access_i,
    .lookup_priv_i,
    .hit_o  (hit),
    .data_o (data),
    .use_i,
    .key_i,
    .fill_valid_i,
    .fill_data_i,
    .fence_valid_i,
    .fence_i
  );

  `include "tlb_facts.svh"

  function automatic logic permits_access(tlb_data_t found, tlb_key_t key, access_e access,
                                          priv_ctx_t priv);
    return !Riscv || perms_permit(found.perms, key.tag.guest_levels != '0, access, priv);
  endfunction

  ///////////////////////
  // Assumptions       //
  ///////////////////////

  logic started_q = 1'b0;
  set_t set_q, asked_q;
  logic was_asked_q;
  always_ff @(posedge clk_i) begin : p_started
    started_q   <= 1'b1;
    set_q       <= set_i;
    was_asked_q <= read_valid_i;
    asked_q     <= set_t'(read_vpn_i);
  end

  always_comb begin : p_assume
    assume (rst_ni == started_q);
    if (started_q) assume (set_i == set_q);
    // nested_mmu.sv ensures that a lookup was requested in the cycle before, and that lookup, fill
    // and fence do not come in one cycle, except fills that the fence does not match.
    assume (!lookup_valid_i || (was_asked_q && asked_q == set_t'(lookup_key_i.vpn)
                                && lookup_key_i == key_i));
    assume (!(fill_valid_i && lookup_valid_i));
    assume (!(fill_valid_i && use_i));
    assume (!(fence_valid_i && lookup_valid_i));
    assume (!(fill_valid_i && fence_valid_i && is_matched(fence_i, key_i, fill_data_i)));
    assume (!fill_valid_i || has_shape(key_i, fill_data_i));
    assume (Riscv || !lookup_valid_i || key_i.tag.virt);
  end

  ///////////////////////
  // The way           //
  ///////////////////////

  // The last fill of the way, and whether a fence has matched it since.
  logic      filled, live_q, valid, doubt, looked, found, allowed, refused;
  tlb_key_t  known_key_q;
  tlb_data_t known_data_q;

  assign filled = fill_valid_i && u_dut.fill_small && u_dut.fill_way[Way]
      && set_t'(key_i.vpn) == set_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_live
    if (!rst_ni)                                                         live_q <= 1'b0;
    else if (filled)                                                     live_q <= 1'b1;
    else if (fence_valid_i && is_matched(fence_i, known_key_q, known_data_q)) live_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin : p_known
    if (filled) begin
      known_key_q  <= key_i;
      known_data_q <= fill_data_i;
    end
  end

  // The last fence, and the facts that are kept of it: its scope, its pages, and whether its
  // addresses can be mapped.
  fence_t fence_q;
  logic   fenced_q, is_kept;
  page_t  above_gva, above_gpa;
  always_ff @(posedge clk_i) begin : p_fence
    if (fence_valid_i) fence_q <= fence_i;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_fenced
    if (!rst_ni)            fenced_q <= 1'b0;
    else if (fence_valid_i) fenced_q <= 1'b1;
  end
  assign above_gva = page_t'($signed(fence_q.gva) >>> (Cfg.GvaMapWidth - 1));
  assign above_gpa = page_t'(fence_q.gpa) >> (Cfg.GpaMapWidth - 1) >> 1;
  assign is_kept   = u_dut.scope_q == fence_q.scope
                  && u_dut.pages_q.use_gva == fence_q.use_gva
                  && u_dut.pages_q.use_gpa == fence_q.use_gpa
                  && u_dut.pages_q.vpn == vpn_t'(fence_q.gva >> Cfg.OffsetWidth)
                  && u_dut.pages_q.gppn == gppn_t'(fence_q.gpa >> Cfg.OffsetWidth)
                  && u_dut.pages_q.gva_mappable == (above_gva == '0 || above_gva == '1
                                                    || Cfg.GvaMapWidth == Cfg.GvaWidth)
                  && u_dut.pages_q.gpa_mappable == (above_gpa == '0);

  assign valid   = u_dut.valid_q[set_i][Way];
  assign doubt   = u_dut.stale_pending_q[set_i][Way];
  assign looked  = lookup_valid_i && set_t'(key_i.vpn) == set_i;
  assign found   = looked && covers(known_key_q, known_data_q, key_i);
  assign allowed = permits_access(known_data_q, key_i, lookup_access_i, lookup_priv_i);
  assign refused = found && !allowed;

  // The word that was read from this set is valid, because the way was not filled in that cycle.
  logic read, counts;
  assign read   = (u_dut.set_q == set_i);
  assign counts = read && u_dut.set_valid_q[Way];

  // The entry was present and not invalidated, and nothing in this cycle must or may invalidate it.
  logic kept_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_kept
    if (!rst_ni) kept_q <= 1'b0;
    else kept_q <= valid && live_q && !refused
                && !(fill_valid_i && set_t'(key_i.vpn) == set_i)
                && !(fence_valid_i && (doubt || is_matched(fence_i, known_key_q, known_data_q)));
  end

  // A fence by gVA came for another set, the entry is not a splinter of a larger guest page, and no
  // entry was stale pending before.
  logic spared_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_spared
    if (!rst_ni) spared_q <= 1'b0;
    else spared_q <= valid && live_q && !doubt && fence_valid_i && fence_i.use_gva
                  && known_data_q.translation.guest_span == '0
                  && set_t'(fence_i.gva >> Cfg.OffsetWidth) != set_i;
  end

  // This way hit, or no way did, and its contents.
  logic      was_used_q, was_missed_q;
  tlb_data_t was_known_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_was
    if (!rst_ni) {was_used_q, was_missed_q} <= '0;
    else begin
      was_used_q   <= looked && u_dut.used[Way];
      was_missed_q <= lookup_valid_i && u_dut.used == '0;
    end
  end
  always_ff @(posedge clk_i) begin : p_was_known
    was_known_q <= known_data_q;
  end

  // The set was read, and no fence has come since.
  logic read_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_read
    if (!rst_ni) read_q <= 1'b0;
    else         read_q <= read && !fence_valid_i;
  end

  always_comb begin : p_properties
    if (rst_ni) begin
      // 10.1 A way contains its last fill, of a smallest page of its set.
      Memory_A: assert (!valid || (u_dut.gen_way[Way].u_lines.word_q[set_i].key == known_key_q
                                   && u_dut.gen_way[Way].u_lines.word_q[set_i].data
                                       == known_data_q));
      Shape_A:  assert (!valid || (has_shape(known_key_q, known_data_q)
                                   && set_t'(known_key_q.vpn) == set_i
                                   && (known_data_q.translation.guest_span
                                       & known_data_q.translation.host_span) == '0));
      Read_A:   assert (!(counts && valid) || (u_dut.gen_way[Way].line.key == known_key_q
                                               && u_dut.gen_way[Way].line.data == known_data_q));
      // 10.2 An entry that the last fence matches is marked, and only such an entry is invalidated
      // when it is read.
      Doubt_A:  assert (!valid || live_q == !(doubt
                                              && is_matched(fence_q, known_key_q, known_data_q)));
      Fence_A:  assert (fenced_q ? is_kept : !doubt);
      Piece_A:  assert (!valid || u_dut.splinter_q[set_i][Way]
                        == (known_data_q.translation.guest_span != '0));
      // 10.3 A lookup finds the last fill for its page, which no fence has matched since, and which
      // permits the access.
      if (looked && u_dut.used[Way]) HitIsLive_A: assert (valid && live_q && found && allowed);
      // The result is offered in the next cycle.
      HitData_A: assert (!was_used_q || (hit && data == was_known_q));
      // 10.4 An entry that no fence matches and that permits the access is found, if it was read
      // in a cycle without a fill of it.
      Found_A:  assert (!(found && allowed && valid && live_q && u_dut.set_valid_q[Way])
                        || |u_dut.used);
      // A result is offered only then.
      NoHit_A:  assert (!was_missed_q || !hit);
      // 10.5 An entry stays until its set is filled, a lookup finds that it denies the access, or a
      // fence comes that matches it or finds it marked.
      Stays_A:  assert (!kept_q || (valid && live_q));
      // 10.6 A fence by gVA does not mark entries of other sets, except splinters of a larger guest
      // page.
      Spared_A: assert (!spared_q || (valid && !doubt));
      // 10.7 A set that was read is unmarked in the next cycle, unless a fence comes.
      Sure_A:   assert (!read_q || !doubt);
      // 10.8 At most one way hits.
      OneWay_A: assert ($onehot0(u_dut.used));

      Hit_C:      cover (looked && u_dut.used[Way]);
      InDoubt_C:  cover (looked && u_dut.used[Way] && doubt);
      Named_C:    cover (looked && valid && doubt && !live_q && found);
      Refused_C:  cover (!Riscv || (refused && valid));
      Lost_C:     cover (fence_valid_i && valid && live_q && doubt
                         && !is_matched(fence_i, known_key_q, known_data_q));
      Full_C:     cover (filled && valid);
    end
  end

endmodule
