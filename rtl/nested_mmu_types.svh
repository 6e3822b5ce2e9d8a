// SPDX-License-Identifier: Apache-2.0
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
  localparam type gppn_t   = logic [Cfg.GpaMapWidth-1:Cfg.OffsetWidth],                           \
  localparam type hppn_t   = logic [Cfg.HpaWidth-1:Cfg.OffsetWidth],                              \
  localparam type level_t  = logic [nested_mmu_pkg::index_width(Cfg.Levels)-1:0],                 \
  localparam type id_t     = logic [Cfg.IdWidth-1:0],                                             \
  localparam type asid_t   = logic [Cfg.AsidWidth-1:0],                                           \
  localparam type vmid_t   = logic [Cfg.VmidWidth-1:0],                                           \
  localparam type slot_t   = logic [nested_mmu_pkg::index_width(Cfg.WalkSlots)-1:0],              \
  localparam type log2_t   = logic [5:0],                                                         \
  /* A page size, as a thermometer: bit i is set if the page is larger than size i of the */      \
  /* format's. Of two spans the smaller is their AND. */                                          \
  localparam type span_t   = logic [((Cfg.PageSizes > 1) ? Cfg.PageSizes - 1 : 1)-1:0],           \
                                                                                                  \
  /* The address space, as the TLB tells it from others. */                                       \
  localparam type space_t = struct packed {                                                       \
    logic                    virt;          /* RISC-V: V of the access; handout: 1 */             \
    nested_mmu_pkg::levels_t guest_levels;  /* off, a gVA is taken for a gPA (Figure 1a) */       \
    nested_mmu_pkg::levels_t host_levels;   /* off, a gPA is taken for an hPA */                  \
    logic                    rights;        /* handout, rights mode: leaves have status bits */   \
    asid_t                   asid;                                                                \
    vmid_t                   vmid;                                                                \
  },                                                                                              \
  /* All that a translation depends on besides memory. */                                         \
  localparam type ctx_t = struct packed {                                                         \
    space_t                space;                                                                 \
    gpa_t                  guest_root;                                                            \
    hpa_t                  host_root;                                                             \
    nested_mmu_pkg::mode_t mode;  /* RISC-V; else 0 */                                            \
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
  /* Levels count down to 0. */                                                                   \
  localparam type fault_t = struct packed {                                                       \
    nested_mmu_pkg::fault_kind_e kind;                                                            \
    nested_mmu_pkg::stage_e      stage;                                                           \
    level_t                      level;                                                           \
    nested_mmu_pkg::purpose_e    purpose;    /* host stage: what the gPA is translated for, */    \
    level_t                      for_level;  /* if for a guest entry: its level */                \
  },                                                                                              \
  /* What RISC-V's trap registers are given, with the request's gVA as tval. */                   \
  localparam type trap_t = struct packed {                                                        \
    logic [5:0]  cause;                                                                           \
    logic        gva;    /* tval is a guest virtual address */                                    \
    gpa_t        tval2;                                                                           \
    logic [15:0] tinst;                                                                           \
  },                                                                                              \
  localparam type rsp_t = struct packed {                                                         \
    id_t                         id;                                                              \
    logic                        hit;         /* answered by the TLB */                           \
    logic                        replay;      /* a fence overtook it: ask again; what follows */  \
                                              /* but gva is 0 */                                  \
    gva_t                        gva;                                                             \
    gpa_t                        gpa;         /* the data's; host-stage fault: being translated */\
    hpa_t                        hpa;         /* these three: if there is no fault, else 0 */     \
    log2_t                       page_size;   /* log2 of the bytes of the smaller leaf's page */  \
    nested_mmu_pkg::attributes_t attributes;                                                      \
    fault_t                      fault;                                                           \
    trap_t                       trap;        /* RISC-V, with a fault; else 0 */                  \
  },                                                                                              \
  /* Forgets what agrees with every operand in use; with none in use, everything of `virt`. */    \
  localparam type scope_t = struct packed {                                                       \
    logic  virt;                                                                                  \
    logic  use_asid;  /* exempts global mappings */                                               \
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
  /* An update is a compare-and-swap: answered with the word that was there. */                   \
  localparam type mem_req_t = struct packed {                                                     \
    slot_t id;                                                                                    \
    hpa_t  hpa;                                                                                   \
    logic  update;                                                                                \
    pte_t  expected;                                                                              \
    pte_t  updated;                                                                               \
  },                                                                                              \
  localparam type mem_rsp_t = struct packed {                                                     \
    slot_t id;                                                                                    \
    logic  error;                                                                                 \
    pte_t  data;                                                                                  \
  },                                                                                              \
                                                                                                  \
  /* What a walk keeps of a leaf: RISC-V: the entry, as memory has it; handout: its rights. */    \
  localparam type leaf_t =                                                                        \
    logic [(!Cfg.Riscv ? $bits(nested_mmu_pkg::rights_t) : Cfg.Svadu ? Cfg.PteWidth : 9)-1:0],    \
  /* A walk: the latched request, and where the walk of it stands. */                             \
  localparam type walk_t = struct packed {                                                        \
    query_t                      query;        /* as it was asked */                              \
    nested_mmu_pkg::stage_e      stage;        /* whose entry is read */                          \
    level_t                      guest_level;  /* of the guest entry that is read or sought */    \
    level_t                      host_level;   /* of the host entry that is read */               \
    nested_mmu_pkg::purpose_e    purpose;      /* of gpa; data: the guest walk is over */         \
    logic                        update;       /* the leaf at hpa is to be updated, not read */   \
    gpa_t                        gpa;          /* being translated, or of the guest entry */      \
    hpa_t                        hpa;          /* of the entry; at the end, the translation */    \
    leaf_t                       guest_leaf;   /* once read */                                    \
    leaf_t                       host_leaf;    /* once read, of what is translated last */        \
    logic                        is_global;    /* a guest pointer was */                          \
    nested_mmu_pkg::fault_kind_e fault;                                                           \
  },                                                                                              \
  /* What a walk cache knows on a walk's way: where to go on. */                                  \
  localparam type pass_t = struct packed {                                                        \
    nested_mmu_pkg::pass_kind_e kind;                                                             \
    level_t                     level;      /* of the table, of its stage */                      \
    hppn_t                      hppn;       /* the table, or the guest entry's page */            \
    gppn_t                      gppn;       /* a guest table's */                                 \
    logic                       is_global;  /* a pointer before a guest table was */              \
  },                                                                                              \
  /* What a TLB entry is found by, and what it says: what a walk has found. */                    \
  localparam type tlb_key_t = struct packed {                                                     \
    space_t space;                                                                                \
    vpn_t   vpn;                                                                                  \
  },                                                                                              \
  localparam type place_t = struct packed {                                                       \
    gppn_t                       gppn;                                                            \
    hppn_t                       hppn;                                                            \
    span_t                       guest_span;  /* of the leaves; a stage that is off has */        \
    span_t                       host_span;   /* the other's */                                   \
    nested_mmu_pkg::attributes_t attributes;                                                      \
  },                                                                                              \
  localparam type tlb_data_t = struct packed {                                                    \
    place_t                  place;                                                               \
    nested_mmu_pkg::grants_t grants;                                                              \
    logic                    is_global;                                                           \
  },                                                                                              \
                                                                                                  \
  /* A walk has taken an entry: where it stood, what it read, what is next. One that a fence */   \
  /* has overtaken drops it: next is WalkFault, fault is FaultOvertaken. */                       \
  localparam type step_t = struct packed {                                                        \
    logic                        valid;                                                           \
    slot_t                       slot;                                                            \
    nested_mmu_pkg::stage_e      stage;                                                           \
    level_t                      guest_level;                                                     \
    level_t                      host_level;                                                      \
    nested_mmu_pkg::purpose_e    purpose;                                                         \
    logic                        update;  /* this was the answer to an update */                  \
    nested_mmu_pkg::pass_kind_e  pass;    /* which walk cache has led here */                     \
    logic                        is_global;  /* a guest pointer before this entry was */          \
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
    logic  second_valid; /* the request of miss_id: the second-level TLB has answered it */       \
    step_t step;                                                                                  \
  }

`endif
