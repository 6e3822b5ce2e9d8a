// SPDX-License-Identifier: Apache-2.0
// Types, rules and level geometry that every part of the nested-paging MMU shares.
//
// Widths that depend on the format are made from `cfg_t` by `NESTED_MMU_TYPES (nested_mmu_types.svh);
// what does not depend on it stands here.

package nested_mmu_pkg;

  // Paging format. The walk step of a format is the only place that knows its rules.
  typedef enum int unsigned {
    FormatHandout   = 0,  // 20-bit addresses, 2|2|16: the machine of the 6.823 handout
    FormatClassic32 = 1,  // 32-bit addresses, 10|10|12: the same rules on the classic geometry
    FormatRv32      = 2,  // RISC-V: Sv32, Sv32x4
    FormatRv64      = 3   // RISC-V: Sv39, Sv48, Sv57, and x4
  } format_e;

  localparam int unsigned MaxPageSizes  = 6;
  localparam int unsigned PageLog2Width = 6;

  // Everything that is fixed when a design is elaborated. Widths in bits.
  typedef struct packed {
    // The format's row of the geometry table.
    int unsigned GvaWidth;
    int unsigned GpaWidth;
    int unsigned GpaMapWidth;    // gPA that can be mapped, an hPA included: wider ones fault
    int unsigned HostMapWidth;   // gPA that the host stage maps
    int unsigned GvaMapWidth;    // gVA that can be mapped: the bits above are as its highest
    int unsigned HpaWidth;
    int unsigned PteWidth;       // a table entry; its bytes are the stride of a table
    int unsigned OffsetWidth;    // offset in the smallest page
    int unsigned IndexWidth;     // index of each level
    int unsigned HostRootExtra;  // bits by which the host root's index is wider
    int unsigned Levels;         // of either stage, at most
    int unsigned NapotWidth;     // index bits in a NAPOT page's offset; 0: there are none
    logic        Riscv;          // the rules are RISC-V's, else the handout's
    logic        Svadu;          // RISC-V: A and D can be set by hardware
    // log2 of the bytes of each page size, the smallest first.
    int unsigned                          PageSizes;
    logic [MaxPageSizes-1:0][PageLog2Width-1:0] PageLog2;
    // The user's choice.
    int unsigned IdWidth;
    int unsigned AsidWidth;
    int unsigned VmidWidth;
    int unsigned TlbEntries;
    int unsigned WalkSlots;
    int unsigned MissEntries;    // requests that can wait for a walk
    logic        ReadBypass;     // a read may leave in the cycle of its predecessor's data
    int unsigned GuestCacheEntries;  // walk caches, 0: there is none. Of each level
    int unsigned HostCacheEntries;   // of each level
    int unsigned NestedTlbEntries;
    logic        HasWalkCaches;      // any of them
    int unsigned Tlb2Sets;           // second-level TLB, 0: there is none. Of the smallest pages
    int unsigned Tlb2Ways;
    int unsigned Tlb2Superpages;     // of all larger ones
  } cfg_t;

  // The geometry table: one row a format, and how many of its levels there are at most.
  function automatic cfg_t geometry(format_e format, int unsigned max_levels);
    unique case (format)
      //                                  gVA gPA hPA PTE offset index extra levels napot RISC-V
      FormatHandout:   return geometry_row(20, 20, 20, 32, 16,  2, 0, 2,          0, 1'b0);
      FormatClassic32: return geometry_row(32, 32, 32, 32, 12, 10, 0, 2,          0, 1'b0);
      FormatRv32:      return geometry_row(32, 34, 34, 32, 12, 10, 2, 2,          0, 1'b1);
      FormatRv64:      return geometry_row(64, 64, 56, 64, 12,  9, 2, max_levels, 4, 1'b1);
      default:         return '0;
    endcase
  endfunction

  function automatic cfg_t geometry_row(int unsigned gva, int unsigned gpa, int unsigned hpa,
                                        int unsigned pte, int unsigned offset, int unsigned index,
                                        int unsigned extra, int unsigned levels, int unsigned napot,
                                        logic riscv);
    cfg_t row;
    row               = '0;
    row.GvaWidth      = gva;
    row.GpaWidth      = gpa;
    row.HostMapWidth  = offset + levels * index + extra;
    row.GpaMapWidth   = (row.HostMapWidth > hpa) ? row.HostMapWidth : hpa;  // the host stage may be off
    // A signed gVA; where the guest stage is off an unsigned gPA.
    row.GvaMapWidth   = (row.HostMapWidth < gva) ? row.HostMapWidth + 1 : gva;
    row.HpaWidth      = hpa;
    row.PteWidth      = pte;
    row.OffsetWidth   = offset;
    row.IndexWidth    = index;
    row.HostRootExtra = extra;
    row.Levels        = levels;
    row.NapotWidth    = napot;
    row.Riscv         = riscv;

    // A leaf may be at any level on RISC-V; a NAPOT page is the first's with some of the next index.
    row.PageSizes   = 1;
    row.PageLog2[0] = PageLog2Width'(offset);
    if (napot != 0) begin
      row.PageLog2[row.PageSizes] = PageLog2Width'(offset + napot);
      row.PageSizes++;
    end
    for (int unsigned level = 1; riscv && level < levels; level++) begin
      row.PageLog2[row.PageSizes] = PageLog2Width'(offset + level * index);
      row.PageSizes++;
    end
    return row;
  endfunction

  function automatic cfg_t make_cfg(format_e format, int unsigned tlb_entries, int unsigned walk_slots,
                                    int unsigned miss_entries, int unsigned id_width,
                                    int unsigned asid_width, int unsigned vmid_width,
                                    int unsigned guest_cache_entries = 0,
                                    int unsigned host_cache_entries = 0,
                                    int unsigned nested_tlb_entries = 0,
                                    logic read_bypass = 1'b0,
                                    int unsigned max_levels = 5, logic svadu = 1'b1,
                                    int unsigned tlb2_sets = 0, int unsigned tlb2_ways = 0,
                                    int unsigned tlb2_superpages = 0);
    cfg_t cfg;
    cfg             = geometry(format, max_levels);
    cfg.Svadu       = svadu;
    cfg.TlbEntries  = tlb_entries;
    cfg.WalkSlots   = walk_slots;
    cfg.MissEntries = miss_entries;
    cfg.IdWidth     = id_width;
    cfg.AsidWidth   = asid_width;
    cfg.VmidWidth   = vmid_width;
    cfg.ReadBypass  = read_bypass;
    cfg.GuestCacheEntries = guest_cache_entries;
    cfg.HostCacheEntries  = host_cache_entries;
    cfg.NestedTlbEntries  = nested_tlb_entries;
    cfg.HasWalkCaches     = (guest_cache_entries != 0) || (host_cache_entries != 0) || (nested_tlb_entries != 0);
    cfg.Tlb2Sets          = tlb2_sets;
    cfg.Tlb2Ways          = tlb2_ways;
    cfg.Tlb2Superpages    = tlb2_superpages;
    return cfg;
  endfunction

  // Width of a number in 0 .. n-1, at least one bit.
  function automatic int unsigned index_width(int unsigned n);
    return (n > 1) ? $clog2(n) : 1;
  endfunction

  typedef enum logic [1:0] {
    AccessLoad        = 2'd0,
    AccessStore       = 2'd1,
    AccessFetch       = 2'd2,
    AccessLoadExecute = 2'd3   // RISC-V HLVX: a load that needs what a fetch needs
  } access_e;

  typedef enum logic {
    StageGuest = 1'b0,  // gVA => gPA
    StageHost  = 1'b1   // gPA => hPA
  } stage_e;

  // What a gPA is translated for.
  typedef enum logic [1:0] {
    PurposeRead   = 2'd0,  // to read a guest entry
    PurposeData   = 2'd1,  // the access itself
    PurposeUpdate = 2'd2   // to set A or D of a guest leaf
  } purpose_e;

  typedef enum logic [3:0] {
    FaultNone          = 4'd0,
    FaultMemory        = 4'd1,  // the memory answered an entry's read or update with an error; no such hPA
    FaultMisaligned    = 4'd2,  // handout: entry address not a multiple of the entry size; RISC-V: superpage
    FaultWidth         = 4'd3,  // an address is too wide for its stage
    FaultReserved      = 4'd4,  // reserved bits of an entry are not zero
    FaultInvalid       = 4'd5,  // the entry is not valid
    FaultPermission    = 4'd6,  // the leaf does not permit the access
    FaultAccessedDirty = 4'd7,  // the leaf's A or D would have to be set, and may not be
    FaultPointer       = 4'd8,  // a pointer where only a leaf can be
    FaultOvertaken     = 4'd9   // inside only: a fence has overtaken the walk; the response is a replay
  } fault_kind_e;

  // What a walk wants next.
  typedef enum logic [1:0] {
    WalkRead   = 2'd0,  // the entry at walk.hpa
    WalkDone   = 2'd1,  // nothing: walk.hpa is the translation
    WalkFault  = 2'd2,  // nothing: walk.fault says why
    WalkUpdate = 2'd3   // compare-and-swap of the leaf at walk.hpa
  } walk_next_e;

  typedef enum logic [1:0] {
    SlotIdle = 2'd0,
    SlotRead = 2'd1,  // waits for the memory port
    SlotWait = 2'd2,  // its read or update is in flight
    SlotDone = 2'd3   // has a result that not every requester has been given
  } slot_state_e;

  // Which walk caches are in use.
  typedef struct packed {
    logic nested;  // gPA page of a guest table => its hPA page
    logic host;    // gPA prefix => the next host table
    logic guest;   // gVA prefix => the next guest table, in hPA
  } walk_caches_t;

  // What a walk cache has spared a walk.
  typedef enum logic [1:0] {
    PassNone   = 2'd0,
    PassGuest  = 2'd1,  // all before a guest table
    PassHost   = 2'd2,  // the host tables before one
    PassNested = 2'd3   // the translation of a guest entry's gPA
  } pass_kind_e;

  // Number of levels of a stage that is on; 0: it is off.
  typedef logic [2:0] levels_t;

  // Page-based memory type of Svpbmt: 0 as the physical memory's, 1 non-cacheable, 2 I/O.
  typedef logic [1:0] attributes_t;

  // What a leaf permits.
  typedef struct packed {
    logic x;
    logic w;
    logic r;
  } rights_t;

  // Rights rule, for a leaf of either stage, on a miss and on a hit:
  //
  //   access       | needs
  //   load         | r      (also the walk's own read of a guest table, at the host leaf that maps it)
  //   store        | w      (also the walk's own update of a guest leaf)
  //   fetch        | x
  //   load-execute | x
  function automatic logic permits(rights_t rights, access_e access);
    unique case (access)
      AccessLoad:        return rights.r;
      AccessStore:       return rights.w;
      AccessFetch:       return rights.x;
      AccessLoadExecute: return rights.x;
      default:           return 1'b0;
    endcase
  endfunction

  // RISC-V: who makes an access.
  typedef struct packed {
    logic user;       // effective privilege is U or VU
    logic sum;        // the supervisor may load and store in user pages
    logic guest_mxr;  // what is executable is readable: at the guest stage
    logic host_mxr;   // and at the host stage
  } who_t;

  // RISC-V: what of the control registers a translation depends on.
  typedef struct packed {
    who_t who;
    logic guest_adue;   // A and D are set by hardware: at the guest stage
    logic host_adue;    // and at the host stage
    logic guest_pbmte;  // leaves have a memory type
    logic host_pbmte;
    logic napot;        // Svnapot is there
  } mode_t;

  // RISC-V user rule:
  //
  //   page       | user | supervisor
  //   user       | yes  | with SUM, not to fetch
  //   supervisor | no   | yes
  function automatic logic permits_user(logic user_page, access_e access, logic user, logic sum);
    if (user) return user_page;
    return !user_page || (sum && access != AccessFetch);
  endfunction

  // RISC-V permission rule, for a leaf of either stage, on a miss and on a hit. The host stage takes everybody
  // for a user.
  function automatic logic leaf_permits(stage_e stage, rights_t rights, logic user_page, access_e access,
                                        who_t who);
    rights_t effective;
    logic    user_ok;
    effective   = rights;
    effective.r = rights.r || (rights.x && ((stage == StageHost) ? who.host_mxr : who.guest_mxr));
    user_ok     = permits_user(user_page, access, who.user || (stage == StageHost), who.sum);
    return user_ok && permits(effective, access);
  endfunction

  // What both leaves of a mapping permit. A stage that is off permits everything.
  typedef struct packed {
    rights_t guest;
    rights_t host;
    logic    user;   // the guest leaf is a user page
    logic    dirty;  // no leaf's D is clear
  } grants_t;

  // RISC-V: whether a walk that found this would permit the access, and not have to set D.
  function automatic logic grants_permit(grants_t grants, logic guest_on, access_e access, who_t who);
    return (!guest_on || leaf_permits(StageGuest, grants.guest, grants.user, access, who))
        && leaf_permits(StageHost, grants.host, 1'b1, access, who)
        && (grants.dirty || access != AccessStore);
  endfunction

endpackage
