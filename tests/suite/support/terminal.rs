//! A client under a terminal of its own: what a person at a keyboard has.

use std::io::{Read, Write};
use std::process::Child;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};

/// A program under a pseudo-terminal, and what it has printed so far.
pub(crate) struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    chunks: mpsc::Receiver<Vec<u8>>,
    pub(crate) seen: Vec<u8>,
}

impl Terminal {
    /// Starts a program under a terminal of that size.
    pub(crate) fn start(program: &str, args: &[String], rows: u16, columns: u16) -> Self {
        let (pty, pts) = open().expect("a pseudo-terminal");
        pty.resize(Size::new(rows, columns)).expect("our own terminal");
        let child = Command::new(program).args(args).spawn(pts).expect("the program starts");
        let pty = Arc::new(pty);
        let (send, chunks) = mpsc::sync_channel(1024);
        let reader = Arc::clone(&pty);
        thread::spawn(move || {
            let mut chunk = vec![0; 65_536];
            while let Ok(n) = (&*reader).read(&mut chunk) {
                if n == 0 || send.send(chunk[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { pty, child, chunks, seen: Vec::new() }
    }

    /// Types.
    pub(crate) fn type_in(&mut self, text: &str) {
        (&*self.pty).write_all(text.as_bytes()).expect("the terminal takes input");
    }

    /// Changes the size, which the program is told by SIGWINCH.
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        self.pty.resize(Size::new(rows, columns)).expect("our own terminal");
    }

    /// Waits until a text has been printed since the last call, and takes everything up to its end.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str, within: Duration) -> String {
        let deadline = Instant::now() + within;
        loop {
            if let Some(at) = find(&self.seen, text.as_bytes()) {
                let taken: Vec<u8> = self.seen.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left) {
                Ok(chunk) => self.seen.extend(chunk),
                Err(_) => panic!("{text:?} was not printed within {within:?}; seen: {:?}", self.printed()),
            }
        }
    }

    fn printed(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }

    /// Waits for the end; answers the exit code and all that was printed meanwhile.
    #[track_caller]
    pub(crate) fn finish(mut self, within: Duration) -> (Option<i32>, String) {
        let deadline = Instant::now() + within;
        while let Ok(chunk) = self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.seen.extend(chunk);
        }
        super::wait_for("the program under the terminal to end", Duration::from_secs(5), || {
            self.child.try_wait().expect("our own child").is_some()
        });
        (self.child.wait().expect("our own child").code(), self.printed())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Already gone is as good.
        let _gone = self.child.kill().and_then(|()| self.child.wait()).is_ok();
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
