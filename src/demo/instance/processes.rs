//! Finding and ending everything that a program started.
//!
//! A process group is not enough: an interactive shell gives each job its own group, and a
//! daemon leaves even the session. So each program's environment carries a [`Mark`], which its
//! descendants inherit, and `/proc` is searched for it.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The variable that carries the mark.
pub(super) const MARK_VARIABLE: &str = "DRAWBRIDGE_DEMO_PROGRAM";

/// How often the search is repeated: a process may be starting another while it is ended.
const PASSES_MAX: usize = 20;

/// How many searches in a row must find nothing: in the middle of an exec, a process has no
/// environment to show.
const CLEAN_PASSES: usize = 2;

/// How long ended processes get to disappear between two searches.
const PASS_PAUSE: Duration = Duration::from_millis(10);

/// What marks the descendants of one program.
#[derive(Debug, Clone)]
pub(super) struct Mark(String);

impl Mark {
    pub(super) fn fresh() -> Self {
        Self(uuid::Builder::from_random_bytes(rand::random()).into_uuid().simple().to_string())
    }

    pub(super) fn value(&self) -> &str {
        &self.0
    }

    /// Signals every process that carries the mark, and says how many there were.
    pub(super) fn signal(&self, signal: Signal) -> usize {
        let wanted = format!("{MARK_VARIABLE}={}", self.0).into_bytes();
        let mut found = 0;
        for pid in all_processes() {
            if carries(pid, &wanted) && kill_process(pid, signal).is_ok() {
                found += 1;
            }
        }
        found
    }

    /// Ends every process that carries the mark, without asking.
    pub(super) async fn end_all(&self) {
        let mut clean = 0;
        for _ in 0..PASSES_MAX {
            clean = if self.signal(Signal::KILL) == 0 { clean + 1 } else { 0 };
            if clean == CLEAN_PASSES {
                return;
            }
            tokio::time::sleep(PASS_PAUSE).await;
        }
    }
}

/// Signals a program's process group; only while its leader has not been waited for, so that
/// the number cannot have passed to someone else.
pub(super) fn signal_group(leader: Pid, signal: Signal) {
    // The group may be gone already, which is what a signal to it was to achieve.
    kill_process_group(leader, signal).unwrap_or_default();
}

fn all_processes() -> impl Iterator<Item = Pid> {
    // Where there is no /proc, the process groups are all that can be signalled.
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// Whether a process has this variable; one that is not ours, or a zombie, has none to show.
fn carries(pid: Pid, wanted: &[u8]) -> bool {
    let path = format!("/proc/{}/environ", pid.as_raw_nonzero());
    let Ok(environment) = std::fs::read(path) else { return false };
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
}

/// The signal with this name, without `SIG`, as RFC 4254 §6.9 names signals.
pub(super) fn signal_named(name: &str) -> Option<Signal> {
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal)
}

/// The name of a signal by its number, without `SIG`.
pub(super) fn signal_name(number: i32) -> String {
    let known = SIGNALS.iter().find(|(_, signal)| signal.as_raw() == number);
    known.map_or_else(|| format!("{number}@drawbridge.invalid"), |(name, _)| (*name).to_owned())
}

const SIGNALS: [(&str, Signal); 13] = [
    ("ABRT", Signal::ABORT),
    ("ALRM", Signal::ALARM),
    ("FPE", Signal::FPE),
    ("HUP", Signal::HUP),
    ("ILL", Signal::ILL),
    ("INT", Signal::INT),
    ("KILL", Signal::KILL),
    ("PIPE", Signal::PIPE),
    ("QUIT", Signal::QUIT),
    ("SEGV", Signal::SEGV),
    ("TERM", Signal::TERM),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
];

/// Whether a client's variable may be passed on: a name that the system takes, and not the mark.
pub(super) fn is_variable(name: &str, value: &[u8]) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = !name.is_empty() && name.chars().all(plain) && name != MARK_VARIABLE;
    named && !value.contains(&0)
}
