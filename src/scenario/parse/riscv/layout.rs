// SPDX-License-Identifier: Apache-2.0
//! Tables of RISC-V that a file gives as mappings.

use std::collections::BTreeMap;

use super::super::error::{Problem, Result, Span};
use super::super::head::unique_name;
use super::super::layout::{Kind, Layout, guest_problem, host_problem, rights};
use super::super::limits::{MOST_PAGES, Spent};
use super::super::reader::{Field, Table};
use super::{levels, memory_type, page_size};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::{Format, fits};
use crate::mmu::{Context, MemoryType, Stage};
use crate::tables::riscv::{GuestTable, HostTable, NoHost, Page};
use crate::tables::{FenceObligation, GuestMemory, GuestRoom, TableError};

/// The largest number of pages for the tables of a guest without a given address.
const MOST_TABLE_PAGES: usize = 4096;

/// The number of tables that operations may add to a guest outside virtual machines.
const SPARE_TABLES: usize = 4;

/// The pages of one item of a `map` list, or of an operation.
pub(in super::super) struct Mapping {
    from: u64,
    /// The first address mapped to; none if the pages are unmapped.
    to: Option<u64>,
    pub(in super::super) pages: u64,
    page: Page,
    pub(in super::super) span: Span,
}

impl Mapping {
    /// Reads all keys of a mapping except the key of its table. For `unmap`, reads only the keys of
    /// the pages.
    pub(in super::super) fn read(
        table: &Table<'_>,
        kind: Kind,
        map: bool,
        format: Format,
    ) -> Result<Self> {
        let geometry = format.geometry();
        // Page numbers of leaves have the same width in both stages.
        let to_width = geometry.hpa_width;
        let (from_kind, from_width, to_kind, mut page) = match kind {
            Kind::Host => ("gPA", geometry.gpa_width, "hPA", Page::of_host()),
            Kind::Guest => ("gVA", geometry.gva_width, "gPA", Page::of_guest()),
        };
        if let Some(size) = table.get("size") {
            page.size = page_size(&size, format)?;
        }
        let bytes = 1 << page.size;
        let address = |field: &Field<'_>, kind, width| {
            let address = field.address(kind, width)?;
            field.aligned(kind, address, bytes, "pages of this size")
        };
        let from_field = table.require("from", &format!("the {from_kind} of the first page"))?;
        let from = address(&from_field, from_kind, from_width)?;
        let pages = match table.get("pages") {
            Some(field) => field.number(1, MOST_PAGES)?,
            None => 1,
        };
        let must_fit = |field: &Field<'_>, kind, start: u64, width| {
            let last = (pages - 1)
                .checked_mul(bytes)
                .and_then(|more| more.checked_add(start));
            match last {
                Some(last) if fits(last, width) => Ok(()),
                _ => Err(field.wrong(
                    format!("{pages} pages from {kind} 0x{start:X} on exceed the last page"),
                    format!("such an address has {width} bits"),
                )),
            }
        };
        must_fit(&from_field, from_kind, from, from_width)?;
        let mut mapping = Self {
            from,
            to: None,
            pages,
            page,
            span: from_field.span,
        };
        if map {
            let to = table.require("to", &format!("the {to_kind} that `from` is mapped to"))?;
            let start = address(&to, to_kind, to_width)?;
            must_fit(&to, to_kind, start, to_width)?;
            mapping.to = Some(start);
            mapping.read_page(table, format)?;
        }
        Ok(mapping)
    }

    fn read_page(&mut self, table: &Table<'_>, format: Format) -> Result<()> {
        if let Some(field) = table.get("rights") {
            self.page.rights = rights(&field)?;
        }
        if let Some(field) = table.get("pbmt") {
            self.page.memory_type = memory_type(&field)?;
            if format == Format::Rv32 && self.page.memory_type != MemoryType::Pma {
                return Err(field.wrong(
                    "a memory type, but the format is rv32",
                    "an entry of RV32 has no PBMT: Svpbmt belongs to RV64",
                ));
            }
        }
        let page = &mut self.page;
        for (key, bit) in [
            ("u", &mut page.user),
            ("g", &mut page.global),
            ("a", &mut page.accessed),
            ("d", &mut page.dirty),
        ] {
            if let Some(field) = table.get(key) {
                *bit = field.boolean()?;
            }
        }
        Ok(())
    }

    /// Reads a list of items. No page may occur twice.
    fn read_list(table: &Table<'_>, kind: Kind, format: Format) -> Result<Vec<Self>> {
        let Some(field) = table.get("map") else {
            return Ok(Vec::new());
        };
        let mut list = Vec::new();
        let mut seen: BTreeMap<u64, Span> = BTreeMap::new();
        let mut spent = Spent::default();
        for item in field.array("a list of { from = ..., to = ... }")? {
            if !item.is_table() {
                return Err(item.wrong_kind("{ from = ..., to = ... }"));
            }
            let item = item.table("a mapping")?;
            item.only(&[
                "from", "to", "size", "pages", "rights", "u", "g", "a", "d", "pbmt",
            ])?;
            let mapping = Self::read(&item, kind, true, format)?;
            spent.pages(mapping.pages, &mapping.span)?;
            for (from, _) in mapping.each() {
                if let Some(first) = seen.insert(from, mapping.span.clone()) {
                    let message = format!("page 0x{from:X} is mapped twice in one list");
                    return Err(Problem::at(&mapping.span, message)
                        .label("here")
                        .also(&first, "and here"));
                }
            }
            list.push(mapping);
        }
        Ok(list)
    }

    /// Returns the source and the target of each page.
    fn each(&self) -> impl Iterator<Item = (u64, Option<u64>)> + use<> {
        let (from, to, size) = (self.from, self.to, self.page.size);
        (0..self.pages).map(move |i| (from + (i << size), to.map(|to| to + (i << size))))
    }

    /// Returns the addresses mapped to.
    fn target(&self) -> Option<std::ops::Range<u64>> {
        let to = self.to?;
        Some(to..to + (self.pages << self.page.size))
    }
}

