//! A company: 200 rules as different teams write them, and 10,000 instances in the tags, names and networks of theirs.
//!
//! - `tags`: 120 rules of teams for their own machines by `team` and `env`, with `@login` and an `unless` about root;
//!   20 of roles across teams (`role`, `env`); 10 of accounts; 10 for machines that say who owns them; 10 about single
//!   machines; 10 for forwards, `connect` and `tunnel`, by port; 20 that forbid, by tag, `unless` the client's address,
//!   the hour, the login or the group is right.
//! - `names`: the same, but the teams' rules go by name pattern and by range of private addresses: no two machines are
//!   alike in what rules read of them.
//!
//! Machines: 40 teams, 4 environments, 8 roles, 6 accounts, 4 regions, 50 owners, one name and one address each.

#![expect(clippy::indexing_slicing, reason = "the places are counted modulo the lengths")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use drawbridge::domain::{AuthMethod, Fingerprint, Identity, InstanceId, Target, UserName};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Tags,
    Names,
}

pub(crate) const SHAPES: [(&str, Shape); 2] = [("tags", Shape::Tags), ("names", Shape::Names)];

const TEAMS: usize = 40;
const ENVS: [&str; 4] = ["dev", "test", "stage", "prod"];
const ROLES: [&str; 8] = ["web", "db", "cache", "queue", "batch", "search", "proxy", "build"];

