//! The whole of the commands, on a store with a few sessions in it.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::audit::{Event, JournalLine, LineHash};
use crate::clock::{Clock as _, HandSetClock, SharedClock};
use crate::console::stage::{Audience, Piece, Size, Stage};
use crate::console::testing::{identity, target};
use crate::console::{Command, Verdict, parse};
use crate::domain::{ConnectionId, NodeName, RecordingId, SessionId};
use crate::policy::Policy;
use crate::record::Spool;
use crate::record::vault::Vault;
use crate::session::OrderKind;
use crate::store::SessionRow;
use crate::target::testing::{FakeSource, place};
use crate::target::{Inventory, Settings, Source};

/// A session of the 22nd of November, 2026.
pub(super) fn row(number: u128, user: &str) -> SessionRow {
    let started: Timestamp = "2026-11-22T10:00:00Z".parse().expect("a time");
    SessionRow {
        id: SessionId::fixed(number),
        node: NodeName::parse("bastion-1").expect("a name"),
        connection: Some(ConnectionId::fixed(number)),
        started,
        ended: number.is_multiple_of(2).then(|| "2026-11-22T10:03:20Z".parse().expect("a time")),
        user: user.to_owned(),
        client_addr: "203.0.113.7".to_owned(),
        client_port: 50_122,
        way: "jump".to_owned(),
        login: "ec2-user".to_owned(),
        target_id: "i-0123456789abcdef0".to_owned(),
        target_name: Some("web-1".to_owned()),
        target_account: "123456789012".to_owned(),
        target_region: "eu-west-1".to_owned(),
        target_ip: "10.0.1.20".to_owned(),
        content: None,
        action: Some("exec".to_owned()),
        command: Some("uptime".to_owned()),
        ending: number.is_multiple_of(2).then(|| "finished".to_owned()),
        detail: None,
        bytes_to_target: None,
        bytes_to_client: None,
        channels: None,
    }
}

const POLICY: &str = r#"
@id("auditors") permit(principal in Group::"audit", action == Action::"audit", resource);
@id("on-call") permit(principal in Group::"on-call", action in [Action::"watch", Action::"kill"], resource)
when { resource has name && resource.name == "web-1" };
"#;

/// A store with a few sessions, and a clock at noon of their day.
struct Scene {
    archive: Archive,
    seq: u64,
    prev: String,
    dir: tempfile::TempDir,
}

fn node() -> NodeName {
    NodeName::parse("bastion-1").expect("a name")
}

