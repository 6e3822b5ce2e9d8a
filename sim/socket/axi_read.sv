// SPDX-License-Identifier: Apache-2.0
// Socket adapter, memory side: the read channels of AXI4.
//
// A beat has the size of an entry or more, up to the width of the bus. Data are on the lanes of
// their address, and the lanes of no address are 0. Bursts are INCR or WRAP. Each id has one read
// in flight at a time. The first word of a read leaves in the cycle of its address handshake at the
// latest. A read of several words is read word by word, and the next read is accepted after its
// last word. Responses of other ids may come between its beats.
//
// An error of memory is a SLVERR or a DECERR, which depends on the address: the device has to know
// both. axi_atomic is this adapter with updates of entries.

module axi_read #(
  // Bits of a physical address, of an id (at most 4), of the data, and of a table entry.
  parameter int unsigned HpaWidth  = 56,
  parameter int unsigned IdWidth   = 4,
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The device.
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

  // The socket.
  output logic                mem_req_valid_o,
  input  logic                mem_req_ready_i,
  output logic                mem_req_first_o, // the word of an address that is being accepted
  output logic [IdWidth-1:0]  mem_req_id_o,
  output logic [HpaWidth-1:0] mem_req_hpa_o,
  input  logic                mem_rsp_valid_i,
  output logic                mem_rsp_ready_o,
  input  logic [IdWidth-1:0]  mem_rsp_id_i,
  input  logic                mem_rsp_error_i,
  input  logic [PteWidth-1:0] mem_rsp_data_i
);

  localparam int unsigned PteBytes = PteWidth / 8;
  localparam int unsigned LowWidth = $clog2(DataWidth / 8) + 1;

  typedef logic [HpaWidth-1:0] hpa_t;

  // A word of this address is the last one of its beat.
  function automatic logic ends_beat(hpa_t at, logic [2:0] size);
    return ((at + HpaWidth'(PteBytes)) & ((hpa_t'(1) << size) - 1'b1)) == '0;
  endfunction

  // The reads in flight, with the low bits of the address of their word.
  logic [2**IdWidth-1:0] busy_q;
  logic [LowWidth-1:0]   low_q [2**IdWidth];

  // The read of several words: its last word that was requested, and the beats behind its own.
  logic                 multi_q, waits_q, error_q;
  logic [IdWidth-1:0]   id_q;
  hpa_t                 at_q, moves_q;
  logic [2:0]           size_q;
  logic [7:0]           beats_q;
  logic [DataWidth-1:0] data_q, word;

  hpa_t first, next, moves;
  logic of_multi, is_part, granted, error, done;

  assign first = araddr_i & ~HpaWidth'(PteBytes - 1);
  // The bits of an address that change within a burst: all, or those in the block of a WRAP.
  assign moves = (arburst_i == 2'd2) ? ((HpaWidth'(arlen_i) + 1'b1) << arsize_i) - 1'b1 : '1;
  assign next  = (at_q & ~moves_q) | ((at_q + HpaWidth'(PteBytes)) & moves_q);

  assign mem_req_first_o = !multi_q && arvalid_i && !busy_q[arid_i];
  assign mem_req_valid_o = mem_req_first_o || (multi_q && !waits_q);
  assign mem_req_id_o    = multi_q ? id_q : arid_i;
  assign mem_req_hpa_o   = multi_q ? at_q : first;
  assign arready_o       = mem_req_first_o && mem_req_ready_i;
  assign granted         = mem_req_valid_o && mem_req_ready_i;

  // A word that does not end its beat waits for the others.
  assign of_multi        = multi_q && mem_rsp_id_i == id_q;
  assign is_part         = of_multi && !ends_beat(at_q, size_q);
  assign rvalid_o        = mem_rsp_valid_i && !is_part;
  assign mem_rsp_ready_o = rready_i || is_part;
  assign rid_o           = mem_rsp_id_i;
  assign rlast_o         = !of_multi || beats_q == '0;
  assign error           = mem_rsp_error_i || (of_multi && error_q);
  assign rresp_o         = error ? {1'b1, low_q[mem_rsp_id_i][LowWidth-1]} : 2'b00;
  assign rdata_o         = word | (of_multi ? data_q : '0);
  assign done            = mem_rsp_valid_i && mem_rsp_ready_o;

  data_lanes #(.DataWidth, .PteWidth) u_lanes (
    .low_i ($clog2(DataWidth / 8)'(low_q[mem_rsp_id_i])), .word_i (mem_rsp_data_i), .data_o (word)
  );

  always_ff @(posedge clk_i) if (granted) low_q[mem_req_id_o] <= LowWidth'(mem_req_hpa_o);

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      {multi_q, waits_q, error_q, id_q, at_q, moves_q, size_q, beats_q, data_q, busy_q} <= '0;
    end else begin
      if (done && !is_part && rlast_o) busy_q[mem_rsp_id_i] <= 1'b0;
      if (granted) busy_q[mem_req_id_o] <= 1'b1;
      if (arready_o) begin
        multi_q <= !ends_beat(first, arsize_i) || arlen_i != '0;
        {id_q, at_q, moves_q, size_q, beats_q} <= {arid_i, first, moves, arsize_i, arlen_i};
        {error_q, data_q} <= '0;
      end else if (multi_q && done && of_multi) begin
        multi_q <= is_part || !rlast_o;
        at_q    <= next;
        beats_q <= is_part ? beats_q : beats_q - 8'd1;
        {error_q, data_q} <= is_part ? {error, rdata_o} : '0;
      end
      waits_q <= (waits_q || granted) && !(done && of_multi);
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // A beat has an entry at least, and the burst is one of AXI4.
  BurstIsLegal_A: assert property (@(posedge clk_i) disable iff (in_reset) arvalid_i |->
    arsize_i >= 3'($clog2(PteBytes)) && arsize_i <= 3'($clog2(DataWidth / 8))
    && (arlen_i == '0 || arburst_i == 2'd1 || (arburst_i == 2'd2
      && arlen_i inside {8'd1, 8'd3, 8'd7, 8'd15} && (araddr_i & ~('1 << arsize_i)) == '0)));
  AddressStays_A: assert property (@(posedge clk_i) disable iff (in_reset)
    arvalid_i && !arready_o |=> arvalid_i && $stable({arid_i, araddr_i, arlen_i, arsize_i}));

endmodule
