//! Pushing a key with EC2 Instance Connect.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_ec2instanceconnect::Client;
use aws_sdk_ec2instanceconnect::operation::RequestId;
use aws_sdk_ec2instanceconnect::operation::send_ssh_public_key::SendSshPublicKeyOutput;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, warn};

use super::access::PlaceClients;
use super::fault::{Fault, FaultKind};
use crate::clock::SharedClock;
use crate::credential::{InjectError, InjectErrorKind, Injected, Injector, PublicHalf};
use crate::policy::Permit;
use crate::target::Place;
use crate::tasks::BoxFuture;

/// A pushed key works for 60 seconds (EC2 API reference, SendSSHPublicKey).
const KEY_LIFETIME: Duration = Duration::from_secs(60);
/// The longest one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);
/// With less time left than this an attempt is not begun: nobody would wait for its answer.
const ATTEMPT_MIN: Duration = Duration::from_millis(50);
/// The first pause between two attempts; doubles each time, with jitter.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How pushes behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceConnectSettings {
    /// The longest one push may take: waiting for its turn, all attempts and the pauses between.
    pub deadline: Duration,
    /// Pushes at the same time per account and region; more wait in line.
    pub concurrency: usize,
}

impl Default for InstanceConnectSettings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), concurrency: 16 }
    }
}

/// Pushes keys through EC2 Instance Connect.
#[derive(Debug)]
pub struct InstanceConnect {
    lanes: HashMap<Place, Lane>,
    deadline: Duration,
    clock: SharedClock,
}

/// One account and region: AWS throttles each by itself, and one that hangs must not hold up another.
#[derive(Debug)]
struct Lane {
    client: Client,
    turns: Semaphore,
}

impl InstanceConnect {
    /// An injector for these places.
    #[must_use]
    pub fn new(clients: &[PlaceClients], settings: InstanceConnectSettings, clock: SharedClock) -> Self {
        let concurrency = settings.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let lane = |clients: &PlaceClients| {
            let lane = Lane { client: clients.instance_connect.clone(), turns: Semaphore::new(concurrency) };
            (clients.place.clone(), lane)
        };
        Self { lanes: clients.iter().map(lane).collect(), deadline: settings.deadline, clock }
    }

    async fn push(&self, permit: &Permit, key: &PublicHalf) -> Result<Injected, InjectError> {
        let target = permit.target();
        let place = Place { account_alias: target.account_alias.clone(), region: target.region.clone() };
        let Some(lane) = self.lanes.get(&place) else {
            let text = format!("no client for {place}");
            return Err(InjectError::new(InjectErrorKind::NotConfigured, text, None));
        };
        let pushed = self.push_until(Instant::now() + self.deadline, lane, permit, key).await;
        match &pushed {
            Ok(injected) => {
                debug!(%place, target_id = %target.id, request_id = injected.request_id(), "key pushed");
            }
            Err(failure) => {
                let (kind, request_id) = (failure.kind.label(), failure.request_id.as_deref());
                warn!(
                    account = target.account, region = target.region, target_id = %target.id,
                    login = %permit.login(), kind, request_id, "key not pushed: {failure}"
                );
            }
        }
        pushed
    }

    async fn push_until(
        &self,
        deadline: Instant,
        lane: &Lane,
        permit: &Permit,
        key: &PublicHalf,
    ) -> Result<Injected, InjectError> {
        let mut last: Option<Fault> = None;
        for attempt in 1_u32.. {
            let Ok(turn) = timeout_at(deadline, lane.turns.acquire()).await else { break };
            if Instant::now() + ATTEMPT_MIN >= deadline {
                break;
            }
            // The key's minute begins at the latest when the answer is on its way; counting from
            // before the question errs on the safe side.
            let asked_at = self.clock.now();
            let attempt_ends = deadline.min(Instant::now() + ATTEMPT_MAX);
            let answer = timeout_at(attempt_ends, lane.send(permit, key)).await;
            drop(turn);
            let fault = match answer {
                Ok(Ok(request_id)) => {
                    let valid_until = asked_at.saturating_add(KEY_LIFETIME).unwrap_or(asked_at);
                    return Ok(Injected::new(request_id, valid_until, key.fingerprint().clone()));
                }
                Ok(Err(fault)) => fault,
                Err(_) => Fault::new(FaultKind::Timeout, "no answer to SendSSHPublicKey"),
            };
            let pause = jittered(pause(attempt), rand::random_range(0.5..1.0));
            if !is_worth_another(&fault) || Instant::now() + pause >= deadline {
                return Err(failure(fault, attempt));
            }
            debug!(attempt, kind = ?fault.kind, "key push failed; trying again: {}", fault.text);
            last = Some(fault);
            sleep(pause).await;
        }
        Err(last.map_or_else(
            || {
                let text = "the push did not get its turn before the deadline";
                InjectError::new(InjectErrorKind::Busy, text, None)
            },
            |fault| failure(fault, 1),
        ))
    }
}

