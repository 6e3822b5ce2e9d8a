// SPDX-License-Identifier: Apache-2.0
// Second-level TLB: full gVA=>hPA translations. Pages of the smallest size are in sets of ways,
// superpages in a fully associative TLB of their own.
//
//   cycle | smallest pages                                          | superpages
//   c     | the set of a request is read (`read_valid_i`)           |
//   c+1   | its ways are compared with the request                  | looked up
//         | (`lookup_valid_i`)                                      |
//   c+2   | the result is offered                                   |
//
// Keys and data of the sets are in a memory with one read port and one write port; only the states
// of entries are flip-flops. So a fence takes one cycle, and a sweep of the sets follows: the
// fence marks every entry that it may match as *stale pending*. When a set is read, for a request
// or by the sweep, each marked entry that the fence does match is invalidated, and the others lose
// the mark. The read port serves requests first; in every other cycle the sweep reads the next
// set. Only the last fence is kept: a fence issued during a sweep also invalidates every entry
// that is still marked.
//
// A page that is larger than the smallest size in one stage only is held in *splinters* of the
// smallest size. A fence by gVA marks the entries of its own set, and in other sets only splinters
// of a larger guest page.
//
// Each cycle has a lookup or a fill. The caller keeps fills that a fence matches out of its cycle.

