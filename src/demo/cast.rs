//! Who plays in the demo: six instances and the bastion's own, three images, one account, one region.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;

use super::aws::{Health, Image, World, WorldInstance};
use super::landscape::{
    BASTION_GROUP, PRIVATE_SUBNET, PUBLIC_SUBNET, SSH_GROUP, VPC, WEB_GROUP, ZONE, network,
};
use crate::clock::SharedClock;
use crate::domain::InstanceId;

/// The account of the demo.
pub(super) const ACCOUNT: &str = "111122223333";

/// The region of the demo.
pub(super) const REGION: &str = "eu-west-1";

/// The instance that the bastion is said to run on.
pub(super) const BASTION: &str = "i-0de300000000000ba";

/// From where the bastion dials: whoever connects to a loopback address has this one.
const BASTION_IP: Ipv4Addr = Ipv4Addr::LOCALHOST;

const AMAZON_LINUX: &str = "ami-0a11ce0000000001a";
const UBUNTU: &str = "ami-0a11ce0000000002b";
const DEBIAN: &str = "ami-0a11ce0000000003c";

/// One part in the demo.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) id: &'static str,
    pub(super) private_ip: Ipv4Addr,
    /// As whom the demo's `ssh_config` logs in.
    pub(super) login: &'static str,
    pub(super) role: Role,
    image: &'static str,
    tags: &'static [(&'static str, &'static str)],
}

/// What can be seen of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It lets in who holds a key that was pushed.
    Serves,
    /// Its security group has no rule for SSH: nothing answers.
    Locked,
    /// Its image has no Instance Connect agent: it lets nobody in.
    Bare,
    /// It is stopped.
    Stopped,
}

/// The parts, in the order in which lists show them. The ids stay the same from run to run, as does what
/// is pinned to them.
pub(super) const PARTS: [Part; 6] = [
    Part {
        name: "web-1",
        id: "i-0de300000000000a1",
        private_ip: Ipv4Addr::new(127, 0, 1, 10),
        login: "ec2-user",
        role: Role::Serves,
        image: AMAZON_LINUX,
        tags: &[("env", "dev"), ("role", "web")],
    },
    Part {
        name: "db-1",
        id: "i-0de300000000000b1",
        private_ip: Ipv4Addr::new(127, 0, 1, 11),
        login: "ec2-user",
        role: Role::Serves,
        image: UBUNTU,
        tags: &[("env", "dev"), ("role", "db")],
    },
    Part {
        name: "vault-1",
        id: "i-0de300000000000c1",
        private_ip: Ipv4Addr::new(127, 0, 1, 12),
        login: "ec2-user",
        role: Role::Serves,
        image: AMAZON_LINUX,
        tags: &[("env", "prod"), ("role", "vault"), ("secret", "yes")],
    },
    Part {
        name: "old-1",
        id: "i-0de300000000000d1",
        private_ip: Ipv4Addr::new(127, 0, 1, 13),
        login: "ec2-user",
        role: Role::Stopped,
        image: AMAZON_LINUX,
        tags: &[("env", "dev"), ("role", "web")],
    },
    Part {
        name: "locked-1",
        id: "i-0de300000000000e1",
        private_ip: Ipv4Addr::new(127, 0, 1, 14),
        login: "ec2-user",
        role: Role::Locked,
        image: AMAZON_LINUX,
        tags: &[("env", "dev"), ("role", "cache")],
    },
    Part {
        name: "bare-1",
        id: "i-0de300000000000f1",
        private_ip: Ipv4Addr::new(127, 0, 1, 15),
        login: "admin",
        role: Role::Bare,
        image: DEBIAN,
        tags: &[("env", "dev"), ("role", "batch")],
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

    /// Whether anything listens there.
    pub(super) fn runs(&self) -> bool {
        match self.role {
            Role::Serves | Role::Locked | Role::Bare => true,
            Role::Stopped => false,
        }
    }

    fn group(&self) -> &'static str {
        match self.role {
            Role::Locked => WEB_GROUP,
            Role::Serves | Role::Bare | Role::Stopped => SSH_GROUP,
        }
    }

    fn instance(&self, stage: Option<&Stage>) -> Option<WorldInstance> {
        let port = stage.map(|stage| ("drawbridge:port".to_owned(), stage.port.to_string()));
        let own = self.tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut instance = instance(self.instance_id()?, self.name, self.private_ip);
        instance.subnet = PRIVATE_SUBNET.to_owned();
        instance.groups = vec![self.group().to_owned()];
        instance.image = self.image.to_owned();
        instance.tags.extend(own.chain(port));
        instance.host_key = stage.map(|stage| stage.host_key.clone());
        instance.has_agent = self.role != Role::Bare;
        if !self.runs() {
            instance.state = "stopped".to_owned();
            instance.state_reason = "Client.UserInitiatedShutdown: User initiated shutdown".to_owned();
        }
        Some(instance)
    }
}

