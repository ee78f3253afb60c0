//! Gathers the facts of a diagnosis from AWS's Describe calls.
//!
//! [`Survey`] implements [`Surveyor`]: the instance, its health and image; security groups, network ACL and routes at
//! both ends; prefix lists, peering connections and transit gateways that these name; the instance that drawbridge
//! itself runs on; AWS's clock.
//!
//! What always holds:
//!
//! - **Nobody asks, nothing is called.** A session that succeeds costs no call.
//! - **Each question is asked at most once a minute** ([`asked`]), whoever wants to know and whatever came back. A
//!   denial counts for every question of that kind.
//! - **Nothing fails and nothing waits longer than the asker's patience.** What has not come by then is a gap that
//!   names the permission; the call goes on for a few seconds and its answer is there for who asks next.
//! - **No retries**: an account that throttles gets no more calls from here.
//! - **Half a fact is none.** An answer that breaks off, contradicts the question or has a rule that cannot be read is
//!   a gap as a whole: a rule that is left out could be the one that lets packets through.
//! - **Foreign text is bounded** and has no control characters.
//!
//! Deliberately not here: what the facts mean (`diagnose`), who may ask (`session`, `console`), DescribeSubnets and
//! DescribeNetworkInterfaces (DescribeInstances says the same), Network Insights (it costs money and makes resources).

mod asked;
mod gather;
mod guards;
mod identity;
mod joined;
mod lane;
mod links;
mod machine;
mod reading;
mod roads;
mod skew;
mod wanted;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::access::{AwsAccess, PlaceClients};
use crate::clock::SharedClock;
use crate::diagnose::{Facts, Surveyor};
use crate::domain::{InstanceId, Target};
use crate::target::Place;
use asked::Desk;
use identity::Identity;
use lane::Lane;
use skew::Skew;

/// What a survey needs to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveySettings {
    /// The instance that drawbridge runs on; none means that the metadata service is asked.
    pub bastion_instance: Option<InstanceId>,
    /// The longest that one question may take with all its pages, whether anybody still waits or not.
    pub call_max: Duration,
}

impl Default for SurveySettings {
    fn default() -> Self {
        Self { bastion_instance: None, call_max: Duration::from_secs(10) }
    }
}

/// Asks AWS about targets, about the way to them and about the bastion itself.
#[derive(Debug)]
pub struct Survey {
    lanes: HashMap<Place, Arc<Lane>>,
    /// With the daemon's own credentials, by region: for a bastion that is in none of the config's places.
    own_lanes: Mutex<HashMap<String, Arc<Lane>>>,
    aws: AwsAccess,
    identity: Identity,
    /// Where the bastion was found.
    home: OnceLock<Arc<Lane>>,
    clock: SharedClock,
    desk: Desk,
    skew: Skew,
}

impl Survey {
    /// Asks in these places; `aws` is for the bastion itself, where it is in none of them. Makes no call;
    /// those that are made later run on the runtime that this is called in.
    #[must_use]
    pub fn new(
        places: &[PlaceClients],
        aws: &AwsAccess,
        settings: SurveySettings,
        clock: SharedClock,
    ) -> Self {
        let (desk, skew) = (Desk::new(settings.call_max, 1, &clock), Skew::new(&clock));
        let identity = Identity::new(settings.bastion_instance, &desk);
        let lanes = places
            .iter()
            .map(|clients| (clients.place.clone(), Arc::new(Lane::new(clients, &skew, &desk))))
            .collect();
        let (own_lanes, home) = (Mutex::default(), OnceLock::new());
        Self { lanes, own_lanes, aws: aws.clone(), identity, home, clock, desk, skew }
    }

    /// Asks with the daemon's own credentials.
    async fn own_lane(&self, region: &str) -> Arc<Lane> {
        let known = |lane: &Arc<Lane>| Arc::clone(lane);
        let lock = || self.own_lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let made = lock().get(region).map(known);
        if let Some(lane) = made {
            return lane;
        }
        let place = Place { account_alias: "(own)".to_owned(), region: region.to_owned() };
        let clients = self.aws.clients(place, None).await;
        let lane = Arc::new(Lane::new(&clients, &self.skew, &self.desk));
        // Who was faster has the answers.
        known(lock().entry(region.to_owned()).or_insert(lane))
    }
}

impl Surveyor for Survey {
    fn survey<'a>(
        &'a self,
        target: &'a Arc<Target>,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Facts> + Send + 'a>> {
        Box::pin(self.gather(target, Instant::now() + patience))
    }
}

#[cfg(test)]
mod tests;
