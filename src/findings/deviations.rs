// SPDX-License-Identifier: Apache-2.0
//! Deviations: the defects of a device that are known, in a file.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::signature::{FIELDS, PURPOSES, STAGES, Signature, WORDS, checks};
use crate::input;
use crate::mmu::FaultKind;
use crate::shown;

/// A deviation: a defect that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// Its name, which no other deviation of the file has.
    pub id: String,
    /// A reference for people, such as the address of a ticket.
    pub link: Option<String>,
    /// The findings that it covers.
    pub when: Condition,
    /// The treatment of these findings.
    pub action: Action,
}

/// The treatment of the findings that a deviation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// They are counted for the deviation, and for nothing else.
    Accept,
}

/// A condition on signatures. A property without a value is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The check.
    #[serde(default, deserialize_with = "check")]
    pub check: Option<String>,
    /// The expected behaviour.
    #[serde(default, deserialize_with = "behaviour")]
    pub expected: Option<String>,
    /// The stage of the golden step.
    #[serde(default, deserialize_with = "stage")]
    pub stage: Option<String>,
    /// The purpose of the golden step.
    #[serde(default, deserialize_with = "purpose")]
    pub purpose: Option<String>,
    /// The fault of the golden step.
    #[serde(default, deserialize_with = "fault")]
    pub fault: Option<String>,
    /// The observed behaviour.
    #[serde(default, deserialize_with = "behaviour")]
    pub observed: Option<String>,
    /// The observed fault.
    #[serde(default, deserialize_with = "fault")]
    pub observed_fault: Option<String>,
    /// The fields that differ: these and no others, in any order.
    #[serde(default, deserialize_with = "fields")]
    pub fields: Option<Vec<String>>,
    /// A part of the message of a failed assertion, without digits.
    pub assertion: Option<String>,
}

impl Condition {
    /// Returns the condition that the findings with a signature meet, and no others.
    fn narrow(signature: &Signature) -> Self {
        let word = |word: Option<&str>| word.map(str::to_owned);
        let fields: Vec<String> = signature.fields.iter().map(|&it| it.to_owned()).collect();
        Self {
            check: Some(signature.check.to_owned()),
            expected: word(signature.expected),
            stage: word(signature.stage),
            purpose: word(signature.purpose),
            fault: word(signature.fault),
            observed: word(signature.observed),
            observed_fault: word(signature.observed_fault),
            fields: (!fields.is_empty()).then_some(fields),
            assertion: signature.assertion.clone(),
        }
    }

    /// Returns the condition that findings meet which probably have the same cause; none if only
    /// findings with the same signature do.
    ///
    /// - A response that is wrong in some fields: the same fields are wrong, whichever step of the
    ///   golden walk decided.
    /// - A check that expects no step of a walk, such as a stale TLB hit: the device does the same.
    fn wide(signature: &Signature) -> Option<Self> {
        let is_of_step = signature.stage.is_some() || signature.fault.is_some();
        let is_wide = !signature.fields.is_empty() || !is_of_step;
        is_wide.then(|| Self {
            stage: None,
            purpose: None,
            fault: None,
            observed_fault: None,
            ..Self::narrow(signature)
        })
    }

    /// Returns true if a signature meets the condition.
    pub fn is_met_by(&self, signature: &Signature) -> bool {
        self.is_met_but_for_fields(signature)
            && self.fields.as_ref().is_none_or(|fields| {
                fields.len() == signature.fields.len()
                    && fields
                        .iter()
                        .all(|field| signature.fields.contains(&&**field))
            })
    }

