//! One session channel: what is asked for, whether it may be, the program, and how it ended.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::forward::{self, Wish};
use super::live::Live;
use super::prelude::{self, Prelude};
use super::recorded::Recorded;
use super::roster::Notice;
use super::standing::{Claim, Role};
use super::visit::Visit;
use super::{Services, cause, sentences};
use crate::audit::{Event, ExitFacts};
use crate::console::shown;
use crate::domain::Ending;
use crate::policy::Permit;
use crate::relay::{self, Hold, Loan, Outcome};
use crate::ssh::{Channel, ChannelKind, OpenError, STDERR};

/// How long a target may take to open a channel, and then to say whether it started a program.
pub(super) const START: Duration = Duration::from_secs(60);
/// How long a client that was refused may take to read why.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves one session channel until it is over.
pub(super) async fn run(visit: &Visit, client: Channel) {
    let grace = visit.services.settings.login_grace;
    // A channel on which nothing is ever asked is not worth keeping.
    let Ok(Some(prelude)) = tokio::time::timeout(grace, prelude::read_for(visit, &client)).await else {
        return;
    };
    serve(visit, &client, &prelude).await;
}

/// Serves a channel whose prelude was read by somebody else, until it is over.
pub(super) async fn serve(visit: &Visit, client: &Channel, prelude: &Prelude) {
    for name in &prelude.declined {
        visit.decline(name).await;
    }
    if let Err(sentence) = start(visit, client, prelude, Hold::Whole).await {
        deny(client, prelude, &sentence).await;
    }
}

/// Runs a program on a channel that is lent to it and stays open. The error is a sentence that nobody has read.
pub(super) async fn serve_in_place(
    visit: &Visit,
    client: &Channel,
    prelude: &Prelude,
    loan: &Loan,
) -> Result<Outcome, String> {
    for name in &prelude.declined {
        visit.decline(name).await;
    }
    start(visit, client, prelude, Hold::Lent(loan)).await
}

/// Answers a session channel with nothing but a sentence.
pub(super) async fn turn_away(services: &Services, client: Channel, sentence: &str) {
    let asked = tokio::time::timeout(services.settings.login_grace, prelude::read(&client, true)).await;
    if let Ok(Some(prelude)) = asked {
        deny(&client, &prelude, sentence).await;
    }
}

/// Tells the client why not, in a way that every client shows, and ends the channel.
pub(super) async fn deny(client: &Channel, prelude: &Prelude, sentence: &str) {
    if prelude.start.want_reply {
        client.reply(true);
    }
    let (before, after) = if prelude.pty.is_some() { ("\r\n", "\r\n") } else { ("", "\n") };
    // A sentence may name what others called their machines.
    let sentence = sentence.split('\n').map(shown).collect::<Vec<_>>().join("\n");
    let text = format!("{before}drawbridge: {sentence}{after}");
    // On a terminal in raw mode a line feed alone goes straight down.
    let text = if prelude.pty.is_some() { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text };
    let text = Bytes::from(text);
    // A client that does not read will not read this either.
    let _read = tokio::time::timeout(FAREWELL, client.write_extended(STDERR, text)).await;
    client.exit_status(255);
    client.eof();
    client.close();
}

async fn start(
    visit: &Visit,
    client: &Channel,
    prelude: &Prelude,
    hold: Hold<'_>,
) -> Result<Outcome, String> {
    let Place { permit, live, claim, target, present: _present } = find_place(visit, prelude).await?;
    let beside = forward::pass_on_features(visit, &live, prelude.wishes.iter()).await;
    let number = live.next_channel();
    let begun = Instant::now();
    let recorded = Recorded::begin(&live, &permit, &claim, prelude, number).await?;
    let started = Event::ChannelStarted {
        channel: number,
        action: prelude.facts.clone(),
        pty: prelude.pty.as_ref().map(|(_, facts)| facts.clone()),
        record: recorded.facts(),
    };
    live.story.record(started).await.map_err(|_| sentences::AUDIT_UNAVAILABLE.to_owned())?;
    live.activity.touch();
    let mut outcome = if launch(client, &target, prelude, &beside).await {
        let witness = recorded.witness();
        let relay = relay::run(client, &target, &live.activity, claim.stop(), hold, witness);
        tokio::select! {
            outcome = recorded.attend(relay) => outcome,
            never = tell(client, prelude, live.notices()) => match never {},
            never = claim.heed(live.stop()) => match never {},
        }
    } else {
        let outcome = not_started(client);
        if matches!(hold, Hold::Whole) {
            client.close();
        }
        outcome
    };
    let (content, recording) = recorded.finish(&mut outcome).await;
    live.count(&outcome);
    let ended = Event::ChannelEnded {
        channel: number,
        exit: ExitFacts::from(outcome.exit.as_ref()),
        bytes_to_target: outcome.bytes_to_target,
        bytes_to_client: outcome.bytes_to_client,
        content,
        recording,
        ending: outcome.ending,
        duration: begun.elapsed(),
    };
    // It has ended whether or not that can be written; the failure is in the operator's log.
    let _on_record = live.story.tell(ended).await;
    Ok(outcome)
}

