//! Networks and machines, as the real AWS SDK sees them.

use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{IpPermission, NetworkAclEntry, Route as SdkRoute, SecurityGroupRule};

use super::network::{
    AclEntry, Attachment, GroupRule, Network, NetworkAcl, PeeredVpc, Peering, PrefixList, Route, RouteTable,
    RulePeer, SecurityGroup, Subnet, Vpc,
};
use super::tests::{Lab, filter};
use super::{Image, World, WorldEvent};

const OTHER_ACCOUNT: &str = "444455556666";

/// A network with one of everything that can be told.
fn network() -> Network {
    let text = str::to_owned;
    Network {
        account: text("111122223333"),
        region: text("eu-west-1"),
        vpcs: vec![
            Vpc { id: text("vpc-a"), ranges: ["10.0.0.0/16", "100.64.0.0/16"].map(text).to_vec() },
            Vpc { id: text("vpc-b"), ranges: vec![text("10.1.0.0/16")] },
        ],
        subnets: vec![Subnet {
            id: text("subnet-a"),
            vpc: text("vpc-a"),
            availability_zone: text("eu-west-1a"),
            range: text("10.0.1.0/24"),
        }],
        groups: vec![SecurityGroup {
            id: text("sg-0a1b2c"),
            name: text("ssh & more"),
            vpc: text("vpc-a"),
            rules: rules(),
        }],
        acls: vec![NetworkAcl {
            id: text("acl-a"),
            vpc: text("vpc-a"),
            is_default: true,
            subnets: vec![text("subnet-a")],
            entries: vec![
                AclEntry::tcp(100, false, (22, 22), "10.0.0.0/16"),
                AclEntry { allows: false, range: text("2001:db8::/32"), ..AclEntry::all(90, true) },
            ],
        }],
        route_tables: vec![table("rtb-main", true, Vec::new()), table("rtb-a", false, routes())],
        prefix_lists: vec![PrefixList {
            id: text("pl-a"),
            entries: (0..250).map(|number| format!("10.9.{number}.0/24")).collect(),
        }],
        peerings: vec![Peering {
            id: text("pcx-a"),
            state: text("active"),
            requester: peered("vpc-a", "111122223333", "10.0.0.0/16"),
            accepter: peered("vpc-far", OTHER_ACCOUNT, "10.2.0.0/16"),
        }],
        attachments: vec![Attachment {
            id: text("tgw-attach-a"),
            transit_gateway: text("tgw-a"),
            vpc: text("vpc-far"),
            vpc_account: text(OTHER_ACCOUNT),
            state: text("available"),
        }],
    }
}

fn rules() -> Vec<GroupRule> {
    let ssh = |id: &str, peer| GroupRule::tcp_in(id, (22, 22), peer);
    vec![
        ssh("sgr-v4", RulePeer::Range("10.0.0.0/24".to_owned())),
        ssh("sgr-v6", RulePeer::Range("2001:db8::/64".to_owned())),
        ssh("sgr-list", RulePeer::PrefixList("pl-a".to_owned())),
        ssh("sgr-group", RulePeer::Group("sg-bastion".to_owned())),
        ssh(
            "sgr-peered",
            RulePeer::PeeredGroup {
                group: "sg-far".to_owned(),
                account: OTHER_ACCOUNT.to_owned(),
                vpc: "vpc-far".to_owned(),
                peering: "pcx-a".to_owned(),
            },
        ),
        GroupRule::all_out("sgr-out"),
    ]
}

fn table(id: &str, is_main: bool, routes: Vec<Route>) -> RouteTable {
    let subnets = if is_main { Vec::new() } else { vec!["subnet-a".to_owned()] };
    RouteTable { id: id.to_owned(), vpc: "vpc-a".to_owned(), is_main, subnets, routes }
}

fn routes() -> Vec<Route> {
    vec![
        Route::active("10.0.0.0/16", "local"),
        Route::active("0.0.0.0/0", "nat-a"),
        Route::active("::/0", "igw-a"),
        Route::active("pl-a", "vpce-a"),
        Route { is_active: false, ..Route::active("10.2.0.0/16", "pcx-a") },
        Route::active("10.3.0.0/16", "tgw-a"),
        Route::active("10.4.0.0/16", "eni-a"),
    ]
}

fn peered(vpc: &str, account: &str, range: &str) -> PeeredVpc {
    let [vpc, account, range] = [vpc, account, range].map(str::to_owned);
    PeeredVpc { vpc, account, region: "eu-west-1".to_owned(), range }
}

