// SPDX-License-Identifier: Apache-2.0
//! Keys and names of unsupported extensions. The error names the extension, and does not call the
//! key unknown.

use super::super::error::{Problem, Result};
use super::super::reader::{Field, Table};

/// A key or a name, its extension, and the behaviour without the extension.
pub(in super::super) type NotThere = (&'static str, &'static str, &'static str);

/// Keys of `[[context]]`.
pub(in super::super) const CONTEXT: &[NotThere] = &[
    ("svrsw60t59b", "Svrsw60t59b", RSW),
    ("sse", "Zicfiss", SHADOW_STACK),
    ("zicfiss", "Zicfiss", SHADOW_STACK),
    ("shadow_stack", "Zicfiss", SHADOW_STACK),
    ("pmm", "pointer masking (Smnpm, Ssnpm)", MASKING),
    ("vsbe", "big-endian tables (hstatus.VSBE)", ENDIAN),
    ("sbe", "big-endian tables (mstatus.SBE)", ENDIAN),
    ("big_endian", "big-endian tables", ENDIAN),
    ("svukte", "Svukte", UKTE),
    ("ukte", "Svukte", UKTE),
    (
        "vsxl",
        "a virtual machine of another XLEN (hstatus.VSXL)",
        XLEN,
    ),
];

/// Kinds of access: names in `access` of a context and keys of `[[op]]`.
pub(in super::super) const ACCESS: &[NotThere] = &[
    ("cbo", "Zicbom", CACHE_BLOCK),
    ("cbo_clean", "Zicbom", CACHE_BLOCK),
    ("cbo_flush", "Zicbom", CACHE_BLOCK),
    ("cbo_inval", "Zicbom", CACHE_BLOCK),
    ("cbo_zero", "Zicboz", "CBO.ZERO is translated like `store`"),
    ("prefetch", "Zicbop", PREFETCH),
    ("prefetch_r", "Zicbop", PREFETCH),
    ("prefetch_w", "Zicbop", PREFETCH),
    ("prefetch_i", "Zicbop", PREFETCH),
    ("sspush", "Zicfiss", SHADOW_STACK),
    ("sspopchk", "Zicfiss", SHADOW_STACK),
    ("ssamoswap", "Zicfiss", SHADOW_STACK),
    ("shadow_stack", "Zicfiss", SHADOW_STACK),
    ("amo", "A", "an AMO is translated like `store`"),
];

const RSW: &str = "bits 60 and 59 of an entry are reserved";
const SHADOW_STACK: &str =
    "an entry with W and without R is reserved, and there are no shadow stacks";
const MASKING: &str = "every bit of an address is used";
const ENDIAN: &str = "entries of tables are little-endian";
const UKTE: &str = "user mode may use every address";
const XLEN: &str = "XLEN is the same in every mode";
const CACHE_BLOCK: &str =
    "there is no access that a load or a store may make, with the faults of a store";
const PREFETCH: &str = "there is no access that neither faults nor sets A and D";

/// Refuses a key of a table that is in the list.
pub(in super::super) fn refuse(table: &Table<'_>, list: &[NotThere]) -> Result<()> {
    for (key, span) in table.keys() {
        if let Some((_, extension, what)) = list.iter().find(|(name, ..)| *name == key) {
            return Err(
                Problem::at(&span, format!("`{key}`: {extension} is not modelled"))
                    .label(*what)
                    .help("docs/inputs.md lists what is modelled"),
            );
        }
    }
    Ok(())
}

/// Refuses a value that is in the list.
pub(in super::super) fn refuse_value(field: &Field<'_>, list: &[NotThere]) -> Result<()> {
    let Some((name, extension, what)) = list.iter().find(|(name, ..)| field.is_text(name)) else {
        return Ok(());
    };
    Err(field
        .wrong(format!("`{name}`: {extension} is not modelled"), *what)
        .help("docs/inputs.md lists what is modelled"))
}
