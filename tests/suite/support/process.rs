//! Running a program to its end within a deadline, and waiting for things to become true.

use std::fmt;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How a program ended, and what it said.
pub(crate) struct Finished {
    /// Its exit code; nothing when a signal or the deadline ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// Whether it was killed because it did not end.
    pub(crate) hung: bool,
    pub(crate) took: Duration,
}

impl Finished {
    /// Standard output as text.
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Demands an exit code, and shows everything if it is another.
    #[track_caller]
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Demands that it ended by itself, and not with success.
    #[track_caller]
    pub(crate) fn failed(self) -> Self {
        assert!(!self.hung && self.code != Some(0), "{self:?}");
        self
    }

    /// Demands that it told its user why, in a full sentence that is not ssh's own.
    #[track_caller]
    pub(crate) fn with_a_sentence(self) -> Self {
        let ssh_s_own = ["Permission denied (publickey).", "Host key verification failed."];
        let said = self.err();
        let sentence = |line: &&str| line.ends_with('.') && !ssh_s_own.iter().any(|own| line.contains(own));
        assert!(
            said.lines().map(str::trim_end).any(|line| sentence(&line)),
            "there is no sentence: {self:?}"
        );
        self
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.hung { "hung".to_owned() } else { format!("ended with {:?}", self.code) };
        let head = String::from_utf8_lossy(self.stdout.get(..400).unwrap_or(&self.stdout));
        writeln!(f, "{how} after {:?}; {} bytes of output: {head:?}", self.took, self.stdout.len())?;
        write!(f, "standard error: {}", self.err())
    }
}

/// Starts a program with all three streams piped.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|e| panic!("{command:?} did not start: {e}"))
}

/// Feeds a program, reads all it says and waits for its end; kills it at the deadline.
pub(crate) fn finish(mut child: Child, input: Vec<u8>, within: Duration) -> Finished {
    let began = Instant::now();
    if let Some(mut stdin) = child.stdin.take() {
        // A program may end before it has read everything: that is no failure of the writer.
        thread::spawn(move || stdin.write_all(&input).and_then(|()| stdin.flush()).is_ok());
    }
    let stdout = child.stdout.take().map(read_to_end);
    let stderr = child.stderr.take().map(read_to_end);
    let hung = !wait_until(within, || child.try_wait().expect("our own child").is_some());
    if hung {
        child.kill().expect("our own child");
    }
    let status = child.wait().expect("our own child");
    let collect = |pipe: Option<mpsc::Receiver<Vec<u8>>>| {
        // Whoever inherited the pipe may hold it open for longer than the program lives.
        pipe.and_then(|p| p.recv_timeout(Duration::from_secs(5)).ok()).unwrap_or_default()
    };
    let (stdout, stderr) = (collect(stdout), collect(stderr));
    Finished { code: status.code().filter(|_| !hung), stdout, stderr, hung, took: began.elapsed() }
}

fn read_to_end(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut all = Vec::new();
        let read = pipe.read_to_end(&mut all);
        send.send(all).is_ok() && read.is_ok()
    });
    receive
}

/// The lines of a text, without empty ones.
pub(crate) fn lines_of(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.trim().is_empty()).collect()
}

/// Asks again and again until it is so, or the time is up.
fn wait_until(within: Duration, mut so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    loop {
        if so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until something is so; panics with its name when it does not come about.
#[track_caller]
pub(crate) fn wait_for(what: &str, within: Duration, so: impl FnMut() -> bool) {
    assert!(wait_until(within, so), "waited {within:?} in vain for {what}");
}

/// Bytes that do not compress and look like nothing, the same for the same seed (xorshift64*).
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
