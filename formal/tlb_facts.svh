// SPDX-License-Identifier: Apache-2.0
// The specification of pages and fences for both levels of the TLB, written from docs/ports.md. A
// module that has the types of nested_mmu_types.svh includes these functions.

localparam type page_t = logic [63:0];
localparam bit Riscv = (Cfg.Format == FormatRv32) || (Cfg.Format == FormatRv64);

function automatic int unsigned log2_of(span_t span);
  int unsigned log2;
  log2 = 32'(Cfg.PageLog2[0]);
  for (int unsigned size = 0; size + 1 < Cfg.PageSizes; size++) begin
    if (span[size]) log2 = 32'(Cfg.PageLog2[size+1]);
  end
  return log2;
endfunction

// Returns whether two smallest pages lie in one page of another size.
function automatic logic in_one_page(page_t a, page_t b, span_t span);
  for (int unsigned size = 0; size < Cfg.PageSizes; size++) begin
    if (log2_of(span) == 32'(Cfg.PageLog2[size])) begin
      return (a >> (Cfg.PageLog2[size] - Cfg.PageLog2[0]))
          == (b >> (Cfg.PageLog2[size] - Cfg.PageLog2[0]));
    end
  end
  return 1'b0;
endfunction

// Returns whether a mapping of the smaller leaf's page covers a page in its address space: V,
// modes, the ASID unless it is global, and the VMID with V=1.
function automatic logic covers(tlb_key_t key, tlb_data_t data, tlb_key_t page);
  return key.tag.virt == page.tag.virt && key.tag.rights == page.tag.rights
      && key.tag.guest_levels == page.tag.guest_levels
      && key.tag.host_levels == page.tag.host_levels
      && (data.is_global || key.tag.asid == page.tag.asid)
      && (!page.tag.virt || key.tag.vmid == page.tag.vmid)
      && in_one_page(page_t'(key.vpn), page_t'(page.vpn),
                     data.translation.guest_span & data.translation.host_span);
endfunction

// Returns whether a fence matches: every operand in use agrees. A gVA matches all of the guest
// leaf's page, and a gPA all of the host leaf's. A fence with an ASID does not match a global
// mapping, and a VMID is ignored with V=0.
function automatic logic is_matched(fence_t fence, tlb_key_t key, tlb_data_t data);
  page_t gva_page, gpa_page;
  gva_page = page_t'(fence.gva) >> Cfg.OffsetWidth;
  gpa_page = page_t'(fence.gpa) >> Cfg.OffsetWidth;
  return fence.scope.virt == key.tag.virt
      && (!fence.scope.use_asid || (!data.is_global && fence.scope.asid == key.tag.asid))
      && (!fence.scope.use_vmid || !key.tag.virt || fence.scope.vmid == key.tag.vmid)
      && (!fence.use_gva || in_one_page(gva_page, page_t'(key.vpn), data.translation.guest_span))
      && (!fence.use_gpa || in_one_page(gpa_page, page_t'(data.translation.gppn),
                                        data.translation.host_span));
endfunction

// A size is a thermometer code; formats with one size have none.
function automatic logic is_span(span_t span);
  return ((span & (span + 1'b1)) == '0) && (Cfg.PageSizes > 1 || span == '0);
endfunction

// Returns the bits of a page number that lie inside a page.
function automatic page_t in_page(span_t span);
  for (int unsigned size = 0; size < Cfg.PageSizes; size++) begin
    if (log2_of(span) == 32'(Cfg.PageLog2[size])) begin
      return (page_t'(1) << (Cfg.PageLog2[size] - Cfg.PageLog2[0])) - 1;
    end
  end
  return '0;
endfunction

// The addresses that a walk can translate. A gVA is signed, or a gPA if the guest stage is off. A
// gPA is an hPA if the host stage is off; otherwise it is no wider than that stage.
function automatic logic is_mapped(tlb_key_t key, tlb_data_t data);
  page_t above_gva, above_gpa;
  above_gva = page_t'($signed(key.vpn) >>> (Cfg.GvaMapWidth - 1 - Cfg.OffsetWidth));
  above_gpa = page_t'(data.translation.gppn) >> (Cfg.HostMapWidth - Cfg.OffsetWidth);
  return (above_gva == '0 || above_gva == '1 || Cfg.GvaMapWidth == Cfg.GvaWidth)
      && (key.tag.host_levels == '0 ? data.translation.gppn == gppn_t'(data.translation.hppn)
          : above_gpa == '0);
endfunction

// The handout's entries are not global, and its machine has V=1 always.
function automatic logic has_shape(tlb_key_t key, tlb_data_t data);
  return is_mapped(key, data) && is_span(data.translation.guest_span)
      && is_span(data.translation.host_span)
      && (Riscv || (!data.is_global && key.tag.virt));
endfunction
