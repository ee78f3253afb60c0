//! Everything known about users, keys, CAs and revocations: read whole, never changed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::authorized_key::{AuthorizedKey, Role, parse_key};
use super::files::read_text;
use super::revocation::Revocations;
use super::users_file;
use crate::domain::{AuthMethod, CertificateFacts, Fingerprint, Identity, UserName};
use crate::problem::Problem;

/// The files that identity is read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdentitySources {
    /// The users file (TOML).
    pub users_file: PathBuf,
    /// Files with the public keys of CAs whose user certificates let in, one a line.
    pub trusted_user_ca_keys: Vec<PathBuf>,
    /// KRLs and plain lists of what is revoked.
    pub revoked_keys: Vec<PathBuf>,
}

impl IdentitySources {
    /// Every file, for whoever watches them for changes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let lists = self.trusted_user_ca_keys.iter().chain(&self.revoked_keys);
        std::iter::once(&self.users_file).chain(lists).map(PathBuf::as_path)
    }
}

/// A user of local policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their name.
    pub name: UserName,
    /// The groups they are in, sorted.
    pub groups: Vec<String>,
    pub(super) keys: Vec<Arc<AuthorizedKey>>,
}

/// One line of one user: a key of theirs, or a CA that speaks for them.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) user: Arc<User>,
    pub(super) key: Arc<AuthorizedKey>,
}

/// Who exists and how they prove it. Immutable: a changed file makes a new one, swapped in whole,
/// or is refused and leaves the old one.
#[derive(Debug, Default)]
pub struct Directory {
    users: BTreeMap<UserName, Arc<User>>,
    /// Those that somebody is in, and those that the users file lists.
    groups: BTreeSet<String>,
    /// Lines that let in, by key blob.
    pub(super) login_keys: HashMap<Vec<u8>, Vec<Entry>>,
    /// `cert-authority` lines, by the CA's key blob.
    pub(super) user_cas: HashMap<Vec<u8>, Vec<Entry>>,
    /// Names and aliases that certificates may carry.
    principals: HashMap<String, Vec<Arc<User>>>,
    pub(super) trusted_cas: HashSet<Vec<u8>>,
    pub(super) revocations: Revocations,
}

impl Directory {
    /// Reads every file.
    ///
    /// # Errors
    /// Every problem of every file. Nothing is taken from files with problems: half a revocation
    /// list or half the users is worse than the state before.
    pub fn load(sources: &IdentitySources) -> Result<Self, Vec<Problem>> {
        let mut directory = Self::default();
        let mut problems = Vec::new();
        match read_text(&sources.users_file, "users file") {
            Ok(text) => {
                let file = users_file::parse(&sources.users_file, &text);
                problems.extend(file.problems);
                directory.groups = file.groups;
                file.users.into_iter().for_each(|entry| directory.add_user(entry));
            }
            Err(problem) => problems.push(problem),
        }
        for path in &sources.trusted_user_ca_keys {
            directory.add_trusted_cas(path, &mut problems);
        }
        match Revocations::load(&sources.revoked_keys) {
            Ok(revocations) => directory.revocations = revocations,
            Err(found) => problems.extend(found),
        }
        if problems.is_empty() { Ok(directory) } else { Err(problems) }
    }

    /// The user of that name.
    #[must_use]
    pub fn user(&self, name: &UserName) -> Option<&User> {
        self.users.get(name).map(Arc::as_ref)
    }

    /// Every user, sorted by name.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values().map(Arc::as_ref)
    }

    /// Whether there is such a group: somebody is in it, or the users file lists it under `[groups]`.
    #[must_use]
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    /// The user whom somebody typed as SSH user name, which may be anything of any length. Only an
    /// exact name counts.
    pub(super) fn user_named(&self, ssh_user: &str) -> Option<&Arc<User>> {
        // `user+login` names the user; no user's name has a `+`.
        let name = match ssh_user.split_once('+') {
            Some((name, login)) if !login.contains('@') => name,
            Some(_) | None => ssh_user,
        };
        UserName::parse(name).ok().and_then(|name| self.users.get(&name))
    }

    /// The users whom a certificate with these principals could be for, each once.
    pub(super) fn users_with_principal(&self, principals: &[&str]) -> Vec<&Arc<User>> {
        let found = principals.iter().filter_map(|principal| self.principals.get(*principal)).flatten();
        found.map(|user| (&user.name, user)).collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// Whether one of the principals is the user's name or alias.
    pub(super) fn is_principal_of(&self, user: &User, principals: &[&str]) -> bool {
        self.users_with_principal(principals).iter().any(|found| found.name == user.name)
    }

    /// An identity as the user would have after logging in, to explain a decision with. It takes
    /// the user's first key, or a certificate of the first trusted CA where they have none.
    #[must_use]
    pub fn identity_for_explain(&self, user: &UserName, client_addr: IpAddr) -> Option<Identity> {
        let user = self.users.get(user)?;
        let first = user.keys.iter().find(|key| key.role == Role::Login);
        let auth = match first {
            Some(key) => AuthMethod::PublicKey {
                fingerprint: key.fingerprint.clone(),
                algorithm: key.kind.name().to_owned(),
            },
            None => self.certificate_for_explain(),
        };
        Some(Identity { user: user.name.clone(), groups: user.groups.clone(), auth, client_addr })
    }

    fn certificate_for_explain(&self) -> AuthMethod {
        let fingerprints: BTreeSet<_> = self.trusted_cas.iter().map(|ca| Fingerprint::of_blob(ca)).collect();
        let ca = fingerprints.into_iter().next().unwrap_or_else(|| Fingerprint::of_blob(&[]));
        AuthMethod::Certificate {
            fingerprint: Fingerprint::of_blob(&[]),
            algorithm: "ssh-ed25519-cert-v01@openssh.com".to_owned(),
            certificate: CertificateFacts { key_id: "explain".to_owned(), serial: 0, ca },
        }
    }

    fn add_user(&mut self, entry: users_file::UserEntry) {
        let keys = entry.keys.into_iter().map(Arc::new).collect();
        self.groups.extend(entry.groups.iter().cloned());
        let user = Arc::new(User { name: entry.name, groups: entry.groups, keys });
        for key in &user.keys {
            let index = match key.role {
                Role::Login => &mut self.login_keys,
                Role::CertAuthority { .. } => &mut self.user_cas,
            };
            let line = Entry { user: Arc::clone(&user), key: Arc::clone(key) };
            index.entry(key.key_blob.clone()).or_default().push(line);
        }
        let own_name = user.name.as_str().to_owned();
        for principal in std::iter::once(own_name).chain(entry.principals) {
            self.principals.entry(principal).or_default().push(Arc::clone(&user));
        }
        self.users.insert(user.name.clone(), user);
    }

    fn add_trusted_cas(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let text = match read_text(path, "file of trusted CA keys") {
            Ok(text) => text,
            Err(problem) => return problems.push(problem),
        };
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match parse_key(line) {
                Ok(key) => {
                    self.trusted_cas.insert(key.key_blob);
                }
                Err(problem) => {
                    let message = format!("the CA's key {}", problem.message);
                    let located = Problem::new(path, message).at_line(number);
                    problems.push(match problem.hint {
                        Some(hint) => located.with_hint(hint),
                        None => located,
                    });
                }
            }
        }
    }
}
