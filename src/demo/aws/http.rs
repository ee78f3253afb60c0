//! The listener: tells the services apart, asks the faults first, and answers.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Form, FromRequest, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connect::{self, ConnectError};
use super::denials::{self, Denials};
use super::faults::{Fault, Faults, Service};
use super::select::{Query, QueryError};
use super::world::{World, WorldInstance};
use super::{ec2, sts};

/// Access key ids that `AssumeRole` gives out start with this and the 12-digit account.
pub(super) const TEMPORARY_KEY_PREFIX: &str = "ASIA";

/// The largest request body, in bytes.
const BODY_MAX: usize = 256 * 1024;

const XML: &str = "text/xml;charset=UTF-8";
const JSON: &str = "application/x-amz-json-1.1";

/// The look-alike, bound to its address.
#[derive(Debug)]
pub struct LookAlike {
    listener: TcpListener,
    addr: SocketAddr,
    shared: Shared,
}

/// Why the look-alike could not be bound or went down.
#[derive(Debug, thiserror::Error)]
pub enum LookAlikeError {
    /// The address could not be bound.
    #[error("the AWS look-alike could not listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Serving failed.
    #[error("the AWS look-alike stopped: {0}")]
    Serve(std::io::Error),
}

#[derive(Debug, Clone)]
struct Shared {
    world: Arc<World>,
    faults: Faults,
    denials: Denials,
}

/// Who asks: what the request's signature claims, unchecked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) account: String,
    pub(super) region: Option<String>,
}

impl LookAlike {
    /// Binds the look-alike; port 0 lets the system choose one.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(addr: SocketAddr, world: Arc<World>, faults: Faults) -> Result<Self, LookAlikeError> {
        let failed = |source| LookAlikeError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, addr, shared: Shared { world, faults, denials: Denials::default() } })
    }

    /// The same, with permissions taken away.
    #[must_use]
    pub fn denying(mut self, denials: Denials) -> Self {
        self.shared.denials = denials;
        self
    }

    /// What to give the AWS SDK as its endpoint.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), LookAlikeError> {
        let serve = axum::serve(self.listener, router(self.shared));
        tokio::select! {
            // Not a graceful shutdown: an idle kept-alive connection would hold it up.
            () = shutdown.cancelled() => Ok(()),
            served = serve.into_future() => served.map_err(LookAlikeError::Serve),
        }
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/", post(service))
        .route("/_faults", get(show_faults).post(set_faults))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(shared)
}

async fn show_faults(State(shared): State<Shared>) -> Response {
    ([(CONTENT_TYPE, "application/json")], shared.faults.show()).into_response()
}

async fn set_faults(State(shared): State<Shared>, body: String) -> Response {
    match shared.faults.set(&body) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}

async fn service(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let request_id = uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string();
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    match target.and_then(|target| target.strip_prefix(connect::TARGET_PREFIX)) {
        Some(operation) => {
            let answer = instance_connect(&shared, operation, &headers, &body, &request_id).await;
            json_response(answer, &request_id)
        }
        None => query_service(&shared, &headers, body, &request_id).await,
    }
}

async fn instance_connect(
    shared: &Shared,
    operation: &str,
    headers: &HeaderMap,
    body: &[u8],
    request_id: &str,
) -> Result<String, ConnectError> {
    match fault(shared, Service::Connect).await {
        Some(Fault::Throttled) => {
            let message = "Server is busy! Please retry after a moment.";
            return Err(ConnectError::new("ThrottlingException", message));
        }
        Some(Fault::Status(status)) => {
            let error = ConnectError::new("ServiceException", "An error occurred. Try again.");
            return Err(ConnectError { status, ..error });
        }
        Some(Fault::Modelled(kind)) => return Err(ConnectError::new(&kind, "Switched on by a fault.")),
        Some(Fault::Garbage) => return Ok(GARBAGE.to_owned()),
        None => {}
    }
    let caller = caller(headers, &shared.world)
        .ok_or_else(|| ConnectError::new("AuthException", "The request must carry a signature."))?;
    let action = format!("ec2-instance-connect:{operation}");
    if shared.denials.deny(&action).await {
        return Err(denials::by_connect(&caller, &action, &connect::instance_named(body)));
    }
    connect::answer(operation, body, &shared.world, &caller, request_id)
}

async fn query_service(shared: &Shared, headers: &HeaderMap, body: Bytes, request_id: &str) -> Response {
    let query = Query::new(parse_form(body).await.unwrap_or_default());
    let service = if query.get("Version") == Some("2011-06-15") { Service::Sts } else { Service::Ec2 };
    let answer = match fault(shared, service).await {
        Some(fault) => faulty(fault),
        None => answer_query(shared, service, headers, &query, request_id).await,
    };
    xml_response(service, answer, request_id)
}

