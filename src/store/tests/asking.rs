//! What was put in is found.

use jiff::Timestamp;

use crate::domain::{ConnectionId, RecordingId, SessionId};
use crate::session::{OrderKind, Orders};
use crate::store::testing::{Scribe, node, on_both};
use crate::store::{
    Cursor, DecisionFilter, EventCursor, EventFilter, Found, NodeOrders, Ordered, RecordingState,
    SessionFilter, Store,
};

fn now() -> Timestamp {
    "2026-01-02T04:00:00Z".parse().expect("a time")
}

/// Sixty sessions of three users on two nodes; every tenth is live.
async fn filled(store: &Store) {
    for (name, base) in [("a", 0_u128), ("b", 1_000)] {
        let mut scribe = Scribe::new(name);
        for number in 0..30_u128 {
            let user = ["alice", "bob", "carol"][usize::try_from(number % 3).expect("small")];
            let target = if number % 2 == 0 { "web-1" } else { "db-100%" };
            let (connection, session) = (ConnectionId::fixed(base + number), SessionId::fixed(base + number));
            scribe.connected(connection, user).session(connection, session, user, target);
            scribe.exec(connection, session, &format!("tail -n {number} /var/log/App_{name}.log"));
            if number % 10 != 0 {
                scribe.ended(connection, session);
            }
        }
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
    }
}

async fn count(store: &Store, filter: SessionFilter) -> usize {
    store.sessions(&filter, 1_000, None).await.expect("an answer").len()
}

