//! A target behind a transit gateway and a peering, and every answer about it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::aws::AwsAccess;
use crate::aws::survey::identity::Identity;
use crate::aws::survey::{Survey, SurveySettings};
use crate::aws::testing::{Reply, Seen, Stub, clients};
use crate::clock::{HandSetClock, SharedClock};
use crate::diagnose::{Facts, Gap, GapReason, Known, Surveyor};
use crate::domain::{InstanceId, Target};
use crate::target::testing::target;

pub(super) const TARGET: &str = "i-00000000000000001";
pub(super) const BASTION: &str = "i-000000000000000ba";
/// Long enough for every answer, however busy the machine is.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Every action that a survey of the sound network needs.
pub(super) const ACTIONS: [&str; 11] = [
    "DescribeInstances",
    "DescribeInstanceStatus",
    "DescribeImages",
    "DescribeSecurityGroupRules",
    "DescribeSecurityGroups",
    "DescribeNetworkAcls",
    "DescribeVpcs",
    "DescribeRouteTables",
    "GetManagedPrefixListEntries",
    "DescribeVpcPeeringConnections",
    "DescribeTransitGatewayAttachments",
];

/// A stub and who surveys through it.
pub(super) struct Bench {
    pub(super) stub: Stub,
    pub(super) clock: Arc<HandSetClock>,
    pub(super) survey: Survey,
}

impl Bench {
    pub(super) async fn answering(answers: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        let stub = Stub::answering(answers).await;
        let clock = HandSetClock::at("2026-11-22T10:00:00Z");
        let shared = Arc::clone(&clock) as SharedClock;
        let aws = AwsAccess::with_static_credentials(&stub.url, "AKIATEST", "secret").await;
        let settings = SurveySettings { bastion_instance: InstanceId::parse(BASTION), call_max: PATIENCE };
        let survey = Survey::new(&[clients(&stub.url).await], &aws, settings, shared);
        Self { stub, clock, survey }
    }

    /// The sound network but for one action.
    pub(super) async fn but_for(
        action: &'static str,
        mut reply: impl FnMut(&Seen) -> Reply + Send + 'static,
    ) -> Self {
        Self::answering(move |seen| if is(seen, action) { reply(seen) } else { sound(seen) }).await
    }

    /// The same whose bastion asks a metadata service.
    pub(super) async fn with_metadata_at(endpoint: &str) -> Self {
        let mut bench = Self::answering(sound).await;
        bench.survey.identity = Identity::at(endpoint, &bench.survey.desk);
        bench
    }

    pub(super) async fn facts(&self) -> Facts {
        self.within(PATIENCE).await
    }

    pub(super) async fn within(&self, patience: Duration) -> Facts {
        self.survey.survey(&web(), patience).await
    }

    /// How often an action was asked for.
    pub(super) fn calls(&self, action: &str) -> usize {
        self.stub.seen().iter().filter(|seen| is(seen, action)).count()
    }
}

pub(super) fn web() -> Arc<Target> {
    Arc::new(target("web", 1))
}

pub(super) fn is(seen: &Seen, action: &str) -> bool {
    seen.field("Action").as_deref() == Some(action)
}

/// Everything that is not known, but for what nobody needed.
pub(super) fn gaps(facts: &Facts) -> Vec<Gap> {
    let mut gaps: Vec<Option<&Gap>> =
        vec![facts.instance.gap(), facts.status.gap(), facts.image.gap(), facts.bastion.gap()];
    for end in [&facts.target_end, &facts.bastion_end] {
        gaps.extend([end.vpc.gap(), end.subnet.gap(), end.vpc_ranges.gap()]);
        gaps.extend([end.groups.gap(), end.acl.gap(), end.routes.gap()]);
    }
    gaps.extend(facts.prefix_lists.values().map(Known::gap));
    gaps.extend(facts.peerings.values().map(Known::gap));
    gaps.extend(facts.transits.values().map(Known::gap));
    let gaps = gaps.into_iter().flatten().filter(|gap| gap.reason != GapReason::NotAsked);
    gaps.cloned().collect()
}

/// The permissions that gaps name.
pub(super) fn permissions(facts: &Facts) -> BTreeSet<String> {
    gaps(facts).into_iter().map(|gap| gap.permission).collect()
}

