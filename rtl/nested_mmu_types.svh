// SPDX-License-Identifier: Apache-2.0
// Types whose widths depend on the configuration. One declaration names the first of them and
// declares all:
//
//   localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
//
// It stands in the parameter port list of a module or an interface, where the types of ports come
// from, or, with a semicolon, in a package, a class, a module or an interface. Cfg is of type
// nested_mmu_pkg::cfg_t. The macro expands to a list of type assignments.
//
// gva_t, gpa_t and hpa_t are distinct: a host address is never held in a guest's width.

`ifndef NESTED_MMU_TYPES_SVH
`define NESTED_MMU_TYPES_SVH

`define NESTED_MMU_TYPES(Cfg) \
  logic [Cfg.GvaWidth-1:0],                                                                       \
  gpa_t    = logic [Cfg.GpaWidth-1:0],                                                            \
  hpa_t    = logic [Cfg.HpaWidth-1:0],                                                            \
  pte_t    = logic [Cfg.PteWidth-1:0],                                                            \
  offset_t = logic [Cfg.OffsetWidth-1:0],                                                         \
  vpn_t    = logic [Cfg.GvaWidth-1:Cfg.OffsetWidth],                                              \
  gppn_t   = logic [Cfg.GpaMapWidth-1:Cfg.OffsetWidth],                                           \
  hppn_t   = logic [Cfg.HpaWidth-1:Cfg.OffsetWidth],                                              \
  level_t  = logic [Cfg.LevelWidth-1:0],  /* counts down to 0, the leaves' */                     \
  id_t     = logic [Cfg.IdWidth-1:0],                                                             \
  asid_t   = logic [Cfg.AsidWidth-1:0],                                                           \
  vmid_t   = logic [Cfg.VmidWidth-1:0],                                                           \
  slot_t   = logic [Cfg.SlotWidth-1:0],                                                           \
  log2_t   = logic [5:0],                                                                         \
                                                                                                  \
  /* A page size, as a thermometer: bit i is set if the page is larger than size i of the */      \
  /* format. The smaller of two spans is their AND. */                                            \
  span_t = logic [((Cfg.PageSizes > 1) ? Cfg.PageSizes - 1 : 1)-1:0],                             \
                                                                                                  \
  /* The address-space tag of a translation. */                                                   \
  as_tag_t = struct packed {                                                                      \
    logic                    virt;          /* RISC-V: V of the request; handout: 1 */            \
    nested_mmu_pkg::levels_t guest_levels;  /* 0: stage off, the gVA is used as the gPA */        \
    nested_mmu_pkg::levels_t host_levels;   /* 0: stage off, the gPA is used as the hPA */        \
    logic                    rights;        /* handout, rights mode: leaves have status bits */   \
    asid_t                   asid;                                                                \
    vmid_t                   vmid;                                                                \
  },                                                                                              \
                                                                                                  \
  /* Everything that a translation depends on besides memory. */                                  \
  ctx_t = struct packed {                                                                         \
    as_tag_t               tag;                                                                   \
    gpa_t                  guest_root;                                                            \
    hpa_t                  host_root;                                                             \
    nested_mmu_pkg::mode_t mode;        /* RISC-V; else 0 */                                      \
  },                                                                                              \
                                                                                                  \
  /* The translation that a request asks for. */                                                  \
  query_t = struct packed {                                                                       \
    nested_mmu_pkg::access_e access;                                                              \
    gva_t                    gva;                                                                 \
    ctx_t                    ctx;                                                                 \
  },                                                                                              \
                                                                                                  \
  /* A request. */                                                                                \
  req_t = struct packed {                                                                         \
    id_t    id;                                                                                   \
    query_t query;                                                                                \
  },                                                                                              \
                                                                                                  \
  /* A fault, and the table entry that raised it. */                                              \
  fault_t = struct packed {                                                                       \
    nested_mmu_pkg::fault_kind_e kind;                                                            \
    nested_mmu_pkg::stage_e      stage;                                                           \
    level_t                      level;                                                           \
    nested_mmu_pkg::purpose_e    purpose;    /* host stage: purpose of the gPA */                 \
    level_t                      for_level;  /* host stage: level of the guest entry */           \
  },                                                                                              \
                                                                                                  \
  /* The values of RISC-V's trap registers, except tval, which is the request's gVA. */           \
  trap_t = struct packed {                                                                        \
    logic [5:0]  cause;                                                                           \
    logic        gva;    /* tval is a guest virtual address */                                    \
    gpa_t        tval2;                                                                           \
    logic [15:0] tinst;                                                                           \
  },                                                                                              \
                                                                                                  \
  /* A response. With `replay` every field but id and gva is 0. */                                \
  rsp_t = struct packed {                                                                         \
    id_t                         id;                                                              \
    logic                        hit;         /* the TLB answered */                              \
    logic                        replay;      /* a fence overtook the request */                  \
    gva_t                        gva;                                                             \
    gpa_t                        gpa;         /* gPA of the data, or of the fault */              \
    hpa_t                        hpa;         /* 0 with a fault */                                \
    log2_t                       page_size;   /* log2 of bytes; 0 with a fault */                 \
    nested_mmu_pkg::attributes_t attributes;  /* 0 with a fault */                                \
    fault_t                      fault;                                                           \
    trap_t                       trap;        /* RISC-V, with a fault; else 0 */                  \
  },                                                                                              \
                                                                                                  \
  /* The address spaces that a fence matches: those that agree with every operand in use. */      \
  scope_t = struct packed {                                                                       \
    logic  virt;                                                                                  \
    logic  use_asid;  /* global mappings are exempt */                                            \
    logic  use_vmid;                                                                              \
    asid_t asid;                                                                                  \
    vmid_t vmid;                                                                                  \
  },                                                                                              \
                                                                                                  \
  /* A fence: it invalidates what agrees with every operand in use. */                            \
  fence_t = struct packed {                                                                       \
    logic   use_gva;                                                                              \
    logic   use_gpa;                                                                              \
    gva_t   gva;                                                                                  \
    gpa_t   gpa;                                                                                  \
    scope_t scope;                                                                                \
  },                                                                                              \
                                                                                                  \
  /* A memory read, or an update: a compare-and-swap, whose response is the word found. */        \
  mem_req_t = struct packed {                                                                     \
    slot_t id;                                                                                    \
    hpa_t  hpa;                                                                                   \
    logic  update;                                                                                \
    pte_t  expected;                                                                              \
    pte_t  updated;                                                                               \
  },                                                                                              \
                                                                                                  \
  /* The response of memory. */                                                                   \
  mem_rsp_t = struct packed {                                                                     \
    slot_t id;                                                                                    \
    logic  error;                                                                                 \
    pte_t  data;                                                                                  \
  },                                                                                              \
                                                                                                  \
  /* The part of a leaf that a walk keeps. RISC-V: the entry as memory has it, or without Svadu */ \
  /* only the bits that the end of the walk needs. Handout: the rights. */                        \
  leaf_t = logic [Cfg.LeafWidth-1:0],                                                             \
                                                                                                  \
  /* A walk: the latched request, and the position of the walk. */                                \
  walk_t = struct packed {                                                                        \
    query_t                      query;        /* as it was requested */                          \
    nested_mmu_pkg::stage_e      stage;        /* stage of the entry that is read */              \
    level_t                      guest_level;  /* level of the guest entry */                     \
    level_t                      host_level;   /* level of the host entry that is read */         \
    nested_mmu_pkg::purpose_e    purpose;      /* purpose of gpa; data: the guest stage is over */ \
    logic                        update;       /* the leaf at hpa is updated, not read */         \
    gpa_t                        gpa;          /* gPA that is translated */                       \
    hpa_t                        hpa;          /* hPA of the entry; at the end the translation */ \
    leaf_t                       guest_leaf;   /* valid once it has been read */                  \
    leaf_t                       host_leaf;    /* valid once it has been read, for the last gPA */ \
    logic                        is_global;    /* a guest pointer was global */                   \
    nested_mmu_pkg::fault_kind_e fault;                                                           \
  },                                                                                              \
                                                                                                  \
  /* A page-walk cache hit: the position at which the walk goes on. */                            \
  pwc_hit_t = struct packed {                                                                     \
    nested_mmu_pkg::pwc_hit_e kind;                                                               \
    level_t                   level;      /* level of the table, in its stage */                  \
    hppn_t                    hppn;       /* the table, or the page of the guest entry */         \
    gppn_t                    gppn;       /* a guest table's gPA page */                          \
    logic                     is_global;  /* a pointer before a guest table was global */         \
  },                                                                                              \
                                                                                                  \
  /* The key of a TLB entry. */                                                                   \
  tlb_key_t = struct packed {                                                                     \
    as_tag_t tag;                                                                                 \
    vpn_t    vpn;                                                                                 \
  },                                                                                              \
                                                                                                  \
  /* The translation of a page. */                                                                \
  translation_t = struct packed {                                                                 \
    gppn_t                       gppn;                                                            \
    hppn_t                       hppn;                                                            \
    span_t                       guest_span;  /* of the guest leaf; stage off: as host */         \
    span_t                       host_span;   /* of the host leaf; stage off: as guest */         \
    nested_mmu_pkg::attributes_t attributes;                                                      \
  },                                                                                              \
                                                                                                  \
  /* The data of a TLB entry: the result of a walk. */                                            \
  tlb_data_t = struct packed {                                                                    \
    translation_t           translation;                                                          \
    nested_mmu_pkg::perms_t perms;                                                                \
    logic                   is_global;                                                            \
  },                                                                                              \
                                                                                                  \
  /* A step: a walk took the response of memory. A walk that a fence has overtaken drops the */   \
  /* response: `next` is WalkFault and `fault` FaultOvertaken. */                                 \
  step_t = struct packed {                                                                        \
    logic                        valid;                                                           \
    slot_t                       slot;                                                            \
    nested_mmu_pkg::stage_e      stage;        /* position of the walk before the step */         \
    level_t                      guest_level;                                                     \
    level_t                      host_level;                                                      \
    nested_mmu_pkg::purpose_e    purpose;                                                         \
    logic                        update;       /* the response is to an update */                 \
    nested_mmu_pkg::pwc_hit_e    pwc_hit;      /* page-walk cache hit that led to this entry */   \
    logic                        is_global;    /* a guest pointer before this entry was global */ \
    gpa_t                        gpa;                                                             \
    hpa_t                        hpa;                                                             \
    logic                        error;                                                           \
    pte_t                        pte;          /* the word that memory returned */                \
    nested_mmu_pkg::walk_next_e  next;                                                            \
    nested_mmu_pkg::fault_kind_e fault;                                                           \
  },                                                                                              \
                                                                                                  \
  /* The events of a cycle: a miss, the end of a walk, a hit of the second-level TLB, a step. */  \
  event_t = struct packed {                                                                       \
    logic  miss_valid;      /* a request was given to a walk */                                   \
    logic  miss_coalesced;  /* the walk was already in flight */                                  \
    id_t   miss_id;                                                                               \
    slot_t miss_slot;                                                                             \
    logic  done_valid;      /* a request was given the result of its walk */                      \
    logic  done_fill;       /* the TLB is filled with the result */                               \
    id_t   done_id;                                                                               \
    slot_t done_slot;                                                                             \
    logic  tlb2_valid;      /* the second-level TLB answered the request miss_id */               \
    step_t step;                                                                                  \
  }

`endif
