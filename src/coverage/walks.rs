// SPDX-License-Identifier: Apache-2.0
//! The walks in flight.

use crate::mmu::{AddressSpaceTag, Context, Query};

/// A walk that has not given all its requests their result.
#[derive(Debug)]
pub struct WalkInFlight {
    /// Its slot.
    pub slot: u8,
    /// Its address space.
    pub space: AddressSpaceTag,
    /// The context of its first request.
    pub context: Context,
    /// Requests that wait for its result.
    pub(super) waiting: u32,
    /// Requests that have its result.
    pub(super) given: u32,
    /// It has its result.
    pub ended: bool,
    /// A fence matched its address space before it ended.
    pub overtaken: bool,
}

impl WalkInFlight {
    pub(super) fn new(slot: u8, query: &Query) -> Self {
        Self {
            slot,
            space: query.context.space(),
            context: query.context,
            waiting: 1,
            given: 0,
            ended: false,
            overtaken: false,
        }
    }
}
