// SPDX-License-Identifier: Apache-2.0
// What the properties of both levels of the TLB say of pages and fences, written from docs/ports.md. Functions, to be included in a module
// that has the types of nested_mmu_types.svh.

localparam type page_t = logic [63:0];

function automatic int unsigned log2_of(span_t span);
  int unsigned log2;
  log2 = 32'(Cfg.PageLog2[0]);
  for (int unsigned size = 0; size + 1 < Cfg.PageSizes; size++) begin
    if (span[size]) log2 = 32'(Cfg.PageLog2[size+1]);
  end
  return log2;
endfunction

// Two smallest pages that lie in one page of another size.
function automatic logic in_one_page(page_t a, page_t b, span_t span);
  for (int unsigned size = 0; size < Cfg.PageSizes; size++) begin
    if (log2_of(span) == 32'(Cfg.PageLog2[size])) begin
      return (a >> (Cfg.PageLog2[size] - Cfg.PageLog2[0])) == (b >> (Cfg.PageLog2[size] - Cfg.PageLog2[0]));
    end
  end
  return 1'b0;
endfunction

// A mapping of the smaller leaf's page holds for its address space: V, modes, and ASID unless it is global, and
// VMID with V.
function automatic logic covers(tlb_key_t key, tlb_data_t data, tlb_key_t page);
  return key.space.virt == page.space.virt && key.space.rights == page.space.rights
      && key.space.guest_levels == page.space.guest_levels && key.space.host_levels == page.space.host_levels
      && (data.is_global || key.space.asid == page.space.asid)
      && (!page.space.virt || key.space.vmid == page.space.vmid)
      && in_one_page(page_t'(key.vpn), page_t'(page.vpn), data.place.guest_span & data.place.host_span);
endfunction

// Every operand in use agrees; a gVA names all of the guest leaf's page, a gPA all of the host leaf's; an ASID
// spares what is global, and a VMID says nothing without V.
function automatic logic names(fence_t fence, tlb_key_t key, tlb_data_t data);
  page_t gva_page, gpa_page;
  gva_page = page_t'(fence.gva) >> Cfg.OffsetWidth;
  gpa_page = page_t'(fence.gpa) >> Cfg.OffsetWidth;
  return fence.scope.virt == key.space.virt
      && (!fence.scope.use_asid || (!data.is_global && fence.scope.asid == key.space.asid))
      && (!fence.scope.use_vmid || !key.space.virt || fence.scope.vmid == key.space.vmid)
      && (!fence.use_gva || in_one_page(gva_page, page_t'(key.vpn), data.place.guest_span))
      && (!fence.use_gpa || in_one_page(gpa_page, page_t'(data.place.gppn), data.place.host_span));
endfunction

// A size is a thermometer; the formats with one size have none.
function automatic logic is_span(span_t span);
  return ((span & (span + 1'b1)) == '0) && (Cfg.PageSizes > 1 || span == '0);
endfunction

// The page number's bits that lie in a page.
function automatic page_t in_page(span_t span);
  for (int unsigned size = 0; size < Cfg.PageSizes; size++) begin
    if (log2_of(span) == 32'(Cfg.PageLog2[size])) begin
      return (page_t'(1) << (Cfg.PageLog2[size] - Cfg.PageLog2[0])) - 1;
    end
  end
  return '0;
endfunction

// What a walk can translate: a gVA is signed, or a gPA where the guest's stage is off; a gPA is the hPA where the
// host's stage is off, and else no wider than that stage.
function automatic logic is_mapped(tlb_key_t key, tlb_data_t data);
  page_t above_gva, above_gpa;
  above_gva = page_t'($signed(key.vpn) >>> (Cfg.GvaMapWidth - 1 - Cfg.OffsetWidth));
  above_gpa = page_t'(data.place.gppn) >> (Cfg.HostMapWidth - Cfg.OffsetWidth);
  return (above_gva == '0 || above_gva == '1 || Cfg.GvaMapWidth == Cfg.GvaWidth)
      && (key.space.host_levels == '0 ? data.place.gppn == gppn_t'(data.place.hppn) : above_gpa == '0);
endfunction

// The handout's entries are not global, its machine virtual.
function automatic logic has_shape(tlb_key_t key, tlb_data_t data);
  return is_mapped(key, data) && is_span(data.place.guest_span) && is_span(data.place.host_span)
      && (Cfg.Riscv || (!data.is_global && key.space.virt));
endfunction
