//! The name of one drawbridge among several.

use std::fmt;

use serde::Serialize;

/// What one daemon is called. Each has a chain of events of its own, so no two that share a store may have one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NodeName(String);

impl NodeName {
    /// The most characters.
    pub const LENGTH_MAX: usize = 63;

    /// Takes a name of letters, digits, `-`, `.` and `_`, which begins with a letter or a digit; nothing where it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let sound = begins && text.len() <= Self::LENGTH_MAX && text.chars().all(plain);
        sound.then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for NodeName {
    /// For a daemon that has no name and whose host has none.
    fn default() -> Self {
        Self("drawbridge".to_owned())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_hosts() {
        for good in ["bastion-1", "ip-10-0-1-20.eu-west-1.compute.internal", "7", "a_b"] {
            assert_eq!(NodeName::parse(good).expect(good).as_str(), good);
        }
        for bad in ["", "-a", ".", "a b", "a/b", "ä", "a\n", &"a".repeat(64)] {
            assert_eq!(NodeName::parse(bad), None, "{bad:?}");
        }
    }
}
