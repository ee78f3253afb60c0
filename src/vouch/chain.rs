//! The vouchers in their order, and what follows from what they say.
//!
//! The first one that knows the machine's keys decides. One that knows nothing leaves it to the next; one that knows
//! another key refuses. Whatever the chain says, a pin binds: a key that is not the pinned one is refused, unless a
//! host certificate has vouched for it (decision 0016).

use jiff::Timestamp;

use super::certificate::{CertificateDoubt, HostCas, check_certificate};
use super::known::{KnownKeys, Opinion};
use super::pin::{KeyChange, PinnedKey};
use super::reader::Unread;
use super::tag::{TagError, read_tag};
use crate::domain::{Fingerprint, HostKeyVoucher, Target};
use crate::signature::{KeyKind, PublicKey};

/// Who is asked about a host key, in which order.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// The vouchers.
    pub order: Vec<HostKeyVoucher>,
    /// The tag that says which keys an instance has.
    pub tag: String,
    /// The CAs whose host certificates are believed.
    pub cas: HostCas,
}

/// A key whose possession a machine has proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownKey {
    /// The plain key in wire form.
    pub blob: Vec<u8>,
    /// Its kind.
    pub kind: KeyKind,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The host certificate that came with it.
    certificate: Option<Vec<u8>>,
}

impl ShownKey {
    /// Reads what a machine showed, be it a key or a certificate for one. Nothing when it is neither.
    #[must_use]
    pub fn read(shown: &[u8]) -> Option<Self> {
        let key = PublicKey::parse_plain_or_certified(shown).ok()?;
        let (kind, blob) = (key.kind(), key.to_blob());
        let certificate = (blob != shown).then(|| shown.to_vec());
        Some(Self { fingerprint: Fingerprint::of_blob(&blob), blob, kind, certificate })
    }
}

/// Everything that there is to judge a key by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The machine that is meant.
    pub target: &'a Target,
    /// What the machine showed.
    pub shown: &'a ShownKey,
    /// Its pin.
    pub pin: Option<&'a PinnedKey>,
    /// What its console says; nothing where it was not asked for.
    pub console: Option<&'a Result<Option<KnownKeys>, Unread>>,
    /// The time.
    pub now: Timestamp,
}

/// What vouched for a host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouched {
    /// A host certificate of a trusted CA.
    Ca,
    /// The pin of the instance.
    Pinned,
    /// A tag of the instance.
    Tag,
    /// The instance's console output.
    Console,
    /// Nothing but that it was the first one seen; it is the pin from here on.
    FirstUse,
}

/// Who knows another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contradicts {
    /// The pin.
    Pin(Box<KeyChange>),
    /// The instance's tag of this name.
    Tag(String),
    /// The console output.
    Console,
}

/// Why a key is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Another key is known.
    Changed {
        /// The key that is known.
        known: Fingerprint,
        /// Who knows it.
        by: Contradicts,
    },
    /// Keys of other kinds are known, and none of the kind that was shown.
    OtherKind {
        /// The kind that the machine should be asked for.
        kind: KeyKind,
        /// The key of that kind.
        known: Fingerprint,
        /// Who knows it.
        by: Contradicts,
    },
    /// Nobody vouches for it.
    Unvouched(Unvouched),
}

/// Why nobody vouches for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unvouched {
    /// Nobody in the chain knows the machine.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Silence(Vec<Silence>),
    /// The instance's tag cannot be read, and somebody meant something by it.
    #[error("the tag {tag} {why}")]
    Tag {
        /// The tag.
        tag: String,
        /// What is wrong with it.
        why: TagError,
    },
    /// The console output contradicts itself.
    #[error("{0}")]
    Console(Unread),
}

/// Why one voucher says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// A certificate of a trusted CA does not hold.
    #[error("its host certificate {0}")]
    Certificate(CertificateDoubt),
    /// No pin.
    #[error("no key is pinned")]
    NoPin,
    /// No tag.
    #[error("there is no tag {0}")]
    NoTag(String),
    /// No complete block on the console.
    #[error("its console output has no host keys")]
    ConsoleSilent,
    /// The console could not be read.
    #[error("{0}")]
    Console(Unread),
    /// First use is not trusted where there is a certificate that should have held.
    #[error("a first key is not believed beside a certificate that does not hold")]
    NoFirstUse,
}

/// What one voucher says.
enum Says {
    Believe(Vouched),
    Refuse(Doubt),
    Nothing(Option<Silence>),
}

impl Chain {
    /// Whether machines are asked for host certificates.
    #[must_use]
    pub fn asks_for_certificates(&self) -> bool {
        self.order.contains(&HostKeyVoucher::Ca) && !self.cas.is_empty()
    }

    /// Whether the console of that machine may have a say.
    #[must_use]
    pub fn asks_the_console(&self, target: &Target, pinned: bool) -> bool {
        let decided = |voucher: &HostKeyVoucher| match voucher {
            HostKeyVoucher::Ca => None,
            HostKeyVoucher::Pins => pinned.then_some(false),
            HostKeyVoucher::Tag => target.tags.contains_key(&self.tag).then_some(false),
            HostKeyVoucher::Console => Some(true),
            HostKeyVoucher::Tofu => Some(false),
        };
        self.order.iter().find_map(decided).unwrap_or(false)
    }

