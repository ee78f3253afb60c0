//! A program that runs for a session channel: a shell, a command or the sftp server.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Cursor};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::processes::{MARK_VARIABLE, Mark, is_variable, signal_group, signal_name, signal_named};
use super::pty::{Terminal, TerminalSize};
use super::sftp;
use crate::domain::Exit;

/// How long programs that are told to hang up may take before they are ended.
const HANG_UP_GRACE: Duration = Duration::from_millis(500);

/// How many bytes may wait between the sftp server and the channel, each way.
const SFTP_BUFFER: usize = 256 * 1024;

/// The variables of the demo's own environment that programs see.
const INHERITED: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME"];

/// What a session channel starts (RFC 4254 §6.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The user's shell, as a login shell.
    Shell,
    /// A command line for `/bin/sh -c`; any bytes but NUL.
    Exec(Vec<u8>),
    /// The `sftp` subsystem.
    Sftp,
}

/// The terminal that a channel asked for (RFC 4254 §6.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PtyRequest {
    /// The value for `TERM`.
    pub term: String,
    /// The width, in characters.
    pub columns: u32,
    /// The height, in rows.
    pub rows: u32,
    /// The encoded modes, as (opcode, argument) pairs (§8).
    pub modes: Vec<(u8, u32)>,
}

/// Where programs run: knows all of them, and can wait until they are gone.
#[derive(Debug, Clone)]
pub struct Host {
    motd: String,
    shutdown: CancellationToken,
    programs: TaskTracker,
}

/// A program with its streams. Dropping it ends the program and all it started.
pub struct RunningProgram {
    /// Takes what the client sends; dropping it is the end of file (but for a terminal, which
    /// has none).
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// What the program writes; with a terminal, both of its outputs.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// What the program writes to its error output; nothing with a terminal.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// The rest of what can be done with it.
    pub control: ProgramControl,
}

/// Resizes, signals and awaits a program.
#[derive(Debug)]
pub struct ProgramControl {
    size: Option<TerminalSize>,
    signals: Option<mpsc::Sender<Signal>>,
    exit: watch::Receiver<Option<Exit>>,
    _end_on_drop: DropGuard,
}

impl Host {
    /// A host whose programs end at the latest on `shutdown`. `motd` is shown above each
    /// interactive shell; empty for none.
    #[must_use]
    pub fn new(motd: impl Into<String>, shutdown: CancellationToken) -> Self {
        Self { motd: motd.into(), shutdown, programs: TaskTracker::new() }
    }

    /// Starts a program. Variables with names or values that the system does not take are left
    /// out.
    ///
    /// # Errors
    /// When the terminal cannot be opened or the program cannot be started.
    pub fn start(
        &self,
        start: Start,
        pty: Option<PtyRequest>,
        env: Vec<(String, Vec<u8>)>,
    ) -> io::Result<RunningProgram> {
        let plan = match start {
            Start::Sftp => return Ok(start_sftp(self.shutdown.child_token())),
            Start::Shell => Plan::shell(),
            Start::Exec(command) => Plan::exec(command),
        };
        let motd = if plan.login { self.motd.clone() } else { String::new() };
        match pty {
            Some(pty) => self.start_on_terminal(&plan, &pty, env, motd),
            None => self.start_on_pipes(&plan, env),
        }
    }

    /// Waits until every program is gone; call it after `shutdown` was cancelled.
    pub async fn ended(&self) {
        self.programs.close();
        self.programs.wait().await;
    }

    fn start_on_pipes(&self, plan: &Plan, env: Vec<(String, Vec<u8>)>) -> io::Result<RunningProgram> {
        let mark = Mark::fresh();
        let mut command = Command::new(&plan.program);
        command.args(&plan.args).arg0(plan.name()).current_dir(home()).env_clear();
        command.envs(environment(&mark, env, None)).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let gone = || io::Error::other("the program's streams are missing");
        let stdin = child.stdin.take().ok_or_else(gone)?;
        let stdout = child.stdout.take().ok_or_else(gone)?;
        let stderr = child.stderr.take().ok_or_else(gone)?;
        Ok(RunningProgram {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Some(Box::new(stderr)),
            control: self.supervise(child, mark, None)?,
        })
    }

    fn start_on_terminal(
        &self,
        plan: &Plan,
        request: &PtyRequest,
        env: Vec<(String, Vec<u8>)>,
        motd: String,
    ) -> io::Result<RunningProgram> {
        let mark = Mark::fresh();
        let terminal = Terminal::open(request)?;
        let command = pty_process::Command::new(&plan.program)
            .args(&plan.args)
            .arg0(plan.name())
            .current_dir(home())
            .env_clear()
            .envs(environment(&mark, env, Some(request)))
            .kill_on_drop(true);
        let child = command.spawn(terminal.far_end).map_err(io::Error::other)?;
        Ok(RunningProgram {
            stdin: Box::new(terminal.writer),
            stdout: Box::new(Cursor::new(motd.into_bytes()).chain(terminal.reader)),
            stderr: None,
            control: self.supervise(child, mark, Some(terminal.size))?,
        })
    }

    fn supervise(&self, child: Child, mark: Mark, size: Option<TerminalSize>) -> io::Result<ProgramControl> {
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let leader = leader.ok_or_else(|| io::Error::other("the program ended before it began"))?;
        let (signals, wanted_signals) = mpsc::channel(8);
        let (exited, exit) = watch::channel(None);
        let dropped = self.shutdown.child_token();
        let supervisor = Supervisor {
            child,
            leader,
            mark,
            on_terminal: size.is_some(),
            signals: wanted_signals,
            exited,
            dropped: dropped.clone(),
        };
        self.programs.spawn(supervisor.run());
        Ok(ProgramControl { size, signals: Some(signals), exit, _end_on_drop: dropped.drop_guard() })
    }
}

