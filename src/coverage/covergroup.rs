// SPDX-License-Identifier: Apache-2.0
//! Covergroups: their parts, and how their bins are made from typed values.
//!
//! A covergroup is a cross of axes. Its bin is a struct with one field for each axis. The type of
//! the field is the type of the axis. The number of a bin follows from the values and is private to
//! this module.
//!
//! ```
//! use nestwalk::coverage::groups::wait::{Cycles, Wait};
//! use nestwalk::scenario::Held;
//!
//! let bin = Wait { port: Held::Reads, cycles: Cycles::Few };
//! ```
//!
//! A value of another axis does not compile:
//!
//! ```compile_fail,E0308
//! use nestwalk::coverage::groups::wait::{Cycles, Wait};
//! use nestwalk::scenario::Held;
//!
//! let bin = Wait { port: Cycles::Few, cycles: Cycles::Few };
//! ```

use std::fmt::Debug;

use super::abilities::Abilities;
use super::bins::Sampling;
use super::domain::Domain;
use super::events::{
    CacheFence, CacheHit, CacheSwitch, FenceAccepted, FenceOffered, FinishedWalk, L2Hit,
    MemoryError, MemoryRead, MemoryReply, NewWalk, PortWait, ReleasedWalk, Request, Response,
    WalkStep,
};
use super::goal::Goal;
use super::groups::Id;
use crate::dut::description::Visibility;
use crate::format::Format;

/// A value of an axis. An axis is the values of one type that a format has, in order.
pub trait AxisValue: Copy + Eq + Debug + 'static {
    /// Returns the values that the format has, in the order of the axis.
    fn values(domain: &Domain) -> Vec<Self>;

    /// Returns the name of the value, as a part of the name of a bin.
    fn label(self, domain: &Domain) -> String;

    /// Returns the number of the value on its axis; none if the format has no such value.
    fn position(self, domain: &Domain) -> Option<usize>;

    /// Returns true if a device with these abilities can have the value.
    fn is_able(self, device: &Abilities) -> bool {
        let _ = device;
        true
    }
}

