//! What is tried to find out whether anything is allowed.
//!
//! Cedar answers about one action with all its particulars: one command, one port. To say whether there is *any* that a
//! rule allows, one of each kind is tried that no rule singles out, and those that rules name. Whatever is listed has
//! such a witness.

use super::value::{Particular, Value};
use crate::domain::{Action, ActionKind};
use crate::policy::facts::{ANY_PORT, plain_action};
use crate::policy::rule::Rule;

/// The most of each sort (commands, subsystems, destinations, …) that are tried.
const PROBES_MAX: usize = 64;

/// One thing that someone might want to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe {
    /// As some login.
    Act(Action),
    /// The bastion itself connects to the machine.
    Connect {
        /// The host as the client names it.
        host: String,
        port: u16,
    },
}

impl Probe {
    pub(super) fn kind(&self) -> ActionKind {
        match self {
            Self::Act(action) => action.kind(),
            Self::Connect { .. } => ActionKind::Connect,
        }
    }

    pub(super) fn particular(&self, wanted: Particular) -> Value<'_> {
        let (host, port) = match self {
            Self::Act(Action::LocalForward { host, port }) | Self::Connect { host, port } => (host, *port),
            Self::Act(action) => return of_action(action, wanted),
        };
        match wanted {
            Particular::DestinationHost => Value::Text(host),
            Particular::DestinationPort => Value::Number(i64::from(port)),
            Particular::Command
            | Particular::Subsystem
            | Particular::Path
            | Particular::ListenHost
            | Particular::ListenPort => Value::Missing,
        }
    }
}

fn of_action(action: &Action, wanted: Particular) -> Value<'_> {
    match action {
        Action::Exec { command } if wanted == Particular::Command => Value::Text(command),
        Action::Subsystem { name } if wanted == Particular::Subsystem => Value::Text(name),
        Action::RemoteForward { host, .. } if wanted == Particular::ListenHost => Value::Text(host),
        Action::RemoteForward { port, .. } if wanted == Particular::ListenPort => {
            Value::Number(i64::from(*port))
        }
        Action::LocalSocket { path } | Action::RemoteSocket { path } if wanted == Particular::Path => {
            Value::Text(path)
        }
        Action::Shell
        | Action::Exec { .. }
        | Action::Sftp
        | Action::Subsystem { .. }
        | Action::Tunnel
        | Action::LocalForward { .. }
        | Action::RemoteForward { .. }
        | Action::LocalSocket { .. }
        | Action::RemoteSocket { .. }
        | Action::Agent
        | Action::X11
        | Action::Watch
        | Action::Kill
        | Action::Diagnose => Value::Missing,
    }
}

/// The things to try where these rules are the ones that matter.
pub(super) fn probes(rules: &[&Rule]) -> Vec<Probe> {
    let mut probes: Vec<Probe> =
        ActionKind::WORK.into_iter().filter_map(plain_action).map(Probe::Act).collect();
    probes.push(Probe::Connect { host: String::new(), port: ANY_PORT });
    let named = || rules.iter().map(|rule| &rule.named);
    probes.extend(some(named().flat_map(|named| &named.commands), |command| {
        [Probe::Act(Action::Exec { command: command.clone() })]
    }));
    probes.extend(some(named().flat_map(|named| &named.subsystems), |name| {
        [Probe::Act(Action::Subsystem { name: name.clone() })]
    }));
    probes.extend(some(named().flat_map(|named| &named.paths), |path| {
        [Action::LocalSocket { path: path.clone() }, Action::RemoteSocket { path: path.clone() }]
            .map(Probe::Act)
    }));
    let destinations =
        named().flat_map(|named| named.destinations.places(ANY_PORT)).filter(|(_, port)| *port > 0);
    probes.extend(some(destinations, |(host, port)| {
        let forward = Action::LocalForward { host: host.clone(), port };
        [Probe::Act(forward), Probe::Connect { host, port }]
    }));
    probes.extend(some(named().flat_map(|named| named.listens.places(ANY_PORT)), |(host, port)| {
        [Probe::Act(Action::RemoteForward { host, port })]
    }));
    probes
}

/// The first few different ones, as probes.
fn some<T: PartialEq, const N: usize>(
    names: impl Iterator<Item = T>,
    as_probes: impl Fn(T) -> [Probe; N],
) -> Vec<Probe> {
    let mut different: Vec<T> = Vec::new();
    for name in names {
        if different.len() >= PROBES_MAX {
            break;
        }
        if !different.contains(&name) {
            different.push(name);
        }
    }
    different.into_iter().flat_map(as_probes).collect()
}
