//! What is recorded of a channel, as the audit tells it.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::HEXLOWER;

use super::live::Live;
use super::prelude::Prelude;
use super::sentences;
use super::standing::Claim;
use crate::audit::{ContentFacts, Event, RecordFacts, RecordingFacts, RecordingFormat, Text};
use crate::domain::{Action, ChannelNumber, Ending, Exit, RecordMode, RecordingId, SessionId};
use crate::policy::Permit;
use crate::record::{
    FinishedRecording, Format, Operations, Program, RecordError, Recorder, Subject, Terminal,
};
use crate::relay::{Outcome, Witness};

/// What is recorded of one channel, and its story.
#[derive(Debug)]
pub(super) struct Recorded<'l> {
    live: &'l Live,
    /// The permit: a rule that comes later may want the recording that there is not.
    claim: &'l Claim,
    channel: ChannelNumber,
    recorder: Recorder,
    /// The audit knows that something is amiss.
    told: AtomicBool,
}

impl<'l> Recorded<'l> {
    /// Begins to record a channel, as the permit says. The error is a sentence: it has to be recorded, and cannot be.
    pub(super) async fn begin(
        live: &'l Live,
        permit: &Permit,
        claim: &'l Claim,
        prelude: &Prelude,
        channel: ChannelNumber,
    ) -> Result<Self, String> {
        let services = &live.services;
        let title = format!("{} → {}@{}", live.user, permit.login(), permit.target().display_name());
        let subject = Subject {
            connection: live.story.connection,
            // A story of a session has one.
            session: live.story.session.unwrap_or_else(SessionId::fresh),
            channel,
            now: services.clock.now(),
            title: &title,
            terminal: prelude.pty.as_ref().map(|(_, facts)| Terminal {
                term: facts.term.as_str(),
                columns: facts.columns,
                rows: facts.rows,
            }),
            program: match &prelude.action {
                Action::Exec { command } => {
                    Program::Exec(prelude.command_line().unwrap_or(command.as_bytes()))
                }
                Action::Sftp => Program::Sftp,
                Action::Subsystem { name } => Program::Subsystem(name),
                Action::Shell
                | Action::Tunnel
                | Action::LocalForward { .. }
                | Action::RemoteForward { .. }
                | Action::LocalSocket { .. }
                | Action::RemoteSocket { .. }
                | Action::Agent
                | Action::X11
                | Action::Watch
                | Action::Kill
                | Action::Diagnose => Program::Shell,
            },
            farewell: sentences::RECORDING_FAILED,
        };
        match services.recorders.begin(&subject, permit.limits()).await {
            Ok(recorder) => {
                let recorded = Self { live, claim, channel, recorder, told: AtomicBool::new(false) };
                claim.is_recorded(recorded.facts().record);
                Ok(recorded)
            }
            Err(error) => {
                tell(live, channel, None, RecordMode::Required, &error).await;
                Err(sentences::NOT_RECORDABLE.to_owned())
            }
        }
    }

    /// What holds, for the line about the start.
    pub(super) fn facts(&self) -> RecordFacts {
        let given_up = self.recorder.failed().is_some();
        let record = if given_up { RecordMode::Off } else { self.recorder.mode() };
        RecordFacts { record, recording: self.recorder.id() }
    }

    pub(super) fn witness(&self) -> Option<&dyn Witness> {
        self.recorder.witness()
    }

    /// Lets the relay run, and puts on record what becomes of the recording and of files meanwhile.
    pub(super) async fn attend(&self, relay: impl Future<Output = Outcome>) -> Outcome {
        if self.witness().is_none() && self.recorder.failed().is_none() {
            return relay.await;
        }
        let mut relay = pin!(relay);
        let mut posting = pin!(self.post(self.recorder.operations()));
        let mut posted = false;
        let outcome = {
            let mut watching = pin!(self.watch());
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut relay => break outcome,
                    () = &mut posting, if !posted => posted = true,
                    never = &mut watching => match never {},
                }
            }
        };
        self.recorder.end_operations();
        if !posted {
            posting.await;
        }
        outcome
    }

    async fn post(&self, operations: Option<Operations>) {
        let Some(mut operations) = operations else { return };
        while let Some(file) = operations.next().await {
            let event = Event::FileOperation { channel: self.channel, file: Box::new(file) };
            if self.live.story.tell(event).await.is_err() {
                return operations.unposted();
            }
        }
    }

    async fn watch(&self) -> Infallible {
        let error = self.recorder.failure().await;
        self.amiss(&error).await;
        pending().await
    }

    async fn amiss(&self, error: &RecordError) {
        self.claim.is_recorded(RecordMode::Off);
        if !self.told.swap(true, Ordering::Relaxed) {
            tell(self.live, self.channel, self.recorder.id(), self.recorder.mode(), error).await;
        }
    }

    /// Ends the recording: what went through and where it is kept, for the line about the ending. A recording that had
    /// to be and is not whole is how the channel ended.
    pub(super) async fn finish(self, outcome: &mut Outcome) -> (ContentFacts, Option<RecordingFacts>) {
        let finished = self.recorder.finish(&marker(outcome)).await;
        if let Some(error) = self.recorder.failed() {
            self.amiss(&error).await;
            if self.recorder.mode() == RecordMode::Required {
                outcome.ending = Ending::RecordingFailed;
            }
        }
        if outcome.ending == Ending::RecordingFailed {
            self.live.not_recorded();
        }
        let content = finished.sums.map_or_else(ContentFacts::default, |sums| ContentFacts {
            sha256_to_target: Some(HEXLOWER.encode(&sums.to_target)),
            sha256_to_client: Some(HEXLOWER.encode(&sums.to_client)),
            bytes_stderr: Some(sums.bytes_stderr),
            sha256_stderr: Some(HEXLOWER.encode(&sums.stderr)),
        });
        (content, finished.recording.map(recording_facts))
    }
}

async fn tell(
    live: &Live,
    channel: ChannelNumber,
    recording: Option<RecordingId>,
    mode: RecordMode,
    error: &RecordError,
) {
    tracing::error!(session = ?live.story.session, mode = mode.name(), %error, "a session could not be recorded");
    let detail = Text::from(error.to_string());
    // What follows from it follows in any case; the failure is in the operator's log.
    let _on_record = live.story.tell(Event::RecordingFailed { channel, recording, mode, detail }).await;
}

fn recording_facts(recording: FinishedRecording) -> RecordingFacts {
    RecordingFacts {
        id: recording.id,
        format: match recording.format {
            Format::Asciicast => RecordingFormat::Asciicast,
            Format::Output => RecordingFormat::Output,
        },
        bytes: recording.bytes,
        compressed_bytes: recording.compressed_bytes,
        sha256: HEXLOWER.encode(&recording.sha256),
        complete: recording.complete,
    }
}

/// How the program ended, in a recording.
fn marker(outcome: &Outcome) -> String {
    match &outcome.exit {
        Some(Exit::Status { code }) => format!("ending: {}, exit status {code}", outcome.ending.label()),
        Some(Exit::Signal { name, .. }) => format!("ending: {}, signal {name}", outcome.ending.label()),
        None => format!("ending: {}", outcome.ending.label()),
    }
}
