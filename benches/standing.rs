//! What it costs to ask about everything again that is under way: 1,000 live sessions under 200 rules.
//!
//! Why: whoever loses a permission is to lose what runs by it within seconds, and a reload of the policy asks about all
//! of it at once. It is to take less than 100 ms of one core.
//!
//! `decisions` puts each question as if it were the only one; `again` as the daemon does.
//!
//! `cargo bench --bench standing`; a name such as `again` after `--` picks some of them.

#![expect(clippy::expect_used, reason = "a bench that cannot go on should say why and stop")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{Criterion, criterion_group};
use drawbridge::clock::{Clock, SystemClock};
use drawbridge::domain::{Action, AuthMethod, Fingerprint, Identity, Login, Target, UserName};
use drawbridge::policy::{Policy, Question};

mod company;

/// The daemon's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SESSIONS: u16 = 1_000;
/// People at work; each has a few sessions. One session in twenty is somebody's who is in every team.
const PEOPLE: u16 = 250;
const CLIENT_ADDR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

struct Session {
    identity: Arc<Identity>,
    target: Arc<Target>,
    login: Login,
    action: Action,
}

fn standing(criterion: &mut Criterion) {
    let now = SystemClock.now();
    let sessions = sessions();
    let mut group = criterion.benchmark_group("standing");
    group.sample_size(20);
    for (name, shape) in company::SHAPES {
        let text = company::policy_text(shape);
        let policy = Policy::from_text("company.cedar", &text).expect("a policy");
        assert_eq!(policy.rules().len(), 200, "{name}");
        let by_themselves = || {
            let ask = |session: &&Session| {
                let Session { identity, target, login, action } = session;
                policy.decide(&Question { identity, target, login, action, now }).is_ok()
            };
            sessions.iter().filter(ask).count()
        };
        let again = || {
            let mut again = policy.again(now);
            let mut ask = |session: &&Session| {
                let Session { identity, target, login, action } = session;
                again.decide(identity, target, login, action).decision.is_ok()
            };
            sessions.iter().filter(|session| ask(session)).count()
        };
        assert_eq!(by_themselves(), again(), "{name}");
        group.bench_function(format!("decisions/{name}"), |b| b.iter(|| black_box(by_themselves())));
        group.bench_function(format!("again/{name}"), |b| b.iter(|| black_box(again())));
    }
    group.finish();
}

fn sessions() -> Vec<Session> {
    let logins = ["ec2-user", "ubuntu", "deploy"].map(|name| Login::parse(name).expect("a login"));
    let actions = [
        Action::Shell,
        Action::Exec { command: "uptime".to_owned() },
        Action::LocalForward { host: "localhost".to_owned(), port: 5432 },
    ];
    let [_, (_, everywhere)] = company::people(CLIENT_ADDR);
    let who = |number: u16| {
        if number.is_multiple_of(20) { Arc::clone(&everywhere) } else { person(number % PEOPLE) }
    };
    (0..SESSIONS)
        .map(|number| Session {
            identity: who(number),
            target: Arc::new(company::target(number.wrapping_mul(7))),
            login: logins.get(usize::from(number % 3)).expect("one of three").clone(),
            action: actions.get(usize::from(number / 3 % 3)).expect("one of three").clone(),
        })
        .collect()
}

/// Somebody in three of the company's forty teams, at an address of their own.
fn person(number: u16) -> Arc<Identity> {
    let [high, low] = number.to_be_bytes();
    let teams = (0..3).map(|step| format!("team-{}", (number + step * 11) % 40));
    Arc::new(Identity {
        user: UserName::parse(&format!("user-{number}")).expect("a name"),
        groups: teams.collect(),
        auth: AuthMethod::PublicKey {
            fingerprint: Fingerprint::of_blob(&number.to_be_bytes()),
            algorithm: "ssh-ed25519".to_owned(),
        },
        client_addr: IpAddr::V4(Ipv4Addr::new(192, 0, high, low)),
    })
}

criterion_group!(standings, standing);

/// On a thread with the stack that the daemon's have: deep rules are given room beyond it.
fn main() {
    let ask = std::thread::spawn(|| {
        standings();
        Criterion::default().configure_from_args().final_summary();
    });
    ask.join().expect("the benches ended well");
}
