//! The look-alike as the real AWS SDK sees it.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::Filter;
use aws_sdk_ec2instanceconnect::operation::send_ssh_public_key::SendSSHPublicKeyError as PushError;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::world::tests::world_of;
use super::{Denials, Faults, LookAlike, World};
use crate::clock::HandSetClock;

pub(super) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

pub(super) struct Lab {
    pub(super) world: Arc<World>,
    clock: Arc<HandSetClock>,
    faults: Faults,
    pub(super) denials: Denials,
    endpoint: String,
    _running: DropGuard,
}

impl Lab {
    pub(super) async fn with_instances(count: u8) -> Self {
        Self::with_world(count, |_| ()).await
    }

    pub(super) async fn with_world(count: u8, change: impl FnOnce(&mut World)) -> Self {
        let clock = HandSetClock::at("2026-11-22T08:00:00Z");
        let mut world = world_of(count, clock.clone());
        change(&mut world);
        let world = Arc::new(world);
        let faults = Faults::default();
        let any = "127.0.0.1:0".parse().expect("an address");
        let look_alike = LookAlike::bind(any, world.clone(), faults.clone()).await.expect("bound");
        let denials = Denials::default();
        let look_alike = look_alike.denying(denials.clone());
        let endpoint = look_alike.endpoint_url();
        let shutdown = CancellationToken::new();
        tokio::spawn(look_alike.serve(shutdown.clone()));
        Self { world, clock, faults, denials, endpoint, _running: shutdown.drop_guard() }
    }

    pub(super) fn sdk(&self, region: &str, access_key: &str) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(&self.endpoint)
            .retry_config(RetryConfig::disabled())
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                Credentials::new(access_key, "secret", None, None, "test"),
            ))
            .build()
    }

    pub(super) fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.sdk("eu-west-1", "AKIATEST"))
    }

    pub(super) fn sts(&self) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::new(&self.sdk("eu-west-1", "AKIATEST"))
    }

    pub(super) async fn push(
        &self,
        id: &str,
        login: &str,
        key: &str,
        zone: Option<&str>,
    ) -> Result<String, PushError> {
        let client = aws_sdk_ec2instanceconnect::Client::new(&self.sdk("eu-west-1", "AKIATEST"));
        let push = client
            .send_ssh_public_key()
            .instance_id(id)
            .instance_os_user(login)
            .ssh_public_key(key)
            .set_availability_zone(zone.map(str::to_owned));
        let answer =
            push.send().await.map_err(aws_sdk_ec2instanceconnect::error::SdkError::into_service_error)?;
        assert!(answer.success());
        Ok(answer.request_id().expect("a request id").to_owned())
    }

    pub(super) fn id(&self, at: usize) -> String {
        self.world.instances[at].id.to_string()
    }
}

pub(super) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

async fn names(client: &aws_sdk_ec2::Client, filters: Vec<Filter>) -> Result<Vec<String>, String> {
    let answer = client.describe_instances().set_filters(Some(filters)).send().await;
    let answer = answer.map_err(|error| error.into_service_error().code().unwrap_or("no code").to_owned())?;
    let instances = answer.reservations().iter().flat_map(|reservation| reservation.instances());
    Ok(instances.filter_map(|instance| instance.tags()[0].value().map(str::to_owned)).collect())
}

#[tokio::test]
async fn instances_come_in_pages_with_all_their_fields() {
    let lab = Lab::with_instances(12).await;
    let mut pages = lab.ec2().describe_instances().into_paginator().page_size(5).send();
    let mut sizes = Vec::new();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page");
        sizes.push(page.reservations().len());
        assert!(page.reservations().iter().all(|reservation| reservation.owner_id() == Some("111122223333")));
        all.extend(page.reservations().iter().flat_map(|reservation| reservation.instances().to_vec()));
    }
    assert_eq!(sizes, [5, 5, 2]);
    let last = all.last().expect("an instance");
    assert_eq!(last.instance_id(), Some("i-0123456789abcde0b"));
    assert_eq!(last.private_ip_address(), Some("10.0.0.11"));
    assert_eq!(last.private_dns_name(), Some("ip-10-0-0-11.eu-west-1.compute.internal"));
    assert_eq!(last.vpc_id(), Some("vpc-0d1e2f"));
    assert_eq!(last.subnet_id(), Some("subnet-0a1b2c"));
    assert_eq!(last.image_id(), Some("ami-0a11ce00000000001"));
    assert_eq!(last.platform_details(), Some("Linux/UNIX"));
    assert_eq!(last.placement().and_then(|placement| placement.availability_zone()), Some("eu-west-1a"));
    let state = last.state().and_then(|state| state.name()).map(|name| name.as_str());
    assert_eq!(state, Some("running"));
    assert_eq!((last.tags()[0].key(), last.tags()[0].value()), (Some("Name"), Some("n-11")));
}

