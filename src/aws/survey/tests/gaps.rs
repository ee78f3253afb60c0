//! What is missing is named, and only that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::network::{ACTIONS, Bench, gaps, is, permissions, sound};
use crate::aws::testing::{Reply, Seen};
use crate::diagnose::{Direction, GapReason, Known, Peer, Protocol, RouteVia};

type Answer = fn(&Seen) -> Reply;

fn permission_of(action: &str) -> String {
    format!("ec2:{action}")
}

#[tokio::test]
async fn the_sound_network_has_no_gap() {
    let bench = Bench::answering(sound).await;
    let facts = bench.facts().await;
    assert_eq!(gaps(&facts), []);
    let instance = facts.instance.get().expect("known");
    assert_eq!(instance.state_reason, "Client.UserInitiated [2J", "nothing steers a terminal");
    let status = facts.status.get().expect("known");
    let events: Vec<_> = status.events.iter().map(|event| event.description.as_str()).collect();
    assert_eq!(events, ["Sooner", "Later"], "what is over is not to come");
    assert_eq!(status.instance, "impaired");
    let groups = facts.target_end.groups.get().expect("known");
    assert_eq!(groups.iter().map(|group| group.id.as_str()).collect::<Vec<_>>(), ["sg-bare", "sg-web"]);
    let v6 = Peer::Network("fd00::/64".parse().expect("a network"));
    assert!(groups[1].rules.iter().any(|rule| rule.peer == v6 && rule.direction == Direction::In));
    let ranges = facts.target_end.vpc_ranges.get().expect("known");
    assert_eq!(ranges.len(), 2, "one of each family; what was taken off is none: {ranges:?}");
    let table = facts.bastion_end.routes.get().expect("known");
    assert_eq!((table.id.as_str(), table.is_main), ("rtb-2", true));
    assert_eq!(table.routes[1].via, RouteVia::TransitGateway("tgw-1".to_owned()));
    assert!(!table.routes[1].active);
    assert_eq!(table.routes[2].to, Err("pl-2".to_owned()));
    assert_eq!(table.routes[2].via, RouteVia::Other("nat-1".to_owned()));
    let entries = &facts.bastion_end.acl.get().expect("known").entries;
    assert_eq!((entries.len(), entries[0].protocol), (3, Protocol::All));
    assert!(!facts.peerings["pcx-1"].get().expect("a rule names it").same_region);
    assert_eq!(facts.transits["tgw-1"].get().expect("known").attachments["vpc-2"], "pending");
    assert!(
        matches!(&facts.prefix_lists["pl-unneeded"], Known::Not(gap) if gap.reason == GapReason::NotAsked)
    );
    assert!(facts.clock_ahead.get().is_some(), "answers have a date");
    assert_eq!(bench.calls("GetManagedPrefixListEntries"), 2, "pl-1 and pl-2");
}

#[tokio::test]
async fn each_permission_taken_away_leaves_exactly_its_gap() {
    for action in ACTIONS {
        let bench = Bench::but_for(action, |_| Reply::ec2_error(403, "UnauthorizedOperation")).await;
        let facts = bench.facts().await;
        assert_eq!(permissions(&facts), BTreeSet::from([permission_of(action)]), "{action}");
        assert!(gaps(&facts).iter().all(|gap| gap.reason == GapReason::Denied), "{action}");
        let calls = bench.stub.seen().len();
        bench.facts().await;
        assert_eq!(bench.stub.seen().len(), calls, "{action}: not asked again within the minute");
        bench.clock.advance(Duration::from_secs(60));
        bench.facts().await;
        assert!(bench.stub.seen().len() > calls, "{action}: asked again after it");
    }
}

