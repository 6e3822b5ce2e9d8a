// SPDX-License-Identifier: Apache-2.0
//! What there is to cover, and what of it cannot be, with the reason: the covergroups, in one place.
//!
//! A group is a cross of axes; a bin is one value of each. A bin that the rule of its group calls impossible must never be
//! hit: if it is, either the rule is wrong or the device and the golden model are, and `nestwalk cover` says so.

use std::sync::LazyLock;

use crate::dut::Pass;
use crate::dut::variants::{VARIANTS, Variant};
use crate::format::Format;
use crate::format::riscv::{NAPOT_PAGE_SIZE, level_choices, mode_name};
use crate::golden::occupancy::PageWalkCache;
use crate::golden::occupancy::page_walk_cache::{FenceEffect, FenceEffects};
use crate::mmu::{
    Access, Context, FaultKind, Fence, MemoryType, Position, Purpose, Rights, Stage, WalkCaches,
};
use crate::scenario::Held;

/// Which stages translate, and by how many levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    /// See [`Context::virt`].
    pub virt: bool,
    /// Levels of the guest's stage, 0 for off.
    pub guest: u8,
    /// Levels of the host's stage, 0 for off.
    pub host: u8,
    /// Rights mode of the handout's formats.
    pub rights: bool,
}

impl Mode {
    /// That of a context.
    pub fn of(context: &Context) -> Self {
        Self {
            virt: context.virt,
            guest: context.guest.levels,
            host: context.host.levels,
            rights: context.rights,
        }
    }

    /// A number of its own. No stage has more than 5 levels.
    fn number(self) -> usize {
        usize::from(self.virt) << 7
            | usize::from(self.guest & 7) << 4
            | usize::from(self.host & 7) << 1
            | usize::from(self.rights)
    }

    fn describe(self, format: Format) -> String {
        let rights = if self.rights { ", rights" } else { "" };
        if !format.is_riscv() {
            return match self.guest {
                0 => format!("host table{rights}"),
                _ => format!("both tables{rights}"),
            };
        }
        let name = |stage, levels| mode_name(stage, levels).unwrap_or("?");
        let guest = name(Stage::Guest, self.guest);
        match self.virt {
            false => format!("V=0 {guest}"),
            true => format!("V=1 {guest} over {}", name(Stage::Host, self.host)),
        }
    }
}

/// Which entry of a walk: a [`Position`] without its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The guest's entry of a level.
    Guest {
        /// The level, 0 for the leaf's.
        level: u32,
    },
    /// The host's entry of a level.
    Host {
        /// The level, 0 for the leaf's.
        level: u32,
        /// What the host's table is walked for.
        purpose: Purpose,
    },
}

impl Place {
    /// That of a position.
    pub fn of(position: &Position) -> Self {
        match *position {
            Position::Guest { level } => Place::Guest { level },
            Position::Host { level, purpose, .. } => Place::Host { level, purpose },
        }
    }

    /// The level of the entry.
    pub fn level(self) -> u32 {
        match self {
            Place::Guest { level } | Place::Host { level, .. } => level,
        }
    }

    /// In words, with the format's names of levels.
    pub fn describe(self, format: Format) -> String {
        match self {
            Place::Guest { level } => format!("guest {}", format.level_name(level)),
            Place::Host { level, purpose } => {
                let purpose = match purpose {
                    Purpose::GuestEntry(level) => {
                        format!("to read guest {}", format.level_name(level))
                    }
                    Purpose::GuestUpdate(level) => {
                        format!("to update guest {}", format.level_name(level))
                    }
                    Purpose::Data => "for the data".to_owned(),
                };
                format!("host {} {purpose}", format.level_name(level))
            }
        }
    }
}

/// Returns the kind of a page-walk cache on its axis: guest, host, or the nested TLB.
pub fn cache_kind(cache: PageWalkCache) -> usize {
    match cache {
        PageWalkCache::Guest { .. } => 0,
        PageWalkCache::Host { .. } => 1,
        PageWalkCache::Nested => 2,
    }
}

/// Returns the page-walk cache that has led to an entry.
pub fn cache_of(pass: Pass, place: Place) -> Option<PageWalkCache> {
    let level = place.level();
    match pass {
        Pass::None => None,
        Pass::Guest => Some(PageWalkCache::Guest { level }),
        Pass::Host => Some(PageWalkCache::Host { level }),
        Pass::Nested => Some(PageWalkCache::Nested),
    }
}

fn cache_name(cache: PageWalkCache, format: Format) -> String {
    match cache {
        PageWalkCache::Guest { level } => format!("guest {}", format.level_name(level)),
        PageWalkCache::Host { level } => format!("host {}", format.level_name(level)),
        PageWalkCache::Nested => "nested".to_owned(),
    }
}

/// Whether a bin is there to be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is.
    Reachable,
    /// It cannot be hit, and why.
    Impossible(&'static str),
    /// It may be hit, but nobody asks for it, and why.
    NotAsked(&'static str),
}
use Rule::{Impossible, NotAsked, Reachable};

/// The groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// Walks that end with a fault.
    Fault,
    /// Walks that end with a translation.
    Translation,
    /// Entries that a walk goes on from.
    Entry,
    /// The same by access.
    Use,
    /// What the guest's leaf permits.
    GuestRights,
    /// What the host's leaf of the data permits.
    HostRights,
    /// What the host's leaf of a guest entry permits.
    WalkRights,
    /// Accessed and dirty bits that are clear.
    Status,
    /// What becomes of a compare-and-swap.
    Update,
    /// Memory types.
    MemoryType,
    /// Global entries.
    Global,
    /// Answers.
    LookUp,
    /// Answers of the second-level TLB.
    SecondLevel,
    /// Requests beside an entry that differs in one respect.
    Beside,
    /// Hits of parts of large pages.
    Part,
    /// Fences, and what they meet.
    Fence,
    /// Walks at a time.
    Slots,
    /// Requests of one walk.
    Shared,
    /// The order of answers.
    AnswerOrder,
    /// The order of what memory gives.
    ReplyOrder,
    /// Changes of context while walks are under way.
    Switch,
    /// When the read after an entry's word leaves.
    NextRead,
    /// What walk caches spare walks.
    Pass,
    /// How walks end that a walk cache has led.
    PassEnd,
    /// What fences have spared that leads walks.
    PassAfter,
    /// Walks by the walk caches that are in use.
    WalkCaches,
    /// Fences, and what they meet in walk caches.
    CacheFence,
    /// Fences, and the state of the walks that they meet.
    FenceWalk,
    /// How far the walks are that fences name.
    FencePlace,
    /// Requests of contexts that differ in one field only.
    Twin,
    /// How long ports wait.
    Wait,
    /// What comes with an error.
    ErrorWord,
    /// Walk caches that are switched on and off.
    CacheSwitch,
    /// What has happened since a reset.
    SinceReset,
    /// Pages that come back from the second-level TLB.
    SecondAgain,
}

impl Id {
    /// Every group.
    pub const ALL: [Id; 35] = [
        Id::Fault,
        Id::Translation,
        Id::Entry,
        Id::Use,
        Id::GuestRights,
        Id::HostRights,
        Id::WalkRights,
        Id::Status,
        Id::Update,
        Id::MemoryType,
        Id::Global,
        Id::LookUp,
        Id::SecondLevel,
        Id::Beside,
        Id::Part,
        Id::Fence,
        Id::Slots,
        Id::Shared,
        Id::AnswerOrder,
        Id::ReplyOrder,
        Id::Switch,
        Id::NextRead,
        Id::Pass,
        Id::PassEnd,
        Id::PassAfter,
        Id::WalkCaches,
        Id::CacheFence,
        Id::FenceWalk,
        Id::FencePlace,
        Id::Twin,
        Id::Wait,
        Id::ErrorWord,
        Id::CacheSwitch,
        Id::SinceReset,
        Id::SecondAgain,
    ];

    /// Those about when something happens that the generator can aim for.
    pub const SITUATIONS: [Id; 7] = [
        Id::FenceWalk,
        Id::FencePlace,
        Id::Twin,
        Id::Wait,
        Id::ErrorWord,
        Id::CacheSwitch,
        Id::SecondAgain,
    ];
}

