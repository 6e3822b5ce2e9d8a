// Types, rules and level geometry that every part of the nested-paging MMU shares.
//
// Widths that depend on the format are made from `cfg_t` by `NESTED_MMU_TYPES (nested_mmu_types.svh);
// what does not depend on it stands here.

package nested_mmu_pkg;

  // Paging format. The walk step of a format is the only place that knows its rules.
  typedef enum logic [1:0] {
    FormatHandout   = 2'd0,  // 20-bit addresses, 2|2|16: the machine of the 6.823 handout
    FormatClassic32 = 2'd1   // 32-bit addresses, 10|10|12: the same rules on the classic geometry
  } format_e;

  // Everything that is fixed when a design is elaborated. Widths in bits.
  typedef struct packed {
    // The format's row of the geometry table.
    int unsigned GvaWidth;
    int unsigned GpaWidth;
    int unsigned HpaWidth;
    int unsigned PteWidth;     // a table entry; its bytes are the stride of a table
    int unsigned OffsetWidth;  // offset in the smallest page
    int unsigned IndexWidth;   // index of each level
    int unsigned Levels;       // of either stage
    // The user's choice.
    int unsigned IdWidth;
    int unsigned AsidWidth;
    int unsigned VmidWidth;
    int unsigned TlbEntries;
    int unsigned WalkSlots;
    int unsigned MissEntries;  // requests that can wait for a walk
  } cfg_t;

  // The geometry table: one row a format.
  function automatic cfg_t geometry(format_e format);
    unique case (format)
      //                              gVA gPA hPA PTE offset index levels
      FormatHandout:   return geometry_row(20, 20, 20, 32, 16,  2, 2);
      FormatClassic32: return geometry_row(32, 32, 32, 32, 12, 10, 2);
      default:         return '0;
    endcase
  endfunction

  function automatic cfg_t geometry_row(int unsigned gva, int unsigned gpa, int unsigned hpa,
                                        int unsigned pte, int unsigned offset,
                                        int unsigned index, int unsigned levels);
    cfg_t row;
    row             = '0;
    row.GvaWidth    = gva;
    row.GpaWidth    = gpa;
    row.HpaWidth    = hpa;
    row.PteWidth    = pte;
    row.OffsetWidth = offset;
    row.IndexWidth  = index;
    row.Levels      = levels;
    return row;
  endfunction

  function automatic cfg_t make_cfg(format_e format, int unsigned tlb_entries, int unsigned walk_slots,
                                    int unsigned miss_entries, int unsigned id_width,
                                    int unsigned asid_width, int unsigned vmid_width);
    cfg_t cfg;
    cfg             = geometry(format);
    cfg.TlbEntries  = tlb_entries;
    cfg.WalkSlots   = walk_slots;
    cfg.MissEntries = miss_entries;
    cfg.IdWidth     = id_width;
    cfg.AsidWidth   = asid_width;
    cfg.VmidWidth   = vmid_width;
    return cfg;
  endfunction

  // Width of a number in 0 .. n-1, at least one bit.
  function automatic int unsigned index_width(int unsigned n);
    return (n > 1) ? $clog2(n) : 1;
  endfunction

  typedef enum logic [1:0] {
    AccessLoad  = 2'd0,
    AccessStore = 2'd1,
    AccessFetch = 2'd2
  } access_e;

  typedef enum logic {
    StageGuest = 1'b0,  // gVA => gPA
    StageHost  = 1'b1   // gPA => hPA
  } stage_e;

  typedef enum logic [2:0] {
    FaultNone       = 3'd0,
    FaultMemory     = 3'd1,  // the memory answered the read of an entry with an error
    FaultMisaligned = 3'd2,  // an entry address is not a multiple of the entry size
    FaultWidth      = 3'd3,  // an entry address lies past the machine's width
    FaultReserved   = 3'd4,  // reserved bits of an entry are not zero
    FaultInvalid    = 3'd5,  // rights mode: the leaf is not valid
    FaultPermission = 3'd6   // rights mode: the leaf does not permit the access
  } fault_kind_e;

  // What a walk wants next.
  typedef enum logic [1:0] {
    WalkRead  = 2'd0,  // the entry at walk.hpa
    WalkDone  = 2'd1,  // nothing: walk.hpa is the translation
    WalkFault = 2'd2   // nothing: walk.fault says why
  } walk_next_e;

  typedef enum logic [1:0] {
    SlotIdle = 2'd0,
    SlotRead = 2'd1,  // waits for the memory port
    SlotWait = 2'd2,  // its read is in flight
    SlotDone = 2'd3   // has a result that not every requester has been given
  } slot_state_e;

  // What a leaf permits.
  typedef struct packed {
    logic x;
    logic w;
    logic r;
  } rights_t;

  // Rights rule, for a leaf of either stage, on a miss and on a hit:
  //
  //   access | needs
  //   load   | r      (also the walk's own read of a guest table, at the host leaf that maps it)
  //   store  | w
  //   fetch  | x
  function automatic logic permits(rights_t rights, access_e access);
    unique case (access)
      AccessLoad:  return rights.r;
      AccessStore: return rights.w;
      AccessFetch: return rights.x;
      default:     return 1'b0;
    endcase
  endfunction

endpackage
