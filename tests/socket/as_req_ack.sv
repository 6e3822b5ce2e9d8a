// SPDX-License-Identifier: Apache-2.0
// The memory port of nested_mmu as request and acknowledge: the inverse of the adapter req_ack.

module as_req_ack #(
  parameter int unsigned HpaWidth  = 56,
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64,
  parameter int unsigned SlotWidth = 1
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The MMU.
  input  logic                 m_req_valid_i,
  output logic                 m_req_ready_o,
  input  logic [SlotWidth-1:0] m_req_id_i,
  input  logic [HpaWidth-1:0]  m_req_hpa_i,
  output logic                 m_rsp_valid_o,
  output logic [SlotWidth-1:0] m_rsp_id_o,
  output logic                 m_rsp_error_o,
  output logic [PteWidth-1:0]  m_rsp_data_o,

  // The adapter.
  output logic                 req_o,
  output logic [HpaWidth-1:0]  addr_o,
  input  logic                 ack_i,
  input  logic                 error_i,
  input  logic [DataWidth-1:0] data_i
);

  assign req_o         = m_req_valid_i;
  assign addr_o        = m_req_hpa_i;
  assign m_req_ready_o = ack_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_response
    if (!rst_ni) begin
      {m_rsp_valid_o, m_rsp_id_o, m_rsp_error_o, m_rsp_data_o} <= '0;
    end else begin
      m_rsp_valid_o <= ack_i;
      m_rsp_id_o    <= m_req_id_i;
      m_rsp_error_o <= error_i;
      m_rsp_data_o  <= PteWidth'(data_i >> (8 * (32'(m_req_hpa_i) % (DataWidth / 8))));
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // There is no acknowledge without a request.
  AckIsAsked_A: assert property (@(posedge clk_i) disable iff (in_reset) ack_i |-> req_o);

endmodule
