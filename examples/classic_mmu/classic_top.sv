// SPDX-License-Identifier: Apache-2.0
// classic_mmu behind the ports of nestwalk's socket: one request at a time, without ids.
module classic_top (
  input  logic        clk_i, rst_ni,
  input  logic        req_valid_i,
  output logic        req_ready_o,
  input  logic [1:0]  req_access_i,
  input  logic [63:0] req_gva_i,
  input  logic        req_virt_i,
  input  logic [2:0]  req_guest_levels_i, req_host_levels_i,
  input  logic [55:0] req_guest_root_i, req_host_root_i,
  input  logic [15:0] req_asid_i,
  input  logic [13:0] req_vmid_i,
  input  logic        req_user_i,
  input  logic        req_sum_i, req_guest_mxr_i, req_host_mxr_i,
  output logic        rsp_valid_o,
  input  logic        rsp_ready_i,
  output logic        rsp_hit_o,
  output logic [55:0] rsp_hpa_o,
  output logic        rsp_fault_o,
  output logic [5:0]  rsp_trap_cause_o,
  output logic [63:0] rsp_trap_tval2_o,
  output logic [15:0] rsp_trap_tinst_o,
  input  logic        fence_valid_i,
  output logic        fence_ready_o,
  input  logic [1:0]  fence_instruction_i,
  input  logic        fence_use_gva_i,
  input  logic        fence_use_asid_i, fence_use_vmid_i,
  input  logic [63:0] fence_gva_i,
  input  logic [15:0] fence_asid_i,
  input  logic [13:0] fence_vmid_i,
  output logic        mem_req_valid_o,
  input  logic        mem_req_ready_i,
  output logic [55:0] mem_req_hpa_o,
  input  logic        mem_rsp_valid_i, mem_rsp_error_i,
  input  logic [63:0] mem_rsp_data_i
);

  // The request and its CSRs are held until the MMU is done; then the response until it is taken.
  logic        busy_q, done, waits_q, sent_q, pulse, fence_busy, pt_req, hit, fault;
  logic [63:0] gva_q, first_q, hgatp_q, htval;
  logic [1:0]  access_q;
  logic        virt_q, user_q, sum_q, mxr_q, vs_mxr_q;
  logic [55:0] paddr;
  logic [5:0]  cause;
  logic [15:0] htinst;

  assign req_ready_o = !busy_q && !rsp_valid_o;
  // A fence is a pulse in its first cycle, and accepted when the MMU is no longer busy with it.
  assign pulse         = fence_valid_i && !sent_q;
  assign fence_ready_o = sent_q && !fence_busy;
  assign mem_req_valid_o = pt_req && !waits_q;

  always_ff @(posedge clk_i) begin
    if (req_valid_i && req_ready_o) begin
      busy_q   <= 1'b1;
      gva_q    <= req_gva_i;
      access_q <= req_access_i;
      virt_q   <= req_virt_i;
      user_q   <= req_user_i;
      sum_q    <= req_sum_i;
      vs_mxr_q <= req_guest_mxr_i;
      mxr_q    <= req_virt_i ? req_host_mxr_i : req_guest_mxr_i;
      first_q  <= {(req_guest_levels_i != 0) ? 4'd8 : 4'd0, req_asid_i, req_guest_root_i[55:12]};
      hgatp_q  <= {(req_host_levels_i != 0) ? 4'd8 : 4'd0, 2'd0, req_vmid_i, req_host_root_i[55:12]};
    end
    if (done) begin
      busy_q           <= 1'b0;
      rsp_valid_o      <= 1'b1;
      rsp_hit_o        <= hit;
      rsp_fault_o      <= fault;
      rsp_hpa_o        <= fault ? '0 : paddr;
      rsp_trap_cause_o <= fault ? cause : '0;
      rsp_trap_tval2_o <= fault ? htval : '0;
      rsp_trap_tinst_o <= fault ? htinst : '0;
    end else if (rsp_ready_i) rsp_valid_o <= 1'b0;
    sent_q  <= fence_valid_i && !fence_ready_o;
    waits_q <= (waits_q || (mem_req_valid_o && mem_req_ready_i)) && !mem_rsp_valid_i;
    if (!rst_ni) {busy_q, rsp_valid_o, sent_q, waits_q} <= '0;
  end

  classic_mmu u_mmu (
    .clk(clk_i), .rst(!rst_ni), .satp(first_q), .vsatp(first_q), .hgatp(hgatp_q),
    .sum(sum_q), .mxr(mxr_q), .vs_mxr(vs_mxr_q),
    .req_i(busy_q), .vaddr_i(gva_q), .op_i(access_q), .virt_i(virt_q), .user_i(user_q),
    .done_o(done), .hit_o(hit), .paddr_o(paddr), .fault_o(fault), .cause_o(cause),
    .htval_o(htval), .htinst_o(htinst),
    .pt_req_o(pt_req), .pt_addr_o(mem_req_hpa_o), .pt_ack_i(mem_rsp_valid_i && waits_q),
    .pt_err_i(mem_rsp_error_i), .pt_data_i(mem_rsp_data_i),
    .sfence_vma_i(pulse && (fence_instruction_i == 2'd0)),
    .hfence_vvma_i(pulse && (fence_instruction_i == 2'd1)),
    .hfence_gvma_i(pulse && (fence_instruction_i == 2'd2)),
    .fence_rs1_i(fence_use_gva_i),
    .fence_rs2_i((fence_instruction_i == 2'd2) ? fence_use_vmid_i : fence_use_asid_i),
    .fence_addr_i(fence_gva_i), .fence_id_i(fence_asid_i), .fence_vmid_i(fence_vmid_i),
    .fence_busy_o(fence_busy)
  );
endmodule
