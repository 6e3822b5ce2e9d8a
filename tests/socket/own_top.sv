// SPDX-License-Identifier: Apache-2.0
// nested_mmu behind the socket, by way of another protocol: its port, the inverse of an adapter,
// the adapter. Macros choose the ports, since a device file tells a device's abilities by them:
//
//   ONE        one request at a time, held (COMB: with combinational hits), CSRs, fences by pulses
//   CACHE_PORT, AXI, TILELINK, OBI, REQ_ACK    the protocol of the memory port

module own_top
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format     = FormatRv64,
  parameter int unsigned WalkSlots  = 4,
  parameter int unsigned TlbEntries = 4,
  parameter bit          Svadu      = 1'b0,
  parameter int unsigned DataWidth  = 64,
  // More reads than those of the walks: bursts, wide reads, reads that are killed late.
  parameter bit          MoreReads  = 1'b0,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: TlbEntries, WalkSlots: WalkSlots, MissEntries: 2 * WalkSlots,
    IdWidth: 4, AsidWidth: 16, VmidWidth: 14, MaxLevels: 3, Svadu: Svadu, default: '0}),
  localparam int unsigned Xlen = Cfg.GvaWidth
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  logic                     req_valid_i,
  output logic                     req_ready_o,
  input  logic [1:0]               req_access_i,
  input  logic [Cfg.GvaWidth-1:0]  req_gva_i,
  input  logic                     req_virt_i,
  input  logic [2:0]               req_guest_levels_i,
  input  logic [2:0]               req_host_levels_i,
  input  logic [Cfg.GpaWidth-1:0]  req_guest_root_i,
  input  logic [Cfg.HpaWidth-1:0]  req_host_root_i,
  input  logic [15:0]              req_asid_i,
  input  logic [13:0]              req_vmid_i,
  input  logic                     req_user_i,
  input  logic                     req_sum_i,
  input  logic                     req_guest_mxr_i,
  input  logic                     req_host_mxr_i,
  input  logic                     req_guest_adue_i,
  input  logic                     req_host_adue_i,
  input  logic                     req_guest_pbmte_i,
  input  logic                     req_host_pbmte_i,
  input  logic                     req_napot_i,

  output logic                     rsp_valid_o,
  input  logic                     rsp_ready_i,
`ifndef ONE
  input  logic [3:0]               req_id_i,
  output logic [3:0]               rsp_id_o,
  output logic                     rsp_replay_o,
`endif
  output logic [Cfg.GvaWidth-1:0]  rsp_gva_o,
  output logic [Cfg.GpaWidth-1:0]  rsp_gpa_o,
  output logic [Cfg.HpaWidth-1:0]  rsp_hpa_o,
  output logic [5:0]               rsp_page_size_o,
  output logic [1:0]               rsp_attributes_o,
  output logic [3:0]               rsp_fault_kind_o,
  output logic [5:0]               rsp_trap_cause_o,
  output logic                     rsp_trap_gva_o,
  output logic [Cfg.GpaWidth-1:0]  rsp_trap_tval2_o,
  output logic [15:0]              rsp_trap_tinst_o,

  input  logic                     fence_valid_i,
  output logic                     fence_ready_o,
  input  logic                     fence_virt_i,
  input  logic                     fence_use_gva_i,
  input  logic                     fence_use_gpa_i,
  input  logic                     fence_use_asid_i,
  input  logic                     fence_use_vmid_i,
  input  logic [Cfg.GvaWidth-1:0]  fence_gva_i,
  input  logic [Cfg.GpaWidth-1:0]  fence_gpa_i,
  input  logic [15:0]              fence_asid_i,
  input  logic [13:0]              fence_vmid_i,

  output logic                     mem_req_valid_o,
  input  logic                     mem_req_ready_i,
`ifdef AXI
  `define IDS
  output logic                     mem_req_update_o,
  output logic [Cfg.PteWidth-1:0]  mem_req_expected_o,
  output logic [Cfg.PteWidth-1:0]  mem_req_new_o,
