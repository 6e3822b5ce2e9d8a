// TLB of full gVA=>hPA translations, fully associative, tree pseudo-LRU.
//
// An entry covers the page of the smaller leaf; what is looked up is a smallest page. One key a cycle, for a
// look-up or for a fill (never both): a fill takes the place of all that overlaps it, so that no key ever finds
// two. A fence is done in the cycle in which it is given; the caller keeps fills that it names out of that cycle.

`include "nested_mmu_types.svh"

module tlb
  import nested_mmu_pkg::*;
#(
  parameter cfg_t Cfg = '0,
  `NESTED_MMU_TYPES(Cfg)
) (
  input  logic      clk_i,
  input  logic      rst_ni,

  input  tlb_key_t  key_i,
  output logic      hit_o,
  output place_t    place_o,       // of the page that was looked up
  output grants_t   grants_o,
  input  logic      use_i,         // the hit counts as a use

  input  logic      fill_valid_i,
  input  tlb_data_t fill_data_i,

  input  logic      fence_valid_i,
  input  fence_t    fence_i
);

  localparam int unsigned N = Cfg.TlbEntries;
  // One bit a way: of those that match, are free, and so on.
  localparam type ways_t = logic [N-1:0];

  ways_t        valid_q, match, last_match, last_free, in_scope, fenced, victim, fill_way;
  tlb_key_t     key_q  [N];
  tlb_data_t    data_q [N];

  ///////////
  // Pages //
  ///////////

  // Page numbers of any kind.
  localparam type page_t = logic [63-Cfg.OffsetWidth:0];

  // The page number's bits that lie in a page larger than the smallest.
  function automatic page_t page_mask(span_t span);
    page_t mask;
    mask = '0;
    for (int unsigned size = 1; size < Cfg.PageSizes; size++) begin
      if (span[size-1]) mask |= (page_t'(1) << (Cfg.PageLog2[size] - Cfg.PageLog2[0])) - page_t'(1);
    end
    return mask;
  endfunction

  // What is mapped has a gVA whose highest bits are equal, so of an entry all of them but one are known.
  localparam vpn_t SignBits = vpn_t'(~page_t'(0) << (Cfg.GvaMapWidth - Cfg.OffsetWidth));

  function automatic logic is_mappable(vpn_t vpn);
    return ((vpn ^ {$bits(vpn_t){vpn[Cfg.GvaMapWidth-1]}}) & SignBits) == '0;
  endfunction

  // The gPA's page: the host stage maps no more than its width, and where it is off the gPA is the hPA.
  localparam gppn_t HostOffBits = gppn_t'(~page_t'(0) << (Cfg.HostMapWidth - Cfg.OffsetWidth));

  function automatic gppn_t gppn_of(gppn_t gppn, hppn_t hppn, levels_t host_levels);
    return (gppn & ~HostOffBits) | ((host_levels == '0) ? gppn_t'(hppn) & HostOffBits : '0);
  endfunction

  // What does not tell an entry's mapping from others: where in the page, the ASID if it is global, and the VMID
  // outside of virtual machines.
  function automatic tlb_key_t ignored(span_t span, logic is_global, logic virt);
    tlb_key_t ignore;
    ignore            = '0;
    ignore.vpn        = vpn_t'(page_mask(span)) | SignBits;
    ignore.space.asid = {Cfg.AsidWidth{is_global}};
    ignore.space.vmid = {Cfg.VmidWidth{!virt}};
    return ignore;
  endfunction

  // In a page larger than the smallest the address's own bits tell where.
  function automatic place_t at_page(place_t place, vpn_t vpn, levels_t host_levels);
    place_t at;
    page_t  mask;
    at      = place;
    mask    = page_mask(place.guest_span & place.host_span);
    at.gppn = (gppn_of(place.gppn, place.hppn, host_levels) & ~gppn_t'(mask)) | gppn_t'(page_t'(vpn) & mask);
    at.hppn = (place.hppn & ~hppn_t'(mask)) | hppn_t'(page_t'(vpn) & mask);
    return at;
  endfunction

  // A fill overlaps what is in its page, a look-up what its smallest page is in.
  tlb_key_t key_ignore;
  if (Cfg.Riscv) begin : gen_key_ignore
    assign key_ignore = fill_valid_i ? ignored(fill_data_i.place.guest_span & fill_data_i.place.host_span,
                                               fill_data_i.is_global, key_i.space.virt)
                                     : ignored('0, 1'b0, key_i.space.virt);
  end else begin : gen_no_key_ignore
    assign key_ignore = '0;
  end

  vpn_t  fence_vpn;
  gppn_t fence_gppn;
  logic  fence_gva_mappable, fence_gpa_mappable;
  assign fence_vpn          = vpn_t'(fence_i.gva >> Cfg.OffsetWidth);
  assign fence_gppn         = gppn_t'(fence_i.gpa >> Cfg.OffsetWidth);
  assign fence_gva_mappable = is_mappable(fence_vpn);
  assign fence_gpa_mappable = (fence_i.gpa == gpa_t'({fence_gppn, offset_t'(fence_i.gpa)}));

  for (genvar i = 0; i < N; i++) begin : gen_entry
    tlb_key_t ignore;
    vpn_t     guest_mask;
    gppn_t    gppn, host_mask;

    if (HostOffBits == '0) begin : gen_gppn
      assign gppn = data_q[i].place.gppn;
    end else begin : gen_gppn_of
      assign gppn = gppn_of(data_q[i].place.gppn, data_q[i].place.hppn, key_q[i].space.host_levels);
    end

    if (Cfg.Riscv) begin : gen_pages
      assign ignore     = ignored(data_q[i].place.guest_span & data_q[i].place.host_span,
                                  data_q[i].is_global, key_q[i].space.virt);
      assign guest_mask = vpn_t'(page_mask(data_q[i].place.guest_span));
      assign host_mask  = gppn_t'(page_mask(data_q[i].place.host_span));
    end else begin : gen_one_page
      assign ignore     = '0;
      assign guest_mask = '0;
      assign host_mask  = '0;
    end

    assign match[i] = valid_q[i] && (((key_q[i] ^ key_i) & ~(ignore | key_ignore)) == '0);

    fence_scope #(.Cfg(Cfg)) u_scope (
      .scope_i  (fence_i.scope),
      .virt_i   (key_q[i].space.virt),
      .global_i (data_q[i].is_global),
      .asid_i   (key_q[i].space.asid),
      .vmid_i   (key_q[i].space.vmid),
      .named_o  (in_scope[i])
    );

    // An address names the whole page of its stage's leaf, however small a part of it the entry covers.
    assign fenced[i] = in_scope[i]
                    && (!fence_i.use_gva || (fence_gva_mappable
                                             && ((key_q[i].vpn ^ fence_vpn) & ~(guest_mask | SignBits)) == '0))
                    && (!fence_i.use_gpa || (fence_gpa_mappable
                                             && ((gppn ^ fence_gppn) & ~host_mask) == '0));

    always_ff @(posedge clk_i or negedge rst_ni) begin : p_valid
      if (!rst_ni)                          valid_q[i] <= 1'b0;
      else if (fill_valid_i && fill_way[i]) valid_q[i] <= 1'b1;
      else if (fill_valid_i && match[i])    valid_q[i] <= 1'b0;
      else if (fence_valid_i && fenced[i])  valid_q[i] <= 1'b0;
    end

    always_ff @(posedge clk_i) begin : p_entry
      if (fill_valid_i && fill_way[i]) begin
        key_q[i]  <= key_i;
        data_q[i] <= fill_data_i;
      end
    end
  end

  // A fill may find several.
  first_one #(.N(N), .Highest(1'b1)) u_match (.set_i (match),    .first_o (last_match));
  first_one #(.N(N), .Highest(1'b1)) u_free  (.set_i (~valid_q), .first_o (last_free));

  assign hit_o    = |match && is_mappable(key_i.vpn);
  assign fill_way = hit_o ? last_match : (&valid_q) ? victim : last_free;

  // Of a look-up: no more than one way matches.
  logic [index_width(N)-1:0] hit_way;
  always_comb begin : p_hit_way
    hit_way = '0;
    for (int unsigned i = 0; i < N; i++) begin
      if (match[i]) hit_way |= $bits(hit_way)'(i);
    end
  end

  tlb_data_t found;
  assign found    = data_q[hit_way];
  assign place_o  = at_page(found.place, key_i.vpn, key_i.space.host_levels);
  assign grants_o = found.grants;

  logic unused_found;
  assign unused_found = found.is_global;

  plru_tree #(.N(N)) u_plru (
    .clk_i,
    .rst_ni,
    .touch_valid_i (use_i || fill_valid_i),
    .touch_i       (fill_way),
    .victim_o      (victim)
  );

`ifndef SYNTHESIS
  logic in_reset;
  assign in_reset = !rst_ni;

  OneHotHit_A: assert property (@(posedge clk_i) disable iff (in_reset) fill_valid_i || $onehot0(match));
  FillOrUse_A: assert property (@(posedge clk_i) disable iff (in_reset) !(fill_valid_i && use_i));
`endif

endmodule
