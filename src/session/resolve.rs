//! What was typed → the one machine this guest may reach, or a sentence.

use std::sync::Arc;

use super::Services;
use super::entrance::{self, Guest};
use super::sentences;
use super::story::Story;
use crate::audit::{Event, Text, Unresolved, Way};
use crate::domain::{Action, Identity, Login, Target, TargetRef};
use crate::policy::Question;
use crate::target::{Resolution, default_login};

/// The login asked about where nobody named one, only to put a refusal on record.
const NOBODY_IN_PARTICULAR: &str = "ec2-user";

/// Finds the target. The error is a sentence for the user; what is not theirs reads like what is not there.
pub(super) async fn resolve(
    services: &Services,
    story: &Story,
    guest: &Guest,
    typed: &str,
    way: Way,
) -> Result<Arc<Target>, String> {
    let unavailable = |_| sentences::AUDIT_UNAVAILABLE.to_owned();
    story.tell(Event::TargetRequested { typed: Text::from(typed), way }).await.map_err(unavailable)?;
    let Ok(identity) = guest.as_of_now(services) else {
        let requested = match way {
            Way::Jump | Way::PassThrough | Way::Connect => "direct-tcpip",
            Way::Direct | Way::Console => "session",
        };
        return Err(entrance::withdrawn(story, requested).await);
    };
    match find(services, &identity, typed).await {
        Found::Target(target) if target.state == "running" => Ok(target),
        Found::Target(target) => {
            let sentence = sentences::not_running(&target);
            let event =
                not_resolved(typed, Unresolved::Unavailable, &format!("the instance is {}", target.state));
            story.record(event).await.map_err(unavailable)?;
            Err(sentence)
        }
        Found::NotTheirs(targets) => {
            for target in &targets {
                if let Some(event) = refusal(services, &identity, target) {
                    story.record(event).await.map_err(unavailable)?;
                }
            }
            Err(sentences::unknown_target(typed))
        }
        Found::Nothing { reason, detail, sentence } => {
            story.record(not_resolved(typed, reason, &detail)).await.map_err(unavailable)?;
            Err(sentence)
        }
    }
}

enum Found {
    Target(Arc<Target>),
    NotTheirs(Vec<Arc<Target>>),
    Nothing { reason: Unresolved, detail: String, sentence: String },
}

async fn find(services: &Services, identity: &Arc<Identity>, typed: &str) -> Found {
    let wanted = match TargetRef::parse(typed) {
        Ok(wanted) => wanted,
        Err(error) => {
            let sentence = sentences::unknown_target(typed);
            return Found::Nothing { reason: Unresolved::Malformed, detail: error.to_string(), sentence };
        }
    };
    match services.inventory.resolve(&wanted).await {
        Resolution::Found(target) if may_reach(services, identity, &target) => Found::Target(target),
        Resolution::Found(target) => Found::NotTheirs(vec![target]),
        Resolution::Ambiguous(targets) => {
            let (theirs, others): (Vec<_>, Vec<_>) =
                targets.into_iter().partition(|target| may_reach(services, identity, target));
            among(typed, theirs, others)
        }
        Resolution::Unknown => Found::Nothing {
            reason: Unresolved::Unknown,
            detail: "no instance is called that".to_owned(),
            sentence: sentences::unknown_target(typed),
        },
        Resolution::Unavailable => Found::Nothing {
            reason: Unresolved::Unavailable,
            detail: "the inventory could not answer".to_owned(),
            sentence: sentences::INVENTORY_UNAVAILABLE.to_owned(),
        },
    }
}

fn among(typed: &str, theirs: Vec<Arc<Target>>, others: Vec<Arc<Target>>) -> Found {
    match theirs.as_slice() {
        [] => Found::NotTheirs(others),
        [only] => Found::Target(Arc::clone(only)),
        several => {
            let candidates: Vec<String> = several
                .iter()
                .map(|t| format!("{} ({}, {}, {})", t.display_name(), t.id, t.account_alias, t.region))
                .take(10)
                .collect();
            Found::Nothing {
                reason: Unresolved::Ambiguous,
                detail: format!("it may mean {}", candidates.join(", ")),
                sentence: sentences::ambiguous(typed, &candidates),
            }
        }
    }
}

fn may_reach(services: &Services, identity: &Arc<Identity>, target: &Arc<Target>) -> bool {
    let logins: Vec<Login> = default_login(target).into_iter().collect();
    services.policy.current().may_reach(identity, target, &logins, services.clock.now())
}

/// The decision that keeps this identity from this target, for the record.
fn refusal(services: &Services, identity: &Arc<Identity>, target: &Arc<Target>) -> Option<Event> {
    let login = default_login(target).or_else(|| Login::parse(NOBODY_IN_PARTICULAR).ok())?;
    let question =
        Question { identity, target, login: &login, action: &Action::Shell, now: services.clock.now() };
    let refusal = services.policy.current().decide(&question).err()?;
    Some(Event::refused(&question, &refusal))
}

fn not_resolved(typed: &str, reason: Unresolved, detail: &str) -> Event {
    Event::TargetNotResolved { typed: Text::from(typed), reason, detail: Text::from(detail) }
}

/// The login to use: the one that was named, else the policy's, else the image family's.
///
/// A jump always names one, for ssh fills in the local user name. Where that is the name the guest came in
/// with, and policy does not permit it as a login there, it was not meant as one.
pub(super) fn login(
    services: &Services,
    guest: &Guest,
    target: &Arc<Target>,
    typed: Option<&str>,
) -> Result<Login, String> {
    let usual: Vec<Login> = default_login(target).into_iter().collect();
    let policy = services.policy.current();
    let now = services.clock.now();
    let by_default = || policy.logins(&guest.identity, target, None, now, &usual).into_iter().next();
    let Some(typed) = typed else {
        return by_default().ok_or_else(|| sentences::NO_LOGIN.to_owned());
    };
    let named = Login::parse(typed).map_err(|_| sentences::not_a_login(typed))?;
    let filled_in = typed == guest.identity.user.as_str() || typed == guest.ssh_user;
    if filled_in {
        let also = [named.clone()];
        let permitted = policy.logins(&guest.identity, target, None, now, &also);
        if !permitted.contains(&named) {
            return Ok(by_default().unwrap_or(named));
        }
    }
    Ok(named)
}