`endif
`ifdef TILELINK
  `define IDS
`endif
`ifdef OBI
  output logic                     mem_rsp_ready_o,
`endif
`ifdef IDS
  output logic [Cfg.SlotWidth-1:0] mem_req_id_o,
  input  logic [Cfg.SlotWidth-1:0] mem_rsp_id_i,
  output logic                     mem_rsp_ready_o,
`endif
  output logic [Cfg.HpaWidth-1:0]  mem_req_hpa_o,
  input  logic                     mem_rsp_valid_i,
  input  logic                     mem_rsp_error_i,
  input  logic [Cfg.PteWidth-1:0]  mem_rsp_data_i
);

  localparam bit          Rv32      = Format == FormatRv32;
  localparam int unsigned AsidWidth = Rv32 ? 9 : 16;
  localparam int unsigned VmidWidth = Rv32 ? 7 : 14;
  localparam int unsigned RootWidth = Rv32 ? 34 : 56;
  localparam int unsigned SlotWidth = Cfg.SlotWidth;
  localparam int unsigned HpaWidth  = Cfg.HpaWidth;
  localparam int unsigned PteWidth  = Cfg.PteWidth;

  typedef struct packed {
    logic                     virt, use_gva, use_gpa, use_asid, use_vmid;
    logic [Cfg.GvaWidth-1:0]  gva;
    logic [Cfg.GpaWidth-1:0]  gpa;
    logic [15:0]              asid;
    logic [13:0]              vmid;
  } operands_t;

  typedef struct packed {
    logic [Cfg.GvaWidth-1:0]  gva;
    logic [Cfg.GpaWidth-1:0]  gpa;
    logic [Cfg.HpaWidth-1:0]  hpa;
    logic [5:0]               page_size;
    logic [1:0]               attributes;
    logic [3:0]               fault_kind;
    logic [5:0]               cause;
    logic                     trap_gva;
    logic [Cfg.GpaWidth-1:0]  tval2;
    logic [15:0]              tinst;
  } response_t;

  // The ports of the MMU.
  logic                     c_req_valid, c_req_ready, c_rsp_valid, c_rsp_ready;
  logic                     c_fence_valid, c_fence_ready;
  logic [3:0]               c_req_id, c_rsp_id;
  logic                     c_rsp_replay;
  logic [1:0]               c_access;
  logic [Cfg.GvaWidth-1:0]  c_gva;
  logic                     c_virt, c_user, c_napot, c_sum, c_guest_mxr, c_host_mxr;
  logic                     c_guest_adue, c_host_adue, c_guest_pbmte, c_host_pbmte;
  logic [2:0]               c_guest_levels, c_host_levels;
  logic [RootWidth-1:0]     c_guest_root, c_host_root;
  logic [15:0]              c_asid;
  logic [13:0]              c_vmid;
  operands_t                socket_fence, c_fence;
  response_t                c_rsp, rsp;

  logic                 m_req_valid, m_req_ready, m_req_update, m_rsp_valid, m_rsp_error;
  logic [SlotWidth-1:0] m_req_id, m_rsp_id;
  logic [HpaWidth-1:0]  m_req_hpa;
  logic [PteWidth-1:0]  m_req_expected, m_req_new, m_rsp_data;

  nested_mmu_flat #(
    .Format, .WalkSlots, .TlbEntries, .Svadu, .MaxLevels (3), .IdWidth (4)
  ) u_mmu (
    .clk_i, .rst_ni, .walk_caches_i (3'd0),
    .req_valid_i (c_req_valid), .req_ready_o (c_req_ready), .req_id_i (c_req_id),
    .req_access_i (access_e'(c_access)), .req_gva_i (c_gva), .req_virt_i (c_virt),
    .req_rights_i (1'b0), .req_guest_levels_i (c_guest_levels),
    .req_host_levels_i (c_host_levels), .req_guest_root_i (Cfg.GpaWidth'(c_guest_root)),
    .req_host_root_i (c_host_root), .req_asid_i (c_asid), .req_vmid_i (c_vmid),
    .req_user_i (c_user), .req_sum_i (c_sum), .req_guest_mxr_i (c_guest_mxr),
    .req_host_mxr_i (c_host_mxr), .req_guest_adue_i (c_guest_adue),
    .req_host_adue_i (c_host_adue), .req_guest_pbmte_i (c_guest_pbmte),
    .req_host_pbmte_i (c_host_pbmte), .req_napot_i (c_napot),
    .rsp_valid_o (c_rsp_valid), .rsp_ready_i (c_rsp_ready), .rsp_id_o (c_rsp_id), .rsp_hit_o (),
    .rsp_replay_o (c_rsp_replay), .rsp_gva_o (c_rsp.gva), .rsp_gpa_o (c_rsp.gpa),
    .rsp_hpa_o (c_rsp.hpa), .rsp_page_size_o (c_rsp.page_size),
    .rsp_attributes_o (c_rsp.attributes), .rsp_fault_kind_o (c_rsp.fault_kind),
    .rsp_fault_stage_o (), .rsp_fault_level_o (), .rsp_fault_purpose_o (),
    .rsp_fault_for_level_o (), .rsp_trap_cause_o (c_rsp.cause),
    .rsp_trap_gva_o (c_rsp.trap_gva), .rsp_trap_tval2_o (c_rsp.tval2),
    .rsp_trap_tinst_o (c_rsp.tinst),
    .fence_valid_i (c_fence_valid), .fence_ready_o (c_fence_ready),
    .fence_virt_i (c_fence.virt), .fence_use_gva_i (c_fence.use_gva),
    .fence_use_gpa_i (c_fence.use_gpa), .fence_use_asid_i (c_fence.use_asid),
    .fence_use_vmid_i (c_fence.use_vmid), .fence_gva_i (c_fence.gva), .fence_gpa_i (c_fence.gpa),
    .fence_asid_i (c_fence.asid), .fence_vmid_i (c_fence.vmid),
    .mem_req_valid_o (m_req_valid), .mem_req_ready_i (m_req_ready), .mem_req_id_o (m_req_id),
    .mem_req_hpa_o (m_req_hpa), .mem_req_update_o (m_req_update),
    .mem_req_expected_o (m_req_expected), .mem_req_new_o (m_req_new),
    .mem_rsp_valid_i (m_rsp_valid), .mem_rsp_ready_o (), .mem_rsp_id_i (m_rsp_id),
    .mem_rsp_error_i (m_rsp_error), .mem_rsp_data_i (m_rsp_data),
    .event_miss_valid_o (), .event_miss_coalesced_o (), .event_miss_id_o (),
    .event_miss_slot_o (), .event_done_valid_o (), .event_done_fill_o (), .event_done_id_o (),
    .event_done_slot_o (), .event_tlb2_valid_o (), .event_step_valid_o (),
    .event_step_slot_o (), .event_step_stage_o (), .event_step_guest_level_o (),
    .event_step_host_level_o (), .event_step_purpose_o (), .event_step_update_o (),
    .event_step_pwc_hit_o (), .event_step_global_o (), .event_step_gpa_o (),
    .event_step_hpa_o (), .event_step_error_o (), .event_step_pte_o (), .event_step_next_o (),
    .event_step_fault_o ()
  );

  assign socket_fence = '{
    virt: fence_virt_i, use_gva: fence_use_gva_i, use_gpa: fence_use_gpa_i,
    use_asid: fence_use_asid_i, use_vmid: fence_use_vmid_i, gva: fence_gva_i, gpa: fence_gpa_i,
    asid: fence_asid_i, vmid: fence_vmid_i
  };

  assign rsp_gva_o        = rsp.gva;
  assign rsp_gpa_o        = rsp.gpa;
  assign rsp_hpa_o        = rsp.hpa;
  assign rsp_page_size_o  = rsp.page_size;
  assign rsp_attributes_o = rsp.attributes;
  assign rsp_fault_kind_o = rsp.fault_kind;
  assign rsp_trap_cause_o = rsp.cause;
  assign rsp_trap_gva_o   = rsp.trap_gva;
  assign rsp_trap_tval2_o = rsp.tval2;
  assign rsp_trap_tinst_o = rsp.tinst;

  // ---------------------------------------------------------------------------------------------
  // Requests and fences.

`ifdef ONE
`ifdef COMB
  localparam bit CombHit = 1'b1;
  `define FRONT comb_hit
`else
  localparam bit CombHit = 1'b0;
  `define FRONT hold_request
`endif

  typedef struct packed {
    logic [Cfg.GvaWidth-1:0] gva;
    logic [1:0]              access;
    logic                    virt, user, napot;
    logic [Xlen-1:0]         satp, vsatp, hgatp, mstatus, vsstatus;
    logic [63:0]             menvcfg, henvcfg;
  } request_t;

  request_t request, held;
  logic     held_valid, done, fence_under_way, idle, pulse, fence_busy, hit;
  response_t result;

  assign request.gva    = req_gva_i;
  assign request.access = req_access_i;
  assign request.virt   = req_virt_i;
  assign request.user   = req_user_i;
  assign request.napot  = req_napot_i;

  csr_images #(.Rv32) u_csr_images (
    .req_virt_i, .req_guest_levels_i, .req_host_levels_i,
    .req_guest_root_i (RootWidth'(req_guest_root_i)), .req_host_root_i,
    .req_asid_i (AsidWidth'(req_asid_i)), .req_vmid_i (VmidWidth'(req_vmid_i)),
    .req_sum_i, .req_guest_mxr_i, .req_host_mxr_i, .req_guest_adue_i, .req_host_adue_i,
    .req_guest_pbmte_i, .req_host_pbmte_i,
    .satp_o (request.satp), .vsatp_o (request.vsatp), .hgatp_o (request.hgatp),
    .mstatus_o (request.mstatus), .vsstatus_o (request.vsstatus),
    .menvcfg_o (request.menvcfg), .henvcfg_o (request.henvcfg)
  );

  `FRONT #(.ReqWidth ($bits(request_t)), .RspWidth ($bits(response_t))) u_front (
    .clk_i, .rst_ni, .req_valid_i, .req_ready_o, .req_i (request),
    .rsp_valid_o, .rsp_ready_i, .rsp_o (rsp),
    .held_valid_o (held_valid), .held_o (held), .done_i (done), .result_i (result)
  );

  as_held #(
    .ReqWidth ($bits(request_t)), .RspWidth ($bits(response_t)), .CombHit (CombHit)
  ) u_held (
    .clk_i, .rst_ni, .held_valid_i (held_valid), .held_i (held), .done_o (done), .hit_o (hit),
    .result_o (result), .req_valid_o (c_req_valid), .req_ready_i (c_req_ready),
    .rsp_valid_i (c_rsp_valid), .rsp_ready_o (c_rsp_ready), .rsp_i (c_rsp),
    .rsp_fault_i (c_rsp.fault_kind != '0), .fence_i (fence_under_way), .idle_o (idle)
  );

  logic [AsidWidth-1:0] asid;
  logic [VmidWidth-1:0] vmid;

  csr_context #(.Rv32) u_csr_context (
    .virt_i (held.virt), .satp_i (held.satp), .vsatp_i (held.vsatp), .hgatp_i (held.hgatp),
    .mstatus_i (held.mstatus), .vsstatus_i (held.vsstatus), .menvcfg_i (held.menvcfg),
    .henvcfg_i (held.henvcfg), .guest_levels_o (c_guest_levels), .host_levels_o (c_host_levels),
    .guest_root_o (c_guest_root), .host_root_o (c_host_root), .asid_o (asid), .vmid_o (vmid),
    .sum_o (c_sum), .guest_mxr_o (c_guest_mxr), .host_mxr_o (c_host_mxr),
    .guest_adue_o (c_guest_adue), .host_adue_o (c_host_adue), .guest_pbmte_o (c_guest_pbmte),
    .host_pbmte_o (c_host_pbmte)
  );

  assign c_req_id = '0;
  assign c_gva    = held.gva;
  assign c_access = held.access;
  assign c_virt   = held.virt;
  assign c_user   = held.user;
  assign c_napot  = held.napot;
  assign c_asid   = 16'(asid);
  assign c_vmid   = 14'(vmid);

  fence_pulse u_fence_pulse (
    .clk_i, .rst_ni, .fence_valid_i, .fence_ready_o, .pulse_o (pulse), .busy_i (fence_busy)
  );

  as_pulse #(.Width ($bits(operands_t))) u_pulse (
    .clk_i, .rst_ni, .pulse_i (pulse), .operands_i (socket_fence), .busy_o (fence_busy),
    .fence_valid_o (c_fence_valid), .fence_ready_i (c_fence_ready), .fence_o (c_fence),
    .idle_i (idle), .fence_under_way_o (fence_under_way)
  );
`else
  assign c_req_valid    = req_valid_i;
  assign req_ready_o    = c_req_ready;
  assign c_req_id       = req_id_i;
  assign c_access       = req_access_i;
  assign c_gva          = req_gva_i;
  assign c_virt         = req_virt_i;
  assign c_guest_levels = req_guest_levels_i;
  assign c_host_levels  = req_host_levels_i;
  assign c_guest_root   = RootWidth'(req_guest_root_i);
  assign c_host_root    = req_host_root_i;
  assign c_asid         = req_asid_i;
  assign c_vmid         = req_vmid_i;
  assign c_user         = req_user_i;
  assign c_sum          = req_sum_i;
  assign c_guest_mxr    = req_guest_mxr_i;
  assign c_host_mxr     = req_host_mxr_i;
  assign c_guest_adue   = req_guest_adue_i;
  assign c_host_adue    = req_host_adue_i;
  assign c_guest_pbmte  = req_guest_pbmte_i;
  assign c_host_pbmte   = req_host_pbmte_i;
  assign c_napot        = req_napot_i;
  assign rsp_valid_o    = c_rsp_valid;
  assign c_rsp_ready    = rsp_ready_i;
  assign rsp_id_o       = c_rsp_id;
  assign rsp_replay_o   = c_rsp_replay;
  assign rsp            = c_rsp;
  assign c_fence_valid  = fence_valid_i;
  assign fence_ready_o  = c_fence_ready;
  assign c_fence        = socket_fence;
`endif

  // ---------------------------------------------------------------------------------------------
  // Memory.

`ifdef CACHE_PORT
  logic                   data_req, data_gnt, tag_valid, kill_req, data_rvalid, data_error;
  logic [2:0]             data_id, data_rid;
  logic [11:0]            address_index;
  logic [HpaWidth-13:0]   address_tag;
  logic [DataWidth-1:0]   data_rdata;

  as_cache_port #(
    .HpaWidth, .IdWidth (3), .DataWidth, .PteWidth, .SlotWidth, .LateKill (MoreReads)
  ) u_inverse (
    .clk_i, .rst_ni,
    .m_req_valid_i (m_req_valid), .m_req_ready_o (m_req_ready), .m_req_id_i (m_req_id),
    .m_req_hpa_i (m_req_hpa), .m_rsp_valid_o (m_rsp_valid), .m_rsp_id_o (m_rsp_id),
    .m_rsp_error_o (m_rsp_error), .m_rsp_data_o (m_rsp_data),
    .data_req_o (data_req), .data_gnt_i (data_gnt), .data_id_o (data_id),
    .address_index_o (address_index), .address_tag_o (address_tag), .tag_valid_o (tag_valid),
    .kill_req_o (kill_req), .data_rvalid_i (data_rvalid), .data_rid_i (data_rid),
    .data_rdata_i (data_rdata), .data_error_i (data_error)
  );

  cache_port #(.HpaWidth, .IdWidth (3), .DataWidth, .PteWidth) u_adapter (
    .clk_i, .rst_ni,
    .data_req_i (data_req), .data_gnt_o (data_gnt), .data_id_i (data_id),
    .address_index_i (address_index), .address_tag_i (address_tag), .tag_valid_i (tag_valid),
    .kill_req_i (kill_req), .data_rvalid_o (data_rvalid), .data_rid_o (data_rid),
    .data_rdata_o (data_rdata), .data_error_o (data_error),
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_hpa_o, .mem_rsp_valid_i, .mem_rsp_error_i,
    .mem_rsp_data_i
  );
`endif

`ifdef AXI
  logic                 arvalid, arready, rvalid, rready, rlast, awvalid, awready, wvalid, wready;
  logic                 bvalid, bready;
  logic [SlotWidth-1:0] arid, rid, awid, bid;
  logic [HpaWidth-1:0]  araddr, awaddr;
  logic [7:0]           arlen;
  logic [2:0]           arsize;
  logic [1:0]           arburst, rresp, bresp;
  logic [5:0]           awatop;
  logic [DataWidth-1:0] rdata, wdata;

  as_axi #(.HpaWidth, .DataWidth, .PteWidth, .SlotWidth, .Bursts (MoreReads)) u_inverse (
    .clk_i, .rst_ni,
    .m_req_valid_i (m_req_valid), .m_req_ready_o (m_req_ready), .m_req_id_i (m_req_id),
    .m_req_hpa_i (m_req_hpa), .m_req_update_i (m_req_update),
    .m_req_expected_i (m_req_expected), .m_req_new_i (m_req_new),
    .m_rsp_valid_o (m_rsp_valid), .m_rsp_id_o (m_rsp_id),
    .m_rsp_error_o (m_rsp_error), .m_rsp_data_o (m_rsp_data),
    .arvalid_o (arvalid), .arready_i (arready), .arid_o (arid), .araddr_o (araddr),
    .arlen_o (arlen), .arsize_o (arsize), .arburst_o (arburst), .rvalid_i (rvalid),
    .rready_o (rready), .rid_i (rid), .rdata_i (rdata), .rresp_i (rresp), .rlast_i (rlast),
    .awvalid_o (awvalid), .awready_i (awready), .awid_o (awid), .awaddr_o (awaddr),
    .awatop_o (awatop), .wvalid_o (wvalid), .wready_i (wready), .wdata_o (wdata),
    .bvalid_i (bvalid), .bready_o (bready), .bid_i (bid), .bresp_i (bresp)
  );

  axi_atomic #(.HpaWidth, .IdWidth (SlotWidth), .DataWidth, .PteWidth) u_adapter (
    .clk_i, .rst_ni,
    .arvalid_i (arvalid), .arready_o (arready), .arid_i (arid), .araddr_i (araddr),
    .arlen_i (arlen), .arsize_i (arsize), .arburst_i (arburst), .rvalid_o (rvalid),
    .rready_i (rready), .rid_o (rid), .rdata_o (rdata), .rresp_o (rresp), .rlast_o (rlast),
    .awvalid_i (awvalid), .awready_o (awready), .awid_i (awid), .awaddr_i (awaddr),
    .awatop_i (awatop), .wvalid_i (wvalid), .wready_o (wready), .wdata_i (wdata),
    .bvalid_o (bvalid), .bready_i (bready), .bid_o (bid), .bresp_o (bresp),
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_id_o, .mem_req_hpa_o, .mem_req_update_o,
    .mem_req_expected_o, .mem_req_new_o, .mem_rsp_valid_i, .mem_rsp_ready_o, .mem_rsp_id_i,
    .mem_rsp_error_i, .mem_rsp_data_i
  );
