//! Recorders, the threads that write, and what is read back.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use proptest::prelude::*;
use tempfile::TempDir;

use super::cast::Format;
use super::files::{Files, Following, Operations};
use super::player::{Frame, PlayError, Player, What};
use super::spool::SpoolFile;
use super::station::{self, Station};
use super::tape::{Kind, Tape};
use super::{Follow, Program, RecordError, Recorder, Recorders, Settings, Spool, Subject, Terminal};
use crate::audit::{FileAct, FileFacts, FileProtocol, Text};
use crate::domain::{ChannelNumber, ConnectionId, Ending, RecordMode, RecordingId, SessionId};
use crate::policy::Limits;
use crate::relay::Witness as _;

const PTY: Option<Terminal<'static>> = Some(Terminal { term: "xterm", columns: 100, rows: 30 });
/// Long enough for any disk; a test that gets here fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn recorders(dir: &Path) -> Recorders {
    let settings = Settings { spool: dir.to_owned(), default_mode: RecordMode::BestEffort };
    Recorders::start(settings).expect("it starts")
}

fn subject(terminal: Option<Terminal<'static>>, program: Program<'static>) -> Subject<'static> {
    Subject {
        connection: ConnectionId::fixed(1),
        session: SessionId::fixed(2),
        channel: ChannelNumber(3),
        now: "2026-01-02T03:04:05Z".parse().expect("a time"),
        title: "alice → ec2-user@web-1",
        terminal,
        program,
        farewell: "it ends.",
    }
}

fn limits(record: RecordMode) -> Limits {
    Limits { record: Some(record), ..Limits::default() }
}

async fn terminal(recorders: &Recorders) -> Recorder {
    let begun = recorders.begin(&subject(PTY, Program::Shell), &limits(RecordMode::Required)).await;
    begun.expect("it begins")
}

/// As the relay does.
async fn say(recorder: &Recorder, data: &[u8]) {
    let witness = recorder.witness().expect("somebody watches");
    if !witness.client_ready() {
        witness.wait_client().await;
    }
    witness.to_client(data);
}

fn frames(path: &Path) -> Vec<Frame> {
    let mut player = Player::open(File::open(path).expect("there")).expect("a recording");
    let frames = std::iter::from_fn(|| player.next_frame().expect("whole")).collect();
    assert!(!player.is_cut_off());
    frames
}

fn output(frames: &[Frame]) -> Vec<u8> {
    let outputs = frames.iter().filter_map(|frame| match &frame.what {
        What::Output(data) => Some(data.as_slice()),
        What::Error(_) | What::Input(_) | What::Resize { .. } | What::Marker(_) => None,
    });
    outputs.collect::<Vec<_>>().concat()
}

fn markers(frames: &[Frame]) -> Vec<String> {
    let texts = frames.iter().filter_map(|frame| match &frame.what {
        What::Marker(text) => Some(text.clone()),
        What::Output(_) | What::Error(_) | What::Input(_) | What::Resize { .. } => None,
    });
    texts.collect()
}

/// Bytes without a pattern, the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&SHA256, bytes).as_ref().to_vec()
}

#[tokio::test]
async fn what_a_terminal_showed_plays_back_to_the_byte() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    let recorder = terminal(&recorders).await;
    let mut said = "Grüße, 世界 🦀\r\n".repeat(500).into_bytes();
    said.extend(noise(3 << 20));
    said.extend(vec![b'x'; 1 << 20]);
    // Pieces that split characters, of all sizes.
    let (mut rest, mut size) = (said.as_slice(), 1);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        say(&recorder, piece).await;
        rest = after;
        size = size * 3 % 40_009 + 1;
    }
    recorder.window(120, 40);
    let id = recorder.id().expect("a recording");
    let finished = recorder.finish("ending: finished").await.recording.expect("a recording");

    let path = recorders.spool().expect("a spool").path(id);
    let frames = frames(&path);
    assert_eq!(output(&frames), said);
    assert_eq!(markers(&frames), ["start: shell", "ending: finished"]);
    assert!(frames.iter().any(|frame| frame.what == What::Resize { columns: 120, rows: 40 }));
    assert!(frames.is_sorted_by_key(|frame| frame.at));
    let file = std::fs::read(&path).expect("readable");
    assert_eq!(finished.sha256.to_vec(), sha256(&file));
    assert_eq!((finished.compressed_bytes, finished.complete), (file.len() as u64, true));
    assert_eq!((finished.id, finished.format), (id, Format::Asciicast));
    let text = zstd::stream::decode_all(file.as_slice()).expect("any zstd reads it");
    assert_eq!(text.len() as u64, finished.bytes);
    let header: serde_json::Value =
        serde_json::from_slice(text.split(|byte| *byte == b'\n').next().expect("a line")).expect("JSON");
    assert_eq!(
        (&header["version"], &header["width"], &header["env"]["TERM"]),
        (&2.into(), &100.into(), &"xterm".into())
    );
}

