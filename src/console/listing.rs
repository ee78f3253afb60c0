//! What somebody may reach: the machines, the logins and the actions there.

use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::{Action, ActionKind, Identity, Login, Target};
use crate::policy::Policy;
use crate::target::default_login;

/// One machine that somebody may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The machine.
    pub target: Arc<Target>,
    /// The logins, best first; none where policy permits logins and names none.
    pub logins: Vec<Login>,
    /// What they may do there, as one of the logins.
    pub actions: Vec<ActionKind>,
}

/// Of all these machines, those that this identity may reach: by name, then by account, region and id.
#[must_use]
pub fn listing(
    policy: &Policy,
    identity: &Arc<Identity>,
    targets: &[Arc<Target>],
    now: Timestamp,
) -> Vec<Reach> {
    let mut reach: Vec<Reach> =
        targets.iter().filter_map(|target| one(policy, identity, target, now)).collect();
    reach.sort_by_cached_key(|reach| {
        let Target { account_alias, region, id, .. } = reach.target.as_ref();
        let name = reach.target.display_name().to_lowercase();
        (name, account_alias.clone(), region.clone(), id.clone())
    });
    reach
}

fn one(policy: &Policy, identity: &Arc<Identity>, target: &Arc<Target>, now: Timestamp) -> Option<Reach> {
    let usual: Vec<Login> = default_login(target).into_iter().collect();
    if !policy.may_reach(identity, target, &usual, now) {
        return None;
    }
    let logins = policy.logins(identity, target, None, now, &usual);
    let permitted = |kind: &ActionKind| {
        sample(*kind)
            .is_some_and(|action| !policy.logins(identity, target, Some(&action), now, &logins).is_empty())
    };
    let actions = ActionKind::ALL.into_iter().filter(permitted).collect();
    Some(Reach { target: Arc::clone(target), logins, actions })
}

/// An action of that kind with nothing in particular.
fn sample(kind: ActionKind) -> Option<Action> {
    let (host, path) = (String::new(), String::new());
    Some(match kind {
        ActionKind::Shell => Action::Shell,
        ActionKind::Exec => Action::Exec { command: String::new() },
        ActionKind::Sftp => Action::Sftp,
        ActionKind::Subsystem => Action::Subsystem { name: String::new() },
        ActionKind::Tunnel => Action::Tunnel,
        ActionKind::LocalForward => Action::LocalForward { host, port: 0 },
        ActionKind::RemoteForward => Action::RemoteForward { host, port: 0 },
        ActionKind::LocalSocket => Action::LocalSocket { path },
        ActionKind::RemoteSocket => Action::RemoteSocket { path },
        ActionKind::Agent => Action::Agent,
        ActionKind::X11 => Action::X11,
        ActionKind::Connect => return None,
    })
}
