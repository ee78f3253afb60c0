//! Answers that contradict the question, each other or sense.

use super::network::{
    BASTION, Bench, SOUND_ENTRIES, SSH, TARGET, acl, attachment, instance, interface, list, one, rule, sound,
};
use crate::aws::testing::{Reply, Seen};
use crate::diagnose::{Facts, Gap, GapReason, Known};

/// What a fact came to, for comparing.
fn reason<T>(known: &Known<T>) -> Option<&GapReason> {
    known.gap().map(|gap| &gap.reason)
}

fn failed(text: &str) -> GapReason {
    GapReason::Failed(text.to_owned())
}

async fn facts_but_for(action: &'static str, reply: impl FnMut(&Seen) -> Reply + Send + 'static) -> Facts {
    Bench::but_for(action, reply).await.facts().await
}

#[tokio::test]
async fn another_instance_than_the_one_asked_for_is_none() {
    let other = interface("vpc-1", "subnet-1", "10.0.0.1", &["sg-web"]);
    let reply = Reply::xml(200, instance("i-00000000000000777", "111122223333", &other));
    let facts = facts_but_for("DescribeInstances", move |_| reply.clone()).await;
    let gap = Gap::new("ec2:DescribeInstances", GapReason::NotVisible);
    assert_eq!(facts.instance, Known::Not(gap.clone()));
    assert_eq!(facts.bastion, Known::Not(gap.clone()));
    assert_eq!(facts.target_end.groups, Known::Not(gap));
    assert_eq!(facts.target_end.subnet, Known::As("subnet-1".to_owned()), "the inventory knows it");
}

#[tokio::test]
async fn an_instance_without_an_interface_is_in_no_network() {
    let facts = facts_but_for("DescribeInstances", |seen| {
        let id = seen.field("InstanceId.1").unwrap_or_default();
        Reply::xml(200, instance(&id, "111122223333", ""))
    })
    .await;
    assert_eq!(facts.instance.get().map(|instance| instance.addresses.len()), Some(0));
    assert!(facts.bastion.get().is_some());
    assert_eq!(reason(&facts.target_end.groups), Some(&GapReason::NotVisible));
    assert_eq!(reason(&facts.bastion_end.vpc), Some(&GapReason::NotVisible));
    assert_eq!(reason(&facts.bastion_end.routes), Some(&GapReason::NotVisible));
}

#[tokio::test]
async fn the_interface_that_is_dialled_counts_and_the_fresh_subnet_wins() {
    let facts = facts_but_for("DescribeInstances", |seen| {
        if seen.field("InstanceId.1").as_deref() == Some(BASTION) {
            return sound(seen);
        }
        let both = [
            interface("vpc-1", "subnet-8", "10.0.8.1", &["sg-other"]),
            interface("vpc-1", "subnet-9", "10.0.0.1", &["sg-web"]),
        ];
        Reply::xml(200, instance(TARGET, "111122223333", &both.concat()))
    })
    .await;
    assert_eq!(facts.target_end.subnet, Known::As("subnet-9".to_owned()));
    assert_eq!(facts.target_end.acl.get().map(|acl| acl.id.as_str()), Some("acl-of-subnet-9"));
    let groups = facts.target_end.groups.get().expect("known");
    assert_eq!(groups.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["sg-web"]);
    assert_eq!(facts.instance.get().map(|instance| instance.addresses.len()), Some(2));
}

#[tokio::test]
async fn an_ipv6_target_has_its_addresses() {
    let facts = facts_but_for("DescribeInstances", |seen| {
        let id = seen.field("InstanceId.1").unwrap_or_default();
        let v6 = "<item><vpcId>vpc-1</vpcId><subnetId>subnet-1</subnetId><groupSet><item><groupId>sg-web</groupId>\
                  </item></groupSet><ipv6AddressesSet><item><ipv6Address>fd00::5</ipv6Address></item>\
                  <item><ipv6Address>nonsense</ipv6Address></item></ipv6AddressesSet></item>";
        Reply::xml(200, instance(&id, "111122223333", v6))
    })
    .await;
    let addresses = &facts.instance.get().expect("known").addresses;
    assert_eq!(addresses.as_slice(), ["fd00::5".parse::<std::net::IpAddr>().expect("an address")]);
}

