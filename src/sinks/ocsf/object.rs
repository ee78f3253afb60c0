//! Objects of the schema that several classes have.

use serde_json::{Map, Value};

use super::context::Context;

/// An object of what there is: nothing stands for what is not known.
pub(super) fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let known = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect::<Map<_, _>>())
}

/// A text that may be absent.
pub(super) fn text(text: Option<&str>) -> Option<Value> {
    text.map(Value::from)
}

/// A text that is there.
pub(super) fn fixed(text: &str) -> Option<Value> {
    Some(Value::from(text))
}

/// A number that is there.
pub(super) fn number(number: u64) -> Option<Value> {
    Some(Value::from(number))
}

/// `device`: a virtual machine.
const VIRTUAL: u64 = 6;
/// `device`: we do not know.
const UNKNOWN: u64 = 0;

/// The user of local policy.
pub(super) fn user(context: &Context) -> Option<Value> {
    let groups: Vec<_> = context.groups.iter().map(|group| object([("name", fixed(group))])).collect();
    let name = context.user.as_deref()?;
    Some(object([
        ("name", fixed(name)),
        ("type_id", number(1)),
        ("type", fixed("User")),
        ("groups", (!groups.is_empty()).then(|| Value::Array(groups))),
    ]))
}

/// Who acts: a user, in a session.
pub(super) fn actor(context: &Context, session: Option<&str>, connection: Option<&str>) -> Option<Value> {
    let session = session.or(connection).map(|id| {
        let outer = connection.filter(|outer| *outer != id);
        object([("uid", fixed(id)), ("uid_alt", text(outer)), ("is_remote", Some(Value::Bool(true)))])
    });
    let user = user(context);
    (user.is_some() || session.is_some()).then(|| object([("user", user), ("session", session)]))
}

/// This bastion, as a device.
pub(super) fn bastion_device(node: &str) -> Value {
    object([
        ("name", fixed(node)),
        ("hostname", fixed(node)),
        ("type_id", number(1)),
        ("type", fixed("Server")),
    ])
}

/// This bastion, as an end of a connection.
pub(super) fn bastion_endpoint(node: &str) -> Value {
    object([("name", fixed(node)), ("hostname", fixed(node)), ("svc_name", fixed("drawbridge"))])
}

/// The client.
pub(super) fn client_endpoint(context: &Context) -> Option<Value> {
    let ip = context.client_addr.as_deref()?;
    Some(object([("ip", fixed(ip)), ("port", context.client_port.map(Value::from))]))
}

fn of_target<'a>(context: &'a Context, field: &str) -> Option<&'a str> {
    context.target.as_ref()?.get(field)?.as_str()
}

/// The target, as an end of a connection.
pub(super) fn target_endpoint(context: &Context) -> Option<Value> {
    let id = of_target(context, "id")?;
    Some(object([
        ("uid", fixed(id)),
        ("instance_uid", fixed(id)),
        ("name", text(of_target(context, "name"))),
        ("ip", text(of_target(context, "private_ip"))),
        ("type_id", number(VIRTUAL)),
        ("type", fixed("Virtual")),
    ]))
}

/// The target, as the device that files are on.
pub(super) fn target_device(context: &Context) -> Value {
    let Some(id) = of_target(context, "id") else {
        return object([
            ("name", fixed("unknown")),
            ("type_id", number(UNKNOWN)),
            ("type", fixed("Unknown")),
        ]);
    };
    object([
        ("uid", fixed(id)),
        ("instance_uid", fixed(id)),
        ("name", text(of_target(context, "name"))),
        ("ip", text(of_target(context, "private_ip"))),
        ("region", text(of_target(context, "region"))),
        ("type_id", number(VIRTUAL)),
        ("type", fixed("Virtual")),
    ])
}

/// An address and port such as `10.0.1.20:22` or `[::1]:22`.
pub(super) fn socket_endpoint(address: &str) -> Option<Value> {
    let address: std::net::SocketAddr = address.parse().ok()?;
    let ip = address.ip().to_string();
    Some(object([("ip", fixed(&ip)), ("port", number(address.port().into()))]))
}

/// The other end of a forward: its `host`, `address` and `port`.
pub(super) fn destination_endpoint(destination: &Value) -> Option<Value> {
    let of = |field: &str| destination.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let (host, ip) = (of("host"), of("address"));
    (host.is_some() || ip.is_some()).then(|| {
        object([("hostname", text(host)), ("ip", text(ip)), ("port", destination.get("port").cloned())])
    })
}
