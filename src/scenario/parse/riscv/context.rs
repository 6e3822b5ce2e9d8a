// SPDX-License-Identifier: Apache-2.0
//! `[[context]]` of RISC-V, given by names of modes, or by images of control registers.

use super::super::error::{Problem, Result, Span};
use super::super::head::unique_name;
use super::super::layout::Layout;
use super::super::reader::{Field, Table};
use super::{levels, not_there};
use crate::addr::{Gpa, Hpa};
use crate::format::Format;
use crate::format::riscv::registers::{self, Register};
use crate::format::riscv::{AccessKind, Csrs, Privilege, Xlen};
use crate::mmu::{Access, Context, Stage, StageControl};
use crate::scenario::{Machine, NamedContext, access_key};

/// The keys of a context that is given by names.
const NAMED: [&str; 20] = [
    "name", "v", "priv", "mode", "guest", "root", "g_mode", "host", "g_root", "asid", "vmid",
    "sum", "mxr", "vs_mxr", "g_mxr", "adue", "g_adue", "pbmte", "g_pbmte", "svnapot",
];
/// The keys of a context that is given by registers.
const BY_CSRS: [&str; 6] = ["name", "csrs", "v", "priv", "access", "svnapot"];

/// The registers that define a context, and the kind of access that it is for.
#[derive(Clone, Copy)]
pub(in super::super) struct ByRegisters {
    csrs: Csrs,
    kind: AccessKind,
}

/// Checks that a context may be used for an access.
///
/// # Errors
/// If the registers translate this access differently from the access that the context is for, or
/// the access would trap before its translation.
pub(in super::super) fn fits_access(
    access: Access,
    context: &NamedContext,
    given: Option<&ByRegisters>,
    field: &Field<'_>,
) -> Result<()> {
    let name = &context.name;
    let Some(ByRegisters { csrs, kind }) = given else {
        return Ok(());
    };
    let made = match (access, kind.is_hypervisor()) {
        (Access::LoadExecute, _) => AccessKind::Hlvx,
        (Access::Load, true) => AccessKind::Hlv,
        (Access::Store, true) => AccessKind::Hsv,
        (Access::Load, false) => AccessKind::Load,
        (Access::Store, false) => AccessKind::Store,
        (Access::Fetch, _) => AccessKind::Fetch,
    };
    match csrs.context(made) {
        Ok(context_of_it) if context_of_it == context.context => Ok(()),
        Ok(_) => Err(Problem::at(
            &field.key_span,
            format!(
                "`{}` in context {name:?}, which is for `access` = \"{}\"",
                access_key(access),
                kind.name()
            ),
        )
        .label(format!(
            "its registers translate this access differently: use another context, with `access` = \
             \"{}\"",
            made.name()
        ))),
        Err(error) => Err(Problem::at(
            &field.key_span,
            format!("`{}` in context {name:?}: {error}", access_key(access)),
        )),
    }
}

/// Registers without an image of their own, with the place of their fields.
const ELSEWHERE: [(&str, &str); 5] = [
    ("sstatus", "sstatus is a part of mstatus: give mstatus"),
    ("mstatush", "it is bits 63:32 of mstatus here"),
    ("menvcfgh", "it is bits 63:32 of menvcfg here"),
    ("henvcfgh", "it is bits 63:32 of henvcfg here"),
    (
        "senvcfg",
        "its PMM, SSE and UKTE are not modelled, and its other fields have no effect on a \
         translation",
    ),
];

/// Reads `[[context]]`, each with the registers that define it, if it is defined by registers.
pub(in super::super) fn contexts(
    file: &Table<'_>,
    machine: &Machine,
    layout: &Layout<'_>,
) -> Result<Vec<(NamedContext, Option<ByRegisters>)>> {
    let format = machine.format;
    let mut contexts = Vec::new();
    let mut names: Vec<(&str, Span)> = Vec::new();
    for table in file.tables("context", "[[context]]")? {
        not_there::refuse(&table, not_there::CONTEXT)?;
        table.only(&[&NAMED[..], &["csrs", "access"]].concat())?;
        let name = unique_name(&table, "context", &mut names)?.to_owned();
        let (context, given) = match table.get("csrs") {
            Some(csrs) => {
                let (context, given) = by_csrs(&table, &csrs, format)?;
                (context, Some(given))
            }
            None => (by_names(&table, format, layout)?, None),
        };
        if !machine.serves(&context) {
            return Err(not_served(machine, &context, &name, &table.span));
        }
        contexts.push((NamedContext { name, context }, given));
    }
    Ok(contexts)
}

