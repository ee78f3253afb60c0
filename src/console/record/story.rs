//! A session's events → its story, event by event: nothing is gathered but what the next sentence needs.
//!
//! What always holds: nothing that came from outside is said unescaped. What it does not do: ask whether the reader may know
//! (`permission`), or find the session.

use super::line::{Line, bytes};
use super::when::friendly;

mod beginning;
mod happenings;

use beginning::Beginning;

/// Tells one session's story as its events come.
#[derive(Debug, Default)]
pub(super) struct Story {
    beginning: Beginning,
    /// Whether the beginning has been told.
    begun: bool,
    /// What happened before it.
    early: String,
    /// The day that was told last.
    day: String,
    /// The rules behind the latest permit, until what they permitted happens.
    rules: Vec<String>,
    ending: Option<String>,
}

impl Story {
    /// What the events of the connection say that came before the session's.
    pub(super) fn before(&mut self, line: &Line) {
        self.beginning.learn(line);
    }

    /// What one more event of the session adds to the story; often nothing.
    pub(super) fn tell(&mut self, line: &Line) -> String {
        if self.begun {
            return self.happening(line);
        }
        self.beginning.learn(line);
        if line.event() == "session-started" {
            return self.begin();
        }
        // What was refused before belongs to the story, and comes after its beginning.
        let refused = line.event() == "decision" && line.raw("outcome") == "refuse";
        if refused && self.early.len() < EARLY_MAX {
            let told = self.happening(line);
            self.early.push_str(&told);
        }
        String::new()
    }

    fn begin(&mut self) -> String {
        self.begun = true;
        // The permit that opened the session is told of in the beginning.
        self.rules.clear();
        if self.day.is_empty() {
            self.day = self.beginning.day().to_owned();
        }
        format!("{}\n{}", self.beginning.told(), std::mem::take(&mut self.early))
    }

    fn happening(&mut self, line: &Line) -> String {
        match line.event() {
            "decision" if line.raw("outcome") == "permit" => {
                self.rules = line.texts("rules");
                return String::new();
            }
            "session-ended" | "session-interrupted" => {
                self.ending = Some(ended(line));
                return String::new();
            }
            _ => {}
        }
        let Some(what) = happenings::told(line, &self.rules) else { return String::new() };
        self.rules.clear();
        let (day, time) = line.day_and_time();
        let channel = line.number("channel").map(|channel| channel.to_string()).unwrap_or_default();
        let heading = if day == self.day { String::new() } else { format!("{day}\n") };
        self.day = day;
        format!("{heading}{time}  {channel:>2}  {what}\n")
    }

    /// The last sentences.
    pub(super) fn end(self) -> String {
        let end = self.ending.unwrap_or_else(|| "It has not ended yet.\n".to_owned());
        format!("\n{end}")
    }
}

/// How much of what was refused before the session began is kept, in bytes.
const EARLY_MAX: usize = 16 * 1024;

fn ended(line: &Line) -> String {
    let (day, time) = line.day_and_time();
    if line.event() == "session-interrupted" {
        let last =
            line.text("last_seen").map(|last| format!("; its last event is of {last}")).unwrap_or_default();
        return format!("Its bastion stopped in the middle{last}. This was noted on {day} at {time} UTC.\n");
    }
    let why = line.text("detail").unwrap_or_else(|| why(line.raw("ending")));
    let after = line.number("duration_ms").map(std::time::Duration::from_millis).map(friendly);
    let after = after.map(|after| format!(", after {after}")).unwrap_or_default();
    let to = bytes(line.number("bytes_to_target").unwrap_or_default());
    let back = bytes(line.number("bytes_to_client").unwrap_or_default());
    let label = line.text("ending").unwrap_or_default();
    format!(
        "It ended on {day} at {time} UTC{after} ({label}): {}.\n{to} went to the target, {back} came back.\n",
        why.trim_end_matches('.')
    )
}

/// An ending in words.
pub(super) fn why(label: &str) -> String {
    let words = match label {
        "finished" => "the remote program ended",
        "client-left" => "the client closed, or went away",
        "target-left" => "the target closed, or went away",
        "max-session" => "the longest time that the policy permits was over",
        "idle" => "nothing was said for as long as the policy permits",
        "refused" => "the policy refused",
        "upstream-failed" => "the target could not be reached, or did not let the bastion in",
        "audit-unavailable" => "the record could not be written",
        "recording-failed" => "the recording broke, and the policy requires one",
        "killed" => "somebody ordered it to end",
        "permission-ended" => "the policy no longer permits it",
        "target-replaced" => "the instance is another one now, or is gone",
        "interrupted" => "the bastion stopped in the middle",
        "shutting-down" => "the bastion was shutting down",
        "internal-fault" => "a fault of the bastion's own ended it",
        "protocol-error" => "the peer broke the protocol, a limit or a deadline",
        other => return super::super::text::shown(other),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests;