async fn lab(change: impl FnOnce(&mut World)) -> Lab {
    Lab::with_world(3, |world| {
        world.networks = vec![network()];
        change(world);
    })
    .await
}

/// Who the other side of a rule is, in the form with one element for each rule.
fn peer_of(rule: &SecurityGroupRule) -> String {
    let group = rule.referenced_group_info().map(|info| {
        let parts = [info.group_id(), info.user_id(), info.vpc_id(), info.vpc_peering_connection_id()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    });
    let plain = [rule.cidr_ipv4(), rule.cidr_ipv6(), rule.prefix_list_id()];
    plain.into_iter().flatten().map(str::to_owned).chain(group).collect::<Vec<_>>().join("|")
}

/// The same in the older form.
fn peer_in(permission: &IpPermission) -> String {
    let groups = permission.user_id_group_pairs().iter().map(|pair| {
        let parts = [pair.group_id(), pair.user_id(), pair.vpc_id(), pair.vpc_peering_connection_id()];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    });
    let v4 = permission.ip_ranges().iter().map(|range| range.cidr_ip().map(str::to_owned));
    let v6 = permission.ipv6_ranges().iter().map(|range| range.cidr_ipv6().map(str::to_owned));
    let lists = permission.prefix_list_ids().iter().map(|list| list.prefix_list_id().map(str::to_owned));
    v4.chain(v6).chain(lists).chain(groups).flatten().collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn both_forms_of_a_groups_rules_say_the_same() {
    let lab = lab(|_| ()).await;
    let by_rule =
        lab.ec2().describe_security_group_rules().filters(filter("group-id", "sg-0a1b2c")).send().await;
    let by_rule = by_rule.expect("rules");
    let seen: Vec<_> = by_rule.security_group_rules().iter().map(peer_of).collect();
    let expected = [
        "10.0.0.0/24",
        "2001:db8::/64",
        "pl-a",
        "sg-bastion 111122223333",
        "sg-far 444455556666 vpc-far pcx-a",
        "0.0.0.0/0",
    ];
    assert_eq!(seen, expected);
    let [first, .., last] = by_rule.security_group_rules() else { panic!("six rules") };
    assert_eq!(
        (first.security_group_rule_id(), first.is_egress(), first.ip_protocol()),
        (Some("sgr-v4"), Some(false), Some("tcp"))
    );
    assert_eq!((first.from_port(), first.to_port()), (Some(22), Some(22)));
    assert_eq!((last.is_egress(), last.ip_protocol(), last.from_port()), (Some(true), Some("-1"), Some(-1)));

    let groups = lab.ec2().describe_security_groups().group_ids("sg-0a1b2c").send().await.expect("groups");
    let [group] = groups.security_groups() else { panic!("one group") };
    assert_eq!((group.group_name(), group.vpc_id()), (Some("ssh & more"), Some("vpc-a")));
    let all = group.ip_permissions().iter().chain(group.ip_permissions_egress());
    assert_eq!(all.map(peer_in).collect::<Vec<_>>(), expected);
    assert_eq!(group.ip_permissions_egress().len(), 1);
    assert_eq!(group.ip_permissions()[0].from_port(), Some(22));
}

#[tokio::test]
async fn rules_come_in_pages() {
    let lab = lab(|_| ()).await;
    let mut pages = lab.ec2().describe_security_group_rules().into_paginator().page_size(5).send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        sizes.push(page.expect("a page").security_group_rules().len());
    }
    assert_eq!(sizes, [5, 1]);
}

#[tokio::test]
async fn an_acl_has_its_entries_and_the_two_that_end_it() {
    let lab = lab(|_| ()).await;
    let asked = lab.ec2().describe_network_acls().filters(filter("association.subnet-id", "subnet-a"));
    let acls = asked.send().await.expect("ACLs");
    let [acl] = acls.network_acls() else { panic!("one ACL") };
    assert_eq!(
        (acl.network_acl_id(), acl.is_default(), acl.vpc_id()),
        (Some("acl-a"), Some(true), Some("vpc-a"))
    );
    assert_eq!(acl.associations()[0].subnet_id(), Some("subnet-a"));
    let entry = |entry: &NetworkAclEntry| {
        let ports = entry.port_range().map(|ports| (ports.from(), ports.to()));
        let range = entry.cidr_block().or(entry.ipv6_cidr_block()).unwrap_or_default().to_owned();
        let allows = entry.rule_action().map(|action| action.as_str().to_owned()).unwrap_or_default();
        (entry.rule_number(), entry.egress(), entry.protocol().map(str::to_owned), ports, range, allows)
    };
    let row = |number, egress, protocol: &str, ports, range: &str, action: &str| {
        (Some(number), Some(egress), Some(protocol.to_owned()), ports, range.to_owned(), action.to_owned())
    };
    assert_eq!(
        acl.entries().iter().map(entry).collect::<Vec<_>>(),
        [
            row(100, false, "6", Some((Some(22), Some(22))), "10.0.0.0/16", "allow"),
            row(90, true, "-1", None, "2001:db8::/32", "deny"),
            row(32_767, true, "-1", None, "0.0.0.0/0", "deny"),
            row(32_767, false, "-1", None, "0.0.0.0/0", "deny"),
        ]
    );
    let none = lab.ec2().describe_network_acls().filters(filter("association.subnet-id", "subnet-b"));
    assert!(none.send().await.expect("an answer").network_acls().is_empty());
}

#[tokio::test]
async fn vpcs_and_subnets_have_their_ranges() {
    let lab = lab(|_| ()).await;
    let vpcs = lab.ec2().describe_vpcs().vpc_ids("vpc-a").send().await.expect("VPCs");
    let [vpc] = vpcs.vpcs() else { panic!("one VPC") };
    assert_eq!((vpc.cidr_block(), vpc.owner_id()), (Some("10.0.0.0/16"), Some("111122223333")));
    let ranges: Vec<_> =
        vpc.cidr_block_association_set().iter().filter_map(|association| association.cidr_block()).collect();
    assert_eq!(ranges, ["10.0.0.0/16", "100.64.0.0/16"]);
    let state = vpc.cidr_block_association_set()[1].cidr_block_state().and_then(|state| state.state());
    assert_eq!(state.map(|state| state.as_str()), Some("associated"));
    let subnets = lab.ec2().describe_subnets().filters(filter("vpc-id", "vpc-a")).send().await;
    let subnets = subnets.expect("subnets");
    let [subnet] = subnets.subnets() else { panic!("one subnet") };
    assert_eq!((subnet.subnet_id(), subnet.cidr_block()), (Some("subnet-a"), Some("10.0.1.0/24")));
    assert_eq!(subnet.availability_zone(), Some("eu-west-1a"));
}

#[tokio::test]
async fn route_tables_say_to_where_by_what_and_whether_it_is_there() {
    let lab = lab(|_| ()).await;
    let of = async |name: &str, value: &str| {
        let asked = lab.ec2().describe_route_tables().filters(filter(name, value)).send().await;
        let tables = asked.expect("tables").route_tables.unwrap_or_default();
        let [table] = tables.try_into().expect("one table");
        table
    };
    let main = of("association.main", "true").await;
    assert_eq!((main.route_table_id(), main.associations()[0].main()), (Some("rtb-main"), Some(true)));
    assert_eq!(main.associations()[0].subnet_id(), None);
    let own = of("association.subnet-id", "subnet-a").await;
    assert_eq!(own.associations()[0].subnet_id(), Some("subnet-a"));
    let told = |route: &SdkRoute| {
        let to = [
            route.destination_cidr_block(),
            route.destination_ipv6_cidr_block(),
            route.destination_prefix_list_id(),
        ];
        let via = [
            route.gateway_id(),
            route.nat_gateway_id(),
            route.vpc_peering_connection_id(),
            route.transit_gateway_id(),
            route.network_interface_id(),
        ];
        let state = route.state().map(|state| state.as_str());
        to.into_iter().chain(via).flatten().chain(state).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        own.routes().iter().map(told).collect::<Vec<_>>(),
        [
            "10.0.0.0/16 local active",
            "0.0.0.0/0 nat-a active",
            "::/0 igw-a active",
            "pl-a vpce-a active",
            "10.2.0.0/16 pcx-a blackhole",
            "10.3.0.0/16 tgw-a active",
            "10.4.0.0/16 eni-a active",
        ]
    );
}

#[tokio::test]
async fn a_prefix_list_is_told_in_pages_whoever_asks() {
    let lab = lab(|_| ()).await;
    let mut pages =
        lab.ec2().get_managed_prefix_list_entries().prefix_list_id("pl-a").into_paginator().send();
    let mut sizes = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.expect("a page");
        assert!(page.entries().iter().all(|entry| entry.cidr().is_some_and(|range| range.ends_with("/24"))));
        sizes.push(page.entries().len());
    }
    assert_eq!(sizes, [100, 100, 50]);
    let missing = lab.ec2().get_managed_prefix_list_entries().prefix_list_id("pl-b").send().await;
    let error = missing.expect_err("no such list").into_service_error();
    assert_eq!(error.code(), Some("InvalidPrefixListID.NotFound"));
}

