//! The inventory of one account and region, from DescribeInstances.

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::describe_instances::paginator::DescribeInstancesPaginator;
use aws_sdk_ec2::operation::describe_instances::{DescribeInstancesError, DescribeInstancesOutput};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::access::PlaceClients;
use super::fault::Fault;
use super::images::ImageNames;
use super::instances::{PortRule, targets};
use super::question::{Question, questions};
use crate::domain::{Target, TargetRef};
use crate::target::{Place, Source, SourceError, SourceErrorKind};
use crate::tasks::BoxFuture;

const ACTION: &str = "ec2:DescribeInstances";
/// EC2's largest page. One call without paging and filters draws from a smaller bucket.
const PAGE_SIZE: i32 = 1000;
/// Where more machines than this share a name, one more would help nobody.
const LOOKUP_MAX: usize = 1000;
/// The longest that finding image names may hold up a list.
const IMAGES_TIMEOUT: Duration = Duration::from_secs(10);

/// The instances of one account in one region. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ec2Source {
    place: Place,
    client: Client,
    port_rule: PortRule,
    images: ImageNames,
}

impl Ec2Source {
    /// The instances of the place that `clients` are for.
    #[must_use]
    pub fn new(clients: &PlaceClients, port_rule: PortRule) -> Self {
        let images = ImageNames::new(clients.ec2.clone());
        Self { place: clients.place.clone(), client: clients.ec2.clone(), port_rule, images }
    }

