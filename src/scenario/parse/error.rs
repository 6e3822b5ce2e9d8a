// SPDX-License-Identifier: Apache-2.0
//! Errors in a scenario file, and their presentation.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// A range of bytes of the text.
pub(crate) type Span = Range<usize>;

pub(crate) type Result<T> = std::result::Result<T, Box<Problem>>;

/// An error at a place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    message: String,
    span: Span,
    label: String,
    also: Option<(Span, String)>,
    help: Option<String>,
}

impl Problem {
    /// Makes an error with its place and its message.
    pub(crate) fn at(span: &Span, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            message: message.into(),
            span: span.clone(),
            label: String::new(),
            also: None,
            help: None,
        })
    }

    /// Adds the correction, which is shown at the place of the error.
    pub(crate) fn label(mut self: Box<Self>, label: impl Into<String>) -> Box<Self> {
        self.label = label.into();
        self
    }

    /// Adds another place that is related to the error.
    pub(crate) fn also(mut self: Box<Self>, span: &Span, label: impl Into<String>) -> Box<Self> {
        self.also = Some((span.clone(), label.into()));
        self
    }

    /// Adds the action that corrects the error.
    pub(crate) fn help(mut self: Box<Self>, help: impl Into<String>) -> Box<Self> {
        self.help = Some(help.into());
        self
    }

    /// Makes the error of a text that is not TOML.
    pub(crate) fn syntax(error: &toml::de::Error, text: &str) -> Box<Self> {
        // An error without a place concerns the whole text: something is missing at its end.
        let span = error.span().unwrap_or(text.len()..text.len());
        let problem = Self::at(&span, format!("not TOML: {}", error.message()));
        let rest = text.get(span.start..).unwrap_or_default();
        if rest.trim().is_empty() {
            problem.help("the text ends here: is the file truncated?")
        } else if error.message().starts_with("duplicate key") {
            problem.help("is the head of another table missing before it, such as [[op]]?")
        } else {
            problem
        }
    }
}

/// An error in the text of a scenario.
///
/// Its [`Display`](fmt::Display) shows the message, the place with the line of the text, and the
/// correction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(Box<Shown>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    problem: Problem,
    name: String,
    text: String,
    line: usize,
    column: usize,
}

impl ParseError {
    pub(crate) fn new(mut problem: Problem, text: &str, name: &str) -> Self {
        problem.span = within(&problem.span, text);
        if let Some((span, _)) = &mut problem.also {
            *span = within(span, text);
        }
        let before = &text[..problem.span.start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        Self(Box::new(Shown {
            line: Lines::new(text).line_of(problem.span.start),
            column: before[line_start..].chars().count() + 1,
            problem,
            name: name.into(),
            text: text.into(),
        }))
    }

    /// Returns the error in one line.
    pub fn message(&self) -> &str {
        &self.0.problem.message
    }

    /// Returns the correction in a few words; empty if the message contains it.
    pub fn label(&self) -> &str {
        &self.0.problem.label
    }

    /// Returns the action that corrects the error, if one was added.
    pub fn help(&self) -> Option<&str> {
        self.0.problem.help.as_deref()
    }

    /// Returns the place, in bytes of the text.
    pub fn span(&self) -> Range<usize> {
        self.0.problem.span.clone()
    }

    /// Returns the line of the place, from 1.
    pub fn line(&self) -> usize {
        self.0.line
    }

    /// Returns the column of the place in characters, from 1.
    pub fn column(&self) -> usize {
        self.0.column
    }

    /// Returns the error with the lines of the text that it is about, in colour (ANSI escapes) or
    /// plain.
    pub fn render(&self, colour: bool) -> String {
        let problem = &self.0.problem;
        let mut snippet = Snippet::source(&self.0.text).path(&self.0.name).annotation(
            AnnotationKind::Primary
                .span(problem.span.clone())
                .label(some(&problem.label)),
        );
        if let Some((span, label)) = &problem.also {
            let also = AnnotationKind::Context.span(span.clone());
            snippet = snippet.annotation(also.label(some(label)));
        }
        let mut report = Level::ERROR
            .primary_title(&problem.message)
            .element(snippet);
        if let Some(help) = &problem.help {
            report = report.element(Level::HELP.message(help));
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[report])
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ParseError {}

/// The positions of the lines of a text.
pub(crate) struct Lines {
    /// The end of each line.
    ends: Vec<usize>,
    end: usize,
}

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            ends: text.match_indices('\n').map(|(at, _)| at).collect(),
            end: text.len(),
        }
    }

    /// Returns the line that byte `at` is in, from 1.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.ends.partition_point(|&end| end < at) + 1
    }

    /// A range of bytes of the text.
    pub(crate) fn end(&self) -> usize {
        self.end
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Moves a span to character boundaries of the text, and before the end of the last line that is
/// not empty.
fn within(span: &Span, text: &str) -> Span {
    let last = text.trim_end().len();
    if span.start >= last {
        return last..last;
    }
    let boundary = |at: &usize| text.is_char_boundary(*at);
    let start = (0..=span.start).rev().find(boundary).unwrap_or(0);
    let end = (span.end..text.len()).find(boundary);
    start..end.unwrap_or(text.len()).max(start)
}