#[tokio::test]
async fn peering_and_transit_gateways_name_both_sides() {
    let lab = lab(|_| ()).await;
    let asked = lab.ec2().describe_vpc_peering_connections().vpc_peering_connection_ids("pcx-a").send().await;
    let peerings = asked.expect("peerings");
    let [peering] = peerings.vpc_peering_connections() else { panic!("one peering") };
    let code = peering.status().and_then(|status| status.code()).map(|code| code.as_str());
    assert_eq!(code, Some("active"));
    let far = peering.accepter_vpc_info().expect("an accepter");
    assert_eq!((far.vpc_id(), far.owner_id()), (Some("vpc-far"), Some(OTHER_ACCOUNT)));
    assert_eq!((far.region(), far.cidr_block()), (Some("eu-west-1"), Some("10.2.0.0/16")));
    assert_eq!(peering.requester_vpc_info().and_then(|end| end.vpc_id()), Some("vpc-a"));

    let by_gateway = || filter("transit-gateway-id", "tgw-a");
    let all = lab.ec2().describe_transit_gateway_attachments().filters(by_gateway()).send().await;
    let all = all.expect("attachments");
    let [attachment] = all.transit_gateway_attachments() else { panic!("one attachment") };
    assert_eq!((attachment.resource_id(), attachment.transit_gateway_id()), (Some("vpc-far"), Some("tgw-a")));
    assert_eq!(attachment.resource_type().map(|kind| kind.as_str()), Some("vpc"));
    assert_eq!(attachment.state().map(|state| state.as_str()), Some("available"));
    let of_vpcs = lab.ec2().describe_transit_gateway_vpc_attachments().filters(by_gateway()).send().await;
    let of_vpcs = of_vpcs.expect("attachments");
    let [attachment] = of_vpcs.transit_gateway_vpc_attachments() else { panic!("one attachment") };
    assert_eq!((attachment.vpc_id(), attachment.vpc_owner_id()), (Some("vpc-far"), Some(OTHER_ACCOUNT)));
}

