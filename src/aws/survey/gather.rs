//! The story of one survey: both ends side by side, then what their rules and routes name.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::Survey;
use super::asked::Outcome;
use super::guards::DESCRIBE_GROUPS;
use super::identity::{Myself, own_address_towards};
use super::joined::{Links, Naming, known};
use super::lane::Lane;
use super::machine::{DESCRIBE_IMAGES, DESCRIBE_INSTANCES, Described, GroupName, Interface};
use super::reading::not_visible;
use super::roads::Spot;
use super::wanted::Wanted;
use crate::diagnose::{Bastion, Direction, Facts, Gap, GapReason, Group, ImageFacts, Known, NetworkEnd};
use crate::domain::Target;
use crate::target::Place;

/// The most places that are asked whether the bastion is there.
const SEARCHED_MAX: usize = 32;

/// One end: who can be asked about it, the instance, and what guards it.
struct Side {
    lane: Option<Arc<Lane>>,
    instance: Outcome<Described>,
    end: NetworkEnd,
}

/// Where an instance is in its network, as far as that is known.
struct Stand {
    spot: Spot,
    groups: Result<Vec<GroupName>, Gap>,
}

impl Survey {
    /// Everything that is known at `until`.
    pub(super) async fn gather(&self, target: &Arc<Target>, until: Instant) -> Facts {
        let place = Place { account_alias: target.account_alias.clone(), region: target.region.clone() };
        let Some(lane) = self.lanes.get(&place) else {
            let reason = GapReason::Failed(format!("the config has no account and region {place}"));
            return Facts::unknown(Arc::clone(target), &Gap::new("", reason));
        };
        let asked_at = Some(self.clock.now());
        let status = lane.status(&target.id);
        let image = (!target.image.is_empty()).then(|| lane.image(&target.image));
        let (near, far) =
            tokio::join!(self.bastion_side(lane, target, until), target_side(lane, target, until));
        let (bastion, near) = near;
        let links = links(&near, &far, target.port, until).await;
        let image = match (image, &far.instance) {
            (Some(image), _) => known(image.by(until).await),
            (None, Ok(instance)) if !instance.image.is_empty() => {
                known(lane.image(&instance.image).by(until).await)
            }
            (None, Ok(_)) => Known::Not(not_visible(DESCRIBE_IMAGES)),
            (None, Err(gap)) => Known::<ImageFacts>::Not(gap.clone()),
        };
        Facts {
            target: Arc::clone(target),
            asked_at,
            instance: match far.instance {
                Ok(instance) => Known::As(instance.facts.clone()),
                Err(gap) => Known::Not(gap),
            },
            status: known(status.by(until).await),
            image,
            bastion,
            target_end: far.end,
            bastion_end: near.end,
            prefix_lists: links.prefix_lists,
            peerings: links.peerings,
            transits: links.transits,
            clock_ahead: self.skew.ahead(),
        }
    }

    async fn bastion_side(
        &self,
        target_lane: &Arc<Lane>,
        target: &Target,
        until: Instant,
    ) -> (Known<Bastion>, Side) {
        let unknown = |gap: Gap| {
            let end = NetworkEnd::unknown(&gap);
            (Known::Not(gap.clone()), Side { lane: None, instance: Err(gap), end })
        };
        let myself = match self.identity.by(until).await {
            Ok(myself) => myself,
            Err(gap) => return unknown(gap),
        };
        let (lane, instance) = match self.find(&myself, target_lane, until).await {
            Ok(found) => found,
            Err(gap) => return unknown(gap),
        };
        let towards = own_address_towards(SocketAddr::new(target.private_ip, target.port));
        let stand = Stand::of(instance.interface(towards));
        let end = stand.end(&lane, until).await;
        let bastion = Bastion {
            id: myself.id.to_string(),
            account: instance.owner.clone(),
            region: lane.place.region.clone(),
            addresses: instance.addresses_from(towards),
        };
        (Known::As(bastion), Side { lane: Some(lane), instance: Ok(instance), end })
    }

