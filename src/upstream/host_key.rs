//! Is this the machine we mean? Asks those who may know, and pins what they vouched for.

use tokio::time::{Duration, timeout};

use super::Connector;
use super::failure::UpstreamError;
use crate::domain::{Fingerprint, PinVoucher, Target};
use crate::ssh::Unverified;
use crate::vouch::{
    ConsoleFault, Doubt, Evidence, KnownKeys, PinError, PinnedKey, ShownKey, Unread, Vouched, ask_console,
    changed,
};

/// The longest that a first connection waits for what the console of its target says.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(8);

/// What the console said; nothing where it was not asked.
pub(super) type ConsoleSays = Option<Result<Option<KnownKeys>, Unread>>;

/// A host key that is believed.
#[derive(Debug, Clone)]
pub(super) struct Believed {
    pub(super) fingerprint: Fingerprint,
    pub(super) vouched: Vouched,
    /// What had vouched for the pin, where the pin did.
    pub(super) pin_vouched_by: Option<PinVoucher>,
    /// The pin in whose place a certificate has put this key.
    pub(super) replaced: Option<Fingerprint>,
}

/// Why a host key is not believed.
#[derive(Debug)]
pub(super) enum Disbelief {
    /// The target should be asked again, for a key of this type. Where it was, this is what is wrong.
    AskFor {
        key_type: String,
        otherwise: UpstreamError,
    },
    Failed(UpstreamError),
}

impl Connector {
    /// Asks the console, where it may have a say.
    pub(super) async fn console(&self, target: &Target, pin: Option<&PinnedKey>) -> ConsoleSays {
        if !self.chain.asks_the_console(target, pin.is_some()) {
            return None;
        }
        let asked = timeout(CONSOLE_PATIENCE, ask_console(&*self.consoles, target)).await;
        let said = asked.unwrap_or_else(|_| {
            let text = format!("it did not come within {} s", CONSOLE_PATIENCE.as_secs());
            Err(Unread::Fault(ConsoleFault::Unavailable(text)))
        });
        if let Err(unread) = &said {
            tracing::warn!(target = %target.id, account = target.account, region = target.region, "host key: {unread}");
        }
        Some(said)
    }

    /// Judges the key that a target has shown, and pins it where it is new.
    pub(super) async fn believe(
        &self,
        target: &Target,
        pin: Option<&PinnedKey>,
        console: &ConsoleSays,
        unverified: &Unverified,
    ) -> Result<Believed, Disbelief> {
        // The engine has verified a signature with it, so it is a key.
        let shown = ShownKey::read(&unverified.host_key()).ok_or(Disbelief::Failed(UpstreamError::Key))?;
        let evidence =
            Evidence { target, shown: &shown, pin, console: console.as_ref(), now: self.clock.now() };
        let vouched = self.chain.judge(&evidence).map_err(|doubt| disbelief(doubt, &shown))?;
        let replaced = self.keep(target, pin, &shown, vouched).await?;
        let pin_vouched_by = pin.filter(|_| vouched == Vouched::Pinned).map(|pin| pin.vouched_by);
        Ok(Believed { fingerprint: shown.fingerprint, vouched, pin_vouched_by, replaced })
    }

    /// Pins the key, unless it is. Says which pin it replaces.
    async fn keep(
        &self,
        target: &Target,
        pin: Option<&PinnedKey>,
        shown: &ShownKey,
        vouched: Vouched,
    ) -> Result<Option<Fingerprint>, Disbelief> {
        let by = match vouched {
            Vouched::Ca => PinVoucher::Ca,
            Vouched::Tag => PinVoucher::Tag,
            Vouched::Console => PinVoucher::Console,
            Vouched::FirstUse => PinVoucher::FirstUse,
            Vouched::Pinned => return Ok(None),
        };
        let (blob, now) = (shown.blob.as_slice(), self.clock.now());
        let (held, replaced) = match pin {
            Some(pin) if pin.key_blob == shown.blob => return Ok(None),
            Some(pin) => {
                let held = self.pins.replace(target, pin, blob, by, now).await;
                (held, Some(pin.fingerprint.clone()))
            }
            None => (self.pins.remember(target, blob, by, now).await, None),
        };
        let held = held.map_err(|error: PinError| Disbelief::Failed(UpstreamError::Pins(error)))?;
        // Another session may have been first, with another key.
        if held.key_blob == shown.blob { Ok(replaced) } else { Err(disbelief(changed(&held, target), shown)) }
    }
}

fn disbelief(doubt: Doubt, shown: &ShownKey) -> Disbelief {
    let shown = shown.fingerprint.clone();
    match doubt {
        Doubt::OtherKind { kind, known, by } => Disbelief::AskFor {
            key_type: kind.name().to_owned(),
            otherwise: UpstreamError::HostKeyChanged { pinned: known, shown, by },
        },
        Doubt::Changed { known, by } => {
            Disbelief::Failed(UpstreamError::HostKeyChanged { pinned: known, shown, by })
        }
        Doubt::Unvouched(why) => Disbelief::Failed(UpstreamError::HostKeyUnknown { shown, why }),
    }
}
