//! Is this the machine we mean? The host key against the pin of the instance, never of an address.

use jiff::Timestamp;

use crate::credential::BoxFuture;
use crate::domain::{Fingerprint, Target};

/// A key that an instance is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKey {
    /// Its type, as SSH names it.
    pub key_type: String,
    /// The key in wire form.
    pub key_blob: Vec<u8>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

/// The pins cannot be read or written; without them no machine can be told from another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the host key pins cannot be used: {0}")]
pub struct PinError(pub String);

/// Which host key belongs to which machine, (account, region, instance id).
pub trait PinBoard: Send + Sync + std::fmt::Debug {
    /// The pin of a machine, if there is one.
    fn pin<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Option<PinnedKey>, PinError>>;

    /// Pins a key unless the machine has a pin; answers the pin that holds.
    fn remember<'a>(
        &'a self,
        target: &'a Target,
        key_blob: &'a [u8],
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>>;

    /// The machine has proved to have its pinned key once more.
    fn seen<'a>(&'a self, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Result<(), PinError>>;
}

/// What vouched for a host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// The pin of the instance.
    Pinned,
    /// Nothing but that it was the first one seen; it is the pin from here on.
    FirstUse,
}

/// Why a host key is not believed.
#[derive(Debug)]
pub(super) enum Doubt {
    Changed { pinned: Fingerprint },
    Unknown,
    Pins(PinError),
}

pub(super) async fn verify(
    pins: &dyn PinBoard,
    target: &Target,
    known: Option<&PinnedKey>,
    shown_blob: &[u8],
    trust_on_first_use: bool,
    now: Timestamp,
) -> Result<Vouched, Doubt> {
    if let Some(pin) = known {
        return agree(pin, shown_blob).map(|()| Vouched::Pinned);
    }
    if !trust_on_first_use {
        return Err(Doubt::Unknown);
    }
    let holds = pins.remember(target, shown_blob, now).await.map_err(Doubt::Pins)?;
    // Another session may have been first with another key.
    agree(&holds, shown_blob).map(|()| Vouched::FirstUse)
}

fn agree(pin: &PinnedKey, shown_blob: &[u8]) -> Result<(), Doubt> {
    if pin.key_blob == shown_blob { Ok(()) } else { Err(Doubt::Changed { pinned: pin.fingerprint.clone() }) }
}
