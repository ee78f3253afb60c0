use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::audit::verify::{Demands, Verifier};
use crate::audit::{AuditKey, AuditKeys, JournalLine, LineHash, PruneRecord, Tip};
use crate::domain::{ConnectionId, SessionId};
use crate::store::testing::on_both;
use crate::store::{Discarded, EventFilter, SessionFilter};
use crate::tasks::BoxFuture;

const START: &str = "2026-01-01T00:00:00Z";

/// One node's lines, chained as the journal does it.
struct Trail {
    node: NodeName,
    lines: Vec<JournalLine>,
    prev: String,
}

/// What happens within one visit.
#[derive(Clone, Copy)]
struct Visit {
    number: u128,
    /// Hours after the start.
    from: i64,
    /// None: it goes on.
    until: Option<i64>,
}

fn visit(number: u128, from: i64, until: i64) -> Visit {
    Visit { number, from, until: Some(until) }
}

fn hours(hours: i64) -> Timestamp {
    START.parse::<Timestamp>().expect("a time") + SignedDuration::from_hours(hours)
}

impl Trail {
    fn of(node: &str) -> Self {
        Self { node: NodeName::parse(node).expect("a name"), lines: Vec::new(), prev: "0".repeat(64) }
    }

    fn say(&mut self, at: Timestamp, event: &str, ids: &Value, fields: &Value) {
        let seq = self.lines.len() + 1;
        let mut line = json!({
            "v": 1, "node": self.node, "seq": seq, "prev": self.prev, "time": format!("{at:.3}"), "event": event,
        });
        for part in [ids, fields] {
            let object = line.as_object_mut().expect("an object");
            object.extend(part.as_object().expect("an object").clone());
        }
        let text = line.to_string();
        self.prev = LineHash::of(&text).to_string();
        self.lines.push(JournalLine { seq: seq as u64, text });
    }

    /// All visits, in the order of time.
    fn visits(mut self, visits: &[Visit]) -> Self {
        let mut moments: Vec<(i64, bool, Visit)> =
            visits.iter().map(|visit| (visit.from, false, *visit)).collect();
        moments.extend(visits.iter().filter_map(|visit| Some((visit.until?, true, *visit))));
        moments.sort_by_key(|(hour, _, visit)| (*hour, visit.number));
        for (hour, over, visit) in moments {
            if over { self.end(visit, hours(hour)) } else { self.begin(visit, hours(hour)) }
        }
        self
    }

    fn begin(&mut self, visit: Visit, at: Timestamp) {
        let of_connection = json!({"connection": ConnectionId::fixed(visit.number)});
        let of_session = json!({"connection": ConnectionId::fixed(visit.number), "session": SessionId::fixed(visit.number)});
        let target = json!({"id": "i-0123456789abcdef0", "name": "web-1", "account": "123456789012",
            "region": "eu-west-1", "private_ip": "10.0.1.20"});
        self.say(
            at,
            "connection-opened",
            &of_connection,
            &json!({"client_addr": "203.0.113.7", "client_port": 1,
            "listener": "0.0.0.0:2222"}),
        );
        self.say(at, "decision", &of_session, &json!({"outcome": "permit", "user": "alice",
            "client_addr": "203.0.113.7", "target": target, "login": "ec2-user", "action": "shell", "rules": ["all"]}));
        self.say(
            at,
            "session-started",
            &of_session,
            &json!({"user": "alice", "client_addr": "203.0.113.7",
            "client_port": 1, "way": "jump", "login": "ec2-user", "target": target}),
        );
        self.say(
            at,
            "channel-started",
            &of_session,
            &json!({"channel": 1, "action": "exec",
            "command": format!("secret{} word", visit.number), "record": "required",
            "recording": RecordingId::fixed(visit.number)}),
        );
    }

    fn end(&mut self, visit: Visit, at: Timestamp) {
        let of_connection = json!({"connection": ConnectionId::fixed(visit.number)});
        let of_session = json!({"connection": ConnectionId::fixed(visit.number), "session": SessionId::fixed(visit.number)});
        self.say(
            at,
            "channel-ended",
            &of_session,
            &json!({"channel": 1, "exit_status": 0, "bytes_to_target": 1,
            "bytes_to_client": 2, "ending": "finished", "duration_ms": 5, "recording": {
                "id": RecordingId::fixed(visit.number), "format": "asciicast", "bytes": 100,
                "compressed_bytes": 40, "sha256": "0".repeat(64), "complete": true}}),
        );
        self.say(
            at,
            "session-ended",
            &of_session,
            &json!({"ending": "finished", "bytes_to_target": 1,
            "bytes_to_client": 2, "channels": 1, "duration_ms": 5}),
        );
        self.say(at, "connection-ended", &of_connection, &json!({"ending": "finished", "duration_ms": 5}));
    }

