//! The places that may be meant → the one that may be reached, with its permit, or why there is none.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::find::Meaning;
use crate::audit::Event;
use crate::domain::{Destination, Identity, Target};
use crate::policy::{ConnectPermit, ConnectQuestion, Policy};
use crate::reachable::{self, Unreachable};

/// Why there is no permit.
#[derive(Debug)]
pub(super) enum Denied {
    /// Whatever the policy says.
    Never(Unreachable),
    /// Policy refuses all that may be meant: the decisions, for the record.
    NotTheirs(Vec<Event>),
    /// One is permitted, and it is not running.
    NotRunning(Arc<Target>),
    /// Several instances of that name are permitted.
    Ambiguous(Vec<Arc<Target>>),
    /// The kernel has no way there.
    NoWay(IpAddr),
}

/// Who asks, and by which rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) policy: &'a Policy,
    pub(super) identity: &'a Arc<Identity>,
    pub(super) now: Timestamp,
    /// Whether an address is the bastion's own.
    pub(super) is_own: fn(IpAddr) -> std::io::Result<bool>,
    /// Where the bastion listens.
    pub(super) listeners: &'a [IpAddr],
}

/// What became of one place.
enum Judged {
    Permitted(Box<ConnectPermit>),
    Denied(Denied),
}

impl Asking<'_> {
    /// The one permit, for exactly the address that is to be dialled.
    pub(super) fn choose(&self, meaning: Meaning) -> Result<ConnectPermit, Denied> {
        match meaning {
            Meaning::Instances(places) => self.among(places),
            Meaning::Addresses(addresses) => self.first_of(addresses),
        }
    }

    fn among(&self, places: Vec<Destination>) -> Result<ConnectPermit, Denied> {
        let (mut permitted, mut denied) = (Vec::new(), Vec::new());
        for place in places {
            match self.judge(place) {
                Judged::Permitted(permit) => permitted.push(*permit),
                Judged::Denied(why) => denied.push(why),
            }
        }
        if permitted.len() > 1 {
            let instance = |permit: &ConnectPermit| permit.destination().instance.clone();
            return Err(Denied::Ambiguous(permitted.iter().filter_map(instance).collect()));
        }
        permitted.pop().ok_or_else(|| worst(denied))
    }

    fn first_of(&self, addresses: Vec<Vec<Destination>>) -> Result<ConnectPermit, Denied> {
        let mut denied = Vec::new();
        for owners in addresses {
            let mut permits = Vec::new();
            let mut all = true;
            for owner in owners {
                match self.judge(owner) {
                    Judged::Permitted(permit) => permits.push(*permit),
                    Judged::Denied(why) => {
                        all = false;
                        denied.push(why);
                    }
                }
            }
            if let (true, Some(permit)) = (all, permits.pop()) {
                return Ok(permit);
            }
        }
        Err(worst(denied))
    }

    /// Policy is asked about what can be reached in principle. That an instance cannot be is told to those only
    /// who may connect to it: whoever may not learns nothing of it.
    fn judge(&self, mut place: Destination) -> Judged {
        let reachable = reachable::judge(place.address, place.instance.is_some());
        if let Ok(address) = reachable {
            place.address = address;
        }
        let question = ConnectQuestion { identity: self.identity, destination: &place, now: self.now };
        let decision = self.policy.decide_connect(&question);
        let not_theirs = |refusal| Denied::NotTheirs(vec![Event::connect_refused(&question, &refusal)]);
        let permit = match (reachable, decision) {
            (Err(why), Err(_)) if place.instance.is_none() => return Judged::Denied(Denied::Never(why)),
            (_, Err(refusal)) => return Judged::Denied(not_theirs(refusal)),
            (Err(why), Ok(_)) => return Judged::Denied(Denied::Never(why)),
            (Ok(_), Ok(permit)) => permit,
        };
        if let Some(instance) = place.instance.as_ref().filter(|instance| instance.state != "running") {
            return Judged::Denied(Denied::NotRunning(Arc::clone(instance)));
        }
        if self.listeners.contains(&place.address) {
            return Judged::Denied(Denied::Never(Unreachable::Own));
        }
        match (self.is_own)(place.address) {
            Ok(false) => Judged::Permitted(Box::new(permit)),
            Ok(true) => Judged::Denied(Denied::Never(Unreachable::Own)),
            Err(error) => {
                tracing::debug!(address = %place.address, %error, "the kernel has no way there");
                Judged::Denied(Denied::NoWay(place.address))
            }
        }
    }
}

/// What is told where nothing is permitted: of several reasons the one that helps most. All refusals by policy
/// are kept, for the record.
fn worst(denied: Vec<Denied>) -> Denied {
    let mut refusals = Vec::new();
    let mut other = None;
    for why in denied {
        match why {
            Denied::NotTheirs(events) => refusals.extend(events),
            why @ (Denied::Never(_) | Denied::NotRunning(_) | Denied::Ambiguous(_) | Denied::NoWay(_)) => {
                other.get_or_insert(why);
            }
        }
    }
    match other {
        // What may be reached in principle and is not theirs reads like what does not exist, whatever else there is.
        Some(Denied::Never(why)) if refusals.is_empty() => Denied::Never(why),
        Some(why @ (Denied::NotRunning(_) | Denied::NoWay(_) | Denied::Ambiguous(_))) => why,
        Some(Denied::Never(_) | Denied::NotTheirs(_)) | None => Denied::NotTheirs(refusals),
    }
}
