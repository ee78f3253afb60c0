use std::sync::Arc;

use super::*;
use crate::aws::testing::{ASSUMED, Reply, Seen, Stub, error_json};
use crate::aws::{IAM_ACTIONS, iam_action};
use crate::clock::HandSetClock;

const LOGINS: [&str; 2] = ["ubuntu", "ec2-user"];
const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <GetCallerIdentityResult><Arn>arn:aws:sts::111122223333:assumed-role/drawbridge/i-1</Arn><UserId>A:i-1</UserId>\
    <Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
const STOPPED: &str = "i-000000000000000aa";
const RUNNING: &str = "i-000000000000000bb";

fn account(role_arn: Option<&str>) -> AccountConfig {
    AccountConfig {
        alias: "prod".to_owned(),
        regions: vec!["eu-west-1".to_owned()],
        role_arn: role_arn.map(str::to_owned),
        external_id: Some("agreed".to_owned()),
        session_name: "drawbridge".to_owned(),
    }
}

async fn checkup(stub: &Stub, role_arn: Option<&str>) -> AwsCheckup {
    let access = AwsAccess::with_static_credentials(&stub.url, "AKIATEST", "secret").await;
    AwsCheckup::with(&access, &[account(role_arn)], HandSetClock::at("2026-11-22T10:00:00Z")).await
}

fn place() -> Place {
    Place { account_alias: "prod".to_owned(), region: "eu-west-1".to_owned() }
}

async fn may(stub: &Stub, name: &str) -> Result<(), Trouble> {
    let action = iam_action(name).expect("a listed action");
    let logins = LOGINS.map(str::to_owned);
    checkup(stub, None).await.may(&place(), action, &logins).await
}

fn two_instances() -> String {
    let item = |id: &str, state: &str| {
        format!(
            "<item><instanceId>{id}</instanceId><instanceState><code>1</code><name>{state}</name></instanceState></item>"
        )
    };
    format!(
        "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r</requestId>\
         <reservationSet><item><ownerId>1</ownerId><instancesSet>{}{}</instancesSet></item></reservationSet>\
         </DescribeInstancesResponse>",
        item(RUNNING, "running"),
        item(STOPPED, "stopped")
    )
}

fn is_push(seen: &Seen) -> bool {
    seen.header("x-amz-target").ends_with("SendSSHPublicKey")
}

#[tokio::test]
async fn every_action_of_a_place_is_tried_by_itself_and_does_nothing() {
    for action in IAM_ACTIONS.iter().filter(|action| action.name.starts_with("ec2:")) {
        let stub = Stub::answering(|_: &Seen| Reply::ec2_error(412, "DryRunOperation")).await;
        assert_eq!(may(&stub, action.name).await, Ok(()), "{}", action.name);
        let (_, operation) = action.name.split_once(':').expect("a service");
        let seen = stub.seen();
        assert_eq!(seen.len(), 1, "{}", action.name);
        assert_eq!(seen[0].field("Action").as_deref(), Some(operation));
        assert_eq!(seen[0].field("DryRun").as_deref(), Some("true"), "{}", action.name);
    }
}

#[tokio::test]
async fn answers_are_told_apart() {
    for (code, status, expected) in [
        ("UnauthorizedOperation", 403, Some(TroubleKind::Denied)),
        ("AuthFailure", 401, Some(TroubleKind::NoCredentials)),
        ("OptInRequired", 401, Some(TroubleKind::Denied)),
        ("RequestLimitExceeded", 503, Some(TroubleKind::Throttled)),
        ("InternalError", 500, Some(TroubleKind::Other)),
        ("InvalidPrefixListID.NotFound", 400, None),
    ] {
        let stub = Stub::answering(move |_: &Seen| Reply::ec2_error(status, code)).await;
        let answer = may(&stub, "ec2:GetManagedPrefixListEntries").await;
        assert_eq!(answer.err().map(|trouble| trouble.kind), expected, "{code}");
    }
    let html = Stub::answering(|_: &Seen| Reply::html(403, "<html>no</html>")).await;
    let trouble = may(&html, "ec2:DescribeVpcs").await.expect_err("no answer of EC2's");
    assert_eq!(trouble.kind, TroubleKind::Other, "{trouble:?}");
}

