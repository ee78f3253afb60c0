//! Opens the database: its file or its server, its connections, its tables.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustix::process::geteuid;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AnyConnection, AnyPool, Connection as _, Executor as _, Row as _};

use super::orders::Bell;
use super::{ACQUIRE, Store, StoreError};
use crate::config::{DatabaseUrl, StoreConfig};

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this file, by SQLite.
    File(PathBuf),
    /// On this PostgreSQL server.
    Server(Secret),
}

/// A URL that may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a URL)")
    }
}

impl Secret {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl Place {
    /// A PostgreSQL database by its URL.
    #[must_use]
    pub fn server(url: &str) -> Self {
        Self::Server(Secret(url.to_owned()))
    }
}

impl From<&Path> for Place {
    fn from(file: &Path) -> Self {
        Self::File(file.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(file: &PathBuf) -> Self {
        Self::File(file.clone())
    }
}

/// Whether a PostgreSQL URL makes sense. Nothing is connected to.
///
/// # Errors
/// What is wrong with it, without the password.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let told = |error: sqlx::Error| error.to_string().replace("error with configuration: ", "");
    PgConnectOptions::from_str(url).map(drop).map_err(told)
}

impl From<&DatabaseUrl> for Place {
    fn from(url: &DatabaseUrl) -> Self {
        Self::server(url.expose())
    }
}

impl From<&StoreConfig> for Place {
    fn from(config: &StoreConfig) -> Self {
        match config {
            StoreConfig::Sqlite(file) => file.into(),
            StoreConfig::Postgres(url) => url.into(),
        }
    }
}

/// What a connection that waits for the disk is told first. The busy timeout is how long a
/// statement waits for another one's lock.
const SQLITE_FULL: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
     PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864";

/// What the connection for events is told first. The journal holds what a power cut takes from it;
/// a damaged database it cannot leave behind (sqlite.org/pragma.html#pragma_synchronous).
const SQLITE_NORMAL: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; \
     PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16000";

/// What a connection to a server is told first: no question may hold others up for ever, and what
/// a client that vanished left locked is unlocked.
const POSTGRES: &str = "SET application_name = 'drawbridge'; SET statement_timeout = '25s'; \
     SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'";

/// The most connections to a server.
const SERVER_CONNECTIONS: u32 = 8;

/// The most connections to a file, besides the one for events.
const FILE_CONNECTIONS: u32 = 4;

impl Store {
    /// Opens the database and brings its tables up to date. An SQLite file that is missing is
    /// created with mode 0600.
    ///
    /// # Errors
    /// When the file cannot be opened or is damaged, the server cannot be reached, or the database was
    /// written by a newer version.
    pub async fn open(place: impl Into<Place>) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        match place.into() {
            Place::File(path) => Self::open_file(&path).await,
            Place::Server(url) => Self::open_server(&url).await,
        }
    }

    async fn open_file(path: &Path) -> Result<Self, StoreError> {
        let shown = || path.display().to_string();
        let open = |source| StoreError::Open { path: shown(), source };
        create_private(path).map_err(open)?;
        let url = file_url(path).map_err(open)?;
        let made = async {
            try_out(&url, SQLITE_FULL).await?;
            let pool = file_pool(FILE_CONNECTIONS, SQLITE_FULL).connect(&url).await?;
            let events = file_pool(1, SQLITE_NORMAL).connect(&url).await?;
            Ok((pool, events))
        };
        let (pool, events) = made.await.map_err(|source| opening(shown(), source))?;
        tables(&pool, &shown()).await?;
        Ok(Self { pool, events, orders: Arc::new(Bell::polled()) })
    }

    async fn open_server(url: &Secret) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url.expose()).map_err(StoreError::Url)?;
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let place = format!("{database} at {}:{}", options.get_host(), options.get_port());
        let made = async {
            let trying = try_out(url.expose(), POSTGRES);
            tokio::time::timeout(ACQUIRE, trying).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))?;
            pool(SERVER_CONNECTIONS, POSTGRES).connect(url.expose()).await
        };
        let pool = made.await.map_err(|source| StoreError::Connect { place: place.clone(), source })?;
        let encoding: String = sqlx::query("SHOW server_encoding").fetch_one(&pool).await?.try_get(0)?;
        if encoding != "UTF8" {
            return Err(StoreError::Encoding { place, encoding });
        }
        tables(&pool, &place).await?;
        Ok(Self { events: pool.clone(), pool, orders: Arc::new(Bell::rung(url.clone())) })
    }

    /// A database in memory, gone with the last clone. For tests and demonstrations.
    ///
    /// # Errors
    /// When SQLite cannot be started.
    pub async fn in_memory() -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        // Each connection has a memory of its own, so there is one and it stays.
        let pool = file_pool(1, "PRAGMA foreign_keys = ON").min_connections(1);
        let pool = pool.connect("sqlite::memory:").await?;
        tables(&pool, "in memory").await?;
        Ok(Self { events: pool.clone(), pool, orders: Arc::new(Bell::polled()) })
    }
}

