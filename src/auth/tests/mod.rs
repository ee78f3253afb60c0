//! A directory made of real files, keys, certificates and KRLs, and who gets in.

mod certificates;
mod files;
mod hostile;
mod keys;
mod refresh;
mod revocation;

use super::{Accepted, AuthFailure, Directory, IdentitySources, KeyAttempt};
use crate::problem::Problem;
use crate::signature::keygen::{KeyFiles, Workshop};

/// A users file, CAs and lists in a workshop.
struct House {
    shop: Workshop,
    sources: IdentitySources,
}

impl House {
    fn new() -> Self {
        let shop = Workshop::new();
        let users_file = shop.write("users.toml", "[users]\n");
        Self { shop, sources: IdentitySources { users_file, ..IdentitySources::default() } }
    }

    fn users(&self, text: &str) {
        self.shop.write("users.toml", text);
    }

    /// A users file with one user, Alice, and one line.
    fn alice_has(&self, line: &str) {
        self.users(&format!("[users.alice]\ngroups = [\"eng\"]\nauthorized_keys = ['{line}']\n"));
    }

    fn trust(&mut self, ca: &KeyFiles) {
        let path = self.shop.write("trusted", format!("# CAs\n{}\n", ca.line));
        self.sources.trusted_user_ca_keys = vec![path];
    }

    fn revoke(&mut self, list: impl AsRef<[u8]>) {
        self.sources.revoked_keys = vec![self.shop.write("revoked", list)];
    }

    fn load(&self) -> Result<Directory, Vec<Problem>> {
        Directory::load(&self.sources)
    }

    fn directory(&self) -> Directory {
        self.load().expect("files without problems")
    }

    /// The problems, as a person reads them, without the directory's path.
    fn problems(&self) -> String {
        let problems = self.load().expect_err("files with problems");
        let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
        text.join("\n").replace(&format!("{}/", self.shop.path("").display()).replace("//", "/"), "")
    }
}

const NOW: &str = "2026-11-22T12:00:00Z";

/// What someone tries: Alice from a private address, unless a test says otherwise.
struct Try<'a> {
    ssh_user: &'a str,
    from: &'a str,
    sk_flags: Option<u8>,
    at: &'a str,
    algorithm: Option<&'a str>,
}

impl Default for Try<'_> {
    fn default() -> Self {
        Self { ssh_user: "alice", from: "10.0.0.1", sk_flags: None, at: NOW, algorithm: None }
    }
}

impl Try<'_> {
    fn with(&self, directory: &Directory, key_blob: &[u8]) -> Result<Accepted, AuthFailure> {
        let kind = crate::signature::key_type(key_blob).unwrap_or_default();
        let usual = kind.replace("ssh-rsa", "rsa-sha2-512");
        let attempt = KeyAttempt {
            ssh_user: self.ssh_user,
            algorithm: self.algorithm.unwrap_or(&usual),
            key_blob,
            client_addr: self.from.parse().expect("an address"),
            sk_flags: self.sk_flags,
        };
        let at = self.at.parse().expect("a time");
        let result = directory.authenticate(&attempt, at);
        // A query follows the same rules, except for what only a signature can tell.
        let told_by_signature = matches!(
            result,
            Err(AuthFailure::TouchMissing
                | AuthFailure::VerificationMissing
                | AuthFailure::WrongUser
                | AuthFailure::AmbiguousUser)
        );
        assert!(told_by_signature || directory.query(&attempt, at).is_ok() == result.is_ok(), "{result:?}");
        result
    }

    fn refused(&self, directory: &Directory, key_blob: &[u8]) -> AuthFailure {
        self.with(directory, key_blob).expect_err("a refusal")
    }

    /// The name of the user who was let in.
    fn enters(&self, directory: &Directory, key_blob: &[u8]) -> String {
        self.with(directory, key_blob).expect("an identity").identity.user.to_string()
    }
}
