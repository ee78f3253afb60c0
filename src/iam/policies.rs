//! The documents: one for what drawbridge runs as, and two for each role that it takes on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::document::{Document, Statement};
use super::needs::Circumstances;
use crate::aws::{IamAction, Needed, Scope};
use crate::config::{AccountConfig, Config};
use crate::domain::Login;
use crate::policy::Policy;
use crate::record::vault::{Encryption, S3Settings};
use crate::target;

/// The characters that a managed policy may have, blanks not counted (IAM quotas).
const MANAGED_POLICY_MAX: usize = 6144;
/// What stands for the daemon's role where nobody said which it is. IAM refuses it, so that nobody trusts a stranger.
const UNKNOWN_ROLE: &str = "arn:aws:iam::ACCOUNT-OF-DRAWBRIDGE:role/ROLE-OF-DRAWBRIDGE";

/// What the operator says beyond the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The OS users, where not those of the policy.
    pub logins: Vec<Login>,
    /// The tag that instances must have.
    pub required_tag: Option<RequiredTag>,
    /// The role that drawbridge runs with.
    pub bastion_role: Option<Principal>,
    /// Whether diagnosis is wanted although no rule permits it.
    pub diagnosis: bool,
}

/// A tag that instances must have for keys to be pushed to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequiredTag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl RequiredTag {
    /// Reads `KEY=VALUE`.
    ///
    /// # Errors
    /// When it is something else; the text says what is expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (key, value) = text.split_once('=').ok_or("write KEY=VALUE, such as drawbridge=allowed")?;
        // EC2: keys to 128 characters, values to 256. `*`, `?` and `$` mean something else to IAM.
        let plain =
            |text: &str| !text.contains(['*', '?', '$', '"', '\\']) && !text.contains(char::is_control);
        let fits = (1..=128).contains(&key.chars().count()) && value.chars().count() <= 256;
        if fits && plain(key) && plain(value) && !key.starts_with("aws:") {
            return Ok(Self { key: key.to_owned(), value: value.to_owned() });
        }
        Err("a tag's key has 1 to 128 characters, its value at most 256, and none of * ? $ \" \\")
    }
}

/// The ARN of a role or user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    arn: String,
    account: String,
}

impl Principal {
    /// Reads `arn:PARTITION:iam::ACCOUNT:role/NAME` or `…:user/NAME`.
    ///
    /// # Errors
    /// When it is something else; the text says what is expected.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const WANTED: &str = "write the ARN of a role, such as arn:aws:iam::123456789012:role/drawbridge";
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, name] = parts.as_slice() else { return Err(WANTED) };
        let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let kind = name.strip_prefix("role/").or_else(|| name.strip_prefix("user/"));
        let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c);
        let named = kind.is_some_and(|name| !name.is_empty() && name.chars().all(plain));
        if partition.starts_with("aws") && digits && named {
            return Ok(Self { arn: text.to_owned(), account: (*account).to_owned() });
        }
        Err(WANTED)
    }
}

/// All documents that a configuration needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policies {
    /// What drawbridge itself may do.
    pub bastion: Document,
    /// The roles in other accounts.
    pub accounts: Vec<AccountPolicies>,
    /// What was assumed, each a full sentence.
    pub notes: Vec<String>,
}

/// The documents of one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountPolicies {
    /// The accounts of the configuration that it is for, by their aliases.
    pub aliases: Vec<String>,
    /// Its ARN.
    pub role_arn: String,
    /// What it may do.
    pub permissions: Document,
    /// Who may take it on.
    pub trust: Document,
}

impl Policies {
    /// The documents for this configuration and policy.
    #[must_use]
    pub fn of(config: &Config, policy: &Policy, options: &Options) -> Self {
        Maker::new(config, policy, options).make()
    }
}

