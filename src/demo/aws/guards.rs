//! What lets packets through or not: security groups, their rules, and network ACLs.

use super::describe::{Described, Placed};
use super::network::{AclEntry, GroupRule, Network, NetworkAcl, RulePeer, SecurityGroup};
use super::select::Filter;
use super::xml::Xml;

/// The number of the entries that end every ACL.
const LAST_ENTRY: &str = "32767";

impl Described for Placed<'_, SecurityGroup> {
    const SET: &'static str = "securityGroupInfo";
    const IDS: &'static str = "GroupId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidGroup.NotFound", "security group");

    fn id(&self) -> &str {
        &self.it.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "group-id" => filter.fits(&self.it.id),
            "group-name" => filter.fits(&self.it.name),
            "vpc-id" => filter.fits(&self.it.vpc),
            "owner-id" => filter.fits(&self.network.account),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        let Self { network, it: group } = self;
        xml.text("ownerId", &network.account);
        xml.text("groupId", &group.id);
        xml.text("groupName", &group.name);
        xml.text("groupDescription", &group.name);
        xml.text("vpcId", &group.vpc);
        for (set, is_egress) in [("ipPermissions", false), ("ipPermissionsEgress", true)] {
            let rules = group.rules.iter().filter(|rule| rule.is_egress == is_egress);
            xml.list(set, rules, |xml, rule| write_permission(xml, rule, network));
        }
    }
}

/// A rule in the older form, in which EC2 joins rules of the same ports and leaves their ids out.
/// One element for each rule says the same.
fn write_permission(xml: &mut Xml, rule: &GroupRule, network: &Network) {
    write_protocol(xml, rule);
    let mut only = |set: &str, name: &str, value: Option<&str>| {
        xml.list(set, value, |xml, value| xml.text(name, value));
    };
    let range = |v6: bool| match &rule.peer {
        RulePeer::Range(range) if range.contains(':') == v6 => Some(range.as_str()),
        RulePeer::Range(_) | RulePeer::PrefixList(_) | RulePeer::Group(_) | RulePeer::PeeredGroup { .. } => {
            None
        }
    };
    only("ipRanges", "cidrIp", range(false));
    only("ipv6Ranges", "cidrIpv6", range(true));
    match &rule.peer {
        RulePeer::Range(_) => {}
        RulePeer::PrefixList(list) => only("prefixListIds", "prefixListId", Some(list)),
        RulePeer::Group(_) | RulePeer::PeeredGroup { .. } => {
            xml.list("groups", [&rule.peer], |xml, peer| write_group(xml, peer, network));
        }
    }
}

fn write_protocol(xml: &mut Xml, rule: &GroupRule) {
    xml.text("ipProtocol", &rule.protocol);
    if let Some((from, to)) = rule.ports {
        xml.text("fromPort", &from.to_string());
        xml.text("toPort", &to.to_string());
    }
}

fn write_group(xml: &mut Xml, peer: &RulePeer, network: &Network) {
    match peer {
        RulePeer::Range(_) | RulePeer::PrefixList(_) => {}
        RulePeer::Group(group) => {
            xml.text("groupId", group);
            xml.text("userId", &network.account);
        }
        RulePeer::PeeredGroup { group, account, vpc, peering } => {
            xml.text("groupId", group);
            xml.text("userId", account);
            xml.text("vpcId", vpc);
            xml.text("vpcPeeringConnectionId", peering);
            xml.text("peeringStatus", "active");
        }
    }
}

/// A rule by itself, with the group that it is of.
#[derive(Debug)]
pub(super) struct RuleOf<'a> {
    network: &'a Network,
    group: &'a SecurityGroup,
    rule: &'a GroupRule,
}

/// The rules of these groups, each by itself.
pub(super) fn rules<'a>(groups: Vec<Placed<'a, SecurityGroup>>) -> Vec<RuleOf<'a>> {
    let of_one = |Placed { network, it: group }: Placed<'a, SecurityGroup>| {
        group.rules.iter().map(move |rule| RuleOf { network, group, rule })
    };
    groups.into_iter().flat_map(of_one).collect()
}

