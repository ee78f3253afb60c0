//! A terminal whose screen can be looked at: tmux.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::lab::Lab;
use super::process::{Finished, finish, start, wait_for};
use super::supervisor::Supervisor;

/// How long something may take to show. Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// One terminal with one shell command in it.
#[derive(Debug)]
pub(crate) struct Tmux {
    socket: PathBuf,
    server: u64,
}

impl Tmux {
    /// Starts a shell command under a terminal of that name and size.
    #[track_caller]
    pub(crate) fn start(lab: &Lab, term: &str, columns: u16, rows: u16, command: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| lab.dir().join(format!("tmux{number}.{name}"));
        let text = format!("set -g default-terminal {term}\nset -g status off\nset -g remain-on-exit on\n");
        std::fs::write(file("conf"), text).expect("our own folder");
        let socket = file("sock");
        let argv = ["tmux", "-u", "-D", "-f", &shown(&file("conf")), "-S", &shown(&socket)];
        let argv: Vec<String> = argv.map(str::to_owned).into();
        let env = json!({"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": lab.dir(), "SHELL": "/bin/sh"});
        let server = Supervisor::get().spawn(&argv, &env, &file("out"), &file("err"));
        let tmux = Self { socket, server };
        wait_for("tmux", PATIENCE, || tmux.socket.exists());
        let size = (columns.to_string(), rows.to_string());
        tmux.ask(&["new-session", "-d", "-x", &size.0, "-y", &size.1, command]);
        tmux
    }

    fn run(&self, args: &[&str]) -> Finished {
        let mut command = Command::new("tmux");
        command.args(["-u", "-S"]).arg(&self.socket).args(args).env("LC_ALL", "C.UTF-8").env_remove("TMUX");
        finish(start(&mut command), Vec::new(), PATIENCE)
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> String {
        self.run(args).ended_with(0).out()
    }

    /// Types text as it is.
    #[track_caller]
    pub(crate) fn types(&self, text: &str) {
        self.ask(&["send-keys", "-l", text]);
    }

    /// Presses a key by tmux's name for it.
    #[track_caller]
    pub(crate) fn key(&self, name: &str) {
        self.ask(&["send-keys", name]);
    }

    /// Pastes text, marked as a paste where the program asked for that.
    #[track_caller]
    pub(crate) fn paste(&self, text: &str) {
        let file = self.socket.with_extension("paste");
        std::fs::write(&file, text).expect("our own folder");
        self.ask(&["load-buffer", &shown(&file)]);
        self.ask(&["paste-buffer", "-p", "-r"]);
    }

    /// Changes the size of the window.
    #[track_caller]
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.ask(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Whether the cursor can be seen.
    #[track_caller]
    pub(crate) fn cursor_is_shown(&self) -> bool {
        self.ask(&["display-message", "-p", "#{cursor_flag}"]).trim() == "1"
    }

    /// What is on the screen.
    #[track_caller]
    pub(crate) fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    /// Waits until the screen has that on it, and answers the screen.
    #[track_caller]
    pub(crate) fn expect(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if screen.contains(text) {
                return screen;
            }
            assert!(Instant::now() < deadline, "{text:?} is not on the screen:\n{screen}");
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        Supervisor::get().end(self.server);
    }
}

fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}
