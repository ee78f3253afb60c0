//! Why a call is not put through: what the client is told, and what is put on record.

use super::call::Call;
use super::choose::Denied;
use super::find::Nowhere;
use crate::audit::{Event, Text, Unresolved};
use crate::console::{Found, candidates};
use crate::reachable::Unreachable;
use crate::session::sentences;
use crate::session::story::Unrecorded;
use crate::ssh::RefusalCode;

/// Why a call is not put through: a sentence for the user, and what the protocol says of it.
pub(super) struct Refused {
    pub(super) code: RefusalCode,
    pub(super) sentence: String,
}

impl Refused {
    pub(super) fn not_allowed(sentence: impl Into<String>) -> Self {
        Self { code: RefusalCode::AdministrativelyProhibited, sentence: sentence.into() }
    }

    pub(super) fn failed(sentence: impl Into<String>) -> Self {
        Self { code: RefusalCode::ConnectFailed, sentence: sentence.into() }
    }
}

impl From<Unrecorded> for Refused {
    fn from(_: Unrecorded) -> Self {
        Self::failed(sentences::AUDIT_UNAVAILABLE)
    }
}

impl Call {
    pub(super) async fn not_resolved(&self, typed: &str, reason: Unresolved, detail: &str) {
        let event = Event::TargetNotResolved {
            typed: Text::from(typed),
            reason,
            class: None,
            detail: Text::from(detail),
        };
        // It does not happen in any case.
        let _on_record = self.story.record(event).await;
    }

    pub(super) async fn nowhere(&self, typed: &str, nowhere: Nowhere) -> Refused {
        let (reason, detail) = match nowhere {
            Nowhere::Malformed => (Unresolved::Malformed, "nothing can be called that"),
            Nowhere::Unknown => (Unresolved::Unknown, "no instance and no address is called that"),
            Nowhere::Unavailable => (Unresolved::Unavailable, "the inventory could not answer"),
        };
        self.not_resolved(typed, reason, detail).await;
        match nowhere {
            Nowhere::Malformed | Nowhere::Unknown => {
                Refused::not_allowed(sentences::unknown_destination(typed))
            }
            Nowhere::Unavailable => Refused::failed(Found::Unavailable.sentence(typed)),
        }
    }

    pub(super) async fn denied(&self, typed: &str, denied: Denied) -> Result<Refused, Unrecorded> {
        Ok(match denied {
            Denied::NotTheirs(refusals) => {
                for refusal in refusals {
                    self.story.record(refusal).await?;
                }
                Refused::not_allowed(sentences::unknown_destination(typed))
            }
            Denied::Never(why) => {
                self.not_resolved(typed, Unresolved::NeverReachable, &why.to_string()).await;
                Refused::not_allowed(match why {
                    Unreachable::Public => sentences::not_private(typed),
                    Unreachable::Loopback
                    | Unreachable::Unspecified
                    | Unreachable::LinkLocal
                    | Unreachable::AwsService
                    | Unreachable::Multicast
                    | Unreachable::Reserved
                    | Unreachable::Own => sentences::never_reachable(typed),
                })
            }
            Denied::NotRunning(target) => {
                let detail = format!("the instance is {}", target.state);
                self.not_resolved(typed, Unresolved::Unavailable, &detail).await;
                Refused::failed(sentences::not_running(&target))
            }
            Denied::Ambiguous(targets) => {
                let detail = format!("it may mean {}", candidates(&targets));
                self.not_resolved(typed, Unresolved::Ambiguous, &detail).await;
                Refused::not_allowed(Found::Ambiguous(targets).sentence(typed))
            }
            Denied::NoWay(address) => {
                self.not_resolved(typed, Unresolved::Unavailable, &format!("no route to {address}")).await;
                Refused::failed(sentences::no_way(typed))
            }
        })
    }
}