impl Injector for InstanceConnect {
    fn inject<'a>(
        &'a self,
        permit: &'a Permit,
        key: &'a PublicHalf,
    ) -> BoxFuture<'a, Result<Injected, InjectError>> {
        Box::pin(self.push(permit, key))
    }
}

impl Lane {
    async fn send(&self, permit: &Permit, key: &PublicHalf) -> Result<String, Fault> {
        let target = permit.target();
        let zone = Some(target.availability_zone.clone()).filter(|zone| !zone.is_empty());
        let answer = self
            .client
            .send_ssh_public_key()
            .instance_id(target.id.as_str())
            .instance_os_user(permit.login().as_str())
            .ssh_public_key(key.openssh())
            .set_availability_zone(zone)
            .send()
            .await
            .map_err(|error| Fault::of(&error))?;
        confirmed(&answer)
    }
}

/// The request id of a push that AWS confirmed; the one in the body is what the target's log has.
fn confirmed(answer: &SendSshPublicKeyOutput) -> Result<String, Fault> {
    let in_header = RequestId::request_id(answer);
    let request_id = answer.request_id().or(in_header).map(str::to_owned);
    if !answer.success() {
        let text = "the answer to SendSSHPublicKey does not say that it succeeded";
        return Err(Fault { request_id, ..Fault::new(FaultKind::BadAnswer, text) });
    }
    Ok(request_id.unwrap_or_else(|| "unknown".to_owned()))
}

fn is_worth_another(fault: &Fault) -> bool {
    match fault.kind {
        FaultKind::Throttled | FaultKind::ServiceFailing | FaultKind::Timeout | FaultKind::Unreachable => {
            true
        }
        // Half an answer may be followed by a whole one; a refused push stays refused.
        FaultKind::BadAnswer => true,
        FaultKind::Refused => fault.code.as_deref() == Some("EC2InstanceUnavailableException"),
        FaultKind::NoCredentials | FaultKind::Denied => false,
    }
}

fn failure(fault: Fault, attempts: u32) -> InjectError {
    let kind = match fault.kind {
        FaultKind::NoCredentials => InjectErrorKind::NoCredentials,
        FaultKind::Denied => InjectErrorKind::Denied,
        FaultKind::Throttled => InjectErrorKind::Throttled,
        FaultKind::ServiceFailing => InjectErrorKind::ServiceFailing,
        FaultKind::Timeout => InjectErrorKind::Timeout,
        FaultKind::Unreachable => InjectErrorKind::Unreachable,
        FaultKind::BadAnswer => InjectErrorKind::BadAnswer,
        FaultKind::Refused => match fault.code.as_deref() {
            Some("InvalidArgsException" | "ValidationException") => InjectErrorKind::InvalidRequest,
            Some("EC2InstanceNotFoundException") => InjectErrorKind::NotFound,
            Some("EC2InstanceStateInvalidException") => InjectErrorKind::NotRunning,
            Some("EC2InstanceUnavailableException") => InjectErrorKind::TargetUnavailable,
            Some(_) | None => InjectErrorKind::BadAnswer,
        },
    };
    let text = format!("SendSSHPublicKey failed after {attempts} attempt(s): {}", fault.text);
    InjectError::new(kind, text, fault.request_id)
}

fn pause(attempt: u32) -> Duration {
    PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(PAUSE_MAX)
}

