//! `replay`: a recording at its own pace.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use super::keys::{Key, Keys};
use super::pace::Pace;
use super::{BATCH, CLEAR, Film, Frame, ORDER, Over, Reel, Sight};
use crate::console::stage::{Input, Left, Stage};

/// How far the arrows go.
const LEAP: Duration = Duration::from_secs(5);
/// By how much `+` makes it faster.
const FASTER: f64 = 1.5;

/// How it is replayed.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Options {
    pub(in super::super) speed: f64,
    pub(in super::super) idle_limit: Option<Duration>,
    pub(in super::super) start: Duration,
}

/// Up to where everything is shown without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rush {
    No,
    To(Duration),
    ToMarker,
}

struct Player<'s> {
    stage: &'s mut Stage,
    film: &'s Film,
    reel: Reel,
    keys: Keys,
    pace: Pace,
    idle_limit: Option<Duration>,
    rush: Rush,
    /// Up to where it was shown.
    shown: Duration,
    batch: BytesMut,
}

/// What comes after an input.
enum Then {
    Wait,
    ShowIt,
    FromTheStart,
    Leave,
}

/// Replays to the end, or until whoever looks on leaves; the terminal is in order afterwards. Says where it ended, too.
pub(in super::super) async fn replay(
    stage: &mut Stage,
    film: &Film,
    options: Options,
) -> Result<(Over, Duration), Left> {
    let mut player = Player {
        reel: film(),
        stage,
        film,
        keys: Keys::default(),
        pace: Pace::new(options.speed, Instant::now()),
        idle_limit: options.idle_limit,
        rush: if options.start.is_zero() { Rush::No } else { Rush::To(options.start) },
        shown: Duration::ZERO,
        batch: BytesMut::new(),
    };
    let over = player.run().await?;
    player.flush().await?;
    let place = if over == Over::Enough { player.pace.place(Instant::now()) } else { player.shown };
    stage.show(Bytes::from_static(ORDER)).await?;
    Ok((over, place))
}

impl Player<'_> {
    async fn run(&mut self) -> Result<Over, Left> {
        loop {
            let frame = match self.reel.recv().await {
                None => return Ok(Over::Shown),
                Some(Err(sentence)) => return Ok(Over::Broken(sentence)),
                Some(Ok(frame)) => frame,
            };
            match self.wait(&frame).await? {
                Then::Leave => return Ok(Over::Enough),
                Then::FromTheStart => self.rewind(),
                Then::ShowIt | Then::Wait => self.show(frame).await?,
            }
        }
    }

    fn rewind(&mut self) {
        self.reel = (self.film)();
        self.batch.clear();
        self.batch.extend_from_slice(CLEAR);
        self.pace.put(Duration::ZERO, Instant::now());
    }

    /// Waits until a frame is due, and does meanwhile what is wanted.
    async fn wait(&mut self, frame: &Frame) -> Result<Then, Left> {
        match self.rush {
            Rush::To(place) if frame.at < place => return Ok(Then::ShowIt),
            Rush::To(place) => self.arrive(place),
            Rush::ToMarker if frame.what == Sight::Marker => self.arrive(frame.at),
            Rush::ToMarker => return Ok(Then::ShowIt),
            Rush::No => {}
        }
        self.pace.skip_idle(frame.at, self.idle_limit, Instant::now());
        loop {
            let now = Instant::now();
            let late = frame.at <= self.pace.place(now) && !self.pace.is_paused();
            if late {
                return Ok(Then::ShowIt);
            }
            self.flush().await?;
            let due = self.pace.due(frame.at, now);
            let input = tokio::select! {
                input = self.stage.input() => input,
                () = sleep_until(due), if !self.pace.is_paused() => continue,
            };
            match self.take(input, frame) {
                Then::Wait => {}
                then @ (Then::ShowIt | Then::FromTheStart | Then::Leave) => return Ok(then),
            }
        }
    }

    fn arrive(&mut self, place: Duration) {
        self.rush = Rush::No;
        self.pace.put(place, Instant::now());
    }

    fn take(&mut self, input: Input, next: &Frame) -> Then {
        let typed = match input {
            Input::Keys(typed) => typed,
            Input::Resized(_) => return Then::Wait,
        };
        for byte in typed {
            let Some(key) = self.keys.take(byte) else { continue };
            match self.press(key, next) {
                Then::Wait => {}
                then @ (Then::ShowIt | Then::FromTheStart | Then::Leave) => return then,
            }
        }
        Then::Wait
    }

    fn press(&mut self, key: Key, next: &Frame) -> Then {
        let now = Instant::now();
        match key {
            Key::Quit => return Then::Leave,
            Key::Pause => self.pace.pause(now),
            Key::Faster => self.pace.change(FASTER, now),
            Key::Slower => self.pace.change(1.0 / FASTER, now),
            Key::Step if self.pace.is_paused() => {
                self.pace.put(next.at, now);
                return Then::ShowIt;
            }
            Key::Step => {}
            Key::NextMarker => return self.leap(Rush::ToMarker),
            Key::Forward => {
                let place = self.pace.place(now).saturating_add(LEAP);
                if next.at >= place {
                    self.pace.put(place, now);
                    return Then::Wait;
                }
                return self.leap(Rush::To(place));
            }
            Key::Back => {
                self.rush = Rush::To(self.pace.place(now).saturating_sub(LEAP));
                return Then::FromTheStart;
            }
            Key::Start => {
                self.rush = Rush::No;
                return Then::FromTheStart;
            }
        }
        Then::Wait
    }

    fn leap(&mut self, rush: Rush) -> Then {
        self.rush = rush;
        Then::ShowIt
    }

    async fn show(&mut self, frame: Frame) -> Result<(), Left> {
        self.shown = frame.at;
        match frame.what {
            Sight::Output(bytes) => self.batch.extend_from_slice(&bytes),
            // The reader's terminal keeps its size.
            Sight::Resized { .. } | Sight::Marker => {}
        }
        if self.batch.len() >= BATCH { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Left> {
        let batch = self.batch.split().freeze();
        self.stage.show(batch).await
    }
}
