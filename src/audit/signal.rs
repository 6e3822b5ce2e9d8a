// SPDX-License-Identifier: Apache-2.0
//! The signal behind a port: an expression over the signals of a recording.
//!
//! ```text
//! expression = or
//! or         = and, { "|", and }
//! and        = equal, { "&", equal }
//! equal      = unary, [ ("==" | "!="), unary ]
//! unary      = "~" unary | "!" unary | "(" or ")" | join | constant | signal
//! join       = "{", or, { ",", or }, "}" | "{", count, "{", or, "}", "}"
//! constant   = SystemVerilog, sized: 3'd2, 64'h0; or a number without a size
//! signal     = path, [ "[" bit [ ":" bit ] "]" ]
//! ```

use std::fmt;

/// The most bits of the value of an expression.
pub const MOST_BITS: u32 = 64;
/// The deepest nesting of an expression.
const MOST_DEPTH: u32 = 64;
/// The most operands of an expression.
const MOST_OPERANDS: u32 = 256;

/// Bits of a signal that are in use: the declared indices of the highest and the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The index of the highest bit.
    pub high: i64,
    /// The index of the lowest bit.
    pub low: i64,
}

/// An expression. `S` is a signal: its name, or its place among the signals that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression<S> {
    /// A constant, with its width if it has one.
    Constant {
        /// The value.
        value: u64,
        /// The width, in bits.
        width: Option<u32>,
    },
    /// A signal, or a part of it.
    Signal(S),
    /// Each bit inverted.
    Not(Box<Self>),
    /// Both bit by bit.
    And(Box<Self>, Box<Self>),
    /// Either, bit by bit.
    Or(Box<Self>, Box<Self>),
    /// One bit: both sides are equal, or (`true`) are not.
    Equal(Box<Self>, Box<Self>, bool),
    /// One after the other, the highest first.
    Join(Vec<Self>),
    /// So many times.
    Repeat(u32, Box<Self>),
}

/// The name of a signal in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The path with all that follows it, such as `tb.mem[3][5:2]`.
    pub text: String,
    /// The place in the expression, in bytes.
    pub at: usize,
}

impl Name {
    /// Splits a slice off the end of the name, if there is one.
    pub fn split(&self) -> Option<(&str, Slice)> {
        let (path, rest) = self.text.rsplit_once('[')?;
        let range = rest.strip_suffix(']')?;
        let bit = |text: &str| text.trim().parse::<i64>().ok();
        let slice = match range.split_once(':') {
            Some((high, low)) => Slice {
                high: bit(high)?,
                low: bit(low)?,
            },
            None => Slice {
                high: bit(range)?,
                low: bit(range)?,
            },
        };
        Some((path, slice))
    }
}

/// A part of a signal that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The place of the signal.
    pub signal: usize,
    /// The number of the lowest bit, from 0.
    pub low: u32,
    /// The width, in bits.
    pub width: u32,
}

/// Bits, some of which may be unknown. An unknown bit is 0 in `bits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value {
    /// The bits.
    pub bits: u64,
    /// The bits that are neither 0 nor 1.
    pub unknown: u64,
}

/// An error in an expression, at a byte of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// The place.
    pub at: usize,
    /// The error.
    pub problem: ExpressionProblem,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpressionProblem {
    /// It ends, or something else follows: what was expected.
    Expected(&'static str),
    /// A constant that is not one, or does not fit its width.
    Constant(String),
    /// More levels of parentheses than [`MOST_DEPTH`].
    TooDeep,
    /// More operands than [`MOST_OPERANDS`].
    TooLong,
    /// More than [`MOST_BITS`] bits.
    TooWide(u32),
    /// A constant without a width where the width counts.
    NoWidth,
    /// The sides of an operator differ in width.
    Widths(u32, u32),
}

impl fmt::Display for ExpressionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::Constant(text) => write!(
                f,
                "`{text}` is not a constant: write a number, or a sized one such as 3'd2 or 16'hAB"
            ),
            Self::TooDeep => write!(f, "nested more than {MOST_DEPTH} times"),
            Self::TooLong => write!(f, "more than {MOST_OPERANDS} operands"),
            Self::TooWide(bits) => write!(f, "{bits} bits; a port has at most {MOST_BITS}"),
            Self::NoWidth => write!(f, "a constant without a width: write it as in 3'd2"),
            Self::Widths(one, other) => write!(f, "sides of {one} and {other} bits"),
        }
    }
}

