//! The checklist: what was looked at, what was found, what to change.

use std::fmt;

use serde::Serialize;

use crate::domain::Verdict;

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// The config file.
    Configuration,
    /// Who may come in.
    Users,
    /// Who may do what.
    Policy,
    /// Keys and directories: whose they are and who may read them.
    Files,
    /// Room on the disks.
    Disk,
    /// The addresses that are listened on.
    Listeners,
    /// The database.
    Store,
    /// Where recordings are kept.
    Recordings,
    /// Who drawbridge is to AWS, in each account.
    Credentials,
    /// What AWS's IAM permits.
    Permissions,
    /// Whether AWS's services can be reached.
    Endpoints,
    /// The instance metadata service.
    Metadata,
    /// The clock against AWS's.
    Clock,
}

impl Subject {
    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::Users => "Users",
            Self::Policy => "Policy",
            Self::Files => "Keys and directories",
            Self::Disk => "Disk",
            Self::Listeners => "Listeners",
            Self::Store => "Store",
            Self::Recordings => "Recordings",
            Self::Credentials => "AWS credentials",
            Self::Permissions => "AWS permissions",
            Self::Endpoints => "AWS endpoints",
            Self::Metadata => "Instance metadata",
            Self::Clock => "Clock",
        }
    }
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about.
    pub subject: Subject,
    /// What came of it.
    pub verdict: Verdict,
    /// What was found, in full sentences.
    pub finding: String,
    /// What to change, in full sentences.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Of what there are several: the account, the account and region, the file, the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The IAM action that is missing or could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<&'static str>,
}

impl Check {
    fn new(subject: Subject, verdict: Verdict, finding: impl Into<String>) -> Self {
        Self {
            subject,
            verdict,
            finding: one_line(&finding.into()),
            change: None,
            about: None,
            permission: None,
        }
    }

    /// ✓
    pub(super) fn sound(subject: Subject, finding: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Sound, finding)
    }

    /// ✗, and what to change.
    pub(super) fn broken(subject: Subject, finding: impl Into<String>, change: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Broken, finding).change(change)
    }

    /// ?
    pub(super) fn unknown(subject: Subject, finding: impl Into<String>) -> Self {
        Self::new(subject, Verdict::Unknown, finding)
    }

    pub(super) fn change(mut self, change: impl Into<String>) -> Self {
        self.change = Some(one_line(&change.into()));
        self
    }

    pub(super) fn about(mut self, about: impl Into<String>) -> Self {
        self.about = Some(one_line(&about.into()));
        self
    }

    pub(super) fn permission(mut self, name: &'static str) -> Self {
        self.permission = Some(name);
        self
    }
}

/// What files and services say may hold anything; a line of the list is one line, and steers no terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The whole list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkup {
    /// The checks, those about one subject together.
    pub checks: Vec<Check>,
    /// How many are ✓.
    pub sound: usize,
    /// How many are ✗.
    pub broken: usize,
    /// How many are ?.
    pub unknown: usize,
}

impl Checkup {
    /// The list of these checks.
    #[must_use]
    pub fn of(mut checks: Vec<Check>) -> Self {
        checks.sort_by_key(|check| check.subject);
        let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
        let (sound, broken, unknown) =
            (count(Verdict::Sound), count(Verdict::Broken), count(Verdict::Unknown));
        Self { checks, sound, broken, unknown }
    }

    /// Whether nothing is ✗.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.broken == 0
    }
}

impl fmt::Display for Checkup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut subject = None;
        for check in &self.checks {
            if subject.replace(check.subject) != Some(check.subject) {
                writeln!(f, "{}", check.subject.title())?;
            }
            let about = check.about.as_ref().map(|about| format!("{about}: ")).unwrap_or_default();
            writeln!(f, "  {} {about}{}", check.verdict.mark(), check.finding)?;
            if let Some(change) = &check.change {
                writeln!(f, "      → {change}")?;
            }
        }
        let things = |count: usize| if count == 1 { "1 thing".to_owned() } else { format!("{count} things") };
        match (self.broken, self.unknown) {
            (0, 0) => writeln!(f, "\nEverything is as it should be."),
            (0, unknown) => writeln!(
                f,
                "\nNothing is broken; {} could not be checked or should be looked at.",
                things(unknown)
            ),
            (broken, 0) => writeln!(f, "\nTo be repaired: {}.", things(broken)),
            (broken, unknown) => writeln!(
                f,
                "\nTo be repaired: {}; {} could not be checked or should be looked at.",
                things(broken),
                things(unknown)
            ),
        }
    }
}
