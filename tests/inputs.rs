// SPDX-License-Identifier: Apache-2.0
//! Every input is used or refused: each bit of a register's image, operands of fences and contexts
//! wider than the machine's, unsupported extensions, and regions of memory in which walks are
//! restricted.

use nestwalk::addr::Hpa;
use nestwalk::format::riscv::Xlen;
use nestwalk::format::riscv::registers::{self, FIELDS, FieldRule, Register, Role};
use nestwalk::memory::Region;
use nestwalk::mmu::{Context, Fence};
use nestwalk::scenario::parse::{ParseError, parse};
use nestwalk::scenario::{Op, Scenario, write};

/// Returns a scenario with one context, given by registers, and the given lines.
fn by_registers(xlen: Xlen, images: &[(Register, u64)], lines: &str) -> String {
    let images: Vec<String> = images
        .iter()
        .map(|(register, image)| format!("{register} = 0x{image:X}"))
        .collect();
    format!(
        "title = \"t\"\n[machine]\nformat = \"{}\"\n[[context]]\nname = \"k\"\n{lines}\ncsrs = {{ {} }}\n[[op]]\nwait = 1\n",
        xlen.format(),
        images.join(", ")
    )
}

fn context_of(xlen: Xlen, images: &[(Register, u64)], lines: &str) -> Result<Context, ParseError> {
    parse(&by_registers(xlen, images, lines), "x.toml").map(|read| read.contexts[0].context)
}

/// Registers under which each bit that is used affects some access: lines of the context, and
/// images.
fn bases(xlen: Xlen) -> Vec<(&'static str, Vec<(Register, u64)>)> {
    use Register::{Henvcfg, Hgatp, Hstatus, Menvcfg, Mstatus, Satp, Vsatp, Vsstatus};
    let (root, host_root) = match xlen {
        Xlen::X32 => (0x8048_0000, 0x8048_8000),
        Xlen::X64 => (0x8000_1000_0008_0000, 0x8000_1000_0008_8000),
    };
    let (all, adue) = match xlen {
        Xlen::X32 => (0x2000_0000_0000_0000, 0x2000_0000_0000_0000),
        Xlen::X64 => (0x6000_0000_0000_0000, 0x2000_0000_0000_0000),
    };
    let images = |mstatus, hstatus, menvcfg, henvcfg| {
        vec![
            (Satp, root),
            (Vsatp, root),
            (Hgatp, host_root),
            (Mstatus, mstatus),
            (Vsstatus, 0),
            (Hstatus, hstatus),
            (Menvcfg, menvcfg),
            (Henvcfg, henvcfg),
        ]
    };
    vec![
        ("v = true", images(0, 0, all, 0)),
        ("v = true\naccess = \"fetch\"", images(0, 0, 0, 0)),
        ("v = false", images(0, 0, adue, 0)),
        ("v = false\npriv = \"m\"", images(0x2_0800, 0, 0, 0)),
        ("access = \"hlv\"\npriv = \"u\"", images(0, 0x200, all, all)),
    ]
}

/// Returns the same images with one bit of a register inverted.
fn flipped(images: &[(Register, u64)], of: Register, bit: u32) -> Vec<(Register, u64)> {
    let flip = |&(register, image): &(Register, u64)| match register == of {
        true => (register, image ^ 1 << bit),
        false => (register, image),
    };
    images.iter().map(flip).collect()
}

fn each_field(xlen: Xlen) -> impl Iterator<Item = (Register, &'static FieldRule)> {
    Register::ALL.into_iter().flat_map(move |register| {
        let fields = FIELDS
            .iter()
            .filter(move |field| field.is_of(register, xlen));
        fields.map(move |field| (register, field))
    })
}