`endif

`ifdef TILELINK
  logic                   a_valid, a_ready, d_valid, d_ready, d_denied, d_corrupt;
  logic [2:0]             a_opcode, a_size, d_opcode, d_size;
  logic [SlotWidth-1:0]   a_source, d_source;
  logic [HpaWidth-1:0]    a_address;
  logic [DataWidth/8-1:0] a_mask;
  logic [DataWidth-1:0]   d_data;

  as_tilelink #(.HpaWidth, .DataWidth, .PteWidth, .SlotWidth, .Wide (MoreReads)) u_inverse (
    .clk_i, .rst_ni,
    .m_req_valid_i (m_req_valid), .m_req_ready_o (m_req_ready), .m_req_id_i (m_req_id),
    .m_req_hpa_i (m_req_hpa), .m_rsp_valid_o (m_rsp_valid), .m_rsp_id_o (m_rsp_id),
    .m_rsp_error_o (m_rsp_error), .m_rsp_data_o (m_rsp_data),
    .a_valid_o (a_valid), .a_ready_i (a_ready), .a_opcode_o (a_opcode), .a_size_o (a_size),
    .a_source_o (a_source), .a_address_o (a_address), .a_mask_o (a_mask), .d_valid_i (d_valid),
    .d_ready_o (d_ready), .d_opcode_i (d_opcode), .d_size_i (d_size), .d_source_i (d_source),
    .d_denied_i (d_denied), .d_corrupt_i (d_corrupt), .d_data_i (d_data)
  );

  tilelink_get #(.HpaWidth, .SourceWidth (SlotWidth), .DataWidth, .PteWidth) u_adapter (
    .clk_i, .rst_ni,
    .a_valid_i (a_valid), .a_ready_o (a_ready), .a_opcode_i (a_opcode), .a_size_i (a_size),
    .a_source_i (a_source), .a_address_i (a_address), .a_mask_i (a_mask), .d_valid_o (d_valid),
    .d_ready_i (d_ready), .d_opcode_o (d_opcode), .d_size_o (d_size), .d_source_o (d_source),
    .d_denied_o (d_denied), .d_corrupt_o (d_corrupt), .d_data_o (d_data),
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_id_o, .mem_req_hpa_o, .mem_rsp_valid_i,
    .mem_rsp_ready_o, .mem_rsp_id_i, .mem_rsp_error_i, .mem_rsp_data_i
  );
