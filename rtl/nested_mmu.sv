// SPDX-License-Identifier: Apache-2.0
// Nested-paging MMU: gVA=>hPA through the guest's and the host's tables, with a TLB of full translations.
//
// docs/ports.md states the ports and their timing. In a cycle the response register takes either the result of a
// walk that has ended, or the look-up of a request; ended walks go first. A request that misses goes to
// a walk; one that finds neither a walk to share nor room for its own is held and looked up again: also, before
// the next ended walk, in the cycle after a walk has left its slot, so that the slots do not all begin together.
//
// With a second-level TLB a request that misses the first is held until that has been looked up too.

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
  // Levels of a stage of RV64, at most: 3 Sv39, 4 Sv48, 5 Sv57.
  parameter int unsigned MaxLevels   = 5,
  // Whether A and D of RISC-V can be set by hardware; else every mode is without.
  parameter bit          Svadu       = 1'b1,
  // Walk caches of RISC-V's formats, 0: there is none; else a power of two, 2 or more.
  parameter int unsigned GuestCacheEntries = 0,  // of each level
  parameter int unsigned HostCacheEntries  = 0,  // of each level
  parameter int unsigned NestedTlbEntries  = 0,
  // A walk's next read may leave in the cycle in which the data of the one before arrives: the memory's request then
  // depends on its response in the same cycle.
  parameter bit          ReadBypass  = 1'b0,
  // Second-level TLB, 0: there is none; else powers of two, 2 or more: sets and ways for the smallest pages, and
  // entries for larger ones (0: they are in the first level only).
  parameter int unsigned Tlb2Sets       = 0,
  parameter int unsigned Tlb2Ways       = 0,
  parameter int unsigned Tlb2Superpages = 0,
  localparam cfg_t Cfg = make_cfg(Format, TlbEntries, WalkSlots, MissEntries,
                                  IdWidth, AsidWidth, VmidWidth,
                                  GuestCacheEntries, HostCacheEntries, NestedTlbEntries, ReadBypass,
                                  MaxLevels, Svadu, Tlb2Sets, Tlb2Ways, Tlb2Superpages),
  `NESTED_MMU_TYPES(Cfg)
) (
  input  logic     clk_i,
  input  logic     rst_ni,

  // Which walk caches are in use, of those that there are. It changes when no walk is under way.
  input  walk_caches_t walk_caches_i,

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

  // Reads of table entries, and updates of leaves.
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

  logic done_first;   // an ended walk goes before the look-up
  logic look;         // a look-up may be answered in this cycle
  logic give;         // an ended walk is answered in this cycle
  logic replays;      // a held request that a fence has overtaken is answered in this cycle
  logic rsp_room;

  logic fence;         // a fence is taken in this cycle
  logic fence_matches; // the fence on the port matches the request that would be looked up

  req_t lookup;
  logic lookup_valid, found, hit, miss, missed_out, equal, slot_free, table_full;
  logic second_done, second_hit;  // the second level has been looked up for the held request; it answers
  slot_t miss_slot;

  logic held_valid_q, held_overtaken_q, retired_q;
  req_t held_q;

  logic    done_valid, done_fill, done_last;
  slot_t   done_slot;
  walk_t   done_walk;
  id_t     done_id;
  offset_t done_offset;

  tlb_key_t  key;
  tlb_data_t done_data, second_data;
  place_t    place;
  grants_t   grants;

  // An answer, and what its trap record is made of besides.
  localparam type answer_t = struct packed {
    id_t         id;
    logic        hit;
    logic        replay;
    gva_t        gva;
    gpa_t        gpa;
    hpa_t        hpa;
    log2_t       page_size;
    attributes_t attributes;
    fault_t      fault;
    access_e     access;
    logic        virt;
  };

  logic    rsp_valid_q;
  answer_t rsp_q, rsp_d;

  //////////////////////////////////////
  // What the response register takes //
  //////////////////////////////////////

  assign rsp_room     = !rsp_valid_q || rsp_ready_i;
  assign done_first   = done_valid && !(retired_q && held_valid_q);
  assign give         = rsp_room && done_first;
  assign look         = rsp_room && !done_first && !(fence_valid_i && (fence_ready_o || fence_matches));
  assign req_ready_o  = look && !held_valid_q;
  assign lookup       = held_valid_q ? held_q : req_i;
  assign lookup_valid = look && (held_valid_q ? !held_overtaken_q : req_valid_i);
  assign replays      = look && held_valid_q && held_overtaken_q;

  assign mem_rsp_ready_o = 1'b1;

  ////////////
  // Fences //
  ////////////

  // A fence is complete in the cycle in which it is taken. While it waits for what is offered to memory, requests that
  // it does not match go on; a held request that it matches has been taken before it, and is answered with a replay.
  assign fence = fence_valid_i && fence_ready_o;

  fence_scope #(.Cfg(Cfg)) u_scope (
    .scope_i  (fence_i.scope),
    .virt_i   (lookup.query.ctx.space.virt),
    .global_i (1'b0),
    .asid_i   (lookup.query.ctx.space.asid),
    .vmid_i   (lookup.query.ctx.space.vmid),
    .named_o  (fence_matches)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_held_overtaken
    if (!rst_ni) held_overtaken_q <= 1'b0;
    else         held_overtaken_q <= held_valid_q && !look && (held_overtaken_q || (fence && fence_matches));
  end

  /////////////
  // The TLB //
  /////////////

  assign key = done_first ? '{space: done_walk.query.ctx.space,
                              vpn:   vpn_t'(done_walk.query.gva >> Cfg.OffsetWidth)}
                          : '{space: lookup.query.ctx.space,
                              vpn:   vpn_t'(lookup.query.gva >> Cfg.OffsetWidth)};

  logic unused_global;

  // What the second level has found goes into the first, whatever that holds.
  tlb #(.Cfg(Cfg)) u_tlb (
    .clk_i,
    .rst_ni,
    .key_i         (key),
    .hit_o         (found),
    .place_o       (place),
    .grants_o      (grants),
    .global_o      (unused_global),
    .use_i         (lookup_valid && hit && !second_hit),
    .fill_valid_i  ((give && done_fill) || second_hit),
    .fill_data_i   (second_hit ? second_data : done_data),
    .fence_valid_i (fence),
    .fence_i
  );

  if (Tlb2Sets != 0) begin : gen_tlb2
    logic looks, looked_q, looked_d, hit2;

    // In a cycle that needs the key for nothing else. What has been found is good until a fill or a fence.
    assign looks    = held_valid_q && !looked_q && !done_first && !fence;
    assign looked_d = held_valid_q && (looks || looked_q) && !fence && !(give && done_fill);

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_looked
      if (!rst_ni) looked_q <= 1'b0;
      else         looked_q <= looked_d;
    end

    tlb2 #(.Cfg(Cfg)) u_tlb2 (
      .clk_i,
      .rst_ni,
      .read_valid_i  (held_valid_q ? !looked_d : lookup_valid),
      .read_vpn_i    (vpn_t'(lookup.query.gva >> Cfg.OffsetWidth)),
      .look_valid_i  (looks),
      .look_key_i    ('{space: held_q.query.ctx.space, vpn: vpn_t'(held_q.query.gva >> Cfg.OffsetWidth)}),
      .look_access_i (held_q.query.access),
      .look_who_i    (held_q.query.ctx.mode.who),
      .hit_o         (hit2),
      .data_o        (second_data),
      .use_i         (second_hit),
      .key_i         (key),
      .fill_valid_i  (give && done_fill),
      .fill_data_i   (done_data),
      .fence_valid_i (fence),
      .fence_i
    );

    assign second_done = held_valid_q && looked_q;
    assign second_hit  = lookup_valid && second_done && hit2;
  end else begin : gen_no_tlb2
    assign second_done = 1'b1;
    assign second_hit  = 1'b0;
    assign second_data = '0;
  end

  // On RISC-V what is not permitted is walked again: memory may permit it by now.
  assign hit = found && (!Cfg.Riscv || grants_permit(grants,
                                                       lookup.query.ctx.space.guest_levels != '0,
                                                       lookup.query.access, lookup.query.ctx.mode.who));

  ////////////
  // Misses //
  ////////////

  assign miss       = lookup_valid && !hit && !second_hit && second_done && !table_full && (equal || slot_free);
  assign missed_out = lookup_valid && !hit && !second_hit && !miss;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_held_valid
    if (!rst_ni)   held_valid_q <= 1'b0;
    else if (look) held_valid_q <= missed_out;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_retired
    if (!rst_ni)       retired_q <= 1'b0;
    else if (rsp_room) retired_q <= (give && done_last) || (retired_q && held_valid_q && !second_done);
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
    .walk_caches_i,
    .fence_valid_i,
    .fence_ready_o,
    .fence_i,
    .done_valid_o  (done_valid),
    .done_slot_o   (done_slot),
    .done_walk_o   (done_walk),
    .done_data_o   (done_data),
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

  // Faults are made here, of walks and of hits.
  function automatic fault_t make_fault(fault_kind_e kind, stage_e stage, level_t level,
                                        purpose_e purpose, level_t for_level);
    fault_t fault;
    fault       = '0;
    fault.kind  = kind;
    fault.stage = stage;
    fault.level = level;
    if (stage == StageHost) begin
      fault.purpose   = purpose;
      fault.for_level = (purpose == PurposeData) ? '0 : for_level;
    end
    return fault;
  endfunction

  function automatic log2_t page_size_of(span_t span);
    log2_t size;
    size = log2_t'(Cfg.PageLog2[0]);
    for (int unsigned i = 1; i < Cfg.PageSizes; i++) begin
      if (span[i-1]) size = log2_t'(Cfg.PageLog2[i]);
    end
    return size;
  endfunction

  // To a request that a fence has overtaken.
  function automatic answer_t make_replay(id_t id, gva_t gva);
    answer_t answer;
    answer        = '0;
    answer.id     = id;
    answer.replay = 1'b1;
    answer.gva    = gva;
    return answer;
  endfunction

  function automatic answer_t make_answer(id_t id, logic was_hit, gva_t gva, access_e access, logic virt,
                                          place_t at, fault_t fault, gpa_t fault_gpa);
    answer_t answer;
    answer        = '0;
    answer.id     = id;
    answer.hit    = was_hit;
    answer.gva    = gva;
    answer.fault  = fault;
    answer.access = access;
    answer.virt   = virt;
    if (fault.kind == FaultNone) begin
      answer.gpa        = gpa_t'({at.gppn, offset_t'(gva)});
      answer.hpa        = {at.hppn, offset_t'(gva)};
      answer.page_size  = page_size_of(at.guest_span & at.host_span);
      answer.attributes = at.attributes;
    end else if (fault.stage == StageHost) begin
      answer.gpa = fault_gpa;
    end
    return answer;
  endfunction

  // A hit, of either level. The handout's may fault: the rights of both leaves, in the walk's order.
  answer_t hit_rsp;
  always_comb begin : p_hit
    fault_t  fault;
    place_t  at;
    rights_t guest_rights, host_rights;
    at           = second_hit ? second_data.place : place;
    guest_rights = second_hit ? second_data.grants.guest : grants.guest;
    host_rights  = second_hit ? second_data.grants.host : grants.host;
    fault        = '0;
    if (!Cfg.Riscv && lookup.query.ctx.space.rights) begin
      if (!permits(guest_rights, lookup.query.access)) begin
        fault = make_fault(FaultPermission, StageGuest, '0, PurposeRead, '0);
      end else if (!permits(host_rights, lookup.query.access)) begin
        fault = make_fault(FaultPermission, StageHost, '0, PurposeData, '0);
      end
    end
    hit_rsp = make_answer(lookup.id, 1'b1, lookup.query.gva, lookup.query.access, lookup.query.ctx.space.virt,
                          at, fault, gpa_t'({at.gppn, offset_t'(lookup.query.gva)}));
  end

  // A walk. What its data's own translation says is at the request's offset, which is not the walk's where the
  // walk is shared.
  answer_t walk_rsp;
  always_comb begin : p_walk
    fault_t fault;
    gva_t   gva;
    gpa_t   gpa;
    gva   = {vpn_t'(done_walk.query.gva >> Cfg.OffsetWidth), done_offset};
    gpa   = done_walk.gpa;
    if (done_walk.purpose == PurposeData) gpa[Cfg.OffsetWidth-1:0] = done_offset;
    fault = '0;
    if (done_walk.fault != FaultNone) begin
      fault = make_fault(done_walk.fault, done_walk.stage,
                         (done_walk.stage == StageHost) ? done_walk.host_level : done_walk.guest_level,
                         done_walk.purpose, done_walk.guest_level);
    end
    walk_rsp = (done_walk.fault == FaultOvertaken)
             ? make_replay(done_id, gva)
             : make_answer(done_id, 1'b0, gva, done_walk.query.access, done_walk.query.ctx.space.virt,
                           done_data.place, fault, gpa);
  end

  logic unused_walk;  // what a walk needs no more at its end
  assign unused_walk = ^done_walk;

  assign rsp_d = give ? walk_rsp : replays ? make_replay(lookup.id, lookup.query.gva) : hit_rsp;

  always_ff @(posedge clk_i or negedge rst_ni) begin : p_rsp_valid
    if (!rst_ni)       rsp_valid_q <= 1'b0;
    else if (rsp_room) rsp_valid_q <= give || (lookup_valid && hit) || second_hit || replays;
  end

  always_ff @(posedge clk_i) begin : p_rsp
    if (rsp_room) rsp_q <= rsp_d;
  end

  //               | fetch | load | store
  //   access      |   1   |   5  |   7
  //   page        |  12   |  13  |  15
  //   guest page  |  20   |  21  |  23
  function automatic logic [5:0] trap_cause(logic memory, logic guest_page, access_e access);
    unique case (access)
      AccessFetch: return memory ? 6'd1 : guest_page ? 6'd20 : 6'd12;
      AccessStore: return memory ? 6'd7 : guest_page ? 6'd23 : 6'd15;
      default:     return memory ? 6'd5 : guest_page ? 6'd21 : 6'd13;
    endcase
  endfunction

  // The trap that a fault is on RISC-V. A fault of the memory is no fault of a page: it only keeps the access.
  function automatic trap_t make_trap(fault_kind_e kind, stage_e stage, purpose_e purpose, gpa_t gpa,
                                      access_e access, logic virt);
    trap_t trap;
    logic  guest_page;
    trap       = '0;
    guest_page = (stage == StageHost) && (kind != FaultMemory);
    if (!Cfg.Riscv || kind == FaultNone) return trap;

    trap.gva   = virt;
    trap.cause = trap_cause(kind == FaultMemory, guest_page, access);
    if (guest_page) begin
      trap.tval2 = gpa >> 2;
      unique case (purpose)
        PurposeRead:   trap.tinst = (Cfg.PteWidth == 64) ? 16'h3000 : 16'h2000;
        PurposeUpdate: trap.tinst = (Cfg.PteWidth == 64) ? 16'h3020 : 16'h2020;
        default:       trap.tinst = '0;
      endcase
    end
    // A pseudoinstruction goes with a nonzero address in htval, and with no other.
    if (trap.tval2 == '0) trap.tinst = '0;
    return trap;
  endfunction

  assign rsp_valid_o = rsp_valid_q;
  assign rsp_o       = '{
    id:         rsp_q.id,
    hit:        rsp_q.hit,
    replay:     rsp_q.replay,
    gva:        rsp_q.gva,
    gpa:        rsp_q.gpa,
    hpa:        rsp_q.hpa,
    page_size:  rsp_q.page_size,
    attributes: rsp_q.attributes,
    fault:      rsp_q.fault,
    trap:       make_trap(rsp_q.fault.kind, rsp_q.fault.stage, rsp_q.fault.purpose, rsp_q.gpa, rsp_q.access,
                          rsp_q.virt)
  };

  ////////////
  // Events //
  ////////////

  assign event_o = '{
    miss_valid:   miss,
    miss_merged:  equal,
    miss_id:      lookup.id,
    miss_slot:    miss_slot,
    done_valid:   give,
    done_fill:    done_fill,
    done_id:      done_id,
    done_slot:    done_slot,
    second_valid: second_hit,
    step:         step
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
  for (genvar which = 0; which < 3; which++) begin : gen_walk_cache_entries
    localparam int unsigned Entries = (which == 0) ? GuestCacheEntries
                                    : (which == 1) ? HostCacheEntries : NestedTlbEntries;
    if (Entries == 1 || (Entries & (Entries - 1)) != 0) begin : gen_bad_entries
      $fatal(1, "nested_mmu: the entries of a walk cache must be 0, or a power of two, 2 or more");
    end
  end
  if (Cfg.HasWalkCaches && !Cfg.Riscv) begin : gen_bad_format
    $fatal(1, "nested_mmu: only RISC-V's formats have walk caches");
  end
  if (Tlb2Sets != 0 && (Tlb2Sets < 2 || (Tlb2Sets & (Tlb2Sets - 1)) != 0
                        || Tlb2Ways < 2 || (Tlb2Ways & (Tlb2Ways - 1)) != 0)) begin : gen_bad_tlb2
    $fatal(1, "nested_mmu: Tlb2Sets must be 0, or it and Tlb2Ways a power of two, 2 or more");
  end
  if (Tlb2Superpages != 0 && (Tlb2Superpages < 2 || (Tlb2Superpages & (Tlb2Superpages - 1)) != 0
                              || Tlb2Sets == 0 || !Cfg.Riscv)) begin : gen_bad_superpages
    $fatal(1, "nested_mmu: Tlb2Superpages must be 0, or a power of two, 2 or more, of a RISC-V format with Tlb2Sets");
  end
  if (IdWidth < 1 || AsidWidth < 1 || VmidWidth < 1) begin : gen_bad_width
    $fatal(1, "nested_mmu: IdWidth, AsidWidth and VmidWidth must be 1 or more");
  end

  if (MaxLevels < 3 || MaxLevels > 5) begin : gen_bad_levels
    $fatal(1, "nested_mmu: MaxLevels must be 3 (Sv39) to 5 (Sv57)");
  end

`ifndef SYNTHESIS
  logic in_reset, fence_of_virt, no_fault;
  assign in_reset      = !rst_ni;
  assign fence_of_virt = (fence_i.scope.virt == done_walk.query.ctx.space.virt);
  assign no_fault      = (rsp_o.fault.kind == FaultNone);

  ResponseStays_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                    rsp_valid_o && !rsp_ready_i |=> rsp_valid_o && $stable(rsp_o));
  NoFillInFence_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                    fence && fence_of_virt
                                    && !(fence_i.scope.use_asid || fence_i.scope.use_vmid)
                                    |-> !(give && done_fill));
  NoFaultOnHit_A:  assert property (@(posedge clk_i) disable iff (in_reset)
                                    rsp_valid_o && rsp_o.hit && Cfg.Riscv |-> no_fault);
`endif

endmodule
