//! The EC2 Query API: which actions there are, and how they answer.

use super::describe::{describe, placed};
use super::guards::rules;
use super::http::Caller;
use super::instances::{checked, console_output, inhabitants};
use super::select::{Query, QueryError};
use super::ways::{OfVpc, prefix_list_entries};
use super::world::World;
use super::xml::Xml;

const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// Answers one request that the caller may make with an XML document.
pub(super) fn answer(
    query: &Query,
    world: &World,
    caller: &Caller,
    request_id: &str,
) -> Result<String, QueryError> {
    let answered = answer_action(query, world, caller, request_id);
    let known = !matches!(&answered, Err(error) if error.code == UNKNOWN_ACTION);
    if known && query.get("DryRun") == Some("true") { Err(would_have_succeeded()) } else { answered }
}

fn answer_action(
    query: &Query,
    world: &World,
    caller: &Caller,
    request_id: &str,
) -> Result<String, QueryError> {
    let groups = || placed(world, caller, |network| network.groups.as_slice());
    let attachments = || placed(world, caller, |network| network.attachments.as_slice());
    match query.action() {
        "DescribeInstances" => describe(query, inhabitants(query, world, caller)?, request_id),
        "DescribeInstanceStatus" => describe(query, checked(query, world, caller)?, request_id),
        "GetConsoleOutput" => console_output(query, world, caller, request_id),
        "DescribeImages" => describe(query, world.images.iter().collect(), request_id),
        "DescribeSecurityGroups" => describe(query, groups(), request_id),
        "DescribeSecurityGroupRules" => describe(query, rules(groups()), request_id),
        "DescribeNetworkAcls" => describe(query, placed(world, caller, |network| &network.acls), request_id),
        "DescribeVpcs" => describe(query, placed(world, caller, |network| &network.vpcs), request_id),
        "DescribeSubnets" => describe(query, placed(world, caller, |network| &network.subnets), request_id),
        "DescribeRouteTables" => {
            describe(query, placed(world, caller, |network| &network.route_tables), request_id)
        }
        "GetManagedPrefixListEntries" => {
            prefix_list_entries(query, &placed(world, caller, |network| &network.prefix_lists), request_id)
        }
        "DescribeVpcPeeringConnections" => {
            describe(query, placed(world, caller, |network| &network.peerings), request_id)
        }
        "DescribeTransitGatewayAttachments" => describe(query, attachments(), request_id),
        "DescribeTransitGatewayVpcAttachments" => {
            describe(query, attachments().iter().map(|attachment| OfVpc(attachment.it)).collect(), request_id)
        }
        other => Err(unknown_action(other)),
    }
}

/// An error as EC2 writes it.
pub(super) fn error_document(error: &QueryError, request_id: &str) -> String {
    let mut xml = Xml::new();
    xml.element("Response", |xml| {
        xml.element("Errors", |xml| {
            xml.element("Error", |xml| {
                xml.text("Code", &error.code);
                xml.text("Message", &error.message);
            });
        });
        xml.text("RequestID", request_id);
    });
    xml.finish()
}

const UNKNOWN_ACTION: &str = "InvalidAction";

pub(super) fn unknown_action(action: &str) -> QueryError {
    QueryError::new(UNKNOWN_ACTION, format!("The action {action} is not valid for this web service."))
}

/// The answer to a request that was only to find out whether it may be made.
fn would_have_succeeded() -> QueryError {
    let message = "Request would have succeeded, but DryRun flag is set.";
    QueryError::new("DryRunOperation", message).with_status(412)
}

/// The answer to `action` around what `body` writes.
pub(super) fn document(action: &str, request_id: &str, body: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::new();
    xml.root(&format!("{action}Response"), Some(NAMESPACE), |xml| {
        xml.text("requestId", request_id);
        body(xml);
    });
    xml.finish()
}
