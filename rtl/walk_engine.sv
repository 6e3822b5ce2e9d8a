// SPDX-License-Identifier: Apache-2.0
// The walk slots: they accept misses, issue reads and updates, one at a time for each walk, and
// retire walks.
//
// A slot holds a walk (walk_t) and its state. All slots share one walk step: an entry arrives with
// the number of its slot, and the step computes the walk's next state. The memory port is granted
// round robin.
//
// With page-walk caches, a walk that reaches the first entry of a stage is looked up in them before
// it reads. The walks that wait for a lookup take turns, round robin.
//
// A walk that a fence matches is overtaken. It issues nothing more, not even a read that it was
// about to offer, and ends without a result. A response in flight is waited for and dropped. A
// request that is already on the memory port stays until its handshake, and the fence waits for
// that handshake.
//
// With ReadBypass the next read of a walk may leave in the cycle in which its entry arrives.
// Without, the read is registered.

`include "nested_mmu_types.svh"

module walk_engine
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  // A request that missed: it joins an equal walk in flight (coalesce_o), else it needs a free
  // slot.
  input  query_t    miss_i,
  output logic      coalesce_o,
  output logic      free_o,
  output slot_t     slot_o,    // slot of the equal walk, else the free slot
  input  logic      start_i,   // start a walk in the free slot

  // The page-walk caches in use. They change only while no walk is in flight.
  input  walk_caches_t walk_caches_i,

  // Walks that a fence matches end without another read or update.
  input  logic      fence_valid_i,
  output logic      fence_ready_o,
  input  fence_t    fence_i,

  // A completed walk. `retire_i` frees its slot. After `filled_i` it does not fill the TLB again.
  output logic      done_valid_o,
  output slot_t     done_slot_o,
  output walk_t     done_walk_o,
  output tlb_data_t done_data_o,  // its result
  output logic      done_fill_o,
  input  logic      filled_i,
  input  logic      retire_i,

  output logic      mem_req_valid_o,
  input  logic      mem_req_ready_i,
  output mem_req_t  mem_req_o,
  input  logic      mem_rsp_valid_i,
  input  mem_rsp_t  mem_rsp_i,

  output step_t     step_o
);

  localparam int unsigned N = Cfg.WalkSlots;

  slot_state_e state_q [N];
  walk_t       walk_q  [N];
  logic        fill_q  [N];   // the walk's result may still fill the TLB

  walk_t       start_walk, step_walk, next_walk;
  walk_next_e  start_next, next;
  pte_t        update_expected, update_new;

  // Page-walk caches: walks that are still to be looked up, and the last hit of each.
  logic       [N-1:0] lookup_pending_q, lookup_done;
  pwc_hit_e         pwc_hit_q [N];
  logic               next_lookup;
  slot_t              lookup_slot;
  walk_t              lookup_walk;
  pwc_hit_t              pwc_hit;

  logic [N-1:0] idle, first_idle, wants_read, bypasses, done, coalesce;
  logic [N-1:0] matched, overtakes, overtaken;
  logic [N-1:0] starts, issues, steps, retires;
  slot_t        free_slot, coalesce_slot, read_slot, done_slot;
  logic         read_valid, fence;

  // The lower bits of aligned roots are ignored.
  query_t miss;
  always_comb begin : p_miss
    miss = miss_i;
    if (Cfg.RootsAligned) begin
      miss.ctx.guest_root[Cfg.OffsetWidth-1:0]                   = '0;
      miss.ctx.host_root[Cfg.OffsetWidth+Cfg.HostRootExtra-1:0] = '0;
    end
  end

  ////////////////
  // The rules  //
  ////////////////

  // With one slot its number is ignored.
  slot_t step_slot;
  assign step_slot = (N == 1) ? '0 : mem_rsp_i.id;
  assign step_walk = walk_q[step_slot];

  if (Cfg.Format == FormatHandout || Cfg.Format == FormatClassic32) begin : gen_handout
    walk_step_handout #(.Cfg(Cfg)) u_step (
      .start_query_i     (miss),
      .start_walk_o      (start_walk),
      .start_next_o      (start_next),
      .step_walk_i       (step_walk),
      .step_pte_i        (mem_rsp_i.data),
      .step_error_i      (mem_rsp_i.error),
      .step_walk_o       (next_walk),
      .step_next_o       (next),
      .update_expected_o (update_expected),
      .update_new_o      (update_new),
      .end_walk_i        (done_walk_o),
      .end_data_o        (done_data_o)
    );
    assign lookup_walk = '0;
  end else if (Cfg.Format == FormatRv32 || Cfg.Format == FormatRv64) begin : gen_riscv
    walk_step_riscv #(.Cfg(Cfg)) u_step (
      .start_query_i     (miss),
      .start_walk_o      (start_walk),
      .start_next_o      (start_next),
      .step_walk_i       (step_walk),
      .step_pte_i        (mem_rsp_i.data),
      .step_error_i      (mem_rsp_i.error),
      .step_walk_o       (next_walk),
      .step_next_o       (next),
      .update_walk_i     (walk_q[read_slot]),
      .update_expected_o (update_expected),
      .update_new_o      (update_new),
      .lookup_walk_i       (walk_q[lookup_slot]),
      .pwc_hit_i       (pwc_hit),
      .lookup_walk_o       (lookup_walk),
      .end_walk_i        (done_walk_o),
      .end_data_o        (done_data_o)
    );
  end else begin : gen_no_format
    $fatal(1, "walk_engine: no walk step for this format");
  end

  //////////////////////////
  // The page-walk caches //
  //////////////////////////

  if (!Cfg.HasWalkCaches) begin : gen_no_walk_caches
    assign lookup_done      = '0;
    assign lookup_pending_q     = '0;
    assign next_lookup = 1'b0;
    for (genvar i = 0; i < N; i++) begin : gen_no_pwc_hit
      assign pwc_hit_q[i] = PwcNone;
    end

    // There are no lookups: neither the walk nor the hit is used.
    assign {lookup_slot, pwc_hit} = '0;
    logic unused_caches;
    assign unused_caches = ^{walk_caches_i, fence_i, lookup_slot, pwc_hit, lookup_walk};
  end else if (Cfg.TablesAligned) begin : gen_walk_caches
    logic [N-1:0] lookup_req;
    logic         start_lookup, lookup_valid, lookup_ready;

    // A walk is before the first entry of a stage at its start, and after each guest entry.
    assign start_lookup = (walk_caches_i != '0);
    assign next_lookup  = (walk_caches_i != '0)
                       && step_walk.stage == StageGuest && next_walk.stage == StageHost;

    for (genvar i = 0; i < N; i++) begin : gen_lookup
      assign lookup_req[i] = (state_q[i] == SlotRead) && lookup_pending_q[i];
      assign lookup_done[i]      = lookup_valid && lookup_ready && lookup_slot == slot_t'(i);

      always_ff @(posedge clk_i) begin : p_lookup
        if (starts[i])     lookup_pending_q[i] <= start_lookup;
        else if (steps[i]) lookup_pending_q[i] <= next_lookup;
        else if (lookup_done[i]) lookup_pending_q[i] <= 1'b0;
      end

      always_ff @(posedge clk_i) begin : p_pwc_hit
        if (starts[i] || steps[i]) pwc_hit_q[i] <= PwcNone;
        else if (lookup_done[i])         pwc_hit_q[i] <= pwc_hit.kind;
      end
    end

    // An overtaken walk stops waiting for its turn.
    rr_arbiter #(.N(N), .Hold(1'b0)) u_lookup (
      .clk_i,
      .rst_ni,
      .req_i   (lookup_req),
      .valid_o (lookup_valid),
      .index_o (lookup_slot),
      .ready_i (lookup_ready)
    );

    walk_caches #(.Cfg(Cfg)) u_caches (
      .clk_i,
      .rst_ni,
      .use_i        (walk_caches_i),
      .lookup_valid_i (lookup_valid),
      .lookup_ready_o (lookup_ready),
      .lookup_walk_i  (walk_q[lookup_slot]),
      .pwc_hit_o  (pwc_hit),
      .step_valid_i (mem_rsp_valid_i && next != WalkFault
                     && fill_q[step_slot] && !overtakes[step_slot]),
      .step_walk_i  (step_walk),
      .step_next_i  (next_walk),
      .fence_valid_i (fence),
      .fence_i
    );
  end else begin : gen_no_rules
    $fatal(1, "walk_engine: only RISC-V's formats have walk caches");
  end

  ////////////////
  // The slots  //
  ////////////////

  function automatic slot_state_e state_of(walk_next_e walk_next);
    return (walk_next == WalkRead || walk_next == WalkUpdate) ? SlotRead : SlotDone;
  endfunction

  for (genvar i = 0; i < N; i++) begin : gen_slot
    assign idle[i]       = (state_q[i] == SlotIdle);
    assign wants_read[i] = (state_q[i] == SlotRead) && !lookup_pending_q[i];
    assign bypasses[i]   = Cfg.ReadBypass && steps[i] && next == WalkRead && !next_lookup
                        && !overtaken[i];
    assign done[i]       = (state_q[i] == SlotDone);

    // Misses of one page, context and access are coalesced into one walk. Without rights mode the
    // access does not matter. A completed walk is shared until its slot is freed.
    assign coalesce[i] = !idle[i] && fill_q[i]
                   && (walk_q[i].query.ctx == miss.ctx)
                   && (vpn_t'(walk_q[i].query.gva >> Cfg.OffsetWidth)
                       == vpn_t'(miss.gva >> Cfg.OffsetWidth))
                   && (walk_q[i].query.access == miss.access
                       || (Cfg.HasRightsMode && !miss.ctx.tag.rights));

    // A fence matches a walk by `virt`, ASID and VMID. The addresses of a walk, and whether its
    // mapping is global, are known only when it ends.
    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (fence_i.scope),
      .virt_i   (walk_q[i].query.ctx.tag.virt),
      .global_i (1'b0),
      .asid_i   (walk_q[i].query.ctx.tag.asid),
      .vmid_i   (walk_q[i].query.ctx.tag.vmid),
      .matches_o  (matched[i])
    );

    assign starts[i]  = start_i && free_slot == slot_t'(i);
    assign issues[i]  = mem_req_valid_o && mem_req_ready_i && read_slot == slot_t'(i);
    assign steps[i]   = mem_rsp_valid_i && step_slot == slot_t'(i);
    assign retires[i] = retire_i && done_slot == slot_t'(i);

    assign overtakes[i] = fence && matched[i] && !idle[i];
    assign overtaken[i] = !idle[i] && walk_q[i].fault == FaultOvertaken;

    // state_on: the next state of a walk that is not overtaken. An overtaken walk issues nothing
    // more.
    slot_state_e state_on, state_d;
    always_comb begin : p_next_state
      state_on = state_q[i];
      unique case (state_q[i])
        SlotIdle: if (starts[i])  state_on = state_of(start_next);
        SlotRead: if (issues[i])  state_on = SlotWait;
        SlotWait: if (steps[i])   state_on = issues[i] ? SlotWait : state_of(next);
        SlotDone: if (retires[i]) state_on = SlotIdle;
        default:                  state_on = SlotIdle;
      endcase
      state_d = (state_on == SlotRead && (overtakes[i] || overtaken[i])) ? SlotDone : state_on;
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_state
      if (!rst_ni) state_q[i] <= SlotIdle;
      else         state_q[i] <= state_d;
    end

    always_ff @(posedge clk_i) begin : p_walk
      if (starts[i])                        walk_q[i] <= start_walk;
      else if (steps[i] && !overtaken[i])   walk_q[i] <= next_walk;
      else if (lookup_done[i])                    walk_q[i] <= lookup_walk;
      // A completed walk keeps its result, which follows from reads before the fence.
      if (overtakes[i] && state_on inside {SlotRead, SlotWait}) walk_q[i].fault <= FaultOvertaken;
    end

    always_ff @(posedge clk_i) begin : p_fill
      if (starts[i]) fill_q[i] <= 1'b1;
      else if (overtakes[i] || (filled_i && done_slot == slot_t'(i))) fill_q[i] <= 1'b0;
    end
  end

  // A request on the memory port stays until its handshake.
  assign fence_ready_o = !(mem_req_valid_o && !mem_req_ready_i && matched[read_slot]);
  assign fence         = fence_valid_i && fence_ready_o;

  // No two walks in flight are equal.
  first_one #(.N(N)) u_free (.set_i (idle), .first_o (first_idle));

  always_comb begin : p_find
    free_slot  = '0;
    coalesce_slot = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (first_idle[i]) free_slot  |= slot_t'(i);
      if (coalesce[i])      coalesce_slot |= slot_t'(i);
    end
  end

  assign coalesce_o = |coalesce;
  assign free_o  = |idle;
  assign slot_o  = coalesce_o ? coalesce_slot : free_slot;

  /////////////////
  // The memory  //
  /////////////////

  rr_arbiter #(.N(N)) u_read (
    .clk_i,
    .rst_ni,
    .req_i   (wants_read | bypasses),
    .valid_o (read_valid),
    .index_o (read_slot),
    .ready_i (mem_req_ready_i)
  );

  logic bypass_read;
  if (Cfg.ReadBypass) begin : gen_bypass
    assign bypass_read = bypasses[read_slot];
  end else begin : gen_no_bypass
    assign bypass_read = 1'b0;
  end

  assign mem_req_valid_o = read_valid;
  assign mem_req_o       = '{
    id:       read_slot,
    hpa:      bypass_read ? next_walk.hpa : walk_q[read_slot].hpa,
    update:   !bypass_read && walk_q[read_slot].update,
    expected: update_expected,
    updated:  update_new
  };

  ////////////////
  // The ends   //
  ////////////////

  rr_arbiter #(.N(N)) u_done (
    .clk_i,
    .rst_ni,
    .req_i   (done),
    .valid_o (done_valid_o),
    .index_o (done_slot),
    .ready_i (retire_i)
  );

  assign done_slot_o = done_slot;
  assign done_walk_o = walk_q[done_slot];
  // With both stages off the TLB is not filled.
  assign done_fill_o = fill_q[done_slot] && (done_walk_o.fault == FaultNone)
                    && (done_walk_o.query.ctx.tag.guest_levels != '0
                        || done_walk_o.query.ctx.tag.host_levels != '0)
                    && !overtakes[done_slot];

  assign step_o = '{
    valid:       mem_rsp_valid_i,
    slot:        mem_rsp_i.id,
    stage:       step_walk.stage,
    guest_level: step_walk.guest_level,
    host_level:  step_walk.host_level,
    purpose:     step_walk.purpose,
    update:      step_walk.update,
    pwc_hit:        pwc_hit_q[step_slot],
    is_global:   step_walk.is_global,
    gpa:         step_walk.gpa,
    hpa:         step_walk.hpa,
    error:       mem_rsp_i.error,
    pte:         mem_rsp_i.data,
    next:        overtaken[step_slot] ? WalkFault : next,
    fault:       overtaken[step_slot] ? FaultOvertaken : next_walk.fault
  };

`ifndef SYNTHESIS
  function automatic logic legal_levels(levels_t levels);
    return levels != 3'd1 && levels <= levels_t'(Cfg.Levels);
  endfunction

  // Single bits, so that no assertion samples a whole walk.
  logic in_reset, sets_bits, known_levels, issues_fault, ends_early, waits_to_ask;
  assign in_reset     = !rst_ni;
  assign sets_bits    = (mem_req_o.updated != mem_req_o.expected)
                     && ((mem_req_o.updated & mem_req_o.expected) == mem_req_o.expected);
  assign known_levels = legal_levels(miss_i.ctx.tag.guest_levels)
                     && legal_levels(miss_i.ctx.tag.host_levels);
  assign issues_fault = (walk_q[read_slot].fault != FaultNone);
  assign ends_early   = (done_walk_o.fault == FaultNone) && (done_walk_o.purpose != PurposeData);

  always_comb begin : p_waits_to_ask
    waits_to_ask = 1'b0;
    for (int unsigned i = 0; i < N; i++) begin
      if (overtaken[i] && state_q[i] == SlotRead) waits_to_ask = 1'b1;
    end
  end

  StartHasSlot_A:     assert property (@(posedge clk_i) disable iff (in_reset) start_i |-> free_o);
  ResponseExpected_A: assert property (@(posedge clk_i) disable iff (in_reset)
                                       mem_rsp_valid_i |-> state_q[mem_rsp_i.id] == SlotWait);
  RequestStays_A:     assert property (@(posedge clk_i) disable iff (in_reset)
                                       mem_req_valid_o && !mem_req_ready_i
                                       |=> mem_req_valid_o && $stable(mem_req_o));
  UpdateSetsBits_A:   assert property (@(posedge clk_i) disable iff (in_reset)
                                       mem_req_valid_o && mem_req_o.update |-> sets_bits);
  FaultEndsWalk_A:    assert property (@(posedge clk_i) disable iff (in_reset)
                                       mem_req_valid_o |-> !issues_fault);
  DoneHasData_A:      assert property (@(posedge clk_i) disable iff (in_reset)
                                       done_valid_o |-> !ends_early);
  OvertakenIsOver_A:  assert property (@(posedge clk_i) disable iff (in_reset) !waits_to_ask);
  LevelsKnown_A:      assert property (@(posedge clk_i) disable iff (in_reset)
                                       start_i |-> known_levels);
`endif

endmodule
