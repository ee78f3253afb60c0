//! Reading the audit trail.

use serde_json::Value;

/// The events of that name, in order.
pub(crate) fn named<'a>(trail: &'a [Value], name: &str) -> Vec<&'a Value> {
    trail.iter().filter(|event| event["event"] == name).collect()
}

/// The events of one session and of the connection that carried it, in order.
pub(crate) fn of_session<'a>(trail: &'a [Value], session: &str) -> Vec<&'a Value> {
    trail.iter().filter(|event| event["session"] == session).collect()
}
