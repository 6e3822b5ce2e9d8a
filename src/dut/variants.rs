// SPDX-License-Identifier: Apache-2.0
//! Devices: sets of parameters with which the RTL is elaborated.
//!
//! [`VARIANTS`] is the table of the devices that have a name. `cargo build` compiles the default
//! device of each format; every other device is built on first use ([`super::library`]). A device
//! that is not in the table is written as a specification: `rv64:slots=2,tlb=8,guest-cache=0`.
//!
//! This file is also compiled into the build script, so it uses no other module of the crate.

use std::collections::HashMap;
use std::fmt;
use std::fmt::Write;
use std::sync::{LazyLock, Mutex};

/// A foreign device: the absolute path of its device file or of its shared object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Foreign(&'static str);

impl Foreign {
    /// Returns the foreign device with a path. The path is stored until the program ends.
    pub fn at(path: &str) -> Self {
        static KEPT: LazyLock<Mutex<HashMap<String, Foreign>>> = LazyLock::new(Mutex::default);
        let mut kept = KEPT.lock().unwrap_or_else(|e| e.into_inner());
        *(kept.entry(path.to_owned()))
            .or_insert_with_key(|path| Self(Box::leak(path.clone().into_boxed_str())))
    }

    /// Returns the path of the device file or of the shared object.
    pub const fn path(self) -> &'static str {
        self.0
    }
}

/// One elaboration of the RTL, or a foreign device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The name in [`VARIANTS`]; if the device is not in the table, its specification in canonical
    /// form.
    pub name: &'static str,
    /// Value of the RTL parameter `Format`.
    pub format: u32,
    /// The number of walk slots.
    pub slots: u32,
    /// The number of TLB entries.
    pub tlb_entries: u32,
    /// The numbers of entries of the walk caches.
    pub walk_cache_entries: WalkCacheEntries,
    /// The device may offer the next memory read of a walk in the cycle in which the data of the
    /// previous read arrive.
    pub read_bypass: bool,
    /// Value of the RTL parameter `MaxLevels`: the most levels of a stage of RV64.
    pub max_levels: u32,
    /// The walker can set A and D. (The handout's formats have neither.)
    pub svadu: bool,
    /// The L2 TLB, if there is one.
    pub tlb2: Option<SecondTlb>,
    /// RTL assertions are on, and every bit that the RTL leaves undefined starts with a random
    /// value. Such a device is slower. The devices without it are for large campaigns.
    pub checked: bool,
    /// The device is not one of the project's own. The other fields follow from its description.
    pub foreign: Option<Foreign>,
}

/// The number of entries of each walk cache; 0 if the device has no such cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WalkCacheEntries {
    /// Entries of the guest page-walk cache for each level. The cache maps a gVA prefix to the next
    /// guest table.
    pub guest: u32,
    /// Entries of the host page-walk cache for each level. The cache maps a gPA prefix to the next
    /// host table.
    pub host: u32,
    /// Entries of the nested TLB, which maps the gPA of a guest table to its hPA.
    pub nested: u32,
}

impl WalkCacheEntries {
    /// Returns the same number of entries for each cache.
    pub const fn all(entries: u32) -> Self {
        Self {
            guest: entries,
            host: entries,
            nested: entries,
        }
    }

    /// Returns true if there is any cache.
    pub const fn any(self) -> bool {
        self.guest > 0 || self.host > 0 || self.nested > 0
    }

    /// Returns the number of entries of each cache, if all caches have the same number.
    pub fn same(self) -> Option<u32> {
        (self == Self::all(self.guest)).then_some(self.guest)
    }
}

/// An L2 TLB: the RTL parameters `Tlb2Sets`, `Tlb2Ways` and `Tlb2Superpages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondTlb {
    /// The number of sets, which hold pages of the smallest size; a power of two.
    pub sets: u32,
    /// The number of ways of each set, a power of two.
    pub ways: u32,
    /// The number of entries for larger pages; 0 if the L2 TLB does not hold larger pages.
    pub superpages: u32,
}

/// Names of the formats, in the order of the RTL parameter `Format`.
const FORMATS: [&str; 4] = ["handout", "classic32", "rv32", "rv64"];

