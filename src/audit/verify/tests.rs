//! Trails of several nodes, made by the log itself, and everything that can be done to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use tokio::sync::Notify;

use super::*;
use crate::audit::{AuditKey, Collected, Entry, Event, HeadBoard, Heads, JournalLine, Log, Reloadable, Tip};
use crate::clock::HandSetClock;
use crate::domain::NodeName;
use crate::tasks::BoxFuture;

/// The last heads that nodes have signed.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<BTreeMap<NodeName, NodeHead>>>);

impl HeadBoard for Board {
    fn others(&self) -> BoxFuture<'_, Vec<NodeHead>> {
        Box::pin(async { self.0.lock().expect("not poisoned").values().cloned().collect() })
    }
}

struct Site {
    log: Log,
    heads: Heads,
    collected: Collected,
    key: Arc<AuditKey>,
}

fn name(number: usize) -> NodeName {
    NodeName::parse(&format!("node-{number}")).expect("a name")
}

/// Several nodes that record, and the lines of all of them as they came.
struct World {
    runtime: tokio::runtime::Runtime,
    board: Board,
    sites: Vec<Site>,
    lines: Vec<String>,
}

impl World {
    fn new(nodes: usize) -> Self {
        let board = Board::default();
        let site = |number| {
            let clock = HandSetClock::at("2026-01-02T03:04:05.678Z");
            let (log, collected) = Log::in_memory_of(name(number), clock);
            let key = Arc::new(AuditKey::for_test());
            let heads = Heads::new(log.clone(), Arc::clone(&key), Arc::new(board.clone()));
            Site { log, heads, collected, key }
        };
        let sites = (0..nodes).map(site).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { runtime, board, sites, lines: Vec::new() }
    }

    fn record(&mut self, node: usize, problems: usize) {
        let detail = "é\u{202e}x".repeat(problems % 5).into();
        let event = Event::ReloadRefused { what: Reloadable::Users, problems, detail };
        let site = &self.sites[node];
        self.runtime.block_on(site.log.record(Entry::of_daemon(event))).expect("recorded");
        self.lines.push(site.collected.texts().pop().expect("a line"));
    }

    fn sign(&mut self, node: usize) {
        let site = &self.sites[node];
        let before = site.log.tip().seq;
        self.runtime.block_on(site.heads.sign()).expect("signed");
        if site.log.tip().seq == before {
            return;
        }
        let line = site.collected.texts().pop().expect("a line");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        let head = NodeHead {
            node: name(node),
            through: value["through"].as_u64().expect("a number"),
            hash: LineHash::parse(value["hash"].as_str().expect("a text")).expect("a hash"),
        };
        self.board.0.lock().expect("not poisoned").insert(name(node), head);
        self.lines.push(line);
    }

    /// As `steps` has it, and then two rounds of heads, so that what counts is signed and quoted.
    fn lived(nodes: usize, steps: &[(Index, u8)]) -> Self {
        let mut world = Self::new(nodes);
        for (node, what) in steps {
            let node = node.index(nodes);
            if what % 4 == 0 { world.sign(node) } else { world.record(node, usize::from(*what)) }
        }
        for _ in 0..2 {
            for node in 0..nodes {
                world.record(node, 1);
                world.sign(node);
            }
        }
        world
    }

    fn demands(&self) -> Demands {
        let lines: Vec<String> = self.sites.iter().map(|site| site.key.public_line()).collect();
        let keys = AuditKeys::parse(&lines.join("\n")).expect("keys");
        Demands { keys, whole: true, ..Demands::default() }
    }

    fn verify(&self, lines: &[String]) -> Report {
        verify(self.demands(), lines)
    }
}

fn verify(demands: Demands, lines: &[String]) -> Report {
    let mut verifier = Verifier::new(demands);
    verifier.source("trail");
    for line in lines {
        verifier.line(line);
    }
    verifier.finish()
}

/// Node and number of a line.
fn of(line: &str) -> (String, u64) {
    let placed = Placed::read(line).expect("a place");
    (placed.node.to_owned(), placed.seq)
}

/// The places of a node's lines.
fn places(lines: &[String], node: &str) -> Vec<usize> {
    (0..lines.len()).filter(|at| of(&lines[*at]).0 == node).collect()
}

fn named(finding: &Finding) -> (String, u64) {
    (finding.node.clone().unwrap_or_default(), finding.seq.unwrap_or_default())
}

