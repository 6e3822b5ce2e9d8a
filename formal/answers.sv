// SPDX-License-Identifier: Apache-2.0
// The responses of nested_mmu, field by field: those of completed walks and those of hits. The
// other files prove that walks and TLB entries are right, and that a response belongs to its
// request. These properties hold in every state.
//
// Written from docs/ports.md, docs/formats.md and the privileged specification.

`include "nested_mmu_types.svh"

module answers
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format      = FormatHandout,
  parameter int unsigned TlbEntries  = 2,
  parameter int unsigned WalkSlots   = 2,
  parameter int unsigned MissEntries = 3,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: TlbEntries, WalkSlots: WalkSlots, MissEntries: MissEntries,
    IdWidth: 2, AsidWidth: 2, VmidWidth: 2, MaxLevels: 5, Svadu: 1'b1, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
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
  input mem_rsp_t mem_rsp_i
);

  localparam bit Riscv = (Cfg.Format == FormatRv32) || (Cfg.Format == FormatRv64);

  logic   rsp_valid;
  rsp_t   rsp;
  event_t happens;

  nested_mmu #(
    .Format      (Format),
    .TlbEntries  (TlbEntries),
    .WalkSlots   (WalkSlots),
    .MissEntries (MissEntries),
    .IdWidth     (2),
    .AsidWidth   (2),
    .VmidWidth   (2)
  ) u_dut (
    .clk_i,
    .rst_ni,
    .walk_caches_i   ('0),
    .req_valid_i,
    .req_ready_o     (),
    .req_i,
    .rsp_valid_o     (rsp_valid),
    .rsp_ready_i,
    .rsp_o           (rsp),
    .fence_valid_i,
    .fence_ready_o   (),
    .fence_i,
    .mem_req_valid_o (),
    .mem_req_ready_i,
    .mem_req_o       (),
    .mem_rsp_valid_i,
    .mem_rsp_ready_o (),
    .mem_rsp_i,
    .event_o         (happens)
  );

  // The source of the response in the cycle before: a walk, or a lookup that hit.
  logic      started_q = 1'b0;
  logic      walked_q, hit_q, replayed_q;
  id_t       held_id_q;
  walk_t     walk_q;
  tlb_data_t found_q;
  query_t    query_q;
  translation_t    translation_q;
  perms_t   perms_q;
  always_ff @(posedge clk_i) begin : p_before
    started_q <= 1'b1;
    walked_q  <= rst_ni && happens.done_valid;
    hit_q     <= rst_ni && u_dut.u_tlb.use_i;
    replayed_q <= rst_ni && u_dut.lookup_en && u_dut.retry_valid_q && u_dut.retry_overtaken_q;
    held_id_q <= u_dut.retry_q.id;
    walk_q    <= u_dut.done_walk;
    found_q   <= u_dut.done_data;
    query_q   <= u_dut.lookup.query;
    translation_q   <= u_dut.translation;
    perms_q  <= u_dut.perms;
  end

  always_comb assume (rst_ni == started_q);

  ///////////////////
  // The traps     //
  ///////////////////

  // Causes: access faults 1, 5, 7, page faults 12, 13, 15, guest-page faults 20, 21, 23, of a
  // fetch, a load, a store. An access fault has no stage.
  function automatic logic [5:0] cause_of(fault_t fault, access_e access);
    logic [5:0] load;
    load = (fault.kind == FaultMemory) ? 6'd5 : (fault.stage == StageHost) ? 6'd21 : 6'd13;
    unique case (access)
      AccessFetch: return (fault.kind == FaultMemory) ? 6'd1 : load - 6'd1;
      AccessStore: return load + 6'd2;
      default:     return load;
    endcase
  endfunction

  // Pseudoinstructions of implicit accesses: a 32-bit or 64-bit read, or write for an update.
  function automatic logic [15:0] tinst_of(fault_t fault);
    if (fault.purpose == PurposeRead)   return (Cfg.PteWidth == 64) ? 16'h3000 : 16'h2000;
    if (fault.purpose == PurposeUpdate) return (Cfg.PteWidth == 64) ? 16'h3020 : 16'h2020;
    return 16'h0;
  endfunction

  function automatic logic is_trap(trap_t trap, fault_t fault, gpa_t gpa, query_t query);
    logic guest_page, has_htval;
    guest_page = (fault.stage == StageHost) && fault.kind != FaultMemory;
    has_htval  = guest_page && gpa / 4 != '0;
    return trap.cause == cause_of(fault, query.access) && trap.gva == query.ctx.tag.virt
        && trap.tval2 == (guest_page ? gpa / 4 : '0)
        && trap.tinst == (has_htval ? tinst_of(fault) : '0);
  endfunction

  ///////////////////
  // Permissions   //
  ///////////////////

  // "U" and SUM, then R, W, X and MXR of both leaves; D of both for a store.
  function automatic logic riscv_permits(perms_t g, query_t query);
    logic guest_on, fetch, executes, store, user_ok, guest_ok, host_ok;
    guest_on = query.ctx.tag.guest_levels != '0;
    fetch    = query.access == AccessFetch;
    executes = fetch || query.access == AccessLoadExecute;
    store    = query.access == AccessStore;
    user_ok  = query.ctx.mode.priv.user ? g.user : (!g.user || (query.ctx.mode.priv.sum && !fetch));
    guest_ok = executes ? g.guest.x : store ? g.guest.w
        : (g.guest.r || (g.guest.x && query.ctx.mode.priv.guest_mxr));
    host_ok  = executes ? g.host.x  : store ? g.host.w
        : (g.host.r  || (g.host.x  && query.ctx.mode.priv.host_mxr));
    return (!guest_on || (user_ok && guest_ok)) && host_ok && (!store || g.dirty);
  endfunction

  function automatic logic handout_permits(rights_t rights, access_e access);
    return (access == AccessLoad && rights.r) || (access == AccessStore && rights.w)
        || ((access inside {AccessFetch, AccessLoadExecute}) && rights.x);
  endfunction

  function automatic log2_t log2_of(span_t span);
    log2_t log2;
    log2 = Cfg.PageLog2[0];
    for (int unsigned size = 0; size + 1 < Cfg.PageSizes; size++) begin
      if (span[size]) log2 = Cfg.PageLog2[size+1];
    end
    return log2;
  endfunction

  function automatic logic is_page(rsp_t r, translation_t translation);
    return r.hpa == {translation.hppn, offset_t'(r.gva)}
        && r.gpa == gpa_t'({translation.gppn, offset_t'(r.gva)})
        && r.page_size == log2_of(translation.guest_span & translation.host_span)
        && r.attributes == translation.attributes
        && r.fault == '0 && r.trap == '0 && !r.replay;
  endfunction

  // All fields of a replay but id and gVA are zero.
  function automatic logic is_replay(rsp_t r);
    return r.replay && !r.hit && r.gpa == '0 && r.hpa == '0 && r.page_size == '0
        && r.attributes == '0
        && r.fault == '0 && r.trap == '0;
  endfunction

  logic none, over, host, data;
  assign none = (walk_q.fault == FaultNone);
  assign over = (walk_q.fault == FaultOvertaken);
  assign host = (walk_q.stage == StageHost);
  assign data = (walk_q.purpose == PurposeData);

  logic guest_denies, host_denies;
  assign guest_denies = !Riscv && query_q.ctx.tag.rights
      && !handout_permits(perms_q.guest, query_q.access);
  assign host_denies  = !Riscv && query_q.ctx.tag.rights
      && !handout_permits(perms_q.host, query_q.access)
                     && !guest_denies;

  always_comb begin : p_answers
    if (rst_ni && walked_q) begin
      // 5.11 The response of a walk is in the response register in the next cycle, and is not a
      // hit.
      Walked_A: assert (rsp_valid && !rsp.hit
                        && vpn_t'(rsp.gva >> Cfg.OffsetWidth)
                            == vpn_t'(walk_q.query.gva >> Cfg.OffsetWidth));
      // 5.12 Without a fault, the response is the translation that the walk has found, at the
      // request's own offset.
      if (none) WalkedPage_A: assert (is_page(rsp, found_q.translation));
      // 5.13 A fault has kind, stage and level; in the host stage also the purpose of the gPA, and
      // the gPA to the byte: for the data at the request's own offset.
      if (!none && !over) begin
        WalkedFault_A: assert (!rsp.replay && rsp.fault.kind == walk_q.fault
                               && rsp.fault.stage == walk_q.stage
                               && rsp.fault.level == (host ? walk_q.host_level : walk_q.guest_level)
                               && rsp.fault.purpose == (host ? walk_q.purpose : PurposeRead)
                               && rsp.fault.for_level == ((host && !data) ? walk_q.guest_level
                                                          : '0));
        WalkedGpa_A:   assert (rsp.gpa == (!host ? '0
                               : data ? ((walk_q.gpa >> Cfg.OffsetWidth) << Cfg.OffsetWidth)
                                        + gpa_t'(offset_t'(rsp.gva))
                               : walk_q.gpa));
        // 5.14 On RISC-V a fault has the values of the trap registers; else these fields are 0.
        WalkedTrap_A:  assert (Riscv ? is_trap(rsp.trap, rsp.fault, rsp.gpa, walk_q.query)
                               : rsp.trap == '0);
      end
      // 5.19 The response to a walk that a fence overtook before its end is a replay, and all other
      // fields of a replay are 0.
      WalkedOver_A:  assert (!over || is_replay(rsp));
      WalkedOver_C:  cover (over && rsp.gva != '0);
      WalkedFault_C: cover (!none && host && data && rsp.gpa != walk_q.gpa);
    end
    if (rst_ni && hit_q) begin
      // 5.15 The response of a hit is in the response register in the next cycle, for the same gVA.
      Hit_A: assert (rsp_valid && rsp.hit && rsp.gva == query_q.gva);
      // 5.16 On RISC-V an entry that hits permits the access, and is dirty for a store.
      HitPermits_A: assert (!Riscv || riscv_permits(perms_q, query_q));
      // 5.17 The response of a hit is the entry's translation. In rights mode of the handout's
      // formats it is a fault if a leaf denies the access, the guest leaf first, as for a walk.
      if (!guest_denies && !host_denies) HitPage_A: assert (is_page(rsp, translation_q));
      if (guest_denies || host_denies) begin
        HitFault_A: assert (rsp.fault.kind == FaultPermission && rsp.fault.level == '0
                            && rsp.fault.for_level == '0
                            && rsp.fault.stage == (guest_denies ? StageGuest : StageHost)
                            && rsp.fault.purpose == (guest_denies ? PurposeRead : PurposeData)
                            && rsp.gpa == (guest_denies ? '0
                                           : gpa_t'({translation_q.gppn, offset_t'(rsp.gva)}))
                            && rsp.trap == '0);
      end
      HitPage_C: cover (rsp.fault.kind == FaultNone && rsp.hpa != '0);
    end
    // 5.20 The response to a held request that a fence has overtaken is a replay too.
    if (rst_ni && replayed_q) begin
      HeldOver_A: assert (rsp_valid && is_replay(rsp) && rsp.id == held_id_q);
      HeldOver_C: cover (rsp.gva != '0);
    end
    // 5.18 On RISC-V an entry that permits the access hits.
    if (rst_ni && u_dut.lookup_valid && u_dut.found && Riscv) begin
      HitTaken_A: assert (u_dut.u_tlb.use_i == riscv_permits(u_dut.perms, u_dut.lookup.query));
    end
  end

endmodule
