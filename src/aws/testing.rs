//! A server that answers what a test tells it, so that the real SDK's requests and its reading of
//! answers are pinned.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::{AwsAccess, PlaceClients};
use crate::domain::{Action, AuthMethod, Fingerprint, Identity, Login, Target, UserName};
use crate::policy::{Permit, Question};
use crate::target::testing::place;

/// What came in.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    headers: HeaderMap,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A field of an EC2 Query request; enough decoding for what these tests send.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(key, _)| *key == name)?.1;
        Some(value.replace('+', " ").replace("%20", " ").replace("%3A", ":"))
    }
}

/// What goes out.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
    content_type: &'static str,
    gate: Option<Arc<Semaphore>>,
}

impl Reply {
    fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self { status, body: body.into(), content_type, gate: None }
    }

    pub(super) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "application/x-amz-json-1.1", body)
    }

    pub(super) fn xml(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/xml;charset=UTF-8", body)
    }

    pub(super) fn html(status: u16, body: impl Into<String>) -> Self {
        Self::new(status, "text/html", body)
    }

    pub(super) fn ec2_error(status: u16, code: &str) -> Self {
        Self::xml(
            status,
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>said the stub</Message></Error></Errors>\
                 <RequestID>stub-request</RequestID></Response>"
            ),
        )
    }

    /// An answer that does not come.
    pub(super) fn never() -> Self {
        Self::html(200, "").after(&Arc::new(Semaphore::new(0)))
    }

    /// The same answer, once the gate lets it pass.
    pub(super) fn after(mut self, gate: &Arc<Semaphore>) -> Self {
        self.gate = Some(Arc::clone(gate));
        self
    }
}

/// The body of a JSON 1.1 error.
pub(super) fn error_json(code: &str) -> String {
    format!(r#"{{"__type":"com.amazon.aws.sshaccessproxyservice#{code}","message":"said the stub"}}"#)
}

/// STS's answer to AssumeRole.
pub(super) const ASSUMED: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <AssumeRoleResult><Credentials><AccessKeyId>ASIATARGET</AccessKeyId>\
    <SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>\
    <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
    <AssumedRoleUser><AssumedRoleId>AROA:drawbridge</AssumedRoleId>\
    <Arn>arn:aws:sts::123456789012:assumed-role/drawbridge-target/drawbridge</Arn></AssumedRoleUser>\
    </AssumeRoleResult></AssumeRoleResponse>";

type Answers = Mutex<Box<dyn FnMut(&Seen) -> Reply + Send>>;

#[derive(Clone)]
struct Shared {
    answers: Arc<Answers>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The server; it ends with this value.
pub(super) struct Stub {
    pub(super) url: String,
    shared: Shared,
    serving: AbortHandle,
}

impl Stub {
    pub(super) async fn answering(answers: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let shared = Shared { answers: Arc::new(Mutex::new(Box::new(answers))), seen: Arc::default() };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, shared, serving }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().expect("not poisoned").clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let seen = Seen { headers, body: String::from_utf8_lossy(&body).into_owned() };
    let reply = (shared.answers.lock().expect("not poisoned"))(&seen);
    shared.seen.lock().expect("not poisoned").push(seen);
    if let Some(gate) = &reply.gate {
        gate.acquire().await.expect("never closed").forget();
    }
    let status = StatusCode::from_u16(reply.status).expect("a status");
    (status, [("content-type", reply.content_type), ("x-amzn-requestid", "stub-request")], reply.body)
}

/// Clients of `prod` in `eu-west-1` that talk to the stub.
pub(super) async fn clients(url: &str) -> PlaceClients {
    let access = AwsAccess::with_static_credentials(url, "AKIATEST", "secret").await;
    access.clients(place("prod", "eu-west-1"), None).await
}

pub(super) fn permit_for(target: Target, login: &str) -> Permit {
    let identity = Arc::new(Identity {
        user: UserName::parse("alice").expect("a name"),
        groups: Vec::new(),
        auth: AuthMethod::PublicKey {
            fingerprint: Fingerprint::of_blob(b""),
            algorithm: "ssh-ed25519".to_owned(),
        },
        client_addr: Ipv4Addr::LOCALHOST.into(),
    });
    Permit::dangerous_for_test(&Question {
        identity: &identity,
        target: &Arc::new(target),
        login: &Login::parse(login).expect("a login"),
        action: &Action::Shell,
        now: "2026-11-22T10:00:00Z".parse().expect("a time"),
    })
}

/// One page of DescribeInstances: each instance in a reservation of its own.
pub(super) fn page_xml(instances: &[String], next: Option<&str>) -> String {
    let reservations: String = instances
        .iter()
        .map(|item| {
            format!(
                "<item><reservationId>r-1</reservationId><ownerId>111122223333</ownerId>\
                 <instancesSet>{item}</instancesSet></item>"
            )
        })
        .collect();
    let next = next.map(|token| format!("<nextToken>{token}</nextToken>")).unwrap_or_default();
    format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>stub</requestId><reservationSet>{reservations}</reservationSet>{next}\
         </DescribeInstancesResponse>"
    )
}

/// A running instance `web-N` at `10.0.0.N`, whose tag says port 2222.
pub(super) fn instance_xml(number: u32, more: &str) -> String {
    let (third, last) = (number / 256, number % 256);
    format!(
        "<item><instanceId>i-{number:017x}</instanceId><imageId>ami-1</imageId>\
         <instanceState><code>16</code><name>running</name></instanceState>\
         <privateIpAddress>10.0.{third}.{last}</privateIpAddress>{more}\
         <tagSet><item><key>Name</key><value>web-{number}</value></item>\
         <item><key>drawbridge:port</key><value>2222</value></item></tagSet></item>"
    )
}

/// The same with about as much text as EC2 says of an instance: 3 kB.
pub(super) fn big_instance_xml(number: u32) -> String {
    let dns =
        format!("<privateDnsName>ip-10-0-{}-{}.ec2.internal</privateDnsName>", number / 256, number % 256);
    let places = "<vpcId>vpc-0123456789abcdef0</vpcId><subnetId>subnet-0123456789abcdef0</subnetId>\
                  <placement><availabilityZone>eu-west-1b</availabilityZone><tenancy>default</tenancy></placement>\
                  <platformDetails>Linux/UNIX</platformDetails><instanceType>t3.micro</instanceType>";
    let groups: String = (0..4)
        .map(|n| {
            format!("<item><groupId>sg-0123456789abcde{n}0</groupId><groupName>group-{n}</groupName></item>")
        })
        .collect();
    let disks: String = (0..4)
        .map(|n| {
            format!(
                "<item><deviceName>/dev/sd{n}</deviceName><ebs><volumeId>vol-0123456789abcdef{n}</volumeId>\
                 <status>attached</status><attachTime>2026-01-01T00:00:00.000Z</attachTime>\
                 <deleteOnTermination>true</deleteOnTermination></ebs></item>"
            )
        })
        .collect();
    let interface = format!(
        "<networkInterfaceSet><item><networkInterfaceId>eni-0123456789abcdef0</networkInterfaceId>\
         <vpcId>vpc-0123456789abcdef0</vpcId><subnetId>subnet-0123456789abcdef0</subnetId>\
         <status>in-use</status><macAddress>02:00:00:00:00:01</macAddress>\
         <groupSet>{groups}</groupSet></item></networkInterfaceSet>"
    );
    instance_xml(
        number,
        &format!(
            "{dns}{places}<groupSet>{groups}</groupSet><blockDeviceMapping>{disks}</blockDeviceMapping>{interface}"
        ),
    )
}
