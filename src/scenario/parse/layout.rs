// SPDX-License-Identifier: Apache-2.0
//! Tables that a file gives as mappings: the places of their words, the words that exist already,
//! and the fence obligations of a change.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::error::{Lines, Problem, Result, Span};
use super::head::{Image, Memory, unique_name};
use super::limits::{self, Spent};
use super::reader::{Field, Table, end_of};
use super::riscv;
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::Format;
use crate::memory::HostMemory;
use crate::mmu::Rights;
use crate::tables::{
    FenceOwed, GuestMemory, GuestRoom, GuestTable, HostRoot, HostTable, Occupied, TableError,
    TableFrames, TableMemory,
};

/// Host memory that knows whose each word is, and keeps what is written.
pub(super) struct Ledger {
    memory: HostMemory,
    /// Sorted: from, to, line.
    images: Vec<(u64, u64, usize)>,
    /// Words of tables, and words that ops have written where nothing was.
    owners: FxHashMap<u64, usize>,
    /// The names, by number.
    names: Vec<String>,
    pub(super) writer: usize,
    written: Vec<(Hpa, u64)>,
}

enum Owner {
    Image { line: usize },
    Named(usize),
}

impl Ledger {
    fn new(format: Format, images: &[Image], lines: &Lines) -> Result<Self> {
        let mut memory = HostMemory::new(format);
        for image in images {
            let words = image.words.iter().cycle();
            for (at, &word) in (image.at..image.end())
                .step_by(memory.word_bytes() as usize)
                .zip(words)
            {
                memory.write(Hpa(at), word);
            }
            limits::check_images(0, &memory, &image.span)?;
        }
        let images = images
            .iter()
            .map(|image| (image.at, image.end(), lines.line_of(image.span.start)))
            .collect();
        Ok(Self {
            memory,
            images,
            owners: FxHashMap::default(),
            names: Vec::new(),
            writer: 0,
            written: Vec::new(),
        })
    }

    /// Checks that memory is within the limits of a file.
    pub(super) fn check(&self, place: &Span) -> Result<()> {
        limits::check_tables(&self.memory, self.owners.len(), place)
    }

    pub(super) fn add_name(&mut self, name: String) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }

    fn owner(&self, at: Hpa) -> Option<Owner> {
        if let Some(&owner) = self.owners.get(&at.0) {
            return Some(Owner::Named(owner));
        }
        let next = self.images.partition_point(|&(from, _, _)| from <= at.0);
        let &(_, to, line) = self.images.get(next.checked_sub(1)?)?;
        (at.0 < to).then_some(Owner::Image { line })
    }

    /// The pages of host memory in which something is.
    pub(super) fn pages(&self, format: Format) -> FxHashSet<u64> {
        let page = |at: u64| at >> format.geometry().offset_width;
        let of_images = self
            .images
            .iter()
            .flat_map(|&(from, to, _)| page(from)..=page(to - 1));
        self.owners
            .keys()
            .map(|&at| page(at))
            .chain(of_images)
            .collect()
    }

    fn put(&mut self, at: Hpa, word: u64, owner: usize) -> std::result::Result<(), Occupied> {
        let by = match self.owner(at) {
            Some(Owner::Image { line }) => Some(format!("the image of line {line}")),
            Some(Owner::Named(other)) if other != owner => Some(self.names[other].clone()),
            _ => None,
        };
        if let Some(by) = by {
            return Err(Occupied { at, by });
        }
        self.owners.insert(at.0, owner);
        self.memory.write(at, word);
        self.written.push((at, word));
        Ok(())
    }
}

impl TableMemory for Ledger {
    fn word(&self, at: Hpa) -> Option<u64> {
        self.memory.read(at).ok()
    }

    fn set(&mut self, at: Hpa, word: u64) -> std::result::Result<(), Occupied> {
        self.put(at, word, self.writer)
    }

    fn carry(&mut self, from: Hpa, to: Hpa, word: u64) -> std::result::Result<(), Occupied> {
        let host = self.writer;
        self.writer = self.owners.remove(&from.0).unwrap_or(host);
        let put = self.put(to, word, self.writer);
        self.writer = host;
        put
    }
}

/// Some pages that one item of a `map` list, or an op, is about.
pub(super) struct Mapping {
    pub(super) from: u64,
    /// None: the page is unmapped.
    pub(super) to: Option<u64>,
    pub(super) pages: u64,
    pub(super) rights: Rights,
    pub(super) span: Span,
}

/// The kind of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Host,
    Guest,
}

