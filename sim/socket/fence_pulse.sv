// SPDX-License-Identifier: Apache-2.0
// Socket adapter, fence side: a device with a pulse for a fence, and a busy signal.
//
// The pulse comes in the first cycle of the socket's fence. The fence is accepted in the first cycle
// in which the device is not busy, BusyAfter cycles after the pulse or later. The operands of the
// fence come from the socket, and stay until the fence is accepted.

module fence_pulse #(
  // Cycles from the pulse to the first cycle in which busy_i tells of it, at least 1.
  parameter int unsigned BusyAfter = 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The socket.
  input  logic fence_valid_i,
  output logic fence_ready_o,

  // The device.
  output logic pulse_o,
  input  logic busy_i
);

  localparam int unsigned Width = $clog2(BusyAfter + 2);

  logic [Width-1:0] since_q;    // cycles since the pulse, and 1 more than BusyAfter at most

  assign pulse_o       = fence_valid_i && since_q == '0;
  assign fence_ready_o = fence_valid_i && since_q >= Width'(BusyAfter) && !busy_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_since
    if (!rst_ni) since_q <= '0;
    else if (!fence_valid_i || fence_ready_o) since_q <= '0;
    else if (since_q <= Width'(BusyAfter)) since_q <= since_q + Width'(1);
  end

endmodule