on_both! {
    async fn each_filter_finds_its_sessions(lab) {
        let store = lab.open().await;
        filled(&store).await;
        let some = |text: &str| Some(text.to_owned());
        let all = SessionFilter::default();
        assert_eq!(count(&store, all.clone()).await, 60);
        assert_eq!(count(&store, SessionFilter { user: some("bob"), ..all.clone() }).await, 20);
        assert_eq!(count(&store, SessionFilter { user: some("b%b"), ..all.clone() }).await, 0);
        assert_eq!(count(&store, SessionFilter { target: some("web-1"), ..all.clone() }).await, 30);
        assert_eq!(count(&store, SessionFilter { target: some("i-0123456789abcdef0"), ..all.clone() }).await, 60);
        assert_eq!(count(&store, SessionFilter { login: some("ec2-user"), ..all.clone() }).await, 60);
        assert_eq!(count(&store, SessionFilter { login: some("root"), ..all.clone() }).await, 0);
        assert_eq!(count(&store, SessionFilter { node: Some(node("b")), ..all.clone() }).await, 30);
        assert_eq!(count(&store, SessionFilter { ending: some("finished"), ..all.clone() }).await, 54);
        assert_eq!(count(&store, SessionFilter { live: Some(true), ..all.clone() }).await, 6);
        assert_eq!(count(&store, SessionFilter { live: Some(false), ..all.clone() }).await, 54);
        assert_eq!(count(&store, SessionFilter { connection: Some(ConnectionId::fixed(3)), ..all.clone() }).await, 1);
        let mixed = SessionFilter { user: some("alice"), node: Some(node("a")), live: Some(true), ..all.clone() };
        assert_eq!(count(&store, mixed).await, 1);
        let rows = store.sessions(&all, 1_000, None).await.expect("an answer");
        let middle = rows[29].started;
        let since = count(&store, SessionFilter { since: Some(middle), ..all.clone() }).await;
        let until = count(&store, SessionFilter { until: Some(middle), ..all.clone() }).await;
        assert_eq!(since + until, 60);
        assert!(rows.iter().filter(|row| row.started >= middle).count() == since && since > 0);
    }

    async fn texts_are_found_inside_words_in_either_case_and_nothing_in_them_is_special(lab) {
        let store = lab.open().await;
        filled(&store).await;
        for (text, expected) in [
            ("/VAR/log", 60), ("pp_b", 30), ("log/app_a.LOG", 30), ("-n 29 ", 2), ("app%a", 0), ("app_a!", 0), ("p.a", 0),
            ("_", 60), ("%", 0), ("", 60), ("uptime", 60), ("no such word", 0),
        ] {
            let filter = SessionFilter { text: Some(text.to_owned()), ..Default::default() };
            assert_eq!(count(&store, filter).await, expected, "{text:?}");
        }
        let filter = EventFilter { text: Some("App_a".to_owned()), ..Default::default() };
        assert_eq!(store.events(&filter, 1_000, None).await.expect("an answer").len(), 30);
        let endless = SessionFilter { text: Some("%".repeat(100_000)), ..Default::default() };
        assert_eq!(count(&store, endless).await, 0);
    }

    async fn pages_join_without_a_gap_and_newest_comes_first(lab) {
        let store = lab.open().await;
        filled(&store).await;
        for filter in [SessionFilter::default(), SessionFilter { user: Some("bob".to_owned()), ..Default::default() }] {
            let whole = store.sessions(&filter, 1_000, None).await.expect("an answer");
            assert!(whole.is_sorted_by_key(|row| std::cmp::Reverse((row.started, row.id))));
            let (mut pages, mut before) = (Vec::new(), None);
            loop {
                let page = store.sessions(&filter, 7, before).await.expect("an answer");
                let Some(last) = page.last() else { break };
                before = Some(Cursor::parse(&last.cursor().to_string()).expect("it reads back"));
                pages.extend(page);
            }
            assert_eq!(pages, whole);
        }
    }

    async fn events_come_in_pages_in_either_direction(lab) {
        let store = lab.open().await;
        filled(&store).await;
        let all = EventFilter::default();
        for filter in [
            all.clone(),
            EventFilter { kind: Some("session-started".to_owned()), ..all.clone() },
            EventFilter { user: Some("bob".to_owned()), ..all.clone() },
            EventFilter { session: Some(SessionId::fixed(1)), ..all.clone() },
            EventFilter { connection: Some(ConnectionId::fixed(1)), node: Some(node("a")), ..all.clone() },
        ] {
            let whole = store.events(&filter, 10_000, None).await.expect("an answer");
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = store.events(&filter, 4, after.as_ref()).await.expect("an answer");
                let Some(last) = page.last() else { break };
                after = Some(EventCursor::parse(&last.cursor().to_string()).expect("it reads back"));
                pages.extend(page);
            }
            assert!(pages == whole && pages.len() > 3, "{filter:?}: {} of {}", pages.len(), whole.len());
            let mut newest = store.newest_events(&filter, 10_000, None).await.expect("an answer");
            newest.reverse();
            assert_eq!(newest, whole);
        }
    }

    async fn a_session_is_found_by_the_beginning_of_its_id(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        let ids = [0x01f0_0000_u128 << 96, 0x01f0_1000_u128 << 96, 0x01ff_0000_u128 << 96].map(SessionId::fixed);
        for id in ids {
            scribe.session(ConnectionId::fixed(1), id, "alice", "web-1");
        }
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        let found = async |id: &str| store.session(id).await.expect("an answer");
        for id in [&ids[2].to_string(), "s-01ff", "01ff", "01ff0"] {
            assert!(matches!(found(id).await, Found::One(row) if row.id == ids[2]), "{id}");
        }
        assert!(matches!(found("01f0").await, Found::Several(rows) if rows.len() == 2));
        let long = "0".repeat(33);
        for id in ["02", "s-", "", "../../etc/passwd", "01FF", "01ff%", "s-s-01ff", "01ff'", long.as_str()] {
            assert_eq!(found(id).await, Found::Nothing, "{id}");
        }
    }

    async fn what_has_no_ending_is_known_with_its_last_event(lab) {
        let store = lab.open().await;
        filled(&store).await;
        let open = store.unfinished(&node("a")).await.expect("an answer");
        assert_eq!(open.iter().map(|open| open.row.id).collect::<Vec<_>>(), [0, 10, 20].map(SessionId::fixed));
        let events = EventFilter { session: Some(SessionId::fixed(10)), ..Default::default() };
        let last = store.newest_events(&events, 1, None).await.expect("an answer").remove(0);
        assert_eq!(open[1].last_seen, last.time);
        assert_eq!(store.unfinished_connections(&node("b")).await.expect("an answer").len(), 30);
        assert!(store.unfinished(&node("c")).await.expect("an answer").is_empty());
    }

    async fn an_interrupted_session_ended_when_it_was_last_seen(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        let (connection, session) = (ConnectionId::fixed(1), SessionId::fixed(1));
        scribe.connected(connection, "alice").session(connection, session, "alice", "web-1");
        let seen = r#","last_seen":"2026-01-02T03:04:05.005Z""#;
        scribe.line("session-interrupted", Some(connection), Some(session), seen);
        scribe.line("connection-interrupted", Some(connection), None, seen);
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        let row = store.session_by_id(&session).await.expect("an answer").expect("a session");
        assert_eq!(row.ending.as_deref(), Some("interrupted"));
        assert_eq!(row.ended.map(|ended| ended.to_string()).as_deref(), Some("2026-01-02T03:04:05.005Z"));
        assert!(store.unfinished(&scribe.node).await.expect("an answer").is_empty());
        assert!(store.unfinished_connections(&scribe.node).await.expect("an answer").is_empty());
        assert_eq!(store.check_derived().await.expect("an answer").mismatches, []);
    }

    async fn decisions_and_heads_are_kept(lab) {
        let store = lab.open().await;
        filled(&store).await;
        let mut scribe = Scribe::new("c");
        for through in [4, 9] {
            let fields = format!(r#","through":{through},"hash":"{}","key":"SHA256:k","signature":"c2ln""#, "0".repeat(64));
            scribe.line("head", None, None, &fields);
        }
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        let heads = store.heads().await.expect("an answer");
        assert_eq!(heads.iter().map(|head| (head.node.as_str(), head.through)).collect::<Vec<_>>(), [("c", 9)]);
        let bobs = DecisionFilter { user: Some("bob".to_owned()), ..Default::default() };
        let first = store.decisions(&bobs, 15, None).await.expect("an answer");
        let rest = store.decisions(&bobs, 15, first.last()).await.expect("an answer");
        assert_eq!((first.len(), rest.len(), rest[0].rules.as_str()), (15, 5, "[\"r1\"]"));
        let refused = DecisionFilter { outcome: Some("refuse".to_owned()), ..Default::default() };
        assert!(store.decisions(&refused, 15, None).await.expect("an answer").is_empty());
    }

    async fn a_recording_is_known_from_its_lines_and_from_who_keeps_it(lab) {
        let store = lab.open().await;
        let mut scribe = Scribe::new("a");
        let (connection, session) = (ConnectionId::fixed(1), SessionId::fixed(1));
        let (early, other) = (RecordingId::fixed(1), RecordingId::fixed(2));
        store.set_recording(&early, RecordingState::Writing, Some("spool/1"), now()).await.expect("told");
        assert_eq!(store.check_derived().await.expect("an answer").mismatches, []);
        scribe.connected(connection, "alice").session(connection, session, "alice", "web-1");
        for (channel, id) in [(1, early), (2, other)] {
            let fields = format!(r#","channel":{channel},"action":"shell","record":"required","recording":"{id}""#);
            scribe.line("channel-started", Some(connection), Some(session), &fields);
        }
        let fields = format!(
            r#","channel":1,"recording":{{"id":"{early}","format":"asciicast","bytes":9,"compressed_bytes":5,"sha256":"ab","complete":true}}"#
        );
        scribe.line("channel-ended", Some(connection), Some(session), &fields);
        store.append(&scribe.node, &scribe.lines).await.expect("appended");
        let both = store.recordings_of(&session).await.expect("an answer");
        let told: Vec<_> = both.iter().map(|row| (row.id, row.state, row.location.as_deref())).collect();
        assert_eq!(told, [
            (early, RecordingState::Writing, Some("spool/1")),
            (other, RecordingState::Writing, None),
        ]);
        store.set_recording(&early, RecordingState::Stored, Some("s3://b/1"), now()).await.expect("told");
        let row = store.recording(&early).await.expect("an answer").expect("a recording");
        assert_eq!((row.state, row.bytes, row.complete, row.channel), (RecordingState::Stored, Some(9), Some(true), Some(1)));
        assert_eq!((row.session, row.node), (Some(session), Some(node("a"))));
        assert_eq!(store.recordings(Some(&early), 10).await.expect("an answer").len(), 1);
        assert_eq!(store.check_derived().await.expect("an answer").mismatches, []);
    }

    async fn an_order_reaches_the_sessions_node_and_no_other(lab) {
        let (here, there) = (lab.open().await, lab.open().await);
        filled(&there).await;
        let orders = |name: &str| NodeOrders {
            store: there.clone(),
            node: node(name),
            clock: crate::clock::HandSetClock::at("2026-01-02T04:00:00Z"),
        };
        let (mine, others) = (orders("a"), orders("b"));
        let (live, over, unknown) = (SessionId::fixed(10), SessionId::fixed(11), SessionId::fixed(99));
        let kill = async |id| here.order_kill(id, "eve", None, Some("nul\0"), now()).await.expect("an answer");
        assert_eq!(kill(&over).await, Ordered::Ended);
        assert_eq!(kill(&unknown).await, Ordered::NoSuchSession);
        let Ordered::Placed(first) = kill(&live).await else { panic!("it is live") };
        let address = "203.0.113.9".parse().ok();
        here.order_watch(&live, "eve", address, now()).await.expect("an answer");
        let pending = mine.pending().await.expect("an answer");
        let told: Vec<_> = pending.iter().map(|order| (order.session, order.what, order.client_addr)).collect();
        assert_eq!(told.len(), 2);
        assert!(told.contains(&(live, OrderKind::Kill, None)) && told.contains(&(live, OrderKind::Watch, address)));
        assert!(others.pending().await.expect("an answer").is_empty());
        assert!(!here.order_is_done(first).await.expect("an answer"));
        for order in &pending {
            mine.done(order).await.expect("an answer");
        }
        assert!(here.order_is_done(first).await.expect("an answer"));
        assert!(mine.pending().await.expect("an answer").is_empty());
    }

    async fn a_bell_rings_for_orders_placed_elsewhere(lab) {
        let (here, there) = (lab.open().await, lab.open().await);
        filled(&there).await;
        there.ordered().await; // begins to listen
        let live = SessionId::fixed(10);
        let ordering = here.order_kill(&live, "eve", None, None, now());
        let ((), placed) = tokio::join!(there.ordered(), ordering);
        placed.expect("placed");
        while there.orders(&node("a"), 10).await.expect("an answer").is_empty() {
            there.ordered().await;
        }
    }
}
