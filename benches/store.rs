//! What the record costs and how quickly it is asked: SQLite in a file, as it is without further configuration.
//!
//! Why: a session does not start before its first events are in the store, and whoever looks for one among a
//! million expects the list at once. The limits of the project: 2 ms at the median for the write at 200 sessions
//! a minute, 100 ms for a list with any one filter.
//!
//! The million sessions (3 events each, about 4 GB) are made once, in `target/bench-store/`, which takes some
//! minutes; remove the directory to have them made anew. With `STORE_BENCH_SESSIONS=10000` there are fewer.
//!
//! `cargo bench --bench store`; a name such as `list` after `--` picks some of them.

#![expect(clippy::expect_used, reason = "a bench that cannot go on should say why and stop")]
#![expect(clippy::indexing_slicing, reason = "as above: the index is a remainder")]
#![expect(clippy::print_stderr, reason = "making the sessions takes minutes, and whoever waits is told")]

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use drawbridge::audit::JournalLine;
use drawbridge::domain::{ConnectionId, NodeName, SessionId};
use drawbridge::store::{SessionFilter, Store};
use jiff::Timestamp;
use tokio::runtime::Runtime;

const FIRST: i64 = 1_700_000_000_000;
const COMMANDS: [&str; 8] = [
    "uptime",
    "systemctl restart nginx",
    "tail -f /var/log/app/current.log",
    "df -h",
    "journalctl -u web --since today",
    "cat /etc/hosts",
    "ls -la /srv/www",
    "git -C /srv/www pull",
];

fn node() -> NodeName {
    NodeName::parse("bastion-1").expect("a name")
}

/// The lines of session `number`.
fn lines(number: u64) -> [JournalLine; 3] {
    let time = |after: i64| {
        let milliseconds = FIRST + i64::try_from(number).expect("small") * 30_000 + after;
        format!("{:.3}", Timestamp::from_millisecond(milliseconds).expect("a time"))
    };
    // As fresh ids are: the time first.
    let id = (u128::from(number) * 30_000 + 1_700_000_000_000) << 80 | u128::from(number);
    let (connection, session) = (ConnectionId::fixed(id), SessionId::fixed(id));
    let line = |nth: u64, event: &str, fields: &str| {
        let seq = number * 3 + nth;
        let time = time(i64::try_from(nth).expect("small"));
        let text = format!(
            r#"{{"v":1,"node":"bastion-1","seq":{seq},"time":"{time}","event":"{event}","connection":"{connection}","session":"{session}",{fields}}}"#
        );
        JournalLine { seq, text }
    };
    let (user, target) = (number % 1_000, number * 7_919 % 5_000);
    let login = if number.is_multiple_of(3) { "root" } else { "ec2-user" };
    let command = COMMANDS[usize::try_from(number % 8).expect("small")];
    let job = if number.is_multiple_of(20) { format!(" job{number:07}") } else { String::new() };
    let ending = if number.is_multiple_of(50) { "idle" } else { "finished" };
    [
        line(
            1,
            "session-started",
            &format!(
                r#""user":"user{user}","client_addr":"203.0.113.7","client_port":50122,"way":"jump","login":"{login}","target":{{"id":"i-{target:017x}","name":"web-{target}","account":"123456789012","region":"eu-west-1","private_ip":"10.0.1.20"}}"#
            ),
        ),
        line(
            2,
            "channel-started",
            &format!(r#""channel":1,"action":"exec","command":"{command}{job}","record":"off""#),
        ),
        line(
            3,
            "session-ended",
            &format!(
                r#""ending":"{ending}","bytes_to_target":17,"bytes_to_client":4096,"channels":1,"duration_ms":1234"#
            ),
        ),
    ]
}

fn sessions() -> u64 {
    std::env::var("STORE_BENCH_SESSIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000)
}

/// The database with all the sessions; what is missing is added.
async fn filled(file: &Path) -> Store {
    let store = Store::open(file).await.expect("it opens");
    let mut next = store.position(&node()).await.expect("an answer").map_or(0, |(seq, _)| seq / 3);
    if next < sessions() {
        eprintln!("making {} sessions …", sessions() - next);
    }
    while next < sessions() {
        let end = sessions().min(next + 300);
        let batch: Vec<JournalLine> = (next..end).flat_map(lines).collect();
        store.append(&node(), &batch).await.expect("appended");
        next = end;
    }
    store
}

fn append(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir_in("target").expect("a directory");
    let mut group = criterion.benchmark_group("append");
    for (name, at_once) in [("one_session", 1_u64), ("catching_up", 166)] {
        let store =
            runtime.block_on(Store::open(&directory.path().join(format!("{name}.db")))).expect("it opens");
        let mut number = 0;
        group.throughput(Throughput::Elements(at_once * 3));
        group.bench_function(name, |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let batch: Vec<JournalLine> = (number..number + at_once).flat_map(lines).collect();
                    number += at_once;
                    let since = std::time::Instant::now();
                    runtime.block_on(store.append(&node(), &batch)).expect("appended");
                    spent += since.elapsed();
                }
                spent
            });
        });
    }
    // As they happen: each line in a transaction of its own.
    let store = runtime.block_on(Store::open(&directory.path().join("line.db"))).expect("it opens");
    let mut waiting = (0..).flat_map(lines);
    group.throughput(Throughput::Elements(1));
    group.bench_function("one_line", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let line = waiting.next().expect("they do not end");
                let since = std::time::Instant::now();
                runtime.block_on(store.append(&node(), &[line])).expect("appended");
                spent += since.elapsed();
            }
            spent
        });
    });
    group.finish();
}

