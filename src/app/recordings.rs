//! Recordings, beside the sessions that make them: what an earlier run left, and moving them to where they are kept.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use tokio_util::sync::CancellationToken;

use super::AppError;
use crate::audit::{Entry, Event, RecordingFacts, RecordingFormat};
use crate::clock::SharedClock;
use crate::config::Config;
use crate::domain::RecordingId;
use crate::metrics::Metrics;
use crate::record::vault::{self, Index, Vault};
use crate::record::{Format, RecordError, Salvaged};
use crate::session::Services;
use crate::store::{RecordingState, Store};
use crate::tasks::BoxFuture;

/// Closes the recordings of an earlier run that was killed, and puts each on record.
pub(super) async fn salvage(services: &Services) -> Result<(), AppError> {
    let Some(spool) = services.recorders.spool().cloned() else { return Ok(()) };
    let read = tokio::task::spawn_blocking(move || {
        let dir = spool.dir().to_owned();
        spool.salvage().map_err(RecordError::file(&dir, "read the directory of recordings"))
    });
    let salvaged = read.await.map_err(|error| RecordError::Thread(error.to_string()))??;
    for one in salvaged {
        tracing::warn!(recording = %one.header.origin.recording, session = %one.header.origin.session,
            "a recording ended with an earlier run of the daemon; it plays to where that was");
        services.log.record(told(&one)).await?;
        // Only what is on record gets the name that says so.
        if let Err(error) = one.keep() {
            tracing::error!(%error, "a recording that was closed could not be given its name; it is tried again at the next start");
        }
    }
    Ok(())
}

pub(super) fn told(salvaged: &Salvaged) -> Entry {
    let origin = salvaged.header.origin;
    let recording = RecordingFacts {
        id: origin.recording,
        format: match origin.format {
            Format::Asciicast => RecordingFormat::Asciicast,
            Format::Output => RecordingFormat::Output,
        },
        bytes: salvaged.bytes,
        compressed_bytes: salvaged.compressed_bytes,
        sha256: HEXLOWER.encode(&salvaged.sha256),
        complete: false,
    };
    let event = Event::RecordingSalvaged { channel: origin.channel, recording };
    Entry::of_session(origin.connection, origin.session, event)
}

/// Where recordings are kept, as the config says.
pub(super) fn vault(config: &Config) -> Result<Vault, AppError> {
    Ok(Vault::open(config.recording.upload_to.as_ref())?)
}

/// Moves recordings to where they are kept, until `stop`.
pub(super) async fn keep(
    services: Arc<Services>,
    vault: Vault,
    index: Arc<dyn Index>,
    stop: CancellationToken,
) {
    vault::run(services.recorders.clone(), vault, index, stop).await;
}

/// Where recordings are is known to the store.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) store: Store,
    pub(super) clock: SharedClock,
    pub(super) metrics: Arc<Metrics>,
}

impl Index for Listed {
    fn stored<'a>(&'a self, id: RecordingId, location: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let told =
                self.store.set_recording(&id, RecordingState::Stored, Some(location), self.clock.now());
            told.await.map_err(|error| error.to_string())
        })
    }

    fn failed(&self, _id: RecordingId) {
        self.metrics.upload_failed();
    }
}
