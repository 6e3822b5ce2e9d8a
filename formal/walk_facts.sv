// SPDX-License-Identifier: Apache-2.0
// Facts about every walk. The proofs of a step assume and show them, and the proofs of the MMU
// build on them. They also bound the reads and updates that are left.
//
// A walk of n guest levels over m host levels, 0 for a stage that is off, makes at most
//
//   (n+1)(m+1) - 1 reads, and m more if it may update a guest leaf (a second host walk for it);
//   n + 1 updates of host leaves, and 2 more if it may update a guest leaf.
//
// An update that finds another word makes a walk longer: step_riscv.sv states the number.

`include "nested_mmu_types.svh"

module walk_facts
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg),
  localparam type count_t = logic [6:0]
) (
  input  walk_t  walk_i,
  output logic   legal_o,         // the request is legal
  output logic   sound_o,         // the walk may wait for an entry
  output logic   sound_end_o,     // the walk may be done
  output count_t reads_left_o,    // while it waits for an entry, including the read of that entry
  output count_t updates_left_o,
  output count_t reads_most_o,    // of the whole walk
  output count_t updates_most_o
);

  localparam bit Riscv = (Cfg.Format == FormatRv32) || (Cfg.Format == FormatRv64);

  localparam type addr_t = logic [63:0];

  ctx_t    ctx;
  levels_t guest_levels, host_levels;
  logic    host, data, guest_on, host_on;
  assign ctx          = walk_i.query.ctx;
  assign guest_levels = ctx.tag.guest_levels;
  assign host_levels  = ctx.tag.host_levels;
  assign guest_on     = (guest_levels != '0);
  assign host_on      = (host_levels != '0);
  assign host         = (walk_i.stage == StageHost);
  assign data         = (walk_i.purpose == PurposeData);

  // Without Svadu the modes do not matter.
  logic guest_adue, host_adue;
  assign guest_adue = Cfg.Svadu && ctx.mode.guest_adue;
  assign host_adue  = Cfg.Svadu && ctx.mode.host_adue;

  function automatic logic is_mode(levels_t levels);
    if (!Riscv)          return levels inside {3'd0, 3'd2};
    if (Cfg.PteWidth == 32)  return levels inside {3'd0, 3'd2};
    return levels inside {3'd0, 3'd3, 3'd4, 3'd5} && 32'(levels) <= Cfg.Levels;
  endfunction

  // The bits below are ignored, so walks may be shared that differ in them.
  logic roots_aligned;
  assign roots_aligned = ctx.guest_root[11:0] == '0 && ctx.host_root[13:0] == '0;

  // The handout's machine is always virtual. With V = 0 RISC-V has one stage.
  if (Riscv) begin : gen_legal_riscv
    assign legal_o = is_mode(guest_levels) && is_mode(host_levels) && (ctx.tag.virt || !host_on)
                  && !ctx.tag.rights && roots_aligned;
  end else begin : gen_legal_handout
    assign legal_o = is_mode(guest_levels) && host_levels == 3'd2 && ctx.tag.virt && ctx.mode == '0
                  && walk_i.query.access != AccessLoadExecute;
  end

  // A leaf that has passed its checks: NAPOT pages are at level 0.
  function automatic logic is_sound_leaf(leaf_t leaf, level_t level);
    return (Cfg.PteWidth != 64) || !leaf[$bits(leaf_t)-1] || level == '0;
  endfunction

  // An entry whose update is next is a leaf.
  function automatic logic is_leaf(leaf_t leaf);
    return !Riscv || leaf[3:1] != '0;
  endfunction

  logic levels_ok, place_ok, update_ok, aligned, guest_leaf_ok, host_leaf_ok;
  // The entry is of a stage that is on, at one of its levels.
  assign levels_ok = (!guest_on || 32'(walk_i.guest_level) < 32'(guest_levels))
                  && (!host || (host_on && 32'(walk_i.host_level) < 32'(host_levels)));
  // A guest entry is read by itself. With the guest stage off, only the data is translated.
  assign place_ok  = (walk_i.purpose inside {PurposeRead, PurposeData, PurposeUpdate})
                  && !(data && !host) && (data || guest_on);
  // Updates are made only if they are enabled. A guest leaf is not read again before its update.
  assign update_ok = (walk_i.purpose != PurposeUpdate || guest_adue)
                  && (host ? (!walk_i.update || host_adue)
                           : (walk_i.update == (walk_i.purpose == PurposeUpdate)))
                  && (walk_i.purpose != PurposeUpdate || is_leaf(walk_i.guest_leaf))
                  && (!host || !walk_i.update || is_leaf(walk_i.host_leaf));
  // An entry's address is a multiple of its size.
  assign aligned   = 32'(walk_i.hpa) % (Cfg.PteWidth / 8) == 0
                  && (data || 32'(walk_i.gpa) % (Cfg.PteWidth / 8) == 0);
  assign guest_leaf_ok = !guest_on || is_sound_leaf(walk_i.guest_leaf, walk_i.guest_level);
  assign host_leaf_ok  = !host_on || is_sound_leaf(walk_i.host_leaf, walk_i.host_level);

  // A translated address is no wider than the addresses of its stage.
  gva_t        above_gva;
  int unsigned host_width;
  logic        mapped_ok;
  assign host_width = Cfg.OffsetWidth + 32'(host_levels) * Cfg.IndexWidth + Cfg.HostRootExtra;
  assign above_gva = gva_t'($signed(walk_i.query.gva) >>> (Cfg.GvaMapWidth - 1));
  assign mapped_ok = (!guest_on && !host_on || Cfg.GvaMapWidth == Cfg.GvaWidth
                      || above_gva inside {'0, '1})
                  && (!host_on || addr_t'(walk_i.gpa) >> host_width == '0);

  // The leaf of a guest stage that is off is zero. The leaf of a host stage that is off is the
  // guest's, or is not used.
  logic off_ok;
  assign off_ok = !Riscv
               || ((guest_on || (walk_i.guest_leaf == '0 && !walk_i.is_global))
                   && (host_on || walk_i.host_leaf == walk_i.guest_leaf));

  assign sound_o     = legal_o && off_ok && walk_i.fault == FaultNone && levels_ok && place_ok
      && update_ok && aligned
                    && (!data || guest_leaf_ok) && mapped_ok;
  assign sound_end_o = legal_o && off_ok && walk_i.fault == FaultNone && data && guest_leaf_ok
      && host_leaf_ok && mapped_ok
                    && (host_on || addr_t'(walk_i.gpa) == addr_t'(walk_i.hpa))
                    && (guest_on || host_on || !Riscv || walk_i.guest_level == '0);

  ////////////////////
  // The remainder  //
  ////////////////////

  count_t n, m, g, h, host_updates, guest_updates;
  assign n             = count_t'(guest_levels);
  assign m             = count_t'(host_levels);
  assign g             = count_t'(walk_i.guest_level);
  assign h             = count_t'(walk_i.host_level);
  assign host_updates  = count_t'(host_on && host_adue);
  assign guest_updates = count_t'(guest_adue);

  // After a guest entry: the levels below it, each behind a host walk; the leaf once more; the
  // data.
  count_t guest_reads, guest_updates_left;
  assign guest_reads        = g * (m + 1) + m + guest_updates * m;
  assign guest_updates_left = g * host_updates + host_updates + guest_updates * (1 + host_updates);

  // After the host walk of a gPA.
  count_t after_reads, after_updates;
  always_comb begin : p_after
    unique case (walk_i.purpose)
      PurposeRead: begin
        after_reads   = 1 + guest_reads;
        after_updates = guest_updates_left;
      end
      PurposeUpdate: begin
        after_reads   = m;
        after_updates = 1 + host_updates;
      end
      default: begin
        after_reads   = '0;
        after_updates = '0;
      end
    endcase
  end

  assign reads_left_o   = (host && !walk_i.update) ? h + 1 + after_reads : after_reads;
  assign updates_left_o = host ? host_updates + after_updates : after_updates;
  assign reads_most_o   = (n + 1) * (m + 1) - 1 + (guest_on ? guest_updates * m : '0);
  assign updates_most_o = (n + 1) * host_updates + (guest_on ? guest_updates * (1 + host_updates)
                                                    : '0);

endmodule
