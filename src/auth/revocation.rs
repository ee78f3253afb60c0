//! What is revoked: KRLs and plain lists together. A key, a certificate or a CA that any list names
//! is revoked.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use data_encoding::BASE64_NOPAD;

use super::files::read_bounded;
use super::krl::{KRL_MAGIC, Krl, RevokedCertificates, serial_range};
use crate::problem::Problem;
use crate::signature::key_type;
use crate::signature::wire::Reader;

/// Keys by their fingerprints; weak and unknown kinds too, because revoking them must still work.
#[derive(Debug, Default)]
pub(crate) struct RevokedKeys {
    sha256: HashSet<[u8; 32]>,
    /// Only to be found by KRLs that name keys this way; nothing is trusted because of SHA-1.
    sha1: HashSet<[u8; 20]>,
}

impl RevokedKeys {
    pub(super) fn insert_blob(&mut self, key_blob: &[u8]) {
        if let Ok(fingerprint) = digest(&SHA256, key_blob).as_ref().try_into() {
            self.sha256.insert(fingerprint);
        }
    }

    pub(super) fn insert_sha256(&mut self, fingerprint: [u8; 32]) {
        self.sha256.insert(fingerprint);
    }

    pub(super) fn insert_sha1(&mut self, fingerprint: [u8; 20]) {
        self.sha1.insert(fingerprint);
    }

    fn contains(&self, key_blob: &[u8]) -> bool {
        self.sha256.contains(digest(&SHA256, key_blob).as_ref())
            || (!self.sha1.is_empty()
                && self.sha1.contains(digest(&SHA1_FOR_LEGACY_USE_ONLY, key_blob).as_ref()))
    }
}

/// All revocation lists.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    krls: Vec<Krl>,
    plain: Vec<PlainList>,
}

impl Revocations {
    /// Reads every list.
    ///
    /// # Errors
    /// Every problem in every file; a list that cannot be read is never an empty list.
    pub(crate) fn load(paths: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        let mut revocations = Self::default();
        let mut problems = Vec::new();
        for path in paths {
            match read_bounded(path, "revocation list") {
                Ok(data) => revocations.add(path, &data, &mut problems),
                Err(problem) => {
                    problems.push(problem.with_hint("an empty file is a valid list that revokes nothing"));
                }
            }
        }
        if problems.is_empty() { Ok(revocations) } else { Err(problems) }
    }

    fn add(&mut self, path: &Path, data: &[u8], problems: &mut Vec<Problem>) {
        if data.starts_with(KRL_MAGIC) {
            match Krl::parse(data) {
                Ok(krl) => self.krls.push(krl),
                Err(error) => problems.push(Problem::new(path, error.to_string()).with_hint(KRL_HINT)),
            }
            return;
        }
        match std::str::from_utf8(data) {
            Ok(text) => self.plain.push(PlainList::parse(path, text, problems)),
            Err(_) => problems.push(
                Problem::new(path, "this is neither a KRL nor a text list of keys").with_hint(KRL_HINT),
            ),
        }
    }

    /// Whether a list names the key, given as a plain blob.
    pub(crate) fn revoke_key(&self, key_blob: &[u8]) -> bool {
        self.krls.iter().any(|krl| krl.keys.contains(key_blob))
            || self.plain.iter().any(|list| list.keys.contains(key_blob))
    }

    /// Whether a list names the certificate, by its CA and serial or key id.
    pub(crate) fn revoke_certificate(&self, ca_blob: &[u8], serial: u64, key_id: &[u8]) -> bool {
        self.krls.iter().any(|krl| krl.revokes_certificate(ca_blob, serial, key_id))
            || self.plain.iter().any(|list| list.certificates.contains(ca_blob, serial, key_id))
    }
}

const KRL_HINT: &str = "make it anew with `ssh-keygen -k -f FILE -s CA.pub SPEC`";

/// A text list, one entry a line: a public key, a `SHA256:` fingerprint, or one of the lines of an
/// `ssh-keygen` KRL specification that are about any CA (`serial:`, `id:`, `key:`, `hash:`).
#[derive(Debug, Default)]
struct PlainList {
    keys: RevokedKeys,
    certificates: RevokedCertificates,
}

impl PlainList {
    fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Self {
        let mut list = Self::default();
        for (line, number) in text.lines().zip(1..) {
            let entry = line.trim();
            if entry.is_empty() || entry.starts_with('#') {
                continue;
            }
            if let Err(message) = list.read_entry(entry) {
                problems.push(Problem::new(path, message).at_line(number).with_hint(ENTRY_HINT));
            }
        }
        list
    }

    fn read_entry(&mut self, entry: &str) -> Result<(), &'static str> {
        if let Some(serials) = entry.strip_prefix("serial:") {
            return self.read_serials(serials.trim());
        }
        if let Some(key_id) = entry.strip_prefix("id:") {
            self.certificates.key_ids.insert(key_id.trim().as_bytes().to_vec());
            return Ok(());
        }
        let entry =
            ["key:", "hash:"].iter().find_map(|name| entry.strip_prefix(name)).unwrap_or(entry).trim();
        if entry.starts_with("SHA256:") {
            return self.read_fingerprint(entry);
        }
        self.read_key(entry)
    }

    fn read_serials(&mut self, text: &str) -> Result<(), &'static str> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| "this is no serial number or range");
        let range = serial_range(number(first)?, number(last)?)
            .map_err(|_| "serial numbers begin at 1, and a range's first may not be above its last")?;
        self.certificates.serials.push(range);
        Ok(())
    }

    fn read_fingerprint(&mut self, entry: &str) -> Result<(), &'static str> {
        let text = entry.split_whitespace().next().unwrap_or_default();
        let encoded = text.trim_start_matches("SHA256:").trim_end_matches('=');
        let decoded = BASE64_NOPAD.decode(encoded.as_bytes()).ok();
        let fingerprint = decoded.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        self.keys.insert_sha256(fingerprint.ok_or("the fingerprint is cut short or damaged")?);
        Ok(())
    }

    fn read_key(&mut self, entry: &str) -> Result<(), &'static str> {
        let mut words = entry.split_whitespace();
        let (Some(kind), Some(encoded)) = (words.next(), words.next()) else {
            return Err("this is no public key and no fingerprint");
        };
        if kind.contains("-cert-v01@") {
            return Err("this is a certificate; a text list has its serial or key id");
        }
        let blob = BASE64_NOPAD.decode(encoded.trim_end_matches('=').as_bytes()).ok();
        match blob {
            Some(blob) if key_type(&blob) == Some(kind) && is_whole(&blob) => {
                self.keys.insert_blob(&blob);
                Ok(())
            }
            Some(_) | None => Err("the public key is cut short or damaged"),
        }
    }
}

/// Every kind of key is a row of `string`s and `mpint`s, so one that was cut short shows even when
/// its kind is too weak or too odd to be let in.
fn is_whole(key_blob: &[u8]) -> bool {
    let mut reader = Reader::new(key_blob);
    let mut fields = 0_usize;
    while !reader.is_empty() {
        if reader.string().is_err() {
            return false;
        }
        fields += 1;
    }
    fields >= 2
}

const ENTRY_HINT: &str = "an entry is a public key as in a .pub file, a SHA256:… fingerprint, `serial: N`, `serial: N-M` or `id: TEXT`";
