// SPDX-License-Identifier: Apache-2.0
// Socket adapter, memory side: reads of OBI (Open Bus Interface).
//
// Responses come in the order of the requests, so the memory port of the socket has no ids. Up to
// Outstanding reads are in flight. An entry is on the lanes of its address, and the other lanes are
// 0. A device without rready connects 1, and one without ids 0.

module obi #(
  // Bits of a physical address, of an id, of the data, and of a table entry; reads in flight.
  parameter int unsigned HpaWidth    = 56,
  parameter int unsigned IdWidth     = 1,
  parameter int unsigned DataWidth   = 64,
  parameter int unsigned PteWidth    = 64,
  parameter int unsigned Outstanding = 4
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The device.
  input  logic                 req_i,
  output logic                 gnt_o,
  input  logic [HpaWidth-1:0]  addr_i,
  input  logic [IdWidth-1:0]   aid_i,
  output logic                 rvalid_o,
  input  logic                 rready_i,
  output logic [DataWidth-1:0] rdata_o,
  output logic [IdWidth-1:0]   rid_o,
  output logic                 err_o,

  // The socket.
  output logic                mem_req_valid_o,
  input  logic                mem_req_ready_i,
  output logic [HpaWidth-1:0] mem_req_hpa_o,
  input  logic                mem_rsp_valid_i,
  output logic                mem_rsp_ready_o,
  input  logic                mem_rsp_error_i,
  input  logic [PteWidth-1:0] mem_rsp_data_i
);

  localparam int unsigned PteBytes = PteWidth / 8;
  localparam int unsigned PtrWidth = (Outstanding > 1) ? $clog2(Outstanding) : 1;
  localparam int unsigned LowWidth = $clog2(DataWidth / 8);

  typedef logic [PtrWidth-1:0] ptr_t;

  // The reads in flight, in their order.
  logic [LowWidth-1:0] low_q [Outstanding];
  logic [IdWidth-1:0]  id_q  [Outstanding];
  ptr_t                write_q, read_q;
  logic [PtrWidth:0]   count_q;
  logic                is_full, granted, returned;

  function automatic ptr_t after(ptr_t place);
    return (place == ptr_t'(Outstanding - 1)) ? '0 : place + ptr_t'(1);
  endfunction

  assign is_full         = count_q == (PtrWidth + 1)'(Outstanding);
  assign mem_req_valid_o = req_i && !is_full;
  assign mem_req_hpa_o   = addr_i & ~HpaWidth'(PteBytes - 1);
  assign gnt_o           = mem_req_ready_i && !is_full;
  assign granted         = req_i && gnt_o;

  assign rvalid_o        = mem_rsp_valid_i;
  assign mem_rsp_ready_o = rready_i;
  assign rid_o           = id_q[read_q];
  assign err_o           = mem_rsp_error_i;
  assign returned        = rvalid_o && rready_i;

  data_lanes #(.DataWidth, .PteWidth) u_lanes (
    .low_i  (low_q[read_q]),
    .word_i (mem_rsp_data_i),
    .data_o (rdata_o)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      {write_q, read_q, count_q} <= '0;
      for (int unsigned i = 0; i < Outstanding; i++) {low_q[i], id_q[i]} <= '0;
    end else begin
      if (granted) begin
        low_q[write_q] <= LowWidth'(addr_i);
        id_q[write_q]  <= aid_i;
        write_q        <= after(write_q);
      end
      if (returned) read_q <= after(read_q);
      count_q <= count_q + (PtrWidth + 1)'(granted) - (PtrWidth + 1)'(returned);
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // The device holds a request until it is granted.
  RequestStays_A: assert property (@(posedge clk_i) disable iff (in_reset)
    req_i && !gnt_o |=> req_i && $stable({addr_i, aid_i}));

endmodule