    async fn stored(&self, store: &Store) {
        store.append(&self.node, &self.lines).await.expect("appended");
    }
}

/// Signs with nothing; says what it was asked to sign.
fn unsigned(node: &NodeName, seq: u64, line: &str, at: Timestamp) -> Result<String, serde_json::Error> {
    Ok(json!({"node": node, "through": seq, "hash": LineHash::of(line).to_string(), "at": at}).to_string())
}

/// Remembers what it removed; some recordings it cannot.
#[derive(Default)]
struct FakeBin {
    removed: std::sync::Mutex<Vec<RecordingId>>,
    stuck: Vec<RecordingId>,
}

impl Bin for FakeBin {
    fn remove<'a>(&'a self, recording: &'a Discarded, now: Timestamp) -> BoxFuture<'a, Removal> {
        Box::pin(async move {
            if self.stuck.contains(&recording.id) {
                return Removal::Locked(now + SignedDuration::from_hours(24));
            }
            self.removed.lock().expect("not poisoned").push(recording.id);
            Removal::Removed
        })
    }
}

async fn pruned(store: &Store, bin: &FakeBin, before: Timestamp, dry_run: bool) -> Report {
    let order = Order { before, now: hours(10_000), dry_run };
    let report = run(store, &unsigned, bin, order).await.expect("it ran");
    let checked = store.check_derived().await.expect("an answer");
    assert_eq!((checked.mismatches, checked.more), (vec![], 0), "the store is what its lines say");
    report
}

async fn sessions(store: &Store) -> Vec<SessionId> {
    let rows = store.sessions(&SessionFilter::default(), 100, None).await.expect("an answer");
    rows.into_iter().map(|row| row.id).rev().collect()
}

async fn first_seq(store: &Store, node: &NodeName) -> u64 {
    store.lines(node, 0, 1).await.expect("an answer").first().map_or(0, |line| line.seq)
}

on_both! {
async fn what_is_old_goes_and_the_rest_is_as_it_was(lab) {
    let store = lab.open().await;
    let trail = Trail::of("a").visits(&[visit(1, 0, 1), visit(2, 2, 3), visit(3, 50, 51)]);
    trail.stored(&store).await;
    let bin = FakeBin::default();
    let dry = pruned(&store, &bin, hours(24), true).await;
    assert_eq!(sessions(&store).await.len(), 3, "a dry run removes nothing");
    assert_eq!(dry.events(), 14);
    let text = dry.to_string();
    assert!(text.contains("a: 14 events, 2 sessions, 2 recordings, through 14"), "{text}");
    assert!(text.contains("from 2026-01-01T00:00:00Z to 2026-01-01T03:00:00Z"), "{text}");
    assert!(text.contains("This was a dry run"), "{text}");

    let report = pruned(&store, &bin, hours(24), false).await;
    assert_eq!(report.events(), 14);
    assert_eq!(sessions(&store).await, [SessionId::fixed(3)]);
    assert_eq!(first_seq(&store, &trail.node).await, 15);
    assert_eq!(*bin.removed.lock().expect("not poisoned"), [RecordingId::fixed(1), RecordingId::fixed(2)]);
    let prunings = store.prunings().await.expect("an answer");
    let said: Value = serde_json::from_str(&prunings.last().expect("a statement").record).expect("JSON");
    assert_eq!(said["through"], 14);
    let next: Value = serde_json::from_str(&trail.lines[14].text).expect("JSON");
    assert_eq!(said["hash"], next["prev"], "the chain goes on from what was signed");
    let again = pruned(&store, &bin, hours(24), false).await;
    assert_eq!(again.events(), 0, "there is nothing left to do");
    assert_eq!(store.prunings().await.expect("an answer").len(), 1);
    let words = SessionFilter { text: Some("secret1".to_owned()), ..SessionFilter::default() };
    assert!(store.sessions(&words, 10, None).await.expect("an answer").is_empty());
    let found = store.events(&EventFilter::default(), 100, None).await.expect("an answer");
    assert_eq!(found.len(), 7);
}
}

