// SPDX-License-Identifier: Apache-2.0
// Compares the operands of a fence with an address space: `virt` always, ASID and VMID if the fence
// uses them. A global mapping has no ASID, and a mapping with `virt` 0 has no VMID.

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
  output logic   matches_o
);

  assign matches_o = (virt_i == scope_i.virt)
                && (!scope_i.use_asid || (asid_i == scope_i.asid && !global_i))
                && (!scope_i.use_vmid || !virt_i || vmid_i == scope_i.vmid);

endmodule
