//! A network beside the machine's own, in a namespace: everything on the machine itself is the bastion's own, which
//! it never connects to.

use serde_json::json;

use super::supervisor::Supervisor;

/// A namespace with two addresses, and our end of the wire to it. It goes when the lab does.
#[derive(Debug)]
pub(crate) struct Network {
    name: String,
    /// The address of our end: the machine's own.
    pub(crate) ours: String,
    /// Two addresses on the other side.
    pub(crate) theirs: [String; 2],
    /// The block of all these addresses.
    pub(crate) block: String,
}

impl Network {
    /// A network, or nothing where none can be made, which is said: it takes root and iproute2.
    pub(crate) fn new() -> Option<Self> {
        let made = Supervisor::get().ask(&json!({"do": "network"}));
        if let Some(why) = made["missing"].as_str() {
            eprintln!("SKIPPED: no network namespace can be made here: {why}");
            return None;
        }
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        Some(Self {
            name: text(&made["name"]),
            ours: text(&made["ours"]),
            theirs: [text(&made["theirs"][0]), text(&made["theirs"][1])],
            block: text(&made["block"]),
        })
    }

    /// Starts a service on the other side which echoes, and in the end tells how many bytes it got.
    pub(crate) fn echo(&self, ip: &str, port: u16) {
        Supervisor::get().ask(&json!({"do": "echo", "network": self.name, "ip": ip, "port": port}));
    }
}
