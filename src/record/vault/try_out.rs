//! Tries whether the bucket would take a recording, and leaves nothing in it.

use object_store::ObjectStoreExt as _;
use object_store::path::Path as Key;

use super::{Kept, Vault};

/// No recording has this name.
const NAME: &str = "drawbridge-doctor";

/// Why the bucket cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TryOut {
    /// What was tried.
    pub step: TryOutStep,
    /// Whether it was refused to us, and not broken.
    pub denied: bool,
    /// What was said, for the operator.
    pub text: String,
}

/// What is tried, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryOutStep {
    /// To begin an upload in parts, with the lock and the encryption of every upload. Until it is completed, S3 shows
    /// no object and keeps no version.
    Begin,
    /// To call it off.
    CallOff,
    /// To ask for what is not there: without `s3:ListBucket` S3 says "denied".
    Read,
}

impl Vault {
    /// Begins an upload and calls it off, and asks for what is not there.
    ///
    /// # Errors
    /// At the first that fails.
    pub async fn try_out(&self) -> Result<(), TryOut> {
        let Kept::Bucket { store, prefix, .. } = &self.0 else { return Ok(()) };
        let key = Key::from(format!("{prefix}/{NAME}"));
        let mut upload =
            store.put_multipart(&key).await.map_err(|error| failed(TryOutStep::Begin, &error))?;
        upload.abort().await.map_err(|error| failed(TryOutStep::CallOff, &error))?;
        match store.head(&key).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(TryOutStep::Read, &error)),
        }
    }
}

fn failed(step: TryOutStep, error: &object_store::Error) -> TryOut {
    let denied = matches!(
        error,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }
    );
    TryOut { step, denied, text: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::ObjectStore;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_bucket_is_as_it_was_afterwards() {
        let store = Arc::new(InMemory::new());
        let vault = Vault(Kept::Bucket {
            store: Arc::clone(&store) as _,
            bucket: "b".to_owned(),
            prefix: "recordings".to_owned(),
        });
        assert_eq!(vault.try_out().await, Ok(()));
        let listed = store.list_with_delimiter(Some(&Key::from("recordings"))).await.expect("listed");
        assert!(listed.objects.is_empty(), "{listed:?}");
        assert_eq!(Vault(Kept::Spool).try_out().await, Ok(()));
    }
}
