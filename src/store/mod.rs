//! What must survive a restart, and what several drawbridges share: SQLite in one file, or PostgreSQL
//! by URL, through `sqlx::Any`: one schema, one set of migrations, one code path.
//!
//! What always holds here:
//! - an answer of `Ok` to a write is on the disk, except for [`Store::append`]: an event is in the
//!   journal already, and [`Store::make_durable`] says from when on the journal may forget it;
//! - a node's lines go in once each and in order, with everything that is derived from them, in one
//!   transaction;
//! - what is read back was checked, and what does not make sense is an error, never a guess;
//! - every question has a deadline and every answer a limit.
//!
//! What it deliberately does not do: know who asks, or keep a truth of its own about what happened.
//! Consumers declare the small traits they need and the composition root fits them to these methods.

mod append;
mod check;
mod derive;
mod error;
mod events;
mod glance;
mod index;
mod line;
mod open;
mod orders;
mod pins;
mod prune;
mod recordings;
mod rows;
mod sessions;
mod sql;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sqlx::AnyPool;

use crate::audit::{JournalLine, LineHash, Stored};

pub use check::{Checked, Mismatch};
pub use error::StoreError;
pub use events::{DecisionFilter, EventCursor, EventFilter, EventRow};
pub use glance::Glance;
pub use index::{Indexer, Lines, News};
pub use open::Place;
pub(crate) use open::check_url;
pub use orders::{NodeOrders, Ordered};
pub use pins::{Circumstances, Forgotten, MachineId, NewPin, Pin};
pub use prune::{Discarded, PrunePlan, Pruned, Pruning};
pub use recordings::{RecordingRow, RecordingState};
pub use rows::{ConnectionRow, DecisionRow, HeadRow, SessionRow};
pub use sessions::{Cursor, Found, SessionFilter, Unfinished};

/// How long one question to the database may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How long somebody waits for a free connection, or for one to be made.
const ACQUIRE: Duration = Duration::from_secs(5);

/// The database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// For everything: a commit waits for the disk.
    pool: AnyPool,
    /// For events: on SQLite, one connection whose commits do not wait for the disk.
    events: AnyPool,
    orders: Arc<orders::Bell>,
}

/// Waits for an answer, but not for ever.
async fn answered<T>(question: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(DEADLINE, question).await.map_err(|_| StoreError::TooSlow)?
}

impl Store {
    /// Lets go of the database once running questions are answered.
    pub async fn close(&self) {
        self.events.close().await;
        self.pool.close().await;
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        answered(async { Ok(sqlx::query("SELECT 1").execute(&self.events).await?) }).await?;
        Ok(())
    }

    /// The rows that a statement finds.
    async fn rows<T: rows::Table>(&self, sql: sql::Sql) -> Result<Vec<T>, StoreError> {
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        rows.iter().map(T::read).collect()
    }

    /// Runs a statement; says how many rows it changed.
    async fn run(&self, sql: sql::Sql) -> Result<u64, StoreError> {
        let done = answered(async { Ok(sql.query().execute(&self.pool).await?) }).await?;
        Ok(done.rows_affected())
    }

    /// Runs a statement as it is, to see what is made of a database that is not as it should be.
    #[cfg(test)]
    pub(crate) async fn tamper(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.expect("tampered");
    }
}
