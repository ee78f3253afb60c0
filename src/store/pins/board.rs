//! The store as the board of pins that `vouch` asks for.

use jiff::Timestamp;

use super::{Circumstances, MachineId, NewPin, Pin};
use crate::domain::{PinVoucher, Target};
use crate::store::{Store, StoreError};
use crate::tasks::BoxFuture;
use crate::vouch::{PinBoard, PinError, PinnedKey};

impl PinBoard for Store {
    fn pin<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Option<PinnedKey>, PinError>> {
        Box::pin(async move {
            let pin = self.pin(&MachineId::from(target)).await.map_err(unanswered)?;
            Ok(pin.map(known))
        })
    }

    fn remember<'a>(
        &'a self,
        target: &'a Target,
        key_blob: &'a [u8],
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        Box::pin(async move {
            let circumstances = Circumstances::from(target);
            let new = NewPin::of(key_blob, vouched_by, &circumstances);
            let pin = self.remember(&MachineId::from(target), &new, now).await;
            pin.map(known).map_err(unanswered)
        })
    }

    fn replace<'a>(
        &'a self,
        target: &'a Target,
        replaced: &'a PinnedKey,
        key_blob: &'a [u8],
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        Box::pin(async move {
            let circumstances = Circumstances::from(target);
            let new = NewPin::of(key_blob, vouched_by, &circumstances);
            let pin = self.replace(&MachineId::from(target), &replaced.key_blob, &new, now).await;
            pin.map(known).map_err(unanswered)
        })
    }

    fn seen<'a>(&'a self, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Result<(), PinError>> {
        Box::pin(async move {
            let touched = self.touch(&MachineId::from(target), now).await;
            touched.map(|_pinned| ()).map_err(unanswered)
        })
    }
}

fn unanswered(error: StoreError) -> PinError {
    PinError(error.to_string())
}

fn known(pin: Pin) -> PinnedKey {
    PinnedKey {
        key_type: pin.key_type,
        key_blob: pin.key_blob,
        fingerprint: pin.fingerprint,
        vouched_by: pin.vouched_by,
        pinned_at: pin.first_seen,
        launch_time: pin.circumstances.launch_time,
        image: pin.circumstances.image,
    }
}
