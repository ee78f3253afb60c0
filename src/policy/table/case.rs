//! One case of a table, well formed, and how an answer compares with it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::Timestamp;

use super::Answer;
use super::raw::{Decision, RawCase};
use crate::domain::{
    Action, ActionKind, AuthMethod, CertificateFacts, Fingerprint, Identity, Login, Target, UserName,
};
use crate::policy::{Policy, Question, RuleId};

/// A Wednesday noon, for cases that do not say when.
const TIME_DEFAULT: &str = "2026-01-07T12:00:00Z";
/// An address of the documentation range (RFC 5737), for cases that do not say where from.
const CLIENT_ADDR_DEFAULT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// One expected decision, well formed.
pub(super) struct Case {
    name: Option<String>,
    identity: Arc<Identity>,
    target: Arc<Target>,
    login: Login,
    action: Action,
    now: Timestamp,
    expect: Decision,
    rule: Option<RuleId>,
}

impl Case {
    pub(super) fn new(
        policy: &Policy,
        raw: RawCase,
        groups_of: &dyn Fn(&UserName) -> Option<Vec<String>>,
    ) -> Result<Self, Vec<String>> {
        let mut complaints = Vec::new();
        let mut note = |complaint: String| complaints.push(complaint);
        let action = action(raw.action, raw.command, raw.subsystem).map_err(&mut note).ok();
        let user = user(raw.user, raw.groups, groups_of).map_err(&mut note).ok();
        let auth = auth_method(raw.auth_method.as_deref()).map_err(&mut note).ok();
        let target = raw.target.target().map_err(&mut note).ok();
        let login = login(raw.login.as_deref()).map_err(&mut note).ok();
        let now = time(raw.time.as_deref()).map_err(&mut note).ok();
        let rule = known_rule(policy, raw.rule).map_err(&mut note).ok();
        let expect =
            raw.expect.ok_or("the case does not say what it expects; add expect = \"permit\" or \"refuse\"");
        let expect = expect.map_err(|complaint| note(complaint.to_owned())).ok();
        let case = || {
            let (user, groups) = user?;
            let client_addr = raw.client_addr.unwrap_or(CLIENT_ADDR_DEFAULT);
            Some(Self {
                name: raw.name,
                identity: Arc::new(Identity { user, groups, auth: auth?, client_addr }),
                target: Arc::new(target?),
                login: login?,
                action: action?,
                now: now?,
                expect: expect?,
                rule: rule?,
            })
        };
        case().ok_or(complaints)
    }

    pub(super) fn question(&self) -> Question<'_> {
        Question {
            identity: &self.identity,
            target: &self.target,
            login: &self.login,
            action: &self.action,
            now: self.now,
        }
    }

    /// What is different from what was expected.
    pub(super) fn compare(&self, answer: &Answer) -> Option<String> {
        let title = self.title();
        let text = &answer.text;
        if answer.decision != self.expect {
            let expected = match self.expect {
                Decision::Permit => "a permit",
                Decision::Refuse => "a refusal",
            };
            return Some(format!("{title}: expected {expected}, but {text}"));
        }
        let rule = self.rule.as_ref().filter(|rule| !answer.rules.contains(rule))?;
        Some(format!("{title}: expected rule `{rule}` to decide, but {text}"))
    }

    fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let action = self.action.kind();
            format!("{}, {action} on {} as {}", self.identity.user, self.target.display_name(), self.login)
        })
    }
}

type UserAndGroups = (UserName, Vec<String>);

fn user(
    name: Option<String>,
    groups: Option<Vec<String>>,
    groups_of: &dyn Fn(&UserName) -> Option<Vec<String>>,
) -> Result<UserAndGroups, String> {
    let name = name.ok_or("the case names no user; add user = \"…\"")?;
    let user = UserName::parse(&name).map_err(|error| format!("`{name}` is no user name: {error}"))?;
    let mut groups = groups.or_else(|| groups_of(&user)).ok_or_else(|| {
        format!("the groups of `{user}` are not known; add groups = […] to the case, [] for none")
    })?;
    groups.sort();
    groups.dedup();
    Ok((user, groups))
}

fn action(
    kind: Option<String>,
    command: Option<String>,
    subsystem: Option<String>,
) -> Result<Action, String> {
    let implied = if command.is_some() {
        ActionKind::Exec
    } else if subsystem.is_some() {
        ActionKind::Subsystem
    } else {
        ActionKind::Shell
    };
    let kind = match kind {
        None => implied,
        Some(name) => ActionKind::parse(&name).ok_or_else(|| {
            let known = ActionKind::ALL.map(ActionKind::name).join(", ");
            format!("there is no action `{name}`; the actions are {known}")
        })?,
    };
    Ok(match kind {
        ActionKind::Shell => Action::Shell,
        ActionKind::Exec => Action::Exec { command: command.unwrap_or_else(|| "true".to_owned()) },
        ActionKind::Sftp => Action::Sftp,
        ActionKind::Subsystem => {
            Action::Subsystem { name: subsystem.unwrap_or_else(|| "netconf".to_owned()) }
        }
        ActionKind::Tunnel => Action::Tunnel,
        ActionKind::Agent => Action::Agent,
        ActionKind::X11 => Action::X11,
        ActionKind::LocalForward
        | ActionKind::RemoteForward
        | ActionKind::LocalSocket
        | ActionKind::RemoteSocket
        | ActionKind::Connect => return Err(format!("a table cannot ask about `{kind}` yet")),
    })
}

fn auth_method(name: Option<&str>) -> Result<AuthMethod, String> {
    let fingerprint = Fingerprint::of_blob(b"");
    let algorithm = "ssh-ed25519".to_owned();
    match name {
        None | Some("publickey") => Ok(AuthMethod::PublicKey { fingerprint, algorithm }),
        Some("certificate") => {
            let ca = fingerprint.clone();
            let certificate = CertificateFacts { key_id: "policy test".to_owned(), serial: 0, ca };
            Ok(AuthMethod::Certificate { fingerprint, algorithm, certificate })
        }
        Some(other) => Err(format!("there is no auth_method `{other}`; it is publickey or certificate")),
    }
}

fn login(name: Option<&str>) -> Result<Login, String> {
    let name = name.unwrap_or("ec2-user");
    Login::parse(name).map_err(|error| format!("`{name}` is no login: {error}"))
}

fn time(text: Option<&str>) -> Result<Timestamp, String> {
    let text = text.unwrap_or(TIME_DEFAULT);
    text.parse().map_err(|_| format!("`{text}` is no time; write it like {TIME_DEFAULT}"))
}

fn known_rule(policy: &Policy, id: Option<String>) -> Result<Option<RuleId>, String> {
    let Some(id) = id.map(RuleId) else { return Ok(None) };
    if policy.rules().iter().any(|rule| rule.id == id) {
        return Ok(Some(id));
    }
    Err(format!("the policy has no rule `{id}`"))
}
