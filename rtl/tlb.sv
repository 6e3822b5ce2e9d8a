// SPDX-License-Identifier: Apache-2.0
// TLB of full gVA=>hPA translations, fully associative, tree pseudo-LRU.
//
// An entry holds the page of the smaller leaf. A lookup is for a page of the smallest size. Each
// cycle has one key, for a lookup or for a fill, never for both. A fill replaces every entry that
// it overlaps, so that no key hits two entries. A fence takes one cycle. The caller keeps fills
// that the fence matches out of that cycle.

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
  output translation_t translation_o,  // of the page that was looked up
  output perms_t    perms_o,
  output logic      global_o,
  input  logic      use_i,         // the hit counts as a use

  input  logic      fill_valid_i,
  input  tlb_data_t fill_data_i,

  input  logic      fence_valid_i,
  input  fence_t    fence_i
);

  // A set of ways, a bit for each.
  localparam type ways_t = logic [N-1:0];

  ways_t        valid_q, match, last_match, last_free, in_scope, fence_match, victim, fill_way;
  tlb_key_t     key_q  [N];
  tlb_data_t    data_q [N];

  `include "tlb_rules.svh"

  // A fill overlaps the entries in its page, a lookup the entries that its page is in.
  tlb_key_t key_ignore;
  assign key_ignore = fill_valid_i
                    ? ignored(fill_data_i.translation.guest_span
                              & fill_data_i.translation.host_span,
                              fill_data_i.is_global, key_i.tag.virt)
                    : ignored('0, 1'b0, key_i.tag.virt);

  fence_pages_t fence_pages;
  assign fence_pages = pages_of(fence_i.use_gva, fence_i.use_gpa, fence_i.gva, fence_i.gpa);

  for (genvar i = 0; i < N; i++) begin : gen_entry
    tlb_key_t ignore;
    assign ignore   = ignored(data_q[i].translation.guest_span & data_q[i].translation.host_span,
                              data_q[i].is_global, key_q[i].tag.virt);
    assign match[i] = valid_q[i] && (((key_q[i] ^ key_i) & ~(ignore | key_ignore)) == '0);

    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (fence_i.scope),
      .virt_i   (key_q[i].tag.virt),
      .global_i (data_q[i].is_global),
      .asid_i   (key_q[i].tag.asid),
      .vmid_i   (key_q[i].tag.vmid),
      .matches_o  (in_scope[i])
    );

    assign fence_match[i] = in_scope[i]
                    && page_matches(fence_pages, key_q[i].vpn,
                                    gppn_of(data_q[i].translation.gppn, data_q[i].translation.hppn,
                                            key_q[i].tag.host_levels),
                                    data_q[i].translation.guest_span,
                                    data_q[i].translation.host_span);

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni)                          valid_q[i] <= 1'b0;
      else if (fill_valid_i && fill_way[i]) valid_q[i] <= 1'b1;
      else if (fill_valid_i && match[i])    valid_q[i] <= 1'b0;
      else if (fence_valid_i && fence_match[i])  valid_q[i] <= 1'b0;
    end

    always_ff @(posedge clk_i) begin : p_entry
      if (fill_valid_i && fill_way[i]) begin
        key_q[i]  <= key_i;
        data_q[i] <= fill_data_i;
      end
    end
  end

  // A fill may match several entries.
  first_one #(.N(N), .Highest(1'b1)) u_match (.set_i (match),    .first_o (last_match));
  first_one #(.N(N), .Highest(1'b1)) u_free  (.set_i (~valid_q), .first_o (last_free));

  assign hit_o    = |match && is_mappable(key_i.vpn);
  assign fill_way = hit_o ? last_match : (&valid_q) ? victim : last_free;

  // The way of a hit: a lookup matches one way at most.
  logic [index_width(N)-1:0] hit_way;
  always_comb begin : p_hit_way
    hit_way = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (match[i]) hit_way |= $bits(hit_way)'(i);
    end
  end

  tlb_data_t found;
  assign found    = data_q[hit_way];
  assign translation_o  = at_page(found.translation, key_i.vpn, key_i.tag.host_levels);
  assign perms_o = found.perms;
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

  OneHotHit_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                fill_valid_i || $onehot0(match));
  FillOrUse_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                !(fill_valid_i && use_i));
`endif

endmodule