#[track_caller]
fn first(report: &Report) -> &Finding {
    report.first().unwrap_or_else(|| panic!("it was not found:\n{report}"))
}

fn steps() -> impl Strategy<Value = Vec<(Index, u8)>> {
    proptest::collection::vec((any::<Index>(), any::<u8>()), 0..25)
}

/// Two different places among the lines of one node, the lower one first.
fn pair(lines: &[String], at: Index, other: Index) -> (usize, usize) {
    let node = of(&lines[at.index(lines.len())]).0;
    let places = places(lines, &node);
    let a = other.index(places.len());
    let b = (a + 1 + at.index(places.len() - 1)) % places.len();
    (places[a.min(b)], places[a.max(b)])
}

/// A line that is not its node's last: what comes behind the last head cannot be held to anything.
fn held(lines: &[String], at: Index) -> usize {
    let (place, _) = pair(lines, at, at);
    place
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_untouched_trail_passes(nodes in 1_usize..4, steps in steps()) {
        let world = World::lived(nodes, &steps);
        let report = world.verify(&world.lines);
        prop_assert!(report.passed() && report.notes.is_empty(), "{}", report);
        prop_assert_eq!(report.nodes.len(), nodes);
        let by_node: Vec<String> =
            (0..nodes).flat_map(|n| places(&world.lines, name(n).as_str())).map(|at| world.lines[at].clone()).collect();
        prop_assert!(world.verify(&by_node).passed(), "one node after the other");
    }

    #[test]
    fn any_edit_is_found(nodes in 1_usize..4, steps in steps(), at: Index, byte: Index, new in 0_u8..128) {
        let world = World::lived(nodes, &steps);
        let mut lines = world.lines.clone();
        let at = held(&lines, at);
        let mut bytes = lines[at].clone().into_bytes();
        let byte = byte.index(bytes.len());
        bytes[byte] = if bytes[byte] == new { b'~' } else { new };
        lines[at] = String::from_utf8_lossy(&bytes).into_owned();
        prop_assume!(lines[at] != world.lines[at]);
        let report = world.verify(&lines);
        let first = first(&report);
        let in_place = first.place.as_deref() == Some(format!("trail:{}", at + 1).as_str());
        prop_assert!(named(first) == of(&world.lines[at]) || in_place, "{}\n{}", lines[at], report);
    }

    #[test]
    fn an_edit_of_any_field_is_called_a_change(nodes in 1_usize..4, steps in steps(), at: Index, field in 0_usize..5) {
        let world = World::lived(nodes, &steps);
        let mut lines = world.lines.clone();
        let at = held(&lines, at);
        let line = &lines[at];
        let placed = Placed::read(line).expect("a place");
        let (prev, seq) = (placed.prev.to_string(), placed.seq);
        lines[at] = match field {
            0 => line.replace("2026-01-02", "2026-01-03"),
            1 => line.replace(&format!("\"seq\":{seq}"), &format!("\"seq\":{}", seq + 7)),
            2 => line.replacen(&prev, &LineHash::of("other").to_string(), 1),
            3 => line.replacen("\"event\":\"", "\"event\":\"x", 1),
            _ => format!("{line} "),
        };
        prop_assert_ne!(&lines[at], &world.lines[at]);
        let report = world.verify(&lines);
        let first = first(&report);
        prop_assert_eq!(named(first), of(&world.lines[at]), "{}", report);
        prop_assert!(matches!(first.what, Break::Changed), "{}", report);
    }

    #[test]
    fn any_removal_is_found(nodes in 1_usize..4, steps in steps(), at: Index, count in 1_usize..4) {
        let world = World::lived(nodes, &steps);
        let start = held(&world.lines, at);
        let wanted = of(&world.lines[start]);
        let places = places(&world.lines, &wanted.0);
        let from = places.iter().position(|place| *place == start).expect("a place");
        let gone: Vec<usize> = places[from..places.len() - 1].iter().take(count).copied().collect();
        let lines: Vec<String> = world.lines.iter().enumerate().filter(|(n, _)| !gone.contains(n)).map(|(_, l)| l.clone()).collect();
        let report = world.verify(&lines);
        let first = first(&report);
        prop_assert_eq!((named(first), first.what), (wanted, Break::Removed), "{}", report);
    }

    #[test]
    fn any_copy_that_is_put_elsewhere_is_found(nodes in 1_usize..4, steps in steps(), from: Index, to: Index) {
        let world = World::lived(nodes, &steps);
        let copied = world.lines[from.index(world.lines.len())].clone();
        let wanted = of(&copied);
        let to = to.index(world.lines.len());
        let neighbour = |lines: &[String]| lines.contains(&copied);
        let own = |line: &&String| of(line).0 == wanted.0;
        let before: Vec<String> = world.lines[..to].iter().rev().filter(own).take(1).cloned().collect();
        let after: Vec<String> = world.lines[to..].iter().filter(own).take(1).cloned().collect();
        prop_assume!(!neighbour(&before) && !neighbour(&after));
        let mut lines = world.lines.clone();
        lines.insert(to, copied);
        let report = world.verify(&lines);
        let first = first(&report);
        prop_assert_eq!((named(first), first.what), (wanted, Break::Inserted), "at {}\n{}", to, report);
        let place = format!("trail:{}", to + 1);
        prop_assert_eq!(first.place.as_deref(), Some(place.as_str()));
    }

    #[test]
    fn any_forgery_that_is_added_is_found(nodes in 1_usize..4, steps in steps(), at: Index, fits: bool, number in 1_u64..50) {
        let world = World::lived(nodes, &steps);
        let at = held(&world.lines, at);
        let follows = Placed::read(&world.lines[at]).expect("a place");
        let seq = if fits { follows.seq } else { number };
        let prev = if fits { follows.prev } else { LineHash::of("forged") };
        let forged = format!(
            r#"{{"v":1,"node":"{}","seq":{seq},"prev":"{prev}","time":"2026-01-02T03:04:05.678Z","event":"forged"}}"#,
            follows.node
        );
        let mut lines = world.lines.clone();
        lines.insert(at, forged);
        let report = world.verify(&lines);
        let first = first(&report);
        prop_assert_eq!((first.event.as_deref(), first.what), (Some("forged"), Break::Inserted), "{}", report);
        let place = format!("trail:{}", at + 1);
        prop_assert_eq!(first.place.as_deref(), Some(place.as_str()));
        lines[at] = "no record at all".to_owned();
        let report = world.verify(&lines);
        let first = report.first().expect("found");
        prop_assert_eq!((first.place.as_deref(), first.what), (Some(place.as_str()), Break::Unreadable), "{}", report);
    }

    #[test]
    fn any_other_order_is_found(nodes in 1_usize..4, steps in steps(), at: Index, other: Index, how in 0_u8..3) {
        let world = World::lived(nodes, &steps);
        let mut lines = world.lines.clone();
        let (a, b) = pair(&lines, at, other);
        match how {
            0 => lines.swap(a, b),
            1 => { let line = lines.remove(a); lines.insert(b, line); }
            _ => { let line = lines.remove(b); lines.insert(a, line); }
        }
        let report = world.verify(&lines);
        let first = first(&report);
        prop_assert_eq!((named(first), first.what), (of(&world.lines[a]), Break::Reordered), "{}", report);
    }

    #[test]
    fn any_end_that_is_cut_off_is_found_where_another_node_knew_it(nodes in 2_usize..4, steps in steps(), node: Index, cut: Index) {
        let world = World::lived(nodes, &steps);
        let node = name(node.index(nodes));
        // The last round of heads but one's own quotes at least the head of the round before.
        let quoted = world.lines.iter().filter(|line| of(line).0 != node.as_str()).filter_map(|line| {
            let value: Value = serde_json::from_str(line).expect("JSON");
            let others = value["others"].as_array()?.clone();
            others.iter().find(|o| o["node"] == node.as_str())?["through"].as_u64()
        }).max().expect("a quote");
        // With the head itself, which comes behind the line that it vouches for.
        let from = 1 + cut.index(usize::try_from(quoted + 1).expect("small")) as u64;
        let lines: Vec<String> = world.lines.iter().filter(|line| { let (n, s) = of(line); n != node.as_str() || s < from }).cloned().collect();
        let report = world.verify(&lines);
        let first = first(&report);
        prop_assert_eq!((named(first), first.what), ((node.to_string(), from), Break::CutOff), "{}", report);
    }
}