fn jittered(pause: Duration, factor: f64) -> Duration {
    pause.mul_f64(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use crate::aws::testing::{Reply, Seen, Stub, clients, error_json, permit_for};
    use crate::aws::{AssumeRole, AwsAccess};
    use crate::clock::HandSetClock;
    use crate::credential::EphemeralKey;
    use crate::target::testing::{place, target};

    const CONFIRMED: &str = r#"{"RequestId":"2a47-4c91","Success":true}"#;

    fn injector(clients: PlaceClients, deadline_ms: u64, concurrency: usize) -> InstanceConnect {
        let settings = InstanceConnectSettings { deadline: Duration::from_millis(deadline_ms), concurrency };
        InstanceConnect::new(&[clients], settings, HandSetClock::at("2026-11-22T10:00:00Z"))
    }

    async fn inject(injector: &InstanceConnect) -> Result<Injected, InjectError> {
        let key = EphemeralKey::generate().expect("a key");
        injector.inject(&permit_for(target("web-1", 1), "ec2-user"), key.public_half()).await
    }

    #[tokio::test]
    async fn the_request_has_the_shape_that_the_service_wants() {
        let stub = Stub::answering(|_: &Seen| Reply::json(200, CONFIRMED)).await;
        let injector = injector(clients(&stub.url).await, 5_000, 16);
        let key = EphemeralKey::generate().expect("a key");
        let permit = permit_for(target("web-1", 1), "ec2-user");
        let injected = injector.inject(&permit, key.public_half()).await.expect("pushed");
        assert_eq!(injected.request_id(), "2a47-4c91");
        assert_eq!(injected.valid_until().to_string(), "2026-11-22T10:01:00Z");
        assert_eq!(injected.fingerprint(), key.fingerprint());
        let seen = stub.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].header("x-amz-target"), "AWSEC2InstanceConnectService.SendSSHPublicKey");
        assert!(seen[0].header("authorization").contains("/eu-west-1/ec2-instance-connect/aws4_request"));
        let body: serde_json::Value = serde_json::from_str(&seen[0].body).expect("JSON");
        assert_eq!(
            body,
            serde_json::json!({
                "InstanceId": "i-00000000000000001",
                "InstanceOSUser": "ec2-user",
                "SSHPublicKey": key.public_half().openssh(),
                "AvailabilityZone": "eu-west-1a",
            })
        );
    }

    #[tokio::test]
    async fn every_failure_has_its_kind_and_only_passing_ones_are_tried_again() {
        let html = "<html><body>Bad Gateway</body></html>";
        let table = [
            (Reply::json(400, error_json("AuthException")), InjectErrorKind::Denied, 1),
            (Reply::json(400, error_json("AccessDeniedException")), InjectErrorKind::Denied, 1),
            (Reply::json(403, error_json("UnauthorizedOperation")), InjectErrorKind::Denied, 1),
            (Reply::json(400, error_json("ExpiredTokenException")), InjectErrorKind::NoCredentials, 1),
            (Reply::json(400, error_json("UnrecognizedClientException")), InjectErrorKind::NoCredentials, 1),
            (Reply::json(400, error_json("InvalidArgsException")), InjectErrorKind::InvalidRequest, 1),
            (Reply::json(400, error_json("EC2InstanceNotFoundException")), InjectErrorKind::NotFound, 1),
            (
                Reply::json(400, error_json("EC2InstanceStateInvalidException")),
                InjectErrorKind::NotRunning,
                1,
            ),
            (
                Reply::json(400, error_json("EC2InstanceUnavailableException")),
                InjectErrorKind::TargetUnavailable,
                2,
            ),
            (Reply::json(400, r#"{"__type":"AuthException"}"#), InjectErrorKind::Denied, 1),
            (Reply::json(400, error_json("ThrottlingException")), InjectErrorKind::Throttled, 2),
            (Reply::json(400, error_json("RequestLimitExceeded")), InjectErrorKind::Throttled, 2),
            (Reply::json(500, error_json("ServiceException")), InjectErrorKind::ServiceFailing, 2),
            (Reply::json(400, error_json("BrandNewException")), InjectErrorKind::BadAnswer, 1),
            (Reply::html(502, html), InjectErrorKind::ServiceFailing, 2),
            (Reply::html(403, html), InjectErrorKind::BadAnswer, 2),
            (Reply::html(200, html), InjectErrorKind::BadAnswer, 2),
            (Reply::json(200, r#"{"RequestId":"r","Succ"#), InjectErrorKind::BadAnswer, 2),
            (Reply::json(200, r#"{"RequestId":"r","Success":false}"#), InjectErrorKind::BadAnswer, 2),
            (Reply::json(200, "{}"), InjectErrorKind::BadAnswer, 2),
        ];
        let mut rows = tokio::task::JoinSet::new();
        for (reply, kind, attempts_min) in table {
            rows.spawn(async move {
                let what = format!("{} {}", reply.status, reply.body);
                let always = reply.clone();
                let stub = Stub::answering(move |_: &Seen| always.clone()).await;
                let failure = inject(&injector(clients(&stub.url).await, 2_000, 16)).await.expect_err(&what);
                assert_eq!(failure.kind, kind, "{what}: {failure}");
                assert_eq!(failure.user, kind.sentence());
                assert_eq!(stub.seen().len().min(2), attempts_min, "attempts for {what}");
                if reply.status != 200 {
                    assert_eq!(failure.request_id.as_deref(), Some("stub-request"), "{what}");
                }
                assert!(!failure.user.contains("i-0000") && failure.operator.contains("SendSSHPublicKey"));
            });
        }
        rows.join_all().await;
    }

    #[tokio::test]
    async fn a_passing_fault_is_overcome_within_the_deadline() {
        let mut replies =
            [Reply::json(400, error_json("ThrottlingException")), Reply::html(503, "busy")].into_iter();
        let stub =
            Stub::answering(move |_: &Seen| replies.next().unwrap_or_else(|| Reply::json(200, CONFIRMED)))
                .await;
        let injected = inject(&injector(clients(&stub.url).await, 10_000, 16)).await.expect("pushed");
        assert_eq!((injected.request_id(), stub.seen().len()), ("2a47-4c91", 3));
    }

    #[tokio::test]
    async fn silence_ends_at_the_deadline() {
        let stub = Stub::answering(|_: &Seen| Reply::never()).await;
        let started = Instant::now();
        let failure = inject(&injector(clients(&stub.url).await, 300, 16)).await.expect_err("silence");
        assert_eq!(failure.kind, InjectErrorKind::Timeout);
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_closed_port_is_unreachable() {
        let failure = inject(&injector(clients("http://127.0.0.1:1").await, 1_500, 16))
            .await
            .expect_err("nobody there");
        assert_eq!(failure.kind, InjectErrorKind::Unreachable, "{failure}");
    }

    #[tokio::test]
    async fn a_burst_waits_in_line_and_those_who_wait_too_long_are_told() {
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let stub = Stub::answering(move |_: &Seen| Reply::json(200, CONFIRMED).after(&held)).await;
        let injector = Arc::new(injector(clients(&stub.url).await, 1_500, 2));
        let pushes: Vec<_> = (0..6)
            .map(|_| {
                let injector = Arc::clone(&injector);
                tokio::spawn(async move { inject(&injector).await.map_err(|failure| failure.kind) })
            })
            .collect();
        let mut kinds = BTreeSet::new();
        for push in pushes {
            kinds.insert(push.await.expect("no panic").expect_err("the gate is shut").label());
        }
        assert_eq!(kinds, BTreeSet::from(["busy", "timeout"]));
        assert_eq!(stub.seen().len(), 2, "two at a time, until the deadline");
        gate.add_permits(100);
        for _ in 0..6 {
            inject(&injector).await.expect("served once the stall is over");
        }
    }

    #[tokio::test]
    async fn an_unknown_place_is_not_asked() {
        let elsewhere = InstanceConnect::new(
            &[],
            InstanceConnectSettings::default(),
            HandSetClock::at("2026-11-22T10:00:00Z"),
        );
        assert_eq!(inject(&elsewhere).await.expect_err("nowhere").kind, InjectErrorKind::NotConfigured);
    }

    async fn through_role(stub: &Stub) -> InstanceConnect {
        let access = AwsAccess::with_static_credentials(&stub.url, "AKIAHUB", "secret").await;
        let role = AssumeRole {
            role_arn: "arn:aws:iam::123456789012:role/drawbridge-target".to_owned(),
            external_id: Some("between-us".to_owned()),
            session_name: "drawbridge".to_owned(),
        };
        injector(access.clients(place("prod", "eu-west-1"), Some(&role)).await, 3_000, 16)
    }

    #[tokio::test]
    async fn a_role_is_assumed_once_and_its_credentials_sign() {
        let stub = Stub::answering(|seen: &Seen| {
            if seen.body.contains("Action=AssumeRole") {
                Reply::xml(200, crate::aws::testing::ASSUMED)
            } else {
                Reply::json(200, CONFIRMED)
            }
        })
        .await;
        let injector = through_role(&stub).await;
        for _ in 0..3 {
            inject(&injector).await.expect("pushed");
        }
        let seen = stub.seen();
        let (sts, pushes): (Vec<_>, Vec<_>) =
            seen.iter().partition(|seen| seen.body.contains("Action=AssumeRole"));
        assert_eq!((sts.len(), pushes.len()), (1, 3));
        for part in ["RoleSessionName=drawbridge", "ExternalId=between-us", "role%2Fdrawbridge-target"] {
            assert!(sts[0].body.contains(part), "{}", sts[0].body);
        }
        assert!(pushes.iter().all(|push| push.header("authorization").contains("Credential=ASIATARGET/")));
    }

    #[tokio::test]
    async fn a_role_that_cannot_be_assumed_is_the_operators_matter() {
        let denied = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                      <Message>no trust</Message></Error><RequestId>r</RequestId></ErrorResponse>";
        let stub = Stub::answering(move |_: &Seen| Reply::xml(403, denied)).await;
        let failure = inject(&through_role(&stub).await).await.expect_err("denied");
        assert_eq!(failure.kind, InjectErrorKind::NoCredentials, "{failure}");
        assert!(failure.operator.contains("no trust"), "{}", failure.operator);
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        let pauses: Vec<_> = (1..7).map(|attempt| pause(attempt).as_millis()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 2000, 2000]);
    }
}