#[tokio::test]
async fn a_group_whose_rules_cannot_be_seen_is_not_one_without_rules() {
    let facts = facts_but_for("DescribeSecurityGroups", |_| {
        Reply::xml(200, list("DescribeSecurityGroups", "securityGroupInfo", &[], None))
    })
    .await;
    let expected = Gap::new("ec2:DescribeSecurityGroups", GapReason::NotVisible);
    assert_eq!(facts.target_end.groups, Known::Not(expected));
    let facts =
        facts_but_for("DescribeSecurityGroups", |_| Reply::ec2_error(400, "InvalidGroup.NotFound")).await;
    assert_eq!(reason(&facts.target_end.groups), Some(&GapReason::NotVisible));
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_leaves_nothing_of_its_groups() {
    let port =
        |from: &str| format!("<ipProtocol>tcp</ipProtocol><fromPort>{from}</fromPort><toPort>22</toPort>");
    let cidr = "<cidrIpv4>10.0.0.0/8</cidrIpv4>";
    let strange = [
        format!("{SSH}<cidrIpv4>10.0.0.0/33</cidrIpv4>"),
        format!("{}{cidr}", port("23")),
        format!("{}{cidr}", port("-2")),
        format!("<ipProtocol>quic</ipProtocol>{cidr}"),
        SSH.to_owned(),
    ];
    for rest in strange {
        let fields = rule(7, "sg-web", false, &rest);
        let facts = facts_but_for("DescribeSecurityGroupRules", move |seen| {
            if seen.field("Filter.1.Value.1").as_deref() == Some("sg-bastion") {
                return sound(seen);
            }
            one("DescribeSecurityGroupRules", "securityGroupRuleSet", &fields)
        })
        .await;
        assert_eq!(reason(&facts.target_end.groups), Some(&failed("a rule cannot be read")), "{rest}");
        assert!(facts.bastion_end.groups.get().is_some());
    }
}

#[tokio::test]
async fn network_acls_that_make_no_sense_are_none() {
    let entry = |number: &str, action: &str| {
        format!(
            "<item><ruleNumber>{number}</ruleNumber><protocol>6</protocol><ruleAction>{action}</ruleAction>\
             <egress>true</egress><cidrBlock>0.0.0.0/0</cidrBlock></item>"
        )
    };
    let sound_acl = acl("subnet-1", SOUND_ENTRIES);
    let table = [
        (vec![sound_acl.clone(), sound_acl], failed("two ACLs claim one subnet")),
        (vec![acl("subnet-7", SOUND_ENTRIES)], GapReason::NotVisible),
        (Vec::new(), GapReason::NotVisible),
        (vec![acl("subnet-1", &entry("0", "allow"))], failed("an entry cannot be read")),
        (vec![acl("subnet-1", &entry("-1", "allow"))], failed("an entry cannot be read")),
        (vec![acl("subnet-1", &entry("100", "perhaps"))], failed("an entry cannot be read")),
        (
            vec![acl("subnet-1", &[entry("100", "allow"), entry("100", "deny")].concat())],
            failed("two entries have one number"),
        ),
    ];
    for (acls, expected) in table {
        let body = list("DescribeNetworkAcls", "networkAclSet", &acls, None);
        let facts = facts_but_for("DescribeNetworkAcls", move |_| Reply::xml(200, body.clone())).await;
        assert_eq!(reason(&facts.target_end.acl), Some(&expected), "{acls:?}");
    }
    let empty = list("DescribeNetworkAcls", "networkAclSet", &[acl("subnet-1", "")], None);
    let facts = facts_but_for("DescribeNetworkAcls", move |_| Reply::xml(200, empty.clone())).await;
    assert_eq!(facts.target_end.acl.get().map(|acl| acl.entries.len()), Some(0), "it refuses everything");
}

#[tokio::test]
async fn route_tables_of_others_do_not_count() {
    let table = "<routeTableId>rtb-9</routeTableId><vpcId>vpc-9</vpcId><routeSet/>\
                 <associationSet><item><main>true</main></item></associationSet>";
    let facts =
        facts_but_for("DescribeRouteTables", |_| one("DescribeRouteTables", "routeTableSet", table)).await;
    assert_eq!(reason(&facts.target_end.routes), Some(&GapReason::NotVisible));
    let nowhere = "<routeTableId>rtb-9</routeTableId><vpcId>vpc-1</vpcId><routeSet><item><gatewayId>local</gatewayId>\
                   </item></routeSet><associationSet><item><main>true</main></item></associationSet>";
    let facts =
        facts_but_for("DescribeRouteTables", |_| one("DescribeRouteTables", "routeTableSet", nowhere)).await;
    assert_eq!(reason(&facts.target_end.routes), Some(&failed("a route cannot be read")));
}

#[tokio::test]
async fn what_nobody_can_see_of_peerings_and_gateways_is_not_visible() {
    let facts = facts_but_for("DescribeVpcPeeringConnections", |_| {
        let other = "<vpcPeeringConnectionId>pcx-other</vpcPeeringConnectionId>";
        one("DescribeVpcPeeringConnections", "vpcPeeringConnectionSet", other)
    })
    .await;
    assert_eq!(reason(&facts.peerings["pcx-1"]), Some(&GapReason::NotVisible));
    assert_eq!(facts.peerings.len(), 1);
    let facts = facts_but_for("DescribeTransitGatewayAttachments", |_| {
        Reply::xml(200, list("DescribeTransitGatewayAttachments", "transitGatewayAttachments", &[], None))
    })
    .await;
    assert_eq!(reason(&facts.transits["tgw-1"]), Some(&GapReason::NotVisible));
}

#[tokio::test]
async fn a_deleted_attachment_does_not_hide_its_successor() {
    let both = [("available", "deleted"), ("deleted", "available")];
    for (first, second) in both {
        let items = [attachment("vpc-1", first), attachment("vpc-1", second)];
        let body = list("DescribeTransitGatewayAttachments", "transitGatewayAttachments", &items, None);
        let facts =
            facts_but_for("DescribeTransitGatewayAttachments", move |_| Reply::xml(200, body.clone())).await;
        assert_eq!(facts.transits["tgw-1"].get().expect("known").attachments["vpc-1"], "available");
    }
}

#[tokio::test]
async fn an_image_that_is_gone_is_not_visible_and_a_vpc_without_a_range_is_strange() {
    let facts =
        facts_but_for("DescribeImages", |_| Reply::xml(200, list("DescribeImages", "imagesSet", &[], None)))
            .await;
    assert_eq!(reason(&facts.image), Some(&GapReason::NotVisible));
    let facts =
        facts_but_for("DescribeVpcs", |_| one("DescribeVpcs", "vpcSet", "<vpcId>vpc-1</vpcId>")).await;
    assert_eq!(reason(&facts.target_end.vpc_ranges), Some(&failed("a range of the VPC cannot be read")));
    assert_eq!(reason(&facts.bastion_end.vpc_ranges), Some(&GapReason::NotVisible), "it asked for another");
}