/// Three records and a head on each of two nodes, twice.
fn two() -> World {
    let steps = [(0, 1), (0, 2), (1, 1), (0, 3), (1, 2), (1, 3)];
    let mut world = World::new(2);
    for _ in 0..2 {
        steps.iter().for_each(|(node, problems)| world.record(*node, *problems));
        world.sign(0);
        world.sign(1);
    }
    world
}

#[test]
fn a_chain_that_is_written_anew_is_found_by_its_own_heads_and_by_others() {
    let world = two();
    // Whoever can write the database changes record 2 and makes all later hashes fit.
    let rewrite = |keep_heads: bool| -> Vec<String> {
        let mut tip = Tip::START;
        let mut lines = Vec::new();
        for line in &world.lines {
            let placed = Placed::read(line).expect("a place");
            if placed.node != "node-0" {
                lines.push(line.clone());
                continue;
            }
            if !keep_heads && line.contains("\"event\":\"head\"") {
                continue;
            }
            let seq = tip.seq + 1;
            let line = line
                .replace(&format!("\"seq\":{}", placed.seq), &format!("\"seq\":{seq}"))
                .replacen(&placed.prev.to_string(), &tip.hash.to_string(), 1)
                .replace("\"problems\":2", "\"problems\":9");
            tip = Tip { seq, hash: LineHash::of(&line) };
            lines.push(line);
        }
        lines
    };
    let report = world.verify(&rewrite(true));
    let found = first(&report);
    assert_eq!((named(found), found.what), (("node-0".to_owned(), 3), Break::Changed), "{report}");
    assert!(found.text.contains("the head at record 4 has signed another hash"), "{report}");
    let report = world.verify(&rewrite(false));
    let found = first(&report);
    assert_eq!(found.what, Break::CutOff, "its heads are gone, and the other node knows of one:\n{report}");
    assert_eq!(found.node.as_deref(), Some("node-0"));
}