/// A channel to the target for one program, and the session that it belongs to.
struct Place {
    permit: Permit,
    live: Arc<Live>,
    claim: Claim,
    target: Channel,
    present: TaskTrackerToken,
}

/// Has the target open a channel, on the first of the visit's sessions on which it does. The error is a sentence.
async fn find_place(visit: &Visit, prelude: &Prelude) -> Result<Place, String> {
    let mut permit = visit.decide(&prelude.action, prelude.facts.clone(), &prelude.start.name).await?;
    let mut live = match visit.session(&permit).await {
        Ok(live) => live,
        Err(not_opened) => return Err(cause::told(visit, not_opened).await),
    };
    for at in 0.. {
        let has_others = !live.channels.is_empty();
        let present = live.channels.token();
        let claim = live.claim(&permit, Role::Work);
        let opening = live.upstream.connection.open(&ChannelKind::Session);
        match tokio::time::timeout(START, opening).await {
            Ok(Ok(target)) => return Ok(Place { permit, live, claim, target, present }),
            // A target that takes no program where nothing else runs will not take one elsewhere.
            Ok(Err(OpenError::Refused(_))) if has_others => {}
            Ok(Err(OpenError::Refused(_))) => break,
            Ok(Err(OpenError::Closed(_))) => return Err(sentences::TARGET_LEFT.to_owned()),
            Err(_too_slow) => return Err(sentences::TARGET_SILENT.to_owned()),
        }
        (permit, live) = match visit.session_beside(at, prelude).await {
            Ok(Some(beside)) => beside,
            Ok(None) => break,
            Err(not_opened) => return Err(cause::told(visit, not_opened).await),
        };
    }
    Err(sentences::no_more_channels(permit.target()))
}

/// Tells whoever sits at a terminal what concerns them, while their program runs.
async fn tell(client: &Channel, prelude: &Prelude, mut notices: watch::Receiver<Notice>) -> Infallible {
    if prelude.pty.is_none() {
        return pending().await;
    }
    loop {
        let sentence = notices.borrow_and_update().sentence().map(str::to_owned);
        if let Some(sentence) = sentence {
            let text = Bytes::from(format!("\r\ndrawbridge: {sentence}\r\n"));
            // A client that does not read will not read this either.
            let _read = tokio::time::timeout(FAREWELL, client.write_extended(STDERR, text)).await;
        }
        if notices.changed().await.is_err() {
            return pending().await;
        }
    }
}

/// Nothing runs: the client did not wait for it, or the target would not.
fn not_started(client: &Channel) -> Outcome {
    let ending = if client.is_closed() { Ending::ClientLeft } else { Ending::TargetLeft };
    Outcome { exit: None, bytes_to_target: 0, bytes_to_client: 0, ending }
}

/// Asks the target for the program, as the client did, and answers the client as the target does.
/// False when there is none.
async fn launch(client: &Channel, target: &Channel, prelude: &Prelude, beside: &[&Wish]) -> bool {
    for wish in beside {
        drop(target.request(&wish.name, false, &wish.payload));
    }
    for variable in &prelude.environment {
        drop(target.request("env", false, variable));
    }
    let terminal = prelude.pty.as_ref().map(|(payload, _)| target.request("pty-req", true, payload));
    let program = target.request(&prelude.start.name, true, &prelude.start.payload);
    let answers = async {
        let terminal = match terminal {
            Some(answer) => answer.await.unwrap_or(false),
            None => true,
        };
        (terminal, program.await.unwrap_or(false))
    };
    let (terminal, started) = tokio::select! {
        answers = tokio::time::timeout(START, answers) => answers.unwrap_or((true, false)),
        () = client.closed() => (true, false),
    };
    if prelude.start.want_reply {
        client.reply(started);
    }
    if started && !terminal {
        let note = Bytes::from_static(b"drawbridge: the target gave no terminal.\r\n");
        // Said to whoever listens; the program runs in any case.
        let _read = tokio::time::timeout(FAREWELL, client.write_extended(STDERR, note)).await;
    }
    started
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::ConnectionEvent;
    use crate::ssh::testing::connected;

    #[tokio::test]
    async fn a_program_whose_client_does_not_wait_ends_because_the_client_left() {
        let (ours, theirs) = connected().await;
        let accepted = async {
            let Ok(ConnectionEvent::Open(open)) = theirs.next().await else { panic!("a channel is opened") };
            open.accept()
        };
        let (peer, client) = tokio::join!(ours.open(&ChannelKind::Session), accepted);
        let peer = peer.expect("opened");
        assert_eq!(not_started(&client).ending, Ending::TargetLeft);
        peer.close();
        client.closed().await;
        assert_eq!(not_started(&client).ending, Ending::ClientLeft);
    }
}
