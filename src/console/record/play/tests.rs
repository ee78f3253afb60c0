//! A recording on a terminal that is a channel, with time that stands still unless somebody waits.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;
use crate::console::stage::{Audience, Input, Piece, Size, Stage};

fn frame(ms: u64, text: &'static str) -> Frame {
    Frame { at: Duration::from_millis(ms), what: Sight::Output(Bytes::from_static(text.as_bytes())) }
}

/// Four outputs, of which the third comes after a minute of nothing; a marker before the last.
fn frames() -> Vec<Frame> {
    let marker = Frame { at: Duration::from_millis(64_000), what: Sight::Marker };
    vec![frame(0, "a"), frame(2_000, "b"), frame(62_000, "c"), marker, frame(64_000, "d"), frame(70_000, "e")]
}

fn reel_of(frames: Vec<Frame>, end: Option<String>) -> Reel {
    let (send, reel) = mpsc::channel(FRAMES_AHEAD);
    tokio::spawn(async move {
        for frame in frames {
            if send.send(Ok(frame)).await.is_err() {
                return;
            }
        }
        if let Some(sentence) = end {
            // Nobody may be left to hear it.
            let _heard = send.send(Err(sentence)).await.is_ok();
        }
    });
    reel
}

fn film() -> Film {
    Arc::new(|| reel_of(frames(), None))
}

/// What was shown, each piece with the second in which it was.
struct Watched {
    over: Over,
    pieces: Vec<(u64, String)>,
}

impl Watched {
    fn text(&self) -> String {
        self.pieces.iter().map(|(at, text)| format!("{at}:{text} ")).collect::<String>().trim_end().to_owned()
    }
}

fn options() -> Options {
    Options { speed: 1.0, idle_limit: None, start: Duration::ZERO }
}