fn list(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let directory = Path::new("target/bench-store");
    std::fs::create_dir_all(directory).expect("a directory");
    let store = runtime.block_on(filled(&directory.join("sessions.db")));
    let newest =
        runtime.block_on(store.sessions(&SessionFilter::default(), 1, None)).expect("an answer").remove(0);
    let middle = runtime.block_on(store.session_by_id(&middle())).expect("an answer").expect("it is there");
    let mut group = criterion.benchmark_group(format!("list_of_{}", sessions()));
    let text = |text: &str| SessionFilter { text: Some(text.to_owned()), ..Default::default() };
    for (name, filter, expected) in [
        ("all", SessionFilter::default(), 50),
        ("user", SessionFilter { user: Some("user77".to_owned()), ..Default::default() }, 50),
        ("target", SessionFilter { target: newest.target_name.clone(), ..Default::default() }, 50),
        ("target_id", SessionFilter { target: Some(newest.target_id.clone()), ..Default::default() }, 50),
        ("login", SessionFilter { login: Some("root".to_owned()), ..Default::default() }, 50),
        ("ending", SessionFilter { ending: Some("idle".to_owned()), ..Default::default() }, 50),
        ("node", SessionFilter { node: Some(node()), ..Default::default() }, 50),
        ("connection", SessionFilter { connection: newest.connection, ..Default::default() }, 1),
        ("live", SessionFilter { live: Some(true), ..Default::default() }, 0),
        ("since", SessionFilter { since: Some(middle.started), ..Default::default() }, 50),
        ("until", SessionFilter { until: Some(middle.started), ..Default::default() }, 50),
        ("text_often", text("nginx"), 50),
        ("text_once", text("job0000020"), 1),
        ("text_never", text("no such text"), 0),
    ] {
        let found = runtime.block_on(store.sessions(&filter, 50, None)).expect("an answer").len();
        if sessions() == 1_000_000 {
            assert_eq!(found, expected, "{name}");
        }
        group.bench_function(name, |b| {
            b.iter(|| black_box(runtime.block_on(store.sessions(&filter, 50, None)).expect("an answer")));
        });
    }
    group.finish();
}

fn middle() -> SessionId {
    let number = u128::from(sessions() / 2);
    SessionId::fixed((number * 30_000 + 1_700_000_000_000) << 80 | number)
}

criterion_group!(benches, append, list);
criterion_main!(benches);
