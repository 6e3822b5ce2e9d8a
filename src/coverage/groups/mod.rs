// SPDX-License-Identifier: Apache-2.0
//! The covergroups, one file each: the axes, the impossible bins, and the sampling rule.
//!
//! A new covergroup needs a file here, its `mod` line, and its line in the registration below. The
//! order of the registration is the order of the bins.

use super::bins::Sampling;
use super::covergroup::{Covergroup, Registered};
use super::events::{
    CacheFence, CacheHit, CacheSwitch, FenceAccepted, FenceOffered, FinishedWalk, L2Hit,
    MemoryError, MemoryRead, MemoryReply, NewWalk, PortWait, ReleasedWalk, Request, Response,
    WalkStep,
};
use crate::format::Format;

pub mod answer_order;
pub mod beside;
pub mod cache_fence;
pub mod cache_switch;
pub mod entry;
pub mod entry_use;
pub mod error_word;
pub mod fault;
pub mod fence;
pub mod fence_place;
pub mod fence_walk;
pub mod global;
pub mod handout;
pub mod look_up;
pub mod memory_type;
pub mod next_read;
pub mod part;
pub mod pass;
pub mod pass_after;
pub mod pass_end;
pub mod reply_order;
pub mod riscv;
pub mod second_again;
pub mod second_level;
pub mod shared;
pub mod since_reset;
pub mod slots;
pub mod status;
pub mod switch;
pub mod translation;
pub mod twin;
pub mod update;
pub mod wait;
pub mod walk_caches;

/// A visitor of all covergroups, in order.
pub(super) trait Visitor {
    /// Visits a covergroup.
    fn group<G: Covergroup>(&mut self);
}

/// Declares the method that gives an event to the covergroups of the format.
macro_rules! event {
    ({ $($Group:ident: $Bin:ty,)+ } $event:ident($Event:ty)) => {
        #[inline]
        pub(super) fn $event(&mut self, event: $Event, out: &mut Sampling<'_>) {
            $(
                if <$Bin>::is_of(self.format) {
                    <$Bin>::$event(&mut self.$Group, event, out);
                }
            )+
        }
    };
}

/// Declares the methods of all events.
macro_rules! events {
    ($groups:tt $( $event:ident($Event:ty); )+) => {
        $( event!($groups $event($Event)); )+
    };
}

/// Registers covergroups: the name of each in [`Id`], and its bin.
macro_rules! register {
    ($( $Group:ident: $Bin:ty, )+) => {
        /// A covergroup.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Id {
            $(
                #[doc = concat!("[`", stringify!($Bin), "`].")]
                $Group,
            )+
        }

        impl Id {
            /// Every covergroup.
            pub const ALL: &'static [Self] = &[$(Self::$Group),+];
        }

        $(
            impl Registered for $Bin {
                const ID: Id = Id::$Group;
            }
        )+

        pub(super) fn visit<V: Visitor>(visitor: &mut V) {
            $( visitor.group::<$Bin>(); )+
        }

        /// The memories of the sampling rules, by covergroup.
        #[derive(Debug)]
        #[allow(non_snake_case)] // The fields have the names of the covergroups.
        pub(super) struct Samplers {
            format: Format,
            $( $Group: <$Bin as Covergroup>::Memory, )+
        }

        impl Samplers {
            pub(super) fn new(format: Format) -> Self {
                Self {
                    format,
                    $( $Group: Default::default(), )+
                }
            }

            events! {
                { $($Group: $Bin,)+ }
                on_request(&Request<'_>);
                on_response(&Response<'_>);
                on_walk(&NewWalk);
                on_release(&ReleasedWalk);
                on_l2_hit(&L2Hit<'_>);
                on_read(&MemoryRead);
                on_reply(&MemoryReply);
                on_error(&MemoryError);
                on_wait(&PortWait);
                on_fence_offered(&FenceOffered<'_>);
                on_fence(&FenceAccepted<'_>);
                on_cache_fence(&CacheFence);
                on_cache_switch(&CacheSwitch);
                on_step(&WalkStep<'_>);
                on_cache_hit(&CacheHit<'_>);
                on_walk_end(&FinishedWalk<'_>);
            }
        }
    };
}

register! {
    Fault: fault::Fault,
    Translation: translation::Translation,
    Entry: entry::Entry,
    Use: entry_use::Use,
    GuestRights: riscv::guest_rights::GuestRights,
    HostRights: riscv::host_rights::HostRights,
    WalkRights: riscv::walk_rights::WalkRights,
    HandoutGuestRights: handout::guest_rights::GuestRights,
    HandoutHostRights: handout::host_rights::HostRights,
    HandoutWalkRights: handout::walk_rights::WalkRights,
    Status: status::Status,
    Update: update::Update,
    Global: global::Global,
    MemoryType: memory_type::MemoryType,
    LookUp: look_up::LookUp,
    SecondLevel: second_level::SecondLevel,
    Beside: beside::Beside,
    Part: part::Part,
    Fence: fence::Fence,
    Slots: slots::Slots,
    Shared: shared::Shared,
    AnswerOrder: answer_order::AnswerOrder,
    ReplyOrder: reply_order::ReplyOrder,
    Switch: switch::Switch,
    NextRead: next_read::NextRead,
    Pass: pass::Pass,
    PassEnd: pass_end::PassEnd,
    PassAfter: pass_after::PassAfter,
    WalkCaches: walk_caches::WalkCaches,
    CacheFence: cache_fence::CacheFence,
    FenceWalk: fence_walk::FenceWalk,
    FencePlace: fence_place::FencePlace,
    Twin: twin::Twin,
    Wait: wait::Wait,
    ErrorWord: error_word::ErrorWord,
    CacheSwitch: cache_switch::CacheSwitch,
    SinceReset: since_reset::SinceReset,
    SecondAgain: second_again::SecondAgain,
}
