//! Somebody with a home folder of their own, who follows `docs/clients.md`.
//!
//! The page's names stand for the lab's: `bastion.example.com` and port 2222 for the daemon, `ec2-user`
//! for the lab's login, `/srv` for a folder that sessions may write to, `SHA256:FINGERPRINT`, `HOSTKEY`
//! and `CAKEY` for its keys. Everything else of a block runs as it stands there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use super::{LARGE, lab, page};
use crate::support::{Finished, Lab, Supervisor, fingerprint, finish, noise, start};

/// How long one script may take. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whoever finds OpenSSH's programs in `bin` runs them with this home's configuration: they look for
/// it where the system says that the user lives, not where `HOME` says.
const SSH_PROGRAMS: [&str; 3] = ["ssh", "scp", "sftp"];

/// A person at a machine of their own.
#[derive(Debug)]
pub(super) struct Person {
    home: TempDir,
    srv: TempDir,
}

impl Person {
    /// Alice, whose machine has these programs.
    #[track_caller]
    pub(super) fn with(programs: &[&str]) -> Self {
        for program in programs.iter().chain(&SSH_PROGRAMS) {
            assert!(find(program).is_some(), "`{program}` is not installed: run `tests/run setup`");
        }
        let lab: &Lab = lab();
        let folder =
            |place: &Path| tempfile::Builder::new().prefix("h").tempdir_in(place).expect("our own folder");
        let person = Self { home: folder(lab.dir()), srv: folder(&lab.scratch()) };
        open_to(&person.srv, 0o777);
        person.settle(lab);
        person
    }

    fn settle(&self, lab: &Lab) {
        let ssh = self.home().join(".ssh");
        std::fs::create_dir(&ssh).expect("our own folder");
        std::fs::create_dir(self.home().join("bin")).expect("our own folder");
        std::fs::copy(lab.key("alice"), ssh.join("id_ed25519")).expect("the lab made it");
        std::fs::copy(lab.dir().join("known_hosts"), ssh.join("known_hosts_drawbridge"))
            .expect("the lab made it");
        let mut config = self.snippet("ssh-config").replace('~', &self.home().display().to_string());
        write!(
            config,
            "\n\nHost *\n  IdentityFile {}\n  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n  \
             GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  UpdateHostKeys no\n  LogLevel ERROR\n",
            ssh.join("id_ed25519").display()
        )
        .expect("a string takes it");
        self.writes(".ssh/config", &config);
        for program in SSH_PROGRAMS {
            let real = find(program).expect("looked for before");
            let config = ssh.join("config");
            let text = format!("#!/bin/sh\nexec {} -F {} \"$@\"\n", real.display(), config.display());
            self.writes(&format!("bin/{program}"), &text);
            open_to(self.home().join("bin").join(program), 0o755);
        }
    }

    /// Their home folder, in which everything runs.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The folder on the instances that is `/srv` on the page.
    pub(super) fn srv(&self) -> &Path {
        self.srv.path()
    }

    /// A block of the page, in the lab's names.
    #[track_caller]
    pub(super) fn snippet(&self, name: &str) -> String {
        let lab: &Lab = lab();
        let host_key = public_half(&lab.dir().join("data/host_ed25519"));
        let ca = std::fs::read_to_string(lab.dir().join("known_hosts")).expect("the lab wrote it");
        let text = page::block(name)
            .replace("bastion.example.com", "127.0.0.1")
            .replace("2222", &lab.port().to_string())
            .replace("ec2-user", &Supervisor::get().login)
            .replace("/srv/", &format!("{}/", self.srv().display()))
            .replace("SHA256:FINGERPRINT", &fingerprint(&host_key))
            .replace("HOSTKEY", &host_key);
        text.replace("CAKEY", ca.split_whitespace().nth(3).expect("mark, pattern, type, key"))
    }

    /// Writes a file in their home.
    pub(super) fn writes(&self, name: &str, text: &str) {
        std::fs::write(self.home().join(name), text).expect("our own folder");
    }

    /// Lays noise into their home.
    pub(super) fn has_a_file(&self, name: &str, size: usize) -> &'static [u8] {
        let contents = large().get(..size).expect("no more than LARGE");
        std::fs::write(self.home().join(name), contents).expect("our own folder");
        contents
    }

    /// Runs a script in their home, with nothing on standard input.
    pub(super) fn runs(&self, script: &str) -> Finished {
        let mut command = self.at_work("bash");
        command.args(["-euo", "pipefail", "-c", script]);
        finish(start(&mut command), Vec::new(), PATIENCE + Duration::from_secs(15))
    }

    /// Runs a Python script in their home.
    pub(super) fn runs_python(&self, script: &str) -> Finished {
        let mut command = self.at_work("python");
        command.args(["-c", script]);
        finish(start(&mut command), Vec::new(), PATIENCE + Duration::from_secs(15))
    }

    /// A program under `timeout`, which ends it together with all that it has started.
    fn at_work(&self, program: &str) -> Command {
        let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/venv/bin");
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", self.home().join("bin").display(), venv.display());
        let mut command = Command::new("timeout");
        command.args(["-k", "5", &PATIENCE.as_secs().to_string(), program]).current_dir(self.home());
        command.env_clear().env("PATH", path).env("HOME", self.home()).env("LANG", "C.UTF-8");
        // Ansible keeps files in the home of the login otherwise, which other runs may share.
        command.env("ANSIBLE_REMOTE_TMP", self.srv().join(".ansible"));
        command.env("GIT_CONFIG_NOSYSTEM", "1");
        command
    }
}

/// The same noise for everybody: making it takes seconds in a build without optimisation.
fn large() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| noise(LARGE, 64))
}

fn public_half(private: &Path) -> String {
    let out = Command::new("ssh-keygen").arg("-yf").arg(private).output().expect("ssh-keygen runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let line = String::from_utf8(out.stdout).expect("a line of text");
    line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn open_to(path: impl AsRef<Path>, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our own folder");
}