/// The index of RV64 in [`FORMATS`].
const RV64: u32 = 3;

/// The most entries of a TLB, of a walk cache, and of the superpages of an L2 TLB. The RTL has no
/// such limit, but for larger devices Verilator and the C++ compiler take minutes.
const MOST_ENTRIES: u32 = 128;
/// The most sets of an L2 TLB, and the most ways.
const MOST_SETS: u32 = 1024;
const MOST_WAYS: u32 = 16;

/// A parameter of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// [`Variant::slots`].
    Slots,
    /// [`Variant::tlb_entries`].
    Tlb,
    /// [`WalkCacheEntries::guest`].
    GuestCache,
    /// [`WalkCacheEntries::host`].
    HostCache,
    /// [`WalkCacheEntries::nested`].
    NestedTlb,
    /// [`Variant::read_bypass`].
    ReadBypass,
    /// [`Variant::max_levels`].
    MaxLevels,
    /// [`Variant::svadu`].
    Svadu,
    /// [`Variant::tlb2`].
    Tlb2,
    /// [`Variant::checked`].
    Checked,
}

impl Parameter {
    /// Every parameter, in the order of a specification.
    pub const ALL: [Self; 10] = [
        Self::Slots,
        Self::Tlb,
        Self::GuestCache,
        Self::HostCache,
        Self::NestedTlb,
        Self::ReadBypass,
        Self::MaxLevels,
        Self::Svadu,
        Self::Tlb2,
        Self::Checked,
    ];

    /// Returns the key of the parameter in a specification.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Slots => "slots",
            Self::Tlb => "tlb",
            Self::GuestCache => "guest-cache",
            Self::HostCache => "host-cache",
            Self::NestedTlb => "nested-tlb",
            Self::ReadBypass => "read-bypass",
            Self::MaxLevels => "max-levels",
            Self::Svadu => "svadu",
            Self::Tlb2 => "tlb2",
            Self::Checked => "checked",
        }
    }
}

/// An illegal value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllegalParameter {
    /// The parameter.
    pub parameter: Parameter,
    /// The value, as it is written in a specification.
    pub value: String,
    /// The legal values.
    pub legal: &'static str,
}

impl fmt::Display for IllegalParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            parameter,
            value,
            legal,
        } = self;
        write!(f, "{} is {value}, but must be {legal}", parameter.key())
    }
}

/// The error in a text that is neither the name nor the specification of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecificationError {
    /// There is no device with this name.
    Name(String),
    /// There is no parameter with this key.
    Key(String),
    /// A key has no value, or a value of the wrong type.
    Value {
        /// The parameter.
        parameter: &'static str,
        /// The text of the value.
        value: String,
        /// The expected form of the value.
        form: &'static str,
    },
    /// The value of a parameter is illegal.
    Illegal(IllegalParameter),
}

impl fmt::Display for SpecificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "there is no device {name:?}"),
            Self::Key(key) => {
                let keys: Vec<&str> = Parameter::ALL.iter().map(|p| p.key()).collect();
                write!(
                    f,
                    "there is no parameter {key:?}; the parameters are {ALL_CACHES}, {}",
                    keys.join(", ")
                )
            }
            Self::Value {
                parameter,
                value,
                form,
            } => write!(f, "{parameter} is {value:?}, but must be {form}"),
            Self::Illegal(illegal) => illegal.fmt(f),
        }
    }
}

impl std::error::Error for IllegalParameter {}
impl std::error::Error for SpecificationError {}

/// The key in a specification that sets the entries of all three walk caches.
const ALL_CACHES: &str = "walk-caches";

impl Variant {
    /// Returns true if random campaigns use the device. Devices with large page-walk caches are for
    /// measurements only, because small caches find more defects and simulate faster.
    pub const fn is_for_campaigns(&self) -> bool {
        let WalkCacheEntries {
            guest,
            host,
            nested,
        } = self.walk_cache_entries;
        guest <= 2 && host <= 2 && nested <= 2
    }