#[tokio::test]
async fn what_was_typed_is_recorded_where_policy_wants_it_and_not_otherwise() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    for keyboard in [false, true] {
        let limits = Limits { keyboard, ..limits(RecordMode::BestEffort) };
        let recorder = recorders.begin(&subject(PTY, Program::Shell), &limits).await.expect("it begins");
        recorder.to_target(b"secret\r");
        let id = recorder.id().expect("a recording");
        recorder.finish("ending: finished").await;
        let frames = frames(&recorders.spool().expect("a spool").path(id));
        let typed = frames.iter().any(|frame| frame.what == What::Input(b"secret\r".to_vec()));
        assert_eq!(typed, keyboard);
    }
}

#[tokio::test]
async fn a_running_recording_is_followed_to_its_end() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    let recorder = terminal(&recorders).await;
    let id = recorder.id().expect("a recording");
    let mut follow = Follow::open(recorders.spool().expect("a spool"), id).await.expect("there");
    assert_eq!(follow.header().columns, 100);
    say(&recorder, b"first").await;
    let mut seen = Vec::new();
    while output(&seen) != b"first" {
        seen.extend(follow.next().await.expect("readable").expect("it goes on"));
    }
    say(&recorder, b", second").await;
    recorder.finish("ending: client-left").await;
    while let Some(frames) = follow.next().await.expect("readable") {
        seen.extend(frames);
    }
    assert_eq!(output(&seen), b"first, second");
    assert_eq!(markers(&seen).last().map(String::as_str), Some("ending: client-left"));
}

/// The bytes of a recording's file, and where its frames end.
async fn sample() -> (Vec<u8>, Vec<u8>) {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    let recorder = terminal(&recorders).await;
    let id = recorder.id().expect("a recording");
    let spool = recorders.spool().expect("a spool").clone();
    let mut follow = Follow::open(&spool, id).await.expect("there");
    let mut said = Vec::new();
    for number in 0..3 {
        let line = format!("line {number} \u{1F980}\r\n");
        say(&recorder, line.as_bytes()).await;
        said.extend_from_slice(line.as_bytes());
        while output(&follow.next().await.expect("readable").expect("it goes on")) != line.as_bytes() {}
    }
    drop(recorder);
    while follow.next().await.expect("readable").is_some() {}
    (std::fs::read(spool.path(id)).expect("readable"), said)
}

#[tokio::test]
async fn a_file_that_was_cut_off_plays_to_its_last_whole_frame() {
    let (file, said) = sample().await;
    let mut played = 0;
    for cut in 0..=file.len() {
        let mut player = match Player::open(&file[..cut]) {
            Ok(player) => player,
            Err(PlayError::Empty) => continue,
            Err(error) => panic!("{cut}: {error}"),
        };
        let frames: Vec<_> =
            std::iter::from_fn(|| player.next_frame().expect("no fault of its own")).collect();
        let output = output(&frames);
        assert!(said.starts_with(&output) && output.len() >= played, "{cut}");
        played = output.len();
    }
    assert_eq!(played, said.len());
}

