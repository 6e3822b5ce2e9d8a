// SPDX-License-Identifier: Apache-2.0
// The requests that wait for walks. Any number of them may wait for one walk, which does not know
// their ids.

`include "nested_mmu_types.svh"

module miss_table
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic    clk_i,
  input  logic    rst_ni,

  output logic    full_o,
  input  logic    add_valid_i,
  input  slot_t   add_slot_i,
  input  id_t     add_id_i,
  input  offset_t add_offset_i,

  // A request that waits for the walk in slot_i; last_o: no other waits for it.
  input  slot_t   slot_i,
  output id_t     id_o,
  output offset_t offset_o,
  output logic    last_o,
  input  logic    remove_i
);

  localparam int unsigned N = Cfg.MissEntries;

  logic [N-1:0] valid_q, waits;
  slot_t        slot_q   [N];
  id_t          id_q     [N];
  offset_t      offset_q [N];

  logic [N-1:0] free, first;

  for (genvar i = 0; i < N; i++) begin : gen_waits
    assign waits[i] = valid_q[i] && (slot_q[i] == slot_i);
  end

  first_one #(.N(N)) u_free  (.set_i (~valid_q), .first_o (free));
  first_one #(.N(N)) u_first (.set_i (waits),    .first_o (first));

  always_comb begin : p_first
    id_o     = '0;
    offset_o = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (first[i]) begin
        id_o     |= id_q[i];
        offset_o |= offset_q[i];
      end
    end
  end

  assign full_o   = &valid_q;
  assign last_o   = (waits == first);

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
    if (!rst_ni) begin
      valid_q <= '0;
    end else begin
      valid_q <= (valid_q | (add_valid_i ? free : '0)) & ~(remove_i ? first : '0);
    end
  end

  always_ff @(posedge clk_i) begin : p_entry
    for (int unsigned i = 0; i < N; i++) begin
      if (add_valid_i && free[i]) begin
        slot_q[i]   <= add_slot_i;
        id_q[i]     <= add_id_i;
        offset_q[i] <= add_offset_i;
      end
    end
  end

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  AddHasRoom_A:     assert property (@(posedge clk_i) disable iff (in_reset)
                                     !(add_valid_i && full_o));
  RemoveHasEntry_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                     remove_i |-> waits != '0);
`endif

endmodule
