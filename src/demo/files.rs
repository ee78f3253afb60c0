//! What the demo writes into its directory, so that stock clients and the daemon find their way.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::cast::{BASTION, PARTS, Part};
use super::daemon::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// Held by a demo that runs, and left behind by one that ran.
const LOCK: &str = ".lock";
/// What the demo writes, or makes.
const OURS: [&str; 11] = [
    "id_ed25519",
    "id_ed25519.pub",
    "known_hosts",
    "ssh_config",
    "drawbridge.toml",
    "policy.cedar",
    "users.toml",
    "aws-credentials",
    "audit.jsonl",
    "data",
    "instances",
];

/// The demo's directory and the names in it.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    /// Absolute, and fit for `ssh_config`.
    path: PathBuf,
}

/// What the files say, beyond what is always the same.
#[derive(Debug)]
pub(super) struct Facts {
    /// Where the daemon listens.
    pub(super) listen: SocketAddr,
    /// Where the AWS look-alike is.
    pub(super) endpoint_url: String,
    /// The region of the instances.
    pub(super) region: &'static str,
    /// The demo user's public key, as OpenSSH writes it.
    pub(super) user_key: String,
    /// The bastion's host CA, as OpenSSH writes it.
    pub(super) host_ca: String,
    /// The bastion's own host key, as OpenSSH writes it.
    pub(super) host_key: String,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The path has a character for which `ssh_config` has no quoting.
    #[error(
        "{path:?} cannot be written into an ssh_config: choose a directory whose path is plain text, \
         without quotes, dollar signs and backslashes"
    )]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is somebody else's, and the demo would write over it.
    #[error("{path} is not the demo's, and it would be written over: name an empty directory, or a new one")]
    Foreign {
        /// The file or directory.
        path: PathBuf,
    },
    /// Another demo runs in it.
    #[error("another demo runs in {path}: end it first, or name another directory")]
    Taken {
        /// The directory.
        path: PathBuf,
    },
}

impl Directory {
    /// Makes the directory, if it is not there, for its owner only.
    pub(super) fn prepare(wanted: Option<&Path>) -> Result<Self, DirectoryError> {
        let path = match wanted {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir().join(format!("drawbridge-demo-{:08x}", rand::random::<u32>())),
        };
        let failed = |source| DirectoryError::Io { path: path.clone(), source };
        let absolute = std::path::absolute(&path).map_err(failed)?;
        if !absolute.to_str().is_some_and(is_quotable) {
            return Err(DirectoryError::Path { path });
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&absolute).map_err(failed)?;
        let directory = Self { path: absolute };
        directory.is_ours()?;
        for below in [directory.data(), directory.instances()] {
            DirBuilder::new().recursive(true).mode(0o700).create(&below).map_err(failed)?;
        }
        Ok(directory)
    }

    /// A directory that no demo was in, such as `~/.ssh` or `/etc/drawbridge`, must have nothing that one writes.
    fn is_ours(&self) -> Result<(), DirectoryError> {
        let was_here = self.file(LOCK).exists();
        match OURS.iter().map(|name| self.file(name)).find(|path| path.exists()) {
            Some(path) if !was_here => Err(DirectoryError::Foreign { path }),
            Some(_) | None => Ok(()),
        }
    }

    /// Keeps other demos out of the directory for as long as the answer lives.
    pub(super) fn lock(&self) -> Result<fs::File, DirectoryError> {
        let path = self.file(LOCK);
        let failed = |source| DirectoryError::Io { path: path.clone(), source };
        let file =
            fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryError::Taken { path: self.path.clone() }),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn user_key(&self) -> PathBuf {
        self.file("id_ed25519")
    }

    pub(super) fn ssh_config(&self) -> PathBuf {
        self.file("ssh_config")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.file("drawbridge.toml")
    }

    pub(super) fn audit(&self) -> PathBuf {
        self.file("audit.jsonl")
    }

    /// What the daemon keeps.
    pub(super) fn data(&self) -> PathBuf {
        self.file("data")
    }

    /// The bastion's host key: the default path that the daemon's config has for it.
    pub(super) fn host_key(&self) -> PathBuf {
        self.data().join("host_ed25519")
    }

    /// The bastion's host CA: likewise.
    pub(super) fn host_ca_key(&self) -> PathBuf {
        self.data().join("host_ca_ed25519")
    }

    /// The IAM actions that the look-alike denies, where somebody wrote any down.
    pub(super) fn denied_actions(&self) -> PathBuf {
        self.file("denied-actions")
    }