    /// Returns the value of the parameter `InputsAt` of `sim/tb_top.sv`. A model is fastest if its
    /// inputs are registered at the rising edge, but then an assertion fails one cycle too late. So
    /// this is not done for checked devices.
    pub const fn inputs_at(&self) -> u32 {
        if self.checked { 1 } else { 2 }
    }

    /// Returns the name of the format.
    pub fn format_name(&self) -> &'static str {
        FORMATS[self.format as usize]
    }

    /// Returns true if the format is a RISC-V format.
    const fn is_of_riscv(&self) -> bool {
        self.format >= 2
    }

    /// Returns the default device of a format.
    ///
    /// # Panics
    /// If there is no such format.
    pub fn default_of(format: u32) -> &'static Self {
        VARIANTS
            .iter()
            .find(|variant| variant.format == format)
            .expect("each format has a default device")
    }

    /// Checks that the RTL can be elaborated with these parameters. The rules are the assertions at
    /// the end of `rtl/nested_mmu.sv` and the limits of this program. A parameter without a meaning
    /// in the format must have its default.
    ///
    /// # Errors
    /// The first parameter with an illegal value.
    pub fn check(&self) -> Result<(), IllegalParameter> {
        use Parameter::{GuestCache, HostCache, MaxLevels, NestedTlb, Slots, Svadu, Tlb, Tlb2};
        let legal = |is_legal: bool, parameter: Parameter, legal: &'static str| {
            if is_legal {
                return Ok(());
            }
            Err(IllegalParameter {
                parameter,
                value: self.value(parameter),
                legal,
            })
        };
        let is_power = |n: u32, most: u32| n >= 2 && n.is_power_of_two() && n <= most;
        legal((1..=16).contains(&self.slots), Slots, "1 to 16")?;
        legal(
            is_power(self.tlb_entries, MOST_ENTRIES),
            Tlb,
            "a power of two, 2 to 128",
        )?;
        for parameter in [GuestCache, HostCache, NestedTlb] {
            let entries = self.entries_of(parameter);
            if self.is_of_riscv() {
                let is_legal = entries == 0 || is_power(entries, MOST_ENTRIES);
                legal(is_legal, parameter, "0, or a power of two, 2 to 128")?;
            } else {
                let only = "0: only the formats of RISC-V have walk caches";
                legal(entries == 0, parameter, only)?;
            }
        }
        if self.format == RV64 {
            legal((3..=5).contains(&self.max_levels), MaxLevels, "3 to 5")?;
        } else {
            legal(
                self.max_levels == 5,
                MaxLevels,
                "5: only the levels of RV64 are a parameter",
            )?;
        }
        legal(
            self.svadu || self.is_of_riscv(),
            Svadu,
            "true: only the formats of RISC-V have A and D",
        )?;
        let Some(SecondTlb {
            sets,
            ways,
            superpages,
        }) = self.tlb2
        else {
            return Ok(());
        };
        legal(
            is_power(sets, MOST_SETS) && is_power(ways, MOST_WAYS),
            Tlb2,
            "SETSxWAYS, each a power of two: 2 to 1024 sets, 2 to 16 ways",
        )?;
        legal(
            superpages == 0 || self.is_of_riscv(),
            Tlb2,
            "SETSxWAYS: only the formats of RISC-V have superpages",
        )?;
        legal(
            superpages == 0 || is_power(superpages, MOST_ENTRIES),
            Tlb2,
            "SETSxWAYS+SUPERPAGES: 0 superpages, or a power of two, 2 to 128",
        )
    }

    fn entries_of(&self, parameter: Parameter) -> u32 {
        match parameter {
            Parameter::GuestCache => self.walk_cache_entries.guest,
            Parameter::HostCache => self.walk_cache_entries.host,
            _ => self.walk_cache_entries.nested,
        }
    }

    /// Returns the value of a parameter, as it is written in a specification.
    fn value(&self, parameter: Parameter) -> String {
        match parameter {
            Parameter::Slots => self.slots.to_string(),
            Parameter::Tlb => self.tlb_entries.to_string(),
            Parameter::GuestCache | Parameter::HostCache | Parameter::NestedTlb => {
                self.entries_of(parameter).to_string()
            }
            Parameter::ReadBypass => self.read_bypass.to_string(),
            Parameter::MaxLevels => self.max_levels.to_string(),
            Parameter::Svadu => self.svadu.to_string(),
            Parameter::Tlb2 => match self.tlb2 {
                None => "none".to_owned(),
                Some(SecondTlb {
                    sets,
                    ways,
                    superpages: 0,
                }) => format!("{sets}x{ways}"),
                Some(SecondTlb {
                    sets,
                    ways,
                    superpages,
                }) => format!("{sets}x{ways}+{superpages}"),
            },
            Parameter::Checked => self.checked.to_string(),
        }
    }

    /// Returns the format and every parameter as text, in the order of [`Parameter::ALL`].
    pub fn parameters(&self) -> String {
        let parameters = Parameter::ALL.map(|p| format!("{}={}", p.key(), self.value(p)));
        format!("{}:{}", self.format_name(), parameters.join(","))
    }

    /// Sets a parameter to a value that is written as in a specification.
    fn set(&mut self, parameter: Parameter, value: &str) -> Result<(), SpecificationError> {
        let wrong = |form| SpecificationError::Value {
            parameter: parameter.key(),
            value: value.to_owned(),
            form,
        };
        let number = || value.parse::<u32>().map_err(|_| wrong("a number"));
        let boolean = || value.parse::<bool>().map_err(|_| wrong("true or false"));
        let caches = &mut self.walk_cache_entries;
        match parameter {
            Parameter::Slots => self.slots = number()?,
            Parameter::Tlb => self.tlb_entries = number()?,
            Parameter::GuestCache => caches.guest = number()?,
            Parameter::HostCache => caches.host = number()?,
            Parameter::NestedTlb => caches.nested = number()?,
            Parameter::ReadBypass => self.read_bypass = boolean()?,
            Parameter::MaxLevels => self.max_levels = number()?,
            Parameter::Svadu => self.svadu = boolean()?,
            Parameter::Tlb2 => {
                self.tlb2 = second_tlb(value)
                    .ok_or_else(|| wrong("none, SETSxWAYS or SETSxWAYS+SUPERPAGES"))?;
            }
            Parameter::Checked => self.checked = boolean()?,
        }
        Ok(())
    }

    /// Returns the name in the table. If the device is not in the table, returns its specification
    /// in canonical form: the format, and each parameter that differs from the default device of
    /// the format, in the order of [`Parameter::ALL`].
    fn canonical_name(&self) -> String {
        let is_it = |variant: &&Variant| {
            Self {
                name: variant.name,
                ..*self
            } == **variant
        };
        if let Some(variant) = VARIANTS.iter().find(is_it) {
            return variant.name.to_owned();
        }
        let default = Self::default_of(self.format);
        let mut name = self.format_name().to_owned();
        let mut separator = ':';
        for parameter in Parameter::ALL {
            let value = self.value(parameter);
            if value != default.value(parameter) {
                let _ = write!(name, "{separator}{}={value}", parameter.key());
                separator = ',';
            }
        }
        name
    }

    /// Returns the device with these parameters. The field `name` of `self` is ignored.
    ///
    /// A device that is not in the table is stored until the program ends, which takes about a
    /// hundred bytes for each device.
    ///
    /// # Errors
    /// If a parameter has an illegal value.
    pub fn interned(&self) -> Result<&'static Self, IllegalParameter> {
        static KEPT: LazyLock<Mutex<HashMap<String, &'static Variant>>> =
            LazyLock::new(Mutex::default);
        self.check()?;
        let name = self.canonical_name();
        if let Some(variant) = VARIANTS.iter().find(|variant| variant.name == name) {
            return Ok(variant);
        }
        let mut kept = KEPT.lock().unwrap_or_else(|e| e.into_inner());
        Ok(kept.entry(name).or_insert_with_key(|name| {
            Box::leak(Box::new(Variant {
                name: Box::leak(name.clone().into_boxed_str()),
                ..*self
            }))
        }))
    }

    /// Returns the device with a name or a specification. A specification is a name in
    /// [`VARIANTS`], followed by a colon and the parameters that differ from this device.
    ///
    /// # Errors
    /// If the text does not have this form, or a parameter has an illegal value.
    pub fn parse(text: &str) -> Result<&'static Self, SpecificationError> {
        let (name, parameters) = match text.split_once(':') {
            Some((name, parameters)) => (name, parameters.split(',').collect()),
            None => (text, Vec::new()),
        };
        let mut variant = *VARIANTS
            .iter()
            .find(|variant| variant.name == name)
            .ok_or_else(|| SpecificationError::Name(name.to_owned()))?;
        for part in parameters {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let named: Vec<Parameter> = match key {
                ALL_CACHES => vec![
                    Parameter::GuestCache,
                    Parameter::HostCache,
                    Parameter::NestedTlb,
                ],
                key => Parameter::ALL
                    .into_iter()
                    .filter(|p| p.key() == key)
                    .collect(),
            };
            if named.is_empty() {
                return Err(SpecificationError::Key(key.to_owned()));
            }
            for parameter in named {
                variant.set(parameter, value)?;
            }
        }
        variant.interned().map_err(SpecificationError::Illegal)
    }
}