    /// Returns true if a signature meets the condition but for the fields that differ.
    fn is_met_but_for_fields(&self, signature: &Signature) -> bool {
        let same = |wanted: &Option<String>, has: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| has == Some(wanted))
        };
        same(&self.check, Some(signature.check))
            && same(&self.expected, signature.expected)
            && same(&self.stage, signature.stage)
            && same(&self.purpose, signature.purpose)
            && same(&self.fault, signature.fault)
            && same(&self.observed, signature.observed)
            && same(&self.observed_fault, signature.observed_fault)
            && self.assertion.as_ref().is_none_or(|part| {
                let message = signature.assertion.as_ref();
                message.is_some_and(|message| message.contains(part.as_str()))
            })
    }
}

/// Reads a word, which must be one of `known`.
fn word<'de, D: Deserializer<'de>>(
    deserializer: D,
    known: &[&str],
) -> Result<Option<String>, D::Error> {
    let word = String::deserialize(deserializer)?;
    match known.contains(&&*word) {
        true => Ok(Some(word)),
        false => Err(unknown(&word, known)),
    }
}

fn unknown<E: Error>(word: &str, known: &[&str]) -> E {
    let known = known.join(", ");
    E::custom(format!("unknown word `{word}`, expected one of {known}"))
}

fn check<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, &checks().collect::<Vec<_>>())
}

fn behaviour<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, WORDS)
}

fn stage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, STAGES)
}

fn purpose<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, PURPOSES)
}

fn fault<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    word(deserializer, &FaultKind::ALL.map(FaultKind::name))
}

fn fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let mut fields = Vec::<String>::deserialize(deserializer)?;
    if let Some(field) = fields.iter().find(|field| !FIELDS.contains(&&***field)) {
        return Err(unknown(field, FIELDS));
    }
    fields.sort_unstable();
    fields.dedup();
    Ok(Some(fields))
}

/// The reason why a file of deviations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeviationsError {
    /// The file cannot be read.
    #[error(
        "cannot read {}: {source}\n  Name a file of deviations.",
        shown::path(path)
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The text is not a file of deviations; the reason has the line.
    #[error("{}: {source}", shown::path(path))]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: Box<toml::de::Error>,
    },
    /// Two deviations have one id.
    #[error(
        "{}:{line}: the id `{id}` is that of the deviation in line {first}; give each its own",
        shown::path(path)
    )]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
        /// The line of the second, from 1.
        line: usize,
        /// The line of the first, from 1.
        first: usize,
    },
    /// A deviation has an empty id.
    #[error(
        "{}:{line}: `id` is empty; give the deviation a name",
        shown::path(path)
    )]
    NoId {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The condition of a deviation is met by every finding.
    #[error(
        "{}:{line}: `when` is empty, so every finding would be accepted; add a `check`",
        shown::path(path)
    )]
    Everything {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    deviation: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    link: Option<String>,
    when: Spanned<Condition>,
    action: Action,
}

/// Reads a file of deviations.
///
/// # Errors
/// If the file cannot be read, or is not a file of deviations.
pub fn read(path: &Path) -> Result<Vec<Deviation>, DeviationsError> {
    let text =
        input::read_text(path, input::MOST_SMALL).map_err(|source| DeviationsError::Read {
            path: path.into(),
            source,
        })?;
    parse(path, &text)
}

/// Reads the text of a file of deviations. `path` is for errors.
///
/// # Errors
/// If the text is not a file of deviations.
pub fn parse(path: &Path, text: &str) -> Result<Vec<Deviation>, DeviationsError> {
    let file: File = toml::from_str(text).map_err(|source| DeviationsError::Syntax {
        path: path.into(),
        source: source.into(),
    })?;
    let line = |span: Range<usize>| 1 + text[..span.start].matches('\n').count();
    let path = || path.to_owned();
    for (index, entry) in file.deviation.iter().enumerate() {
        let id = &entry.id;
        if id.get_ref().is_empty() {
            return Err(DeviationsError::NoId {
                path: path(),
                line: line(id.span()),
            });
        }
        let mut before = file.deviation[..index].iter();
        if let Some(first) = before.find(|first| first.id.get_ref() == id.get_ref()) {
            return Err(DeviationsError::Duplicate {
                path: path(),
                id: id.get_ref().clone(),
                line: line(id.span()),
                first: line(first.id.span()),
            });
        }
        if *entry.when.get_ref() == Condition::default() {
            return Err(DeviationsError::Everything {
                path: path(),
                line: line(entry.when.span()),
            });
        }
    }
    let deviation = |entry: Entry| Deviation {
        id: entry.id.into_inner(),
        link: entry.link,
        when: entry.when.into_inner(),
        action: entry.action,
    };
    Ok(file.deviation.into_iter().map(deviation).collect())
}

