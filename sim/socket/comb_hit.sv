// SPDX-License-Identifier: Apache-2.0
// Socket adapter, request side: a device that answers a hit in the cycle of the request.
//
// The request reaches the device in the cycle in which the socket offers it, and its response
// leaves in that cycle if done_i is high. Otherwise the request is held, with its context, until
// done_i. A response that the socket does not accept at once is kept. One request is in flight at a
// time. The fields of a request, and of a response, are concatenated by the top module.

module comb_hit #(
  // Bits of a request with its context, and of a response.
  parameter int unsigned ReqWidth = 64,
  parameter int unsigned RspWidth = 64
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The socket.
  input  logic                req_valid_i,
  output logic                req_ready_o,
  input  logic [ReqWidth-1:0] req_i,
  output logic                rsp_valid_o,
  input  logic                rsp_ready_i,
  output logic [RspWidth-1:0] rsp_o,

  // The device.
  output logic                held_valid_o,
  output logic [ReqWidth-1:0] held_o,
  input  logic                done_i,
  input  logic [RspWidth-1:0] result_i
);

  logic                held_q, kept_q, answered;
  logic [ReqWidth-1:0] request_q;
  logic [RspWidth-1:0] response_q;

  assign req_ready_o  = !held_q && !kept_q;
  assign held_valid_o = held_q || (req_valid_i && req_ready_o);
  assign held_o       = held_q ? request_q : req_i;
  assign answered     = held_valid_o && done_i;
  assign rsp_valid_o  = kept_q || answered;
  assign rsp_o        = kept_q ? response_q : result_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      {held_q, kept_q, request_q, response_q} <= '0;
    end else begin
      held_q     <= held_valid_o && !answered;
      request_q  <= held_o;
      kept_q     <= rsp_valid_o && !rsp_ready_i;
      response_q <= rsp_o;
    end
  end

endmodule
