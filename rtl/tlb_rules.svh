// SPDX-License-Identifier: Apache-2.0
// The rules of an entry of a TLB, of whichever level: for which addresses it is, and which pages a fence names it by.
//
// Functions, to be included in a module that has the types of nested_mmu_types.svh. (A fence's address spaces are fence_scope's.)

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
// outside of virtual machines. The handout's machine has one size of pages, and nothing of the rest.
function automatic tlb_key_t ignored(span_t span, logic is_global, logic virt);
  tlb_key_t ignore;
  ignore            = '0;
  if (!Cfg.Riscv) return ignore;
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

// What a fence's operands say of pages.
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

// An address names the whole page of its stage's leaf, however small a part of it the entry covers.
function automatic logic names_page(fence_pages_t pages, vpn_t vpn, gppn_t gppn, span_t guest_span, span_t host_span);
  vpn_t  guest_mask;
  gppn_t host_mask;
  guest_mask = Cfg.Riscv ? vpn_t'(page_mask(guest_span)) : '0;
  host_mask  = Cfg.Riscv ? gppn_t'(page_mask(host_span)) : '0;
  return (!pages.use_gva || (pages.gva_mappable && ((vpn ^ pages.vpn) & ~(guest_mask | SignBits)) == '0))
      && (!pages.use_gpa || (pages.gpa_mappable && ((gppn ^ pages.gppn) & ~host_mask) == '0));
endfunction