impl Scene {
    async fn empty() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let spool = Spool::open(dir.path()).expect("a spool");
        let library = Library::new(Some(spool), Vault::open(None).expect("a vault"));
        let store = Store::in_memory().await.expect("a store");
        Self {
            archive: Archive { store, library, node: node(), turns: Turns::default() },
            seq: 0,
            prev: "0".repeat(64),
            dir,
        }
    }

    /// Alice's two sessions on web-1, of which one is live, and bob's on db-1, which is live, too.
    async fn usual() -> Self {
        let mut scene = Self::empty().await;
        for (number, user, target, minute) in
            [(2, "alice", "web-1", 0), (3, "alice", "web-1", 1), (5, "bob", "db-1", 2)]
        {
            scene.session(number, user, target, minute).await;
        }
        scene.end(2, "finished").await;
        scene
    }

    async fn tell(&mut self, time: &str, event: &str, of: Option<u128>, fields: Value) {
        self.seq += 1;
        let mut line =
            json!({"v": 1, "node": node(), "seq": self.seq, "prev": self.prev, "time": time, "event": event});
        let object = line.as_object_mut().expect("an object");
        if let Some(number) = of {
            object.insert("connection".to_owned(), ConnectionId::fixed(number).to_string().into());
            if !event.starts_with("connection") && !event.starts_with("auth") {
                object.insert("session".to_owned(), SessionId::fixed(number).to_string().into());
            }
        }
        object.extend(fields.as_object().expect("an object").clone());
        let text = line.to_string();
        self.prev = LineHash::of(&text).to_string();
        self.archive.store.append(&node(), &[JournalLine { seq: self.seq, text }]).await.expect("appended");
    }

    async fn session(&mut self, number: u128, user: &str, name: &str, minute: u32) {
        let at = |second: u32| format!("2026-11-22T10:{minute:02}:{second:02}.000Z");
        let machine = target(name, if name == "web-1" { 1 } else { 2 });
        let facts = json!({"id": machine.id, "name": name, "account": machine.account, "region": machine.region, "private_ip": machine.private_ip});
        self.tell(
            &at(0),
            "connection-opened",
            Some(number),
            json!({"client_addr": "203.0.113.7", "client_port": 50122, "listener": "0.0.0.0:22"}),
        )
        .await;
        self.tell(&at(1), "authentication-succeeded", Some(number), json!({"ssh_user": user, "user": user, "groups": ["eng"], "method": "publickey", "algorithm": "ssh-ed25519", "fingerprint": "SHA256:key"})).await;
        self.tell(&at(2), "decision", Some(number), json!({"outcome": "permit", "user": user, "client_addr": "203.0.113.7", "target": facts, "login": "ec2-user", "action": "exec", "command": "uptime", "rules": ["eng-web"]})).await;
        self.tell(&at(3), "session-started", Some(number), json!({"user": user, "client_addr": "203.0.113.7", "client_port": 50122, "way": "jump", "login": "ec2-user", "target": facts})).await;
        self.tell(&at(4), "channel-started", Some(number), json!({"channel": 1, "action": "exec", "command": format!("cat '/tmp/{user}\u{1b}[2J\n'"), "record": "best-effort", "recording": RecordingId::fixed(number)})).await;
        self.tell(&at(5), "file-operation", Some(number), json!({"channel": 1, "protocol": "scp", "operation": "write", "path": "/srv/=1+1", "bytes": 7, "sha256": "ab", "result": "ok"})).await;
    }

    async fn end(&mut self, number: u128, ending: &str) {
        self.tell("2026-11-22T10:30:00.000Z", "session-ended", Some(number), json!({"ending": ending, "bytes_to_target": 1, "bytes_to_client": 2, "channels": 1, "duration_ms": 60000})).await;
    }

    /// Puts a recording of that session into the spool.
    fn record(&self, number: u128, events: &str) {
        let id = RecordingId::fixed(number);
        let header = json!({"version": 2, "width": 80, "height": 24, "timestamp": 1, "title": "alice\u{1b}[2J", "drawbridge": {
            "recording": id, "connection": ConnectionId::fixed(number), "session": SessionId::fixed(number), "channel": 1, "format": "asciicast"}});
        let path = self.dir.path().join(format!("{id}.cast.zst"));
        let mut file = std::fs::File::create(path).expect("a file");
        for text in [format!("{header}\n"), events.to_owned()] {
            file.write_all(&zstd::bulk::compress(text.as_bytes(), 1).expect("compressed")).expect("written");
        }
    }

    fn operator(&self) -> RecordDesk {
        let now = "2026-11-22T12:00:00Z".parse().expect("a time");
        RecordDesk { asker: Asker::Operator, archive: self.archive.clone(), now }
    }

    async fn person(&self, user: &str, groups: &[&str]) -> RecordDesk {
        let clock = HandSetClock::at("2026-11-22T12:00:00Z");
        let fleet = vec![target("web-1", 1), target("db-1", 2)];
        let source: Arc<dyn Source> = Arc::new(FakeSource::new(place("prod", "eu-west-1"), [Ok(fleet)]));
        let inventory = Inventory::new(vec![source], Settings::default(), Arc::clone(&clock) as SharedClock);
        inventory.first_refresh().await;
        let policy = Arc::new(Policy::from_text("policy.cedar", POLICY).expect("a policy"));
        let person = Person { identity: Arc::new(identity(user, groups)), policy, inventory };
        RecordDesk { asker: Asker::Person(person), archive: self.archive.clone(), now: clock.now() }
    }
}

/// What a question is answered with.
#[derive(Debug)]
struct Answered {
    code: u8,
    out: String,
    err: String,
}

async fn ask(desk: RecordDesk, line: &str) -> Answered {
    ask_on(desk, line, None).await
}

