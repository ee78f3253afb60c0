//! What a voucher says about the keys of one machine.

use crate::domain::Fingerprint;
use crate::signature::KeyKind;

/// One host key, as far as a voucher tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Its kind; nothing where a bare fingerprint was given.
    pub kind: Option<KeyKind>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// The key in wire form, where it was given whole.
    pub blob: Option<Vec<u8>>,
}

impl KnownKey {
    /// A key that was given whole.
    #[must_use]
    pub fn whole(kind: KeyKind, blob: Vec<u8>) -> Self {
        Self { kind: Some(kind), fingerprint: Fingerprint::of_blob(&blob), blob: Some(blob) }
    }
}

/// The keys that a voucher knows of one machine: at least one, and at most one of each kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKeys {
    keys: Vec<KnownKey>,
}

/// Whether a key that was shown is one that a voucher knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opinion {
    /// It is.
    Same,
    /// It is not: of its kind the voucher knows this one.
    Other(Fingerprint),
    /// The voucher knows nothing of keys of its kind; the machine should have one of this kind.
    OtherKind(KeyKind, Fingerprint),
}

impl KnownKeys {
    /// Nothing where there is no key. Keys that are given twice count once.
    ///
    /// # Errors
    /// When two different keys of one kind are among them: which one is the machine's cannot be told.
    pub fn of(keys: Vec<KnownKey>) -> Result<Option<Self>, KeyKind> {
        let mut known: Vec<KnownKey> = Vec::with_capacity(keys.len());
        for key in keys {
            let same_kind = known.iter_mut().find(|other| other.kind.is_some() && other.kind == key.kind);
            match (same_kind, key.kind) {
                (Some(other), _) if other.fingerprint == key.fingerprint => {
                    other.blob = other.blob.take().or(key.blob);
                }
                (Some(_), Some(kind)) => return Err(kind),
                (Some(_) | None, _) => known.push(key),
            }
        }
        Ok((!known.is_empty()).then_some(Self { keys: known }))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[KnownKey] {
        &self.keys
    }

    /// The key to ask the machine for: the best kind by the order in which drawbridge likes them.
    #[must_use]
    pub fn best(&self) -> Option<&KnownKey> {
        let rank = |key: &&KnownKey| KeyKind::ALL.iter().position(|kind| Some(*kind) == key.kind);
        self.keys.iter().filter(|key| key.kind.is_some()).min_by_key(rank)
    }

    /// What the voucher thinks of a key that was shown.
    #[must_use]
    pub fn judge(&self, kind: KeyKind, shown: &Fingerprint) -> Opinion {
        if self.keys.iter().any(|key| key.fingerprint == *shown && key.kind.is_none_or(|known| known == kind))
        {
            return Opinion::Same;
        }
        // A bare fingerprint may be that of a key of any kind.
        let rival = self.keys.iter().find(|key| key.kind.is_none_or(|known| known == kind));
        match (rival, self.best()) {
            (None, Some(KnownKey { kind: Some(best), fingerprint, .. })) => {
                Opinion::OtherKind(*best, fingerprint.clone())
            }
            (Some(rival), _) => Opinion::Other(rival.fingerprint.clone()),
            // There is at least one key; without a kind it is a rival.
            (None, _) => Opinion::Other(shown.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: KeyKind, text: &str) -> KnownKey {
        KnownKey::whole(kind, text.as_bytes().to_vec())
    }

    fn bare(text: &str) -> KnownKey {
        KnownKey { kind: None, fingerprint: Fingerprint::of_blob(text.as_bytes()), blob: None }
    }

    fn known(keys: Vec<KnownKey>) -> KnownKeys {
        KnownKeys::of(keys).expect("no contradiction").expect("a key")
    }

    #[test]
    fn a_key_is_judged_by_those_of_its_kind() {
        let keys = known(vec![key(KeyKind::Rsa, "rsa"), key(KeyKind::EcdsaP256, "curve")]);
        let fingerprint = |text: &str| Fingerprint::of_blob(text.as_bytes());
        assert_eq!(keys.judge(KeyKind::Rsa, &fingerprint("rsa")), Opinion::Same);
        assert_eq!(keys.judge(KeyKind::Rsa, &fingerprint("x")), Opinion::Other(fingerprint("rsa")));
        assert_eq!(
            keys.judge(KeyKind::Ed25519, &fingerprint("x")),
            Opinion::OtherKind(KeyKind::EcdsaP256, fingerprint("curve"))
        );
        assert_eq!(
            keys.judge(KeyKind::Ed25519, &fingerprint("rsa")),
            Opinion::OtherKind(KeyKind::EcdsaP256, fingerprint("curve"))
        );
        let keys = known(vec![bare("one"), bare("two")]);
        assert_eq!(keys.judge(KeyKind::Ed25519, &fingerprint("two")), Opinion::Same);
        assert_eq!(keys.judge(KeyKind::Ed25519, &fingerprint("x")), Opinion::Other(fingerprint("one")));
        assert_eq!(keys.best(), None);
    }

    #[test]
    fn two_keys_of_one_kind_are_a_contradiction_and_one_key_twice_is_not() {
        let contradiction = vec![key(KeyKind::Rsa, "one"), key(KeyKind::Rsa, "two")];
        assert_eq!(KnownKeys::of(contradiction), Err(KeyKind::Rsa));
        let bare_first = KnownKey { blob: None, ..key(KeyKind::Rsa, "one") };
        let merged = known(vec![bare_first, key(KeyKind::Rsa, "one")]);
        assert_eq!(merged.all(), [key(KeyKind::Rsa, "one")]);
        assert_eq!(KnownKeys::of(Vec::new()), Ok(None));
    }
}
