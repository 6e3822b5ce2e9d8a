// SPDX-License-Identifier: Apache-2.0
// nested_mmu as a whole: the rules of its ports, fills and reads, and one response for each
// request.
//
// Proved for one request id that never changes and is otherwise free (watch_id_i), so for every id,
// and for every slot. Requests with other ids are free. With `Fair`, memory and the requester make
// progress, and there is a bound on the time that a response takes.
//
// Properties marked as helpers describe the inside of the design. They make the others inductive.

`include "nested_mmu_types.svh"

module mmu
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format      = FormatHandout,
  parameter int unsigned TlbEntries  = 2,
  parameter int unsigned WalkSlots   = 2,
  parameter int unsigned MissEntries = 3,
  parameter int unsigned IdWidth     = 2,
  parameter int unsigned AsidWidth   = 1,
  parameter int unsigned VmidWidth   = 1,
  parameter bit          Fair        = 1'b0,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: TlbEntries, WalkSlots: WalkSlots, MissEntries: MissEntries,
    IdWidth: IdWidth, AsidWidth: AsidWidth, VmidWidth: VmidWidth, MaxLevels: 5, Svadu: 1'b1,
    default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg),
  localparam type count_t = logic [6:0]
) (
  input logic     clk_i,
  input logic     rst_ni,
  input logic     req_valid_i,
  input req_t     req_i,
  input logic     rsp_ready_i,
  input logic     fence_valid_i,
  input fence_t   fence_i,
  input logic     mem_req_ready_i,
  input logic     mem_rsp_valid_i,
  input mem_rsp_t mem_rsp_i,

  input id_t      watch_id_i
);

  localparam bit Riscv = (Cfg.Format == FormatRv32) || (Cfg.Format == FormatRv64);

  logic     req_ready, rsp_valid, fence_ready, mem_req_valid, mem_rsp_ready;
  rsp_t     rsp;
  mem_req_t mem_req;
  event_t   happens;

  nested_mmu #(
    .Format      (Format),
    .TlbEntries  (TlbEntries),
    .WalkSlots   (WalkSlots),
    .MissEntries (MissEntries),
    .IdWidth     (IdWidth),
    .AsidWidth   (AsidWidth),
    .VmidWidth   (VmidWidth)
  ) u_dut (
    .clk_i,
    .rst_ni,
    .walk_caches_i   ('0),
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
  logic     req_waits_q, rsp_waits_q, mem_waits_q, fence_waits_q;
  req_t     req_q;
  rsp_t     rsp_q;
  mem_req_t mem_q;
  fence_t   waiting_fence_q;
  id_t      watch_id_q;
  always_ff @(posedge clk_i) begin : p_past
    started_q   <= 1'b1;
    req_waits_q <= rst_ni && req_valid_i && !req_ready;
    rsp_waits_q <= rst_ni && rsp_valid && !rsp_ready_i;
    mem_waits_q <= rst_ni && mem_req_valid && !mem_req_ready_i;
    fence_waits_q <= rst_ni && fence_valid_i && !fence_ready;
    req_q       <= req_i;
    rsp_q       <= rsp;
    mem_q       <= mem_req;
    waiting_fence_q     <= fence_i;
    watch_id_q  <= watch_id_i;
  end

  logic accepts, answers, grants, serves, fences;
  assign fences  = fence_valid_i && fence_ready;
  assign accepts   = req_valid_i && req_ready;
  assign answers = rsp_valid && rsp_ready_i;
  assign grants  = mem_req_valid && mem_req_ready_i;
  assign serves  = mem_rsp_valid_i && mem_rsp_ready;

  // The request that was accepted last. It may be held until it has a walk or a response.
  req_t accepted_q;
  query_t given;
  always_ff @(posedge clk_i) begin : p_accepted
    if (accepts) accepted_q <= req_i;
  end
  assign given = accepts ? req_i.query : accepted_q.query;

  // The request of the watched id.
  logic   pending_q;
  query_t watched_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_watched
    if (!rst_ni)                                    pending_q <= 1'b0;
    else if (accepts && req_i.id == watch_id_i)       pending_q <= 1'b1;
    else if (answers && rsp.id == watch_id_i)       pending_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin : p_watched_query
    if (accepts && req_i.id == watch_id_i) watched_q <= req_i.query;
  end

  // Returns whether a fence matches an address space. Such a fence overtakes walks.
  function automatic logic is_matched(scope_t scope, as_tag_t tag);
    return scope.virt == tag.virt && (!scope.use_asid || scope.asid == tag.asid)
        && (!scope.use_vmid || !tag.virt || scope.vmid == tag.vmid);
  endfunction

  // For the walk of each slot: the request for which it was started, its reads and updates, and
  // whether a fence has matched it.
  logic [WalkSlots-1:0] in_flight_q, overtaken_q, lost_q, update_q;
  query_t query_q   [WalkSlots];
  count_t reads_q   [WalkSlots];
  count_t updates_q [WalkSlots];
  pte_t   expected_q [WalkSlots];

  for (genvar i = 0; i < WalkSlots; i++) begin : gen_shadow
    logic starts, granted, served;
    assign starts  = happens.miss_valid && !happens.miss_coalesced
        && happens.miss_slot == slot_t'(i);
    assign granted = grants && mem_req.id == slot_t'(i);
    assign served  = serves && mem_rsp_i.id == slot_t'(i);
    always_ff @(posedge clk_i or negedge rst_ni) begin : p_flight
      if (!rst_ni)      in_flight_q[i] <= 1'b0;
      else if (granted) in_flight_q[i] <= 1'b1;
      else if (served)  in_flight_q[i] <= 1'b0;
    end
    always_ff @(posedge clk_i) begin : p_walk
      if (starts) begin
        query_q[i]     <= given;
        overtaken_q[i] <= 1'b0;
        lost_q[i]      <= 1'b0;
        reads_q[i]     <= '0;
        updates_q[i]   <= '0;
      end else begin
        if (fences && is_matched(fence_i.scope, query_q[i].ctx.tag)) overtaken_q[i] <= 1'b1;
        if (served && update_q[i] && mem_rsp_i.data != expected_q[i]) lost_q[i] <= 1'b1;
        if (granted && !mem_req.update) reads_q[i]   <= reads_q[i] + 1'b1;
        if (granted && mem_req.update)  updates_q[i] <= updates_q[i] + 1'b1;
      end
      if (granted) begin
        update_q[i]   <= mem_req.update;
        expected_q[i] <= mem_req.expected;
      end
    end
  end

  // A legal request, as walk_facts defines it.
  walk_t asked;
  logic  legal;
  always_comb begin : p_asked
    asked       = '0;
    asked.query = req_i.query;
  end
  walk_facts #(.Cfg(Cfg)) u_asked (
    .walk_i         (asked),
    .legal_o        (legal),
    .sound_o        (),
    .sound_end_o    (),
    .reads_left_o   (),
    .updates_left_o (),
    .reads_most_o   (),
    .updates_most_o ()
  );

  walk_t held_walk;
  logic  held_legal;
  always_comb begin : p_held_walk
    held_walk       = '0;
    held_walk.query = accepted_q.query;
  end
  walk_facts #(.Cfg(Cfg)) u_held (
    .walk_i         (held_walk),
    .legal_o        (held_legal),
    .sound_o        (),
    .sound_end_o    (),
    .reads_left_o   (),
    .updates_left_o (),
    .reads_most_o   (),
    .updates_most_o ()
  );

  always_comb begin : p_assume
    // Reset in the first cycle, and only then.
    assume (rst_ni == started_q);
    if (started_q) assume (watch_id_i == watch_id_q);
    // A request is legal, stays until it is accepted, and has an id that is not in use.
    assume (!req_valid_i || legal);
    assume (!req_waits_q || (req_valid_i && req_i == req_q));
    assume (!fence_waits_q || (fence_valid_i && fence_i == waiting_fence_q));
    assume (!(req_valid_i && req_i.id == watch_id_i && pending_q));
    // Memory returns data only for reads and updates in flight.
    assume (!mem_rsp_valid_i || (32'(mem_rsp_i.id) < WalkSlots && in_flight_q[mem_rsp_i.id]));
    assume (Riscv || fence_i.scope.virt);
  end

  /////////////////////////
  // Rules of the ports  //
  /////////////////////////

  always_comb begin : p_ports
    if (rst_ni) begin
      // 1.1 A response that is offered does not change until it is accepted.
      ResponseStays_A: assert (!rsp_waits_q || (rsp_valid && rsp == rsp_q));
      // 1.2 Nor does a read or an update.
      RequestStays_A:  assert (!mem_waits_q || (mem_req_valid && mem_req == mem_q));
      // 1.3 No request is accepted in the cycle of a fence's handshake. While a fence waits, no
      // request that it matches is accepted. Data from memory are always accepted.
      FenceAlone_A:    assert (!(fences && accepts));
      FenceFirst_A:    assert (!(fence_valid_i && accepts
                                 && is_matched(fence_i.scope, req_i.query.ctx.tag)));
      AlwaysReady_A:   assert (mem_rsp_ready);
      // 1.10 A fence waits only while memory stalls a read or an update of a walk that the fence
      // matches, and for only one of them: it is accepted in the cycle of that grant.
      FenceWaits_A:    assert (fence_ready || (mem_req_valid && !mem_req_ready_i
                                               && is_matched(fence_i.scope,
                                                          query_q[mem_req.id].ctx.tag)));
      FenceOnce_A:     assert (!(fence_waits_q && !fence_ready)
                               || (mem_waits_q && mem_req.id == mem_q.id));
      // 1.4 A slot has one read or update in flight, at an address that is a multiple of the
      // entry's size.
      OneInFlight_A:   assert (!mem_req_valid
                               || (32'(mem_req.id) < WalkSlots && !in_flight_q[mem_req.id]));
      Aligned_A:       assert (!mem_req_valid || 32'(mem_req.hpa) % (Cfg.PteWidth / 8) == 0);
      // 1.5 An update sets bits of the word that it expects, and clears none. The handout's formats
      // have no updates.
      UpdateSets_A:    assert (!(mem_req_valid && mem_req.update)
                               || (Riscv && (mem_req.expected & ~mem_req.updated) == '0
                                   && mem_req.expected != mem_req.updated));

      ResponseWaits_C: cover (rsp_waits_q && answers);
      MemoryWaits_C:   cover (mem_waits_q && grants);
      FenceMeets_C:    cover (fence_valid_i && req_valid_i && rsp_ready_i && !rsp_valid);
      FenceWaits_C:    cover (fence_waits_q && fences);
      TakenAhead_C:    cover (fence_valid_i && !fence_ready && accepts);
      BothInFlight_C:  cover (&in_flight_q);
    end
  end

  ///////////////////
  // Fills         //
  ///////////////////

  logic filled_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin : p_filled
    if (!rst_ni) filled_q <= 1'b0;
    else         filled_q <= happens.done_valid && happens.done_fill;
  end

  logic fills;
  assign fills = happens.done_valid && happens.done_fill;

  always_comb begin : p_fills
    if (rst_ni) begin
      // 3.1 A walk that a fence has matched by V, ASID and VMID since its start does not fill the
      // TLB, nor does it in the cycle of the fence.
      NoStaleFill_A: assert (!fills || (!overtaken_q[happens.done_slot]
                                        && !(fences
                                             && is_matched(fence_i.scope,
                                                        query_q[happens.done_slot].ctx.tag))));
      // 3.2 Such a walk is not shared any more.
      NoStaleShare_A: assert (!(happens.miss_valid && happens.miss_coalesced)
                              || !overtaken_q[happens.miss_slot]);
      // 3.3 A fault does not fill the TLB.
      NoFaultFill_A: assert (!filled_q || (rsp_valid && !rsp.hit && rsp.fault == '0));
      // 3.4 The TLB is filled exactly if the event record reports it, with the address space and
      // the page of the walk's request, and the assumptions of tlb.sv on its inputs hold.
      FillIsTold_A:  assert (u_dut.u_tlb.fill_valid_i == fills);
      FillKey_A:     assert (!fills || (u_dut.u_tlb.key_i.tag == query_q[happens.done_slot].ctx.tag
                                        && u_dut.u_tlb.key_i.vpn
                                           == vpn_t'(query_q[happens.done_slot].gva
                                                     >> Cfg.OffsetWidth)));
      FillOrUse_A:   assert (!(u_dut.u_tlb.fill_valid_i && u_dut.u_tlb.use_i));
      FillShape_A:   assert (!fills || (is_span(u_dut.done_data.translation.guest_span)
                                        && is_span(u_dut.done_data.translation.host_span)
                                        && is_mapped(u_dut.u_tlb.key_i, u_dut.done_data)
                                        && (Riscv || (!u_dut.done_data.is_global
                                                          && u_dut.u_tlb.key_i.tag.virt))));
      // 3.5 A shared walk has the same context and page as the request and, on RISC-V and in rights
      // mode, the same access.
      SharesEqual_A: assert (!(happens.miss_valid && happens.miss_coalesced)
                             || is_equal(query_q[happens.miss_slot], given));

      Overtaken_C: cover (happens.done_valid && !happens.done_fill && overtaken_q[happens.done_slot]
                          && filled_q);
      Fault_C:     cover (rsp_valid && !rsp.hit && rsp.fault.kind == FaultMemory);
      Shared_C:    cover (happens.miss_valid && happens.miss_coalesced);
      Hit_C:       cover (rsp_valid && rsp.hit);
    end
  end

  localparam type page_t = logic [63:0];

  // The addresses that a walk can translate. A gVA is signed, or a gPA if the guest stage is off. A
  // gPA is an hPA if the host stage is off; otherwise it is no wider than that stage.
  function automatic logic is_mapped(tlb_key_t key, tlb_data_t data);
    page_t above_gva, above_gpa;
    above_gva = page_t'($signed(key.vpn) >>> (Cfg.GvaMapWidth - 1 - Cfg.OffsetWidth));
    above_gpa = page_t'(data.translation.gppn) >> (Cfg.HostMapWidth - Cfg.OffsetWidth);
    return (above_gva == '0 || above_gva == '1 || Cfg.GvaMapWidth == Cfg.GvaWidth)
        && (key.tag.host_levels == '0 ? data.translation.gppn == gppn_t'(data.translation.hppn)
            : above_gpa == '0);
  endfunction

  function automatic logic is_span(span_t span);
    return ((span & (span + 1'b1)) == '0) && (Cfg.PageSizes > 1 || span == '0);
  endfunction

  function automatic logic is_equal(query_t a, query_t b);
    return a.ctx == b.ctx && vpn_t'(a.gva >> Cfg.OffsetWidth) == vpn_t'(b.gva >> Cfg.OffsetWidth)
        && (a.access == b.access || (!Riscv && !a.ctx.tag.rights));
  endfunction

  ///////////////////////////
  // Answers, and reads    //
  ///////////////////////////

  // The place of the watched request.
  logic [MissEntries-1:0] waits;
  logic                   held, offered;
  for (genvar k = 0; k < MissEntries; k++) begin : gen_waits
    assign waits[k] = u_dut.u_misses.valid_q[k] && u_dut.u_misses.id_q[k] == watch_id_i;
  end
  assign held    = u_dut.retry_valid_q && u_dut.retry_q.id == watch_id_i;
  assign offered = rsp_valid && rsp.id == watch_id_i;

  logic given_out;
  assign given_out = offered && pending_q;

  always_comb begin : p_answers
    if (rst_ni) begin
      // 5.1 There is no response without a request, and no second response: its request is pending.
      Answered_A: assert (!offered || pending_q);
      // 5.2 The response has the request's own address to the byte, and a fault has the trap of the
      // request's own access.
      OwnAddress_A: assert (!given_out || rsp.gva == watched_q.gva);
      OwnTrap_A:    assert (!(given_out && Riscv && rsp.fault.kind != FaultNone)
                            || (rsp.trap.gva == watched_q.ctx.tag.virt
                                && is_cause_of(rsp.trap.cause, watched_q.access)));
      // 5.3 A fault has no translation; a hit on RISC-V is not a fault.
      FaultOrPage_A: assert (!rsp_valid || rsp.fault.kind == FaultNone
                             || (rsp.hpa == '0 && rsp.page_size == '0 && rsp.attributes == '0));
      HitPermits_A:  assert (!(rsp_valid && rsp.hit && Riscv) || rsp.fault == '0);
      // 5.4 A pending request is in one place: held, waiting for a walk, or in the response
      // register. None is lost.
      OnePlace_A: assert (32'(pending_q) == 32'($countones(waits)) + 32'(held) + 32'(offered));

      Answer_C: cover (answers && offered && !rsp.hit);
      Held_C:   cover (held && happens.miss_valid && happens.miss_id == watch_id_i);
    end
  end

  function automatic logic is_cause_of(logic [5:0] cause, access_e access);
    unique case (access)
      AccessFetch: return cause inside {6'd1, 6'd12, 6'd20};
      AccessStore: return cause inside {6'd7, 6'd15, 6'd23};
      default:     return cause inside {6'd5, 6'd13, 6'd21};
    endcase
  endfunction

  for (genvar i = 0; i < WalkSlots; i++) begin : gen_slot
    slot_state_e state;
    walk_t       walk;
    logic        sound, sound_end, has_waiter, gone;
    count_t      reads_left, updates_left, reads_most, updates_most;
    assign state = u_dut.u_walks.state_q[i];
    assign walk  = u_dut.u_walks.walk_q[i];
    assign gone  = (walk.fault == FaultOvertaken);

    walk_facts #(.Cfg(Cfg)) u_walk (
      .walk_i         (walk),
      .legal_o        (),
      .sound_o        (sound),
      .sound_end_o    (sound_end),
      .reads_left_o   (reads_left),
      .updates_left_o (updates_left),
      .reads_most_o   (reads_most),
      .updates_most_o (updates_most)
    );

    always_comb begin : p_has_waiter
      has_waiter = 1'b0;
      for (int unsigned k = 0; k < MissEntries; k++) begin
        if (u_dut.u_misses.valid_q[k] && u_dut.u_misses.slot_q[k] == slot_t'(i)) has_waiter = 1'b1;
      end
    end

    always_comb begin : p_slot
      if (rst_ni) begin
        // 4.4 A walk makes no more reads than (n+1)(m+1) - 1, and m more if it may update a guest
        // leaf, and no more updates than walk_facts.sv states, unless an update finds another word.
        ReadsMost_A: assert (state == SlotIdle || lost_q[i]
                             || (reads_q[i] <= reads_most && updates_q[i] <= updates_most));
        // 4.5 (helper) The reads and updates made so far and those that are left are together no
        // more than that.
        ReadsLeft_A: assert (state == SlotIdle || state == SlotDone || gone || lost_q[i]
                             || (reads_q[i] + reads_left
                                   <= reads_most + count_t'(state == SlotWait && !walk.update)
                                 && updates_q[i] + updates_left
                                   <= updates_most + count_t'(state == SlotWait && walk.update)));
        // 5.5 (helper) A slot is in use exactly as long as a request waits for its walk.
        InUse_A:     assert ((state != SlotIdle) == has_waiter);
        // 1.6 (helper) A slot that waits for memory has sent a request; a walk in flight belongs to
        // the request for which it was started.
        InFlight_A:  assert (in_flight_q[i] == (state == SlotWait));
        Update_A:    assert (!in_flight_q[i]
                             || (update_q[i] == walk.update
                                 && (!walk.update || !Riscv
                                     || leaf_t'(expected_q[i])
                                        == ((walk.stage == StageGuest) ? walk.guest_leaf
                                            : walk.host_leaf))));
        Query_A:     assert (state == SlotIdle || walk.query == query_q[i]);
        Sound_A:     assert (state == SlotIdle || state == SlotDone || gone || sound);
        SoundEnd_A:  assert (state != SlotDone || walk.fault != FaultNone || sound_end);
        Lacks_A:     assert (!(state inside {SlotRead, SlotWait}) || gone || !Riscv
                             || updates_lack(walk));
        // 11.6 (helper) A walk that a fence has overtaken waits only for its read or update in
        // flight, and ends then. If it had not ended before the fence, it has no result.
        Gone_A:      assert (!(state != SlotIdle && gone) || (overtaken_q[i] && state != SlotRead));
        GoesOn_A:    assert (!(state inside {SlotRead, SlotWait}) || gone == overtaken_q[i]);
        // 3.7 (helper) A walk may fill the TLB until a fence matches it, and not after.
        FillOk_A:    assert (state == SlotIdle || !u_dut.u_walks.fill_q[i] || !overtaken_q[i]);
        FillWill_A:  assert (!(state inside {SlotRead, SlotWait}) || u_dut.u_walks.fill_q[i]
                             || overtaken_q[i]);
        // 3.6 A miss that is equal to a walk in flight, which no fence has matched, does not start
        // a second walk.
        WalksOnce_A: assert (!(happens.miss_valid && !happens.miss_coalesced)
                             || !(state inside {SlotRead, SlotWait}) || overtaken_q[i]
                             || !is_equal(query_q[i], given));

        if (i == 0) begin
          MostReads_C: cover (state == SlotDone && reads_q[i] == reads_most
                              && walk.fault == FaultNone
                              && walk.query.ctx.tag.guest_levels == '0);
        end
      end
    end
  end

  // A leaf whose update is next lacks A, or D for a store at its stage: the guest leaf from the
  // start of the host walk for its update on, the host leaf from the start of its own update on.
  function automatic logic lacks(leaf_t leaf, logic store);
    return !leaf[$bits(leaf_t) > 6 ? 6 : 0] || (store && !leaf[$bits(leaf_t) > 7 ? 7 : 0]);
  endfunction

  function automatic logic updates_lack(walk_t walk);
    logic store, host_store;
    store      = (walk.query.access == AccessStore);
    host_store = (walk.purpose == PurposeData) ? store : (walk.purpose == PurposeUpdate);
    return (walk.purpose != PurposeUpdate || lacks(walk.guest_leaf, store))
        && (walk.stage != StageHost || !walk.update || lacks(walk.host_leaf, host_store));
  endfunction

  for (genvar k = 0; k < MissEntries; k++) begin : gen_miss
    query_t walks;
    assign walks = query_q[u_dut.u_misses.slot_q[k]];
    always_comb begin : p_miss
      if (rst_ni) begin
        // 5.6 (helper) The watched request waits for a walk that is equal to it, with its own
        // offset.
        Waits_A: assert (!waits[k]
                         || (is_equal(walks, watched_q)
                             && u_dut.u_misses.offset_q[k] == offset_t'(watched_q.gva)));
        Slot_A:  assert (!u_dut.u_misses.valid_q[k] || 32'(u_dut.u_misses.slot_q[k]) < WalkSlots);
      end
    end
  end

  /////////////////
  // Progress    //
  /////////////////

  // With `Fair`, responses, reads and updates wait for one cycle at most, data come in one of the
  // two cycles after the grant, no two fences come in succession, and updates find the expected
  // word. The proof computes the largest number of cycles that are left from the state of
  // everything in flight, and shows that every cycle makes it smaller.
  localparam type cycles_t = logic [11:0];

  // The cycles of a read: one turn of each other slot, at most 2 cycles each, its own turn, and 2
  // cycles for the data. The cycles of a walk: its largest number of reads and updates.
  localparam int unsigned ReadCycles  = 2 * WalkSlots + 2;
  localparam int unsigned MostLeft    = (Cfg.Levels + 1) ** 2 - 1 + (Riscv ? 2 * Cfg.Levels + 3
                                                                     : 0);
  localparam int unsigned WalkCycles  = ReadCycles * MostLeft;
  // The cycles of a completed walk: the held request that has priority, then all requests that wait
  // for the walk, at most 2 cycles each.
  localparam int unsigned EndCycles   = 2 + 2 * MissEntries;
  // The cycles until a held request is accepted: every walk ends, and a fence comes after each.
  localparam int unsigned RoomCycles  = 2 * WalkCycles + 2 * MissEntries + 2 * (WalkSlots + 1) + 4;
  // The cycles of a request that waits for a walk, then for completed walks with priority; that is
  // held; that is on the port, first behind the held request.
  localparam int unsigned EntryCycles = WalkCycles + WalkSlots * EndCycles + 2;
  localparam int unsigned HeldCycles  = RoomCycles + EntryCycles + 1;
  localparam int unsigned PortCycles  = 4 * MissEntries + 4 + HeldCycles + 1;
  localparam int unsigned MostCycles  = RoomCycles + PortCycles + 1;

  if (Fair) begin : gen_fair
    logic [WalkSlots-1:0] late_q;
    logic                 fence_q;
    cycles_t              waited_q;
    logic                 asks;
    assign asks = req_valid_i && req_i.id == watch_id_i && !pending_q;
    always_ff @(posedge clk_i or negedge rst_ni) begin : p_waited
      if (!rst_ni) begin
        late_q   <= '0;
        fence_q  <= 1'b0;
        waited_q <= '0;
      end else begin
        late_q   <= in_flight_q & ~late_q;
        fence_q  <= fences;
        waited_q <= ((pending_q && !(answers && offered)) || asks) ? waited_q + 1'b1 : '0;
      end
    end

    // The cycles until the walk of a slot ends.
    cycles_t walk_left [WalkSlots];
    for (genvar i = 0; i < WalkSlots; i++) begin : gen_walk_left
      logic    locked;
      cycles_t turn, left;
      assign locked = u_dut.u_walks.u_read.locked_q;
      // The number of slots served before this one at the memory port.
      assign turn = (cycles_t'(i) + WalkSlots - cycles_t'(u_dut.u_walks.u_read.last_q)
                     - cycles_t'(!locked))
                    % WalkSlots;
      assign left = cycles_t'(gen_slot[i].reads_left) + cycles_t'(gen_slot[i].updates_left) - 1'b1;
      always_comb begin : p_walk_left
        unique case (gen_slot[i].state)
          SlotRead: walk_left[i] = left * ReadCycles + 2 * turn + 4 - cycles_t'(locked);
          SlotWait: walk_left[i] = (gen_slot[i].gone ? '0
                                    : left * ReadCycles) + 2 - cycles_t'(late_q[i]);
          default:  walk_left[i] = '0;
        endcase
        if (rst_ni) WalkLeft_A: assert (32'(walk_left[i]) <= WalkCycles);
      end
    end

    // The cycles until a held request has a place; until the response port is free for a lookup;
    // until the completed walk whose turn it is has answered all its requests, and then the walk of
    // the watched request.
    cycles_t waiting, walks, longest, room_left, look_left, turn_left, end_left, own_left, left;
    logic    own_done;
    always_comb begin : p_left
      waiting   = cycles_t'($countones(u_dut.u_misses.valid_q));
      walks     = '0;
      longest   = '0;
      turn_left = '0;
      end_left  = '0;
      own_left  = '0;
      own_done  = 1'b0;
      for (int unsigned k = 0; k < MissEntries; k++) begin
        if (u_dut.u_misses.valid_q[k] && u_dut.u_misses.slot_q[k]
            == u_dut.done_slot) turn_left += 2;
      end
      // Before the lookup of the held request it is not known whether the request joins that walk.
      if (!u_dut.walk_first) turn_left = EndCycles;
      for (int unsigned i = 0; i < WalkSlots; i++) begin
        if (u_dut.u_walks.state_q[i] != SlotIdle) walks += 1'b1;
        if (walk_left[i] > longest) longest = walk_left[i];
        for (int unsigned k = 0; k < MissEntries; k++) begin
          if (waits[k] && u_dut.u_misses.slot_q[k] == slot_t'(i)) begin
            own_left = walk_left[i];
            own_done = (u_dut.u_walks.state_q[i] == SlotDone);
            end_left = turn_left + EndCycles * ((cycles_t'(i) + WalkSlots
                                                 - cycles_t'(u_dut.done_slot)) % WalkSlots);
          end
        end
      end
      // A fence stalls it for two cycles at most: in the first the fence waits for memory, in the
      // second it is accepted.
      look_left = rsp_valid ? 4 - cycles_t'(rsp_waits_q) : fence_q ? 1 : fence_waits_q ? 2 : 3;
      room_left = 2 * (longest + waiting + walks + cycles_t'(u_dut.slot_freed_q))
                - cycles_t'(rsp_waits_q)
                + ((longest != '0 || waiting != '0) ? 4 : look_left);

      if (offered)                     left = 2 - cycles_t'(rsp_waits_q);
      else if (waits != '0)            left = own_done ? end_left + 2 - cycles_t'(rsp_waits_q)
                                                       : own_left + WalkSlots * EndCycles + 2;
      else if (held)                   left = room_left + EntryCycles + 1;
      else if (u_dut.retry_valid_q)     left = room_left + PortCycles + 1;
      else                             left = 4 * waiting + look_left + HeldCycles + 1;
    end

    always_comb begin : p_progress
      assume (!(rsp_waits_q && rsp_valid && !rsp_ready_i));
      assume (!(mem_waits_q && mem_req_valid && !mem_req_ready_i));
      for (int unsigned i = 0; i < WalkSlots; i++) begin
        assume (!(in_flight_q[i] && late_q[i] && !(mem_rsp_valid_i && mem_rsp_i.id == slot_t'(i))));
        assume (!(in_flight_q[i] && update_q[i] && mem_rsp_valid_i && mem_rsp_i.id == slot_t'(i)
                  && mem_rsp_i.data != expected_q[i]));
      end
      assume (!(fence_q && fence_valid_i));
      if (rst_ni) begin
        // 6.1 A request that is offered has its response within MostCycles, whatever other requests
        // are made.
        Progress_A: assert (32'(waited_q) <= MostCycles);
        // 6.2 (helper) Each cycle that it waits makes the number of cycles left smaller.
        Left_A:     assert (!(pending_q || asks) || 32'(waited_q) + 32'(left) <= MostCycles);
        Waiting_A:  assert (!(waited_q != '0) || pending_q || asks);
        Stalls_A:   assert (mem_waits_q == u_dut.u_walks.u_read.locked_q
                            && (!rsp_waits_q || rsp_valid));

        Waited_C: cover (32'(waited_q) == 12 && answers && offered);
      end
    end
  end

  always_comb begin : p_helpers
    if (rst_ni) begin
      // 5.7 (helper) The held request is the request that was accepted last; a response has the
      // access of the watched request.
      HeldIsTaken_A: assert (!u_dut.retry_valid_q || (u_dut.retry_q == accepted_q && held_legal));
      TakenLegal_A:  assert (!held || accepted_q.query == watched_q);
      OwnAccess_A:   assert (!given_out || !Riscv || rsp.replay
                             || (u_dut.rsp_q.access == watched_q.access
                                 && u_dut.rsp_q.virt == watched_q.ctx.tag.virt));
      // 1.7 (helper) A request that waits on the memory port is a legal one.
      ReadLocked_A:  assert (!u_dut.u_walks.u_read.locked_q
                             || u_dut.u_walks.state_q[u_dut.u_walks.u_read.last_q] == SlotRead);
      DoneLocked_A:  assert (!u_dut.u_walks.u_done.locked_q
                             || u_dut.u_walks.state_q[u_dut.u_walks.u_done.last_q] == SlotDone);
      Choices_A:     assert (32'(u_dut.u_walks.u_read.last_q) < WalkSlots
                             && 32'(u_dut.u_walks.u_done.last_q) < WalkSlots);
    end
  end

endmodule
