// SPDX-License-Identifier: Apache-2.0
// The fence port of nested_mmu as a pulse with a busy signal: the inverse of the adapter
// fence_pulse. The operands are read with the pulse. The fence waits for the request that is under
// way, and for some cycles more.

module as_pulse #(
  parameter int unsigned Width = 64
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The adapter.
  input  logic             pulse_i,
  input  logic [Width-1:0] operands_i,
  output logic             busy_o,

  // The MMU.
  output logic             fence_valid_o,
  input  logic             fence_ready_i,
  output logic [Width-1:0] fence_o,

  // Requests.
  input  logic             idle_i,
  output logic             fence_under_way_o
);

  logic        begun_q;
  logic [31:0] bits;

  noise #(.Seed (32'h1234_5677)) u_noise (.clk_i, .rst_ni, .bits_o (bits));

  assign fence_valid_o     = busy_o && begun_q;
  assign fence_under_way_o = pulse_i || busy_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      {busy_o, begun_q, fence_o} <= '0;
    end else begin
      if (pulse_i) begin
        busy_o  <= 1'b1;
        fence_o <= operands_i;
      end else if (fence_valid_o && fence_ready_i) begin
        busy_o <= 1'b0;
      end
      begun_q <= busy_o && !(fence_valid_o && fence_ready_i)
              && (begun_q || (idle_i && bits[1:0] == '0));
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // There is one pulse for each fence.
  OnePulse_A: assert property (@(posedge clk_i) disable iff (in_reset) busy_o |-> !pulse_i);

endmodule
