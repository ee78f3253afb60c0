//! What is asked of AWS, and what it may answer.

use jiff::SignedDuration;

use crate::aws::IamAction;
use crate::domain::InstanceId;
use crate::target::Place;
use crate::tasks::BoxFuture;

/// AWS, asked harmlessly.
pub trait Cloud: Send + Sync + std::fmt::Debug {
    /// Who drawbridge is: by its own credentials, or in an account of the configuration.
    fn who<'a>(&'a self, account: Option<&'a str>) -> BoxFuture<'a, Result<Caller, Trouble>>;

    /// Whether an action is permitted in an account and region; nothing is done. `logins` are OS users for whom keys
    /// shall be pushed, the likeliest first.
    fn may<'a>(
        &'a self,
        place: &'a Place,
        action: &'static IamAction,
        logins: &'a [String],
    ) -> BoxFuture<'a, Result<(), Trouble>>;

    /// How far the clock of this machine is ahead of AWS's, to the second.
    fn clock_ahead<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<SignedDuration, Trouble>>;

    /// The instance that this machine is, by the metadata service.
    fn where_we_run(&self) -> BoxFuture<'_, Result<WhereWeRun, Trouble>>;

    /// How the metadata service of an instance is set, as far as drawbridge's own credentials see it.
    fn metadata_options<'a>(
        &'a self,
        place: &'a WhereWeRun,
    ) -> BoxFuture<'a, Result<MetadataOptions, Trouble>>;
}

/// Who drawbridge is to AWS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The ARN of the role's session, or of the user.
    pub arn: String,
    /// The number of the account.
    pub account: String,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhereWeRun {
    /// Its id.
    pub instance: InstanceId,
    /// Its region.
    pub region: String,
}

/// How an instance's metadata service is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataOptions {
    /// Over how many machines its answers may go.
    pub hop_limit: i32,
    /// Whether it answers only to those who have fetched a token (version 2).
    pub token_required: bool,
}

/// Why AWS did not answer what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What kind of trouble.
    pub kind: TroubleKind,
    /// AWS's code, such as `UnauthorizedOperation`.
    pub code: Option<String>,
    /// What is known, on one line of bounded length.
    pub text: String,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// There are no credentials, or AWS does not know them.
    NoCredentials,
    /// IAM refused.
    Denied,
    /// Too many questions.
    Throttled,
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// Everything else.
    Other,
}

impl Trouble {
    /// Some trouble without a code.
    pub fn new(kind: TroubleKind, text: impl Into<String>) -> Self {
        Self { kind, code: None, text: text.into() }
    }

    /// Whether the service was not reached at all.
    #[must_use]
    pub fn is_no_way(&self) -> bool {
        match self.kind {
            TroubleKind::Timeout | TroubleKind::Unreachable => true,
            TroubleKind::NoCredentials
            | TroubleKind::Denied
            | TroubleKind::Throttled
            | TroubleKind::Other => false,
        }
    }

    /// Why IAM refused, in AWS's words, where it says so: `because no identity-based policy allows the ec2:… action`,
    /// `with an explicit deny in a service control policy`.
    #[must_use]
    pub fn because(&self) -> Option<&str> {
        let start =
            [" because ", " with an explicit deny "].iter().find_map(|words| self.text.find(words))?;
        let reason = self.text.get(start..)?;
        let end = reason.find(['.', '"', '\n']).unwrap_or(reason.len());
        reason.get(..end).map(str::trim)
    }

    /// What was said, without what the SDK puts before it.
    #[must_use]
    pub fn said(&self) -> &str {
        let start = "an error occurred while loading credentials: ";
        self.text.rsplit_once(start).map_or(self.text.as_str(), |(_, said)| said).trim_end_matches('.')
    }

    /// Where the way to the service ended, for people.
    #[must_use]
    pub fn where_it_ended(&self) -> &'static str {
        let text = self.text.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["dns error", "failed to lookup", "name or service not known", "name resolution"]) {
            "its name cannot be resolved"
        } else if has(&["certificate", "unknownissuer", "invalid peer", "handshake"]) {
            "somebody else answers in its place, or its certificate is not trusted"
        } else if has(&["connection refused"]) {
            "the connection is refused"
        } else if has(&["unreachable", "no route"]) {
            "there is no route to it"
        } else if self.kind == TroubleKind::Timeout || has(&["timed out", "timeout"]) {
            "nothing answers in time"
        } else {
            "the connection breaks"
        }
    }
}
