//! Permit → Injected: lowering the bridge for one session.
//!
//! One fresh ed25519 key per upstream connection ([`EphemeralKey`]), or for pass-through the client's own, whose
//! [`PublicHalf`] an [`Injector`] hands to the target for a minute. What always holds:
//!
//! - Nothing is injected without a [`Permit`], and only for the target and login it names.
//! - A private half never leaves its [`EphemeralKey`]: it is not written, not logged, not cloned,
//!   and zeroed on drop.
//! - [`Injected`] exists only after the far side confirmed the push; it knows when it stops working.
//!
//! Deliberately not here: how the key gets there (AWS is elsewhere), and using it.

mod ephemeral;
mod failure;
mod public_half;

use std::fmt;

use jiff::Timestamp;

use crate::domain::Fingerprint;
use crate::policy::Permit;

use crate::tasks::BoxFuture;

pub use ephemeral::{EphemeralKey, KeyError};
pub use failure::{InjectError, InjectErrorKind};
pub use public_half::{NotPushable, PublicHalf};

/// Gets a key accepted by the permit's target, for the permit's login, for about a minute.
pub trait Injector: Send + Sync + fmt::Debug {
    /// Pushes a key's public half.
    ///
    /// # Errors
    /// When it was not confirmed in time; the error carries one sentence for the user.
    fn inject<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a PublicHalf,
    ) -> BoxFuture<'a, Result<Injected, InjectError>>;
}

/// A key that the target accepts. Only an [`Injector`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    request_id: String,
    valid_until: Timestamp,
    fingerprint: Fingerprint,
}

impl Injected {
    pub(crate) fn new(request_id: String, valid_until: Timestamp, fingerprint: Fingerprint) -> Self {
        Self { request_id, valid_until, fingerprint }
    }

    /// The id under which CloudTrail and the target's own log know this push.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// From here on the target may refuse the key.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// The pushed key.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}
