//! A whole client's story in memory: no network, no AWS, no disk but a users file.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::entrance::Guest;
use super::story::Story;
use super::visit::Errand;
use super::{Peer, Services, Settings, serve};
use crate::audit::{Collected, Log, Way};
use crate::auth::{Directory, Extensions, IdentitySources};
use crate::clock::{HandSetClock, SharedClock};
use crate::credential::{BoxFuture, EphemeralKey, InjectError, Injected, Injector};
use crate::domain::{AuthMethod, ConnectionId, Fingerprint, Identity, Login, Target, UserName};
use crate::policy::{Permit, Policy};
use crate::reload::Reloadable;
use crate::signature::keygen::Workshop;
use crate::ssh::testing::TestKey;
use crate::ssh::{
    self, ChannelKind, ClientConfig, Connection, HostKey, Limits, RekeyPolicy, ServerConfig, ServerIdentity,
    Signer, Unverified,
};
use crate::target::testing::{FakeSource, place};
use crate::target::{Inventory, Source};
use crate::tasks::Tasks;
use crate::upstream::{self, Connector, PinBoard, PinError, PinnedKey};

const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct NoAws;

impl Injector for NoAws {
    fn inject<'a>(
        &'a self,
        _: &'a Permit,
        _: &'a EphemeralKey,
    ) -> BoxFuture<'a, Result<Injected, InjectError>> {
        Box::pin(std::future::pending())
    }
}

#[derive(Debug)]
struct NoPins;

impl PinBoard for NoPins {
    fn pin<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<Option<PinnedKey>, PinError>> {
        Box::pin(std::future::ready(Err(PinError("there are none".to_owned()))))
    }

    fn remember<'a>(
        &'a self,
        _: &'a Target,
        _: &'a [u8],
        _: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        Box::pin(std::future::ready(Err(PinError("there are none".to_owned()))))
    }

    fn seen<'a>(&'a self, _: &'a Target, _: Timestamp) -> BoxFuture<'a, Result<(), PinError>> {
        Box::pin(std::future::ready(Err(PinError("there are none".to_owned()))))
    }
}

fn peer() -> Peer {
    Peer {
        client: "192.0.2.7:1234".parse().expect("an address"),
        listener: "192.0.2.1:22".parse().expect("an address"),
    }
}

/// A bastion that knows Alice.
pub(super) struct Bastion {
    pub(super) services: Arc<Services>,
    pub(super) audit: Collected,
    alice: TestKey,
    files: Workshop,
}

impl Bastion {
    /// No instances, and nothing is permitted.
    pub(super) fn new() -> Self {
        Self::with("", Vec::new())
    }

    /// Instances that were listed, under a policy.
    pub(super) async fn listing(targets: Vec<Target>, policy: &str) -> Self {
        let source = FakeSource::new(place("prod", "eu-west-1"), [Ok(targets)]);
        let bastion = Self::with(policy, vec![Arc::new(source)]);
        bastion.services.inventory.first_refresh().await;
        bastion
    }

    fn with(policy: &str, sources: Vec<Arc<dyn Source>>) -> Self {
        let files = Workshop::new();
        let alice = TestKey::fresh();
        let line = format!("ssh-ed25519 {}", data_encoding::BASE64.encode(&alice.public_blob()));
        let users = format!("[users.alice]\ngroups = []\nauthorized_keys = [\"{line}\"]\n");
        let users_file = files.write("users.toml", users);
        let directory = Directory::load(&IdentitySources { users_file, ..IdentitySources::default() });
        let clock: SharedClock = HandSetClock::at("2026-01-02T03:04:05Z");
        let (log, audit) = Log::in_memory(Arc::clone(&clock));
        let upstream = upstream::Settings {
            trust_on_first_use: true,
            connect_timeout: GRACE,
            handshake_timeout: GRACE,
            keepalive_interval: None,
            keepalive_max: 3,
        };
        let services = Services {
            directory: Reloadable::new("users", directory.expect("a users file")),
            policy: Reloadable::new("policy", Policy::from_text("policy.cedar", policy).expect("a policy")),
            inventory: Inventory::new(sources, crate::target::Settings::default(), Arc::clone(&clock)),
            connector: Connector::new(Arc::new(NoAws), Arc::new(NoPins), upstream, Arc::clone(&clock)),
            log,
            clock,
            host_key: Arc::new(HostKey::generate("host").expect("key")),
            host_ca: Arc::new(HostKey::generate("ca").expect("key")),
            settings: Settings {
                handshake_timeout: GRACE,
                login_grace: GRACE,
                auth_attempts_max: 6,
                limits: Limits::default(),
                rekey: RekeyPolicy::default(),
            },
            tasks: Tasks::new(),
        };
        Self { services: Arc::new(services), audit, alice, files }
    }

