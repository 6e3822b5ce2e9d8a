// SPDX-License-Identifier: Apache-2.0
// The memory port of nested_mmu as TileLink-UL: the inverse of the adapter tilelink_get. With Wide
// some reads are as wide as the bus.

module as_tilelink #(
  parameter int unsigned HpaWidth  = 56,
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64,
  parameter int unsigned SlotWidth = 2,
  parameter bit          Wide      = 1'b0
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
  output logic                   a_valid_o,
  input  logic                   a_ready_i,
  output logic [2:0]             a_opcode_o,
  output logic [2:0]             a_size_o,
  output logic [SlotWidth-1:0]   a_source_o,
  output logic [HpaWidth-1:0]    a_address_o,
  output logic [DataWidth/8-1:0] a_mask_o,
  input  logic                   d_valid_i,
  output logic                   d_ready_o,
  input  logic [2:0]             d_opcode_i,
  input  logic [2:0]             d_size_i,
  input  logic [SlotWidth-1:0]   d_source_i,
  input  logic                   d_denied_i,
  input  logic                   d_corrupt_i,
  input  logic [DataWidth-1:0]   d_data_i
);

  localparam int unsigned PteBytes = PteWidth / 8;
  localparam int unsigned BusBytes = DataWidth / 8;

  logic [31:0]         bits;
  logic                is_wide_q;
  logic [HpaWidth-1:0] at_q [2**SlotWidth];
  logic [2:0]          size_q [2**SlotWidth];

  noise u_noise (.clk_i, .rst_ni, .bits_o (bits));

  assign a_valid_o     = m_req_valid_i;
  assign m_req_ready_o = a_ready_i;
  assign a_opcode_o    = 3'd4;
  assign a_source_o    = m_req_id_i;
  assign a_size_o      = is_wide_q ? 3'($clog2(BusBytes)) : 3'($clog2(PteBytes));
  assign a_address_o   = is_wide_q ? m_req_hpa_i & ~HpaWidth'(BusBytes - 1) : m_req_hpa_i;
  assign a_mask_o      = is_wide_q ? '1
    : BusBytes'((1 << PteBytes) - 1) << (32'(m_req_hpa_i) % BusBytes);

  assign d_ready_o     = bits[0];
  assign m_rsp_valid_o = d_valid_i && d_ready_o;
  assign m_rsp_id_o    = d_source_i;
  assign m_rsp_error_o = d_denied_i || d_corrupt_i;
  assign m_rsp_data_o  = PteWidth'(d_data_i >> (8 * (32'(at_q[d_source_i]) % BusBytes)));

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      is_wide_q <= 1'b0;
      for (int unsigned id = 0; id < 2**SlotWidth; id++) {at_q[id], size_q[id]} <= '0;
    end else if (a_valid_o && a_ready_i) begin
      is_wide_q          <= Wide && bits[1];
      at_q[m_req_id_i]   <= m_req_hpa_i;
      size_q[m_req_id_i] <= a_size_o;
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // A response tells its size, and a denied one is corrupt.
  ResponseIsRight_A: assert property (@(posedge clk_i) disable iff (in_reset) d_valid_i |->
    d_opcode_i == 3'd1 && d_size_i == size_q[d_source_i] && (d_corrupt_i || !d_denied_i));

endmodule
