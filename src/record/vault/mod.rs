//! Where recordings are kept: the spool itself, or a bucket.
//!
//! What always holds here: a name is made of a parsed id and never of what somebody typed; a recording leaves the
//! spool only once the vault has all of it; and one that cannot be moved holds up no other.
//!
//! What it does not do: read what is in a recording (`player`), or decide when one is old (`prune`).

mod lock;
mod remove;
mod s3;
mod try_out;
mod upload;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::spool::Spool;
use crate::domain::RecordingId;
use crate::tasks::BoxFuture;

pub use lock::{LockMode, ObjectLock};
pub use s3::{Encryption, S3Settings};
pub use try_out::{TryOut, TryOutStep};
pub use upload::run;

/// Parts of a large upload; S3 takes 5 MiB to 5 GiB, and at most 10,000 of them.
const PART: u64 = 16 * 1024 * 1024;
/// A recording of more than this many parts is uploaded in larger ones.
const PARTS: u64 = 5_000;
/// How long one recording may take.
const ATTEMPT: Duration = Duration::from_secs(30 * 60);
/// How long a bucket may take to forget what was half uploaded.
const CALL_OFF: Duration = Duration::from_secs(2);

/// Where recordings are kept.
#[derive(Debug, Clone)]
pub struct Vault(Kept);

#[derive(Debug, Clone)]
enum Kept {
    /// Where they were written.
    Spool,
    Bucket {
        store: Arc<dyn ObjectStore>,
        bucket: String,
        prefix: String,
    },
}