/// An engineer in two teams, and somebody who is in every team and group: every rule is about them.
pub(crate) fn people(client_addr: IpAddr) -> [(&'static str, Arc<Identity>); 2] {
    let everywhere =
        (0..TEAMS).map(|team| format!("team-{team}")).chain(["ops", "data", "dba"].map(str::to_owned));
    let person = |groups: Vec<String>| {
        let fingerprint = Fingerprint::of_blob(b"alice");
        let auth = AuthMethod::PublicKey { fingerprint, algorithm: "ssh-ed25519".to_owned() };
        let user = UserName::parse("alice").expect("a name");
        Arc::new(Identity { user, groups, auth, client_addr })
    };
    let few = ["team-3", "team-17", "data"].map(str::to_owned).to_vec();
    [("of_two_teams", person(few)), ("of_every_team", person(everywhere.collect()))]
}

/// 200 rules.
pub(crate) fn policy_text(shape: Shape) -> String {
    let mut text = String::new();
    let mut rule = |rule: String| writeln!(text, "{rule};").expect("written");
    for team in 0..TEAMS {
        for env in ["dev", "test", "stage"] {
            let what =
                if env == "dev" { "action" } else { r#"action in [Action::"session", Action::"forward"]"# };
            rule(format!(
                r#"@login("ec2-user, ubuntu") @idle("1h") permit (principal in Group::"team-{team}", {what}, resource)
                when {{ {} }} unless {{ context.login == "root" }}"#,
                of_team(shape, team, env)
            ));
        }
    }
    for (number, role) in ROLES.iter().cycle().take(20).enumerate() {
        let (group, env) = (["ops", "data", "dba"][number % 3], ENVS[number % 4]);
        rule(format!(
            r#"permit (principal in Group::"{group}", action in Action::"session", resource)
            when {{ resource.hasTag("role") && ["{role}", "{role}-old"].contains(resource.getTag("role")) }}
            when {{ resource.hasTag("env") && resource.getTag("env") == "{env}" && context.auth_method == "publickey" }}"#
        ));
    }
    for number in 0..10 {
        rule(format!(
            r#"@max_session("8h") permit (principal in Group::"ops", action, resource)
            when {{ resource.account_alias == "account-{}" && resource.region == "eu-west-{}" && context.login == "ops-{number}" }}"#,
            number % 6,
            number % 4
        ));
        rule(format!(
            r#"permit (principal, action in [Action::"shell", Action::"exec", Action::"sftp"], resource)
            when {{ resource.hasTag("owner") && resource.getTag("owner") == principal.name &&
                    resource has name && resource.name like "*-{number}-*" }}"#
        ));
        rule(format!(
            r#"permit (principal == User::"alice", action, resource == Instance::"i-{:017x}")
            when {{ context.time < datetime("2999-01-01") }}"#,
            number * 7
        ));
    }
    for (number, port) in [22, 80, 443, 3306, 5432].into_iter().enumerate() {
        rule(format!(
            r#"permit (principal in Group::"team-{number}", action == Action::"connect", resource)
            when {{ resource.hasTag("role") && resource.getTag("role") == "db" && context.destination.port == {port} }}"#
        ));
        rule(format!(
            r#"permit (principal in Group::"data", action in [Action::"local-forward", Action::"tunnel"], resource)
            when {{ resource.hasTag("role") && resource.getTag("role") == "{}" }}
            when {{ !(context has destination) || (context.destination.host == "localhost" && context.destination.port == {port}) }}"#,
            ROLES[number]
        ));
    }
    for number in 0..5 {
        rule(format!(
            r#"forbid (principal, action, resource) when {{ resource.hasTag("closed-{number}") }}"#
        ));
        rule(format!(
            r#"forbid (principal, action, resource)
            when {{ resource.hasTag("env") && resource.getTag("env") == "prod" && resource.account_alias == "account-{number}" }}
            unless {{ context.client_addr.isInRange(ip("192.0.2.0/24")) || context.client_addr.isInRange(ip("2001:db8:{number}::/48")) }}"#
        ));
        rule(format!(
            r#"forbid (principal, action == Action::"exec", resource)
            when {{ resource.hasTag("team") && resource.getTag("team") == "team-{number}" && context.command like "*shutdown-{number}*" }}"#
        ));
        rule(format!(
            r#"forbid (principal, action, resource)
            when {{ resource has name && resource.name like "vault-{number}*" }}
            unless {{ principal in Group::"ops" && context.time.toTime() >= duration("{number}h") && context.login != "root" }}"#
        ));
    }
    text
}

fn of_team(shape: Shape, team: usize, env: &str) -> String {
    match shape {
        Shape::Tags => format!(
            r#"resource.hasTag("team") && resource.getTag("team") == "team-{team}" &&
               resource.hasTag("env") && resource.getTag("env") == "{env}""#
        ),
        Shape::Names => format!(
            r#"(resource has name && resource.name like "{env}-t{team}-*") ||
               resource.private_ip.isInRange(ip("10.{team}.{}.0/24"))"#,
            env.len()
        ),
    }
}

/// The machine with a number.
pub(crate) fn target(number: u16) -> Target {
    let place = usize::from(number);
    let (team, env, role) = (place % TEAMS, ENVS[place / 7 % 4], ROLES[place / 3 % 8]);
    let [_, low] = number.to_be_bytes();
    let name = if place % 97 == 0 {
        format!("vault-{}", place % 9)
    } else {
        format!("{env}-t{team}-{role}-{place}")
    };
    let tags = [
        ("Name", name.clone()),
        ("team", format!("team-{team}")),
        ("env", env.to_owned()),
        ("role", role.to_owned()),
        ("owner", if place % 50 == 0 { "alice".to_owned() } else { format!("user-{}", place % 50) }),
        ("service", "main".to_owned()),
    ];
    let mut tags: BTreeMap<String, String> =
        tags.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    if place % 500 == 0 {
        tags.insert(format!("closed-{}", place % 5), "yes".to_owned());
    }
    let second = u8::try_from(team).expect("a small number");
    let third = u8::try_from(place / 256).expect("a small number");
    Target {
        id: InstanceId::parse(&format!("i-{number:017x}")).expect("an id"),
        name: Some(name),
        account: format!("{:012}", place % 6),
        account_alias: format!("account-{}", place % 6),
        region: format!("eu-west-{}", place % 4),
        availability_zone: format!("eu-west-{}a", place % 4),
        vpc: format!("vpc-{}", place % 6),
        subnet: format!("subnet-{}", place % 12),
        image: format!("ami-{}", place % 20),
        image_name: Some(["al2023-ami-2023", "ubuntu/images/22.04", "debian-12"][place % 3].to_owned()),
        platform: "Linux/UNIX".to_owned(),
        private_ip: IpAddr::V4(Ipv4Addr::new(10, second, third, low)),
        other_ips: Vec::new(),
        private_dns: None,
        launch_time: None,
        port: 22,
        state: "running".to_owned(),
        tags,
    }
}