/// Returns the error of a context that needs a feature which the device does not have.
fn not_served(machine: &Machine, context: &Context, name: &str, place: &Span) -> Box<Problem> {
    let most = context.guest.levels.max(context.host.levels);
    Problem::at(place, format!("context {name:?} has {most} levels")).help(format!(
        "`max_levels` = {}: no stage of this machine has more",
        machine.max_levels
    ))
}

fn flag(table: &Table<'_>, key: &'static str) -> Result<bool> {
    table.get(key).map_or(Ok(false), |field| field.boolean())
}

/// Reads the flag of an extension that requires Sv39 or a wider mode (Svnapot, Svpbmt).
fn of_rv64(table: &Table<'_>, key: &'static str, format: Format) -> Result<bool> {
    let Some(field) = table.get(key) else {
        return Ok(false);
    };
    match field.boolean()? {
        true if format == Format::Rv32 => Err(field.wrong(
            format!("`{key}` = true, but the format is rv32"),
            "an entry of RV32 has neither N nor PBMT: Svnapot and Svpbmt belong to RV64",
        )),
        set => Ok(set),
    }
}

fn number(table: &Table<'_>, key: &'static str, width: u32) -> Result<u16> {
    let most = ((1u32 << width) - 1) as u16;
    table.get(key).map_or(Ok(0), |field| field.number_u16(most))
}

/// Returns true if the accesses of a context are made in a virtual machine.
fn virt(table: &Table<'_>) -> Result<bool> {
    table.get("v").map_or(Ok(true), |field| field.boolean())
}

fn by_names(table: &Table<'_>, format: Format, layout: &Layout<'_>) -> Result<Context> {
    if let Some(field) = table.get("access") {
        return Err(Problem::at(&field.key_span, "`access` without `csrs`")
            .label("it selects the kind of access for `csrs`"));
    }
    let virt = virt(table)?;
    let user = match table.get("priv") {
        Some(field) => field.choice("privilege", &[("s", false), ("u", true)])?,
        None => false,
    };
    let host = host_stage(table, format, layout, virt)?;
    let guest = guest_stage(table, format, layout, virt, &host)?;
    let mxr = flag(table, "mxr")?;
    let g_mxr = match table.get("g_mxr") {
        Some(field) => field.boolean()?,
        // sstatus.MXR applies to both stages, if there are two.
        None => mxr && virt,
    };
    if let (false, Some(field)) = (virt, table.get("vs_mxr")) {
        return Err(Problem::at(&field.key_span, "`vs_mxr`, but `v` = false")
            .label("vsstatus has no effect outside a virtual machine: use `mxr`"));
    }
    Ok(Context {
        virt,
        guest: StageControl {
            mxr: mxr || flag(table, "vs_mxr")?,
            adue: flag(table, "adue")?,
            pbmte: of_rv64(table, "pbmte", format)?,
            ..guest
        },
        host: StageControl {
            mxr: g_mxr,
            adue: flag(table, "g_adue")?,
            pbmte: of_rv64(table, "g_pbmte", format)?,
            ..host
        },
        user,
        sum: flag(table, "sum")?,
        napot: of_rv64(table, "svnapot", format)?,
        rights: false,
        asid: number(table, "asid", format.asid_width())?,
        vmid: number(table, "vmid", format.vmid_width())?,
    })
}