#[tokio::test]
async fn nobody_who_listens_is_unreachable() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", taken.local_addr().expect("an address"));
    drop(taken);
    let access = AwsAccess::with_static_credentials(&url, "AKIATEST", "secret").await;
    let checkup = AwsCheckup::with(&access, &[account(None)], HandSetClock::at("2026-11-22T10:00:00Z")).await;
    let action = iam_action("ec2:DescribeInstances").expect("listed");
    let trouble = checkup.may(&place(), action, &[]).await.expect_err("nobody is there");
    assert_eq!(
        (trouble.kind, trouble.where_it_ended()),
        (TroubleKind::Unreachable, "the connection is refused")
    );
}

#[tokio::test]
async fn a_push_is_tried_with_an_instance_that_does_not_exist() {
    let stub = Stub::answering(|_: &Seen| Reply::json(400, error_json("EC2InstanceNotFoundException"))).await;
    assert_eq!(may(&stub, "ec2-instance-connect:SendSSHPublicKey").await, Ok(()));
    let seen = stub.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].body.contains(NOBODY) && seen[0].body.contains("ubuntu"), "{}", seen[0].body);
}

#[tokio::test]
async fn a_login_that_iam_permits_is_enough() {
    let stub = Stub::answering(|seen: &Seen| {
        let code = if seen.body.contains("ubuntu") {
            "AccessDeniedException"
        } else {
            "EC2InstanceNotFoundException"
        };
        Reply::json(400, error_json(code))
    })
    .await;
    assert_eq!(may(&stub, "ec2-instance-connect:SendSSHPublicKey").await, Ok(()));
}

/// A policy with a condition on tags denies an instance that does not exist, for it has none.
#[tokio::test]
async fn real_instances_are_asked_about_where_iam_asks_for_a_tag() {
    let stub = Stub::answering(|seen: &Seen| {
        if !is_push(seen) {
            return Reply::xml(200, two_instances());
        }
        let code = if seen.body.contains(STOPPED) {
            "EC2InstanceStateInvalidException"
        } else {
            "AccessDeniedException"
        };
        Reply::json(400, error_json(code))
    })
    .await;
    assert_eq!(may(&stub, "ec2-instance-connect:SendSSHPublicKey").await, Ok(()));
    let asked: Vec<Seen> = stub.seen().into_iter().filter(is_push).collect();
    // The stopped one comes first, and no real one is named in a zone that it could be in.
    let last = asked.last().expect("a push");
    assert!(last.body.contains(STOPPED) && last.body.contains("eu-west-1z"), "{}", last.body);
    assert!(!asked.iter().any(|seen| seen.body.contains(RUNNING)));
}

#[tokio::test]
async fn a_push_that_is_denied_everywhere_is_denied() {
    let stub = Stub::answering(|seen: &Seen| {
        if is_push(seen) {
            return Reply::json(400, error_json("AccessDeniedException"));
        }
        Reply::xml(200, two_instances())
    })
    .await;
    let trouble = may(&stub, "ec2-instance-connect:SendSSHPublicKey").await.expect_err("denied");
    assert_eq!(trouble.kind, TroubleKind::Denied);
    let pushes = stub.seen().iter().filter(|seen| is_push(seen)).count();
    assert_eq!(pushes, 3 * LOGINS.len());
}

