//! A whole client's story in memory: no network, no AWS, no disk but a users file.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::entrance::Guest;
use super::limits::Tightening;
use super::standing::{Claim, Claimed, Role};
use super::story::Story;
use super::visit::Errand;
use super::{Gateway, Peer, Services, Settings, serve};
use crate::audit::{Collected, Log, Way};
use crate::auth::{Directory, Extensions, IdentitySources};
use crate::clock::{HandSetClock, SharedClock};
use crate::credential::{InjectError, Injected, Injector, PublicHalf};
use crate::domain::{
    Action, AuthMethod, ConnectionId, Fingerprint, Identity, Login, PinVoucher, Target, UserName,
};
use crate::policy::{self, Permit, Policy, Question};
use crate::reload::Reloadable;
use crate::signature::keygen::Workshop;
use crate::ssh::testing::TestKey;
use crate::ssh::{
    self, ChannelKind, ClientConfig, Connection, HostKey, Limits, Offer, Opener, RekeyPolicy, Signer,
    Unverified,
};
use crate::target::testing::{Answer, FakeSource, place};
use crate::target::{Inventory, Source};
use crate::tasks::BoxFuture;
use crate::tasks::Tasks;
use crate::upstream::{self, Connector};
use crate::vouch::{PinBoard, PinError, PinnedKey};

const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct NoAws;

impl Injector for NoAws {
    fn inject<'a>(
        &'a self,
        _: &'a Permit,
        _: &'a PublicHalf,
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
        _: PinVoucher,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<PinnedKey, PinError>> {
        Box::pin(std::future::ready(Err(PinError("there are none".to_owned()))))
    }

    fn replace<'a>(
        &'a self,
        _: &'a Target,
        _: &'a PinnedKey,
        _: &'a [u8],
        _: PinVoucher,
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

fn users_text(alice: &TestKey, groups: &[&str]) -> String {
    let line = format!("ssh-ed25519 {}", data_encoding::BASE64.encode(&alice.public_blob()));
    format!("[users.alice]\ngroups = {groups:?}\nauthorized_keys = [\"{line}\"]\n")
}

/// A bastion that knows Alice.
pub(super) struct Bastion {
    pub(super) services: Arc<Services>,
    pub(super) audit: Collected,
    pub(super) clock: Arc<HandSetClock>,
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
        Self::listing_in_turn([Ok(targets)], policy).await
    }

    /// The same with what each later refresh comes to.
    pub(super) async fn listing_in_turn(lists: impl IntoIterator<Item = Answer>, policy: &str) -> Self {
        let source = FakeSource::new(place("prod", "eu-west-1"), lists);
        let bastion = Self::with(policy, vec![Arc::new(source)]);
        bastion.services.inventory.first_refresh().await;
        bastion
    }

    /// Alice is in these groups from here on; in none where she is not known any more.
    pub(super) fn alice_is_in(&self, groups: Option<&[&str]>) {
        let users = groups.map_or("[users]\n".to_owned(), |groups| users_text(&self.alice, groups));
        let users_file = self.files.write("users.toml", users);
        let sources = IdentitySources { users_file, ..IdentitySources::default() };
        self.services.directory.replace_with(Directory::load(&sources)).expect("a users file");
    }

    /// Another policy from here on.
    pub(super) fn rules(&self, text: &str) {
        self.services.policy.replace_with(Policy::from_text("policy.cedar", text)).expect("a policy");
    }