/// An element with this content.
fn tag(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// An answer with one list.
pub(super) fn list(action: &str, set: &str, items: &[String], next: Option<&str>) -> String {
    let items: String = items.iter().map(|item| tag("item", item)).collect();
    let next = next.map(|token| tag("nextToken", token)).unwrap_or_default();
    tag(&format!("{action}Response"), &format!("<requestId>stub</requestId>{}{next}", tag(set, &items)))
}

/// The sound network's answer to anything.
pub(super) fn sound(seen: &Seen) -> Reply {
    let value = |name: &str| seen.field(name).unwrap_or_default();
    let filtered = value("Filter.1.Value.1");
    match value("Action").as_str() {
        "DescribeInstances" => instances(&value("InstanceId.1")),
        "DescribeInstanceStatus" => Reply::xml(200, status()),
        "DescribeImages" => one("DescribeImages", "imagesSet", &image(&filtered)),
        "DescribeSecurityGroupRules" => Reply::xml(200, rules(&filtered)),
        "DescribeSecurityGroups" => {
            one("DescribeSecurityGroups", "securityGroupInfo", "<groupId>sg-bare</groupId>")
        }
        "DescribeNetworkAcls" => one("DescribeNetworkAcls", "networkAclSet", &acl(&filtered, SOUND_ENTRIES)),
        "DescribeVpcs" => one("DescribeVpcs", "vpcSet", &vpc(&value("VpcId.1"))),
        "DescribeRouteTables" => route_tables(&filtered),
        "GetManagedPrefixListEntries" => {
            one("GetManagedPrefixListEntries", "entrySet", "<cidr>10.0.0.0/8</cidr>")
        }
        "DescribeVpcPeeringConnections" => {
            one("DescribeVpcPeeringConnections", "vpcPeeringConnectionSet", PEERING)
        }
        "DescribeTransitGatewayAttachments" => Reply::xml(
            200,
            list(
                "DescribeTransitGatewayAttachments",
                "transitGatewayAttachments",
                &[attachment("vpc-1", "available"), attachment("vpc-2", "pending")],
                None,
            ),
        ),
        other => Reply::ec2_error(400, &format!("InvalidAction: {other}")),
    }
}

pub(super) fn one(action: &str, set: &str, item: &str) -> Reply {
    Reply::xml(200, list(action, set, &[item.to_owned()], None))
}

/// Both instances, whichever is asked for; others do not exist.
fn instances(id: &str) -> Reply {
    let item = match id {
        TARGET => interface("vpc-1", "subnet-1", "10.0.0.1", &["sg-web", "sg-bare"]),
        BASTION => interface("vpc-2", "subnet-2", "10.2.0.10", &["sg-bastion"]),
        _ => return Reply::ec2_error(400, "InvalidInstanceID.NotFound"),
    };
    Reply::xml(200, instance(id, "111122223333", &item))
}

/// An answer with one instance.
pub(super) fn instance(id: &str, owner: &str, interfaces: &str) -> String {
    let instance = format!(
        "<instanceId>{id}</instanceId><imageId>ami-1</imageId>\
         <instanceState><code>16</code><name>running</name></instanceState>\
         <stateReason><message>Client.UserInitiated&#27;[2J</message></stateReason>\
         <launchTime>2026-11-01T00:00:00.000Z</launchTime>\
         <metadataOptions><httpEndpoint>enabled</httpEndpoint></metadataOptions>\
         <networkInterfaceSet>{interfaces}</networkInterfaceSet>"
    );
    let instances = tag("instancesSet", &tag("item", &instance));
    let reservation = format!("<ownerId>{owner}</ownerId>{instances}");
    list("DescribeInstances", "reservationSet", &[reservation], None)
}

pub(super) fn interface(vpc: &str, subnet: &str, address: &str, groups: &[&str]) -> String {
    let groups: String = groups
        .iter()
        .map(|id| tag("item", &format!("<groupId>{id}</groupId><groupName>name of {id}</groupName>")))
        .collect();
    let addresses = format!(
        "<privateIpAddress>{address}</privateIpAddress><privateIpAddressesSet><item>\
         <privateIpAddress>{address}</privateIpAddress></item></privateIpAddressesSet>"
    );
    tag(
        "item",
        &format!(
            "<vpcId>{vpc}</vpcId><subnetId>{subnet}</subnetId>{addresses}<groupSet>{groups}</groupSet>\
             <attachment><deviceIndex>0</deviceIndex></attachment>"
        ),
    )
}

fn status() -> String {
    let event = |code: &str, description: &str, day: u8| {
        format!(
            "<item><code>{code}</code><description>{description}</description>\
             <notBefore>2026-12-{day:02}T00:00:00.000Z</notBefore></item>"
        )
    };
    let events = [
        event("system-reboot", "Later", 9),
        event("instance-stop", "Sooner", 3),
        event("system-reboot", "[Completed] Long ago", 1),
    ]
    .concat();
    let checks = "<systemStatus><status>ok</status></systemStatus><instanceStatus><status>impaired</status>\
                  </instanceStatus><attachedEbsStatus><status>ok</status></attachedEbsStatus>";
    let status = format!("<instanceId>{TARGET}</instanceId>{checks}<eventsSet>{events}</eventsSet>");
    list("DescribeInstanceStatus", "instanceStatusSet", &[status], None)
}

fn image(id: &str) -> String {
    format!("<imageId>{id}</imageId><name>al2023-ami-2023.9</name><imageOwnerAlias>amazon</imageOwnerAlias>")
}

/// A rule's fields.
pub(super) fn rule(number: usize, group: &str, egress: bool, rest: &str) -> String {
    format!(
        "<securityGroupRuleId>sgr-{number:04}</securityGroupRuleId><groupId>{group}</groupId>\
         <isEgress>{egress}</isEgress>{rest}"
    )
}

pub(super) const SSH: &str = "<ipProtocol>tcp</ipProtocol><fromPort>22</fromPort><toPort>22</toPort>";

fn rules(first_group: &str) -> String {
    let items = if first_group == "sg-bastion" {
        let all = "<ipProtocol>-1</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort>";
        vec![
            rule(1, "sg-bastion", true, &format!("{all}<prefixListId>pl-1</prefixListId>")),
            rule(2, "sg-bastion", false, &format!("{SSH}<prefixListId>pl-unneeded</prefixListId>")),
        ]
    } else {
        let named = "<referencedGroupInfo><groupId>sg-bastion</groupId>\
                     <vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId></referencedGroupInfo>";
        vec![
            rule(3, "sg-web", false, &format!("{SSH}{named}")),
            rule(4, "sg-web", false, &format!("{SSH}<cidrIpv6>fd00::1/64</cidrIpv6>")),
        ]
    };
    list("DescribeSecurityGroupRules", "securityGroupRuleSet", &items, None)
}

pub(super) const SOUND_ENTRIES: &str = "<item><ruleNumber>100</ruleNumber><protocol>-1</protocol>\
    <ruleAction>allow</ruleAction><egress>false</egress><cidrBlock>0.0.0.0/0</cidrBlock></item>\
    <item><ruleNumber>32767</ruleNumber><protocol>-1</protocol>\
    <ruleAction>deny</ruleAction><egress>false</egress><cidrBlock>0.0.0.0/0</cidrBlock></item>\
    <item><ruleNumber>32768</ruleNumber><protocol>-1</protocol>\
    <ruleAction>deny</ruleAction><egress>false</egress><ipv6CidrBlock>::/0</ipv6CidrBlock></item>";

pub(super) fn acl(subnet: &str, entries: &str) -> String {
    format!(
        "<networkAclId>acl-of-{subnet}</networkAclId><entrySet>{entries}</entrySet>\
         <associationSet><item><subnetId>{subnet}</subnetId></item></associationSet>"
    )
}

fn vpc(id: &str) -> String {
    format!(
        "<vpcId>{id}</vpcId><cidrBlock>10.0.0.0/16</cidrBlock><ipv6CidrBlockAssociationSet><item>\
         <ipv6CidrBlock>fd00::/56</ipv6CidrBlock><ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState>\
         </item><item><ipv6CidrBlock>fd01::/56</ipv6CidrBlock><ipv6CidrBlockState><state>disassociated</state>\
         </ipv6CidrBlockState></item></ipv6CidrBlockAssociationSet>"
    )
}

/// The target's subnet has a table of its own; the bastion's has its VPC's.
fn route_tables(first_filter: &str) -> Reply {
    let local = "<item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId>\
                 <state>active</state></item>";
    let transit = "<item><destinationIpv6CidrBlock>fd02::/56</destinationIpv6CidrBlock>\
                   <transitGatewayId>tgw-1</transitGatewayId><state>blackhole</state></item>";
    let listed = "<item><destinationPrefixListId>pl-2</destinationPrefixListId>\
                  <natGatewayId>nat-1</natGatewayId><state>active</state></item>";
    let table = |id: &str, association: &str| {
        format!(
            "<routeTableId>{id}</routeTableId><vpcId>vpc-2</vpcId><routeSet>{local}{transit}{listed}</routeSet>\
             <associationSet><item>{association}</item></associationSet>"
        )
    };
    match first_filter {
        "subnet-1" => {
            one("DescribeRouteTables", "routeTableSet", &table("rtb-1", "<subnetId>subnet-1</subnetId>"))
        }
        "vpc-2" => one("DescribeRouteTables", "routeTableSet", &table("rtb-2", "<main>true</main>")),
        _ => Reply::xml(200, list("DescribeRouteTables", "routeTableSet", &[], None)),
    }
}

const PEERING: &str = "<vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId><status><code>active</code></status>\
    <requesterVpcInfo><vpcId>vpc-1</vpcId><region>eu-west-1</region></requesterVpcInfo>\
    <accepterVpcInfo><vpcId>vpc-2</vpcId><region>us-east-1</region></accepterVpcInfo>";

pub(super) fn attachment(vpc: &str, state: &str) -> String {
    format!(
        "<transitGatewayId>tgw-1</transitGatewayId><resourceType>vpc</resourceType>\
         <resourceId>{vpc}</resourceId><state>{state}</state>"
    )
}
