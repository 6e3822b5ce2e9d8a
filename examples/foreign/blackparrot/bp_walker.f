// SPDX-License-Identifier: Apache-2.0
// The page-table walker of BlackParrot. Its lint warnings are not ours.
-Wno-lint
-Wno-style
-I../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/external/basejump_stl/bsg_misc
-I../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_common/src/include
-I../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_be/src/include
-I../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_be/src/include/bp_be_dcache
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/external/basejump_stl/bsg_noc/bsg_noc_pkg.v
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_common/src/include/bp_common_rv64_pkg.vh
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_common/src/include/bp_common_pkg.vh
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_common/src/include/bp_common_aviary_pkg.vh
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_be/src/include/bp_be_pkg.vh
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_be/src/include/bp_be_dcache/bp_be_dcache_pkg.vh
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/external/basejump_stl/bsg_misc/bsg_dff_reset.v
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/external/basejump_stl/bsg_misc/bsg_dff_reset_en.v
../../../.tools/foreign/pythondata_cpu_blackparrot/system_verilog/bp_be/src/v/bp_be_mem/bp_be_ptw.v