struct Host<'a> {
    name: &'a str,
    table: HostTable,
    owner: usize,
}

struct Guest<'a> {
    name: &'a str,
    /// Index of the host whose memory contains it; none outside virtual machines.
    host: Option<usize>,
    table: GuestTable,
    owner: usize,
}

/// All tables that are given as mappings.
#[derive(Default)]
pub(in super::super) struct Tables<'a> {
    hosts: Vec<Host<'a>>,
    guests: Vec<Guest<'a>>,
}

impl Tables<'_> {
    /// Returns the number of tables.
    pub(in super::super) fn count(&self) -> usize {
        self.hosts.len() + self.guests.len()
    }
}

/// A `[[guest]]` that has been read, but not laid out yet.
struct GuestPlan<'a> {
    index: usize,
    name: &'a str,
    levels: u8,
    place: Span,
    host: Option<usize>,
    tables: Option<Gpa>,
    mappings: Vec<Mapping>,
}

fn table_levels(table: &Table<'_>, format: Format, stage: Stage) -> Result<u8> {
    let example = match (stage, format) {
        (Stage::Guest, Format::Rv32) => "\"sv32\"",
        (Stage::Guest, _) => "\"sv39\", \"sv48\" or \"sv57\"",
        (Stage::Host, Format::Rv32) => "\"sv32x4\"",
        (Stage::Host, _) => "\"sv39x4\", \"sv48x4\" or \"sv57x4\"",
    };
    let field = table.require("mode", &format!("the mode of the table: {example}"))?;
    match levels(&field, format, stage)? {
        0 => Err(field.wrong("a table of mode `bare`, which has no tables", example)),
        levels => Ok(levels),
    }
}

