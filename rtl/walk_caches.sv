// SPDX-License-Identifier: Apache-2.0
// The page-walk caches of RISC-V's formats: pointers that earlier walks have read, so that a later
// walk starts further down.
//
//   cache  | key                            | data                               | invalidated by
//   guest  | gVA prefix, ASID, VMID, modes  | next guest table: gPA, hPA, global | a fence of its
//          |                                |                                    | ASID and VMID
//   host   | gPA prefix, VMID, mode         | next host table: hPA               | a G-stage fence
//          |                                |                                    | of its VMID
//   nested | gPA page of a guest table      | its hPA page                       | a G-stage fence
//          |                                |                                    | of its VMID
//
// A fence with a gVA invalidates only the guest tables whose prefix that gVA has, and a fence with
// a gPA only the host tables whose prefix that gPA has. A fence with a gVA or an ASID is not
// a G-stage fence. A fence with a gPA invalidates guest tables and nested pages at any gPA.
// The guest cache and the host cache have entries for each level but the root level.
//
// Each cycle has a lookup for a walk, or a fill by the step of a walk; a fill has priority. A fill
// contains a table, after its first entry was read without a fault, or a page, after the leaf that
// maps it was read. A cache that is not in use is filled and fenced too, so that it may be switched
// on again. If the host stage is off, nothing is filled for it.

