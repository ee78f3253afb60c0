//! Keys that are pinned to a machine, never to an address.

use jiff::Timestamp;

use crate::domain::{Fingerprint, PinVoucher, Target};
use crate::tasks::BoxFuture;

/// A key that an instance is known by, and how that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedKey {
    /// Its type, as SSH names it.
    pub key_type: String,
    /// The key in wire form.
    pub key_blob: Vec<u8>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// What made it trustworthy.
    pub vouched_by: PinVoucher,
    /// When it was pinned.
    pub pinned_at: Timestamp,
    /// When the instance had last been started then, where that was known.
    pub launch_time: Option<Timestamp>,
    /// The instance's image then, where that was known.
    pub image: Option<String>,
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
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>>;

    /// Pins a key in place of the machine's pin, where it still is `replaced`; answers the pin that holds.
    fn replace<'a>(
        &'a self,
        target: &'a Target,
        replaced: &'a PinnedKey,
        key_blob: &'a [u8],
        vouched_by: PinVoucher,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>>;

    /// The machine has proved to have its pinned key once more.
    fn seen<'a>(&'a self, target: &'a Target, now: Timestamp) -> BoxFuture<'a, Result<(), PinError>>;
}

/// What is known of the time between the pinning of a key and now, when the machine shows another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    vouched_by: PinVoucher,
    pinned_at: Timestamp,
    /// When it was started: then, and last.
    launch: [Option<Timestamp>; 2],
    image: [Option<String>; 2],
}

impl KeyChange {
    /// What lies between a pin and the machine as it is.
    #[must_use]
    pub fn between(pin: &PinnedKey, target: &Target) -> Self {
        let image = (!target.image.is_empty()).then(|| target.image.clone());
        Self {
            vouched_by: pin.vouched_by,
            pinned_at: pin.pinned_at,
            launch: [pin.launch_time, target.launch_time],
            image: [pin.image.clone(), image],
        }
    }

    /// How the pin came about, as a phrase: `pinned at first use on 2026-01-02T03:04:05Z`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("pinned {} on {:.0}", self.vouched_by.phrase(), self.pinned_at)
    }

    /// What became of the instance since then, as a phrase after "the instance"; nothing where that is not known.
    #[must_use]
    pub fn since(&self) -> Option<String> {
        let launch = match self.launch {
            [Some(then), Some(last)] if then == last => Some("was not started again since".to_owned()),
            [Some(_), Some(last)] => Some(format!("was started again on {last:.0}")),
            [_, _] => None,
        };
        let image = match &self.image {
            [Some(then), Some(last)] if then == last => Some(format!("has the same image ({then})")),
            [Some(then), Some(last)] => Some(format!("has another image ({last}; it was {then})")),
            [_, _] => None,
        };
        let known: Vec<String> = launch.into_iter().chain(image).collect();
        (!known.is_empty()).then(|| known.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing::target;

    #[test]
    fn what_lies_between_is_told_as_far_as_it_is_known() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let mut pin = PinnedKey {
            key_type: "ssh-ed25519".to_owned(),
            key_blob: b"key".to_vec(),
            fingerprint: Fingerprint::of_blob(b"key"),
            vouched_by: PinVoucher::Console,
            pinned_at: at("2026-01-02T03:04:05.678Z"),
            launch_time: None,
            image: None,
        };
        let mut web = target("web-1", 1);
        let told = |pin: &PinnedKey, web: &Target| KeyChange::between(pin, web).since();
        assert_eq!(
            KeyChange::between(&pin, &web).origin(),
            "pinned as the console output said on 2026-01-02T03:04:05Z"
        );
        assert_eq!(told(&pin, &web), None);
        (pin.image, pin.launch_time) = (Some("ami-1".to_owned()), Some(at("2026-01-02T03:00:00Z")));
        assert_eq!(told(&pin, &web).as_deref(), Some("has the same image (ami-1)"));
        web.launch_time = pin.launch_time;
        assert_eq!(
            told(&pin, &web).as_deref(),
            Some("was not started again since and has the same image (ami-1)")
        );
        (web.launch_time, web.image) = (Some(at("2026-02-03T04:05:06Z")), "ami-2".to_owned());
        assert_eq!(
            told(&pin, &web).as_deref(),
            Some("was started again on 2026-02-03T04:05:06Z and has another image (ami-2; it was ami-1)")
        );
    }
}
