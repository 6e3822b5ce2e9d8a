// SPDX-License-Identifier: Apache-2.0
// walk_step_riscv against the privileged specification, for every entry and every state of a walk.
//
// Written from the specification ("Virtual Address Translation Process", "Svnapot", "Svpbmt",
// "Svadu", "Two-Stage Address Translation") and docs/formats.md, as predicates over the raw bits of
// an entry. Only the types of the ports come from the RTL. One output is left open, because it is
// not used: the address of a walk that ends with a fault.
//
// A walk that takes a step is assumed to satisfy only walk_facts.sv. Property 7.9 shows that every
// walk does.

`include "nested_mmu_types.svh"

module step_riscv
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format    = FormatRv64,
  parameter int unsigned MaxLevels = 5,
  parameter bit          Svadu     = 1'b1,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: 4, WalkSlots: 2, MissEntries: 4, IdWidth: 2, AsidWidth: 2,
    VmidWidth: 2, MaxLevels: MaxLevels, Svadu: Svadu, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input query_t start_query_i,
  input walk_t  walk_i,
  input pte_t   found_i,
  input logic   error_i,
  input pwc_hit_t  pwc_hit_i
);

  localparam bit          Rv64      = (Format == FormatRv64);
  localparam int unsigned VpnWidth  = Rv64 ? 9 : 10;
  localparam int unsigned PteBytes  = Rv64 ? 8 : 4;

  localparam type word_t  = logic [63:0];
  localparam type count_t = logic [6:0];

  walk_t      start, next, behind;
  walk_next_e start_wants, wants;
  pte_t       expected, updated;
  tlb_data_t  found;

  walk_step_riscv #(.Cfg(Cfg)) u_dut (
    .start_query_i,
    .start_walk_o      (start),
    .start_next_o      (start_wants),
    .step_walk_i       (walk_i),
    .step_pte_i        (found_i),
    .step_error_i      (error_i),
    .step_walk_o       (next),
    .step_next_o       (wants),
    .update_walk_i     (walk_i),
    .update_expected_o (expected),
    .update_new_o      (updated),
    .lookup_walk_i       (walk_i),
    .pwc_hit_i       (pwc_hit_i),
    .lookup_walk_o       (behind),
    .end_walk_i        (walk_i),
    .end_data_o        (found)
  );

  ////////////////////////
  // The specification  //
  ////////////////////////

  // Bits 9:0 are the same in every mode.
  typedef struct packed {
    logic d, a, g, u, x, w, r, v;
  } bits_t;

  function automatic bits_t bits_of(word_t pte);
    return bits_t'(pte[7:0]);
  endfunction

  function automatic word_t ppn_of(word_t pte);
    return Rv64 ? word_t'(pte[53:10]) : word_t'(pte[31:10]);
  endfunction

  function automatic logic [1:0] pbmt_of(word_t pte);
    return Rv64 ? pte[62:61] : 2'd0;
  endfunction

  function automatic logic napot_of(word_t pte);
    return Rv64 && pte[63];
  endfunction

  // A leaf as a walk keeps it; without Svadu only the bits that the end of the walk uses, from the
  // highest: N, PBMT, D, G, U, X, W, R.
  function automatic word_t leaf_word(leaf_t leaf);
    word_t word;
    if (Svadu) return word_t'(leaf);
    word = '0;
    {word[63], word[62:61], word[7], word[5], word[4], word[3:1]} = 9'(leaf);
    return word;
  endfunction

  function automatic word_t kept_of(word_t pte);
    word_t mask;
    mask = '1;
    if (!Svadu) mask = 64'hE000_0000_0000_00BE;
    return pte & mask;
  endfunction

  function automatic logic is_pointer(word_t pte);
    return !pte[1] && !pte[3];
  endfunction

  // pte.ppn[level-1:0] and va.vpn[level-1:0], as masks of an address.
  function automatic word_t below(int unsigned level);
    return (word_t'(1) << (12 + level * VpnWidth)) - 1;
  endfunction

  // log2 of the size in bytes of a leaf's page.
  function automatic int unsigned page_log2(word_t pte, int unsigned level);
    return napot_of(pte) ? 16 : 12 + level * VpnWidth;
  endfunction

  // va.vpn[level]
  function automatic word_t vpn_of(word_t va, int unsigned level);
    return (va >> (12 + level * VpnWidth)) & ((word_t'(1) << VpnWidth) - 1);
  endfunction

  // The address that a leaf gives: the page of the leaf, with the offset of the address.
  function automatic word_t leaf_gives(word_t pte, int unsigned level, word_t va);
    word_t in_page;
    in_page = (word_t'(1) << page_log2(pte, level)) - 1;
    return ((ppn_of(pte) * 4096) & ~in_page) + (va & in_page);
  endfunction

  // G-stage: the index into the root table is two bits wider, and the table is aligned to 16 KiB.
  function automatic word_t host_root_entry(ctx_t ctx, word_t gpa);
    word_t index;
    index = (gpa >> (12 + (32'(ctx.tag.host_levels) - 1) * VpnWidth))
        & ((word_t'(1) << (VpnWidth + 2)) - 1);
    return (word_t'(ctx.host_root) / 16384) * 16384 + index * PteBytes;
  endfunction

  // "Address bits must all be zeros, or else a guest-page-fault": above 34, 41, 50 or 59 bits.
  function automatic logic host_too_wide(levels_t levels, word_t gpa);
    unique case (levels)
      3'd3:    return (gpa >> 41) != 0;
      3'd4:    return (gpa >> 50) != 0;
      3'd5:    return (gpa >> 59) != 0;
      default: return (gpa >> 34) != 0;
    endcase
  endfunction

  // "Bits 63 to 39 all equal to bit 38", and so on; all 32 bits of an Sv32 address are translated.
  function automatic logic is_canonical(levels_t levels, word_t va);
    unique case (levels)
      3'd3:    return va[63:38] == '0 || va[63:38] == '1;
      3'd4:    return va[63:47] == '0 || va[63:47] == '1;
      3'd5:    return va[63:56] == '0 || va[63:56] == '1;
      default: return 1'b1;
    endcase
  endfunction

  // Svadu: A is set, and for a store also D.
  function automatic word_t touched(word_t pte, logic store);
    return pte | 64'h40 | (store ? 64'h80 : 64'h0);
  endfunction

  // Facts about a walk, before and after the step.
  logic sound, sound_end, next_sound, next_sound_end, start_sound, legal;
  count_t reads, updates, next_reads, next_updates, start_reads, start_updates, reads_most,
      updates_most;

  walk_facts #(.Cfg(Cfg)) u_walk (
    .walk_i,
    .legal_o        (),
    .sound_o        (sound),
    .sound_end_o    (sound_end),
    .reads_left_o   (reads),
    .updates_left_o (updates),
    .reads_most_o   (),
    .updates_most_o ()
  );

  walk_facts #(.Cfg(Cfg)) u_next (
    .walk_i         (next),
    .legal_o        (),
    .sound_o        (next_sound),
    .sound_end_o    (next_sound_end),
    .reads_left_o   (next_reads),
    .updates_left_o (next_updates),
    .reads_most_o   (),
    .updates_most_o ()
  );

  walk_facts #(.Cfg(Cfg)) u_start (
    .walk_i         (start),
    .legal_o        (legal),
    .sound_o        (start_sound),
    .sound_end_o    (),
    .reads_left_o   (start_reads),
    .updates_left_o (start_updates),
    .reads_most_o   (reads_most),
    .updates_most_o (updates_most)
  );

  /////////////////////
  // A walk's step   //
  /////////////////////

  // The context of the entry's checks.
  logic        host, implicit, store, fetch, executes;
  int unsigned level;
  mode_t       mode;
  levels_t     host_levels;
  assign host        = (walk_i.stage == StageHost);
  assign implicit    = host && walk_i.purpose != PurposeData;
  assign store       = implicit ? (walk_i.purpose == PurposeUpdate)
      : (walk_i.query.access == AccessStore);
  assign fetch       = !implicit && walk_i.query.access == AccessFetch;
  assign executes    = fetch || (!implicit && walk_i.query.access == AccessLoadExecute);
  assign level       = host ? 32'(walk_i.host_level) : 32'(walk_i.guest_level);
  assign mode        = walk_i.query.ctx.mode;
  assign host_levels = walk_i.query.ctx.tag.host_levels;

  // The entry: the word that was read, or after a compare-and-swap the word that memory has now.
  word_t pte, kept;
  bits_t b;
  logic  pointer, mxr;
  assign kept    = host ? leaf_word(walk_i.host_leaf) : leaf_word(walk_i.guest_leaf);
  assign pte     = (walk_i.update && word_t'(found_i) == kept) ? touched(kept, store)
      : word_t'(found_i);
  assign b       = bits_of(pte);
  assign pointer = is_pointer(pte);
  assign mxr     = !implicit && (host ? mode.priv.host_mxr : mode.priv.guest_mxr);

  // The rules that an entry may break.
  logic invalid, reserved, dangling, misaligned, forbidden, untouched;

  assign invalid = !b.v || (b.w && !b.r);

  assign reserved = (Rv64 && pte[60:54] != '0)
                 || (pointer && (b.a || b.d || b.u || napot_of(pte) || pbmt_of(pte) != 2'd0))
                 || (!pointer && pbmt_of(pte) != 2'd0
                     && (pbmt_of(pte) == 2'd3 || !(host ? mode.host_pbmte : mode.guest_pbmte)))
                 || (!pointer && napot_of(pte)
                     && !(mode.napot && level == 0 && pte[13:10] == 4'b1000));

  assign dangling   = pointer && level == 0;
  assign misaligned = !pointer && ((ppn_of(pte) * 4096) & below(level)) != '0;

  logic user_denied, rights_denied;
  assign user_denied   = (host || mode.priv.user) ? !b.u : (b.u && (fetch || !mode.priv.sum));
  assign rights_denied = executes ? !b.x : store ? !b.w : !(b.r || (mxr && b.x));
  assign forbidden     = !pointer && (user_denied || rights_denied);
  assign untouched     = !pointer && (!b.a || (store && !b.d));

  logic adue, passed, update, descends, leads;
  assign adue     = Svadu && (host ? mode.host_adue : mode.guest_adue);
  assign passed   = !error_i && !invalid && !reserved && !dangling && !misaligned && !forbidden
                 && (!untouched || adue);
  assign update   = passed && untouched;
  assign descends = passed && pointer;
  assign leads    = passed && !pointer && !untouched;

  // The gPA that is translated next.
  logic     sought, host_off;
  word_t    sought_gpa;
  purpose_e sought_purpose;
  assign host_off       = (host_levels == '0);
  assign sought         = passed && !host;
  assign sought_purpose = descends ? PurposeRead : update ? PurposeUpdate : PurposeData;
  assign sought_gpa     = descends ? ppn_of(pte) * 4096 + vpn_of(word_t'(walk_i.query.gva),
                                                                 level - 1) * PteBytes
                        : update   ? word_t'(walk_i.gpa)
                        :            leaf_gives(pte, level, word_t'(walk_i.query.gva));
  logic too_wide, no_such_hpa;
  assign too_wide    = sought && !host_off && host_too_wide(host_levels, sought_gpa);
  assign no_such_hpa = sought && host_off && (sought_gpa >> Cfg.HpaWidth) != '0;

  logic   goes_on, lost;
  count_t n, m;
  assign goes_on = (wants inside {WalkRead, WalkUpdate});
  assign lost    = walk_i.update && word_t'(found_i) != kept;
  assign n       = count_t'(walk_i.query.ctx.tag.guest_levels);
  assign m       = count_t'(walk_i.query.ctx.tag.host_levels);

  always_comb begin : p_step
    if (sound) begin
      // 7.1 A memory error at an entry is a memory fault, whatever the word is.
      MemoryFault_A: assert ((next.fault == FaultMemory) == (error_i || no_such_hpa));
      // 7.2 The first rule that an entry breaks decides the fault: invalid, reserved, pointer at
      // level 0, misaligned superpage, permission, accessed and dirty.
      Invalid_A:       assert ((next.fault == FaultInvalid) == (!error_i && invalid));
      Reserved_A:      assert ((next.fault == FaultReserved) == (!error_i && !invalid && reserved));
      Pointer_A:       assert ((next.fault == FaultPointer) == (!error_i && !invalid && !reserved
                                                                && dangling));
      Misaligned_A:    assert ((next.fault == FaultMisaligned)
                               == (!error_i && !invalid && !reserved && !dangling && misaligned));
      Permission_A:    assert ((next.fault == FaultPermission)
                               == (!error_i && !invalid && !reserved && !dangling && !misaligned
                                   && forbidden));
      AccessedDirty_A: assert ((next.fault == FaultAccessedDirty)
                               == (!error_i && !invalid && !reserved && !dangling && !misaligned
                                   && !forbidden
                                   && untouched && !adue));
      // 7.3 A gPA that is too wide for the host stage is a width fault of the host root, before any
      // read.
      Width_A:         assert ((next.fault == FaultWidth) == too_wide);
      OtherFault_A:    assert (next.fault inside {FaultNone, FaultMemory, FaultWidth,
                                                  FaultReserved, FaultInvalid,
                                                  FaultPermission, FaultAccessedDirty, FaultPointer,
                                                  FaultMisaligned});
      // 7.4 The fault of an entry has the position of the walk: its stage and guest level do not
      // change, nor in the host stage the level, the gPA and its purpose.
      if (!passed) begin
        FaultPlace_A: assert (next.stage == walk_i.stage && next.guest_level == walk_i.guest_level
                              && (!host || (next.host_level == walk_i.host_level
                                            && next.gpa == walk_i.gpa
                                            && next.purpose == walk_i.purpose)));
      end
      // 7.5 A pointer leads to the entry at ppn * PAGESIZE + vpn[level-1] * PTESIZE, one level
      // below.
      if (descends && host) begin
        HostPointer_A: assert (word_t'(next.hpa) == ppn_of(pte) * 4096
                                                    + vpn_of(word_t'(walk_i.gpa),
                                                             level - 1) * PteBytes
                               && 32'(next.host_level) == level - 1 && next.stage == StageHost
                               && !next.update
                               && next.gpa == walk_i.gpa && next.purpose == walk_i.purpose
                               && next.guest_level == walk_i.guest_level);
      end
      if (sought) begin
        GuestPointer_A: assert (32'(next.guest_level) == (descends ? level - 1 : level)
                                && word_t'(next.gpa) == sought_gpa
                                && next.purpose == sought_purpose);
      end
      // 7.6 Each gPA, of a guest entry, of its update and of the data, is translated from the host
      // root; with the host stage off it is the hPA.
      if (sought && !host_off) begin
        HostRoot_A: assert (next.stage == StageHost && 32'(next.host_level) == 32'(host_levels) - 1
                            && !next.update
                            && (too_wide || word_t'(next.hpa)
                                            == host_root_entry(walk_i.query.ctx, sought_gpa)));
      end
      if (sought && host_off) begin
        HostOff_A: assert (next.stage == StageGuest
                           && next.update == (sought_purpose == PurposeUpdate)
                           && (no_such_hpa || word_t'(next.hpa) == sought_gpa));
      end
      // 7.7 A host leaf that lacks A or D is updated in place. Otherwise it gives the hPA of its
      // gPA, at which the walk then reads or updates a guest entry, or which is the response.
      if (update && host) begin
        HostUpdate_A: assert (next.update && next.stage == StageHost && next.hpa == walk_i.hpa
                              && next.gpa == walk_i.gpa && next.purpose == walk_i.purpose
                              && next.host_level == walk_i.host_level
                              && next.guest_level == walk_i.guest_level);
      end
      if (leads && host) begin
        HostLeaf_A: assert (next.hpa == hpa_t'(leaf_gives(pte, level, word_t'(walk_i.gpa)))
                            && next.stage == StageGuest
                            && next.update == (walk_i.purpose == PurposeUpdate)
                            && next.gpa == walk_i.gpa && next.purpose == walk_i.purpose
                            && next.host_level == walk_i.host_level
                            && next.guest_level == walk_i.guest_level);
      end
      // 7.8 The walk keeps the request, the guest leaf, the leaf that was read last, as memory has
      // them, and whether a guest pointer was global.
      Kept_A: assert (next.query == walk_i.query);
      if (passed) begin
        Leaves_A: assert (((pointer && !host)
                           || leaf_word(next.guest_leaf) == (host ? leaf_word(walk_i.guest_leaf)
                                                             : kept_of(pte)))
                          && (pointer || !host || leaf_word(next.host_leaf) == kept_of(pte))
                          && next.is_global == (walk_i.is_global || (descends && !host && b.g)));
      end
      // 7.9 The assumptions about a walk hold from its start on.
      Sound_A:    assert (!goes_on || next_sound);
      SoundEnd_A: assert (wants != WalkDone || next_sound_end);
      // 7.10 A walk continues exactly if there is no fault and the gPA of the data has not been
      // translated.
      Next_A: assert (wants == ((next.fault != FaultNone)                          ? WalkFault
                              : next.update                                        ? WalkUpdate
                              : ((leads && host && walk_i.purpose == PurposeData)
                                 || (leads && !host && host_off))                  ? WalkDone
                              :                                                      WalkRead));
      // 7.11 An update sets A, and for a store D, of the leaf that was read, and no other bit.
      if (walk_i.update) begin
        Update_A: assert (word_t'(expected) == kept && word_t'(updated) == touched(kept, store));
      end

      // 4.2 Each read and each update makes the number that is left smaller.
      if (!lost) begin
        Reads_A:   assert (!goes_on || next_reads + count_t'(!walk_i.update) <= reads);
        Updates_A: assert (!goes_on || next_updates + count_t'(walk_i.update) <= updates);
      end
      // 4.3 After an update that finds another word, that word is the entry, so more reads and
      // updates may be left: for n guest levels over m host levels, n(m+1) - 1 reads (m - 1 without
      // a guest stage), and n + 1 updates.
      if (lost) begin
        LostReads_A:   assert (!goes_on || next_reads <= reads + ((n != '0) ? n * (m + 1) - 1
                                                                  : m - 1));
        LostUpdates_A: assert (!goes_on || next_updates <= updates + n + 1);
      end

      // Each kind of step occurs.
      StepDescends_C: cover (descends && !host && wants == WalkRead);
      StepWide_C:     cover (next.fault == FaultWidth || !Rv64);
      StepUpdates_C:  cover (!Svadu || update && !host && wants == WalkRead);
      StepLost_C:     cover (!Svadu || lost && descends && host);
      StepNapot_C:    cover ((leads && host && napot_of(pte) && wants == WalkDone) || !Rv64);
      StepSuper_C:    cover (leads && !host && level == Cfg.Levels - 1 && wants == WalkRead);
      StepPermit_C:   cover (next.fault == FaultPermission && implicit);
      StepDone_C:     cover (wants == WalkDone);
    end
  end

  /////////////////////
  // A walk's start  //
  /////////////////////

  query_t q;
  logic   guest_on, host_on, canonical;
  word_t  first_gpa;
  assign q         = start_query_i;
  assign guest_on  = (q.ctx.tag.guest_levels != '0);
  assign host_on   = (q.ctx.tag.host_levels != '0);
  assign canonical = !guest_on || is_canonical(q.ctx.tag.guest_levels, word_t'(q.gva));
  // With the guest stage off the gVA is the gPA.
  assign first_gpa = !guest_on ? word_t'(q.gva)
                   : (word_t'(q.ctx.guest_root) / 4096) * 4096
                     + vpn_of(word_t'(q.gva), 32'(q.ctx.tag.guest_levels) - 1) * PteBytes;

  always_comb begin : p_start
    if (legal) begin
      // 7.12 A gVA that is not canonical is a width fault of the guest root, before any read.
      Canonical_A: assert ((start.fault == FaultWidth && start.stage == StageGuest) == !canonical);
      if (guest_on) StartLevel_A: assert (32'(start.guest_level)
                                          == 32'(q.ctx.tag.guest_levels) - 1);
      // 7.13 A walk starts with the gPA of the guest's root entry, or of the data if the guest
      // stage is off; this gPA is translated like every other.
      if (canonical) begin
        StartGpa_A:   assert (word_t'(start.gpa) == first_gpa
                              && start.purpose == (guest_on ? PurposeRead : PurposeData));
        if (host_on) begin
          StartHost_A: assert (start.stage == StageHost
                               && 32'(start.host_level) == 32'(q.ctx.tag.host_levels) - 1
                               && start.fault == (host_too_wide(q.ctx.tag.host_levels, first_gpa)
                                                  ? FaultWidth : FaultNone)
                               && (start.fault != FaultNone
                                   || word_t'(start.hpa) == host_root_entry(q.ctx, first_gpa)));
        end else begin
          StartOff_A: assert (start.stage == StageGuest
                              && start.fault == (((first_gpa >> Cfg.HpaWidth) != '0) ? FaultMemory
                                                 : FaultNone)
                              && (start.fault != FaultNone || word_t'(start.hpa) == first_gpa));
        end
      end
      StartKept_A:  assert (start.query == q && !start.update && !start.is_global);
      StartNext_A:  assert (start_wants == (start.fault != FaultNone ? WalkFault
                                          : (guest_on || host_on)   ? WalkRead : WalkDone));
      StartSound_A: assert (start_wants != WalkRead || start_sound);
      // 4.1 At its start a walk has no more reads and updates left than the bound of walk_facts.sv.
      StartReads_A: assert (start_wants != WalkRead
                            || (start_reads <= reads_most && start_updates <= updates_most));

      StartTwoStages_C: cover (start_wants == WalkRead && guest_on && host_on);
      StartOff_C:       cover (start_wants == WalkDone);
    end
  end

  ///////////////////////////////
  // A page-walk cache hit     //
  ///////////////////////////////

  // The index of the address into a table of a level, in bytes. The table is not the host root.
  function automatic word_t index_of(word_t address, level_t level);
    word_t vpn;
    vpn = address >> (12 + 32'(level) * VpnWidth);
    return (vpn & ((word_t'(1) << VpnWidth) - 1)) * PteBytes;
  endfunction

  word_t table_hpa, table_gpa, host_root_level;
  assign table_hpa       = word_t'(pwc_hit_i.hppn) << 12;
  assign table_gpa       = word_t'(pwc_hit_i.gppn) << 12;
  assign host_root_level = word_t'(walk_i.query.ctx.tag.host_levels) - 1;

  always_comb begin : p_pwc_hit
    if (32'(pwc_hit_i.level) + 1 < Cfg.Levels && word_t'(pwc_hit_i.level) < host_root_level
        && host_root_level < Cfg.Levels && !walk_i.update
        && (pwc_hit_i.kind != PwcHost || walk_i.stage == StageHost)) begin
      // 7.15 After a page-walk cache hit the walk is at an entry of the table of the hit, at the
      // address's own index, or at the guest entry in its page; its request is the same. (9 shows
      // that the walk was before the first entry of a stage, for the host stage.)
      PassKeeps_A:  assert (behind.query == walk_i.query && behind.purpose == walk_i.purpose
                            && !behind.update
                            && behind.guest_leaf == walk_i.guest_leaf
                            && behind.fault == walk_i.fault);
      PassNone_A:   assert (pwc_hit_i.kind != PwcNone || behind == walk_i);
      PassGuest_A:  assert (pwc_hit_i.kind != PwcGuest
                            || (behind.stage == StageGuest && behind.guest_level == pwc_hit_i.level
                                && behind.is_global == pwc_hit_i.is_global
                                && word_t'(behind.gpa)
                                    == (table_gpa | index_of(word_t'(walk_i.query.gva),
                                                             pwc_hit_i.level))
                                && word_t'(behind.hpa)
                                    == (table_hpa | index_of(word_t'(walk_i.query.gva),
                                                             pwc_hit_i.level))));
      PassHost_A:   assert (pwc_hit_i.kind != PwcHost
                            || (behind.stage == StageHost && behind.host_level == pwc_hit_i.level
                                && behind.guest_level == walk_i.guest_level
                                && behind.is_global == walk_i.is_global
                                && behind.gpa == walk_i.gpa
                                && word_t'(behind.hpa)
                                    == (table_hpa | index_of(word_t'(walk_i.gpa),
                                                             pwc_hit_i.level))));
      PassNested_A: assert (pwc_hit_i.kind != PwcNested
                            || (behind.stage == StageGuest
                                && behind.guest_level == walk_i.guest_level
                                && behind.is_global == walk_i.is_global && behind.gpa == walk_i.gpa
                                && word_t'(behind.hpa) == (table_hpa | word_t'(walk_i.gpa[11:0]))));
    end
  end

  ///////////////////
  // A walk's end  //
  ///////////////////

  word_t guest_leaf, host_leaf;
  logic  guest_was, host_was;
  int unsigned guest_log2, host_log2;
  assign guest_leaf = leaf_word(walk_i.guest_leaf);
  assign host_leaf  = leaf_word(walk_i.host_leaf);
  assign guest_was  = (walk_i.query.ctx.tag.guest_levels != '0);
  assign host_was   = (walk_i.query.ctx.tag.host_levels != '0);
  assign guest_log2 = guest_was ? page_log2(guest_leaf, 32'(walk_i.guest_level))
                    : host_was  ? page_log2(host_leaf, 32'(walk_i.host_level)) : 12;
  assign host_log2  = host_was  ? page_log2(host_leaf, 32'(walk_i.host_level)) : guest_log2;

  bits_t gb, hb;
  assign gb = bits_of(guest_leaf);
  assign hb = bits_of(host_leaf);

  // A size as a thermometer code.
  function automatic logic is_span(span_t span, int unsigned log2);
    logic ok;
    ok = 1'b1;
    for (int unsigned size = 0; size + 1 < Cfg.PageSizes; size++) begin
      ok = ok && (span[size] == (log2 > 32'(Cfg.PageLog2[size])));
    end
    return ok;
  endfunction

  always_comb begin : p_end
    if (sound_end) begin
      // 7.14 The result of a walk has the pages, the size of each leaf, the permissions of both
      // leaves, whether both are dirty, whether a guest entry was global, and the memory type of
      // the guest or else of the host. A stage that is off has the other stage's page, and with
      // both off the smaller page is 4K. A host stage that is off permits every access.
      EndPages_A:  assert (found.translation.gppn == gppn_t'(walk_i.gpa >> 12)
                           && found.translation.hppn == walk_i.hpa[Cfg.HpaWidth-1:12]);
      EndSizes_A:  assert ((guest_was || host_was)
                             ? is_span(found.translation.guest_span, guest_log2)
                                 && is_span(found.translation.host_span, host_log2)
                             : is_span(found.translation.guest_span & found.translation.host_span,
                                       12));
      EndGuest_A:  assert ((!guest_was || (found.perms.guest == {gb.x, gb.w, gb.r}
                                           && found.perms.user == gb.u))
                           && found.is_global == (guest_was && (walk_i.is_global || gb.g)));
      EndHost_A:   assert (found.perms.host == (host_was ? {hb.x, hb.w, hb.r} : 3'b111));
      EndDirty_A:  assert (!(guest_was || host_was)
                           || found.perms.dirty == !((guest_was && !gb.d) || (host_was && !hb.d)));
      EndMemory_A: assert (found.translation.attributes
                           == ((guest_was && pbmt_of(guest_leaf) != '0) ? pbmt_of(guest_leaf)
                             : host_was ? pbmt_of(host_leaf) : 2'd0));
    end
  end

endmodule
