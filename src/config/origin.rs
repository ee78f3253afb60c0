//! Where a value was written: a line of the file, a variable or a flag.
//!
//! The layering crate carries one string of origin with each value; [`Origin`] is that string,
//! understood.

use std::path::Path;

use ::config::Value;

use crate::problem::Problem;

/// Where a value was written. Ordered as problems are listed: the file top to bottom, then
/// variables, then flags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Nowhere: the value is a default, or the file as a whole is meant.
    Default,
    /// A line of the file, from 1.
    Line(usize),
    /// The environment variable of this name.
    Variable(String),
    /// A flag, as in `--set server.port`.
    Flag(String),
}

impl Origin {
    /// Where this value was written.
    pub(super) fn of(value: &Value) -> Self {
        let Some((kind, rest)) = value.origin().and_then(|text| text.split_once(':')) else {
            return Self::Default;
        };
        match kind {
            "line" => rest.parse().map_or(Self::Default, Self::Line),
            "variable" => Self::Variable(rest.to_owned()),
            "flag" => Self::Flag(rest.to_owned()),
            _ => Self::Default,
        }
    }

    /// The string that travels with a value through the layering crate.
    pub(super) fn tag(&self) -> String {
        match self {
            Self::Default => String::new(),
            Self::Line(line) => format!("line:{line}"),
            Self::Variable(name) => format!("variable:{name}"),
            Self::Flag(flag) => format!("flag:{flag}"),
        }
    }

    /// Whether values from here are plain text, to be read as whatever type the key has.
    pub(super) fn is_plain_text(&self) -> bool {
        match self {
            Self::Variable(_) | Self::Flag(_) => true,
            Self::Default | Self::Line(_) => false,
        }
    }

    /// How `section.key` would be spelled in a place like this one.
    pub(super) fn spell(&self, section: &str, key: &str) -> String {
        match self {
            Self::Default | Self::Line(_) => key.to_owned(),
            Self::Variable(_) => {
                format!("{}{}__{}", super::VARIABLE_PREFIX, section.to_uppercase(), key.to_uppercase())
            }
            Self::Flag(_) => format!("{section}.{key}"),
        }
    }
}

/// What is wrong with one value, before it is known where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Complaint {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A complaint with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) origin: Origin,
    pub(super) column: Option<usize>,
    pub(super) complaint: Complaint,
}

impl Placed {
    pub(super) fn new(origin: Origin, complaint: Complaint) -> Self {
        Self { origin, column: None, complaint }
    }

    /// The problem to show; `file` is the file that [`Origin::Line`] means.
    pub(super) fn into_problem(self, file: Option<&Path>) -> Problem {
        let file = file.unwrap_or(Path::new("configuration"));
        let message = self.complaint.message;
        let mut problem = match self.origin {
            Origin::Default => Problem::new(file, message),
            Origin::Line(line) => Problem::new(file, message).at_line(line),
            Origin::Variable(name) => Problem::new(name, message),
            Origin::Flag(flag) => Problem::new(flag, message),
        };
        problem.column = self.column;
        problem.hint = self.complaint.hint;
        problem
    }
}

/// The problems to show, in reading order.
pub(super) fn into_problems(mut placed: Vec<Placed>, file: Option<&Path>) -> Vec<Problem> {
    placed.sort_by(|a, b| (&a.origin, a.column).cmp(&(&b.origin, b.column)));
    placed.into_iter().map(|one| one.into_problem(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_travel_through_a_value() {
        for origin in [
            Origin::Default,
            Origin::Line(12),
            Origin::Variable("DRAWBRIDGE__A__B".to_owned()),
            Origin::Flag("--set a.b".to_owned()),
        ] {
            assert_eq!(Origin::of(&Value::new(Some(&origin.tag()), 1)), origin);
        }
    }
}
