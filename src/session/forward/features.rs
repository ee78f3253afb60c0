//! The client's key agent and display, for programs on the target.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::super::live::Live;
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
    agent: AtomicBool,
    x11: Mutex<Windows>,
}

/// How many connections to the display may come.
#[derive(Debug, Default)]
struct Windows {
    any: bool,
    /// Of requests that were for a single one each (RFC 4254 §6.3.1).
    left: u32,
}

impl Features {
    pub(super) fn has_agent(&self) -> bool {
        self.agent.load(Ordering::Relaxed)
    }

    /// Whether one more connection to the display may come; it counts as having come.
    pub(super) fn take_x11(&self) -> bool {
        let mut windows = self.x11.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.any {
            return true;
        }
        let left = windows.left.checked_sub(1);
        windows.left = left.unwrap_or(0);
        left.is_some()
    }

    fn grant(&self, wish: &Wish) {
        if wish.action == Action::Agent {
            return self.agent.store(true, Ordering::Relaxed);
        }
        let mut windows = self.x11.lock().unwrap_or_else(PoisonError::into_inner);
        match wire::x11_is_for_one(&wish.payload) {
            Some(true) => windows.left = windows.left.saturating_add(1),
            Some(false) => windows.any = true,
            None => {}
        }
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
            live.features.grant(wish);
            permitted.push(wish);
        }
    }
    permitted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(single: bool) -> Wish {
        let payload = [&[u8::from(single)][..], &[0; 4], &[0; 4], &[0; 4]].concat();
        Wish { action: Action::X11, name: "x11-req".to_owned(), payload: payload.into(), permit: None }
    }

    #[test]
    fn a_display_for_one_window_shows_one() {
        let features = Features::default();
        assert!(!features.take_x11());
        features.grant(&wish(true));
        assert!(features.take_x11());
        assert!(!features.take_x11());
        features.grant(&wish(false));
        assert!(features.take_x11() && features.take_x11());
        assert!(!features.has_agent());
    }
}