    fn with(policy: &str, sources: Vec<Arc<dyn Source>>) -> Self {
        let files = Workshop::new();
        let alice = TestKey::fresh();
        let users_file = files.write("users.toml", users_text(&alice, &[]));
        let directory = Directory::load(&IdentitySources { users_file, ..IdentitySources::default() });
        let hand_set = HandSetClock::at("2026-01-02T03:04:05Z");
        let clock = Arc::clone(&hand_set) as SharedClock;
        let (log, audit) = Log::in_memory(Arc::clone(&clock));
        let upstream = upstream::Settings {
            connect_timeout: GRACE,
            handshake_timeout: GRACE,
            keepalive_interval: None,
            keepalive_max: 3,
            legacy_targets: BTreeSet::new(),
        };
        let services = Services {
            directory: Reloadable::new("users", directory.expect("a users file")),
            policy: Reloadable::new("policy", Policy::from_text("policy.cedar", policy).expect("a policy")),
            inventory: Inventory::new(sources, crate::target::Settings::default(), Arc::clone(&clock)),
            connector: Connector::new(Arc::new(NoAws), Arc::new(NoPins), upstream, Arc::clone(&clock)),
            gateway: Gateway::new(&[]),
            recorders: crate::record::Recorders::none(),
            roster: super::Roster::default(),
            standing: super::Standing::default(),
            log,
            clock,
            host_key: Arc::new(HostKey::generate("host").expect("key")),
            host_ca: Arc::new(HostKey::generate("ca").expect("key")),
            archive: None,
            surveyor: Arc::new(crate::diagnose::Unasked),
            diagnosis_patience: Duration::from_secs(2),
            address: None,
            settings: Settings {
                handshake_timeout: GRACE,
                login_grace: GRACE,
                auth_attempts_max: 6,
                limits: Limits::default(),
                offer: Offer::default(),
                rekey: RekeyPolicy::default(),
            },
            tasks: Tasks::new(),
        };
        Self { services: Arc::new(services), audit, clock: hand_set, alice, files }
    }

    /// A client's end of a connection, and the task that serves the other.
    fn stream(&self) -> (DuplexStream, JoinHandle<()>) {
        self.stream_until(CancellationToken::new())
    }

