// SPDX-License-Identifier: Apache-2.0
// The memory port of nested_mmu as AXI with AtomicCompare: the inverse of the adapter axi_atomic.
// With Bursts a read is one of several forms of a line fill, and the entry is taken from its beat.

module as_axi #(
  parameter int unsigned HpaWidth  = 56,
  parameter int unsigned DataWidth = 64,
  parameter int unsigned PteWidth  = 64,
  parameter int unsigned SlotWidth = 2,
  parameter bit          Bursts    = 1'b0
) (
  input  logic clk_i,
  input  logic rst_ni,

  // The MMU.
  input  logic                 m_req_valid_i,
  output logic                 m_req_ready_o,
  input  logic [SlotWidth-1:0] m_req_id_i,
  input  logic [HpaWidth-1:0]  m_req_hpa_i,
  input  logic                 m_req_update_i,
  input  logic [PteWidth-1:0]  m_req_expected_i,
  input  logic [PteWidth-1:0]  m_req_new_i,
  output logic                 m_rsp_valid_o,
  output logic [SlotWidth-1:0] m_rsp_id_o,
  output logic                 m_rsp_error_o,
  output logic [PteWidth-1:0]  m_rsp_data_o,

  // The adapter.
  output logic                 arvalid_o,
  input  logic                 arready_i,
  output logic [SlotWidth-1:0] arid_o,
  output logic [HpaWidth-1:0]  araddr_o,
  output logic [7:0]           arlen_o,
  output logic [2:0]           arsize_o,
  output logic [1:0]           arburst_o,
  input  logic                 rvalid_i,
  output logic                 rready_o,
  input  logic [SlotWidth-1:0] rid_i,
  input  logic [DataWidth-1:0] rdata_i,
  input  logic [1:0]           rresp_i,
  input  logic                 rlast_i,
  output logic                 awvalid_o,
  input  logic                 awready_i,
  output logic [SlotWidth-1:0] awid_o,
  output logic [HpaWidth-1:0]  awaddr_o,
  output logic [5:0]           awatop_o,
  output logic                 wvalid_o,
  input  logic                 wready_i,
  output logic [DataWidth-1:0] wdata_o,
  input  logic                 bvalid_i,
  output logic                 bready_o,
  input  logic [SlotWidth-1:0] bid_i,
  input  logic [1:0]           bresp_i
);

  localparam int unsigned Ids      = 2**SlotWidth;
  localparam int unsigned PteBytes = PteWidth / 8;
  localparam int unsigned BusBytes = DataWidth / 8;
  localparam logic [2:0]  PteSize  = 3'($clog2(PteBytes));
  localparam logic [2:0]  BusSize  = 3'($clog2(BusBytes));
  localparam bit          TwoBeats = BusBytes == PteBytes;

  typedef logic [HpaWidth-1:0] hpa_t;

  logic [31:0] bits;
  noise u_noise (.clk_i, .rst_ni, .bits_o (bits));

  // ---------------------------------------------------------------------------------------------
  // Reads. The form of the next one is drawn when an address is accepted.

  logic [2:0] form_q, form;
  logic [1:0] turn_q;
  hpa_t       line, beat, start;
  assign line = m_req_hpa_i & ~hpa_t'(63);
  assign beat = m_req_hpa_i & ~HpaWidth'(BusBytes - 1);
  assign start = m_req_hpa_i ^ (hpa_t'(turn_q) << PteSize);
  // The last form needs a beat behind that of the entry.
  assign form = (form_q == 3'd5 && 32'(m_req_hpa_i[5:0]) + 2 * BusBytes > 64) ? 3'd1 : form_q;

  typedef struct packed {
    logic [SlotWidth-1:0] id;
    hpa_t                 addr;
    logic [7:0]           len;
    logic [2:0]           size;
    logic [1:0]           burst;
  } address_t;

  address_t address, held_q;
  logic     read, read_ready, held_valid_q;

  always_comb begin : p_form
    address = '{id: m_req_id_i, addr: m_req_hpa_i, len: 8'd0, size: PteSize, burst: 2'd1};
    if (Bursts) begin
      unique case (form)
        3'd1:    {address.addr, address.size} = {beat, BusSize};
        // A block that begins anywhere, and wraps around to the entry.
        3'd2:    {address.addr, address.len, address.burst}
                   = {start, 8'd3, 2'd2};
        3'd3:    {address.addr, address.len, address.size}
                   = {line, 8'(64 / BusBytes - 1), BusSize};
        3'd4:    {address.addr, address.len, address.size, address.burst}
                   = {beat, 8'd1, BusSize, 2'd2};
        3'd5:    {address.len, address.size} = {8'd1, BusSize};
        default: ;
      endcase
    end
  end

  // With Bursts an address is held, so that it may meet that of an update.
  assign read       = m_req_valid_i && !m_req_update_i;
  assign arvalid_o  = Bursts ? held_valid_q : read;
  assign read_ready = Bursts ? !held_valid_q : arready_i;
  assign {arid_o, araddr_o, arlen_o, arsize_o, arburst_o} = Bursts ? held_q : address;

  // By id: the entry, and the burst with its beats so far.
  hpa_t                at_q [Ids], start_q [Ids];
  logic [7:0]          len_q [Ids], beats_q [Ids];
  logic [2:0]          size_q [Ids];
  logic                wraps_q [Ids], error_q [Ids];
  logic [PteWidth-1:0] word_q [Ids];
  hpa_t                bytes, block, place;
  logic                covers, taken, error;
  logic [PteWidth-1:0] word;

  // The address of a beat, as the specification defines it.
  always_comb begin : p_place
    bytes = hpa_t'(1) << size_q[rid_i];
    block = bytes * (hpa_t'(len_q[rid_i]) + hpa_t'(1));
    place = (start_q[rid_i] & ~(bytes - hpa_t'(1))) + bytes * hpa_t'(beats_q[rid_i]);
    if (beats_q[rid_i] == '0) place = start_q[rid_i];
    if (wraps_q[rid_i] && place >= (start_q[rid_i] & ~(block - hpa_t'(1))) + block) begin
      place -= block;
    end
  end

  assign covers = at_q[rid_i] >= place && at_q[rid_i] < (place & ~(bytes - hpa_t'(1))) + bytes;
  assign word   = covers ? PteWidth'(rdata_i >> (8 * (32'(at_q[rid_i]) % BusBytes))) : word_q[rid_i];
  assign error  = covers ? rresp_i[1] : error_q[rid_i];

  assign rready_o      = bits[0] || bits[1];
  assign taken         = rvalid_i && rready_o;
  assign m_rsp_valid_o = taken && rlast_i;
  assign m_rsp_id_o    = rid_i;
  assign m_rsp_error_o = error;
  assign m_rsp_data_o  = word;

  // ---------------------------------------------------------------------------------------------
  // Updates. Address and data leave in any order.

  logic           aw_done_q, w_done_q, first_done_q, aw_fires, w_fires, last_fires;
  logic [Ids-1:0] b_waits_q, updates_q;
  logic [1:0]     resp_q [Ids];

  assign awvalid_o = m_req_valid_i && m_req_update_i && !aw_done_q && !b_waits_q[m_req_id_i];
  assign awid_o    = m_req_id_i;
  assign awaddr_o  = m_req_hpa_i;
  assign awatop_o  = 6'b110001;
  assign wvalid_o  = m_req_valid_i && m_req_update_i && !w_done_q && (!first_done_q || awvalid_o);
  assign aw_fires  = awvalid_o && awready_i;
  assign w_fires   = wvalid_o && wready_i;
  assign last_fires = w_fires && (first_done_q || !TwoBeats);
  if (TwoBeats) begin : gen_two_beats
    assign wdata_o = DataWidth'(first_done_q ? m_req_new_i : m_req_expected_i);
  end else begin : gen_one_beat
    // Other lanes are noise.
    always_comb begin : p_data
      wdata_o = {(DataWidth / 32){bits}};
      wdata_o[PteWidth * ((32'(m_req_hpa_i) % BusBytes) / PteBytes) +: PteWidth] = m_req_expected_i;
      wdata_o[PteWidth * (((32'(m_req_hpa_i) % BusBytes) / PteBytes) ^ 1) +: PteWidth]
        = m_req_new_i;
    end
  end

  assign bready_o      = bits[2];
  assign m_req_ready_o = m_req_update_i ? (aw_done_q || aw_fires) && (w_done_q || last_fires)
                                        : read_ready;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      {held_valid_q, held_q, turn_q, form_q, aw_done_q, w_done_q, first_done_q, b_waits_q, updates_q} <= '0;
      for (int unsigned id = 0; id < Ids; id++) begin
        {at_q[id], start_q[id], len_q[id], beats_q[id], size_q[id], wraps_q[id]} <= '0;
        {error_q[id], word_q[id], resp_q[id]} <= '0;
      end
    end else begin
      if (m_req_valid_i && m_req_ready_o) begin
        at_q[m_req_id_i]    <= m_req_hpa_i;
        start_q[m_req_id_i] <= m_req_update_i ? m_req_hpa_i : address.addr;
        len_q[m_req_id_i]   <= m_req_update_i ? 8'd0 : address.len;
        size_q[m_req_id_i]  <= m_req_update_i ? PteSize : address.size;
        updates_q[m_req_id_i] <= m_req_update_i;
        wraps_q[m_req_id_i] <= !m_req_update_i && address.burst == 2'd2;
        // Most beats have one entry: an error beside it would be an error of the beat.
        turn_q <= bits[13:12];
        form_q <= (bits[7:6] == '0) ? 3'(32'(bits[11:8]) % 6) : {1'b0, bits[8], 1'b0};
      end
      held_valid_q <= Bursts && (held_valid_q ? !arready_i : read);
      if (!held_valid_q) held_q <= address;
      if (aw_fires) b_waits_q[m_req_id_i] <= 1'b1;
      aw_done_q    <= (aw_done_q || aw_fires) && !m_req_ready_o;
      w_done_q     <= (w_done_q || last_fires) && !m_req_ready_o;
      first_done_q <= TwoBeats && (first_done_q || w_fires) && !m_req_ready_o;
      if (taken) begin
        beats_q[rid_i] <= rlast_i ? '0 : beats_q[rid_i] + 8'd1;
        word_q[rid_i]  <= word;
        error_q[rid_i] <= error;
        if (updates_q[rid_i]) resp_q[rid_i] <= rresp_i;
      end
      if (bvalid_i && bready_o) b_waits_q[bid_i] <= 1'b0;
    end
  end

  logic in_reset;
  assign in_reset = !rst_ni;

  // RLAST is with the last beat, and a B response is that of its update.
  LastIsRight_A: assert property (@(posedge clk_i) disable iff (in_reset)
    rvalid_i |-> rlast_i == (beats_q[rid_i] == len_q[rid_i]));
  ResponseIsRight_A: assert property (@(posedge clk_i) disable iff (in_reset)
    bvalid_i |-> b_waits_q[bid_i] && bresp_i == resp_q[bid_i]);

endmodule
