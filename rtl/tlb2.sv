// SPDX-License-Identifier: Apache-2.0
// Second-level TLB: full gVA=>hPA translations of the smallest pages in sets of ways, and those of superpages in a TLB of
// their own.
//
//   cycle | smallest pages                                          | superpages
//   c     | the set of a request is read (`read_valid_i`)           |
//   c+1   | its ways are compared with the request (`look_valid_i`) | looked up
//   c+2   | what was found is offered                               |
//
// Keys and data of the sets are a memory with a port to read and one to write; only the states of entries are flip-flops. So
// a fence is taken in a cycle, and the sets are gone through behind it: it makes all entries that it may name *doubtful*,
// and of a doubtful one what the fence names is forgotten when its set is read, for a request as for itself. The port is
// for requests first; in every other cycle the next set is read. A fence that comes earlier than the last has been through
// forgets what is still in doubt, since one fence is kept.
//
// What is larger than the smallest page in one stage only comes in pieces of the smallest. A fence by gVA puts in doubt
// those whose guest page is larger, and else its own set alone.
//
// In a cycle there is a look-up or a fill; the caller keeps fills that a fence names out of its cycle.

`include "nested_mmu_types.svh"

module tlb2
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  // A request may be looked up in the next cycle.
  input  logic      read_valid_i,
  input  vpn_t      read_vpn_i,

  // The look-up; superpages are looked up by `key_i`, which is the same then.
  input  logic      look_valid_i,
  input  tlb_key_t  look_key_i,
  input  access_e   look_access_i,
  input  who_t      look_who_i,

  // What the last look-up has found; on RISC-V it permits the access.
  output logic      hit_o,
  output tlb_data_t data_o,        // of the page that was looked up
  input  logic      use_i,         // it is an answer

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

  // Of each set: which ways hold something, which of them the last fence may name, and which are pieces of a larger guest page.
  ways_t valid_q [Sets];
  ways_t doubt_q [Sets];
  ways_t piece_q [Sets];

  logic fill_small;
  set_t fill_set, fence_set;
  assign fill_small = fill_valid_i && (fill_data_i.place.guest_span & fill_data_i.place.host_span) == '0;
  assign fill_set   = set_t'(key_i.vpn);
  assign fence_set  = set_t'(fence_i.gva >> Cfg.OffsetWidth);

  //////////////
  // The read //
  //////////////

  logic   [Sets-1:0] doubtful;
  logic              sweeps;
  set_t              sweep_q, read_set, set_q;
  ways_t             fill_way, there_q;

  for (genvar s = 0; s < Sets; s++) begin : gen_doubtful
    assign doubtful[s] = |doubt_q[s];
  end

  assign sweeps = !read_valid_i && !fence_valid_i && |doubtful;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_sweep
    if (!rst_ni)     sweep_q <= '0;
    else if (sweeps) sweep_q <= sweep_q + 1'b1;
  end

  // In the cycle of a fence that has a gVA its set is read, where it is likely to be all that is in doubt.
  always_comb begin : p_read_set
    read_set = sweep_q;
    if (fence_valid_i) read_set = fence_set;
    if (read_valid_i)  read_set = set_t'(read_vpn_i);
  end

  logic unused_read;  // the upper bits
  assign unused_read = ^read_vpn_i;

  // The memory gives what was there before a fill of the same cycle, so that way counts for empty.
  always_ff @(posedge clk_i) begin : p_read
    set_q   <= read_set;
    there_q <= valid_q[read_set] & ~((fill_small && fill_set == read_set) ? fill_way : '0);
  end

  /////////////////
  // The look-up //
  /////////////////

  ways_t        there, in_scope, named, match, allowed, found, used;
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

  assign there      = there_q & valid_q[set_q];
  assign key_ignore = ignored('0, 1'b0, look_key_i.space.virt);
  assign mappable   = is_mappable(look_key_i.vpn);

  // On RISC-V what is not permitted is walked again: memory may permit it by now.
  function automatic logic answers(grants_t grants, logic guest_on, access_e access, who_t who);
    return !Cfg.Riscv || grants_permit(grants, guest_on, access, who);
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
    assign ignore    = ignored('0, line.data.is_global, line.key.space.virt);

    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (scope_q),
      .virt_i   (line.key.space.virt),
      .global_i (line.data.is_global),
      .asid_i   (line.key.space.asid),
      .vmid_i   (line.key.space.vmid),
      .named_o  (in_scope[way])
    );

    assign named[way] = doubt_q[set_q][way] && in_scope[way]
                     && names_page(pages_q, line.key.vpn,
                                   gppn_of(line.data.place.gppn, line.data.place.hppn,
                                           line.key.space.host_levels),
                                   line.data.place.guest_span, line.data.place.host_span);
    assign match[way] = there[way] && !named[way] && mappable
                     && ((line.key ^ look_key_i) & ~(ignore | key_ignore)) == '0;
    assign allowed[way] = answers(line.data.grants, look_key_i.space.guest_levels != '0,
                                  look_access_i, look_who_i);
  end

  // Walks for different accesses may have left a page in more than one way.
  assign found = match & allowed;
  first_one #(.N(Ways)) u_used (.set_i (found), .first_o (used));

  tlb_data_t small_data;
  always_comb begin : p_small
    small_data = '0;
    for (int unsigned way = 0; way < Ways; way++) begin
      if (used[way]) small_data |= data[way];
    end
    // It is of the smallest size, and so all of it the page that is looked up.
    small_data.place.gppn = gppn_of(small_data.place.gppn, small_data.place.hppn, look_key_i.space.host_levels);
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
      .place_o      (super_data.place),
      .grants_o     (super_data.grants),
      .global_o     (super_data.is_global),
      .use_i        (use_i && hit),
      .fill_valid_i (fill_valid_i && !fill_small),
      .fill_data_i,
      .fence_valid_i,
      .fence_i
    );

    assign super_found = hit && answers(super_data.grants, look_key_i.space.guest_levels != '0,
                                        look_access_i, look_who_i);
  end else begin : gen_no_superpages
    assign super_found = 1'b0;
    assign super_data  = '0;
  end

  ////////////////////
  // What was found //
  ////////////////////

  logic  small_q;
  ways_t used_q;
  set_t  used_set_q;

  always_ff @(posedge clk_i) begin : p_found
    if (look_valid_i) begin
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

  // What a fence may name.
  function automatic ways_t suspects(logic by_gva, logic own_set, ways_t pieces);
    return (!by_gva || own_set) ? '1 : pieces;
  endfunction

  for (genvar s = 0; s < Sets; s++) begin : gen_set
    logic  is_read, is_filled;
    ways_t filled, valid, doubt;

    assign is_read   = (set_q == set_t'(s));
    assign is_filled = fill_small && fill_set == set_t'(s);
    assign filled    = is_filled ? fill_way : '0;

    // What has been read is without doubt. A look-up that finds what does not permit it forgets that: the walk behind
    // it brings what is true now.
    always_comb begin : p_next
      valid = valid_q[s];
      doubt = doubt_q[s];
      if (is_read) begin
        valid &= ~(there_q & (named | (look_valid_i ? match & ~allowed : '0)));
        doubt  = '0;
      end
      if (fence_valid_i) begin
        valid &= ~doubt;
        doubt  = valid & suspects(fence_i.use_gva, fence_set == set_t'(s), piece_q[s]);
      end
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni) begin
        valid_q[s] <= '0;
        doubt_q[s] <= '0;
      end else begin
        valid_q[s] <= valid | filled;
        doubt_q[s] <= doubt & ~filled;
      end
    end

    always_ff @(posedge clk_i) begin : p_piece
      if (is_filled) begin
        piece_q[s] <= (piece_q[s] & ~fill_way) | ((fill_data_i.place.guest_span != '0) ? fill_way : '0);
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

  FillOrLook_A:  assert property (@(posedge clk_i) disable iff (in_reset) !(fill_valid_i && look_valid_i));
  LookWasRead_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                  look_valid_i |-> set_q == set_t'(look_key_i.vpn) && look_key_i == key_i);
`endif

endmodule