/// Returns the mode and the root of a stage that names no table.
fn mode_and_root(
    table: &Table<'_>,
    format: Format,
    stage: Stage,
    keys: [&'static str; 2],
    kind: &str,
    width: u32,
) -> Result<(u8, u64)> {
    let [mode_key, root_key] = keys;
    let mode = table.get(mode_key);
    let levels = mode
        .as_ref()
        .map_or(Ok(0), |field| levels(field, format, stage))?;
    let root = match table.get(root_key) {
        Some(field) => {
            if mode.is_none() {
                return Err(Problem::at(
                    &field.key_span,
                    format!("`{root_key}` without `{mode_key}`"),
                )
                .label(format!("`{mode_key}` is missing: the mode of its table")));
            }
            // The bits below the register's alignment are ignored.
            field.address(kind, width)?
        }
        None if levels > 0 => {
            let of = match stage {
                Stage::Guest => "`guest`, the name of a table, or `root`, its address",
                Stage::Host => "`host`, the name of a table, or `g_root`, its address",
            };
            return Err(mode.map_or_else(
                || Problem::at(&table.span, "a stage without a root"),
                |field| field.wrong("a mode, but no root table", format!("is missing: {of}")),
            ));
        }
        None => 0,
    };
    Ok((levels, root))
}

/// Checks a stage with a named table: there must be no root, and the mode, if given, must be that
/// of the table.
fn must_agree(
    table: &Table<'_>,
    format: Format,
    stage: Stage,
    named: &Field<'_>,
    levels_of_table: u8,
) -> Result<()> {
    let [mode_key, root_key] = match stage {
        Stage::Guest => ["mode", "root"],
        Stage::Host => ["g_mode", "g_root"],
    };
    if let Some(root) = table.get(root_key) {
        return Err(Problem::at(
            &root.key_span,
            format!("a context with `{}` and `{root_key}`", named.name),
        )
        .label("one of the two")
        .also(&named.span, "the table, which has a root"));
    }
    if let Some(mode) = table.get(mode_key)
        && levels(&mode, format, stage)? != levels_of_table
    {
        return Err(mode
            .wrong(
                "the table has another mode",
                "remove it, or give the mode of the table",
            )
            .also(&named.span, "this table"));
    }
    Ok(())
}

fn host_stage(
    table: &Table<'_>,
    format: Format,
    layout: &Layout<'_>,
    virt: bool,
) -> Result<StageControl<Hpa>> {
    let geometry = format.geometry();
    let (field, levels, root) = match table.get("host") {
        Some(field) => {
            let host = layout.riscv_host(
                layout.riscv_host_index(&field, field.string("the name of a [[host]]")?)?,
            );
            must_agree(table, format, Stage::Host, &field, host.levels())?;
            (Some(field), host.levels(), host.root().0)
        }
        None => {
            let (levels, root) = mode_and_root(
                table,
                format,
                Stage::Host,
                ["g_mode", "g_root"],
                "hPA",
                geometry.hpa_width,
            )?;
            (table.get("g_mode"), levels, root)
        }
    };
    if let (false, true, Some(field)) = (virt, levels > 0, field) {
        return Err(Problem::at(
            &field.key_span,
            format!("`{}`, but `v` = false", field.name),
        )
        .label("outside a virtual machine there is no G-stage"));
    }
    Ok(StageControl {
        levels,
        root: Hpa(root),
        ..StageControl::default()
    })
}

fn guest_stage(
    table: &Table<'_>,
    format: Format,
    layout: &Layout<'_>,
    virt: bool,
    host: &StageControl<Hpa>,
) -> Result<StageControl<Gpa>> {
    let geometry = format.geometry();
    let (levels, root) = match table.get("guest") {
        Some(field) => {
            let name = field.string("the name of a [[guest]]")?;
            let index = layout.riscv_guest_index(&field, name)?;
            let guest = layout.riscv_guest(index);
            must_agree(table, format, Stage::Guest, &field, guest.levels())?;
            let in_it = match layout.riscv_host_of(index) {
                Some(of) => (host.levels, host.root) == (of.levels(), of.root()),
                None => host.levels == 0,
            };
            if !in_it {
                let message = match virt {
                    true => format!("guest table `{name}` is not in this host's memory"),
                    false => format!("guest table `{name}` is in a virtual machine's memory"),
                };
                return Err(field
                    .wrong(message, "a guest table that has the same `host`, or none")
                    .help(format!(
                        "if that is meant, give its mode and root = 0x{:X}",
                        guest.root().0
                    )));
            }
            (guest.levels(), guest.root().0)
        }
        None => mode_and_root(
            table,
            format,
            Stage::Guest,
            ["mode", "root"],
            "gPA",
            geometry.gpa_width,
        )?,
    };
    Ok(StageControl {
        levels,
        root: Gpa(root),
        ..StageControl::default()
    })
}

/// Reads a context given by images of registers, as a dump shows them.
fn by_csrs(table: &Table<'_>, field: &Field<'_>, format: Format) -> Result<(Context, ByRegisters)> {
    for (key, span) in table.keys() {
        if !BY_CSRS.contains(&key) {
            return Err(
                Problem::at(&span, format!("`{key}` in a context with `csrs`"))
                    .label("the registers determine it")
                    .also(&field.key_span, "the registers"),
            );
        }
    }
    let xlen = match format {
        Format::Rv32 => Xlen::X32,
        _ => Xlen::X64,
    };
    let images = field.table("`csrs`")?;
    for (key, span) in images.keys() {
        if let Some((_, place)) = ELSEWHERE.iter().find(|(name, _)| *name == key) {
            return Err(
                Problem::at(&span, format!("no image of `{key}` can be given")).label(*place),
            );
        }
    }
    images.only(&Register::ALL.map(Register::name))?;
    let image = |register: Register| -> Result<u64> {
        let Some(field) = images.get(register.name()) else {
            return Ok(0);
        };
        let image = field.number(0, u64::MAX >> (64 - register.width(xlen)))?;
        match registers::check(register, xlen, image) {
            Ok(()) => Ok(image),
            Err(refused) => Err(Problem::at(&field.span, refused.to_string())
                .label(refused.legal())
                .help("docs/inputs.md lists every bit of every register")),
        }
    };
    let mstatus = image(Register::Mstatus)?;
    let vsstatus = image(Register::Vsstatus)?;
    let hstatus = image(Register::Hstatus)?;
    let menvcfg = image(Register::Menvcfg)?;
    let henvcfg = image(Register::Henvcfg)?;
    let bit = |image: u64, bit: u32| image >> bit & 1 != 0;
    // The table has refused the reserved value.
    let mpp = Privilege::of(mstatus >> 11 & 3).unwrap_or(Privilege::User);
    let privilege = match table.get("priv") {
        Some(field) => field.choice(
            "privilege",
            &[
                ("s", Privilege::Supervisor),
                ("u", Privilege::User),
                ("m", Privilege::Machine),
            ],
        )?,
        None => Privilege::Supervisor,
    };
    let kind = match table.get("access") {
        Some(field) => {
            not_there::refuse_value(&field, not_there::ACCESS)?;
            field.choice(
                "kind of access",
                &AccessKind::ALL.map(|kind| (kind.name(), kind)),
            )?
        }
        None => AccessKind::Load,
    };
    // The host executes HLV with V=0.
    let hypervisor = kind.is_hypervisor();
    let virt = match table.get("v") {
        Some(field) => field.boolean()?,
        None => !hypervisor,
    };
    let csrs = Csrs {
        xlen,
        satp: image(Register::Satp)?,
        vsatp: image(Register::Vsatp)?,
        hgatp: image(Register::Hgatp)?,
        privilege,
        virt,
        mxr: bit(mstatus, 19),
        sum: bit(mstatus, 18),
        mprv: bit(mstatus, 17),
        mpp,
        mpv: bit(mstatus, 39),
        vs_mxr: bit(vsstatus, 19),
        vs_sum: bit(vsstatus, 18),
        spvp: bit(hstatus, 8),
        hu: bit(hstatus, 9),
        m_adue: bit(menvcfg, 61),
        m_pbmte: bit(menvcfg, 62),
        h_adue: bit(henvcfg, 61),
        h_pbmte: bit(henvcfg, 62),
        svnapot: of_rv64(table, "svnapot", format)?,
        // Without the extensions, the bits of menvcfg are 0.
        svpbmt: true,
        svadu: true,
    };
    let context = csrs.context(kind).map_err(|error| {
        Problem::at(
            &field.span,
            format!("these registers do not translate: {error}"),
        )
    })?;
    Ok((context, ByRegisters { csrs, kind }))
}
