//! What is meant, what may be reached, and what is told, without a network.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Gateway;
use super::choose::{Asking, Denied};
use super::find::find;
use super::names::Names;
use crate::clock::{HandSetClock, SharedClock};
use crate::domain::{AuthMethod, Fingerprint, Identity, Target, UserName};
use crate::policy::Policy;
use crate::target::testing::{FakeSource, place, target};
use crate::target::{Inventory, Settings, Source};

/// Databases by CIDR and port, machines by tag; whatever is said elsewhere, nothing on production.
const POLICY: &str = r#"
@id("databases")
permit(principal in Group::"data", action == Action::"connect", resource is PrivateAddress)
when { resource.private_ip.isInRange(ip("10.0.3.0/24")) && context.destination.port == 5432 };

@id("dev")
permit(principal in Group::"data", action == Action::"connect", resource is Instance)
when { resource.hasTag("env") && resource.getTag("env") == "dev" };

@id("anything")
permit(principal in Group::"ops", action == Action::"connect", resource);

@id("sessions")
permit(principal in Group::"eng", action in Action::"session", resource);

@id("no-prod")
forbid(principal, action == Action::"connect", resource is Instance)
when { resource.hasTag("env") && resource.getTag("env") == "prod" };
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The bastion's machine has one address more than every machine.
fn is_own(address: IpAddr) -> io::Result<bool> {
    match address.to_string().as_str() {
        "10.0.9.9" => Ok(true),
        "10.99.0.1" => Err(io::ErrorKind::NetworkUnreachable.into()),
        _ => Ok(false),
    }
}

struct Fixture {
    gateway: Gateway,
    inventory: Inventory,
    source: Arc<FakeSource>,
    policy: Policy,
    looked_up: Arc<AtomicUsize>,
}

fn with_tag(name: &str, number: u8, env: &str) -> Target {
    Target { tags: BTreeMap::from([("env".to_owned(), env.to_owned())]), ..target(name, number) }
}

