// The walk slots: takes misses, issues their reads and updates one at a time each, retires their walks.
//
// A slot holds a walk (walk_t) and its state. All slots share one walk step: an entry arrives with its slot's
// number and the step says what is next. The memory port is given round robin.

`include "nested_mmu_types.svh"

module walk_engine
  import nested_mmu_pkg::*;
#(
  parameter format_e Format = FormatHandout,
  parameter cfg_t    Cfg    = '0,
  `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  // A request that missed: is a walk that it may share under way, else is a slot free, and which.
  input  query_t    miss_i,
  output logic      equal_o,
  output logic      free_o,
  output slot_t     slot_o,    // of the equal walk, else the free one
  input  logic      start_i,   // take it into the free slot

  // Walks that are named by a fence finish without filling anything.
  input  logic      fence_valid_i,
  input  scope_t    fence_scope_i,

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

  logic [N-1:0] idle, wants_read, done, equal, named;
  slot_t        free_slot, equal_slot, read_slot, done_slot;
  logic         read_valid;

  ////////////////
  // The rules  //
  ////////////////

  assign step_walk = walk_q[mem_rsp_i.id];

  if (Format == FormatHandout || Format == FormatClassic32) begin : gen_handout
    walk_step_handout #(.Cfg(Cfg)) u_step (
      .start_query_i     (miss_i),
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
  end else if (Format == FormatRv32 || Format == FormatRv64) begin : gen_riscv
    walk_step_riscv #(.Cfg(Cfg)) u_step (
      .start_query_i     (miss_i),
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
      .end_walk_i        (done_walk_o),
      .end_data_o        (done_data_o)
    );
  end else begin : gen_no_format
    $fatal(1, "walk_engine: no walk step for this format");
  end

  ////////////////
  // The slots  //
  ////////////////

  function automatic slot_state_e state_of(walk_next_e walk_next);
    return (walk_next == WalkRead || walk_next == WalkUpdate) ? SlotRead : SlotDone;
  endfunction

  for (genvar i = 0; i < N; i++) begin : gen_slot
    logic starts, issues, steps, retires;

    assign idle[i]       = (state_q[i] == SlotIdle);
    assign wants_read[i] = (state_q[i] == SlotRead);
    assign done[i]       = (state_q[i] == SlotDone);

    // Equal misses differ in nothing but who asks and where in the page. Without rights mode a walk
    // of the handout's is the same for every access.
    assign equal[i] = !idle[i] && !done[i] && fill_q[i]
                   && (walk_q[i].query.ctx == miss_i.ctx)
                   && (vpn_t'(walk_q[i].query.gva >> Cfg.OffsetWidth)
                       == vpn_t'(miss_i.gva >> Cfg.OffsetWidth))
                   && (walk_q[i].query.access == miss_i.access
                       || (!Cfg.Riscv && !miss_i.ctx.space.rights));

    // By address a walk cannot be told apart before it ends, nor whether it is global: ASID and VMID decide.
    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (fence_scope_i),
      .virt_i   (walk_q[i].query.ctx.space.virt),
      .global_i (1'b0),
      .asid_i   (walk_q[i].query.ctx.space.asid),
      .vmid_i   (walk_q[i].query.ctx.space.vmid),
      .named_o  (named[i])
    );

    assign starts  = start_i && free_slot == slot_t'(i);
    assign issues  = mem_req_valid_o && mem_req_ready_i && read_slot == slot_t'(i);
    assign steps   = mem_rsp_valid_i && mem_rsp_i.id == slot_t'(i);
    assign retires = retire_i && done_slot == slot_t'(i);

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_state
      if (!rst_ni) begin
        state_q[i] <= SlotIdle;
      end else begin
        unique case (state_q[i])
          SlotIdle: if (starts)  state_q[i] <= state_of(start_next);
          SlotRead: if (issues)  state_q[i] <= SlotWait;
          SlotWait: if (steps)   state_q[i] <= state_of(next);
          SlotDone: if (retires) state_q[i] <= SlotIdle;
          default:               state_q[i] <= SlotIdle;
        endcase
      end
    end

    always_ff @(posedge clk_i) begin : p_walk
      if (starts)     walk_q[i] <= start_walk;
      else if (steps) walk_q[i] <= next_walk;
    end

    always_ff @(posedge clk_i) begin : p_fill
      if (starts) fill_q[i] <= 1'b1;
      else if ((fence_valid_i && named[i]) || (filled_i && done_slot == slot_t'(i))) fill_q[i] <= 1'b0;
    end
  end

  always_comb begin : p_find
    free_slot  = '0;
    equal_slot = '0;
    for (int unsigned i = N; i > 0; i--) begin
      if (idle[i-1])  free_slot  = slot_t'(i - 1);
      if (equal[i-1]) equal_slot = slot_t'(i - 1);
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
    .req_i   (wants_read),
    .valid_o (read_valid),
    .index_o (read_slot),
    .ready_i (mem_req_ready_i)
  );

  assign mem_req_valid_o = read_valid;
  assign mem_req_o       = '{
    id:       read_slot,
    hpa:      walk_q[read_slot].hpa,
    update:   walk_q[read_slot].update,
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
                    && !(fence_valid_i && named[done_slot]);

  assign step_o = '{
    valid:       mem_rsp_valid_i,
    slot:        mem_rsp_i.id,
    stage:       step_walk.stage,
    guest_level: step_walk.guest_level,
    host_level:  step_walk.host_level,
    purpose:     step_walk.purpose,
    update:      step_walk.update,
    gpa:         step_walk.gpa,
    hpa:         step_walk.hpa,
    error:       mem_rsp_i.error,
    pte:         mem_rsp_i.data,
    next:        next,
    fault:       next_walk.fault
  };

`ifndef SYNTHESIS
  function automatic logic legal_levels(levels_t levels);
    return levels != 3'd1 && levels <= levels_t'(Cfg.Levels);
  endfunction

  // As single bits, so that no assertion samples a walk.
  logic in_reset, sets_bits, known_levels, issues_fault, ends_early;
  assign in_reset     = !rst_ni;
  assign sets_bits    = (mem_req_o.updated != mem_req_o.expected)
                     && ((mem_req_o.updated & mem_req_o.expected) == mem_req_o.expected);
  assign known_levels = legal_levels(miss_i.ctx.space.guest_levels)
                     && legal_levels(miss_i.ctx.space.host_levels);
  assign issues_fault = (walk_q[read_slot].fault != FaultNone);
  assign ends_early   = (done_walk_o.fault == FaultNone) && (done_walk_o.purpose != PurposeData);

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
  LevelsKnown_A:      assert property (@(posedge clk_i) disable iff (in_reset) start_i |-> known_levels);
`endif

endmodule
