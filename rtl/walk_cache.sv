// SPDX-License-Identifier: Apache-2.0
// Entries of one kind of a walk cache: a key, and what it leads to. Fully associative, tree pseudo-LRU.
//
// One key a cycle, for a look-up or for a fill (never both); a fill takes the place of what has its key. A fence
// forgets, in the cycle in which it is given, every entry that agrees with its key in the bits that count; the caller
// keeps fills that it names out of that cycle.

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
    logic fenced;
    assign match[i] = valid_q[i] && (key_q[i] == key_i);
    assign fenced   = fence_valid_i && (((key_q[i] ^ fence_key_i) & fence_counts_i) == '0);

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni)                          valid_q[i] <= 1'b0;
      else if (fill_valid_i && fill_way[i]) valid_q[i] <= 1'b1;
      else if (fenced)                      valid_q[i] <= 1'b0;
    end

    always_ff @(posedge clk_i) begin : p_entry
      if (fill_valid_i && fill_way[i]) begin
        key_q[i]  <= key_i;
        data_q[i] <= fill_data_i;
      end
    end
  end

  // No more than one way matches.
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
