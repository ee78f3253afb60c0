//! What both ends name, asked for in the places of both and put together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use tokio::time::Instant;

use super::asked::{Answer, Outcome};
use super::lane::Lane;
use super::links::{DESCRIBE_PEERINGS, DESCRIBE_TRANSITS, GET_PREFIX_LIST, no_attachments};
use super::reading::not_visible;
use super::wanted::Wanted;
use crate::diagnose::{Gap, GapReason, Known, Peering, Transit};

/// What rules and routes name.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) prefix_lists: BTreeMap<String, Known<Vec<IpNet>>>,
    pub(super) peerings: BTreeMap<String, Known<Peering>>,
    pub(super) transits: BTreeMap<String, Known<Transit>>,
}

/// One place and what its end names.
pub(super) struct Naming {
    pub(super) lane: Arc<Lane>,
    pub(super) wanted: Wanted,
}

/// Answers by id, of each place that was asked.
type Answers<A> = Vec<Answer<BTreeMap<String, A>>>;

impl Links {
    /// Asks for all of it at the same time. `unasked` is why one end's place is not among those asked, where that is
    /// so; `vpcs` are those of the two ends.
    pub(super) async fn ask(
        namings: Vec<Naming>,
        unasked: Option<&Gap>,
        vpcs: &[&str],
        until: Instant,
    ) -> Self {
        let namings = one_per_lane(namings);
        let lists: Vec<(String, Answer<Vec<IpNet>>)> = namings
            .iter()
            .flat_map(|naming| naming.wanted.lists.iter().map(|id| (id.clone(), naming.lane.prefix_list(id))))
            .collect();
        let peerings = ask_each(&namings, |wanted| &wanted.peerings, Lane::peerings);
        // Each account sees its own attachments only, so all are asked about all gateways.
        let gateways: Vec<String> = union(&namings, |wanted| &wanted.transits);
        let transits: Answers<Transit> = match gateways.is_empty() {
            true => Vec::new(),
            false => namings.iter().map(|naming| naming.lane.transits(&gateways)).collect(),
        };
        Self {
            prefix_lists: read_lists(&namings, lists, until).await,
            peerings: read_peerings(union(&namings, |wanted| &wanted.peerings), peerings, until).await,
            transits: read_transits(gateways, transits, unasked, vpcs, until).await,
        }
    }
}

/// Two ends in one place are asked about in one go.
fn one_per_lane(namings: Vec<Naming>) -> Vec<Naming> {
    let mut merged: Vec<Naming> = Vec::new();
    for naming in namings {
        match merged.iter_mut().find(|known| Arc::ptr_eq(&known.lane, &naming.lane)) {
            Some(known) => known.wanted = std::mem::take(&mut known.wanted).and(naming.wanted),
            None => merged.push(naming),
        }
    }
    merged
}

fn union(namings: &[Naming], of: impl Fn(&Wanted) -> &BTreeSet<String>) -> Vec<String> {
    let all: BTreeSet<&String> = namings.iter().flat_map(|naming| of(&naming.wanted)).collect();
    all.into_iter().cloned().collect()
}

fn ask_each<A>(
    namings: &[Naming],
    of: impl Fn(&Wanted) -> &BTreeSet<String>,
    ask: impl Fn(&Lane, &[String]) -> Answer<BTreeMap<String, A>>,
) -> Answers<A> {
    let some = namings.iter().filter(|naming| !of(&naming.wanted).is_empty());
    some.map(|naming| {
        let ids: Vec<String> = of(&naming.wanted).iter().cloned().collect();
        ask(&naming.lane, &ids)
    })
    .collect()
}

async fn read_lists(
    namings: &[Naming],
    asked: Vec<(String, Answer<Vec<IpNet>>)>,
    until: Instant,
) -> BTreeMap<String, Known<Vec<IpNet>>> {
    let unneeded = || Known::Not(Gap::new(GET_PREFIX_LIST, GapReason::NotAsked));
    let too_many = || {
        let reason = GapReason::Failed("more prefix lists are named than are asked for at once".to_owned());
        Known::Not(Gap::new(GET_PREFIX_LIST, reason))
    };
    let mut lists: BTreeMap<String, Known<Vec<IpNet>>> = BTreeMap::new();
    lists.extend(union(namings, |wanted| &wanted.other_lists).into_iter().map(|id| (id, unneeded())));
    lists.extend(union(namings, |wanted| &wanted.lists_left_out).into_iter().map(|id| (id, too_many())));
    let mut heard: BTreeSet<String> = BTreeSet::new();
    for (id, answer) in asked {
        let outcome = answer.by(until).await;
        // Where two places are asked for one list, an answer is better than a gap.
        if outcome.is_ok() || !heard.contains(&id) {
            lists.insert(id.clone(), known(outcome));
        }
        heard.insert(id);
    }
    lists
}

async fn read_peerings(
    ids: Vec<String>,
    asked: Answers<Peering>,
    until: Instant,
) -> BTreeMap<String, Known<Peering>> {
    let mut found: BTreeMap<String, Peering> = BTreeMap::new();
    let mut gap = None;
    for answer in asked {
        match answer.by(until).await {
            Ok(peerings) => found.extend(peerings.iter().map(|(id, peering)| (id.clone(), peering.clone()))),
            Err(failure) => gap = gap.or(Some(failure)),
        }
    }
    let missing = gap.unwrap_or_else(|| not_visible(DESCRIBE_PEERINGS));
    let entry = |id: String| {
        let peering = found.remove(&id).map_or_else(|| Known::Not(missing.clone()), Known::As);
        (id, peering)
    };
    ids.into_iter().map(entry).collect()
}

/// A gateway is known where everybody who could see an attachment was heard, or both ends' were seen.
async fn read_transits(
    ids: Vec<String>,
    asked: Answers<Transit>,
    unasked: Option<&Gap>,
    vpcs: &[&str],
    until: Instant,
) -> BTreeMap<String, Known<Transit>> {
    let mut found: BTreeMap<String, Transit> = BTreeMap::new();
    let mut gap = unasked.cloned();
    for answer in asked {
        match answer.by(until).await {
            Ok(transits) => transits.iter().for_each(|(id, transit)| {
                let known = found.entry(id.clone()).or_insert_with(no_attachments);
                known.attachments.extend(transit.attachments.clone());
            }),
            Err(failure) => gap = Some(failure),
        }
    }
    let entry = |id: String| {
        let transit = found.remove(&id).unwrap_or_else(no_attachments);
        let both_seen = !vpcs.is_empty() && vpcs.iter().all(|&vpc| transit.attachments.contains_key(vpc));
        let known = match &gap {
            Some(gap) if !both_seen => Known::Not(gap.clone()),
            None if transit.attachments.is_empty() => Known::Not(not_visible(DESCRIBE_TRANSITS)),
            Some(_) | None => Known::As(transit),
        };
        (id, known)
    };
    ids.into_iter().map(entry).collect()
}

/// The value behind an answer.
pub(super) fn known<A: Clone>(outcome: Outcome<A>) -> Known<A> {
    match outcome {
        Ok(answer) => Known::As(A::clone(&answer)),
        Err(gap) => Known::Not(gap),
    }
}
