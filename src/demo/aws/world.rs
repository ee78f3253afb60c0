//! What exists in the look-alike: instances, images, networks, and the keys that were pushed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::network::Network;
use crate::clock::SharedClock;
use crate::domain::InstanceId;

/// How long a pushed key lets in (EC2 Instance Connect API reference, `SendSSHPublicKey`).
pub const PUSHED_KEY_LIFETIME: Duration = Duration::from_secs(60);

/// The most keys remembered for one instance and login; further pushes forget the oldest.
const PUSHED_KEYS_MAX: usize = 256;

/// One instance of the look-alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldInstance {
    /// The instance id.
    pub id: InstanceId,
    /// The 12-digit account it belongs to.
    pub account: String,
    /// The region it runs in.
    pub region: String,
    /// The availability zone.
    pub availability_zone: String,
    /// The VPC id.
    pub vpc: String,
    /// The subnet id.
    pub subnet: String,
    /// The image id.
    pub image: String,
    /// The private address; IPv4 and IPv6 show up in the fields that EC2 has for each.
    pub private_ip: IpAddr,
    /// The private DNS name.
    pub private_dns: String,
    /// `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
    pub state: String,
    /// Why it is in that state, as AWS words it (`CODE: words`); empty where nothing is said.
    pub state_reason: String,
    /// When it was last started.
    pub launch_time: Timestamp,
    /// The security groups of its interface.
    pub groups: Vec<String>,
    /// What AWS's checks say while it runs, and what is scheduled.
    pub health: Health,
    /// Whether its metadata service answers.
    pub metadata_enabled: bool,
    /// Whether its image has the Instance Connect agent, which fetches pushed keys from the metadata service.
    pub has_agent: bool,
    /// All tags, the `Name` among them.
    pub tags: BTreeMap<String, String>,
    /// The public host key in OpenSSH's form, which the console output shows; nothing for an
    /// instance that never booted.
    pub host_key: Option<String>,
}

/// What AWS's checks say of an instance that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Of AWS's systems below it: `ok`, `impaired`, `initializing` or `insufficient-data`.
    pub system: String,
    /// Of the instance itself.
    pub instance: String,
    /// Of its volumes.
    pub volumes: String,
    /// What is scheduled.
    pub events: Vec<WorldEvent>,
}

impl Default for Health {
    /// All is well.
    fn default() -> Self {
        let ok = || "ok".to_owned();
        Self { system: ok(), instance: ok(), volumes: ok(), events: Vec::new() }
    }
}

/// Something that AWS has scheduled for an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldEvent {
    /// `instance-stop`, `system-reboot`, ….
    pub code: String,
    /// AWS's words.
    pub description: String,
    /// From when.
    pub not_before: Timestamp,
}

/// One machine image of the look-alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image id.
    pub id: String,
    /// Its name, such as `al2023-ami-2023.9.20251117.1-kernel-6.12-x86_64`.
    pub name: String,
    /// The owner's alias; empty where it has none.
    pub owner_alias: String,
    /// `windows` or empty.
    pub platform: String,
}

/// Everything the look-alike and the demo's instances share.
#[derive(Debug)]
pub struct World {
    /// The account that callers are in unless their credentials name another.
    pub account: String,
    /// The instances, in the order in which they are listed.
    pub instances: Vec<WorldInstance>,
    /// The images.
    pub images: Vec<Image>,
    /// The networks: none, unless they are put there.
    pub networks: Vec<Network>,
    clock: SharedClock,
    pushed: Mutex<HashMap<(InstanceId, String), Vec<PushedKey>>>,
}

/// A key that was pushed for one instance and login.
#[derive(Debug)]
struct PushedKey {
    blob: Vec<u8>,
    until: Timestamp,
}

impl World {
    /// A world without networks, in which no key has been pushed yet.
    #[must_use]
    pub fn new(
        account: impl Into<String>,
        instances: Vec<WorldInstance>,
        images: Vec<Image>,
        clock: SharedClock,
    ) -> Self {
        Self {
            account: account.into(),
            instances,
            images,
            networks: Vec::new(),
            clock,
            pushed: Mutex::default(),
        }
    }

    /// The instance with this id, in whichever account and region.
    #[must_use]
    pub fn instance(&self, id: &InstanceId) -> Option<&WorldInstance> {
        self.instances.iter().find(|instance| instance.id == *id)
    }

    /// Remembers a public key (its wire form, RFC 4253 §6.6) for an instance and a login, for
    /// [`PUSHED_KEY_LIFETIME`].
    pub fn push_key(&self, id: &InstanceId, login: &str, blob: Vec<u8>) {
        let now = self.clock.now();
        let until = now.saturating_add(PUSHED_KEY_LIFETIME).unwrap_or(Timestamp::MAX);
        let mut pushed = self.pushed();
        pushed.retain(|_, keys| {
            keys.retain(|key| key.until > now);
            !keys.is_empty()
        });
        let keys = pushed.entry((id.clone(), login.to_owned())).or_default();
        if keys.len() >= PUSHED_KEYS_MAX {
            keys.remove(0);
        }
        keys.push(PushedKey { blob, until });
    }