async fn parse_form(body: Bytes) -> Option<Vec<(String, String)>> {
    let form = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    Form::from_request(form.body(body.into()).ok()?, &()).await.map(|Form(pairs)| pairs).ok()
}

async fn answer_query(
    shared: &Shared,
    service: Service,
    headers: &HeaderMap,
    query: &Query,
    request_id: &str,
) -> Result<String, QueryError> {
    let caller = caller(headers, &shared.world).ok_or_else(|| {
        QueryError::new("AuthFailure", "The request must carry a signature.").with_status(401)
    })?;
    if let Some(refusal) = refusal(shared, service, &caller, query).await {
        return Err(refusal);
    }
    match service {
        Service::Sts => sts::answer(query, &caller, shared.world.now(), request_id),
        Service::Ec2 | Service::Connect => ec2::answer(query, &shared.world, &caller, request_id),
    }
}

/// What IAM says to the request, where it says no.
async fn refusal(shared: &Shared, service: Service, caller: &Caller, query: &Query) -> Option<QueryError> {
    let denied = async |action: String| shared.denials.deny(&action).await.then_some(action);
    match service {
        // Nobody can be kept from asking who they are (STS API reference, `GetCallerIdentity`).
        Service::Sts if query.action() == "GetCallerIdentity" => None,
        Service::Sts => {
            let action = denied(format!("sts:{}", query.action())).await?;
            Some(denials::by_sts(caller, &action, query.get("RoleArn").unwrap_or_default()))
        }
        Service::Ec2 | Service::Connect => {
            let action = denied(format!("ec2:{}", query.action())).await?;
            Some(denials::by_ec2(caller, &action))
        }
    }
}

/// What a query service answers when something goes wrong on purpose.
fn faulty(fault: Fault) -> Result<String, QueryError> {
    match fault {
        Fault::Throttled => {
            Err(QueryError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503))
        }
        Fault::Status(status) => {
            Err(QueryError::new("InternalError", "An internal error has occurred").with_status(status))
        }
        Fault::Modelled(code) => Err(QueryError::new(&code, "Switched on by a fault.")),
        Fault::Garbage => Ok(GARBAGE.to_owned()),
    }
}

/// Waits as long as the faults say, and tells what goes wrong.
async fn fault(shared: &Shared, service: Service) -> Option<Fault> {
    let (delay, fault) = shared.faults.next(service);
    tokio::time::sleep(delay).await;
    fault
}

/// Reads `Authorization: AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
fn caller(headers: &HeaderMap, world: &World) -> Option<Caller> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let scope = value.split_once("Credential=").map_or("", |(_, scope)| scope);
    let mut parts = scope.split(['/', ',']);
    let account = parts.next().and_then(|key| key.strip_prefix(TEMPORARY_KEY_PREFIX)?.get(..12));
    let named = account.filter(|account| account.bytes().all(|byte| byte.is_ascii_digit()));
    let region = parts.nth(1).filter(|region| !region.is_empty());
    Some(Caller { account: named.unwrap_or(&world.account).to_owned(), region: region.map(str::to_owned) })
}

impl Caller {
    /// Whether an instance is in the caller's account, and in the region that is asked.
    pub(super) fn owns(&self, instance: &WorldInstance) -> bool {
        self.has(&instance.account, &instance.region)
    }

    /// Whether this account's things in this region are what the caller asks about.
    pub(super) fn has(&self, account: &str, region: &str) -> bool {
        let is_asked = self.region.as_ref().is_none_or(|asked| asked == region);
        is_asked && account == self.account
    }

    /// The role that the caller has assumed.
    pub(super) fn arn(&self) -> String {
        format!("arn:aws:sts::{}:assumed-role/drawbridge/demo", self.account)
    }
}

fn json_response(answer: Result<String, ConnectError>, request_id: &str) -> Response {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => (error.status, error.document()),
    };
    response(status, JSON, request_id, body)
}

fn xml_response(service: Service, answer: Result<String, QueryError>, request_id: &str) -> Response {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => (
            error.status,
            match service {
                Service::Sts => sts::error_document(&error, request_id),
                Service::Ec2 | Service::Connect => ec2::error_document(&error, request_id),
            },
        ),
    };
    response(status, XML, request_id, body)
}

fn response(status: u16, content_type: &'static str, request_id: &str, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [("content-type", content_type), ("x-amzn-requestid", request_id)], body).into_response()
}

/// An answer that is neither XML nor JSON.
const GARBAGE: &str = "502 Bad Gatew\u{0}<<<{{{";
