// SPDX-License-Identifier: Apache-2.0
// The paging rules of the handout's machine, for any geometry of that kind (HANDOUT, CLASSIC32).
//
//   start:  request                      -> initial state of its walk
//   step:   walk, and the entry it read  -> next state of the walk
//   update: never used
//   end:    completed walk               -> its result
//
// The module is combinational, and one instance serves every walk slot. docs/formats.md states the
// rules in words.

`include "nested_mmu_types.svh"

module walk_step_handout
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  query_t     start_query_i,
  output walk_t      start_walk_o,
  output walk_next_e start_next_o,

  input  walk_t      step_walk_i,
  input  pte_t       step_pte_i,
  input  logic       step_error_i,
  output walk_t      step_walk_o,
  output walk_next_e step_next_o,

  output pte_t       update_expected_o,
  output pte_t       update_new_o,

  input  walk_t      end_walk_i,
  output tlb_data_t  end_data_o
);

  localparam int unsigned StrideWidth = $clog2(Cfg.PteWidth / 8);
  localparam level_t      RootLevel   = level_t'(Cfg.Levels - 1);

  // The address of an entry, with one bit more than the machine's addresses for the carry.
  localparam type gpa_sum_t = logic [Cfg.GpaWidth:0];
  localparam type hpa_sum_t = logic [Cfg.HpaWidth:0];
  localparam type index_t   = logic [Cfg.IndexWidth-1:0];

  // Status bits of a leaf, used in rights mode only: 0 valid, 1 readable, 2 writable, 3 executable.
  localparam int unsigned ValidBit  = 0;
  localparam int unsigned RightsLsb = 1;

  ////////////////
  // An entry   //
  ////////////////

  function automatic index_t gva_index(gva_t gva, level_t level);
    return index_t'(gva >> (Cfg.OffsetWidth + 32'(level) * Cfg.IndexWidth));
  endfunction

  function automatic index_t gpa_index(gpa_t gpa, level_t level);
    return index_t'(gpa >> (Cfg.OffsetWidth + 32'(level) * Cfg.IndexWidth));
  endfunction

  // Bits of an entry above the address are reserved. (An address may be as wide as an entry.)
  function automatic logic reserved_set(pte_t pte);
    logic [Cfg.PteWidth:0] wide;
    wide = {1'b0, pte};
    return (wide >> Cfg.HpaWidth) != '0;
  endfunction

  if (Cfg.GpaWidth != Cfg.HpaWidth) begin : gen_bad_width
    $fatal(1, "walk_step_handout: gPA and hPA are equally wide in the handout's formats");
  end

  // An entry's address must be a multiple of the entry size and within the machine's width. A base
  // need not be aligned to the size of its table: base and index are added, not concatenated.
  function automatic fault_kind_e address_fault(logic misaligned, logic past_width);
    if (misaligned) return FaultMisaligned;
    if (past_width) return FaultWidth;
    return FaultNone;
  endfunction

  function automatic rights_t leaf_rights(pte_t pte);
    return rights_t'(pte >> RightsLsb);
  endfunction

  // Returns the fault of an entry. The other bits of an entry that is not valid are ignored.
  function automatic fault_kind_e entry_fault(pte_t pte, logic has_status, access_e access);
    if (has_status && !pte[ValidBit]) return FaultInvalid;
    if (reserved_set(pte)) return FaultReserved;
    if (has_status && !permits(leaf_rights(pte), access)) return FaultPermission;
    return FaultNone;
  endfunction

  //////////////////////////////
  // Address of the next read //
  //////////////////////////////

  function automatic walk_t seek_host_entry(walk_t walk, hpa_t base, level_t level);
    walk_t    next;
    hpa_sum_t sum;
    sum = hpa_sum_t'(base) + (hpa_sum_t'(gpa_index(walk.gpa, level)) << StrideWidth);
    next            = walk;
    next.stage      = StageHost;
    next.host_level = level;
    next.hpa        = hpa_t'(sum);
    next.fault      = address_fault(sum[StrideWidth-1:0] != '0, sum[Cfg.HpaWidth]);
    return next;
  endfunction

  // Translates a gPA, of a guest entry or of the data, from the host's root table.
  function automatic walk_t seek_gpa(walk_t walk, gpa_t gpa, purpose_e purpose);
    walk_t next;
    next         = walk;
    next.gpa     = gpa;
    next.purpose = purpose;
    return seek_host_entry(next, walk.query.ctx.host_root, RootLevel);
  endfunction

  // Computes the gPA of the next guest entry and translates it. With a fault the walk stays in the
  // guest stage.
  function automatic walk_t seek_guest_entry(walk_t walk, gpa_t base, level_t level);
    walk_t    next;
    gpa_sum_t sum;
    sum = gpa_sum_t'(base) + (gpa_sum_t'(gva_index(walk.query.gva, level)) << StrideWidth);
    next             = walk;
    next.guest_level = level;
    next.fault       = address_fault(sum[StrideWidth-1:0] != '0, sum[Cfg.GpaWidth]);
    if (next.fault != FaultNone) return next;
    return seek_gpa(next, gpa_t'(sum), PurposeRead);
  endfunction

  ///////////
  // Start //
  ///////////

  always_comb begin : p_start
    walk_t walk;
    walk            = '0;
    walk.query      = start_query_i;
    walk.guest_leaf = '1;  // a guest stage that is off permits every access
    start_walk_o = (start_query_i.ctx.tag.guest_levels != '0)
                 ? seek_guest_entry(walk, start_query_i.ctx.guest_root, RootLevel)
                 : seek_gpa(walk, gpa_t'(start_query_i.gva), PurposeData);
    start_next_o = (start_walk_o.fault == FaultNone) ? WalkRead : WalkFault;
  end

  //////////
  // Step //
  //////////

  // The step after a guest entry: a pointer gives the next guest table, a leaf the gPA of the data.
  function automatic walk_t step_guest_entry(walk_t walk, pte_t pte);
    walk_t next;
    logic  leaf;
    leaf       = (walk.guest_level == '0);
    next       = walk;
    next.fault = entry_fault(pte, leaf && walk.query.ctx.tag.rights, walk.query.access);
    if (next.fault != FaultNone) return next;
    if (!leaf) return seek_guest_entry(next, gpa_t'(pte), walk.guest_level - 1'b1);
    next.guest_leaf = leaf_t'(leaf_rights(pte));
    return seek_gpa(next, {gppn_t'(pte >> Cfg.OffsetWidth), offset_t'(walk.query.gva)},
                    PurposeData);
  endfunction

  // The step after a host entry: a pointer gives the next host table, a leaf the hPA of walk.gpa.
  // The read of a guest entry is a load, whatever the access of the request is.
  function automatic walk_t step_host_entry(walk_t walk, pte_t pte);
    walk_t next;
    logic  leaf;
    leaf       = (walk.host_level == '0);
    next       = walk;
    next.fault = entry_fault(pte, leaf && walk.query.ctx.tag.rights,
                             (walk.purpose == PurposeData) ? walk.query.access : AccessLoad);
    if (next.fault != FaultNone) return next;
    if (!leaf) return seek_host_entry(next, hpa_t'(pte), walk.host_level - 1'b1);
    next.hpa = {hppn_t'(pte >> Cfg.OffsetWidth), offset_t'(walk.gpa)};
    if (walk.purpose == PurposeData) next.host_leaf = leaf_t'(leaf_rights(pte));
    else                             next.stage     = StageGuest;
    return next;
  endfunction

  always_comb begin : p_step
    if (step_error_i) begin
      step_walk_o       = step_walk_i;
      step_walk_o.fault = FaultMemory;
    end else if (step_walk_i.stage == StageGuest) begin
      step_walk_o = step_guest_entry(step_walk_i, step_pte_i);
    end else begin
      step_walk_o = step_host_entry(step_walk_i, step_pte_i);
    end

    if (step_walk_o.fault != FaultNone) begin
      step_next_o = WalkFault;
    end else if (step_walk_i.host_level == '0 && step_walk_i.purpose == PurposeData) begin
      step_next_o = WalkDone;
    end else begin
      step_next_o = WalkRead;
    end
  end

  assign {update_expected_o, update_new_o} = '0;

  /////////
  // End //
  /////////

  always_comb begin : p_end
    end_data_o              = '0;
    end_data_o.translation.gppn   = gppn_t'(end_walk_i.gpa >> Cfg.OffsetWidth);
    end_data_o.translation.hppn   = hppn_t'(end_walk_i.hpa >> Cfg.OffsetWidth);
    end_data_o.perms.guest = rights_t'(end_walk_i.guest_leaf);
    end_data_o.perms.host  = rights_t'(end_walk_i.host_leaf);
  end

  logic unused_end_walk;
  assign unused_end_walk = ^end_walk_i;

endmodule
