// TLB of full gVA=>hPA translations, fully associative, tree pseudo-LRU.
//
// One key a cycle, for a look-up or for a fill (never both). A fill of a page that is there already takes
// that entry's place, so that no key ever finds two. A fence is done in the cycle in which it is given; the
// caller keeps fills that it names out of that cycle.

`include "nested_mmu_types.svh"

module tlb
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = '0,
  `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  input  tlb_key_t  key_i,
  output logic      hit_o,
  output tlb_data_t data_o,
  input  logic      use_i,         // the hit counts as a use

  input  logic      fill_valid_i,
  input  tlb_data_t fill_data_i,

  input  logic      fence_valid_i,
  input  fence_t    fence_i
);

  localparam int unsigned N = Cfg.TlbEntries;
  localparam type way_t = logic [index_width(N)-1:0];

  logic [N-1:0] valid_q, match, in_scope, fenced;
  tlb_key_t     key_q  [N];
  tlb_data_t    data_q [N];

  way_t hit_way, free_way, victim_way, fill_way;
  logic any_free;

  for (genvar i = 0; i < N; i++) begin : gen_entry
    assign match[i]  = valid_q[i] && (key_q[i] == key_i);

    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i (fence_i.scope),
      .asid_i  (key_q[i].space.asid),
      .vmid_i  (key_q[i].space.vmid),
      .named_o (in_scope[i])
    );
    assign fenced[i] = in_scope[i]
                    && (!fence_i.use_gva  || key_q[i].vpn == vpn_t'(fence_i.gva >> Cfg.OffsetWidth))
                    && (!fence_i.use_gpa  || data_q[i].gppn == gppn_t'(fence_i.gpa >> Cfg.OffsetWidth));

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni)                                           valid_q[i] <= 1'b0;
      else if (fill_valid_i && fill_way == way_t'(i))        valid_q[i] <= 1'b1;
      else if (fence_valid_i && fenced[i])                   valid_q[i] <= 1'b0;
    end

    always_ff @(posedge clk_i) begin : p_entry
      if (fill_valid_i && fill_way == way_t'(i)) begin
        key_q[i]  <= key_i;
        data_q[i] <= fill_data_i;
      end
    end
  end

  always_comb begin : p_ways
    hit_way  = '0;
    free_way = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (match[i])    hit_way  = way_t'(i);
      if (!valid_q[i]) free_way = way_t'(i);
    end
  end

  assign any_free = !(&valid_q);
  assign hit_o    = |match;
  assign data_o   = data_q[hit_way];
  assign fill_way = hit_o ? hit_way : any_free ? free_way : victim_way;

  plru_tree #(.N(N)) u_plru (
    .clk_i,
    .rst_ni,
    .touch_valid_i (use_i || fill_valid_i),
    .touch_way_i   (fill_valid_i ? fill_way : hit_way),
    .victim_o      (victim_way)
  );

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  OneHotHit_A: assert property (@(posedge clk_i) disable iff (in_reset) $onehot0(match));
  FillOrUse_A: assert property (@(posedge clk_i) disable iff (in_reset) !(fill_valid_i && use_i));
`endif

endmodule
