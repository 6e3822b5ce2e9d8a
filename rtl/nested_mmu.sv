// Nested-paging MMU: gVA=>hPA through the guest's and the host's tables, with a TLB of full translations.
//
// docs/ports.md states the ports and their timing. In a cycle the response register takes either the result of a
// walk that has ended, or the look-up of a request; ended walks go first. A request that misses goes to
// a walk; one that finds neither a walk to share nor room for its own is held and looked up again.

`include "nested_mmu_types.svh"

module nested_mmu
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format      = FormatHandout,
  parameter int unsigned TlbEntries  = 16,
  parameter int unsigned WalkSlots   = 4,
  parameter int unsigned MissEntries = 2 * WalkSlots,
  parameter int unsigned IdWidth     = 8,
  parameter int unsigned AsidWidth   = 16,
  parameter int unsigned VmidWidth   = 14,
  localparam cfg_t Cfg = make_cfg(Format, TlbEntries, WalkSlots, MissEntries,
                                  IdWidth, AsidWidth, VmidWidth),
  `NESTED_MMU_TYPES(Cfg)
) (
  input  logic     clk_i,
  input  logic     rst_ni,

  // Requests for a translation.
  input  logic     req_valid_i,
  output logic     req_ready_o,
  input  req_t     req_i,

  // Their answers, in any order.
  output logic     rsp_valid_o,
  input  logic     rsp_ready_i,
  output rsp_t     rsp_o,

  // What to forget.
  input  logic     fence_valid_i,
  output logic     fence_ready_o,
  input  fence_t   fence_i,

  // Reads of table entries.
  output logic     mem_req_valid_o,
  input  logic     mem_req_ready_i,
  output mem_req_t mem_req_o,

  // The entries, in any order.
  input  logic     mem_rsp_valid_i,
  output logic     mem_rsp_ready_o,
  input  mem_rsp_t mem_rsp_i,

  // What the walks do, to be watched.
  output event_t   event_o
);

  localparam log2_t PageSize = log2_t'(Cfg.OffsetWidth);

  logic look;         // a look-up may be answered in this cycle
  logic give;         // an ended walk is answered in this cycle
  logic rsp_room;

  req_t lookup;
  logic lookup_valid, hit, miss, missed_out, equal, slot_free, table_full;
  slot_t miss_slot;

  logic held_valid_q;
  req_t held_q;

  logic    done_valid, done_fill, done_last;
  slot_t   done_slot;
  walk_t   done_walk;
  id_t     done_id;
  offset_t done_offset;

  tlb_key_t  key;
  tlb_data_t tlb_data;

  logic rsp_valid_q;
  rsp_t rsp_q, rsp_d;

  //////////////////////////////////////
  // What the response register takes //
  //////////////////////////////////////

  assign rsp_room     = !rsp_valid_q || rsp_ready_i;
  assign give         = rsp_room && done_valid;
  assign look         = rsp_room && !done_valid && !fence_valid_i;
  assign req_ready_o  = look && !held_valid_q;
  assign lookup       = held_valid_q ? held_q : req_i;
  assign lookup_valid = look && (held_valid_q || req_valid_i);

  assign fence_ready_o   = 1'b1;
  assign mem_rsp_ready_o = 1'b1;

  /////////////
  // The TLB //
  /////////////

  assign key = done_valid ? '{space: done_walk.query.ctx.space,
                              vpn:   vpn_t'(done_walk.query.gva >> Cfg.OffsetWidth)}
                          : '{space: lookup.query.ctx.space,
                              vpn:   vpn_t'(lookup.query.gva >> Cfg.OffsetWidth)};

  tlb #(.Cfg(Cfg)) u_tlb (
    .clk_i,
    .rst_ni,
    .key_i         (key),
    .hit_o         (hit),
    .data_o        (tlb_data),
    .use_i         (lookup_valid && hit),
    .fill_valid_i  (give && done_fill),
    .fill_data_i   ('{gppn: gppn_t'(done_walk.gpa >> Cfg.OffsetWidth),
                      hppn: hppn_t'(done_walk.hpa >> Cfg.OffsetWidth),
                      guest_rights: done_walk.guest_rights, host_rights: done_walk.host_rights}),
    .fence_valid_i,
    .fence_i
  );

  ////////////
  // Misses //
  ////////////

  assign miss       = lookup_valid && !hit && !table_full && (equal || slot_free);
  assign missed_out = lookup_valid && !hit && !miss;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_held_valid
    if (!rst_ni)   held_valid_q <= 1'b0;
    else if (look) held_valid_q <= missed_out;
  end

  always_ff @(posedge clk_i) begin : p_held
    if (missed_out && !held_valid_q) held_q <= req_i;
  end

  miss_table #(.Cfg(Cfg)) u_misses (
    .clk_i,
    .rst_ni,
    .full_o       (table_full),
    .add_valid_i  (miss),
    .add_slot_i   (miss_slot),
    .add_id_i     (lookup.id),
    .add_offset_i (offset_t'(lookup.query.gva)),
    .slot_i       (done_slot),
    .id_o         (done_id),
    .offset_o     (done_offset),
    .last_o       (done_last),
    .remove_i     (give)
  );

  step_t step;

  walk_engine #(.Format(Format), .Cfg(Cfg)) u_walks (
    .clk_i,
    .rst_ni,
    .miss_i        (lookup.query),
    .equal_o       (equal),
    .free_o        (slot_free),
    .slot_o        (miss_slot),
    .start_i       (miss && !equal),
    .fence_valid_i,
    .fence_scope_i (fence_i.scope),
    .done_valid_o  (done_valid),
    .done_slot_o   (done_slot),
    .done_walk_o   (done_walk),
    .done_fill_o   (done_fill),
    .filled_i      (give),
    .retire_i      (give && done_last),
    .mem_req_valid_o,
    .mem_req_ready_i,
    .mem_req_o,
    .mem_rsp_valid_i,
    .mem_rsp_i,
    .step_o        (step)
  );

  /////////////
  // Answers //
  /////////////

  // Faults are made here, of walks and of hits. A fault of the data's own translation is at the request's
  // offset, which is not the walk's where the walk is shared.
  function automatic fault_t make_fault(fault_kind_e kind, stage_e stage, level_t level,
                                        logic for_data, level_t for_level, gpa_t gpa);
    fault_t fault;
    fault       = '0;
    fault.kind  = kind;
    fault.stage = stage;
    fault.level = level;
    if (stage == StageHost) begin
      fault.for_data  = for_data;
      fault.for_level = for_data ? '0 : for_level;
      fault.gpa       = gpa;
    end
    return fault;
  endfunction

  function automatic rsp_t make_rsp(id_t id, logic was_hit, gva_t gva, hppn_t hppn, fault_t fault);
    rsp_t rsp;
    rsp       = '0;
    rsp.id    = id;
    rsp.hit   = was_hit;
    rsp.gva   = gva;
    rsp.fault = fault;
    if (fault.kind == FaultNone) begin
      rsp.hpa       = {hppn, offset_t'(gva)};
      rsp.page_size = PageSize;
    end
    return rsp;
  endfunction

  // A hit: the rights of both leaves, in the walk's order.
  rsp_t hit_rsp;
  always_comb begin : p_hit
    fault_t fault;
    fault = '0;
    if (lookup.query.ctx.space.rights) begin
      if (!permits(tlb_data.guest_rights, lookup.query.access)) begin
        fault = make_fault(FaultPermission, StageGuest, '0, 1'b0, '0, '0);
      end else if (!permits(tlb_data.host_rights, lookup.query.access)) begin
        fault = make_fault(FaultPermission, StageHost, '0, 1'b1, '0,
                           {tlb_data.gppn, offset_t'(lookup.query.gva)});
      end
    end
    hit_rsp = make_rsp(lookup.id, 1'b1, lookup.query.gva, tlb_data.hppn, fault);
  end

  rsp_t walk_rsp;
  always_comb begin : p_walk
    fault_t fault;
    gpa_t   gpa;
    gpa   = done_walk.for_data ? {gppn_t'(done_walk.gpa >> Cfg.OffsetWidth), done_offset}
                               : done_walk.gpa;
    fault = '0;
    if (done_walk.fault != FaultNone) begin
      fault = make_fault(done_walk.fault, done_walk.stage,
                         (done_walk.stage == StageHost) ? done_walk.host_level : done_walk.guest_level,
                         done_walk.for_data, done_walk.guest_level, gpa);
    end
    walk_rsp = make_rsp(done_id, 1'b0,
                        {vpn_t'(done_walk.query.gva >> Cfg.OffsetWidth), done_offset},
                        hppn_t'(done_walk.hpa >> Cfg.OffsetWidth), fault);
  end

  assign rsp_d = give ? walk_rsp : hit_rsp;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_rsp_valid
    if (!rst_ni)       rsp_valid_q <= 1'b0;
    else if (rsp_room) rsp_valid_q <= give || (lookup_valid && hit);
  end

  always_ff @(posedge clk_i) begin : p_rsp
    if (rsp_room) rsp_q <= rsp_d;
  end

  assign rsp_valid_o = rsp_valid_q;
  assign rsp_o       = rsp_q;

  ////////////
  // Events //
  ////////////

  assign event_o = '{
    miss_valid:  miss,
    miss_merged: equal,
    miss_id:     lookup.id,
    miss_slot:   miss_slot,
    done_valid:  give,
    done_fill:   done_fill,
    done_id:     done_id,
    done_slot:   done_slot,
    step:        step
  };

  ////////////////////////
  // Legal parameters   //
  ////////////////////////

  if (WalkSlots < 1 || WalkSlots > 16) begin : gen_bad_slots
    $fatal(1, "nested_mmu: WalkSlots must be 1 to 16");
  end
  if (TlbEntries < 2 || (TlbEntries & (TlbEntries - 1)) != 0) begin : gen_bad_tlb
    $fatal(1, "nested_mmu: TlbEntries must be a power of two, 2 or more");
  end
  if (MissEntries < WalkSlots) begin : gen_bad_misses
    $fatal(1, "nested_mmu: MissEntries must be WalkSlots or more");
  end
  if (IdWidth < 1 || AsidWidth < 1 || VmidWidth < 1) begin : gen_bad_width
    $fatal(1, "nested_mmu: IdWidth, AsidWidth and VmidWidth must be 1 or more");
  end

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  ResponseStays_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                    rsp_valid_o && !rsp_ready_i |=> rsp_valid_o && $stable(rsp_o));
  NoFillInFence_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                    fence_valid_i && !(fence_i.scope.use_asid || fence_i.scope.use_vmid)
                                    |-> !(give && done_fill));
`endif

endmodule
