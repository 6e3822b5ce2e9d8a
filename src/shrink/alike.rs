// SPDX-License-Identifier: Apache-2.0
//! Whether two failures are the same one.

use std::collections::BTreeSet;

use crate::bench::{Check, Failure};

/// What a failure is, without its numbers: addresses, levels, cycles and page sizes change when a scenario gets smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Mismatch {
        check: Check,
        /// What would have been right, in words; each, where there are several.
        expected: BTreeSet<String>,
        /// What came, in words.
        got: String,
        /// The page sizes of the two differ.
        sizes_differ: bool,
    },
    Hang,
    /// An RTL assertion, by its name and place in the hierarchy.
    Device(String),
}

impl Kind {
    pub fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Mismatch(mismatch) => Kind::Mismatch {
                check: mismatch.check,
                expected: mismatch.expected.split(", or ").map(words).collect(),
                got: words(&mismatch.got),
                sizes_differ: sizes_differ(&mismatch.expected, &mismatch.got),
            },
            Failure::Hang { .. } => Kind::Hang,
            Failure::Device { error, .. } => Kind::Device(words(&error.to_string())),
        }
    }

    /// Whether `other` may stand for this one: a check that failed in the same way. Fewer answers may have been right.
    pub fn is_kept_by(&self, other: &Kind) -> bool {
        match (self, other) {
            (
                Kind::Mismatch {
                    check,
                    expected,
                    got,
                    sizes_differ,
                },
                Kind::Mismatch {
                    check: other_check,
                    expected: other_expected,
                    got: other_got,
                    sizes_differ: other_sizes_differ,
                },
            ) => {
                check == other_check
                    && other_expected.is_subset(expected)
                    && got == other_got
                    && sizes_differ == other_sizes_differ
            }
            _ => self == other,
        }
    }
}

const SIZE: &str = ", page of ";

/// The part of an outcome that says how large a page is.
fn page_size(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(SIZE)?;
    Some(rest.split([',', ';']).next().unwrap_or(rest))
}

/// Whether both are translations, of pages that differ in size.
fn sizes_differ(expected: &str, got: &str) -> bool {
    let sizes = page_size(expected).zip(page_size(got));
    sizes.is_some_and(|(expected, got)| expected != got)
}

/// A text without numbers, page sizes and what kind of access it is about.
fn words(text: &str) -> String {
    // A request follows, with every field.
    let text = text.split("which walks for").next().unwrap_or(text);
    // An explanation follows: of a stale hit, the fence. A smaller scenario may have another.
    let text = text.split(';').next().unwrap_or(text);
    let mut out = Vec::new();
    for (index, part) in text.split(", ").enumerate() {
        if index > 0 && part.starts_with("page of ") {
            continue;
        }
        let words = part.split_whitespace().map(|word| {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            match bare {
                "load" | "store" | "fetch" => word.replace(bare, "access"),
                _ if bare.starts_with("0x") => "#".to_owned(),
                _ => word.chars().filter(|c| !c.is_ascii_digit()).collect(),
            }
        });
        out.push(words.collect::<Vec<_>>().join(" "));
    }
    out.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_make_another_failure_and_words_do() {
        let same = [
            ("hPA 0x12345, page of 2^21 bytes, NC", "hPA 0x0, NC"),
            (
                "permission fault at host L1, translating gPA 0x02008 of the guest L2 entry (load guest-page fault, cause 21, tval2 0x802)",
                "permission fault at host L0, translating gPA 0x4 of the guest L0 entry (store guest-page fault, cause 23, tval2 0x1)",
            ),
            (
                "memory read 3 of the walk: hPA 0x1000",
                "memory read 12 of the walk: hPA 0xABCDE",
            ),
            (
                "the end of the walk; after 1 memory read the response is hPA 0x1000",
                "the end of the walk; after 2 memory reads and 1 update",
            ),
            (
                "a miss: a fence has invalidated this page; the last was the fence by gPA 0x1000 in cycle 7",
                "a miss: a fence has invalidated this page; the last was the fence of everything in cycle 12",
            ),
        ];
        for (a, b) in same {
            assert_eq!(words(a), words(b));
        }
        let other = [
            ("hPA 0x1, NC", "hPA 0x1"),
            (
                "permission fault at guest L1",
                "permission fault at host L1",
            ),
            (
                "a miss: no walk has found this page since the reset",
                "a miss: a fence has invalidated this page; the last was the fence by VMID 1 in cycle 7",
            ),
            (
                "memory read 3 of the walk: hPA 0x1000",
                "update 3 of the walk: hPA 0x1000 from 0x1 to 0x41",
            ),
        ];
        for (a, b) in other {
            assert_ne!(words(a), words(b));
        }
        assert_eq!(
            page_size("hPA 0x1, page of 2^21 bytes, NC"),
            Some("2^21 bytes")
        );
        let small = "hPA 0x1, page of 2^12 bytes; a walk found it in cycle 7";
        assert!(sizes_differ("hPA 0x1, page of 2^21 bytes, NC", small));
        assert!(!sizes_differ("hPA 0x2, page of 2^12 bytes", small));
        assert!(!sizes_differ("a miss", small));
    }
}
