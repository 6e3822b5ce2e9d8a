// SPDX-License-Identifier: Apache-2.0
// The rules for an entry of a TLB of either level: the addresses that it serves, and the pages by
// which a fence matches it. (fence_scope.sv compares address spaces.)
//
// A module that has the types of nested_mmu_types.svh includes these functions.

// A page number of any kind of address.
localparam type page_t = logic [63-Cfg.OffsetWidth:0];

// Returns the bits of a page number that lie inside a page of a size.
function automatic page_t page_mask(span_t span);
  page_t mask;
  mask = '0;
  for (int unsigned size = 1; size < Cfg.PageSizes; size++) begin
    if (span[size-1]) mask |= (page_t'(1) << (Cfg.PageLog2[size] - Cfg.PageLog2[0])) - page_t'(1);
  end
  return mask;
endfunction

// The highest bits of a gVA that is mapped are equal: all of them but one are redundant.
localparam vpn_t SignBits = vpn_t'(~page_t'(0) << (Cfg.GvaMapWidth - Cfg.OffsetWidth));

function automatic logic is_mappable(vpn_t vpn);
  return ((vpn ^ {$bits(vpn_t){vpn[Cfg.GvaMapWidth-1]}}) & SignBits) == '0;
endfunction

// Returns the gPA's page. The host stage maps no gPA that is wider than its width, and if the stage
// is off the gPA is the hPA: so the bits above that width need no register.
localparam gppn_t HostOffBits = gppn_t'(~page_t'(0) << (Cfg.HostMapWidth - Cfg.OffsetWidth));

function automatic gppn_t gppn_of(gppn_t gppn, hppn_t hppn, levels_t host_levels);
  return (gppn & ~HostOffBits) | ((host_levels == '0) ? gppn_t'(hppn) & HostOffBits : '0);
endfunction

// Returns the bits of a key that do not select an entry: those inside its page, the ASID of a
// global mapping, and the VMID with `virt` 0.
function automatic tlb_key_t ignored(span_t span, logic is_global, logic virt);
  tlb_key_t ignore;
  ignore          = '0;
  ignore.vpn      = vpn_t'(page_mask(span)) | SignBits;
  ignore.tag.asid = {Cfg.AsidWidth{Cfg.HasGlobal && is_global}};
  ignore.tag.vmid = {Cfg.VmidWidth{Cfg.HasNonVirtual && !virt}};
  return ignore;
endfunction

// Returns the translation of one page of the smallest size in an entry's page. The page number that
// is looked up gives the bits inside that page.
function automatic translation_t at_page(translation_t translation, vpn_t vpn,
                                         levels_t host_levels);
  translation_t at;
  page_t  mask;
  at      = translation;
  mask    = page_mask(translation.guest_span & translation.host_span);
  at.gppn = (gppn_of(translation.gppn, translation.hppn, host_levels) & ~gppn_t'(mask))
          | gppn_t'(page_t'(vpn) & mask);
  at.hppn = (translation.hppn & ~hppn_t'(mask)) | hppn_t'(page_t'(vpn) & mask);
  return at;
endfunction

// The address operands of a fence, as pages.
localparam type fence_pages_t = struct packed {
  logic  use_gva;
  logic  use_gpa;
  logic  gva_mappable;
  logic  gpa_mappable;
  vpn_t  vpn;
  gppn_t gppn;
};

function automatic fence_pages_t pages_of(logic use_gva, logic use_gpa, gva_t gva, gpa_t gpa);
  fence_pages_t pages;
  pages.use_gva      = use_gva;
  pages.use_gpa      = use_gpa;
  pages.vpn          = vpn_t'(gva >> Cfg.OffsetWidth);
  pages.gppn         = gppn_t'(gpa >> Cfg.OffsetWidth);
  pages.gva_mappable = is_mappable(pages.vpn);
  pages.gpa_mappable = (gpa == gpa_t'({pages.gppn, offset_t'(gpa)}));
  return pages;
endfunction

// Returns whether a fence's addresses match an entry. An address matches the whole page of its
// stage's leaf, however small the part of it that the entry holds.
function automatic logic page_matches(fence_pages_t pages, vpn_t vpn, gppn_t gppn,
                                      span_t guest_span, span_t host_span);
  vpn_t  guest_mask;
  gppn_t host_mask;
  guest_mask = vpn_t'(page_mask(guest_span));
  host_mask  = gppn_t'(page_mask(host_span));
  return (!pages.use_gva
          || (pages.gva_mappable && ((vpn ^ pages.vpn) & ~(guest_mask | SignBits)) == '0))
      && (!pages.use_gpa || (pages.gpa_mappable && ((gppn ^ pages.gppn) & ~host_mask) == '0));
endfunction