#[tokio::test]
async fn a_recording_whose_daemon_was_killed_is_closed_at_the_next_start() {
    let (file, said) = sample().await;
    let dir = TempDir::new().expect("a directory");
    let spool = Spool::open(dir.path()).expect("made");
    let (id, other) = (RecordingId::fixed(7), RecordingId::fixed(8));
    let torn = &file[..file.len() / 2];
    std::fs::write(spool.part(id), [file.as_slice(), torn].concat()).expect("written");
    std::fs::write(spool.part(other), b"not ours").expect("written");
    let salvaged = spool.salvage().expect("readable");
    assert_eq!(salvaged.len(), 1);
    let one = &salvaged[0];
    assert_eq!(
        (one.header.origin.session, one.header.origin.channel),
        (SessionId::fixed(2), ChannelNumber(3))
    );
    assert_eq!(spool.salvage().expect("readable").len(), 1, "until it is kept, it is found again");
    one.keep().expect("renamed");
    let whole = std::fs::read(spool.path(id)).expect("it has its name");
    assert_eq!(sha256(&whole), one.sha256.to_vec());
    assert_eq!(one.compressed_bytes, whole.len() as u64);
    assert!(output(&frames(&spool.path(id))).starts_with(&said));
    assert_eq!(spool.whole().expect("readable"), [id]);
    assert!(spool.part(other).exists(), "what cannot be read is left alone");
    assert!(spool.salvage().expect("readable").is_empty());
}

#[tokio::test]
async fn a_file_in_which_nothing_had_begun_is_removed_and_no_error_for_ever() {
    let (file, _) = sample().await;
    let dir = TempDir::new().expect("a directory");
    let spool = Spool::open(dir.path()).expect("made");
    for (number, blank) in [&b""[..], &file[..3], &file[..40]].into_iter().enumerate() {
        let id = RecordingId::fixed(number as u128);
        std::fs::write(spool.part(id), blank).expect("written");
        assert!(spool.salvage().expect("readable").is_empty());
        assert!(!spool.part(id).exists(), "{} bytes", blank.len());
    }
    // What was there and cannot be read is another thing.
    for (number, foreign) in [&[0; 40][..], b"not ours"].into_iter().enumerate() {
        let id = RecordingId::fixed(10 + number as u128);
        std::fs::write(spool.part(id), foreign).expect("written");
        assert!(spool.salvage().expect("readable").is_empty());
        assert!(spool.part(id).exists());
    }
}

#[tokio::test]
async fn behind_a_damaged_frame_nothing_is_read() {
    let (file, _) = sample().await;
    let dir = TempDir::new().expect("a directory");
    let spool = Spool::open(dir.path()).expect("made");
    let id = RecordingId::fixed(7);
    let mut damaged = file.clone();
    *damaged.last_mut().expect("bytes") ^= 1;
    // What follows is whole again, as pages reach a disk in any order.
    std::fs::write(spool.path(id), [damaged, file.clone()].concat()).expect("written");
    let salvaged = spool.reread(id).expect("it begins as a recording");
    assert!(salvaged.compressed_bytes < file.len() as u64, "{salvaged:?}");
    let left = std::fs::read(spool.path(id)).expect("it is there");
    assert!(file.starts_with(&left) && sha256(&left) == salvaged.sha256.to_vec());
}

#[tokio::test]
async fn without_a_directory_only_what_need_not_be_recorded_goes_on() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(&dir.path().join("spool"));
    std::fs::remove_dir(dir.path().join("spool")).expect("removed");
    let subject = subject(PTY, Program::Shell);
    let refused = recorders.begin(&subject, &limits(RecordMode::Required)).await;
    assert!(matches!(refused, Err(RecordError::File { .. })));
    let without = recorders.begin(&subject, &limits(RecordMode::BestEffort)).await.expect("it goes on");
    assert!(without.witness().is_none() && without.id().is_none());
    assert!(matches!(*without.failure().await, RecordError::File { .. }));
    let off = recorders.begin(&subject, &limits(RecordMode::Off)).await.expect("nothing to do");
    assert!(off.witness().is_none() && off.failed().is_none());
}

