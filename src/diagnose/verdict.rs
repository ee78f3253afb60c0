//! The checklist, and what follows from it.

use super::subject::Subject;
use super::testimony::Testimony;
use super::words;
use crate::domain::{FailureClass, Login, Verdict};

/// How a connection failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symptom {
    /// In what way.
    pub class: FailureClass,
    /// For which login, where it came to that.
    pub login: Option<Login>,
}

/// One line of the checklist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub subject: Subject,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found: a sentence or two, without control characters, of at most 600 characters.
    pub finding: String,
    /// What to do about it: one sentence or two, likewise.
    pub change: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// In the order of the checklist.
    pub checks: Vec<Check>,
    class: Option<FailureClass>,
    /// Whether packets were seen to go there and back.
    reached: bool,
}

impl Check {
    pub(super) fn sound(subject: Subject, finding: impl AsRef<str>) -> Self {
        Self { subject, verdict: Verdict::Sound, finding: words::sentence(finding.as_ref()), change: None }
    }

    pub(super) fn broken(subject: Subject, finding: impl AsRef<str>, change: impl AsRef<str>) -> Self {
        let (finding, change) = (words::sentence(finding.as_ref()), words::sentence(change.as_ref()));
        Self { subject, verdict: Verdict::Broken, finding, change: Some(change) }
    }

    pub(super) fn unknown(subject: Subject, finding: impl AsRef<str>) -> Self {
        Self { subject, verdict: Verdict::Unknown, finding: words::sentence(finding.as_ref()), change: None }
    }

    pub(super) fn with_change(self, change: impl AsRef<str>) -> Self {
        Self { change: Some(words::sentence(change.as_ref())), ..self }
    }

    /// The same, where the machine was reached all the same: what AWS's answers say is then not what happens.
    pub(super) fn contradicted(self) -> Self {
        let finding = format!("Packets arrive, although AWS's answers speak against it: {}", self.finding);
        Self::unknown(self.subject, finding)
    }
}

impl Diagnosis {
    /// What follows from these checks, where a connection failed in this way or nobody tried.
    #[must_use]
    pub fn of(checks: Vec<Check>, class: Option<FailureClass>) -> Self {
        Self { checks, class, reached: class.is_some_and(|class| Testimony::of(class).proves_arrival) }
    }

    /// The same, where the machine was reached and nothing failed.
    #[must_use]
    pub fn of_reached(checks: Vec<Check>) -> Self {
        Self { checks, class: None, reached: true }
    }

    /// The most likely cause. With a symptom it is the first broken check that can explain it; then what was seen
    /// itself, if that says where the fault is or if nothing else is left. Without a symptom it is the first broken
    /// check. There is none rather than a guess.
    #[must_use]
    pub fn cause(&self) -> Option<&Check> {
        let Some(class) = self.class else { return self.first_broken(|_| true) };
        self.first_broken(|subject| subject.explains(class)).or_else(|| {
            let testimony = Testimony::of(class);
            let nothing_else = testimony.speaks_for_itself || self.open().next().is_none();
            let seen = testimony.seen.filter(|_| nothing_else)?;
            self.first_broken(|subject| subject == seen)
        })
    }

    /// What could not be told and could be the cause.
    pub fn open(&self) -> impl Iterator<Item = &Check> {
        let relevant = |subject: Subject| self.class.is_none_or(|class| subject.explains(class));
        self.checks.iter().filter(move |check| check.verdict == Verdict::Unknown && relevant(check.subject))
    }

    /// Whether packets go to the target's port and answers come back, as far as AWS can tell: firewalls on the
    /// machines and appliances between them are not seen.
    #[must_use]
    pub fn arrives(&self) -> Verdict {
        if self.reached {
            return Verdict::Sound;
        }
        let carrying = || self.checks.iter().filter(|check| check.subject.carries_packets());
        let any = |verdict| carrying().any(|check| check.verdict == verdict);
        if any(Verdict::Broken) {
            Verdict::Broken
        } else if any(Verdict::Unknown) || carrying().next().is_none() {
            Verdict::Unknown
        } else {
            Verdict::Sound
        }
    }

    fn first_broken(&self, wanted: impl Fn(Subject) -> bool) -> Option<&Check> {
        self.checks.iter().find(|check| check.verdict == Verdict::Broken && wanted(check.subject))
    }
}
