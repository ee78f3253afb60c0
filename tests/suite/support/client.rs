//! OpenSSH's own client programs, pointed at a lab.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::lab::Lab;
use super::process::{Finished, finish, start, wait_for};
use super::supervisor::Supervisor;
use super::terminal::Terminal;

/// How long a program may take unless the test says otherwise. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The two ways in that every test of a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `ssh -J bastion login@target`.
    Jump,
    /// `ssh login@target@bastion`.
    Direct,
}

impl Way {
    pub(crate) const BOTH: [Self; 2] = [Self::Jump, Self::Direct];
}

/// A client of one user to one target, not yet started.
#[derive(Debug, Clone)]
pub(crate) struct Client<'a> {
    lab: &'a Lab,
    way: Way,
    target: String,
    user: String,
    login: String,
    key: PathBuf,
    options: Vec<String>,
    args: Vec<String>,
    input: Vec<u8>,
    within: Duration,
}

impl<'a> Client<'a> {
    pub(super) fn new(lab: &'a Lab, way: Way, target: &str) -> Self {
        Self {
            lab,
            way,
            target: target.to_owned(),
            user: "alice".to_owned(),
            login: Supervisor::get().login.clone(),
            key: lab.key("alice"),
            options: Vec::new(),
            args: Vec::new(),
            input: Vec::new(),
            within: PATIENCE,
        }
    }

    /// As another user, with that user's key.
    pub(crate) fn user(mut self, name: &str) -> Self {
        name.clone_into(&mut self.user);
        self.key = self.lab.key(name);
        self
    }

    /// With another key.
    pub(crate) fn key(mut self, key: PathBuf) -> Self {
        self.key = key;
        self
    }

    /// As another OS user on the target; empty for none.
    pub(crate) fn login(mut self, login: &str) -> Self {
        login.clone_into(&mut self.login);
        self
    }

    /// A line of `ssh_config` for every hop.
    pub(crate) fn option(mut self, line: &str) -> Self {
        self.options.push(line.to_owned());
        self
    }

    /// Arguments before the host.
    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Standard input; nothing unless said.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// The deadline.
    pub(crate) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The name of the target in this client's `ssh_config`.
    pub(crate) fn host(&self) -> String {
        match self.way {
            Way::Jump => self.target.clone(),
            Way::Direct => "target.direct".to_owned(),
        }
    }

    /// Writes this client's `ssh_config` and answers its path.
    pub(crate) fn config(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = self.lab.dir().join(format!("ssh_config.{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&path, self.config_text()).expect("our own folder");
        path.display().to_string()
    }

    fn config_text(&self) -> String {
        let mut text = self.options.join("\n");
        let known_hosts = self.lab.dir().join("known_hosts");
        let inner = if self.login.is_empty() { String::new() } else { format!("  User {}\n", self.login) };
        let separator = if self.login.is_empty() { "" } else { "@" };
        write!(
            text,
            "\nHost *\n  IdentityFile {key}\n  IdentitiesOnly yes\n  IdentityAgent none\n  BatchMode yes\n  \
             UserKnownHostsFile {known_hosts}\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  \
             UpdateHostKeys no\n  LogLevel ERROR\n  ConnectTimeout 30\n\
             Host bastion\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias bastion\n  User {user}\n\
             Host target.direct\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias bastion\n  \
             User \"{login}{separator}{target}\"\n\
             Host * !bastion !target.direct\n  ProxyJump bastion\n{inner}",
            key = self.key.display(),
            known_hosts = known_hosts.display(),
            port = self.lab.port(),
            user = self.user,
            login = self.login,
            target = self.target,
        )
        .expect("a string takes it");
        text
    }

    fn command_line(&self, command: &[&str]) -> Vec<String> {
        let mut line = vec!["-F".to_owned(), self.config()];
        line.extend(self.args.iter().cloned());
        line.push(self.host());
        line.extend(command.iter().map(|word| (*word).to_owned()));
        line
    }

    /// Starts `ssh` with that command; with none, a shell.
    pub(crate) fn start(&self, command: &[&str]) -> Running {
        Running(Some(start(Command::new("ssh").args(self.command_line(command)))))
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: &str) -> Finished {
        finish(self.start(&[command]).take(), self.input.clone(), self.within)
    }

    /// Runs a command to its end beside that display.
    pub(crate) fn showing(&self, display: &str, command: &str) -> Finished {
        let mut ssh = Command::new("ssh");
        ssh.args(self.command_line(&[command])).env("DISPLAY", display);
        finish(start(&mut ssh), self.input.clone(), self.within)
    }

    /// Runs what the arguments say (a shell, a subsystem) to its end.
    pub(crate) fn run_without_command(&self) -> Finished {
        finish(self.start(&[]).take(), self.input.clone(), self.within)
    }

    /// Starts `ssh -tt` under a terminal of that size.
    pub(crate) fn terminal(&self, command: &[&str], rows: u16, columns: u16) -> Terminal {
        let mut client = self.clone();
        client.args.push("-tt".to_owned());
        Terminal::start("ssh", &client.command_line(command), rows, columns)
    }

    /// Runs `scp` or `sftp` with this client's config.
    pub(crate) fn tool(&self, program: &str, args: &[&str]) -> Finished {
        let mut command = Command::new(program);
        command.args(["-q", "-F", &self.config()]).args(args);
        finish(start(&mut command), self.input.clone(), self.within)
    }

    /// Runs `rsync` with this client's config.
    pub(crate) fn rsync(&self, args: &[&str]) -> Finished {
        let mut command = Command::new("rsync");
        command.args(["-e", &format!("ssh -F {}", self.config())]).args(args);
        finish(start(&mut command), Vec::new(), self.within)
    }

    /// Opens a shared connection (`ControlMaster`), over which further clients go.
    #[track_caller]
    pub(crate) fn master(&self) -> Master<'a> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let socket = self.lab.dir().join(format!("cm{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let path = socket.display().to_string();
        let mut process = self.clone().args(&["-M", "-S", &path, "-N"]).start(&[]);
        wait_for("the shared connection", self.within, || {
            assert!(process.ended().is_none(), "ssh -M has ended");
            socket.exists()
        });
        Master { client: self.clone().args(&["-S", &path]), socket, process }
    }
}

/// A shared connection.
#[derive(Debug)]
pub(crate) struct Master<'a> {
    /// A client that goes over it.
    pub(crate) client: Client<'a>,
    /// Where `ControlPath` has to point to go over it.
    pub(crate) socket: PathBuf,
    /// The `ssh -M` that holds it.
    pub(crate) process: Running,
}

