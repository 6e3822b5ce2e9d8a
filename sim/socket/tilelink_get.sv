// SPDX-License-Identifier: Apache-2.0
// Socket adapter, memory side: Get of TileLink-UL.
//
// A Get has the size of an entry or more, up to the width of the bus. Data are on the lanes of
// their address, and the other lanes are 0. Each source has one Get in flight at a time. An error
// of memory is a denied response or a corrupt one, which depends on the address: the device has to
// know both. (A denied response is corrupt as well.)
//
// The device holds a Get until it is accepted. A device that withdraws one, which TileLink allows,
// needs a buffer before this adapter.

module tilelink_get #(
  // Bits of a physical address, of a source (at most 4), of the data, and of a table entry.
  parameter int unsigned HpaWidth    = 56,
  parameter int unsigned SourceWidth = 4,
  parameter int unsigned DataWidth   = 64,
  parameter int unsigned PteWidth    = 64
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The device.
  input  logic                   a_valid_i,
  output logic                   a_ready_o,
  input  logic [2:0]             a_opcode_i,
  input  logic [2:0]             a_size_i,
  input  logic [SourceWidth-1:0] a_source_i,
  input  logic [HpaWidth-1:0]    a_address_i,
  input  logic [DataWidth/8-1:0] a_mask_i,
  output logic                   d_valid_o,
  input  logic                   d_ready_i,
  output logic [2:0]             d_opcode_o,
  output logic [2:0]             d_size_o,
  output logic [SourceWidth-1:0] d_source_o,
  output logic                   d_denied_o,
  output logic                   d_corrupt_o,
  output logic [DataWidth-1:0]   d_data_o,

  // The socket.
  output logic                   mem_req_valid_o,
  input  logic                   mem_req_ready_i,
  output logic [SourceWidth-1:0] mem_req_id_o,
  output logic [HpaWidth-1:0]    mem_req_hpa_o,
  input  logic                   mem_rsp_valid_i,
  output logic                   mem_rsp_ready_o,
  input  logic [SourceWidth-1:0] mem_rsp_id_i,
  input  logic                   mem_rsp_error_i,
  input  logic [PteWidth-1:0]    mem_rsp_data_i
);

  localparam logic [2:0] Get           = 3'd4;
  localparam logic [2:0] AccessAckData = 3'd1;

  logic [2:0] size_q [2**SourceWidth];
  logic [1:0] response;
  logic       unused_last, unused_first;    // there is one beat, and no update

  // A Get is a read of one beat. Its error is bit 1 of the response, and bit 0 tells which.
  assign d_opcode_o  = AccessAckData;
  assign d_size_o    = size_q[d_source_o];
  assign d_denied_o  = response[1] && response[0];
  assign d_corrupt_o = response[1];

  axi_read #(.HpaWidth, .IdWidth (SourceWidth), .DataWidth, .PteWidth) u_read (
    .clk_i, .rst_ni,
    .arvalid_i (a_valid_i),
    .arready_o (a_ready_o),
    .arid_i    (a_source_i),
    .araddr_i  (a_address_i),
    .arlen_i   (8'd0),
    .arsize_i  (a_size_i),
    .arburst_i (2'd1),
    .rvalid_o  (d_valid_o),
    .rready_i  (d_ready_i),
    .rid_o     (d_source_o),
    .rdata_o   (d_data_o),
    .rresp_o   (response),
    .rlast_o         (unused_last),
    .mem_req_first_o (unused_first),
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_id_o, .mem_req_hpa_o,
    .mem_rsp_valid_i, .mem_rsp_ready_o, .mem_rsp_id_i, .mem_rsp_error_i, .mem_rsp_data_i
  );

  always_ff @(posedge clk_i) begin : p_size
    if (a_valid_i && a_ready_o) size_q[a_source_i] <= a_size_i;
  end

  // The bytes of a Get.
  logic [DataWidth/8-1:0] mask;
  logic                   in_reset;
  assign mask     = (DataWidth / 8)'(~('1 << (32'd1 << a_size_i)))
                 << (32'(a_address_i) % (DataWidth / 8));
  assign in_reset = !rst_ni;

  GetIsLegal_A: assert property (@(posedge clk_i) disable iff (in_reset) a_valid_i |->
    a_opcode_i == Get && (a_address_i & ~('1 << a_size_i)) == '0
    && a_mask_i == mask);

endmodule
