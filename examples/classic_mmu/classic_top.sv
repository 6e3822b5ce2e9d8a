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
  typedef struct packed {
    logic [63:0] gva, first, hgatp;
    logic [1:0]  access;
    logic        virt, user, sum, mxr, vs_mxr;
  } request_t;

  typedef struct packed {
    logic        hit, fault;
    logic [55:0] hpa;
    logic [5:0]  cause;
    logic [63:0] htval;
    logic [15:0] htinst;
  } response_t;

  request_t    request, held;
  response_t   result, response;
  logic        held_valid, done, pulse, fence_busy, pt_req, pt_ack, pt_err;
  logic [63:0] pt_data, htval;
  logic [55:0] pt_addr, paddr;
  logic [5:0]  cause;
  logic [15:0] htinst;

  assign request = '{
    gva: req_gva_i, access: req_access_i, virt: req_virt_i, user: req_user_i, sum: req_sum_i,
    vs_mxr: req_guest_mxr_i, mxr: req_virt_i ? req_host_mxr_i : req_guest_mxr_i,
    first: {(req_guest_levels_i != 0) ? 4'd8 : 4'd0, req_asid_i, req_guest_root_i[55:12]},
    hgatp: {(req_host_levels_i != 0) ? 4'd8 : 4'd0, 2'd0, req_vmid_i, req_host_root_i[55:12]}
  };

  hold_request #(.ReqWidth($bits(request_t)), .RspWidth($bits(response_t))) u_request (
    .clk_i, .rst_ni, .req_valid_i, .req_ready_o, .req_i(request),
    .rsp_valid_o, .rsp_ready_i, .rsp_o(response),
    .held_valid_o(held_valid), .held_o(held), .done_i(done), .result_i(result)
  );

  assign result.hpa    = result.fault ? '0 : paddr;
  assign result.cause  = result.fault ? cause : '0;
  assign result.htval  = result.fault ? htval : '0;
  assign result.htinst = result.fault ? htinst : '0;

  assign rsp_hit_o        = response.hit;
  assign rsp_hpa_o        = response.hpa;
  assign rsp_fault_o      = response.fault;
  assign rsp_trap_cause_o = response.cause;
  assign rsp_trap_tval2_o = response.htval;
  assign rsp_trap_tinst_o = response.htinst;

  // A fence is a pulse, and accepted when the MMU is no longer busy with it.
  fence_pulse u_fence (
    .clk_i, .rst_ni, .fence_valid_i, .fence_ready_o, .pulse_o(pulse), .busy_i(fence_busy)
  );

  // One read at a time.
  req_ack u_memory (
    .clk_i, .rst_ni, .req_i(pt_req), .addr_i(pt_addr), .ack_o(pt_ack), .error_o(pt_err),
    .data_o(pt_data), .mem_req_valid_o, .mem_req_ready_i, .mem_req_hpa_o, .mem_rsp_valid_i,
    .mem_rsp_error_i, .mem_rsp_data_i
  );

  classic_mmu u_mmu (
    .clk(clk_i), .rst(!rst_ni), .satp(held.first), .vsatp(held.first), .hgatp(held.hgatp),
    .sum(held.sum), .mxr(held.mxr), .vs_mxr(held.vs_mxr),
    .req_i(held_valid), .vaddr_i(held.gva), .op_i(held.access), .virt_i(held.virt),
    .user_i(held.user), .done_o(done), .hit_o(result.hit), .paddr_o(paddr),
    .fault_o(result.fault), .cause_o(cause), .htval_o(htval), .htinst_o(htinst),
    .pt_req_o(pt_req), .pt_addr_o(pt_addr), .pt_ack_i(pt_ack), .pt_err_i(pt_err),
    .pt_data_i(pt_data),
    .sfence_vma_i(pulse && (fence_instruction_i == 2'd0)),
    .hfence_vvma_i(pulse && (fence_instruction_i == 2'd1)),
    .hfence_gvma_i(pulse && (fence_instruction_i == 2'd2)),
    .fence_rs1_i(fence_use_gva_i),
    .fence_rs2_i((fence_instruction_i == 2'd2) ? fence_use_vmid_i : fence_use_asid_i),
    .fence_addr_i(fence_gva_i), .fence_id_i(fence_asid_i), .fence_vmid_i(fence_vmid_i),
    .fence_busy_o(fence_busy)
  );
endmodule