impl Mapping {
    /// Reads the keys `from`, `to` (unless it is to unmap), `pages` and `rights`.
    pub(super) fn read(table: &Table<'_>, kind: Kind, map: bool, format: Format) -> Result<Self> {
        let geometry = format.geometry();
        let (from_kind, from_width, to_kind, to_width) = match kind {
            Kind::Host => ("gPA", geometry.gpa_width, "hPA", geometry.hpa_width),
            Kind::Guest => ("gVA", geometry.gva_width, "gPA", geometry.gpa_width),
        };
        let page = geometry.page_bytes();
        let from_field = table.require("from", &format!("the {from_kind} of the first page"))?;
        let from = from_field.page(from_kind, from_width, format)?;
        let pages = match table.get("pages") {
            Some(field) => field.number(1, 1 << (from_width - geometry.offset_width))?,
            None => 1,
        };
        let must_fit = |field: &Field<'_>, kind, start, width| {
            if end_of(start, pages, page, width).is_some() {
                return Ok(());
            }
            let message =
                format!("{pages} pages from {kind} 0x{start:05X} on exceed the last page");
            let left = ((1 << width) - start) / page;
            Err(field.wrong(
                message,
                format!("the address space has {left} from here on"),
            ))
        };
        must_fit(&from_field, from_kind, from, from_width)?;
        let mut mapping = Self {
            from,
            to: None,
            pages,
            rights: Rights::ALL,
            span: from_field.span,
        };
        if map {
            let to = table.require("to", &format!("the {to_kind} that `from` is mapped to"))?;
            let address = to.page(to_kind, to_width, format)?;
            must_fit(&to, to_kind, address, to_width)?;
            mapping.to = Some(address);
            if let Some(field) = table.get("rights") {
                mapping.rights = rights(&field)?;
            }
        }
        Ok(mapping)
    }

    /// A list of them. No page is in it twice.
    fn read_list(table: &Table<'_>, kind: Kind, format: Format) -> Result<Vec<Self>> {
        let Some(field) = table.get("map") else {
            return Ok(Vec::new());
        };
        let expected = "a list of { from = ..., to = ... }";
        let mut list = Vec::new();
        let mut seen: BTreeMap<u64, Span> = BTreeMap::new();
        let mut spent = Spent::default();
        for item in field.array(expected)? {
            if !item.is_table() {
                return Err(item.wrong_kind("{ from = ..., to = ... }"));
            }
            let item = item.table("a mapping")?;
            item.only(&["from", "to", "pages", "rights"])?;
            let mapping = Self::read(&item, kind, true, format)?;
            spent.pages(mapping.pages, &mapping.span)?;
            for (from, _) in mapping.each(format) {
                if let Some(first) = seen.insert(from, mapping.span.clone()) {
                    let message = format!("page 0x{from:05X} is mapped twice in one list");
                    return Err(Problem::at(&mapping.span, message)
                        .label("here")
                        .also(&first, "and here"));
                }
            }
            list.push(mapping);
        }
        Ok(list)
    }

    /// The source and the target of each page.
    fn each(&self, format: Format) -> impl Iterator<Item = (u64, Option<u64>)> {
        let page = format.geometry().page_bytes();
        let (from, to) = (self.from, self.to);
        (0..self.pages).map(move |i| (from + i * page, to.map(|to| to + i * page)))
    }
}

pub(super) fn rights(field: &Field<'_>) -> Result<Rights> {
    let expected = "any of the letters r, w, x, or \"\" for no rights";
    let mut rights = Rights {
        read: false,
        write: false,
        execute: false,
    };
    for letter in field.string(expected)?.chars() {
        let right = match letter {
            'r' => &mut rights.read,
            'w' => &mut rights.write,
            'x' => &mut rights.execute,
            _ => return Err(field.wrong(format!("unknown right `{letter}`"), expected)),
        };
        if std::mem::replace(right, true) {
            return Err(field.wrong(format!("the right `{letter}` is given twice"), expected));
        }
    }
    Ok(rights)
}

struct Host<'a> {
    name: &'a str,
    table: HostTable,
    owner: usize,
}

struct Guest<'a> {
    name: &'a str,
    host: GuestsHost,
    table: GuestTable,
    owner: usize,
}

/// The memory that holds a guest table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum GuestsHost {
    Table(usize),
    Root(HostRoot),
}