    /// The instances' host keys.
    pub(super) fn instances(&self) -> PathBuf {
        self.file("instances")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes everything but the keys, the data and the audit, which outlive a run.
    pub(super) fn write(&self, facts: &Facts) -> Result<(), DirectoryError> {
        let files = [
            ("id_ed25519.pub", format!("{}\n", facts.user_key)),
            ("known_hosts", known_hosts(facts)),
            ("ssh_config", self.client_config(facts)),
            ("drawbridge.toml", self.daemon_config(facts)),
            ("policy.cedar", POLICY.to_owned()),
            ("users.toml", users(facts)),
            ("aws-credentials", credentials()),
        ];
        for (name, text) in files {
            let path = self.file(name);
            fs::write(&path, text).map_err(|source| DirectoryError::Io { path, source })?;
        }
        Ok(())
    }

    fn client_config(&self, facts: &Facts) -> String {
        let (host, port) = dial(facts.listen);
        let at_bastion = format!("    HostName {host}\n    Port {port}\n    HostKeyAlias bastion\n");
        let mut text = format!(
            "# Written by `drawbridge demo`: ssh -F THIS_FILE web-1\n\n\
             Host bastion\n{at_bastion}    User demo\n\n\
             # Each by jump, where the bastion answers for the instance inside, and direct, where the\n\
             # instance is named in the user name.\n"
        );
        for Part { name, login, .. } in PARTS {
            // Writing to a String cannot fail.
            write!(
                text,
                "Host {name}\n    User {login}\n    ProxyJump bastion\n\
                 Host {name}.direct\n{at_bastion}    User {login}@{name}\n\n"
            )
            .unwrap_or_default();
        }
        let (key, known_hosts) = (quoted(&self.user_key()), quoted(&self.file("known_hosts")));
        write!(
            text,
            "Host *\n    IdentityFile {key}\n    IdentitiesOnly yes\n    IdentityAgent none\n    \
             PreferredAuthentications publickey\n    UserKnownHostsFile {known_hosts}\n    \
             GlobalKnownHostsFile /dev/null\n    StrictHostKeyChecking yes\n"
        )
        .unwrap_or_default();
        text
    }

    fn daemon_config(&self, facts: &Facts) -> String {
        let path = |path: PathBuf| toml_string(&path.to_string_lossy());
        format!(
            "# Written by `drawbridge demo`: what its bastion runs with.\n\n\
             [server]\nlisten = [{}]\nshutdown_grace = \"2s\"\n\n\
             [node]\nname = \"demo\"\n\n\
             [data]\ndir = {}\n\n\
             [identity]\nusers = {}\n\n\
             [policy]\nfiles = [{}]\n\n\
             [aws]\nendpoint_url = {}\ncredentials = \"made-up\"\n\n\
             [[inventory.accounts]]\nalias = \"demo\"\nregions = [{}]\n\n\
             # Long enough on one machine, and nobody waits long for what does not answer.\n\
             [upstream]\nconnect_timeout = \"3s\"\n\n\
             [diagnosis]\nbastion_instance = {}\n\n\
             [audit]\nfile = {}\n\n\
             [log]\nlevel = \"warn\"\n",
            toml_string(&facts.listen.to_string()),
            path(self.data()),
            path(self.file("users.toml")),
            path(self.file("policy.cedar")),
            toml_string(&facts.endpoint_url),
            toml_string(facts.region),
            toml_string(BASTION),
            path(self.audit()),
        )
    }
}

/// Whether a path fits between double quotes in an `ssh_config` and a TOML file.
fn is_quotable(path: &str) -> bool {
    !path.chars().any(|c| c.is_control() || matches!(c, '"' | '$' | '\\'))
}

/// A path for an `ssh_config`, where `%` begins an expansion.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.to_string_lossy().replace('%', "%%"))
}