#[tokio::test]
async fn a_required_recording_that_breaks_ends_the_channel_and_another_does_not() {
    for (mode, ends) in [(RecordMode::Required, true), (RecordMode::BestEffort, false)] {
        let dir = TempDir::new().expect("a directory");
        let recorders = recorders(dir.path());
        let begun = recorders.begin(&subject(PTY, Program::Shell), &limits(mode)).await;
        let recorder = begun.expect("it begins");
        let id = recorder.id().expect("a recording");
        std::fs::remove_file(recorders.spool().expect("a spool").part(id)).expect("removed");
        say(&recorder, b"into nothing").await;
        assert!(matches!(*recorder.failure().await, RecordError::Removed { .. }));
        let broken = recorder.broken();
        if ends {
            assert_eq!(broken.await, (Ending::RecordingFailed, "it ends."));
        } else {
            assert!(futures_are_pending(broken).await);
        }
        // What is said afterwards waits for nobody.
        for _ in 0..100 {
            say(&recorder, &[b'x'; 32 * 1024]).await;
        }
        let finished = recorder.finish("ending: finished").await;
        assert!(!finished.recording.expect("it was begun").complete);
    }
}

async fn futures_are_pending(future: impl Future) -> bool {
    tokio::select! {
        biased;
        _ = future => false,
        () = tokio::task::yield_now() => true,
    }
}

#[tokio::test]
async fn a_full_disk_breaks_the_recording_and_nothing_else() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    let station = Arc::new(Station::default());
    let (ended, leaving) = mpsc::sync_channel(station::ENDED_MAX);
    let thread = std::thread::spawn({
        let station = Arc::clone(&station);
        move || station::run(&station, &ended)
    });
    let other = std::thread::spawn(move || station::see_off(&leaving, &|| ()));
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let tape = Tape::new(&station);
    station.enlist(&tape, SpoolFile::dangerous_for_test(full, Path::new("/dev/full")));
    tape.push(Kind::Output, b"no room for this");
    let error = tape.broken().await;
    assert!(error.to_string().contains("No space left on device"), "{error}");
    // The same thread goes on with others.
    let healthy = Tape::new(&station);
    let spool = recorders.spool().expect("a spool");
    station.enlist(&healthy, spool.begin(RecordingId::fixed(1), b"", 0).expect("begun"));
    healthy.push(Kind::Output, b"fine");
    tape.end(true);
    healthy.end(true);
    assert!(!tape.closed().await.expect("closed").complete);
    assert!(healthy.closed().await.expect("closed").complete);
    station.close();
    thread.join().expect("no panic");
    other.join().expect("no panic");
}