/// A cross of axes.
#[derive(Debug)]
pub struct Group {
    /// Which.
    pub id: Id,
    /// Its name in files and reports.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The values of each axis.
    pub axes: Vec<Axis>,
    /// The rule of each bin.
    pub rules: Vec<Rule>,
    /// The number of its first bin among those of the format.
    pub start: usize,
}

/// The values that a bin has one of.
#[derive(Debug)]
pub struct Axis {
    /// What it is.
    pub name: &'static str,
    /// The values.
    pub values: Vec<String>,
}

/// Between the values in the name of a bin.
pub const SEPARATOR: &str = " | ";

impl Group {
    /// The number of a bin in its group, by its value of each axis.
    #[inline]
    pub fn index(&self, at: &[usize]) -> usize {
        debug_assert_eq!(at.len(), self.axes.len());
        at.iter().zip(&self.axes).fold(0, |index, (&value, axis)| {
            debug_assert!(value < axis.values.len(), "{}: {at:?}", self.name);
            index * axis.values.len() + value
        })
    }

    /// The value of each axis, of a bin by its number.
    pub fn coordinates(&self, mut index: usize) -> Vec<usize> {
        let mut at: Vec<usize> = self
            .axes
            .iter()
            .rev()
            .map(|axis| {
                let value = index % axis.values.len();
                index /= axis.values.len();
                value
            })
            .collect();
        at.reverse();
        at
    }

    /// The name of a bin.
    pub fn bin_name(&self, index: usize) -> String {
        let values: Vec<&str> = self
            .coordinates(index)
            .iter()
            .zip(&self.axes)
            .map(|(&value, axis)| axis.values[value].as_str())
            .collect();
        values.join(SEPARATOR)
    }

    /// The number of a bin, by its name.
    pub fn bin_of_name(&self, name: &str) -> Option<usize> {
        let mut values = name.split(SEPARATOR);
        let mut at = Vec::new();
        for axis in &self.axes {
            let value = values.next()?;
            at.push(axis.values.iter().position(|known| known == value)?);
        }
        values.next().is_none().then(|| self.index(&at))
    }
}

/// All that there is to cover of a format.
#[derive(Debug)]
pub struct Model {
    /// The format.
    pub format: Format,
    /// Modes, in the order of the axis.
    pub modes: Vec<Mode>,
    /// Accesses, in the order of the axis.
    pub accesses: Vec<Access>,
    /// Entries, in the order of the axis.
    pub places: Vec<Place>,
    /// Kinds of walk caches and where they lead to, in the order of the axis.
    pub passes: Vec<(Pass, Place)>,
    /// log2 of page sizes, none for a stage that is off, in the order of the axis.
    pub sizes: Vec<Option<u32>>,
    /// Rights of leaves, in the order of the axis.
    pub rights: Vec<Rights>,
    /// Numbers of walk slots that there are builds of.
    pub slots: Vec<u32>,
    /// The groups of the format.
    pub groups: Vec<Group>,
    /// For each group, where it is in `groups`.
    by_id: [Option<usize>; Id::ALL.len()],
    /// For each [`Mode::number`], where it is on its axis.
    mode_at: [Option<u8>; 256],
    /// The number of bins.
    pub bins: usize,
    /// Tells the model from any other: a hash of every bin's name and rule.
    pub hash: u64,
}

static MODELS: LazyLock<[Model; 4]> = LazyLock::new(|| Format::ALL.map(Model::new));

