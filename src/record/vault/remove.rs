//! Takes recordings that nobody needs any more out of a bucket.

use object_store::ObjectStoreExt as _;

use super::{Kept, Vault, VaultError, key};
use crate::domain::RecordingId;

impl Vault {
    /// Where in the bucket a recording is, or would be; nothing without a bucket.
    #[must_use]
    pub fn location(&self, id: RecordingId) -> Option<String> {
        match &self.0 {
            Kept::Spool => None,
            Kept::Bucket { bucket, prefix, .. } => Some(format!("s3://{bucket}/{}", key(prefix, id))),
        }
    }

    /// Removes a recording from the bucket. False where it was not there, or there is no bucket. In a bucket with
    /// versions (object lock needs them) it gets a delete marker: what it was stays as an older version, until the
    /// bucket's own rules remove it.
    ///
    /// # Errors
    /// When the bucket refuses, or cannot be reached.
    pub async fn remove(&self, id: RecordingId) -> Result<bool, VaultError> {
        let Kept::Bucket { store, prefix, .. } = &self.0 else { return Ok(false) };
        let key = key(prefix, id);
        match store.head(&key).await {
            // S3 says yes to removing what is not there, so it is asked first.
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) => {
                store.delete(&key).await?;
                Ok(true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn what_is_there_goes_once() {
        let store = Arc::new(InMemory::new());
        let (mine, other) = (RecordingId::fixed(1), RecordingId::fixed(2));
        for id in [mine, other] {
            store.put(&key("recordings", id), "x".into()).await.expect("put");
        }
        let vault = Vault(Kept::Bucket {
            store: Arc::clone(&store) as _,
            bucket: "b".to_owned(),
            prefix: "recordings".to_owned(),
        });
        assert_eq!(vault.location(mine).expect("a bucket"), format!("s3://b/recordings/{mine}.cast.zst"));
        assert!(vault.remove(mine).await.expect("removed"));
        assert!(!vault.remove(mine).await.expect("it is gone"));
        assert!(store.head(&key("recordings", other)).await.is_ok());
    }
}
