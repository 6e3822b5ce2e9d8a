// SPDX-License-Identifier: Apache-2.0
// The RTL of nested_mmu, packages first. Paths are relative to this file. From any folder:
//   -F <path>/nested_mmu.f                     any tool
//   +incdir+<path> -f <path>/nested_mmu.f      Verilator: its include path finds sources too
+incdir+.
nested_mmu_pkg.sv
first_one.sv
rr_arbiter.sv
plru_tree.sv
fence_scope.sv
walk_step_handout.sv
walk_step_riscv.sv
tlb.sv
ram_1r1w.sv
tlb2.sv
miss_table.sv
walk_cache.sv
walk_caches.sv
walk_engine.sv
nested_mmu.sv
nested_mmu_flat.sv
