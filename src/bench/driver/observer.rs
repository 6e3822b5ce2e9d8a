// SPDX-License-Identifier: Apache-2.0
//! Observers of a run.

use crate::bench::freedoms::FreedomUses;
use crate::bench::memory_request::Read;
use crate::bench::memory_server::Beside;
use crate::bench::scoreboard::{Request, Walk};
use crate::dut::{Done, Event, Inputs, Outputs, WalkStep};
use crate::golden::{Mapping, Step, StepLog};
use crate::mmu::{Fault, Fence, Outcome, Query, WalkCaches};
use crate::scenario::Held;

/// Observes a run. Every method may be left out.
#[allow(unused_variables)]
pub trait Observer {
    /// True: the device stops in the very cycle of a mismatch, and each method is called in the
    /// cycle that it concerns. False: both may come some cycles later. The result of the run is the
    /// same.
    const LIVE: bool = true;
    /// True: [`Observer::event`] is called. Decoding the event record costs time.
    const EVENTS: bool = false;
    /// True: [`Observer::begun`] is called.
    const BEGUN: bool = false;
    /// True: [`Observer::took`] is called for every step.
    const STEPS: bool = false;
    /// True: [`Observer::ports`] is called.
    const PORTS: bool = false;

    /// A cycle ends. `next`: the op that is to begin next. All ops before it have begun.
    fn begun(&mut self, cycle: u64, next: usize) {}
    /// The ports of the device in a cycle. The call comes before the cycle is judged.
    fn ports(&mut self, cycle: u64, inputs: &Inputs, outputs: &Outputs) {}
    /// Returns true if the run is to end early, with the figures up to then. It is called from time
    /// to time.
    fn is_interrupted(&self) -> bool {
        false
    }
    /// The device has accepted a request.
    fn accepted(&mut self, cycle: u64, request: &Request) {}
    /// The device has answered a request with a replay: a fence has overtaken it. The request is
    /// made again, unless it is speculative: then [`Observer::abandoned`] follows.
    fn replayed(&mut self, cycle: u64, request: &Request) {}
    /// The requester does not repeat a speculative access that a fence has overtaken: the op has
    /// ended.
    fn abandoned(&mut self, cycle: u64, op: usize) {}
    /// The device has answered a request.
    fn answered(&mut self, cycle: u64, request: &Request, outcome: &Outcome, hit: bool) {}
    /// The device has accepted a fence.
    fn fenced(&mut self, cycle: u64, op: usize, fence: &Fence) {}
    /// The device has been reset: requests in flight get no response.
    fn reset(&mut self) {}
    /// Other walk caches are in use from a cycle on.
    fn walk_caches(&mut self, cycle: u64, used: WalkCaches) {}
    /// A transfer on a port is accepted, after so many cycles in which it was offered.
    fn waited(&mut self, what: Held, cycles: u32) {}
    /// Memory has accepted a memory request of a slot, in which there is a walk or none.
    fn read(&mut self, slot: u8, walk: Option<&Walk>, read: &Read) {}
    /// Memory has answered the read or update of a slot.
    fn replied(&mut self, cycle: u64, slot: u8) {}
    /// Memory will answer the memory request that it has just accepted with an error. `beside`: the
    /// data beside the error.
    fn erred(&mut self, is_update: bool, beside: Beside) {}
    /// A fence is offered for the first cycle. The call comes after all others of that cycle.
    /// `port`: the slot whose memory request is offered and was not accepted. `response`: the id of
    /// the response that is offered.
    fn fence_offered(&mut self, cycle: u64, fence: &Fence, port: Option<u8>, response: Option<u8>) {
    }
    /// A walk has read or updated an entry, as the device reports it.
    fn took(&mut self, step: &WalkStep) {}
    /// An event of the device.
    fn event(&mut self, cycle: u64, event: &Event) {}
    /// A request has been assigned to a walk.
    fn assigned(&mut self, cycle: u64, request: &Request, walk: &Walk) {}
    /// The L2 TLB has answered a request.
    fn second_hit(&mut self, cycle: u64, request: &Request) {}
    /// A request has been given its walk's result.
    fn given(&mut self, cycle: u64, done: &Done) {}
    /// A step of a walk that has ended, by the golden model. [`Observer::walked`] comes after the
    /// last.
    fn step(&mut self, query: &Query, step: &Step) {}
    /// A page-walk cache has led a walk that has ended to an entry. `number`: the number of its
    /// step among those of [`Observer::step`] that read or update an entry. The call comes before
    /// [`Observer::walked`].
    fn passed(&mut self, number: usize, step: &WalkStep) {}
    /// A walk has ended, as the golden model says.
    fn walked(&mut self, cycle: u64, walked: &Walked<'_>) {}
    /// The run has ended, and has used freedoms of the device file so often. It is called for a
    /// device that is checked by its ports.
    fn used(&mut self, uses: &FreedomUses) {}
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
