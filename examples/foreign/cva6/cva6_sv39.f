// SPDX-License-Identifier: Apache-2.0
// The MMU of CVA6 for 64 bits. Its lint warnings are not ours.
-Wno-lint
-Wno-style
-DWT_DCACHE
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/include/cv64a6_imafdc_sv39_config_pkg.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/include/riscv_pkg.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/corev_apu/riscv-dbg/src/dm_pkg.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/include/ariane_pkg.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/pmp/src/pmp_entry.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/pmp/src/pmp.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/mmu_sv39/tlb.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/mmu_sv39/ptw.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/mmu_sv39/mmu.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/mmu_sv32/cva6_tlb_sv32.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/mmu_sv32/cva6_ptw_sv32.sv
../../../.tools/foreign/pythondata_cpu_cva6/system_verilog/core/mmu_sv32/cva6_mmu_sv32.sv
