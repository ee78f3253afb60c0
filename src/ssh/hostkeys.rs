//! The bastion's own keys: its host key, and the host CA that vouches for every name it answers to.
//!
//! Both are Ed25519, made at first start, kept in OpenSSH's format with mode 0600.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jiff::Timestamp;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::wire::Put;
use crate::domain::Fingerprint;

/// Why a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The file cannot be read or written.
    #[error("the key file {path} cannot be used: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not an unencrypted Ed25519 key in OpenSSH's format.
    #[error("{path} is not an unencrypted Ed25519 private key in OpenSSH format: {why}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate or key could not be made.
    #[error("the key could not be made: {0}")]
    Make(String),
}

/// A key file is a few hundred bytes; anything far beyond is not one.
const FILE_MAX: u64 = 16 * 1024;

/// An Ed25519 key pair of the bastion's own.
pub struct HostKey {
    private: PrivateKey,
    signer: Ed25519KeyPair,
    blob: Vec<u8>,
}

impl std::fmt::Debug for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HostKey({})", self.fingerprint())
    }
}

impl HostKey {
    /// A fresh key with a comment.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate(comment: &str) -> Result<Self, HostKeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(seed.as_mut_slice())
            .map_err(|_| HostKeyError::Make("the system has no randomness".to_owned()))?;
        let pair = Ed25519Keypair::from_seed(&seed);
        let mut private = PrivateKey::new(KeypairData::from(pair), comment)
            .map_err(|error| HostKeyError::Make(error.to_string()))?;
        private.set_comment(comment);
        Self::of(private).map_err(HostKeyError::Make)
    }

    fn of(private: PrivateKey) -> Result<Self, String> {
        let pair = private.key_data().ed25519().ok_or("the key is encrypted or not Ed25519")?;
        let seed = Zeroizing::new(pair.private.to_bytes());
        let signer =
            Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|error| error.to_string())?;
        let mut blob = Vec::new();
        blob.string(b"ssh-ed25519").string(signer.public_key().as_ref());
        Ok(Self { private, signer, blob })
    }

    /// Reads the key, or makes it where the file is absent.
    ///
    /// # Errors
    /// When the file cannot be read, is no unencrypted Ed25519 key, or cannot be written.
    pub fn load_or_create(path: &Path, comment: &str) -> Result<Self, HostKeyError> {
        let io = |source| HostKeyError::Io { path: path.display().to_string(), source };
        let format = |why| HostKeyError::Format { path: path.display().to_string(), why };
        match File::open(path) {
            Ok(file) => {
                let mut text = Zeroizing::new(String::new());
                file.take(FILE_MAX).read_to_string(&mut text).map_err(io)?;
                let private = PrivateKey::from_openssh(text.as_str()).map_err(|e| format(e.to_string()))?;
                Self::of(private).map_err(format)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = Self::generate(comment)?;
                let text = key.private.to_openssh(LineEnding::LF).map_err(|e| format(e.to_string()))?;
                let mut options = OpenOptions::new();
                let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
                file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
                Ok(key)
            }
            Err(error) => Err(io(error)),
        }
    }

    /// The public half in wire form (RFC 8709 §4).
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The public half as one line of OpenSSH's format, without a comment.
    #[must_use]
    pub fn public_line(&self) -> String {
        format!("ssh-ed25519 {}", data_encoding::BASE64.encode(&self.blob))
    }

    /// The fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_blob(&self.blob)
    }

    /// A bare Ed25519 signature, 64 bytes (RFC 8032), for what is no SSH message.
    pub(crate) fn sign_bare(&self, message: &[u8]) -> Vec<u8> {
        self.signer.sign(message).as_ref().to_vec()
    }

    /// A signature in wire form (RFC 8709 §6).
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(83);
        out.string(b"ssh-ed25519").string(self.signer.sign(message).as_ref());
        out
    }

    /// As a host CA: certifies `host` for these names, from five minutes ago for a day.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn certify(&self, host: &HostKey, names: &[String], now: Timestamp) -> Result<Vec<u8>, HostKeyError> {
        let make = |error: ssh_key::Error| HostKeyError::Make(error.to_string());
        let mut nonce = [0; 32];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| HostKeyError::Make("no randomness".to_owned()))?;
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let (from, until) = (seconds.saturating_sub(300), seconds.saturating_add(86_400));
        let public = host.private.public_key().key_data().clone();
        let mut builder = Builder::new(nonce, public, from, until).map_err(make)?;
        builder.cert_type(CertType::Host).map_err(make)?;
        builder.key_id("drawbridge").map_err(make)?;
        if names.is_empty() {
            builder.all_principals_valid().map_err(make)?;
        }
        for name in names {
            builder.valid_principal(name).map_err(make)?;
        }
        builder.sign(&self.private).and_then(|certificate| certificate.to_bytes()).map_err(make)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_a_restart_with_mode_0600() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("host");
        let made = HostKey::load_or_create(&path, "drawbridge").expect("made");
        let read = HostKey::load_or_create(&path, "drawbridge").expect("read");
        assert_eq!(made.blob(), read.blob());
        assert_eq!(std::fs::metadata(&path).expect("meta").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("host");
        std::fs::write(&path, "hello").expect("written");
        let error = HostKey::load_or_create(&path, "x").expect_err("no key");
        assert!(error.to_string().contains("host is not an unencrypted Ed25519"), "{error}");
    }

    #[test]
    fn a_certificate_names_the_hosts_it_was_made_for() {
        let ca = HostKey::generate("ca").expect("ca");
        let host = HostKey::generate("host").expect("host");
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("time");
        let blob = ca.certify(&host, &["web-1".to_owned()], now).expect("certificate");
        let certificate = ssh_key::Certificate::from_bytes(&blob).expect("a certificate");
        assert_eq!(certificate.valid_principals(), ["web-1"]);
        assert_eq!(certificate.cert_type(), CertType::Host);
    }
}
