// SPDX-License-Identifier: Apache-2.0
//! The counts of bins during a run.

use super::covergroup::Covergroup;
use super::model::Model;
use crate::dut::description::Visibility;
use crate::format::Format;
use crate::scenario::Machine;

/// The counts of one run. A run hits few of the bins, so the bins that it hits are listed.
#[derive(Debug)]
pub struct Bins {
    model: &'static Model,
    counts: Vec<u32>,
    hit: Vec<u32>,
    /// The level of visibility of the run.
    shown: Visibility,
}

impl Bins {
    /// Makes the bins of a format, without hits.
    pub fn new(format: Format) -> Self {
        let model = Model::of(format);
        Self {
            model,
            counts: vec![0; model.bins],
            hit: Vec::new(),
            shown: Visibility::Steps,
        }
    }

    /// Sets the level of visibility of the run. Bins that need a higher level are not counted.
    pub(super) fn show(&mut self, level: Visibility) {
        self.shown = level;
    }

    /// Returns the format.
    pub(super) fn format(&self) -> Format {
        self.model.format()
    }

    /// Counts a hit of a bin. A bin that the format does not have is ignored.
    #[inline]
    fn hit<G: Covergroup>(&mut self, bin: G) {
        let Some(bin) = self.model.number(bin) else {
            return;
        };
        if self.shown != Visibility::Steps && self.model.visibility[bin] > self.shown {
            return;
        }
        if self.counts[bin] == 0 {
            self.hit.push(bin as u32);
        }
        self.counts[bin] = self.counts[bin].saturating_add(1);
    }

    /// Returns the bins that were hit, with their counts, in order, and clears all counts.
    pub fn take(&mut self) -> Hits {
        self.hit.sort_unstable();
        let counts = &mut self.counts;
        let bins = self
            .hit
            .drain(..)
            .map(|bin| (bin, std::mem::take(&mut counts[bin as usize])))
            .collect();
        Hits {
            format: self.model.format(),
            bins,
        }
    }
}

/// The bins that a run has hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hits {
    /// The format.
    pub format: Format,
    /// The number of each bin in its [`Model`], and its number of hits.
    pub bins: Vec<(u32, u32)>,
}

/// The device's configuration and the bins, for a sampling rule.
#[derive(Debug)]
pub struct Sampling<'a> {
    /// The device's configuration.
    pub machine: &'a Machine,
    bins: &'a mut Bins,
}

impl<'a> Sampling<'a> {
    pub(super) fn new(machine: &'a Machine, bins: &'a mut Bins) -> Self {
        Self { machine, bins }
    }

    /// Counts a hit of a bin.
    #[inline]
    pub fn hit<G: Covergroup>(&mut self, bin: G) {
        self.bins.hit(bin);
    }
}
