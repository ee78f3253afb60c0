//! A machine's public host key out of text that people have at hand: a `.pub` file, the output of
//! `ssh-keyscan`, the block of host keys in an instance's console output.

use data_encoding::BASE64;

use crate::domain::Fingerprint;
use crate::signature::{KeyKind, PublicKey, SignatureError};

/// The host key that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostKeyText {
    pub(super) kind: KeyKind,
    /// The public key in its wire form.
    pub(super) blob: Vec<u8>,
    /// How many keys of other kinds stood beside it.
    pub(super) left_out: usize,
}

impl HostKeyText {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_blob(&self.blob)
    }
}

/// Why there is no key to be had; goes on after "the text" or the file's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyTextError {
    #[error("has no public key; a line reads `ssh-ed25519 AAAA…`, with or without a host's name before it")]
    NoKey,
    #[error("is a private key; only the public half belongs here, which is in the file that ends in .pub")]
    PrivateKey,
    #[error("has a line {line} that cannot be used: {why}")]
    Line { line: usize, why: LineError },
    #[error("has the keys of several machines; leave only the lines of the one that is to be pinned")]
    SeveralMachines,
}

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    #[error("it begins with a marker (@), so its key is a CA's or a revoked one, and no machine's")]
    Marker,
    #[error("it is no public key, or one that is cut short or damaged; paste the whole line")]
    Damaged,
    #[error("it says that it is another kind of key than it holds")]
    OtherKind,
    #[error(
        "its kind of key cannot be pinned; those that can are ssh-ed25519, ecdsa-sha2-nistp256/384/521 and ssh-rsa"
    )]
    Kind,
    #[error("{0}")]
    Weak(SignatureError),
}

impl LineError {
    /// Whether the machine's other keys may be used in spite of it: it is a key, only not for us.
    fn is_only_unsuitable(&self) -> bool {
        match self {
            Self::Kind | Self::Weak(_) => true,
            Self::Marker | Self::Damaged | Self::OtherKind => false,
        }
    }
}

/// Reads the text. Of a machine's several keys the best is chosen, in the order in which
/// drawbridge asks a target for them.
pub(super) fn read(text: &str) -> Result<HostKeyText, KeyTextError> {
    if text.contains("PRIVATE KEY-----") {
        return Err(KeyTextError::PrivateKey);
    }
    let mut found = Vec::new();
    let mut unsuitable = None;
    for (line, words) in (1..).zip(text.lines().map(str::trim)) {
        match read_line(words) {
            Ok(key) => found.extend(key),
            Err(why) if why.is_only_unsuitable() => {
                unsuitable.get_or_insert(KeyTextError::Line { line, why });
            }
            Err(why) => return Err(KeyTextError::Line { line, why }),
        }
    }
    if found.is_empty() {
        return Err(unsuitable.unwrap_or(KeyTextError::NoKey));
    }
    choose(found)
}

struct Found<'a> {
    /// The first word of a `known_hosts` line.
    host: Option<&'a str>,
    kind: KeyKind,
    blob: Vec<u8>,
}

fn choose(mut found: Vec<Found<'_>>) -> Result<HostKeyText, KeyTextError> {
    // A hashed name (`ssh-keyscan -H`) differs from line to line and says nothing.
    let mut hosts: Vec<&str> =
        found.iter().filter_map(|key| key.host).filter(|host| !host.starts_with('|')).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let rank = |kind: KeyKind| KeyKind::ALL.iter().position(|other| *other == kind);
    found.sort_by(|a, b| rank(a.kind).cmp(&rank(b.kind)).then_with(|| a.blob.cmp(&b.blob)));
    found.dedup_by(|a, b| a.blob == b.blob);
    let two_of_a_kind = found.windows(2).any(|pair| matches!(pair, [one, other] if one.kind == other.kind));
    if hosts.len() > 1 || two_of_a_kind {
        return Err(KeyTextError::SeveralMachines);
    }
    let left_out = found.len().saturating_sub(1);
    let best = found.into_iter().next().ok_or(KeyTextError::NoKey)?;
    Ok(HostKeyText { kind: best.kind, blob: best.blob, left_out })
}

/// Nothing for an empty line, a comment, and the lines around the keys in a console output.
fn read_line(line: &str) -> Result<Option<Found<'_>>, LineError> {
    let frame = line.starts_with("-----") && line.contains("SSH HOST KEY KEYS");
    if line.is_empty() || line.starts_with('#') || frame {
        return Ok(None);
    }
    if line.starts_with('@') {
        return Err(LineError::Marker);
    }
    let mut words = line.split_whitespace();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    // A host may well be called ssh-something; the base64 of a key always begins with AAAA.
    let (host, named, encoded) = if is_key_type(second) {
        (Some(first), second, words.next().unwrap_or_default())
    } else {
        (None, first, second)
    };
    if !is_key_type(named) {
        return Err(LineError::Damaged);
    }
    let blob = BASE64.decode(encoded.as_bytes()).map_err(|_| LineError::Damaged)?;
    let kind = PublicKey::parse(&blob).map_err(why)?.kind();
    if kind.name() != named {
        return Err(LineError::OtherKind);
    }
    if kind.is_security_key() {
        return Err(LineError::Kind);
    }
    Ok(Some(Found { host, kind, blob }))
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start))
}

