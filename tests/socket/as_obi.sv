// SPDX-License-Identifier: Apache-2.0
// The memory port of nested_mmu as OBI: the inverse of the adapter obi.

module as_obi #(
  parameter int unsigned HpaWidth  = 56,
  parameter int unsigned IdWidth   = 4,
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64,
  parameter int unsigned SlotWidth = 2
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
  input  logic                 gnt_i,
  output logic [HpaWidth-1:0]  addr_o,
  output logic [IdWidth-1:0]   aid_o,
  input  logic                 rvalid_i,
  output logic                 rready_o,
  input  logic [DataWidth-1:0] rdata_i,
  input  logic [IdWidth-1:0]   rid_i,
  input  logic                 err_i
);

  localparam int unsigned Ids      = 2**SlotWidth;
  localparam int unsigned BusBytes = DataWidth / 8;

  // The reads in flight, in their order: slots, addresses and ids.
  logic [SlotWidth-1:0] slot_q [Ids];
  logic [HpaWidth-1:0]  at_q   [Ids];
  logic [IdWidth-1:0]   id_q   [Ids];
  logic [SlotWidth-1:0] write_q, read_q;
  logic [SlotWidth:0]   count_q;
  logic [IdWidth-1:0]   next_id_q;
  logic [31:0]          bits;
  logic                 granted, returned;

  noise u_noise (.clk_i, .rst_ni, .bits_o (bits));

  assign req_o         = m_req_valid_i;
  assign m_req_ready_o = gnt_i;
  assign addr_o        = m_req_hpa_i;
  assign aid_o         = next_id_q;
  assign granted       = req_o && gnt_i;

  assign rready_o      = bits[0];
  assign returned      = rvalid_i && rready_o;
  assign m_rsp_valid_o = returned;
  assign m_rsp_id_o    = slot_q[read_q];
  assign m_rsp_error_o = err_i;
  assign m_rsp_data_o  = PteWidth'(rdata_i >> (8 * (32'(at_q[read_q]) % BusBytes)));

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      {write_q, read_q, count_q, next_id_q} <= '0;
      for (int unsigned i = 0; i < Ids; i++) {slot_q[i], at_q[i], id_q[i]} <= '0;
    end else begin
      if (granted) begin
        slot_q[write_q] <= m_req_id_i;
        at_q[write_q]   <= m_req_hpa_i;
        id_q[write_q]   <= aid_o;
        write_q         <= write_q + SlotWidth'(1);
        next_id_q       <= IdWidth'(bits >> 4);
      end
      if (returned) read_q <= read_q + SlotWidth'(1);
      count_q <= count_q + (SlotWidth + 1)'(granted) - (SlotWidth + 1)'(returned);
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // A response belongs to a read, and has its id.
  ResponseIsRight_A: assert property (@(posedge clk_i) disable iff (in_reset)
    rvalid_i |-> count_q != '0 && rid_i == id_q[read_q]);

endmodule
