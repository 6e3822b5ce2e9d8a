// SPDX-License-Identifier: Apache-2.0
// Socket adapter, context: the CSRs that a device reads, from the decoded context of a request.
//
// A device that reads CSRs live needs the context of a held request (hold_request, comb_hit). The
// register of the other value of V says Bare, and status bits that mean nothing for the request are
// the opposite of those that count: so a device that reads the wrong register is found. The device
// file says `csrs = true` in [context], since CSRs cannot hold every context of the socket.

module csr_images #(
  parameter bit           Rv32      = 1'b0,
  // Bits of a physical address, of a register, of an ASID, and of a VMID.
  localparam int unsigned HpaWidth  = Rv32 ? 34 : 56,
  localparam int unsigned Xlen      = Rv32 ? 32 : 64,
  localparam int unsigned AsidWidth = Rv32 ? 9 : 16,
  localparam int unsigned VmidWidth = Rv32 ? 7 : 14
) (
  // The socket. An absent port is 0.
  input  logic                 req_virt_i,
  input  logic [2:0]           req_guest_levels_i,
  input  logic [2:0]           req_host_levels_i,
  input  logic [HpaWidth-1:0]  req_guest_root_i,
  input  logic [HpaWidth-1:0]  req_host_root_i,
  input  logic [AsidWidth-1:0] req_asid_i,
  input  logic [VmidWidth-1:0] req_vmid_i,
  input  logic                 req_sum_i,
  input  logic                 req_guest_mxr_i,
  input  logic                 req_host_mxr_i,
  input  logic                 req_guest_adue_i,
  input  logic                 req_host_adue_i,
  input  logic                 req_guest_pbmte_i,
  input  logic                 req_host_pbmte_i,

  // The device. mstatus and vsstatus have SUM and MXR alone. The environment registers have 64
  // bits in RV32 too: the upper half is menvcfgh and henvcfgh.
  output logic [Xlen-1:0] satp_o,
  output logic [Xlen-1:0] vsatp_o,
  output logic [Xlen-1:0] hgatp_o,
  output logic [Xlen-1:0] mstatus_o,
  output logic [Xlen-1:0] vsstatus_o,
  output logic [63:0]     menvcfg_o,
  output logic [63:0]     henvcfg_o
);

  localparam int unsigned Sum   = 18;
  localparam int unsigned Mxr   = 19;
  localparam int unsigned Adue  = 61;
  localparam int unsigned Pbmte = 62;

  logic [Xlen-1:0] first;

  // MODE, ASID or VMID, and PPN. Sv39, Sv48 and Sv57 are 8, 9 and 10.
  if (Rv32) begin : gen_rv32
    assign first   = {req_guest_levels_i != '0, req_asid_i, 22'(req_guest_root_i >> 12)};
    assign hgatp_o = {req_host_levels_i != '0, 2'd0, req_vmid_i, 20'(req_host_root_i >> 14),
                      2'd0};
  end else begin : gen_rv64
    function automatic logic [3:0] mode_of(logic [2:0] levels);
      return (levels == '0) ? 4'd0 : 4'(levels) + 4'd5;
    endfunction

    assign first   = {mode_of(req_guest_levels_i), req_asid_i, 44'(req_guest_root_i >> 12)};
    assign hgatp_o = {mode_of(req_host_levels_i), 2'd0, req_vmid_i, 42'(req_host_root_i >> 14),
                      2'd0};
  end

  assign satp_o  = req_virt_i ? '0 : first;
  assign vsatp_o = req_virt_i ? first : '0;

  always_comb begin : p_status
    mstatus_o       = '0;
    vsstatus_o      = '0;
    menvcfg_o       = '0;
    henvcfg_o       = '0;
    mstatus_o[Sum]  = req_sum_i ^ req_virt_i;
    vsstatus_o[Sum] = !mstatus_o[Sum];
    mstatus_o[Mxr]  = req_virt_i ? req_host_mxr_i : req_guest_mxr_i;
    vsstatus_o[Mxr] = req_guest_mxr_i ^ !req_virt_i;
    menvcfg_o[Adue]  = req_virt_i ? req_host_adue_i : req_guest_adue_i;
    menvcfg_o[Pbmte] = req_virt_i ? req_host_pbmte_i : req_guest_pbmte_i;
    henvcfg_o[Adue]  = req_virt_i && req_guest_adue_i;
    henvcfg_o[Pbmte] = req_virt_i && req_guest_pbmte_i;
  end

endmodule
