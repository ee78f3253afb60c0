//! The client's key agent and display, for programs on the target.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::super::live::Live;
use super::super::standing::{Claim, Role};
use super::super::visit::Visit;
use super::wire;
use crate::audit::ActionFacts;
use crate::domain::Action;
use crate::policy::Permit;

/// Something that a client asks for on a session channel, beside the program.
#[derive(Debug, Clone)]
pub(in crate::session) struct Wish {
    /// [`Action::Agent`] or [`Action::X11`].
    pub(in crate::session) action: Action,
    /// The request's name.
    pub(in crate::session) name: String,
    /// Its fields, as they came.
    pub(in crate::session) payload: Bytes,
    /// The permit, where it was decided when it was asked for.
    pub(in crate::session) permit: Option<Permit>,
}

/// What a session's target may use of the client's.
#[derive(Debug, Default)]
pub(in crate::session) struct Features {
    agent: Mutex<Option<Arc<Claim>>>,
    x11: Mutex<Windows>,
}

/// How many connections to the display may come.
#[derive(Debug, Default)]
struct Windows {
    any: bool,
    /// Of requests that were for a single one each (RFC 4254 §6.3.1).
    left: u32,
    /// The latest permit.
    claim: Option<Arc<Claim>>,
}

impl Features {
    /// The permit for the agent, while it holds.
    pub(super) fn agent(&self) -> Option<Arc<Claim>> {
        let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent.clone().filter(|claim| !claim.has_ended())
    }

    /// The permit for one more connection to the display, while there is one; it counts as having come.
    pub(super) fn take_x11(&self) -> Option<Arc<Claim>> {
        let mut windows = self.x11.lock().unwrap_or_else(PoisonError::into_inner);
        let claim = windows.claim.clone().filter(|claim| !claim.has_ended())?;
        if !windows.any {
            windows.left = windows.left.checked_sub(1)?;
        }
        Some(claim)
    }

    fn grant(&self, wish: &Wish, claim: Claim) {
        let claim = Some(Arc::new(claim));
        if wish.action == Action::Agent {
            *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = claim;
            return;
        }
        let mut windows = self.x11.lock().unwrap_or_else(PoisonError::into_inner);
        match wire::x11_is_for_one(&wish.payload) {
            Some(true) => windows.left = windows.left.saturating_add(1),
            Some(false) => windows.any = true,
            None => return,
        }
        windows.claim = claim;
    }
}

/// Decides what has not been decided, and has the session expect what is permitted. Answers the requests to pass
/// on before the program starts.
pub(in crate::session) async fn pass_on<'a>(
    visit: &Visit,
    live: &Live,
    wishes: impl Iterator<Item = &'a Wish>,
) -> Vec<&'a Wish> {
    let mut permitted = Vec::new();
    for wish in wishes {
        let late = match &wish.permit {
            Some(permit) => Ok(permit.clone()),
            None => visit.decide(&wish.action, ActionFacts::from(&wish.action), &wish.name).await,
        };
        if let Ok(permit) = late {
            live.tighten(permit.limits());
            live.features.grant(wish, live.claim(&permit, Role::Beside));
            permitted.push(wish);
        }
    }
    permitted
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::Bastion;
    use super::*;
    use crate::domain::Ending;

    fn wish(action: Action, single: bool) -> Wish {
        let payload = [&[u8::from(single)][..], &[0; 4], &[0; 4], &[0; 4]].concat();
        Wish { action, name: "x11-req".to_owned(), payload: payload.into(), permit: None }
    }

    #[test]
    fn a_display_for_one_window_shows_one() {
        let bastion = Bastion::new();
        let features = Features::default();
        assert!(features.take_x11().is_none());
        features.grant(&wish(Action::X11, true), bastion.claim("web-1"));
        assert!(features.take_x11().is_some());
        assert!(features.take_x11().is_none());
        features.grant(&wish(Action::X11, false), bastion.claim("web-1"));
        assert!(features.take_x11().is_some() && features.take_x11().is_some());
        assert!(features.agent().is_none());
    }

    #[test]
    fn what_is_not_permitted_any_more_is_not_there() {
        let bastion = Bastion::new();
        let features = Features::default();
        features.grant(&wish(Action::Agent, false), bastion.claim("web-1"));
        features.grant(&wish(Action::X11, false), bastion.claim("web-1"));
        let (agent, display) = (features.agent().expect("granted"), features.take_x11().expect("granted"));
        agent.dangerous_end((Ending::PermissionEnded, "over"));
        display.dangerous_end((Ending::PermissionEnded, "over"));
        assert!(features.agent().is_none() && features.take_x11().is_none());
    }
}
