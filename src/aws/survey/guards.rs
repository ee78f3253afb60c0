//! What lets packets through or not: security groups and network ACLs.

use std::collections::BTreeSet;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{NetworkAcl, NetworkAclEntry, SecurityGroupRule};

use super::machine::GroupName;
use super::reading::{PAGES_MAX, gap_of, network, not_visible, ports, protocol, strange, text};
use crate::aws::question::filter;
use crate::diagnose::{Acl, AclEntry, Direction, Gap, Group, Grouped, Peer, PortRange, Protocol, Rule};

pub(super) const DESCRIBE_RULES: &str = "ec2:DescribeSecurityGroupRules";
pub(super) const DESCRIBE_GROUPS: &str = "ec2:DescribeSecurityGroups";
pub(super) const DESCRIBE_ACLS: &str = "ec2:DescribeNetworkAcls";

/// EC2's largest page of rules.
const RULES_PAGE: i32 = 1000;

/// These groups with all their rules. One of another account seems to have none: see [`visible`].
pub(super) async fn groups(client: Client, names: Vec<GroupName>) -> Result<Vec<Group>, Gap> {
    let mut groups: Vec<Group> =
        names.into_iter().map(|GroupName { id, name }| Group { id, name, rules: Vec::new() }).collect();
    for rule in rules(&client, &groups).await? {
        // A rule of a group that was not asked about is none of ours.
        let owner = groups.iter_mut().find(|group| rule.group_id() == Some(group.id.as_str()));
        if let Some(group) = owner {
            let read = read_rule(&rule).ok_or_else(|| strange(DESCRIBE_RULES, "a rule cannot be read"))?;
            group.rules.push(read);
        }
    }
    Ok(groups)
}

async fn rules(client: &Client, groups: &[Group]) -> Result<Vec<SecurityGroupRule>, Gap> {
    let mut pages = client
        .describe_security_group_rules()
        .filters(filter("group-id", groups.iter().map(|group| group.id.as_str())))
        .max_results(RULES_PAGE)
        .into_paginator()
        .send();
    let mut rules = Vec::new();
    for _ in 0..PAGES_MAX {
        let Some(page) = pages.next().await else { return Ok(rules) };
        let page = page.map_err(|error| gap_of(DESCRIBE_RULES, &error))?;
        rules.extend(page.security_group_rules.unwrap_or_default());
    }
    Err(strange(DESCRIBE_RULES, "there are more rules than any group can have"))
}

/// Those of these groups that the account can see. A group of another account has no rules for us; one that has none
/// permits nothing. Only this tells them apart.
pub(super) async fn visible(client: Client, groups: Vec<String>) -> Result<BTreeSet<String>, Gap> {
    let answer = client
        .describe_security_groups()
        .set_group_ids(Some(groups))
        .send()
        .await
        .map_err(|error| gap_of(DESCRIBE_GROUPS, &error))?;
    Ok(answer.security_groups().iter().map(|group| text(group.group_id())).collect())
}

fn read_rule(rule: &SecurityGroupRule) -> Option<Rule> {
    let protocol = protocol(rule.ip_protocol()?)?;
    Some(Rule {
        id: text(rule.security_group_rule_id()),
        direction: direction(rule.is_egress()?),
        protocol,
        ports: ports(protocol, rule.from_port(), rule.to_port())?,
        peer: peer(rule)?,
    })
}

fn direction(is_egress: bool) -> Direction {
    if is_egress { Direction::Out } else { Direction::In }
}

/// A rule names exactly one kind of other side.
fn peer(rule: &SecurityGroupRule) -> Option<Peer> {
    if let Some(cidr) = rule.cidr_ipv4().or(rule.cidr_ipv6()) {
        return network(cidr).map(Peer::Network);
    }
    if let Some(list) = rule.prefix_list_id() {
        return Some(Peer::PrefixList(text(Some(list))));
    }
    let named = rule.referenced_group_info()?;
    let peering = named.vpc_peering_connection_id().filter(|id| !id.is_empty());
    Some(Peer::Group(Grouped {
        group: text(Some(named.group_id()?)),
        peering: peering.map(|id| text(Some(id))),
    }))
}

/// The ACL at a subnet.
pub(super) async fn acl(client: Client, subnet: String) -> Result<Acl, Gap> {
    let answer = client
        .describe_network_acls()
        .filters(filter("association.subnet-id", [subnet.as_str()]))
        .send()
        .await
        .map_err(|error| gap_of(DESCRIBE_ACLS, &error))?;
    let guards = |acl: &&NetworkAcl| {
        acl.associations().iter().any(|association| association.subnet_id() == Some(subnet.as_str()))
    };
    let mut found = answer.network_acls().iter().filter(guards);
    let acl = found.next().ok_or_else(|| not_visible(DESCRIBE_ACLS))?;
    if found.next().is_some() {
        return Err(strange(DESCRIBE_ACLS, "two ACLs claim one subnet"));
    }
    let entries: Option<Vec<AclEntry>> = acl.entries().iter().map(read_entry).collect();
    let entries = entries.ok_or_else(|| strange(DESCRIBE_ACLS, "an entry cannot be read"))?;
    if contradict(&entries) {
        return Err(strange(DESCRIBE_ACLS, "two entries have one number"));
    }
    Ok(Acl { id: text(acl.network_acl_id()), entries })
}

fn read_entry(entry: &NetworkAclEntry) -> Option<AclEntry> {
    let protocol = protocol(entry.protocol()?)?;
    let allows = match entry.rule_action()?.as_str() {
        "allow" => true,
        "deny" => false,
        _ => return None,
    };
    Some(AclEntry {
        number: u32::try_from(entry.rule_number()?).ok().filter(|&number| number > 0)?,
        direction: direction(entry.egress()?),
        protocol,
        ports: entry_ports(protocol, entry)?,
        network: network(entry.cidr_block().or(entry.ipv6_cidr_block())?)?,
        allows,
    })
}

fn entry_ports(protocol: Protocol, entry: &NetworkAclEntry) -> Option<PortRange> {
    let range = entry.port_range();
    ports(protocol, range.and_then(|range| range.from()), range.and_then(|range| range.to()))
}

/// Numbers are unique per direction; the last entry for IPv6 is 32768.
fn contradict(entries: &[AclEntry]) -> bool {
    let key = |entry: &AclEntry| (entry.direction, entry.number, entry.network.addr().is_ipv6());
    let distinct: BTreeSet<_> = entries.iter().map(key).collect();
    distinct.len() < entries.len()
}
