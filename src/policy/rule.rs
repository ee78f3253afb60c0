//! One rule: what it says about itself, where it stands, and the names its conditions mention.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::permit::{Limits, RuleId};
use crate::domain::Login;

/// What a rule does when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It allows, unless a `forbid` rule matches too.
    Permit,
    /// It refuses, whatever else matches.
    Forbid,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        })
    }
}

/// Where a rule begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The policy file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One rule of a policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// What it does when it matches.
    pub effect: Effect,
    /// Where it begins.
    pub place: Place,
    /// What it is for, in its author's words (`@description`).
    pub description: Option<String>,
    /// The limits it sets (`@max_session`, `@idle`).
    pub limits: Limits,
    /// The logins it prefers, best first (`@login`). It permits others too, unless its conditions say otherwise.
    pub preferred_logins: Vec<Login>,
    /// The rule as it was written.
    pub text: String,
    /// What its conditions compare logins, commands, ports and other particulars with.
    #[serde(skip)]
    pub(super) named: super::named::Named,
}
