//! The listener for the operator's machines.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Readiness;
use super::visit::Visit;
use crate::metrics::{self, Metrics};

/// The most connections at a time. What comes meanwhile waits in the system's queue.
const CONNECTIONS_MAX: usize = 16;
/// How long to wait after `accept` failed, as when there are no more file descriptors.
const AFTER_ERROR: Duration = Duration::from_millis(100);

const PLAIN: &str = "text/plain; charset=utf-8";
/// One question for each connection, and an answer that is true only now.
const HEADERS: [(HeaderName, &str); 2] = [(CONNECTION, "close"), (CACHE_CONTROL, "no-store")];

/// Why the listener is not there.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// The address cannot be listened on.
    #[error(
        "metrics and health cannot listen on {address}: {source}; choose another metrics.listen, or remove it to do \
         without"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// `/healthz`, `/readyz` and `/metrics` on one address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    told: Told,
}

#[derive(Debug, Clone)]
struct Told {
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
}

impl Server {
    /// Listens; port 0 lets the system choose one.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn bind(
        address: SocketAddr,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
    ) -> Result<Self, HealthError> {
        let failed = |source| HealthError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, told: Told { metrics, readiness } })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until told to stop. It should be told last of all: while sessions end, an operator wants to see it.
    pub async fn serve(self, stop: CancellationToken) {
        let few = Few { listener: self.listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
        let serving = axum::serve(few, router(self.told)).into_future();
        // Not a graceful shutdown: whoever asks slowly would hold it up.
        if let Some(Err(error)) = stop.run_until_cancelled(serving).await {
            tracing::error!(%error, "metrics and health are no longer served");
        }
    }
}

fn router(told: Told) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .fallback(elsewhere)
        .with_state(told)
}

fn answer(status: StatusCode, kind: &'static str, text: String) -> Response {
    (status, HEADERS, [(CONTENT_TYPE, kind)], text).into_response()
}

async fn alive() -> Response {
    answer(StatusCode::OK, PLAIN, "alive\n".to_owned())
}

async fn ready(State(told): State<Told>) -> Response {
    let report = told.readiness.report().await;
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer(status, PLAIN, report.to_string())
}

async fn measured(State(told): State<Told>) -> Response {
    // Rooms may look at a directory for it.
    match tokio::task::spawn_blocking(move || told.metrics.text()).await {
        Ok(text) => answer(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(fault) => {
            tracing::error!(%fault, "the metrics could not be read; please report this");
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                PLAIN,
                "The metrics cannot be read; see the log.\n".to_owned(),
            )
        }
    }
}

async fn elsewhere() -> Response {
    answer(StatusCode::NOT_FOUND, PLAIN, "There are /healthz, /readyz and /metrics here.\n".to_owned())
}

/// Accepts as long as there are places.
#[derive(Debug)]
struct Few {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl axum::serve::Listener for Few {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        loop {
            // It is never closed, so there always is a place at last.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, client)) => return (Visit::new(stream, place), client),
                Err(error) => {
                    tracing::warn!(%error, "metrics and health could not accept a connection");
                    sleep(AFTER_ERROR).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::clock::HandSetClock;

    async fn served(readiness: &Arc<Readiness>) -> SocketAddr {
        let metrics = Metrics::new("1.2.3", HandSetClock::at("2026-11-22T10:00:00Z").as_ref());
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = Server::bind(anywhere, metrics, Arc::clone(readiness)).await.expect("it listens");
        let address = server.address();
        tokio::spawn(server.serve(CancellationToken::new()));
        address
    }

    async fn ask(address: SocketAddr, question: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(question.as_bytes()).await.expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).await.expect("an answer and the end");
        said
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")
    }

    #[tokio::test]
    async fn each_path_has_its_answer_and_the_connection_ends_with_it() {
        let readiness = Readiness::new();
        let address = served(&readiness).await;
        let alive = ask(address, &get("/healthz")).await;
        assert!(alive.starts_with("HTTP/1.1 200 ") && alive.ends_with("\r\n\r\nalive\n"), "{alive}");
        let ready = ask(address, &get("/readyz")).await;
        assert!(ready.starts_with("HTTP/1.1 200 ") && ready.ends_with("\r\n\r\nready\n"), "{ready}");
        let metrics = ask(address, &get("/metrics")).await;
        assert!(metrics.contains("content-type: application/openmetrics-text; version=1.0.0"), "{metrics}");
        assert!(metrics.contains("drawbridge_build_info{version=\"1.2.3\"} 1\n"), "{metrics}");
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        let other = ask(address, &get("/")).await;
        assert!(other.starts_with("HTTP/1.1 404 ") && other.contains("/healthz, /readyz"), "{other}");
        let posted = ask(address, "POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
    }

    #[tokio::test]
    async fn a_node_that_is_not_ready_says_so_and_lives() {
        let readiness = Readiness::new();
        readiness.needs("store", || async { Err("the database is away".to_owned()) });
        let address = served(&readiness).await;
        let ready = ask(address, &get("/readyz")).await;
        assert!(
            ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("not ready\nstore: the database is away\n")
        );
        assert!(ask(address, &get("/healthz")).await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn endless_headers_get_no_answer() {
        let address = served(&Readiness::new()).await;
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let _sent =
            stream.write_all(format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(1 << 20)).as_bytes()).await;
        let mut said = Vec::new();
        // The end comes as an end or as a reset, and without a page.
        let _ended = stream.read_to_end(&mut said).await;
        assert!(!String::from_utf8_lossy(&said).contains(" 200 "));
    }

    #[tokio::test]
    async fn an_address_in_use_is_explained() {
        let readiness = Readiness::new();
        let address = served(&readiness).await;
        let metrics = Metrics::new("1.2.3", HandSetClock::at("2026-11-22T10:00:00Z").as_ref());
        let error = Server::bind(address, metrics, readiness).await.expect_err("it is taken").to_string();
        assert!(error.contains(&address.to_string()) && error.contains("metrics.listen"), "{error}");
    }
}
