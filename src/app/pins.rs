//! Puts on record which host keys were pinned as instances were discovered: `vouch` pins them and knows no audit trail.

use std::future::Future;
use std::pin::Pin;

use crate::audit::{Entry, Event, Log};
use crate::domain::Target;
use crate::vouch::{PinLedger, PinnedKey};

/// In the audit trail.
#[derive(Debug)]
pub(super) struct PinsOnRecord(pub(super) Log);

impl PinLedger for PinsOnRecord {
    fn pinned<'a>(
        &'a self,
        target: &'a Target,
        pin: &'a PinnedKey,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        let event = Event::HostKeyPinned {
            target: target.into(),
            host_key_fingerprint: pin.fingerprint.clone(),
            vouched_by: pin.vouched_by,
        };
        Box::pin(async move {
            if let Err(error) = self.0.record(Entry::of_daemon(event)).await {
                tracing::error!(%error, target = %target.id, "that a host key was pinned is not in the audit trail");
            }
        })
    }
}
