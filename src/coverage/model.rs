// SPDX-License-Identifier: Apache-2.0
//! All covergroups of a format, with their bins numbered one after the other.
//!
//! An impossible bin must never be hit. If it is, either the rule of its group is wrong, or the
//! device and the golden model are. `nestwalk cover` reports it.

use std::sync::LazyLock;

use super::Goal;
use super::abilities::{Abilities, Sight};
use super::covergroup::{Axis, Covergroup, Rule};
use super::domain::Domain;
use super::groups::{self, Id};
use crate::dut::description::Visibility;
use crate::format::Format;

/// A covergroup of a format, for files and reports.
#[derive(Debug)]
pub struct Group {
    /// The covergroup.
    pub id: Id,
    /// Its name in files and reports.
    pub name: &'static str,
    /// A description of what it counts.
    pub about: &'static str,
    /// Its axes.
    pub axes: Vec<Axis>,
    /// The rule of each bin.
    pub rules: Vec<Rule>,
    /// The number of its first bin in the model.
    pub start: usize,
    /// The goal of each bin.
    goals: fn(&Domain) -> Vec<Option<Goal>>,
    /// Tells for each bin whether a device with these abilities can reach it.
    able: fn(&Domain, &Abilities) -> Vec<bool>,
}

/// The separator of the values in the name of a bin.
pub const SEPARATOR: &str = " | ";

impl Group {
    fn of<G: Covergroup>(domain: &Domain, start: usize) -> Self {
        let format = domain.format;
        Self {
            id: G::ID,
            name: G::NAME,
            about: G::ABOUT,
            axes: G::axes(domain),
            rules: G::all(domain)
                .into_iter()
                .map(|bin| bin.rule(format))
                .collect(),
            start,
            goals: |domain| {
                let bins = G::all(domain).into_iter();
                bins.map(|bin| bin.goal(domain.format)).collect()
            },
            able: |domain, device| {
                let bins = G::all(domain).into_iter();
                bins.map(|bin| bin.has_values(device) && bin.is_able(device))
                    .collect()
            },
        }
    }

    /// Returns the number of the value on each axis, for a bin by its number in the group.
    pub fn coordinates(&self, mut bin: usize) -> Vec<usize> {
        let mut at: Vec<usize> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let value = bin % axis.values.len();
                bin /= axis.values.len();
                value
            })
            .collect();
        at.reverse();
        at
    }

    /// Returns the name of a bin.
    pub fn bin_name(&self, bin: usize) -> String {
        let values: Vec<&str> = self
            .coordinates(bin)
            .iter()
            .zip(&self.axes)
            .map(|(&value, axis)| axis.values[value].as_str())
            .collect();
        values.join(SEPARATOR)
    }

    /// Returns the number of a bin by its name; none if there is no such bin.
    pub fn bin_of_name(&self, name: &str) -> Option<usize> {
        let mut values = name.split(SEPARATOR);
        let mut number = 0;
        for axis in &self.axes {
            let value = values.next()?;
            let value = axis.values.iter().position(|known| known == value)?;
            number = number * axis.values.len() + value;
        }
        values.next().is_none().then_some(number)
    }
}

/// The covergroups of a format.
#[derive(Debug)]
pub struct Model {
    /// The values of the axes.
    pub domain: Domain,
    /// The groups, in the order of their bins.
    pub groups: Vec<Group>,
    /// The index in `groups` of each covergroup.
    by_id: [Option<usize>; Id::ALL.len()],
    /// The number of bins.
    pub bins: usize,
    /// The level of visibility that each bin needs.
    pub visibility: Vec<Visibility>,
    /// A hash of the name and the rule of every bin. Models with the same hash have the same bins.
    pub hash: u64,
}

static MODELS: LazyLock<[Model; Format::ALL.len()]> = LazyLock::new(|| Format::ALL.map(Model::new));

