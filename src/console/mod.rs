//! The commands of the console: what somebody may ask of the bastion itself, and the answers.
//!
//! One implementation for `ssh bastion COMMAND` and for the local command line. What always holds:
//! - An answer is limited by policy: it is about what the one who asks may reach, and about nothing else.
//!   What is not theirs reads like what is not there.
//! - Names are found by [`find`], for every way in alike.
//! - Nothing that others wrote (tags above all) reaches a terminal or an `ssh_config` as it came: see `text` and
//!   `ssh_config`.
//! - Answers are made piece by piece, so that a long one waits for its reader and not in memory.
//!
//! What is not here: SSH and the audit (`session::console`), decisions (`policy`), the menu.

mod answer;
mod args;
mod doctor;
mod explain;
mod find;
mod listing;
mod record;
mod ssh_config;
mod stage;
mod targets;
mod text;
mod whoami;
mod words;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;

pub use answer::{Answer, Verdict};
pub use args::{
    Command, DoctorArgs, ExplainArgs, SshConfigArgs, TargetsArgs, WhoamiArgs, help, is_command, parse,
};
pub(crate) use doctor::cause_told;
#[cfg(test)]
pub(crate) use doctor::testing as doctor_testing;
pub use doctor::{Clinic, Ledger, OffTheRecord, Probe, doctor_for_operator, packets_for_operator};
pub(crate) use find::candidates;
pub use find::{Found, find};
pub use listing::listing;
pub(crate) use record::ORDER;
pub use record::{
    Archive, Asker, EventsArgs, ExportArgs, Fitting, Format, KillArgs, Library, ListArgs, Person, Playable,
    Question, RecordDesk, ReplayArgs, SessionStart, SessionsCommand, ShowArgs, Turns, WatchArgs, When,
};
pub use stage::{Audience, Input, Left, Live, Piece, Playing, Size, Stage};
pub use text::shown;

use crate::domain::{Identity, ServerAddress};
use crate::policy::{Policy, Reach};
use crate::target::Inventory;

/// Everything that an answer is made from.
#[derive(Debug, Clone)]
pub struct Desk {
    /// Who asks, with the groups of this moment.
    pub identity: Arc<Identity>,
    /// The policy of this moment.
    pub policy: Arc<Policy>,
    /// The machines there are.
    pub inventory: Inventory,
    /// This moment.
    pub now: Timestamp,
    /// How clients reach the bastion.
    pub address: ServerAddress,
    /// The public key that vouches for the bastion and every target, as in a `.pub` file without comment.
    pub host_ca: String,
    /// The record, where it can be read.
    pub archive: Option<Archive>,
    /// What it takes to say why an instance cannot be reached, where that can be asked.
    pub clinic: Option<Clinic>,
}

impl Desk {
    /// Answers a command.
    pub async fn answer(self, command: Command) -> Answer {
        match command {
            Command::Whoami(args) => whoami::answer(&self.identity, &args),
            Command::Explain(args) => explain::answer(&self, &args).await,
            Command::Doctor(args) => doctor::answer(&self, &args).await,
            Command::Targets(args) => aside(move || targets::answer(&self, &args)).await,
            Command::SshConfig(args) => aside(move || ssh_config::answer(&self, &args)).await,
            Command::Sessions { command } => self.of_the_record(Question::Sessions(command)).await,
            Command::Replay(args) => self.of_the_record(Question::Replay(args)).await,
            Command::Events(args) => self.of_the_record(Question::Events(args)).await,
            Command::Export(args) => self.of_the_record(Question::Export(args)).await,
        }
    }

    async fn of_the_record(self, question: Question) -> Answer {
        let Self { identity, policy, inventory, now, archive, .. } = self;
        let Some(archive) = archive else {
            return Answer::no("the record cannot be read here; ask your drawbridge operator.");
        };
        let asker = Asker::Person(Person { identity, policy, inventory });
        RecordDesk { asker, archive, now }.answer(question).await
    }

    /// What the one who asks may reach, in the order of lists.
    #[must_use]
    pub fn reach(&self) -> Vec<Reach> {
        listing(&self.policy, &self.identity, &self.inventory.all(), self.now)
    }
}

/// How many lists are made at a time; further ones wait. Sessions come first.
static LISTS: Semaphore = Semaphore::const_new(2);

/// Policy is asked about every machine: that is work for a thread on which nobody else waits.
async fn aside(answer: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    // It is never closed.
    let _place = LISTS.acquire().await;
    tokio::task::spawn_blocking(answer).await.unwrap_or_else(|fault| {
        tracing::error!(%fault, "a console command was ended by a fault; please report this");
        Answer::no(
            "drawbridge has a problem of its own and cannot answer; please tell your drawbridge operator.",
        )
    })
}

#[cfg(test)]
mod testing;
