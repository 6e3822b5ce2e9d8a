// SPDX-License-Identifier: Apache-2.0
//! The operands of a fence.

use super::super::abilities::Abilities;
use super::super::covergroup::AxisValue;
use super::super::domain::Domain;
use crate::mmu::Fence;

/// The operands of a fence: those that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operands {
    /// It is a fence of V=1.
    pub virt: bool,
    /// It has a gVA.
    pub gva: bool,
    /// It has a gPA.
    pub gpa: bool,
    /// It has an ASID.
    pub asid: bool,
    /// It has a VMID.
    pub vmid: bool,
}

impl Operands {
    /// Returns the operands of a fence.
    pub fn of(fence: &Fence) -> Self {
        Self {
            virt: fence.virt,
            gva: fence.gva.is_some(),
            gpa: fence.gpa.is_some(),
            asid: fence.asid.is_some(),
            vmid: fence.vmid.is_some(),
        }
    }

    /// Returns true if the fence has neither an ASID nor a VMID, so that it matches every address
    /// space of its V.
    pub fn has_no_tag(self) -> bool {
        !self.asid && !self.vmid
    }
}

impl AxisValue for Operands {
    fn values(domain: &Domain) -> Vec<Self> {
        let forms = match domain.format.has_native_contexts() {
            true => 32,
            false => 16,
        };
        (0..forms)
            .map(|bits| Self {
                gva: bits & 1 != 0,
                gpa: bits & 2 != 0,
                asid: bits & 4 != 0,
                vmid: bits & 8 != 0,
                virt: bits & 16 == 0,
            })
            .collect()
    }

    fn label(self, domain: &Domain) -> String {
        let mut words = Vec::new();
        if domain.format.has_native_contexts() {
            words.push(if self.virt { "V=1" } else { "V=0" });
        }
        let operands = [
            (self.gva, "gVA"),
            (self.gpa, "gPA"),
            (self.asid, "ASID"),
            (self.vmid, "VMID"),
        ];
        let names = operands.into_iter().filter(|(is_used, _)| *is_used);
        words.extend(names.map(|(_, name)| name));
        if !operands.iter().any(|(is_used, _)| *is_used) {
            words.push("everything");
        }
        words.join(" ")
    }

    #[inline]
    fn position(self, domain: &Domain) -> Option<usize> {
        let operands = usize::from(self.gva)
            | usize::from(self.gpa) << 1
            | usize::from(self.asid) << 2
            | usize::from(self.vmid) << 3;
        let is_native = domain.format.has_native_contexts() && !self.virt;
        Some(operands | usize::from(is_native) << 4)
    }

    fn is_able(self, device: &Abilities) -> bool {
        let Some(fence) = device.fence else {
            return false;
        };
        device.virt.contains(&self.virt)
            && (!self.gva || fence.gva)
            && (!self.gpa || fence.gpa)
            && (!self.asid || fence.asid)
            && (!self.vmid || fence.vmid)
    }
}
