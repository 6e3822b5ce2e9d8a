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
    /// RTL assertions on, and every bit that the RTL leaves open drawn at random at the start. Slower; the others
    /// are built for bulk.
    pub checked: bool,
}

const fn variant(
    name: &'static str,
    format: u32,
    slots: u32,
    tlb_entries: u32,
    checked: bool,
) -> Variant {
    Variant {
        name,
        format,
        slots,
        tlb_entries,
        checked,
    }
}

/// Every variant, the default of each format first.
pub const VARIANTS: &[Variant] = &[
    variant("handout", 0, 4, 16, false),
    variant("handout_s1", 0, 1, 16, false),
    variant("handout_s16", 0, 16, 16, false),
    variant("handout_checked", 0, 4, 4, true),
    variant("classic32", 1, 4, 16, false),
    variant("classic32_s1", 1, 1, 16, false),
    variant("classic32_s16", 1, 16, 16, false),
    variant("classic32_checked", 1, 4, 4, true),
    variant("rv32", 2, 4, 32, false),
    variant("rv32_s1", 2, 1, 32, false),
    variant("rv32_checked", 2, 4, 4, true),
    variant("rv64", 3, 4, 32, false),
    variant("rv64_s1", 3, 1, 32, false),
    variant("rv64_checked", 3, 4, 4, true),
];