type Result<T> = std::result::Result<T, ExpressionError>;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    operands: u32,
}

impl<'a> Parser<'a> {
    fn error<T>(&self, problem: ExpressionProblem) -> Result<T> {
        Err(ExpressionError {
            at: self.at,
            problem,
        })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn takes(&mut self, token: &str) -> bool {
        self.skip_blanks();
        let is_there = self.rest().starts_with(token);
        if is_there {
            self.at += token.len();
        }
        is_there
    }

    fn require(&mut self, token: &str, what: &'static str) -> Result<()> {
        match self.takes(token) {
            true => Ok(()),
            false => self.error(ExpressionProblem::Expected(what)),
        }
    }

    fn or(&mut self) -> Result<Expression<Name>> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return self.error(ExpressionProblem::TooDeep);
        }
        let mut left = self.and()?;
        while self.takes("|") {
            self.takes("|");
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression<Name>> {
        let mut left = self.equal()?;
        while self.takes("&") {
            self.takes("&");
            left = Expression::And(Box::new(left), Box::new(self.equal()?));
        }
        Ok(left)
    }

    fn equal(&mut self) -> Result<Expression<Name>> {
        let left = self.unary()?;
        let differs = match () {
            () if self.takes("==") => false,
            () if self.takes("!=") => true,
            () => return Ok(left),
        };
        let right = self.unary()?;
        Ok(Expression::Equal(Box::new(left), Box::new(right), differs))
    }

    fn unary(&mut self) -> Result<Expression<Name>> {
        self.operands += 1;
        if self.operands > MOST_OPERANDS {
            return self.error(ExpressionProblem::TooLong);
        }
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return self.error(ExpressionProblem::TooDeep);
        }
        let found = if self.takes("~") || self.takes("!") {
            Expression::Not(Box::new(self.unary()?))
        } else if self.takes("(") {
            let inner = self.or()?;
            self.require(")", "`)`")?;
            inner
        } else if self.takes("{") {
            self.join()?
        } else {
            self.skip_blanks();
            match self.rest().starts_with(|c: char| c.is_ascii_digit()) {
                true => self.constant()?,
                false => self.signal()?,
            }
        };
        self.depth -= 1;
        Ok(found)
    }

    /// What follows the brace of a concatenation.
    fn join(&mut self) -> Result<Expression<Name>> {
        self.skip_blanks();
        let digits = self.rest().len()
            - (self.rest())
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .len();
        let (count, rest) = self.rest().split_at(digits);
        if digits > 0 && rest.trim_start().starts_with('{') {
            let count = match count.parse::<u32>() {
                Ok(count @ 1..=MOST_BITS) => count,
                _ => return self.error(ExpressionProblem::Expected("a count of 1 to 64")),
            };
            self.at += digits;
            self.require("{", "`{`")?;
            let inner = self.or()?;
            self.require("}", "`}`")?;
            self.require("}", "`}`")?;
            return Ok(Expression::Repeat(count, Box::new(inner)));
        }
        let mut parts = vec![self.or()?];
        while self.takes(",") {
            parts.push(self.or()?);
        }
        self.require("}", "`,` or `}`")?;
        Ok(Expression::Join(parts))
    }

