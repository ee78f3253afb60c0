//! A policy document, as IAM takes it (IAM User Guide, "IAM JSON policy elements").

use std::collections::BTreeMap;

use serde::Serialize;

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    version: &'static str,
    /// Its statements; all of them allow.
    pub statement: Vec<Statement>,
}

/// One statement, which allows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// What it is for, in letters and digits.
    pub sid: &'static str,
    effect: &'static str,
    /// Whom it allows; only in trust policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<BTreeMap<&'static str, String>>,
    /// The actions.
    pub action: Vec<&'static str>,
    /// What they are about; not in trust policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    /// Conditions: operator, key, values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
}

impl Document {
    pub(super) fn new(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// The document as text with line breaks.
    #[must_use]
    pub fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// How many characters IAM counts: all but blanks.
    #[must_use]
    pub fn length(&self) -> usize {
        serde_json::to_string(self).unwrap_or_default().len()
    }
}

impl Statement {
    pub(super) fn allow(sid: &'static str, action: Vec<&'static str>, resource: Vec<String>) -> Self {
        Self { sid, effect: "Allow", principal: None, action, resource, condition: BTreeMap::new() }
    }

    /// Only if the key of the request has one of the values.
    pub(super) fn if_equal(self, key: impl Into<String>, values: Vec<String>) -> Self {
        self.condition("StringEquals", key, values)
    }

    pub(super) fn condition(
        mut self,
        operator: &'static str,
        key: impl Into<String>,
        values: Vec<String>,
    ) -> Self {
        if !values.is_empty() {
            self.condition.entry(operator).or_default().insert(key.into(), values);
        }
        self
    }

    pub(super) fn by(mut self, principal: String) -> Self {
        self.principal = Some(BTreeMap::from([("AWS", principal)]));
        self
    }
}
