//! Which instance drawbridge runs on, and who can be asked about it.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, put};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::network::{BASTION, Bench, PATIENCE, TARGET, instance, interface, sound, web};
use crate::aws::survey::{Survey, SurveySettings};
use crate::aws::testing::{ASSUMED, Reply, Stub};
use crate::aws::{AssumeRole, AwsAccess};
use crate::clock::{HandSetClock, SharedClock};
use crate::diagnose::{GapReason, Known, Surveyor};
use crate::domain::InstanceId;
use crate::target::testing::place;

/// An instance metadata service, version 2.
struct Metadata {
    url: String,
    documents: Arc<AtomicUsize>,
    serving: AbortHandle,
}

impl Metadata {
    async fn telling(document: String) -> Self {
        let documents = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&documents);
        let token = || async { ([("x-aws-ec2-metadata-token-ttl-seconds", "21600")], "token") };
        let tell = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let document = document.clone();
            async move { if document.is_empty() { Err(StatusCode::NOT_FOUND) } else { Ok(document) } }
        };
        let router = Router::new()
            .route("/latest/api/token", put(token))
            .route("/latest/dynamic/instance-identity/document", get(tell));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { url, documents, serving }
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn document(account: &str, region: &str) -> String {
    format!(r#"{{"instanceId":"{BASTION}","accountId":"{account}","region":"{region}"}}"#)
}

#[tokio::test]
async fn the_metadata_service_is_asked_once_and_for_good() {
    let metadata = Metadata::telling(document("111122223333", "eu-west-1")).await;
    let bench = Bench::with_metadata_at(&metadata.url).await;
    for _ in 0..3 {
        let facts = bench.facts().await;
        let bastion = facts.bastion.get().expect("known");
        assert_eq!((bastion.id.as_str(), bastion.account.as_str()), (BASTION, "111122223333"));
        assert_eq!(bastion.region, "eu-west-1");
        bench.clock.advance(std::time::Duration::from_secs(3600));
    }
    assert_eq!(metadata.documents.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_metadata_service_that_does_not_tell_is_a_gap_and_the_target_is_known() {
    let nobody_listens = "http://127.0.0.1:1".to_owned();
    let not_found = Metadata::telling(String::new()).await;
    let nonsense = Metadata::telling("<html>".to_owned()).await;
    for url in [&nobody_listens, &not_found.url, &nonsense.url] {
        let bench = Bench::with_metadata_at(url).await;
        let facts = bench.facts().await;
        let Known::Not(gap) = &facts.bastion else { panic!("{url}: {:?}", facts.bastion) };
        assert!(gap.permission.is_empty() && matches!(gap.reason, GapReason::Failed(_)), "{url}: {gap:?}");
        assert_eq!(facts.bastion_end.groups.gap(), Some(gap));
        assert!(facts.instance.get().is_some() && facts.target_end.groups.get().is_some());
        assert_eq!(facts.transits["tgw-1"].gap(), Some(gap), "the bastion's account may see more of it");
    }
}

#[tokio::test]
async fn an_instance_of_that_id_in_another_account_is_not_the_bastion() {
    let metadata = Metadata::telling(document("999999999999", "eu-west-1")).await;
    let bench = Bench::with_metadata_at(&metadata.url).await;
    let facts = bench.facts().await;
    assert_eq!(facts.bastion.gap().map(|gap| &gap.reason), Some(&GapReason::NotVisible));
}

/// The target's account is another one, entered by a role: the daemon's own credentials describe the bastion.
#[tokio::test]
async fn a_bastion_in_none_of_the_places_is_described_with_its_own_credentials() {
    let stub = Stub::answering(|seen| {
        if seen.body.contains("Action=AssumeRole") {
            return Reply::xml(200, ASSUMED);
        }
        let by_role = seen.header("authorization").contains("ASIATARGET");
        let about_bastion = seen.field("InstanceId.1").as_deref() == Some(BASTION);
        match (by_role, about_bastion) {
            (true, true) => Reply::ec2_error(400, "InvalidInstanceID.NotFound"),
            (false, true) => {
                let own = interface("vpc-2", "subnet-2", "10.2.0.10", &["sg-bastion"]);
                Reply::xml(200, instance(BASTION, "444455556666", &own))
            }
            (_, false) => sound(seen),
        }
    })
    .await;
    let aws = AwsAccess::with_static_credentials(&stub.url, "AKIAHUB", "secret").await;
    let role = AssumeRole {
        role_arn: "arn:aws:iam::123456789012:role/target".to_owned(),
        external_id: None,
        session_name: "drawbridge".to_owned(),
    };
    let clients = aws.clients(place("prod", "eu-west-1"), Some(&role)).await;
    let settings = SurveySettings { bastion_instance: InstanceId::parse(BASTION), call_max: PATIENCE };
    let clock = HandSetClock::at("2026-11-22T10:00:00Z") as SharedClock;
    let survey = Survey::new(&[clients], &aws, settings, clock);
    let facts = survey.survey(&web(), PATIENCE).await;
    assert_eq!(facts.bastion.get().map(|bastion| bastion.account.as_str()), Some("444455556666"));
    assert!(facts.bastion_end.groups.get().is_some());
    let seen = stub.seen();
    let own = |seen: &&crate::aws::testing::Seen| seen.header("authorization").contains("AKIAHUB");
    assert!(seen.iter().filter(own).all(|seen| seen.field("InstanceId.1").as_deref() != Some(TARGET)));
    // Where it was found it is asked about from then on.
    let before = stub.seen().len();
    survey.survey(&web(), PATIENCE).await;
    assert_eq!(stub.seen().len(), before);
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_on_is_told_apart_from_a_denial() {
    let stub = Stub::answering(|seen| {
        if seen.body.contains("Action=AssumeRole") {
            return Reply::ec2_error(403, "AccessDenied");
        }
        sound(seen)
    })
    .await;
    let aws = AwsAccess::with_static_credentials(&stub.url, "AKIAHUB", "secret").await;
    let role = AssumeRole {
        role_arn: "arn:aws:iam::123456789012:role/target".to_owned(),
        external_id: None,
        session_name: "drawbridge".to_owned(),
    };
    let clients = aws.clients(place("prod", "eu-west-1"), Some(&role)).await;
    let settings = SurveySettings { bastion_instance: InstanceId::parse(BASTION), call_max: PATIENCE };
    let clock = HandSetClock::at("2026-11-22T10:00:00Z") as SharedClock;
    let survey = Survey::new(&[clients], &aws, settings, clock);
    let facts = survey.survey(&web(), PATIENCE).await;
    let expected = GapReason::Failed("no credentials for this account".to_owned());
    assert_eq!(facts.instance.gap().map(|gap| &gap.reason), Some(&expected));
    assert!(facts.bastion.get().is_some(), "the daemon's own credentials work: {:?}", facts.bastion);
}