    fn constant(&mut self) -> Result<Expression<Name>> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '\'';
        let length = rest.len() - rest.trim_start_matches(is_part).len();
        let text = &rest[..length];
        let wrong = || ExpressionProblem::Constant(text.to_owned());
        let clean: String = text.chars().filter(|&c| c != '_').collect();
        let parsed = match clean.split_once('\'') {
            Some((width, digits)) => {
                let width = width.parse::<u32>().ok();
                let width = width.filter(|width| (1..=MOST_BITS).contains(width));
                let radix = match digits.get(..1) {
                    Some("b" | "B") => 2,
                    Some("o" | "O") => 8,
                    Some("d" | "D") => 10,
                    Some("h" | "H") => 16,
                    _ => return self.error(wrong()),
                };
                let value = u64::from_str_radix(&digits[1..], radix).ok();
                let fits = |value: u64, width: u32| width == 64 || value >> width == 0;
                match (value, width) {
                    (Some(value), Some(width)) if fits(value, width) => Some((value, Some(width))),
                    _ => None,
                }
            }
            None => match clean.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => clean.parse().ok(),
            }
            .map(|value| (value, None)),
        };
        let Some((value, width)) = parsed else {
            return self.error(wrong());
        };
        self.at += length;
        Ok(Expression::Constant { value, width })
    }

    fn signal(&mut self) -> Result<Expression<Name>> {
        let rest = self.rest();
        let at = self.at;
        let mut end = 0;
        let mut brackets = 0u32;
        for (index, c) in rest.char_indices() {
            match c {
                '[' => brackets += 1,
                ']' if brackets > 0 => brackets -= 1,
                _ if brackets > 0 => {}
                _ if c.is_alphanumeric() || "_$.\\/#".contains(c) => {}
                ':' if rest[index..].starts_with("::") || rest[..index].ends_with(':') => {}
                _ => break,
            }
            end = index + c.len_utf8();
        }
        let text = rest[..end].trim();
        if text.is_empty() || brackets > 0 {
            return self.error(ExpressionProblem::Expected("a signal or a constant"));
        }
        self.at += end;
        Ok(Expression::Signal(Name {
            text: text.to_owned(),
            at,
        }))
    }
}

impl Expression<Name> {
    /// Reads an expression.
    ///
    /// # Errors
    /// If the text is not one.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
            operands: 0,
        };
        let expression = parser.or()?;
        parser.skip_blanks();
        match parser.rest().is_empty() {
            true => Ok(expression),
            false => parser.error(ExpressionProblem::Expected("an operator or the end")),
        }
    }

    /// Puts the parts of signals in place of their names.
    ///
    /// # Errors
    /// The first error of `part_of`.
    pub fn resolve<E>(
        &self,
        part_of: &mut impl FnMut(&Name) -> std::result::Result<Part, E>,
    ) -> std::result::Result<Expression<Part>, E> {
        let mut one = |inner: &Self| inner.resolve(part_of).map(Box::new);
        Ok(match self {
            Self::Constant { value, width } => Expression::Constant {
                value: *value,
                width: *width,
            },
            Self::Not(inner) => Expression::Not(one(inner)?),
            Self::And(left, right) => Expression::And(one(left)?, one(right)?),
            Self::Or(left, right) => Expression::Or(one(left)?, one(right)?),
            Self::Equal(left, right, differs) => {
                Expression::Equal(one(left)?, one(right)?, *differs)
            }
            Self::Repeat(count, inner) => Expression::Repeat(*count, one(inner)?),
            Self::Signal(name) => Expression::Signal(part_of(name)?),
            Self::Join(parts) => {
                let mut joined = Vec::new();
                for part in parts {
                    joined.push(part.resolve(part_of)?);
                }
                Expression::Join(joined)
            }
        })
    }
}

/// The bits below a width.
fn mask(width: u32) -> u64 {
    match width {
        0 => 0,
        width => u64::MAX >> (MOST_BITS - width.min(MOST_BITS)),
    }
}

impl Expression<Part> {
    /// Returns the width in bits; none for a constant without a width.
    ///
    /// # Errors
    /// If widths do not agree, or a value has more than [`MOST_BITS`] bits.
    pub fn width(&self) -> std::result::Result<Option<u32>, ExpressionProblem> {
        let at_most = |bits: u32| match bits > MOST_BITS {
            true => Err(ExpressionProblem::TooWide(bits)),
            false => Ok(Some(bits)),
        };
        let both = |left: &Self, right: &Self| match (left.width()?, right.width()?) {
            (Some(one), Some(other)) if one != other => Err(ExpressionProblem::Widths(one, other)),
            (one, other) => Ok(one.or(other)),
        };
        match self {
            Self::Constant { width, .. } => Ok(*width),
            Self::Signal(part) => at_most(part.width),
            Self::Not(inner) => match inner.width()? {
                None => Err(ExpressionProblem::NoWidth),
                width => Ok(width),
            },
            Self::And(left, right) | Self::Or(left, right) => both(left, right),
            Self::Equal(left, right, _) => both(left, right).map(|_| Some(1)),
            Self::Repeat(count, inner) => match inner.width()? {
                None => Err(ExpressionProblem::NoWidth),
                Some(width) => at_most(width.saturating_mul(*count)),
            },
            Self::Join(parts) => {
                let mut sum = 0u32;
                for part in parts {
                    sum += part.width()?.ok_or(ExpressionProblem::NoWidth)?;
                }
                at_most(sum)
            }
        }
    }