#[tokio::test]
async fn each_answer_that_breaks_leaves_exactly_its_gap() {
    let half = |seen: &Seen| {
        let whole = sound(seen).body;
        Reply::xml(200, whole[..whole.len() * 2 / 3].to_owned())
    };
    let broken: [(&str, Answer, &str); 4] = [
        ("half a document", half, "the answer could not be understood"),
        ("HTML", |_| Reply::html(200, "<html><p>Sign in"), "the answer could not be understood"),
        ("500", |_| Reply::ec2_error(500, "InternalError"), "AWS reports a fault of its own"),
        ("refused", |_| Reply::ec2_error(400, "InvalidParameterValue"), "refused: InvalidParameterValue"),
    ];
    for action in ACTIONS {
        for (what, reply, label) in broken {
            let bench = Bench::but_for(action, reply).await;
            let facts = bench.facts().await;
            assert_eq!(permissions(&facts), BTreeSet::from([permission_of(action)]), "{action}: {what}");
            let failed = GapReason::Failed(label.to_owned());
            for gap in gaps(&facts) {
                assert_eq!(gap.reason, failed, "{action}: {what}");
            }
            assert!(bench.calls(action) <= 4, "{action}: {what}: no retries");
        }
    }
}

/// One by one they never answer. The others are all heard, however little patience each survey has: what comes after
/// it is there for the next.
#[tokio::test]
async fn each_answer_that_never_comes_leaves_exactly_its_gap() {
    let mut surveys = tokio::task::JoinSet::new();
    for action in ACTIONS {
        surveys.spawn(async move {
            let bench = Bench::but_for(action, |_| Reply::never()).await;
            let expected = BTreeSet::from([permission_of(action)]);
            let mut seen = BTreeSet::new();
            for _ in 0..600 {
                let facts = bench.within(Duration::from_millis(100)).await;
                assert!(gaps(&facts).iter().all(|gap| gap.reason == GapReason::Timeout), "{action}");
                seen = permissions(&facts);
                if seen == expected {
                    break;
                }
            }
            assert_eq!(seen, expected, "{action}");
        });
    }
    while let Some(ended) = surveys.join_next().await {
        ended.expect("each has its gap");
    }
}

#[tokio::test]
async fn an_answer_after_the_patience_is_there_for_the_next() {
    let gate = Arc::new(Semaphore::new(0));
    let shut = Arc::clone(&gate);
    let bench = Bench::answering(move |seen| {
        if is(seen, "DescribeNetworkAcls") { sound(seen).after(&shut) } else { sound(seen) }
    })
    .await;
    let facts = bench.within(Duration::ZERO).await;
    assert!(matches!(&facts.target_end.acl, Known::Not(gap) if gap.reason == GapReason::Timeout));
    gate.add_permits(2);
    assert_eq!(gaps(&bench.facts().await), []);
    assert_eq!(bench.calls("DescribeNetworkAcls"), 2, "each subnet's once");
}

#[tokio::test]
async fn many_who_ask_at_once_cost_as_much_as_one() {
    let alone = Bench::answering(sound).await;
    alone.facts().await;
    let together = Arc::new(Bench::answering(sound).await);
    let mut surveys = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let bench = Arc::clone(&together);
        surveys.spawn(async move { gaps(&bench.facts().await) });
    }
    while let Some(found) = surveys.join_next().await {
        assert_eq!(found.expect("no panic"), []);
    }
    assert_eq!(together.stub.seen().len(), alone.stub.seen().len());
}

#[tokio::test]
async fn a_place_that_the_config_does_not_have_is_not_asked() {
    use crate::diagnose::Surveyor;
    let bench = Bench::answering(sound).await;
    let mut elsewhere = crate::target::testing::target("web", 1);
    elsewhere.region = "eu-north-1".to_owned();
    let facts = bench.survey.survey(&Arc::new(elsewhere), Duration::from_secs(60)).await;
    assert!(facts.instance.gap().is_some() && facts.bastion.gap().is_some());
    assert_eq!(bench.stub.seen().len(), 0);
}

#[test]
fn the_docs_name_every_permission() {
    let docs = include_str!("../../../../docs/diagnosis-aws.md");
    for action in ACTIONS {
        assert!(docs.contains(&format!("| `{}` |", permission_of(action))), "{action}");
    }
}