#[tokio::test]
async fn an_instance_tells_of_its_interface_its_groups_and_why_it_is_stopped() {
    let lab = lab(|world| {
        let instance = &mut world.instances[1];
        instance.state = "stopped".to_owned();
        instance.state_reason = "Client.UserInitiatedShutdown: User initiated shutdown".to_owned();
        instance.metadata_enabled = false;
        instance.image = "ami-windows".to_owned();
        let (id, name) = ("ami-windows".to_owned(), "Windows_Server-2025".to_owned());
        world.images.push(Image {
            id,
            name,
            owner_alias: "amazon".to_owned(),
            platform: "windows".to_owned(),
        });
    })
    .await;
    let asked = lab.ec2().describe_instances().filters(filter("instance.group-id", "sg-0a1b2c")).send().await;
    let answer = asked.expect("instances");
    let instances: Vec<_> = answer.reservations().iter().flat_map(|one| one.instances()).collect();
    let [sound, stopped, _] = instances.as_slice() else { panic!("three instances") };
    let [interface] = sound.network_interfaces() else { panic!("one interface") };
    assert_eq!(interface.subnet_id(), Some("subnet-0a1b2c"));
    assert_eq!(interface.private_ip_addresses()[0].private_ip_address(), Some("10.0.0.0"));
    for groups in [sound.security_groups(), interface.groups()] {
        assert_eq!((groups[0].group_id(), groups[0].group_name()), (Some("sg-0a1b2c"), Some("ssh & more")));
    }
    assert_eq!(sound.launch_time().map(aws_smithy_types::DateTime::secs), Some(1_793_520_000));
    assert!(sound.state_reason().is_none() && sound.platform().is_none());
    let enabled = |at: usize| {
        let options = instances[at].metadata_options().and_then(|options| options.http_endpoint());
        options.map(|endpoint| endpoint.as_str().to_owned()).unwrap_or_default()
    };
    assert_eq!((enabled(0).as_str(), enabled(1).as_str()), ("enabled", "disabled"));
    let reason = stopped.state_reason().expect("a reason");
    assert_eq!(reason.code(), Some("Client.UserInitiatedShutdown"));
    assert_eq!(reason.message(), Some("Client.UserInitiatedShutdown: User initiated shutdown"));
    // The SDK knows this one with a capital; EC2 writes it without.
    assert_eq!(stopped.platform().map(|platform| platform.as_str()), Some("windows"));
    let images = lab.ec2().describe_images().filters(filter("platform", "windows")).send().await;
    let images = images.expect("images");
    assert_eq!(images.images()[0].platform().map(|platform| platform.as_str()), Some("windows"));
}