#[test]
fn a_head_of_a_stranger_or_from_elsewhere_is_not_believed() {
    let world = two();
    let others = AuditKeys::parse(&world.sites[1].key.public_line()).expect("a key");
    let report = verify(Demands { keys: others, ..Demands::default() }, &world.lines);
    assert_eq!((named(first(&report)), first(&report).what), (("node-0".to_owned(), 4), Break::UnknownKey));
    // The last head has nothing behind it but its signature.
    let mut lines = world.lines.clone();
    let last = places(&lines, "node-0").pop().expect("a line");
    lines[last] = lines[last].replace("\"through\":7", "\"through\":6");
    let report = world.verify(&lines);
    assert_eq!((named(first(&report)), first(&report).what), (("node-0".to_owned(), 8), Break::BadSignature));
}

#[test]
fn without_keys_the_report_says_so() {
    let world = two();
    let report = verify(Demands::default(), &world.lines);
    assert!(report.passed() && report.notes[0].contains("no signature was checked"), "{report}");
}

#[test]
fn lines_that_a_sink_sent_again_are_no_break() {
    let world = two();
    let lines: Vec<String> =
        places(&world.lines, "node-0").into_iter().map(|at| world.lines[at].clone()).collect();
    let mut again: Vec<String> = lines[..5].to_vec();
    again.push(lines[5][..40].to_owned());
    again.extend_from_slice(&lines[3..]);
    again.push(lines.last().expect("a line").clone());
    let demands = Demands { whole: false, ..world.demands() };
    let report = verify(demands.clone(), &again);
    assert!(report.passed(), "{report}");
    assert_eq!(report.nodes[0].repeats, 3, "records 4 and 5, and the last");
    // One that is put behind what follows it is no such thing.
    let mut put = lines.clone();
    put.insert(6, lines[2].clone());
    assert_eq!(first(&verify(demands, &put)).what, Break::Inserted);
}

#[test]
fn a_head_from_the_operators_log_finds_what_is_cut_off_or_written_anew() {
    let world = two();
    let tip = world.sites[0].log.tip();
    let mine: Vec<String> =
        places(&world.lines, "node-0").into_iter().map(|at| world.lines[at].clone()).collect();
    let known = |through, hash| {
        let heads = vec![NodeHead { node: name(0), through, hash }];
        Demands { heads, whole: false, ..world.demands() }
    };
    assert!(verify(known(tip.seq, tip.hash), &mine).passed());
    let report = verify(known(tip.seq, tip.hash), &mine[..7]);
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-0".to_owned(), 8), Break::CutOff),
        "{report}"
    );
    let report = verify(known(5, LineHash::of("five")), &mine);
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-0".to_owned(), 5), Break::Changed),
        "{report}"
    );
}

