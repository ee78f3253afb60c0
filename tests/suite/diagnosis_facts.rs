//! What a survey finds out about the network of an AWS that others wrote.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drawbridge::aws::{AssumeRole, AwsAccess, Ec2Source, PlaceClients, PortRule, Survey, SurveySettings};
use drawbridge::clock::SystemClock;
use drawbridge::diagnose::{
    AclEntry, Direction, Facts, Gap, GapReason, Grouped, Known, NetworkEnd, Peer, Peering, PortRange,
    Protocol, Route, RouteVia, Rule, Surveyor,
};
use drawbridge::domain::{InstanceId, Target, TargetRef};
use drawbridge::target::{Place, Source};
use serde_json::{Value, json};

use crate::support::Supervisor;

/// Long enough for every answer, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// An account with a network, and who surveys it.
struct World {
    account: Value,
    network: Value,
    aws: AwsAccess,
    clients: PlaceClients,
    survey: Survey,
}

impl World {
    async fn new() -> Self {
        let lab = Supervisor::get();
        let account = lab.aws("account", json!({}));
        let network = lab.aws("network", json!({"account": account["account"]}));
        let text = |key: &str| account[key].as_str().expect("text");
        let aws = AwsAccess::with_static_credentials(
            &lab.aws_url,
            text("access_key_id"),
            text("secret_access_key"),
        )
        .await;
        let place = Place { account_alias: "prod".to_owned(), region: text("region").to_owned() };
        let clients = aws.clients(place, None).await;
        let survey = survey(&clients, &aws, &network);
        Self { account, network, aws, clients, survey }
    }

    /// One that remembers nothing.
    fn survey_anew(&self) -> Survey {
        survey(&self.clients, &self.aws, &self.network)
    }

    /// An id, by where it is in what the lab made.
    fn id(&self, pointer: &str) -> String {
        let id = self.network.pointer(pointer).and_then(Value::as_str);
        id.unwrap_or_else(|| panic!("{pointer} in {:#}", self.network)).to_owned()
    }

    async fn target(&self, name: &str) -> Arc<Target> {
        let wanted = TargetRef::parse(&self.id(&format!("/instances/{name}"))).expect("an id");
        let source = Ec2Source::new(&self.clients, PortRule::default());
        let found = source.lookup(&wanted).await.expect("the lab answers");
        Arc::new(found.into_iter().next().expect("it is there"))
    }

    async fn facts(&self, name: &str) -> Facts {
        self.survey.survey(&self.target(name).await, PATIENCE).await
    }

    fn calls(&self) -> u64 {
        let calls = Supervisor::get().aws("calls", json!({"account": self.account["account"]}));
        calls["ec2"].as_u64().unwrap_or_default()
    }

    fn fault(&self, mode: Option<&str>) {
        let arguments = json!({"account": self.account["account"], "service": "ec2", "mode": mode});
        Supervisor::get().aws("fault", arguments);
    }
}

fn survey(clients: &PlaceClients, aws: &AwsAccess, network: &Value) -> Survey {
    let bastion = network["instances"]["bastion"].as_str().expect("an id");
    let settings = SurveySettings { bastion_instance: InstanceId::parse(bastion), call_max: PATIENCE };
    Survey::new(std::slice::from_ref(clients), aws, settings, Arc::new(SystemClock))
}

fn of<T: std::fmt::Debug>(known: &Known<T>) -> &T {
    known.get().unwrap_or_else(|| panic!("not known: {known:?}"))
}

fn networks(networks: impl IntoIterator<Item = impl std::fmt::Display>) -> Vec<String> {
    networks.into_iter().map(|network| network.to_string()).collect()
}

/// The rules of the only group of an end, in one direction.
fn rules(end: &NetworkEnd, direction: Direction) -> Vec<Rule> {
    let [group] = of(&end.groups).as_slice() else { panic!("one group: {:?}", end.groups) };
    group.rules.iter().filter(|rule| rule.direction == direction).cloned().collect()
}

