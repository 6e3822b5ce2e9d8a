// SPDX-License-Identifier: Apache-2.0
//! `since-reset`: the numbers of requests and fences since the last reset.

use crate::coverage::abilities::Abilities;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, axis, covergroup};
use crate::coverage::events::{FenceAccepted, Request};
use crate::dut::description::Visibility;

axis! {
    /// A number of requests or fences.
    pub enum Many {
        /// 1000 requests.
        Requests1000 = "1000 requests or more",
        /// 3000 requests.
        Requests3000 = "3000 requests or more",
        /// 128 fences.
        Fences128 = "128 fences or more",
        /// 256 fences.
        Fences256 = "256 fences or more",
    }
}

covergroup! {
    "since-reset":
    "requests and fences since the last reset";
    /// A device has accepted this number of requests or fences since its last reset.
    pub struct SinceReset {
        many: Many = "so many",
    }
}

/// The numbers of requests and fences since the last reset.
#[derive(Debug, Default)]
pub struct Counts {
    requests: u32,
    fences: u32,
}

impl Covergroup for SinceReset {
    type Memory = Counts;

    fn visibility(self) -> Visibility {
        Visibility::Ports
    }

    fn is_able(self, device: &Abilities) -> bool {
        match self.many {
            Many::Requests1000 | Many::Requests3000 => true,
            Many::Fences128 | Many::Fences256 => device.fence.is_some(),
        }
    }

    #[inline]
    fn on_request(counts: &mut Counts, _: &Request<'_>, out: &mut Sampling<'_>) {
        counts.requests = counts.requests.saturating_add(1);
        match counts.requests {
            1000 => out.hit(Self {
                many: Many::Requests1000,
            }),
            3000 => out.hit(Self {
                many: Many::Requests3000,
            }),
            _ => {}
        }
    }

    #[inline]
    fn on_fence(counts: &mut Counts, _: &FenceAccepted<'_>, out: &mut Sampling<'_>) {
        counts.fences = counts.fences.saturating_add(1);
        match counts.fences {
            128 => out.hit(Self {
                many: Many::Fences128,
            }),
            256 => out.hit(Self {
                many: Many::Fences256,
            }),
            _ => {}
        }
    }
}
