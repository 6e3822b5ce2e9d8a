// SPDX-License-Identifier: Apache-2.0
// The MMU of CVA6 behind the ports of nestwalk's socket: the Sv39 MMU with a 64-bit configuration
// package, the Sv32 MMU with a 32-bit one. The RTL comes from PyPI (docs/foreign.md).
//
// The top module does for the MMU what the core does around it:
// - Loads and stores go to the data port, fetches to the fetch port. One request is in flight.
// - The core flushes the walker with each SFENCE.VMA and with each exception. A request that a
//   fence has flushed is made again a few cycles later, as the refetched instruction would.
// - The load-store unit checks that the address of a load or store is canonical, and gives its
//   exception to the MMU with the request (load_store_unit.sv, data_misaligned_detection).
module cva6_top #(
  parameter int unsigned TlbEntries = 4
) (
  input  logic                    clk_i, rst_ni,
  input  logic                    req_valid_i,
  output logic                    req_ready_o,
  input  logic [1:0]              req_access_i,
  input  logic [riscv::VLEN-1:0]  req_gva_i,
  input  logic [2:0]              req_guest_levels_i,
  input  logic [riscv::PLEN-1:0]  req_guest_root_i,
  input  logic [riscv::ASIDW-1:0] req_asid_i,
  input  logic                    req_user_i, req_sum_i, req_guest_mxr_i,
  output logic                    rsp_valid_o,
  input  logic                    rsp_ready_i,
  output logic [riscv::VLEN-1:0]  rsp_gva_o,
  output logic [riscv::PLEN-1:0]  rsp_hpa_o,
  output logic                    rsp_fault_o,
  output logic [5:0]              rsp_trap_cause_o,
  input  logic                    fence_valid_i,
  output logic                    fence_ready_o,
  input  logic                    fence_use_gva_i, fence_use_asid_i,
  input  logic [riscv::VLEN-1:0]  fence_gva_i,
  input  logic [riscv::ASIDW-1:0] fence_asid_i,
  output logic                    mem_req_valid_o,
  input  logic                    mem_req_ready_i,
  output logic [riscv::PLEN-1:0]  mem_req_hpa_o,
  input  logic                    mem_rsp_valid_i,
  input  logic [riscv::XLEN-1:0]  mem_rsp_data_i
);

  import ariane_pkg::*;

  // No PMP, and every address may be fetched from: both are checked behind the MMU.
  function automatic ariane_cfg_t config_of();
    ariane_cfg_t cfg = ArianeDefaultConfig;
    cfg.NrPMPEntries          = 0;
    cfg.NrExecuteRegionRules  = 1;
    cfg.ExecuteRegionAddrBase = '0;
    cfg.ExecuteRegionLength   = {NrMaxRules{64'hFFFF_FFFF_FFFF_FFFF}};
    return cfg;
  endfunction
  localparam ariane_cfg_t Config = config_of();

  // Cycles from a flush to the next request or flush: the core refetches.
  localparam logic [2:0] Refetch = 3'd5;

  typedef enum logic [2:0] {
    Idle,     // no request
    Request,  // the request is at the MMU
    Flushed,  // the core refetches the request
    Squash,   // an exception: the core flushes the walker
    Drain,    // an exception: the read of the flushed walk is still in flight
    Respond   // the socket has not accepted the response
  } state_e;

  state_e                  state_q, state_d;
  logic [2:0]              since_q;       // cycles since the last flush, Refetch at most
  logic                    fetch_q, store_q, user_q, sum_q, mxr_q, translates_q;
  logic [riscv::VLEN-1:0]  gva_q;
  logic [riscv::PLEN-1:0]  root_q;
  logic [riscv::ASIDW-1:0] asid_q;

  logic                    done, fence, flush, reads, canonical;
  logic                    lsu_valid;
  logic [riscv::PLEN-1:0]  lsu_paddr, paddr;
  exception_t              misaligned, lsu_exception, exception;
  icache_areq_o_t          fetch_request;
  icache_areq_i_t          fetch_result;
  dcache_req_i_t           cache_request;
  dcache_req_o_t           cache_result;
  logic                    is_settled;

  assign is_settled    = since_q == Refetch;
  assign req_ready_o   = state_q == Idle && is_settled;
  assign fence_ready_o = is_settled;
  assign fence         = fence_valid_i && fence_ready_o;
  assign flush         = fence || state_q == Squash;

  assign fetch_request = '{fetch_req: state_q == Request && fetch_q, fetch_vaddr: gva_q};
  assign canonical     = (&gva_q[riscv::VLEN-1:riscv::SV-1]) || !(|gva_q[riscv::VLEN-1:riscv::SV-1]);

  always_comb begin : p_misaligned
    misaligned       = '0;
    misaligned.cause = store_q ? riscv::ST_ACCESS_FAULT : riscv::LD_ACCESS_FAULT;
    misaligned.tval  = riscv::XLEN'(gva_q);
    misaligned.valid = translates_q && !canonical;
  end

  assign done      = state_q == Request && (fetch_q ? fetch_result.fetch_valid : lsu_valid);
  assign exception = fetch_q ? fetch_result.fetch_exception : lsu_exception;
  assign paddr     = fetch_q ? fetch_result.fetch_paddr : lsu_paddr;

  always_comb begin : p_state
    state_d = state_q;
    unique case (state_q)
      Idle:    if (req_valid_i && req_ready_o) state_d = Request;
      Request: if (done) state_d = exception.valid ? Squash : Respond;
               else if (fence) state_d = Flushed;
      Flushed: if (is_settled && !fence) state_d = Request;
      Squash:  state_d = Drain;
      Drain:   if (!reads) state_d = Respond;
      Respond: if (rsp_ready_i) state_d = Idle;
      default: state_d = Idle;
    endcase
  end

  assign rsp_valid_o = state_q == Respond;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_registers
    if (!rst_ni) begin
      state_q <= Idle;
      since_q <= Refetch;
      {fetch_q, store_q, user_q, sum_q, mxr_q, translates_q} <= '0;
      {gva_q, root_q, asid_q} <= '0;
      {rsp_gva_o, rsp_hpa_o, rsp_fault_o, rsp_trap_cause_o} <= '0;
    end else begin
      state_q <= state_d;
      since_q <= flush ? '0 : is_settled ? since_q : since_q + 3'd1;
      if (req_valid_i && req_ready_o) begin
        fetch_q      <= req_access_i == 2'd2;
        store_q      <= req_access_i == 2'd1;
        user_q       <= req_user_i;
        sum_q        <= req_sum_i;
        mxr_q        <= req_guest_mxr_i;
        translates_q <= req_guest_levels_i != '0;
        gva_q        <= req_gva_i;
        root_q       <= req_guest_root_i;
        asid_q       <= req_asid_i;
      end
      if (done) begin
        rsp_fault_o      <= exception.valid;
        rsp_trap_cause_o <= exception.valid ? exception.cause[5:0] : '0;
        rsp_gva_o        <= exception.valid ? exception.tval[riscv::VLEN-1:0] : gva_q;
        rsp_hpa_o        <= exception.valid ? '0 : paddr;
      end
    end
  end

  riscv::priv_lvl_t privilege;
  assign privilege = user_q ? riscv::PRIV_LVL_U : riscv::PRIV_LVL_S;

  logic [riscv::VLEN-1:0]  flushed_gva;
  logic [riscv::ASIDW-1:0] flushed_asid;
  assign flushed_gva  = fence_use_gva_i ? fence_gva_i : '0;
  assign flushed_asid = fence_use_asid_i ? fence_asid_i : '0;

  if (riscv::XLEN == 64) begin : gen_sv39
    mmu #(
      .INSTR_TLB_ENTRIES(TlbEntries), .DATA_TLB_ENTRIES(TlbEntries),
      .ASID_WIDTH(riscv::ASIDW), .ArianeCfg(Config)
    ) u_mmu (
      .clk_i, .rst_ni, .flush_i(flush),
      .enable_translation_i(translates_q), .en_ld_st_translation_i(translates_q),
      .icache_areq_i(fetch_request), .icache_areq_o(fetch_result),
      .misaligned_ex_i(misaligned), .lsu_req_i(state_q == Request && !fetch_q),
      .lsu_vaddr_i(gva_q), .lsu_is_store_i(store_q), .lsu_dtlb_hit_o(), .lsu_dtlb_ppn_o(),
      .lsu_valid_o(lsu_valid), .lsu_paddr_o(lsu_paddr), .lsu_exception_o(lsu_exception),
      .priv_lvl_i(privilege), .ld_st_priv_lvl_i(privilege), .sum_i(sum_q), .mxr_i(mxr_q),
      .satp_ppn_i(root_q[riscv::PLEN-1:12]), .asid_i(asid_q),
      .asid_to_be_flushed_i(flushed_asid), .vaddr_to_be_flushed_i(flushed_gva),
      .flush_tlb_i(fence), .itlb_miss_o(), .dtlb_miss_o(),
      .req_port_i(cache_result), .req_port_o(cache_request), .pmpcfg_i('0), .pmpaddr_i('0)
    );
  end else begin : gen_sv32
    cva6_mmu_sv32 #(
      .INSTR_TLB_ENTRIES(TlbEntries), .DATA_TLB_ENTRIES(TlbEntries),
      .ASID_WIDTH(riscv::ASIDW), .ArianeCfg(Config)
    ) u_mmu (
      .clk_i, .rst_ni, .flush_i(flush),
      .enable_translation_i(translates_q), .en_ld_st_translation_i(translates_q),
      .icache_areq_i(fetch_request), .icache_areq_o(fetch_result),
      .misaligned_ex_i(misaligned), .lsu_req_i(state_q == Request && !fetch_q),
      .lsu_vaddr_i(gva_q), .lsu_is_store_i(store_q), .lsu_dtlb_hit_o(), .lsu_dtlb_ppn_o(),
      .lsu_valid_o(lsu_valid), .lsu_paddr_o(lsu_paddr), .lsu_exception_o(lsu_exception),
      .priv_lvl_i(privilege), .ld_st_priv_lvl_i(privilege), .sum_i(sum_q), .mxr_i(mxr_q),
      .satp_ppn_i(root_q[riscv::PLEN-1:12]), .asid_i(asid_q),
      .asid_to_be_flushed_i(flushed_asid), .vaddr_to_be_flushed_i(flushed_gva),
      .flush_tlb_i(fence), .itlb_miss_o(), .dtlb_miss_o(),
      .req_port_i(cache_result), .req_port_o(cache_request), .pmpcfg_i('0), .pmpaddr_i('0)
    );
  end

  // The walker reads through a port of the data cache. `reads`: a read has been requested, and its
  // data have not come.
  logic reads_q;
  assign reads = cache_request.data_req || (reads_q && !cache_result.data_rvalid);
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_reads
    if (!rst_ni) reads_q <= 1'b0;
    else reads_q <= cache_result.data_gnt || (reads_q && !cache_result.data_rvalid);
  end

  assign cache_result.data_ruser = '0;
  cache_port #(
    .HpaWidth(riscv::PLEN), .IndexWidth(DCACHE_INDEX_WIDTH),
    .DataWidth(riscv::XLEN), .PteWidth(riscv::XLEN)
  ) u_cache_port (
    .clk_i, .rst_ni,
    .data_req_i(cache_request.data_req), .data_gnt_o(cache_result.data_gnt), .data_id_i('0),
    .address_index_i(cache_request.address_index), .address_tag_i(cache_request.address_tag),
    .tag_valid_i(cache_request.tag_valid), .kill_req_i(cache_request.kill_req),
    .data_rvalid_o(cache_result.data_rvalid), .data_rid_o(), .data_error_o(),
    .data_rdata_o(cache_result.data_rdata),
    .mem_req_valid_o, .mem_req_ready_i, .mem_req_hpa_o,
    .mem_rsp_valid_i, .mem_rsp_error_i(1'b0), .mem_rsp_data_i
  );

endmodule