fn ssh_from(id: String, peer: Peer) -> Rule {
    let ports = PortRange { from: 22, to: 22 };
    Rule { id, direction: Direction::In, protocol: Protocol::Tcp, ports, peer }
}

fn route(to: &str, via: RouteVia) -> Route {
    Route { to: Ok(to.parse().expect("a network")), via, active: true }
}

#[tokio::test]
async fn two_ends_in_one_vpc_are_known_field_by_field() {
    let world = World::new().await;
    let facts = world.facts("same").await;

    let instance = of(&facts.instance);
    assert_eq!((instance.state.as_str(), instance.platform.as_str()), ("running", ""));
    assert_eq!(instance.addresses, ["10.1.2.20".parse::<std::net::IpAddr>().expect("an address")]);
    assert!(!instance.metadata_enabled, "the lab switched it off");
    assert!(instance.launch_time.is_some());
    let status = of(&facts.status);
    assert_eq!((status.system.as_str(), status.instance.as_str()), ("ok", "ok"));
    assert_eq!(of(&facts.image).name, world.id("/image_name"));

    let bastion = of(&facts.bastion);
    assert_eq!(bastion.id, world.id("/instances/bastion"));
    assert_eq!(bastion.account, world.account["account"].as_str().expect("a number"));
    assert_eq!(bastion.region, "eu-west-1");
    assert_eq!(networks(&bastion.addresses), ["10.1.1.10"]);

    let (near, far) = (&facts.bastion_end, &facts.target_end);
    let vpc = world.id("/vpcs/near");
    assert_eq!((of(&near.vpc), of(&far.vpc)), (&vpc, &vpc));
    assert_eq!(of(&near.subnet), &world.id("/subnets/bastions"));
    assert_eq!(of(&far.subnet), &world.id("/subnets/targets"));
    assert_eq!(networks(of(&far.vpc_ranges)), ["10.1.0.0/16", "10.9.0.0/16"]);
    assert_eq!(far.vpc_ranges, near.vpc_ranges);
    guards_are_known(&world, near, far);
    roads_are_known(&world, near, far);

    let offices = of(&facts.prefix_lists[&world.id("/prefix_list")]);
    assert_eq!(networks(offices), ["192.0.2.0/24", "198.51.100.0/24"]);
    assert_eq!(of(&facts.peerings[&world.id("/peering")]).state, "active");
    let ahead = of(&facts.clock_ahead).abs();
    assert!(ahead < jiff::SignedDuration::from_mins(2), "one machine, one clock: {ahead:?}");
}

fn guards_are_known(world: &World, near: &NetworkEnd, far: &NetworkEnd) {
    let group = &of(&far.groups)[0];
    assert_eq!((group.id.as_str(), group.name.as_str()), (world.id("/groups/target").as_str(), "targets"));
    let from_bastions = Peer::Group(Grouped { group: world.id("/groups/bastion"), peering: None });
    let from_offices = Peer::PrefixList(world.id("/prefix_list"));
    let mut expected = vec![
        ssh_from(world.id("/rules/from_bastion"), from_bastions),
        ssh_from(world.id("/rules/from_offices"), from_offices),
    ];
    let mut found = rules(far, Direction::In);
    expected.sort_by(|one, other| one.id.cmp(&other.id));
    found.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(found, expected);
    let out = rules(near, Direction::Out);
    assert_eq!(out.len(), 1, "{out:?}");
    assert_eq!((out[0].protocol, out[0].ports), (Protocol::All, PortRange::ALL));
    assert_eq!(out[0].peer, Peer::Network("0.0.0.0/0".parse().expect("a network")));

    let acl = of(&far.acl);
    assert_eq!(acl.id, world.id("/acl"));
    let entry = |number, direction, protocol, (from, to), network: &str, allows| AclEntry {
        number,
        direction,
        protocol,
        ports: PortRange { from, to },
        network: network.parse().expect("a network"),
        allows,
    };
    let mut entries = acl.entries.clone();
    entries.sort_by_key(|entry| (entry.direction, entry.number));
    let expected = [
        entry(90, Direction::In, Protocol::All, (0, 65_535), "10.1.1.66/32", false),
        entry(100, Direction::In, Protocol::Tcp, (22, 22), "10.1.1.0/24", true),
        entry(100, Direction::Out, Protocol::Tcp, (1024, 65_535), "10.1.0.0/16", true),
    ];
    assert_eq!(entries, expected);
    assert_eq!(of(&near.acl).entries.len(), 4, "the VPC's default ACL: {:?}", near.acl);
}