impl Fixture {
    async fn new() -> Self {
        let twin = |name, number| Target { private_ip: ip("10.0.0.77"), ..with_tag(name, number, "dev") };
        let instances = vec![
            Target { other_ips: vec![ip("10.0.3.201"), ip("fd00::201")], ..with_tag("web-1", 1, "dev") },
            Target { other_ips: vec![ip("10.0.3.202"), ip("fd00::202")], ..with_tag("vault-1", 2, "prod") },
            Target { state: "stopped".to_owned(), ..with_tag("old-1", 3, "dev") },
            with_tag("twin", 4, "dev"),
            with_tag("twin", 5, "dev"),
            with_tag("pair", 6, "dev"),
            with_tag("pair", 7, "prod"),
            Target { private_ip: ip("127.0.0.1"), ..with_tag("loop-1", 8, "dev") },
            Target { private_ip: ip("127.0.0.2"), ..with_tag("loop-2", 9, "prod") },
            Target { private_ip: ip("203.0.113.9"), ..with_tag("wide-1", 10, "dev") },
            twin("here-1", 11),
            Target { port: 2222, ..with_tag("odd-1", 12, "dev") },
            Target { private_ip: ip("10.0.0.77"), ..with_tag("there-1", 13, "prod") },
        ];
        let source = Arc::new(FakeSource::new(place("prod", "eu-west-1"), [Ok(instances)]));
        let clock: SharedClock = HandSetClock::at("2026-11-22T10:00:00Z");
        let inventory =
            Inventory::new(vec![Arc::clone(&source) as Arc<dyn Source>], Settings::default(), clock);
        inventory.first_refresh().await;
        let looked_up = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&looked_up);
        let names = Names::new(move |name| {
            counter.fetch_add(1, Ordering::SeqCst);
            let addresses: &[&str] = match name {
                "db.example" => &["10.0.3.7"],
                "mixed.example" => {
                    &["127.0.0.1", "169.254.169.254", "8.8.8.8", "10.0.4.4", "10.0.3.8", "10.0.3.9"]
                }
                "loop.example" => &["127.0.0.1", "::1"],
                "metadata.example" => &["fd00:ec2::254"],
                "hidden.example" => &["::ffff:169.254.169.254", "64:ff9b::7f00:1"],
                "public.example" => &["8.8.8.8"],
                "own.example" => &["10.0.9.9"],
                "vault.example" => &["10.0.0.2"],
                "web.example" => &["10.0.0.1"],
                "web-1" => &["10.0.3.7"],
                _ => return Err(io::ErrorKind::NotFound.into()),
            };
            Ok(addresses.iter().copied().map(ip).collect())
        });
        let gateway = Gateway { names, listeners: vec![ip("10.0.3.1")], is_own };
        let policy = Policy::from_text("policy.cedar", POLICY).expect("a policy");
        Self { gateway, inventory, source, policy, looked_up }
    }

    /// What somebody of that group gets, in a few words.
    async fn ask(&self, group: &str, host: &str, port: u16) -> String {
        let identity = Arc::new(Identity {
            user: UserName::parse("alice").expect("a name"),
            groups: vec![group.to_owned()],
            auth: AuthMethod::PublicKey {
                fingerprint: Fingerprint::of_blob(b"key"),
                algorithm: "ssh-ed25519".to_owned(),
            },
            client_addr: ip("192.0.2.7"),
        });
        let found = find(&self.gateway, &self.inventory, &self.policy, &identity, host, port).await;
        let meaning = match found {
            Ok(meaning) => meaning,
            Err(nowhere) => return format!("{nowhere:?}").to_lowercase(),
        };
        let asking = Asking {
            policy: &self.policy,
            identity: &identity,
            now: "2026-11-22T10:00:00Z".parse().expect("a time"),
            is_own: self.gateway.is_own,
            listeners: &self.gateway.listeners,
        };
        match asking.choose(meaning) {
            Ok(permit) => {
                let destination = permit.destination();
                let whose = destination.instance.as_ref().map_or("nobody's", |target| target.display_name());
                assert_eq!((destination.host.as_str(), destination.port), (host, port));
                format!("{} {whose}", destination.address)
            }
            Err(Denied::Never(why)) => format!("never: {why}"),
            Err(Denied::NotTheirs(refusals)) => format!("{} refused", refusals.len()),
            Err(Denied::NotRunning(target)) => format!("{} is {}", target.display_name(), target.state),
            Err(Denied::Ambiguous(targets)) => format!("{} of that name", targets.len()),
            Err(Denied::NoWay(address)) => format!("no way to {address}"),
        }
    }

    fn look_ups(&self) -> usize {
        self.looked_up.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_policy_allows_is_reached_by_every_kind_of_name() {
    let fixture = Fixture::new().await;
    for (host, reached) in [
        ("10.0.3.7", "10.0.3.7 nobody's"),
        ("::ffff:10.0.3.7", "10.0.3.7 nobody's"),
        ("db.example", "10.0.3.7 nobody's"),
        ("DB.example", "unknown"),
        ("web-1", "10.0.0.1 web-1"),
        ("i-00000000000000001", "10.0.0.1 web-1"),
        ("ip-10-0-0-1.eu-west-1.compute.internal", "10.0.0.1 web-1"),
        ("10.0.0.1", "10.0.0.1 web-1"),
        ("web.example", "10.0.0.1 web-1"),
        ("wide-1", "203.0.113.9 wide-1"),
        ("pair", "10.0.0.6 pair"),
    ] {
        assert_eq!(fixture.ask("data", host, 5432).await, reached, "{host}");
    }
    assert_eq!(fixture.ask("data", "web-1", 80).await, "10.0.0.1 web-1");
}

#[tokio::test]
async fn what_policy_does_not_allow_is_refused_by_every_kind_of_name() {
    let fixture = Fixture::new().await;
    for (host, port, refused) in [
        ("10.0.3.7", 5433, "1 refused"),
        ("10.0.4.7", 5432, "1 refused"),
        ("db.example", 80, "1 refused"),
        ("vault-1", 5432, "1 refused"),
        ("10.0.0.2", 5432, "1 refused"),
        ("vault.example", 5432, "1 refused"),
        ("no-such.example", 5432, "unknown"),
        ("not a name", 5432, "malformed"),
        ("old-1", 80, "old-1 is stopped"),
        ("twin", 80, "2 of that name"),
    ] {
        assert_eq!(fixture.ask("data", host, port).await, refused, "{host}:{port}");
    }
}

#[tokio::test]
async fn what_is_never_reachable_is_not_reached_by_those_who_may_do_everything_else() {
    let fixture = Fixture::new().await;
    for (host, why) in [
        ("127.0.0.1", "never: it is a loopback address"),
        ("::1", "never: it is a loopback address"),
        ("[::1]", "never: it is a loopback address"),
        ("localhost", "never: it is a loopback address"),
        ("LOCALHOST.", "never: it is a loopback address"),
        ("db.localhost", "never: it is a loopback address"),
        ("0.0.0.0", "never: it is an unspecified address"),
        ("169.254.169.254", "never: it is a link-local address"),
        ("::ffff:169.254.169.254", "never: it is a link-local address"),
        ("fd00:ec2::254", "never: it is an address of AWS's own services on each instance"),
        ("loop.example", "never: it is a loopback address"),
        ("metadata.example", "never: it is an address of AWS's own services on each instance"),
        ("hidden.example", "never: it is a link-local address"),
        ("public.example", "never: it is no private address"),
        ("8.8.8.8", "never: it is no private address"),
        ("10.0.9.9", "never: it is an address of the bastion's own machine"),
        ("own.example", "never: it is an address of the bastion's own machine"),
        ("10.0.3.1", "never: it is an address of the bastion's own machine"),
        ("loop-1", "never: it is a loopback address"),
        ("10.99.0.1", "no way to 10.99.0.1"),
    ] {
        assert_eq!(fixture.ask("ops", host, 80).await, why, "{host}");
    }
}

#[tokio::test]
async fn an_instance_that_is_not_theirs_reads_the_same_wherever_it_is() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask("ops", "loop-2", 80).await, "1 refused");
    assert_eq!(fixture.ask("data", "loop-2", 80).await, "1 refused");
}