/// Replays with these keys, each typed so many milliseconds after the start.
async fn replayed(options: Options, typed: Vec<(u64, &'static str)>) -> Watched {
    let (mut stage, Audience { mut out, input }) = Stage::new(Some(Size { columns: 80, rows: 24 }));
    let start = Instant::now();
    tokio::spawn(async move {
        for (at, keys) in typed {
            tokio::time::sleep_until(start + Duration::from_millis(at)).await;
            if input.send(Input::Keys(Bytes::from_static(keys.as_bytes()))).await.is_err() {
                return;
            }
        }
        // Nobody types any more, and nobody leaves.
        sleep(Duration::from_secs(10_000)).await;
    });
    let film = film();
    let playing = tokio::spawn(async move { replay(&mut stage, &film, options).await });
    let mut pieces = Vec::new();
    while let Some(piece) = out.recv().await {
        let Piece::Raw(bytes) = piece else { continue };
        let text = String::from_utf8_lossy(&bytes).replace(&*String::from_utf8_lossy(CLEAR), "<clear>");
        let text = text.replace(&*String::from_utf8_lossy(ORDER), "<order>");
        pieces.push((start.elapsed().as_secs(), text));
    }
    let (over, _) = playing.await.expect("no panic").expect("somebody reads");
    Watched { over, pieces }
}

#[tokio::test(start_paused = true)]
async fn a_recording_takes_the_time_it_took_and_leaves_the_terminal_in_order() {
    let watched = replayed(options(), Vec::new()).await;
    assert_eq!((watched.text().as_str(), watched.over), ("0:a 2:b 62:c 64:d 70:e 70:<order>", Over::Shown));
}

#[tokio::test(start_paused = true)]
async fn speed_and_idle_limit_shorten_it() {
    let fast = Options { speed: 2.0, ..options() };
    assert_eq!(replayed(fast, Vec::new()).await.text(), "0:a 1:b 31:c 32:d 35:e 35:<order>");
    let brisk = Options { idle_limit: Some(Duration::from_secs(3)), ..options() };
    assert_eq!(replayed(brisk, Vec::new()).await.text(), "0:a 2:b 5:c 7:d 10:e 10:<order>");
}

#[tokio::test(start_paused = true)]
async fn it_begins_where_it_is_told_to() {
    let late = Options { start: Duration::from_secs(61), ..options() };
    assert_eq!(replayed(late, Vec::new()).await.text(), "0:ab 1:c 3:d 9:e 9:<order>");
    let beyond = Options { start: Duration::from_secs(1_000), ..options() };
    assert_eq!(replayed(beyond, Vec::new()).await.text(), "0:abcde 0:<order>");
}

#[tokio::test(start_paused = true)]
async fn keys_pause_step_and_leave() {
    let paused = replayed(options(), vec![(1_000, " "), (100_000, " ")]).await;
    assert_eq!(paused.text(), "0:a 101:b 161:c 163:d 169:e 169:<order>");
    let stepped = replayed(options(), vec![(1_000, " "), (5_000, "."), (6_000, "."), (7_000, "q")]).await;
    assert_eq!((stepped.text().as_str(), stepped.over), ("0:a 5:b 6:c 7:<order>", Over::Enough));
}

#[tokio::test(start_paused = true)]
async fn keys_go_on_and_back() {
    let marker = replayed(options(), vec![(3_000, "]")]).await;
    assert_eq!(marker.text(), "0:a 2:b 3:cd 9:e 9:<order>");
    let back = replayed(options(), vec![(63_000, "\u{1b}[D")]).await;
    assert_eq!(back.text(), "0:a 2:b 62:c 63:<clear>ab 67:c 69:d 75:e 75:<order>");
    let on = replayed(options(), vec![(10_000, "\u{1b}[C\u{1b}[C"), (11_000, "0")]).await;
    assert!(on.text().starts_with("0:a 2:b 11:<clear>a 13:b 73:c"), "{}", on.text());
}

/// Looks on at frames that come later and later.
async fn watched(
    frames: Vec<Frame>,
    then: Vec<(u64, Frame)>,
    keys: Option<(u64, &'static str)>,
) -> (Over, String) {
    let (mut stage, Audience { mut out, input }) = Stage::new(Some(Size { columns: 80, rows: 24 }));
    let (send, reel) = mpsc::channel(FRAMES_AHEAD);
    tokio::spawn(async move {
        for frame in frames {
            send.send(Ok(frame)).await.expect("somebody looks on");
        }
        for (ms, frame) in then {
            sleep(Duration::from_millis(ms)).await;
            if send.send(Ok(frame)).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        if let Some((ms, keys)) = keys {
            sleep(Duration::from_millis(ms)).await;
            let _heard = input.send(Input::Keys(Bytes::from_static(keys.as_bytes()))).await.is_ok();
        }
        sleep(Duration::from_secs(10_000)).await;
    });
    let looking = tokio::spawn(async move { watch(&mut stage, reel).await });
    let mut text = String::new();
    while let Some(piece) = out.recv().await {
        match piece {
            Piece::Raw(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Piece::Text(said) => text.push_str(&format!("[{said}]")),
            Piece::Complaint(_) => {}
        }
    }
    let text = text.replace(&*String::from_utf8_lossy(ORDER), "<order>");
    (looking.await.expect("no panic").expect("somebody reads"), text)
}

#[tokio::test(start_paused = true)]
async fn watching_says_the_size_shows_the_past_and_follows() {
    let size = Frame { at: Duration::ZERO, what: Sight::Resized { columns: 132, rows: 50 } };
    let then = vec![(1_000, frame(5_000, "c")), (60_000, frame(65_000, "d"))];
    let (over, text) = watched(vec![size, frame(0, "a"), frame(1, "b")], then, None).await;
    assert_eq!(over, Over::Shown);
    assert!(text.starts_with("[That terminal has 132x50 characters and yours 80x24: "), "{text}");
    assert!(text.ends_with("]abcd<order>"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_leaves_when_they_like() {
    let then = vec![(1_000, frame(5_000, "b")), (60_000, frame(65_000, "c"))];
    let (over, text) = watched(vec![frame(0, "a")], then, Some((2_000, "xq"))).await;
    assert_eq!((over, text.as_str()), (Over::Enough, "ab<order>"));
}

#[tokio::test(start_paused = true)]
async fn of_a_long_past_the_latest_is_shown() {
    let long: &'static str = Box::leak("x".repeat(100_000).into_boxed_str());
    let mut past: Vec<Frame> = (0..20).map(|at| frame(at, long)).collect();
    past.push(frame(30, "last"));
    let (_, text) = watched(past, Vec::new(), None).await;
    assert!(text.len() < 300_000 && text.ends_with("last<order>"), "{}", text.len());
}

#[tokio::test(start_paused = true)]
async fn what_breaks_is_shown_as_far_as_it_goes() {
    let (mut stage, Audience { mut out, input: _input }) = Stage::new(None);
    let film: Film = Arc::new(|| reel_of(vec![frame(0, "a")], Some("damaged".to_owned())));
    let playing = tokio::spawn(async move { replay(&mut stage, &film, options()).await });
    let mut shown = Vec::new();
    while let Some(Piece::Raw(bytes)) = out.recv().await {
        shown.extend_from_slice(&bytes);
    }
    let (over, _) = playing.await.expect("no panic").expect("somebody reads");
    assert_eq!(over, Over::Broken("damaged".to_owned()));
    assert_eq!(shown, [b"a", ORDER].concat());
}
