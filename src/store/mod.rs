//! What must survive a restart: SQLite through sqlx, one file, migrations run when it is opened.
//!
//! What always holds here: an answer of `Ok` to a write is on the disk (WAL, `synchronous=FULL`);
//! what is read back was checked, and what does not make sense is an error, never a guess.
//!
//! What it deliberately does not do: know who asks. Consumers declare the small traits they
//! need and the composition root fits them to these methods.

mod pins;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;
use sqlx::SqlitePool;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

pub use pins::{Forgotten, MachineId, Pin, Voucher};

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: SqlitePool,
}

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
    /// The file was written by a newer drawbridge.
    #[error(
        "the database {path} was written by a newer drawbridge (migration {migration}); run that \
         version, or restore a backup"
    )]
    Newer {
        /// The file, as configured.
        path: String,
        /// The migration that this version does not know.
        migration: i64,
    },
    /// The tables could not be brought up to date.
    #[error("the tables of the database {path} cannot be brought up to date: {source}")]
    Migrate {
        /// The file, as configured.
        path: String,
        /// What went wrong.
        source: MigrateError,
    },
    /// A query failed.
    #[error("the database did not answer: {0}")]
    Query(#[from] sqlx::Error),
    /// A row does not make sense.
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
}

impl Store {
    /// How long a query waits for another one's lock.
    const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

    /// Opens the database file, creates it with mode 0600 where it is missing, and brings its
    /// tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is damaged, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let shown = || path.display().to_string();
        create_private(path).map_err(|source| StoreError::Open { path: shown(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Self::BUSY_TIMEOUT)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
        let pool = pool.map_err(|source| opening(shown(), source))?;
        Self::with_tables(pool, &shown()).await
    }

    /// A database in memory, gone with the last clone. For tests and demonstrations.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new().in_memory(true).foreign_keys(true);
        // Each connection has a memory of its own, so there is one and it stays.
        let pool = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await?;
        Self::with_tables(pool, "in memory").await
    }

    /// Lets go of the file once running queries are done.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs a statement as it is, to see what is made of a database that is not as it should be.
    #[cfg(test)]
    pub(crate) async fn tamper(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pool).await.expect("tampered");
    }

    async fn with_tables(pool: SqlitePool, path: &str) -> Result<Self, StoreError> {
        let path = path.to_owned();
        match sqlx::migrate!("src/store/migrations").run(&pool).await {
            Ok(()) => Ok(Self { pool }),
            Err(MigrateError::VersionMissing(migration)) => Err(StoreError::Newer { path, migration }),
            Err(MigrateError::Execute(source)) => Err(opening(path, source)),
            Err(source) => Err(StoreError::Migrate { path, source }),
        }
    }
}

/// Creates the file for its owner alone; SQLite gives its companions (`-wal`, `-shm`) the same mode
/// and, where root uses them, the same owner.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().create_new(true).open(path) {
        Ok(file) => give_to_owner_of_folder(&file, path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.create(true).truncate(false).open(path)?;
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// An operator may use the database as root before the daemon, which has a user of its own, starts
/// for the first time. Only for a file that was just made: what lies there already may be a link
/// that leads elsewhere.
fn give_to_owner_of_folder(file: &File, path: &Path) {
    if let (true, Some(Ok(folder))) = (geteuid().is_root(), path.parent().map(std::fs::metadata)) {
        // Where even root may not give files away, the file stays root's.
        let _given = fchown(file, Some(folder.uid()), Some(folder.gid())).is_ok();
    }
}

/// Tells damage from everything else that can go wrong while a database is opened.
fn opening(path: String, source: sqlx::Error) -> StoreError {
    /// Primary result codes (sqlite.org/rescode.html): SQLITE_CORRUPT and SQLITE_NOTADB.
    const DAMAGED: [&str; 2] = ["11", "26"];
    let code = source.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    if code.is_some_and(|code| DAMAGED.contains(&code.as_str())) {
        return StoreError::Damaged { path, source };
    }
    StoreError::Open { path, source: io::Error::other(source) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_new_database_and_its_companions_are_for_their_owner_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let _store = Store::open(&directory.path().join("state.db")).await.expect("it opens");
        let mut seen = 0;
        for file in std::fs::read_dir(directory.path()).expect("readable") {
            let mode = file.expect("an entry").metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            seen += 1;
        }
        assert!(seen >= 2, "the database and at least its log");
    }

    #[tokio::test]
    async fn what_root_makes_belongs_to_whom_the_directory_belongs_to() {
        if !geteuid().is_root() {
            return; // nobody else may give files away
        }
        let directory = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::chown(directory.path(), Some(4321), Some(4321)).expect("we are root");
        let _store = Store::open(&directory.path().join("state.db")).await.expect("it opens");
        let files = std::fs::read_dir(directory.path()).expect("readable");
        let owners: Vec<u32> =
            files.map(|file| file.expect("an entry").metadata().expect("metadata").uid()).collect();
        assert!(owners.len() >= 2 && owners.iter().all(|owner| *owner == 4321), "{owners:?}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named_and_explained() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        std::fs::write(&path, "this is a text file, and a long enough one. ".repeat(100)).expect("written");
        let error = Store::open(&path).await.expect_err("refused");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("state.db is damaged or is not an SQLite database"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_directory_is_explained() {
        let directory = tempfile::tempdir().expect("a directory");
        let error = Store::open(&directory.path().join("no/state.db")).await.expect_err("refused");
        assert!(matches!(error, StoreError::Open { .. }), "{error}");
        assert!(error.to_string().contains("check that its directory exists"), "{error}");
    }

    #[tokio::test]
    async fn a_newer_database_is_not_touched() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        let store = Store::open(&path).await.expect("it opens");
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'from the future', TRUE, x'00', 0)";
        sqlx::query(newer).execute(&store.pool).await.expect("inserted");
        store.close().await;
        let error = Store::open(&path).await.expect_err("refused");
        assert!(matches!(error, StoreError::Newer { migration: 9999, .. }), "{error}");
    }
}