async fn ask_on(desk: RecordDesk, line: &str, terminal: Option<Size>) -> Answered {
    let question = match parse(line).unwrap_or_else(|answer| panic!("{line}: {}", answer.complaint)) {
        Command::Sessions { command } => Question::Sessions(command),
        Command::Replay(args) => Question::Replay(args),
        Command::Events(args) => Question::Events(args),
        Command::Export(args) => Question::Export(args),
        other @ (Command::Whoami(_)
        | Command::Targets(_)
        | Command::Explain(_)
        | Command::Doctor(_)
        | Command::SshConfig(_)) => {
            panic!("{other:?} is about something else")
        }
    };
    let mut answer = desk.answer(question).await;
    let mut verdict = answer.verdict;
    let mut out: String = answer.output.by_ref().collect();
    let mut err = String::new();
    if let Some(live) = answer.live.take() {
        let (stage, Audience { out: mut pieces, input: _input }) = Stage::new(terminal);
        let playing = tokio::spawn(live.begin(stage));
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Text(text) => out.push_str(&text),
                Piece::Raw(bytes) => out.push_str(&String::from_utf8_lossy(&bytes)),
                Piece::Complaint(text) => err.push_str(&text),
            }
        }
        verdict = playing.await.expect("no panic");
    }
    err.push_str(&answer.complaint);
    Answered { code: verdict.code(), out, err }
}

fn id(number: u128) -> String {
    SessionId::fixed(number).to_string()
}

