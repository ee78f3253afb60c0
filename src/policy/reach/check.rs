//! What rules compare values with, for the comparisons that are common: the others are Cedar's.
//!
//! Each answers what Cedar answers; a test asks both.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value as Json;

use super::formula::Truth;
use super::value::Value;
use crate::domain::Identity;

/// A comparison of one value with what a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// It is there at all; the one that a missing value does not fail.
    Present,
    Equals(String),
    OneOf(Vec<String>),
    Like(Pattern),
    /// It is the user's own name.
    UserName,
    /// It is one of the names of the user's groups.
    OneOfGroups,
    Number(Comparison, i64),
    OneOfNumbers(Vec<i64>),
    Within(IpNet),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn parse(operator: &str) -> Option<Self> {
        Some(match operator {
            "==" => Self::Equal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The same comparison with its operands the other way round.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl Check {
    /// What Cedar would say. A value of another sort than is compared with cannot come out of a valid policy; it fails.
    pub(super) fn truth(&self, value: Value<'_>, identity: &Identity) -> Truth {
        match value {
            Value::Missing if *self == Self::Present => Truth::DoesNotHold,
            Value::Missing => Truth::Fails,
            Value::Text(text) => self.of_text(text, identity),
            Value::Number(number) => self.of_number(number),
            Value::Address(address) => self.of_address(address),
        }
    }

    fn of_text(&self, text: &str, identity: &Identity) -> Truth {
        Truth::from(match self {
            Self::Present => true,
            Self::Equals(wanted) => text == wanted,
            Self::OneOf(wanted) => wanted.iter().any(|wanted| text == wanted),
            Self::Like(pattern) => pattern.matches(text),
            Self::UserName => text == identity.user.as_str(),
            Self::OneOfGroups => identity.groups.iter().any(|group| group == text),
            Self::Number(..) | Self::OneOfNumbers(_) | Self::Within(_) => return Truth::Fails,
        })
    }

    fn of_number(&self, number: i64) -> Truth {
        Truth::from(match self {
            Self::Present => true,
            Self::Number(comparison, other) => comparison.holds(number, *other),
            Self::OneOfNumbers(wanted) => wanted.contains(&number),
            Self::Equals(_)
            | Self::OneOf(_)
            | Self::Like(_)
            | Self::UserName
            | Self::OneOfGroups
            | Self::Within(_) => return Truth::Fails,
        })
    }

    fn of_address(&self, address: IpAddr) -> Truth {
        Truth::from(match self {
            Self::Present => true,
            Self::Within(range) => range.contains(&address),
            Self::Equals(_)
            | Self::OneOf(_)
            | Self::Like(_)
            | Self::UserName
            | Self::OneOfGroups
            | Self::Number(..)
            | Self::OneOfNumbers(_) => return Truth::Fails,
        })
    }
}

/// A pattern of `like`: texts, with anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What the text begins with.
    first: String,
    /// What follows, each after anything; where there is none, the text is just `first`.
    rest: Vec<String>,
}

impl Pattern {
    /// Reads a pattern in Cedar's JSON form.
    pub(super) fn parse(elements: &Json) -> Option<Self> {
        let mut pattern = Self { first: String::new(), rest: Vec::new() };
        for element in elements.as_array()? {
            if element.as_str() == Some("Wildcard") {
                pattern.rest.push(String::new());
            } else {
                let literal = element.get("Literal")?.as_str()?;
                pattern.rest.last_mut().unwrap_or(&mut pattern.first).push_str(literal);
            }
        }
        Some(pattern)
    }

    fn matches(&self, text: &str) -> bool {
        let Some((last, between)) = self.rest.split_last() else { return text == self.first };
        let Some(mut left) = text.strip_prefix(self.first.as_str()) else { return false };
        for part in between {
            let Some((_, after)) = left.split_once(part.as_str()) else { return false };
            left = after;
        }
        left.ends_with(last.as_str())
    }
}

/// Reads a range as Cedar does: an address, or an address and a prefix length, and IPv4 within IPv6 not at all.
pub(super) fn range(text: &str) -> Option<IpNet> {
    if text.contains(':') && text.contains('.') {
        return None;
    }
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