impl Model {
    /// That of a format.
    pub fn of(format: Format) -> &'static Model {
        &MODELS[format as usize]
    }

    /// A group; none if the format has nothing of the kind.
    #[inline]
    pub fn group(&self, id: Id) -> Option<&Group> {
        self.by_id[id as usize].map(|at| &self.groups[at])
    }

    /// Where a place is on its axis.
    #[inline]
    pub fn place(&self, place: Place) -> usize {
        let levels = self.format.geometry().levels as usize;
        match place {
            Place::Guest { level } => level as usize,
            Place::Host { level, purpose } => {
                let purposes = if self.format.is_riscv() {
                    2 * levels + 1
                } else {
                    levels + 1
                };
                let purpose = match purpose {
                    Purpose::GuestEntry(level) => level as usize,
                    Purpose::Data => levels,
                    Purpose::GuestUpdate(level) => levels + 1 + level as usize,
                };
                levels + level as usize * purposes + purpose
            }
        }
    }

    /// Where a pass is on its axis: what kind of walk cache has led to a place. None if that kind leads to no such place.
    pub fn pass(&self, pass: Pass, place: Place) -> Option<usize> {
        self.passes.iter().position(|&known| known == (pass, place))
    }

    /// Where a mode is on its axis; none if the format has no such mode.
    #[inline]
    pub fn mode(&self, mode: Mode) -> Option<usize> {
        self.mode_at[mode.number()].map(usize::from)
    }

    /// Where the size of a stage's page is on its axis.
    pub fn size(&self, size: Option<u32>) -> Option<usize> {
        self.sizes.iter().position(|&known| known == size)
    }

    fn new(format: Format) -> Self {
        let geometry = format.geometry();
        let riscv = format.is_riscv();
        let mut slots: Vec<u32> = VARIANTS
            .iter()
            .filter(|variant| variant.format == format as u32)
            .map(|variant| variant.slots)
            .collect();
        slots.sort_unstable();
        slots.dedup();
        let mut model = Self {
            format,
            modes: modes(format),
            accesses: [
                Access::Load,
                Access::Store,
                Access::Fetch,
                Access::LoadExecute,
            ][..if riscv { 4 } else { 3 }]
                .to_vec(),
            places: places(format),
            passes: passes(format),
            sizes: sizes(format),
            rights: rights(format),
            slots,
            groups: Vec::new(),
            by_id: [None; Id::ALL.len()],
            mode_at: [None; 256],
            bins: 0,
            hash: 0xCBF2_9CE4_8422_2325,
        };
        for (at, mode) in model.modes.iter().enumerate() {
            model.mode_at[mode.number()] = Some(at as u8);
        }
        let (mode, access, place) = (model.mode_axis(), model.access_axis(), model.place_axis());
        let level = |name| Axis::new(name, (0..geometry.levels).map(|l| format.level_name(l)));
        let kind = Axis::new("fault", FaultKind::ALL.map(FaultKind::name));
        model.add(
            Id::Fault,
            "fault",
            "walks that end with a fault: which, at which entry, in which mode, of which access",
            [mode(), access(), kind, place()],
            fault,
        );
        let size = |model: &Model, name| {
            Axis::new(
                name,
                model
                    .sizes
                    .iter()
                    .map(|size| size.map_or("off".to_owned(), bytes)),
            )
        };
        let (guest_size, host_size) = (size(&model, "guest page"), size(&model, "host page"));
        model.add(
            Id::Translation,
            "translation",
            "walks that end with a translation: the pages of both leaves",
            [mode(), access(), guest_size, host_size],
            translation,
        );
        let kinds = || Axis::new("entry", ["pointer", "leaf", "NAPOT leaf"]);
        model.add(
            Id::Entry,
            "entry",
            "entries that a walk went on from, by mode",
            [mode(), place(), kinds()],
            |model, at| entry(model, Some(model.modes[at[0]]), model.places[at[1]], at[2]),
        );
        model.add(
            Id::Use,
            "use",
            "the same by access",
            [place(), kinds(), access()],
            |model, at| entry(model, None, model.places[at[0]], at[1]),
        );
        let rights = || model_rights(format);
        if riscv {
            let page = || Axis::new("page", ["supervisor page", "user page"]);
            let mxr = || {
                Axis::new(
                    "MXR",
                    ["", "MXR"].map(|v| if v.is_empty() { "no MXR" } else { v }),
                )
            };
            let who = Axis::new("who", ["user", "supervisor", "supervisor with SUM"]);
            model.add(
                Id::GuestRights,
                "guest-rights",
                "leaves of the guest's stage that have been held against an access",
                [rights(), page(), who, mxr(), access()],
                |_, _| Reachable,
            );
            model.add(
                Id::HostRights,
                "host-rights",
                "leaves of the host's stage that have been held against an access",
                [rights(), page(), mxr(), access()],
                |_, _| Reachable,
            );
            let purpose = Axis::new("purpose", ["read", "update"]);
            model.add(
                Id::WalkRights,
                "walk-rights",
                "leaves of the host's stage that have been held against the walk's own access to a guest entry",
                [purpose, rights(), page(), mxr()],
                |model, at| match at[0] {
                    1 if !model.rights[at[1]].read || at[2] == 0 => NotAsked(RACE),
                    _ => Reachable,
                },
            );
            let stage = || {
                Axis::new(
                    "stage",
                    [
                        "guest",
                        "host for the data",
                        "host to read",
                        "host to update",
                    ],
                )
            };
            let found = Axis::new("found", ["A=0 D=0", "A=0 D=1", "A=1 D=0"]);
            model.add(
                Id::Status,
                "status",
                "leaves that permit the access but lack A or D: set by hardware, or a fault",
                [
                    stage(),
                    found,
                    access(),
                    Axis::new("then", ["set", "fault"]),
                ],
                status,
            );
            let outcomes = [
                "made",
                "lost, nothing more to set",
                "lost, tried again",
                "lost, then a pointer",
                "lost, then a fault",
                "memory error",
            ];
            model.add(
                Id::Update,
                "update",
                "compare-and-swaps of leaves, and what became of them",
                [stage(), level("level"), Axis::new("outcome", outcomes)],
                |_, at| match (at[1], at[2]) {
                    (0, 3) => Impossible(POINTER_AT_0),
                    _ => Reachable,
                },
            );
            model.add(
                Id::Global,
                "global",
                "entries of the guest's stage with G set",
                [Axis::new("entry", ["pointer", "leaf"]), level("level")],
                |_, at| match (at[0], at[1]) {
                    (0, 0) => Impossible(POINTER_AT_0),
                    _ => Reachable,
                },
            );
        } else {
            model.add(
                Id::GuestRights,
                "guest-rights",
                "rights mode: leaves of the guest that have been held against an access",
                [rights(), access()],
                |_, _| Reachable,
            );
            model.add(
                Id::HostRights,
                "host-rights",
                "rights mode: leaves of the host that have been held against an access",
                [rights(), access()],
                |_, _| Reachable,
            );
            model.add(
                Id::WalkRights,
                "walk-rights",
                "rights mode: leaves of the host that have been held against the walk's read of a guest entry",
                [rights()],
                |_, _| Reachable,
            );
        }
        if format == Format::Rv64 {
            let memory_type = |name| {
                let types = [MemoryType::Pma, MemoryType::Nc, MemoryType::Io].map(MemoryType::name);
                Axis::new(name, std::iter::once("off").chain(types))
            };
            model.add(
                Id::MemoryType,
                "memory-type",
                "memory types of both leaves of a translation",
                [memory_type("guest"), memory_type("host")],
                |_, at| match (at[0], at[1]) {
                    (0, 0) => Impossible("without a leaf there is no memory type"),
                    _ => Reachable,
                },
            );
        }
        let answers = [
            "hit",
            "hit, guest leaf denies",
            "hit, host leaf denies",
            "entry denies, walked again",
            "miss",
            "shared",
        ];
        model.add(
            Id::LookUp,
            "look-up",
            "what became of requests",
            [mode(), access(), Axis::new("answer", answers)],
            look_up,
        );
        if VARIANTS
            .iter()
            .any(|v| v.paging_format() == format && v.tlb2.is_some())
        {
            model.add(
                Id::SecondLevel,
                "second-level",
                "translations that the second-level TLB has given",
                [
                    mode(),
                    Axis::new("page", ["of the smallest size", "larger"]),
                ],
                second_level,
            );
        }
        model.add(
            Id::Beside,
            "beside",
            "requests while the TLB held an entry that was theirs but for one thing",
            [Axis::new("but for", BESIDE)],
            |model, at| match (model.format.is_riscv(), BESIDE[at[0]]) {
                (false, "V" | "host mode" | "ASID, of a global page" | "VMID, V=0") => {
                    Impossible("the handout's machine has nothing of the kind")
                }
                (true, "rights mode") => Impossible("RISC-V has no rights mode"),
                _ => Reachable,
            },
        );
        if riscv {
            let (guest_size, host_size) = (size(&model, "guest page"), size(&model, "host page"));
            model.add(
                Id::Part,
                "part",
                "hits of translations of large pages: of the 4 KiB that was walked for, or of another part",
                [guest_size, host_size, Axis::new("part", ["the same", "another"])],
                |model, at| match (model.sizes[at[0]], model.sizes[at[1]]) {
                    (None, None) => Impossible(NOTHING_KEPT),
                    (guest, host) => match guest.into_iter().chain(host).min() {
                        Some(size) if size == 12 && at[2] == 1 => {
                            Impossible("the smaller page has no other part")
                        }
                        _ => Reachable,
                    },
                },
            );
        }
        let forms = forms(format);
        model.add(
            Id::Fence,
            "fence",
            "fences by their operands, and what they met. What spares an entry does so alone: every other operand names it",
            [
                Axis::new("operands", forms.iter().map(|form| form.describe(format))),
                Axis::new("met", EFFECTS),
            ],
            fence,
        );
        let slot_counts =
            |model: &Model| Axis::new("slots", model.slots.iter().map(u32::to_string));
        let most = model.slots.last().copied().unwrap_or(1);
        let slots = slot_counts(&model);
        model.add(
            Id::Slots,
            "slots",
            "walks at a time, when one begins",
            [slots, Axis::new("walks", (1..=most).map(|n| n.to_string()))],
            |model, at| match at[1] >= model.slots[at[0]] as usize {
                true => Impossible("there are not so many slots"),
                false => Reachable,
            },
        );
        let slots = slot_counts(&model);
        model.add(
            Id::Shared,
            "shared",
            "requests that one walk answered",
            [
                slots,
                Axis::new("requests", ["1", "2", "3", "4 to 7", "8 or more"]),
            ],
            |model, at| match [1, 2, 3, 4, 8][at[1]] > 2 * model.slots[at[0]] {
                true => Impossible("the miss table has two places a slot"),
                false => Reachable,
            },
        );
        let order = || Axis::new("order", ["in order", "overtakes"]);
        model.add(
            Id::AnswerOrder,
            "answer-order",
            "answers, before or after those of older requests",
            [Axis::new("answer", ["hit", "miss", "shared"]), order()],
            |_, _| Reachable,
        );
        model.add(
            Id::ReplyOrder,
            "reply-order",
            "words from memory, before or after those of older reads",
            [
                Axis::new("others in flight", ["0", "1", "2", "3 or more"]),
                order(),
            ],
            |_, at| match (at[0], at[1]) {
                (0, 1) => Impossible("there is nothing to overtake"),
                _ => Reachable,
            },
        );
        model.add(
            Id::Switch,
            "switch",
            "requests of another context than the one before: in what it differs, and whether a walk of the one before was under way",
            [
                Axis::new("differs in", SWITCHES),
                Axis::new("under way", ["no walk of the one before", "a walk of the one before"]),
            ],
            |model, at| match (model.format, SWITCHES[at[0]]) {
                (Format::Handout | Format::Classic32, "guest mode" | "guest root" | "host root" | "ASID"
                    | "VMID" | "rights mode") => Reachable,
                (Format::Handout | Format::Classic32, _) => {
                    Impossible("the handout's machine has nothing of the kind")
                }
                (_, "rights mode") => Impossible("RISC-V has no rights mode"),
                (Format::Rv32, "guest PBMTE" | "host PBMTE" | "Svnapot") => {
                    NotAsked("entries of RV32 have no such bits")
                }
                (_, "Svnapot") => NotAsked("a hart has Svnapot or has it not"),
                _ => Reachable,
            },
        );
        model.add(
            Id::NextRead,
            "next-read",
            "reads and updates that follow upon a word of the same walk, in devices without and with the read bypass",
            [
                Axis::new("device", ["no read bypass", "read bypass"]),
                Axis::new("leaves", ["in the cycle of the word", "in the next", "later"]),
            ],
            |model, at| {
                let has_device = |variant: &&Variant| {
                    variant.format == model.format as u32 && variant.read_bypass == (at[0] == 1)
                };
                match (at[0], at[1]) {
                    _ if !VARIANTS.iter().any(|variant| has_device(&variant)) => {
                        Impossible("the format has no such device")
                    }
                    (0, 0) => Impossible("without the read bypass it is registered"),
                    _ => Reachable,
                }
            },
        );
        if riscv {
            model.add_walk_caches();
        }
        model.add_situations();
        model
    }

    /// The groups of when something happens.
    fn add_situations(&mut self) {
        let format = self.format;
        let operands = forms(format);
        self.add(
            Id::FenceWalk,
            "fence-walk",
            "fences by their operands, and the state of the walks that they met when they were offered",
            [
                Axis::new("operands", operands.iter().map(|form| form.describe(format))),
                Axis::new("met", WALK_STATES.map(WalkState::name)),
                Axis::new("which it", ["names", "leaves alone"]),
            ],
            fence_walk,
        );
        self.add(
            Id::FencePlace,
            "fence-place",
            "walks that fences named: their state, the entry that they took last, and how many requests waited for them",
            [
                Axis::new("state", WALK_STATES.map(WalkState::name)),
                Axis::new("last entry", LAST_ENTRIES),
                Axis::new("requests", ["one", "several"]),
            ],
            fence_place,
        );
        self.add(
            Id::Twin,
            "twin",
            "requests whose context differs in one field only from that of an equal request before",
            [
                Axis::new("differs in", TWINS),
                Axis::new("when", ["its walk is under way", "it came just before"]),
            ],
            |model, at| match (model.format, TWINS[at[0]]) {
                (
                    Format::Handout | Format::Classic32,
                    "guest mode" | "guest root" | "host root" | "ASID" | "VMID" | "rights mode",
                ) => Reachable,
                (Format::Handout | Format::Classic32, _) => {
                    Impossible("the handout's machine has nothing of the kind")
                }
                (_, "rights mode") => Impossible("RISC-V has no rights mode"),
                (Format::Rv32, "guest PBMTE" | "host PBMTE" | "Svnapot") => {
                    NotAsked("entries of RV32 have no such bits")
                }
                _ => Reachable,
            },
        );
        self.add(
            Id::Wait,
            "wait",
            "cycles for which what was offered at a port was not taken, or memory gave no answer",
            [
                Axis::new("port", ["reads", "answers", "responses"]),
                Axis::new(
                    "cycles",
                    ["0", "1 to 3", "4 to 19", "20 to 99", "100 or more"],
                ),
            ],
            |_, _| Reachable,
        );
        self.add(
            Id::ErrorWord,
            "error-word",
            "what was on the data lines beside an error of memory",
            [
                Axis::new("of", ["a read", "an update"]),
                Axis::new(
                    "word",
                    crate::bench::Beside::ALL.map(crate::bench::Beside::name),
                ),
            ],
            |model, at| match (model.format.is_riscv(), at[0]) {
                (false, 1) => Impossible(NO_UPDATE),
                _ => Reachable,
            },
        );
        if format.is_riscv() {
            self.add(
                Id::CacheSwitch,
                "cache-switch",
                "walk caches that are switched while there is no walk",
                [
                    Axis::new("cache", WalkCaches::NAMES),
                    Axis::new("and", CACHE_SWITCHES),
                ],
                |_, _| Reachable,
            );
        }
        self.add(
            Id::SinceReset,
            "since-reset",
            "what a device has gone through since its last reset",
            [Axis::new(
                "so many",
                SINCE_RESET.map(|(what, n)| format!("{n} {what} or more")),
            )],
            |_, _| Reachable,
        );
        if self.group(Id::SecondLevel).is_some() {
            self.add(
                Id::SecondAgain,
                "second-again",
                "pages that the second-level TLB has given back to the first, and what then",
                [Axis::new("and", SECOND_AGAIN)],
                |model, at| match (model.format.is_riscv(), at[0]) {
                    (false, 0..=2) => Impossible("all pages are of one size, and none is global"),
                    _ => Reachable,
                },
            );
        }
    }

    /// The groups of walk caches.
    fn add_walk_caches(&mut self) {
        let format = self.format;
        let names = self.passes.iter().map(|(pass, place)| {
            let kind = match pass {
                Pass::None => "nothing",
                Pass::Guest => "guest cache",
                Pass::Host => "host cache",
                Pass::Nested => "nested TLB",
            };
            format!("{kind} to {}", place.describe(format))
        });
        let led = Axis::new("led", names);
        let (mode, access) = (self.mode_axis(), self.access_axis());
        self.add(
            Id::Pass,
            "pass",
            "walks that a walk cache has led: to which entry, in which mode",
            [mode(), led],
            |model, at| pass(model.modes[at[0]], model.passes[at[1]]),
        );
        self.add(
            Id::PassEnd,
            "pass-end",
            "walks that a walk cache has led, by access, and what became of them",
            [
                Axis::new("led by", ["guest cache", "host cache", "nested TLB"]),
                access(),
                Axis::new("then", PASS_ENDS),
            ],
            |model, at| match (model.format, at[0], PASS_ENDS[at[2]]) {
                (Format::Rv32, 0, "a fault of the host's, to read") => {
                    Impossible("the guest cache of two levels leads to the guest's last entry")
                }
                _ => Reachable,
            },
        );
        let caches = |model: &Model| {
            let all = PageWalkCache::all(&model.format.geometry());
            Axis::new("cache", all.map(|cache| cache_name(cache, model.format)))
        };
        let cache = caches(self);
        self.add(
            Id::PassAfter,
            "pass-after",
            "walks led by what a fence had just spared, since it was read, for one thing alone",
            [
                cache,
                Axis::new("spared", CacheMet::SPARED.map(CacheMet::name)),
            ],
            |model, at| {
                let cache = PageWalkCache::all(&model.format.geometry()).nth(at[0]);
                match (cache, CacheMet::SPARED[at[1]]) {
                    (
                        Some(PageWalkCache::Guest { .. } | PageWalkCache::Nested),
                        CacheMet::ByGpa,
                    ) => Impossible(ANY_GPA),
                    _ => Reachable,
                }
            },
        );
        self.add(
            Id::WalkCaches,
            "walk-caches",
            "walks by the walk caches in use, and how often these led one",
            [
                Axis::new("in use", (0..8).map(used_name)),
                Axis::new("times", ["0", "1", "2", "3 or more"]),
            ],
            walk_caches,
        );
        let cache = caches(self);
        self.add(
            Id::CacheFence,
            "cache-fence",
            "fences by their operands, and what they met in the walk caches of each level",
            [
                Axis::new(
                    "operands",
                    forms(format).iter().map(|form| form.describe(format)),
                ),
                cache,
                Axis::new("met", CacheMet::ALL.map(CacheMet::name)),
            ],
            cache_fence,
        );
    }

    fn mode_axis(&self) -> impl Fn() -> Axis + use<> {
        let names: Vec<String> = self
            .modes
            .iter()
            .map(|mode| mode.describe(self.format))
            .collect();
        move || Axis::new("mode", names.iter())
    }

    fn access_axis(&self) -> impl Fn() -> Axis + use<> {
        let names: Vec<&str> = self.accesses.iter().map(|access| access.name()).collect();
        move || Axis::new("access", names.iter())
    }

    fn place_axis(&self) -> impl Fn() -> Axis + use<> {
        let names: Vec<String> = self
            .places
            .iter()
            .map(|place| place.describe(self.format))
            .collect();
        move || Axis::new("at", names.iter())
    }

    fn add<const N: usize>(
        &mut self,
        id: Id,
        name: &'static str,
        about: &'static str,
        axes: [Axis; N],
        rule: fn(&Model, &[usize]) -> Rule,
    ) {
        let mut group = Group {
            id,
            name,
            about,
            axes: axes.into(),
            rules: Vec::new(),
            start: self.bins,
        };
        let bins = group.axes.iter().map(|axis| axis.values.len()).product();
        for bin in 0..bins {
            let rule = rule(self, &group.coordinates(bin));
            let (tag, why) = match rule {
                Reachable => (0, ""),
                Impossible(why) => (1, why),
                NotAsked(why) => (2, why),
            };
            let text = format!("{name}:{}:{tag}{why}", group.bin_name(bin));
            for byte in text.bytes() {
                // FNV-1a.
                self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
            }
            group.rules.push(rule);
        }
        self.bins += bins;
        self.by_id[id as usize] = Some(self.groups.len());
        self.groups.push(group);
    }
}

