// SPDX-License-Identifier: Apache-2.0
//! Observers of a run.

use crate::bench::memory_request::Read;
use crate::bench::memory_server::Beside;
use crate::bench::scoreboard::{Request, Walk};
use crate::dut::{Done, Event, WalkStep};
use crate::golden::{Mapping, Step, StepLog};
use crate::mmu::{Fault, Fence, Outcome, Query, WalkCaches};
use crate::scenario::Held;

/// Watches a run. Every method may be left out.
#[allow(unused_variables)]
pub trait Observer {
    /// Whether the device must stop in the very cycle of a mismatch, and the other methods be called in the cycle that they
    /// are about. If not, both may come some cycles later. A run comes to the same either way.
    const LIVE: bool = true;
    /// Whether [`Observer::event`] wants steps of walks; they cost time to take apart.
    const EVENTS: bool = false;
    /// Whether [`Observer::begun`] is called.
    const BEGUN: bool = false;
    /// Whether [`Observer::took`] is wanted.
    const STEPS: bool = false;

    /// At the end of a cycle, the op that is to begin next. All before it have been begun.
    fn begun(&mut self, cycle: u64, next: usize) {}
    /// Whether the run is to end before its time: then it comes to the figures until then. Asked from time to time.
    fn is_interrupted(&self) -> bool {
        false
    }
    /// The device has accepted a request.
    fn accepted(&mut self, cycle: u64, request: &Request) {}
    /// The device has answered a request with a replay: a fence has overtaken it. The request is made
    /// again, unless it is speculative: then [`Observer::abandoned`] follows.
    fn replayed(&mut self, cycle: u64, request: &Request) {}
    /// The requester does not ask again for a speculative access that a fence has overtaken: the op is over.
    fn abandoned(&mut self, cycle: u64, op: usize) {}
    /// The device has answered a request.
    fn answered(&mut self, cycle: u64, request: &Request, outcome: &Outcome, hit: bool) {}
    /// The device has taken a fence.
    fn fenced(&mut self, cycle: u64, op: usize, fence: &Fence) {}
    /// The device has been reset: what has no answer yet gets none.
    fn reset(&mut self) {}
    /// Other walk caches are in use from a cycle on.
    fn walk_caches(&mut self, cycle: u64, used: WalkCaches) {}
    /// What was offered at a port has been taken, after so many cycles in which it was not.
    fn waited(&mut self, what: Held, cycles: u32) {}
    /// Memory has accepted a memory request of a slot, in which there is a walk or none.
    fn read(&mut self, slot: u8, walk: Option<&Walk>, read: &Read) {}
    /// Memory has answered the read or update of a slot.
    fn replied(&mut self, cycle: u64, slot: u8) {}
    /// Memory will answer a read or update, which it has just taken, with an error; and what will be beside it.
    fn erred(&mut self, is_update: bool, beside: Beside) {}
    /// A fence is offered for the first cycle, after all else of that cycle. `port`: the slot whose read or update is offered then, and
    /// was not taken. `response`: the id of the answer that is offered.
    fn fence_offered(&mut self, cycle: u64, fence: &Fence, port: Option<u8>, response: Option<u8>) {
    }
    /// A walk has taken an entry, as the device tells it.
    fn took(&mut self, step: &WalkStep) {}
    /// An event of the device.
    fn event(&mut self, cycle: u64, event: &Event) {}
    /// A request has been assigned to a walk.
    fn assigned(&mut self, cycle: u64, request: &Request, walk: &Walk) {}
    /// The L2 TLB has answered a request.
    fn second_hit(&mut self, cycle: u64, request: &Request) {}
    /// A request has been given its walk's result.
    fn given(&mut self, cycle: u64, done: &Done) {}
    /// A step of a walk that has ended, by the golden model; [`Observer::walked`] comes after its last.
    fn step(&mut self, query: &Query, step: &Step) {}
    /// A walk cache has led a walk that has ended to an entry: to that of [`Observer::step`]'s steps, of those that read or update
    /// one, that has the number. Comes before [`Observer::walked`].
    fn passed(&mut self, number: usize, step: &WalkStep) {}
    /// A walk has ended, as the golden model says.
    fn walked(&mut self, cycle: u64, walked: &Walked<'_>) {}
}

/// A walk that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Walked<'a> {
    /// The walk.
    pub walk: &'a Walk,
    /// The first request that its result is given to.
    pub query: Query,
    /// The result of the walk, by the golden model.
    pub found: Result<Mapping, Fault>,
    /// The TLB is filled with it.
    pub fill: bool,
}

/// Hands the steps of a walk to an observer.
pub(super) struct Steps<'a, O> {
    pub observer: &'a mut O,
    pub query: Option<Query>,
}

impl<O: Observer> StepLog for Steps<'_, O> {
    #[inline]
    fn step(&mut self, step: Step) {
        if let Some(query) = &self.query {
            self.observer.step(query, &step);
        }
    }
}

/// Nobody watches.
impl Observer for () {
    const LIVE: bool = false;
}
