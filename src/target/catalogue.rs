//! One place's targets, found by every name they go by. Immutable: a refresh builds a new one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::readings::Reading;
use super::source::Place;
use crate::domain::Target;

/// One place's targets at one instant.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) place: Place,
    /// When the place was asked: what came into being later need not be here.
    pub(super) asked_at: Timestamp,
    pub(super) taken_at: Timestamp,
    pub(super) targets: Vec<Arc<Target>>,
    by_id: HashMap<String, Arc<Target>>,
    by_address: HashMap<IpAddr, Vec<Arc<Target>>>,
    by_dns: HashMap<String, Vec<Arc<Target>>>,
    by_name: HashMap<String, Vec<Arc<Target>>>,
}

/// Who gave a name, the most trustworthy first. A lower rank only counts when no higher one fits.
#[derive(Debug, Clone, Copy)]
enum Rank {
    /// The instance id: unique, given by AWS.
    Id,
    /// The private address and the private DNS name: given by AWS, unique within a VPC.
    Assigned,
    /// The `Name` tag: given by whoever may tag.
    Tagged,
}

impl Rank {
    const ALL: [Self; 3] = [Self::Id, Self::Assigned, Self::Tagged];
}

/// What the readings of one level mean, all catalogues considered together.
pub(super) fn find(readings: &[Reading], catalogues: &[Arc<Catalogue>]) -> Vec<Arc<Target>> {
    for rank in Rank::ALL {
        let mut found: Vec<Arc<Target>> = Vec::new();
        for reading in readings {
            for catalogue in catalogues.iter().filter(|c| reading.admits_place(&c.place)) {
                let fits = catalogue.find(rank, &reading.name);
                found.extend(fits.into_iter().filter(|target| reading.admits_target(target)));
            }
        }
        if !found.is_empty() {
            return distinct(found);
        }
    }
    Vec::new()
}

/// Several readings may lead to the same machine.
fn distinct(mut found: Vec<Arc<Target>>) -> Vec<Arc<Target>> {
    found.sort_by(|a, b| identity(a).cmp(&identity(b)));
    found.dedup_by(|a, b| identity(a) == identity(b));
    found
}

fn identity(target: &Target) -> (&str, &str, &str) {
    (&target.account, &target.region, target.id.as_str())
}

impl Catalogue {
    pub(super) fn new(place: Place, taken_at: Timestamp, targets: Vec<Target>) -> Self {
        let targets: Vec<Arc<Target>> = targets.into_iter().map(Arc::new).collect();
        let mut catalogue = Self {
            place,
            asked_at: taken_at,
            taken_at,
            by_id: HashMap::with_capacity(targets.len()),
            by_address: HashMap::with_capacity(targets.len()),
            by_dns: HashMap::with_capacity(targets.len() * 2),
            by_name: HashMap::with_capacity(targets.len()),
            targets: Vec::new(),
        };
        for target in &targets {
            catalogue.index(target);
        }
        catalogue.targets = targets;
        catalogue
    }

    fn index(&mut self, target: &Arc<Target>) {
        self.by_id.insert(target.id.as_str().to_owned(), Arc::clone(target));
        for address in target.addresses() {
            self.by_address.entry(address).or_default().push(Arc::clone(target));
        }
        if let Some(name) = &target.name {
            self.by_name.entry(name.to_ascii_lowercase()).or_default().push(Arc::clone(target));
        }
        if let Some(dns) = &target.private_dns {
            let full = dns.trim_end_matches('.').to_ascii_lowercase();
            if let Some((host, _)) = full.split_once('.') {
                self.by_dns.entry(host.to_owned()).or_default().push(Arc::clone(target));
            }
            self.by_dns.entry(full).or_default().push(Arc::clone(target));
        }
    }

    /// Whether the same machines are in both, as they were.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.by_id == other.by_id
    }

    /// The machine of that id.
    pub(super) fn machine(&self, known: &Target) -> Option<&Arc<Target>> {
        self.by_id.get(known.id.as_str()).filter(|found| found.account == known.account)
    }

    /// A running machine that has this one's address in its network, and is another.
    pub(super) fn usurper(&self, known: &Target) -> Option<&Arc<Target>> {
        let here = self.by_address.get(&known.private_ip.to_canonical())?;
        here.iter().find(|other| other.id != known.id && other.vpc == known.vpc && other.state == "running")
    }

    fn find(&self, rank: Rank, name: &str) -> Vec<Arc<Target>> {
        let folded = name.to_ascii_lowercase();
        match rank {
            Rank::Id => self.by_id.get(&folded).cloned().into_iter().collect(),
            Rank::Assigned => {
                let address = folded.parse::<IpAddr>().ok().map(|address| address.to_canonical());
                let by_address = address.and_then(|address| self.by_address.get(&address));
                let by_dns = self.by_dns.get(folded.trim_end_matches('.'));
                by_address.into_iter().chain(by_dns).flatten().cloned().collect()
            }
            Rank::Tagged => self.by_name.get(&folded).cloned().unwrap_or_default(),
        }
    }
}
