// SPDX-License-Identifier: Apache-2.0
// The paging rules of RISC-V: one stage, or two with the hypervisor extension (RV32, RV64).
//
//   start:  request                      -> initial state of its walk
//   step:   walk, and the entry it read  -> next state of the walk
//   update: walk before an update        -> the words of its compare-and-swap
//   lookup: walk, page-walk cache hit    -> state of the walk after the hit
//   end:    completed walk               -> its result
//
// The module is combinational, and one instance serves every walk slot. Both stages are checked by
// the same functions. Names are those of the privileged specification: chapters "Sv32", "Sv39",
// "Svnapot", "Svpbmt", "Svadu" and "Two-Stage Address Translation".

`include "nested_mmu_types.svh"

module walk_step_riscv
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

  input  walk_t      update_walk_i,
  output pte_t       update_expected_o,
  output pte_t       update_new_o,

  input  walk_t      lookup_walk_i,
  input  pwc_hit_t      pwc_hit_i,
  output walk_t      lookup_walk_o,

  input  walk_t      end_walk_i,
  output tlb_data_t  end_data_o
);

  // A gVA, gPA or hPA, zero-extended
  localparam type addr_t  = logic [63:0];
  localparam type index_t = logic [Cfg.IndexWidth+Cfg.HostRootExtra-1:0];

  localparam int unsigned StrideWidth = $clog2(Cfg.PteWidth / 8);

  ////////////////
  // An entry   //
  ////////////////

  localparam type ppn_t = logic [43:0];

  // An entry of RV64. The bits above bit 31 are zero for RV32.
  typedef struct packed {
    logic        n;         // Svnapot
    attributes_t pbmt;      // Svpbmt
    logic [6:0]  reserved;
    ppn_t        ppn;
    logic [1:0]  rsw;
    logic        d;
    logic        a;
    logic        g;
    logic        u;
    rights_t     rights;
    logic        v;
  } entry_t;

  function automatic entry_t entry_of(pte_t pte);
    return entry_t'(64'(pte));
  endfunction

  // Returns the entry of a leaf that a walk has kept (see p_step). Without Svadu most fields are
  // zero.
  function automatic entry_t kept_entry(leaf_t leaf);
    entry_t entry;
    entry = '0;
    if (Cfg.Svadu) return entry_of(pte_t'(leaf));
    {entry.n, entry.pbmt, entry.d, entry.g, entry.u, entry.rights} = 9'(leaf);
    return entry;
  endfunction

  // A writable entry must be readable.
  function automatic logic is_valid(logic v, rights_t rights);
    return v && !(rights inside {3'b010, 3'b110});
  endfunction

  // An entry without rights is a pointer.
  function automatic logic is_leaf(rights_t rights);
    return rights != '0;
  endfunction

  // Svnapot has one encoding: 64 KiB, at level 0.
  function automatic logic napot_reserved(logic n, logic [3:0] ppn_low, level_t level, logic napot);
    return n && !(napot && level == '0 && ppn_low == 4'b1000);
  endfunction

  function automatic logic pbmt_reserved(attributes_t pbmt, logic pbmte);
    return (pbmt != 2'd0) && (!pbmte || pbmt == 2'd3);
  endfunction

  // The fields of a leaf are reserved in a pointer.
  function automatic logic pointer_reserved(logic n, attributes_t pbmt, logic d, logic a, logic u);
    return n || (pbmt != 2'd0) || d || a || u;
  endfunction

  // Returns the page size of a leaf.
  function automatic span_t leaf_span(logic n, level_t level);
    span_t span;
    for (int unsigned size = 1; size < Cfg.PageSizes; size++) begin
      if (Cfg.NapotWidth == 0) span[size-1] = (32'(level) >= size);
      else if (size == 1)      span[size-1] = n || (level != '0);
      else                     span[size-1] = (32'(level) >= size - 1);
    end
    return span;
  endfunction

  // Returns the bits of an address inside a page.
  function automatic addr_t page_mask(span_t span);
    addr_t mask;
    mask = (addr_t'(1) << Cfg.OffsetWidth) - addr_t'(1);
    for (int unsigned size = 1; size < Cfg.PageSizes; size++) begin
      if (span[size-1]) mask |= (addr_t'(1) << Cfg.PageLog2[size]) - addr_t'(1);
    end
    return mask;
  endfunction

  function automatic addr_t ppn_base(ppn_t ppn);
    return addr_t'(ppn) << Cfg.OffsetWidth;
  endfunction

  // The low bits of a superpage's page number must be zero. (In a NAPOT page they are its
  // encoding.)
  function automatic logic is_misaligned(ppn_t ppn, level_t level);
    return (ppn_base(ppn) & page_mask(leaf_span(1'b0, level))) != '0;
  endfunction

  function automatic addr_t leaf_address(ppn_t ppn, span_t span, addr_t addr);
    return (ppn_base(ppn) & ~page_mask(span)) | (addr & page_mask(span));
  endfunction

  // Reserved bits are zero in an entry that has passed its checks: no register keeps them.
  function automatic entry_t without_reserved(entry_t entry);
    entry_t rest;
    rest          = entry;
    rest.reserved = '0;
    return rest;
  endfunction

  // Sets A, and D for a store.
  function automatic entry_t with_ad(entry_t entry, access_e access);
    entry_t set;
    set   = entry;
    set.a = 1'b1;
    set.d = entry.d || (access == AccessStore);
    return set;
  endfunction

  function automatic logic lacks_ad(entry_t entry, access_e access);
    return entry != with_ad(entry, access);
  endfunction

  // The context of an entry's checks: the access, and the modes of the entry's stage.
  typedef struct packed {
    stage_e  stage;
    access_e access;
    priv_ctx_t    priv;
    logic    adue;
    logic    pbmte;
    logic    napot;
  } check_t;

  // Returns the fault of an entry. The order of the checks is that of the specification.
  function automatic fault_kind_e entry_fault(entry_t entry, level_t level, check_t check);
    if (!is_valid(entry.v, entry.rights)) return FaultInvalid;
    if (entry.reserved != '0) return FaultReserved;
    if (!is_leaf(entry.rights)) begin
      if (pointer_reserved(entry.n, entry.pbmt, entry.d, entry.a, entry.u)) return FaultReserved;
      return (level == '0) ? FaultPointer : FaultNone;
    end
    if (pbmt_reserved(entry.pbmt, check.pbmte)) return FaultReserved;
    if (napot_reserved(entry.n, entry.ppn[3:0], level, check.napot)) return FaultReserved;
    if (is_misaligned(entry.ppn, level)) return FaultMisaligned;
    if (!leaf_permits(check.stage, entry.rights, entry.u, check.access, check.priv)) begin
      return FaultPermission;
    end
    if (lacks_ad(entry, check.access) && !check.adue) return FaultAccessedDirty;
    return FaultNone;
  endfunction

  // Returns the access for the checks of a stage. At the host stage the read of a guest entry is a
  // load and the update of a guest leaf a store, whatever the access of the request is.
  function automatic access_e access_of(stage_e stage, purpose_e purpose, access_e access);
    if (stage == StageGuest || purpose == PurposeData) return access;
    return (purpose == PurposeUpdate) ? AccessStore : AccessLoad;
  endfunction

  // MXR applies to the data access, not to implicit accesses.
  function automatic check_t check_of(stage_e stage, purpose_e purpose, access_e access,
                                      mode_t mode);
    check_t check;
    check.stage  = stage;
    check.access = access_of(stage, purpose, access);
    check.priv    = mode.priv;
    check.adue   = Cfg.Svadu && ((stage == StageHost) ? mode.host_adue : mode.guest_adue);
    check.pbmte  = (stage == StageHost) ? mode.host_pbmte : mode.guest_pbmte;
    check.napot  = mode.napot;
    if (purpose != PurposeData) check.priv.host_mxr = 1'b0;
    return check;
  endfunction

  //////////////////////////////
  // Address of the next read //
  //////////////////////////////

  // The bits from the sign bit up are equal. With the stage off every gVA is canonical.
  function automatic logic is_canonical(gva_t gva, levels_t levels);
    gva_t upper;
    upper = '0;
    for (int unsigned n = 2; n <= Cfg.Levels; n++) begin
      if (levels == levels_t'(n)) begin
        upper = gva_t'($signed(gva) >>> (Cfg.OffsetWidth + n * Cfg.IndexWidth - 1));
      end
    end
    return (upper == '0) || (upper == '1);
  endfunction

  function automatic logic fits_host_stage(gpa_t gpa, levels_t levels);
    gpa_t upper;
    upper = '0;
    for (int unsigned n = 2; n <= Cfg.Levels; n++) begin
      if (levels == levels_t'(n)) begin
        upper = gpa >> (Cfg.OffsetWidth + n * Cfg.IndexWidth + Cfg.HostRootExtra);
      end
    end
    return upper == '0;
  endfunction

  function automatic level_t root_level(levels_t levels);
    return level_t'(levels - 3'd1);
  endfunction

  // Returns the index of an address into a table. The index into the host's root is wider.
  function automatic index_t table_index(addr_t addr, level_t level, logic host_root);
    index_t index;
    index = '0;
    for (int unsigned l = 0; l < Cfg.Levels; l++) begin
      if (level == level_t'(l)) index = index_t'(addr >> (Cfg.OffsetWidth + l * Cfg.IndexWidth));
    end
    if (!host_root) index = index_t'(index[Cfg.IndexWidth-1:0]);
    return index;
  endfunction

  // Tables and roots are aligned to their size.
  function automatic addr_t entry_address(addr_t table_base, index_t index);
    return table_base | (addr_t'(index) << StrideWidth);
  endfunction

  // Returns the hPA of the host root's entry for a gPA; with the host stage off the gPA is the hPA.
  function automatic hpa_t first_hpa(gpa_t gpa, levels_t host_levels, hpa_t host_root);
    if (host_levels == '0) return hpa_t'(gpa);
    return hpa_t'(entry_address(addr_t'(host_root),
                                table_index(addr_t'(gpa), root_level(host_levels), 1'b1)));
  endfunction

  function automatic fault_kind_e gpa_fault(gpa_t gpa, levels_t host_levels);
    if (host_levels == '0) return (addr_t'(gpa) != addr_t'(hpa_t'(gpa))) ? FaultMemory : FaultNone;
    return fits_host_stage(gpa, host_levels) ? FaultNone : FaultWidth;
  endfunction

  function automatic walk_next_e next_of(fault_kind_e fault, logic update, stage_e stage,
                                         purpose_e purpose);
    if (fault != FaultNone) return WalkFault;
    if (update) return WalkUpdate;
    if (stage == StageGuest && purpose == PurposeData) return WalkDone;
    return WalkRead;
  endfunction

  ///////////
  // Start //
  ///////////

  always_comb begin : p_start
    levels_t  guest_levels, host_levels;
    logic     guest_on, host_on, canonical;
    gpa_t     gpa;
    purpose_e purpose;
    guest_levels = start_query_i.ctx.tag.guest_levels;
    host_levels  = start_query_i.ctx.tag.host_levels;
    guest_on     = (guest_levels != '0);
    host_on      = (host_levels != '0);
    canonical    = is_canonical(start_query_i.gva, guest_levels);
    purpose      = guest_on ? PurposeRead : PurposeData;
    gpa          = guest_on ? gpa_t'(entry_address(addr_t'(start_query_i.ctx.guest_root),
                                                   table_index(addr_t'(start_query_i.gva),
                                                               root_level(guest_levels), 1'b0)))
                            : gpa_t'(start_query_i.gva);
    start_walk_o = '{
      query:       start_query_i,
      stage:       (host_on && canonical) ? StageHost : StageGuest,
      guest_level: guest_on ? root_level(guest_levels) : '0,
      host_level:  root_level(host_levels),
      purpose:     purpose,
      update:      1'b0,
      gpa:         gpa,
      hpa:         first_hpa(gpa, host_levels, start_query_i.ctx.host_root),
      guest_leaf:  '0,
      host_leaf:   '0,
      is_global:   1'b0,
      fault:       canonical ? gpa_fault(gpa, host_levels) : FaultWidth
    };
    start_next_o = next_of(start_walk_o.fault, 1'b0, start_walk_o.stage, purpose);
  end

  //////////
  // Step //
  //////////

  // Return the words of an update.
  function automatic pte_t expected_of(stage_e stage, leaf_t guest_leaf, leaf_t host_leaf);
    leaf_t leaf;
    leaf = (stage == StageGuest) ? guest_leaf : host_leaf;
    return Cfg.Svadu ? pte_t'(leaf) : '0;
  endfunction

  function automatic pte_t updated_of(pte_t expected, stage_e stage, purpose_e purpose,
                                      access_e access);
    return Cfg.Svadu ? pte_t'(with_ad(entry_of(expected), access_of(stage, purpose, access))) : '0;
  endfunction

  // An entry is of one of both stages, so its checks and the next address are computed once:
  //
  //                 | pointer               | leaf that lacks A or D | other leaf
  //   guest entry   | gPA of the next table | gPA of the entry       | gPA of the data
  //   host entry    | next table            | update it              | hPA of the gPA
  //
  // The gPA that a guest entry gives is translated from the host's root. After an update that
  // succeeded the entry is the updated word, which lacks nothing. After an update that found
  // another word, that word is checked like an entry just read. With a fault the walk keeps its
  // position, which the fault reports: stage, level, and in the host stage the gPA and its
  // purpose. The other members of a walk with a fault are not used.
  always_comb begin : p_step
    entry_t      entry;
    check_t     check;
    fault_kind_e fault;
    levels_t     host_levels;
    level_t      level;
    addr_t       addr;
    gpa_t        leads_to, gpa;
    stage_e      stage;
    purpose_e    purpose;
    leaf_t       kept;
    logic        guest, host_on, ok, leaf, made, lacks, update;
    host_levels = step_walk_i.query.ctx.tag.host_levels;
    host_on     = (host_levels != '0);
    guest       = (step_walk_i.stage == StageGuest);
    level       = guest ? step_walk_i.guest_level : step_walk_i.host_level;
    addr        = guest ? addr_t'(step_walk_i.query.gva) : addr_t'(step_walk_i.gpa);
    check      = check_of(step_walk_i.stage, step_walk_i.purpose, step_walk_i.query.access,
                            step_walk_i.query.ctx.mode);
    entry       = entry_of(step_pte_i);
    leaf        = is_leaf(entry.rights);
    // An updated entry passes its checks: with `adue` a leaf that lacks A or D does not fault.
    fault       = step_error_i ? FaultMemory : entry_fault(entry, level, check);
    ok          = (fault == FaultNone);
    made        = Cfg.Svadu && step_walk_i.update
               && step_pte_i == expected_of(step_walk_i.stage, step_walk_i.guest_leaf,
                                            step_walk_i.host_leaf);
    lacks       = Cfg.Svadu && leaf && lacks_ad(entry, check.access) && !made;
    kept        = Cfg.Svadu
                ? leaf_t'(without_reserved(made ? with_ad(entry, check.access) : entry))
                : leaf_t'({entry.n, entry.pbmt, entry.d, entry.g, entry.u, entry.rights});
    leads_to    = leaf ? gpa_t'(leaf_address(entry.ppn, leaf_span(entry.n, level), addr))
                       : gpa_t'(entry_address(ppn_base(entry.ppn),
                                              table_index(addr, level - 1'b1, 1'b0)));

    // The next position if there is no fault, and after a guest entry the next gPA.
    gpa         = (guest && !lacks) ? leads_to : step_walk_i.gpa;
    purpose     = !guest ? step_walk_i.purpose
                : !leaf  ? PurposeRead
                : lacks  ? PurposeUpdate : PurposeData;
    stage       = (guest ? host_on : (!leaf || lacks)) ? StageHost : StageGuest;
    update      = Cfg.Svadu && (guest ? (!host_on && lacks)
                                      : leaf && (lacks || step_walk_i.purpose == PurposeUpdate));

    step_walk_o = '{
      query:       step_walk_i.query,
      stage:       ok ? stage : step_walk_i.stage,
      guest_level: (ok && guest && !leaf) ? step_walk_i.guest_level - 1'b1
                                          : step_walk_i.guest_level,
      host_level:  guest ? root_level(host_levels)
                 : (ok && !leaf) ? step_walk_i.host_level - 1'b1 : step_walk_i.host_level,
      purpose:     purpose,
      update:      update,
      gpa:         gpa,
      hpa:         guest ? first_hpa(gpa, host_levels, step_walk_i.query.ctx.host_root)
                 : lacks ? step_walk_i.hpa : hpa_t'(leads_to),
      guest_leaf:  guest ? kept : step_walk_i.guest_leaf,
      host_leaf:   kept,
      is_global:   step_walk_i.is_global || (guest && !leaf && entry.g),
      fault:       ok ? gpa_fault(gpa, host_levels) : fault
    };
    step_next_o = next_of(step_walk_o.fault, update, stage, purpose);
  end

  logic unused_step_walk;
  assign unused_step_walk = ^step_walk_i;

  assign update_expected_o = expected_of(update_walk_i.stage, update_walk_i.guest_leaf,
                                         update_walk_i.host_leaf);
  assign update_new_o      = updated_of(update_expected_o, update_walk_i.stage,
                                        update_walk_i.purpose, update_walk_i.query.access);

  logic unused_update_walk;
  assign unused_update_walk = ^update_walk_i;

  ////////////
  // Lookup //
  ////////////

  // Moves a walk before the first entry of a stage to the position of a page-walk cache hit: an
  // entry of a guest table, an entry of a host table, or the guest entry whose gPA it translates.
  function automatic walk_t resume_from_pwc(walk_t walk, pwc_hit_t pwc_hit);
    walk_t  next;
    addr_t  table_base;
    index_t index;
    next       = walk;
    table_base = addr_t'(pwc_hit.hppn) << Cfg.OffsetWidth;
    unique case (pwc_hit.kind)
      PwcGuest: begin
        index            = table_index(addr_t'(walk.query.gva), pwc_hit.level, 1'b0);
        next.stage       = StageGuest;
        next.guest_level = pwc_hit.level;
        next.is_global   = pwc_hit.is_global;
        next.gpa         = gpa_t'(entry_address(addr_t'(pwc_hit.gppn) << Cfg.OffsetWidth, index));
        next.hpa         = hpa_t'(entry_address(table_base, index));
      end
      PwcHost: begin
        next.host_level = pwc_hit.level;
        next.hpa        = hpa_t'(entry_address(table_base, table_index(addr_t'(walk.gpa),
                                                                       pwc_hit.level, 1'b0)));
      end
      PwcNested: begin
        next.stage = StageGuest;
        next.hpa   = {pwc_hit.hppn, offset_t'(walk.gpa)};
      end
      default: ;
    endcase
    return next;
  endfunction

  assign lookup_walk_o = resume_from_pwc(lookup_walk_i, pwc_hit_i);

  /////////
  // End //
  /////////

  // A stage that is off has the page size of the other stage; with both off the size is the
  // smallest. The rights of a guest stage that is off are not used: its leaf is zero from the
  // start. The leaf of a host stage that is off is the guest's (see p_step).
  entry_t guest, host;
  assign guest = kept_entry(end_walk_i.guest_leaf);
  assign host  = kept_entry(end_walk_i.host_leaf);

  always_comb begin : p_end
    span_t guest_span, host_span;
    logic  guest_on, host_on;
    guest_on   = (end_walk_i.query.ctx.tag.guest_levels != '0);
    host_on    = (end_walk_i.query.ctx.tag.host_levels != '0);
    guest_span = leaf_span(guest.n, end_walk_i.guest_level);
    host_span  = leaf_span(host.n, end_walk_i.host_level);

    end_data_o.translation.gppn        = gppn_t'(end_walk_i.gpa >> Cfg.OffsetWidth);
    end_data_o.translation.hppn        = hppn_t'(end_walk_i.hpa >> Cfg.OffsetWidth);
    end_data_o.perms.guest      = guest.rights;
    end_data_o.perms.host       = host_on ? host.rights : '1;
    end_data_o.translation.guest_span  = guest_on ? guest_span : host_span;
    end_data_o.translation.host_span   = host_on ? host_span : guest_span;
    end_data_o.perms.user       = guest.u;
    end_data_o.perms.dirty      = (!guest_on || guest.d) && host.d;
    end_data_o.is_global         = end_walk_i.is_global || guest.g;
    end_data_o.translation.attributes  = (guest.pbmt != '0) ? guest.pbmt : host.pbmt;
  end

  logic unused_end;
  assign unused_end = ^{end_walk_i, guest, host};

endmodule
