//! The one process that owns all others, and how it is asked.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};
use tempfile::TempDir;

/// `tests/lab/lab.py`, started once for this test process. It ends when its input ends.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pipes: Mutex<Pipes>,
    /// The AWS endpoint.
    pub(crate) aws_url: String,
    /// The OS user that sessions run as.
    pub(crate) login: String,
    folder: PathBuf,
}

#[derive(Debug)]
struct Pipes {
    _child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Pipes {
    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.requests, "{request}").expect("the lab takes requests");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the lab answers");
        assert!(!line.is_empty(), "the lab has ended; see target/lab/lab.log");
        let answer: Value = serde_json::from_str(&line).expect("the lab answers in JSON");
        if let Some(error) = answer.get("error") {
            panic!("the lab could not do {request}: {error}");
        }
        answer["ok"].clone()
    }
}

impl Supervisor {
    /// The supervisor of this test process.
    pub(crate) fn get() -> &'static Self {
        static ONE: OnceLock<Supervisor> = OnceLock::new();
        ONE.get_or_init(Self::start)
    }

    fn start() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = package.join("target/lab/venv/bin/python");
        assert!(python.exists(), "the lab is not installed: run `tests/run setup` once");
        let folder =
            tempfile::Builder::new().prefix("drawbridge-lab-").tempdir().expect("a temporary folder");
        let folder = folder.keep(); // lab.py removes it: nothing of a static is ever dropped
        open_to_all(&folder);
        let log =
            std::fs::OpenOptions::new().create(true).append(true).open(package.join("target/lab/lab.log"));
        let mut child = Command::new(python)
            .arg(package.join("tests/lab/lab.py"))
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.expect("the lab's log"))
            .spawn()
            .expect("the lab starts");
        let requests = child.stdin.take().expect("piped");
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut pipes = Pipes { _child: child, requests, answers };
        let hello = pipes.ask(&json!({"do": "hello"}));
        let text = |key: &str| hello[key].as_str().expect("text").to_owned();
        Self { aws_url: text("url"), login: text("login"), pipes: Mutex::new(pipes), folder }
    }

    /// A folder for one test, which every OS user may write to.
    pub(crate) fn new_folder(&self) -> TempDir {
        let folder =
            tempfile::Builder::new().prefix("test-").tempdir_in(&self.folder).expect("a temporary folder");
        open_to_all(folder.path());
        folder
    }

    /// Asks for one thing and panics with the lab's own words if it cannot be done.
    pub(crate) fn ask(&self, request: &Value) -> Value {
        self.pipes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).ask(request)
    }

    /// Calls one method of the AWS.
    pub(crate) fn aws(&self, call: &str, mut arguments: Value) -> Value {
        arguments["do"] = json!("aws_call");
        arguments["call"] = json!(call);
        self.ask(&arguments)
    }

    /// A port that nothing listens on at that address.
    pub(crate) fn free_port(&self, ip: &str) -> u16 {
        let port = self.ask(&json!({"do": "free_port", "ip": ip})).as_u64().expect("a number");
        u16::try_from(port).expect("a port")
    }

    /// Starts a process that lives until it is ended or this test process is.
    pub(crate) fn spawn(&self, argv: &[String], env: &Value, out: &Path, err: &Path) -> u64 {
        let request = json!({"do": "spawn", "argv": argv, "env": env, "out": out, "err": err});
        self.ask(&request).as_u64().expect("a process id")
    }

    /// How a process ended, or nothing while it runs.
    pub(crate) fn status(&self, pid: u64) -> Option<i64> {
        self.ask(&json!({"do": "status", "pid": pid})).as_i64()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, pid: u64, number: i32) {
        self.ask(&json!({"do": "signal", "pid": pid, "number": number}));
    }

    /// Kills a process and all below it.
    pub(crate) fn end(&self, pid: u64) {
        self.ask(&json!({"do": "end", "pid": pid}));
    }

    /// All processes below one.
    pub(crate) fn descendants(&self, pid: u64) -> Vec<u64> {
        let answer = self.ask(&json!({"do": "descendants", "pid": pid}));
        answer.as_array().expect("a list").iter().filter_map(Value::as_u64).collect()
    }
}

/// Lets the sessions' OS user read and write there.
pub(super) fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).expect("our own folder");
}
