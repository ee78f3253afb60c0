//! `[inventory]` and its accounts: whose instances exist for drawbridge.

use std::collections::BTreeSet;
use std::time::Duration;

use ::config::Value;

use super::origin::Complaint;
use super::reader::Section;
use super::value::{quoted, text};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

/// `[inventory]`: where instances are looked for, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryConfig {
    /// From the end of one refresh of an account and region to the start of the next.
    pub refresh_interval: Duration,
    /// The most time for looking up one name that the last refresh did not find.
    pub lookup_timeout: Duration,
    /// The most time for one refresh of one account and region.
    pub refresh_timeout: Duration,
    /// The most instances that are kept.
    pub instances_max: usize,
    /// The accounts; aliases are unique, and no two cover the same account and region.
    pub accounts: Vec<AccountConfig>,
}

/// One `[[inventory.accounts]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountConfig {
    /// What people call the account: letters, digits, `_` and `-`, so that it can qualify a
    /// target's name.
    pub alias: String,
    /// The regions; at least one.
    pub regions: Vec<String>,
    /// The role to assume there; none means the daemon's own credentials.
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    pub external_id: Option<String>,
    /// The role session's name, as CloudTrail shows it.
    pub session_name: String,
}

impl InventoryConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let mut accounts: Vec<AccountConfig> = Vec::new();
        section.tables("accounts", "inventory.accounts", |section| {
            let account = AccountConfig::read(section);
            if section.is_sound() {
                complain_about_overlap(section, &account, &accounts);
                accounts.push(account);
            }
        });
        Self {
            refresh_interval: section.duration("refresh_interval", MINUTE, SECOND..=60 * MINUTE),
            lookup_timeout: section.duration("lookup_timeout", 5 * SECOND, SECOND..=MINUTE),
            refresh_timeout: section.duration("refresh_timeout", MINUTE, SECOND..=15 * MINUTE),
            instances_max: section.integer("instances_max", 50_000, 1..=1_000_000),
            accounts,
        }
    }
}

impl AccountConfig {
    fn read(section: &mut Section<'_>) -> Self {
        section.require("alias", "\"production\"");
        section.require("regions", "[\"eu-west-1\"]");
        Self {
            alias: section.parse("alias", alias).unwrap_or_default(),
            regions: regions(section),
            role_arn: section.parse("role_arn", role_arn),
            external_id: section.parse("external_id", external_id),
            session_name: section
                .parse("session_name", session_name)
                .unwrap_or_else(|| "drawbridge".to_owned()),
        }
    }
}

fn complain_about_overlap(section: &mut Section<'_>, account: &AccountConfig, earlier: &[AccountConfig]) {
    for other in earlier {
        if other.alias == account.alias {
            section.complain(
                Complaint::new(format!("two accounts have the alias {}", quoted(&account.alias)))
                    .hint("give each account an alias of its own"),
            );
        }
        let shared = account.regions.iter().find(|region| other.regions.contains(region));
        if let (true, Some(region)) = (other.role_arn == account.role_arn, shared) {
            section.complain(
                Complaint::new(format!(
                    "{} and {} read the same account in {region}, so every name there would be ambiguous",
                    quoted(&other.alias),
                    quoted(&account.alias)
                ))
                .hint("give one of them a role_arn in another account, or other regions"),
            );
        }
    }
}

fn alias(value: &Value) -> Result<String, Complaint> {
    const LENGTH_MAX: usize = 63;
    let text = text(value)?;
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if !plain || text.len() > LENGTH_MAX {
        return Err(Complaint::new(format!("{} cannot be an alias", quoted(text)))
            .hint(format!("write at most {LENGTH_MAX} letters, digits, '_' and '-'")));
    }
    if is_region(text) {
        return Err(Complaint::new(format!("{} reads like a region", quoted(text)))
            .hint("choose an alias that cannot be mistaken for one"));
    }
    Ok(text.to_owned())
}