on_both! {
async fn nothing_is_taken_from_what_was_open_at_that_time(lab) {
    let store = lab.open().await;
    // The second began before the time and ended after it; the third is old, but comes after the second's beginning.
    let trail = Trail::of("a").visits(&[visit(1, 0, 1), visit(2, 2, 30), visit(3, 4, 5), visit(4, 40, 41)]);
    trail.stored(&store).await;
    let bin = FakeBin::default();
    let report = pruned(&store, &bin, hours(24), false).await;
    assert_eq!(report.events(), 7);
    let text = report.to_string();
    assert!(text.contains(&format!("stays because of {}", ConnectionId::fixed(2))), "{text}");
    let left = [2, 3, 4].map(SessionId::fixed);
    assert_eq!(sessions(&store).await, left);
    pruned(&store, &bin, hours(35), false).await;
    assert_eq!(sessions(&store).await, [SessionId::fixed(4)]);
}
}

on_both! {
async fn sessions_that_go_on_are_whole_and_overlaps_do_not_hold_for_ever(lab) {
    let store = lab.open().await;
    // Each begins before the one before it ends, without end.
    let mut visits: Vec<Visit> = (0..20)
        .map(|n| {
            visit(n + 1, i64::try_from(n).expect("small") * 10, i64::try_from(n).expect("small") * 10 + 15)
        })
        .collect();
    visits.push(Visit { number: 21, from: 200, until: None });
    Trail::of("a").visits(&visits).stored(&store).await;
    let bin = FakeBin::default();
    pruned(&store, &bin, hours(100), false).await;
    let left = sessions(&store).await;
    assert!(left.len() < 15 && left.contains(&SessionId::fixed(10)), "{left:?}");
    assert!(store.session(&SessionId::fixed(21).to_string()).await.is_ok());
    pruned(&store, &bin, hours(5_000), false).await;
    let left = sessions(&store).await;
    assert!(left.contains(&SessionId::fixed(21)), "what goes on stays, however old: {left:?}");
}
}

on_both! {
async fn each_node_has_its_own_cut(lab) {
    let store = lab.open().await;
    Trail::of("a").visits(&[visit(1, 0, 1), visit(2, 50, 51)]).stored(&store).await;
    Trail::of("b")
        .visits(&[Visit { number: 11, from: 0, until: None }, visit(12, 1, 2)])
        .stored(&store)
        .await;
    let report = pruned(&store, &FakeBin::default(), hours(24), false).await;
    assert_eq!(report.events(), 7, "{report}");
    let (a, b) = (NodeName::parse("a").expect("a name"), NodeName::parse("b").expect("a name"));
    assert_eq!((first_seq(&store, &a).await, first_seq(&store, &b).await), (8, 1));
}
}

on_both! {
async fn a_file_that_stays_is_told_and_tried_again(lab) {
    let store = lab.open().await;
    Trail::of("a").visits(&[visit(1, 0, 1), visit(2, 2, 3)]).stored(&store).await;
    let stuck = FakeBin { stuck: vec![RecordingId::fixed(1)], ..FakeBin::default() };
    let text = pruned(&store, &stuck, hours(24), false).await.to_string();
    assert!(text.contains("1 removed, 0 were gone, 1 locked, 0 failed"), "{text}");
    assert!(text.contains(&format!("{} is locked until", RecordingId::fixed(1))), "{text}");
    let free = FakeBin::default();
    pruned(&store, &free, hours(24), false).await;
    assert_eq!(*free.removed.lock().expect("not poisoned"), [RecordingId::fixed(1)]);
    assert!(store.discarded(None, 10).await.expect("an answer").is_empty());
}
}

on_both! {
async fn thousands_of_lines_go_in_slices_while_others_are_written(lab) {
    let store = lab.open().await;
    let visits: Vec<Visit> = (1..=600)
        .map(|n| visit(n, i64::try_from(n).expect("small"), i64::try_from(n).expect("small") + 1))
        .collect();
    let trail = Trail::of("a").visits(&visits);
    let (old, new) = trail.lines.split_at(3_500);
    store.append(&trail.node, old).await.expect("appended");
    let writing = {
        let (store, node, new) = (store.clone(), trail.node.clone(), new.to_vec());
        tokio::spawn(async move {
            for line in new {
                store.append(&node, &[line]).await.expect("a writer is never refused");
            }
        })
    };
    pruned(&store, &FakeBin::default(), hours(400), false).await;
    writing.await.expect("the writer came to its end");
    let first = first_seq(&store, &trail.node).await;
    assert!(first > 2_500, "{first}");
    let left = store.lines(&trail.node, 0, 5_000).await.expect("an answer");
    assert_eq!(left.len() as u64, trail.lines.len() as u64 - first + 1, "no line is missing from there on");
}
}