/// A running program of ours; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running(Option<Child>);

impl Running {
    /// The child itself, whose end is then the caller's to see to.
    pub(crate) fn take(mut self) -> Child {
        self.0.take().expect("taken once")
    }

    /// The child.
    pub(crate) fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("not taken")
    }

    /// Its exit code, once it has ended.
    pub(crate) fn ended(&mut self) -> Option<Option<i32>> {
        self.child().try_wait().expect("our own child").map(|status| status.code())
    }

    /// Writes that to its standard input, which stays open.
    pub(crate) fn say(&mut self, text: &str) {
        use std::io::Write;
        let stdin = self.child().stdin.as_mut().expect("piped");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("it listens");
    }

    /// Waits until its standard output says that, reading no further than needed.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) {
        use std::io::Read;
        let mut stdout = self.child().stdout.take().expect("piped");
        let wanted = text.as_bytes().to_vec();
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let mut seen = Vec::new();
            let mut byte = [0];
            while !seen.ends_with(&wanted) && stdout.read(&mut byte).is_ok_and(|n| n == 1) {
                seen.push(byte[0]);
            }
            send.send((stdout, seen)).is_ok()
        });
        let (stdout, seen) =
            receive.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{text:?} was not said"));
        let said = String::from_utf8_lossy(&seen).into_owned();
        assert!(seen.ends_with(text.as_bytes()), "{text:?} was not said; instead: {said:?}");
        self.child().stdout = Some(stdout);
    }
}

impl Running {
    /// Waits for a line of standard error that holds that, and answers it.
    #[track_caller]
    pub(crate) fn complains(&mut self, text: &str) -> String {
        use std::io::{BufRead, BufReader};
        let mut stderr = BufReader::new(self.child().stderr.take().expect("piped, and not read before"));
        let wanted = text.to_owned();
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let (mut line, mut seen) = (String::new(), String::new());
            while stderr.read_line(&mut line).is_ok_and(|n| n > 0) {
                if line.contains(&wanted) {
                    break;
                }
                seen.push_str(&line);
                line.clear();
            }
            send.send((line, seen)).is_ok() && std::io::copy(&mut stderr, &mut std::io::sink()).is_ok()
        });
        let (line, seen) = receive.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{text:?} was not said"));
        assert!(line.contains(text), "{text:?} was not said; instead: {seen:?}");
        line
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Already gone is as good.
            let _gone = child.kill().and_then(|()| child.wait()).is_ok();
        }
    }
}
