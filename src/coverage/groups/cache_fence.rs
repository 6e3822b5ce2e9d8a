// SPDX-License-Identifier: Apache-2.0
//! `cache-fence`: fences, and their effects on page-walk caches.

use crate::coverage::abilities::Abilities;
use crate::coverage::axes::{CacheMet, Operands};
use crate::coverage::bins::Sampling;
use crate::coverage::covergroup::{Covergroup, Rule, covergroup};
use crate::coverage::events;
use crate::coverage::formats;
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::golden::occupancy::PageWalkCache;

pub(super) const ANY_GPA: &str =
    "a fence of a gPA forgets guest tables and their pages whatever the gPA";

covergroup! {
    "cache-fence":
    "fences by their operands, and how they met the page-walk caches of each level";
    /// A fence meets a page-walk cache that is in use.
    pub struct CacheFence {
        operands: Operands = "operands",
        cache: PageWalkCache = "cache",
        met: CacheMet = "met",
    }
}

impl Covergroup for CacheFence {
    type Memory = ();

    fn visibility(self) -> Visibility {
        Visibility::Steps
    }

    fn is_able(self, device: &Abilities) -> bool {
        device.walk_caches
    }

    fn is_of(format: Format) -> bool {
        format.has_walk_caches()
    }

    fn rule(self, format: Format) -> Rule {
        Rule::unless(self.why_not()).and(|| formats::of(format).fence(self.operands))
    }

    #[inline]
    fn on_cache_fence(_: &mut (), fence: &events::CacheFence, out: &mut Sampling<'_>) {
        // The cache may already contain an entry that a walk in flight has read.
        let is_known = fence.met != CacheMet::Nothing || !fence.has_walks;
        if fence.is_used && is_known {
            out.hit(Self {
                operands: fence.operands,
                cache: fence.cache,
                met: fence.met,
            });
        }
    }
}

impl CacheFence {
    /// Returns the reason why no fence meets the cache in this way; none if one can.
    fn why_not(self) -> Option<&'static str> {
        const NO_OPERAND: &str = "the fence has no such operand";
        const NO_HOST: &str = "outside virtual machines there is no stage of the host's";
        const OF_GUEST: &str = "a fence of a gVA or an ASID is none of the host's stage";
        const BOTH: &str = "both gVA and ASID spare it, neither alone";
        let Operands {
            virt,
            gva,
            gpa,
            asid,
            vmid,
        } = self.operands;
        let is_guest = matches!(self.cache, PageWalkCache::Guest { .. });
        let is_table = self.cache != PageWalkCache::Nested;
        let operand = |is_used: bool| (!is_used).then_some(NO_OPERAND);
        match self.met {
            CacheMet::Nothing => None,
            CacheMet::OtherV if is_guest => None,
            CacheMet::OtherV => virt.then_some("what is of the host's is of V=1"),
            CacheMet::MatchedGlobal if !is_guest => Some("only guest tables are global"),
            CacheMet::MatchedGlobal => operand(asid),
            CacheMet::ByGpa if is_guest || !is_table => Some(ANY_GPA),
            _ if !is_guest && !virt => Some(NO_HOST),
            CacheMet::ByGva | CacheMet::ByAsid if !is_guest && gva && asid => Some(BOTH),
            CacheMet::ByGva => operand(gva),
            CacheMet::ByAsid => operand(asid),
            _ if !is_guest && (gva || asid) => Some(OF_GUEST),
            CacheMet::Matched => None,
            CacheMet::ByGpa => operand(gpa),
            CacheMet::ByVmid if !virt => Some("outside virtual machines there is no VMID"),
            CacheMet::ByVmid => operand(vmid),
        }
    }
}