impl Axis {
    fn new<T: ToString>(name: &'static str, values: impl IntoIterator<Item = T>) -> Self {
        Self {
            name,
            values: values.into_iter().map(|value| value.to_string()).collect(),
        }
    }
}

/////////////////////////
// The values of axes  //
/////////////////////////

fn modes(format: Format) -> Vec<Mode> {
    if !format.is_riscv() {
        let mode = |guest, rights| Mode {
            virt: true,
            guest,
            host: 2,
            rights,
        };
        return vec![mode(2, false), mode(0, false), mode(2, true), mode(0, true)];
    }
    let levels = level_choices(format);
    let mode = |virt, guest, host| Mode {
        virt,
        guest,
        host,
        rights: false,
    };
    let native = levels.iter().map(|&guest| mode(false, guest, 0));
    let pairs = levels
        .iter()
        .flat_map(|&guest| levels.iter().map(move |&host| mode(true, guest, host)));
    native.chain(pairs).collect()
}

/// In the order of [`Model::place`].
fn places(format: Format) -> Vec<Place> {
    let levels = format.geometry().levels;
    let mut purposes: Vec<Purpose> = (0..levels).map(Purpose::GuestEntry).collect();
    purposes.push(Purpose::Data);
    if format.is_riscv() {
        purposes.extend((0..levels).map(Purpose::GuestUpdate));
    }
    let guest = (0..levels).map(|level| Place::Guest { level });
    let host = (0..levels).flat_map(|level| {
        purposes
            .iter()
            .map(move |&purpose| Place::Host { level, purpose })
    });
    guest.chain(host).collect()
}

