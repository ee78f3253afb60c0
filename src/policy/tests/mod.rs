//! What policies answer, and what is said about broken ones.

mod decisions;
mod examples;
mod explanations;
mod problems;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Permit, Policy, Question, Refusal, RuleId};
use crate::domain::{Action, AuthMethod, Fingerprint, Identity, InstanceId, Login, Target, UserName};

/// A policy from a text that has no mistakes.
pub(in crate::policy) fn policy(text: &str) -> Policy {
    Policy::from_text("policy.cedar", text).unwrap_or_else(|problems| panic!("{}", listing(&problems)))
}

/// The problems of a text, one below the other.
fn problems(text: &str) -> String {
    listing(&Policy::from_text("policy.cedar", text).expect_err("problems"))
}

pub(in crate::policy) fn listing(problems: &[crate::problem::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

pub(in crate::policy) fn identity(user: &str, groups: &[&str]) -> Arc<Identity> {
    Arc::new(Identity {
        user: UserName::parse(user).expect("a user name"),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        auth: AuthMethod::PublicKey {
            fingerprint: Fingerprint::of_blob(b"key"),
            algorithm: "ssh-ed25519".to_owned(),
        },
        client_addr: "192.0.2.7".parse().expect("an address"),
    })
}

pub(in crate::policy) fn target(name: &str, tags: &[(&str, &str)]) -> Arc<Target> {
    let tags: BTreeMap<String, String> =
        tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Arc::new(Target {
        id: InstanceId::parse("i-0123456789abcdef0").expect("an id"),
        name: Some(name.to_owned()),
        account: "123456789012".to_owned(),
        account_alias: "main".to_owned(),
        region: "eu-west-1".to_owned(),
        availability_zone: "eu-west-1a".to_owned(),
        vpc: "vpc-1".to_owned(),
        subnet: "subnet-1".to_owned(),
        image: "ami-1".to_owned(),
        image_name: Some("al2023-ami".to_owned()),
        platform: "Linux/UNIX".to_owned(),
        private_ip: "10.0.0.10".parse().expect("an address"),
        other_ips: Vec::new(),
        private_dns: None,
        launch_time: None,
        port: 22,
        state: "running".to_owned(),
        tags,
    })
}

pub(in crate::policy) fn login(name: &str) -> Login {
    Login::parse(name).expect("a login")
}

pub(in crate::policy) fn noon() -> Timestamp {
    "2026-01-07T12:00:00Z".parse().expect("a time")
}

/// A question that reads as a sentence: `asks(alice, shell).on(web).of(&policy)`.
#[derive(Debug)]
struct Asks {
    identity: Arc<Identity>,
    target: Arc<Target>,
    login: Login,
    action: Action,
    now: Timestamp,
}

fn asks(identity: Arc<Identity>, action: Action) -> Asks {
    Asks {
        identity,
        action,
        target: target("web-1", &[("env", "dev")]),
        login: login("ec2-user"),
        now: noon(),
    }
}

impl Asks {
    fn on(mut self, target: Arc<Target>) -> Self {
        self.target = target;
        self
    }

    fn login(mut self, name: &str) -> Self {
        self.login = login(name);
        self
    }

    fn at(mut self, time: &str) -> Self {
        self.now = time.parse().expect("a time");
        self
    }

    fn question(&self) -> Question<'_> {
        Question {
            identity: &self.identity,
            target: &self.target,
            login: &self.login,
            action: &self.action,
            now: self.now,
        }
    }

    fn of(&self, policy: &Policy) -> Result<Permit, Refusal> {
        policy.decide(&self.question())
    }
}

fn exec(command: &str) -> Action {
    Action::Exec { command: command.to_owned() }
}

fn ids(rules: &[RuleId]) -> Vec<&str> {
    rules.iter().map(|rule| rule.0.as_str()).collect()
}
