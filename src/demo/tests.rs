//! The demo's course, with a daemon that only waits, and its files as the other rooms read them.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::auth::{self, IdentitySources};
use crate::aws::{AwsAccess, Ec2Source, PortRule};
use crate::config::{Config, Overrides};
use crate::domain::{Action, AuthMethod, Fingerprint, Identity, Login, Target, TargetRef, UserName};
use crate::policy::{Policy, Question};
use crate::target::{Place, Source};

/// Collects what is written, and tells when it ends in `ready`.
struct Screen(Vec<u8>, Option<oneshot::Sender<String>>);

impl Write for Screen {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(ready) = self.0.ends_with(b"\nready\n").then(|| self.1.take()).flatten() {
            ready.send(String::from_utf8_lossy(&self.0).into_owned()).expect("someone waits");
        }
        Ok(())
    }
}

/// Holds what was written against the rooms that read it.
fn the_daemon_would_start_with(directory: &Path) {
    let path = directory.join("drawbridge.toml");
    let config =
        Config::load(Some(&path), std::iter::empty(), &Overrides::default()).expect("a sound config");
    assert_eq!(config.audit.file, directory.join("audit.jsonl"));
    assert_eq!(config.server.host_ca_key, directory.join("data/host_ca_ed25519"));
    assert_eq!(config.server.host_key, directory.join("data/host_ed25519"));
    let users = IdentitySources { users_file: config.identity.users, ..IdentitySources::default() };
    assert_eq!(auth::Directory::load(&users).expect("sound users").users().count(), 1);
    let policy = Policy::load(&config.policy.files).expect("a sound policy");
    assert_eq!((policy.rules().len(), policy.warnings()), (6, [].as_slice()));
}

#[tokio::test]
async fn the_demo_gets_ready_in_a_directory_twice_and_ends_when_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (ready, is_ready) = oneshot::channel();
        let (interrupt, interrupts) = mpsc::channel(1);
        let listen = "127.0.0.1:0".parse().expect("an address");
        let options = DemoOptions { dir: Some(directory.path().to_owned()), listen };
        let mut screen = Screen(Vec::new(), Some(ready));
        let (ended, text) = tokio::join!(run_until(options, Interrupts(interrupts), &mut screen), async {
            let text = is_ready.await.expect("ready");
            the_daemon_would_start_with(directory.path());
            interrupt.send(()).await.expect("it listens");
            text
        });
        ended.expect("a clean end");
        assert!(text.contains("ssh -F ") && text.contains("/ssh_config web-1.direct"), "{text}");
        keys.push(std::fs::read(directory.path().join("id_ed25519")).expect("a key"));
    }
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn an_address_in_use_is_one_clear_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let listen = taken.local_addr().expect("an address");
    let directory = tempfile::tempdir().expect("a directory");
    let dir = directory.path().join("d");
    let mut out = Vec::new();
    let error = run(DemoOptions { dir: Some(dir.clone()), listen }, &mut out).await.expect_err("in use");
    assert_eq!(
        error.to_string(),
        format!("{listen} is in use by another program: end it, or choose another address with --listen.")
    );
    assert!(out.is_empty() && !dir.exists(), "something was made all the same");
}

/// The product's own inventory and policy, over the demo's world.
#[tokio::test]
async fn the_inventory_finds_the_cast_and_the_policy_closes_the_vault() {
    let folder = tempfile::tempdir().expect("a directory");
    let directory = Directory::prepare(Some(folder.path())).expect("prepared");
    let shutdown = CancellationToken::new();
    let stages = Stages::start(&directory, &shutdown).await.expect("started");
    write_files("127.0.0.1:2222".parse().expect("an address"), &directory, &stages).expect("written");
    let access = AwsAccess::with_static_credentials(stages.endpoint_url(), "AKIADEMO", "secret").await;
    let place = Place { account_alias: "demo".to_owned(), region: cast::REGION.to_owned() };
    let source = Ec2Source::new(&access.clients(place, None).await, PortRule::default());
    let mut targets = source.list(100).await.expect("listed");
    targets.sort_by_key(|target| target.private_ip);
    let policy = Policy::load(&[folder.path().join("policy.cedar")]).expect("a policy");
    let facts: Vec<_> = targets.iter().map(|target| facts_of(target, &policy)).collect();
    assert_eq!(
        facts,
        [
            ("bastion running", false, false),
            ("web-1 running", true, true),
            ("db-1 running", true, true),
            ("vault-1 running", true, false),
            ("old-1 stopped", false, true),
            ("locked-1 running", true, true),
            ("bare-1 running", true, true),
        ]
        .map(|(name, has_port, allowed)| (name.to_owned(), has_port, allowed))
    );
    assert!(targets[2].image_name.as_ref().is_some_and(|name| name.starts_with("ubuntu/")));
    let wanted = TargetRef::parse("ip-127-0-1-11.eu-west-1.compute.internal").expect("a name");
    assert_eq!(source.lookup(&wanted).await.expect("found")[0].display_name(), "db-1");
    shutdown.cancel();
    stages.ended().await;
}

fn facts_of(target: &Target, policy: &Policy) -> (String, bool, bool) {
    let identity = Arc::new(Identity {
        user: UserName::parse("demo").expect("a name"),
        groups: vec!["demo".to_owned()],
        auth: AuthMethod::PublicKey {
            fingerprint: Fingerprint::of_blob(b"key"),
            algorithm: "ssh-ed25519".to_owned(),
        },
        client_addr: [127, 0, 0, 1].into(),
    });
    let login = Login::parse("ec2-user").expect("a login");
    let target = Arc::new(target.clone());
    let now = "2026-11-22T08:00:00Z".parse().expect("a time");
    let question =
        Question { identity: &identity, target: &target, login: &login, action: &Action::Sftp, now };
    let name = format!("{} {}", target.display_name(), target.state);
    (name, target.port != 22, policy.decide(&question).is_ok())
}
