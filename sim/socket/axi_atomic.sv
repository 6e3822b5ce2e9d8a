// SPDX-License-Identifier: Apache-2.0
// Socket adapter, memory side: the read channels of AXI4 (axi_read), and updates of entries by the
// atomic transaction AtomicCompare of AXI5.
//
// AtomicCompare sends the word that it compares, on the lanes of its address, and the word that it
// swaps in. On a bus as wide as an entry it has two beats of that size. On a wider bus it has one
// beat of two words. Memory returns the old word on the R channel, and the device compares it. A B
// response follows. One update is in flight at a time. Its id is not that of a read in flight.

module axi_atomic #(
  // Bits of a physical address, of an id (at most 4), of the data, and of a table entry.
  parameter int unsigned HpaWidth  = 56,
  parameter int unsigned IdWidth   = 4,
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The device: reads.
  input  logic                 arvalid_i,
  output logic                 arready_o,
  input  logic [IdWidth-1:0]   arid_i,
  input  logic [HpaWidth-1:0]  araddr_i,
  input  logic [7:0]           arlen_i,
  input  logic [2:0]           arsize_i,
  input  logic [1:0]           arburst_i,
  output logic                 rvalid_o,
  input  logic                 rready_i,
  output logic [IdWidth-1:0]   rid_o,
  output logic [DataWidth-1:0] rdata_o,
  output logic [1:0]           rresp_o,
  output logic                 rlast_o,

  // The device: updates.
  input  logic                 awvalid_i,
  output logic                 awready_o,
  input  logic [IdWidth-1:0]   awid_i,
  input  logic [HpaWidth-1:0]  awaddr_i,
  input  logic [5:0]           awatop_i,
  input  logic                 wvalid_i,
  output logic                 wready_o,
  input  logic [DataWidth-1:0] wdata_i,
  output logic                 bvalid_o,
  input  logic                 bready_i,
  output logic [IdWidth-1:0]   bid_o,
  output logic [1:0]           bresp_o,

  // The socket.
  output logic                mem_req_valid_o,
  input  logic                mem_req_ready_i,
  output logic [IdWidth-1:0]  mem_req_id_o,
  output logic [HpaWidth-1:0] mem_req_hpa_o,
  output logic                mem_req_update_o,
  output logic [PteWidth-1:0] mem_req_expected_o,
  output logic [PteWidth-1:0] mem_req_new_o,
  input  logic                mem_rsp_valid_i,
  output logic                mem_rsp_ready_o,
  input  logic [IdWidth-1:0]  mem_rsp_id_i,
  input  logic                mem_rsp_error_i,
  input  logic [PteWidth-1:0] mem_rsp_data_i
);

  localparam int unsigned Lanes    = DataWidth / PteWidth;
  localparam logic [2:0]  PteSize  = 3'($clog2(PteWidth / 8));
  localparam bit          TwoBeats = Lanes == 1;

  // The lane of an address.
  function automatic logic [PteWidth-1:0] word_at(logic [DataWidth-1:0] data, int unsigned lane);
    return PteWidth'(data >> ((lane % Lanes) * PteWidth));
  endfunction

  logic                b_waits_q, has_first_q, read_waits_q, update, first, ready;
  logic [PteWidth-1:0] first_q;
  int unsigned         lane;

  // An update is complete when the adapter has its address and its last beat.
  assign lane   = 32'(awaddr_i) >> PteSize;
  assign update = awvalid_i && wvalid_i && (has_first_q || !TwoBeats) && !b_waits_q && !bvalid_o
               && !read_waits_q;

  assign mem_req_update_o   = update && first;
  assign mem_req_expected_o = TwoBeats ? first_q : word_at(wdata_i, lane);
  assign mem_req_new_o      = TwoBeats ? PteWidth'(wdata_i) : word_at(wdata_i, lane ^ 1);

  assign awready_o = update && ready;
  assign wready_o  = awready_o || (TwoBeats && !has_first_q);
  assign arready_o = !update && ready;

  axi_read #(.HpaWidth, .IdWidth, .DataWidth, .PteWidth) u_read (
    .clk_i, .rst_ni,
    .arvalid_i (update || arvalid_i),          .arready_o (ready),
    .arid_i    (update ? awid_i : arid_i),     .araddr_i  (update ? awaddr_i : araddr_i),
    .arlen_i   (update ? 8'd0 : arlen_i),      .arsize_i  (update ? PteSize : arsize_i),
    .arburst_i (update ? 2'd1 : arburst_i),
    .rvalid_o, .rready_i, .rid_o, .rdata_o, .rresp_o, .rlast_o,
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_first_o (first), .mem_req_id_o, .mem_req_hpa_o,
    .mem_rsp_valid_i, .mem_rsp_ready_o, .mem_rsp_id_i, .mem_rsp_error_i, .mem_rsp_data_i
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      {b_waits_q, has_first_q, read_waits_q, first_q, bvalid_o, bid_o, bresp_o} <= '0;
    end else begin
      if (wvalid_i && wready_o) begin
        has_first_q <= TwoBeats && !awready_o;
        first_q     <= PteWidth'(wdata_i);
      end
      // An address that has waited goes first: it may have been offered to memory.
      read_waits_q <= arvalid_i && !update && !ready;
      if (awready_o) begin
        b_waits_q <= 1'b1;
        bid_o     <= awid_i;
      end else if (b_waits_q && rvalid_o && rready_i && rid_o == bid_o) begin
        b_waits_q <= 1'b0;
        bvalid_o  <= 1'b1;
        bresp_o   <= rresp_o;
      end else if (bready_i) bvalid_o <= 1'b0;
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // No other write is an update of an entry.
  AtomicCompare_A: assert property (@(posedge clk_i) disable iff (in_reset)
    awvalid_i |-> awatop_i == 6'b110001);

endmodule