/// What leads to no root: a guest cache to a guest entry, a host cache to a host entry, the nested TLB to any guest entry.
fn passes(format: Format) -> Vec<(Pass, Place)> {
    if !format.is_riscv() {
        return Vec::new();
    }
    let levels = format.geometry().levels;
    let guest = (0..levels - 1).map(|level| (Pass::Guest, Place::Guest { level }));
    let is_table = |place: &Place| matches!(place, Place::Host { level, .. } if level + 1 < levels);
    let host = places(format).into_iter().filter(is_table);
    let host = host.map(|place| (Pass::Host, place));
    let nested = (0..levels).map(|level| (Pass::Nested, Place::Guest { level }));
    guest.chain(host).chain(nested).collect()
}

fn sizes(format: Format) -> Vec<Option<u32>> {
    let geometry = format.geometry();
    let mut sizes = vec![geometry.offset_width];
    if format == Format::Rv64 {
        sizes.push(NAPOT_PAGE_SIZE);
    }
    if format.is_riscv() {
        sizes
            .extend((1..geometry.levels).map(|l| geometry.offset_width + l * geometry.index_width));
    }
    std::iter::once(None)
        .chain(sizes.into_iter().map(Some))
        .collect()
}

/// A size in the field's words.
pub(super) fn bytes(log2: u32) -> String {
    let (unit, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)]
        .into_iter()
        .rfind(|&(_, shift)| shift <= log2)
        .unwrap_or(("B", 0));
    format!("{} {unit}", 1u64 << (log2 - shift))
}

/// Of RISC-V those that are not reserved and not a pointer's.
fn rights(format: Format) -> Vec<Rights> {
    let all = (0..8).map(|bits| Rights {
        read: bits & 1 != 0,
        write: bits & 2 != 0,
        execute: bits & 4 != 0,
    });
    if format.is_riscv() {
        all.filter(|rights| rights.read || rights.execute && !rights.write)
            .collect()
    } else {
        all.collect()
    }
}

fn model_rights(format: Format) -> Axis {
    let name = |rights: Rights| {
        let letter = |set, letter| if set { letter } else { '-' };
        [
            letter(rights.read, 'r'),
            letter(rights.write, 'w'),
            letter(rights.execute, 'x'),
        ]
        .iter()
        .collect::<String>()
    };
    Axis::new("leaf", rights(format).into_iter().map(name))
}

/// What a request may have and an entry not, where all else agrees. The last two are no obstacle to a hit.
pub const BESIDE: [&str; 9] = [
    "page",
    "V",
    "guest mode",
    "host mode",
    "rights mode",
    "ASID",
    "VMID",
    "ASID, of a global page",
    "VMID, V=0",
];

/// What two contexts may differ in.
pub const SWITCHES: [&str; 17] = [
    "V",
    "guest mode",
    "host mode",
    "guest root",
    "host root",
    "ASID",
    "VMID",
    "user",
    "SUM",
    "guest MXR",
    "host MXR",
    "guest ADUE",
    "host ADUE",
    "guest PBMTE",
    "host PBMTE",
    "Svnapot",
    "rights mode",
];

/// What a fence may meet.
pub const EFFECTS: [&str; 10] = [
    "an entry it names",
    "an entry of the other V",
    "an entry spared by gVA",
    "an entry spared by gPA",
    "an entry spared by ASID",
    "an entry spared as global",
    "an entry spared by VMID",
    "a walk it overtakes",
    "a walk it leaves alone",
    "nothing",
];

/// What may become of a walk that a walk cache has led.
pub const PASS_ENDS: [&str; 8] = [
    "a translation",
    "a fault of the guest's",
    "a fault of the host's, to read",
    "a fault of the host's, to update",
    "a fault of the host's, for the data",
    "an update is made",
    "an update is lost",
    "a fence overtakes it",
];

/// What a fence may meet in a walk cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMet {
    /// What it names.
    Named,
    /// A guest table with a global pointer before it, of the ASID that it names.
    NamedGlobal,
    /// What is of the other V.
    OtherV,
    /// What only its gVA spares.
    ByGva,
    /// What only its gPA spares.
    ByGpa,
    /// What only its ASID spares.
    ByAsid,
    /// What only its VMID spares.
    ByVmid,
    /// Nothing that is known.
    Nothing,
}

impl CacheMet {
    /// Each, in the order of the axis.
    pub const ALL: [Self; 8] = [
        Self::Named,
        Self::NamedGlobal,
        Self::OtherV,
        Self::ByGva,
        Self::ByGpa,
        Self::ByAsid,
        Self::ByVmid,
        Self::Nothing,
    ];

    /// What leaves an entry where it is, in the order of the axis.
    pub const SPARED: [Self; 5] = [
        Self::OtherV,
        Self::ByGva,
        Self::ByGpa,
        Self::ByAsid,
        Self::ByVmid,
    ];

    /// Whether a fence has met it, by the fence's effects on a cache; none if the cache was empty.
    pub fn is_in(self, effects: Option<FenceEffects>) -> bool {
        match (effects, self.effect()) {
            (Some(effects), Some(effect)) => effects.contains(effect),
            (effects, effect) => effects.is_none() && effect.is_none(),
        }
    }

    fn effect(self) -> Option<FenceEffect> {
        match self {
            Self::Named => Some(FenceEffect::Invalidated),
            Self::NamedGlobal => Some(FenceEffect::InvalidatedGlobal),
            Self::OtherV => Some(FenceEffect::OtherV),
            Self::ByGva => Some(FenceEffect::SparedByGva),
            Self::ByGpa => Some(FenceEffect::SparedByGpa),
            Self::ByAsid => Some(FenceEffect::SparedByAsid),
            Self::ByVmid => Some(FenceEffect::SparedByVmid),
            Self::Nothing => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Named => "what it names",
            Self::NamedGlobal => "what it names, behind a global pointer",
            Self::OtherV => "what is of the other V",
            Self::ByGva => "what is spared by gVA",
            Self::ByGpa => "what is spared by gPA",
            Self::ByAsid => "what is spared by ASID",
            Self::ByVmid => "what is spared by VMID",
            Self::Nothing => "nothing",
        }
    }
}

