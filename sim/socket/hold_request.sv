// SPDX-License-Identifier: Apache-2.0
// Socket adapter, request side: a device that wants its request held, with its context, until it is
// done.
//
// held_valid_o and held_o stay from the cycle after the socket's request until done_i, which comes
// with the result. The result is kept until the socket accepts it. One request is in flight at a
// time. The fields of a request, and of a response, are concatenated by the top module.

module hold_request #(
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

  assign req_ready_o = !held_valid_o && !rsp_valid_o;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      held_valid_o <= 1'b0;
      held_o       <= '0;
      rsp_valid_o  <= 1'b0;
      rsp_o        <= '0;
    end else begin
      if (req_valid_i && req_ready_o) begin
        held_valid_o <= 1'b1;
        held_o       <= req_i;
      end
      if (held_valid_o && done_i) begin
        held_valid_o <= 1'b0;
        rsp_valid_o  <= 1'b1;
        rsp_o        <= result_i;
      end else if (rsp_ready_i) begin
        rsp_valid_o <= 1'b0;
      end
    end
  end

endmodule
