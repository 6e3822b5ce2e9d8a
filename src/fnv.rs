// SPDX-License-Identifier: Apache-2.0
//! A hash that is the same on every machine and in every release.
//!
//! This file is also compiled into the build script, so it uses nothing of the crate.

/// FNV-1a with 64 bits, as hexadecimal digits. It distinguishes versions of a text. It is not a
/// cryptographic hash.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> String {
    let hash = bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}