/// Of an answer with forbidden, foreign and allowed addresses the first allowed one is dialled, and no other.
#[tokio::test]
async fn of_a_mixed_answer_the_first_that_is_allowed_is_dialled() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask("data", "mixed.example", 5432).await, "10.0.3.8 nobody's");
    assert_eq!(fixture.ask("ops", "mixed.example", 5432).await, "10.0.4.4 nobody's");
    // Three that are never reachable, and three that are not theirs at this port.
    assert_eq!(fixture.ask("data", "mixed.example", 80).await, "3 refused");
    assert_eq!(fixture.look_ups(), 3, "each name is looked up once");
}

/// Private addresses are not unique: whoever owns the other machine there has a say.
#[tokio::test]
async fn an_address_of_two_instances_needs_the_consent_of_both() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask("data", "here-1", 80).await, "10.0.0.77 here-1");
    assert_eq!(fixture.ask("data", "10.0.0.77", 80).await, "1 refused");
}

/// Else a `forbid` about a tag could be walked around by the second interface, or by IPv6.
#[tokio::test]
async fn every_address_of_an_instance_is_that_instance_and_the_one_that_was_typed_is_dialled() {
    let fixture = Fixture::new().await;
    for (address, outcome) in [
        ("10.0.3.200", "10.0.3.200 nobody's"),
        ("10.0.3.201", "10.0.3.201 web-1"),
        ("fd00::201", "fd00::201 web-1"),
        ("10.0.3.202", "1 refused"),
        ("fd00::202", "1 refused"),
        ("::ffff:10.0.3.202", "1 refused"),
    ] {
        assert_eq!(fixture.ask("data", address, 5432).await, outcome, "{address}");
    }
}

#[tokio::test]
async fn whoever_may_connect_nowhere_drives_no_look_up() {
    let fixture = Fixture::new().await;
    for host in ["db.example", "loop.example", "no-such.example"] {
        assert_eq!(fixture.ask("eng", host, 5432).await, "unknown", "{host}");
    }
    assert_eq!(fixture.ask("eng", "web-1", 80).await, "1 refused");
    assert_eq!(fixture.look_ups(), 0);
}

#[tokio::test]
async fn an_instance_s_name_is_never_taken_over_by_dns() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask("data", "web-1", 5432).await, "10.0.0.1 web-1");
    assert_eq!(fixture.look_ups(), 0);
}

/// Addresses and names that DNS knows are common, and EC2's bucket of calls is small.
#[tokio::test]
async fn addresses_and_names_of_dns_cost_no_call_to_aws() {
    let fixture = Fixture::new().await;
    for host in ["10.0.3.7", "db.example", "127.0.0.1", "localhost", "8.8.8.8"] {
        fixture.ask("data", host, 5432).await;
    }
    assert_eq!(fixture.source.lookups(), 0);
    fixture.source.answer_lookups(Ok(vec![with_tag("fresh-1", 50, "dev")]));
    assert_eq!(fixture.ask("data", "fresh-1", 80).await, "10.0.0.50 fresh-1");
    assert_eq!(fixture.source.lookups(), 1);
}

#[tokio::test]
async fn the_port_of_an_instance_s_sshd_is_for_ssh() {
    let fixture = Fixture::new().await;
    let identity = |group: &str| {
        Arc::new(Identity {
            user: UserName::parse("alice").expect("a name"),
            groups: vec![group.to_owned()],
            auth: AuthMethod::PublicKey {
                fingerprint: Fingerprint::of_blob(b"key"),
                algorithm: "ssh-ed25519".to_owned(),
            },
            client_addr: ip("192.0.2.7"),
        })
    };
    for (host, port, ssh) in [
        ("odd-1", 2222, true),
        ("odd-1", 22, false),
        ("10.0.0.12", 2222, true),
        ("web-1", 22, true),
        ("web-1", 80, false),
        ("10.0.3.7", 22, false),
    ] {
        let who = identity("data");
        let meaning = find(&fixture.gateway, &fixture.inventory, &fixture.policy, &who, host, port).await;
        assert_eq!(meaning.expect("found").is_ssh(), ssh, "{host}:{port}");
    }
}
