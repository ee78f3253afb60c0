//! OpenTelemetry: log records by OTLP over HTTP, in protobuf.
//!
//! What always holds: one request at a time, so lines arrive in order; what a receiver says it refuses for good is
//! counted, told and not sent again (partial success, and 400 with an OTLP status, as the specification has it);
//! a request that is too large is halved; everything else is taken for an outage: the lines wait.
//!
//! The specification has senders drop data on 401, 403, 404 and other answers that it does not list as worth a
//! retry. Here these lines wait too: an expired token or a wrong path would else cost the record. They are tried
//! again at most once a minute, and what waits is bounded as always.

mod request;

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use super::destination::{Delivered, Destination, Failure};
use super::tls::{self, TlsError};
use crate::audit::JournalLine;
use crate::config::OtlpConfig;

const PROTOBUF: &str = "application/x-protobuf";
/// The most of an answer that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
/// The longest secret, in bytes.
const SECRET_MAX: u64 = 16 * 1024;
/// The most of what a receiver says that goes into our log, in characters.
const QUOTED_MAX: usize = 300;

/// An OpenTelemetry receiver.
#[derive(Debug)]
pub(super) struct Otlp {
    client: Client,
    config: OtlpConfig,
    url: Url,
    node: String,
}

/// Why a receiver cannot be addressed.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// Its URL cannot be read.
    #[error("the url cannot be read: {0}")]
    Url(String),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

impl Otlp {
    /// The receiver that the config describes. Nothing is opened yet.
    ///
    /// # Errors
    /// When the URL or the certificates cannot be used.
    pub(super) fn new(config: &OtlpConfig, node: &str) -> Result<Self, OtlpError> {
        let url = Url::parse(&config.url).map_err(|error| OtlpError::Url(error.to_string()))?;
        let mut builder = Client::builder()
            // The receiver is who the config says, and nobody that an answer or a variable names.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(config.timeout)
            .timeout(config.timeout);
        if url.scheme() == "https" {
            let tls = tls::client_config(config.ca.as_deref(), None)?;
            builder = builder.tls_backend_preconfigured(tls.as_ref().clone());
        }
        Ok(Self { client: builder.build()?, config: config.clone(), url, node: node.to_owned() })
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        for (name, value) in &self.config.headers {
            insert(&mut headers, name, value, false)?;
        }
        for (name, path) in &self.config.secret_headers {
            let secret = secret(path).map_err(|error| format!("{}: {error}", path.display()))?;
            insert(&mut headers, name, &secret, true)?;
        }
        Ok(headers)
    }

    async fn post(&self, lines: &[JournalLine]) -> Answer {
        let headers = match self.headers() {
            Ok(headers) => headers,
            Err(detail) => return Answer::Later(Failure::new(detail)),
        };
        let body = request::request(&self.node, lines).encode_to_vec();
        let sent = self.client.post(self.url.clone()).headers(headers).body(body).send().await;
        match sent {
            Ok(response) => answer(response).await,
            Err(error) => Answer::Later(Failure::new(causes(&error.without_url()))),
        }
    }
}

/// What a receiver makes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It took the lines, but so many of them.
    Taken(Delivered),
    /// It will not take these lines, ever.
    Refused(String),
    /// It will not take so many at a time.
    TooLarge,
    /// Perhaps later.
    Later(Failure),
}

impl Destination for Otlp {
    async fn deliver(&mut self, lines: &[JournalLine]) -> Result<Delivered, Failure> {
        let mut all = Delivered::default();
        let (mut rest, mut size) = (lines, lines.len());
        while !rest.is_empty() {
            let (part, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
            match self.post(part).await {
                Answer::Taken(part) => add(&mut all, part),
                Answer::TooLarge if size > 1 => {
                    size = size.div_ceil(2);
                    continue;
                }
                Answer::TooLarge => add(&mut all, refused(part, "the request is too large".to_owned())),
                Answer::Refused(why) => add(&mut all, refused(part, why)),
                Answer::Later(failure) => {
                    // The runner counts a refusal only with the whole batch; what came before the failure is told here.
                    if all.refused > 0 {
                        tracing::error!(lines = all.refused, why = ?all.why, "an OTLP receiver refused lines for good");
                    }
                    let done = lines.len() - rest.len();
                    let through = done.checked_sub(1).and_then(|last| lines.get(last)).map(|line| line.seq);
                    return Err(through.into_iter().fold(failure, Failure::resuming_after));
                }
            }
            rest = after;
            size = size.min(rest.len().max(1));
        }
        Ok(all)
    }
}

fn refused(lines: &[JournalLine], why: String) -> Delivered {
    Delivered { refused: u64::try_from(lines.len()).unwrap_or(u64::MAX), why: Some(why) }
}

fn add(all: &mut Delivered, part: Delivered) {
    all.refused = all.refused.saturating_add(part.refused);
    all.why = part.why.or(all.why.take());
}

async fn answer(mut response: Response) -> Answer {
    let status = response.status();
    let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let speaks_otlp = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROTOBUF));
    // In seconds, or as a date, which needs a clock that both agree about.
    let retry_after = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_MAX.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() >= ANSWER_MAX {
            break;
        }
    }
    judge(status, speaks_otlp, retry_after, &body)
}

fn judge(status: StatusCode, speaks_otlp: bool, retry_after: Option<Duration>, body: &[u8]) -> Answer {
    if status.is_success() {
        return Answer::Taken(partial_success(body));
    }
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge,
        // Without an OTLP status it is no OTLP receiver that speaks, but for example a TLS port.
        StatusCode::BAD_REQUEST if speaks_otlp => Answer::Refused(quoted(body)),
        status => {
            let detail = format!("the receiver answered {status}: {}", quoted(body));
            Answer::Later(Failure { retry_after, ..Failure::new(detail) })
        }
    }
}

/// A body that is no answer of OTLP's means plain success, as an empty one does.
fn partial_success(body: &[u8]) -> Delivered {
    let partial = ExportLogsServiceResponse::decode(body).ok().and_then(|response| response.partial_success);
    let Some(partial) = partial else { return Delivered::default() };
    let refused = u64::try_from(partial.rejected_log_records).unwrap_or_default();
    if refused == 0 && !partial.error_message.is_empty() {
        tracing::warn!(
            message = plain(&partial.error_message),
            "an OTLP receiver took the lines with a warning"
        );
    }
    Delivered { refused, why: (refused > 0).then(|| plain(&partial.error_message)) }
}

/// The readable characters of an answer.
fn quoted(body: &[u8]) -> String {
    plain(&String::from_utf8_lossy(body))
}

fn plain(text: &str) -> String {
    let readable =
        text.chars().filter(|c| !crate::audit::json::misleads(*c) && *c != char::REPLACEMENT_CHARACTER);
    readable.take(QUOTED_MAX).collect()
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str, secret: bool) -> Result<(), String> {
    let broken = || format!("the value of the header {name} cannot stand in one");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken())?;
    let mut value = HeaderValue::from_str(value).map_err(|_| broken())?;
    value.set_sensitive(secret);
    headers.insert(name, value);
    Ok(())
}

/// The first line of a file. Read at each request, so that a token can be replaced.
fn secret(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(SECRET_MAX).read_to_string(&mut text)?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// An error and what is behind it: reqwest's own sentence says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
