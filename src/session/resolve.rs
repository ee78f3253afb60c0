//! What was typed → the one machine this guest may reach, and the login there, or a sentence.
//!
//! Every way in resolves here, by `console::find`: the same name gets the same answer, whoever asks how.

use std::sync::Arc;

use super::Services;
use super::entrance::{self, Guest};
use super::sentences;
use super::story::Story;
use crate::audit::{Event, Text, Unresolved, Way};
use crate::console::{self, Found};
use crate::domain::{Action, FailureClass, Identity, Login, Target};
use crate::policy::Question;
use crate::target::default_login;

/// The login asked about where nobody named one, only to put a refusal on record.
const NOBODY_IN_PARTICULAR: &str = "ec2-user";

/// Why what was typed leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nowhere {
    /// What the user is told.
    pub(super) sentence: String,
    /// Whether it may well be the name of something else: no target of theirs is known to be called that.
    pub(super) may_be_no_target: bool,
}

/// Finds the target. The error is a sentence for the user; what is not theirs reads like what is not there.
pub(super) async fn resolve(
    services: &Services,
    story: &Story,
    guest: &Guest,
    typed: &str,
    way: Way,
) -> Result<Arc<Target>, String> {
    look_for(services, story, guest, typed, way).await.map_err(|nowhere| nowhere.sentence)
}

/// As [`resolve`], for a word that need not be a target.
pub(super) async fn look_for(
    services: &Services,
    story: &Story,
    guest: &Guest,
    typed: &str,
    way: Way,
) -> Result<Arc<Target>, Nowhere> {
    let certainly = |sentence: String| Nowhere { sentence, may_be_no_target: false };
    let unavailable = |_| certainly(sentences::AUDIT_UNAVAILABLE.to_owned());
    story.tell(Event::TargetRequested { typed: Text::from(typed), way }).await.map_err(unavailable)?;
    let Ok(identity) = guest.as_of_now(services) else {
        let requested = match way {
            Way::Jump | Way::PassThrough | Way::Connect => "direct-tcpip",
            Way::Direct | Way::Console => "session",
        };
        return Err(certainly(entrance::withdrawn(story, requested).await));
    };
    let policy = services.policy.current();
    let found = console::find(&services.inventory, &policy, &identity, typed, services.clock.now()).await;
    for event in on_record(services, &identity, typed, &found) {
        story.record(event).await.map_err(unavailable)?;
    }
    let may_be_no_target = match &found {
        Found::Target(_) | Found::Ambiguous(_) => false,
        Found::NotTheirs(_) | Found::Unknown | Found::Malformed(_) | Found::Unavailable => true,
    };
    let target = found.target(typed).map_err(|sentence| Nowhere { sentence, may_be_no_target })?;
    if target.state == "running" { Ok(target) } else { Err(certainly(sentences::not_running(&target))) }
}

/// The events that say why what was typed leads nowhere; none where it leads somewhere.
fn on_record(services: &Services, identity: &Arc<Identity>, typed: &str, found: &Found) -> Vec<Event> {
    let failure = |reason, class, detail: &str| {
        vec![Event::TargetNotResolved { typed: Text::from(typed), reason, class, detail: Text::from(detail) }]
    };
    let event = |reason, detail: &str| failure(reason, None, detail);
    match found {
        Found::Target(target) if target.state == "running" => Vec::new(),
        Found::Target(target) => failure(
            Unresolved::Unavailable,
            Some(class_of_state(&target.state)),
            &format!("the instance is {}", target.state),
        ),
        Found::NotTheirs(targets) => {
            targets.iter().filter_map(|target| refusal(services, identity, target)).collect()
        }
        Found::Ambiguous(targets) => {
            event(Unresolved::Ambiguous, &format!("it may mean {}", console::candidates(targets)))
        }
        Found::Unknown => event(Unresolved::Unknown, "no instance is called that"),
        Found::Malformed(error) => event(Unresolved::Malformed, &error.to_string()),
        Found::Unavailable => event(Unresolved::Unavailable, "the inventory could not answer"),
    }
}

/// What the state of an instance that does not run is for a failure.
fn class_of_state(state: &str) -> FailureClass {
    match state {
        "pending" => FailureClass::InstanceUnavailable,
        "terminated" => FailureClass::InstanceGone,
        _stopped_or_about_to_be => FailureClass::InstanceNotRunning,
    }
}

/// The decision that keeps this identity from this target, for the record.
fn refusal(services: &Services, identity: &Arc<Identity>, target: &Arc<Target>) -> Option<Event> {
    let login = default_login(target).or_else(|| Login::parse(NOBODY_IN_PARTICULAR).ok())?;
    let question =
        Question { identity, target, login: &login, action: &Action::Shell, now: services.clock.now() };
    let refusal = services.policy.current().decide(&question).err()?;
    Some(Event::refused(&question, &refusal))
}

/// The login to use where none is asked for interactively: the one that was named, else the only one there is.
///
/// A jump always names one, for ssh fills in the local user name. Where that is the name the guest came in
/// with, and policy does not permit it as a login there, it was not meant as one; then the first is taken.
pub(super) fn login(
    services: &Services,
    guest: &Guest,
    target: &Arc<Target>,
    typed: Option<&str>,
) -> Result<Login, String> {
    let Some(typed) = typed else {
        return match logins(services, guest, target)? {
            Logins::One(login) => Ok(login),
            Logins::Several(choices) => Err(sentences::several_logins(target, &choices)),
        };
    };
    let named = Login::parse(typed).map_err(|_| sentences::not_a_login(typed))?;
    let filled_in = typed == guest.identity.user.as_str() || typed == guest.ssh_user;
    if filled_in {
        let policy = services.policy.current();
        let also = [named.clone()];
        let identity = as_known(services, guest);
        let permitted = policy.logins(&identity, target, None, services.clock.now(), &also);
        if !permitted.contains(&named) {
            return Ok(permitted_logins(services, guest, target).into_iter().next().unwrap_or(named));
        }
    }
    Ok(named)
}

/// The logins where nobody named one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Logins {
    /// There is one.
    One(Login),
    /// There are several, best first.
    Several(Vec<Login>),
}

/// The logins to choose from where nobody named one. The error is a sentence: policy names none.
pub(super) fn logins(services: &Services, guest: &Guest, target: &Arc<Target>) -> Result<Logins, String> {
    let permitted = permitted_logins(services, guest, target);
    match permitted.as_slice() {
        [] => Err(sentences::NO_LOGIN.to_owned()),
        [only] => Ok(Logins::One(only.clone())),
        _ => Ok(Logins::Several(permitted)),
    }
}

/// The identity of this moment. Somebody whose access is gone gets nowhere with it: the decision asks again.
fn as_known(services: &Services, guest: &Guest) -> Arc<Identity> {
    guest.as_of_now(services).unwrap_or_else(|_| Arc::clone(&guest.identity))
}

fn permitted_logins(services: &Services, guest: &Guest, target: &Arc<Target>) -> Vec<Login> {
    let usual: Vec<Login> = default_login(target).into_iter().collect();
    services.policy.current().logins(&as_known(services, guest), target, None, services.clock.now(), &usual)
}