    fn stream_until(&self, displaced: CancellationToken) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(64 * 1024);
        (near, tokio::spawn(serve(Arc::clone(&self.services), peer(), far, displaced, || ())))
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
            key_blob: self.alice.public_blob(),
            ssh_user: "alice".to_owned(),
            peer: peer(),
            withdrawn: CancellationToken::new(),
        };
        Errand {
            story: Story::of_connection(&self.services, ConnectionId::fresh()),
            guest: Arc::new(guest),
            target: Arc::new(crate::target::testing::target(target, 1)),
            login: Login::parse("ec2-user").expect("a login"),
            way: Way::Direct,
            client: Opener::default(),
            found_at: self.services.clock.now(),
        }
    }

    /// A permit of Alice's in use.
    pub(super) fn claim(&self, target: &str) -> Claim {
        let errand = self.errand(target);
        let question = Question {
            identity: &errand.guest.identity,
            target: &errand.target,
            login: &errand.login,
            action: &Action::Shell,
            now: self.services.clock.now(),
        };
        let claimed = Claimed::Work(Permit::dangerous_for_test(&question));
        let limits = Tightening::new(policy::Limits::default());
        self.services.standing.claim(&errand.guest, &errand.story, claimed, Role::Work, &limits)
    }

    /// Asks again whenever something has changed, until that is dropped.
    pub(super) fn keeper(&self) -> DropGuard {
        let stop = CancellationToken::new();
        tokio::spawn(super::keep(Arc::clone(&self.services), stop.clone()));
        stop.drop_guard()
    }

    /// Alice is removed, and what she has open is asked about.
    pub(super) fn alice_is_removed(&self) {
        self.alice_is_in(None);
        self.services.standing.changed();
    }

    /// The lines of that name so far.
    pub(super) fn trail(&self, name: &str) -> Vec<serde_json::Value> {
        self.audit.named(name)
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
async fn a_stranger_who_has_to_make_way_is_told_why() {
    let bastion = Bastion::new();
    let displaced = CancellationToken::new();
    let (near, task) = bastion.stream_until(displaced.clone());
    let stranger = ssh::connect(near, &ClientConfig::default()).await.expect("keys exchanged");
    stranger.dangerous_ask("alice", "password");
    displaced.cancel();
    task.await.expect("no panic");
    assert!(bastion.last_line().contains("too many were logging in"), "{}", bastion.last_line());
    let told = stranger.authenticate("alice", &bastion.alice).await.expect_err("it is over");
    assert!(format!("{told:?}").contains("most of them from your address"), "{told:?}");
    // Before the first key exchange there is nothing that could be said; afterwards nobody makes way.
    let (near, task) = bastion.stream_until(displaced.clone());
    task.await.expect("no panic");
    drop(near);
    assert!(bastion.last_line().contains("too many were logging in"), "{}", bastion.last_line());
    let displaced = CancellationToken::new();
    let (near, task) = bastion.stream_until(displaced.clone());
    let unverified = ssh::connect(near, &ClientConfig::default()).await.expect("keys exchanged");
    let alice = unverified.authenticate("alice", &bastion.alice).await.expect("let in");
    displaced.cancel();
    alice.open(&ChannelKind::Session).await.expect("who has logged in stays");
    drop(alice);
    task.await.expect("no panic");
}

/// What comes before the login ends this connection, on record; the next client is served.
#[tokio::test(start_paused = true)]
async fn channels_before_the_login_end_their_connection_and_no_other() {
    let bastion = Bastion::new();
    let (alice, alice_task) = bastion.alice().await;
    // CHANNEL_OPEN, CHANNEL_DATA, CHANNEL_REQUEST and GLOBAL_REQUEST, with fields that would be in order.
    let session = [&[90][..], &[0, 0, 0, 7], b"session", &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 128, 0]].concat();
    let data = [&[94][..], &[0, 0, 0, 0, 0, 0, 0, 1], b"x"].concat();
    let shell = [&[98][..], &[0, 0, 0, 0, 0, 0, 0, 5], b"shell", &[1]].concat();
    let global = [&[80][..], &[0, 0, 0, 1], b"x", &[1]].concat();
    for message in [session, data, shell, global] {
        let (stranger, task) = bastion.stranger().await;
        stranger.dangerous_say(&message);
        task.await.expect("no panic");
        let last = bastion.last_line();
        assert!(last.contains("protocol-error") && last.contains("before authentication"), "{last}");
    }
    alice.ask("keepalive@openssh.com", &[]).await.expect("who is logged in notices nothing");
    drop(alice);
    alice_task.await.expect("no panic");
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

fn to(host: &str, port: u32) -> ChannelKind {
    ChannelKind::DirectTcpip {
        host: host.to_owned(),
        port,
        originator: "127.0.0.1".to_owned(),
        originator_port: 1234,
    }
}

/// `ssh` checks ports itself; other clients send what they are told.
#[tokio::test]
async fn ports_that_there_are_not_are_refused_in_a_sentence() {
    let bastion = Bastion::new();
    let (connection, _task) = bastion.alice().await;
    for port in [0, 65_536, u32::MAX] {
        let refused = connection.open(&to("10.0.0.1", port)).await.expect_err("there is no such port");
        assert!(refused.to_string().contains("ports go from 1 to 65535"), "{refused}");
    }
    let lines = bastion.audit.named("target-not-resolved");
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["reason"] == "malformed"), "{lines:?}");
}

/// The sentence said that there is no forwarding at all.
#[tokio::test]
async fn a_socket_of_the_bastion_is_refused_with_the_way_to_an_instance_s() {
    let bastion = Bastion::new();
    let (connection, _task) = bastion.alice().await;
    let path = b"\0\0\0\x10/run/docker.sock\0\0\0\0\0\0\0\0";
    let socket = ChannelKind::Other {
        name: "direct-streamlocal@openssh.com".to_owned(),
        payload: bytes::Bytes::from_static(path),
    };
    let refused = connection.open(&socket).await.expect_err("it is the bastion's own");
    assert!(refused.to_string().contains("through a session on it"), "{refused}");
}

