// SPDX-License-Identifier: Apache-2.0
// The walk slots: takes misses, issues their reads and updates one at a time each, retires their walks.
//
// A slot holds a walk (walk_t) and its state. All slots share one walk step: an entry arrives with its slot's
// number and the step says what is next. The memory port is given round robin.
//
// With walk caches a walk that comes to the first entry of a stage is looked up in them before it reads; those
// that wait for that have their turn round robin too.
//
// A walk that a fence matches is overtaken: it asks memory for nothing more, not even for an entry that it has been
// about to ask for, and ends without a result. What it has in flight is waited for and dropped. A request that is on the
// memory port already stays until its handshake, as the port demands, and the fence waits for that.
//
// With ReadBypass an entry's successor may be read in the cycle in which the entry arrives; else the read is registered.

`include "nested_mmu_types.svh"

module walk_engine
  import nested_mmu_pkg::*;
#(
  parameter format_e Format = FormatHandout,
  parameter cfg_t    Cfg    = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  // A request that missed: is a walk that it may share under way, else is a slot free, and which.
  input  query_t    miss_i,
  output logic      equal_o,
  output logic      free_o,
  output slot_t     slot_o,    // of the equal walk, else the free one
  input  logic      start_i,   // take it into the free slot

  // Which walk caches are in use. It changes when there is no walk.
  input  walk_caches_t walk_caches_i,

  // Walks that a fence matches end without asking for anything more.
  input  logic      fence_valid_i,
  output logic      fence_ready_o,
  input  fence_t    fence_i,

  // A walk that has ended. `retire_i` frees its slot; `filled_i` says that its fill has had its chance.
  output logic      done_valid_o,
  output slot_t     done_slot_o,
  output walk_t     done_walk_o,
  output tlb_data_t done_data_o,  // what it has found
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
  logic        fill_q  [N];   // the walk's result may still go into the TLB

  walk_t       start_walk, step_walk, next_walk;
  walk_next_e  start_next, next;
  pte_t        update_expected, update_new;

  // Walk caches: whether a slot's walk is still to be looked up, and what of them it has come by.
  logic       [N-1:0] look_q, looks;
  pass_kind_e         pass_q [N];
  logic               next_looks;
  slot_t              look_slot;
  walk_t              look_walk;
  pass_t              look_pass;

  logic [N-1:0] idle, first_idle, wants_read, bypasses, done, equal, named, overtakes, overtaken;
  logic [N-1:0] starts, issues, steps, retires;
  slot_t        free_slot, equal_slot, read_slot, done_slot;
  logic         read_valid, fence;

  // Roots of RISC-V are aligned; bits below mean nothing.
  query_t miss;
  always_comb begin : p_miss
    miss = miss_i;
    if (Cfg.Riscv) begin
      miss.ctx.guest_root[Cfg.OffsetWidth-1:0]                   = '0;
      miss.ctx.host_root[Cfg.OffsetWidth+Cfg.HostRootExtra-1:0] = '0;
    end
  end

  ////////////////
  // The rules  //
  ////////////////

  // With one slot its number says nothing.
  slot_t step_slot;
  assign step_slot = (N == 1) ? '0 : mem_rsp_i.id;
  assign step_walk = walk_q[step_slot];

  if (Format == FormatHandout || Format == FormatClassic32) begin : gen_handout
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
    assign look_walk = '0;
  end else if (Format == FormatRv32 || Format == FormatRv64) begin : gen_riscv
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
      .look_walk_i       (walk_q[look_slot]),
      .look_pass_i       (look_pass),
      .look_walk_o       (look_walk),
      .end_walk_i        (done_walk_o),
      .end_data_o        (done_data_o)
    );
  end else begin : gen_no_format
    $fatal(1, "walk_engine: no walk step for this format");
  end

  /////////////////////
  // The walk caches //
  /////////////////////

  if (!Cfg.HasWalkCaches) begin : gen_no_walk_caches
    assign looks      = '0;
    assign look_q     = '0;
    assign next_looks = 1'b0;
    for (genvar i = 0; i < N; i++) begin : gen_no_pass
      assign pass_q[i] = PassNone;
    end

    // Nothing looks, so it does not matter which walk nor what there is for it.
    assign {look_slot, look_pass} = '0;
    logic unused_caches;
    assign unused_caches = ^{walk_caches_i, fence_i, look_slot, look_pass, look_walk};
  end else if (Cfg.Riscv) begin : gen_walk_caches
    logic [N-1:0] wants_look;
    logic         start_looks, look_valid, look_ready;

    // Before the first entry of a stage: a start is, and what follows a guest entry. (If there is anything to read.)
    assign start_looks = (walk_caches_i != '0);
    assign next_looks  = (walk_caches_i != '0) && step_walk.stage == StageGuest && next_walk.stage == StageHost;

    for (genvar i = 0; i < N; i++) begin : gen_look
      assign wants_look[i] = (state_q[i] == SlotRead) && look_q[i];
      assign looks[i]      = look_valid && look_ready && look_slot == slot_t'(i);

      always_ff @(posedge clk_i) begin : p_look
        if (starts[i])     look_q[i] <= start_looks;
        else if (steps[i]) look_q[i] <= next_looks;
        else if (looks[i]) look_q[i] <= 1'b0;
      end

      always_ff @(posedge clk_i) begin : p_pass
        if (starts[i] || steps[i]) pass_q[i] <= PassNone;
        else if (looks[i])         pass_q[i] <= look_pass.kind;
      end
    end

    // A walk that is overtaken stops waiting for its turn.
    rr_arbiter #(.N(N), .Hold(1'b0)) u_look (
      .clk_i,
      .rst_ni,
      .req_i   (wants_look),
      .valid_o (look_valid),
      .index_o (look_slot),
      .ready_i (look_ready)
    );

    walk_caches #(.Cfg(Cfg)) u_caches (
      .clk_i,
      .rst_ni,
      .use_i        (walk_caches_i),
      .look_valid_i (look_valid),
      .look_ready_o (look_ready),
      .look_walk_i  (walk_q[look_slot]),
      .look_pass_o  (look_pass),
      .step_valid_i (mem_rsp_valid_i && next != WalkFault && fill_q[step_slot] && !overtakes[step_slot]),
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
    assign wants_read[i] = (state_q[i] == SlotRead) && !look_q[i];
    assign bypasses[i]   = Cfg.ReadBypass && steps[i] && next == WalkRead && !next_looks && !overtaken[i];
    assign done[i]       = (state_q[i] == SlotDone);

    // Equal misses differ in nothing but who asks and where in the page. Without rights mode a walk
    // of the handout's is the same for every access. One that has ended is shared until it has been answered.
    assign equal[i] = !idle[i] && fill_q[i]
                   && (walk_q[i].query.ctx == miss.ctx)
                   && (vpn_t'(walk_q[i].query.gva >> Cfg.OffsetWidth)
                       == vpn_t'(miss.gva >> Cfg.OffsetWidth))
                   && (walk_q[i].query.access == miss.access
                       || (!Cfg.Riscv && !miss.ctx.space.rights));

    // V, ASID and VMID decide whether a fence matches a walk. Its addresses and whether it is global are known for
    // certain only when it ends.
    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (fence_i.scope),
      .virt_i   (walk_q[i].query.ctx.space.virt),
      .global_i (1'b0),
      .asid_i   (walk_q[i].query.ctx.space.asid),
      .vmid_i   (walk_q[i].query.ctx.space.vmid),
      .named_o  (named[i])
    );

    assign starts[i]  = start_i && free_slot == slot_t'(i);
    assign issues[i]  = mem_req_valid_o && mem_req_ready_i && read_slot == slot_t'(i);
    assign steps[i]   = mem_rsp_valid_i && step_slot == slot_t'(i);
    assign retires[i] = retire_i && done_slot == slot_t'(i);

    assign overtakes[i] = fence && named[i] && !idle[i];
    assign overtaken[i] = !idle[i] && walk_q[i].fault == FaultOvertaken;

    // Where the walk goes on to, and where the slot does: an overtaken walk asks for nothing more.
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
      else if (looks[i])                    walk_q[i] <= look_walk;
      // One that has ended keeps its result: it follows from what was read before the fence.
      if (overtakes[i] && state_on inside {SlotRead, SlotWait}) walk_q[i].fault <= FaultOvertaken;
    end

    always_ff @(posedge clk_i) begin : p_fill
      if (starts[i]) fill_q[i] <= 1'b1;
      else if (overtakes[i] || (filled_i && done_slot == slot_t'(i))) fill_q[i] <= 1'b0;
    end
  end

  // What is offered to memory stays until the handshake.
  assign fence_ready_o = !(mem_req_valid_o && !mem_req_ready_i && named[read_slot]);
  assign fence         = fence_valid_i && fence_ready_o;

  // No two walks under way are equal.
  first_one #(.N(N)) u_free (.set_i (idle), .first_o (first_idle));

  always_comb begin : p_find
    free_slot  = '0;
    equal_slot = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (first_idle[i]) free_slot  |= slot_t'(i);
      if (equal[i])      equal_slot |= slot_t'(i);
    end
  end

  assign equal_o = |equal;
  assign free_o  = |idle;
  assign slot_o  = equal_o ? equal_slot : free_slot;

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
  // With both stages off there is nothing to keep.
  assign done_fill_o = fill_q[done_slot] && (done_walk_o.fault == FaultNone)
                    && (done_walk_o.query.ctx.space.guest_levels != '0
                        || done_walk_o.query.ctx.space.host_levels != '0)
                    && !overtakes[done_slot];

  assign step_o = '{
    valid:       mem_rsp_valid_i,
    slot:        mem_rsp_i.id,
    stage:       step_walk.stage,
    guest_level: step_walk.guest_level,
    host_level:  step_walk.host_level,
    purpose:     step_walk.purpose,
    update:      step_walk.update,
    pass:        pass_q[step_slot],
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

  // As single bits, so that no assertion samples a walk.
  logic in_reset, sets_bits, known_levels, issues_fault, ends_early, waits_to_ask;
  assign in_reset     = !rst_ni;
  assign sets_bits    = (mem_req_o.updated != mem_req_o.expected)
                     && ((mem_req_o.updated & mem_req_o.expected) == mem_req_o.expected);
  assign known_levels = legal_levels(miss_i.ctx.space.guest_levels)
                     && legal_levels(miss_i.ctx.space.host_levels);
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
  LevelsKnown_A:      assert property (@(posedge clk_i) disable iff (in_reset) start_i |-> known_levels);
`endif

endmodule