/// The disk does not let go of what has ended: nobody sees it off.
#[tokio::test]
async fn a_recording_that_waits_for_its_disk_keeps_no_other_from_being_written() {
    let dir = TempDir::new().expect("a directory");
    let spool = Spool::open(dir.path()).expect("made");
    let station = Arc::new(Station::default());
    let (ended, leaving) = mpsc::sync_channel(station::ENDED_MAX);
    let thread = std::thread::spawn({
        let station = Arc::clone(&station);
        move || station::run(&station, &ended)
    });
    let begin = |number| {
        let (tape, id) = (Tape::new(&station), RecordingId::fixed(number));
        station.enlist(&tape, spool.begin(id, b"", 0).expect("begun"));
        (tape, spool.part(id))
    };
    let (first, _) = begin(1);
    first.push(Kind::Output, b"the end");
    first.end(true);
    let leaving = tokio::task::spawn_blocking(move || {
        let first = leaving.recv_timeout(PATIENCE).expect("it has ended");
        (leaving, first)
    });
    let (leaving, _first) = leaving.await.expect("no panic");
    let (second, file) = begin(2);
    second.push(Kind::Output, b"goes on");
    let written = async {
        while std::fs::metadata(&file).expect("it is there").len() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("it is written");
    assert!(futures_are_pending(first.closed()).await);
    station.close();
    thread.join().expect("no panic");
    drop(leaving);
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_the_disk_does_not_let_end_is_broken_and_not_just_left_out() {
    let tape = Tape::new(&Arc::new(Station::default()));
    tape.end(true);
    assert_eq!(tape.closed().await, None);
    assert!(matches!(*tape.failure().expect("it is broken"), RecordError::Stalled { .. }));
}

/// The disk takes nothing: no thread serves the station.
#[tokio::test(start_paused = true)]
async fn a_disk_that_does_not_answer_stops_the_relay_and_breaks_the_recording_in_the_end() {
    let tape = Tape::new(&Arc::new(Station::default()));
    let mut pushed = 0;
    while tape.is_ready() {
        tape.push(Kind::Output, &[b'x'; 32 * 1024]);
        pushed += 32 * 1024;
    }
    assert!(pushed <= 512 * 1024, "{pushed} bytes were taken");
    tape.ready().await;
    assert!(matches!(*tape.broken().await, RecordError::Stalled { .. }));
}

#[tokio::test]
async fn a_program_without_a_terminal_is_hashed_and_the_first_of_its_output_is_kept() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    let limits = Limits { keep_output: true, ..limits(RecordMode::Required) };
    let begun = recorders.begin(&subject(None, Program::Exec(b"make all")), &limits).await;
    let recorder = begun.expect("it begins");
    recorder.to_target(b"in");
    recorder.to_client(b"out1 ");
    recorder.stderr_to_client(b"err ");
    recorder.to_client(&[b'o'; 200_000]);
    let id = recorder.id().expect("a recording");
    let finished = recorder.finish("ending: finished").await;
    let sums = finished.sums.expect("hashed");
    assert_eq!(sums.to_target.to_vec(), sha256(b"in"));
    assert_eq!(sums.to_client.to_vec(), sha256(&[b"out1 ".as_slice(), &[b'o'; 200_000]].concat()));
    assert_eq!((sums.stderr.to_vec(), sums.bytes_stderr), (sha256(b"err "), 4));
    let recording = finished.recording.expect("kept");
    assert_eq!((recording.format, recording.complete), (Format::Output, false));
    let frames = frames(&recorders.spool().expect("a spool").path(id));
    assert_eq!(output(&frames).len(), 64 * 1024 - 4);
    assert_eq!(frames[1].what, What::Output(b"out1 ".to_vec()));
    assert_eq!(frames[2].what, What::Error(b"err ".to_vec()));
    assert_eq!(markers(&frames)[0], "start: make all");
}

#[tokio::test]
async fn a_program_whose_output_is_not_kept_has_no_file() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    let begun = recorders.begin(&subject(None, Program::Exec(b"true")), &limits(RecordMode::Required)).await;
    let recorder = begun.expect("it begins");
    assert!(recorder.id().is_none());
    assert!(recorder.finish("ending: finished").await.sums.is_some());
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}

/// Tells what it is given as operations, and calls all of it unanswered until the target says something.
#[derive(Debug, Default)]
struct Parrot {
    operations: VecDeque<FileFacts>,
    unanswered: u64,
}

fn operation(path: &str) -> FileFacts {
    FileFacts {
        protocol: FileProtocol::Sftp,
        operation: FileAct::Mkdir,
        path: Text::from(path),
        path_hex: None,
        other_path: None,
        other_path_hex: None,
        bytes: None,
        from: None,
        sha256: None,
        out_of_order: false,
        mode: None,
        result: "ok",
        detail: None,
    }
}

impl Following for Parrot {
    fn to_target(&mut self, data: &[u8]) {
        self.unanswered += data.len() as u64;
    }

    fn to_client(&mut self, data: &[u8]) {
        self.unanswered = 0;
        self.operations.push_back(operation(&String::from_utf8_lossy(data)));
    }

    fn end(&mut self) {
        self.operations.push_back(operation("unfinished"));
    }

    fn take(&mut self) -> Option<FileFacts> {
        self.operations.pop_front()
    }

    fn unanswered_write_bytes(&self) -> u64 {
        self.unanswered
    }

    fn lost_track(&self) -> bool {
        self.operations.iter().any(|operation| operation.operation == FileAct::Untracked)
    }
}