    async fn list_pages(&self, at_most: usize) -> Result<Vec<Target>, SourceError> {
        let mut pages = self.pages(&Question::Everything).send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Fault::of(&error).into_source_error(ACTION))?;
            self.add(&mut found, page);
            if found.len() > at_most {
                let text =
                    format!("{} holds more instances than the {at_most} that there is room for", self.place);
                return Err(SourceError::new(SourceErrorKind::TooMany, text));
            }
        }
        self.name_images(&mut found).await;
        Ok(found)
    }

    async fn look_up(&self, wanted: &TargetRef) -> Result<Vec<Target>, SourceError> {
        let mut found = Vec::new();
        for question in questions(wanted.as_str()) {
            let mut pages = self.pages(&question).send();
            while let Some(page) = pages.next().await {
                match page {
                    Ok(page) => self.add(&mut found, page),
                    Err(error) => nothing_if_no_such_id(&error)?,
                }
                if found.len() > LOOKUP_MAX {
                    break;
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        self.name_images(&mut found).await;
        Ok(found)
    }

    fn pages(&self, question: &Question) -> DescribeInstancesPaginator {
        let ids = question.instance_ids();
        // EC2 refuses a page size together with ids.
        let page_size = if ids.is_none() { Some(PAGE_SIZE) } else { None };
        self.client
            .describe_instances()
            .set_instance_ids(ids)
            .set_filters(Some(question.filters()))
            .set_max_results(page_size)
            .into_paginator()
    }

    fn add(&self, found: &mut Vec<Target>, page: DescribeInstancesOutput) {
        for reservation in page.reservations.unwrap_or_default() {
            found.extend(targets(&self.place, &self.port_rule, reservation));
        }
    }

    /// Names are a convenience (they tell the default login): a list does not fail for them.
    async fn name_images(&self, found: &mut [Target]) {
        if tokio::time::timeout(IMAGES_TIMEOUT, self.images.learn(found)).await.is_err() {
            debug!(place = %self.place, "image names took too long; going on without");
        }
        self.images.apply(found);
    }
}

type Failure = SdkError<DescribeInstancesError, HttpResponse>;

/// An id that does not exist, or was never one, is an answer and no failure.
fn nothing_if_no_such_id(error: &Failure) -> Result<(), SourceError> {
    let fault = Fault::of(error);
    let no_such_id = fault.code.as_deref().is_some_and(|code| code.starts_with("InvalidInstanceID"));
    if no_such_id { Ok(()) } else { Err(fault.into_source_error(ACTION)) }
}

impl Source for Ec2Source {
    fn place(&self) -> &Place {
        &self.place
    }

    /// Pages are parsed on a thread for blocking work: each costs tens of milliseconds of CPU,
    /// for which other people's keystrokes would have to wait on a worker of the runtime.
    fn list(&self, at_most: usize) -> BoxFuture<'_, Result<Vec<Target>, SourceError>> {
        let source = self.clone();
        let dropped = CancellationToken::new();
        let guard = dropped.clone().drop_guard();
        let runtime = tokio::runtime::Handle::current();
        let pages = tokio::task::spawn_blocking(move || {
            runtime.block_on(dropped.run_until_cancelled(source.list_pages(at_most)))
        });
        Box::pin(async move {
            let _ends_the_thread_when_dropped = guard;
            let stopped = || SourceError::new(SourceErrorKind::Other, "the refresh was interrupted");
            pages.await.ok().flatten().unwrap_or_else(|| Err(stopped()))
        })
    }

    fn lookup<'a>(&'a self, wanted: &'a TargetRef) -> BoxFuture<'a, Result<Vec<Target>, SourceError>> {
        Box::pin(self.look_up(wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::aws::testing::{Reply, Seen, Stub, clients, instance_xml, page_xml};
    use crate::clock::HandSetClock;
    use crate::target::{Inventory, Resolution, Settings};

    use crate::aws::question::STATES;

    async fn source(stub: &Stub) -> Ec2Source {
        Ec2Source::new(&clients(&stub.url).await, PortRule::default())
    }

    fn is_images(seen: &Seen) -> bool {
        seen.body.contains("Action=DescribeImages")
    }

    const IMAGES: &str = r#"<DescribeImagesResponse><imagesSet><item><imageId>ami-1</imageId>
        <name>ubuntu/images/noble-24.04</name></item></imagesSet></DescribeImagesResponse>"#;

    #[tokio::test]
    async fn all_pages_are_read_with_the_filter_and_images_are_named_once() {
        let stub = Stub::answering(|seen: &Seen| {
            if is_images(seen) {
                return Reply::xml(200, IMAGES);
            }
            let (number, next) = match seen.field("NextToken").as_deref() {
                None => (1, Some("two")),
                Some("two") => (2, Some("three")),
                Some(_) => (3, None),
            };
            Reply::xml(200, page_xml(&[instance_xml(number, "")], next))
        })
        .await;
        let source = source(&stub).await;
        let targets = source.list(10).await.expect("three pages");
        assert_eq!(targets.iter().map(Target::display_name).collect::<Vec<_>>(), ["web-1", "web-2", "web-3"]);
        let names: Vec<_> = targets.iter().map(|target| target.image_name.as_deref()).collect();
        assert_eq!(names, [Some("ubuntu/images/noble-24.04"); 3]);
        source.list(10).await.expect("three pages again");
        let seen = stub.seen();
        assert_eq!(seen.iter().filter(|seen| is_images(seen)).count(), 1);
        let first = &seen[0];
        assert_eq!(first.field("MaxResults").as_deref(), Some("1000"));
        assert_eq!(first.field("Filter.1.Name").as_deref(), Some("instance-state-name"));
        let states: Vec<_> = (1..=4).filter_map(|n| first.field(&format!("Filter.1.Value.{n}"))).collect();
        assert_eq!(states, STATES);
    }

    #[tokio::test]
    async fn fields_become_a_target() {
        let more = "<privateDnsName>ip-10-0-0-1.eu-west-1.compute.internal</privateDnsName>\
                    <placement><availabilityZone>eu-west-1b</availabilityZone></placement>\
                    <platformDetails>Linux/UNIX</platformDetails><vpcId>vpc-9</vpcId><subnetId>subnet-9</subnetId>";
        let stub = Stub::answering(move |seen: &Seen| {
            let known =
                if is_images(seen) { IMAGES.to_owned() } else { page_xml(&[instance_xml(1, more)], None) };
            Reply::xml(200, known)
        })
        .await;
        let targets = source(&stub).await.list(10).await.expect("a page");
        insta::assert_json_snapshot!(targets, @r#"
        [
          {
            "id": "i-00000000000000001",
            "name": "web-1",
            "account": "111122223333",
            "account_alias": "prod",
            "region": "eu-west-1",
            "availability_zone": "eu-west-1b",
            "vpc": "vpc-9",
            "subnet": "subnet-9",
            "image": "ami-1",
            "image_name": "ubuntu/images/noble-24.04",
            "platform": "Linux/UNIX",
            "private_ip": "10.0.0.1",
            "private_dns": "ip-10-0-0-1.eu-west-1.compute.internal",
            "port": 2222,
            "state": "running",
            "launch_time": null,
            "tags": {
              "Name": "web-1",
              "drawbridge:port": "2222"
            }
          }
        ]
        "#);
    }

    #[tokio::test]
    async fn without_ipv4_the_ipv6_address_is_dialled_and_without_either_nothing() {
        let item = |id: u32, address: &str| {
            format!(
                "<item><instanceId>i-{id:017x}</instanceId>{address}\
                 <instanceState><code>16</code><name>running</name></instanceState></item>"
            )
        };
        let items = [
            item(1, "<ipv6Address>fd00::1</ipv6Address>"),
            item(
                2,
                "<networkInterfaceSet><item><ipv6AddressesSet><item><ipv6Address>fd00::2</ipv6Address></item>\
                 </ipv6AddressesSet></item></networkInterfaceSet>",
            ),
            item(3, ""),
        ];
        let stub = Stub::answering(move |_: &Seen| Reply::xml(200, page_xml(&items, None))).await;
        let targets = source(&stub).await.list(10).await.expect("a page");
        let addresses: Vec<_> = targets.iter().map(|target| target.private_ip.to_string()).collect();
        assert_eq!(addresses, ["fd00::1", "fd00::2"]);
    }

    #[tokio::test]
    async fn the_addresses_of_every_interface_are_the_instance_s() {
        let private = |address: &str| format!("<item><privateIpAddress>{address}</privateIpAddress></item>");
        let interface = |own: &[&str], v6: &str| {
            let all: String = own.iter().map(|address| private(address)).collect();
            format!(
                "<item><privateIpAddress>{}</privateIpAddress><privateIpAddressesSet>{all}</privateIpAddressesSet>\
                 <ipv6AddressesSet><item><ipv6Address>{v6}</ipv6Address></item></ipv6AddressesSet></item>",
                own[0]
            )
        };
        let item = format!(
            "<item><instanceId>i-00000000000000001</instanceId><privateIpAddress>10.0.0.1</privateIpAddress>\
             <instanceState><code>16</code><name>running</name></instanceState>\
             <networkInterfaceSet>{}{}</networkInterfaceSet></item>",
            interface(&["10.0.0.1", "10.0.0.11"], "fd00::1"),
            interface(&["10.0.7.1"], "fd00:7::1"),
        );
        let stub =
            Stub::answering(move |_: &Seen| Reply::xml(200, page_xml(std::slice::from_ref(&item), None)))
                .await;
        let targets = source(&stub).await.list(10).await.expect("a page");
        let addresses: Vec<_> = targets[0].addresses().map(|address| address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1", "10.0.0.11", "10.0.7.1", "fd00::1", "fd00:7::1"]);
    }

    #[tokio::test]
    async fn a_name_that_could_steer_a_terminal_is_no_name() {
        let item = instance_xml(1, "").replace("<value>web-1</value>", "<value>web&#27;[2J</value>");
        let stub =
            Stub::answering(move |_: &Seen| Reply::xml(200, page_xml(std::slice::from_ref(&item), None)))
                .await;
        let targets = source(&stub).await.list(10).await.expect("a page");
        assert_eq!((targets[0].tags["Name"].as_str(), targets[0].name.as_deref()), ("web\u{1b}[2J", None));
    }

    #[tokio::test]
    async fn a_missing_permission_for_images_is_harmless_and_not_asked_for_again() {
        let stub = Stub::answering(|seen: &Seen| {
            if is_images(seen) {
                Reply::ec2_error(403, "UnauthorizedOperation")
            } else {
                Reply::xml(200, page_xml(&[instance_xml(1, "")], None))
            }
        })
        .await;
        let source = source(&stub).await;
        for _ in 0..3 {
            assert_eq!(source.list(10).await.expect("a page")[0].image_name, None);
        }
        assert_eq!(stub.seen().iter().filter(|seen| is_images(seen)).count(), 1);
    }

    #[tokio::test]
    async fn a_failing_page_leaves_the_old_copy_whole() {
        let mut listings = 0;
        let stub = Stub::answering(move |seen: &Seen| {
            listings += u32::from(!is_images(seen) && seen.field("NextToken").is_none());
            match (seen.field("NextToken").as_deref(), listings) {
                _ if is_images(seen) => Reply::xml(200, IMAGES),
                (None, _) => Reply::xml(200, page_xml(&[instance_xml(1, "")], Some("two"))),
                (Some("two"), _) => Reply::xml(200, page_xml(&[instance_xml(2, "")], Some("three"))),
                (Some(_), 1) => Reply::xml(200, page_xml(&[instance_xml(3, "")], None)),
                (Some(_), _) => Reply::ec2_error(403, "UnauthorizedOperation"),
            }
        })
        .await;
        let source: Arc<dyn Source> = Arc::new(source(&stub).await);
        let inventory = Inventory::new(
            vec![Arc::clone(&source)],
            Settings::default(),
            HandSetClock::at("2026-11-22T10:00:00Z"),
        );
        inventory.first_refresh().await;
        assert_eq!(inventory.all().len(), 3);
        inventory.first_refresh().await;
        let failure = source.list(10).await.expect_err("page three is denied");
        assert_eq!(failure.kind, SourceErrorKind::Denied { action: ACTION });
        assert_eq!(inventory.all().len(), 3);
        let wanted = TargetRef::parse("web-3").expect("a reference");
        assert!(matches!(inventory.resolve(&wanted).await, Resolution::Found(_)));
    }

    #[tokio::test]
    async fn failures_have_their_kinds() {
        let table = [
            (Reply::html(200, "<html><p>Sign in to the hotel's network"), SourceErrorKind::BadAnswer),
            (
                Reply::xml(200, "<DescribeInstancesResponse><reservationSet><item>"),
                SourceErrorKind::BadAnswer,
            ),
            (Reply::xml(200, ""), SourceErrorKind::BadAnswer),
            (Reply::ec2_error(503, "RequestLimitExceeded"), SourceErrorKind::Throttled),
            (Reply::ec2_error(401, "AuthFailure"), SourceErrorKind::Denied { action: ACTION }),
            (Reply::ec2_error(500, "InternalError"), SourceErrorKind::Other),
        ];
        for (reply, kind) in table {
            let what = format!("{} {}", reply.status, reply.body);
            let stub = Stub::answering(move |_: &Seen| reply.clone()).await;
            let failure = source(&stub).await.list(10).await.expect_err(&what);
            assert_eq!(failure.kind, kind, "{what}: {failure}");
        }
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_ends_the_paging() {
        let stub = Stub::answering(|_: &Seen| {
            Reply::xml(200, page_xml(&[instance_xml(1, ""), instance_xml(2, "")], Some("for ever")))
        })
        .await;
        let failure = source(&stub).await.list(3).await.expect_err("too many");
        assert_eq!(failure.kind, SourceErrorKind::TooMany);
        assert_eq!(stub.seen().len(), 2);
    }

    #[tokio::test]
    async fn look_ups_ask_by_id_tag_and_address_and_a_missing_id_is_no_failure() {
        let stub = Stub::answering(|seen: &Seen| {
            if seen.field("InstanceId.1").as_deref() == Some("i-00000000000000009") {
                Reply::ec2_error(400, "InvalidInstanceID.NotFound")
            } else if is_images(seen) {
                Reply::xml(200, IMAGES)
            } else {
                Reply::xml(200, page_xml(&[instance_xml(1, "")], None))
            }
        })
        .await;
        let source = source(&stub).await;
        let lookup = async |text: &str| source.lookup(&TargetRef::parse(text).expect("a reference")).await;
        assert_eq!(lookup("i-00000000000000009").await, Ok(Vec::new()));
        assert_eq!(lookup("*").await, Ok(Vec::new()));
        for name in ["i-00000000000000001", "Web-1", "10.0.0.1"] {
            assert_eq!(lookup(name).await.expect("an answer").len(), 1, "{name}");
        }
        let seen = stub.seen();
        let asked: Vec<_> = seen.iter().filter(|seen| !is_images(seen)).collect();
        assert_eq!(asked.len(), 4, "a wildcard is never asked for");
        assert!(asked.iter().all(|seen| seen.body.contains("instance-state-name")));
        assert_eq!(asked[1].field("InstanceId.1").as_deref(), Some("i-00000000000000001"));
        assert!(asked[1].field("MaxResults").is_none(), "not together with ids");
        assert!(asked[2].body.contains("tag%3AName") && asked[2].body.contains("web-1"));
        assert!(asked[3].body.contains("private-ip-address"));
    }

    /// Prints what a refresh of 10,000 instances costs: run it by hand with
    /// `cargo test --lib ten_thousand -- --ignored --nocapture`.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "a measurement, not a check"]
    async fn ten_thousand_instances() {
        let pages: Vec<String> = (0..10)
            .map(|page| {
                let items: Vec<_> =
                    (page * 1000..page * 1000 + 1000).map(crate::aws::testing::big_instance_xml).collect();
                page_xml(&items, (page < 9).then(|| (page + 1).to_string()).as_deref())
            })
            .collect();
        let bytes: usize = pages.iter().map(String::len).sum();
        let stub = Stub::answering(move |seen: &Seen| {
            let page = seen.field("NextToken").and_then(|token| token.parse().ok()).unwrap_or(0_usize);
            if is_images(seen) { Reply::xml(200, IMAGES) } else { Reply::xml(200, pages[page].clone()) }
        })
        .await;
        let sources = vec![Arc::new(source(&stub).await) as Arc<dyn Source>];
        let inventory =
            Inventory::new(sources, Settings::default(), HandSetClock::at("2026-11-22T10:00:00Z"));
        let before = resident_kib();
        for round in 1..=10 {
            let started = std::time::Instant::now();
            inventory.first_refresh().await;
            let took = started.elapsed();
            println!("refresh {round}: {took:?}, {} kB resident (before: {before} kB)", resident_kib());
        }
        println!("{} instances, {} MB of XML", inventory.all().len(), bytes / 1_000_000);
        let wanted = TargetRef::parse("web-9999.prod").expect("a reference");
        let started = std::time::Instant::now();
        for _ in 0..10_000 {
            assert!(matches!(inventory.resolve(&wanted).await, Resolution::Found(_)));
        }
        println!("a resolution: {:?}", started.elapsed() / 10_000);
    }

    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }
}