#[test]
fn a_chain_that_begins_later_needs_a_proof() {
    let world = two();
    let later: Vec<String> =
        places(&world.lines, "node-0").into_iter().map(|at| world.lines[at].clone()).skip(5).collect();
    let others: Vec<String> =
        places(&world.lines, "node-1").into_iter().map(|at| world.lines[at].clone()).collect();
    let lines = [later.clone(), others].concat();
    let report = world.verify(&lines);
    assert_eq!((named(first(&report)), first(&report).what), (("node-0".to_owned(), 1), Break::Removed));
    let through = Tip { seq: 5, hash: Placed::read(&later[0]).expect("a place").prev };
    let at = "2026-02-02T00:00:00Z".parse().expect("a time");
    let proof = PruneRecord::sign(&world.sites[0].key, &name(0), through, at);
    let with = |proof: &PruneRecord| [vec![proof.to_line().expect("JSON")], lines.clone()].concat();
    let report = world.verify(&with(&proof));
    assert!(report.passed(), "{report}");
    // It is for that record and that hash, and signed.
    let other = PruneRecord::sign(&world.sites[0].key, &name(0), Tip { seq: 5, hash: LineHash::of("x") }, at);
    let report = world.verify(&with(&other));
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-0".to_owned(), 6), Break::Changed),
        "{report}"
    );
    let forged = PruneRecord::sign(&AuditKey::for_test(), &name(0), through, at);
    assert_eq!(first(&world.verify(&with(&forged))).what, Break::BadPruneRecord);
    // What is pruned bit by bit may still be there in part, and must be what was pruned.
    let ahead =
        PruneRecord::sign(&world.sites[0].key, &name(0), Tip { seq: 6, hash: LineHash::of(&later[0]) }, at);
    assert!(world.verify(&with(&ahead)).passed());
    let report = world.verify(&[vec![ahead.to_line().expect("JSON")], world.lines.clone()].concat());
    assert!(report.passed(), "nothing is removed yet:\n{report}");
    let wrong = PruneRecord::sign(&world.sites[0].key, &name(0), Tip { seq: 6, hash: LineHash::of("x") }, at);
    assert_eq!(named(first(&world.verify(&with(&wrong)))), ("node-0".to_owned(), 6));
    // A part of a trail may be asked about as such.
    let demands = Demands { part: true, whole: false, ..world.demands() };
    assert!(verify(demands, &later).passed());
}

#[test]
fn what_is_removed_behind_what_was_pruned_is_found_and_all_may_be_pruned() {
    let world = two();
    let tip = world.sites[0].log.tip();
    let line =
        |seq: u64| world.lines.iter().find(|line| of(line) == ("node-0".to_owned(), seq)).expect("a line");
    let hash = LineHash::of(line(3));
    let at = "2026-02-02T00:00:00Z".parse().expect("a time");
    let proof =
        |through| PruneRecord::sign(&world.sites[0].key, &name(0), through, at).to_line().expect("JSON");
    let behind = |first: u64| -> Vec<String> {
        world
            .lines
            .iter()
            .filter(|line| {
                let (node, seq) = of(line);
                node != "node-0" || seq >= first
            })
            .cloned()
            .collect()
    };
    let report = world.verify(&[vec![proof(Tip { seq: 3, hash })], behind(6)].concat());
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-0".to_owned(), 4), Break::Removed),
        "{report}"
    );
    let report = world.verify(&[vec![proof(Tip { seq: 3, hash })], behind(99)].concat());
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-0".to_owned(), 4), Break::CutOff),
        "{report}"
    );
    let report = world.verify(&[vec![proof(tip)], behind(99)].concat());
    assert!(report.passed(), "{report}");
}

#[test]
fn records_that_no_head_vouches_for_in_time_are_told() {
    let world = two();
    let lines: Vec<String> = world.lines.iter().filter(|line| !line.contains("\"head\"")).cloned().collect();
    let max = std::time::Duration::from_secs(3600);
    let demands = Demands { unsigned_max: Some(max), whole: false, ..world.demands() };
    assert!(verify(demands.clone(), &world.lines).passed());
    let mine: Vec<&String> = places(&lines, "node-0").into_iter().map(|at| &lines[at]).collect();
    let mut tip = Tip::START;
    let aged: Vec<String> = mine
        .iter()
        .take(3)
        .enumerate()
        .map(|(at, line)| {
            let placed = Placed::read(line).expect("a place");
            let line = line
                .replacen(&placed.prev.to_string(), &tip.hash.to_string(), 1)
                .replace("T03:", &format!("T{:02}:", 3 + at));
            tip = Tip { seq: placed.seq, hash: LineHash::of(&line) };
            line
        })
        .collect();
    let report = verify(demands, &aged);
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-0".to_owned(), 1), Break::Unsigned),
        "{report}"
    );
}