fn pool(connections_max: u32, first: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE).after_connect(
        move |connection, _| {
            Box::pin(async move {
                connection.execute(first).await?;
                Ok(())
            })
        },
    )
}

/// Makes one connection and lets it go: a pool tries until its time is over, and then does not say what went wrong.
async fn try_out(url: &str, first: &'static str) -> Result<(), sqlx::Error> {
    let mut connection = AnyConnection::connect(url).await?;
    connection.execute(first).await?;
    connection.close().await
}

/// Connections to a file do not age.
fn file_pool(connections_max: u32, first: &'static str) -> AnyPoolOptions {
    pool(connections_max, first).idle_timeout(None).max_lifetime(None).test_before_acquire(false)
}

/// A file as `sqlx::Any` wants it.
pub(super) fn file_url(path: &Path) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    let text = path.to_str().ok_or_else(|| io::Error::other("its name is not UTF-8"))?;
    let mut url = String::from("sqlite://");
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.') {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(url)
}

/// Brings the tables up to date.
async fn tables(pool: &AnyPool, path: &str) -> Result<(), StoreError> {
    let path = path.to_owned();
    match sqlx::migrate!("src/store/migrations").run(pool).await {
        Ok(()) => Ok(()),
        Err(MigrateError::VersionMissing(migration)) => Err(StoreError::Newer { path, migration }),
        Err(MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) => {
            Err(opening(path, source))
        }
        Err(source) => Err(StoreError::Migrate { path, source }),
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
pub(super) fn opening(path: String, source: sqlx::Error) -> StoreError {
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

    #[tokio::test]
    async fn a_server_that_is_not_there_or_does_not_let_us_in_is_named_without_the_password() {
        let Place::Server(url) = Place::server("postgres://me:secret@127.0.0.1:1/records") else {
            panic!("a server")
        };
        let error = Store::open(Place::Server(url)).await.expect_err("refused").to_string();
        assert!(error.contains("records at 127.0.0.1:1") && error.contains("store.url"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        let error = Store::open(Place::server("postgres://[")).await.expect_err("refused").to_string();
        assert!(error.contains("is not the URL of a PostgreSQL database"), "{error}");
        let Some(lab) = super::super::testing::Lab::postgres() else { return };
        let Place::Server(url) = &lab.place else { panic!("a server") };
        let wrong = url.expose().replace("not-a-secret", "a-secret");
        let error = Store::open(Place::server(&wrong)).await.expect_err("refused").to_string();
        assert!(error.contains("password authentication failed") && !error.contains("a-secret@"), "{error}");
    }

    #[tokio::test]
    async fn a_newer_server_is_not_touched() {
        let Some(lab) = super::super::testing::Lab::postgres() else { return };
        let store = lab.open().await;
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'from the future', TRUE, '', 0)";
        store.tamper(newer).await;
        let error = Store::open(lab.place.clone()).await.expect_err("refused");
        assert!(matches!(error, StoreError::Newer { migration: 9999, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_file_with_an_odd_name_is_opened_under_that_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a b?mode=memory#%41ä.db");
        let store = Store::open(&path).await.expect("it opens");
        store.tamper("INSERT INTO words (word) VALUES ('kept')").await;
        store.close().await;
        assert!(std::fs::metadata(&path).expect("it is there").len() > 0);
    }

    #[tokio::test]
    async fn a_database_of_the_first_version_is_brought_up_to_date_with_its_pins() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        create_private(&path).expect("created");
        sqlx::any::install_default_drivers();
        let old =
            file_pool(1, SQLITE_FULL).connect(&file_url(&path).expect("a URL")).await.expect("it opens");
        let mut first = sqlx::migrate!("src/store/migrations");
        first.migrations.to_mut().truncate(1);
        first.run(&old).await.expect("the first migration");
        let pin = "INSERT INTO host_key_pins VALUES ('123456789012', 'eu-west-1', 'i-0123456789abcdef0',
                   'ssh-ed25519', 'a2V5', 'SHA256:x', 'operator', 1, 2)";
        sqlx::query(pin).execute(&old).await.expect("inserted");
        old.close().await;
        let store = Store::open(&path).await.expect("it opens");
        assert_eq!(store.pins().await.expect("an answer").len(), 1);
        assert!(store.nodes().await.expect("an answer").is_empty());
    }
}
