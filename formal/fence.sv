// SPDX-License-Identifier: Apache-2.0
// Nothing outlives its fence: after the handshake of a fence, no read and no update is granted that
// depends on an entry that the fence invalidates. This holds for nested_mmu with any page-walk
// caches, second-level TLB and read bypass.
//
// Proved for one request id that never changes and is otherwise free (watch_id_i), so for every id,
// and for every slot. Memory may stall any request for any time and return any words. Written from
// docs/ports.md, "Fence".

`include "nested_mmu_types.svh"

module fence
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format            = FormatHandout,
  parameter int unsigned TlbEntries        = 2,
  parameter int unsigned WalkSlots         = 2,
  parameter int unsigned MissEntries       = 3,
  parameter int unsigned IdWidth           = 2,
  parameter int unsigned AsidWidth         = 1,
  parameter int unsigned VmidWidth         = 1,
  parameter int unsigned WalkCacheEntries  = 0,
  parameter bit          ReadBypass        = 1'b0,
  parameter int unsigned Tlb2Sets          = 0,
  parameter int unsigned Tlb2Ways          = 0,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: TlbEntries, WalkSlots: WalkSlots, MissEntries: MissEntries,
    IdWidth: IdWidth, AsidWidth: AsidWidth, VmidWidth: VmidWidth, MaxLevels: 5, Svadu: 1'b1,
    GuestCacheEntries: WalkCacheEntries, HostCacheEntries: WalkCacheEntries,
    NestedTlbEntries: WalkCacheEntries, ReadBypass: ReadBypass, Tlb2Sets: Tlb2Sets,
    Tlb2Ways: Tlb2Ways, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input logic         clk_i,
  input logic         rst_ni,
  input walk_caches_t walk_caches_i,
  input logic         req_valid_i,
  input req_t         req_i,
  input logic         rsp_ready_i,
  input logic         fence_valid_i,
  input fence_t       fence_i,
  input logic         mem_req_ready_i,
  input logic         mem_rsp_valid_i,
  input mem_rsp_t     mem_rsp_i,

  input id_t          watch_id_i
);

  localparam bit Riscv = (Cfg.Format == FormatRv32) || (Cfg.Format == FormatRv64);

  logic     req_ready, rsp_valid, fence_ready, mem_req_valid, mem_rsp_ready;
  rsp_t     rsp;
  mem_req_t mem_req;
  event_t   happens;

  nested_mmu #(
    .Format            (Format),
    .TlbEntries        (TlbEntries),
    .WalkSlots         (WalkSlots),
    .MissEntries       (MissEntries),
    .IdWidth           (IdWidth),
    .AsidWidth         (AsidWidth),
    .VmidWidth         (VmidWidth),
    .GuestCacheEntries (WalkCacheEntries),
    .HostCacheEntries  (WalkCacheEntries),
    .NestedTlbEntries  (WalkCacheEntries),
    .ReadBypass        (ReadBypass),
    .Tlb2Sets          (Tlb2Sets),
    .Tlb2Ways          (Tlb2Ways)
  ) u_dut (
    .clk_i,
    .rst_ni,
    .walk_caches_i,
    .req_valid_i,
    .req_ready_o     (req_ready),
    .req_i,
    .rsp_valid_o     (rsp_valid),
    .rsp_ready_i,
    .rsp_o           (rsp),
    .fence_valid_i,
    .fence_ready_o   (fence_ready),
    .fence_i,
    .mem_req_valid_o (mem_req_valid),
    .mem_req_ready_i,
    .mem_req_o       (mem_req),
    .mem_rsp_valid_i,
    .mem_rsp_ready_o (mem_rsp_ready),
    .mem_rsp_i,
    .event_o         (happens)
  );

  ///////////////////////////////////////
  // The environment, and its past     //
  ///////////////////////////////////////

  logic     started_q = 1'b0;
  logic     req_waits_q, mem_waits_q, fence_waits_q;
  req_t     req_q;
  mem_req_t mem_q;
  fence_t   fence_q;
  id_t      watch_id_q;
  always_ff @(posedge clk_i) begin : p_past
    started_q     <= 1'b1;
    req_waits_q   <= rst_ni && req_valid_i && !req_ready;
    mem_waits_q   <= rst_ni && mem_req_valid && !mem_req_ready_i;
    fence_waits_q <= rst_ni && fence_valid_i && !fence_ready;
    req_q         <= req_i;
    mem_q         <= mem_req;
    fence_q       <= fence_i;
    watch_id_q    <= watch_id_i;
  end

  logic accepts, answers, grants, serves, fences;
  assign accepts = req_valid_i && req_ready;
  assign answers = rsp_valid && rsp_ready_i;
  assign grants  = mem_req_valid && mem_req_ready_i;
  assign serves  = mem_rsp_valid_i && mem_rsp_ready;
  assign fences  = fence_valid_i && fence_ready;

  // Returns whether a fence matches a request or a walk: by V, ASID and VMID.
  function automatic logic is_matched(scope_t scope, as_tag_t tag);
    return scope.virt == tag.virt && (!scope.use_asid || scope.asid == tag.asid)
        && (!scope.use_vmid || !tag.virt || scope.vmid == tag.vmid);
  endfunction

  // For each slot: the request for which its walk was started, whether a read or an update is in
  // flight, and whether a fence has matched the walk.
  logic [WalkSlots-1:0] in_flight_q, overtaken_q;
  query_t query_q [WalkSlots];
  query_t given;

  for (genvar i = 0; i < WalkSlots; i++) begin : gen_shadow
    logic starts;
    assign starts = happens.miss_valid && !happens.miss_coalesced
        && happens.miss_slot == slot_t'(i);
    always_ff @(posedge clk_i or negedge rst_ni) begin : p_flight
      if (!rst_ni)                                   in_flight_q[i] <= 1'b0;
      else if (grants && mem_req.id == slot_t'(i))   in_flight_q[i] <= 1'b1;
      else if (serves && mem_rsp_i.id == slot_t'(i)) in_flight_q[i] <= 1'b0;
    end
    always_ff @(posedge clk_i) begin : p_walk
      if (starts) begin
        query_q[i]     <= given;
        overtaken_q[i] <= 1'b0;
      end else if (fences && is_matched(fence_i.scope, query_q[i].ctx.tag)) begin
        overtaken_q[i] <= 1'b1;
      end
    end
  end

  // The request that was accepted last, which may be held until it has a walk or a response, and
  // whether a fence has matched it since.
  req_t accepted_q;
  logic accepted_overtaken_q;
  assign given = accepts ? req_i.query : accepted_q.query;
  always_ff @(posedge clk_i) begin : p_accepted
    if (accepts) accepted_q <= req_i;
    if (accepts) begin
      accepted_overtaken_q <= 1'b0;
    end else if (fences && is_matched(fence_i.scope, accepted_q.query.ctx.tag)) begin
      accepted_overtaken_q <= 1'b1;
    end
  end

  // The request of the watched id, with the same facts.
  logic   pending_q, watched_overtaken_q;
  query_t watched_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_pending
    if (!rst_ni)                                 pending_q <= 1'b0;
    else if (accepts && req_i.id == watch_id_i)  pending_q <= 1'b1;
    else if (answers && rsp.id == watch_id_i)    pending_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin : p_watched
    if (accepts && req_i.id == watch_id_i) begin
      watched_q           <= req_i.query;
      watched_overtaken_q <= 1'b0;
    end else if (fences && is_matched(fence_i.scope, watched_q.ctx.tag)) begin
      watched_overtaken_q <= 1'b1;
    end
  end

  always_comb begin : p_assume
    assume (rst_ni == started_q);
    if (started_q) assume (watch_id_i == watch_id_q);
    assume (!req_waits_q || (req_valid_i && req_i == req_q));
    assume (!fence_waits_q || (fence_valid_i && fence_i == fence_q));
    assume (!(req_valid_i && req_i.id == watch_id_i && pending_q));
    assume (!mem_rsp_valid_i || (32'(mem_rsp_i.id) < WalkSlots && in_flight_q[mem_rsp_i.id]));
    assume (Riscv || (fence_i.scope.virt && req_i.query.ctx.tag.virt));
  end

  ////////////////
  // The rule   //
  ////////////////

  // The place of the watched request.
  logic [MissEntries-1:0] waits;
  logic                   held, offered;
  for (genvar k = 0; k < MissEntries; k++) begin : gen_waits
    assign waits[k] = u_dut.u_misses.valid_q[k] && u_dut.u_misses.id_q[k] == watch_id_i;
  end
  assign held    = u_dut.retry_valid_q && u_dut.retry_q.id == watch_id_i;
  assign offered = rsp_valid && rsp.id == watch_id_i;

  always_comb begin : p_rule
    if (rst_ni) begin
      // 11.1 After the handshake of a fence no read and no update of a walk that it matches is
      // offered, so none is granted.
      NoReadAfterFence_A: assert (!mem_req_valid || !overtaken_q[mem_req.id]);
      // 11.2 A request that was accepted before the fence, and had no walk then, gets none.
      NoWalkAfterFence_A: assert (!happens.miss_valid || accepts || !accepted_overtaken_q);
      // 11.3 A fence waits only while memory stalls a read or an update of a walk that the fence
      // matches, and for only one of them: it is accepted in the cycle of that grant.
      FenceWaits_A:       assert (fence_ready || !fence_valid_i
                                  || (mem_req_valid && !mem_req_ready_i
                                      && is_matched(fence_i.scope, query_q[mem_req.id].ctx.tag)));
      FenceOnce_A:        assert (!(fence_waits_q && !fence_ready)
                                  || (mem_waits_q && mem_req.id == mem_q.id));
      // 11.4 A request on the memory port does not change until it is granted, also if a fence
      // arrives.
      OfferStays_A:       assert (!mem_waits_q
                                  || (mem_req_valid && mem_req.id == mem_q.id
                                      && mem_req.hpa == mem_q.hpa
                                                   && mem_req.update == mem_q.update));
      // 11.5 A request gets a replay only if a fence has matched it since it was accepted.
      ReplayedOnly_A:     assert (!(offered && pending_q && rsp.replay) || watched_overtaken_q);

      FenceWaits_C:  cover (fence_waits_q && fences);
      AcceptsNow_C:  cover (fence_valid_i && !fence_ready && accepts);
      Replay_C:      cover (offered && pending_q && rsp.replay);
      HeldReplay_C:  cover (held && u_dut.retry_overtaken_q);
      Dropped_C:     cover (serves && overtaken_q[mem_rsp_i.id]);
    end
  end

  for (genvar i = 0; i < WalkSlots; i++) begin : gen_slot
    slot_state_e state;
    logic        is_over;
    assign state   = u_dut.u_walks.state_q[i];
    assign is_over = (u_dut.u_walks.walk_q[i].fault == FaultOvertaken);

    always_comb begin : p_slot
      if (rst_ni) begin
        // 11.6 (helper) A walk that a fence has overtaken waits only for its read or update in
        // flight, and ends then; no other walk ends without a result. A slot that waits for memory
        // has sent a request; a walk in flight belongs to the request for which it was started.
        Over_A:     assert (state == SlotIdle || !is_over || (overtaken_q[i] && state != SlotRead));
        GoesOn_A:   assert (!(state inside {SlotRead, SlotWait}) || is_over == overtaken_q[i]);
        InFlight_A: assert (in_flight_q[i] == (state == SlotWait));
        Space_A:    assert (state == SlotIdle
                            || u_dut.u_walks.walk_q[i].query.ctx.tag == query_q[i].ctx.tag);
        // The handout's formats have no updates.
        NoUpdate_A: assert (state == SlotIdle || Riscv || !u_dut.u_walks.walk_q[i].update);
        // 11.7 (helper) No fence has overtaken a walk that may still be shared.
        Shared_A:   assert (state == SlotIdle || !u_dut.u_walks.fill_q[i] || !overtaken_q[i]);
      end
    end
  end

  for (genvar k = 0; k < MissEntries; k++) begin : gen_miss
    always_comb begin : p_miss
      // 11.8 (helper) The watched request waits for a walk of its own address space, which no fence
      // had overtaken before.
      if (rst_ni && waits[k]) begin
        InUse_A:  assert (32'(u_dut.u_misses.slot_q[k]) < WalkSlots
                          && u_dut.u_walks.state_q[u_dut.u_misses.slot_q[k]] != SlotIdle);
        Waits_A:  assert (query_q[u_dut.u_misses.slot_q[k]].ctx.tag == watched_q.ctx.tag);
        Before_A: assert (!overtaken_q[u_dut.u_misses.slot_q[k]] || watched_overtaken_q);
      end
    end
  end

  always_comb begin : p_helpers
    if (rst_ni) begin
      // 11.9 (helper) The held request is the request that was accepted last; a request that waits
      // on the memory port is a legal one; the watched request is in one place.
      HeldIsLast_A: assert (!u_dut.retry_valid_q
                            || (u_dut.retry_q.id == accepted_q.id
                                && u_dut.retry_q.query == accepted_q.query
                                && u_dut.retry_overtaken_q == accepted_overtaken_q));
      HeldOwn_A:    assert (!held || (accepted_q.query.ctx.tag == watched_q.ctx.tag
                                      && accepted_overtaken_q == watched_overtaken_q));
      Choice_A:     assert (!u_dut.u_walks.u_read.locked_q
                            || (u_dut.u_walks.state_q[u_dut.u_walks.u_read.last_q] == SlotRead
                                && !u_dut.u_walks.lookup_pending_q[u_dut.u_walks.u_read.last_q]));
      Number_A:     assert (32'(u_dut.u_walks.u_read.last_q) < WalkSlots
                            && 32'(u_dut.u_walks.u_done.last_q) < WalkSlots);
      Locked_A:     assert (mem_waits_q == u_dut.u_walks.u_read.locked_q);
      OnePlace_A:   assert (32'(pending_q) == 32'($countones(waits)) + 32'(held) + 32'(offered));
      DoneChoice_A: assert (!u_dut.u_walks.u_done.locked_q
                            || u_dut.u_walks.state_q[u_dut.u_walks.u_done.last_q] == SlotDone);
    end
  end

  // 11.10 (helper) A slot is in use as long as a request waits for its walk.
  for (genvar i = 0; i < WalkSlots; i++) begin : gen_use
    logic has_waiter;
    always_comb begin : p_use
      has_waiter = 1'b0;
      for (int unsigned k = 0; k < MissEntries; k++) begin
        if (u_dut.u_misses.valid_q[k] && u_dut.u_misses.slot_q[k] == slot_t'(i)) has_waiter = 1'b1;
      end
      if (rst_ni) HasWaiter_A: assert ((u_dut.u_walks.state_q[i] != SlotIdle) == has_waiter);
    end
  end

endmodule