/// Where the walk caches in use are on their axis.
pub fn used_index(used: WalkCaches) -> usize {
    usize::from(used.guest) | usize::from(used.host) << 1 | usize::from(used.nested) << 2
}

fn used_name(index: usize) -> String {
    let used = WalkCaches {
        guest: index & 1 != 0,
        host: index & 2 != 0,
        nested: index & 4 != 0,
    };
    match used.any() {
        false => "none".to_owned(),
        true => used.names().collect::<Vec<_>>().join(" "),
    }
}

/// What a fence may meet a walk in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkState {
    /// A request has been taken, and is neither answered nor given to a walk.
    NoWalk,
    /// It has begun in the cycle before.
    Begins,
    /// It is to read, and does not offer it yet.
    ReadToCome,
    /// It offers a read, which is not taken in this cycle.
    ReadOffered,
    /// Memory takes its read in this cycle.
    ReadGranted,
    /// Memory has taken its read before.
    ReadInFlight,
    /// Memory answers its read in this cycle.
    ReadAnswered,
    /// It is to update an entry, or offers that, and it is not taken in this cycle.
    UpdateToCome,
    /// Memory takes its update in this cycle.
    UpdateGranted,
    /// Memory has taken its update before.
    UpdateInFlight,
    /// Memory answers its update in this cycle.
    UpdateAnswered,
    /// It has taken its last entry, and its requests wait for their answers.
    Ended,
}

/// Each, in the order of the axis.
pub const WALK_STATES: [WalkState; 12] = [
    WalkState::NoWalk,
    WalkState::Begins,
    WalkState::ReadToCome,
    WalkState::ReadOffered,
    WalkState::ReadGranted,
    WalkState::ReadInFlight,
    WalkState::ReadAnswered,
    WalkState::UpdateToCome,
    WalkState::UpdateGranted,
    WalkState::UpdateInFlight,
    WalkState::UpdateAnswered,
    WalkState::Ended,
];

impl WalkState {
    fn name(self) -> &'static str {
        match self {
            Self::NoWalk => "a request without a walk",
            Self::Begins => "a walk that has just begun",
            Self::ReadToCome => "a read to come",
            Self::ReadOffered => "a read that is offered",
            Self::ReadGranted => "a read that is granted",
            Self::ReadInFlight => "a read in flight",
            Self::ReadAnswered => "a read that is answered",
            Self::UpdateToCome => "an update to come, or offered",
            Self::UpdateGranted => "an update that is granted",
            Self::UpdateInFlight => "an update in flight",
            Self::UpdateAnswered => "an update that is answered",
            Self::Ended => "a walk that has ended",
        }
    }

    /// Whether it is one of an update.
    pub fn is_update(self) -> bool {
        matches!(
            self,
            Self::UpdateToCome | Self::UpdateGranted | Self::UpdateInFlight | Self::UpdateAnswered
        )
    }

    /// Whether it only lasts where a port is held.
    pub fn needs_hold(self) -> bool {
        matches!(self, Self::ReadOffered | Self::UpdateToCome | Self::Ended)
    }

    /// The port that keeps a walk in it; and the cycle in which it is there, from that on in which the access is offered, where that
    /// does not hang on the latency.
    pub fn hold_and_cycle(self) -> (Held, Option<u64>) {
        match self {
            Self::ReadOffered | Self::UpdateToCome | Self::ReadGranted | Self::UpdateGranted => {
                (Held::Reads, Some(0))
            }
            Self::ReadInFlight | Self::UpdateInFlight => (Held::Answers, Some(1)),
            Self::Ended | Self::NoWalk => (Held::Responses, None),
            _ => (Held::Answers, None),
        }
    }
}

/// The entry that a walk has taken last.
pub const LAST_ENTRIES: [&str; 5] = [
    "none yet",
    "the guest's",
    "the host's, to read",
    "the host's, to update",
    "the host's, for the data",
];

/// What two contexts may differ in alone.
pub const TWINS: [&str; 19] = [
    "V",
    "guest mode",
    "host mode",
    "guest root",
    "host root",
    "ASID",
    "VMID",
    "user",
    "SUM",
    "guest MXR",
    "host MXR",
    "guest ADUE",
    "host ADUE",
    "guest PBMTE",
    "host PBMTE",
    "Svnapot",
    "bits below the guest root",
    "bits below the host root",
    "rights mode",
];

/// What may become of a walk cache that is switched.
pub const CACHE_SWITCHES: [&str; 5] = [
    "it is switched on",
    "it is switched off",
    "it leads by what it had before it was off",
    "it leads by what it has taken while it was off",
    "a fence names what it has while it is off",
];

/// What may be many since a reset.
pub const SINCE_RESET: [(&str, u64); 4] = [
    ("requests", 1000),
    ("requests", 3000),
    ("fences", 128),
    ("fences", 256),
];

/// What may become of a page that comes back from the second-level TLB.
pub const SECOND_AGAIN: [&str; 6] = [
    "a fence names it by the gVA of another piece",
    "a fence names it by the gPA of another piece",
    "a fence by ASID spares it as global",
    "it comes beside a fill of its set",
    "it comes after 1 other fill of its set",
    "it comes after 2 or more other fills of its set",
];

/// The operands of a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Its kind of address space.
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

impl Form {
    /// Where the form of a fence is on its axis.
    pub fn index(format: Format, fence: &Fence) -> usize {
        let operands = usize::from(fence.gva.is_some())
            | usize::from(fence.gpa.is_some()) << 1
            | usize::from(fence.asid.is_some()) << 2
            | usize::from(fence.vmid.is_some()) << 3;
        // The handout's have V.
        operands | usize::from(format.is_riscv() && !fence.virt) << 4
    }

    fn describe(self, format: Format) -> String {
        let mut words = Vec::new();
        if format.is_riscv() {
            words.push(if self.virt { "V=1" } else { "V=0" });
        }
        let operands = [self.gva, self.gpa, self.asid, self.vmid];
        let names = ["gVA", "gPA", "ASID", "VMID"];
        words.extend(
            operands
                .iter()
                .zip(names)
                .filter(|(used, _)| **used)
                .map(|(_, name)| name),
        );
        if operands == [false; 4] {
            words.push("everything");
        }
        words.join(" ")
    }

    /// Whether an instruction of RISC-V makes such a fence: SFENCE.VMA and HFENCE.VVMA with rs1 and rs2, HFENCE.GVMA likewise.
    fn has_instruction(self) -> bool {
        match self.virt {
            false => !self.gpa && !self.vmid,
            true => match (self.gva || self.asid, self.gpa) {
                (true, gpa) => self.vmid && !gpa,
                (false, _) => true,
            },
        }
    }
}

/// Those of a format, in the order of [`Form::index`].
pub fn forms(format: Format) -> Vec<Form> {
    let count = if format.is_riscv() { 32 } else { 16 };
    (0..count)
        .map(|bits| Form {
            gva: bits & 1 != 0,
            gpa: bits & 2 != 0,
            asid: bits & 4 != 0,
            vmid: bits & 8 != 0,
            virt: bits & 16 == 0,
        })
        .collect()
}

////////////////////////////////////////
// The rules: what cannot be, and why //
////////////////////////////////////////

const RACE: &str =
    "needs an edit between two reads of one entry in one walk; `fault` asks for those";
const POINTER_AT_0: &str = "a pointer at level 0 is a fault";
const OFF: &str = "the stage is off";
const ANY_GPA: &str = "a fence of a gPA forgets guest tables and their pages whatever the gPA";
const NO_UPDATE: &str = "the handout's machine updates nothing";
const NOTHING_KEPT: &str = "with both stages off nothing is kept";

