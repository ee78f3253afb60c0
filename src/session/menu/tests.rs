//! The menu on a channel, without a network and without a target.

use std::time::Duration;

use tokio::time::timeout;

use super::super::tests::Bastion;
use super::*;
use crate::domain::Exit;
use crate::menu::tests::terminal::Terminal;
use crate::relay::{self, Activity, Hold};
use crate::ssh::testing::connected;
use crate::ssh::{ChannelKind, Connection, ConnectionEvent};
use crate::target::testing::target;

const SOON: Duration = Duration::from_secs(20);
const EVERYTHING: &str = "permit(principal, action, resource);";

/// A client's end of a channel, its terminal, and all that was written to it.
struct Seat {
    channel: Channel,
    terminal: Terminal,
    seen: Vec<u8>,
    exit: Option<u32>,
}

fn pty(term: &str, columns: u32, rows: u32) -> Vec<u8> {
    let mut fields = Vec::new();
    fields.put_u32(u32::try_from(term.len()).expect("short"));
    fields.put_slice(term.as_bytes());
    for number in [columns, rows, 640, 480] {
        fields.put_u32(number);
    }
    fields.put_slice(b"\0\0\0\x06\x81\0\0\x96\0\0");
    fields
}

fn window(columns: u32, rows: u32) -> Vec<u8> {
    [columns, rows, 0, 0].iter().flat_map(|number| number.to_be_bytes()).collect()
}

impl Seat {
    async fn take(connection: &Connection, term: &str, columns: u32, rows: u32) -> Self {
        let channel = connection.open(&ChannelKind::Session).await.expect("opened");
        let pty = channel.request("pty-req", true, &pty(term, columns, rows));
        let shell = channel.request("shell", true, b"");
        assert_eq!((pty.await, shell.await), (Ok(true), Ok(true)));
        let size = |number: u32, usual| u16::try_from(number).ok().filter(|n| *n > 0).unwrap_or(usual);
        let terminal = Terminal::new(size(columns, 500), size(rows, 200));
        Self { channel, terminal, seen: Vec::new(), exit: None }
    }

    async fn types(&self, text: &str) {
        self.channel.write(Bytes::copy_from_slice(text.as_bytes())).await.expect("written");
    }

    /// Reads until the terminal shows that.
    #[track_caller]
    fn until(&mut self, text: &str) -> impl Future<Output = ()> {
        let text = text.to_owned();
        let caller = std::panic::Location::caller();
        async move {
            let reading = async { while !self.terminal.words().contains(&text) && self.read().await {} };
            let in_time = timeout(SOON, reading).await;
            let shown = self.terminal.words();
            assert!(shown.contains(&text), "{caller}: {text:?} is not shown: {in_time:?}, {shown:?}");
        }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal.resize(columns, rows);
        let fields = window(u32::from(columns), u32::from(rows));
        drop(self.channel.request("window-change", false, &fields));
    }

    /// Everything up to the end.
    async fn rest(&mut self) -> (String, Option<u32>) {
        timeout(SOON, async { while self.read().await {} }).await.expect("it ends");
        (String::from_utf8_lossy(&self.seen).into_owned(), self.exit)
    }

    async fn read(&mut self) -> bool {
        match self.channel.recv().await {
            Some(ChannelEvent::Data(data) | ChannelEvent::Extended(_, data)) => {
                self.terminal.feed(&data);
                self.seen.extend(data.into_bytes());
            }
            Some(ChannelEvent::Request(request)) if request.name == "exit-status" => {
                let code = request.payload.first_chunk().expect("four bytes");
                self.exit = Some(u32::from_be_bytes(*code));
            }
            Some(ChannelEvent::Request(_) | ChannelEvent::Eof) => {}
            None => return false,
        }
        true
    }
}

async fn bastion() -> Bastion {
    let targets = vec![target("web-1", 1), target("web-2", 2), target("db-1", 3)];
    Bastion::listing(targets, EVERYTHING).await
}

#[tokio::test]
async fn the_menu_lists_filters_and_is_left_with_success() {
    let bastion = bastion().await;
    let (connection, _task) = bastion.alice().await;
    let mut seat = Seat::take(&connection, "xterm-256color", 80, 24).await;
    seat.until("3 targets").await;
    let screen = seat.terminal.words();
    assert!(screen.contains("web-1") && screen.contains("db-1"), "{screen:?}");
    seat.types("web").await;
    seat.until("2 of 3 targets").await;
    seat.types("\x1b").await;
    seat.until("Filter: _").await;
    seat.types("\x03").await;
    let (last, exit) = seat.rest().await;
    assert!(last.ends_with("\x1b[?25h\x1b[?1049l"), "{last:?}");
    assert_eq!(exit, Some(0));
}

