//! The tag of an instance that says which host keys it has.
//!
//! EC2 lets a tag's value have 256 letters, digits, blanks and `+-=._:/@`. What stands in it is one or more of these,
//! with a blank between:
//!
//! - `SHA256:…`, the fingerprint of a host key as `ssh-keygen -l` prints it;
//! - `ssh-ed25519 SHA256:…`, the same and of which kind of key;
//! - `ssh-ed25519 AAAA…`, a key as a `.pub` file has it, without its comment.

use data_encoding::BASE64;
use thiserror::Error;

use super::known::{KnownKey, KnownKeys};
use crate::domain::Fingerprint;
use crate::signature::{KeyKind, PublicKey};

/// The longest value of a tag, in characters (EC2 User Guide, "Tag restrictions").
pub const TAG_LENGTH_MAX: usize = 256;

/// Why a tag vouches for nothing although it is there. Goes on after "the tag NAME".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TagError {
    /// Longer than any tag.
    #[error("is longer than a tag can be")]
    TooLong,
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Something that is no fingerprint, no kind of key and no key.
    #[error("is neither a fingerprint (SHA256:…) nor a public key (ssh-ed25519 AAAA…)")]
    Unreadable,
    /// A kind with nothing behind it.
    #[error("names a kind of key and neither its fingerprint nor the key")]
    KindAlone,
    /// A key that is cut short or damaged, or too weak.
    #[error("has a public key that is cut short, damaged or too weak")]
    BadKey,
    /// It says one kind and the key is of another.
    #[error("says {said} and holds a key of the kind {held}")]
    WrongKind {
        /// What it says.
        said: &'static str,
        /// What it has.
        held: &'static str,
    },
    /// A kind that no target is asked for.
    #[error("names a kind of key that cannot be a host key here")]
    Unsuitable,
    /// Two different keys of one kind.
    #[error("has two different keys of the kind {0}")]
    Contradiction(&'static str),
}

/// Reads a tag's value.
///
/// # Errors
/// When it is anything but a list of fingerprints and keys.
pub fn read_tag(value: &str) -> Result<KnownKeys, TagError> {
    // Characters, each of which may have four bytes, are counted only as far as it matters.
    if value.chars().nth(TAG_LENGTH_MAX).is_some() {
        return Err(TagError::TooLong);
    }
    let mut words = value.split_whitespace();
    let mut keys = Vec::new();
    while let Some(word) = words.next() {
        if let Some(fingerprint) = Fingerprint::parse(word) {
            keys.push(KnownKey { kind: None, fingerprint, blob: None });
            continue;
        }
        let kind = kind_named(word)?;
        let given = words.next().ok_or(TagError::KindAlone)?;
        keys.push(read_key(kind, given)?);
    }
    match KnownKeys::of(keys) {
        Ok(known) => known.ok_or(TagError::Empty),
        Err(kind) => Err(TagError::Contradiction(kind.name())),
    }
}

fn kind_named(word: &str) -> Result<KeyKind, TagError> {
    let kind = KeyKind::from_name(word).ok_or(TagError::Unreadable)?;
    if kind.is_security_key() { Err(TagError::Unsuitable) } else { Ok(kind) }
}

fn read_key(kind: KeyKind, given: &str) -> Result<KnownKey, TagError> {
    if let Some(fingerprint) = Fingerprint::parse(given) {
        return Ok(KnownKey { kind: Some(kind), fingerprint, blob: None });
    }
    let blob = BASE64.decode(given.as_bytes()).map_err(|_| TagError::BadKey)?;
    let held = PublicKey::parse(&blob).map_err(|_| TagError::BadKey)?.kind();
    if held != kind {
        return Err(TagError::WrongKind { said: kind.name(), held: held.name() });
    }
    Ok(KnownKey::whole(kind, blob))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::signature::keygen::{KeyFiles, Workshop};

    fn bare(key: &KeyFiles) -> &str {
        key.line.rsplit_once(' ').expect("a comment").0
    }

    #[test]
    fn fingerprints_and_keys_are_read_alone_and_side_by_side() {
        let workshop = Workshop::new();
        let (key, curve) = (workshop.ed25519("one"), workshop.key("two", "ecdsa", "256"));
        let (one, two) = (Fingerprint::of_blob(&key.blob), Fingerprint::of_blob(&curve.blob));
        let read = |text: &str| read_tag(text).unwrap_or_else(|error| panic!("{text:?} {error}"));
        let fingerprints = |text: &str| -> Vec<Fingerprint> {
            read(text).all().iter().map(|key| key.fingerprint.clone()).collect()
        };
        assert_eq!(fingerprints(one.as_str()), [Fingerprint::of_blob(&key.blob)]);
        assert_eq!(fingerprints(&format!("{one} {two}")), [one.clone(), two.clone()]);
        let typed = read(&format!(" ssh-ed25519  {one} "));
        assert_eq!((typed.all()[0].kind, typed.all()[0].blob.is_none()), (Some(KeyKind::Ed25519), true));
        let whole = read(bare(&key));
        assert_eq!(whole.all()[0].blob.as_deref(), Some(key.blob.as_slice()));
        assert_eq!(fingerprints(&format!("{} ecdsa-sha2-nistp256 {two}", bare(&key))), [one, two]);
    }

    #[test]
    fn what_is_not_wholly_understood_vouches_for_nothing() {
        let workshop = Workshop::new();
        let (key, other) = (workshop.ed25519("one"), workshop.ed25519("two"));
        let fingerprint = Fingerprint::of_blob(&key.blob);
        let encoded = bare(&key).split_once(' ').expect("two words").1;
        let long = "x".repeat(TAG_LENGTH_MAX + 1);
        for (text, why) in [
            ("", TagError::Empty),
            ("  ", TagError::Empty),
            ("yes", TagError::Unreadable),
            ("SHA256:abc", TagError::Unreadable),
            ("MD5:00:11", TagError::Unreadable),
            (key.line.as_str(), TagError::Unreadable),
            (&long, TagError::TooLong),
            ("ssh-ed25519", TagError::KindAlone),
            ("ssh-ed25519 AAAA", TagError::BadKey),
            (&format!("ssh-ed25519 {}", &encoded[..encoded.len() - 8]), TagError::BadKey),
            (&format!("ssh-rsa {encoded}"), TagError::WrongKind { said: "ssh-rsa", held: "ssh-ed25519" }),
            (&format!("ssh-dss {encoded}"), TagError::Unreadable),
            (&format!("sk-ssh-ed25519@openssh.com {fingerprint}"), TagError::Unsuitable),
            (&format!("{} {}", bare(&key), bare(&other)), TagError::Contradiction("ssh-ed25519")),
        ] {
            assert_eq!(read_tag(text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_keys_or_an_error(text in "\\PC{0,300}") {
            if let Ok(keys) = read_tag(&text) {
                prop_assert!(!keys.all().is_empty());
            }
        }
    }
}