fn regions(section: &mut Section<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    section.list("regions", 1, Vec::new, |value| {
        let region = region(value)?;
        if seen.insert(region.clone()) {
            return Ok(region);
        }
        Err(Complaint::new(format!("{} is listed twice", quoted(&region))).hint("remove one of the two"))
    })
}

fn region(value: &Value) -> Result<String, Complaint> {
    let text = text(value)?;
    if is_region(text) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} is not a region", quoted(text)))
        .hint("write the region's code, such as \"eu-west-1\""))
}

/// `eu-west-1`, `us-gov-east-1`, `eusc-de-east-1`: words of letters, then a number.
pub(crate) fn is_region(text: &str) -> bool {
    let Some((words, number)) = text.rsplit_once('-') else { return false };
    let word = |word: &str| word.len() >= 2 && word.bytes().all(|b| b.is_ascii_lowercase());
    let number_is_short = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    number_is_short && words.contains('-') && words.split('-').all(word)
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH`.
fn role_arn(value: &Value) -> Result<String, Complaint> {
    let text = text(value)?;
    let complaint = |what: &str| {
        Complaint::new(format!("{} is not the ARN of a role: {what}", quoted(text)))
            .hint("its form is arn:aws:iam::123456789012:role/NAME")
    };
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
        return Err(complaint("it does not begin with arn:aws:iam::"));
    };
    if *partition != "aws" && !partition.starts_with("aws-") {
        return Err(complaint("the partition is not aws, aws-cn, aws-us-gov or another of AWS's"));
    }
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return Err(complaint("the account is not 12 digits"));
    }
    match resource.strip_prefix("role/") {
        Some(name) if !name.is_empty() && !name.contains(char::is_whitespace) => Ok(text.to_owned()),
        _ => Err(complaint("it names no role")),
    }
}

/// STS: 2 to 1224 characters of `[\w+=,.@:/-]`.
fn external_id(value: &Value) -> Result<String, Complaint> {
    sts_text(value, 1224, "+=,.@:/-")
}

/// STS: 2 to 64 characters of `[\w+=,.@-]`.
fn session_name(value: &Value) -> Result<String, Complaint> {
    sts_text(value, 64, "+=,.@-")
}

fn sts_text(value: &Value, most: usize, also: &str) -> Result<String, Complaint> {
    let text = text(value)?;
    let fits = (2..=most).contains(&text.len());
    if fits && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c)) {
        return Ok(text.to_owned());
    }
    Err(Complaint::new(format!("{} is not what STS accepts", quoted(text)))
        .hint(format!("write 2 to {most} letters, digits and any of _{also}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_recognised() {
        for good in ["eu-west-1", "us-gov-east-1", "ap-southeast-5", "eusc-de-east-1", "us-iso-west-1"] {
            assert!(is_region(good), "{good}");
        }
        for bad in ["eu-west", "EU-WEST-1", "eu-west-1a", "west-1", "eu--1", "", "eu-west-100"] {
            assert!(!is_region(bad), "{bad}");
        }
    }

    #[test]
    fn role_arns_are_checked_part_by_part() {
        let check = |text: &str| role_arn(&Value::new(None, text));
        assert!(check("arn:aws:iam::111111111111:role/drawbridge-target").is_ok());
        assert!(check("arn:aws-us-gov:iam::111111111111:role/path/to/name").is_ok());
        for bad in [
            "drawbridge-target",
            "arn:aws:iam::1111:role/x",
            "arn:aws:iam::111111111111:user/x",
            "arn:aws:iam::111111111111:role/",
            "arn:gcp:iam::111111111111:role/x",
            "arn:aws:iam:eu-west-1:111111111111:role/x",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sts_names_have_their_limits() {
        assert!(session_name(&Value::new(None, "drawbridge")).is_ok());
        assert!(session_name(&Value::new(None, "a")).is_err());
        assert!(session_name(&Value::new(None, "a".repeat(65).as_str())).is_err());
        assert!(session_name(&Value::new(None, "a:b")).is_err());
        assert!(external_id(&Value::new(None, "a:b/c")).is_ok());
    }
}