/// Declares an enum that is an axis: each variant with its label, in the order of the axis. A
/// function may follow that tells whether a device can have a value.
macro_rules! axis {
    (
        $(#[$meta:meta])*
        $visibility:vis enum $Axis:ident {
            $( $(#[$value_meta:meta])* $Value:ident = $label:literal, )+
        }
        $(able: $able:expr;)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visibility enum $Axis {
            $( $(#[$value_meta])* $Value, )+
        }

        impl $Axis {
            /// Every value, in the order of the axis.
            pub const ALL: &'static [Self] = &[$(Self::$Value),+];

            /// Returns the label of the value.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$Value => $label, )+
                }
            }
        }

        impl $crate::coverage::covergroup::AxisValue for $Axis {
            fn values(_: &$crate::coverage::domain::Domain) -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn label(self, _: &$crate::coverage::domain::Domain) -> String {
                self.name().to_owned()
            }

            #[inline]
            fn position(self, _: &$crate::coverage::domain::Domain) -> Option<usize> {
                Some(self as usize)
            }

            $(
                fn is_able(self, device: &$crate::coverage::abilities::Abilities) -> bool {
                    let able: fn(Self, &$crate::coverage::abilities::Abilities) -> bool = $able;
                    able(self, device)
                }
            )?
        }
    };
}
pub(super) use axis;

/// An axis as it is shown: its name and the labels of its values.
#[derive(Debug)]
pub struct Axis {
    /// The name.
    pub name: &'static str,
    /// The labels of the values.
    pub values: Vec<String>,
}

impl Axis {
    /// Returns the axis of a type, under a name.
    pub fn of<V: AxisValue>(name: &'static str, domain: &Domain) -> Self {
        let values = V::values(domain).into_iter();
        Self {
            name,
            values: values.map(|value| value.label(domain)).collect(),
        }
    }
}

/// A bin of a cross of axes. The macro `covergroup!` implements it.
pub trait Bin: Copy + Eq + Debug + 'static {
    /// The name of the covergroup in files and reports.
    const NAME: &'static str;
    /// A description of what the covergroup counts.
    const ABOUT: &'static str;

    /// Returns the axes, with the values that the format has.
    fn axes(domain: &Domain) -> Vec<Axis>;

    /// Returns every bin of the format, in order: the values of the last axis change fastest.
    fn all(domain: &Domain) -> Vec<Self>;

    /// Returns the label of the value of each axis.
    fn labels(self, domain: &Domain) -> Vec<String>;

    /// Returns the number of the bin; none if the format lacks one of its values. `axes` are the
    /// axes of [`Bin::axes`].
    fn number(self, domain: &Domain, axes: &[Axis]) -> Option<usize>;

    /// Returns true if a device with these abilities can have the value of each axis.
    fn has_values(self, device: &Abilities) -> bool;
}

/// Declares the bin of a covergroup: its name, a description of what it counts, and its axes, each
/// with the type of its values and its name.
macro_rules! covergroup {
    (
        $name:literal: $about:literal;
        $(#[$meta:meta])*
        pub struct $Group:ident {
            $( $field:ident: $Value:ty = $axis:literal, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $Group {
            $(
                #[doc = concat!("The value of the axis `", $axis, "`.")]
                pub $field: $Value,
            )+
        }

        impl $crate::coverage::covergroup::Bin for $Group {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = $about;

            fn axes(
                domain: &$crate::coverage::domain::Domain,
            ) -> Vec<$crate::coverage::covergroup::Axis> {
                vec![$($crate::coverage::covergroup::Axis::of::<$Value>($axis, domain)),+]
            }

            fn all(domain: &$crate::coverage::domain::Domain) -> Vec<Self> {
                use $crate::coverage::covergroup::AxisValue;
                $( let $field = <$Value>::values(domain); )+
                let bins: usize = [$($field.len()),+].iter().product();
                (0..bins)
                    .map(|number| {
                        let (mut rest, mut stride) = (number, bins);
                        $(
                            stride /= $field.len();
                            let $field = $field[rest / stride];
                            rest %= stride;
                        )+
                        debug_assert_eq!(rest, 0);
                        Self { $($field),+ }
                    })
                    .collect()
            }

            fn labels(self, domain: &$crate::coverage::domain::Domain) -> Vec<String> {
                use $crate::coverage::covergroup::AxisValue;
                vec![$( self.$field.label(domain) ),+]
            }

            #[inline]
            fn number(
                self,
                domain: &$crate::coverage::domain::Domain,
                axes: &[$crate::coverage::covergroup::Axis],
            ) -> Option<usize> {
                use $crate::coverage::covergroup::AxisValue;
                let mut number = 0;
                let mut axes = axes.iter();
                $(
                    let count = axes.next()?.values.len();
                    let position = self.$field.position(domain)?;
                    debug_assert!(position < count, "{self:?}");
                    number = number * count + position;
                )+
                Some(number)
            }

            fn has_values(self, device: &$crate::coverage::abilities::Abilities) -> bool {
                use $crate::coverage::covergroup::AxisValue;
                true $( && self.$field.is_able(device) )+
            }
        }
    };
}
pub(super) use covergroup;

/// The rule of a bin: reachable or not, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The bin can be hit.
    Reachable,
    /// The bin cannot be hit, for this reason.
    Impossible(&'static str),
    /// The bin may be hit, but no run is asked to hit it, for this reason.
    NotAsked(&'static str),
    /// The bin can be hit, but the devices of the runs hide what it counts
    /// ([`Coverage::rules`](super::Coverage::rules)).
    NotVisible,
    /// The bin can be hit, but the devices of the runs lack an ability that it needs
    /// ([`Coverage::rules`](super::Coverage::rules)).
    NotAble,
}

impl Rule {
    /// Returns impossible if there is a reason, and reachable otherwise.
    pub fn unless(why: Option<&'static str>) -> Self {
        why.map_or(Rule::Reachable, Rule::Impossible)
    }

    /// Returns this rule, or `other` if this rule is reachable.
    pub fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Rule::Reachable => other(),
            rule => rule,
        }
    }
}

/// The identity of a covergroup. The registration in [`super::groups`] implements it.
pub trait Registered {
    /// The covergroup.
    const ID: Id;
}

/// A covergroup: its bins, with the rule of each, and its sampling rule.
///
/// The sampling rule is one or more of the `on_` methods. Each receives an event and the facts that
/// the [`super::CoverageCollector`] has about it. By default they count nothing.
pub trait Covergroup: Bin + Registered {
    /// The memory of the sampling rule for earlier events. A reset of the device clears it.
    type Memory: Debug + Default;

    /// Returns true if the format has the covergroup.
    fn is_of(format: Format) -> bool {
        let _ = format;
        true
    }

    /// Returns the rule of the bin.
    fn rule(self, format: Format) -> Rule {
        let _ = format;
        Rule::Reachable
    }

    /// Returns the level of visibility at which the sampling rule knows all that the bin needs. By
    /// default that is the level that shows which walk serves which request.
    fn visibility(self) -> Visibility {
        Visibility::Requests
    }

    /// Returns true if a device with these abilities can reach the bin, apart from the values of
    /// its axes.
    fn is_able(self, device: &Abilities) -> bool {
        let _ = device;
        true
    }

    /// Returns the goal that the generator of stimulus draws to hit the bin; none if it cannot.
    fn goal(self, format: Format) -> Option<Goal> {
        let _ = format;
        None
    }

    /// Called when the device accepted a request.
    #[inline]
    fn on_request(_: &mut Self::Memory, _: &Request<'_>, _: &mut Sampling<'_>) {}

    /// Called when the device responded to a request.
    #[inline]
    fn on_response(_: &mut Self::Memory, _: &Response<'_>, _: &mut Sampling<'_>) {}

    /// Called when a walk began for a request that missed.
    #[inline]
    fn on_walk(_: &mut Self::Memory, _: &NewWalk, _: &mut Sampling<'_>) {}

    /// Called when the last request of a walk got its response.
    #[inline]
    fn on_release(_: &mut Self::Memory, _: &ReleasedWalk, _: &mut Sampling<'_>) {}

    /// Called when the L2 TLB answered a request.
    #[inline]
    fn on_l2_hit(_: &mut Self::Memory, _: &L2Hit<'_>, _: &mut Sampling<'_>) {}

    /// Called when memory accepted a read or an update of a walk slot.
    #[inline]
    fn on_read(_: &mut Self::Memory, _: &MemoryRead, _: &mut Sampling<'_>) {}

    /// Called when memory responded to the read or the update of a walk slot.
    #[inline]
    fn on_reply(_: &mut Self::Memory, _: &MemoryReply, _: &mut Sampling<'_>) {}

    /// Called when memory is about to respond with an error, and with a word on the data lines.
    #[inline]
    fn on_error(_: &mut Self::Memory, _: &MemoryError, _: &mut Sampling<'_>) {}

    /// Called when a port accepted what was offered, after a number of cycles in which it did not.
    #[inline]
    fn on_wait(_: &mut Self::Memory, _: &PortWait, _: &mut Sampling<'_>) {}

    /// Called when a fence was offered while a request was outstanding. Called once for each
    /// request or walk.
    #[inline]
    fn on_fence_offered(_: &mut Self::Memory, _: &FenceOffered<'_>, _: &mut Sampling<'_>) {}

    /// Called when the device accepted a fence. The TLB and the walks are as they were before it.
    #[inline]
    fn on_fence(_: &mut Self::Memory, _: &FenceAccepted<'_>, _: &mut Sampling<'_>) {}

    /// Called when a fence met entries of a page-walk cache. Called once for each cache and each
    /// [`CacheMet`](super::axes::CacheMet).
    #[inline]
    fn on_cache_fence(_: &mut Self::Memory, _: &CacheFence, _: &mut Sampling<'_>) {}

    /// Called when a kind of page-walk cache was switched on or off.
    #[inline]
    fn on_cache_switch(_: &mut Self::Memory, _: &CacheSwitch, _: &mut Sampling<'_>) {}

    /// Called when a walk that ended had read, or updated, an entry.
    #[inline]
    fn on_step(_: &mut Self::Memory, _: &WalkStep<'_>, _: &mut Sampling<'_>) {}

    /// Called when a walk that ended had hit in a page-walk cache.
    #[inline]
    fn on_cache_hit(_: &mut Self::Memory, _: &CacheHit<'_>, _: &mut Sampling<'_>) {}

    /// Called when a walk ended. Its steps and its page-walk cache hits came before.
    #[inline]
    fn on_walk_end(_: &mut Self::Memory, _: &FinishedWalk<'_>, _: &mut Sampling<'_>) {}
}
