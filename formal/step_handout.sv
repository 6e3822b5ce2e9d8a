// SPDX-License-Identifier: Apache-2.0
// walk_step_handout against docs/formats.md, for every entry and every state of a walk.
//
// Written from that page, as predicates over the raw bits of an entry. Only the types of the ports
// come from the RTL. One output is left open, because it is not used: the address of a walk that
// ends with a fault.

`include "nested_mmu_types.svh"

module step_handout
  import nested_mmu_pkg::*;
#(
  parameter format_e Format = FormatHandout,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: 4, WalkSlots: 2, MissEntries: 4, IdWidth: 2, AsidWidth: 2,
    VmidWidth: 2, MaxLevels: 5, Svadu: 1'b1, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input query_t start_query_i,
  input walk_t  walk_i,
  input pte_t   pte_i,
  input logic   error_i
);

  // The page's table of geometry.
  localparam bit          Classic    = (Format == FormatClassic32);
  localparam int unsigned AddrWidth  = Classic ? 32 : 20;
  localparam int unsigned IndexWidth = Classic ? 10 : 2;
  localparam int unsigned PageLog2   = Classic ? 12 : 16;

  localparam type word_t  = logic [39:0];
  localparam type count_t = logic [6:0];

  walk_t      start, next;
  walk_next_e start_wants, wants;
  pte_t       expected, updated;
  tlb_data_t  found;

  walk_step_handout #(.Cfg(Cfg)) u_dut (
    .start_query_i,
    .start_walk_o      (start),
    .start_next_o      (start_wants),
    .step_walk_i       (walk_i),
    .step_pte_i        (pte_i),
    .step_error_i      (error_i),
    .step_walk_o       (next),
    .step_next_o       (wants),
    .update_expected_o (expected),
    .update_new_o      (updated),
    .end_walk_i        (walk_i),
    .end_data_o        (found)
  );

  ////////////////////////
  // The specification  //
  ////////////////////////

  // The index of an address: into L1 (level 1) or L2 (level 0).
  function automatic word_t index_of(word_t addr, logic level);
    return (addr >> (PageLog2 + (level ? IndexWidth : 0))) % (word_t'(1) << IndexWidth);
  endfunction

  function automatic word_t entry_at(word_t base, word_t addr, logic level);
    return base + index_of(addr, level) * 4;
  endfunction

  function automatic fault_kind_e address_fault(word_t addr);
    return (addr % 4 != 0) ? FaultMisaligned : ((addr >> AddrWidth) != 0) ? FaultWidth : FaultNone;
  endfunction

  function automatic word_t page_of(word_t addr);
    return (addr >> PageLog2) << PageLog2;
  endfunction

  function automatic word_t offset_of(word_t addr);
    return addr % (word_t'(1) << PageLog2);
  endfunction

  // Facts about a walk, before and after the step.
  logic sound, next_sound, start_sound, legal;
  count_t reads, next_reads, start_reads, reads_most;

  walk_facts #(.Cfg(Cfg)) u_walk (
    .walk_i,
    .legal_o        (),
    .sound_o        (sound),
    .sound_end_o    (),
    .reads_left_o   (reads),
    .updates_left_o (),
    .reads_most_o   (),
    .updates_most_o ()
  );

  walk_facts #(.Cfg(Cfg)) u_next (
    .walk_i         (next),
    .legal_o        (),
    .sound_o        (next_sound),
    .sound_end_o    (),
    .reads_left_o   (next_reads),
    .updates_left_o (),
    .reads_most_o   (),
    .updates_most_o ()
  );

  walk_facts #(.Cfg(Cfg)) u_start (
    .walk_i         (start),
    .legal_o        (legal),
    .sound_o        (start_sound),
    .sound_end_o    (),
    .reads_left_o   (start_reads),
    .updates_left_o (),
    .reads_most_o   (reads_most),
    .updates_most_o ()
  );

  /////////////////////
  // A walk's step   //
  /////////////////////

  word_t   pte, gva, gpa;
  logic    host, data, leaf, status, rights;
  access_e access;
  assign pte    = word_t'(pte_i);
  assign gva    = word_t'(walk_i.query.gva);
  assign gpa    = word_t'(walk_i.gpa);
  assign host   = (walk_i.stage == StageHost);
  assign data   = (walk_i.purpose == PurposeData);
  assign leaf   = host ? (walk_i.host_level == '0) : (walk_i.guest_level == '0);
  assign rights = walk_i.query.ctx.tag.rights;
  assign status = leaf && rights;
  // The walk's own read of a guest entry is a load.
  assign access = (host && !data) ? AccessLoad : walk_i.query.access;

  logic invalid, reserved, forbidden, passed;
  assign invalid   = status && !pte[0];
  assign reserved  = !Classic && pte[31:20] != '0;
  assign forbidden = status && !((access == AccessLoad && pte[1])
                                 || (access == AccessStore && pte[2])
                                 || ((access inside {AccessFetch, AccessLoadExecute}) && pte[3]));
  assign passed    = !error_i && !invalid && !reserved && !forbidden;

  // The entry that is read next, in the same stage. The address of a guest entry is a gPA.
  word_t       below, sought, host_root_entry;
  fault_kind_e below_fault, root_fault;
  assign below           = entry_at(pte, host ? gpa : gva, 1'b0);
  assign below_fault     = address_fault(below);
  assign sought          = leaf ? page_of(pte) + offset_of(gva) : below;
  assign host_root_entry = entry_at(word_t'(walk_i.query.ctx.host_root), sought, 1'b1);
  assign root_fault      = address_fault(host_root_entry);

  logic descends, seeks;
  assign descends = passed && !leaf;
  assign seeks    = passed && !host && (leaf || below_fault == FaultNone);

  always_comb begin : p_step
    if (sound) begin
      // 8.1 The first rule that is broken decides the fault: memory, invalid, reserved, permission,
      // then the address of the entry that would be read next: misaligned, width.
      Fault_A: assert (next.fault == (error_i   ? FaultMemory
                                    : invalid   ? FaultInvalid
                                    : reserved  ? FaultReserved
                                    : forbidden ? FaultPermission
                                    : seeks     ? root_fault
                                    : descends  ? below_fault
                                    :             FaultNone));
      // 8.2 The fault of an entry has the position of the walk: stage, levels, gPA and purpose do
      // not change.
      if (!passed) begin
        FaultPlace_A: assert (next.stage == walk_i.stage && next.guest_level == walk_i.guest_level
                              && next.host_level == walk_i.host_level && next.gpa == walk_i.gpa
                              && next.purpose == walk_i.purpose);
      end
      // 8.3 A pointer leads to the entry at pointer + index * 4 of L2, in its own stage; base and
      // index are added.
      if (descends && host) begin
        HostPointer_A: assert (next.stage == StageHost && next.host_level == '0
                               && next.gpa == walk_i.gpa
                               && next.purpose == walk_i.purpose
                               && next.guest_level == walk_i.guest_level
                               && (below_fault != FaultNone || word_t'(next.hpa) == below));
      end
      if (descends && !host) begin
        GuestPointer_A: assert (next.guest_level == '0
                                && (below_fault == FaultNone || next.stage == StageGuest));
      end
      // 8.4 Each gPA, of a guest entry and of the data, is translated from the host root.
      if (seeks) begin
        HostRoot_A: assert (next.stage == StageHost && next.host_level == 1'b1
                            && word_t'(next.gpa) == sought
                            && next.purpose == (leaf ? PurposeData : PurposeRead)
                            && next.guest_level == '0
                            && (root_fault != FaultNone || word_t'(next.hpa) == host_root_entry));
      end
      // 8.5 A host leaf gives the hPA of the guest entry, which is read next, or of the data: the
      // walk is done.
      if (passed && host && leaf) begin
        HostLeaf_A: assert (word_t'(next.hpa) == page_of(pte) + offset_of(gpa)
                            && next.gpa == walk_i.gpa
                            && next.purpose == walk_i.purpose
                            && next.guest_level == walk_i.guest_level
                            && (data || next.stage == StageGuest));
      end
      // 8.6 The walk keeps the request, and the rights of the leaf of each stage that translates
      // the data.
      Kept_A: assert (next.query == walk_i.query && !(next.update && !walk_i.update));
      if (passed) begin
        Leaves_A: assert (next.guest_leaf == ((!host && leaf) ? pte[3:1] : walk_i.guest_leaf)
                          && next.host_leaf == ((host && leaf && data) ? pte[3:1]
                                                : walk_i.host_leaf));
      end
      // 8.7 A walk continues exactly if there is no fault and the gPA of the data has not been
      // translated.
      Next_A:  assert (wants == ((next.fault != FaultNone) ? WalkFault
                               : (host && leaf && data)   ? WalkDone : WalkRead));
      // 8.8 The assumptions about a walk hold from its start on.
      Sound_A: assert (wants != WalkRead || next_sound);
      // 4.2 Each read makes the number of reads that are left smaller.
      Reads_A: assert (wants != WalkRead || next_reads < reads);

      StepDone_C:     cover (wants == WalkDone);
      StepDescends_C: cover (descends && !host && wants == WalkRead);
      StepWraps_C:    cover (next.fault == FaultWidth && !host && descends && seeks);
      StepDenied_C:   cover (forbidden && host && !data && next.fault == FaultPermission);
    end
  end

  /////////////////////
  // A walk's start  //
  /////////////////////

  query_t      q;
  logic        guest_on;
  word_t       first, start_entry;
  fault_kind_e first_fault;
  assign q           = start_query_i;
  assign guest_on    = (q.ctx.tag.guest_levels != '0);
  assign first       = guest_on ? entry_at(word_t'(q.ctx.guest_root), word_t'(q.gva), 1'b1)
      : word_t'(q.gva);
  assign first_fault = guest_on ? address_fault(first) : FaultNone;
  assign start_entry = entry_at(word_t'(q.ctx.host_root), first, 1'b1);

  always_comb begin : p_start
    if (legal) begin
      // 8.9 A walk starts with the gPA of the guest's root entry, or of the data if the guest table
      // is off; this gPA is translated like every other.
      StartFault_A: assert (start.fault == ((first_fault != FaultNone) ? first_fault
                                            : address_fault(start_entry)));
      if (guest_on) begin
        StartLevel_A: assert (start.guest_level == 1'b1
                              && (start.stage == StageGuest) == (first_fault != FaultNone));
      end
      if (first_fault == FaultNone) begin
        StartGpa_A: assert (start.stage == StageHost && start.host_level == 1'b1
                            && word_t'(start.gpa) == first
                            && start.purpose == (guest_on ? PurposeRead : PurposeData)
                            && (start.fault != FaultNone || word_t'(start.hpa) == start_entry));
      end
      // A guest stage that is off permits every access.
      StartKept_A: assert (start.query == q && !start.update
                           && (guest_on || start.guest_leaf == 3'b111));
      StartNext_A: assert (start_wants == ((start.fault != FaultNone) ? WalkFault : WalkRead)
                           && (start_wants != WalkRead || start_sound));
      // 4.1 At its start a walk has no more than (n+1)(m+1) - 1 reads left.
      StartReads_A: assert (start_wants != WalkRead || start_reads <= reads_most);

      StartOff_C: cover (start_wants == WalkRead && !guest_on);
    end
  end

  // 8.10 The result of a walk has both pages and the rights of both leaves. No entry is ever
  // updated.
  always_comb begin : p_end
    End_A: assert (found.translation.gppn == (walk_i.gpa >> PageLog2)
                   && found.translation.hppn == (walk_i.hpa >> PageLog2)
                   && found.perms.guest == walk_i.guest_leaf && found.perms.host == walk_i.host_leaf
                   && !found.is_global && found.translation.attributes == '0);
  end

endmodule
