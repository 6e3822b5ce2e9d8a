// Whether a fence names an address space: by ASID and VMID, as far as it uses them.

`include "nested_mmu_types.svh"

module fence_scope
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = '0,
  `NESTED_MMU_TYPES(Cfg)
) (
  input  scope_t scope_i,
  input  asid_t  asid_i,
  input  vmid_t  vmid_i,
  output logic   named_o
);

  assign named_o = (!scope_i.use_asid || asid_i == scope_i.asid)
                && (!scope_i.use_vmid || vmid_i == scope_i.vmid);

endmodule
