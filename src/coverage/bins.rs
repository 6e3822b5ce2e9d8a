// SPDX-License-Identifier: Apache-2.0
//! The counts of bins during a run.

use super::covergroup::Covergroup;
use super::model::Model;
use crate::format::Format;
use crate::scenario::Machine;

/// The counts of one run. A run hits few of the bins, so the bins that it hits are listed.
#[derive(Debug)]
pub struct Bins {
    model: &'static Model,
    counts: Vec<u32>,
    hit: Vec<u32>,
}

impl Bins {
    /// The bins of a format, none of them hit.
    pub fn new(format: Format) -> Self {
        let model = Model::of(format);
        Self {
            model,
            counts: vec![0; model.bins],
            hit: Vec::new(),
        }
    }

    /// The format.
    pub(super) fn format(&self) -> Format {
        self.model.format()
    }

    /// Counts a bin; a bin that the format does not have counts nothing.
    #[inline]
    fn hit<G: Covergroup>(&mut self, bin: G) {
        let Some(bin) = self.model.number(bin) else {
            return;
        };
        if self.counts[bin] == 0 {
            self.hit.push(bin as u32);
        }
        self.counts[bin] = self.counts[bin].saturating_add(1);
    }

    /// Takes the bins that were hit, with their counts, in order. None is hit then.
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
    /// Each bin's number in its [`Model`], and how often it was hit.
    pub bins: Vec<(u32, u32)>,
}

/// What a sampling rule counts into.
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

    /// Counts a bin.
    #[inline]
    pub fn hit<G: Covergroup>(&mut self, bin: G) {
        self.bins.hit(bin);
    }
}
