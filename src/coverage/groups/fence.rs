// SPDX-License-Identifier: Apache-2.0
//! `fence`: fences, and their effects on the TLB and on walks.

use crate::coverage::axes::Operands;
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, axis, covergroup};
use crate::coverage::events::FenceAccepted;
use crate::coverage::formats::{self, Feature};
use crate::format::Format;
use crate::golden::occupancy::FilledPage;
use crate::mmu;

axis! {
    /// The way in which a fence meets the TLB and the walks. `By` an operand: all others match.
    pub enum Met {
        /// It matches an entry.
        Matched = "an entry it names",
        /// An entry is of the other V.
        OtherV = "an entry of the other V",
        /// Only its gVA does not match an entry.
        ByGva = "an entry spared by gVA",
        /// Only its gPA does not match an entry.
        ByGpa = "an entry spared by gPA",
        /// Only its ASID does not match an entry.
        ByAsid = "an entry spared by ASID",
        /// An entry is global, and the fence has an ASID.
        AsGlobal = "an entry spared as global",
        /// Only its VMID does not match an entry.
        ByVmid = "an entry spared by VMID",
        /// It matches a walk in flight.
        WalkOvertaken = "a walk it overtakes",
        /// It does not match a walk in flight.
        WalkNotMatched = "a walk it leaves alone",
        /// The TLB is empty, and no walk is in flight.
        Nothing = "nothing",
    }
}

covergroup! {
    "fence":
    "fences by their operands, and how they met the TLB and the walks. An operand spares an entry \
     if every other operand matches it";
    /// The device accepts a fence.
    pub struct Fence {
        operands: Operands = "operands",
        met: Met = "met",
    }
}

impl Covergroup for Fence {
    type Memory = ();

    fn rule(self, format: Format) -> Rule {
        const NO_OPERAND: &str = "the fence has no such operand";
        let rules = formats::of(format);
        let Operands {
            virt,
            gva,
            gpa,
            asid,
            vmid,
        } = self.operands;
        let operand = |is_used: bool| (!is_used).then_some(NO_OPERAND);
        Rule::unless(match self.met {
            Met::Matched | Met::WalkOvertaken | Met::Nothing => None,
            Met::OtherV => rules.lacks(Feature::NativeContexts),
            Met::ByGva => operand(gva),
            Met::ByGpa => operand(gpa),
            Met::ByAsid => operand(asid),
            Met::AsGlobal => operand(asid).or(rules.lacks(Feature::GlobalPages)),
            Met::ByVmid => {
                let outside = (!virt).then_some("outside virtual machines there is no VMID");
                operand(vmid).or(outside)
            }
            Met::WalkNotMatched => {
                let is_of_all = !format.has_native_contexts() && self.operands.has_no_tag();
                is_of_all.then_some("the fence overtakes every walk")
            }
        })
        .and(|| rules.fence(self.operands))
    }

    fn on_fence(_: &mut (), accepted: &FenceAccepted<'_>, out: &mut Sampling<'_>) {
        let fence = accepted.fence;
        let mut seen = 0_u16;
        for entry in accepted.tlb.must_contain() {
            if let Some(met) = meets(fence, entry) {
                seen |= 1 << met as u16;
            }
        }
        let walks = || accepted.walks.iter().filter(|walk| !walk.ended);
        for walk in walks() {
            let met = match fence.matches_tag(walk.space) {
                true => Met::WalkOvertaken,
                false => Met::WalkNotMatched,
            };
            seen |= 1 << met as u16;
        }
        if accepted.tlb.is_empty() && walks().next().is_none() {
            seen |= 1 << Met::Nothing as u16;
        }
        let operands = Operands::of(fence);
        for &met in Met::ALL {
            if seen >> met as u16 & 1 != 0 {
                out.hit(Self { operands, met });
            }
        }
    }
}

/// Returns the way in which a fence meets an entry; none if several operands do not match it.
fn meets(fence: &mmu::Fence, entry: &FilledPage) -> Option<Met> {
    let without = |change: fn(&mut mmu::Fence)| {
        let mut other = *fence;
        change(&mut other);
        entry.is_matched_by(&other)
    };
    if entry.is_matched_by(fence) {
        Some(Met::Matched)
    } else if fence.virt != entry.space.virt {
        Some(Met::OtherV)
    } else if without(|fence| fence.gva = None) {
        Some(Met::ByGva)
    } else if without(|fence| fence.gpa = None) {
        Some(Met::ByGpa)
    } else if without(|fence| fence.asid = None) {
        Some(match entry.mapping.global {
            true => Met::AsGlobal,
            false => Met::ByAsid,
        })
    } else if without(|fence| fence.vmid = None) {
        Some(Met::ByVmid)
    } else {
        None
    }
}