#[test]
fn each_bit_that_is_used_changes_a_translation_and_each_that_is_ignored_changes_none() {
    for xlen in [Xlen::X32, Xlen::X64] {
        for (register, field) in each_field(xlen) {
            for bit in field.low..=field.high {
                let changes = bases(xlen).iter().any(|(lines, images)| {
                    let before = context_of(xlen, images, lines).unwrap_or_else(|e| panic!("{e}"));
                    context_of(xlen, &flipped(images, register, bit), lines).ok() != Some(before)
                });
                let place = format!("{register}.{} bit {bit} of RV{}", field.name, xlen.bits());
                match field.role {
                    Role::Used(_) => assert!(changes, "{place}: used, and nothing changes"),
                    Role::Irrelevant(_) => assert!(!changes, "{place}: ignored, and it matters"),
                    Role::Only { .. } => {}
                }
            }
        }
    }
}

#[test]
fn each_value_that_is_not_modelled_is_refused_at_its_image_with_its_name_and_the_legal_values() {
    let mut refused = 0;
    for xlen in [Xlen::X32, Xlen::X64] {
        for (register, field) in each_field(xlen) {
            let Role::Only { values, reason } = field.role else {
                continue;
            };
            let width = field.high - field.low + 1;
            let all = u64::MAX >> (64 - width);
            for value in (0..width).map(|bit| 1 << bit).chain([all]) {
                if values.contains(&value) {
                    continue;
                }
                let image = value << field.low;
                let text = by_registers(xlen, &[(register, image)], "");
                let error = parse(&text, "x.toml").map(|_| image).unwrap_err();
                assert_eq!(&text[error.span()], format!("0x{image:X}"));
                let message = error.message();
                for word in [
                    register.name(),
                    reason,
                    &format!("is {value}, which"),
                    field.clause,
                ] {
                    assert!(message.contains(word), "{word:?}: {message}");
                }
                let label = error.label();
                assert!(label.contains(&field.bits()), "{label}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_register_whose_fields_are_elsewhere_is_told_where() {
    for (register, words) in [
        ("sstatus", "a part of mstatus"),
        ("mstatush", "63:32 of mstatus"),
        ("menvcfgh", "63:32 of menvcfg"),
        ("henvcfgh", "63:32 of henvcfg"),
        ("senvcfg", "PMM, SSE and UKTE are not modelled"),
        ("mseccfg", "unknown key `mseccfg`"),
    ] {
        let context = format!("csrs = {{ {register} = 0 }}");
        refused(&riscv("rv32", &context, "load = 0"), &[register, words]);
    }
}

#[test]
fn an_image_is_no_wider_than_its_register() {
    for register in Register::ALL {
        let width = register.width(Xlen::X32);
        if width == 32 {
            let error = context_of(Xlen::X32, &[(register, 1 << 32)], "").unwrap_err();
            assert!(error.message().contains("out of range"), "{error}");
        }
    }
}

#[test]
fn a_bare_root_register_with_other_fields_is_refused_for_what_it_does_is_unspecified() {
    let bare = [
        (Register::Vsatp, Xlen::X64, 0x8_0000),
        (Register::Vsatp, Xlen::X64, 1 << 44),
        (Register::Hgatp, Xlen::X64, 1 << 44),
        (Register::Hgatp, Xlen::X32, 1 << 22),
    ];
    for (register, xlen, image) in bare {
        let error = context_of(xlen, &[(register, image)], "")
            .unwrap_err()
            .to_string();
        for word in [register.name(), "MODE 0 (Bare)", "UNSPECIFIED"] {
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

#[test]
fn the_page_of_inputs_has_the_table_of_registers() {
    let page = include_str!("../docs/inputs.md");
    let table = registers::markdown();
    assert!(
        page.contains(&table),
        "docs/inputs.md does not have this table:\n{table}"
    );
}

/// Returns a scenario with these lines in place of `@context` and `@op`.
fn riscv(format: &str, context: &str, op: &str) -> String {
    format!(
        "title = \"t\"\n[machine]\nformat = \"{format}\"\n[memory]\nholes = \"fault\"\n[[context]]\nname = \"k\"\n{context}\n[[op]]\n{op}\n"
    )
}

fn read(text: &str) -> Scenario {
    parse(text, "x.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str, words: &[&str]) {
    let error = match parse(text, "x.toml") {
        Ok(_) => panic!("not refused:\n{text}"),
        Err(error) => error.to_string(),
    };
    for word in words {
        assert!(error.contains(word), "{word:?} is not in\n{error}");
    }
}

#[test]
fn tags_of_contexts_are_as_wide_as_the_machines() {
    for (format, asid, vmid) in [("rv32", 0x1FF, 0x7F), ("rv64", 0xFFFF, 0x3FFF)] {
        let of = |key: &str, value: u32| riscv(format, &format!("{key} = {value}"), "load = 0");
        let context = read(&of("asid", asid)).contexts[0].context;
        assert_eq!(u32::from(context.asid), asid);
        let context = read(&of("vmid", vmid)).contexts[0].context;
        assert_eq!(u32::from(context.vmid), vmid);
        refused(
            &of("asid", asid + 1),
            &["out of range", &format!("0 to {asid}")],
        );
        refused(
            &of("vmid", vmid + 1),
            &["out of range", &format!("0 to {vmid}")],
        );
    }
}

fn fence_of(format: &str, fence: &str) -> Fence {
    match read(&riscv(format, "", &format!("fence = {fence}"))).ops[..] {
        [Op::Fence(fence)] => fence,
        ref ops => panic!("{ops:?}"),
    }
}

#[test]
fn bits_of_a_fences_operand_above_its_field_are_ignored() {
    for (format, wide, same) in [
        (
            "rv32",
            "{ hfence_gvma = { vmid = 0xFFFF_FF81 } }",
            "{ virt = true, vmid = 1 }",
        ),
        (
            "rv32",
            "{ sfence_vma = { asid = 0x203 } }",
            "{ virt = false, asid = 3 }",
        ),
        (
            "rv32",
            "{ hfence_vvma = { asid = 0x8000_0200, vmid = 3 } }",
            "{ virt = true, asid = 0, vmid = 3 }",
        ),
        (
            "rv64",
            "{ hfence_gvma = { vmid = 0x4001 } }",
            "{ virt = true, vmid = 1 }",
        ),
        (
            "rv64",
            "{ sfence_vma = { asid = 0xFFFF_FFFF_FFFF_FFFF } }",
            "{ virt = false, asid = 0xFFFF }",
        ),
    ] {
        assert_eq!(
            fence_of(format, wide),
            fence_of(format, same),
            "{format} {wide}"
        );
    }
}

#[test]
fn operands_that_no_register_can_hold_and_operands_of_the_port_are_not_cut() {
    for (format, fence, word) in [
        ("rv32", "{ hfence_gvma = { vmid = 0x1_0000_0001 } }", "vmid"),
        (
            "rv32",
            "{ sfence_vma = { va = 0x1_0000_0000 } }",
            "gVA has 32 bits",
        ),
        (
            "rv32",
            "{ hfence_gvma = { gpa = 0x4_0000_0000 } }",
            "gPA has 34 bits",
        ),
        // The VMID of an HFENCE.VVMA is that of hgatp, and not an operand.
        ("rv32", "{ hfence_vvma = { vmid = 0x80 } }", "0 to 127"),
        ("rv32", "{ virt = true, vmid = 0x80 }", "0 to 127"),
        ("rv32", "{ virt = true, asid = 0x200 }", "0 to 511"),
        ("rv64", "{ virt = true, vmid = 0x4000 }", "0 to 16383"),
    ] {
        refused(
            &riscv(format, "", &format!("fence = {fence}")),
            &["out of range", word],
        );
    }
}

#[test]
fn what_an_extension_that_is_not_modelled_asks_for_is_refused_by_its_name() {
    for (context, extension) in [
        ("svrsw60t59b = true", "Svrsw60t59b"),
        ("sse = true", "Zicfiss"),
        ("vsbe = true", "hstatus.VSBE"),
        ("sbe = true", "mstatus.SBE"),
        ("pmm = 2", "pointer masking"),
        ("ukte = true", "Svukte"),
        ("vsxl = 1", "hstatus.VSXL"),
        ("csrs = {}\naccess = \"sspush\"", "Zicfiss"),
        ("csrs = {}\naccess = \"cbo_clean\"", "Zicbom"),
    ] {
        refused(
            &riscv("rv64", context, "load = 0"),
            &[extension, "not modelled"],
        );
    }
    for (op, extension) in [
        ("cbo_flush = 0x1000", "Zicbom"),
        ("cbo.inval = 0x1000", "Zicbom"),
        ("prefetch_w = 0x1000", "Zicbop"),
        ("sspopchk = 0x1000", "Zicfiss"),
    ] {
        refused(&riscv("rv64", "", op), &[extension, "not modelled"]);
    }
}

#[test]
fn a_mode_of_another_xlen_is_refused_by_that() {
    for (format, mode, words) in [
        (
            "rv64",
            "mode = \"sv32\"",
            ["a mode of RV32, and the format is rv64", "hstatus.VSXL"],
        ),
        (
            "rv64",
            "g_mode = \"sv32x4\"",
            ["a mode of RV32, and the format is rv64", "sv39x4"],
        ),
        (
            "rv32",
            "mode = \"sv48\"",
            ["a mode of RV64, and the format is rv32", "sv32"],
        ),
    ] {
        refused(&riscv(format, mode, "load = 0"), &words);
    }
}

#[test]
fn extensions_of_rv64_are_none_of_rv32() {
    for key in ["svnapot", "pbmte", "g_pbmte"] {
        refused(
            &riscv("rv32", &format!("{key} = true"), "load = 0"),
            &[key, "to RV64"],
        );
        read(&riscv("rv32", &format!("{key} = false"), "load = 0"));
        read(&riscv("rv64", &format!("{key} = true"), "load = 0"));
    }
    let mapping = |pbmt: &str| {
        format!(
            "title = \"t\"\n[machine]\nformat = \"rv32\"\n[memory]\ntables = {{ from = 0, bytes = 0x10000 }}\n[[guest]]\nname = \"g\"\nmode = \"sv32\"\n\
             map = [{{ from = 0x1000, to = 0x2000, pbmt = \"{pbmt}\" }}]\n[[context]]\nname = \"k\"\nv = false\nguest = \"g\"\n[[op]]\nload = 0x1000\n"
        )
    };
    refused(&mapping("nc"), &["\"nc\"", "Svpbmt belongs to RV64"]);
    read(&mapping("pma"));
}

#[test]
fn a_context_of_registers_is_for_accesses_that_they_translate_the_same() {
    let mprv =
        "v = false\npriv = \"m\"\ncsrs = { satp = 0x8000_0000_0008_0000, mstatus = 0x2_0800 }";
    read(&riscv("rv64", mprv, "load = 0"));
    read(&riscv("rv64", mprv, "store = 0"));
    refused(
        &riscv("rv64", mprv, "fetch = 0"),
        &[
            "`fetch` in context \"k\"",
            "`access` = \"load\"",
            "`access` = \"fetch\"",
        ],
    );
    let hlv = "access = \"hlv\"\ncsrs = {}";
    for op in ["load = 0", "store = 0", "hlvx = 0"] {
        read(&riscv("rv64", hlv, op));
    }
    refused(
        &riscv("rv64", hlv, "fetch = 0"),
        &["`fetch` in context \"k\""],
    );
    refused(
        &riscv("rv64", "csrs = {}", "hlvx = 0"),
        &["`hlvx` in context \"k\"", "V=1"],
    );
    // The port accepts any access in any context.
    read(&riscv("rv64", "v = false", "hlvx = 0"));
}

fn with_memory(lines: &str) -> String {
    format!(
        "title = \"t\"\n[machine]\nformat = \"rv64\"\n[memory]\nholes = \"fault\"\n{lines}\n[[context]]\nname = \"k\"\n[[op]]\nload = 0\n"
    )
}

#[test]
fn regions_of_memory_come_back_from_a_file_as_they_are() {
    let text = with_memory(
        "[[memory.region]]\nfrom = 0x2000\nbytes = 0x10\nrights = \"w\"\n[[memory.region]]\nfrom = 0x1000\nbytes = 0x1000\nrights = \"r\"\n\
         [[memory.region]]\nfrom = 0xFF_FFFF_FFFF_FFF8\nbytes = 8\nrights = \"\"",
    );
    let scenario = read(&text);
    let region = |from, bytes, read, write| Region {
        from: Hpa(from),
        bytes,
        read,
        write,
    };
    let regions = [
        region(0x1000, 0x1000, true, false),
        region(0x2000, 0x10, false, true),
        region(0xFF_FFFF_FFFF_FFF8, 8, false, false),
    ];
    assert_eq!(scenario.memory.regions(), regions);
    let written = read(&write::to_toml(&scenario));
    assert_eq!(written.memory.regions(), regions);
}

#[test]
fn a_region_that_cannot_be_is_refused() {
    for (lines, words) in [
        (
            "from = 0x1004\nbytes = 8\nrights = \"r\"",
            &["not aligned"][..],
        ),
        (
            "from = 0x1000\nbytes = 12\nrights = \"r\"",
            &["not aligned"],
        ),
        (
            "from = 0x1000\nbytes = 0\nrights = \"r\"",
            &["out of range"],
        ),
        (
            "from = 0xFF_FFFF_FFFF_FFF8\nbytes = 16\nrights = \"r\"",
            &["out of range"],
        ),
        (
            "from = 0x1000\nbytes = 8\nrights = \"rw\"",
            &["unknown rights `rw`"],
        ),
        ("from = 0x1000\nbytes = 8", &["no `rights`"]),
        (
            "from = 0x1000\nbytes = 8\nrights = \"r\"\npages = 1",
            &["unknown key `pages`"],
        ),
        (
            "from = 0x1000\nbytes = 16\nrights = \"r\"\n[[memory.region]]\nfrom = 0x1008\nbytes = 8\nrights = \"w\"",
            &["overlapping regions", "this one", "and this one"],
        ),
    ] {
        refused(&with_memory(&format!("[[memory.region]]\n{lines}")), words);
    }
}

#[test]
fn what_is_expected_of_the_device_and_of_gva_comes_back_from_a_file_as_it_is() {
    let text = riscv(
        "rv64",
        "",
        "load = 0\nexpect = { hpa = 0x0, reads = [], device = { cause = 5, gva = true, reads = [0x8] } }",
    );
    let scenario = read(&text);
    let written = read(&write::to_toml(&scenario));
    let expect = |scenario: &Scenario| match &scenario.ops[0] {
        Op::Access(access) => access.expect.clone().unwrap(),
        op => panic!("{op:?}"),
    };
    let device = expect(&scenario).device.unwrap();
    assert_eq!((device.cause, device.gva), (Some(5), Some(true)));
    assert_eq!(device.reads, Some(vec![Hpa(8)]));
    assert_eq!(expect(&written), expect(&scenario));
}

#[test]
fn what_cannot_be_expected_of_the_device_is_refused() {
    for (expect, words) in [
        ("{ device = {} }", &["`device` has no key"][..]),
        ("{ device = { hit = true } }", &["unknown key `hit`"]),
        (
            "{ device = { device = { cause = 5 } } }",
            &["unknown key `device`"],
        ),
        (
            "{ device = { cause = 5, hpa = 0x0 } }",
            &["`hpa` and `cause`"],
        ),
        ("{ gva = true, hpa = 0x0 }", &["`hpa` and `gva`"]),
        ("{ gva = 1 }", &["true or false"]),
    ] {
        refused(
            &riscv("rv64", "", &format!("load = 0\nexpect = {expect}")),
            words,
        );
    }
}