    /// A client's end of a connection, and the task that serves the other.
    fn stream(&self) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(64 * 1024);
        (near, tokio::spawn(serve(Arc::clone(&self.services), peer(), far, || ())))
    }

    async fn stranger(&self) -> (Unverified, JoinHandle<()>) {
        let (near, task) = self.stream();
        (ssh::connect(near, &ClientConfig::default()).await.expect("keys exchanged"), task)
    }

    pub(super) async fn alice(&self) -> (Connection, JoinHandle<()>) {
        let (unverified, task) = self.stranger().await;
        (unverified.authenticate("alice", &self.alice).await.expect("let in"), task)
    }

    /// Alice's way to a target.
    pub(super) fn errand(&self, target: &str) -> Errand {
        let identity = Identity {
            user: UserName::parse("alice").expect("a name"),
            groups: Vec::new(),
            auth: AuthMethod::PublicKey {
                fingerprint: Fingerprint::of_blob(&self.alice.public_blob()),
                algorithm: "ssh-ed25519".to_owned(),
            },
            client_addr: peer().client.ip(),
        };
        let guest = Guest {
            identity: Arc::new(identity),
            extensions: Extensions::WITHOUT_CERTIFICATE,
            ssh_user: "alice".to_owned(),
            peer: peer(),
        };
        Errand {
            story: Story::of_connection(&self.services, ConnectionId::fresh()),
            guest: Arc::new(guest),
            target: Arc::new(crate::target::testing::target(target, 1)),
            login: Login::parse("ec2-user").expect("a login"),
            way: Way::Direct,
        }
    }

    fn last_line(&self) -> String {
        self.audit.lines().last().map(ToString::to_string).unwrap_or_default()
    }
}

/// A password guesser, or one who keeps asking: nothing is signed, so no attempt is counted as failed.
#[tokio::test(start_paused = true)]
async fn a_stranger_cannot_go_on_asking_for_the_whole_grace_time() {
    let bastion = Bastion::new();
    let (stranger, task) = bastion.stranger().await;
    for _ in 0..100 {
        stranger.dangerous_ask("alice", "password");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::timeout(GRACE / 2, task).await.expect("ended before the grace time").expect("no panic");
    assert!(bastion.last_line().contains("too many attempts"), "{}", bastion.last_line());
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_a_connection_on_whose_channel_nothing_is_asked() {
    let bastion = Bastion::new();
    let (connection, task) = bastion.alice().await;
    let _silent = connection.open(&ChannelKind::Session).await.expect("opened");
    let begun = tokio::time::Instant::now();
    assert!(bastion.services.tasks.shutdown(Duration::from_secs(6)).await, "a task is left");
    task.await.expect("no panic");
    assert!(begun.elapsed() < GRACE);
    assert!(connection.closed().await.to_string().contains("shutting down"));
    assert!(bastion.last_line().contains("shutting-down"), "{}", bastion.last_line());
}

#[tokio::test(start_paused = true)]
async fn shutting_down_does_not_wait_for_strangers() {
    let bastion = Bastion::new();
    let (_silent, silent_task) = bastion.stream();
    let (_stranger, task) = bastion.stranger().await;
    let begun = tokio::time::Instant::now();
    bastion.services.tasks.shutdown(Duration::from_secs(1)).await;
    silent_task.await.expect("no panic");
    task.await.expect("no panic");
    assert!(begun.elapsed() < GRACE);
    assert!(bastion.last_line().contains("shutting-down"), "{}", bastion.last_line());
}

/// A client's and a server's end of an open connection.
pub(super) async fn connected() -> (Connection, Connection) {
    let (near, far) = duplex(64 * 1024);
    let key = TestKey::fresh();
    let config = ServerConfig {
        identity: ServerIdentity {
            key: Arc::new(HostKey::generate("target").expect("key")),
            certificate: None,
        },
        rekey: RekeyPolicy::default(),
        limits: Limits::default(),
    };
    let config_of_client = ClientConfig::default();
    let client = async {
        let unverified = ssh::connect(near, &config_of_client).await.expect("keys exchanged");
        unverified.authenticate("someone", &key).await.expect("let in")
    };
    let server = async {
        let unauthenticated = ssh::accept(far, &config).await.expect("keys exchanged");
        unauthenticated.next().await.expect("a request");
        unauthenticated.succeed()
    };
    tokio::join!(client, server)
}

#[tokio::test(start_paused = true)]
async fn withdrawn_access_is_on_record_when_it_is_tried() {
    let bastion = Bastion::new();
    let (connection, _task) = bastion.alice().await;
    let nobody = IdentitySources {
        users_file: bastion.files.write("users.toml", "[users]\n"),
        ..IdentitySources::default()
    };
    bastion.services.directory.replace_with(Directory::load(&nobody)).expect("a users file");
    let jump = ChannelKind::DirectTcpip {
        host: "web-1".to_owned(),
        port: 22,
        originator: "127.0.0.1".to_owned(),
        originator_port: 1234,
    };
    let _told_inside = connection.open(&jump).await.expect("a server that says why");
    let refused = bastion.audit.named("channel-refused");
    assert!(
        refused
            .iter()
            .any(|line| line["reason"] == "access-withdrawn" && line["requested"] == "direct-tcpip"),
        "{refused:?}"
    );
}
