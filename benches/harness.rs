// SPDX-License-Identifier: Apache-2.0
//! The bridge to the hand-written C++ harness, `harness.cpp`.
// The bridge is generated code around C++ calls; cxx checks both sides of it against each other.
#![allow(unsafe_code, missing_docs)]

#[cxx::bridge(namespace = "nestwalk")]
pub mod ffi {
    /// A word of memory.
    struct HarnessWord {
        at: u64,
        word: u32,
    }

    /// A request for a translation.
    struct HarnessQuery {
        gva: u64,
        guest_root: u64,
        host_root: u64,
        asid: u16,
        vmid: u16,
        access: u8,
        nested: bool,
        rights: bool,
    }

    /// Figures of a run.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct HarnessFigures {
        cycles: u64,
        translations: u64,
        hits: u64,
        reads: u64,
    }

    unsafe extern "C++" {
        include!("benches/harness.h");

        type Harness;

        fn make_harness(
            format: &str,
            words: &[HarnessWord],
            queries: &[HarnessQuery],
            latency: u32,
        ) -> Result<UniquePtr<Harness>>;
        fn run(self: Pin<&mut Harness>) -> Result<HarnessFigures>;
    }
}