impl<'a> Layout<'a> {
    /// Lays out the tables of `[[host]]`.
    pub(in super::super) fn lay_riscv_hosts(&mut self, file: &Table<'a>) -> Result<()> {
        let mut names = Vec::new();
        for table in file.tables("host", "[[host]]")? {
            table.only(&["name", "mode", "map"])?;
            let name = unique_name(&table, "host table", &mut names)?;
            let levels = table_levels(&table, self.format, Stage::Host)?;
            let mappings = Mapping::read_list(&table, Kind::Host, self.format)?;
            let Some((_, place)) = names.last() else {
                continue;
            };
            let Some(frames) = &mut self.frames else {
                return Err(no_room(place, &format!("host table `{name}`")));
            };
            let owner = self.ledger.add_name(format!("host table `{name}`"));
            self.ledger.writer = owner;
            let table = HostTable::new(self.format, levels, &mut self.ledger, frames)
                .map_err(|error| host_problem(place, name, &error))?;
            self.riscv.hosts.push(Host { name, table, owner });
            let index = self.riscv.hosts.len() - 1;
            for mapping in &mappings {
                self.spent.pages(mapping.pages, &mapping.span)?;
                for owed in self.map_riscv(Kind::Host, index, mapping)? {
                    owed.ignore();
                }
            }
        }
        Ok(())
    }

    /// Lays out the `[[guest]]` of RISC-V: first the guests with a given address.
    pub(in super::super) fn lay_riscv_guests(&mut self, file: &Table<'a>) -> Result<()> {
        let mut names = Vec::new();
        let mut plans = Vec::new();
        for (index, table) in file.tables("guest", "[[guest]]")?.iter().enumerate() {
            table.only(&["name", "mode", "host", "tables", "map"])?;
            let name = unique_name(table, "guest table", &mut names)?;
            let plan = self.plan_riscv_guest(index, name, table)?;
            for mapping in &plan.mappings {
                self.spent.pages(mapping.pages, &mapping.span)?;
            }
            plans.push(plan);
        }
        let targets: Vec<_> = plans
            .iter()
            .flat_map(|plan| {
                plan.mappings
                    .iter()
                    .map(|mapping| (plan.host, mapping.target()))
            })
            .filter_map(|(host, target)| Some((host?, target?)))
            .collect();
        plans.sort_by_key(|plan| plan.tables.is_none());
        let mut order = Vec::new();
        for plan in plans {
            let room = match (plan.tables, plan.host) {
                (Some(start), _) => GuestRoom::from(start),
                (None, Some(host)) => self.free_riscv_pages(host, &targets),
                (None, None) => self.frames_for_tables(&plan)?,
            };
            let owner = self.ledger.add_name(format!("guest table `{}`", plan.name));
            self.ledger.writer = owner;
            let table = GuestTable::new(
                self.format,
                plan.levels,
                &mut self.ledger,
                guest_memory(&mut self.riscv.hosts, plan.host, &mut NoHost),
                room,
            )
            .map_err(|error| guest_problem(&plan.place, plan.name, &error))?;
            self.riscv.guests.push(Guest {
                name: plan.name,
                host: plan.host,
                table,
                owner,
            });
            let last = self.riscv.guests.len() - 1;
            for mapping in &plan.mappings {
                for owed in self.map_riscv(Kind::Guest, last, mapping)? {
                    owed.ignore();
                }
            }
            order.push(plan.index);
        }
        // Back to the order of the file.
        let mut sorted: Vec<_> = order.into_iter().zip(self.riscv.guests.drain(..)).collect();
        sorted.sort_by_key(|&(index, _)| index);
        self.riscv.guests = sorted.into_iter().map(|(_, guest)| guest).collect();
        Ok(())
    }