/// Why the vault did not take or give a recording; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The bucket cannot be used as configured.
    #[error("the bucket of `recording.to` cannot be used: {0}")]
    Settings(object_store::Error),
    /// The bucket refused, or could not be reached.
    #[error("the bucket did not take or give it: {0}")]
    Store(#[from] object_store::Error),
    /// It was given up after a long time.
    #[error("it took longer than {} minutes", ATTEMPT.as_secs() / 60)]
    TooSlow,
    /// The daemon ends.
    #[error("drawbridge is stopping")]
    Stopping,
    /// A file of this machine could not be used.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl VaultError {
    /// Whether there is no such recording where it was looked for.
    #[must_use]
    pub fn is_absence(&self) -> bool {
        match self {
            Self::File { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Store(error) => matches!(error, object_store::Error::NotFound { .. }),
            Self::Settings(_) | Self::TooSlow | Self::Stopping => false,
        }
    }

    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

/// Where a recording is, as lists and searches have it.
pub trait Index: Send + Sync + std::fmt::Debug {
    /// A recording has been moved to the vault, where it is at `location`. The error is for the operator's log; it is
    /// tried again.
    fn stored<'a>(&'a self, id: RecordingId, location: &'a str) -> BoxFuture<'a, Result<(), String>>;

    /// A recording could not be moved, and will be tried again. For whoever counts.
    fn failed(&self, _id: RecordingId) {}
}

impl Vault {
    /// The bucket that the settings describe; without any, recordings stay where they are written. Nothing is connected
    /// yet.
    ///
    /// # Errors
    /// When the settings make no vault.
    pub fn open(settings: Option<&S3Settings>) -> Result<Self, VaultError> {
        Ok(Self(match settings {
            None => Kept::Spool,
            Some(settings) => Kept::Bucket {
                store: settings.store().map_err(VaultError::Settings)?,
                bucket: settings.bucket.clone(),
                prefix: settings.prefix.clone(),
            },
        }))
    }

    /// A bucket in memory.
    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        let store = Arc::new(object_store::memory::InMemory::new());
        Self(Kept::Bucket { store, bucket: "b".to_owned(), prefix: "recordings".to_owned() })
    }

    /// Moves a whole recording here, as [`run`] does.
    #[cfg(test)]
    pub(crate) async fn take_from(&self, spool: &Spool, id: RecordingId) {
        self.put(spool, id, &CancellationToken::new()).await.expect("memory takes it");
        std::fs::remove_file(spool.path(id)).expect("it is there");
    }

    /// Whether recordings stay where they were written.
    #[must_use]
    pub fn is_the_spool(&self) -> bool {
        matches!(self.0, Kept::Spool)
    }

    /// Puts a whole recording into the vault, and says where. It stays in the spool. What is half uploaded is called
    /// off where it takes too long, or `give_up` comes.
    async fn put(
        &self,
        spool: &Spool,
        id: RecordingId,
        give_up: &CancellationToken,
    ) -> Result<String, VaultError> {
        let from = spool.path(id);
        match &self.0 {
            Kept::Spool => Ok(from.display().to_string()),
            Kept::Bucket { store, bucket, prefix } => {
                let key = key(prefix, id);
                upload_file(store.as_ref(), &from, &key, give_up).await?;
                Ok(format!("s3://{bucket}/{key}"))
            }
        }
    }

    /// Opens a recording, running or whole, wherever it is. What is in a bucket is fetched into a file without a name
    /// first.
    ///
    /// # Errors
    /// When there is none, or it cannot be had.
    pub async fn open_recording(&self, spool: &Spool, id: RecordingId) -> Result<File, VaultError> {
        let mut missing = None;
        for path in [spool.part(id), spool.path(id)] {
            match File::open(&path) {
                Ok(file) => return Ok(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing = Some((path, error)),
                Err(error) => return Err(VaultError::file(&path)(error)),
            }
        }
        match (&self.0, missing) {
            (Kept::Bucket { store, prefix, .. }, _) => {
                fetch(store.as_ref(), &key(prefix, id), &spool.scratch(id)).await
            }
            (Kept::Spool, Some((path, error))) => Err(VaultError::file(&path)(error)),
            (Kept::Spool, None) => Err(VaultError::file(&spool.path(id))(io::ErrorKind::NotFound.into())),
        }
    }
}

fn name(id: RecordingId) -> String {
    format!("{id}.cast.zst")
}

fn key(prefix: &str, id: RecordingId) -> Key {
    Key::from(format!("{prefix}/{}", name(id)))
}

/// Uploads a file; a large one in parts, of which one is in memory at a time.
async fn upload_file(
    store: &dyn ObjectStore,
    from: &Path,
    key: &Key,
    give_up: &CancellationToken,
) -> Result<(), VaultError> {
    let mut file = tokio::fs::File::open(from).await.map_err(VaultError::file(from))?;
    let length = file.metadata().await.map_err(VaultError::file(from))?.len();
    let part = PART.max(length / PARTS);
    if length <= part {
        let payload = read_part(&mut file, part).await.map_err(VaultError::file(from))?;
        return unless(give_up, async { Ok(store.put(key, payload).await.map(drop)?) }).await;
    }
    let mut upload = unless(give_up, async { Ok(store.put_multipart(key).await?) }).await?;
    let parts = async {
        loop {
            let payload = read_part(&mut file, part).await.map_err(VaultError::file(from))?;
            if payload.content_length() == 0 {
                break;
            }
            upload.put_part(payload).await?;
        }
        upload.complete().await?;
        Ok(())
    };
    let uploaded = unless(give_up, parts).await;
    if uploaded.is_err() {
        // What is left of it costs money; where even this fails, the bucket's own rules clean up.
        let _gone = timeout(CALL_OFF, upload.abort()).await;
    }
    uploaded
}

/// Waits for an answer of the bucket, unless it takes too long or is given up.
async fn unless<T>(
    give_up: &CancellationToken,
    answer: impl Future<Output = Result<T, VaultError>>,
) -> Result<T, VaultError> {
    tokio::select! {
        biased;
        answer = answer => answer,
        () = give_up.cancelled() => Err(VaultError::Stopping),
        () = sleep(ATTEMPT) => Err(VaultError::TooSlow),
    }
}

async fn read_part(file: &mut tokio::fs::File, length: u64) -> io::Result<PutPayload> {
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).await?;
    Ok(bytes.into())
}

/// Fetches an object into a file that has no name, so that nothing is left of it.
async fn fetch(store: &dyn ObjectStore, key: &Key, scratch: &Path) -> Result<File, VaultError> {
    use std::io::{Seek as _, Write as _};
    use std::os::unix::fs::OpenOptionsExt as _;

    let size = store.head(key).await?.size;
    let opened = File::options().read(true).write(true).create_new(true).mode(0o600).open(scratch);
    let mut file = opened.map_err(VaultError::file(scratch))?;
    std::fs::remove_file(scratch).map_err(VaultError::file(scratch))?;
    let mut at = 0;
    while at < size {
        let next = (at + PART).min(size);
        let bytes = store.get_range(key, at..next).await?;
        if bytes.is_empty() {
            break;
        }
        file.write_all(&bytes).map_err(VaultError::file(scratch))?;
        at += bytes.len() as u64;
    }
    file.rewind().map_err(VaultError::file(scratch))?;
    Ok(file)
}
