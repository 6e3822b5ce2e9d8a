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

/// Observes a run. Each method has an empty default.
#[allow(unused_variables)]
pub trait Observer {
    /// True: the device stops in the cycle of a mismatch, and each method is called in the cycle of
    /// its event. False: the device may run some cycles further, and the calls may come some cycles
    /// later. The result of the run is the same in both cases.
    const LIVE: bool = true;
    /// True: [`Observer::event`] is called. Decoding the event record costs time.
    const EVENTS: bool = false;
    /// True: [`Observer::begun`] is called.
    const BEGUN: bool = false;
    /// True: [`Observer::took`] is called for every step.
    const STEPS: bool = false;
    /// True: [`Observer::ports`] is called.
    const PORTS: bool = false;

    /// A cycle ends. `next`: the index of the operation to begin next. All earlier operations have
    /// begun.
    fn begun(&mut self, cycle: u64, next: usize) {}
    /// The ports of the device in a cycle. The call comes before the cycle is judged.
    fn ports(&mut self, cycle: u64, inputs: &Inputs, outputs: &Outputs) {}
    /// Returns true to end the run early. The run then returns the figures so far. The method is
    /// called from time to time.
    fn is_interrupted(&self) -> bool {
        false
    }
    /// The device has accepted a request.
    fn accepted(&mut self, cycle: u64, request: &Request) {}
    /// The response to a request is a replay, because a fence has overtaken the request. The
    /// requester sends the request again. If the access is speculative, the requester does not, and
    /// [`Observer::abandoned`] is called next.
    fn replayed(&mut self, cycle: u64, request: &Request) {}
    /// A speculative access has ended with a replay: the requester does not send its request again.
    fn abandoned(&mut self, cycle: u64, op: usize) {}
    /// The device has sent the response to a request. `hit`: it is a TLB hit.
    fn answered(&mut self, cycle: u64, request: &Request, outcome: &Outcome, hit: bool) {}
    /// The device has accepted a fence.
    fn fenced(&mut self, cycle: u64, op: usize, fence: &Fence) {}
    /// The device has been reset: requests in flight get no response.
    fn reset(&mut self) {}
    /// The set of walk caches in use changes to `used` in a cycle.
    fn walk_caches(&mut self, cycle: u64, used: WalkCaches) {}
    /// A transfer on a port is accepted. `cycles`: the number of cycles for which it was offered
    /// and not accepted before.
    fn waited(&mut self, what: Held, cycles: u32) {}
    /// Memory has accepted a memory request of a slot. `walk`: the walk in the slot; none if the
    /// slot has no walk.
    fn read(&mut self, slot: u8, walk: Option<&Walk>, read: &Read) {}
    /// Memory has returned the response to a read or update of a slot.
    fn replied(&mut self, cycle: u64, slot: u8) {}
    /// Memory has accepted a memory request, and will respond with an error. `beside`: the kind of
    /// data that accompany the error.
    fn erred(&mut self, is_update: bool, beside: Beside) {}
    /// A fence is offered for the first cycle. The call comes after all other calls of the cycle.
    /// `port`: the slot whose memory request is offered and not accepted, if there is one.
    /// `response`: the id of the response that is offered, if there is one.
    fn fence_offered(&mut self, cycle: u64, fence: &Fence, port: Option<u8>, response: Option<u8>) {
    }
    /// The device has reported a step of a walk, which has read or updated an entry.
    fn took(&mut self, step: &WalkStep) {}
    /// The device has output an event record.
    fn event(&mut self, cycle: u64, event: &Event) {}
    /// A request has been assigned to a walk.
    fn assigned(&mut self, cycle: u64, request: &Request, walk: &Walk) {}
    /// The L2 TLB has answered a request.
    fn second_hit(&mut self, cycle: u64, request: &Request) {}
    /// The result of a walk has been given to a request.
    fn given(&mut self, cycle: u64, done: &Done) {}
    /// Reports one step of the golden walk of a walk that has ended. After the last step,
    /// [`Observer::walked`] is called.
    fn step(&mut self, query: &Query, step: &Step) {}
    /// A step of an ended walk follows a hit of a page-walk cache. `number`: the number of the step
    /// among the steps of [`Observer::step`] that read or update an entry. The call comes before
    /// [`Observer::walked`].
    fn passed(&mut self, number: usize, step: &WalkStep) {}
    /// A walk has ended, and agrees with the golden walk.
    fn walked(&mut self, cycle: u64, walked: &Walked<'_>) {}
    /// The run has ended. `uses`: how often the device has used each freedom of its device file.
    /// The method is called only for a device that is checked by its ports alone.
    fn used(&mut self, uses: &FreedomUses) {}
}

/// A walk that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Walked<'a> {
    /// The walk.
    pub walk: &'a Walk,
    /// The first request that gets the result of the walk.
    pub query: Query,
    /// The result of the walk, by the golden model.
    pub found: Result<Mapping, Fault>,
    /// The result of the walk fills the TLB.
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

/// The observer that ignores every event.
impl Observer for () {
    const LIVE: bool = false;
}
