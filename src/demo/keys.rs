//! Ed25519 key files: made on the first run, kept on later ones.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

/// Loads the key at a path, or makes it, and gives its public half as OpenSSH writes it.
pub(super) fn load_or_create(path: &Path, comment: &str) -> io::Result<String> {
    let public = |key: &PrivateKey| key.public_key().to_openssh().map_err(io::Error::other);
    match std::fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => public(&PrivateKey::from_openssh(text.as_str()).map_err(io::Error::other)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = generate(comment)?;
            write(path, &key)?;
            public(&key)
        }
        Err(error) => Err(error),
    }
}

fn generate(comment: &str) -> io::Result<PrivateKey> {
    let mut seed = Zeroizing::new([0; 32]);
    let no_randomness = |_| io::Error::other("the system gives no randomness");
    aws_lc_rs::rand::fill(seed.as_mut_slice()).map_err(no_randomness)?;
    let pair = KeypairData::from(Ed25519Keypair::from_seed(&seed));
    PrivateKey::new(pair, comment).map_err(io::Error::other)
}

fn write(path: &Path, key: &PrivateKey) -> io::Result<()> {
    let text = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("id_ed25519");
        let first = load_or_create(&path, "demo").expect("a key");
        assert!(first.starts_with("ssh-ed25519 AAAA") && first.ends_with(" demo"), "{first}");
        assert_eq!(load_or_create(&path, "demo").expect("the key"), first);
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn something_that_is_not_a_key_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("id_ed25519");
        std::fs::write(&path, "precious").expect("written");
        assert!(load_or_create(&path, "demo").is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "precious");
    }
}