`include "nested_mmu_types.svh"

module walk_caches
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = DefaultCfg,
  localparam type gva_t = `NESTED_MMU_TYPES(Cfg)
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  walk_caches_t use_i,

  // A walk before the first entry of a stage, and the hit for it.
  input  logic         lookup_valid_i,
  output logic         lookup_ready_o,
  input  walk_t        lookup_walk_i,
  output pwc_hit_t        pwc_hit_o,

  // The step of a walk: the walk before it and after it.
  input  logic         step_valid_i,  // the entry that was read may be filled
  input  walk_t        step_walk_i,
  input  walk_t        step_next_i,

  input  logic         fence_valid_i,
  input  fence_t       fence_i
);

  localparam int unsigned Tables = Cfg.Levels - 1;  // levels whose tables have a pointer to them

  //////////////
  // The keys //
  //////////////

  localparam type guest_key_t = struct packed {
    as_tag_t tag;
    vpn_t   vpn;
  };

  localparam type host_key_t = struct packed {
    levels_t host_levels;
    vmid_t   vmid;
    gppn_t   gppn;
  };

  // Returns the bits of a page number that select a table of a level: all above its own index.
  function automatic logic [63:0] prefix_mask(int unsigned level);
    return '1 << ((level + 1) * Cfg.IndexWidth);
  endfunction

  // With `virt` 0 there is no VMID.
  function automatic guest_key_t guest_key(as_tag_t tag, gva_t gva, int unsigned level);
    guest_key_t key;
    key.tag = tag;
    if (!tag.virt) key.tag.vmid = '0;
    key.vpn = vpn_t'(gva >> Cfg.OffsetWidth) & vpn_t'(prefix_mask(level));
    return key;
  endfunction

  function automatic host_key_t host_key(levels_t host_levels, vmid_t vmid, gpa_t gpa, gppn_t mask);
    host_key_t key;
    key.host_levels = host_levels;
    key.vmid        = vmid;
    key.gppn        = gppn_t'(gpa >> Cfg.OffsetWidth) & mask;
    return key;
  endfunction

  ////////////
  // Fences //
  ////////////

  // A key of the entries that the fence matches, and the bits of it that count besides the prefix.
  guest_key_t guest_fence_key, guest_fence_counts;
  host_key_t  host_fence_key, host_fence_counts;
  logic       host_fence;

  always_comb begin : p_fence
    guest_fence_key    = '0;
    guest_fence_counts = '0;
    host_fence_key     = '0;
    host_fence_counts  = '0;

    guest_fence_key.tag.virt    = fence_i.scope.virt;
    guest_fence_key.tag.asid    = fence_i.scope.asid;
    guest_fence_key.tag.vmid    = fence_i.scope.vmid;
    guest_fence_key.vpn           = vpn_t'(fence_i.gva >> Cfg.OffsetWidth);
    guest_fence_counts.tag.virt = 1'b1;
    guest_fence_counts.tag.asid = {Cfg.AsidWidth{fence_i.scope.use_asid}};
    guest_fence_counts.tag.vmid = {Cfg.VmidWidth{fence_i.scope.use_vmid && fence_i.scope.virt}};
    guest_fence_counts.vpn        = {$bits(vpn_t){fence_i.use_gva}};

    host_fence             = fence_valid_i && fence_i.scope.virt
                          && !fence_i.use_gva && !fence_i.scope.use_asid;
    host_fence_key.vmid    = fence_i.scope.vmid;
    host_fence_key.gppn    = gppn_t'(fence_i.gpa >> Cfg.OffsetWidth);
    host_fence_counts.vmid = {Cfg.VmidWidth{fence_i.scope.use_vmid}};
    host_fence_counts.gppn = {$bits(gppn_t){fence_i.use_gpa}};
  end

  function automatic guest_key_t guest_prefix(guest_key_t key, int unsigned level);
    guest_key_t prefix;
    prefix     = key;
    prefix.vpn = key.vpn & vpn_t'(prefix_mask(level));
    return prefix;
  endfunction

  function automatic host_key_t host_prefix(host_key_t key, gppn_t mask);
    host_key_t prefix;
    prefix      = key;
    prefix.gppn = key.gppn & mask;
    return prefix;
  endfunction

  ////////////////////////
  // Lookups and fills  //
  ////////////////////////

  // Returns whether a level is the root level.
  function automatic logic is_root(level_t level, levels_t levels);
    return levels_t'(level) + 3'd1 == levels;
  endfunction

  as_tag_t lookup_tag, step_tag;
  logic   at_guest_root, for_guest_entry, lookup_en;
  logic   fills_guest, fills_host, fills_nested;

  assign lookup_tag      = lookup_walk_i.query.ctx.tag;
  assign step_tag      = step_walk_i.query.ctx.tag;
  assign for_guest_entry = (lookup_walk_i.purpose == PurposeRead);
  assign at_guest_root   = for_guest_entry
                        && is_root(lookup_walk_i.guest_level, lookup_tag.guest_levels);

  assign fills_guest  = step_valid_i && step_walk_i.stage == StageGuest
                     && step_walk_i.purpose == PurposeRead
                     && !is_root(step_walk_i.guest_level, step_tag.guest_levels);
  assign fills_host   = step_valid_i && step_walk_i.stage == StageHost && !step_walk_i.update
                     && !is_root(step_walk_i.host_level, step_tag.host_levels);
  assign fills_nested = step_valid_i && step_walk_i.stage == StageHost
                     && step_walk_i.purpose == PurposeRead && step_next_i.stage == StageGuest;

  assign lookup_ready_o = !fills_guest && !fills_host && !fills_nested;
  assign lookup_en        = lookup_valid_i && lookup_ready_o;

  localparam type guest_data_t = struct packed {
    hppn_t hppn;
    gppn_t gppn;
    logic  is_global;
  };

  logic  [Tables-1:0] guest_hit, host_hit;
  guest_data_t        guest_data [Tables];
  hppn_t              host_data  [Tables];
  logic               nested_hit;
  hppn_t              nested_data;

  for (genvar level = 0; level < Tables; level++) begin : gen_level
    if (Cfg.GuestCacheEntries != 0) begin : gen_guest
      logic fill;
      assign fill = fills_guest && step_walk_i.guest_level == level_t'(level);

      walk_cache #(.N(Cfg.GuestCacheEntries), .key_t(guest_key_t), .data_t(guest_data_t)) u_cache (
        .clk_i,
        .rst_ni,
        .key_i          (fill ? guest_key(step_tag, step_walk_i.query.gva, level)
                              : guest_key(lookup_tag, lookup_walk_i.query.gva, level)),
        .hit_o          (guest_hit[level]),
        .data_o         (guest_data[level]),
        .use_i          (lookup_en && pwc_hit_o.kind == PwcGuest
                         && pwc_hit_o.level == level_t'(level)),
        .fill_valid_i   (fill),
        .fill_data_i    ('{hppn:      hppn_t'(step_walk_i.hpa >> Cfg.OffsetWidth),
                           gppn:      gppn_t'(step_walk_i.gpa >> Cfg.OffsetWidth),
                           is_global: step_walk_i.is_global}),
        .fence_valid_i,
        .fence_key_i    (guest_fence_key),
        .fence_counts_i (guest_prefix(guest_fence_counts, level))
      );
    end else begin : gen_no_guest
      assign guest_hit[level]  = 1'b0;
      assign guest_data[level] = '0;
    end

    if (Cfg.HostCacheEntries != 0) begin : gen_host
      gppn_t mask;
      logic  fill;
      assign mask = gppn_t'(prefix_mask(level));
      assign fill = fills_host && step_walk_i.host_level == level_t'(level);

      walk_cache #(.N(Cfg.HostCacheEntries), .key_t(host_key_t), .data_t(hppn_t)) u_cache (
        .clk_i,
        .rst_ni,
        .key_i          (fill ? host_key(step_tag.host_levels, step_tag.vmid,
                                         step_walk_i.gpa, mask)
                              : host_key(lookup_tag.host_levels, lookup_tag.vmid,
                                         lookup_walk_i.gpa, mask)),
        .hit_o          (host_hit[level]),
        .data_o         (host_data[level]),
        .use_i          (lookup_en && pwc_hit_o.kind == PwcHost
                         && pwc_hit_o.level == level_t'(level)),
        .fill_valid_i   (fill),
        .fill_data_i    (hppn_t'(step_walk_i.hpa >> Cfg.OffsetWidth)),
        .fence_valid_i  (host_fence),
        .fence_key_i    (host_fence_key),
        .fence_counts_i (host_prefix(host_fence_counts, mask))
      );
    end else begin : gen_no_host
      assign host_hit[level]  = 1'b0;
      assign host_data[level] = '0;
    end
  end

  if (Cfg.NestedTlbEntries != 0) begin : gen_nested
    walk_cache #(.N(Cfg.NestedTlbEntries), .key_t(host_key_t), .data_t(hppn_t)) u_cache (
      .clk_i,
      .rst_ni,
      .key_i          (fills_nested ? host_key(step_tag.host_levels, step_tag.vmid,
                                               step_walk_i.gpa, '1)
                                    : host_key(lookup_tag.host_levels, lookup_tag.vmid,
                                               lookup_walk_i.gpa, '1)),
      .hit_o          (nested_hit),
      .data_o         (nested_data),
      .use_i          (lookup_en && pwc_hit_o.kind == PwcNested),
      .fill_valid_i   (fills_nested),
      .fill_data_i    (hppn_t'(step_next_i.hpa >> Cfg.OffsetWidth)),
      .fence_valid_i  (host_fence),
      .fence_key_i    (host_fence_key),
      .fence_counts_i (host_prefix(host_fence_counts, '0))
    );
  end else begin : gen_no_nested
    assign nested_hit  = 1'b0;
    assign nested_data = '0;
  end

  // The hit that saves most reads: a guest table, else the page of the guest entry, else a host
  // table; of several tables the one of the lowest level.
  always_comb begin : p_pwc_hit
    pwc_hit_o = '0;  // PwcNone
    if (use_i.host) begin
      for (int unsigned level = Tables; level > 0; level--) begin
        if (host_hit[level-1]) begin
          pwc_hit_o.kind  = PwcHost;
          pwc_hit_o.level = level_t'(level - 1);
          pwc_hit_o.hppn  = host_data[level-1];
        end
      end
    end
    if (use_i.nested && for_guest_entry && nested_hit) begin
      pwc_hit_o.kind = PwcNested;
      pwc_hit_o.hppn = nested_data;
    end
    if (use_i.guest && at_guest_root) begin
      for (int unsigned level = Tables; level > 0; level--) begin
        if (guest_hit[level-1]) begin
          pwc_hit_o.kind      = PwcGuest;
          pwc_hit_o.level     = level_t'(level - 1);
          pwc_hit_o.hppn      = guest_data[level-1].hppn;
          pwc_hit_o.gppn      = guest_data[level-1].gppn;
          pwc_hit_o.is_global = guest_data[level-1].is_global;
        end
      end
    end
  end

  // Members that no cache needs, or only a cache that this configuration does not have.
  logic unused_signals;
  assign unused_signals = ^{lookup_walk_i, lookup_tag, step_walk_i, step_tag, step_next_i, fence_i,
                            guest_fence_key, guest_fence_counts, host_fence_key, host_fence_counts,
                            host_fence};

endmodule