#[derive(Serialize)]
struct ProposedFile<'a> {
    deviation: [ProposedEntry<'a>; 1],
}

#[derive(Serialize)]
struct ProposedEntry<'a> {
    id: &'a str,
    action: Action,
    when: &'a Condition,
}

/// Returns the entry of a file of deviations that accepts the findings that meet a condition.
pub fn entry(id: &str, when: &Condition) -> String {
    let entry = ProposedEntry {
        id,
        action: Action::Accept,
        when,
    };
    toml::to_string(&ProposedFile { deviation: [entry] })
        .expect("words and lists of words are TOML")
}

/// Conditions that are proposed for a list of signatures.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Proposals {
    /// The conditions.
    pub conditions: Vec<Condition>,
    /// For each signature the indices of the conditions that accept its findings: one, or several
    /// if each explains some of the wrong fields.
    pub of: Vec<Vec<usize>>,
}

impl Proposals {
    /// Proposes conditions, as few as can be told.
    pub fn new(signatures: &[&Signature]) -> Self {
        let wide: Vec<_> = signatures.iter().map(|one| Condition::wide(one)).collect();
        let is_shared = |one: &Option<Condition>| {
            one.is_some() && wide.iter().filter(|other| *other == one).count() > 1
        };
        let mut proposals = Self {
            conditions: Vec::new(),
            of: vec![Vec::new(); signatures.len()],
        };
        // Wrong fields that conditions of fewer fields explain need no condition of their own.
        let mut order: Vec<usize> = (0..signatures.len()).collect();
        order.sort_by_key(|&index| signatures[index].fields.len());
        for index in order {
            let signature = signatures[index];
            let conditions = proposals.conditions.iter();
            let known: Vec<usize> = accepting(conditions, signature);
            if !known.is_empty() {
                proposals.of[index] = known;
                continue;
            }
            let condition = match &wide[index] {
                Some(common) if is_shared(&wide[index]) => common.clone(),
                _ => Condition::narrow(signature),
            };
            proposals.of[index] = vec![proposals.conditions.len()];
            proposals.conditions.push(condition);
        }
        proposals
    }
}

/// Returns the conditions that accept findings with a signature, by index: the first one that they
/// meet, or else those that together explain all of the wrong fields. There are none if the
/// findings are not accepted.
pub fn accepting<'a>(
    conditions: impl Iterator<Item = &'a Condition> + Clone,
    signature: &Signature,
) -> Vec<usize> {
    if let Some(first) = conditions.clone().position(|one| one.is_met_by(signature)) {
        return vec![first];
    }
    let explains_some = |one: &Condition| {
        let fields = one.fields.as_deref().unwrap_or_default();
        let mut wrong = fields.iter();
        !fields.is_empty()
            && one.is_met_but_for_fields(signature)
            && wrong.all(|field| signature.fields.contains(&&**field))
    };
    let some: Vec<_> = conditions
        .enumerate()
        .filter(|(_, one)| explains_some(one))
        .collect();
    let mut explained = some
        .iter()
        .flat_map(|(_, one)| one.fields.iter().flatten())
        .collect::<Vec<_>>();
    explained.sort_unstable();
    explained.dedup();
    match !some.is_empty() && explained.len() == signature.fields.len() {
        true => some.into_iter().map(|(index, _)| index).collect(),
        false => Vec::new(),
    }
}
