//! Object lock: what is uploaded can be neither changed nor removed for a while. S3 wants that said in headers of
//! the upload, which have to be signed; `object_store` has no place for them, so they are added underneath it.

use std::time::Duration;

use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{ClientOptions, Result};

use crate::clock::{Clock as _, SystemClock};
use crate::tasks::BoxFuture;

const MODE: &str = "x-amz-object-lock-mode";
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
/// What S3 wants beside a lock, and what the checksum is that `object_store` has put into its own header.
const CHECKSUM: (&str, &str) = ("x-amz-sdk-checksum-algorithm", "SHA256");
const PAYLOAD_HASH: &str = "x-amz-content-sha256";
const UNSIGNED: &[u8] = b"UNSIGNED-PAYLOAD";

/// For how long nobody may change or remove an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectLock {
    /// Who may lift it before.
    pub mode: LockMode,
    /// How long, in days from the upload.
    pub days: u32,
}

/// Who may lift a lock before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockMode {
    /// Whoever has a special permission.
    Governance,
    /// Nobody.
    Compliance,
}

/// Makes HTTP clients that add the headers.
#[derive(Debug, Clone)]
pub(super) struct Locking {
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
    pub(super) lock: ObjectLock,
}

impl HttpConnector for Locking {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Locked { inner, locking: self.clone() }))
    }
}

#[derive(Debug)]
struct Locked {
    inner: HttpClient,
    locking: Locking,
}

impl HttpService for Locked {
    fn call<'s, 'a>(&'s self, request: HttpRequest) -> BoxFuture<'a, Result<HttpResponse, HttpError>>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let request = if makes_an_object(&request) { self.lock(request).await? } else { request };
            self.inner.execute(request).await
        })
    }
}

impl Locked {
    async fn lock(&self, mut request: HttpRequest) -> Result<HttpRequest, HttpError> {
        let failed = |error: object_store::Error| HttpError::new(HttpErrorKind::Unknown, error);
        let ObjectLock { mode, days } = self.locking.lock;
        let mode = match mode {
            LockMode::Governance => "GOVERNANCE",
            LockMode::Compliance => "COMPLIANCE",
        };
        let length = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
        let until = SystemClock.now().checked_add(length).unwrap_or(jiff::Timestamp::MAX);
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let headers = request.headers_mut();
        for (name, value) in [(MODE, mode), (UNTIL, until.as_str()), CHECKSUM] {
            let value = value.parse().map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            headers.insert(name, value);
        }
        // What the body was signed as stays true.
        let hash = headers.get(PAYLOAD_HASH).map(|hash| hash.as_bytes().to_vec()).unwrap_or_default();
        let digest = data_encoding::HEXLOWER_PERMISSIVE.decode(&hash).ok();
        headers.remove("authorization");
        let credential = self.locking.credentials.get_credential().await.map_err(failed)?;
        AwsAuthorizer::new(&credential, "s3", &self.locking.region)
            .with_sign_payload(hash != UNSIGNED)
            .try_authorize(&mut request, digest.as_deref())
            .map_err(failed)?;
        Ok(request)
    }
}

/// A `PUT` of a whole object, or the beginning of an upload in parts.
fn makes_an_object(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match request.method().as_str() {
        "PUT" => !has("partNumber") && !has("uploadId"),
        "POST" => has("uploads"),
        _ => false,
    }
}
