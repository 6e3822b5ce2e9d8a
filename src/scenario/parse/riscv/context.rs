//! `[[context]]` of RISC-V: by what the modes are called, or by images of control registers.

use super::super::error::{Problem, Result, Span};
use super::super::head::unique_name;
use super::super::layout::Layout;
use super::super::reader::{Field, Table};
use super::levels;
use crate::addr::{Gpa, Hpa};
use crate::format::Format;
use crate::format::riscv::{AccessKind, Csrs, Privilege, Xlen};
use crate::mmu::{ASID_WIDTH, Context, Stage, StageControl, VMID_WIDTH};
use crate::scenario::{Machine, NamedContext};

/// Keys of a context that is given by what things are called.
const NAMED: [&str; 20] = [
    "name", "v", "priv", "mode", "guest", "root", "g_mode", "host", "g_root", "asid", "vmid",
    "sum", "mxr", "vs_mxr", "g_mxr", "adue", "g_adue", "pbmte", "g_pbmte", "svnapot",
];
/// Keys of one that is given by registers.
const BY_CSRS: [&str; 6] = ["name", "csrs", "v", "priv", "access", "svnapot"];

/// `[[context]]`.
pub(in super::super) fn contexts(
    file: &Table<'_>,
    machine: &Machine,
    layout: &Layout<'_>,
) -> Result<Vec<NamedContext>> {
    let format = machine.format;
    let mut contexts = Vec::new();
    let mut names: Vec<(&str, Span)> = Vec::new();
    for table in file.tables("context", "[[context]]")? {
        table.only(&[&NAMED[..], &["csrs", "access"]].concat())?;
        let name = unique_name(&table, "context", &mut names)?.to_owned();
        let context = match table.get("csrs") {
            Some(csrs) => by_csrs(&table, &csrs, format)?,
            None => by_names(&table, format, layout)?,
        };
        if !machine.serves(&context) {
            return Err(not_served(machine, &context, &name, &table.span));
        }
        contexts.push(NamedContext { name, context });
    }
    Ok(contexts)
}

/// A context that asks for what the device was built without.
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

fn number(table: &Table<'_>, key: &'static str, width: u32) -> Result<u16> {
    let most = ((1u32 << width) - 1) as u16;
    table.get(key).map_or(Ok(0), |field| field.number_u16(most))
}

/// Whether accesses are made in a virtual machine.
fn virt(table: &Table<'_>) -> Result<bool> {
    table.get("v").map_or(Ok(true), |field| field.boolean())
}

fn by_names(table: &Table<'_>, format: Format, layout: &Layout<'_>) -> Result<Context> {
    if let Some(field) = table.get("access") {
        return Err(Problem::at(&field.key_span, "`access` without `csrs`")
            .label("only registers translate one kind of access other than another"));
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
        // sstatus.MXR is for both stages, where there are two.
        None => mxr && virt,
    };
    if let (false, Some(field)) = (virt, table.get("vs_mxr")) {
        return Err(Problem::at(&field.key_span, "`vs_mxr`, but `v` = false")
            .label("vsstatus says nothing outside a virtual machine: `mxr`"));
    }
    Ok(Context {
        virt,
        guest: StageControl {
            mxr: mxr || flag(table, "vs_mxr")?,
            adue: flag(table, "adue")?,
            pbmte: flag(table, "pbmte")?,
            ..guest
        },
        host: StageControl {
            mxr: g_mxr,
            adue: flag(table, "g_adue")?,
            pbmte: flag(table, "g_pbmte")?,
            ..host
        },
        user,
        sum: flag(table, "sum")?,
        napot: flag(table, "svnapot")?,
        rights: false,
        asid: number(table, "asid", ASID_WIDTH)?,
        vmid: number(table, "vmid", VMID_WIDTH)?,
    })
}

/// The mode and the root of a stage that names no table.
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
            // What the register's alignment leaves out means nothing.
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

/// A table is named: no root besides, and the mode, if given, is the table's.
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
            .wrong("the table is of another mode", "may be left out")
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

/// By images of registers, as a dump shows them.
fn by_csrs(table: &Table<'_>, field: &Field<'_>, format: Format) -> Result<Context> {
    for (key, span) in table.keys() {
        if !BY_CSRS.contains(&key) {
            return Err(
                Problem::at(&span, format!("`{key}` in a context with `csrs`"))
                    .label("registers say it")
                    .also(&field.key_span, "the registers"),
            );
        }
    }
    let xlen = match format {
        Format::Rv32 => Xlen::X32,
        _ => Xlen::X64,
    };
    let images = field.table("`csrs`")?;
    images.only(&[
        "satp", "vsatp", "hgatp", "mstatus", "vsstatus", "hstatus", "menvcfg", "henvcfg",
    ])?;
    let atp_most = u64::MAX >> (64 - xlen.bits());
    let image = |key, most| images.get(key).map_or(Ok(0), |field| field.number(0, most));
    let mstatus = image("mstatus", u64::MAX)?;
    let vsstatus = image("vsstatus", u64::MAX)?;
    let hstatus = image("hstatus", u64::MAX)?;
    let menvcfg = image("menvcfg", u64::MAX)?;
    let henvcfg = image("henvcfg", u64::MAX)?;
    let bit = |image: u64, bit: u32| image >> bit & 1 != 0;
    let mpp = Privilege::of(mstatus >> 11 & 3).ok_or_else(|| {
        let span = images.get("mstatus").map_or(field.span.clone(), |f| f.span);
        Problem::at(&span, "mstatus.MPP is 2, which is reserved").label("bits 12:11: 0, 1 or 3")
    })?;
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
        Some(field) => field.choice(
            "kind of access",
            &[
                ("load", AccessKind::Load),
                ("store", AccessKind::Store),
                ("fetch", AccessKind::Fetch),
                ("hlv", AccessKind::Hlv),
                ("hlvx", AccessKind::Hlvx),
                ("hsv", AccessKind::Hsv),
            ],
        )?,
        None => AccessKind::Load,
    };
    // V is none for HLV, which the host executes.
    let hypervisor = matches!(kind, AccessKind::Hlv | AccessKind::Hlvx | AccessKind::Hsv);
    let virt = match table.get("v") {
        Some(field) => field.boolean()?,
        None => !hypervisor,
    };
    let csrs = Csrs {
        xlen,
        satp: image("satp", atp_most)?,
        vsatp: image("vsatp", atp_most)?,
        hgatp: image("hgatp", atp_most)?,
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
        svnapot: flag(table, "svnapot")?,
        // Without the extensions, the bits of menvcfg are 0.
        svpbmt: true,
        svadu: true,
    };
    csrs.context(kind).map_err(|error| {
        Problem::at(
            &field.span,
            format!("these registers do not translate: {error}"),
        )
    })
}
