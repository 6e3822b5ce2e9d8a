// SPDX-License-Identifier: Apache-2.0
//! Escaping of text of unknown origin for a terminal and for a shell.
//!
//! Names, titles and paths come from files and from the command line. A control character in one of
//! them must not reach a terminal unescaped, and a path in a printed command must be one word of a
//! shell.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Returns true if a terminal may act on the character instead of showing it: a control character
/// (C0, DEL, C1), or one that changes the direction of the text around it.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool, json: bool) -> Cow<'_, str> {
    let is_bad = |c: char| is_control(c) && !is_kept(c);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !is_bad(c) => out.push(c),
            // JSON knows no other escape, and all of these characters have four digits.
            c if json => write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a string"),
            c => out.extend(c.escape_default()),
        }
    }
    Cow::Owned(out)
}

/// Escapes text of several lines: every control character except line ends and tabs, as in a Rust
/// string.
/// string.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'), false)
}

/// Escapes text of one line: every control character, as in a Rust string.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false, false)
}

/// Returns a JSON document: control characters occur only in strings, and are escaped as in JSON.
pub fn json(document: &str) -> Cow<'_, str> {
    escaped(document, |c| c == '\n', true)
}

/// Returns a path in a message, on one line.
pub fn path(path: &Path) -> String {
    line(&path.to_string_lossy()).into_owned()
}

/// Returns one word of a shell command, quoted if necessary.
pub fn word(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./=:,@%+".contains(c);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(is_plain) => return text.to_owned(),
        Some(text) if !text.contains(is_control) => {
            return format!("'{}'", text.replace('\'', "'\\''"));
        }
        _ => {}
    }
    // POSIX.1-2024, 2.2.4: dollar-single-quotes. The bytes of a name need not be valid text.
    let mut out = String::from("$'");
    for chunk in word.as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => out.extend(['\\', c]),
                c if is_control(c) => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        write!(out, "\\{byte:03o}").expect("writing to a string");
                    }
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\{byte:03o}").expect("writing to a string");
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn no_control_character_is_left_raw() {
        let raw: String = (0..=0x2FF)
            .chain(0x2000..=0x20FF)
            .filter_map(char::from_u32)
            .collect();
        let left = |shown: &str| shown.chars().filter(|&c| is_control(c)).collect::<String>();
        assert_eq!(left(&text(&raw)), "\t\n");
        assert_eq!(left(&line(&raw)), "");
        assert_eq!(line("a\u{1b}[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(text("é 😀 plain\n"), "é 😀 plain\n");
    }

    #[test]
    fn escaped_json_means_what_it_meant() {
        let value = serde_json::json!({ "a": "\u{7f}\u{9b}31m\u{1b}\u{202e}é" });
        let document = format!("{value:#}\n");
        let shown = json(&document);
        assert!(!shown.contains(|c| is_control(c) && c != '\n'));
        let back: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn a_quoted_word_is_that_word_for_a_shell() {
        for raw in [
            &b"plain/path-1.toml"[..],
            b"",
            b"with space",
            b"it's",
            b"$HOME `x` \"y\" \\ * ~",
            b"\x1b[31m red\n and ' and \\",
            b"not \xff text 0",
        ] {
            let quoted = word(OsStr::from_bytes(raw));
            assert!(!quoted.contains(is_control), "{quoted:?}");
            let script = format!("printf %s {quoted}");
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(output.stdout, raw, "{quoted}");
        }
        assert_eq!(word("out/a.toml"), "out/a.toml");
    }
}