    /// The bastion's instance and who can be asked about it.
    async fn find(
        &self,
        myself: &Myself,
        target_lane: &Arc<Lane>,
        until: Instant,
    ) -> Result<(Arc<Lane>, Arc<Described>), Gap> {
        if let Some(home) = self.home.get() {
            let instance = home.instance(&myself.id).by(until).await?;
            return Ok((Arc::clone(home), instance));
        }
        let mut worst: Option<Gap> = None;
        for lanes in self.where_to_look(myself, target_lane).await {
            let asked: Vec<_> = lanes.iter().map(|lane| (lane, lane.instance(&myself.id))).collect();
            for (lane, answer) in asked {
                match answer.by(until).await {
                    Ok(instance) if is_mine(&instance, myself) => {
                        let home = self.home.get_or_init(|| Arc::clone(lane));
                        return Ok((Arc::clone(home), instance));
                    }
                    Ok(_) => {}
                    // That it is not there is what most places are expected to say.
                    Err(gap) if gap.reason == GapReason::NotVisible => {}
                    Err(gap) => worst = worst.or(Some(gap)),
                }
            }
        }
        Err(worst.unwrap_or_else(|| not_visible(DESCRIBE_INSTANCES)))
    }

    /// The likely places, then the other possible ones.
    async fn where_to_look(&self, myself: &Myself, target_lane: &Arc<Lane>) -> [Vec<Arc<Lane>>; 2] {
        let region = myself.region.as_ref();
        let possible = |lane: &Lane| {
            region.is_none_or(|region| *region == lane.place.region)
                && (lane.account.is_none() || myself.account.is_none() || lane.account == myself.account)
        };
        let likely = |lane: &Arc<Lane>| {
            Arc::ptr_eq(lane, target_lane) || (lane.account.is_some() && lane.account == myself.account)
        };
        let mut lanes: Vec<Arc<Lane>> =
            self.lanes.values().filter(|lane| possible(lane)).map(Arc::clone).collect();
        lanes.sort_by(|one, other| one.place.cmp(&other.place));
        let (mut first, mut rest): (Vec<_>, Vec<_>) = lanes.into_iter().partition(likely);
        rest.truncate(SEARCHED_MAX);
        let region = region.unwrap_or(&target_lane.place.region);
        let is_own = |lane: &Arc<Lane>| lane.account.is_none() && lane.place.region == *region;
        let is_certain = |lane: &Arc<Lane>| lane.account.is_some() && lane.account == myself.account;
        if !first.iter().any(is_certain) && !first.iter().chain(&rest).any(is_own) {
            first.push(self.own_lane(region).await);
        }
        [first, rest]
    }
}

/// Ids are not given twice, but a look-alike may do so.
fn is_mine(instance: &Described, myself: &Myself) -> bool {
    myself.account.as_ref().is_none_or(|account| instance.owner.is_empty() || *account == instance.owner)
}

async fn target_side(lane: &Arc<Lane>, target: &Target, until: Instant) -> Side {
    let answer = lane.instance(&target.id);
    // What the inventory knows is asked about at once; most times it is what the instance will say.
    let remembered = Spot { vpc: target.vpc.clone(), subnet: target.subnet.clone() };
    begin(lane, &remembered);
    let instance = answer.by(until).await;
    let interface = instance.as_ref().ok().and_then(|instance| instance.interface(Some(target.private_ip)));
    let mut stand = Stand::of(interface);
    if interface.is_none() {
        stand.spot = remembered;
        stand.groups =
            Err(instance.as_ref().err().cloned().unwrap_or_else(|| not_visible(DESCRIBE_INSTANCES)));
    }
    let end = stand.end(lane, until).await;
    Side { lane: Some(Arc::clone(lane)), instance, end }
}

