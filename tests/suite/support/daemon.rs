//! The program under test as a process.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::process::wait_for;
use super::supervisor::Supervisor;

/// How to start it.
#[derive(Debug)]
pub(crate) struct Start {
    /// The arguments after the program.
    pub(crate) argv: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    /// Where its standard output and error go.
    pub(crate) log: PathBuf,
    /// The port it shall answer on.
    pub(crate) port: u16,
}

/// A running drawbridge; killed with all below it when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) pid: u64,
    log: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it greets a client (RFC 4253 §4.2).
    #[track_caller]
    pub(crate) fn start(start: &Start) -> Self {
        Self::spawn(start).greeting(start.port)
    }

    /// Waits until it greets a client.
    #[track_caller]
    pub(crate) fn greeting(self, port: u16) -> Self {
        let daemon = self;
        wait_for("the daemon to greet", Duration::from_secs(30), || {
            let ended = daemon.ended();
            assert!(ended.is_none(), "the daemon ended with {ended:?}:\n{}", daemon.log_tail());
            greets(port)
        });
        daemon
    }

    /// Starts it and does not wait.
    pub(crate) fn spawn(start: &Start) -> Self {
        Self::spawn_by(&[], start)
    }

    /// The same by a program that becomes it, given by its words.
    pub(crate) fn spawn_by(words: &[&str], start: &Start) -> Self {
        let mut argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        argv.push(super::DRAWBRIDGE.to_owned());
        argv.extend(start.argv.iter().cloned());
        let mut env = start.env.clone();
        env.insert("PATH".to_owned(), std::env::var("PATH").unwrap_or_default());
        let pid = Supervisor::get().spawn(&argv, &json!(env), &start.log, &start.log);
        Self { pid, log: start.log.clone() }
    }

    /// How it ended, or nothing while it runs.
    pub(crate) fn ended(&self) -> Option<i64> {
        Supervisor::get().status(self.pid)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        Supervisor::get().signal(self.pid, signal.as_raw());
    }

    /// Waits for its end and answers the exit code.
    #[track_caller]
    pub(crate) fn wait(&self, within: Duration) -> i64 {
        let mut ended = None;
        wait_for("the daemon to end", within, || {
            ended = self.ended();
            ended.is_some()
        });
        ended.expect("it has ended")
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of what it logged.
    pub(crate) fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(80)..].join("\n")
    }

    /// Its resident memory, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
        line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number")
    }

    /// The file descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it runs").count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        Supervisor::get().end(self.pid);
    }
}

/// Whether an SSH server answers there.
pub(crate) fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    let mut start = [0; 8];
    stream.set_read_timeout(Some(Duration::from_secs(5))).is_ok()
        && stream.read_exact(&mut start).is_ok()
        && start == *b"SSH-2.0-"
}
