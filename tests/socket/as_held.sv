// SPDX-License-Identifier: Apache-2.0
// The request port of nested_mmu as one that wants its request held until it is done: the inverse
// of the adapters hold_request and, with CombHit, comb_hit. The request is read late, so a context
// that does not stay is a wrong one. With CombHit a request that equals the last one is answered in
// its cycle.

module as_held #(
  parameter int unsigned ReqWidth = 64,
  parameter int unsigned RspWidth = 64,
  parameter bit          CombHit  = 1'b0
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The adapter.
  input  logic                held_valid_i,
  input  logic [ReqWidth-1:0] held_i,
  output logic                done_o,
  output logic                hit_o,
  output logic [RspWidth-1:0] result_o,

  // The MMU. Its request is that which is held.
  output logic                req_valid_o,
  input  logic                req_ready_i,
  input  logic                rsp_valid_i,
  output logic                rsp_ready_o,
  input  logic [RspWidth-1:0] rsp_i,
  input  logic                rsp_fault_i,

  // Fences: none is under way while a request is, and none of them starts with the other.
  input  logic                fence_i,
  output logic                idle_o
);

  typedef enum logic [1:0] {Idle, Offer, Wait, Done} state_e;

  state_e              state_q;
  logic                known_q;
  logic [ReqWidth-1:0] last_q;
  logic [RspWidth-1:0] result_q;
  logic [31:0]         bits;
  logic                repeats, answered;

  noise u_noise (.clk_i, .rst_ni, .bits_o (bits));

  assign req_valid_o = state_q == Offer;
  assign rsp_ready_o = state_q == Wait && bits[0];
  assign answered    = rsp_valid_i && rsp_ready_o;
  assign idle_o      = state_q == Idle || state_q == Done;

  if (CombHit) begin : gen_comb_hit
    assign repeats  = state_q == Idle && held_valid_i && known_q && held_i == last_q && !fence_i;
    assign done_o   = repeats || answered;
    assign result_o = repeats ? result_q : rsp_i;
  end else begin : gen_hold
    assign repeats  = 1'b0;
    assign done_o   = state_q == Done;
    assign result_o = done_o ? result_q : RspWidth'(bits);
  end
  assign hit_o = repeats;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      state_q <= Idle;
      {known_q, last_q, result_q} <= '0;
    end else begin
      unique case (state_q)
        Idle:    if (held_valid_i && !repeats && !fence_i && bits[1]) state_q <= Offer;
        Offer:   if (req_ready_i) state_q <= Wait;
        Wait:    if (answered) state_q <= CombHit ? Idle : Done;
        default: state_q <= Idle;
      endcase
      if (answered) begin
        known_q  <= !rsp_fault_i;
        last_q   <= held_i;
        result_q <= rsp_i;
      end
      if (fence_i) known_q <= 1'b0;
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // A request stays until it is done.
  RequestStays_A: assert property (@(posedge clk_i) disable iff (in_reset)
    held_valid_i && !done_o |=> held_valid_i && $stable(held_i));

endmodule