    /// Calls `visit` with the place of each signal.
    pub fn each_signal(&self, visit: &mut impl FnMut(usize)) {
        match self {
            Self::Constant { .. } => {}
            Self::Signal(part) => visit(part.signal),
            Self::Not(inner) | Self::Repeat(_, inner) => inner.each_signal(visit),
            Self::And(left, right) | Self::Or(left, right) | Self::Equal(left, right, _) => {
                left.each_signal(visit);
                right.each_signal(visit);
            }
            Self::Join(parts) => parts.iter().for_each(|part| part.each_signal(visit)),
        }
    }

    /// Returns the value. `of` reads a part of a signal.
    pub fn value(&self, of: &impl Fn(&Part) -> Value) -> Value {
        self.evaluate(of).0
    }

    /// Returns the value and its width; 64 for a constant without one.
    fn evaluate(&self, of: &impl Fn(&Part) -> Value) -> (Value, u32) {
        match self {
            Self::Constant { value, width } => {
                let known = Value {
                    bits: *value,
                    unknown: 0,
                };
                (known, width.unwrap_or(MOST_BITS))
            }
            Self::Signal(part) => (of(part), part.width),
            Self::Not(inner) => {
                let (value, width) = inner.evaluate(of);
                let bits = !value.bits & !value.unknown & mask(width);
                (Value { bits, ..value }, width)
            }
            Self::And(left, right) => {
                let ((a, one), (b, other)) = (left.evaluate(of), right.evaluate(of));
                // A 0 on either side decides.
                let zero = !(a.bits | a.unknown) | !(b.bits | b.unknown);
                let value = Value {
                    bits: a.bits & b.bits,
                    unknown: (a.unknown | b.unknown) & !zero,
                };
                (value, one.min(other))
            }
            Self::Or(left, right) => {
                let ((a, one), (b, other)) = (left.evaluate(of), right.evaluate(of));
                let bits = a.bits | b.bits;
                let value = Value {
                    bits,
                    unknown: (a.unknown | b.unknown) & !bits,
                };
                (value, one.min(other))
            }
            Self::Equal(left, right, differs) => {
                let (a, b) = (left.evaluate(of).0, right.evaluate(of).0);
                let known = !(a.unknown | b.unknown);
                // A bit that certainly differs decides.
                let value = match (a.bits ^ b.bits) & known {
                    0 if known != u64::MAX => Value {
                        bits: 0,
                        unknown: 1,
                    },
                    difference => Value {
                        bits: u64::from((difference != 0) == *differs),
                        unknown: 0,
                    },
                };
                (value, 1)
            }
            Self::Join(parts) => {
                let parts = parts.iter().map(|part| part.evaluate(of));
                parts.fold((Value::default(), 0), joined)
            }
            Self::Repeat(count, inner) => {
                let once = inner.evaluate(of);
                (0..*count).fold((Value::default(), 0), |all, _| joined(all, once))
            }
        }
    }
}

