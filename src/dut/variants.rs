// SPDX-License-Identifier: Apache-2.0
//! The table of device variants: what `build.rs` builds is what [`crate::dut::Dut::new`] can make.
//!
//! This file is also compiled into the build script, so it uses nothing of the crate.

/// One elaboration of the RTL, compiled into the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Name, also the stem of the Verilated class.
    pub name: &'static str,
    /// Value of the RTL parameter `Format`.
    pub format: u32,
    /// Walk slots.
    pub slots: u32,
    /// TLB entries.
    pub tlb_entries: u32,
    /// Entries of each walk cache, of each level; 0: it has none.
    pub walk_cache_entries: u32,
    /// A read may leave in the cycle of its predecessor's data.
    pub read_bypass: bool,
    /// Value of the RTL parameter `MaxLevels`: levels of a stage of RV64, at most.
    pub max_levels: u32,
    /// The walker can set A and D. (The handout's formats have neither.)
    pub svadu: bool,
    /// Its second-level TLB, if it has one.
    pub tlb2: Option<SecondTlb>,
    /// RTL assertions on, and every bit that the RTL leaves open drawn at random at the start. Slower; the others
    /// are built for bulk.
    pub checked: bool,
}

/// A second-level TLB: the RTL parameters `Tlb2Sets`, `Tlb2Ways` and `Tlb2Superpages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondTlb {
    /// Sets for the smallest pages, a power of two.
    pub sets: u32,
    /// Ways of each, a power of two.
    pub ways: u32,
    /// Entries for larger pages; 0: there are none.
    pub superpages: u32,
}

impl Variant {
    /// Whether random campaigns are for it. Others are there to be measured: small walk caches show more of what goes wrong in
    /// them, and are faster.
    pub const fn is_for_campaigns(&self) -> bool {
        self.walk_cache_entries <= 2
    }

    /// The parameter `InputsAt` of `sim/tb_top.sv`. With the rising edge the model is fastest, but an assertion would fail in the cycle after
    /// the one that it is about.
    pub const fn inputs_at(&self) -> u32 {
        if self.checked { 1 } else { 2 }
    }
}

const fn variant(
    name: &'static str,
    format: u32,
    slots: u32,
    tlb_entries: u32,
    walk_cache_entries: u32,
    checked: bool,
) -> Variant {
    Variant {
        name,
        format,
        slots,
        tlb_entries,
        walk_cache_entries,
        read_bypass: false,
        max_levels: 5,
        svadu: true,
        tlb2: None,
        checked,
    }
}

/// The same with the parameter `ReadBypass`.
const fn bypass(name: &'static str, variant: Variant) -> Variant {
    Variant {
        name,
        read_bypass: true,
        ..variant
    }
}

/// The smallest of RV64: the parameters `MaxLevels` for Sv39 alone, and `Svadu` for none.
const fn sv39_without_svadu(name: &'static str, variant: Variant) -> Variant {
    Variant {
        name,
        max_levels: 3,
        svadu: false,
        ..variant
    }
}

/// The same with a second-level TLB.
const fn tlb2(
    name: &'static str,
    sets: u32,
    ways: u32,
    superpages: u32,
    variant: Variant,
) -> Variant {
    let size = SecondTlb {
        sets,
        ways,
        superpages,
    };
    Variant {
        name,
        tlb2: Some(size),
        ..variant
    }
}

/// Every variant, the default of each format first.
pub const VARIANTS: &[Variant] = &[
    variant("handout", 0, 4, 16, 0, false),
    variant("handout_s1", 0, 1, 16, 0, false),
    variant("handout_s16", 0, 16, 16, 0, false),
    bypass("handout_b", variant("", 0, 4, 16, 0, false)),
    variant("handout_checked", 0, 4, 4, 0, true),
    variant("classic32", 1, 4, 16, 0, false),
    variant("classic32_s1", 1, 1, 16, 0, false),
    variant("classic32_s16", 1, 16, 16, 0, false),
    bypass("classic32_s1_b", variant("", 1, 1, 16, 0, false)),
    bypass("classic32_b", variant("", 1, 4, 16, 0, false)),
    bypass("classic32_s16_b", variant("", 1, 16, 16, 0, false)),
    variant("classic32_checked", 1, 4, 4, 0, true),
    tlb2("classic32_l2", 4, 2, 0, variant("", 1, 4, 2, 0, false)),
    variant("rv32", 2, 4, 32, 2, false),
    variant("rv32_s1", 2, 1, 32, 2, false),
    variant("rv32_c8", 2, 4, 32, 8, false),
    variant("rv32_checked", 2, 4, 4, 2, true),
    tlb2("rv32_l2", 2, 4, 4, variant("", 2, 4, 2, 2, false)),
    variant("rv64", 3, 4, 32, 2, false),
    variant("rv64_s1", 3, 1, 32, 2, false),
    bypass("rv64_b", variant("", 3, 4, 32, 2, false)),
    variant("rv64_c8", 3, 4, 32, 8, false),
    sv39_without_svadu("rv64_sv39", variant("", 3, 4, 4, 2, false)),
    variant("rv64_checked", 3, 4, 4, 2, true),
    tlb2("rv64_l2", 4, 2, 2, variant("", 3, 4, 2, 2, true)),
    tlb2("rv64_l2_c8", 32, 4, 16, variant("", 3, 4, 32, 8, false)),
];