fn begin(lane: &Lane, spot: &Spot) {
    if spot.vpc.is_empty() || spot.subnet.is_empty() {
        return;
    }
    // The answers are remembered; nobody needs to wait for them here.
    drop((lane.acl(&spot.subnet), lane.vpc_ranges(&spot.vpc), lane.route_table(spot)));
}

impl Stand {
    fn of(interface: Option<&Interface>) -> Self {
        let gone = || not_visible(DESCRIBE_INSTANCES);
        let Some(interface) = interface else {
            let spot = Spot { vpc: String::new(), subnet: String::new() };
            return Self { spot, groups: Err(gone()) };
        };
        let groups = interface.groups.clone();
        Self {
            spot: Spot { vpc: interface.vpc.clone(), subnet: interface.subnet.clone() },
            // An interface in a VPC has at least one group.
            groups: if groups.is_empty() { Err(gone()) } else { Ok(groups) },
        }
    }

    /// Asks about all of it at the same time.
    async fn end(self, lane: &Lane, until: Instant) -> NetworkEnd {
        let Self { spot, groups } = self;
        let gone = || not_visible(DESCRIBE_INSTANCES);
        let (has_vpc, has_subnet) = (!spot.vpc.is_empty(), !spot.subnet.is_empty());
        let groups = groups.map(|names| lane.groups(&names));
        let acl = has_subnet.then(|| lane.acl(&spot.subnet));
        let routes = (has_vpc && has_subnet).then(|| lane.route_table(&spot));
        let ranges = has_vpc.then(|| lane.vpc_ranges(&spot.vpc));
        NetworkEnd {
            groups: match groups {
                Ok(groups) => seen(lane, groups.by(until).await, until).await,
                Err(gap) => Known::Not(gap),
            },
            acl: match acl {
                Some(acl) => known(acl.by(until).await),
                None => Known::Not(gone()),
            },
            routes: match routes {
                Some(routes) => known(routes.by(until).await),
                None => Known::Not(gone()),
            },
            vpc_ranges: match ranges {
                Some(ranges) => known(ranges.by(until).await),
                None => Known::Not(gone()),
            },
            vpc: if has_vpc { Known::As(spot.vpc) } else { Known::Not(gone()) },
            subnet: if has_subnet { Known::As(spot.subnet) } else { Known::Not(gone()) },
        }
    }
}

/// Groups count where each has a rule, or is known to have none.
async fn seen(lane: &Lane, groups: Outcome<Vec<Group>>, until: Instant) -> Known<Vec<Group>> {
    let groups = match groups {
        Ok(groups) => groups,
        Err(gap) => return Known::Not(gap),
    };
    let bare: Vec<String> =
        groups.iter().filter(|group| group.rules.is_empty()).map(|group| group.id.clone()).collect();
    if bare.is_empty() {
        return Known::As(Vec::clone(&groups));
    }
    match lane.visible_groups(&bare).by(until).await {
        Ok(visible) if bare.iter().all(|id| visible.contains(id)) => Known::As(Vec::clone(&groups)),
        Ok(_) => Known::Not(not_visible(DESCRIBE_GROUPS)),
        Err(gap) => Known::Not(gap),
    }
}

/// What the rules and routes of both ends name.
async fn links(near: &Side, far: &Side, port: u16, until: Instant) -> Links {
    let naming = |side: &Side, direction| {
        let wanted = Wanted::by(&side.end, direction, port);
        side.lane.as_ref().map(|lane| Naming { lane: Arc::clone(lane), wanted })
    };
    let namings = [naming(far, Direction::In), naming(near, Direction::Out)].into_iter().flatten().collect();
    let unasked = near.instance.as_ref().err();
    let vpcs: Vec<&str> =
        [&near.end.vpc, &far.end.vpc].into_iter().filter_map(|vpc| vpc.get().map(String::as_str)).collect();
    let both = if vpcs.len() == 2 { vpcs.as_slice() } else { &[] };
    Links::ask(namings, unasked, both, until).await
}
