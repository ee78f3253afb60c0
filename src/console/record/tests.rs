//! The whole of the commands, on a store with a few sessions in it.

use super::*;
use crate::domain::{ConnectionId, NodeName, SessionId};
use crate::store::SessionRow;

/// A session of the 22nd of November, 2026.
pub(super) fn row(number: u128, user: &str) -> SessionRow {
    let started: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
    SessionRow {
        id: SessionId::fixed(number),
        node: NodeName::parse("bastion-1").expect("a name"),
        connection: Some(ConnectionId::fixed(number)),
        started,
        ended: (number % 2 == 0).then(|| "2026-11-22T10:03:20Z".parse().expect("a time")),
        user: user.to_owned(),
        client_addr: "203.0.113.7".to_owned(),
        client_port: 50_122,
        way: "jump".to_owned(),
        login: "ec2-user".to_owned(),
        target_id: "i-0123456789abcdef0".to_owned(),
        target_name: Some("web-1".to_owned()),
        target_account: "123456789012".to_owned(),
        target_region: "eu-west-1".to_owned(),
        target_ip: "10.0.1.20".to_owned(),
        content: None,
        action: Some("exec".to_owned()),
        command: Some("uptime".to_owned()),
        ending: (number % 2 == 0).then(|| "finished".to_owned()),
        detail: None,
        bytes_to_target: None,
        bytes_to_client: None,
        channels: None,
    }
}
