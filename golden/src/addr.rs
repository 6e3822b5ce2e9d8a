// SPDX-License-Identifier: Apache-2.0
//! The three types of addresses.
//!
//! A guest physical address that is passed to host memory does not compile:
//!
//! ```compile_fail
//! use nestwalk_golden::{addr::{Gpa, Hpa}, format::Format, memory::HostMemory};
//! let memory = HostMemory::new(Format::Handout);
//! memory.read(Gpa(0x2000));
//! ```

use std::fmt;

use serde::{Serialize, Serializer};

macro_rules! address {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// A byte address. Its width is the format's width of this kind of address. The caller must
        /// make sure of that.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{:05X}", self.0)
            }
        }

        impl fmt::LowerHex for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::LowerHex::fmt(&self.0, f)
            }
        }

        /// Serializes as a string, such as `"0x02008"`: JSON has no hexadecimal numbers.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

address! {
    /// Guest virtual address (gVA): the address that a program uses.
    Gva
}
address! {
    /// Guest physical address (gPA): the address that guest tables contain, and that the host stage
    /// translates.
    Gpa
}
address! {
    /// Host physical address (hPA): an address of memory.
    Hpa
}
