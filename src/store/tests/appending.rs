//! Lines go in once, in order, whole.

use crate::domain::{ConnectionId, SessionId};
use crate::store::testing::{Lab, Scribe, node, on_both};
use crate::store::{EventFilter, JournalLine, LineHash, SessionFilter, Store, StoreError};

const ALL: u32 = 10_000;

async fn whole(store: &Store, scribe: &Scribe) {
    assert_eq!(store.lines(&scribe.node, 0, ALL).await.expect("an answer"), scribe.lines);
    let last = scribe.lines.last().map(|line| (line.seq, LineHash::of(&line.text)));
    assert_eq!(store.position(&scribe.node).await.expect("an answer"), last);
    let checked = store.check_derived().await.expect("an answer");
    assert_eq!(checked.mismatches, [], "of {} rows", checked.rows);
}

on_both! {
    async fn what_goes_in_comes_out(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        let (connection, session) = scribe.visit(1, "alice", "web-1", "uptime");
        assert_eq!(store.append(&scribe.node, &scribe.lines).await.expect("appended"), scribe.lines.len() as u64);
        whole(&store, &scribe).await;
        let row = store.session_by_id(&session).await.expect("an answer").expect("a session");
        assert_eq!((row.user.as_str(), row.login.as_str(), row.target_name.as_deref()), ("alice", "ec2-user", Some("web-1")));
        assert_eq!((row.action.as_deref(), row.command.as_deref()), (Some("exec"), Some("uptime")));
        assert_eq!((row.ending.as_deref(), row.bytes_to_client, row.channels), (Some("finished"), Some(4096), Some(1)));
        assert_eq!(row.connection, Some(connection));
        let connection = store.connection(&connection).await.expect("an answer").expect("a connection");
        assert_eq!((connection.user.as_deref(), connection.ending.as_deref()), (Some("alice"), Some("client-left")));
    }

    async fn a_repeated_batch_changes_nothing_and_an_overlapping_one_adds_what_is_new(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        scribe.visit(1, "alice", "web-1", "uptime");
        scribe.visit(2, "bob", "web-2", "ls");
        let (first, rest) = scribe.lines.split_at(5);
        for lines in [first, first, &scribe.lines, rest, &scribe.lines[3..7]] {
            store.append(&scribe.node, lines).await.expect("appended");
        }
        whole(&store, &scribe).await;
    }

    async fn one_line_at_a_time_makes_the_same_as_all_at_once(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        scribe.visit(1, "alice", "web-1", "tar c / | gzip");
        scribe.visit(2, "bob", "web-2", "ls");
        for line in &scribe.lines {
            store.append(&scribe.node, std::slice::from_ref(line)).await.expect("appended");
        }
        whole(&store, &scribe).await;
    }

    async fn a_record_that_grows_while_it_is_compared_is_not_called_changed(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        for number in 0..40 {
            scribe.visit(number, "alice", "web-1", "uptime");
            scribe.head();
        }
        let writing = {
            let (store, scribe) = (store.clone(), scribe.clone());
            tokio::spawn(async move {
                for line in scribe.lines {
                    store.append(&scribe.node, &[line]).await.expect("appended");
                }
            })
        };
        let mut rounds = 0;
        while !writing.is_finished() {
            let checked = store.check_derived().await.expect("an answer");
            assert_eq!(checked.mismatches, [], "in round {rounds}");
            rounds += 1;
        }
        writing.await.expect("no panic");
        assert!(rounds > 1, "it was compared while it grew");
        whole(&store, &scribe).await;
    }

    async fn a_gap_is_refused_and_nothing_of_the_batch_stays(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        scribe.visit(1, "alice", "web-1", "uptime");
        store.append(&scribe.node, &scribe.lines[..3]).await.expect("appended");
        let error = store.append(&scribe.node, &scribe.lines[4..]).await.expect_err("refused");
        assert!(matches!(error, StoreError::Gap { stored: 3, next: 5, .. }), "{error}");
        let mut holed = scribe.lines.clone();
        holed.remove(5);
        let error = store.append(&scribe.node, &holed).await.expect_err("refused");
        assert!(matches!(error, StoreError::Gap { stored: 5, next: 7, .. }), "{error}");
        assert_eq!(store.lines(&scribe.node, 0, ALL).await.expect("an answer"), scribe.lines[..3]);
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        whole(&store, &scribe).await;
    }

    async fn another_chain_under_the_same_name_is_refused(lab) {
        let store = lab.open().await;
        let (mut ours, mut theirs) = (Scribe::new("a"), Scribe::new("a"));
        ours.visit(1, "alice", "web-1", "uptime");
        theirs.visit(2, "mallory", "web-1", "uptime");
        store.append(&ours.node, &ours.lines[..4]).await.expect("appended");
        for lines in [&theirs.lines[..], &theirs.lines[4..]] {
            let error = store.append(&ours.node, lines).await.expect_err("refused");
            assert!(matches!(error, StoreError::OtherChain { seq: 4, .. }), "{error}");
        }
        store.append(&ours.node, &ours.lines).await.expect("appended");
        whole(&store, &ours).await;
    }

    async fn two_nodes_have_a_chain_each(lab) {
        let (one, two) = (lab.open().await, lab.open().await);
        let (mut a, mut b) = (Scribe::new("a"), Scribe::new("b"));
        for number in 0..40 {
            a.visit(number, "alice", "web-1", "grep -r common words /etc");
            b.visit(1000 + number, "bob", "web-2", "grep -r common other words");
        }
        let put = async |store: &Store, scribe: &Scribe| {
            for lines in scribe.lines.chunks(7) {
                store.append(&scribe.node, lines).await.expect("appended");
            }
        };
        tokio::join!(put(&one, &a), put(&two, &b));
        whole(&one, &a).await;
        whole(&two, &b).await;
        assert_eq!(one.nodes().await.expect("an answer"), [node("a"), node("b")]);
    }

    async fn lines_that_cannot_be_events_are_refused(lab) {
        let store = lab.open().await;
        let scribe = Scribe::new("a");
        for text in ["", "[]", "{}", "not json", "{\"time\":\"2026-01-02T03:04:05Z\",\"event\":\"\u{0}\"}"] {
            let line = JournalLine { seq: 1, text: text.to_owned() };
            let error = store.append(&scribe.node, &[line]).await.expect_err("refused");
            assert!(matches!(error, StoreError::Line { seq: 1, .. }), "{error}");
        }
        let numbered = r#"{"seq":2,"time":"2026-01-02T03:04:05Z","event":"x"}"#;
        let line = JournalLine { seq: 1, text: numbered.to_owned() };
        assert!(matches!(store.append(&scribe.node, &[line]).await, Err(StoreError::Line { .. })));
        assert!(store.nodes().await.expect("an answer").is_empty());
    }

    async fn hostile_texts_come_back_as_they_were(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        let hostile = "nul\0 quote' \"; DROP TABLE events; --\u{1b}[2J\u{202e}\n\r\t\u{1F600}\u{ffff} %_!\\ $1 ?";
        let (connection, session) = (ConnectionId::fixed(1), SessionId::fixed(1));
        scribe.connected(connection, "alice").session(connection, session, "alice", "web\\u0000\\u001b[2J");
        scribe.exec(connection, session, hostile).exec(connection, session, &"long ".repeat(6_000));
        scribe.exec(connection, session, &"x".repeat(32_768)).ended(connection, session);
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        whole(&store, &scribe).await;
        let row = store.session_by_id(&session).await.expect("an answer").expect("a session");
        assert_eq!(row.command.as_deref(), Some(hostile.replace('\0', "\u{fffd}").as_str()));
        assert_eq!(row.target_name.as_deref(), Some("web\u{fffd}\u{1b}[2J"));
        for text in [hostile, "DROP table", "%_!\\ $1", "nul\0 q", &"x".repeat(32), &"X".repeat(4_000)] {
            let filter = SessionFilter { text: Some(text.to_owned()), ..Default::default() };
            assert_eq!(store.sessions(&filter, 10, None).await.expect("an answer").len(), 1, "{text:?}");
            let filter = EventFilter { text: Some(text.to_owned()), ..Default::default() };
            assert_eq!(store.events(&filter, 10, None).await.expect("an answer").len(), 1, "{text:?}");
        }
    }

    async fn a_call_that_is_given_up_leaves_all_or_nothing(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        for number in 0..30 {
            scribe.visit(number, "alice", "web-1", "uptime");
        }
        let mut given_up = 0;
        for polls in 0.. {
            let mut appending = Box::pin(store.append(&scribe.node, &scribe.lines));
            let mut polled = 0;
            let done = std::future::poll_fn(|context| {
                polled += 1;
                match appending.as_mut().poll(context) {
                    std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
                    std::task::Poll::Pending if polled > polls => std::task::Poll::Ready(None),
                    std::task::Poll::Pending => std::task::Poll::Pending,
                }
            })
            .await;
            drop(appending);
            let stored = store.lines(&scribe.node, 0, ALL).await.expect("an answer");
            assert!(stored.is_empty() || stored == scribe.lines, "{} lines", stored.len());
            if done.is_some() || !stored.is_empty() {
                break;
            }
            given_up += 1;
        }
        assert!(given_up > 3, "{given_up}");
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        whole(&store, &scribe).await;
    }

    async fn what_was_changed_in_the_tables_is_found(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        let (_, session) = scribe.visit(1, "alice", "web-1", "uptime");
        scribe.line("head", None, None, r#","through":8,"hash":"00","key":"SHA256:k","signature":"c2ln""#);
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        whole(&store, &scribe).await;
        let tampered: [(&str, &'static str, &'static str); 8] = [
            ("sessions", "UPDATE sessions SET user_name = 'bob'", "UPDATE sessions SET user_name = 'alice'"),
            ("connections", "UPDATE connections SET ending = NULL", "UPDATE connections SET ending = 'client-left'"),
            ("decisions", "UPDATE decisions SET outcome = 'refuse'", "UPDATE decisions SET outcome = 'permit'"),
            ("heads", "UPDATE heads SET through = 9", "UPDATE heads SET through = 8"),
            ("events", "UPDATE events SET text = 'ls' WHERE text = 'uptime'", "UPDATE events SET text = 'uptime' WHERE text = 'ls'"),
            ("events", "UPDATE events SET event = 'reloaded' WHERE seq = 7", "UPDATE events SET event = 'session-ended' WHERE seq = 7"),
            ("nodes", "UPDATE nodes SET seq = 10", "UPDATE nodes SET seq = 9"),
            ("sessions", "DELETE FROM sessions", "SELECT 1"),
        ];
        for (table, change, back) in tampered {
            store.tamper(change).await;
            let checked = store.check_derived().await.expect("an answer");
            assert!(checked.mismatches.iter().any(|found| found.table == table), "{change}: {checked:?}");
            store.tamper(back).await;
        }
        let checked = store.check_derived().await.expect("an answer");
        let names: Vec<_> = checked.mismatches.iter().map(|found| (found.row.clone(), found.what)).collect();
        assert_eq!(names, [(session.to_string(), "it is missing")]);
    }
}

#[tokio::test]
async fn a_node_that_is_new_to_a_store_may_begin_later() {
    let store = Lab::sqlite().open().await;
    let mut scribe = Scribe::new("a");
    scribe.visit(1, "alice", "web-1", "uptime");
    store.append(&scribe.node, &scribe.lines[3..]).await.expect("appended");
    assert_eq!(store.lines(&scribe.node, 0, ALL).await.expect("an answer"), scribe.lines[3..]);
}
