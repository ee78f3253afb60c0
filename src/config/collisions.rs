//! Files that drawbridge writes, and that cannot be one and the same: a log that is appended to the database ruins it,
//! and one key for two purposes lets whoever has the one do the other.

use std::path::{Path, PathBuf};

use super::StoreConfig;
use super::disk::Claim;
use super::origin::{Complaint, Origin, Placed};

/// The keys whose files are drawbridge's own.
const OWN_FILES: [&str; 5] =
    ["server.host_key", "server.host_ca_key", "audit.key", "audit.file", "audit.sinks.path"];

/// One complaint for each two of them that are one file, or for one that is the database.
pub(super) fn complaints(claims: &[Claim], store: &StoreConfig) -> Vec<Placed> {
    let own: Vec<&Claim> = claims.iter().filter(|claim| OWN_FILES.contains(&claim.name.as_str())).collect();
    let mut found = Vec::new();
    for (index, claim) in own.iter().enumerate() {
        for earlier in own.iter().take(index).filter(|earlier| earlier.path == claim.path) {
            // One of the two was written; two defaults are never alike.
            let place = if claim.origin == Origin::Default { &earlier.origin } else { &claim.origin };
            let message =
                format!("`{}` and `{}` are one file, {}", earlier.name, claim.name, claim.path.display());
            found.push(Placed::new(
                place.clone(),
                Complaint::new(message).hint("give each a file of its own"),
            ));
        }
        if database_files(store).contains(&claim.path) {
            let message = format!("`{}`: {} is drawbridge's database", claim.name, claim.path.display());
            found.push(Placed::new(claim.origin.clone(), Complaint::new(message).hint("name another file")));
        }
    }
    found
}

/// SQLite's file, and those that it keeps beside it.
fn database_files(store: &StoreConfig) -> Vec<PathBuf> {
    let beside = |file: &Path, more: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(more);
        PathBuf::from(name)
    };
    match store {
        StoreConfig::Sqlite(file) => ["", "-wal", "-shm"].map(|more| beside(file, more)).to_vec(),
        StoreConfig::Postgres(_) => Vec::new(),
    }
}