struct Maker<'a> {
    config: &'a Config,
    options: &'a Options,
    needs: Circumstances,
    logins: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Maker<'a> {
    fn new(config: &'a Config, policy: &Policy, options: &'a Options) -> Self {
        let needs = Circumstances::of(config, Some(policy));
        let diagnosable = needs.has(Needed::ForDiagnosis);
        let needs = if options.diagnosis { needs.with_diagnosis() } else { needs };
        let mut notes = Vec::new();
        let logins = logins(policy, options, &mut notes);
        if !diagnosable && !options.diagnosis {
            notes.push(
                "No rule of the policy permits \"diagnose\", so the permissions for diagnosis are left out; \
                 --diagnosis adds them for the operator."
                    .to_owned(),
            );
        }
        if options.required_tag.is_none() {
            notes.push(
                "Keys can be pushed to every instance of these accounts and regions; --require-tag KEY=VALUE narrows \
                 that to instances with a tag."
                    .to_owned(),
            );
        }
        Self { config, options, needs, logins, notes }
    }

    fn make(mut self) -> Policies {
        let bastion = self.bastion();
        let accounts: Vec<_> = self.roles().into_iter().map(|(arn, of)| self.account(arn, &of)).collect();
        if !accounts.is_empty() && self.options.bastion_role.is_none() {
            self.notes.push(format!(
                "The trust policies name {UNKNOWN_ROLE}, which IAM refuses: say with --bastion-role who drawbridge is. \
                 `drawbridge doctor` shows it."
            ));
        }
        let documents = accounts.iter().map(|account| (account.role_arn.as_str(), &account.permissions));
        let documents: Vec<_> =
            std::iter::once(("drawbridge's own role", &bastion)).chain(documents).collect();
        for (whose, document) in documents {
            if document.length() > MANAGED_POLICY_MAX {
                self.notes.push(format!(
                    "The permissions of {whose} have {} characters; a managed policy takes {MANAGED_POLICY_MAX}. \
                     Split its statements over two.",
                    document.length()
                ));
            }
        }
        Policies { bastion, accounts, notes: self.notes }
    }

    fn bastion(&mut self) -> Document {
        let own: Vec<&AccountConfig> =
            self.config.inventory.accounts.iter().filter(|account| account.role_arn.is_none()).collect();
        let regions = regions(own.iter().copied());
        let account = self.options.bastion_role.as_ref().map_or("*", |role| role.account.as_str());
        let mut statements = self.in_regions(&regions, account);
        if own.is_empty() && self.needs.has(Needed::ForDiagnosis) {
            // The bastion's own end of a diagnosis is looked at with its own credentials.
            let everywhere = regions_of(self.config);
            statements.extend(self.finding(&everywhere));
            statements.extend(self.diagnosing(&everywhere));
        }
        let roles: Vec<String> = self.roles().into_keys().map(str::to_owned).collect();
        if !roles.is_empty() {
            statements.push(Statement::allow("EnterOtherAccounts", self.names(Scope::Role), roles));
        }
        statements.extend(self.recordings());
        Document::new(statements)
    }

    fn account(&self, role_arn: &str, accounts: &[&AccountConfig]) -> AccountPolicies {
        let number = role_arn.split(':').nth(4).unwrap_or("*");
        let role = self.options.bastion_role.as_ref().map_or(UNKNOWN_ROLE, |role| &role.arn);
        let external_ids: BTreeSet<String> =
            accounts.iter().filter_map(|account| account.external_id.clone()).collect();
        let trust = Statement::allow("LetDrawbridgeIn", self.names(Scope::Role), Vec::new())
            .by(role.to_owned())
            .if_equal("sts:ExternalId", external_ids.into_iter().collect());
        AccountPolicies {
            aliases: accounts.iter().map(|account| account.alias.clone()).collect(),
            role_arn: role_arn.to_owned(),
            permissions: Document::new(self.in_regions(&regions(accounts.iter().copied()), number)),
            trust: Document::new(vec![trust]),
        }
    }

    /// The accounts of the configuration by the role that is taken on for them.
    fn roles(&self) -> BTreeMap<&'a str, Vec<&'a AccountConfig>> {
        let mut roles: BTreeMap<&str, Vec<&AccountConfig>> = BTreeMap::new();
        for account in &self.config.inventory.accounts {
            if let Some(role) = &account.role_arn {
                roles.entry(role).or_default().push(account);
            }
        }
        roles
    }

    /// What is needed in an account's regions.
    fn in_regions(&self, regions: &[String], account: &str) -> Vec<Statement> {
        if regions.is_empty() {
            return Vec::new();
        }
        let instance = |region: &String| {
            format!("arn:{}:ec2:{region}:{account}:instance/*", partition_of_region(region))
        };
        let instances: Vec<String> = regions.iter().map(instance).collect();
        let push = Statement::allow("PushKeys", self.names(Scope::Login), instances.clone())
            .if_equal("ec2:osuser", self.logins.clone());
        let read = Statement::allow("ReadConsoles", self.names(Scope::Instance), instances);
        let narrowed = [push, read].map(|statement| match &self.options.required_tag {
            Some(tag) => statement.if_equal(format!("aws:ResourceTag/{}", tag.key), vec![tag.value.clone()]),
            None => statement,
        });
        let narrowed = narrowed.into_iter().filter(|statement| !statement.action.is_empty());
        self.finding(regions).into_iter().chain(narrowed).chain(self.diagnosing(regions)).collect()
    }

    fn finding(&self, regions: &[String]) -> Option<Statement> {
        self.describing("FindInstances", Needed::Always, regions)
    }

    fn diagnosing(&self, regions: &[String]) -> Option<Statement> {
        self.describing("Diagnose", Needed::ForDiagnosis, regions)
    }

    fn describing(&self, sid: &'static str, needed: Needed, regions: &[String]) -> Option<Statement> {
        let wanted = |action: &&IamAction| action.needed == needed && action.scope == Scope::Region;
        let actions: Vec<_> = self.needs.actions().filter(wanted).map(|action| action.name).collect();
        let statement = Statement::allow(sid, actions, vec!["*".to_owned()]);
        (!statement.action.is_empty() && !regions.is_empty())
            .then(|| statement.if_equal("aws:RequestedRegion", regions.to_vec()))
    }

    fn recordings(&mut self) -> Vec<Statement> {
        let Some(bucket) = &self.config.recording.upload_to else { return Vec::new() };
        if let Some(url) = &bucket.endpoint_url {
            self.notes.push(format!(
                "Recordings go to {url}, which is not AWS's: what drawbridge may do there is set there."
            ));
            return Vec::new();
        }
        let region =
            bucket.region.as_deref().or(self.config.inventory.accounts.first().and_then(first_region));
        let partition = region.map_or("aws", partition_of_region);
        let S3Settings { bucket: name, prefix, .. } = bucket;
        let (inside, listed) = if prefix.is_empty() {
            ("*".to_owned(), Vec::new())
        } else {
            (format!("{prefix}/*"), vec![format!("{prefix}/*")])
        };
        let mut statements = vec![
            Statement::allow(
                "KeepRecordings",
                self.names(Scope::Object),
                vec![format!("arn:{partition}:s3:::{name}/{inside}")],
            ),
            Statement::allow(
                "TellMissingRecordings",
                self.names(Scope::Bucket),
                vec![format!("arn:{partition}:s3:::{name}")],
            )
            .condition("StringLikeIfExists", "s3:prefix", listed),
        ];
        match &bucket.encryption {
            Some(Encryption::Kms { key, .. }) => {
                statements.push(self.encryption(key.as_deref(), partition, bucket.region.as_deref()));
            }
            Some(Encryption::S3) => {}
            None => self.notes.push(format!(
                "If the bucket {name} encrypts with a key of KMS by itself, drawbridge needs kms:GenerateDataKey and \
                 kms:Decrypt for that key; name it with recording.s3_kms_key, and they are added."
            )),
        }
        statements
    }

    fn encryption(&self, key: Option<&str>, partition: &str, region: Option<&str>) -> Statement {
        let region = region.unwrap_or("*");
        let any = format!("arn:{partition}:kms:{region}:*:key/*");
        let alias = key.filter(|key| key.starts_with("alias/") || key.contains(":alias/"));
        let resource = match key {
            Some(key) if alias.is_none() && key.starts_with("arn:") => key.to_owned(),
            Some(key) if alias.is_none() => format!("arn:{partition}:kms:{region}:*:key/{key}"),
            Some(_) | None => any,
        };
        let service = format!("s3.{region}.amazonaws.com");
        let statement = Statement::allow("EncryptRecordings", self.names(Scope::Key), vec![resource])
            .condition("StringLike", "kms:ViaService", vec![service]);
        let alias = alias.map(|alias| alias.rsplit_once(':').map_or(alias, |(_, name)| name).to_owned());
        statement.condition("ForAnyValue:StringEquals", "kms:ResourceAliases", alias.into_iter().collect())
    }

    /// The names of the needed actions of a scope.
    fn names(&self, scope: Scope) -> Vec<&'static str> {
        self.needs.actions().filter(|action| action.scope == scope).map(|action| action.name).collect()
    }
}

