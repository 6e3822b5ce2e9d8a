// SPDX-License-Identifier: Apache-2.0
// Whether a fence names an address space: by ASID and VMID, as far as it uses them, and always by `virt`. What
// is global belongs to no ASID, and what is outside of virtual machines to no VMID.

`include "nested_mmu_types.svh"

module fence_scope
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  scope_t scope_i,
  input  logic   virt_i,
  input  logic   global_i,
  input  asid_t  asid_i,
  input  vmid_t  vmid_i,
  output logic   named_o
);

  assign named_o = (virt_i == scope_i.virt)
                && (!scope_i.use_asid || (asid_i == scope_i.asid && !global_i))
                && (!scope_i.use_vmid || !virt_i || vmid_i == scope_i.vmid);

endmodule