/// Parses an L2 TLB that is written as in a specification.
fn second_tlb(text: &str) -> Option<Option<SecondTlb>> {
    if text == "none" {
        return Some(None);
    }
    let (sets, rest) = text.split_once('x')?;
    let (ways, superpages) = rest.split_once('+').unwrap_or((rest, "0"));
    Some(Some(SecondTlb {
        sets: sets.parse().ok()?,
        ways: ways.parse().ok()?,
        superpages: superpages.parse().ok()?,
    }))
}
const fn variant(
    name: &'static str,
    format: u32,
    slots: u32,
    tlb_entries: u32,
    walk_cache_entries: u32,
    checked: bool,
) -> Variant {
    Variant {
        name,
        format,
        slots,
        tlb_entries,
        walk_cache_entries: WalkCacheEntries::all(walk_cache_entries),
        read_bypass: false,
        max_levels: 5,
        svadu: true,
        tlb2: None,
        checked,
        foreign: None,
    }
}

/// Returns a variant with the parameter `ReadBypass`.
const fn bypass(name: &'static str, variant: Variant) -> Variant {
    Variant {
        name,
        read_bypass: true,
        ..variant
    }
}

/// Returns a variant with only Sv39 and without Svadu, the smallest configuration of RV64.
const fn sv39_without_svadu(name: &'static str, variant: Variant) -> Variant {
    Variant {
        name,
        max_levels: 3,
        svadu: false,
        ..variant
    }
}

