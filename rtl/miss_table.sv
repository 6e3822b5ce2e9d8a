// The requests that wait for a walk: any number for one walk. The walk itself does not know who asked.

`include "nested_mmu_types.svh"

module miss_table
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = '0,
  `NESTED_MMU_TYPES(Cfg)
) (
  input  logic    clk_i,
  input  logic    rst_ni,

  output logic    full_o,
  input  logic    add_valid_i,
  input  slot_t   add_slot_i,
  input  id_t     add_id_i,
  input  offset_t add_offset_i,

  // One of those that wait for a walk, and whether it is the last.
  input  slot_t   slot_i,
  output id_t     id_o,
  output offset_t offset_o,
  output logic    last_o,
  input  logic    remove_i
);

  localparam int unsigned N = Cfg.MissEntries;
  localparam type index_t = logic [index_width(N)-1:0];

  logic [N-1:0] valid_q, waits;
  slot_t        slot_q   [N];
  id_t          id_q     [N];
  offset_t      offset_q [N];

  index_t free, first;

  always_comb begin : p_find
    free  = '0;
    first = '0;
    for (int unsigned i = N; i > 0; i--) begin
      waits[i-1] = valid_q[i-1] && (slot_q[i-1] == slot_i);
      if (!valid_q[i-1]) free  = index_t'(i - 1);
      if (waits[i-1])    first = index_t'(i - 1);
    end
  end

  assign full_o   = &valid_q;
  assign id_o     = id_q[first];
  assign offset_o = offset_q[first];
  assign last_o   = $onehot(waits);

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
    if (!rst_ni) begin
      valid_q <= '0;
    end else begin
      if (add_valid_i) valid_q[free]  <= 1'b1;
      if (remove_i)    valid_q[first] <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin : p_entry
    if (add_valid_i) begin
      slot_q[free]   <= add_slot_i;
      id_q[free]     <= add_id_i;
      offset_q[free] <= add_offset_i;
    end
  end

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  AddHasRoom_A:     assert property (@(posedge clk_i) disable iff (in_reset) !(add_valid_i && full_o));
  RemoveHasEntry_A: assert property (@(posedge clk_i) disable iff (in_reset) remove_i |-> waits != '0);
`endif

endmodule