#[tokio::test]
async fn checks_are_told_of_what_runs_and_of_the_rest_on_request() {
    let lab = lab(|world| {
        world.instances[0].health.instance = "impaired".to_owned();
        world.instances[0].health.events.push(WorldEvent {
            code: "instance-stop".to_owned(),
            description: "The host is going away".to_owned(),
            not_before: "2026-11-25T04:00:00Z".parse().expect("a time"),
        });
        world.instances[1].state = "stopped".to_owned();
    })
    .await;
    let running = lab.ec2().describe_instance_status().send().await.expect("an answer");
    assert_eq!(running.instance_statuses().len(), 2);
    let all = lab.ec2().describe_instance_status().include_all_instances(true).send().await;
    let all = all.expect("an answer");
    let [first, stopped, _] = all.instance_statuses() else { panic!("three of them") };
    let status = |summary: Option<&aws_sdk_ec2::types::InstanceStatusSummary>| {
        let status = summary.and_then(|summary| summary.status());
        status.map(|status| status.as_str().to_owned()).unwrap_or_default()
    };
    assert_eq!(
        (status(first.system_status()).as_str(), status(first.instance_status()).as_str()),
        ("ok", "impaired")
    );
    let volumes = first.attached_ebs_status().and_then(|summary| summary.status());
    assert_eq!(volumes.map(|status| status.as_str()), Some("ok"));
    let [event] = first.events() else { panic!("one event") };
    assert_eq!(event.code().map(|code| code.as_str()), Some("instance-stop"));
    assert_eq!(event.not_before().map(aws_smithy_types::DateTime::secs), Some(1_795_579_200));
    assert_eq!(
        stopped.instance_state().and_then(|state| state.name()).map(|name| name.as_str()),
        Some("stopped")
    );
    assert_eq!(status(stopped.instance_status()), "not-applicable");
}

#[tokio::test]
async fn what_does_not_exist_is_told_as_ec2_does() {
    let lab = lab(|_| ()).await;
    for (action, id, code) in [
        ("DescribeVpcs", "VpcId", "InvalidVpcID.NotFound"),
        ("DescribeSubnets", "SubnetId", "InvalidSubnetID.NotFound"),
        ("DescribeSecurityGroups", "GroupId", "InvalidGroup.NotFound"),
        ("DescribeSecurityGroupRules", "SecurityGroupRuleId", "InvalidSecurityGroupRuleId.NotFound"),
        ("DescribeNetworkAcls", "NetworkAclId", "InvalidNetworkAclID.NotFound"),
        ("DescribeRouteTables", "RouteTableId", "InvalidRouteTableID.NotFound"),
        ("DescribeVpcPeeringConnections", "VpcPeeringConnectionId", "InvalidVpcPeeringConnectionID.NotFound"),
        (
            "DescribeTransitGatewayAttachments",
            "TransitGatewayAttachmentIds",
            "InvalidTransitGatewayAttachmentID.NotFound",
        ),
        (
            "DescribeTransitGatewayVpcAttachments",
            "TransitGatewayAttachmentIds",
            "InvalidTransitGatewayAttachmentID.NotFound",
        ),
    ] {
        let missing = lab.ask(action, &format!("&{id}.1=nowhere-1")).await;
        assert!(missing.contains(&format!("<Code>{code}</Code>")), "{action}: {missing}");
        let strange = lab.ask(action, "&Filter.1.Name=colour&Filter.1.Value.1=red").await;
        assert!(strange.contains("<Code>InvalidParameterValue</Code>"), "{action}: {strange}");
    }
}

#[tokio::test]
async fn an_account_sees_its_own_network_in_the_region_it_asks() {
    let lab = lab(|world| {
        let far = Network { account: OTHER_ACCOUNT.to_owned(), ..network() };
        let elsewhere = Network { region: "us-east-1".to_owned(), vpcs: Vec::new(), ..network() };
        world.networks = vec![far, elsewhere];
    })
    .await;
    assert!(lab.ec2().describe_vpcs().send().await.expect("an answer").vpcs().is_empty());
    let key = format!("ASIA{OTHER_ACCOUNT}DEMO");
    let far = aws_sdk_ec2::Client::new(&lab.sdk("eu-west-1", &key));
    assert_eq!(far.describe_vpcs().send().await.expect("an answer").vpcs().len(), 2);
}