/// Returns a variant with an L2 TLB.
const fn tlb2(
    name: &'static str,
    sets: u32,
    ways: u32,
    superpages: u32,
    variant: Variant,
) -> Variant {
    let size = SecondTlb {
        sets,
        ways,
        superpages,
    };
    Variant {
        name,
        tlb2: Some(size),
        ..variant
    }
}

/// The devices that have a name, the default of each format first.
pub const VARIANTS: &[Variant] = &[
    variant("handout", 0, 4, 16, 0, false),
    variant("handout_s1", 0, 1, 16, 0, false),
    variant("handout_s16", 0, 16, 16, 0, false),
    bypass("handout_b", variant("", 0, 4, 16, 0, false)),
    variant("handout_checked", 0, 4, 4, 0, true),
    variant("classic32", 1, 4, 16, 0, false),
    variant("classic32_s1", 1, 1, 16, 0, false),
    variant("classic32_s16", 1, 16, 16, 0, false),
    bypass("classic32_s1_b", variant("", 1, 1, 16, 0, false)),
    bypass("classic32_b", variant("", 1, 4, 16, 0, false)),
    bypass("classic32_s16_b", variant("", 1, 16, 16, 0, false)),
    variant("classic32_checked", 1, 4, 4, 0, true),
    tlb2("classic32_l2", 4, 2, 0, variant("", 1, 4, 2, 0, false)),
    variant("rv32", 2, 4, 32, 2, false),
    variant("rv32_s1", 2, 1, 32, 2, false),
    variant("rv32_c8", 2, 4, 32, 8, false),
    variant("rv32_checked", 2, 4, 4, 2, true),
    tlb2("rv32_l2", 2, 4, 4, variant("", 2, 4, 2, 2, false)),
    variant("rv64", 3, 4, 32, 2, false),
    variant("rv64_s1", 3, 1, 32, 2, false),
    bypass("rv64_b", variant("", 3, 4, 32, 2, false)),
    variant("rv64_c8", 3, 4, 32, 8, false),
    sv39_without_svadu("rv64_sv39", variant("", 3, 4, 4, 2, false)),
    variant("rv64_checked", 3, 4, 4, 2, true),
    tlb2("rv64_l2", 4, 2, 2, variant("", 3, 4, 2, 2, true)),
    tlb2("rv64_l2_c8", 32, 4, 16, variant("", 3, 4, 32, 8, false)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_of_the_table_is_legal_and_is_found_by_its_name() {
        for variant in VARIANTS {
            assert_eq!(variant.check(), Ok(()), "{}", variant.name);
            assert_eq!(variant.canonical_name(), variant.name);
            assert_eq!(Variant::parse(variant.name), Ok(variant));
        }
    }

    #[test]
    fn the_canonical_form_of_a_specification_names_what_differs_from_the_default_in_one_order() {
        for (text, canonical) in [
            (
                "rv64:tlb=8,slots=2,guest-cache=0",
                "rv64:slots=2,tlb=8,guest-cache=0",
            ),
            ("rv64:slots=4,slots=2", "rv64:slots=2"),
            ("rv64:walk-caches=8", "rv64_c8"),
            ("rv64:slots=1", "rv64_s1"),
            ("rv64_s1:slots=4", "rv64"),
            ("rv64_l2:tlb2=none", "rv64:tlb=2,checked=true"),
            ("handout_b:tlb2=4x2", "handout:read-bypass=true,tlb2=4x2"),
            ("rv32:tlb2=4x2+8,svadu=false", "rv32:svadu=false,tlb2=4x2+8"),
        ] {
            let variant = Variant::parse(text).unwrap();
            assert_eq!(variant.name, canonical);
            // The canonical form parses to the same device, and the device is stored only once.
            assert!(std::ptr::eq(Variant::parse(canonical).unwrap(), variant));
        }
    }

    #[test]
    fn what_is_not_legal_is_refused_with_parameter_value_and_what_is_legal() {
        for (text, words) in [
            ("rv64:slots=17", ["slots is 17", "1 to 16"]),
            ("rv64:slots=0", ["slots is 0", "1 to 16"]),
            ("rv64:tlb=6", ["tlb is 6", "power of two, 2 to 128"]),
            ("rv64:tlb=256", ["tlb is 256", "2 to 128"]),
            (
                "rv64:nested-tlb=1",
                ["nested-tlb is 1", "0, or a power of two"],
            ),
            (
                "handout:walk-caches=2",
                ["guest-cache is 2", "only the formats of RISC-V"],
            ),
            ("rv64:max-levels=2", ["max-levels is 2", "3 to 5"]),
            ("rv32:max-levels=3", ["max-levels is 3", "levels of RV64"]),
            ("classic32:svadu=false", ["svadu is false", "A and D"]),
            ("rv64:tlb2=4x3", ["tlb2 is 4x3", "2 to 16 ways"]),
            (
                "handout:tlb2=4x2+2",
                ["tlb2 is 4x2+2", "only the formats of RISC-V"],
            ),
            ("rv64:tlb2=4x2+3", ["tlb2 is 4x2+3", "0 superpages"]),
            ("rv64:tlb2=big", ["tlb2 is \"big\"", "SETSxWAYS+SUPERPAGES"]),
            ("rv64:tlb=x", ["tlb is \"x\"", "a number"]),
            ("rv64:checked", ["checked is \"\"", "true or false"]),
            (
                "rv64:walks=2",
                ["no parameter \"walks\"", "walk-caches, slots"],
            ),
            ("rv128", ["no device \"rv128\"", ""]),
        ] {
            let error = Variant::parse(text).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{text}: {error}");
            }
        }
    }
}
