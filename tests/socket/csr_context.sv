// SPDX-License-Identifier: Apache-2.0
// The context of a request from CSRs, as a hart reads them: the inverse of the adapter csr_images.

module csr_context #(
  parameter bit           Rv32      = 1'b0,
  localparam int unsigned HpaWidth  = Rv32 ? 34 : 56,
  localparam int unsigned Xlen      = Rv32 ? 32 : 64,
  localparam int unsigned AsidWidth = Rv32 ? 9 : 16,
  localparam int unsigned VmidWidth = Rv32 ? 7 : 14
) (
  input  logic                 virt_i,
  input  logic [Xlen-1:0]      satp_i,
  input  logic [Xlen-1:0]      vsatp_i,
  input  logic [Xlen-1:0]      hgatp_i,
  input  logic [Xlen-1:0]      mstatus_i,
  input  logic [Xlen-1:0]      vsstatus_i,
  input  logic [63:0]          menvcfg_i,
  input  logic [63:0]          henvcfg_i,

  output logic [2:0]           guest_levels_o,
  output logic [2:0]           host_levels_o,
  output logic [HpaWidth-1:0]  guest_root_o,
  output logic [HpaWidth-1:0]  host_root_o,
  output logic [AsidWidth-1:0] asid_o,
  output logic [VmidWidth-1:0] vmid_o,
  output logic                 sum_o,
  output logic                 guest_mxr_o,
  output logic                 host_mxr_o,
  output logic                 guest_adue_o,
  output logic                 host_adue_o,
  output logic                 guest_pbmte_o,
  output logic                 host_pbmte_o
);

  logic [Xlen-1:0] first;
  assign first = virt_i ? vsatp_i : satp_i;

  function automatic logic [2:0] levels_of(logic [3:0] mode);
    case (mode)
      4'd8:    return 3'd3;
      4'd9:    return 3'd4;
      4'd10:   return 3'd5;
      default: return 3'd0;
    endcase
  endfunction

  if (Rv32) begin : gen_rv32
    assign guest_levels_o = first[31] ? 3'd2 : 3'd0;
    assign host_levels_o  = (virt_i && hgatp_i[31]) ? 3'd2 : 3'd0;
    assign asid_o         = first[30:22];
    assign vmid_o         = hgatp_i[28:22];
    assign guest_root_o   = {first[21:0], 12'd0};
    assign host_root_o    = {hgatp_i[21:0], 12'd0};
  end else begin : gen_rv64
    assign guest_levels_o = levels_of(first[63:60]);
    assign host_levels_o  = virt_i ? levels_of(hgatp_i[63:60]) : 3'd0;
    assign asid_o         = first[59:44];
    assign vmid_o         = hgatp_i[57:44];
    assign guest_root_o   = {first[43:0], 12'd0};
    assign host_root_o    = {hgatp_i[43:0], 12'd0};
  end

  // SUM is bit 18 and MXR bit 19; ADUE is bit 61 and PBMTE bit 62.
  assign sum_o         = virt_i ? vsstatus_i[18] : mstatus_i[18];
  assign guest_mxr_o   = mstatus_i[19] || (virt_i && vsstatus_i[19]);
  assign host_mxr_o    = virt_i && mstatus_i[19];
  assign guest_adue_o  = menvcfg_i[61] && (!virt_i || henvcfg_i[61]);
  assign host_adue_o   = virt_i && menvcfg_i[61];
  assign guest_pbmte_o = menvcfg_i[62] && (!virt_i || henvcfg_i[62]);
  assign host_pbmte_o  = virt_i && menvcfg_i[62];

endmodule
