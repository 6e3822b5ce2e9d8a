// SPDX-License-Identifier: Apache-2.0
//! Tables and values of a TOML document, each with its place in the text, and errors about them.

use std::fmt::Write;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Problem, Result, Span};
use crate::format::{Format, fits};

/// A table of a TOML document.
pub(crate) struct Table<'a> {
    /// The name in errors.
    pub(crate) name: &'a str,
    /// The place of its head, or of the whole table.
    pub(crate) span: Span,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    pub(crate) fn document(entries: &'a DeTable<'a>) -> Self {
        Self {
            name: "the file",
            span: 0..0,
            entries,
        }
    }

    /// Returns the keys and their places, in the order of the text.
    pub(crate) fn keys(&self) -> Vec<(&'a str, Span)> {
        let mut keys: Vec<_> = self
            .entries
            .keys()
            .map(|key| (key.get_ref().as_ref(), key.span()))
            .collect();
        keys.sort_by_key(|(_, span)| span.start);
        keys
    }

    /// Every key with its value, in the order of the text. Errors about a value call it `a value`.
    pub(crate) fn all(&self) -> Vec<(&'a str, Field<'a>)> {
        let mut all: Vec<_> = (self.entries.iter())
            .map(|(key, value)| {
                let field = Field {
                    name: "a value",
                    key_span: key.span(),
                    span: value.span(),
                    value: value.get_ref(),
                };
                (key.get_ref().as_ref(), field)
            })
            .collect();
        all.sort_by_key(|(_, field)| field.key_span.start);
        all
    }

    /// Checks that the table has no other keys than these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<()> {
        for (key, span) in self.keys() {
            if !known.contains(&key) {
                let problem = Problem::at(&span, format!("unknown key `{key}` in {}", self.name));
                return Err(suggest(problem, key, known, "keys"));
            }
        }
        Ok(())
    }

    /// Returns the value of a key, if the table has the key.
    pub(crate) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        let (found, value) = self.entries.get_key_value(key)?;
        Some(Field {
            name: key,
            key_span: found.span(),
            span: value.span(),
            value: value.get_ref(),
        })
    }

    /// Reads the value of a key, which must exist. `what` describes the value.
    pub(crate) fn require(&self, key: &'static str, what: &str) -> Result<Field<'a>> {
        self.get(key).ok_or_else(|| {
            Problem::at(&self.span, format!("{} has no `{key}`", self.name))
                .label(format!("`{key}` is missing: {what}"))
        })
    }

    /// Reads the tables of `[[key]]`. The list is empty if there are none.
    pub(crate) fn tables(&self, key: &'static str, name: &'static str) -> Result<Vec<Table<'a>>> {
        match self.get(key) {
            Some(field) => field.tables(name),
            None => Ok(Vec::new()),
        }
    }
}

/// A value, and the key that it belongs to.
#[derive(Clone)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'static str,
    /// The place of the key. Every element of a list shares it.
    pub(crate) key_span: Span,
    /// The place of the value.
    pub(crate) span: Span,
    value: &'a DeValue<'a>,
}

impl<'a> Field<'a> {
    fn kind(&self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }

    /// Makes the error of a value of the wrong kind.
    pub(crate) fn wrong_kind(&self, expected: &str) -> Box<Problem> {
        let problem = Problem::at(
            &self.span,
            format!("`{}` cannot be {}", self.name, self.kind()),
        )
        .label(format!("expected {expected}"));
        match self.value {
            DeValue::String(text) if looks_like_number(text) => {
                problem.help("write numbers without quotes")
            }
            _ => problem,
        }
    }

    /// Makes an error about the value. `legal` describes legal values.
    pub(crate) fn wrong(
        &self,
        message: impl Into<String>,
        legal: impl Into<String>,
    ) -> Box<Problem> {
        Problem::at(&self.span, message).label(legal)
    }

    /// Returns true if the value is this string.
    pub(crate) fn is_text(&self, text: &str) -> bool {
        self.value.as_str() == Some(text)
    }

