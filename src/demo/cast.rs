//! Who plays in the demo: four instances, two images, one account, one region.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::aws::{Image, World, WorldInstance};
use crate::clock::SharedClock;
use crate::domain::InstanceId;

/// The account of the demo.
pub(super) const ACCOUNT: &str = "111122223333";

/// The region of the demo.
pub(super) const REGION: &str = "eu-west-1";

/// The names of the instances, in the order in which lists show them.
pub(super) const NAMES: [&str; 4] = ["web-1", "db-1", "vault-1", "old-1"];

const AMAZON_LINUX: &str = "ami-0a11ce0000000001a";
const UBUNTU: &str = "ami-0a11ce0000000002b";

/// One part in the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) id: &'static str,
    pub(super) private_ip: Ipv4Addr,
    image: &'static str,
    tags: &'static [(&'static str, &'static str)],
    /// Whether anything listens there.
    pub(super) runs: bool,
}

/// The parts, in the order of [`NAMES`]. The ids stay the same from run to run, as does what is
/// pinned to them.
pub(super) const PARTS: [Part; 4] = [
    Part {
        name: "web-1",
        id: "i-0de300000000000a1",
        private_ip: Ipv4Addr::new(127, 0, 1, 10),
        image: AMAZON_LINUX,
        tags: &[("env", "dev"), ("role", "web")],
        runs: true,
    },
    Part {
        name: "db-1",
        id: "i-0de300000000000b1",
        private_ip: Ipv4Addr::new(127, 0, 1, 11),
        image: UBUNTU,
        tags: &[("env", "dev"), ("role", "db")],
        runs: true,
    },
    Part {
        name: "vault-1",
        id: "i-0de300000000000c1",
        private_ip: Ipv4Addr::new(127, 0, 1, 12),
        image: AMAZON_LINUX,
        tags: &[("env", "prod"), ("role", "vault"), ("secret", "yes")],
        runs: true,
    },
    Part {
        name: "old-1",
        id: "i-0de300000000000d1",
        private_ip: Ipv4Addr::new(127, 0, 1, 13),
        image: AMAZON_LINUX,
        tags: &[("env", "dev"), ("role", "web")],
        runs: false,
    },
];

/// Where a part listens and with which host key.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) port: u16,
    pub(super) host_key: String,
}

impl Part {
    pub(super) fn instance_id(&self) -> Option<InstanceId> {
        InstanceId::parse(self.id)
    }

    fn instance(&self, stage: Option<&Stage>) -> Option<WorldInstance> {
        let port = stage.map(|stage| ("drawbridge:port".to_owned(), stage.port.to_string()));
        let own = self.tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let name = [("Name".to_owned(), self.name.to_owned())];
        let dashed = self.private_ip.to_string().replace('.', "-");
        Some(WorldInstance {
            id: self.instance_id()?,
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            availability_zone: format!("{REGION}a"),
            vpc: "vpc-0de3000000000001e".to_owned(),
            subnet: "subnet-0de3000000000001f".to_owned(),
            image: self.image.to_owned(),
            private_ip: IpAddr::V4(self.private_ip),
            private_dns: format!("ip-{dashed}.{REGION}.compute.internal"),
            state: if self.runs { "running" } else { "stopped" }.to_owned(),
            tags: own.chain(name).chain(port).collect::<BTreeMap<_, _>>(),
            host_key: stage.map(|stage| stage.host_key.clone()),
        })
    }
}

/// The world in which the parts play; `stages` are of those that run, by name.
pub(super) fn world(stages: &BTreeMap<&'static str, Stage>, clock: SharedClock) -> World {
    let instances = PARTS.iter().filter_map(|part| part.instance(stages.get(part.name))).collect();
    let image = |id: &str, name: &str, owner: &str| Image {
        id: id.to_owned(),
        name: name.to_owned(),
        owner_alias: owner.to_owned(),
    };
    let images = vec![
        image(AMAZON_LINUX, "al2023-ami-2023.9.20251117.1-kernel-6.12-arm64", "amazon"),
        image(
            UBUNTU,
            "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20251022",
            "aws-marketplace",
        ),
    ];
    World::new(ACCOUNT, instances, images, clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn every_part_is_in_the_world_and_only_old_1_is_stopped() {
        let stage = Stage { port: 40_022, host_key: "ssh-ed25519 AAAA".to_owned() };
        let world = world(&BTreeMap::from([("web-1", stage)]), std::sync::Arc::new(SystemClock));
        let names: Vec<_> = world.instances.iter().map(|instance| instance.tags["Name"].as_str()).collect();
        assert_eq!(names, NAMES);
        assert_eq!(PARTS.map(|part| part.name), NAMES);
        let stopped: Vec<_> = world.instances.iter().filter(|instance| instance.state == "stopped").collect();
        assert_eq!(stopped.len(), 1);
        assert_eq!(stopped[0].tags["Name"], "old-1");
        assert_eq!(world.instances[0].tags["drawbridge:port"], "40022");
        assert!(world.instances[2].tags.contains_key("secret"));
    }
}