on_both! {
    async fn a_clock_that_was_ahead_and_set_back_costs_nothing_that_is_young(lab) {
        let store = lab.open().await;
        let trail = Trail::of("a").visits(&[visit(1, 0, 1), visit(2, 30, 31)]).visits(&[visit(3, 2, 3), visit(4, 60, 61)]);
        trail.stored(&store).await;
        pruned(&store, &FakeBin::default(), hours(24), false).await;
        assert_eq!(first_seq(&store, &trail.node).await, 8, "the second says that it is younger");
        let mut left = sessions(&store).await;
        left.sort_unstable();
        assert_eq!(left, [2, 3, 4].map(SessionId::fixed));
        pruned(&store, &FakeBin::default(), hours(40), false).await;
        assert_eq!(sessions(&store).await, [SessionId::fixed(4)]);
    }
}

/// On the disk of node "a", without a bucket.
#[tokio::test]
async fn what_is_on_another_node_s_disk_is_left_to_it() {
    let folder = tempfile::tempdir().expect("a directory");
    let own = OwnFiles { node: NodeName::parse("a").expect("a name"), dir: folder.path().to_owned() };
    let vault = crate::record::vault::Vault::open(None).expect("a vault");
    let files = AllFiles { own, vault, lock_days: None };
    let recording = |node: &str, state: &str, location: Option<&str>| Discarded {
        id: RecordingId::fixed(1),
        node: NodeName::parse(node),
        state: Some(state.to_owned()),
        location: location.map(str::to_owned),
        bytes: None,
        stored: None,
    };
    let removed = async |recording| files.remove(&recording, hours(0)).await;
    assert_eq!(removed(recording("a", "spooled", None)).await, Removal::Absent);
    let elsewhere = Removal::Elsewhere(NodeName::parse("b").expect("a name"));
    assert_eq!(removed(recording("b", "spooled", None)).await, elsewhere);
    assert_eq!(removed(recording("b", "lost", None)).await, Removal::Absent);
    let in_a_bucket = recording("b", "stored", Some("s3://old/r.cast.zst"));
    assert!(matches!(removed(in_a_bucket).await, Removal::Failed(why) if why.contains("s3://old/")));
}

on_both! {
async fn the_chain_that_is_left_verifies_with_the_signed_statement_and_not_without(lab) {
    let store = lab.open().await;
    let trail = Trail::of("a").visits(&[visit(1, 0, 1), visit(2, 2, 3), visit(3, 50, 51)]);
    trail.stored(&store).await;
    let key = std::sync::Arc::new(AuditKey::for_test());
    let keys = AuditKeys::parse(&key.public_line()).expect("a key");
    let sign = move |node: &NodeName, seq, line: &str, at| {
        PruneRecord::sign(&key, node, Tip { seq, hash: LineHash::of(line) }, at).to_line()
    };
    let order = Order { before: hours(24), now: hours(10_000), dry_run: false };
    run(&store, &sign, &FakeBin::default(), order).await.expect("it ran");
    let verify = async |statements: Vec<crate::store::Pruning>| {
        let mut verifier = Verifier::new(Demands { keys: keys.clone(), ..Demands::default() });
        for statement in statements {
            verifier.pruning(PruneRecord::from_line(&statement.record).expect("a statement"));
        }
        for line in store.lines(&trail.node, 0, 100).await.expect("an answer") {
            verifier.row(trail.node.as_str(), line.seq, &line.text);
        }
        verifier.finish()
    };
    let with = verify(store.prunings().await.expect("an answer")).await;
    assert!(with.passed(), "{with}");
    assert!(!verify(Vec::new()).await.passed(), "a chain that begins later without a word about it is cut");
}
}

#[test]
fn own_files_go_by_their_ids_and_nothing_else_does() {
    let folder = tempfile::tempdir().expect("a directory");
    let (mine, other) = (RecordingId::fixed(1), RecordingId::fixed(2));
    for name in [format!("{mine}.cast.zst"), format!("{other}.cast.zst"), "notes.txt".to_owned()] {
        std::fs::write(folder.path().join(name), "x").expect("our own folder");
    }
    let files = OwnFiles { node: NodeName::default(), dir: folder.path().to_owned() };
    assert!(files.remove_own(mine).expect("removed"));
    assert!(!files.remove_own(mine).expect("it is gone"));
    let mut left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("readable")
        .map(|file| file.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["notes.txt".to_owned(), format!("{other}.cast.zst")].map(std::ffi::OsString::from));
}