/// A [[guest]] that has been read, but not laid out yet.
struct GuestPlan<'a> {
    index: usize,
    name: &'a str,
    place: Span,
    host: GuestsHost,
    tables: Option<Gpa>,
    mappings: Vec<Mapping>,
}

/// All tables that are given as mappings, and the memory that holds them.
pub(super) struct Layout<'a> {
    pub(super) format: Format,
    pub(super) ledger: Ledger,
    pub(super) frames: Option<TableFrames>,
    pub(super) spent: Spent,
    hosts: Vec<Host<'a>>,
    guests: Vec<Guest<'a>>,
    /// The tables of RISC-V. They exclude all of the above.
    pub(super) riscv: riscv::Tables<'a>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(format: Format, memory: &Memory, lines: &Lines) -> Result<Self> {
        let frames = memory
            .tables
            .map(|(from, bytes)| TableFrames::new(format, from, bytes))
            .transpose()
            .map_err(|error| Problem::at(&memory.tables_span, error.to_string()))?;
        let mut ledger = Ledger::new(format, &memory.images, lines)?;
        ledger.memory.set_regions(memory.regions.clone());
        Ok(Self {
            format,
            ledger,
            spent: Spent::default(),
            frames,
            hosts: Vec::new(),
            guests: Vec::new(),
            riscv: riscv::Tables::default(),
        })
    }

    /// `[[host]]`.
    pub(super) fn lay_hosts(&mut self, file: &Table<'a>) -> Result<()> {
        if self.format.is_riscv() {
            return self.lay_riscv_hosts(file);
        }
        let mut names = Vec::new();
        for table in file.tables("host", "[[host]]")? {
            table.only(&["name", "map"])?;
            let name = unique_name(&table, "host table", &mut names)?;
            let mappings = Mapping::read_list(&table, Kind::Host, self.format)?;
            let Some((_, place)) = names.last() else {
                continue;
            };
            let Some(frames) = &mut self.frames else {
                return Err(
                    Problem::at(place, format!("no room for host table `{name}`")).help(
                        "give their area: in [memory], tables = { from = 0x0, bytes = 0x1000 }",
                    ),
                );
            };
            let owner = self.ledger.add_name(format!("host table `{name}`"));
            self.ledger.writer = owner;
            let table = HostTable::new(self.format, &mut self.ledger, frames)
                .map_err(|error| host_problem(place, name, &error))?;
            self.hosts.push(Host { name, table, owner });
            let index = self.hosts.len() - 1;
            for mapping in &mappings {
                self.spent.pages(mapping.pages, &mapping.span)?;
                for owed in self.map_host(index, mapping)? {
                    owed.ignore();
                }
            }
        }
        Ok(())
    }

    /// Lays out `[[guest]]`: first the guests with a given address.
    pub(super) fn lay_guests(&mut self, file: &Table<'a>) -> Result<()> {
        if self.format.is_riscv() {
            return self.lay_riscv_guests(file);
        }
        let mut names = Vec::new();
        let mut plans = Vec::new();
        for (index, table) in file.tables("guest", "[[guest]]")?.iter().enumerate() {
            table.only(&["name", "host", "tables", "map"])?;
            let name = unique_name(table, "guest table", &mut names)?;
            let plan = self.plan_guest(index, name, table)?;
            for mapping in &plan.mappings {
                self.spent.pages(mapping.pages, &mapping.span)?;
            }
            plans.push(plan);
        }
        let targets: Vec<(GuestsHost, Gpa)> = plans
            .iter()
            .flat_map(|plan| {
                let format = self.format;
                plan.mappings
                    .iter()
                    .flat_map(move |mapping| mapping.each(format))
                    .filter_map(|(_, to)| Some((plan.host, Gpa(to?))))
            })
            .collect();
        plans.sort_by_key(|plan| plan.tables.is_none());
        let mut guests = Vec::new();
        for plan in plans {
            let room = match plan.tables {
                Some(start) => GuestRoom::from(start),
                None => self.free_pages(plan.host, &targets),
            };
            let owner = self.ledger.add_name(format!("guest table `{}`", plan.name));
            self.ledger.writer = owner;
            let table = GuestTable::new(
                self.format,
                &mut self.ledger,
                guest_memory(&mut self.hosts, &mut plan.host.clone()),
                room,
            )
            .map_err(|error| guest_problem(&plan.place, plan.name, &error))?;
            self.guests.push(Guest {
                name: plan.name,
                host: plan.host,
                table,
                owner,
            });
            let last = self.guests.len() - 1;
            for mapping in &plan.mappings {
                for owed in self.map_guest(last, mapping)? {
                    owed.ignore();
                }
            }
            guests.push(plan.index);
        }
        // Back to the order of the file.
        let mut sorted: Vec<_> = guests.into_iter().zip(self.guests.drain(..)).collect();
        sorted.sort_by_key(|&(index, _)| index);
        self.guests = sorted.into_iter().map(|(_, guest)| guest).collect();
        Ok(())
    }

    fn plan_guest(&self, index: usize, name: &'a str, table: &Table<'a>) -> Result<GuestPlan<'a>> {
        let geometry = self.format.geometry();
        let what = "the name of a [[host]], or a host table base register";
        let host = table.require("host", what)?;
        let host = if host.is_integer() {
            GuestsHost::Root(HostRoot {
                format: self.format,
                root: Hpa(host.address("hPA", geometry.hpa_width)?),
            })
        } else {
            GuestsHost::Table(self.host_index(&host, host.string(what)?)?)
        };
        let mappings = Mapping::read_list(table, Kind::Guest, self.format)?;
        let tables = match (table.get("tables"), host) {
            (Some(field), _) => Some(field),
            (None, GuestsHost::Table(_)) => None,
            // The free pages of a host table that is known by its root alone are not known.
            (None, GuestsHost::Root(_)) => Some(table.require(
                "tables",
                "the gPA of its tables, because its host is given by a register",
            )?),
        };
        let place = match &tables {
            Some(field) => field.span.clone(),
            None => table.require("name", "")?.span,
        };
        let tables = tables
            .map(|field| {
                let at = field.address("gPA", geometry.gpa_width)?;
                field.aligned("gPA", at, geometry.pte_bytes(), "table entries")
            })
            .transpose()?
            .map(Gpa);
        Ok(GuestPlan {
            index,
            name,
            place,
            host,
            tables,
            mappings,
        })
    }

    /// Pages that the host maps, that no guest maps to, and that hold no guest table.
    fn free_pages(&self, host: GuestsHost, targets: &[(GuestsHost, Gpa)]) -> GuestRoom {
        let GuestsHost::Table(index) = host else {
            return GuestRoom::from_iter([]);
        };
        let table = &self.hosts[index].table;
        let mut targets: Vec<Gpa> = targets
            .iter()
            .filter(|&&(of, _)| of == host)
            .map(|&(_, page)| page)
            .collect();
        targets.sort_unstable();
        let taken = self.ledger.pages(self.format);
        let mut pages: Vec<(bool, Gpa)> = table
            .pages()
            // The walk itself reads what is there.
            .filter(|(_, _, rights)| rights.read)
            .filter(|&(page, _, _)| {
                targets.binary_search(&page).is_err() && !table.holds_guest_table(page)
            })
            .map(|(page, frame, _)| {
                let frame = frame.0 >> self.format.geometry().offset_width;
                (taken.contains(&frame), page)
            })
            .collect();
        // Pages that nothing else uses come first.
        pages.sort_unstable();
        pages.into_iter().map(|(_, page)| page).collect()
    }

    /// Maps or unmaps in a host table. Returns the fence obligations, page by page.
    pub(super) fn map_host(&mut self, index: usize, mapping: &Mapping) -> Result<Vec<FenceOwed>> {
        let Host { name, table, owner } = &mut self.hosts[index];
        self.ledger.writer = *owner;
        let mut owed = Vec::new();
        for (from, to) in mapping.each(self.format) {
            let from = Gpa(from);
            let changed = match (to, &mut self.frames) {
                (Some(to), Some(frames)) => {
                    table.map(&mut self.ledger, frames, from, Hpa(to), mapping.rights)
                }
                _ => table.unmap(&mut self.ledger, from),
            };
            let changed = changed.map_err(|error| host_problem(&mapping.span, name, &error))?;
            self.ledger.check(&mapping.span)?;
            owed.push(changed);
        }
        Ok(owed)
    }

    /// Maps or unmaps in a guest table. Returns the fence obligations, page by page.
    pub(super) fn map_guest(&mut self, index: usize, mapping: &Mapping) -> Result<Vec<FenceOwed>> {
        let Guest {
            name,
            host,
            table,
            owner,
        } = &mut self.guests[index];
        self.ledger.writer = *owner;
        let host = guest_memory(&mut self.hosts, host);
        let mut owed = Vec::new();
        for (from, to) in mapping.each(self.format) {
            let from = Gva(from);
            let changed = match to {
                Some(to) => table.map(&mut self.ledger, host, from, Gpa(to), mapping.rights),
                None => table.unmap(&mut self.ledger, host, from),
            };
            let changed = changed.map_err(|error| guest_problem(&mapping.span, name, &error))?;
            self.ledger.check(&mapping.span)?;
            owed.push(changed);
        }
        Ok(owed)
    }

    /// A word is written, or made a hole, by itself.
    pub(super) fn write(&mut self, at: Hpa, word: Option<u64>, line: usize) {
        match word {
            Some(word) => {
                self.ledger.memory.write(at, word);
                if self.ledger.owner(at).is_none() {
                    let owner = self.ledger.add_name(format!("the `write` of line {line}"));
                    self.ledger.owners.insert(at.0, owner);
                }
            }
            None => self.ledger.memory.remove(at),
        }
    }

    /// Tables of the format that are given as mappings.
    pub(super) fn count(&self) -> usize {
        self.hosts.len() + self.guests.len() + self.riscv.count()
    }

    /// The words that tables have been changed by since the last time.
    pub(super) fn take_written(&mut self) -> Vec<(Hpa, u64)> {
        std::mem::take(&mut self.ledger.written)
    }

    /// Returns the memory at the start, and leaves it empty here.
    pub(super) fn take_memory(&mut self) -> HostMemory {
        self.ledger.written.clear();
        self.ledger.memory.clone()
    }

    pub(super) fn host(&self, index: usize) -> &HostTable {
        &self.hosts[index].table
    }

    pub(super) fn guest(&self, index: usize) -> &GuestTable {
        &self.guests[index].table
    }

    /// The host table base register of the host that a guest table lives in the memory of.
    pub(super) fn root_of_guests_host(&self, guest: usize) -> Hpa {
        match self.guests[guest].host {
            GuestsHost::Table(index) => self.host(index).root(),
            GuestsHost::Root(host) => host.root,
        }
    }

    /// Returns true if a guest table that is given as mappings has this root.
    pub(super) fn knows_guest(&self, host_root: Hpa, guest_root: Gpa) -> bool {
        (0..self.guests.len()).any(|guest| {
            self.guest(guest).root() == guest_root && self.root_of_guests_host(guest) == host_root
        })
    }

    pub(super) fn host_index(&self, field: &Field<'_>, name: &str) -> Result<usize> {
        index_of(
            field,
            "host table",
            name,
            self.hosts.iter().map(|host| host.name),
        )
    }

    pub(super) fn guest_index(&self, field: &Field<'_>, name: &str) -> Result<usize> {
        index_of(
            field,
            "guest table",
            name,
            self.guests.iter().map(|guest| guest.name),
        )
    }
}

