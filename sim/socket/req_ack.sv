// SPDX-License-Identifier: Apache-2.0
// Socket adapter, memory side: request and acknowledge, with one read in flight.
//
// The device holds req_i and addr_i until ack_o, which comes with the data. A request in the cycle
// after ack_o is the next one. An entry is on the lanes of its address, and the other lanes are 0.

module req_ack #(
  // Bits of a physical address, of the data, and of a table entry.
  parameter int unsigned HpaWidth  = 56,
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The device.
  input  logic                 req_i,
  input  logic [HpaWidth-1:0]  addr_i,
  output logic                 ack_o,
  output logic                 error_o,
  output logic [DataWidth-1:0] data_o,

  // The socket.
  output logic                mem_req_valid_o,
  input  logic                mem_req_ready_i,
  output logic [HpaWidth-1:0] mem_req_hpa_o,
  input  logic                mem_rsp_valid_i,
  input  logic                mem_rsp_error_i,
  input  logic [PteWidth-1:0] mem_rsp_data_i
);

  localparam int unsigned PteBytes = PteWidth / 8;

  logic waits_q;    // memory has accepted the read

  assign mem_req_valid_o = req_i && !waits_q;
  assign mem_req_hpa_o   = addr_i & ~HpaWidth'(PteBytes - 1);
  assign ack_o           = waits_q && mem_rsp_valid_i;
  assign error_o         = mem_rsp_error_i;

  data_lanes #(.DataWidth, .PteWidth) u_lanes (
    .low_i  ($clog2(DataWidth / 8)'(addr_i)),
    .word_i (mem_rsp_data_i),
    .data_o
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_waits
    if (!rst_ni) waits_q <= 1'b0;
    else         waits_q <= (waits_q || (mem_req_valid_o && mem_req_ready_i)) && !ack_o;
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // The device holds a request until it is acknowledged.
  RequestStays_A: assert property (@(posedge clk_i) disable iff (in_reset)
    req_i && !ack_o |=> req_i && $stable(addr_i));

endmodule
