// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::memory::HostMemory;

fn walk(
    format: Format,
    memory: &HostMemory,
    context: Context,
    gva: Gva,
) -> Result<(Gpa, Hpa), crate::mmu::Fault> {
    let query = Query {
        context,
        gva,
        access: Access::Load,
    };
    walk::walk(format, &query, &mut walk::Overlay::new(memory), &mut ()).map(|m| (m.gpa, m.hpa))
}

struct Vm {
    format: Format,
    memory: HostMemory,
    frames: TableFrames,
    host: HostTable,
}

impl Vm {
    fn new(format: Format, pages: &[(u64, u64)]) -> Self {
        let mut memory = HostMemory::new(format);
        let mut frames = TableFrames::new(format, Hpa(0), 0x10000).unwrap();
        let host = HostTable::new(format, &mut memory, &mut frames).unwrap();
        let mut vm = Self {
            format,
            memory,
            frames,
            host,
        };
        for &(from, to) in pages {
            vm.map(from, to).unwrap().ignore();
        }
        vm
    }

    fn map(&mut self, from: u64, to: u64) -> Result<FenceObligation, TableError> {
        self.host.map(
            &mut self.memory,
            &mut self.frames,
            Gpa(from),
            Hpa(to),
            Rights::ALL,
        )
    }

    fn guest(&mut self, room: GuestRoom) -> Result<GuestTable, TableError> {
        GuestTable::new(self.format, &mut self.memory, &mut self.host, room)
    }

    fn context(&self, guest: Option<&GuestTable>, rights: bool) -> Context {
        Context {
            rights,
            ..Context::handout(guest.map(GuestTable::root), self.host.root())
        }
    }
}

#[test]
fn every_page_of_either_format_is_found_where_it_was_mapped() {
    for format in Format::HANDOUT_KIND {
        let page = format.geometry().page_bytes();
        // Each page of the first table goes to the one at the opposite end.
        let count = 8;
        let pages: Vec<_> = (0..count).map(|i| (i * page, (15 - i) * page)).collect();
        let vm = Vm::new(format, &pages);
        for &(from, to) in &pages {
            let found = walk(format, &vm.memory, vm.context(None, true), Gva(from + 12));
            assert_eq!(found, Ok((Gpa(from + 12), Hpa(to + 12))));
        }
        assert_eq!(vm.host.pages().count(), count as usize);
    }
}

#[test]
fn what_is_not_mapped_is_invalid_in_rights_mode_and_page_0_without_and_never_a_hole() {
    for format in Format::HANDOUT_KIND {
        let page = format.geometry().page_bytes();
        let vm = Vm::new(format, &[(0, page)]);
        // Below a pointer with a table of its own, and below one without.
        let last = (1 << format.geometry().gpa_width) - page;
        for gva in [page, last] {
            let fault = walk(format, &vm.memory, vm.context(None, true), Gva(gva)).unwrap_err();
            assert_eq!(fault.kind, crate::mmu::FaultKind::Invalid);
            let found = walk(format, &vm.memory, vm.context(None, false), Gva(gva + 8));
            assert_eq!(found, Ok((Gpa(gva + 8), Hpa(8))));
        }
    }
}

#[test]
fn each_word_of_a_guest_table_is_put_where_its_own_gpa_is_mapped() {
    let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000), (0xC0000, 0x90000)]);
    let mut guest = vm.guest(GuestRoom::from(Gpa(0xBFFF8))).unwrap();
    assert_eq!(guest.root(), Gpa(0xBFFF8));
    // The root's entries 0 and 1, then 2 and 3.
    for at in [0x2FFF8, 0x2FFFC, 0x90000, 0x90004] {
        assert_eq!(vm.memory.read(Hpa(at)), Ok(0xC0008), "{at:05X}");
    }
    guest
        .map(
            &mut vm.memory,
            &mut vm.host,
            Gva(0x80000),
            Gpa(0xB0000),
            Rights::ALL,
        )
        .unwrap()
        .ignore();
    assert_eq!(vm.memory.read(Hpa(0x90000)), Ok(0xC0018));
    let found = walk(
        vm.format,
        &vm.memory,
        vm.context(Some(&guest), true),
        Gva(0x81234),
    );
    assert_eq!(found, Ok((Gpa(0xB1234), Hpa(0x21234))));
}