#[tokio::test]
async fn identities_are_asked_with_the_accounts_own_credentials() {
    let stub = Stub::answering(|seen: &Seen| match seen.field("Action").as_deref() {
        Some("AssumeRole") => Reply::xml(200, ASSUMED),
        _ => Reply::xml(200, IDENTITY),
    })
    .await;
    let checkup = checkup(&stub, Some("arn:aws:iam::123456789012:role/drawbridge-target")).await;
    let own = checkup.who(None).await.expect("an identity");
    assert_eq!((own.account.as_str(), stub.seen().len()), ("111122223333", 1));
    checkup.who(Some("prod")).await.expect("an identity");
    let seen = stub.seen();
    assert!(seen.iter().any(|seen| seen.field("ExternalId").as_deref() == Some("agreed")));
    assert!(seen.last().expect("a call").header("authorization").contains("ASIATARGET"));
}

#[tokio::test]
async fn a_role_that_cannot_be_taken_on_says_that_access_is_denied() {
    let denied = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
        <Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/a is not authorized to perform: sts:AssumeRole \
        on resource: b</Message></Error><RequestId>r</RequestId></ErrorResponse>";
    let stub = Stub::answering(move |_: &Seen| Reply::xml(403, denied)).await;
    let checkup = checkup(&stub, Some("arn:aws:iam::123456789012:role/drawbridge-target")).await;
    let trouble = checkup.who(Some("prod")).await.expect_err("denied");
    assert_eq!(trouble.kind, TroubleKind::NoCredentials);
    assert!(trouble.text.contains("AccessDenied"), "{}", trouble.text);
}

#[tokio::test]
async fn the_clock_is_compared_with_the_date_of_an_answer() {
    // The stub's server dates its answers by the machine's clock, which is far from this hand-set one.
    let stub = Stub::answering(|_: &Seen| Reply::ec2_error(412, "DryRunOperation")).await;
    let access = AwsAccess::with_static_credentials(&stub.url, "AKIATEST", "secret").await;
    let clock = HandSetClock::at("2001-01-01T00:00:00Z");
    let slow = AwsCheckup::with(&access, &[account(None)], clock).await;
    let behind = slow.clock_ahead(&place()).await.expect("a date");
    assert!(behind < SignedDuration::from_hours(-24 * 365), "{behind}");
    let right = AwsCheckup::with(&access, &[account(None)], Arc::new(crate::clock::SystemClock)).await;
    assert_eq!(right.clock_ahead(&place()).await, Ok(SignedDuration::ZERO));
}

#[test]
fn the_second_that_a_date_leaves_open_is_nobodys_fault() {
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    let date = at("2026-11-22T10:00:00Z");
    assert_eq!(ahead(at("2026-11-22T10:00:00.9Z"), at("2026-11-22T10:00:01.5Z"), date), SignedDuration::ZERO);
    assert_eq!(ahead(at("2026-11-22T10:00:41Z"), at("2026-11-22T10:00:42Z"), date).as_secs(), 40);
    assert_eq!(ahead(at("2026-11-22T09:59:00Z"), at("2026-11-22T09:59:01Z"), date).as_secs(), -59);
}

#[tokio::test]
async fn the_hop_limit_of_the_own_instance_is_read() {
    let stub = Stub::answering(|_: &Seen| {
        let options = "<metadataOptions><state>applied</state><httpTokens>required</httpTokens>\
            <httpPutResponseHopLimit>2</httpPutResponseHopLimit></metadataOptions>";
        let item = format!("<item><instanceId>{RUNNING}</instanceId>{options}</item>");
        let text = format!(
            "<DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><reservationSet><item>\
             <instancesSet>{item}</instancesSet></item></reservationSet></DescribeInstancesResponse>"
        );
        Reply::xml(200, text)
    })
    .await;
    let here = WhereWeRun {
        instance: InstanceId::parse(RUNNING).expect("an id"),
        region: "eu-central-1".to_owned(),
    };
    let options = checkup(&stub, None).await.metadata_options(&here).await;
    assert_eq!(options, Ok(MetadataOptions { hop_limit: 2, token_required: true }));
    assert!(stub.seen()[0].header("authorization").contains("/eu-central-1/ec2/"));
}