`include "nested_mmu_types.svh"

module tlb2
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  // The set of a request that may be looked up in the next cycle.
  input  logic      read_valid_i,
  input  vpn_t      read_vpn_i,

  // The lookup. Superpages are looked up by `key_i`, which is the same key then.
  input  logic      lookup_valid_i,
  input  tlb_key_t  lookup_key_i,
  input  access_e   lookup_access_i,
  input  priv_ctx_t      lookup_priv_i,

  // The result of the last lookup. On RISC-V a hit permits the access.
  output logic      hit_o,
  output tlb_data_t data_o,        // of the page that was looked up
  input  logic      use_i,         // the hit is a response

  input  tlb_key_t  key_i,
  input  logic      fill_valid_i,
  input  tlb_data_t fill_data_i,

  input  logic      fence_valid_i,
  input  fence_t    fence_i
);

  localparam int unsigned Sets = Cfg.Tlb2Sets;
  localparam int unsigned Ways = Cfg.Tlb2Ways;

  localparam type set_t  = logic [index_width(Sets)-1:0];
  localparam type ways_t = logic [Ways-1:0];
  localparam type line_t = struct packed {
    tlb_key_t  key;
    tlb_data_t data;
  };

  `include "tlb_rules.svh"

  // The state of each set: valid ways, ways that the last fence may match, and splinters of a
  // larger guest page.
  ways_t valid_q [Sets];
  ways_t stale_pending_q [Sets];
  ways_t splinter_q [Sets];

  logic fill_small;
  set_t fill_set, fence_set;
  assign fill_small = fill_valid_i && (fill_data_i.translation.guest_span
                                       & fill_data_i.translation.host_span) == '0;
  assign fill_set   = set_t'(key_i.vpn);
  assign fence_set  = set_t'(fence_i.gva >> Cfg.OffsetWidth);

  //////////////
  // The read //
  //////////////

  logic   [Sets-1:0] set_stale_pending;
  logic              sweep_en;
  set_t              sweep_q, read_set, set_q;
  ways_t             fill_way, set_valid_q;

  for (genvar s = 0; s < Sets; s++) begin : gen_set_stale_pending
    assign set_stale_pending[s] = |stale_pending_q[s];
  end

  assign sweep_en = !read_valid_i && !fence_valid_i && |set_stale_pending;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_sweep
    if (!rst_ni)     sweep_q <= '0;
    else if (sweep_en) sweep_q <= sweep_q + 1'b1;
  end

  // In the cycle of a fence with a gVA, the set of the gVA is read: often no other has a mark.
  always_comb begin : p_read_set
    read_set = sweep_q;
    if (fence_valid_i) read_set = fence_set;
    if (read_valid_i)  read_set = set_t'(read_vpn_i);
  end

  logic unused_read;  // the upper bits
  assign unused_read = ^read_vpn_i;

  // The memory returns the word before a fill of the same cycle, so that way counts as empty.
  always_ff @(posedge clk_i) begin : p_read
    set_q   <= read_set;
    set_valid_q <= valid_q[read_set] & ~((fill_small && fill_set == read_set) ? fill_way : '0);
  end

  /////////////////
  // The lookup  //
  /////////////////

  ways_t        read_valid, in_scope, matched, match, permitted, found, used;
  tlb_data_t    data [Ways];
  scope_t       scope_q;  // of the last fence
  fence_pages_t pages_q;
  tlb_key_t     key_ignore;
  logic         mappable;

  always_ff @(posedge clk_i) begin : p_fence
    if (fence_valid_i) begin
      scope_q <= fence_i.scope;
      pages_q <= pages_of(fence_i.use_gva, fence_i.use_gpa, fence_i.gva, fence_i.gpa);
    end
  end

  assign read_valid      = set_valid_q & valid_q[set_q];
  assign key_ignore = ignored('0, 1'b0, lookup_key_i.tag.virt);
  assign mappable   = is_mappable(lookup_key_i.vpn);

  // Returns whether an entry serves an access. On RISC-V an access that it denies is walked again,
  // since memory may permit the access by now.
  function automatic logic access_permitted(perms_t perms, logic guest_on, access_e access,
                                            priv_ctx_t priv);
    return Cfg.HitMayFault || perms_permit(perms, guest_on, access, priv);
  endfunction

  for (genvar way = 0; way < Ways; way++) begin : gen_way
    line_t    line;
    tlb_key_t ignore;

    ram_1r1w #(.Words(Sets), .word_t(line_t)) u_lines (
      .clk_i,
      .write_i      (fill_small && fill_way[way]),
      .write_at_i   (fill_set),
      .write_word_i ('{key: key_i, data: fill_data_i}),
      .read_at_i    (read_set),
      .read_word_o  (line)
    );

    assign data[way] = line.data;
    assign ignore    = ignored('0, line.data.is_global, line.key.tag.virt);

    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (scope_q),
      .virt_i   (line.key.tag.virt),
      .global_i (line.data.is_global),
      .asid_i   (line.key.tag.asid),
      .vmid_i   (line.key.tag.vmid),
      .matches_o  (in_scope[way])
    );

    assign matched[way] = stale_pending_q[set_q][way] && in_scope[way]
                     && page_matches(pages_q, line.key.vpn,
                                   gppn_of(line.data.translation.gppn, line.data.translation.hppn,
                                           line.key.tag.host_levels),
                                   line.data.translation.guest_span,
                                     line.data.translation.host_span);
    assign match[way] = read_valid[way] && !matched[way] && mappable
                     && ((line.key ^ lookup_key_i) & ~(ignore | key_ignore)) == '0;
    assign permitted[way] = access_permitted(line.data.perms, lookup_key_i.tag.guest_levels != '0,
                                  lookup_access_i, lookup_priv_i);
  end

  // Walks for different accesses may have filled a page into more than one way.
  assign found = match & permitted;
  first_one #(.N(Ways)) u_used (.set_i (found), .first_o (used));

  tlb_data_t small_data;
  always_comb begin : p_small
    small_data = '0;
    for (int unsigned way = 0; way < Ways; way++) begin
      if (used[way]) small_data |= data[way];
    end
    // The entry's page is of the smallest size, so it is the page that is looked up.
    small_data.translation.gppn = gppn_of(small_data.translation.gppn, small_data.translation.hppn,
                                          lookup_key_i.tag.host_levels);
  end

  ////////////////
  // Superpages //
  ////////////////

  logic      super_found;
  tlb_data_t super_data;

  if (Cfg.Tlb2Superpages != 0) begin : gen_superpages
    logic hit;

    tlb #(.Cfg(Cfg), .N(Cfg.Tlb2Superpages)) u_superpages (
      .clk_i,
      .rst_ni,
      .key_i,
      .hit_o        (hit),
      .translation_o      (super_data.translation),
      .perms_o     (super_data.perms),
      .global_o     (super_data.is_global),
      .use_i        (use_i && hit),
      .fill_valid_i (fill_valid_i && !fill_small),
      .fill_data_i,
      .fence_valid_i,
      .fence_i
    );

    assign super_found = hit
                      && access_permitted(super_data.perms, lookup_key_i.tag.guest_levels != '0,
                                          lookup_access_i, lookup_priv_i);
  end else begin : gen_no_superpages
    assign super_found = 1'b0;
    assign super_data  = '0;
  end

  ////////////////
  // The result //
  ////////////////

  logic  small_q;
  ways_t used_q;
  set_t  used_set_q;

  always_ff @(posedge clk_i) begin : p_found
    if (lookup_valid_i) begin
      hit_o      <= |found || super_found;
      data_o     <= |found ? small_data : super_data;
      small_q    <= |found;
      used_q     <= used;
      used_set_q <= set_q;
    end
  end

  ////////////////
  // The states //
  ////////////////

  ways_t victim [Sets];
  ways_t last_free;

  first_one #(.N(Ways), .Highest(1'b1)) u_free (.set_i (~valid_q[fill_set]), .first_o (last_free));
  assign fill_way = (&valid_q[fill_set]) ? victim[fill_set] : last_free;

  // Returns the ways of a set that a fence may match.
  function automatic ways_t may_match(logic by_gva, logic own_set, ways_t splinters);
    return (!by_gva || own_set) ? '1 : splinters;
  endfunction

  for (genvar s = 0; s < Sets; s++) begin : gen_set
    logic  is_read, is_filled;
    ways_t filled, valid, stale_pending;

    assign is_read   = (set_q == set_t'(s));
    assign is_filled = fill_small && fill_set == set_t'(s);
    assign filled    = is_filled ? fill_way : '0;

    // A set that was read has no mark. A lookup invalidates an entry that denies its access: the
    // walk that follows fills what memory holds now.
    always_comb begin : p_next
      valid = valid_q[s];
      stale_pending = stale_pending_q[s];
      if (is_read) begin
        valid &= ~(set_valid_q & (matched | (lookup_valid_i ? match & ~permitted : '0)));
        stale_pending  = '0;
      end
      if (fence_valid_i) begin
        valid &= ~stale_pending;
        stale_pending  = valid & may_match(fence_i.use_gva, fence_set == set_t'(s), splinter_q[s]);
      end
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni) begin
        valid_q[s] <= '0;
        stale_pending_q[s] <= '0;
      end else begin
        valid_q[s] <= valid | filled;
        stale_pending_q[s] <= stale_pending & ~filled;
      end
    end

    always_ff @(posedge clk_i) begin : p_splinter
      if (is_filled) begin
        splinter_q[s] <= (splinter_q[s] & ~fill_way)
                       | ((fill_data_i.translation.guest_span != '0) ? fill_way : '0);
      end
    end

    plru_tree #(.N(Ways)) u_plru (
      .clk_i,
      .rst_ni,
      .touch_valid_i (is_filled || (use_i && small_q && used_set_q == set_t'(s))),
      .touch_i       (is_filled ? fill_way : used_q),
      .victim_o      (victim[s])
    );
  end

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  FillOrLookup_A:  assert property (@(posedge clk_i) disable iff (in_reset)
                                    !(fill_valid_i && lookup_valid_i));
  LookupWasRead_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                    lookup_valid_i |-> set_q == set_t'(lookup_key_i.vpn)
                                                       && lookup_key_i == key_i);
`endif

endmodule