impl Model {
    /// Returns the model of a format.
    pub fn of(format: Format) -> &'static Model {
        &MODELS[format as usize]
    }

    /// Returns the format.
    pub fn format(&self) -> Format {
        self.domain.format
    }

    /// Returns a group; none if the format does not have it.
    #[inline]
    pub fn group(&self, id: Id) -> Option<&Group> {
        self.by_id[id as usize].map(|at| &self.groups[at])
    }

    /// Returns the number of a bin in the model; none if the format does not have it.
    #[inline]
    pub(super) fn number<G: Covergroup>(&self, bin: G) -> Option<usize> {
        let group = self.group(G::ID)?;
        Some(group.start + bin.number(&self.domain, &group.axes)?)
    }

    /// Returns the name of a bin.
    pub fn bin_name<G: Covergroup>(&self, bin: G) -> String {
        let axes = bin.labels(&self.domain);
        axes.join(SEPARATOR)
    }

    /// Returns the goals of a group's bins.
    pub(super) fn goals(&self, group: &Group) -> Vec<Option<Goal>> {
        (group.goals)(&self.domain)
    }

    /// Returns how a device with these abilities sees each bin.
    pub(super) fn sights(&self, device: &Abilities) -> Vec<Sight> {
        let able = self.groups.iter();
        let able = able.flat_map(|group| (group.able)(&self.domain, device));
        able.zip(&self.visibility)
            .map(|(is_able, &needed)| match is_able {
                false => Sight::NotAble,
                true if needed > device.visibility => Sight::NotVisible,
                true => Sight::Visible,
            })
            .collect()
    }

    fn new(format: Format) -> Self {
        let mut model = Self {
            domain: Domain::new(format),
            groups: Vec::new(),
            by_id: [None; Id::ALL.len()],
            bins: 0,
            visibility: Vec::new(),
            // FNV-1a.
            hash: 0xCBF2_9CE4_8422_2325,
        };
        groups::visit(&mut model);
        model
    }
}

/// Adds the groups that the format has.
impl groups::Visitor for Model {
    fn group<G: Covergroup>(&mut self) {
        if !G::is_of(self.format()) {
            return;
        }
        let group = Group::of::<G>(&self.domain, self.bins);
        for (bin, rule) in group.rules.iter().enumerate() {
            let (tag, why) = match rule {
                Rule::Reachable => (0, ""),
                Rule::Impossible(why) => (1, *why),
                Rule::NotAsked(why) => (2, *why),
                Rule::NotVisible | Rule::NotAble => (3, "depends on the runs"),
            };
            let text = format!("{}:{}:{tag}{why}", group.name, group.bin_name(bin));
            for byte in text.bytes() {
                self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
        }
        self.bins += group.rules.len();
        let bins = G::all(&self.domain).into_iter();
        self.visibility.extend(bins.map(|bin| bin.visibility()));
        self.by_id[group.id as usize] = Some(self.groups.len());
        self.groups.push(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bin_has_a_name_of_its_own_that_leads_back_to_it() {
        for format in Format::ALL {
            let model = Model::of(format);
            for group in &model.groups {
                for bin in 0..group.rules.len() {
                    assert_eq!(group.bin_of_name(&group.bin_name(bin)), Some(bin));
                }
                assert_eq!(group.bin_of_name("what there is not"), None);
            }
        }
    }

    #[test]
    fn every_bin_that_is_made_from_its_values_has_the_number_of_its_place() {
        struct Check(&'static Model, usize);
        impl groups::Visitor for Check {
            fn group<G: Covergroup>(&mut self) {
                let Check(model, seen) = self;
                let Some(group) = model.group(G::ID) else {
                    return;
                };
                let bins = G::all(&model.domain);
                assert_eq!(bins.len(), group.rules.len(), "{}", G::NAME);
                for (number, bin) in bins.into_iter().enumerate() {
                    assert_eq!(model.number(bin), Some(group.start + number), "{bin:?}");
                }
                *seen += 1;
            }
        }
        for format in Format::ALL {
            let model = Model::of(format);
            let mut check = Check(model, 0);
            groups::visit(&mut check);
            assert_eq!(check.1, model.groups.len());
        }
    }

    #[test]
    fn every_group_can_be_reached_and_reasons_are_given() {
        for format in Format::ALL {
            for group in &Model::of(format).groups {
                let is_reachable = group.rules.contains(&Rule::Reachable);
                assert!(is_reachable, "{format} {}", group.name);
                for rule in &group.rules {
                    if let Rule::Impossible(why) | Rule::NotAsked(why) = rule {
                        assert!(!why.is_empty());
                    }
                }
            }
        }
    }

    /// The hashes in the coverage files of earlier programs. Files of programs with the same bins
    /// can be merged. A change of a bin, or of a reason, changes the hash of its format here.
    #[test]
    fn the_bins_are_those_of_earlier_coverage_files() {
        let hashes = Format::ALL.map(|format| format!("{:016x}", Model::of(format).hash));
        let earlier = [
            "185a27d7dd0805c0",
            "633319083195a7f3",
            "154bd8ac11614f0b",
            "841b47d46ea88a73",
        ];
        assert_eq!(hashes, earlier);
    }
}
