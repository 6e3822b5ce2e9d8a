// SPDX-License-Identifier: Apache-2.0
// nested_mmu with flat ports, for C++: every struct taken apart, the event as one row of bits.
//
// InputsAt says when the inputs of a cycle reach the MMU:
//   0  at any time before the rising edge that ends the cycle, as they do in hardware
//   1  with the falling edge before that
//   2  with the rising edge that begins the cycle; its outputs are there after that edge
// The MMU cannot tell. But Verilator evaluates what follows from the model's own inputs in each evaluation of the model, and once more after an
// edge: three times a cycle with 0, twice with 1, once with 2.

`include "nested_mmu_types.svh"

module tb_top
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format     = FormatHandout,
  parameter int unsigned TlbEntries = 16,
  parameter int unsigned WalkSlots  = 4,
  parameter int unsigned GuestCacheEntries = 0,
  parameter int unsigned HostCacheEntries  = 0,
  parameter int unsigned NestedTlbEntries  = 0,
  parameter bit          ReadBypass = 1'b0,
  parameter int unsigned MaxLevels  = 5,
  parameter bit          Svadu      = 1'b1,
  parameter int unsigned Tlb2Sets   = 0,
  parameter int unsigned Tlb2Ways   = 0,
  parameter int unsigned Tlb2Superpages = 0,
  parameter int unsigned InputsAt   = 0,
  localparam int unsigned MissEntries = 2 * WalkSlots,
  localparam int unsigned IdWidth     = 8,
  localparam int unsigned AsidWidth   = 16,
  localparam int unsigned VmidWidth   = 14,
  localparam int unsigned EventWidth  = 256,
  localparam cfg_t Cfg = make_cfg(Format, TlbEntries, WalkSlots, MissEntries,
                                  IdWidth, AsidWidth, VmidWidth,
                                  GuestCacheEntries, HostCacheEntries, NestedTlbEntries, ReadBypass,
                                  MaxLevels, Svadu, Tlb2Sets, Tlb2Ways, Tlb2Superpages),
  `NESTED_MMU_TYPES(Cfg)
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  input  walk_caches_t walk_caches_i,

  input  logic        req_valid_i,
  output logic        req_ready_o,
  input  id_t         req_id_i,
  input  access_e     req_access_i,
  input  gva_t        req_gva_i,
  input  logic        req_virt_i,
  input  logic        req_rights_i,
  input  levels_t     req_guest_levels_i,
  input  levels_t     req_host_levels_i,
  input  gpa_t        req_guest_root_i,
  input  hpa_t        req_host_root_i,
  input  asid_t       req_asid_i,
  input  vmid_t       req_vmid_i,
  input  logic        req_user_i,
  input  logic        req_sum_i,
  input  logic        req_guest_mxr_i,
  input  logic        req_host_mxr_i,
  input  logic        req_guest_adue_i,
  input  logic        req_host_adue_i,
  input  logic        req_guest_pbmte_i,
  input  logic        req_host_pbmte_i,
  input  logic        req_napot_i,

  output logic        rsp_valid_o,
  input  logic        rsp_ready_i,
  output id_t         rsp_id_o,
  output logic        rsp_hit_o,
  output logic        rsp_replay_o,
  output gva_t        rsp_gva_o,
  output gpa_t        rsp_gpa_o,
  output hpa_t        rsp_hpa_o,
  output log2_t       rsp_page_size_o,
  output attributes_t rsp_attributes_o,
  output fault_kind_e rsp_fault_kind_o,
  output stage_e      rsp_fault_stage_o,
  output level_t      rsp_fault_level_o,
  output purpose_e    rsp_fault_purpose_o,
  output level_t      rsp_fault_for_level_o,
  output logic [5:0]  rsp_trap_cause_o,
  output logic        rsp_trap_gva_o,
  output gpa_t        rsp_trap_tval2_o,
  output logic [15:0] rsp_trap_tinst_o,

  input  logic        fence_valid_i,
  output logic        fence_ready_o,
  input  logic        fence_virt_i,
  input  logic        fence_use_gva_i,
  input  logic        fence_use_gpa_i,
  input  logic        fence_use_asid_i,
  input  logic        fence_use_vmid_i,
  input  gva_t        fence_gva_i,
  input  gpa_t        fence_gpa_i,
  input  asid_t       fence_asid_i,
  input  vmid_t       fence_vmid_i,

  output logic        mem_req_valid_o,
  input  logic        mem_req_ready_i,
  output slot_t       mem_req_id_o,
  output hpa_t        mem_req_hpa_o,
  output logic        mem_req_update_o,
  output pte_t        mem_req_expected_o,
  output pte_t        mem_req_new_o,

  input  logic        mem_rsp_valid_i,
  output logic        mem_rsp_ready_o,
  input  slot_t       mem_rsp_id_i,
  input  logic        mem_rsp_error_i,
  input  pte_t        mem_rsp_data_i,

  output logic                  event_valid_o,
  output logic [EventWidth-1:0] event_o
);

  req_t     req;
  rsp_t     rsp;
  fence_t   fence;
  mem_req_t mem_req;
  mem_rsp_t mem_rsp;
  event_t   walk_event;

  assign req = '{
    id: req_id_i,
    query: '{
      access: req_access_i,
      gva: req_gva_i,
      ctx: '{
        space: '{
          virt: req_virt_i,
          guest_levels: req_guest_levels_i,
          host_levels: req_host_levels_i,
          rights: req_rights_i,
          asid: req_asid_i,
          vmid: req_vmid_i
        },
        guest_root: req_guest_root_i,
        host_root: req_host_root_i,
        mode: '{
          who: '{
            user: req_user_i,
            sum: req_sum_i,
            guest_mxr: req_guest_mxr_i,
            host_mxr: req_host_mxr_i
          },
          guest_adue: req_guest_adue_i,
          host_adue: req_host_adue_i,
          guest_pbmte: req_guest_pbmte_i,
          host_pbmte: req_host_pbmte_i,
          napot: req_napot_i
        }
      }
    }
  };

  assign rsp_id_o              = rsp.id;
  assign rsp_hit_o             = rsp.hit;
  assign rsp_replay_o          = rsp.replay;
  assign rsp_gva_o             = rsp.gva;
  assign rsp_gpa_o             = rsp.gpa;
  assign rsp_hpa_o             = rsp.hpa;
  assign rsp_page_size_o       = rsp.page_size;
  assign rsp_attributes_o      = rsp.attributes;
  assign rsp_fault_kind_o      = rsp.fault.kind;
  assign rsp_fault_stage_o     = rsp.fault.stage;
  assign rsp_fault_level_o     = rsp.fault.level;
  assign rsp_fault_purpose_o   = rsp.fault.purpose;
  assign rsp_fault_for_level_o = rsp.fault.for_level;
  assign rsp_trap_cause_o      = rsp.trap.cause;
  assign rsp_trap_gva_o        = rsp.trap.gva;
  assign rsp_trap_tval2_o      = rsp.trap.tval2;
  assign rsp_trap_tinst_o      = rsp.trap.tinst;

  assign fence = '{
    use_gva: fence_use_gva_i,
    use_gpa: fence_use_gpa_i,
    gva: fence_gva_i,
    gpa: fence_gpa_i,
    scope: '{virt: fence_virt_i, use_asid: fence_use_asid_i, use_vmid: fence_use_vmid_i,
             asid: fence_asid_i, vmid: fence_vmid_i}
  };

  assign mem_req_id_o       = mem_req.id;
  assign mem_req_hpa_o      = mem_req.hpa;
  assign mem_req_update_o   = mem_req.update;
  assign mem_req_expected_o = mem_req.expected;
  assign mem_req_new_o      = mem_req.updated;
  assign mem_rsp            = '{id: mem_rsp_id_i, error: mem_rsp_error_i, data: mem_rsp_data_i};

  assign event_valid_o = walk_event.miss_valid || walk_event.done_valid || walk_event.second_valid
                      || walk_event.step.valid;
  assign event_o       = EventWidth'(walk_event);

  // The inputs as the MMU has them.
  logic         mmu_rst_n, mmu_req_valid, mmu_rsp_ready, mmu_fence_valid, mmu_mem_req_ready, mmu_mem_rsp_valid;
  walk_caches_t mmu_walk_caches;
  req_t         mmu_req;
  fence_t       mmu_fence;
  mem_rsp_t     mmu_mem_rsp;

  if (InputsAt != 0) begin : gen_at_edge
    logic edge_clk;
    assign edge_clk = clk_i ^ (InputsAt == 1);

    always_ff @(posedge edge_clk) begin : p_inputs
      mmu_rst_n         <= rst_ni;
      mmu_walk_caches   <= walk_caches_i;
      mmu_req_valid     <= req_valid_i;
      mmu_req           <= req;
      mmu_rsp_ready     <= rsp_ready_i;
      mmu_fence_valid   <= fence_valid_i;
      mmu_fence         <= fence;
      mmu_mem_req_ready <= mem_req_ready_i;
      mmu_mem_rsp_valid <= mem_rsp_valid_i;
      mmu_mem_rsp       <= mem_rsp;
    end
  end else begin : gen_at_once
    assign mmu_rst_n         = rst_ni;
    assign mmu_walk_caches   = walk_caches_i;
    assign mmu_req_valid     = req_valid_i;
    assign mmu_req           = req;
    assign mmu_rsp_ready     = rsp_ready_i;
    assign mmu_fence_valid   = fence_valid_i;
    assign mmu_fence         = fence;
    assign mmu_mem_req_ready = mem_req_ready_i;
    assign mmu_mem_rsp_valid = mem_rsp_valid_i;
    assign mmu_mem_rsp       = mem_rsp;
  end

  nested_mmu #(
    .Format      (Format),
    .TlbEntries  (TlbEntries),
    .WalkSlots   (WalkSlots),
    .MissEntries (MissEntries),
    .IdWidth     (IdWidth),
    .AsidWidth   (AsidWidth),
    .VmidWidth   (VmidWidth),
    .GuestCacheEntries (GuestCacheEntries),
    .HostCacheEntries  (HostCacheEntries),
    .NestedTlbEntries  (NestedTlbEntries),
    .ReadBypass        (ReadBypass),
    .MaxLevels         (MaxLevels),
    .Svadu             (Svadu),
    .Tlb2Sets          (Tlb2Sets),
    .Tlb2Ways          (Tlb2Ways),
    .Tlb2Superpages    (Tlb2Superpages)
  ) u_mmu (
    .clk_i,
    .rst_ni          (mmu_rst_n),
    .walk_caches_i   (mmu_walk_caches),
    .req_valid_i     (mmu_req_valid),
    .req_ready_o,
    .req_i           (mmu_req),
    .rsp_valid_o,
    .rsp_ready_i     (mmu_rsp_ready),
    .rsp_o           (rsp),
    .fence_valid_i   (mmu_fence_valid),
    .fence_ready_o,
    .fence_i         (mmu_fence),
    .mem_req_valid_o,
    .mem_req_ready_i (mmu_mem_req_ready),
    .mem_req_o       (mem_req),
    .mem_rsp_valid_i (mmu_mem_rsp_valid),
    .mem_rsp_ready_o,
    .mem_rsp_i       (mmu_mem_rsp),
    .event_o         (walk_event)
  );

endmodule
