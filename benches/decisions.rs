//! What a decision costs: policy, resolving a target's name, and recognising a user's key.
//!
//! Why: each channel that is opened waits for these, and they run on the thread that carries other
//! people's sessions, so each must stay far below a millisecond however many rules, instances and
//! users there are. `refused` and `out_of_reach` are the costly answers: nothing ends the search early.
//!
//! `loading` is what a reload of the files takes.
//!
//! `listing` is everything that one user may reach among 10,000 instances under 200 rules, which is to take less than
//! 100 ms; see the module `company` for the shapes.
//!
//! `cargo bench --bench decisions`; a name such as `policy` after `--` picks some of them.

#![expect(clippy::expect_used, reason = "a bench that cannot go on should say why and stop")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group};
use drawbridge::auth::{Directory, IdentitySources, KeyAttempt};
use drawbridge::clock::{Clock, SystemClock};
use drawbridge::credential::EphemeralKey;
use drawbridge::domain::{
    Action, AuthMethod, Fingerprint, Identity, InstanceId, Login, Target, TargetRef, UserName,
};
use drawbridge::policy::{Policy, Question};
use drawbridge::target::{Inventory, Place, Resolution, Settings, Source, SourceError, default_login};
use drawbridge::tasks::BoxFuture;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{PrivateKey, PublicKey};

mod company;

/// The daemon's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RULES: [usize; 2] = [20, 200];
const INSTANCES: u16 = 10_000;
const USERS: usize = 1_000;
/// The groups that the one who asks is in.
const TEAMS_OF_ALICE: usize = 5;
const CLIENT_ADDR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn policy(criterion: &mut Criterion) {
    let alice = Arc::new(alice());
    let (hers, foreign) = (Arc::new(target(1, "team-2")), Arc::new(target(2, "team-9")));
    let login = Login::parse("ec2-user").expect("a login");
    let now = SystemClock.now();
    let mut group = criterion.benchmark_group("policy");
    for rules in RULES {
        let text = policy_text(rules);
        let policy = Policy::from_text("bench.cedar", &text).expect("a policy");
        let ask = |target: &Arc<Target>| {
            let question = Question { identity: &alice, target, login: &login, action: &Action::Shell, now };
            policy.decide(&question)
        };
        let reach =
            |target: &Arc<Target>| policy.may_reach(&alice, target, std::slice::from_ref(&login), now);
        assert!(ask(&hers).is_ok() && ask(&foreign).is_err());
        assert!(reach(&hers) && !reach(&foreign));
        let id = |name: &str| BenchmarkId::new(name, format!("{rules}_rules"));
        group.bench_function(id("decide/permitted"), |b| b.iter(|| black_box(ask(&hers))));
        group.bench_function(id("decide/refused"), |b| b.iter(|| black_box(ask(&foreign))));
        group.bench_function(id("may_reach/within_reach"), |b| b.iter(|| black_box(reach(&hers))));
        group.bench_function(id("may_reach/out_of_reach"), |b| b.iter(|| black_box(reach(&foreign))));
        group.bench_function(id("logins"), |b| {
            b.iter(|| black_box(policy.logins(&alice, &hers, None, now, std::slice::from_ref(&login))));
        });
        group.bench_function(id("loading"), |b| b.iter(|| Policy::from_text("bench.cedar", &text)));
    }
}

fn inventory(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let place = Place { account_alias: "prod".to_owned(), region: "eu-west-1".to_owned() };
    let targets = (0..INSTANCES).map(|number| target(number, "team-1")).collect();
    let source = Arc::new(Listed { place, targets });
    let inventory = Inventory::new(vec![source], Settings::default(), Arc::new(SystemClock));
    runtime.block_on(inventory.first_refresh());
    let mut group = criterion.benchmark_group("inventory");
    let names = [
        ("by_id", "i-000000000000004d2"),
        ("by_name", "web-1234"),
        ("by_qualified_name", "web-1234.prod.eu-west-1"),
        ("by_address", "10.0.4.210"),
        ("unknown", "web-99999"),
    ];
    for (name, typed) in names {
        let wanted = TargetRef::parse(typed).expect("a reference");
        let resolve = || runtime.block_on(inventory.resolve(&wanted));
        assert_eq!(matches!(resolve(), Resolution::Found(_)), name != "unknown", "{typed}");
        group.bench_function(name, |b| b.iter(|| black_box(resolve())));
    }
}

fn directory(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a directory");
    let keys: Vec<EphemeralKey> = (0..USERS).map(|_| EphemeralKey::generate().expect("a key")).collect();
    let ca = ed25519(7);
    let sources = IdentitySources {
        users_file: file(dir.path(), "users.toml", &users_text(&keys)),
        trusted_user_ca_keys: vec![file(dir.path(), "ca.pub", &openssh(ca.public_key()))],
        revoked_keys: vec![file(dir.path(), "revoked", "serial: 1-999\n")],
    };
    let directory = Directory::load(&sources).expect("a directory");
    let known = keys.get(USERS / 2).expect("a key").public_blob();
    let unknown = EphemeralKey::generate().expect("a key").public_blob();
    let certificate = certificate(&ca, "user-500");
    let now = SystemClock.now();
    let mut group = criterion.benchmark_group("directory");
    let attempts = [
        ("known_key", "ssh-ed25519", &known),
        ("unknown_key", "ssh-ed25519", &unknown),
        ("certificate", "ssh-ed25519-cert-v01@openssh.com", &certificate),
    ];
    for (name, algorithm, key_blob) in attempts {
        let attempt = KeyAttempt {
            ssh_user: "user-500",
            algorithm,
            key_blob,
            client_addr: CLIENT_ADDR,
            sk_flags: None,
        };
        assert_eq!(directory.authenticate(&attempt, now).is_ok(), name != "unknown_key", "{name}");
        group.bench_function(name, |b| b.iter(|| black_box(directory.authenticate(&attempt, now))));
    }
    group.bench_function("loading", |b| b.iter(|| Directory::load(&sources)));
}