#[test]
fn a_file_that_ends_within_a_record_is_told_and_one_without_a_last_line_feed_is_not() {
    let world = two();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trail.jsonl");
    let text = world.lines.join("\n");
    std::fs::write(&file, &text).expect("written");
    let report = verify_files(std::slice::from_ref(&file), world.demands()).expect("readable");
    assert!(report.passed(), "{report}");
    std::fs::write(&file, &text[..text.len() - 10]).expect("written");
    let report = verify_files(std::slice::from_ref(&file), world.demands()).expect("readable");
    let found = first(&report);
    assert_eq!(
        (named(found), found.what),
        (of(world.lines.last().expect("a line")), Break::CutOff),
        "{report}"
    );
    let missing = directory.path().join("missing");
    assert_eq!(
        verify_files(std::slice::from_ref(&missing), Demands::default()).expect_err("refused").0,
        missing
    );
}

/// What shows as U+FFFD may be that very character in the line, and was another byte in the file.
#[test]
fn bytes_that_only_look_like_the_line_are_not_the_line() {
    let mut world = two();
    let event =
        Event::ReloadRefused { what: Reloadable::Users, problems: 1, detail: "a\u{fffd}b".to_owned().into() };
    let site = &world.sites[0];
    world.runtime.block_on(site.log.record(Entry::of_daemon(event))).expect("recorded");
    world.lines.push(site.collected.texts().pop().expect("a line"));
    world.record(0, 1);
    world.sign(0);
    let changed = of(&world.lines[world.lines.len() - 3]);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("trail.jsonl");
    let check = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("written");
        verify_files(std::slice::from_ref(&file), world.demands()).expect("readable")
    };
    let text = format!("{}\n", world.lines.join("\n"));
    assert!(check(text.as_bytes()).passed());
    let at = text.find('\u{fffd}').expect("it is written as it is");
    let bytes = [&text.as_bytes()[..at], b"\xff", &text.as_bytes()[at + '\u{fffd}'.len_utf8()..]].concat();
    let report = check(&bytes);
    assert_eq!((named(first(&report)), first(&report).what), (changed, Break::Changed), "{report}");
}

#[test]
fn what_a_report_says_cannot_steer_a_terminal() {
    let line = "{\"v\":1,\"node\":\"a\",\"seq\":7,\"prev\":\"PREV\",\"time\":\"\\u001b[2J\\n\",\"event\":\"\\u202e\"}"
        .replace("PREV", &LineHash::of("x").to_string());
    let mut verifier = Verifier::new(Demands::default());
    verifier.source("a\u{1b}]0;x\u{7}");
    verifier.line(&line);
    verifier.line("{\"v\":1,\"node\":\"\u{1b}[2J\",\"seq\":1,\"x\":");
    let report = verifier.finish();
    assert!(!report.passed());
    let text = report.to_string();
    assert_eq!(text.lines().flat_map(str::chars).find(|c| misleads(*c)), None, "{text:?}");
}

/// A store that can be given anything.
struct Table {
    rows: Vec<(NodeName, JournalLine)>,
    recording: RecordingState,
    derived: Vec<String>,
    accounts: BTreeMap<NodeName, (u64, LineHash)>,
    prunings: Vec<String>,
    /// Rows that come while it is read.
    late: usize,
    seen: Mutex<usize>,
}

impl Trail for Table {
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeName>, String>> {
        let mut nodes: Vec<NodeName> = self.rows.iter().map(|(node, _)| node.clone()).collect();
        nodes.sort();
        nodes.dedup();
        Box::pin(async { Ok(nodes) })
    }

