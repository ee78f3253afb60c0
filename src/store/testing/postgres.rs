//! A PostgreSQL server of the tests' own: on loopback, in a directory of its own, as an unprivileged
//! user, and gone when the tests are. `tests/suite` takes this very file.
//!
//! It needs Debian's package `postgresql` (`tests/run setup` installs it) and nothing that is running.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

const USER: &str = "drawbridge";
const PASSWORD: &str = "not-a-secret";

/// One server.
#[derive(Debug)]
pub(crate) struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    run_as: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
    /// Ends the server and removes the directory when our end of its input closes, however we end.
    _guardian: Child,
}

impl Cluster {
    /// Makes and starts a server; nothing, and a loud word, where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!(
                "\n!!! SKIPPED: PostgreSQL is not installed, so nothing is tested with it. `tests/run setup` installs it.\n"
            );
            return None;
        };
        let run_as = unprivileged();
        let directory = directory(run_as).expect("a directory of its own");
        let guardian = guardian(&directory, run_as);
        let mut cluster = Self { directory, programs, run_as, port: 0, server: None, _guardian: guardian };
        cluster.make();
        cluster.start_again();
        Some(cluster)
    }

    /// Makes an empty database; the URL of it.
    pub(crate) fn database(&self, name: &str) -> String {
        let made = self.client("createdb").arg(name).output().expect("createdb runs");
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{name}", self.port)
    }

    /// Ends the server by this signal, as `kill` writes it, and waits until it is gone.
    pub(crate) fn end(&mut self, signal: &str) {
        let pid = self.server.as_ref().expect("a running server").id();
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the server takes signals");
        self.server.take().expect("a running server").wait().expect("our child");
    }

    /// Starts the server where it was, under the port it had.
    pub(crate) fn start_again(&mut self) {
        for _attempt in 0..5 {
            if self.port == 0 || self.server.is_none() && self.directory.join("fresh").exists() {
                self.port = free_port();
            }
            self.server = Some(self.spawn());
            if self.answers() {
                let _made_once = fs::remove_file(self.directory.join("fresh"));
                return;
            }
            let mut server = self.server.take().expect("it was started");
            let _gone = server.kill();
            let _gone = server.wait();
        }
        let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {log}");
    }

    fn make(&self) {
        let password = self.directory.join("password");
        fs::write(&password, PASSWORD).expect("written");
        fs::write(self.directory.join("fresh"), "").expect("written");
        if let Some((uid, gid)) = self.run_as {
            chown(&password, Some(uid), Some(gid)).expect("we are root");
        }
        // Its order of texts is not that of bytes: like most servers' in the field.
        let made = self
            .program("initdb")
            .args(["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--locale-provider=icu", "--icu-locale=en-US", "--username", USER])
            .arg(format!("--pwfile={}", password.display()))
            .arg(format!("--pgdata={}", self.data().display()))
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    fn spawn(&self) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.directory.join("log"));
        let log = log.expect("our own directory");
        let port = self.port.to_string();
        let settings = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "full_page_writes=off",
            "max_connections=400",
            "shared_buffers=32MB",
        ];
        let mut server = self.program("postgres");
        server.arg("-D").arg(self.data()).args(["-p", &port]);
        for setting in settings {
            server.args(["-c", setting]);
        }
        let server = server.process_group(0).stdout(Stdio::null()).stderr(log).spawn();
        server.expect("postgres runs")
    }

    /// Waits until it answers; not where it ended.
    fn answers(&mut self) -> bool {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if !matches!(self.server.as_mut().map(Child::try_wait), Some(Ok(None))) {
                return false;
            }
            let ready = self.client("pg_isready").arg("--quiet").status().expect("pg_isready runs");
            if ready.success() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// One of the programs of its version.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.directory).env_clear().env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        if let Some((uid, gid)) = self.run_as {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn client(&self, name: &str) -> Command {
        let mut command = self.program(name);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", USER).env("PGPASSWORD", PASSWORD);
        command
    }
}

/// Where Debian has the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs.join("initdb").exists().then_some((version, programs))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, programs)| programs)
}

/// PostgreSQL refuses to run as root: then it runs as its package's user, or as nobody.
fn unprivileged() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let of = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

fn directory(run_as: Option<(u32, u32)>) -> io::Result<PathBuf> {
    let unique = format!("drawbridge-postgres-{}-{}", std::process::id(), free_port());
    let directory = std::env::temp_dir().join(unique);
    fs::DirBuilder::new().mode(0o700).create(&directory)?;
    if let Some((uid, gid)) = run_as {
        chown(&directory, Some(uid), Some(gid))?;
    }
    Ok(directory)
}

fn guardian(directory: &Path, run_as: Option<(u32, u32)>) -> Child {
    let script = r#"read -r _never; pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
        [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null && while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
        rm -rf "$1""#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "guardian"]).arg(directory).current_dir("/");
    if let Some((uid, gid)) = run_as {
        shell.uid(uid).gid(gid);
    }
    let shell = shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().expect("sh runs")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("it is bound").port()
}
