//! What to ask EC2 for a name.

use std::net::{IpAddr, Ipv4Addr};

use aws_sdk_ec2::types::Filter;

use crate::domain::InstanceId;

/// What can be reached, or could be once it is started.
pub(super) const STATES: [&str; 4] = ["pending", "running", "stopping", "stopped"];

/// One way to ask for instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    Everything,
    Id(InstanceId),
    Address(IpAddr),
    DnsName(String),
    NameTag(Vec<String>),
}

/// What to ask for a name, the most definite first; the first that finds something ends it.
pub(super) fn questions(name: &str) -> Vec<Question> {
    let folded = name.to_ascii_lowercase();
    if let Some(id) = InstanceId::parse(&folded) {
        return vec![Question::Id(id)];
    }
    if let Ok(address) = folded.parse::<IpAddr>() {
        return vec![Question::Address(address.to_canonical())];
    }
    // Filters take `*` and `?` as wildcards: such a name would list other people's machines.
    if name.contains(['*', '?']) {
        return Vec::new();
    }
    let mut questions: Vec<Question> =
        address_in_dns_name(&folded).map(Question::Address).into_iter().collect();
    if folded.ends_with(".internal") || folded.ends_with(".internal.") {
        questions.push(Question::DnsName(folded.trim_end_matches('.').to_owned()));
    }
    // Tag filters are exact about case; the two most likely spellings go in one call.
    let mut spellings = vec![name.to_owned(), folded];
    spellings.dedup();
    questions.push(Question::NameTag(spellings));
    questions
}

/// `ip-10-0-0-1`, with or without a domain, names the address that it was given for.
fn address_in_dns_name(folded: &str) -> Option<IpAddr> {
    let host = folded.split('.').next()?.strip_prefix("ip-")?;
    host.replace('-', ".").parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

impl Question {
    /// The ids to ask for; together with them EC2 takes no page size.
    pub(super) fn instance_ids(&self) -> Option<Vec<String>> {
        match self {
            Self::Id(id) => Some(vec![id.as_str().to_owned()]),
            Self::Everything | Self::Address(_) | Self::DnsName(_) | Self::NameTag(_) => None,
        }
    }

    /// The filters, the one on states included.
    pub(super) fn filters(&self) -> Vec<Filter> {
        let asked = match self {
            Self::Everything | Self::Id(_) => None,
            Self::Address(IpAddr::V4(address)) => Some(filter("private-ip-address", [address.to_string()])),
            Self::Address(IpAddr::V6(address)) => Some(filter("ipv6-address", [address.to_string()])),
            Self::DnsName(name) => Some(filter("private-dns-name", [name])),
            Self::NameTag(spellings) => Some(filter("tag:Name", spellings)),
        };
        [filter("instance-state-name", STATES)].into_iter().chain(asked).collect()
    }
}

pub(super) fn filter<V: Into<String>>(name: &str, values: impl IntoIterator<Item = V>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_in_the_most_definite_way() {
        let address = |text: &str| Question::Address(text.parse().expect("an address"));
        let tag = |spellings: &[&str]| Question::NameTag(spellings.iter().map(|&s| s.to_owned()).collect());
        assert_eq!(questions("web-1"), [tag(&["web-1"])]);
        assert_eq!(questions("Web-1"), [tag(&["Web-1", "web-1"])]);
        assert_eq!(questions("10.0.0.1"), [address("10.0.0.1")]);
        assert_eq!(questions("FD00::1"), [address("fd00::1")]);
        assert_eq!(questions("ip-10-0-0-1"), [address("10.0.0.1"), tag(&["ip-10-0-0-1"])]);
        assert!(matches!(questions("i-0123456789abcdef0").as_slice(), [Question::Id(_)]));
        let resource_name = "i-0123456789abcdef0.eu-west-1.compute.internal";
        assert_eq!(
            questions(resource_name),
            [Question::DnsName(resource_name.to_owned()), tag(&[resource_name])]
        );
    }

    #[test]
    fn wildcards_are_never_asked_for() {
        assert_eq!(questions("*"), []);
        assert_eq!(questions("web-?"), []);
    }
}
