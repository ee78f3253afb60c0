//! A bucket of S3, or of what speaks like it.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::{ObjectStore, RetryConfig};

use super::lock::{Locking, ObjectLock};

/// The region of a bucket that names none, as everywhere in AWS.
const REGION: &str = "us-east-1";
/// Quick retries of one request; the uploader's own come minutes later.
const RETRIES: usize = 2;
const RETRYING: Duration = Duration::from_secs(20);

/// A bucket, and how objects are to be put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// The bucket's name.
    pub bucket: String,
    /// What keys begin with; no slash at either end.
    pub prefix: String,
    /// Another endpoint than AWS's; by default the environment's, if it names one.
    pub endpoint_url: Option<String>,
    /// The bucket's region; by default the environment's.
    pub region: Option<String>,
    /// How the bucket is to encrypt; by default as it does by itself.
    pub encryption: Option<Encryption>,
    /// For how long nobody may change or remove an object.
    pub lock: Option<ObjectLock>,
}

/// How a bucket encrypts (`x-amz-server-side-encryption`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of S3's own.
    S3,
    /// With a key of KMS; the bucket's default one where none is named.
    Kms {
        /// The key's id or ARN.
        key: Option<String>,
        /// Twice.
        twice: bool,
    },
}

impl S3Settings {
    /// The bucket. Credentials are the machine's or the environment's, as everywhere.
    pub(super) fn store(&self) -> object_store::Result<Arc<dyn ObjectStore>> {
        let plain = self.builder()?;
        let Some(lock) = self.lock else { return Ok(Arc::new(plain.build()?)) };
        // Its credentials are the ones that the headers have to be signed with.
        let credentials = Arc::clone(plain.clone().build()?.credentials());
        let locking = Locking { credentials: Arc::clone(&credentials), region: self.region(), lock };
        let builder = plain.with_credentials(credentials).with_http_connector(locking);
        Ok(Arc::new(builder.build()?))
    }

    fn region(&self) -> String {
        let named = self.region.clone();
        let environment =
            || std::env::var("AWS_REGION").or_else(|_| std::env::var("AWS_DEFAULT_REGION")).ok();
        named.or_else(environment).unwrap_or_else(|| REGION.to_owned())
    }

    fn builder(&self) -> object_store::Result<AmazonS3Builder> {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(&self.bucket)
            .with_region(self.region())
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: RETRYING,
                ..RetryConfig::default()
            });
        let environment =
            || std::env::var("AWS_ENDPOINT_URL_S3").or_else(|_| std::env::var("AWS_ENDPOINT_URL")).ok();
        if let Some(endpoint) = self.endpoint_url.clone().or_else(environment) {
            let plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(plain);
        }
        let mut set = |key: &str, value: &str| -> object_store::Result<()> {
            builder = builder.clone().with_config(key.parse::<AmazonS3ConfigKey>()?, value);
            Ok(())
        };
        match &self.encryption {
            None => {}
            Some(Encryption::S3) => set("aws_server_side_encryption", "AES256")?,
            Some(Encryption::Kms { key, twice }) => {
                set("aws_server_side_encryption", if *twice { "aws:kms:dsse" } else { "aws:kms" })?;
                if let Some(key) = key {
                    set("aws_sse_kms_key_id", key)?;
                }
            }
        }
        Ok(builder)
    }
}
