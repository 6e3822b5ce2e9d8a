// SPDX-License-Identifier: Apache-2.0
//! A nested-paging MMU in SystemVerilog, and a testbench that checks it.
//!
//! The exercise of MIT's 6.823 handout, on the golden model: gVA 0x61EAC through a guest table
//! whose root is gPA 0xB29A0, in a virtual machine whose host table is at hPA 0x02000.
//!
//! ```
//! use nestwalk::addr::{Gpa, Gva, Hpa};
//! use nestwalk::format::Format;
//! use nestwalk::golden;
//! use nestwalk::memory::HostMemory;
//! use nestwalk::mmu::{Access, Context, Query};
//!
//! let mut memory = HostMemory::new(Format::Handout);
//! for (at, word) in [
//!     (0x02004, 0x02010), (0x02008, 0x02038), (0x02010, 0x10084), (0x02040, 0x9FFEE),
//!     (0x02044, 0x293A4), (0x229A4, 0xA74CC), (0x974D4, 0x41234),
//! ] {
//!     memory.write(Hpa(at), word);
//! }
//! let query = Query {
//!     context: Context::handout(Some(Gpa(0xB29A0)), Hpa(0x02000)),
//!     gva: Gva(0x61EAC),
//!     access: Access::Load,
//! };
//! let mut steps = Vec::new();
//! let found = golden::walk(Format::Handout, &query, &mut memory, &mut steps)
//!     .expect("nothing faults in the exercise");
//! assert_eq!(found.gpa, Gpa(0x41EAC));
//! assert_eq!(found.hpa, Hpa(0x11EAC));
//! let reads: Vec<u64> = steps.iter().filter_map(|step| step.hpa).map(|hpa| hpa.0).collect();
//! assert_eq!(
//!     reads,
//!     [0x02008, 0x02044, 0x229A4, 0x02008, 0x02040, 0x974D4, 0x02004, 0x02010]
//! );
//! ```
//!
//! - [`golden`] is the nested walk as an executable specification.
//! - [`dut`] is the compiled RTL; [`bench`](mod@bench) clocks it through a [`scenario`] and checks
//!   it.
//! - [`stimulus`] and [`campaign`] make and run random scenarios; [`shrink`] shrinks a failing one.
//! - [`findings`] makes a list of defects: a campaign that goes on after a failure.
//! - [`shard`] and [`results`] run a campaign in parts; [`bundle`] is the folder of a failure.
//! - [`coverage`] counts the bins that were hit.
//! - [`vectors`] checks translations of other implementations.
//! - [`trace`] replays recorded MMU traces.
//! - [`audit`] checks what a simulator has recorded of a device.
//! - [`report`] and [`wave`] show it; [`cli`] is the program `nestwalk`.
//! - [`output`] writes files, [`input`] limits what is read, [`shown`] escapes text for a terminal
//!   and a shell.
//!
//! Not supported: walk caches for the handout's formats, PMP, pointer masking, shadow stacks, and
//! extensions of the entry format other than Svnapot and Svpbmt. `docs/design.md` gives the reasons
//! for the design.

pub mod audit;
pub mod bench;
pub mod bundle;
pub mod campaign;
pub mod cli;
pub mod coverage;
pub mod dut;
pub mod findings;
mod fnv;
pub mod input;
pub mod output;
pub mod report;
pub mod results;
pub mod scenario;
pub mod shard;
pub mod shown;
pub mod shrink;
pub mod stimulus;
pub mod trace;
pub mod vectors;
pub mod version;
pub mod wave;

pub use nestwalk_golden as golden;
pub use nestwalk_golden::{addr, format, memory, mmu, tables};

// Linked for the C++ side: Verilator's FST writer compresses with them.
use libz_sys as _;
use lz4_sys as _;
