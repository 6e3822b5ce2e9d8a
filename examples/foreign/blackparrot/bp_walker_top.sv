// SPDX-License-Identifier: Apache-2.0
// The page-table walker of BlackParrot (bp_be_ptw) behind the ports of nestwalk's socket: an Sv39
// walker without a TLB. The RTL comes from PyPI (docs/foreign.md).
//
// The top module does for the walker what the core does around it:
// - A request is a TLB miss, of the instruction TLB or of the data TLB. One is in flight.
// - The walker gets the page number alone. An address that is not canonical is a page fault without
//   a walk.
// - The data cache is memory. It never misses, so that it never makes the walker read again.
module bp_walker_top (
  input  logic        clk_i, rst_ni,
  input  logic        req_valid_i,
  output logic        req_ready_o,
  input  logic [1:0]  req_access_i,
  input  logic [63:0] req_gva_i,
  input  logic [39:0] req_guest_root_i,
  input  logic        req_user_i, req_sum_i, req_guest_mxr_i,
  output logic        rsp_valid_o,
  input  logic        rsp_ready_i,
  output logic [39:0] rsp_hpa_o,
  output logic        rsp_fault_o,
  output logic [5:0]  rsp_trap_cause_o,
  output logic        mem_req_valid_o,
  input  logic        mem_req_ready_i,
  output logic [39:0] mem_req_hpa_o,
  input  logic        mem_rsp_valid_i,
  input  logic [63:0] mem_rsp_data_i
);

  import bp_common_pkg::*;
  import bp_common_aviary_pkg::*;
  import bp_be_pkg::*;
  import bp_be_dcache_pkg::*;

  // Widths of the single-core configuration.
  localparam int unsigned PtagWidth = 28;
  localparam int unsigned VtagWidth = 27;
  localparam int unsigned PageWidth = 12;
  `declare_bp_be_dcache_pkt_s(PageWidth, 64);
  `declare_bp_fe_be_if(39, 40, 1, 28);

  typedef enum logic [1:0] {
    Idle,     // no request
    Miss,     // the walker has not begun
    Walk,     // the walker is busy
    Respond   // the socket has not accepted the response
  } state_e;

  state_e             state_q;
  logic [63:0]        gva_q;
  logic [39:0]        root_q;
  logic               fetch_q, store_q, user_q, sum_q, mxr_q;

  logic               busy, fault, instr_fault, load_fault, store_fault, is_canonical;
  logic               writes, reads;
  bp_be_dcache_pkt_s  packet;
  bp_pte_entry_leaf_s leaf;
  logic [PtagWidth-1:0] ptag;

  assign req_ready_o  = state_q == Idle;
  assign rsp_valid_o  = state_q == Respond;
  assign fault        = instr_fault || load_fault || store_fault;
  assign is_canonical = (&gva_q[63:38]) || !(|gva_q[63:38]);

  // The read is on the port until memory accepts it. The walker waits for its data.
  assign mem_req_valid_o = reads;
  assign mem_req_hpa_o   = {ptag, packet.page_offset};

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      state_q <= Idle;
      {gva_q, root_q, fetch_q, store_q, user_q, sum_q, mxr_q} <= '0;
      {rsp_hpa_o, rsp_fault_o, rsp_trap_cause_o} <= '0;
    end else begin
      unique case (state_q)
        Idle: if (req_valid_i) begin
          state_q <= Miss;
          gva_q   <= req_gva_i;
          root_q  <= req_guest_root_i;
          fetch_q <= req_access_i == 2'd2;
          store_q <= req_access_i == 2'd1;
          user_q  <= req_user_i;
          sum_q   <= req_sum_i;
          mxr_q   <= req_guest_mxr_i;
        end
        Miss: begin
          state_q          <= is_canonical ? Walk : Respond;
          rsp_hpa_o        <= '0;
          rsp_fault_o      <= !is_canonical;
          rsp_trap_cause_o <= is_canonical ? '0 : fetch_q ? 6'd12 : store_q ? 6'd15 : 6'd13;
        end
        Walk: if (fault) begin
          state_q          <= Respond;
          rsp_fault_o      <= 1'b1;
          rsp_trap_cause_o <= instr_fault ? 6'd12 : store_fault ? 6'd15 : 6'd13;
        end else if (writes) begin
          state_q   <= Respond;
          rsp_hpa_o <= {leaf.ptag, gva_q[PageWidth-1:0]};
        end
        Respond: if (rsp_ready_i) state_q <= Idle;
        default: state_q <= Idle;
      endcase
    end
  end

  bp_be_ptw #(.bp_params_p(e_bp_single_core_cfg)) u_ptw (
    .clk_i, .reset_i(!rst_ni),
    .base_ppn_i(root_q[39:PageWidth]), .priv_mode_i(user_q ? 2'b00 : 2'b01),
    .mstatus_sum_i(sum_q), .mstatus_mxr_i(mxr_q), .busy_o(busy),
    .itlb_not_dtlb_i(fetch_q), .itlb_not_dtlb_o(), .store_not_load_i(store_q),
    .instr_page_fault_o(instr_fault), .load_page_fault_o(load_fault),
    .store_page_fault_o(store_fault),
    .tlb_miss_v_i(state_q == Miss && is_canonical),
    .tlb_miss_vtag_i(gva_q[PageWidth +: VtagWidth]),
    .tlb_w_v_o(writes), .tlb_w_vtag_o(), .tlb_w_entry_o(leaf),
    .dcache_v_i(mem_rsp_valid_i), .dcache_data_i(mem_rsp_data_i),
    .dcache_v_o(reads), .dcache_pkt_o(packet), .dcache_ptag_o(ptag),
    .dcache_rdy_i(mem_req_ready_i), .dcache_miss_i(1'b0)
  );

endmodule
