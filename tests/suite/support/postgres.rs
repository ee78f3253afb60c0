//! A PostgreSQL of a test's own, on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::process::wait_for;
use super::supervisor::{Supervisor, open_to_all};

/// How long it may take to start or to end on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster with one database, `drawbridge`, in which a user of that name may do everything.
#[derive(Debug)]
pub(crate) struct Postgres {
    folder: TempDir,
    port: u16,
    pid: u64,
}

impl Postgres {
    /// Makes a cluster and starts it.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let supervisor = Supervisor::get();
        let folder = supervisor.new_folder();
        open_to_all(folder.path());
        let data = folder.path().join("cluster");
        let made = as_nobody_special(&program("initdb"))
            .args(["--auth=trust", "--username=drawbridge", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(&data)
            .output()
            .expect("initdb of Debian's package postgresql");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = supervisor.free_port("127.0.0.1");
        let mut postgres = Self { folder, port, pid: 0 };
        postgres.serve();
        postgres.create("drawbridge");
        postgres
    }

    /// One that all labs of this test process share; `lab.py` ends it.
    pub(crate) fn of_all() -> &'static Self {
        static ONE: OnceLock<Postgres> = OnceLock::new();
        ONE.get_or_init(Self::start)
    }

    /// A database of a lab's own; what `store.url` is to say.
    #[track_caller]
    pub(crate) fn new_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lab_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.create(&name);
        format!("postgres://drawbridge@127.0.0.1:{}/{name}", self.port)
    }

    #[track_caller]
    fn create(&self, name: &str) {
        let created = as_nobody_special(&program("createdb"))
            .args(["--host=127.0.0.1", "--username=drawbridge"])
            .arg(format!("--port={}", self.port))
            .arg(name)
            .output()
            .expect("createdb");
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    }

    /// What `store.url` is to say.
    pub(crate) fn url(&self) -> String {
        format!("postgres://drawbridge@127.0.0.1:{}/drawbridge", self.port)
    }

    /// Ends it as an operator would who is in a hurry: connections are cut, data is kept.
    #[track_caller]
    pub(crate) fn stop(&self) {
        Supervisor::get().signal(self.pid, Signal::INT.as_raw());
        wait_for("PostgreSQL to end", PATIENCE, || Supervisor::get().status(self.pid).is_some());
    }

    /// Starts it, or starts it again.
    #[track_caller]
    pub(crate) fn serve(&mut self) {
        let port = self.port.to_string();
        let data = self.folder.path().join("cluster").display().to_string();
        let sockets = self.folder.path().display().to_string();
        let mut argv: Vec<String> = plain_user();
        argv.push(program("postgres").display().to_string());
        argv.extend(
            [
                "-D",
                &data,
                "-p",
                &port,
                "-k",
                &sockets,
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "max_connections=400",
            ]
            .map(str::to_owned),
        );
        let log = self.folder.path().join("postgres.log");
        self.pid = Supervisor::get().spawn(
            &argv,
            &json!({"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}),
            &log,
            &log,
        );
        wait_for("PostgreSQL to answer", PATIENCE, || {
            let ended = Supervisor::get().status(self.pid);
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(ended.is_none(), "PostgreSQL ended:\n{said}");
            let ready =
                Command::new(program("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &port]).status();
            ready.is_ok_and(|status| status.success())
        });
    }

    /// Runs one statement and answers its first column, a line a row.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        let out = Command::new(program("psql"))
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname", &self.url(), "--command", sql])
            .output()
            .expect("psql");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        Supervisor::get().end(self.pid);
    }
}

/// PostgreSQL will not run as root: where we are, it runs as the lab's own OS user.
fn plain_user() -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let login = &Supervisor::get().login;
    ["setpriv", &format!("--reuid={login}"), &format!("--regid={login}"), "--clear-groups", "--"]
        .map(str::to_owned)
        .into()
}

fn as_nobody_special(program: &Path) -> Command {
    let mut words = plain_user();
    words.push(program.display().to_string());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env("LC_ALL", "C.UTF-8");
    command
}

/// Debian keeps the server's programs out of the PATH, in a folder for each version.
fn program(name: &str) -> PathBuf {
    let newest = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let mut folders: Vec<PathBuf> = versions
            .flatten()
            .map(|version| version.path().join("bin").join(name))
            .filter(|path| path.exists())
            .collect();
        folders.sort();
        folders.pop()
    };
    newest().unwrap_or_else(|| panic!("{name} is not installed: run `tests/run setup` once"))
}