impl ProgramControl {
    /// Changes the terminal's size; nothing happens where there is none.
    pub fn resize(&self, columns: u32, rows: u32) {
        if let Some(Err(error)) = self.size.as_ref().map(|size| size.set(columns, rows)) {
            tracing::debug!(%error, "a demo instance could not resize a terminal");
        }
    }

    /// Sends a signal, named as in RFC 4254 §6.9, to the program's process group. Unknown names
    /// and programs that are gone are ignored.
    pub fn signal(&self, name: &str) {
        if let Some((signal, queue)) = signal_named(name).zip(self.signals.as_ref()) {
            // A full queue means that the program has signals enough to deal with.
            queue.try_send(signal).unwrap_or_default();
        }
    }

    /// Waits for the program's end. Read its outputs to their ends first: what they still hold
    /// does not keep this waiting.
    pub async fn wait(&self) -> Exit {
        let killed = || Exit::Signal { name: "KILL".to_owned(), core_dumped: false };
        match self.exit.clone().wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_else(killed),
            Err(_) => killed(),
        }
    }
}

impl fmt::Debug for RunningProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningProgram").field("control", &self.control).finish_non_exhaustive()
    }
}

/// Waits for one program, passes signals on, and cleans up after it.
struct Supervisor {
    child: Child,
    leader: Pid,
    mark: Mark,
    on_terminal: bool,
    signals: mpsc::Receiver<Signal>,
    exited: watch::Sender<Option<Exit>>,
    dropped: CancellationToken,
}

impl Supervisor {
    async fn run(mut self) {
        let exit = self.until_exit().await;
        self.exited.send_replace(Some(exit));
        if self.on_terminal {
            // A terminal whose shell is gone hangs up on the jobs that are left; otherwise they
            // would hold it open, and the channel with it.
            self.mark.signal(Signal::HUP);
            tokio::select! {
                () = self.dropped.cancelled() => {}
                () = tokio::time::sleep(HANG_UP_GRACE) => {}
            }
        } else {
            // A background job may go on writing to the pipes, as under sshd.
            self.dropped.cancelled().await;
        }
        self.mark.end_all().await;
    }

    async fn until_exit(&mut self) -> Exit {
        loop {
            tokio::select! {
                status = self.child.wait() => return exit_of(status),
                Some(signal) = self.signals.recv() => signal_group(self.leader, signal),
                () = self.dropped.cancelled() => break,
            }
        }
        signal_group(self.leader, Signal::HUP);
        if let Ok(status) = tokio::time::timeout(HANG_UP_GRACE, self.child.wait()).await {
            return exit_of(status);
        }
        signal_group(self.leader, Signal::KILL);
        exit_of(self.child.wait().await)
    }
}

fn exit_of(status: io::Result<ExitStatus>) -> Exit {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Status { code: u32::try_from(code).unwrap_or(255) },
            (None, signal) => Exit::Signal {
                name: signal_name(signal.unwrap_or_default()),
                core_dumped: status.core_dumped(),
            },
        },
        Err(_) => Exit::Status { code: 255 },
    }
}

/// Which program to run.
struct Plan {
    program: PathBuf,
    args: Vec<OsString>,
    login: bool,
}

impl Plan {
    fn shell() -> Self {
        Self { program: shell(), args: Vec::new(), login: true }
    }

    fn exec(command: Vec<u8>) -> Self {
        let args = vec![OsString::from("-c"), OsString::from_vec(command)];
        Self { program: PathBuf::from("/bin/sh"), args, login: false }
    }

    /// `argv[0]`: a leading `-` makes a shell a login shell.
    fn name(&self) -> OsString {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        let mut argv0 = OsString::from(if self.login { "-" } else { "" });
        argv0.push(name);
        argv0
    }
}

fn shell() -> PathBuf {
    let named = std::env::var_os("SHELL").map(PathBuf::from);
    named.filter(|path| path.is_absolute() && path.is_file()).unwrap_or_else(|| PathBuf::from("/bin/sh"))
}

fn home() -> PathBuf {
    let named = std::env::var_os("HOME").map(PathBuf::from);
    named.filter(|path| path.is_dir()).unwrap_or_else(|| Path::new("/").to_owned())
}

fn environment(
    mark: &Mark,
    wanted: Vec<(String, Vec<u8>)>,
    pty: Option<&PtyRequest>,
) -> Vec<(OsString, OsString)> {
    let inherited = INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    let wanted = wanted.into_iter().filter(|(name, value)| is_variable(name, value));
    let wanted = wanted.map(|(name, value)| (OsString::from(name), OsString::from_vec(value)));
    let term = pty.filter(|pty| is_variable("TERM", pty.term.as_bytes()));
    inherited
        .chain([(OsString::from("SHELL"), shell().into_os_string())])
        .chain(wanted)
        .chain(term.map(|pty| (OsString::from("TERM"), OsString::from(&pty.term))))
        .chain([(OsString::from(MARK_VARIABLE), OsString::from(mark.value()))])
        .collect()
}

fn start_sftp(dropped: CancellationToken) -> RunningProgram {
    let (stdin, from_client) = tokio::io::duplex(SFTP_BUFFER);
    let (stdout, to_client) = tokio::io::duplex(SFTP_BUFFER);
    let (ended, exit) = watch::channel(None);
    sftp::serve(tokio::io::join(from_client, to_client), home(), ended);
    let control = ProgramControl { size: None, signals: None, exit, _end_on_drop: dropped.drop_guard() };
    RunningProgram { stdin: Box::new(stdin), stdout: Box::new(stdout), stderr: None, control }
}
