//! Users, policy, revocation lists and host CAs are read again when they change; a broken version changes nothing.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::build;
use crate::audit::{Entry, Event, Reloadable as What, Text};
use crate::config::Config;
use crate::problem::Problem;
use crate::reload::ReloadCause;
use crate::session::Services;

/// How long the lines about a reload may take to be handed to the audit.
const ON_RECORD: Duration = Duration::from_secs(1);

/// Reads everything again and puts the outcome on record.
pub(super) fn reload(config: &Config, services: &Arc<Services>, cause: &ReloadCause) {
    tracing::info!(?cause, "reading users, policy, revocation lists and host CAs again");
    let users = services.directory.replace_with(build::directory(config));
    let policy = services.policy.replace_with(build::policy(config));
    for warning in services.policy.current().warnings() {
        tracing::warn!(%warning, "policy");
    }
    let mut events =
        vec![event(What::Users, &users), event(What::Revocation, &users), event(What::Policy, &policy)];
    if !config.upstream.host_cas.is_empty() {
        events.push(event(What::HostCas, &reload_host_cas(config, services)));
    }
    let services = Arc::clone(services);
    let tasks = services.tasks.clone();
    tasks.spawn_named("reload", async move {
        let mut posting = pin!(async {
            let mut posted = Vec::new();
            for event in events {
                posted.push(services.log.post(Entry::of_daemon(event)).await);
            }
            posted
        });
        // What follows for those who are in comes after its cause, in the record too; it does not wait for a disk.
        let in_time = tokio::time::timeout(ON_RECORD, &mut posting).await;
        services.standing.changed();
        let posted = match in_time {
            Ok(posted) => posted,
            Err(_) => posting.await,
        };
        for line in posted {
            let durable = async { line?.durable().await };
            if let Err(error) = durable.await {
                tracing::error!(%error, "a reload is not on record");
            }
        }
    });
}

/// Connections that stand are not verified again.
fn reload_host_cas(config: &Config, services: &Services) -> Result<(), Vec<Problem>> {
    match build::host_cas(config) {
        Ok(cas) => {
            services.connector.host_cas().replace_with(&cas);
            tracing::info!(what = "host CAs", "reloaded");
            Ok(())
        }
        Err(problems) => {
            for problem in &problems {
                tracing::error!(what = "host CAs", %problem, "the new version is refused and the old one stays");
            }
            Err(problems)
        }
    }
}

/// Users, CA keys and revocation lists are one version: they hold or fall together.
fn event(what: What, outcome: &Result<(), Vec<Problem>>) -> Event {
    match outcome {
        Ok(()) => Event::Reloaded { what },
        Err(problems) => Event::ReloadRefused {
            what,
            problems: problems.len(),
            detail: Text::from(problems.first().map(ToString::to_string).unwrap_or_default()),
        },
    }
}
