//! A PostgreSQL of a test's own, on loopback: the same server that the store's tests run on.

#[path = "../../../src/store/testing/postgres.rs"]
mod cluster;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use cluster::Cluster;

/// A server with one database, `drawbridge`, and those that labs ask for.
#[derive(Debug)]
pub(crate) struct Postgres {
    cluster: Cluster,
    url: String,
}

impl Postgres {
    /// Makes a server and starts it.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let cluster = Cluster::start().expect("PostgreSQL is installed: run `tests/run setup` once");
        let url = cluster.database("drawbridge");
        Self { cluster, url }
    }

    /// One that all labs of this test process share; it ends with the process.
    pub(crate) fn of_all() -> &'static Self {
        static ONE: OnceLock<Postgres> = OnceLock::new();
        ONE.get_or_init(Self::start)
    }

    /// A database of a lab's own; what `store.url` is to say.
    #[track_caller]
    pub(crate) fn new_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        self.cluster.database(&format!("lab_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// What `store.url` is to say.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as an operator would who is in a hurry: connections are cut, data is kept.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.cluster.end("-INT");
    }

    /// Starts it again.
    #[track_caller]
    pub(crate) fn serve(&mut self) {
        self.cluster.start_again();
    }

    /// Runs one statement and answers its first column, a line a row.
    #[track_caller]
    pub(crate) fn query(&self, sql: &str) -> Vec<String> {
        let words = ["--no-psqlrc", "--tuples-only", "--no-align", "--dbname", &self.url, "--command", sql];
        let out = self.cluster.program("psql").args(words).output().expect("psql");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
    }
}
