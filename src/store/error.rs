//! Why the store has no answer.

use std::io;

use sqlx::migrate::MigrateError;

use crate::domain::NodeName;

/// Why the store has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be created or opened.
    #[error(
        "the database {path} cannot be opened: {source}; check that its directory exists and that \
         drawbridge may write there"
    )]
    Open {
        /// The file, as configured.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not a database, or a damaged one.
    #[error(
        "the database {path} is damaged or is not an SQLite database: {source}; restore it from a \
         backup, or move it away to start with an empty one (host keys are then trusted anew)"
    )]
    Damaged {
        /// The file, as configured.
        path: String,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The URL of the PostgreSQL database does not make sense.
    #[error(
        "`store.url` is not the URL of a PostgreSQL database: {0}; it should look like \
         postgres://drawbridge:PASSWORD@db.example.com:5432/drawbridge?sslmode=verify-full"
    )]
    Url(sqlx::Error),
    /// The PostgreSQL server cannot be reached or does not let us in.
    #[error(
        "the PostgreSQL database {place} cannot be reached: {source}; check that it runs, and the \
         address, user, password and TLS parameters in `store.url`"
    )]
    Connect {
        /// Host, port and database; never the password.
        place: String,
        /// What went wrong.
        source: sqlx::Error,
    },
    /// The PostgreSQL database does not store Unicode.
    #[error(
        "the PostgreSQL database {place} has the encoding {encoding}; create it with ENCODING 'UTF8', \
         or it could not hold every file name and command"
    )]
    Encoding {
        /// Host, port and database.
        place: String,
        /// Its encoding.
        encoding: String,
    },
    /// The database was written by a newer drawbridge.
    #[error(
        "the database {path} was written by a newer drawbridge (migration {migration}); run that \
         version, or restore a backup"
    )]
    Newer {
        /// The file or place.
        path: String,
        /// The migration that this version does not know.
        migration: i64,
    },
    /// The tables could not be brought up to date.
    #[error("the tables of the database {path} cannot be brought up to date: {source}")]
    Migrate {
        /// The file or place.
        path: String,
        /// What went wrong.
        source: MigrateError,
    },
    /// A query failed.
    #[error("the database did not answer: {0}")]
    Query(#[source] sqlx::Error),
    /// There is no connection to ask through.
    #[error(
        "no connection to the database came about within {} seconds; check that it runs and can be reached \
         from here",
        super::ACQUIRE.as_secs()
    )]
    Unreachable,
    /// The database did not answer in time; what was asked may still happen.
    #[error("the database did not answer within {} seconds", super::DEADLINE.as_secs())]
    TooSlow,
    /// A pin does not make sense.
    #[error(
        "the pinned host key of {machine} in the database is damaged ({field}); forget it with \
         `drawbridge host-keys forget`, or restore a backup"
    )]
    Row {
        /// The machine whose row it is.
        machine: String,
        /// The field that does not make sense.
        field: &'static str,
    },
    /// A row of another table does not make sense.
    #[error(
        "a row of the table `{table}` in the database is damaged ({field}): somebody changed it, or \
         the disk did; `drawbridge audit verify` says what else is wrong"
    )]
    Unreadable {
        /// The table.
        table: &'static str,
        /// The field that does not make sense.
        field: &'static str,
    },
    /// Lines are missing between what is stored and what was to be appended.
    #[error(
        "the store has the events of node {node} up to {stored}, and the next one it was given is \
         {next}: those between are missing. If the database was restored from an older backup, restore a \
         newer one"
    )]
    Gap {
        /// Whose lines.
        node: NodeName,
        /// The last line that is stored.
        stored: u64,
        /// The first that was given.
        next: u64,
    },
    /// The store has another chain under this node's name.
    #[error(
        "the store has other events of a node called {node} (they differ from number {seq} on): give \
         each drawbridge that uses this database a `node.name` of its own. If this machine replaces \
         another one, give it a new name as well"
    )]
    OtherChain {
        /// The name.
        node: NodeName,
        /// The first number under which the two are known to differ.
        seq: u64,
    },
    /// The journal ends before what the store has.
    #[error(
        "the store has the events of node {node} up to {stored}, but the journal in this machine's data \
         directory ends at {journal}: another drawbridge uses the same `node.name`, or the journal was \
         restored from an older backup. Give this one a `node.name` of its own"
    )]
    JournalBehind {
        /// The name.
        node: NodeName,
        /// The last line that is stored.
        stored: u64,
        /// The last line of the journal.
        journal: u64,
    },
    /// A line that is no event, or cannot be stored.
    #[error(
        "line {seq} of node {node} cannot be stored: {what}; the journal in the data directory was changed \
         by something other than drawbridge, or its disk is damaged"
    )]
    Line {
        /// Whose line.
        node: NodeName,
        /// Its number.
        seq: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The journal could not be read.
    #[error("the journal in the data directory cannot be read: {0}")]
    Journal(#[source] io::Error),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) { Self::Unreachable } else { Self::Query(error) }
    }
}