pub(super) fn index_of<'n>(
    field: &Field<'_>,
    kind: &str,
    name: &str,
    names: impl Iterator<Item = &'n str> + Clone,
) -> Result<usize> {
    (names.clone().position(|known| known == name))
        .ok_or_else(|| field.unknown(kind, name, &names.collect::<Vec<_>>()))
}

fn guest_memory<'b>(
    hosts: &'b mut [Host<'_>],
    host: &'b mut GuestsHost,
) -> &'b mut dyn GuestMemory {
    match host {
        GuestsHost::Table(index) => &mut hosts[*index].table,
        GuestsHost::Root(root) => root,
    }
}

pub(super) fn host_problem(place: &Span, name: &str, error: &TableError) -> Box<Problem> {
    table_problem(place, &format!("host table `{name}`"), error)
}

pub(super) fn guest_problem(place: &Span, name: &str, error: &TableError) -> Box<Problem> {
    let problem = table_problem(place, &format!("guest table `{name}`"), error);
    match error {
        TableError::NoGuestRoom { .. } => problem.help(
            "a guest table goes into pages that the host maps readable, and that no guest maps anything to: map one \
             more, or give the gPA where the tables start: tables = ...",
        ),
        TableError::GuestTableUnmapped { .. } => {
            problem.help("map that page in the host table, or give another gPA: tables = ...")
        }
        _ => problem,
    }
}

fn table_problem(place: &Span, table: &str, error: &TableError) -> Box<Problem> {
    match error {
        TableError::Occupied(occupied) => Problem::at(
            place,
            format!("overlapping: a word of {table} is at the address of another word: {occupied}"),
        ),
        TableError::NoFrame { .. } => Problem::at(place, format!("{table}: {error}"))
            .help("more room: `bytes` of `tables` in [memory]"),
        _ => Problem::at(place, format!("{table}: {error}")),
    }
}