#[tokio::test]
async fn the_menu_of_whoever_is_removed_is_left_with_the_reason() {
    let bastion = bastion().await;
    let (connection, task) = bastion.alice().await;
    let mut seat = Seat::take(&connection, "xterm-256color", 80, 24).await;
    seat.until("3 targets").await;
    let _keeper = bastion.keeper();
    bastion.alice_is_removed();
    let (last, exit) = seat.rest().await;
    let expected = format!("\x1b[?25h\x1b[?1049ldrawbridge: {}\r\n", sentences::WITHDRAWN);
    assert!(last.ends_with(&expected), "{last:?}");
    assert_eq!(exit, Some(255));
    drop(seat);
    task.await.expect("no panic");
    let [ended] = &bastion.trail("connection-ended")[..] else { panic!("one line") };
    assert_eq!(ended["ending"], "permission-ended");
}

#[tokio::test]
async fn a_terminal_that_cannot_be_drawn_on_gets_the_console() {
    let bastion = bastion().await;
    let (connection, _task) = bastion.alice().await;
    for term in ["dumb", ""] {
        let (said, exit) = Seat::take(&connection, term, 80, 24).await.rest().await;
        assert!(said.contains("ssh") && !said.contains('\x1b'), "{said:?}");
        assert_ne!(exit, Some(0));
    }
}

#[tokio::test]
async fn sizes_that_nobody_has_are_drawn_all_the_same() {
    let bastion = bastion().await;
    let (connection, _task) = bastion.alice().await;
    for (columns, rows) in [(1, 1), (u32::MAX, u32::MAX), (0, 0), (1, 200), (500, 1)] {
        let mut seat = Seat::take(&connection, "linux", columns, rows).await;
        while !String::from_utf8_lossy(&seat.seen).contains("\x1b[2J") {
            assert!(seat.read().await);
        }
        seat.resize(80, 24);
        seat.until("3 targets").await;
        seat.resize(1, 1);
        drop(seat.channel.request("window-change", false, b"\0\0"));
        seat.types("\x04").await;
        assert_eq!(seat.rest().await.1, Some(0));
    }
}