/// The OS users that keys are pushed for.
fn logins(policy: &Policy, options: &Options, notes: &mut Vec<String>) -> Vec<String> {
    let of_policy = policy.named_logins();
    let (logins, why): (BTreeSet<Login>, _) = if !options.logins.is_empty() {
        (options.logins.iter().cloned().collect(), "They are those of --login.")
    } else if of_policy.open {
        let all = of_policy.named.into_iter().chain(target::default_logins()).collect();
        (
            all,
            "Some rule leaves the login open, so they are those that rules name and the usual ones of images; say with --login which you use.",
        )
    } else {
        (of_policy.named, "They are those that the policy's rules name.")
    };
    let logins: Vec<String> = logins.iter().map(|login| login.as_str().to_owned()).collect();
    if logins.is_empty() {
        notes.push("The policy lets nobody log in anywhere, so keys may be pushed for every OS user; say with --login which you use.".to_owned());
    } else {
        notes.push(format!("Keys may be pushed for {}. {why}", logins.join(", ")));
    }
    logins
}

fn first_region(account: &AccountConfig) -> Option<&str> {
    account.regions.first().map(String::as_str)
}

fn regions_of(config: &Config) -> Vec<String> {
    regions(config.inventory.accounts.iter())
}

fn regions<'a>(accounts: impl Iterator<Item = &'a AccountConfig>) -> Vec<String> {
    accounts
        .flat_map(|account| account.regions.iter().cloned())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The partition that a region is in (AWS's endpoint rules).
fn partition_of_region(region: &str) -> &'static str {
    const PARTITIONS: [(&str, &str); 6] = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
        ("eusc-", "aws-eusc"),
    ];
    PARTITIONS.iter().find(|(start, _)| region.starts_with(start)).map_or("aws", |(_, partition)| partition)
}
