// SPDX-License-Identifier: Apache-2.0
//! `beside`: near misses, which are requests that differ from a TLB entry in a single thing.

use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::Request;
use crate::coverage::formats;
use crate::format::Format;

axis! {
    /// The one thing in which a request and an entry differ. The last two do not prevent a hit.
    pub enum ButFor {
        /// One bit of the page number.
        Page = "page",
        /// [`crate::mmu::Context::virt`].
        Virt = "V",
        /// Levels of the guest's stage.
        GuestMode = "guest mode",
        /// Levels of the host's stage.
        HostMode = "host mode",
        /// Rights mode.
        RightsMode = "rights mode",
        /// The ASID.
        Asid = "ASID",
        /// The VMID.
        Vmid = "VMID",
        /// The ASID, and the page is global.
        AsidOfGlobal = "ASID, of a global page",
        /// The VMID, outside virtual machines.
        VmidOfNative = "VMID, V=0",
    }
}

covergroup! {
    "beside":
    "requests that match an entry of the TLB but for one thing";
    /// A request differs from a TLB entry in a single thing.
    pub struct Beside {
        but_for: ButFor = "but for",
    }
}

impl Covergroup for Beside {
    type Memory = ();

    fn rule(self, format: Format) -> Rule {
        formats::of(format).near_miss(self.but_for)
    }

    fn on_request(_: &mut (), request: &Request<'_>, out: &mut Sampling<'_>) {
        let space = request.query.context.space();
        let gva = request.query.gva;
        let mut seen = 0_u16;
        for entry in request.tlb.must_contain() {
            let (other, global) = (entry.space, entry.mapping.global);
            let covers = entry.covers(gva);
            let is_neighbour = ((entry.gva.0 ^ gva.0) >> entry.mapping.page_size).is_power_of_two();
            if !covers && !is_neighbour {
                continue;
            }
            let differs = |but_for| match but_for {
                ButFor::Page => !covers,
                ButFor::Virt => space.virt != other.virt,
                ButFor::GuestMode => space.guest_levels != other.guest_levels,
                ButFor::HostMode => space.host_levels != other.host_levels,
                ButFor::RightsMode => space.rights != other.rights,
                ButFor::Asid => space.asid != other.asid && !global,
                ButFor::Vmid => space.vmid != other.vmid && space.virt,
                ButFor::AsidOfGlobal => space.asid != other.asid && global,
                ButFor::VmidOfNative => space.vmid != other.vmid && !space.virt,
            };
            let of_entry = (ButFor::ALL.iter()).fold(0_u16, |set, &but_for| {
                set | u16::from(differs(but_for)) << but_for as u16
            });
            if of_entry.is_power_of_two() {
                seen |= of_entry;
            }
        }
        for &but_for in ButFor::ALL {
            if seen >> but_for as u16 & 1 != 0 {
                out.hit(Self { but_for });
            }
        }
    }
}