`endif

`ifdef OBI
  logic                 req, gnt, rvalid, rready, err;
  logic [HpaWidth-1:0]  addr;
  logic [3:0]           aid, rid;
  logic [DataWidth-1:0] rdata;

  as_obi #(.HpaWidth, .DataWidth, .PteWidth, .SlotWidth) u_inverse (
    .clk_i, .rst_ni,
    .m_req_valid_i (m_req_valid), .m_req_ready_o (m_req_ready), .m_req_id_i (m_req_id),
    .m_req_hpa_i (m_req_hpa), .m_rsp_valid_o (m_rsp_valid), .m_rsp_id_o (m_rsp_id),
    .m_rsp_error_o (m_rsp_error), .m_rsp_data_o (m_rsp_data),
    .req_o (req), .gnt_i (gnt), .addr_o (addr), .aid_o (aid), .rvalid_i (rvalid),
    .rready_o (rready), .rdata_i (rdata), .rid_i (rid), .err_i (err)
  );

  // Fewer reads than the MMU may have in flight.
  obi #(.HpaWidth, .IdWidth (4), .DataWidth, .PteWidth, .Outstanding (3)) u_adapter (
    .clk_i, .rst_ni,
    .req_i (req), .gnt_o (gnt), .addr_i (addr), .aid_i (aid), .rvalid_o (rvalid),
    .rready_i (rready), .rdata_o (rdata), .rid_o (rid), .err_o (err),
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_hpa_o, .mem_rsp_valid_i, .mem_rsp_ready_o,
    .mem_rsp_error_i, .mem_rsp_data_i
  );
`endif

`ifdef REQ_ACK
  logic                 req, ack, error;
  logic [HpaWidth-1:0]  addr;
  logic [DataWidth-1:0] data;

  as_req_ack #(.HpaWidth, .DataWidth, .PteWidth, .SlotWidth) u_inverse (
    .clk_i, .rst_ni,
    .m_req_valid_i (m_req_valid), .m_req_ready_o (m_req_ready), .m_req_id_i (m_req_id),
    .m_req_hpa_i (m_req_hpa), .m_rsp_valid_o (m_rsp_valid), .m_rsp_id_o (m_rsp_id),
    .m_rsp_error_o (m_rsp_error), .m_rsp_data_o (m_rsp_data),
    .req_o (req), .addr_o (addr), .ack_i (ack), .error_i (error), .data_i (data)
  );

  req_ack #(.HpaWidth, .DataWidth, .PteWidth) u_adapter (
    .clk_i, .rst_ni,
    .req_i (req), .addr_i (addr), .ack_o (ack), .error_o (error), .data_o (data),
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_hpa_o, .mem_rsp_valid_i, .mem_rsp_error_i,
    .mem_rsp_data_i
  );
`endif

endmodule
