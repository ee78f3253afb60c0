//! One case of a table, well formed, and how an answer compares with it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::Timestamp;

use super::Answer;
use super::raw::{Decision, RawCase, RawTarget};
use crate::domain::{
    Action, ActionKind, AuthMethod, CertificateFacts, Destination, Fingerprint, Identity, Login, Target,
    UserName,
};
use crate::policy::{ConnectQuestion, Policy, Question, Refusal, RuleId, parse_endpoint};

/// A Wednesday noon, for cases that do not say when.
const TIME_DEFAULT: &str = "2026-01-07T12:00:00Z";
/// An address of the documentation range (RFC 5737), for cases that do not say where from.
const CLIENT_ADDR_DEFAULT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// One expected decision, well formed.
pub(super) struct Case {
    name: Option<String>,
    identity: Arc<Identity>,
    asked: Asked,
    now: Timestamp,
    expect: Decision,
    rule: Option<RuleId>,
}

/// What is asked about.
enum Asked {
    Action { target: Arc<Target>, login: Login, action: Action },
    Connect(Destination),
    Audit,
}

/// What someone does, whichever machine it turns out to be about.
enum Doing {
    Action(Action),
    Connect { host: String, port: u16 },
    Audit,
}

impl Case {
    pub(super) fn new(
        policy: &Policy,
        raw: RawCase,
        groups_of: &dyn Fn(&UserName) -> Option<Vec<String>>,
    ) -> Result<Self, Vec<String>> {
        let mut complaints = Vec::new();
        let mut note = |complaint: String| complaints.push(complaint);
        let kind = kind(&raw).map_err(&mut note).ok();
        let doing = kind.and_then(|kind| doing(kind, &raw).map_err(&mut note).ok());
        let user = user(raw.user, raw.groups, groups_of).map_err(&mut note).ok();
        let auth = auth_method(raw.auth_method.as_deref()).map_err(&mut note).ok();
        let target_is_named = raw.target != RawTarget::default();
        let target = raw.target.target().map_err(&mut note).ok();
        let login = login(raw.login.as_deref()).map_err(&mut note).ok();
        let now = time(raw.time.as_deref()).map_err(&mut note).ok();
        let rule = known_rule(policy, raw.rule).map_err(&mut note).ok();
        let destination = match &doing {
            Some(Doing::Connect { host, port }) => {
                let instance = target.clone().filter(|_| target_is_named);
                destination(host, *port, raw.address, instance).map_err(&mut note).ok()
            }
            Some(Doing::Action(_) | Doing::Audit) | None => None,
        };
        let expect =
            raw.expect.ok_or("the case does not say what it expects; add expect = \"permit\" or \"refuse\"");
        let expect = expect.map_err(|complaint| note(complaint.to_owned())).ok();
        let case = || {
            let (user, groups) = user?;
            let client_addr = raw.client_addr.unwrap_or(CLIENT_ADDR_DEFAULT);
            Some(Self {
                name: raw.name,
                identity: Arc::new(Identity { user, groups, auth: auth?, client_addr }),
                asked: match doing? {
                    Doing::Action(action) => {
                        Asked::Action { target: Arc::new(target?), login: login?, action }
                    }
                    Doing::Connect { .. } => Asked::Connect(destination?),
                    Doing::Audit => Asked::Audit,
                },
                now: now?,
                expect: expect?,
                rule: rule?,
            })
        };
        case().ok_or(complaints)
    }

