// Types whose widths come from the configuration, for the parameter port list of a module:
//
//   module m import nested_mmu_pkg::*; #(parameter cfg_t Cfg = '0, `NESTED_MMU_TYPES(Cfg)) (...);
//
// gva_t, gpa_t and hpa_t are distinct: a host address is never held in a guest's width.

`ifndef NESTED_MMU_TYPES_SVH
`define NESTED_MMU_TYPES_SVH

`define NESTED_MMU_TYPES(Cfg)                                                                     \
  localparam type gva_t    = logic [Cfg.GvaWidth-1:0],                                            \
  localparam type gpa_t    = logic [Cfg.GpaWidth-1:0],                                            \
  localparam type hpa_t    = logic [Cfg.HpaWidth-1:0],                                            \
  localparam type pte_t    = logic [Cfg.PteWidth-1:0],                                            \
  localparam type offset_t = logic [Cfg.OffsetWidth-1:0],                                         \
  localparam type vpn_t    = logic [Cfg.GvaWidth-1:Cfg.OffsetWidth],                              \
  localparam type gppn_t   = logic [Cfg.GpaWidth-1:Cfg.OffsetWidth],                              \
  localparam type hppn_t   = logic [Cfg.HpaWidth-1:Cfg.OffsetWidth],                              \
  localparam type level_t  = logic [nested_mmu_pkg::index_width(Cfg.Levels)-1:0],                 \
  localparam type id_t     = logic [Cfg.IdWidth-1:0],                                             \
  localparam type asid_t   = logic [Cfg.AsidWidth-1:0],                                           \
  localparam type vmid_t   = logic [Cfg.VmidWidth-1:0],                                           \
  localparam type slot_t   = logic [nested_mmu_pkg::index_width(Cfg.WalkSlots)-1:0],              \
  localparam type log2_t   = logic [5:0],                                                         \
                                                                                                  \
  /* The address space, as the TLB tells it from others. */                                       \
  localparam type space_t = struct packed {                                                       \
    logic  nested;      /* guest table on; off, a gVA is taken for a gPA (Figure 1a) */           \
    logic  rights;      /* rights mode: leaves have status bits */                                \
    asid_t asid;                                                                                  \
    vmid_t vmid;                                                                                  \
  },                                                                                              \
  /* All that a translation depends on besides memory. */                                         \
  localparam type ctx_t = struct packed {                                                         \
    space_t space;                                                                                \
    gpa_t   guest_root;                                                                           \
    hpa_t   host_root;                                                                            \
  },                                                                                              \
  localparam type query_t = struct packed {                                                       \
    nested_mmu_pkg::access_e access;                                                              \
    gva_t                    gva;                                                                 \
    ctx_t                    ctx;                                                                 \
  },                                                                                              \
  localparam type req_t = struct packed {                                                         \
    id_t    id;                                                                                   \
    query_t query;                                                                                \
  },                                                                                              \
  /* Levels count down to the leaf, which is 0. */                                                \
  localparam type fault_t = struct packed {                                                       \
    nested_mmu_pkg::fault_kind_e kind;                                                            \
    nested_mmu_pkg::stage_e      stage;                                                           \
    level_t                      level;                                                           \
    logic                        for_data;   /* host stage: translating the data's gPA, or */     \
    level_t                      for_level;  /* that of the guest entry of this level */          \
    gpa_t                        gpa;        /* host stage: the gPA being translated, else 0 */   \
  },                                                                                              \
  localparam type rsp_t = struct packed {                                                         \
    id_t    id;                                                                                   \
    logic   hit;        /* answered by the TLB */                                                 \
    gva_t   gva;                                                                                  \
    hpa_t   hpa;        /* if fault.kind is FaultNone, else 0 */                                  \
    log2_t  page_size;  /* log2 of the page's bytes, if fault.kind is FaultNone, else 0 */        \
    fault_t fault;                                                                                \
  },                                                                                              \
  /* Forgets what agrees with every operand in use; with none in use, everything. */              \
  localparam type scope_t = struct packed {                                                       \
    logic  use_asid;                                                                              \
    logic  use_vmid;                                                                              \
    asid_t asid;                                                                                  \
    vmid_t vmid;                                                                                  \
  },                                                                                              \
  localparam type fence_t = struct packed {                                                       \
    logic   use_gva;                                                                              \
    logic   use_gpa;                                                                              \
    gva_t   gva;                                                                                  \
    gpa_t   gpa;                                                                                  \
    scope_t scope;                                                                                \
  },                                                                                              \
  localparam type mem_req_t = struct packed {                                                     \
    slot_t id;                                                                                    \
    hpa_t  hpa;                                                                                   \
  },                                                                                              \
  localparam type mem_rsp_t = struct packed {                                                     \
    slot_t id;                                                                                    \
    logic  error;                                                                                 \
    pte_t  data;                                                                                  \
  },                                                                                              \
                                                                                                  \
  /* A walk: the latched request, and where the walk of it stands. */                             \
  localparam type walk_t = struct packed {                                                        \
    query_t                      query;         /* as it was asked */                             \
    nested_mmu_pkg::stage_e      stage;         /* whose entry is read */                         \
    level_t                      guest_level;   /* of the guest entry that is read or sought */   \
    level_t                      host_level;    /* of the host entry that is read */              \
    logic                        for_data;      /* the guest walk is over: gpa is the data's */   \
    gpa_t                        gpa;           /* host stage: being translated */                \
    hpa_t                        hpa;           /* of the entry; at the end, the translation */   \
    nested_mmu_pkg::rights_t     guest_rights;  /* of the guest leaf */                           \
    nested_mmu_pkg::rights_t     host_rights;   /* of the host leaf of the data */                \
    nested_mmu_pkg::fault_kind_e fault;                                                           \
  },                                                                                              \
  /* What a TLB entry is found by, and what it says. */                                           \
  localparam type tlb_key_t = struct packed {                                                     \
    space_t space;                                                                                \
    vpn_t   vpn;                                                                                  \
  },                                                                                              \
  localparam type tlb_data_t = struct packed {                                                    \
    gppn_t                   gppn;                                                                \
    hppn_t                   hppn;                                                                \
    nested_mmu_pkg::rights_t guest_rights;                                                        \
    nested_mmu_pkg::rights_t host_rights;                                                         \
  },                                                                                              \
                                                                                                  \
  /* A walk has taken an entry: where it stood, what it read, what is next. */                    \
  localparam type step_t = struct packed {                                                        \
    logic                        valid;                                                           \
    slot_t                       slot;                                                            \
    nested_mmu_pkg::stage_e      stage;                                                           \
    level_t                      guest_level;                                                     \
    level_t                      host_level;                                                      \
    logic                        for_data;                                                        \
    gpa_t                        gpa;                                                             \
    hpa_t                        hpa;                                                             \
    logic                        error;                                                           \
    pte_t                        pte;                                                             \
    nested_mmu_pkg::walk_next_e  next;                                                            \
    nested_mmu_pkg::fault_kind_e fault;                                                           \
  },                                                                                              \
  /* What happened in a cycle: to a miss, to a walk that has ended, and the step of a walk. */    \
  localparam type event_t = struct packed {                                                       \
    logic  miss_valid;   /* a request has been given to a walk */                                 \
    logic  miss_merged;  /* to one that was under way */                                          \
    id_t   miss_id;                                                                               \
    slot_t miss_slot;                                                                             \
    logic  done_valid;   /* a request has been given its walk's result */                         \
    logic  done_fill;    /* which the TLB takes */                                                \
    id_t   done_id;                                                                               \
    slot_t done_slot;                                                                             \
    step_t step;                                                                                  \
  }

`endif
