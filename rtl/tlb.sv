// SPDX-License-Identifier: Apache-2.0
// TLB of full gVA=>hPA translations, fully associative, tree pseudo-LRU.
//
// An entry covers the page of the smaller leaf; what is looked up is a smallest page. One key a cycle, for a
// look-up or for a fill (never both): a fill takes the place of all that overlaps it, so that no key ever finds
// two. A fence is done in the cycle in which it is given; the caller keeps fills that it names out of that cycle.

`include "nested_mmu_types.svh"

module tlb
  import nested_mmu_pkg::*;
#(
  parameter cfg_t        Cfg = DefaultCfg,
  parameter int unsigned N   = Cfg.TlbEntries,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  input  tlb_key_t  key_i,
  output logic      hit_o,
  output place_t    place_o,       // of the page that was looked up
  output grants_t   grants_o,
  output logic      global_o,
  input  logic      use_i,         // the hit counts as a use

  input  logic      fill_valid_i,
  input  tlb_data_t fill_data_i,

  input  logic      fence_valid_i,
  input  fence_t    fence_i
);

  // One bit a way: of those that match, are free, and so on.
  localparam type ways_t = logic [N-1:0];

  ways_t        valid_q, match, last_match, last_free, in_scope, fenced, victim, fill_way;
  tlb_key_t     key_q  [N];
  tlb_data_t    data_q [N];

  `include "tlb_rules.svh"

  // A fill overlaps what is in its page, a look-up what its smallest page is in.
  tlb_key_t key_ignore;
  assign key_ignore = fill_valid_i ? ignored(fill_data_i.place.guest_span & fill_data_i.place.host_span,
                                             fill_data_i.is_global, key_i.space.virt)
                                   : ignored('0, 1'b0, key_i.space.virt);

  fence_pages_t fence_pages;
  assign fence_pages = pages_of(fence_i.use_gva, fence_i.use_gpa, fence_i.gva, fence_i.gpa);

  for (genvar i = 0; i < N; i++) begin : gen_entry
    tlb_key_t ignore;
    assign ignore   = ignored(data_q[i].place.guest_span & data_q[i].place.host_span,
                              data_q[i].is_global, key_q[i].space.virt);
    assign match[i] = valid_q[i] && (((key_q[i] ^ key_i) & ~(ignore | key_ignore)) == '0);

    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (fence_i.scope),
      .virt_i   (key_q[i].space.virt),
      .global_i (data_q[i].is_global),
      .asid_i   (key_q[i].space.asid),
      .vmid_i   (key_q[i].space.vmid),
      .named_o  (in_scope[i])
    );

    assign fenced[i] = in_scope[i]
                    && names_page(fence_pages, key_q[i].vpn,
                                  gppn_of(data_q[i].place.gppn, data_q[i].place.hppn, key_q[i].space.host_levels),
                                  data_q[i].place.guest_span, data_q[i].place.host_span);

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni)                          valid_q[i] <= 1'b0;
      else if (fill_valid_i && fill_way[i]) valid_q[i] <= 1'b1;
      else if (fill_valid_i && match[i])    valid_q[i] <= 1'b0;
      else if (fence_valid_i && fenced[i])  valid_q[i] <= 1'b0;
    end

    always_ff @(posedge clk_i) begin : p_entry
      if (fill_valid_i && fill_way[i]) begin
        key_q[i]  <= key_i;
        data_q[i] <= fill_data_i;
      end
    end
  end

  // A fill may find several.
  first_one #(.N(N), .Highest(1'b1)) u_match (.set_i (match),    .first_o (last_match));
  first_one #(.N(N), .Highest(1'b1)) u_free  (.set_i (~valid_q), .first_o (last_free));

  assign hit_o    = |match && is_mappable(key_i.vpn);
  assign fill_way = hit_o ? last_match : (&valid_q) ? victim : last_free;

  // Of a look-up: no more than one way matches.
  logic [index_width(N)-1:0] hit_way;
  always_comb begin : p_hit_way
    hit_way = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (match[i]) hit_way |= $bits(hit_way)'(i);
    end
  end

  tlb_data_t found;
  assign found    = data_q[hit_way];
  assign place_o  = at_page(found.place, key_i.vpn, key_i.space.host_levels);
  assign grants_o = found.grants;
  assign global_o = found.is_global;

  plru_tree #(.N(N)) u_plru (
    .clk_i,
    .rst_ni,
    .touch_valid_i (use_i || fill_valid_i),
    .touch_i       (fill_way),
    .victim_o      (victim)
  );

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  OneHotHit_A: assert property (@(posedge clk_i) disable iff (in_reset) fill_valid_i || $onehot0(match));
  FillOrUse_A: assert property (@(posedge clk_i) disable iff (in_reset) !(fill_valid_i && use_i));
`endif

endmodule