    /// The rules that permit it.
    pub(super) fn decide(&self, policy: &Policy) -> Result<Vec<RuleId>, Refusal> {
        let Self { identity, now, .. } = self;
        match &self.asked {
            Asked::Action { target, login, action } => {
                let question = Question { identity, target, login, action, now: *now };
                policy.decide(&question).map(|permit| permit.rules().to_vec())
            }
            Asked::Audit => policy.decide_audit(identity, *now),
            Asked::Connect(destination) => {
                let question = ConnectQuestion { identity, destination, now: *now };
                policy.decide_connect(&question).map(|permit| permit.rules().to_vec())
            }
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
            let user = &self.identity.user;
            match &self.asked {
                Asked::Action { target, login, action } => {
                    format!("{user}, {} on {} as {login}", action.kind(), target.display_name())
                }
                Asked::Audit => format!("{user}, {}", ActionKind::Audit),
                Asked::Connect(to) => format!("{user}, {} to {}:{}", ActionKind::Connect, to.host, to.port),
            }
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

/// The kind of action that is named, or that the case's particulars imply.
fn kind(raw: &RawCase) -> Result<ActionKind, String> {
    if let Some(name) = &raw.action {
        return ActionKind::parse(name).ok_or_else(|| {
            let known = ActionKind::names();
            format!("there is no action `{name}`; the actions are {known}")
        });
    }
    let implied = [
        (raw.command.is_some(), ActionKind::Exec),
        (raw.subsystem.is_some(), ActionKind::Subsystem),
        (raw.destination.is_some(), ActionKind::LocalForward),
        (raw.listen.is_some(), ActionKind::RemoteForward),
        (raw.path.is_some(), ActionKind::LocalSocket),
        (raw.connect.is_some(), ActionKind::Connect),
    ];
    Ok(implied.into_iter().find(|(given, _)| *given).map_or(ActionKind::Shell, |(_, kind)| kind))
}

fn doing(kind: ActionKind, raw: &RawCase) -> Result<Doing, String> {
    let path = || raw.path.clone().ok_or_else(|| missing(kind, "path = \"/run/app.sock\""));
    let action = match kind {
        ActionKind::Shell => Action::Shell,
        ActionKind::Exec => {
            Action::Exec { command: raw.command.clone().unwrap_or_else(|| "true".to_owned()) }
        }
        ActionKind::Sftp => Action::Sftp,
        ActionKind::Subsystem => {
            Action::Subsystem { name: raw.subsystem.clone().unwrap_or_else(|| "netconf".to_owned()) }
        }
        ActionKind::Tunnel => Action::Tunnel,
        ActionKind::Watch => Action::Watch,
        ActionKind::Kill => Action::Kill,
        ActionKind::Diagnose => Action::Diagnose,
        ActionKind::Audit => return Ok(Doing::Audit),
        ActionKind::Agent => Action::Agent,
        ActionKind::X11 => Action::X11,
        ActionKind::LocalForward => {
            let (host, port) = endpoint(kind, "destination", raw.destination.as_deref(), 1)?;
            Action::LocalForward { host, port }
        }
        ActionKind::RemoteForward => {
            let (host, port) = endpoint(kind, "listen", raw.listen.as_deref(), 0)?;
            Action::RemoteForward { host, port }
        }
        ActionKind::LocalSocket => Action::LocalSocket { path: path()? },
        ActionKind::RemoteSocket => Action::RemoteSocket { path: path()? },
        ActionKind::Connect => {
            let (host, port) = endpoint(kind, "connect", raw.connect.as_deref(), 1)?;
            return Ok(Doing::Connect { host, port });
        }
    };
    Ok(Doing::Action(action))
}

fn missing(kind: ActionKind, what: &str) -> String {
    format!("the action `{kind}` needs {what}")
}

fn endpoint(
    kind: ActionKind,
    field: &str,
    text: Option<&str>,
    port_min: u16,
) -> Result<(String, u16), String> {
    let text = text.ok_or_else(|| missing(kind, &format!("{field} = \"localhost:8080\"")))?;
    parse_endpoint(text).filter(|(_, port)| *port >= port_min).ok_or_else(|| {
        format!("`{field}` is \"{text}\", which is no host and port; write it like \"localhost:8080\"")
    })
}

/// An address that is given is no instance's; otherwise it is that of the case's target, or what `host` itself says.
fn destination(
    host: &str,
    port: u16,
    address: Option<IpAddr>,
    instance: Option<Target>,
) -> Result<Destination, String> {
    let of = |address: IpAddr, instance: Option<Target>| Destination {
        host: host.to_owned(),
        address,
        port,
        instance: instance.map(Arc::new),
    };
    match (address, instance, host.parse()) {
        (Some(address), _, _) | (None, None, Ok(address)) => Ok(of(address, None)),
        (None, Some(target), _) => Ok(of(target.private_ip, Some(target))),
        (None, None, Err(_)) => Err(format!(
            "nobody knows where `{host}` is; add address = \"10.9.1.2\", or the target that has that name"
        )),
    }
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