impl Described for RuleOf<'_> {
    const SET: &'static str = "securityGroupRuleSet";
    const IDS: &'static str = "SecurityGroupRuleId";
    const NOT_FOUND: (&'static str, &'static str) =
        ("InvalidSecurityGroupRuleId.NotFound", "security group rule ID");

    fn id(&self) -> &str {
        &self.rule.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "group-id" => filter.fits(&self.group.id),
            "security-group-rule-id" => filter.fits(&self.rule.id),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        let Self { network, group, rule } = self;
        xml.text("securityGroupRuleId", &rule.id);
        xml.text("groupId", &group.id);
        xml.text("groupOwnerId", &network.account);
        xml.text("isEgress", if rule.is_egress { "true" } else { "false" });
        xml.text("ipProtocol", &rule.protocol);
        // Here, rules about every port say so.
        let ports = rule.ports.map(|(from, to)| (from.to_string(), to.to_string()));
        let (from, to) = ports.unwrap_or_else(|| ("-1".to_owned(), "-1".to_owned()));
        xml.text("fromPort", &from);
        xml.text("toPort", &to);
        match &rule.peer {
            RulePeer::Range(range) => {
                xml.text(if range.contains(':') { "cidrIpv6" } else { "cidrIpv4" }, range);
            }
            RulePeer::PrefixList(list) => xml.text("prefixListId", list),
            RulePeer::Group(_) | RulePeer::PeeredGroup { .. } => {
                xml.element("referencedGroupInfo", |xml| write_group(xml, &rule.peer, network));
            }
        }
    }
}

impl Described for Placed<'_, NetworkAcl> {
    const SET: &'static str = "networkAclSet";
    const IDS: &'static str = "NetworkAclId";
    const NOT_FOUND: (&'static str, &'static str) = ("InvalidNetworkAclID.NotFound", "networkAcl ID");

    fn id(&self) -> &str {
        &self.it.id
    }

    fn passes(&self, filter: &Filter) -> Option<bool> {
        Some(match filter.name.as_str() {
            "network-acl-id" => filter.fits(&self.it.id),
            "vpc-id" => filter.fits(&self.it.vpc),
            "owner-id" => filter.fits(&self.network.account),
            "association.subnet-id" => self.it.subnets.iter().any(|subnet| filter.fits(subnet)),
            "default" => filter.fits(if self.it.is_default { "true" } else { "false" }),
            _ => return None,
        })
    }

    fn write(&self, xml: &mut Xml) {
        let Self { network, it: acl } = self;
        xml.text("networkAclId", &acl.id);
        xml.text("vpcId", &acl.vpc);
        xml.text("ownerId", &network.account);
        xml.text("default", if acl.is_default { "true" } else { "false" });
        xml.element("entrySet", |xml| {
            for entry in &acl.entries {
                xml.element("item", |xml| write_entry(xml, entry));
            }
            for direction in ["true", "false"] {
                xml.element("item", |xml| write_last(xml, direction));
            }
        });
        xml.list("associationSet", &acl.subnets, |xml, subnet| {
            xml.text("networkAclAssociationId", &subnet.replacen("subnet-", "aclassoc-", 1));
            xml.text("networkAclId", &acl.id);
            xml.text("subnetId", subnet);
        });
    }
}

fn write_entry(xml: &mut Xml, entry: &AclEntry) {
    xml.text("ruleNumber", &entry.number.to_string());
    xml.text("protocol", &entry.protocol);
    xml.text("ruleAction", if entry.allows { "allow" } else { "deny" });
    xml.text("egress", if entry.is_egress { "true" } else { "false" });
    xml.text(if entry.range.contains(':') { "ipv6CidrBlock" } else { "cidrBlock" }, &entry.range);
    if let Some((from, to)) = entry.ports {
        xml.element("portRange", |xml| {
            xml.text("from", &from.to_string());
            xml.text("to", &to.to_string());
        });
    }
}

fn write_last(xml: &mut Xml, is_egress: &str) {
    xml.text("ruleNumber", LAST_ENTRY);
    xml.text("protocol", "-1");
    xml.text("ruleAction", "deny");
    xml.text("egress", is_egress);
    xml.text("cidrBlock", "0.0.0.0/0");
}
