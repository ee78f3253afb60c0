//! The ways in which a reference can be read: as a bare name, or as a name with an account or a
//! region before or after it.

use std::collections::BTreeSet;

use super::source::Place;
use crate::domain::{Target, TargetRef};

/// One way to read a reference: a name, and where it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reading {
    /// The name without qualifiers, in the spelling it came in.
    pub(super) name: String,
    account: Option<Account>,
    region: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Account {
    Alias(String),
    Number(String),
}

/// All readings, those with the fewest qualifiers first: a level is only worth trying when the
/// one before found nothing, so a `Name` tag with dots in it wins over a qualified name.
pub(super) fn levels(wanted: &TargetRef, places: &[Place]) -> [Vec<Reading>; 3] {
    let bare = Reading { name: unbracketed(wanted.as_str()).to_owned(), account: None, region: None };
    let once = qualified(&bare, places);
    let twice: BTreeSet<Reading> = once.iter().flat_map(|reading| qualified(reading, places)).collect();
    [vec![bare], once.into_iter().collect(), twice.into_iter().collect()]
}

impl Reading {
    /// Whether a place can hold what is meant. An account number is known only per target.
    pub(super) fn admits_place(&self, place: &Place) -> bool {
        let account = match &self.account {
            Some(Account::Alias(alias)) => place.account_alias.eq_ignore_ascii_case(alias),
            Some(Account::Number(_)) | None => true,
        };
        let region = self.region.as_deref();
        account && region.is_none_or(|region| place.region.eq_ignore_ascii_case(region))
    }

    /// Whether a target of an admitted place can be what is meant.
    pub(super) fn admits_target(&self, target: &Target) -> bool {
        match &self.account {
            Some(Account::Number(number)) => target.account == *number,
            Some(Account::Alias(_)) | None => true,
        }
    }
}

/// IPv6 addresses may be typed in brackets, as in a URL.
fn unbracketed(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.filter(|inner| !inner.is_empty()).unwrap_or(text)
}

/// The readings that take one more qualifier off, at the end or at the front.
fn qualified(reading: &Reading, places: &[Place]) -> BTreeSet<Reading> {
    let mut readings = BTreeSet::new();
    for place in places {
        if reading.account.is_none() {
            for name in peeled(&reading.name, &place.account_alias) {
                let account = Some(Account::Alias(place.account_alias.clone()));
                readings.insert(Reading { name, account, ..reading.clone() });
            }
        }
        if reading.region.is_none() {
            for name in peeled(&reading.name, &place.region) {
                readings.insert(Reading { name, region: Some(place.region.clone()), ..reading.clone() });
            }
        }
    }
    if reading.account.is_none() {
        for (name, number) in account_numbers(&reading.name) {
            readings.insert(Reading { name, account: Some(Account::Number(number)), ..reading.clone() });
        }
    }
    readings
}

/// What is left of `text` without `qualifier` and its dot, at the end and at the front.
fn peeled(text: &str, qualifier: &str) -> Vec<String> {
    let folded = text.to_ascii_lowercase();
    let qualifier = qualifier.to_ascii_lowercase();
    let before = folded
        .strip_suffix(&qualifier)
        .and_then(|rest| rest.strip_suffix('.'))
        .and_then(|rest| text.get(..rest.len()));
    let after = folded
        .strip_prefix(&qualifier)
        .and_then(|rest| rest.strip_prefix('.'))
        .and_then(|rest| text.get(text.len().saturating_sub(rest.len())..));
    [before, after]
        .into_iter()
        .flatten()
        .map(|name| unbracketed(name).to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// The same for account numbers: twelve digits.
fn account_numbers(text: &str) -> Vec<(String, String)> {
    let is_number = |label: &str| label.len() == 12 && label.bytes().all(|b| b.is_ascii_digit());
    let last = text.rsplit_once('.').filter(|(_, label)| is_number(label));
    let first = text.split_once('.').filter(|(label, _)| is_number(label)).map(|(label, rest)| (rest, label));
    [last, first]
        .into_iter()
        .flatten()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, number)| (unbracketed(name).to_owned(), number.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing::place;

    fn names(text: &str, level: usize) -> Vec<String> {
        let places = [place("prod", "eu-west-1"), place("dev", "us-east-1")];
        let wanted = TargetRef::parse(text).expect("a reference");
        levels(&wanted, &places)[level].iter().map(|reading| reading.name.clone()).collect()
    }

    #[test]
    fn qualifiers_come_off_at_either_end_and_in_either_order() {
        assert_eq!(names("web-1.prod", 1), ["web-1"]);
        assert_eq!(names("prod.web-1", 1), ["web-1"]);
        assert_eq!(names("WEB-1.EU-West-1", 1), ["WEB-1"]);
        assert_eq!(names("web-1.prod.eu-west-1", 2), ["web-1"]);
        assert_eq!(names("eu-west-1.web-1.prod", 2), ["web-1"]);
        assert_eq!(names("web-1.123456789012", 1), ["web-1"]);
        assert_eq!(names("[fd00::10].prod", 1), ["fd00::10"]);
        assert_eq!(names("web-1.staging", 1), Vec::<String>::new());
    }

    #[test]
    fn a_bare_qualifier_is_a_name() {
        assert_eq!(names("prod", 0), ["prod"]);
        assert_eq!(names(".prod", 1), Vec::<String>::new());
        assert_eq!(names("[]", 0), ["[]"]);
    }

    proptest::proptest! {
        #[test]
        fn any_reference_has_readings_that_are_parts_of_it(text in "[a-zA-Z0-9.\\[\\]:é-]{1,40}(\\.prod|\\.EU-WEST-1)?") {
            let places = [place("prod", "eu-west-1"), place("é", "us-east-1")];
            let wanted = TargetRef::parse(&text).expect("a reference");
            for reading in levels(&wanted, &places).iter().flatten() {
                proptest::prop_assert!(!reading.name.is_empty() && text.contains(&reading.name));
            }
        }
    }

    #[test]
    fn two_accounts_are_not_two_qualifiers() {
        assert_eq!(names("web-1.prod.dev", 2), Vec::<String>::new());
    }

    #[test]
    fn scopes_admit_only_what_they_say() {
        let places = [place("prod", "eu-west-1"), place("dev", "us-east-1")];
        let wanted = TargetRef::parse("web-1.prod").expect("a reference");
        let [_, once, _] = levels(&wanted, &places);
        assert!(once[0].admits_place(&places[0]));
        assert!(!once[0].admits_place(&places[1]));
    }
}