fn listing(criterion: &mut Criterion) {
    let now = SystemClock.now();
    let mut group = criterion.benchmark_group("listing");
    group.sample_size(20);
    for (name, shape) in company::SHAPES {
        let text = company::policy_text(shape);
        let policy = Policy::from_text("company.cedar", &text).expect("a policy");
        assert_eq!((policy.rules().len(), policy.warnings().len()), (200, 0), "{name}");
        let targets: Vec<Arc<Target>> =
            (0..INSTANCES).map(|number| Arc::new(company::target(number))).collect();
        for (who, identity) in company::people(CLIENT_ADDR) {
            let list = || policy.listing(&identity, &targets, now, &default_login);
            let (listed, all) = (list().len(), targets.len());
            assert!(listed > all / 100 && listed < all, "{name}, {who}: {listed} of {all}");
            group.bench_function(BenchmarkId::new(name, who), |b| b.iter(|| black_box(list())));
        }
    }
}

criterion_group!(decisions, policy, inventory, directory, listing);

/// On a thread with the stack that the daemon's have: deep rules are given room beyond it.
fn main() {
    let decide = std::thread::spawn(|| {
        decisions();
        Criterion::default().configure_from_args().final_summary();
    });
    decide.join().expect("the benches ended well");
}

/// Rules as a company of many teams writes them: each works on its own machines, and one rule in ten
/// forbids something.
fn policy_text(rules: usize) -> String {
    let mut text = String::new();
    for team in 0..rules {
        let rule = if team % 10 == 9 {
            format!(r#"forbid (principal, action, resource) when {{ resource.hasTag("closed-{team}") }};"#)
        } else {
            format!(
                r#"@login("ec2-user, ubuntu") @idle("1h")
                permit (principal in Group::"team-{team}", action in Action::"session", resource)
                when {{ resource.hasTag("team") && resource.getTag("team") == "team-{team}" }}
                unless {{ context.login == "root" }};"#
            )
        };
        writeln!(text, "@id(\"rule-{team}\") {rule}").expect("written");
    }
    text
}

fn alice() -> Identity {
    Identity {
        user: UserName::parse("alice").expect("a name"),
        groups: (0..TEAMS_OF_ALICE).map(|team| format!("team-{team}")).collect(),
        auth: AuthMethod::PublicKey {
            fingerprint: Fingerprint::of_blob(b"alice"),
            algorithm: "ssh-ed25519".to_owned(),
        },
        client_addr: CLIENT_ADDR,
    }
}

fn target(number: u16, team: &str) -> Target {
    let [high, low] = number.to_be_bytes();
    let tags = [("team", team), ("env", "prod"), ("service", "web"), ("owner", "platform")];
    Target {
        id: InstanceId::parse(&format!("i-{number:017x}")).expect("an id"),
        name: Some(format!("web-{number}")),
        account: "123456789012".to_owned(),
        account_alias: "prod".to_owned(),
        region: "eu-west-1".to_owned(),
        availability_zone: "eu-west-1a".to_owned(),
        vpc: "vpc-1".to_owned(),
        subnet: "subnet-1".to_owned(),
        image: "ami-1".to_owned(),
        image_name: Some("al2023-ami-2023".to_owned()),
        platform: "Linux/UNIX".to_owned(),
        private_ip: IpAddr::V4(Ipv4Addr::new(10, 0, high, low)),
        other_ips: Vec::new(),
        private_dns: Some(format!("ip-10-0-{high}-{low}.eu-west-1.compute.internal")),
        launch_time: None,
        port: 22,
        state: "running".to_owned(),
        tags: tags
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

/// A place that lists what it was given, and knows nothing else.
#[derive(Debug)]
struct Listed {
    place: Place,
    targets: Vec<Target>,
}

impl Source for Listed {
    fn place(&self) -> &Place {
        &self.place
    }

    fn list(&self, _at_most: usize) -> BoxFuture<'_, Result<Vec<Target>, SourceError>> {
        Box::pin(async { Ok(self.targets.clone()) })
    }

    fn lookup<'a>(&'a self, _wanted: &'a TargetRef) -> BoxFuture<'a, Result<Vec<Target>, SourceError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn users_text(keys: &[EphemeralKey]) -> String {
    let mut text = String::new();
    for (number, key) in keys.iter().enumerate() {
        writeln!(text, "[users.user-{number}]").expect("written");
        writeln!(text, "groups = [\"team-{}\"]", number % 50).expect("written");
        writeln!(text, "authorized_keys = [\"{}\"]", key.public_half().openssh()).expect("written");
        writeln!(text, "principals = [\"user-{number}@corp.example\"]").expect("written");
    }
    text
}

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn ed25519(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

fn openssh(key: &PublicKey) -> String {
    key.to_openssh().expect("a line")
}

fn certificate(ca: &PrivateKey, principal: &str) -> Vec<u8> {
    let key = ed25519(8);
    let (from, until) = (0, u64::from(u32::MAX));
    let mut builder =
        Builder::new(vec![0; 32], key.public_key().key_data().clone(), from, until).expect("a builder");
    builder.cert_type(CertType::User).expect("a type");
    builder.serial(5_000).expect("a serial");
    builder.key_id("bench").expect("a key id");
    builder.valid_principal(principal).expect("a principal");
    builder.sign(ca).expect("signed").to_bytes().expect("wire form")
}