fn toml_string(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Where a client on this machine dials: a listener on all addresses is reached on loopback.
fn dial(listen: SocketAddr) -> (IpAddr, u16) {
    let host = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    (host, listen.port())
}

fn known_hosts(facts: &Facts) -> String {
    let (host, port) = dial(facts.listen);
    let Facts { host_ca, host_key, .. } = facts;
    format!("@cert-authority * {host_ca}\nbastion,[{host}]:{port} {host_key}\n")
}

fn users(facts: &Facts) -> String {
    let key = toml_string(&facts.user_key);
    format!(
        "# Written by `drawbridge demo`: who its bastion knows.\n\n\
         [users.demo]\ngroups = [\"demo\"]\nauthorized_keys = [{key}]\n"
    )
}

fn credentials() -> String {
    format!("[default]\naws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n")
}

const POLICY: &str = include_str!("policy.cedar");

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn facts(listen: &str) -> Facts {
        Facts {
            listen: listen.parse().expect("an address"),
            endpoint_url: "http://127.0.0.1:40001".to_owned(),
            region: "eu-west-1",
            user_key: "ssh-ed25519 AAAAUSER demo".to_owned(),
            host_ca: "ssh-ed25519 AAAACA".to_owned(),
            host_key: "ssh-ed25519 AAAAHOST".to_owned(),
        }
    }

    /// What the installed ssh understands for a host; nothing where there is none.
    fn understood(directory: &Directory, host: &str) -> Option<Vec<String>> {
        let config = directory.ssh_config();
        let output = Command::new("ssh").arg("-G").arg("-F").arg(config).arg(host).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    #[test]
    fn openssh_understands_the_client_config_with_blanks_and_percent_signs_in_its_path() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = Directory::prepare(Some(&parent.path().join("a b%d"))).expect("prepared");
        directory.write(&facts("127.0.0.1:2233")).expect("written");
        let Some(direct) = understood(&directory, "web-1.direct") else { return };
        let has =
            |lines: &[String], line: &str| assert!(lines.iter().any(|l| l == line), "{line} in {lines:#?}");
        for line in ["user ec2-user@web-1", "hostname 127.0.0.1", "port 2233", "hostkeyalias bastion"] {
            has(&direct, line);
        }
        has(&direct, &format!("identityfile {}", quoted(&directory.user_key()).trim_matches('"')));
        let jump = understood(&directory, "old-1").expect("ssh");
        for line in ["user ec2-user", "proxyjump bastion", "hostname old-1", "stricthostkeychecking true"] {
            has(&jump, line);
        }
        has(&understood(&directory, "bastion").expect("ssh"), "user demo");
    }

    #[test]
    fn the_daemons_files_are_toml_with_absolute_paths() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = Directory::prepare(Some(parent.path())).expect("prepared");
        directory.write(&facts("0.0.0.0:2222")).expect("written");
        let read = |name: &str| fs::read_to_string(directory.file(name)).expect("a file");
        let config: toml::Table = read("drawbridge.toml").parse().expect("TOML");
        assert_eq!(config["server"]["listen"][0].as_str(), Some("0.0.0.0:2222"));
        assert_eq!(config["audit"]["file"].as_str(), directory.audit().to_str());
        assert_eq!(config["inventory"]["accounts"][0]["regions"][0].as_str(), Some("eu-west-1"));
        let users: toml::Table = read("users.toml").parse().expect("TOML");
        assert_eq!(users["users"]["demo"]["groups"][0].as_str(), Some("demo"));
        assert_eq!(
            read("known_hosts"),
            "@cert-authority * ssh-ed25519 AAAACA\nbastion,[127.0.0.1]:2222 ssh-ed25519 AAAAHOST\n"
        );
    }

    #[test]
    fn a_directory_that_no_ssh_config_can_name_is_refused() {
        let parent = tempfile::tempdir().expect("a directory");
        for name in ["a\"b", "a\nb", "a$b"] {
            let refused = Directory::prepare(Some(&parent.path().join(name)));
            assert!(matches!(refused, Err(DirectoryError::Path { .. })), "{name:?}");
        }
    }

    #[test]
    fn what_is_somebody_else_s_is_not_written_over() {
        let parent = tempfile::tempdir().expect("a directory");
        let known_hosts = parent.path().join("known_hosts");
        fs::write(&known_hosts, "github.com ssh-ed25519 AAAA\n").expect("a file");
        let refused = Directory::prepare(Some(parent.path())).expect_err("refused");
        assert!(matches!(&refused, DirectoryError::Foreign { path } if *path == known_hosts), "{refused}");
        assert_eq!(fs::read_dir(parent.path()).expect("a directory").count(), 1, "nothing was made");
        let own = parent.path().join("own");
        let _held = Directory::prepare(Some(&own)).expect("prepared").lock().expect("ours");
        fs::write(own.join("known_hosts"), "").expect("a file");
        Directory::prepare(Some(&own)).expect("a demo was here before");
    }

    #[test]
    fn a_directory_serves_one_demo_at_a_time() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = Directory::prepare(Some(parent.path())).expect("prepared");
        let first = directory.lock().expect("ours");
        assert!(matches!(directory.lock(), Err(DirectoryError::Taken { .. })));
        drop(first);
        directory.lock().expect("free again");
    }
}
