// SPDX-License-Identifier: Apache-2.0
// Socket adapter, memory side: the request port of a cache with a late tag and a kill, as the L1
// data cache of CVA6 has it.
//
// The device requests a read with the index of its address, and holds it until data_gnt_o. From the
// next cycle on it sends the rest of the address with tag_valid_i. kill_req_i, then or later, ends
// the read: data_rvalid_o answers it in the same cycle, with data that mean nothing. Data that
// memory returns after that are dropped. One read is in flight at a time. The next one is granted in
// the cycle of data_rvalid_o at the earliest.
//
// An entry is on the lanes of its address, and the other lanes are 0. data_error_o is for devices
// that have an error input. Without one, the device file says `errors = false`.

module cache_port #(
  // Bits of a physical address, of the part of it that comes first, of an id, of the data, and of a
  // table entry.
  parameter int unsigned HpaWidth   = 56,
  parameter int unsigned IndexWidth = 12,
  parameter int unsigned IdWidth    = 1,
  parameter int unsigned DataWidth  = 64,
  parameter int unsigned PteWidth   = 64
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The device.
  input  logic                           data_req_i,
  output logic                           data_gnt_o,
  input  logic [IdWidth-1:0]             data_id_i,
  input  logic [IndexWidth-1:0]          address_index_i,
  input  logic [HpaWidth-IndexWidth-1:0] address_tag_i,
  input  logic                           tag_valid_i,
  input  logic                           kill_req_i,
  output logic                           data_rvalid_o,
  output logic [IdWidth-1:0]             data_rid_o,
  output logic [DataWidth-1:0]           data_rdata_o,
  output logic                           data_error_o,

  // The socket.
  output logic                mem_req_valid_o,
  input  logic                mem_req_ready_i,
  output logic [HpaWidth-1:0] mem_req_hpa_o,
  input  logic                mem_rsp_valid_i,
  input  logic                mem_rsp_error_i,
  input  logic [PteWidth-1:0] mem_rsp_data_i
);

  localparam int unsigned PteBytes = PteWidth / 8;

  typedef enum logic [1:0] {
    Idle,   // no read
    Tag,    // granted: the tag is missing
    Offer,  // memory has not accepted the read
    Data    // memory has accepted the read
  } state_e;

  state_e                         state_q, state_d;
  logic                           killed_q, ends;
  logic [IndexWidth-1:0]          index_q;
  logic [HpaWidth-IndexWidth-1:0] tag_q, tag;
  logic [HpaWidth-1:0]            address;

  assign tag     = (state_q == Tag) ? address_tag_i : tag_q;
  assign address = {tag, index_q};

  // The read leaves the adapter: memory has returned its data, or it is killed without a tag.
  assign ends = (state_q == Data && mem_rsp_valid_i) || (state_q == Tag && kill_req_i);

  assign data_gnt_o    = data_req_i && (state_q == Idle || (ends && state_q == Data && !killed_q));
  assign data_rvalid_o = state_q != Idle && !killed_q && (kill_req_i || ends);

  always_comb begin : p_state
    state_d = state_q;
    unique case (state_q)
      Idle:    if (data_gnt_o) state_d = Tag;
      Tag:     if (kill_req_i) state_d = Idle;
               else if (tag_valid_i) state_d = mem_req_ready_i ? Data : Offer;
      Offer:   if (mem_req_ready_i) state_d = Data;
      Data:    if (ends) state_d = data_gnt_o ? Tag : Idle;
      default: state_d = Idle;
    endcase
  end

  // A read that was offered stays until memory accepts it, whether or not it is killed.
  assign mem_req_valid_o = (state_q == Tag && tag_valid_i && !kill_req_i) || state_q == Offer;
  assign mem_req_hpa_o   = address & ~HpaWidth'(PteBytes - 1);

  always_comb begin : p_lanes
    data_rdata_o = '0;
    for (int unsigned lane = 0; lane < DataWidth / PteWidth; lane++) begin
      if (lane == (32'(index_q) % (DataWidth / 8)) / PteBytes) begin
        data_rdata_o[lane * PteWidth +: PteWidth] = mem_rsp_data_i;
      end
    end
  end
  assign data_error_o = mem_rsp_error_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      state_q    <= Idle;
      killed_q   <= 1'b0;
      index_q    <= '0;
      tag_q      <= '0;
      data_rid_o <= '0;
    end else begin
      state_q  <= state_d;
      tag_q    <= tag;
      killed_q <= state_d inside {Offer, Data} && (killed_q || kill_req_i);
      if (data_gnt_o) begin
        index_q    <= address_index_i;
        data_rid_o <= data_id_i;
      end
    end
  end

endmodule
