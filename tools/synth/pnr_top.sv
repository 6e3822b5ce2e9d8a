// SPDX-License-Identifier: Apache-2.0
// nested_mmu behind few pins, for place and route. Its inputs come from a shift register, and its
// outputs are registered and shifted out. So every path of its ports begins and ends in a register
// of the device, and none is optimised away.

`include "nested_mmu_types.svh"

module pnr_top
  import nested_mmu_pkg::*;
#(
  parameter format_e     Format     = FormatRv64,
  parameter int unsigned TlbEntries = 16,
  parameter int unsigned WalkSlots  = 1,
  localparam cfg_t Cfg = make_cfg('{
    Format: Format, TlbEntries: TlbEntries, WalkSlots: WalkSlots, MissEntries: 2 * WalkSlots,
    IdWidth: 8, AsidWidth: 16, VmidWidth: 14, MaxLevels: 5, Svadu: 1'b1, default: '0
  }),
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic serial_i,
  input  logic capture_i,  // take the outputs, else shift them
  output logic serial_o
);

  localparam type inputs_t = struct packed {
    logic         req_valid;
    req_t         req;
    logic         rsp_ready;
    walk_caches_t walk_caches;
    logic         fence_valid;
    fence_t       fence;
    logic         mem_req_ready;
    logic         mem_rsp_valid;
    mem_rsp_t     mem_rsp;
  };
  localparam type outputs_t = struct packed {
    logic     req_ready;
    logic     rsp_valid;
    rsp_t     rsp;
    logic     fence_ready;
    logic     mem_req_valid;
    mem_req_t mem_req;
    logic     mem_rsp_ready;
  };

  inputs_t  inputs_q;
  outputs_t outputs, outputs_q, shift_q;

  nested_mmu #(
    .Format     (Format),
    .TlbEntries (TlbEntries),
    .WalkSlots  (WalkSlots)
  ) u_mmu (
    .clk_i,
    .rst_ni,
    .req_valid_i     (inputs_q.req_valid),
    .req_ready_o     (outputs.req_ready),
    .req_i           (inputs_q.req),
    .rsp_valid_o     (outputs.rsp_valid),
    .rsp_ready_i     (inputs_q.rsp_ready),
    .rsp_o           (outputs.rsp),
    .walk_caches_i   (inputs_q.walk_caches),
    .fence_valid_i   (inputs_q.fence_valid),
    .fence_ready_o   (outputs.fence_ready),
    .fence_i         (inputs_q.fence),
    .mem_req_valid_o (outputs.mem_req_valid),
    .mem_req_ready_i (inputs_q.mem_req_ready),
    .mem_req_o       (outputs.mem_req),
    .mem_rsp_valid_i (inputs_q.mem_rsp_valid),
    .mem_rsp_ready_o (outputs.mem_rsp_ready),
    .mem_rsp_i       (inputs_q.mem_rsp),
    .event_o         ()
  );

  always_ff @(posedge clk_i) begin : p_pins
    inputs_q  <= inputs_t'({inputs_q, serial_i});
    outputs_q <= outputs;
    shift_q   <= capture_i ? outputs_q : outputs_t'({shift_q, 1'b0});
  end

  assign serial_o = shift_q[$bits(outputs_t)-1];

endmodule