    fn lines<'a>(
        &'a self,
        node: &'a NodeName,
        after: u64,
    ) -> BoxFuture<'a, Result<Vec<JournalLine>, String>> {
        let mut seen = self.seen.lock().expect("not poisoned");
        // The first node is read to its end before the last rows come.
        let there = if *seen < 3 { self.rows.len() - self.late } else { self.rows.len() };
        *seen += 1;
        let page = self.rows[..there].iter().filter(|(n, line)| n == node && line.seq > after).take(3);
        let page: Vec<JournalLine> = page.map(|(_, line)| line.clone()).collect();
        Box::pin(async { Ok(page) })
    }

    fn accounts<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Vec<Account>, String>> {
        let known = self.accounts.get(node).copied();
        let head = known.map(|(through, hash)| NodeHead { node: node.clone(), through, hash });
        Box::pin(async {
            Ok(head.into_iter().map(|head| ("the store's account of the node", head)).collect())
        })
    }

    fn prunings(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async { Ok(self.prunings.clone()) })
    }

    fn recording<'a>(&'a self, _claim: &'a RecordingClaim) -> BoxFuture<'a, RecordingState> {
        Box::pin(async { self.recording.clone() })
    }

    fn derived(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        Box::pin(async { Ok(self.derived.clone()) })
    }
}

fn table(world: &World) -> Table {
    let row = |line: &String| {
        let (node, seq) = of(line);
        (NodeName::parse(&node).expect("a name"), JournalLine { seq, text: line.clone() })
    };
    Table {
        rows: world.lines.iter().map(row).collect(),
        recording: RecordingState::Sound,
        derived: Vec::new(),
        accounts: BTreeMap::new(),
        prunings: Vec::new(),
        late: 0,
        seen: Mutex::new(0),
    }
}

fn check(world: &World, table: &Table) -> Report {
    world.runtime.block_on(verify_trail(table, world.demands())).expect("it answers")
}

#[test]
fn a_store_is_checked_row_by_row() {
    let world = two();
    assert!(check(&world, &table(&world)).passed());
    // Lines that come while the store is read, and that heads name, are read too.
    let late = Table { late: 8, ..table(&world) };
    let report = check(&world, &late);
    assert!(report.passed(), "{report}");
    // A row that holds another's line.
    let mut swapped = table(&world);
    swapped.rows[0].1.seq = 2;
    swapped.rows[1].1.seq = 1;
    swapped.rows.swap(0, 1);
    assert_eq!(named(first(&check(&world, &swapped))), ("node-0".to_owned(), 1));
    let mut gone = table(&world);
    gone.rows.retain(|(node, _)| *node != name(1));
    let report = check(&world, &gone);
    assert_eq!((named(first(&report)), first(&report).what), (("node-1".to_owned(), 1), Break::CutOff));
    let derived = Table { derived: vec!["session s-1 has another user".to_owned()], ..table(&world) };
    let report = check(&world, &derived);
    assert_eq!(first(&report).what, Break::Derived);
    let no_proof = Table { prunings: vec!["{}".to_owned()], ..table(&world) };
    assert_eq!(first(&check(&world, &no_proof)).what, Break::BadPruneRecord);
}

/// A store that is pruned between the first question and the next ones.
struct PrunedMeanwhile(Table, Mutex<bool>);

impl Trail for PrunedMeanwhile {
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeName>, String>> {
        self.0.nodes()
    }

    fn lines<'a>(
        &'a self,
        node: &'a NodeName,
        after: u64,
    ) -> BoxFuture<'a, Result<Vec<JournalLine>, String>> {
        self.0.lines(node, after)
    }

    fn accounts<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Vec<Account>, String>> {
        self.0.accounts(node)
    }

    fn prunings(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        let first = std::mem::replace(&mut *self.1.lock().expect("not poisoned"), false);
        if first { Box::pin(async { Ok(Vec::new()) }) } else { self.0.prunings() }
    }

    fn recording<'a>(&'a self, claim: &'a RecordingClaim) -> BoxFuture<'a, RecordingState> {
        self.0.recording(claim)
    }

    fn derived(&self) -> BoxFuture<'_, Result<Vec<String>, String>> {
        self.0.derived()
    }
}

