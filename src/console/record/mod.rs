//! The commands about the record: sessions, replay, events, export.
//!
//! One implementation for `ssh bastion COMMAND` and for the operator's command line. What always holds:
//! - Who asks over ssh gets what policy lets them have: the record as a whole with `audit`, a session that is live
//!   with `watch` or `kill`, and their own sessions. What is not theirs reads like what is not there.
//! - Nothing that others wrote reaches a terminal as it came, but for what `replay` and `watch` are made to show;
//!   they say so, and put the terminal in order afterwards.
//! - Answers are made a page at a time, and wait for their reader.
//! - Ids are parsed and are never part of a path as they were typed.
//!
//! What is not here: SSH and the audit (`session::console`), the local terminal (`cli`), what the store and the
//! vault are made of.

mod args;
mod csv;
mod events;
mod export;
mod ids;
mod kill;
mod library;
mod line;
mod list;
mod pages;
mod pen;
mod permission;
mod play;
mod show;
mod story;
mod table;
mod trouble;
mod view;
mod when;

use jiff::Timestamp;

pub use args::{
    EventsArgs, ExportArgs, Fitting, Format, KillArgs, ListArgs, ReplayArgs, SessionsCommand, ShowArgs,
    WatchArgs,
};
pub use ids::{Playable, SessionStart};
pub use library::Library;
pub use pages::Turns;
pub use permission::{Asker, Person};
pub(crate) use play::ORDER;
pub use when::When;

use super::answer::Answer;
use crate::domain::NodeName;
use crate::store::Store;
use trouble::Trouble;

/// Where the record is.
#[derive(Debug, Clone)]
pub struct Archive {
    /// Events, sessions and what else is derived from them.
    pub store: Store,
    /// The recordings.
    pub library: Library,
    /// This node.
    pub node: NodeName,
    /// Who may have the store look for something at the moment.
    pub turns: Turns,
}

/// A question about the record.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// `sessions …`.
    Sessions(SessionsCommand),
    /// `replay`.
    Replay(ReplayArgs),
    /// `events`.
    Events(EventsArgs),
    /// `export`.
    Export(ExportArgs),
}

/// Everything that an answer about the record is made from.
#[derive(Debug, Clone)]
pub struct RecordDesk {
    /// Who asks.
    pub asker: Asker,
    /// Where the record is.
    pub archive: Archive,
    /// This moment.
    pub now: Timestamp,
}

impl RecordDesk {
    /// Answers a question.
    pub async fn answer(self, question: Question) -> Answer {
        let by_operator = self.is_operator();
        let answer = match question {
            Question::Sessions(SessionsCommand::List(args)) => list::list(self, args).await,
            Question::Sessions(SessionsCommand::Show(args)) => show::show(self, args).await,
            Question::Sessions(SessionsCommand::Watch(args)) => view::watch(self, args).await,
            Question::Sessions(SessionsCommand::Kill(args)) => kill::kill(self, args).await,
            Question::Replay(args) => view::replay(self, args).await,
            Question::Events(args) => events::events(self, args).await,
            Question::Export(args) => export::export(self, args).await,
        };
        answer.unwrap_or_else(|trouble: Trouble| trouble.answer(by_operator))
    }

    fn is_operator(&self) -> bool {
        matches!(self.asker, Asker::Operator)
    }
}

#[cfg(test)]
mod tests;