/// Why a mode has no such entry, if it has none.
fn no_such_entry(mode: Mode, place: Place) -> Option<&'static str> {
    const NO_LEVEL: &str = "the mode has no such level";
    let no_guest_level = |level: u32| match mode.guest {
        0 => Some(OFF),
        levels => (level >= u32::from(levels)).then_some(NO_LEVEL),
    };
    match place {
        Place::Guest { level } => no_guest_level(level),
        Place::Host { .. } if mode.host == 0 => Some(OFF),
        Place::Host { level, .. } if level >= mode.host.into() => Some(NO_LEVEL),
        Place::Host { purpose, .. } => match purpose {
            Purpose::GuestEntry(level) | Purpose::GuestUpdate(level) => no_guest_level(level),
            Purpose::Data => None,
        },
    }
}

fn fault(model: &Model, at: &[usize]) -> Rule {
    let (mode, kind, place) = (
        model.modes[at[0]],
        FaultKind::ALL[at[2]],
        model.places[at[3]],
    );
    if mode.guest == 0 && mode.host == 0 && place == (Place::Guest { level: 0 }) {
        return match (kind, model.format) {
            (FaultKind::Memory, Format::Rv64) => {
                hlvx(mode, model.accesses[at[1]]).unwrap_or(Reachable)
            }
            (FaultKind::Memory, _) => Impossible("every gVA of RV32 fits an hPA"),
            _ => Impossible("with both stages off there is no entry"),
        };
    }
    let rule = match model.format {
        Format::Handout | Format::Classic32 => handout_fault(model.format, mode, kind, place),
        Format::Rv32 | Format::Rv64 => riscv_fault(model.format, mode, kind, place),
    };
    match (no_such_entry(mode, place), rule) {
        (Some(why), _) | (None, Some(why)) => Impossible(why),
        (None, None) => hlvx(mode, model.accesses[at[1]]).unwrap_or(Reachable),
    }
}

/// Why there is no such fault, if there is not.
fn handout_fault(
    format: Format,
    mode: Mode,
    kind: FaultKind,
    place: Place,
) -> Option<&'static str> {
    let is_leaf = place.level() == 0;
    // The first address that the host's table translates.
    let first = match mode.guest {
        0 => Purpose::Data,
        levels => Purpose::GuestEntry(u32::from(levels) - 1),
    };
    match kind {
        FaultKind::Memory | FaultKind::Width => None,
        FaultKind::Misaligned => match place {
            Place::Host { level, purpose }
                if level + 1 == u32::from(mode.host) && purpose != first =>
            {
                Some("the host's root is the same for every gPA: the first one has faulted already")
            }
            _ => None,
        },
        FaultKind::Reserved => (format == Format::Classic32).then_some(
            "an address of CLASSIC32 is as wide as an entry: there are no reserved bits",
        ),
        FaultKind::Invalid | FaultKind::Permission if !mode.rights => {
            Some("without rights mode entries have no status")
        }
        FaultKind::Invalid | FaultKind::Permission => {
            (!is_leaf).then_some("pointers of the handout's machine have no status")
        }
        FaultKind::AccessedDirty | FaultKind::Pointer => {
            Some("the handout's machine has no such fault")
        }
    }
}

/// Why there is no such fault, if there is not.
fn riscv_fault(format: Format, mode: Mode, kind: FaultKind, place: Place) -> Option<&'static str> {
    let level = place.level();
    match kind {
        FaultKind::Memory
        | FaultKind::Invalid
        | FaultKind::Reserved
        | FaultKind::Permission
        | FaultKind::AccessedDirty => None,
        FaultKind::Misaligned => (level == 0).then_some("a page of level 0 cannot be misaligned"),
        FaultKind::Pointer => (level > 0).then_some("above level 0 a pointer is no fault"),
        FaultKind::Width => match place {
            _ if format == Format::Rv32 => {
                Some("RV32: a gVA has 32 bits, as Sv32 has, and no gPA more than the 34 of Sv32x4")
            }
            Place::Guest { level } => (level + 1 != u32::from(mode.guest))
                .then_some("the width of an address is checked at the root"),
            Place::Host { level, .. } if level + 1 != u32::from(mode.host) => {
                Some("the width of an address is checked at the root")
            }
            Place::Host {
                purpose: Purpose::GuestUpdate(_),
                ..
            } => Some("the same gPA has been translated to read the entry"),
            Place::Host { .. } if mode.host == 5 && mode.guest > 0 => {
                Some("a gPA of a guest's table or page has 56 bits, and Sv57x4 translates 59")
            }
            Place::Host { .. } => None,
        },
    }
}

/// HLVX acts as in the virtual machine, wherever it is executed.
fn hlvx(mode: Mode, access: Access) -> Option<Rule> {
    const WHY: &str = "HLVX is always made with V=1";
    (access == Access::LoadExecute && !mode.virt).then_some(NotAsked(WHY))
}

fn translation(model: &Model, at: &[usize]) -> Rule {
    let mode = model.modes[at[0]];
    let geometry = model.format.geometry();
    let no_such_page = |levels: u8, size: Option<u32>| match (levels, size) {
        (0, None) => None,
        (0, Some(_)) => Some("a stage that is off has no page"),
        (_, None) => Some("a stage that is on has a page"),
        (levels, Some(size)) => {
            let level = (size - geometry.offset_width) / geometry.index_width;
            (level >= u32::from(levels)).then_some("the mode has no such page")
        }
    };
    let why = no_such_page(mode.guest, model.sizes[at[2]])
        .or(no_such_page(mode.host, model.sizes[at[3]]));
    let asked = hlvx(mode, model.accesses[at[1]]).unwrap_or(Reachable);
    why.map_or(asked, Impossible)
}

fn entry(model: &Model, mode: Option<Mode>, place: Place, kind: usize) -> Rule {
    if let Some(why) = mode.and_then(|mode| no_such_entry(mode, place)) {
        return Impossible(why);
    }
    let level = place.level();
    match (model.format, kind) {
        (_, 0) if level == 0 => Impossible("an entry of level 0 is a leaf, or a fault"),
        (_, 0) => Reachable,
        (Format::Handout | Format::Classic32, 1) if level > 0 => {
            Impossible("only an entry of the last level is a leaf in the handout's machine")
        }
        (_, 1) => Reachable,
        (Format::Rv64, _) if level > 0 => Impossible("a NAPOT page is of level 0"),
        (Format::Rv64, _) => Reachable,
        _ => Impossible("the format has no NAPOT pages"),
    }
}

fn status(model: &Model, at: &[usize]) -> Rule {
    let is_store = model.accesses[at[2]] == Access::Store;
    let lacks_d_only = at[1] == 2;
    match at[0] {
        0 | 1 if lacks_d_only && !is_store => Impossible("only a store needs D"),
        2 if lacks_d_only => Impossible("the read of a guest entry needs no D"),
        3 if !lacks_d_only => NotAsked(RACE),
        _ => Reachable,
    }
}

fn look_up(model: &Model, at: &[usize]) -> Rule {
    let mode = model.modes[at[0]];
    let riscv = model.format.is_riscv();
    let rule = match at[2] {
        4 => Reachable,
        5 if mode.guest == 0 && mode.host == 0 => {
            Impossible("a walk without reads is over before another request comes")
        }
        _ if mode.guest == 0 && mode.host == 0 => Impossible(NOTHING_KEPT),
        1 | 2 if riscv => Impossible("a hit of RISC-V never faults"),
        1 | 2 if !mode.rights => Impossible("without rights mode everything is permitted"),
        1 if mode.guest == 0 => Impossible("there is no guest leaf"),
        3 if !riscv => Impossible("in the handout's machine an entry that denies is an answer"),
        _ => Reachable,
    };
    match rule {
        Reachable => hlvx(mode, model.accesses[at[1]]).unwrap_or(Reachable),
        rule => rule,
    }
}

fn second_level(model: &Model, at: &[usize]) -> Rule {
    let mode = model.modes[at[0]];
    match at[1] {
        _ if mode.guest == 0 && mode.host == 0 => Impossible(NOTHING_KEPT),
        1 if !model.format.is_riscv() => Impossible("all pages are of one size"),
        _ => Reachable,
    }
}