#[test]
fn a_page_with_a_guest_table_in_it_takes_the_table_along_and_owes_more_than_its_own_fence() {
    let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000), (0xC0000, 0x90000)]);
    let mut guest = vm.guest(GuestRoom::from(Gpa(0xB0000))).unwrap();
    guest
        .map(
            &mut vm.memory,
            &mut vm.host,
            Gva(0x40000),
            Gpa(0xC0000),
            Rights::ALL,
        )
        .unwrap()
        .ignore();
    assert_eq!(
        vm.map(0xC0000, 0x50000).unwrap().fence().gpa,
        Some(Gpa(0xC0000))
    );
    assert_eq!(
        vm.map(0xB0000, 0x70000).unwrap().of_vmid(3).fence(),
        Fence {
            vmid: Some(3),
            ..Fence::default()
        }
    );
    let found = walk(
        vm.format,
        &vm.memory,
        vm.context(Some(&guest), true),
        Gva(0x40004),
    );
    assert_eq!(found, Ok((Gpa(0xC0004), Hpa(0x50004))));
}

#[test]
fn an_unmapped_page_is_invalid_and_cannot_be_unmapped_again() {
    let mut vm = Vm::new(Format::Classic32, &[(0x5000, 0x9000)]);
    let owed = vm.host.unmap(&mut vm.memory, Gpa(0x5000)).unwrap();
    assert_eq!(owed.fence().gpa, Some(Gpa(0x5000)));
    assert_eq!(vm.host.mapped(Gpa(0x5000)), None);
    walk(vm.format, &vm.memory, vm.context(None, true), Gva(0x5000)).unwrap_err();
    assert_eq!(
        vm.host.unmap(&mut vm.memory, Gpa(0x5000)),
        Err(TableError::NotMapped {
            page: Address::Gpa(Gpa(0x5000))
        })
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000)]);
    let mut errors = vec![
        vm.map(0xB0004, 0x20000).unwrap_err().to_string(),
        vm.map(0xB0000, 0x100000).unwrap_err().to_string(),
        vm.guest(GuestRoom::from(Gpa(0xB0002)))
            .unwrap_err()
            .to_string(),
        vm.guest(GuestRoom::from(Gpa(0xBFFF8)))
            .unwrap_err()
            .to_string(),
        vm.guest(GuestRoom::from_iter([])).unwrap_err().to_string(),
    ];
    vm.frames = TableFrames::new(Format::Handout, Hpa(0x100), 20).unwrap();
    vm.map(0x00000, 0x10000).unwrap().ignore();
    assert_eq!(vm.frames.free(), 0);
    errors.push(vm.map(0x40000, 0x10000).unwrap_err().to_string());
    assert_eq!(
        errors,
        [
            "gPA 0xB0004 is not a multiple of 0x10000",
            "0x10000 bytes at hPA 0x100000 do not fit into 20 bits of address",
            "gPA 0xB0002 is not a multiple of 0x4",
            "the host does not map gPA 0xC0000, the address of a word of a guest table",
            "no room for another guest table of 16 bytes",
            "no room for another host table of 16 bytes in the 0x14 bytes at hPA 0x00100",
        ]
    );
}

#[test]
fn guest_room_of_pages_fills_one_after_the_other_with_whole_tables() {
    let mut room = GuestRoom::from_iter([Gpa(0x8000), Gpa(0x3000)]);
    let taken: Vec<_> = (0..3).map(|_| room.take(Format::Classic32)).collect();
    assert_eq!(taken[0], Ok(0x8000));
    assert_eq!(taken[1], Ok(0x3000));
    assert_eq!(taken[2], Err(TableError::NoGuestRoom { table: 4096 }));
}

#[test]
fn a_host_table_known_by_its_root_is_followed_to_place_a_guest_table() {
    let mut vm = Vm::new(Format::Handout, &[(0xB0000, 0x20000)]);
    let mut host = HostRoot {
        format: vm.format,
        root: vm.host.root(),
    };
    let room = GuestRoom::from(Gpa(0xB29A0));
    GuestTable::new(vm.format, &mut vm.memory, &mut host, room).unwrap();
    assert_eq!(vm.memory.read(Hpa(0x229A0)), Ok(0xB29B0));
}