fn roads_are_known(world: &World, near: &NetworkEnd, far: &NetworkEnd) {
    let main = of(&far.routes);
    assert_eq!(main.id, world.id(&format!("/main_tables/{}", world.id("/vpcs/near"))));
    assert!(main.is_main);
    let own = of(&near.routes);
    assert_eq!((own.id.clone(), own.is_main), (world.id("/table"), false));
    let expected = [
        route("10.1.0.0/16", RouteVia::Local),
        route("10.9.0.0/16", RouteVia::Local),
        route("10.2.0.0/16", RouteVia::Peering(world.id("/peering"))),
        route("10.3.0.0/16", RouteVia::TransitGateway(world.id("/gateway"))),
    ];
    assert_eq!(own.routes, expected);
}

#[tokio::test]
async fn what_joins_two_vpcs_is_known() {
    let world = World::new().await;
    let peered = world.facts("peered").await;
    let expected = Peering {
        state: "active".to_owned(),
        requester_vpc: world.id("/vpcs/near"),
        accepter_vpc: world.id("/vpcs/far"),
        same_region: true,
    };
    assert_eq!(peered.peerings, BTreeMap::from([(world.id("/peering"), Known::As(expected))]));
    let from_range = Peer::Network("10.1.0.0/16".parse().expect("a network"));
    let expected = [ssh_from(world.id("/rules/from_range"), from_range)];
    assert_eq!(rules(&peered.target_end, Direction::In), expected);

    let transit = world.facts("transit").await;
    assert_eq!(of(&transit.instance).state, "stopped");
    assert_eq!(of(&transit.status).instance, "not-applicable");
    let attached = &of(&transit.transits[&world.id("/gateway")]).attachments;
    let available = |vpc: &str| (world.id(vpc), "available".to_owned());
    assert_eq!(*attached, BTreeMap::from([available("/vpcs/near"), available("/vpcs/beyond")]));
    // A group without any rule is known to have none.
    let groups = of(&transit.target_end.groups);
    assert_eq!((groups.len(), groups[0].rules.len()), (1, 0));
}

/// The target's account is entered by a role, the bastion is in the account of the daemon's own credentials.
#[tokio::test]
async fn each_end_is_asked_about_in_its_own_account() {
    let lab = Supervisor::get();
    let world = World::new().await;
    let hub = lab.aws("account", json!({}));
    let bastion = json!({"account": hub["account"], "ip": "127.0.200.5", "tags": {"Name": "bastion"}});
    let bastion = lab.aws("instance", bastion);
    let role = lab.aws("role", json!({"account": world.account["account"]}));
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (id, secret) = (text(&hub["access_key_id"]), text(&hub["secret_access_key"]));
    let aws = AwsAccess::with_static_credentials(&lab.aws_url, &id, &secret).await;
    let role =
        AssumeRole { role_arn: text(&role["arn"]), external_id: None, session_name: "drawbridge".to_owned() };
    let place = Place { account_alias: "prod".to_owned(), region: "eu-west-1".to_owned() };
    let clients = aws.clients(place, Some(&role)).await;
    let settings =
        SurveySettings { bastion_instance: InstanceId::parse(&text(&bastion["id"])), call_max: PATIENCE };
    let survey = Survey::new(&[clients], &aws, settings, Arc::new(SystemClock));
    let facts = survey.survey(&world.target("same").await, PATIENCE).await;
    let known = of(&facts.bastion);
    assert_eq!((known.id.clone(), known.account.clone()), (text(&bastion["id"]), text(&hub["account"])));
    assert_eq!(facts.bastion_end.vpc, Known::As(text(&hub["vpc"])));
    assert_eq!(networks(of(&facts.bastion_end.vpc_ranges)), ["127.0.0.0/16"]);
    assert!(of(&facts.bastion_end.routes).is_main);
    assert_eq!(facts.target_end.vpc, Known::As(world.id("/vpcs/near")));
    assert_eq!(of(&facts.target_end.acl).id, world.id("/acl"));
}