#[tokio::test]
async fn what_policy_refuses_is_a_sentence_in_the_menu() {
    let policy = r#"permit(principal, action == Action::"exec", resource);"#;
    let bastion = Bastion::listing(vec![target("web-1", 1)], policy).await;
    let (connection, _task) = bastion.alice().await;
    let mut seat = Seat::take(&connection, "xterm", 80, 24).await;
    // Typed before there is a list; what follows was meant for the session.
    seat.types("web-1\rrm -rf nothing\r").await;
    seat.until("policy does not let you open a shell on web-1").await;
    let seen = String::from_utf8_lossy(&seat.seen).into_owned();
    assert!(seen.contains("\x1b[?1049ldrawbridge: connecting to web-1 as ec2-user...\r\n"), "{seen:?}");
    let requested = bastion.audit.named("target-requested");
    assert_eq!(requested.len(), 1, "{requested:?}");
    assert_eq!(requested[0]["way"], "console");
    let [decided] = bastion.audit.named("decision").try_into().expect("one decision");
    assert_eq!(decided["outcome"], "refuse", "{decided}");
    seat.until("Filter: web-1_").await;
    seat.types("\x15").await;
    seat.until("Filter: _").await;
    seat.types("\x03").await;
    assert_eq!(seat.rest().await.1, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_menu_without_a_key_is_left_with_a_sentence() {
    let bastion = bastion().await;
    let (connection, _task) = bastion.alice().await;
    let mut seat = Seat::take(&connection, "xterm", 80, 24).await;
    let begun = tokio::time::Instant::now();
    seat.until("3 targets").await;
    tokio::time::sleep(browse::IDLE - SOON).await;
    seat.types("web").await;
    seat.until("2 of 3 targets").await;
    tokio::time::sleep(browse::IDLE - SOON).await;
    assert!(!seat.channel.is_closed(), "it was used in between");
    tokio::time::sleep(SOON).await;
    let (last, exit) = seat.rest().await;
    assert!(last.contains(sentences::MENU_IDLE), "{last:?}");
    assert_eq!(exit, Some(255));
    assert!(begun.elapsed() < 2 * browse::IDLE);
}

#[tokio::test]
async fn shutting_down_gives_the_terminal_back() {
    let bastion = bastion().await;
    let (connection, _task) = bastion.alice().await;
    let mut seat = Seat::take(&connection, "xterm", 80, 24).await;
    seat.until("3 targets").await;
    let tasks = bastion.services.tasks.clone();
    let (ended, (last, exit)) = tokio::join!(tasks.shutdown(Duration::from_secs(20)), seat.rest());
    assert!(ended, "a task is left");
    assert!(last.contains("\x1b[?1049l") && last.contains(sentences::SHUTTING_DOWN), "{last:?}");
    assert_eq!(exit, Some(255));
}

#[tokio::test]
async fn a_client_that_goes_takes_the_menu_with_it() {
    let bastion = bastion().await;
    let (connection, task) = bastion.alice().await;
    let mut seat = Seat::take(&connection, "xterm", 80, 24).await;
    seat.until("3 targets").await;
    seat.channel.eof();
    assert_eq!(seat.rest().await.1, Some(0), "no more keys will come");
    let mut seat = Seat::take(&connection, "xterm", 80, 24).await;
    seat.until("3 targets").await;
    drop(seat);
    let _abrupt = Seat::take(&connection, "xterm", 80, 24).await;
    connection.disconnect("bye");
    timeout(SOON, task).await.expect("it ends").expect("no panic");
}

/// The client does not read while it pastes; the menu draws again when it does.
#[tokio::test]
async fn a_paste_of_a_megabyte_is_read_and_cut() {
    let bastion = bastion().await;
    let (connection, _task) = bastion.alice().await;
    let mut seat = Seat::take(&connection, "xterm", 80, 24).await;
    seat.until("3 targets").await;
    let paste = format!("\x1b[200~{}\x1b[201~", "web-1\r".repeat(180_000));
    timeout(SOON, seat.types(&paste)).await.expect("it is all read");
    seat.until("web-1 web-1").await;
    seat.types("\x15\x1b[6~").await;
    seat.until("Filter: _").await;
    assert!(bastion.audit.named("target-requested").is_empty(), "nothing was opened by a paste");
    seat.types("\x03").await;
    assert_eq!(seat.rest().await.1, Some(0));
}

/// A channel of a client's connection, from both its ends.
async fn channel(of: &str) -> (Channel, Channel, (Connection, Connection)) {
    let (ours, theirs) = connected().await;
    let accepted = async {
        let Ok(ConnectionEvent::Open(open)) = theirs.next().await else {
            panic!("{of}: a channel is opened")
        };
        open.accept()
    };
    let (opened, accepted) = tokio::join!(ours.open(&ChannelKind::Session), accepted);
    (opened.expect("opened"), accepted, (ours, theirs))
}

#[tokio::test]
async fn a_lent_channel_outlives_the_program() {
    let (user, client, _connections) = channel("client").await;
    let (target, program, _others) = channel("target").await;
    let loan = Loan::new(Bytes::from_static(b"typed ahead, "));
    let (activity, (_order, stop)) = (Activity::default(), tokio::sync::watch::channel(None));
    let relay = async { relay::run(&client, &target, &activity, stop, Hold::Lent(&loan), None).await };
    let story = async {
        user.write(Bytes::from_static(b"then more")).await.expect("written");
        drop(user.request("window-change", false, &window(132, 43)));
        let mut input = Vec::new();
        while input.len() < b"typed ahead, then more".len() {
            if let Some(ChannelEvent::Data(data)) = program.recv_data().await {
                input.extend(data.into_bytes());
            }
        }
        assert_eq!(input, b"typed ahead, then more");
        assert_eq!(program.recv_request().await.expect("a resize").name, "window-change");
        program.write(Bytes::from_static(b"goodbye")).await.expect("written");
        drop(program.request("exit-status", false, &7_u32.to_be_bytes()));
        program.eof();
        program.close();
    };
    let (outcome, ()) = timeout(SOON, async { tokio::join!(relay, story) }).await.expect("it ends");
    assert_eq!((outcome.ending, outcome.exit), (Ending::Finished, Some(Exit::Status { code: 7 })));
    assert_eq!(loan.window().as_deref(), Some(window(132, 43).as_slice()));
    assert!(!loan.client_eof());
    client.write(Bytes::from_static(b", and on")).await.expect("it is still open");
    client.close();
    let mut seen = Vec::new();
    while let Some(event) = timeout(SOON, user.recv()).await.expect("it closes") {
        let ChannelEvent::Data(data) = event else { panic!("{event:?}: that was the program's end") };
        seen.extend(data.into_bytes());
    }
    assert_eq!(seen, b"goodbye, and on");
}