#[tokio::test]
async fn the_operator_lists_everything_page_by_page() {
    let scene = Scene::usual().await;
    let all = ask(scene.operator(), "sessions list").await;
    insta::assert_snapshot!(all.out);
    let first = ask(scene.operator(), "sessions list --limit 2 --json").await;
    let json: Value = serde_json::from_str(&first.out).expect("JSON");
    assert_eq!((&json["sessions"][0]["id"], &json["more"]), (&id(5).into(), &true.into()), "{json}");
    let before = format!("sessions list --json --before {}", id(3));
    let second: Value = serde_json::from_str(&ask(scene.operator(), &before).await.out).expect("JSON");
    assert_eq!(second["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!((&second["sessions"][0]["id"], &second["more"]), (&id(2).into(), &false.into()));
    assert_eq!(second["sessions"][0]["command"], "cat '/tmp/alice\u{1b}[2J\n'");
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let scene = Scene::usual().await;
    for (filter, wanted) in [
        ("--user bob", &[5][..]),
        ("--live", &[5, 3]),
        ("--ending finished", &[2]),
        ("--target db-1", &[5]),
        ("--target i-00000000000000001 --live", &[3]),
        ("--login root", &[]),
        ("--since 2026-11-22T10:01:00Z --until 2026-11-22T10:02:00Z", &[3]),
        ("--since today", &[5, 3, 2]),
        ("--since 30m", &[]),
        ("--text /tmp/bob", &[5]),
        ("--text /srv/=1+1 --user alice", &[3, 2]),
        ("--node bastion-2", &[]),
    ] {
        let answered = ask(scene.operator(), &format!("sessions list --json {filter}")).await;
        let json: Value = serde_json::from_str(&answered.out).expect("JSON");
        let found: Vec<&str> = json["sessions"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|row| row["id"].as_str())
            .collect();
        assert_eq!(found, wanted.iter().map(|number| id(*number)).collect::<Vec<_>>(), "{filter}");
        assert_eq!(answered.code, u8::from(wanted.is_empty()), "{filter}");
    }
}

#[tokio::test]
async fn people_see_their_own_sessions_and_nothing_of_others() {
    let scene = Scene::usual().await;
    let own = ask(scene.person("alice", &["eng"]).await, "sessions list --json").await;
    assert!(own.out.contains(&id(3)) && own.out.contains(&id(2)) && !own.out.contains("bob"), "{own:?}");
    let others = ask(scene.person("alice", &["eng"]).await, "sessions list --user bob").await;
    assert_eq!((others.code, others.out.as_str()), (1, ""));
    assert!(others.err.contains("the permission `audit`"), "{others:?}");
    let shown = ask(scene.person("alice", &["eng"]).await, &format!("sessions show {}", id(3))).await;
    assert_eq!(shown.code, 0, "{shown:?}");
    let of_bob = ask(scene.person("alice", &["eng"]).await, &format!("sessions show {}", id(5))).await;
    let of_nobody = ask(scene.person("alice", &["eng"]).await, &format!("sessions show {}", id(9))).await;
    assert_eq!(of_bob.err.replace(&id(5), "X"), of_nobody.err.replace(&id(9), "X"));
    assert_eq!((of_bob.code, of_bob.out.as_str()), (1, ""));
    let before = ask(scene.person("alice", &[]).await, &format!("sessions list --before {}", id(5))).await;
    assert_eq!(before.code, 1, "where another's session is in time is not said: {before:?}");
    for line in
        ["events", "export --format jsonl", &format!("replay {}", id(3)), "export --format csv --sessions"]
    {
        let answered = ask(scene.person("alice", &["eng"]).await, line).await;
        assert_eq!((answered.code, answered.out.as_str()), (1, ""), "{line}");
        assert!(answered.err.contains("needs the permission `audit`"), "{line}: {answered:?}");
    }
    let nobody = ask(scene.person("carol", &[]).await, "sessions list").await;
    assert!(nobody.err.contains("no session of yours fits"), "{nobody:?}");
}

/// Whoever asked much of their own had the store's connections, and nobody's session could open or be ended.
#[tokio::test]
async fn those_who_see_their_own_take_turns_and_keep_no_auditor_waiting() {
    let scene = Scene::usual().await;
    let turn = scene.archive.turns.take(false).await.expect("it is free");
    let (alice, bob) = (scene.person("alice", &["eng"]).await, scene.person("bob", &["eng"]).await);
    let waiting = tokio::spawn(async move { ask(alice, "sessions list").await });
    for _ in 0..3 {
        let auditor = scene.person("carol", &["audit"]).await;
        assert_eq!(ask(auditor, "sessions list --text /tmp/bob").await.code, 0);
    }
    let kill = ask(bob, &format!("sessions kill {}", id(3))).await;
    assert!(kill.err.contains("there is no session"), "it is answered: {kill:?}");
    assert!(!waiting.is_finished());
    drop(turn);
    assert_eq!(waiting.await.expect("no panic").code, 0);
}

#[tokio::test]
async fn where_nothing_is_on_record_nobody_is_sent_to_filters() {
    let scene = Scene::empty().await;
    let all = ask(scene.operator(), "sessions list").await;
    assert!(all.code == 1 && all.err.contains("no session is on record"), "{all:?}");
    let some = ask(scene.operator(), "sessions list --user alice").await;
    assert!(some.code == 1 && some.err.contains("try fewer filters"), "{some:?}");
}

#[tokio::test]
async fn with_the_permission_everything_is_there() {
    let scene = Scene::usual().await;
    let list = ask(scene.person("carol", &["audit"]).await, "sessions list --json").await;
    assert!(list.out.contains("bob") && list.out.contains("alice"), "{list:?}");
    let events = ask(scene.person("carol", &["audit"]).await, "events --kind file-operation").await;
    assert_eq!(events.out.lines().count(), 3, "{events:?}");
    let kill = ask(scene.person("carol", &["audit"]).await, &format!("sessions kill {}", id(5))).await;
    assert!(kill.err.contains("you do not have the permission `kill`"), "{kill:?}");
}

#[tokio::test]
async fn whoever_may_end_sessions_finds_them_and_no_others() {
    let scene = Scene::usual().await;
    let list = ask(scene.person("carol", &["on-call"]).await, "sessions list --live --json").await;
    assert!(list.out.contains(&id(3)) && !list.out.contains("bob"), "{list:?}");
    let other = ask(scene.person("carol", &["on-call"]).await, &format!("sessions kill {}", id(5))).await;
    let unknown = ask(scene.person("carol", &["on-call"]).await, &format!("sessions kill {}", id(9))).await;
    assert_eq!(other.err.replace(&id(5), "X"), unknown.err.replace(&id(9), "X"));
    assert!(other.err.contains("for which you have the permission `kill`"), "{other:?}");
    let over = ask(scene.person("carol", &["on-call"]).await, &format!("sessions kill {}", id(2))).await;
    assert!(over.err.contains("has ended already"), "{over:?}");
}

#[tokio::test]
async fn a_kill_is_ordered_with_its_reason_and_answered_when_it_has_happened() {
    let mut scene = Scene::usual().await;
    let desk = scene.person("carol", &["on-call"]).await;
    let line = format!("sessions kill {} --reason 'wrong machine'", id(3));
    let killing = tokio::spawn(async move { ask(desk, &line).await });
    let order = loop {
        let orders = scene.archive.store.orders(&node(), 10).await.expect("orders");
        if let Some(order) = orders.into_iter().next() {
            break order;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((order.session.to_string(), order.what), (id(3), OrderKind::Kill));
    assert_eq!((order.by.as_str(), order.reason.as_deref()), ("carol", Some("wrong machine")));
    scene.end(3, "killed").await;
    let answered = killing.await.expect("no panic");
    let sentence = format!("The session {} has ended: somebody ordered it to end.\n", id(3));
    assert_eq!((answered.code, answered.out), (0, sentence));
}

#[tokio::test]
async fn people_may_end_their_own_sessions() {
    let mut scene = Scene::usual().await;
    let desk = scene.person("bob", &[]).await;
    let killing = tokio::spawn(async move { ask(desk, &format!("sessions kill {}", id(5))).await });
    while scene.archive.store.orders(&node(), 10).await.expect("orders").is_empty() {
        tokio::task::yield_now().await;
    }
    scene.end(5, "killed").await;
    assert_eq!(killing.await.expect("no panic").code, 0);
}

#[tokio::test]
async fn a_session_is_shown_as_a_story_and_as_facts() {
    let mut scene = Scene::usual().await;
    scene
        .tell(
            "2026-11-22T10:10:00.000Z",
            "session-watched",
            None,
            json!({"by": "carol", "watched": id(3), "told": false}),
        )
        .await;
    scene
        .tell(
            "2026-11-22T10:11:00.000Z",
            "session-watched",
            None,
            json!({"by": "carol", "watched": id(5), "told": true}),
        )
        .await;
    let story = ask(scene.operator(), &format!("sessions show {}", id(3))).await;
    insta::assert_snapshot!(story.out);
    let facts = ask(scene.operator(), &format!("sessions show {} --json", id(3))).await;
    let json: Value = serde_json::from_str(&facts.out).expect("JSON");
    let events: Vec<&str> = json["events"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect();
    assert_eq!(
        events,
        [
            "authentication-succeeded",
            "decision",
            "session-started",
            "channel-started",
            "file-operation",
            "session-watched"
        ]
    );
    assert_eq!(json["session"]["id"], id(3));
}

/// Where policy does not have them told, the watched learned by `sessions show` who looked on.
#[tokio::test]
async fn whoever_is_watched_and_not_told_does_not_read_it_either() {
    let mut scene = Scene::usual().await;
    for (of, told) in [(3, false), (5, true)] {
        let watched = json!({"by": "carol", "watched": id(of), "told": told});
        scene.tell("2026-11-22T10:10:00.000Z", "session-watched", None, watched).await;
    }
    for (user, groups, of, knows) in
        [("alice", "eng", 3, false), ("bob", "eng", 5, true), ("carol", "audit", 3, true)]
    {
        for form in ["", " --json"] {
            let desk = scene.person(user, &[groups]).await;
            let answered = ask(desk, &format!("sessions show {}{form}", id(of))).await;
            assert_eq!((answered.code, answered.out.contains("carol")), (0, knows), "{user}: {answered:?}");
        }
    }
}

#[tokio::test]
async fn the_beginning_of_an_id_will_do_where_it_is_one_session_s() {
    let scene = Scene::usual().await;
    let several = ask(scene.operator(), "sessions show s-0000").await;
    assert!(several.err.contains("several sessions begin with s-0000: "), "{several:?}");
    // For bob there is only one.
    let one = ask(scene.person("bob", &[]).await, "sessions show s-0000").await;
    assert!(one.code == 0 && one.out.contains(&id(5)), "{one:?}");
    for line in [
        "sessions show ../../etc/passwd",
        "replay ../../etc/passwd",
        "sessions kill 's-%'",
        "export --format asciicast r-1",
    ] {
        assert_eq!(parse(line).map_err(|answer| answer.verdict), Err(Verdict::Usage), "{line}");
    }
}

#[tokio::test]
async fn exports_are_verbatim_for_programs_and_harmless_on_terminals() {
    let scene = Scene::usual().await;
    let desk = || scene.operator();
    let exported = ask(desk(), "export --format jsonl").await.out;
    let lines = scene.archive.store.lines(&node(), 0, 100).await.expect("lines");
    let whole: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
    assert_eq!(exported, whole);
    let csv = ask(desk(), "export --format csv --target db-1").await.out;
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<_> = reader.records().collect::<Result<_, _>>().expect("CSV");
    assert_eq!(rows.len(), 4, "{csv}");
    assert!(!csv.contains('\u{1b}') && csv.contains("/srv/=1+1"), "{csv}");
    let sessions = ask(desk(), "export --format csv --sessions --live").await.out;
    assert_eq!(sessions.lines().count(), 3, "{sessions}");
    let of_one = ask(desk(), &format!("export {} --format jsonl", id(5))).await.out;
    assert!(of_one.lines().count() == 4 && of_one.lines().all(|line| line.contains(&id(5))), "{of_one}");
    let ocsf = ask(desk(), &format!("export {} --format ocsf", id(5))).await.out;
    let events: Vec<Value> = ocsf.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(events.len(), 4, "{ocsf}");
    assert!(events.iter().all(|event| event["metadata"]["version"] == crate::sinks::OCSF_SCHEMA), "{ocsf}");
    // Who it was is known from the connection's events.
    assert!(events.iter().all(|event| event["actor"]["user"]["name"] == "bob"), "{ocsf}");
    for nonsense in [
        "export --format asciicast",
        "export --format ocsf --sessions",
        &format!("export {} --format csv --user bob", id(5)),
        &format!("export r-{} --format csv", "0".repeat(32)),
        "export --format csv --channel 3",
    ] {
        assert_eq!(ask(desk(), nonsense).await.code, 2, "{nonsense}");
    }
}

#[tokio::test]
async fn events_are_lines_for_people_and_for_programs() {
    let scene = Scene::usual().await;
    let people = ask(scene.operator(), &format!("events --session {}", id(5))).await.out;
    assert!(people.lines().count() == 4 && !people.contains('\u{1b}'), "{people}");
    let programs = ask(scene.operator(), "events --json --kind session-started --user alice").await.out;
    let users: Vec<Value> = programs.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(users.len() == 2 && users.iter().all(|event| event["user"] == "alice"), "{programs}");
    assert_eq!(ask(scene.operator(), "events --limit 2").await.out.lines().count(), 2);
    let none = ask(scene.operator(), "events --since 1m").await;
    assert!(none.code == 1 && none.err.contains("no event fits"), "{none:?}");
    assert!(Event::NAMES.contains(&"session-watched") && parse("events --kind nonsense").is_err());
}

#[tokio::test]
async fn a_recording_is_exported_and_replayed() {
    let scene = Scene::usual().await;
    scene.record(3, "[0.0,\"o\",\"hello \"]\n[0.1,\"bytes\",\"/w==\"]\n[0.1,\"o\",\"\u{fffd}\"]\n[0.2,\"m\",\"the end\"]\n");
    let cast = ask(scene.operator(), &format!("export {} --format asciicast", id(3))).await;
    assert!(cast.code == 0 && cast.out.starts_with("{\"") && cast.out.lines().count() == 5, "{cast:?}");
    let size = Some(Size { columns: 80, rows: 24 });
    let replayed = ask_on(scene.operator(), &format!("replay {} --speed 100", id(3)), size).await;
    assert!(replayed.code == 0 && replayed.out.contains("hello \u{fffd}"), "{replayed:?}");
    let said = replayed.out.split("hello").next().expect("what comes before");
    assert!(said.contains("alice\\u{1b}[2J") && !said.contains('\u{1b}'), "{said:?}");
    let nowhere = ask(scene.operator(), &format!("replay {}", id(3))).await;
    assert!(nowhere.code == 1 && nowhere.err.contains("this needs a terminal"), "{nowhere:?}");
    let on_terminal = ask_on(scene.operator(), &format!("export {} --format asciicast", id(3)), size).await;
    assert!(on_terminal.code == 1 && on_terminal.out.is_empty(), "{on_terminal:?}");
    let missing = ask_on(scene.operator(), &format!("replay {}", id(5)), size).await;
    assert!(missing.code == 1 && missing.err.contains("cannot be read from here"), "{missing:?}");
}

#[tokio::test]
async fn a_store_that_is_down_is_a_sentence_and_no_detail() {
    let scene = Scene::usual().await;
    let (person, operator) = (scene.person("alice", &["audit"]).await, scene.operator());
    scene.archive.store.close().await;
    let told = ask(person, "sessions list").await;
    assert_eq!((told.code, told.out.as_str()), (1, ""));
    assert!(
        told.err.contains("the record cannot be read at the moment") && !told.err.contains("pool"),
        "{told:?}"
    );
    assert!(ask(operator, "sessions list").await.err.contains("the record cannot be read: "));
}
