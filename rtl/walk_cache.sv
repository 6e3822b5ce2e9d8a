// SPDX-License-Identifier: Apache-2.0
// A page-walk cache for one kind of key: fully associative, tree pseudo-LRU.
//
// Each cycle has one key, for a lookup or for a fill, never for both. A fill replaces the entry
// that has its key. A fence takes one cycle: it invalidates every entry that agrees with its key
// in the bits that count. The caller keeps fills that the fence matches out of that cycle.

module walk_cache
  import nested_mmu_pkg::*;
#(
  parameter int unsigned N      = 2,
  parameter type         key_t  = logic,
  parameter type         data_t = logic
) (
  input  logic  clk_i,
  input  logic  rst_ni,

  input  key_t  key_i,
  output logic  hit_o,
  output data_t data_o,
  input  logic  use_i,           // the hit counts as a use

  input  logic  fill_valid_i,
  input  data_t fill_data_i,

  input  logic  fence_valid_i,
  input  key_t  fence_key_i,
  input  key_t  fence_counts_i
);

  logic [N-1:0] valid_q, match, last_free, victim, fill_way;
  key_t         key_q  [N];
  data_t        data_q [N];

  for (genvar i = 0; i < N; i++) begin : gen_entry
    logic fence_match;
    assign match[i] = valid_q[i] && (key_q[i] == key_i);
    assign fence_match   = fence_valid_i && (((key_q[i] ^ fence_key_i) & fence_counts_i) == '0);

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni)                          valid_q[i] <= 1'b0;
      else if (fill_valid_i && fill_way[i]) valid_q[i] <= 1'b1;
      else if (fence_match)                      valid_q[i] <= 1'b0;
    end

    always_ff @(posedge clk_i) begin : p_entry
      if (fill_valid_i && fill_way[i]) begin
        key_q[i]  <= key_i;
        data_q[i] <= fill_data_i;
      end
    end
  end

  // One way matches at most.
  always_comb begin : p_data
    data_o = '0;
    for (int unsigned i = 0; i < N; i++) data_o |= match[i] ? data_q[i] : '0;
  end

  first_one #(.N(N), .Highest(1'b1)) u_free (.set_i (~valid_q), .first_o (last_free));

  assign hit_o    = |match;
  assign fill_way = hit_o ? match : (&valid_q) ? victim : last_free;

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

  OneHotHit_A: assert property (@(posedge clk_i) disable iff (in_reset) $onehot0(match));
  FillOrUse_A: assert property (@(posedge clk_i) disable iff (in_reset) !(fill_valid_i && use_i));
`endif

endmodule
