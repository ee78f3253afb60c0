//! `replay` and `sessions watch`: a recorded terminal on the reader's own.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::RecordDesk;
use super::args::{ReplayArgs, WatchArgs};
use super::ids::Playable;
use super::kill::{lacking, over};
use super::play::{self, Film, Options, Over};
use super::trouble::Trouble;
use super::when::clock;
use crate::console::answer::{Answer, Verdict};
use crate::console::stage::{Live, Stage};
use crate::console::text::shown;
use crate::domain::{Action, RecordingId};
use crate::record::player::Header;
use crate::store::{Ordered, RecordingRow, SessionRow};

/// How long the node that carries a session may take to note that somebody looks on.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the store is asked meanwhile.
const LOOK: Duration = Duration::from_millis(100);

const NO_TERMINAL: &str = "this needs a terminal: over ssh add -t, as in `ssh -t BASTION …`; `export --format asciicast` \
                           gives the recording as a file.";

pub(super) async fn replay(desk: RecordDesk, args: ReplayArgs) -> Result<Answer, Trouble> {
    desk.need_audit("replaying a recording")?;
    let id = desk.recording(&args.what, args.channel).await?;
    let (header, film) = desk.archive.library.film(id).await?;
    let by_operator = desk.is_operator();
    let live = Live::new(move |mut stage| async move {
        let given = show(&mut stage, id, &header, &film, &args).await;
        Trouble::conclude(given, &stage, by_operator).await
    });
    Ok(Answer::live(live.with_keyboard()))
}

impl RecordDesk {
    /// The recording that is meant.
    pub(super) async fn recording(
        &self,
        what: &Playable,
        channel: Option<u32>,
    ) -> Result<RecordingId, Trouble> {
        let start = match what {
            Playable::Recording(id) => {
                let known = self.archive.store.recording(id).await?;
                return known
                    .map(|row| row.id)
                    .ok_or_else(|| Trouble::say(format!("there is no recording {id}.")));
            }
            Playable::Session(start) => start,
        };
        let row = self.find(start, None).await?;
        let recordings = self.archive.store.recordings_of(&row.id).await?;
        let fits = |recording: &&RecordingRow| match channel {
            Some(channel) => recording.channel == Some(channel.into()),
            None => true,
        };
        // A terminal says more than the first lines of a command.
        let terminal = recordings.iter().filter(fits).find(|row| row.format.as_deref() != Some("output"));
        let found = terminal.or_else(|| recordings.iter().find(fits)).map(|recording| recording.id);
        found.ok_or_else(|| {
            let channel = channel.map(|channel| format!("channel {channel} of ")).unwrap_or_default();
            Trouble::say(format!("there is no recording of {channel}the session {}.", row.id))
        })
    }
}

async fn show(
    stage: &mut Stage,
    id: RecordingId,
    header: &Header,
    film: &Film,
    args: &ReplayArgs,
) -> Result<Verdict, Trouble> {
    let Some(own) = stage.terminal() else { return Err(Trouble::say(NO_TERMINAL)) };
    let size = play::size(header.columns, header.rows, Some((own.columns, own.rows)));
    let title = shown(&header.title);
    stage.say(format!("Replaying {id}: {title}. {size}Space pauses, arrows seek, q leaves.\n")).await?;
    let options =
        Options { speed: args.speed, idle_limit: args.idle_limit, start: args.seek.unwrap_or_default() };
    match play::replay(stage, film, options).await? {
        (Over::Shown, length) => {
            stage.say(format!("The recording is over after {}.\n", clock(length))).await?
        }
        (Over::Enough, place) => {
            stage.say(format!("Left at {0}; --seek {0} goes on from there.\n", clock(place))).await?;
        }
        (Over::Broken(why), place) => {
            return Err(Trouble::say(format!(
                "the recording cannot be read beyond {}: {}.",
                clock(place),
                shown(&why)
            )));
        }
    }
    Ok(Verdict::Yes)
}

pub(super) async fn watch(desk: RecordDesk, args: WatchArgs) -> Result<Answer, Trouble> {
    let row = desk.find(&args.session, Some(&Action::Watch)).await?;
    let Some(permitted) = desk.permitted(&Action::Watch, &row).await else {
        return Err(Trouble::say(lacking(&row, "watch")));
    };
    if row.ended.is_some() {
        return Err(over(&row));
    }
    let recording = desk.running(&row, args.channel).await?;
    let by_operator = desk.is_operator();
    let live = Live::new(move |mut stage| async move {
        let given = look_on(&mut stage, &desk, &row, recording).await;
        Trouble::conclude(given, &stage, by_operator).await
    });
    Ok(Answer::live(live.with_keyboard().under(permitted.permit())))
}

impl RecordDesk {
    /// The newest terminal that is being recorded in that session, here.
    async fn running(&self, row: &SessionRow, channel: Option<u32>) -> Result<RecordingId, Trouble> {
        let recordings = self.archive.store.recordings_of(&row.id).await?;
        let running = recordings.iter().rev().find(|recording| {
            let fits = channel.is_none_or(|channel| recording.channel == Some(channel.into()));
            fits && recording.ended.is_none() && recording.failure.is_none()
        });
        let Some(running) = running else {
            return Err(Trouble::say(format!(
                "nothing that is recorded runs in the session {} at the moment; what policy does not have recorded cannot \
                 be watched.",
                row.id
            )));
        };
        if row.node != self.archive.node {
            return Err(Trouble::say(format!(
                "the session {} is carried by the bastion {}; ask that one.",
                row.id, row.node
            )));
        }
        Ok(running.id)
    }

    /// Has the session's node put on record that somebody looks on, and tell the one who is watched where policy says so.
    async fn announce(&self, row: &SessionRow) -> Result<(), Trouble> {
        let (by, from) = self.orderer();
        let order = match self.archive.store.order_watch(&row.id, &by, from, self.now).await? {
            Ordered::Placed(order) => order,
            Ordered::NoSuchSession | Ordered::Ended => return Err(over(row)),
        };
        if self.is_noted(order).await? {
            return Ok(());
        }
        Err(Trouble::say(format!(
            "the bastion {} that carries the session does not answer, and nobody looks on without its record.",
            row.node
        )))
    }

    async fn is_noted(&self, order: i64) -> Result<bool, Trouble> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.archive.store.order_is_done(order).await? {
                return Ok(true);
            }
            sleep(LOOK).await;
        }
        Ok(false)
    }
}

async fn look_on(
    stage: &mut Stage,
    desk: &RecordDesk,
    row: &SessionRow,
    recording: RecordingId,
) -> Result<Verdict, Trouble> {
    if stage.terminal().is_none() {
        return Err(Trouble::say(NO_TERMINAL));
    }
    desk.announce(row).await?;
    let reel = desk.archive.library.follow(recording).await?;
    let name = row.target_name.as_deref().unwrap_or(&row.target_id);
    let (user, login, name) = (shown(&row.user), shown(&row.login), shown(name));
    stage
        .say(format!(
            "Looking on: {user}, as {login} on {name}. q leaves; nothing that you type goes there.\n"
        ))
        .await?;
    match play::watch(stage, reel).await? {
        Over::Shown => stage.say("The program has ended.\n".to_owned()).await?,
        Over::Enough => stage.say("You look on no longer.\n".to_owned()).await?,
        Over::Broken(why) => {
            return Err(Trouble::say(format!("the recording cannot be read further: {}.", shown(&why))));
        }
    }
    Ok(Verdict::Yes)
}