    /// The name of a security group; empty where no network has it.
    pub(super) fn group_name(&self, id: &str) -> &str {
        let mut groups = self.networks.iter().flat_map(|network| &network.groups);
        groups.find(|group| group.id == id).map_or("", |group| &group.name)
    }

    /// Whether this key (its wire form) was pushed for this instance and login, has not expired, and
    /// the instance fetches such keys.
    #[must_use]
    pub fn lets_in(&self, id: &InstanceId, login: &str, blob: &[u8]) -> bool {
        let fetches =
            self.instance(id).is_some_and(|instance| instance.has_agent && instance.metadata_enabled);
        let now = self.clock.now();
        let pushed = self.pushed();
        let keys = pushed.get(&(id.clone(), login.to_owned()));
        fetches && keys.is_some_and(|keys| keys.iter().any(|key| key.blob == blob && key.until > now))
    }

    /// What time it is in this world.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn pushed(&self) -> MutexGuard<'_, HashMap<(InstanceId, String), Vec<PushedKey>>> {
        // The map is consistent between any two statements, so a panic elsewhere leaves it usable.
        self.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::clock::HandSetClock;

    /// A world with `count` running instances `i-…00`, `i-…01`, … named `n-0`, `n-1`, ….
    pub(in crate::demo::aws) fn world_of(count: u8, clock: SharedClock) -> World {
        let instances = (0..count).map(instance).collect();
        let image = |id: &str, name: &str| Image {
            id: id.to_owned(),
            name: name.to_owned(),
            owner_alias: "amazon".to_owned(),
            platform: String::new(),
        };
        let images = vec![
            image("ami-0a11ce00000000001", "al2023-ami-2023.9.20251117.1-kernel-6.12-x86_64"),
            image("ami-0a11ce00000000002", "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server"),
        ];
        World::new("111122223333", instances, images, clock)
    }

    fn instance(number: u8) -> WorldInstance {
        WorldInstance {
            id: InstanceId::parse(&format!("i-0123456789abcde{number:02x}")).expect("an id"),
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            availability_zone: "eu-west-1a".to_owned(),
            vpc: "vpc-0d1e2f".to_owned(),
            subnet: "subnet-0a1b2c".to_owned(),
            image: "ami-0a11ce00000000001".to_owned(),
            private_ip: IpAddr::from([10, 0, 0, number]),
            private_dns: format!("ip-10-0-0-{number}.eu-west-1.compute.internal"),
            state: "running".to_owned(),
            state_reason: String::new(),
            launch_time: "2026-11-01T08:00:00Z".parse().expect("a time"),
            groups: vec!["sg-0a1b2c".to_owned()],
            health: Health::default(),
            metadata_enabled: true,
            has_agent: true,
            tags: BTreeMap::from([("Name".to_owned(), format!("n-{number}"))]),
            host_key: None,
        }
    }

    #[test]
    fn a_pushed_key_lets_in_one_login_at_one_instance_for_sixty_seconds() {
        let clock = HandSetClock::at("2026-11-22T08:00:00Z");
        let world = world_of(2, clock.clone());
        let [first, second] = [0, 1].map(|at: usize| world.instances[at].id.clone());
        world.push_key(&first, "ec2-user", b"key".to_vec());
        clock.advance(Duration::from_secs(59));
        assert!(world.lets_in(&first, "ec2-user", b"key"));
        assert!(!world.lets_in(&first, "root", b"key"));
        assert!(!world.lets_in(&second, "ec2-user", b"key"));
        assert!(!world.lets_in(&first, "ec2-user", b"other"));
        clock.advance(Duration::from_secs(1));
        assert!(!world.lets_in(&first, "ec2-user", b"key"));
    }

    #[test]
    fn a_key_lets_in_only_where_something_fetches_it() {
        for (has_agent, metadata_enabled) in [(true, true), (true, false), (false, true)] {
            let mut world = world_of(1, HandSetClock::at("2026-11-22T08:00:00Z"));
            let instance = &mut world.instances[0];
            (instance.has_agent, instance.metadata_enabled) = (has_agent, metadata_enabled);
            let id = instance.id.clone();
            world.push_key(&id, "ec2-user", b"key".to_vec());
            assert_eq!(world.lets_in(&id, "ec2-user", b"key"), has_agent && metadata_enabled);
        }
    }

    #[test]
    fn pushed_keys_are_bounded() {
        let world = world_of(1, HandSetClock::at("2026-11-22T08:00:00Z"));
        let id = world.instances[0].id.clone();
        for number in 0..1000_u32 {
            world.push_key(&id, "ec2-user", number.to_be_bytes().to_vec());
        }
        assert!(world.lets_in(&id, "ec2-user", &999_u32.to_be_bytes()));
        assert!(!world.lets_in(&id, "ec2-user", &0_u32.to_be_bytes()));
    }
}