    fn plan_riscv_guest(
        &self,
        index: usize,
        name: &'a str,
        table: &Table<'a>,
    ) -> Result<GuestPlan<'a>> {
        let geometry = self.format.geometry();
        let host = match table.get("host") {
            Some(field) => {
                let name = field.string("the name of a [[host]]")?;
                Some(self.riscv_host_index(&field, name)?)
            }
            None => None,
        };
        let levels = table_levels(table, self.format, Stage::Guest)?;
        let tables = table.get("tables");
        let place = match &tables {
            Some(field) => field.span.clone(),
            None => table.require("name", "")?.span,
        };
        let tables = tables
            .map(|field| {
                let at = field.address("gPA", geometry.hpa_width)?;
                field.aligned("gPA", at, geometry.page_bytes(), "tables")
            })
            .transpose()?
            .map(Gpa);
        Ok(GuestPlan {
            index,
            name,
            levels,
            place,
            host,
            tables,
            mappings: Mapping::read_list(table, Kind::Guest, self.format)?,
        })
    }

    /// Returns 4K pages that the host maps, that no guest maps to, and that are empty.
    fn free_riscv_pages(
        &self,
        host: usize,
        targets: &[(usize, std::ops::Range<u64>)],
    ) -> GuestRoom {
        let mut targets: Vec<_> = targets
            .iter()
            .filter(|(of, _)| *of == host)
            .map(|(_, target)| target.clone())
            .collect();
        targets.sort_by_key(|target| target.start);
        // Without overlapping and touching targets, the target that may contain an address is found
        // by its start.
        targets.dedup_by(|next, one| {
            let goes_on = next.start <= one.end;
            one.end = one.end.max(if goes_on { next.end } else { 0 });
            goes_on
        });
        let geometry = self.format.geometry();
        let page = geometry.page_bytes();
        let table = &self.riscv.hosts[host].table;
        let taken = self.ledger.pages(self.format);
        let mut free = Vec::new();
        // The walk itself must be able to read and to update these pages.
        for (from, to, size, _) in table.pages().filter(|(_, _, _, r)| r.read && r.write) {
            let end = from.0 + (1 << size);
            let mut at = from.0;
            while at < end && free.len() < MOST_TABLE_PAGES {
                let next = targets.partition_point(|target| target.start <= at);
                let inside = next.checked_sub(1).and_then(|last| targets.get(last));
                if let Some(target) = inside.filter(|target| target.contains(&at)) {
                    at = target.end;
                    continue;
                }
                let frame = (to.0 + (at - from.0)) >> geometry.offset_width;
                if !taken.contains(&frame) {
                    free.push(Gpa(at));
                }
                at += page;
            }
        }
        free.into_iter().collect()
    }

    /// Lays out the tables outside virtual machines, which are in the memory for host tables.
    fn frames_for_tables(&mut self, plan: &GuestPlan<'_>) -> Result<GuestRoom> {
        let name = format!("guest table `{}`", plan.name);
        let Some(frames) = &mut self.frames else {
            return Err(no_room(&plan.place, &name));
        };
        let mut pages = Vec::new();
        let needed = tables_of(plan, self.format);
        // Operations may map more pages.
        for _ in 0..needed + SPARE_TABLES {
            match frames.take() {
                Ok(frame) => pages.push(Gpa(frame.0)),
                Err(error) if pages.len() < needed => {
                    return Err(guest_problem(&plan.place, plan.name, &error));
                }
                Err(_) => break,
            }
        }
        Ok(pages.into_iter().collect())
    }

    /// Maps or unmaps. Returns the fence obligations, page by page.
    pub(in super::super) fn map_riscv(
        &mut self,
        kind: Kind,
        index: usize,
        mapping: &Mapping,
    ) -> Result<Vec<FenceObligation>> {
        let Self {
            ledger,
            frames,
            riscv: Tables { hosts, guests },
            ..
        } = self;
        let mut owed = Vec::new();
        for (from, to) in mapping.each() {
            let changed = match kind {
                Kind::Host => {
                    let Host { name, table, owner } = &mut hosts[index];
                    ledger.writer = *owner;
                    let from = Gpa(from);
                    match (to, &mut *frames) {
                        (Some(to), Some(frames)) => {
                            table.map(ledger, frames, from, Hpa(to), &mapping.page)
                        }
                        _ => table.unmap(ledger, from),
                    }
                    .map_err(|error| host_problem(&mapping.span, name, &error))?
                }
                Kind::Guest => {
                    let Guest {
                        name,
                        host,
                        table,
                        owner,
                    } = &mut guests[index];
                    ledger.writer = *owner;
                    let mut none = NoHost;
                    let host = guest_memory(hosts, *host, &mut none);
                    let from = Gva(from);
                    match to {
                        Some(to) => table.map(ledger, host, from, Gpa(to), &mapping.page),
                        None => table.unmap(ledger, host, from),
                    }
                    .map_err(|error: TableError| guest_problem(&mapping.span, name, &error))?
                }
            };
            ledger.check(&mapping.span)?;
            owed.push(changed);
        }
        Ok(owed)
    }

    pub(in super::super) fn riscv_host(&self, index: usize) -> &HostTable {
        &self.riscv.hosts[index].table
    }

    pub(in super::super) fn riscv_guest(&self, index: usize) -> &GuestTable {
        &self.riscv.guests[index].table
    }

    /// Returns the host table of a guest table; none outside virtual machines.
    pub(in super::super) fn riscv_host_of(&self, guest: usize) -> Option<&HostTable> {
        let host = self.riscv.guests[guest].host?;
        Some(self.riscv_host(host))
    }

    pub(in super::super) fn riscv_host_index(
        &self,
        field: &Field<'_>,
        name: &str,
    ) -> Result<usize> {
        let names = self.riscv.hosts.iter().map(|host| host.name);
        super::super::layout::index_of(field, "host table", name, names)
    }

    pub(in super::super) fn riscv_guest_index(
        &self,
        field: &Field<'_>,
        name: &str,
    ) -> Result<usize> {
        let names = self.riscv.guests.iter().map(|guest| guest.name);
        super::super::layout::index_of(field, "guest table", name, names)
    }

    /// Returns true if a context translates through a host table.
    pub(in super::super) fn uses_riscv_host(&self, context: &Context, host: usize) -> bool {
        let table = self.riscv_host(host);
        context.virt && (context.host.levels, context.host.root) == (table.levels(), table.root())
    }

    /// Returns true if a context translates through a guest table.
    pub(in super::super) fn uses_riscv_guest(&self, context: &Context, guest: usize) -> bool {
        let table = self.riscv_guest(guest);
        let in_host = match self.riscv.guests[guest].host {
            Some(host) => self.uses_riscv_host(context, host),
            None => context.host.levels == 0,
        };
        in_host && (context.guest.levels, context.guest.root) == (table.levels(), table.root())
    }

    /// Returns true if the guest table of a context is not one that is given as mappings.
    pub(in super::super) fn is_unknown_riscv_guest(&self, context: &Context) -> bool {
        context.guest.levels > 0
            && !(0..self.riscv.guests.len()).any(|guest| self.uses_riscv_guest(context, guest))
    }
}

/// Returns the number of tables that the mappings of a guest need.
fn tables_of(plan: &GuestPlan<'_>, format: Format) -> usize {
    let geometry = format.geometry();
    let mut tables = std::collections::BTreeSet::new();
    for mapping in &plan.mappings {
        let leaf = crate::tables::riscv::level_of_size(format, mapping.page.size).unwrap_or(0);
        for (from, _) in mapping.each() {
            for level in leaf..u32::from(plan.levels) - 1 {
                let shift = geometry.offset_width + (level + 1) * geometry.index_width;
                tables.insert((level, from >> shift));
            }
        }
    }
    tables.len() + 1
}

fn no_room(place: &Span, table: &str) -> Box<Problem> {
    Problem::at(place, format!("no room for {table}"))
        .help("give their area: in [memory], tables = { from = 0x8000_0000, bytes = 0x10_0000 }")
}

fn guest_memory<'b>(
    hosts: &'b mut [Host<'_>],
    host: Option<usize>,
    none: &'b mut NoHost,
) -> &'b mut dyn GuestMemory {
    match host {
        Some(index) => &mut hosts[index].table,
        None => none,
    }
}