fn why(error: SignatureError) -> LineError {
    match error {
        SignatureError::WeakKey { .. } => LineError::Weak(error),
        SignatureError::UnsupportedKey | SignatureError::UnsupportedAlgorithm => LineError::Kind,
        SignatureError::MalformedKey
        | SignatureError::WrongAlgorithm
        | SignatureError::MalformedSignature
        | SignatureError::BadSignature => LineError::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::keygen::{SoftToken, Workshop};

    fn why_not(text: &str) -> LineError {
        match read(text) {
            Err(KeyTextError::Line { why, .. }) => why,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_key_is_read_in_every_form_in_which_it_is_at_hand() {
        let workshop = Workshop::new();
        let key = workshop.ed25519("web");
        let bare = key.line.rsplit_once(' ').expect("a comment").0;
        for text in [
            key.line.clone(),
            format!("{bare}\r\n"),
            format!("# 10.0.1.17:22 SSH-2.0-OpenSSH_9.2\n10.0.1.17 {bare}\n"),
            format!("ssh-gateway {bare}"),
            format!("|1|c2FsdA==|aGFzaA== {bare}\n|1|b3RoZXI=|aGFzaA== {bare}"),
            format!("-----BEGIN SSH HOST KEY KEYS-----\n{}\n-----END SSH HOST KEY KEYS-----\n", key.line),
        ] {
            let read = read(&text).unwrap_or_else(|error| panic!("{text:?} {error}"));
            assert_eq!((read.kind, read.left_out), (KeyKind::Ed25519, 0), "{text:?}");
            assert_eq!(read.blob, key.blob, "{text:?}");
        }
    }

    #[test]
    fn of_a_machines_keys_the_best_is_taken_and_weak_ones_are_passed_over() {
        let workshop = Workshop::new();
        let weak = workshop.key("weak", "rsa", "1024").line;
        let curve = workshop.key("curve", "ecdsa", "256");
        let rsa = workshop.key("rsa", "rsa", "2048").line;
        let chosen = read(&format!("{weak}\n{rsa}\n{}\n", curve.line)).expect("a key");
        assert_eq!((chosen.kind, chosen.left_out), (KeyKind::EcdsaP256, 1));
        assert_eq!(chosen.blob, curve.blob);
    }

    #[test]
    fn weak_and_unknown_keys_are_refused() {
        let workshop = Workshop::new();
        let weak = workshop.key("weak", "rsa", "1024").line;
        assert_eq!(why_not(&weak), LineError::Weak(SignatureError::WeakKey { bits: 1024 }));
        assert_eq!(why_not(&format!("10.0.1.17 {weak}")).to_string().matches("1024").count(), 1);
        // The wire form of an `ssh-dss` key begins with its name; nothing after it is looked at.
        let dss = BASE64.encode(b"\0\0\0\x07ssh-dss\0\0\0\x01\x01");
        assert_eq!(why_not(&format!("ssh-dss {dss}")), LineError::Kind);
        assert_eq!(why_not(&SoftToken::new().line()), LineError::Kind);
        let (ca, key) = (workshop.ed25519("ca"), workshop.ed25519("key"));
        let certificate = BASE64.encode(&workshop.certify(&ca, &key, &["-h", "-I", "web"]));
        assert_eq!(why_not(&format!("ssh-ed25519-cert-v01@openssh.com {certificate}")), LineError::Kind);
    }

    #[test]
    fn what_is_no_key_of_one_machine_is_refused() {
        let workshop = Workshop::new();
        let (one, other) = (workshop.ed25519("one").line, workshop.ed25519("other").line);
        let curve = workshop.key("curve", "ecdsa", "256").line;
        assert_eq!(read(&format!("{one}\n{other}")), Err(KeyTextError::SeveralMachines));
        assert_eq!(read(&format!("web-1 {one}\nweb-2 {curve}")), Err(KeyTextError::SeveralMachines));
        assert_eq!(read("\n# nothing\n"), Err(KeyTextError::NoKey));
        let private = std::fs::read_to_string(workshop.path("one")).expect("the private key");
        assert_eq!(read(&private), Err(KeyTextError::PrivateKey));
        assert_eq!(why_not(&format!("@cert-authority * {one}")), LineError::Marker);
        assert_eq!(why_not(&format!("@revoked * {one}")), LineError::Marker);
        let whole = one.split(' ').nth(1).expect("the base64");
        for cut in ["", "AAAA", "not-base64!", &whole[..whole.len() - 8]] {
            assert_eq!(why_not(&format!("ssh-ed25519 {cut}")), LineError::Damaged, "{cut}");
        }
        assert_eq!(why_not("<html>"), LineError::Damaged);
        assert_eq!(why_not(&format!("ssh-rsa {whole}")), LineError::OtherKind);
        let second = read(&format!("{one}\n\nssh-ed25519 AAAA")).expect_err("a damaged line");
        assert!(matches!(second, KeyTextError::Line { line: 3, .. }), "{second}");
    }
}
