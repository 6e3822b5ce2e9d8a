// SPDX-License-Identifier: Apache-2.0
// Round-robin arbiter. With Hold a choice stays until the handshake, so that it may select the
// payload of a valid/ready port. Without Hold a request may be withdrawn.

module rr_arbiter #(
  parameter int unsigned N    = 4,
  parameter bit          Hold = 1'b1,
  localparam type index_t = logic [nested_mmu_pkg::index_width(N)-1:0]
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic [N-1:0] req_i,
  output logic         valid_o,
  output index_t       index_o,
  input  logic         ready_i
);

  logic   locked_q;
  index_t last_q;    // the last choice that was accepted; while locked, the choice that waits

  logic [N-1:0] after, first_any, first_after, first;
  index_t       first_index;

  // The first request after the last choice, else the first of all.
  always_comb begin : p_after
    for (int unsigned i = 0; i < N; i++) after[i] = req_i[i] && index_t'(i) > last_q;
  end

  first_one #(.N(N)) u_any   (.set_i (req_i), .first_o (first_any));
  first_one #(.N(N)) u_after (.set_i (after), .first_o (first_after));

  assign first = (after != '0) ? first_after : first_any;

  always_comb begin : p_index
    first_index = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (first[i]) first_index |= index_t'(i);
    end
  end

  assign valid_o = |req_i;
  assign index_o = (Hold && locked_q) ? last_q : first_index;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_state
    if (!rst_ni) begin
      locked_q <= 1'b0;
      last_q   <= '0;
    end else if (valid_o && (ready_i || Hold)) begin
      locked_q <= Hold && !ready_i;
      last_q   <= index_o;
    end
  end

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  // A request stays until its handshake.
  LockedRequestStays_A: assert property (
    @(posedge clk_i) disable iff (in_reset) locked_q |-> req_i[last_q]);
`endif

endmodule
