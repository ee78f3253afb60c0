//! The names of images, from which default logins are derived.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_ec2::Client;
use tokio::time::Instant;
use tracing::info;

use super::fault::Fault;
use super::question::filter;
use crate::domain::Target;

/// EC2 takes 200 values in one filter.
const BATCH: usize = 200;
/// Batches per refresh; what is left is asked for at the next.
const BATCHES_MAX: usize = 5;
/// Images remembered at a time, those without a name included.
const IMAGES_MAX: usize = 20_000;
/// The pause after a failure: the permission may be missing on purpose.
const PAUSE: Duration = Duration::from_secs(600);

/// What is known of one place's images. Cheap to clone; all clones share what they learn.
#[derive(Debug, Clone)]
pub(super) struct ImageNames {
    client: Client,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// An image that is deregistered or not ours has no name, and is not asked for again.
    names: HashMap<String, Option<String>>,
    paused_until: Option<Instant>,
}

impl ImageNames {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Arc::default() }
    }

    /// Asks for the images of these targets that are not known yet. A failure only means that
    /// they stay unknown for a while.
    pub(super) async fn learn(&self, targets: &[Target]) {
        for batch in self.unknown(targets).chunks(BATCH) {
            let asked = self
                .client
                .describe_images()
                .include_deprecated(true)
                .filters(filter("image-id", batch.iter().cloned()))
                .send()
                .await;
            let mut known = self.lock();
            match asked {
                Ok(answer) => {
                    known.names.extend(batch.iter().map(|id| (id.clone(), None)));
                    let images = answer.images.unwrap_or_default().into_iter();
                    known.names.extend(images.filter_map(|image| Some((image.image_id?, image.name))));
                }
                Err(error) => {
                    known.paused_until = Instant::now().checked_add(PAUSE);
                    let fault = Fault::of(&error);
                    info!(kind = ?fault.kind, "image names cannot be had; default logins need a tag: {}", fault.text);
                    return;
                }
            }
        }
    }

    /// Writes the names that are known into the targets.
    pub(super) fn apply(&self, targets: &mut [Target]) {
        let known = self.lock();
        for target in targets {
            target.image_name = known.names.get(&target.image).cloned().flatten();
        }
    }

    fn unknown(&self, targets: &[Target]) -> Vec<String> {
        let mut known = self.lock();
        if known.paused_until.is_some_and(|until| Instant::now() < until) {
            return Vec::new();
        }
        if known.names.len() > IMAGES_MAX {
            known.names.clear();
        }
        let images: BTreeSet<&str> = targets.iter().map(|target| target.image.as_str()).collect();
        let unknown = images.into_iter().filter(|&id| !id.is_empty() && !known.names.contains_key(id));
        unknown.take(BATCH * BATCHES_MAX).map(str::to_owned).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
