//! A look at the database that changes nothing in it.

use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};

use super::open::file_url;
use super::{ACQUIRE, Place, Store, StoreError};

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance {
    /// There is no file yet.
    Absent,
    /// The tables are those of this version.
    Current,
    /// The tables are of an older version, or not there yet.
    Older,
}

impl Store {
    /// Opens one connection, asks which version the tables are of, and lets go. Nothing is made or changed.
    ///
    /// # Errors
    /// When the database cannot be opened, or was written by a newer version.
    pub async fn glance(place: impl Into<Place>) -> Result<Glance, StoreError> {
        sqlx::any::install_default_drivers();
        let (url, shown) = match place.into() {
            Place::Server(url) => (url.expose().to_owned(), "the server of store.url".to_owned()),
            Place::File(path) => {
                let shown = path.display().to_string();
                if !path.exists() {
                    return Ok(Glance::Absent);
                }
                (file_url(&path).map_err(|source| StoreError::Open { path: shown.clone(), source })?, shown)
            }
        };
        let looking = tokio::time::timeout(ACQUIRE, versions(&url));
        let versions = looking.await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        let versions = versions.map_err(|source| super::open::opening(shown.clone(), source))?;
        let known: Vec<i64> = sqlx::migrate!("src/store/migrations").iter().map(|one| one.version).collect();
        if let Some(newer) = versions.iter().find(|version| !known.contains(version)) {
            return Err(StoreError::Newer { path: shown, migration: *newer });
        }
        Ok(if known.iter().all(|version| versions.contains(version)) {
            Glance::Current
        } else {
            Glance::Older
        })
    }
}

/// The migrations that were run; none where the table of them is not there.
async fn versions(url: &str) -> Result<Vec<i64>, sqlx::Error> {
    let mut connection = AnyConnection::connect(url).await?;
    if url.starts_with("sqlite:") {
        connection
            .execute("PRAGMA busy_timeout = 2000; PRAGMA query_only = ON; SELECT count(*) FROM sqlite_schema")
            .await?;
    }
    let asked =
        sqlx::query("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&mut connection).await;
    connection.close().await?;
    match asked {
        Ok(rows) => rows.iter().map(|row| row.try_get(0)).collect(),
        Err(sqlx::Error::Database(error)) if error.message().contains("_sqlx_migrations") => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_glance_tells_what_is_there_and_makes_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        assert_eq!(Store::glance(&path).await.expect("a glance"), Glance::Absent);
        assert!(!path.exists());
        std::fs::write(&path, "").expect("written");
        assert_eq!(Store::glance(&path).await.expect("a glance"), Glance::Older);
        let store = Store::open(&path).await.expect("it opens");
        assert_eq!(Store::glance(&path).await.expect("a glance"), Glance::Current);
        store.tamper("DELETE FROM _sqlx_migrations WHERE version > 1").await;
        assert_eq!(Store::glance(&path).await.expect("a glance"), Glance::Older);
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                     VALUES (9999, 'from the future', TRUE, x'00', 0)";
        store.tamper(newer).await;
        let error = Store::glance(&path).await.expect_err("refused");
        assert!(matches!(error, StoreError::Newer { migration: 9999, .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_database_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state.db");
        std::fs::write(&path, "this is a text file, and a long enough one. ".repeat(100)).expect("written");
        let error = Store::glance(&path).await.expect_err("refused");
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    }
}