#[tokio::test]
async fn filters_select_and_unknown_ones_are_errors() {
    let lab = Lab::with_world(4, |world| {
        world.instances[1].state = "stopped".to_owned();
        world.instances[2].vpc = "vpc-other".to_owned();
        world.instances[3].tags.insert("team".to_owned(), "<red & blue>".to_owned());
    })
    .await;
    let client = lab.ec2();
    let found = async |filters| names(&client, filters).await;
    assert_eq!(
        found(vec![filter("instance-state-name", "running")]).await.expect("ok"),
        ["n-0", "n-2", "n-3"]
    );
    assert_eq!(found(vec![filter("vpc-id", "vpc-other")]).await.expect("ok"), ["n-2"]);
    assert_eq!(found(vec![filter("tag:team", "<red & blue>")]).await.expect("ok"), ["n-3"]);
    assert_eq!(found(vec![filter("tag:Name", "n-?")]).await.expect("ok").len(), 4);
    assert_eq!(found(vec![filter("private-ip-address", "10.0.0.1")]).await.expect("ok"), ["n-1"]);
    let dns = filter("private-dns-name", "ip-10-0-0-3.*");
    assert_eq!(found(vec![dns, filter("vpc-id", "vpc-0d1e2f")]).await.expect("ok"), ["n-3"]);
    assert_eq!(found(vec![filter("colour", "red")]).await, Err("InvalidParameterValue".to_owned()));
}

#[tokio::test]
async fn other_regions_and_accounts_have_their_own_instances() {
    let lab = Lab::with_world(2, |world| {
        world.instances[0].region = "us-east-1".to_owned();
        world.instances[1].account = "444455556666".to_owned();
    })
    .await;
    let role = lab.sts().assume_role().role_arn("arn:aws:iam::444455556666:role/bastion-target");
    let assumed = role.role_session_name("drawbridge").external_id("x-1").send().await.expect("assumed");
    let key = assumed.credentials().expect("credentials").access_key_id();
    let other_account = aws_sdk_ec2::Client::new(&lab.sdk("eu-west-1", key));
    assert_eq!(names(&other_account, vec![]).await.expect("ok"), ["n-1"]);
    let other_region = aws_sdk_ec2::Client::new(&lab.sdk("us-east-1", "AKIATEST"));
    assert_eq!(names(&other_region, vec![]).await.expect("ok"), ["n-0"]);
    let identity = aws_sdk_sts::Client::new(&lab.sdk("eu-west-1", key)).get_caller_identity().send().await;
    assert_eq!(identity.expect("an identity").account(), Some("444455556666"));
}

#[tokio::test]
async fn instances_and_images_that_do_not_exist_are_named() {
    let lab = Lab::with_instances(1).await;
    let code = async |id: &str| {
        let error =
            lab.ec2().describe_instances().instance_ids(id).send().await.expect_err("no such instance");
        error.into_service_error().code().map(str::to_owned)
    };
    assert_eq!(code("i-0123456789abcdeff").await.as_deref(), Some("InvalidInstanceID.NotFound"));
    assert_eq!(code("../../etc").await.as_deref(), Some("InvalidInstanceID.Malformed"));
    let images = lab.ec2().describe_images().image_ids("ami-0a11ce00000000002").send().await.expect("images");
    let name = images.images()[0].name().expect("a name");
    assert!(name.starts_with("ubuntu/images/"), "{name}");
    let error = lab.ec2().describe_images().image_ids("ami-none").send().await.expect_err("no such image");
    assert_eq!(error.into_service_error().code(), Some("InvalidAMIID.NotFound"));
}

#[tokio::test]
async fn the_console_shows_the_host_key() {
    let lab = Lab::with_world(1, |world| world.instances[0].host_key = Some(KEY.to_owned())).await;
    let output = lab.ec2().get_console_output().instance_id(lab.id(0)).send().await.expect("output");
    let text = data_encoding::BASE64.decode(output.output().expect("text").as_bytes()).expect("base64");
    assert!(String::from_utf8_lossy(&text).contains(KEY));
}

