// SPDX-License-Identifier: Apache-2.0
//! `twin`: requests of contexts that differ in one field only.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::ContextField;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{AxisValue, Covergroup, Rule, axis, covergroup};
use crate::coverage::domain::Domain;
use crate::coverage::events::Request;
use crate::coverage::formats::{self, Feature};
use crate::coverage::goal::{Goal, Situation};
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::mmu::{Context, Query};

/// The one field in which two contexts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TwinField {
    /// A field of the context. Two roots differ in a bit that is used.
    Field(ContextField),
    /// Bits of the guest's root below the alignment of the register.
    GuestRootBits,
    /// Bits of the host's root below the alignment of the register.
    HostRootBits,
}

impl TwinField {
    /// Every field, in the order of the axis.
    pub const ALL: [Self; 19] = [
        Self::Field(ContextField::Virt),
        Self::Field(ContextField::GuestMode),
        Self::Field(ContextField::HostMode),
        Self::Field(ContextField::GuestRoot),
        Self::Field(ContextField::HostRoot),
        Self::Field(ContextField::Asid),
        Self::Field(ContextField::Vmid),
        Self::Field(ContextField::User),
        Self::Field(ContextField::Sum),
        Self::Field(ContextField::GuestMxr),
        Self::Field(ContextField::HostMxr),
        Self::Field(ContextField::GuestAdue),
        Self::Field(ContextField::HostAdue),
        Self::Field(ContextField::GuestPbmte),
        Self::Field(ContextField::HostPbmte),
        Self::Field(ContextField::Napot),
        Self::GuestRootBits,
        Self::HostRootBits,
        Self::Field(ContextField::RightsMode),
    ];

    /// Returns the field if it is the only one in which two contexts differ. `masks` are the bits
    /// of the guest's and the host's root that are used.
    fn only(one: &Context, other: &Context, masks: [u64; 2]) -> Option<Self> {
        if one == other {
            return None;
        }
        let guest_root = one.guest.root.0 ^ other.guest.root.0;
        let host_root = one.host.root.0 ^ other.host.root.0;
        let differs = |field: &Self| match field {
            Self::Field(ContextField::GuestRoot) => guest_root & masks[0] != 0,
            Self::Field(ContextField::HostRoot) => host_root & masks[1] != 0,
            Self::Field(field) => field.differs(one, other),
            Self::GuestRootBits => guest_root & !masks[0] != 0,
            Self::HostRootBits => host_root & !masks[1] != 0,
        };
        let mut fields = Self::ALL.into_iter().filter(differs);
        let only = fields.next()?;
        fields.next().is_none().then_some(only)
    }
}

impl AxisValue for TwinField {
    fn values(_: &Domain) -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn label(self, _: &Domain) -> String {
        let name = match self {
            Self::Field(field) => field.name(),
            Self::GuestRootBits => "bits below the guest root",
            Self::HostRootBits => "bits below the host root",
        };
        name.to_owned()
    }

    fn position(self, _: &Domain) -> Option<usize> {
        Self::ALL.iter().position(|&known| known == self)
    }

    fn is_able(self, device: &Abilities) -> bool {
        match self {
            Self::Field(field) => AxisValue::is_able(field, device),
            Self::GuestRootBits => device.has_stage(false),
            Self::HostRootBits => device.has_stage(true),
        }
    }
}

axis! {
    /// The time of the equal request.
    pub enum When {
        /// Its walk is in flight.
        InFlight = "its walk is under way",
        /// It was the request directly before.
        JustBefore = "it came just before",
    }
}

covergroup! {
    "twin":
    "requests whose context differs in one field from that of an equal request before";
    /// The context of a request differs only in one field from the context of an equal request.
    pub struct Twin {
        field: TwinField = "differs in",
        when: When = "when",
    }
}

impl Covergroup for Twin {
    /// The request before, and its context as it was driven.
    type Memory = Option<(Query, Context)>;

    fn visibility(self) -> Visibility {
        match self.when {
            When::JustBefore => Visibility::Ports,
            When::InFlight => Visibility::Requests,
        }
    }

    fn rule(self, format: Format) -> Rule {
        let rules = formats::of(format);
        match self.field {
            TwinField::Field(field) => rules.context_field(format, field),
            TwinField::GuestRootBits | TwinField::HostRootBits => {
                Rule::unless(rules.lacks(Feature::RootBits))
            }
        }
    }

    fn goal(self, _: Format) -> Option<Goal> {
        Some(Goal::Situation(Situation::Twin(self)))
    }

    fn on_request(
        before: &mut Option<(Query, Context)>,
        request: &Request<'_>,
        out: &mut Sampling<'_>,
    ) {
        let Request { query, driven, .. } = *request;
        let format = out.machine.format;
        let smallest = format.geometry().offset_width;
        let is_equal = |other: &Query| {
            other.gva.0 >> smallest == query.gva.0 >> smallest && other.access == query.access
        };
        let only = |context| TwinField::only(context, driven, format.root_masks());
        for walk in request.slots.walks() {
            if is_equal(&walk.query)
                && let Some(field) = only(&walk.driven)
            {
                out.hit(Self {
                    field,
                    when: When::InFlight,
                });
            }
        }
        if let Some((other, context)) = before.replace((*query, *driven))
            && is_equal(&other)
            && let Some(field) = only(&context)
        {
            out.hit(Self {
                field,
                when: When::JustBefore,
            });
        }
    }
}