/// An instance that runs in the demo's VPC, with all that they have in common.
fn instance(id: InstanceId, name: &str, private_ip: Ipv4Addr) -> WorldInstance {
    let dashed = private_ip.to_string().replace('.', "-");
    WorldInstance {
        id,
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        availability_zone: ZONE.to_owned(),
        vpc: VPC.to_owned(),
        subnet: PUBLIC_SUBNET.to_owned(),
        image: AMAZON_LINUX.to_owned(),
        private_ip: IpAddr::V4(private_ip),
        private_dns: format!("ip-{dashed}.{REGION}.compute.internal"),
        state: "running".to_owned(),
        state_reason: String::new(),
        launch_time: LAUNCHED,
        groups: vec![BASTION_GROUP.to_owned()],
        health: Health::default(),
        metadata_enabled: true,
        has_agent: true,
        tags: BTreeMap::from([("Name".to_owned(), name.to_owned())]),
        host_key: None,
    }
}

/// 2026-11-01T08:00:00Z: when all of them were started.
const LAUNCHED: Timestamp = Timestamp::constant(1_793_520_000, 0);

/// The bastion's own instance. The policy closes it: nobody goes from the bastion to the bastion.
fn bastion() -> Option<WorldInstance> {
    let mut bastion = instance(InstanceId::parse(BASTION)?, "bastion", BASTION_IP);
    bastion.tags.insert("role".to_owned(), "bastion".to_owned());
    Some(bastion)
}

/// The world in which the parts play; `stages` are of those that run, by name.
pub(super) fn world(stages: &BTreeMap<&'static str, Stage>, clock: SharedClock) -> World {
    let parts = PARTS.iter().filter_map(|part| part.instance(stages.get(part.name)));
    let image = |id: &str, name: &str, owner: &str| Image {
        id: id.to_owned(),
        name: name.to_owned(),
        owner_alias: owner.to_owned(),
        platform: String::new(),
    };
    let images = vec![
        image(AMAZON_LINUX, "al2023-ami-2023.9.20251117.1-kernel-6.12-arm64", "amazon"),
        image(
            UBUNTU,
            "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-20251022",
            "aws-marketplace",
        ),
        image(DEBIAN, "debian-12-arm64-20251112-2294", ""),
    ];
    let mut world = World::new(ACCOUNT, parts.chain(bastion()).collect(), images, clock);
    world.networks.push(network());
    world
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
        let parts: Vec<_> = PARTS.iter().map(|part| part.name).chain(["bastion"]).collect();
        assert_eq!(names, parts);
        let stopped: Vec<_> = world.instances.iter().filter(|instance| instance.state == "stopped").collect();
        assert_eq!(stopped.len(), 1);
        assert_eq!(stopped[0].tags["Name"], "old-1");
        assert_eq!(world.instances[0].tags["drawbridge:port"], "40022");
        assert!(world.instances[2].tags.contains_key("secret"));
        assert!(world.instances.iter().all(|one| one.launch_time.to_string() == "2026-11-01T08:00:00Z"));
    }

    #[test]
    fn whatever_an_instance_names_exists() {
        let world = world(&BTreeMap::new(), std::sync::Arc::new(SystemClock));
        let network = &world.networks[0];
        for instance in &world.instances {
            let name = &instance.tags["Name"];
            assert!(network.vpcs.iter().any(|vpc| vpc.id == instance.vpc), "{name}: VPC");
            assert!(network.subnets.iter().any(|subnet| subnet.id == instance.subnet), "{name}: subnet");
            assert!(world.images.iter().any(|image| image.id == instance.image), "{name}: image");
            for id in &instance.groups {
                assert!(network.groups.iter().any(|group| group.id == *id), "{name}: {id}");
            }
        }
        for subnet in &network.subnets {
            let guarding = network.acls.iter().filter(|acl| acl.subnets.contains(&subnet.id));
            assert_eq!(guarding.count(), 1, "{}: its ACL", subnet.id);
        }
    }
}
