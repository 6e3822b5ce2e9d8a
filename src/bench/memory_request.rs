// SPDX-License-Identifier: Apache-2.0
//! Memory requests: the reads and updates of table entries that a device makes.

use crate::addr::Hpa;
use crate::dut::Outputs;

/// A memory request that memory has accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// Address of the entry.
    pub at: Hpa,
    /// The update; none for a read.
    pub update: Option<Update>,
    /// The word that memory returned; none is an error response. For an update it is the word
    /// before the update.
    pub word: Option<u64>,
    /// Cycle in which memory accepted the request.
    pub cycle: u64,
}

/// A compare-and-swap: memory writes `new` if the entry is equal to `expected`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The word that the update replaces.
    pub expected: u64,
    /// The word that the update writes.
    pub new: u64,
}

impl Update {
    /// Returns the update on a device's memory port; none if the request is a read.
    #[inline]
    pub(super) fn on_port(outputs: &Outputs) -> Option<Self> {
        outputs.mem_req_update.then_some(Self {
            expected: outputs.mem_req_expected,
            new: outputs.mem_req_new,
        })
    }
}

/// A memory request, without the cycle and the response of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRequest {
    /// Address of the entry.
    pub hpa: Hpa,
    /// The update; none for a read.
    pub update: Option<Update>,
}

impl MemoryRequest {
    /// Returns the request of a memory read or an update.
    pub fn of(read: &Read) -> Self {
        Self {
            hpa: read.at,
            update: read.update,
        }
    }

    /// Returns the request on a device's memory port.
    pub(super) fn on_port(outputs: &Outputs) -> Self {
        Self {
            hpa: Hpa(outputs.mem_req_hpa),
            update: Update::on_port(outputs),
        }
    }

    /// Returns the request with its place in a walk. `before`: the requests of the walk before it.
    pub(super) fn behind(self, before: &[Read]) -> WalkRequest {
        WalkRequest {
            request: self,
            place: WalkPlace::behind(before, self.update.is_some()),
        }
    }
}

/// The place of a memory request in its walk. Reads and updates are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkPlace {
    /// The request is an update.
    pub is_update: bool,
    /// Number of the request among the reads, or the updates, of its walk, from 1.
    pub number: usize,
}

impl WalkPlace {
    /// Returns the place of a request that follows the requests `before` of its walk.
    pub(super) fn behind(before: &[Read], is_update: bool) -> Self {
        let RequestCounts { reads, updates } = RequestCounts::of(before);
        Self {
            is_update,
            number: 1 + if is_update { updates } else { reads },
        }
    }

    /// Returns the place of the request with an index in a walk. An index past the end counts as a
    /// read.
    pub(super) fn of(reads: &[Read], index: usize) -> Self {
        let before = &reads[..index.min(reads.len())];
        let is_update = reads.get(index).is_some_and(|read| read.update.is_some());
        Self::behind(before, is_update)
    }
}

/// A memory request with its place in its walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkRequest {
    /// The request.
    pub request: MemoryRequest,
    /// The place of the request in its walk.
    pub place: WalkPlace,
}

/// Numbers of memory requests, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestCounts {
    /// Memory reads.
    pub reads: usize,
    /// Updates.
    pub updates: usize,
}

impl RequestCounts {
    /// Counts the reads and the updates among memory requests.
    pub fn of(requests: &[Read]) -> Self {
        let is_update = |read: &&Read| read.update.is_some();
        let updates = requests.iter().filter(is_update).count();
        Self {
            reads: requests.len() - updates,
            updates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(update: Option<Update>) -> Read {
        Read {
            at: Hpa(0x1000),
            update,
            word: Some(0),
            cycle: 1,
        }
    }

    #[test]
    fn reads_and_updates_of_a_walk_are_counted_apart() {
        let update = Some(Update {
            expected: 1,
            new: 0x41,
        });
        let reads = [request(None), request(None), request(update), request(None)];
        let counts = RequestCounts::of(&reads);
        assert_eq!((counts.reads, counts.updates), (3, 1));
        let place = |index| {
            let place = WalkPlace::of(&reads, index);
            (place.is_update, place.number)
        };
        assert_eq!(
            [0, 1, 2, 3].map(place),
            [(false, 1), (false, 2), (true, 1), (false, 3)]
        );
        // The index past the end gives the place of a further read.
        assert_eq!(place(4), (false, 4));
        let behind = MemoryRequest::of(&reads[2]).behind(&reads);
        assert_eq!((behind.place.is_update, behind.place.number), (true, 2));
    }
}