    pub(crate) fn is_string(&self) -> bool {
        self.value.is_str()
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    pub(crate) fn is_table(&self) -> bool {
        self.value.is_table()
    }

    pub(crate) fn string(&self, expected: &str) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.wrong_kind(expected))
    }

    pub(crate) fn boolean(&self) -> Result<bool> {
        self.value
            .as_bool()
            .ok_or_else(|| self.wrong_kind("true or false"))
    }

    /// Reads a number from `least` to `most`.
    pub(crate) fn number(&self, least: u64, most: u64) -> Result<u64> {
        self.integer(least, most, || format!("{least} to {most}"))
    }

    pub(crate) fn number_u32(&self, least: u32, most: u32) -> Result<u32> {
        Ok(self.number(least.into(), most.into())? as u32)
    }

    pub(crate) fn number_u16(&self, most: u16) -> Result<u16> {
        Ok(self.number(0, most.into())? as u16)
    }

    /// Reads an address, `width` bits wide.
    pub(crate) fn address(&self, kind: &str, width: u32) -> Result<u64> {
        let most = u64::MAX >> (64 - width);
        self.integer(0, most, || {
            format!("{kind} has {width} bits: 0x0 to 0x{most:X}")
        })
    }

    /// Reads a page, by its first address.
    pub(crate) fn page(&self, kind: &str, width: u32, format: Format) -> Result<u64> {
        let address = self.address(kind, width)?;
        self.aligned(kind, address, format.geometry().page_bytes(), "pages")
    }

    /// Reads an address that is a multiple of `unit`, which is the size of `what`.
    pub(crate) fn aligned(&self, kind: &str, address: u64, unit: u64, what: &str) -> Result<u64> {
        if address.is_multiple_of(unit) {
            return Ok(address);
        }
        let below = address - address % unit;
        Err(self.wrong(
            format!("{kind} 0x{address:05X} is not aligned"),
            format!("{what} are at multiples of 0x{unit:X}, like 0x{below:05X}"),
        ))
    }

    pub(crate) fn word(&self, format: Format) -> Result<u64> {
        let width = format.geometry().pte_width;
        let most = u64::MAX >> (64 - width);
        self.integer(0, most, || {
            format!("a word has {width} bits: 0x0 to 0x{most:X}")
        })
    }

    fn integer(&self, least: u64, most: u64, legal: impl Fn() -> String) -> Result<u64> {
        let DeValue::Integer(number) = self.value else {
            return Err(self.wrong_kind(&format!("a number: {}", legal())));
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if (least..=most).contains(&value) => Ok(value),
            _ => Err(self.wrong(
                format!("`{}` = {number} is out of range", self.name),
                legal(),
            )),
        }
    }

    /// Reads one of several names.
    pub(crate) fn choice<T: Clone>(&self, what: &str, options: &[(&str, T)]) -> Result<T> {
        let names: Vec<&str> = options.iter().map(|&(name, _)| name).collect();
        let name = self.string(&one_of(&names))?;
        match options.iter().find(|&&(option, _)| option == name) {
            Some((_, value)) => Ok(value.clone()),
            None => Err(self.unknown(what, name, &names)),
        }
    }

    /// Returns an error about an unknown name.
    pub(crate) fn unknown(&self, what: &str, name: &str, known: &[&str]) -> Box<Problem> {
        let problem = Problem::at(&self.span, format!("unknown {what} `{name}`"));
        if looks_like_number(name) {
            return problem.label("write a number without quotes");
        }
        suggest(problem, name, known, "known")
    }

    pub(crate) fn array(&self, expected: &str) -> Result<Vec<Field<'a>>> {
        let array = self
            .value
            .as_array()
            .ok_or_else(|| self.wrong_kind(expected))?;
        let element = |value: &'a Spanned<DeValue<'a>>| Field {
            name: self.name,
            key_span: self.key_span.clone(),
            span: value.span(),
            value: value.get_ref(),
        };
        Ok(array.iter().map(element).collect())
    }

    /// Reads a table, which errors call `name`.
    pub(crate) fn table(&self, name: &'static str) -> Result<Table<'a>> {
        match self.value {
            DeValue::Table(entries) => Ok(Table {
                name,
                span: self.span.clone(),
                entries,
            }),
            _ => Err(self.wrong_kind("a table, { ... }")),
        }
    }

    /// Reads a list of tables, each of which errors call `name`.
    pub(crate) fn tables(&self, name: &'static str) -> Result<Vec<Table<'a>>> {
        if self.is_table() {
            return Err(Problem::at(
                &self.key_span,
                format!("`{}` is one table, not a list of tables", self.name),
            )
            .label(format!("write [[{}]]", name.trim_matches(['[', ']']))));
        }
        self.array("a list of tables")?
            .iter()
            .map(|field| field.table(name))
            .collect()
    }
}

/// The largest number of names that an error compares with and lists.
const MOST_KNOWN: usize = 32;
/// The length of the longest name, in bytes, for which an error suggests another.
const LONGEST_NAME: usize = 64;

fn looks_like_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .trim_start_matches("0x")
            .chars()
            .all(|c| c.is_ascii_hexdigit() || c == '_')
}

/// Lists names in words: `a`, `b` or `c`.
pub(crate) fn one_of(names: &[&str]) -> String {
    let mut text = String::new();
    for (i, name) in names.iter().enumerate() {
        let before = match i {
            0 => "",
            _ if i + 1 == names.len() => " or ",
            _ => ", ",
        };
        // Writing to a string does not fail.
        let _ = write!(text, "{before}`{name}`");
    }
    text
}

/// Adds a similar legal name, if there is one, and all legal names.
fn suggest(problem: Box<Problem>, name: &str, known: &[&str], kind: &str) -> Box<Problem> {
    let nearest = known
        .iter()
        .take(MOST_KNOWN)
        .filter(|candidate| name.len().max(candidate.len()) <= LONGEST_NAME)
        .map(|&candidate| (distance(name, candidate), candidate))
        .min()
        .filter(|&(edits, candidate)| edits <= candidate.chars().count().div_ceil(3));
    let problem = match nearest {
        Some((_, candidate)) => problem.label(format!("did you mean `{candidate}`?")),
        None => problem,
    };
    if known.is_empty() {
        return problem.label("the file has none");
    }
    let mut all: Vec<String> = (known.iter().take(MOST_KNOWN))
        .map(|name| format!("`{name}`"))
        .collect();
    if known.len() > MOST_KNOWN {
        all.push(format!("and {} more", known.len() - MOST_KNOWN));
    }
    problem.help(format!("{kind}: {}", all.join(", ")))
}

/// Returns the number of insertions, deletions, replacements and swaps of neighbours that turn `a`
/// into `b`.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    // rows[i][j] is the distance of the first i of a from the first j of b.
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    least = least.min(rows[i - 2][j - 2] + 1);
                }
                least
            };
        }
    }
    rows[a.len()][b.len()]
}

/// Returns the address after `count` pieces of `size` bytes at `start`, if they fit into `width`
/// bits.
pub(crate) fn end_of(start: u64, count: u64, size: u64, width: u32) -> Option<u64> {
    let end = count.checked_mul(size)?.checked_add(start)?;
    (end == 0 || fits(end - 1, width)).then_some(end)
}