#[tokio::test]
async fn nobody_asks_and_nothing_is_called_and_within_a_minute_nothing_is_asked_twice() {
    let world = World::new().await;
    let target = world.target("same").await;
    let before = world.calls();
    let survey = world.survey_anew();
    assert_eq!(world.calls(), before, "a survey that nobody asks for costs nothing");
    let first = survey.survey(&target, PATIENCE).await;
    let after = world.calls();
    // Instances (2), status, image, rules, ACLs, route tables (one own, two for the main one) and one each of
    // VPC, prefix list, peering and transit gateway.
    assert_eq!(after - before, 15, "calls of one survey");
    for _ in 0..3 {
        let mut again = survey.survey(&target, Duration::ZERO).await;
        again.asked_at = first.asked_at;
        assert_eq!(again, first, "what is remembered is there at once");
    }
    assert_eq!(world.calls(), after);
}

#[tokio::test]
async fn an_account_in_trouble_leaves_gaps_that_say_so() {
    let in_words = |text: &str| GapReason::Failed(text.to_owned());
    let troubles = [
        ("deny", GapReason::Denied),
        ("throttle", GapReason::Throttled),
        ("error", in_words("AWS reports a fault of its own")),
        ("garbage", in_words("the answer could not be understood")),
    ];
    let world = World::new().await;
    let target = world.target("same").await;
    for (mode, reason) in troubles {
        world.fault(Some(mode));
        let facts = world.survey_anew().survey(&target, PATIENCE).await;
        world.fault(None);
        let gap = |permission: &str| Gap::new(permission, reason.clone());
        assert_eq!(facts.instance, Known::Not(gap("ec2:DescribeInstances")), "{mode}");
        assert_eq!(facts.status, Known::Not(gap("ec2:DescribeInstanceStatus")), "{mode}");
        assert_eq!(facts.image, Known::Not(gap("ec2:DescribeImages")), "{mode}");
        assert_eq!(facts.bastion, Known::Not(gap("ec2:DescribeInstances")), "{mode}");
        assert_eq!(facts.target_end.groups, Known::Not(gap("ec2:DescribeInstances")), "{mode}");
        assert_eq!(facts.target_end.acl, Known::Not(gap("ec2:DescribeNetworkAcls")), "{mode}");
        assert_eq!(facts.target_end.vpc_ranges, Known::Not(gap("ec2:DescribeVpcs")), "{mode}");
        assert_eq!(facts.target_end.routes, Known::Not(gap("ec2:DescribeRouteTables")), "{mode}");
        assert_eq!(facts.target_end.vpc, Known::As(world.id("/vpcs/near")), "the inventory knows it");
    }
}

#[tokio::test]
async fn a_silent_account_costs_no_more_than_the_patience() {
    let world = World::new().await;
    let target = world.target("same").await;
    world.fault(Some("stall"));
    let facts = world.survey.survey(&target, Duration::from_millis(200)).await;
    world.fault(None);
    let gap = |permission: &str| Gap::new(permission, GapReason::Timeout);
    assert_eq!(facts.instance, Known::Not(gap("ec2:DescribeInstances")));
    assert_eq!(facts.status, Known::Not(gap("ec2:DescribeInstanceStatus")));
    assert_eq!(facts.target_end.acl, Known::Not(gap("ec2:DescribeNetworkAcls")));
    assert_eq!(facts.bastion, Known::Not(gap("ec2:DescribeInstances")));
}
