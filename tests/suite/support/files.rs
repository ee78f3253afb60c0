//! The files that a daemon runs with, and keys from `ssh-keygen`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes an ed25519 key pair without a passphrase; answers the public line.
pub(crate) fn new_key(path: &Path) -> String {
    new_key_of(path, &["-t", "ed25519"])
}

/// Makes a key pair as `ssh-keygen` is told; answers the public line.
pub(crate) fn new_key_of(path: &Path, kind: &[&str]) -> String {
    keygen(Command::new("ssh-keygen").args(["-q", "-N", "", "-C", "lab"]).args(kind).arg("-f").arg(path));
    std::fs::read_to_string(public_half(path)).expect("ssh-keygen wrote it").trim().to_owned()
}

/// The file of the public half.
pub(crate) fn public_half(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Certifies a user key; ssh finds the certificate beside the key by its name.
pub(crate) fn certify(ca: &Path, key: &Path, id: &str, principals: &str, more: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-s"]).arg(ca).args(["-I", id, "-n", principals]).args(more).arg(public_half(key));
    keygen(&mut command);
}

/// The fingerprint of a public key line, as OpenSSH prints it.
pub(crate) fn fingerprint(public_line: &str) -> String {
    let encoded = public_line.split(' ').nth(1).expect("type, key, comment");
    let blob = data_encoding::BASE64.decode(encoded.as_bytes()).expect("base64");
    drawbridge::domain::Fingerprint::of_blob(&blob).to_string()
}

fn keygen(command: &mut Command) {
    let out = command.output().expect("ssh-keygen runs");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Writes a key revocation list of those public keys or specifications.
pub(crate) fn revocation_list(krl: &Path, what: &[&Path]) {
    keygen(Command::new("ssh-keygen").arg("-k").arg("-f").arg(krl).args(what));
}

/// A user of the users file.
#[derive(Debug, Clone)]
pub(crate) struct UserEntry {
    pub(crate) name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) principals: Vec<String>,
}

/// The users file.
pub(crate) fn users_toml(users: &[UserEntry]) -> String {
    let mut text = String::new();
    for user in users {
        let list = |items: &[String]| format!("{items:?}");
        writeln!(text, "[users.{}]", user.name).expect("a string takes it");
        writeln!(text, "groups = {}", list(&user.groups)).expect("a string takes it");
        writeln!(text, "authorized_keys = {}", list(&user.keys)).expect("a string takes it");
        write!(text, "principals = {}\n\n", list(&user.principals)).expect("a string takes it");
    }
    text
}

/// The config file: its sections with their lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigText(BTreeMap<String, Vec<String>>);

impl ConfigText {
    /// Adds a line to a section; a key that is set again is replaced.
    pub(crate) fn set(&mut self, section: &str, key: &str, value: &str) {
        let lines = self.0.entry(section.to_owned()).or_default();
        let start = format!("{key} = ");
        lines.retain(|line| !line.starts_with(&start));
        lines.push(format!("{start}{value}"));
    }

    /// Takes over all that another says, which wins.
    pub(crate) fn extend(&mut self, other: Self) {
        for (section, lines) in other.0 {
            for line in lines {
                let (key, value) = line.split_once(" = ").expect("set() wrote it");
                self.set(&section, key, value);
            }
        }
    }

    /// The whole file.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (section, lines) in &self.0 {
            write!(text, "[{section}]\n{}\n\n", lines.join("\n")).expect("a string takes it");
        }
        text
    }
}