    /// The type of key that is known of a machine, to be asked for first.
    #[must_use]
    pub fn known_type(&self, target: &Target, pin: Option<&PinnedKey>) -> Option<String> {
        if let Some(pin) = pin {
            return Some(pin.key_type.clone());
        }
        let tag = target.tags.get(&self.tag).filter(|_| self.order.contains(&HostKeyVoucher::Tag))?;
        let known = read_tag(tag).ok()?;
        Some(known.best()?.kind?.name().to_owned())
    }

    /// Asks the vouchers one after the other.
    ///
    /// # Errors
    /// When the key is not to be believed.
    pub fn judge(&self, evidence: &Evidence<'_>) -> Result<Vouched, Doubt> {
        let mut silences = Vec::new();
        for voucher in &self.order {
            let says = match voucher {
                HostKeyVoucher::Ca => self.certificate(evidence),
                HostKeyVoucher::Pins => pin(evidence),
                HostKeyVoucher::Tag => self.tag(evidence),
                HostKeyVoucher::Console => console(evidence),
                HostKeyVoucher::Tofu => first_use(evidence, &silences),
            };
            match says {
                Says::Believe(Vouched::Ca) => return Ok(Vouched::Ca),
                Says::Believe(vouched) => return bound_by_pin(evidence).map(|()| vouched),
                Says::Refuse(doubt) => return Err(doubt),
                Says::Nothing(silence) => silences.extend(silence),
            }
        }
        bound_by_pin(evidence)?;
        Err(Doubt::Unvouched(Unvouched::Silence(silences)))
    }

    fn certificate(&self, evidence: &Evidence<'_>) -> Says {
        let Some(certificate) = &evidence.shown.certificate else { return Says::Nothing(None) };
        match check_certificate(&self.cas, certificate, evidence.target, evidence.now) {
            None => Says::Nothing(None),
            Some(Ok(())) => Says::Believe(Vouched::Ca),
            Some(Err(doubt)) => Says::Nothing(Some(Silence::Certificate(doubt))),
        }
    }

    fn tag(&self, evidence: &Evidence<'_>) -> Says {
        let name = || self.tag.clone();
        let Some(tag) = evidence.target.tags.get(&self.tag) else {
            return Says::Nothing(Some(Silence::NoTag(name())));
        };
        match read_tag(tag) {
            Ok(known) => compare(&known, evidence.shown, Vouched::Tag, || Contradicts::Tag(name())),
            Err(why) => Says::Refuse(Doubt::Unvouched(Unvouched::Tag { tag: name(), why })),
        }
    }
}

fn pin(evidence: &Evidence<'_>) -> Says {
    match (evidence.pin, bound_by_pin(evidence)) {
        (None, _) => Says::Nothing(Some(Silence::NoPin)),
        (Some(_), Ok(())) => Says::Believe(Vouched::Pinned),
        (Some(_), Err(doubt)) => Says::Refuse(doubt),
    }
}

/// A pin refuses every other key, whoever vouched for it.
fn bound_by_pin(evidence: &Evidence<'_>) -> Result<(), Doubt> {
    match evidence.pin {
        Some(pin) if pin.key_blob != evidence.shown.blob => Err(changed(pin, evidence.target)),
        Some(_) | None => Ok(()),
    }
}

/// Another key is pinned.
pub(crate) fn changed(pin: &PinnedKey, target: &Target) -> Doubt {
    let by = Contradicts::Pin(Box::new(KeyChange::between(pin, target)));
    Doubt::Changed { known: pin.fingerprint.clone(), by }
}

fn console(evidence: &Evidence<'_>) -> Says {
    match evidence.console {
        None | Some(Ok(None)) => Says::Nothing(Some(Silence::ConsoleSilent)),
        Some(Ok(Some(known))) => compare(known, evidence.shown, Vouched::Console, || Contradicts::Console),
        Some(Err(unread @ Unread::Fault(_))) => Says::Nothing(Some(Silence::Console(unread.clone()))),
        Some(Err(unread @ Unread::Contents(_))) => {
            Says::Refuse(Doubt::Unvouched(Unvouched::Console(unread.clone())))
        }
    }
}

fn compare(known: &KnownKeys, shown: &ShownKey, vouched: Vouched, by: impl FnOnce() -> Contradicts) -> Says {
    match known.judge(shown.kind, &shown.fingerprint) {
        Opinion::Same => Says::Believe(vouched),
        Opinion::Other(known) => Says::Refuse(Doubt::Changed { known, by: by() }),
        Opinion::OtherKind(kind, known) => Says::Refuse(Doubt::OtherKind { kind, known, by: by() }),
    }
}

fn first_use(evidence: &Evidence<'_>, silences: &[Silence]) -> Says {
    if evidence.pin.is_some() {
        return pin(evidence);
    }
    if silences.iter().any(|silence| matches!(silence, Silence::Certificate(_))) {
        return Says::Nothing(Some(Silence::NoFirstUse));
    }
    Says::Believe(Vouched::FirstUse)
}

#[cfg(test)]
mod tests;