#[tokio::test]
async fn withdrawn_access_connects_nowhere_either() {
    let bastion = Bastion::new();
    let (connection, _task) = bastion.alice().await;
    let users_file = bastion.files.write("users.toml", "[users]\n");
    let nobody = IdentitySources { users_file, ..IdentitySources::default() };
    bastion.services.directory.replace_with(Directory::load(&nobody)).expect("a users file");
    let refused = connection.open(&to("10.0.0.1", 5432)).await.expect_err("withdrawn");
    assert!(refused.to_string().contains("withdrawn"), "{refused}");
    assert!(bastion.audit.named("decision").is_empty());
}

#[tokio::test]
async fn nobody_connects_where_policy_does_not_say_so() {
    let bastion = Bastion::new();
    let (connection, _task) = bastion.alice().await;
    let refused = connection.open(&to("10.0.0.1", 5432)).await.expect_err("no rule");
    assert!(refused.to_string().contains("there is no destination"), "{refused}");
    assert_eq!(bastion.audit.named("decision").len(), 1);
    assert!(bastion.audit.named("upstream-failed").is_empty());
}

/// What a command answers on standard error, and its exit status.
async fn complaint_about(connection: &Connection, command: &str) -> (String, Option<u32>) {
    let channel = connection.open(&ChannelKind::Session).await.expect("opened");
    let length = u32::try_from(command.len()).expect("short").to_be_bytes();
    drop(channel.request("exec", true, &[&length, command.as_bytes()].concat()));
    let (mut complaint, mut status) = (String::new(), None);
    while let Some(event) = channel.recv().await {
        match event {
            ssh::ChannelEvent::Extended(_, data) => complaint.push_str(&String::from_utf8_lossy(&data)),
            ssh::ChannelEvent::Request(request) if request.name == "exit-status" => {
                status = request.payload.first_chunk().map(|code| u32::from_be_bytes(*code));
            }
            ssh::ChannelEvent::Request(_) | ssh::ChannelEvent::Data(_) | ssh::ChannelEvent::Eof => {}
        }
    }
    (complaint, status)
}

#[tokio::test(start_paused = true)]
async fn the_console_answers_nobody_whose_access_is_withdrawn() {
    let bastion = Bastion::new();
    let (connection, _task) = bastion.alice().await;
    assert_eq!(complaint_about(&connection, "whoami").await, (String::new(), Some(0)));
    let nobody = IdentitySources {
        users_file: bastion.files.write("users.toml", "[users]\n"),
        ..IdentitySources::default()
    };
    bastion.services.directory.replace_with(Directory::load(&nobody)).expect("a users file");
    for line in ["whoami", "help", "web-1 true"] {
        let (complaint, status) = complaint_about(&connection, line).await;
        assert!(complaint.contains("has been withdrawn") && status == Some(255), "{line}: {complaint}");
    }
    assert_eq!(bastion.audit.named("console-command").len(), 1, "only what was answered");
    assert_eq!(bastion.audit.named("channel-refused").len(), 3);
}

#[tokio::test]
async fn a_connection_on_which_nothing_goes_on_ends_when_its_user_is_removed() {
    let bastion = Bastion::new();
    let (connection, task) = bastion.alice().await;
    let _keeper = bastion.keeper();
    bastion.alice_is_removed();
    let closed = connection.closed().await.to_string();
    assert!(closed.contains(super::sentences::WITHDRAWN), "{closed}");
    task.await.expect("no panic");
    let [ended] = &bastion.trail("connection-ended")[..] else { panic!("one line") };
    assert_eq!(ended["ending"], "permission-ended");
    assert_eq!(ended["detail"], "access was withdrawn since: no user has this key");
    assert!(bastion.trail("channel-refused").is_empty() && bastion.services.standing.is_empty());
}