#[tokio::test]
async fn a_transfer_that_cannot_be_followed_breaks_a_recording_that_has_to_be() {
    let dir = TempDir::new().expect("a directory");
    let recorders = recorders(dir.path());
    let broken = async |mode: RecordMode| {
        let subject = subject(None, Program::Sftp);
        let recorder = recorders.begin(&subject, &limits(mode)).await.expect("it begins");
        let witness = recorder.witness().expect("files are followed");
        witness.to_target(b"this is not SFTP");
        let told =
            recorder.operations().expect("files are followed").next().await.expect("that much is told");
        assert_eq!(told.operation, FileAct::Untracked);
        tokio::select! {
            biased;
            (ending, _) = witness.broken() => Some(ending),
            () = std::future::ready(()) => None,
        }
    };
    assert_eq!(broken(RecordMode::Required).await, Some(Ending::RecordingFailed));
    assert_eq!(broken(RecordMode::BestEffort).await, None);
}

#[tokio::test]
async fn file_operations_come_in_order_and_end_with_what_was_under_way() {
    let files = Arc::new(Files::with(Box::new(Parrot::default())));
    let mut operations = Operations::new(Arc::clone(&files));
    let taking = tokio::spawn(async move {
        let mut paths = Vec::new();
        while let Some(operation) = operations.next().await {
            paths.push(operation.path.as_str().to_owned());
        }
        paths
    });
    let expected: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    for path in &expected {
        files.wait_client().await;
        files.to_client(path.as_bytes());
    }
    files.end();
    let mut paths = taking.await.expect("no panic");
    assert_eq!(paths.pop().as_deref(), Some("unfinished"));
    assert_eq!(paths, expected);
}

#[tokio::test(start_paused = true)]
async fn operations_that_nobody_takes_stop_the_relay() {
    let files = Files::with(Box::new(Parrot::default()));
    let mut told = 0;
    while files.client_ready() {
        files.to_client(b"x");
        told += 1;
    }
    assert!(told <= 256);
    assert!(tokio::time::timeout(PATIENCE, files.wait_client()).await.is_err(), "it waits");
}

#[tokio::test(start_paused = true)]
async fn writes_that_are_not_answered_are_held_back_but_not_for_ever() {
    let files = Files::with(Box::new(Parrot::default()));
    while files.target_ready() {
        files.to_target(&[0; 32 * 1024]);
    }
    let begun = tokio::time::Instant::now();
    files.wait_target().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "a request larger than the bound gets through");
    let (answered, ()) = tokio::join!(files.wait_target(), async { files.to_client(b"status") });
    let () = answered;
    assert!(files.target_ready());
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "an answer is enough");
}

#[test]
fn an_id_is_all_that_names_a_file() {
    for id in ["../../etc/passwd", "r-../x", "", "r-0", "r-00000000000000000000000000000000/.."] {
        assert_eq!(RecordingId::parse(id), None);
    }
    let dir = TempDir::new().expect("a directory");
    let spool = Spool::open(dir.path()).expect("made");
    let path = spool.path(RecordingId::fresh());
    assert_eq!(path.parent(), Some(dir.path()));
}

proptest! {
    #[test]
    fn nonsense_is_never_played_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..2000), ours in any::<bool>()) {
        let mut file = if ours { zstd::bulk::compress(&bytes, 1).expect("compressed") } else { Vec::new() };
        file.extend(&bytes);
        prop_assert!(Player::open(file.as_slice()).is_err());
    }

    #[test]
    fn damaged_events_are_errors_and_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let header = br#"{"version":2,"width":80,"height":24,"timestamp":0,"title":"","drawbridge":{"recording":"r-00000000000000000000000000000001","connection":"c-00000000000000000000000000000001","session":"s-00000000000000000000000000000001","channel":1,"format":"asciicast"}}"#;
        let file = zstd::bulk::compress(&[header.as_slice(), b"\n", &bytes].concat(), 1).expect("compressed");
        let mut player = Player::open(file.as_slice()).expect("the header is fine");
        while let Ok(Some(_)) = player.next_frame() {}
    }
}
