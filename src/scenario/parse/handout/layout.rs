// SPDX-License-Identifier: Apache-2.0
//! Tables of the handout's formats that a file gives as mappings.

use std::collections::BTreeMap;

use super::super::error::{Problem, Result, Span};
use super::super::head::unique_name;
use super::super::layout::{Kind, Layout, guest_problem, host_problem, index_of, rights};
use super::super::limits::Spent;
use super::super::reader::{Field, Table, end_of};
use crate::addr::{Gpa, Gva, Hpa};
use crate::format::Format;
use crate::mmu::Rights;
use crate::tables::handout::{GuestTable, HostRoot, HostTable};
use crate::tables::{FenceObligation, GuestMemory, GuestRoom};

/// The pages of one item of a `map` list, or of an operation.
pub(in super::super) struct Mapping {
    pub(in super::super) from: u64,
    /// The first address mapped to; none if the pages are unmapped.
    pub(in super::super) to: Option<u64>,
    pub(in super::super) pages: u64,
    pub(in super::super) rights: Rights,
    pub(in super::super) span: Span,
}

impl Mapping {
    /// Reads the keys `from`, `to` (not for `unmap`), `pages` and `rights`.
    pub(in super::super) fn read(
        table: &Table<'_>,
        kind: Kind,
        map: bool,
        format: Format,
    ) -> Result<Self> {
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

    /// Reads a list of items. No page may occur twice.
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

    /// Returns the source and the target of each page.
    fn each(&self, format: Format) -> impl Iterator<Item = (u64, Option<u64>)> {
        let page = format.geometry().page_bytes();
        let (from, to) = (self.from, self.to);
        (0..self.pages).map(move |i| (from + i * page, to.map(|to| to + i * page)))
    }
}

/// The host and guest tables that are given as mappings.
#[derive(Default)]
pub(in super::super) struct Tables<'a> {
    hosts: Vec<Host<'a>>,
    guests: Vec<Guest<'a>>,
}

impl Tables<'_> {
    pub(in super::super) fn count(&self) -> usize {
        self.hosts.len() + self.guests.len()
    }
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

/// A `[[guest]]` that has been read, but not laid out yet.
struct GuestPlan<'a> {
    index: usize,
    name: &'a str,
    place: Span,
    host: GuestsHost,
    tables: Option<Gpa>,
    mappings: Vec<Mapping>,
}

impl<'a> Layout<'a> {
    /// Lays out the tables of `[[host]]`.
    pub(in super::super) fn lay_handout_hosts(&mut self, file: &Table<'a>) -> Result<()> {
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
            self.handout.hosts.push(Host { name, table, owner });
            let index = self.handout.hosts.len() - 1;
            for mapping in &mappings {
                self.spent.pages(mapping.pages, &mapping.span)?;
                for owed in self.map_handout_host(index, mapping)? {
                    owed.ignore();
                }
            }
        }
        Ok(())
    }

    /// Lays out `[[guest]]`: first the guests with a given address.
    pub(in super::super) fn lay_handout_guests(&mut self, file: &Table<'a>) -> Result<()> {
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
                guest_memory(&mut self.handout.hosts, &mut plan.host.clone()),
                room,
            )
            .map_err(|error| guest_problem(&plan.place, plan.name, &error))?;
            self.handout.guests.push(Guest {
                name: plan.name,
                host: plan.host,
                table,
                owner,
            });
            let last = self.handout.guests.len() - 1;
            for mapping in &plan.mappings {
                for owed in self.map_handout_guest(last, mapping)? {
                    owed.ignore();
                }
            }
            guests.push(plan.index);
        }
        // Back to the order of the file.
        let mut sorted: Vec<_> = guests
            .into_iter()
            .zip(self.handout.guests.drain(..))
            .collect();
        sorted.sort_by_key(|&(index, _)| index);
        self.handout.guests = sorted.into_iter().map(|(_, guest)| guest).collect();
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
            GuestsHost::Table(self.handout_host_index(&host, host.string(what)?)?)
        };
        let mappings = Mapping::read_list(table, Kind::Guest, self.format)?;
        let tables = match (table.get("tables"), host) {
            (Some(field), _) => Some(field),
            (None, GuestsHost::Table(_)) => None,
            // If only the root of a host table is given, its free pages are not known.
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

    /// Returns pages that the host maps, to which no guest maps, and that contain no guest table.
    fn free_pages(&self, host: GuestsHost, targets: &[(GuestsHost, Gpa)]) -> GuestRoom {
        let GuestsHost::Table(index) = host else {
            return GuestRoom::from_iter([]);
        };
        let table = &self.handout.hosts[index].table;
        let mut targets: Vec<Gpa> = targets
            .iter()
            .filter(|&&(of, _)| of == host)
            .map(|&(_, page)| page)
            .collect();
        targets.sort_unstable();
        let taken = self.ledger.pages(self.format);
        let mut pages: Vec<(bool, Gpa)> = table
            .pages()
            // The walk itself must be able to read these pages.
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
    pub(in super::super) fn map_handout_host(
        &mut self,
        index: usize,
        mapping: &Mapping,
    ) -> Result<Vec<FenceObligation>> {
        let Host { name, table, owner } = &mut self.handout.hosts[index];
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
    pub(in super::super) fn map_handout_guest(
        &mut self,
        index: usize,
        mapping: &Mapping,
    ) -> Result<Vec<FenceObligation>> {
        let Guest {
            name,
            host,
            table,
            owner,
        } = &mut self.handout.guests[index];
        self.ledger.writer = *owner;
        let host = guest_memory(&mut self.handout.hosts, host);
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

    pub(in super::super) fn handout_host(&self, index: usize) -> &HostTable {
        &self.handout.hosts[index].table
    }

    pub(in super::super) fn handout_guest(&self, index: usize) -> &GuestTable {
        &self.handout.guests[index].table
    }

    /// Returns the host table base register of the host whose memory contains a guest table.
    pub(in super::super) fn root_of_handout_host(&self, guest: usize) -> Hpa {
        match self.handout.guests[guest].host {
            GuestsHost::Table(index) => self.handout_host(index).root(),
            GuestsHost::Root(host) => host.root,
        }
    }

    /// Returns true if a guest table that is given as mappings has this root.
    pub(in super::super) fn knows_handout_guest(&self, host_root: Hpa, guest_root: Gpa) -> bool {
        (0..self.handout.guests.len()).any(|guest| {
            self.handout_guest(guest).root() == guest_root
                && self.root_of_handout_host(guest) == host_root
        })
    }

    pub(in super::super) fn handout_host_index(
        &self,
        field: &Field<'_>,
        name: &str,
    ) -> Result<usize> {
        index_of(
            field,
            "host table",
            name,
            self.handout.hosts.iter().map(|host| host.name),
        )
    }

    pub(in super::super) fn handout_guest_index(
        &self,
        field: &Field<'_>,
        name: &str,
    ) -> Result<usize> {
        index_of(
            field,
            "guest table",
            name,
            self.handout.guests.iter().map(|guest| guest.name),
        )
    }
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
