//! What a table looks like, and how its gaps are filled.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::domain::{InstanceId, Target};
use crate::problem::{Problem, position};

/// The instance's address where a case does not say.
const PRIVATE_IP_DEFAULT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10));

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Decision {
    Permit,
    Refuse,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTable {
    #[serde(default)]
    pub(super) defaults: RawCase,
    #[serde(default)]
    pub(super) case: Vec<Spanned<RawCase>>,
}

impl RawTable {
    pub(super) fn parse(name: &Path, text: &str) -> Result<Self, Vec<Problem>> {
        let table: Self = toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().unwrap_or_default().start);
            vec![Problem::new(name, error.message()).at_line(line).at_column(column)]
        })?;
        if table.case.is_empty() {
            let problem = Problem::new(name, "the table has no cases")
                .with_hint("begin each case with a line [[case]]");
            return Err(vec![problem]);
        }
        Ok(table)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCase {
    pub(super) name: Option<String>,
    pub(super) user: Option<String>,
    pub(super) groups: Option<Vec<String>>,
    #[serde(default)]
    pub(super) target: RawTarget,
    pub(super) login: Option<String>,
    pub(super) action: Option<String>,
    pub(super) command: Option<String>,
    pub(super) subsystem: Option<String>,
    pub(super) destination: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) path: Option<String>,
    pub(super) connect: Option<String>,
    pub(super) address: Option<IpAddr>,
    pub(super) client_addr: Option<IpAddr>,
    pub(super) auth_method: Option<String>,
    pub(super) time: Option<String>,
    pub(super) expect: Option<Decision>,
    pub(super) rule: Option<String>,
}

impl RawCase {
    /// Fills in what the case does not say. Groups go with the user they were given for.
    pub(super) fn or(self, defaults: &Self) -> Self {
        let defaults = defaults.clone();
        let groups = if self.user.is_none() { self.groups.or(defaults.groups) } else { self.groups };
        Self {
            name: self.name,
            user: self.user.or(defaults.user),
            groups,
            target: self.target.or(defaults.target),
            login: self.login.or(defaults.login),
            action: self.action.or(defaults.action),
            command: self.command.or(defaults.command),
            subsystem: self.subsystem.or(defaults.subsystem),
            destination: self.destination.or(defaults.destination),
            listen: self.listen.or(defaults.listen),
            path: self.path.or(defaults.path),
            connect: self.connect.or(defaults.connect),
            address: self.address.or(defaults.address),
            client_addr: self.client_addr.or(defaults.client_addr),
            auth_method: self.auth_method.or(defaults.auth_method),
            time: self.time.or(defaults.time),
            expect: self.expect.or(defaults.expect),
            rule: self.rule,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) account: Option<String>,
    pub(super) account_alias: Option<String>,
    pub(super) region: Option<String>,
    pub(super) availability_zone: Option<String>,
    pub(super) vpc: Option<String>,
    pub(super) subnet: Option<String>,
    pub(super) image: Option<String>,
    pub(super) image_name: Option<String>,
    pub(super) platform: Option<String>,
    pub(super) private_ip: Option<IpAddr>,
    pub(super) state: Option<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
}

impl RawTarget {
    /// Fills in what the case does not say; tags are taken one by one.
    fn or(self, defaults: Self) -> Self {
        let mut tags = defaults.tags;
        tags.extend(self.tags);
        Self {
            id: self.id.or(defaults.id),
            name: self.name.or(defaults.name),
            account: self.account.or(defaults.account),
            account_alias: self.account_alias.or(defaults.account_alias),
            region: self.region.or(defaults.region),
            availability_zone: self.availability_zone.or(defaults.availability_zone),
            vpc: self.vpc.or(defaults.vpc),
            subnet: self.subnet.or(defaults.subnet),
            image: self.image.or(defaults.image),
            image_name: self.image_name.or(defaults.image_name),
            platform: self.platform.or(defaults.platform),
            private_ip: self.private_ip.or(defaults.private_ip),
            state: self.state.or(defaults.state),
            tags,
        }
    }

    /// The machine, with fixed values for what nobody said.
    pub(super) fn target(self) -> Result<Target, String> {
        let or = |value: Option<String>, otherwise: &str| value.unwrap_or_else(|| otherwise.to_owned());
        let id = or(self.id, "i-00000000000000000");
        let region = or(self.region, "eu-west-1");
        let mut tags = self.tags;
        let name = self.name.or_else(|| tags.get("Name").cloned());
        if let Some(name) = &name {
            tags.insert("Name".to_owned(), name.clone());
        }
        Ok(Target {
            id: InstanceId::parse(&id)
                .ok_or_else(|| format!("`{id}` is no instance id; it is `i-` and 17 hexadecimal digits"))?,
            name,
            account: or(self.account, "123456789012"),
            account_alias: or(self.account_alias, "main"),
            availability_zone: self.availability_zone.unwrap_or_else(|| format!("{region}a")),
            region,
            vpc: or(self.vpc, "vpc-00000000"),
            subnet: or(self.subnet, "subnet-00000000"),
            image: or(self.image, "ami-00000000"),
            image_name: self.image_name,
            platform: or(self.platform, "Linux/UNIX"),
            private_ip: self.private_ip.unwrap_or(PRIVATE_IP_DEFAULT),
            other_ips: Vec::new(),
            private_dns: None,
            launch_time: None,
            port: 22,
            state: or(self.state, "running"),
            tags,
        })
    }
}
