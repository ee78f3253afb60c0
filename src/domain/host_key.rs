//! Who can vouch for a machine's host key.

use serde::Serialize;

/// A voucher that is asked about a host key, in the order of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostKeyVoucher {
    /// A host certificate of a CA that the operator trusts.
    Ca,
    /// The key that is pinned to the machine.
    Pins,
    /// A tag of the instance.
    Tag,
    /// What the machine wrote on its console as it made its keys.
    Console,
    /// Nobody: the first key that is seen is believed.
    Tofu,
}

impl HostKeyVoucher {
    /// Every voucher, in the order in which they are asked where the config says nothing else.
    pub const ALL: [Self; 5] = [Self::Ca, Self::Pins, Self::Tag, Self::Console, Self::Tofu];

    /// The word in the config.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Pins => "pins",
            Self::Tag => "tag",
            Self::Console => "console",
            Self::Tofu => "tofu",
        }
    }
}

/// What vouched for a pinned key when it was pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinVoucher {
    /// Nothing: it was the first key seen.
    FirstUse,
    /// An operator entered it.
    Operator,
    /// A tag of the instance.
    Tag,
    /// The instance's console output.
    Console,
    /// A host certificate of a trusted CA.
    Ca,
}

impl PinVoucher {
    /// Every one of them.
    pub const ALL: [Self; 5] = [Self::FirstUse, Self::Operator, Self::Tag, Self::Console, Self::Ca];

    /// The name in the database, in lists and in the audit.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::Operator => "operator",
            Self::Tag => "tag",
            Self::Console => "console",
            Self::Ca => "ca",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|voucher| voucher.name() == name)
    }

    /// How it was pinned, as a phrase that goes on after "pinned".
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::FirstUse => "at first use",
            Self::Operator => "by an operator",
            Self::Tag => "as a tag of the instance said",
            Self::Console => "as the console output said",
            Self::Ca => "by a host certificate",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_wherever_they_are_written() {
        for voucher in PinVoucher::ALL {
            assert_eq!(PinVoucher::parse(voucher.name()), Some(voucher));
            assert_eq!(serde_json::to_value(voucher).expect("JSON"), voucher.name());
        }
        assert_eq!(PinVoucher::parse("nobody"), None);
    }
}