/// Returns a value with another one behind it.
fn joined((high, so_far): (Value, u32), (low, width): (Value, u32)) -> (Value, u32) {
    let shift = |bits: u64| bits.checked_shl(width).unwrap_or(0);
    let value = Value {
        bits: shift(high.bits) | low.bits,
        unknown: shift(high.unknown) | low.unknown,
    };
    (value, so_far + width)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of an expression whose signals are `a` (0b1010, 4 bits), `b` (0b0110), and `u`
    /// (0b1x0z).
    fn value(text: &str) -> (u64, u64) {
        let expression =
            Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        let resolved = expression.resolve(&mut |name: &Name| {
            let (path, slice) = name
                .split()
                .unwrap_or((&name.text, Slice { high: 3, low: 0 }));
            let signal = ["a", "b", "u"].iter().position(|known| *known == path);
            signal.map_or(Err(path.to_owned()), |signal| {
                Ok(Part {
                    signal,
                    low: slice.low as u32,
                    width: (slice.high - slice.low + 1) as u32,
                })
            })
        });
        let resolved = resolved.unwrap();
        resolved.width().unwrap();
        let of = |part: &Part| {
            let (bits, unknown) = [(0b1010, 0), (0b0110, 0), (0b1000, 0b0101)][part.signal];
            Value {
                bits: (bits >> part.low) & mask(part.width),
                unknown: (unknown >> part.low) & mask(part.width),
            }
        };
        let value = resolved.value(&of);
        (value.bits, value.unknown)
    }

    #[test]
    fn operators_have_the_values_of_systemverilog() {
        for (text, bits) in [
            ("a", 0b1010),
            ("~a", 0b0101),
            ("a[3]", 1),
            ("a[2:1]", 0b01),
            ("{a, b}", 0b1010_0110),
            ("{2{a[1:0]}}", 0b1010),
            ("{ {3{a[3]}}, b[2:0] }", 0b111_110),
            ("a & ~b", 0b1000),
            ("a | b & 4'b0001", 0b1010),
            ("(a | b) & 4'd6", 0b0110),
            ("a == 4'hA", 1),
            ("a != b", 1),
            ("a[0] || b[1] && a[1]", 1),
            ("12'h0_FF", 0xFF),
            ("5", 5),
        ] {
            assert_eq!(value(text), (bits, 0), "{text}");
        }
    }

    #[test]
    fn a_bit_that_is_unknown_makes_unknown_what_depends_on_it_alone() {
        assert_eq!(value("u"), (0b1000, 0b0101));
        assert_eq!(value("~u"), (0b0010, 0b0101));
        assert_eq!(value("u & a"), (0b1000, 0));
        assert_eq!(value("u | b"), (0b1110, 0b0001));
        // The lowest two bits of the other side are 10: bit 1 differs for certain.
        assert_eq!(value("u == a"), (0, 0));
        assert_eq!(value("u[3:2] == a[3:2]"), (0, 1));
        assert_eq!(value("{u[0], a[3]}"), (1, 2));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_place() {
        for (text, at) in [
            ("", 0),
            ("a &", 3),
            ("a b", 2),
            ("{a, b", 5),
            ("(a", 2),
            ("3'd9", 0),
            ("3'q1", 0),
            ("65'd1", 0),
            ("a[3", 0),
            ("{99{a}}", 1),
        ] {
            let error = Expression::parse(text).unwrap_err();
            assert_eq!(error.at, at, "{text}: {error:?}");
        }
        let deep = format!("{}a{}", "(".repeat(1000), ")".repeat(1000));
        let error = Expression::parse(&deep).unwrap_err();
        assert_eq!(error.problem, ExpressionProblem::TooDeep);
        assert!(Expression::parse(&"~".repeat(1000)).is_err());
        let long = vec!["a"; 1000].join(" & ");
        let error = Expression::parse(&long).unwrap_err();
        assert_eq!(error.problem, ExpressionProblem::TooLong);
    }

    #[test]
    fn widths_that_do_not_agree_are_refused() {
        let width = |text: &str| {
            let part = |_: &Name| -> std::result::Result<Part, ()> {
                Ok(Part {
                    signal: 0,
                    low: 0,
                    width: 40,
                })
            };
            let expression = Expression::parse(text).unwrap();
            expression.resolve(&mut { part }).unwrap().width()
        };
        assert_eq!(width("a"), Ok(Some(40)));
        assert_eq!(width("{a, a}"), Err(ExpressionProblem::TooWide(80)));
        assert_eq!(width("{2{a}}"), Err(ExpressionProblem::TooWide(80)));
        assert_eq!(width("a & 3'd1"), Err(ExpressionProblem::Widths(40, 3)));
        assert_eq!(width("{a, 1}"), Err(ExpressionProblem::NoWidth));
        assert_eq!(width("a == 1"), Ok(Some(1)));
    }
}
