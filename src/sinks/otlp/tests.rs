use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap as Headers, StatusCode as Code};
use axum::response::{IntoResponse, Response as Reply};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest};
use tokio::net::TcpListener;

use super::*;

/// A receiver that answers as it is told to, and then takes everything.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// What it answers first: status, OTLP or not, `Retry-After`, body.
    answers: Vec<(u16, bool, Option<&'static str>, Vec<u8>)>,
    /// It takes no more records at a time than these.
    records_max: Option<usize>,
    requests: Vec<usize>,
    got: Vec<i64>,
    headers: Headers,
}

async fn take(State(collector): State<Collector>, headers: Headers, body: Bytes) -> Reply {
    let request = ExportLogsServiceRequest::decode(body).expect("protobuf");
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    let mut inside = collector.0.lock().expect("a lock");
    inside.requests.push(records.len());
    inside.headers = headers;
    if inside.records_max.is_some_and(|most| records.len() > most) {
        return Code::PAYLOAD_TOO_LARGE.into_response();
    }
    if !inside.answers.is_empty() {
        let (status, otlp, retry_after, body) = inside.answers.remove(0);
        let mut reply = (Code::from_u16(status).expect("a status"), body).into_response();
        if otlp {
            reply.headers_mut().insert("content-type", PROTOBUF.parse().expect("a value"));
        }
        if let Some(seconds) = retry_after {
            reply.headers_mut().insert("retry-after", seconds.parse().expect("a value"));
        }
        return reply;
    }
    for record in records {
        let seq = record.attributes.iter().find(|pair| pair.key == "drawbridge.seq").expect("a number");
        let Some(opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue(seq)) =
            seq.value.as_ref().and_then(|value| value.value.clone())
        else {
            panic!("a number")
        };
        inside.got.push(seq);
    }
    Code::OK.into_response()
}

impl Collector {
    async fn start(self) -> (Self, OtlpConfig) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1/logs", listener.local_addr().expect("an address"));
        let router = Router::new().route("/v1/logs", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = OtlpConfig {
            url,
            headers: Vec::new(),
            secret_headers: Vec::new(),
            ca: None,
            timeout: Duration::from_secs(20),
        };
        (self, config)
    }

    fn answering(answers: &[(u16, bool, Option<&'static str>, Vec<u8>)]) -> Self {
        Self(Arc::new(Mutex::new(Inside { answers: answers.to_vec(), ..Inside::default() })))
    }

    fn got(&self) -> Vec<i64> {
        self.0.lock().expect("a lock").got.clone()
    }
}

fn lines(count: u64) -> Vec<JournalLine> {
    (1..=count)
        .map(|seq| JournalLine { seq, text: format!(r#"{{"event":"reloaded","node":"b1","seq":{seq}}}"#) })
        .collect()
}

fn partial(rejected: i64, message: &str) -> Vec<u8> {
    let partial =
        ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: message.to_owned() };
    ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
}

#[tokio::test]
async fn lines_arrive_in_order_with_the_headers_of_the_config() {
    let (collector, mut config) = Collector::default().start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let token = directory.path().join("token");
    config.headers = vec![("X-Scope-OrgID".to_owned(), "security".to_owned())];
    config.secret_headers = vec![("Authorization".to_owned(), token.clone())];
    let mut sink = Otlp::new(&config, "b1").expect("it can be made");
    let failure = sink.deliver(&lines(1)).await.expect_err("there is no token");
    assert!(failure.detail.contains("token: No such file"), "{failure}");
    std::fs::write(&token, "Bearer abc\n").expect("written");
    assert_eq!(sink.deliver(&lines(3)).await, Ok(Delivered::default()));
    assert_eq!(collector.got(), [1, 2, 3]);
    let headers = collector.0.lock().expect("a lock").headers.clone();
    assert_eq!(
        (&headers["authorization"], &headers["x-scope-orgid"]),
        (&"Bearer abc".parse().expect("a value"), &"security".parse().expect("a value"))
    );
    assert_eq!(headers["content-type"], PROTOBUF);
}

#[tokio::test]
async fn what_is_too_large_is_halved_until_it_is_taken_or_one_line_is_refused() {
    let (collector, config) = Collector::default().start().await;
    collector.0.lock().expect("a lock").records_max = Some(3);
    let mut sink = Otlp::new(&config, "b1").expect("it can be made");
    assert_eq!(sink.deliver(&lines(10)).await, Ok(Delivered::default()));
    assert_eq!(collector.got(), (1..=10).collect::<Vec<_>>());
    collector.0.lock().expect("a lock").records_max = Some(0);
    let delivered = sink.deliver(&lines(4)).await.expect("dealt with");
    assert_eq!((delivered.refused, delivered.why.as_deref()), (4, Some("the request is too large")));
}

#[tokio::test]
async fn a_receiver_that_is_busy_says_for_how_long_and_gets_the_rest_later() {
    let (collector, config) = Collector::answering(&[(503, true, Some("7"), Vec::new())]).start().await;
    let mut sink = Otlp::new(&config, "b1").expect("it can be made");
    let failure = sink.deliver(&lines(2)).await.expect_err("it is busy");
    assert_eq!((failure.retry_after, failure.resume_after), (Some(Duration::from_secs(7)), None));
    sink.deliver(&lines(2)).await.expect("it has time");
    assert_eq!(collector.got(), [1, 2]);
}

#[tokio::test]
async fn what_was_taken_before_a_failure_is_not_sent_again() {
    let (collector, config) = Collector::default().start().await;
    collector.0.lock().expect("a lock").records_max = Some(2);
    let mut sink = Otlp::new(&config, "b1").expect("it can be made");
    collector.0.lock().expect("a lock").answers =
        vec![(200, true, None, partial(1, "a bad line")), (429, true, None, Vec::new())];
    let failure = sink.deliver(&lines(4)).await.expect_err("it is busy");
    assert_eq!(failure.resume_after, Some(2));
}

#[tokio::test]
async fn nobody_there_is_a_failure_without_the_url() {
    let (_collector, mut config) = Collector::default().start().await;
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    config.url = format!("http://{free}/v1/logs?key=secret");
    let mut sink = Otlp::new(&config, "b1").expect("it can be made");
    let failure = sink.deliver(&lines(1)).await.expect_err("nobody listens");
    assert!(failure.detail.contains("onnect") && !failure.detail.contains("secret"), "{failure}");
}

#[test]
fn answers_are_judged_as_the_specification_has_it() {
    let judged = |status: u16, otlp: bool, body: &[u8]| {
        judge(StatusCode::from_u16(status).expect("a status"), otlp, None, body)
    };
    let taken =
        |refused, why: Option<&str>| Answer::Taken(Delivered { refused, why: why.map(str::to_owned) });
    assert_eq!(judged(200, true, b""), taken(0, None));
    assert_eq!(judged(200, true, &partial(3, "bad\u{1b}[2J")), taken(3, Some("bad[2J")));
    assert_eq!(judged(200, true, &partial(0, "deprecated")), taken(0, None));
    assert_eq!(judged(200, true, &partial(-5, "")), taken(0, None));
    assert_eq!(judged(200, false, b"<html>"), taken(0, None));
    assert_eq!(judged(400, true, b"no"), Answer::Refused("no".to_owned()));
    assert_eq!(judged(413, false, b""), Answer::TooLarge);
    for status in [301, 401, 403, 404, 429, 500, 502, 503, 504] {
        assert!(matches!(judged(status, true, b""), Answer::Later(_)), "{status}");
    }
    // What a TLS port says to plain HTTP.
    assert!(matches!(judged(400, false, b"this is a TLS port"), Answer::Later(_)));
}