#[test]
fn what_is_pruned_while_it_is_checked_is_not_called_removed() {
    let world = two();
    let oldest = &world.lines[places(&world.lines, "node-0")[0]];
    let gone = of(oldest).1;
    let tip = Tip { seq: gone, hash: LineHash::of(oldest) };
    let at = "2026-01-02T03:04:05Z".parse().expect("a time");
    let pruned = |prunings: Vec<String>| {
        let mut cut = Table { prunings, ..table(&world) };
        cut.rows.retain(|(node, line)| (node, line.seq) != (&name(0), gone));
        PrunedMeanwhile(cut, Mutex::new(true))
    };
    let statement = PruneRecord::sign(&world.sites[0].key, &name(0), tip, at).to_line();
    let report = |trail: &PrunedMeanwhile| {
        world.runtime.block_on(verify_trail(trail, world.demands())).expect("it answers")
    };
    let answer = report(&pruned(vec![statement.expect("JSON")]));
    assert!(answer.passed(), "{answer}");
    let answer = report(&pruned(Vec::new()));
    assert_eq!(
        (named(first(&answer)), first(&answer).what),
        (("node-0".to_owned(), 1), Break::Removed),
        "{answer}"
    );
}

#[test]
fn the_last_record_of_a_store_cannot_go_without_its_account() {
    let world = two();
    let tip = world.sites[1].log.tip();
    let accounts = BTreeMap::from([(name(1), (tip.seq, tip.hash))]);
    let mut cut = Table { accounts, ..table(&world) };
    assert!(check(&world, &cut).passed());
    cut.rows.pop();
    let report = check(&world, &cut);
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-1".to_owned(), tip.seq), Break::CutOff),
        "{report}"
    );
    cut.accounts.insert(name(1), (1, LineHash::of("x")));
    let report = check(&world, &cut);
    assert_eq!(
        (named(first(&report)), first(&report).what),
        (("node-1".to_owned(), 1), Break::Changed),
        "{report}"
    );
}

#[test]
fn recordings_are_asked_for_and_a_broken_one_is_named() {
    let mut world = two();
    let line = concat!(
        r#"{"v":1,"time":"2026-01-02T03:04:05.678Z","event":"channel-ended","session":"s-1","channel":1,"#,
        r#""recording":{"id":"r-7","format":"asciicast","bytes":9,"compressed_bytes":7,"sha256":"00","complete":true}}"#
    );
    let chain = crate::audit::chain::Chain { node: name(0), tip: world.sites[0].log.tip() };
    let batch = chain.place(std::iter::once(line.as_bytes()));
    world.lines.push(String::from_utf8(batch.bytes).expect("text"));
    let with = |recording| check(&world, &Table { recording, ..table(&world) });
    assert!(with(RecordingState::Sound).passed() && with(RecordingState::Pruned).passed());
    let report = with(RecordingState::Broken("its file is missing".to_owned()));
    let found = first(&report);
    assert_eq!((named(found), found.what), (("node-0".to_owned(), 9), Break::Recording), "{report}");
    assert!(found.to_string().contains("the recording r-7: its file is missing."), "{found}");
    let report = with(RecordingState::Unknown("the bucket does not answer".to_owned()));
    assert!(report.passed() && report.notes[0].contains("r-7 was not checked: the bucket"), "{report}");
}

/// A board that lets its first reader wait.
#[derive(Default)]
struct SlowAtFirst {
    asked: AtomicBool,
    answered: Notify,
}

impl HeadBoard for SlowAtFirst {
    fn others(&self) -> BoxFuture<'_, Vec<NodeHead>> {
        Box::pin(async {
            if !self.asked.swap(true, Ordering::Relaxed) {
                self.answered.notified().await;
            }
            Vec::new()
        })
    }
}

#[tokio::test]
async fn heads_that_were_signed_at_the_same_time_looked_like_tampering() {
    let (log, collected) = Log::in_memory_of(name(0), HandSetClock::at("2026-01-02T03:04:05.678Z"));
    let (key, board) = (Arc::new(AuditKey::for_test()), Arc::new(SlowAtFirst::default()));
    let heads = Heads::new(log.clone(), Arc::clone(&key), Arc::clone(&board) as Arc<dyn HeadBoard>);
    let line = || {
        Entry::of_daemon(Event::ReloadRefused { what: Reloadable::Users, problems: 1, detail: "x".into() })
    };
    log.record(line()).await.expect("recorded");
    let stopping = async {
        log.record(line()).await.expect("recorded");
        heads.sign().await.expect("signed");
    };
    let board_answers = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        board.answered.notify_one();
    };
    let (first, (), ()) = tokio::join!(heads.sign(), stopping, board_answers);
    first.expect("signed");
    let demands = Demands {
        keys: AuditKeys::parse(&key.public_line()).expect("keys"),
        whole: true,
        ..Demands::default()
    };
    let report = verify(demands, &collected.texts());
    assert!(report.passed(), "{report:#?}");
}