fn fence(model: &Model, at: &[usize]) -> Rule {
    let form = forms(model.format)[at[0]];
    let riscv = model.format.is_riscv();
    let no_operand = "the fence has no such operand";
    let rule = match EFFECTS[at[1]] {
        "an entry of the other V" if !riscv => Impossible("the handout's machine has no V"),
        "an entry spared by gVA" if !form.gva => Impossible(no_operand),
        "an entry spared by gPA" if !form.gpa => Impossible(no_operand),
        "an entry spared by ASID" | "an entry spared as global" if !form.asid => {
            Impossible(no_operand)
        }
        "an entry spared as global" if !riscv => {
            Impossible("the handout's machine has no global pages")
        }
        "an entry spared by VMID" if !form.vmid => Impossible(no_operand),
        "an entry spared by VMID" if !form.virt => {
            Impossible("outside virtual machines there is no VMID")
        }
        "a walk it leaves alone" if !riscv && !form.asid && !form.vmid => {
            Impossible("the fence overtakes every walk")
        }
        _ => Reachable,
    };
    match rule {
        Reachable if riscv && !form.has_instruction() => {
            NotAsked("no instruction of RISC-V has these operands")
        }
        rule => rule,
    }
}

fn fence_walk(model: &Model, at: &[usize]) -> Rule {
    let form = forms(model.format)[at[0]];
    let riscv = model.format.is_riscv();
    match at[2] {
        _ if !riscv && WALK_STATES[at[1]].is_update() => Impossible(NO_UPDATE),
        1 if !riscv && !form.asid && !form.vmid => Impossible("the fence names every walk"),
        _ if riscv && !form.has_instruction() => {
            NotAsked("no instruction of RISC-V has these operands")
        }
        _ => Reachable,
    }
}

fn fence_place(model: &Model, at: &[usize]) -> Rule {
    let (state, last, several) = (WALK_STATES[at[0]], at[1], at[2] == 1);
    let riscv = model.format.is_riscv();
    const TOOK: &str = "it has taken an entry before";
    const BEGINS: &str = "it has taken no entry yet";
    match state {
        _ if !riscv && state.is_update() => Impossible(NO_UPDATE),
        _ if !riscv && last == 3 => Impossible(NO_UPDATE),
        WalkState::NoWalk | WalkState::Begins if last > 0 => Impossible(BEGINS),
        WalkState::NoWalk | WalkState::Begins if several => Impossible("it is one request's"),
        WalkState::ReadAnswered if last == 0 => Impossible(TOOK),
        _ if state.is_update() && last == 0 => Impossible(TOOK),
        WalkState::Ended if last == 0 && several => {
            Impossible("a walk without reads is over before another request comes")
        }
        _ => Reachable,
    }
}

fn pass(mode: Mode, (pass, place): (Pass, Place)) -> Rule {
    const ROOT: &str = "a walk cache leads to no root but by way of the nested TLB";
    let levels = match place {
        Place::Guest { .. } => mode.guest,
        Place::Host { .. } => mode.host,
    };
    match no_such_entry(mode, place) {
        Some(why) => Impossible(why),
        None if pass == Pass::Nested && mode.host == 0 => Impossible(OFF),
        None if pass != Pass::Nested && place.level() + 1 == u32::from(levels) => Impossible(ROOT),
        None => Reachable,
    }
}

fn walk_caches(model: &Model, at: &[usize]) -> Rule {
    let (used, times) = (at[0], at[1]);
    let (guest, host, nested) = (used & 1 != 0, used & 2 != 0, used & 4 != 0);
    match (guest, host, nested) {
        (false, false, false) if times > 0 => Impossible("none is in use"),
        (true, false, false) if times > 1 => {
            Impossible("a walk is looked up in the guest cache once, at its start")
        }
        (_, false, true) if times > model.format.geometry().levels as usize => {
            Impossible("a walk reads no more guest entries than there are levels")
        }
        _ => Reachable,
    }
}

fn cache_fence(model: &Model, at: &[usize]) -> Rule {
    let form = forms(model.format)[at[0]];
    let geometry = model.format.geometry();
    let cache = PageWalkCache::all(&geometry).nth(at[1]);
    let is_guest = matches!(cache, Some(PageWalkCache::Guest { .. }));
    let is_table = !matches!(cache, Some(PageWalkCache::Nested));
    let met = CacheMet::ALL[at[2]];
    const NO_OPERAND: &str = "the fence has no such operand";
    const NO_HOST: &str = "outside virtual machines there is no stage of the host's";
    const OF_GUEST: &str = "a fence of a gVA or an ASID is none of the host's stage";
    const BOTH: &str = "both gVA and ASID spare it, neither alone";
    let operand = |used: bool| (!used).then_some(NO_OPERAND);
    let why = match met {
        CacheMet::Nothing => None,
        CacheMet::OtherV if is_guest => None,
        CacheMet::OtherV => form.virt.then_some("what is of the host's is of V=1"),
        CacheMet::NamedGlobal if !is_guest => Some("only guest tables are global"),
        CacheMet::NamedGlobal => operand(form.asid),
        CacheMet::ByGpa if is_guest || !is_table => Some(ANY_GPA),
        _ if !is_guest && !form.virt => Some(NO_HOST),
        CacheMet::ByGva if !is_guest && form.gva && form.asid => Some(BOTH),
        CacheMet::ByAsid if !is_guest && form.gva && form.asid => Some(BOTH),
        CacheMet::ByGva => operand(form.gva),
        CacheMet::ByAsid => operand(form.asid),
        _ if !is_guest && (form.gva || form.asid) => Some(OF_GUEST),
        CacheMet::Named => None,
        CacheMet::ByGpa => operand(form.gpa),
        CacheMet::ByVmid if !form.virt => Some("outside virtual machines there is no VMID"),
        CacheMet::ByVmid => operand(form.vmid),
    };
    match why {
        Some(why) => Impossible(why),
        None if !form.has_instruction() => NotAsked("no instruction of RISC-V has these operands"),
        None => Reachable,
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
    fn places_and_forms_stand_where_their_numbers_say() {
        for format in Format::ALL {
            let model = Model::of(format);
            for (index, &place) in model.places.iter().enumerate() {
                assert_eq!(model.place(place), index, "{format} {place:?}");
            }
            let virt = Fence::default();
            let native = Fence {
                virt: false,
                asid: Some(1),
                ..virt
            };
            assert!(
                forms(format)[Form::index(format, &virt)]
                    .describe(format)
                    .contains("everything")
            );
            if format.is_riscv() {
                let form = forms(format)[Form::index(format, &native)];
                assert_eq!(form.describe(format), "V=0 ASID");
            }
        }
    }

    #[test]
    fn walk_caches_and_what_fences_meet_in_them_stand_where_their_numbers_say() {
        for format in [Format::Rv32, Format::Rv64] {
            let geometry = format.geometry();
            for (index, cache) in PageWalkCache::all(&geometry).enumerate() {
                assert_eq!(cache.index(&geometry), index, "{format} {cache:?}");
            }
            let model = Model::of(format);
            for (index, &(pass, place)) in model.passes.iter().enumerate() {
                assert_eq!(model.pass(pass, place), Some(index), "{format} {place:?}");
                let cache = cache_of(pass, place).unwrap();
                assert!(PageWalkCache::all(&geometry).any(|known| known == cache));
            }
        }
        for (index, met) in CacheMet::ALL.into_iter().enumerate() {
            assert_eq!(met as usize, index);
            let is_nothing = met == CacheMet::Nothing;
            assert_eq!(met.effect().is_none(), is_nothing, "{met:?}");
            assert_eq!(met.is_in(None), is_nothing, "{met:?}");
            assert!(!met.is_in(Some(FenceEffects::default())), "{met:?}");
        }
        assert_eq!(used_name(used_index(WalkCaches::ALL)), "guest host nested");
        assert_eq!(used_name(used_index(WalkCaches::default())), "none");
    }

    #[test]
    fn every_group_can_be_reached_and_reasons_are_given() {
        for format in Format::ALL {
            for group in &Model::of(format).groups {
                assert!(group.rules.contains(&Reachable), "{format} {}", group.name);
                for rule in &group.rules {
                    if let Impossible(why) | NotAsked(why) = rule {
                        assert!(!why.is_empty());
                    }
                }
            }
        }
    }
}