#[tokio::test]
async fn a_pushed_key_is_stored_and_expires() {
    let lab = Lab::with_instances(1).await;
    let request_id = lab.push(&lab.id(0), "ec2-user", KEY, Some("eu-west-1a")).await.expect("pushed");
    assert_eq!(request_id.len(), 36);
    let blob = ssh_key::PublicKey::from_openssh(KEY).expect("a key").to_bytes().expect("a blob");
    let id = &lab.world.instances[0].id;
    assert!(lab.world.lets_in(id, "ec2-user", &blob));
    lab.clock.advance(Duration::from_secs(60));
    assert!(!lab.world.lets_in(id, "ec2-user", &blob));
}

#[tokio::test]
async fn each_modelled_refusal_of_a_push_arrives_as_its_own_error() {
    let lab = Lab::with_world(3, |world| {
        world.instances[1].state = "stopped".to_owned();
        world.instances[2].state = "pending".to_owned();
    })
    .await;
    let [running, stopped, pending] = [0, 1, 2].map(|at| lab.id(at));
    let push = async |id: &str, login: &str, key: &str, zone| {
        lab.push(id, login, key, zone).await.expect_err("refused")
    };
    let unknown = "i-0123456789abcdeff";
    assert!(push(unknown, "ec2-user", KEY, None).await.is_ec2_instance_not_found_exception());
    assert!(push(&running, "ec2-user", KEY, Some("eu-west-1b")).await.is_ec2_instance_not_found_exception());
    assert!(push(&stopped, "ec2-user", KEY, None).await.is_ec2_instance_state_invalid_exception());
    assert!(push(&pending, "ec2-user", KEY, None).await.is_ec2_instance_unavailable_exception());
    assert!(push(&running, "no blanks", KEY, None).await.is_invalid_args_exception());
    assert!(push(&running, "ec2-user", "ssh-ed25519 AAAA", None).await.is_invalid_args_exception());
    assert!(push("web-1", "ec2-user", KEY, None).await.is_invalid_args_exception());
}

#[tokio::test]
async fn faults_can_be_switched_on_and_off_over_http() {
    let lab = Lab::with_instances(1).await;
    let code = async || names(&lab.ec2(), vec![]).await;
    lab.control(r#"{"ec2":{"throttle":true},"eic":{"throttle":true}}"#).await;
    assert_eq!(code().await, Err("RequestLimitExceeded".to_owned()));
    let id = lab.id(0);
    let push = async || lab.push(&id, "ec2-user", KEY, None).await;
    assert!(push().await.expect_err("throttled").is_throttling_exception());
    lab.control(r#"{"ec2":{"status":502},"eic":{"status":500}}"#).await;
    assert_eq!(code().await, Err("InternalError".to_owned()));
    assert!(push().await.expect_err("down").is_service_exception());
    lab.control(r#"{"eic":{"error":"AuthException"}}"#).await;
    assert!(push().await.expect_err("denied").is_auth_exception());
    lab.control(r#"{"garbage":true}"#).await;
    assert_eq!(code().await, Err("no code".to_owned()));
    assert!(push().await.is_err());
    lab.control("{}").await;
    assert_eq!(code().await.expect("healthy"), ["n-0"]);
    assert!(push().await.is_ok());
}

#[tokio::test]
async fn slowness_lasts_as_long_as_it_is_told() {
    let lab = Lab::with_instances(1).await;
    lab.faults.set(r#"{"sts":{"delay_ms":600000}}"#).expect("a plan");
    let sts = lab.sts();
    let slow = sts.get_caller_identity().send();
    let answered = tokio::time::timeout(Duration::from_millis(200), slow).await;
    assert!(answered.is_err(), "an answer came at once");
    assert_eq!(names(&lab.ec2(), vec![]).await.expect("the others are quick"), ["n-0"]);
}

#[tokio::test]
async fn a_request_without_authorization_is_refused() {
    let lab = Lab::with_instances(1).await;
    let answer = lab.http("POST / HTTP/1.1", "Action=DescribeInstances&Version=2016-11-15").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("<Code>AuthFailure</Code>"), "{answer}");
}

impl Lab {
    async fn control(&self, faults: &str) {
        let answer = self.http("POST /_faults HTTP/1.1", faults).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }

    /// One bare request, as `curl` would make it.
    pub(super) async fn http(&self, first_line: &str, body: &str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let addr = self.endpoint.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(addr).await.expect("connected");
        let length = body.len();
        let request = format!(
            "{first_line}\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }
}
