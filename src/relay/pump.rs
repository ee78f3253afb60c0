//! The two directions and the requests beside them.

use std::collections::VecDeque;
use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::hold::Hold;
use super::outcome::{Activity, Outcome};
use super::witness::Witness;
use crate::domain::{Ending, Exit};
use crate::ssh::{Channel, ChannelEvent, ChannelRequest, STDERR};

/// The order to end, with its cause and what to tell the client. Nothing until it is given.
pub type Stop = watch::Receiver<Option<(Ending, &'static str)>>;

/// How long a client may take to read the last sentence.
const FAREWELL: Duration = Duration::from_secs(1);
/// Client requests that wait for the target's reply; more are not read until it answers.
const REPLIES_MAX: usize = 64;
/// What a client may ask of a running program. Forwarding and a second start are not among it.
const PASSED_ON: [&str; 5] = ["window-change", "signal", "break", "xon-xoff", "eow@openssh.com"];
/// How long the target may take to say how a program ended whose channel the client has closed.
const LINGER: Duration = Duration::from_secs(5);
const TARGET_CUT_OFF: &str = "the connection to the target broke; the program's fate there is unknown.";

/// Relays until either side closes, or the order to end comes. Both channels are closed then, but for a
/// client's that is only lent. The witness, where there is one, sees everything before it is passed on, and may end
/// it all.
pub async fn run(
    client: &Channel,
    target: &Channel,
    activity: &Activity,
    mut stop: Stop,
    hold: Hold<'_>,
    witness: Option<&dyn Witness>,
) -> Outcome {
    if witness.is_some() {
        client.gather();
        target.gather();
    }
    let counted = Counted::default();
    let exit = Mutex::new(None);
    let watched = Watched { activity, hold, witness };
    let mut answers = VecDeque::new();
    let ending = {
        let mut to_target = pin!(to_target(client, target, &counted.to_target, watched));
        let requests = pin!(requests(client, target, watched, &mut answers));
        let to_client = pin!(to_client(client, target, &counted.to_client, &exit, watched));
        let ordered = pin!(ordered(&mut stop));
        let broken = pin!(broken(witness));
        let (ending, all_passed_on) = tokio::select! {
            biased;
            ending = to_client => (ending, false),
            ending = &mut to_target => (ending, true),
            ending = requests => (ending, false),
            (ending, sentence) = ordered => {
                farewell(client, sentence, hold).await;
                (ending, true)
            }
            (ending, sentence) = broken => {
                farewell(client, sentence, hold).await;
                (ending, true)
            }
        };
        if ending == Ending::ClientLeft && !all_passed_on && !client.is_cut_off() {
            // What the client wrote before its CLOSE still reaches the program, as it would without us.
            let passing_on = async {
                tokio::select! {
                    _ = to_target => {}
                    () = last_words(client, target, &exit, hold) => {}
                }
            };
            // A program that does not read it in time is none of this client's concern.
            let _in_time = tokio::time::timeout(LINGER, passing_on).await;
        }
        ending
    };
    if ending == Ending::ClientLeft && !client.is_cut_off() {
        // As without us: the client's CLOSE reaches the target, and how the program ended the client.
        target.close();
        // A program that does not end in time is none of this client's concern.
        let _in_time = tokio::time::timeout(LINGER, last_words(client, target, &exit, hold)).await;
    }
    if ending == Ending::TargetLeft && target.is_cut_off() {
        farewell(client, TARGET_CUT_OFF, hold).await;
    }
    target.close();
    if hold.is_whole() {
        client.close();
    } else {
        // Whoever uses the channel next must not be taken for the answer.
        answers.into_iter().for_each(|_| client.reply(false));
    }
    let exit = exit.into_inner().unwrap_or_else(PoisonError::into_inner);
    let by_itself = matches!(ending, Ending::TargetLeft | Ending::ClientLeft);
    let ending = if exit.is_some() && by_itself { Ending::Finished } else { ending };
    Outcome {
        exit,
        bytes_to_target: counted.to_target.into_inner(),
        bytes_to_client: counted.to_client.into_inner(),
        ending,
    }
}

#[derive(Debug, Default)]
struct Counted {
    to_target: AtomicU64,
    to_client: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

async fn ordered(stop: &mut Stop) -> (Ending, &'static str) {
    match stop.wait_for(Option::is_some).await.map(|order| *order) {
        Ok(Some(order)) => order,
        // Nobody is left who could give the order.
        Ok(None) | Err(_) => pending().await,
    }
}

async fn broken(witness: Option<&dyn Witness>) -> (Ending, &'static str) {
    match witness {
        Some(witness) => witness.broken().await,
        None => pending().await,
    }
}

/// Who is told of what goes past.
#[derive(Clone, Copy)]
struct Watched<'r> {
    activity: &'r Activity,
    hold: Hold<'r>,
    witness: Option<&'r dyn Witness>,
}

impl Watched<'_> {
    async fn to_target(self, data: &[u8]) {
        let Some(witness) = self.witness else { return };
        if !witness.target_ready() {
            witness.wait_target().await;
        }
        witness.to_target(data);
    }

    async fn to_client(self, data: &[u8], stderr: bool) {
        let Some(witness) = self.witness else { return };
        if !witness.client_ready() {
            witness.wait_client().await;
        }
        if stderr {
            witness.stderr_to_client(data);
        } else {
            witness.to_client(data);
        }
    }

    /// RFC 4254 §6.7: columns and rows come first.
    fn window(self, payload: &Bytes) {
        self.hold.note_window(payload);
        let number = |bytes: &[u8; 4]| u32::from_be_bytes(*bytes);
        let Some((columns, rest)) = payload.split_first_chunk::<4>() else { return };
        if let (Some(witness), Some(rows)) = (self.witness, rest.first_chunk::<4>()) {
            witness.window(number(columns), number(rows));
        }
    }
}

/// Says why it is over, unless whoever lent the channel will.
async fn farewell(client: &Channel, sentence: &str, hold: Hold<'_>) {
    if !hold.is_whole() {
        return;
    }
    let text = Bytes::from(format!("\r\ndrawbridge: {sentence}\r\n"));
    // A client that does not read will not read this either.
    let _read = tokio::time::timeout(FAREWELL, client.write_extended(STDERR, text)).await;
    client.exit_status(255);
}

/// Ends only when the client closes. A target that reads no more ends the other direction.
async fn to_target(client: &Channel, target: &Channel, counter: &AtomicU64, watched: Watched<'_>) -> Ending {
    let mut first = Some(watched.hold.typed_ahead())
        .filter(|typed| !typed.is_empty())
        .map(|typed| ChannelEvent::Data(typed.into()));
    loop {
        let event = match first.take() {
            Some(typed) => typed,
            None => match client.recv_data().await {
                Some(event) => event,
                None => return Ending::ClientLeft,
            },
        };
        match event {
            ChannelEvent::Data(data) => {
                let count = data.len();
                watched.to_target(&data).await;
                if target.write(data).await.is_err() {
                    // The program reads no more: what it still says and how it ends is what counts.
                    return client_closed(client).await;
                }
                add(counter, count);
                watched.activity.add_to_target(count);
            }
            ChannelEvent::Eof => {
                watched.hold.note_eof();
                target.eof();
            }
            ChannelEvent::Extended(..) | ChannelEvent::Request(_) => {}
        }
    }
}

async fn client_closed(client: &Channel) -> Ending {
    client.closed().await;
    Ending::ClientLeft
}

/// Ends when the target has closed and everything it said has been passed on.
async fn to_client(
    client: &Channel,
    target: &Channel,
    counter: &AtomicU64,
    exit: &Mutex<Option<Exit>>,
    watched: Watched<'_>,
) -> Ending {
    let hold = watched.hold;
    while let Some(event) = target.recv().await {
        let written = match event {
            ChannelEvent::Data(data) => {
                let count = data.len();
                watched.to_client(&data, false).await;
                client.write(data).await.map(|()| count)
            }
            ChannelEvent::Extended(kind, data) => {
                let count = data.len();
                watched.to_client(&data, true).await;
                client.write_extended(kind, data).await.map(|()| count)
            }
            ChannelEvent::Eof => {
                if hold.is_whole() {
                    client.eof();
                }
                Ok(0)
            }
            ChannelEvent::Request(request) => {
                take_exit(&request, exit);
                from_target(client, target, &request, hold).await;
                Ok(0)
            }
        };
        match written {
            Ok(0) => {}
            Ok(count) => {
                add(counter, count);
                watched.activity.add_to_client(count);
            }
            Err(_closed) => return Ending::ClientLeft,
        }
    }
    Ending::TargetLeft
}

/// The client has closed its channel: only how the program ended still matters to it.
async fn last_words(client: &Channel, target: &Channel, exit: &Mutex<Option<Exit>>, hold: Hold<'_>) {
    while let Some(event) = target.recv().await {
        if let ChannelEvent::Request(request) = event {
            take_exit(&request, exit);
            from_target(client, target, &request, hold).await;
        }
    }
}

fn take_exit(request: &ChannelRequest, exit: &Mutex<Option<Exit>>) {
    if let Some(how) = read_exit(request) {
        *exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }
}

/// A target says how the program ended, or that it reads no more (`eow@openssh.com`); it asks nothing.
async fn from_target(client: &Channel, target: &Channel, request: &ChannelRequest, hold: Hold<'_>) {
    if request.want_reply {
        target.room().await;
        target.reply(false);
        return;
    }
    if hold.lets_through(&request.name) {
        client.room().await;
        drop(client.request(&request.name, false, &request.payload));
    }
}

/// RFC 4254 §6.10.
fn read_exit(request: &ChannelRequest) -> Option<Exit> {
    match request.name.as_str() {
        "exit-status" => {
            let code = request.payload.first_chunk::<4>()?;
            Some(Exit::Status { code: u32::from_be_bytes(*code) })
        }
        "exit-signal" => {
            let (length, rest) = request.payload.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (name, rest) = rest.split_at_checked(length)?;
            let name = String::from_utf8_lossy(name.get(..length.min(64))?).into_owned();
            Some(Exit::Signal { name, core_dumped: rest.first().is_some_and(|flag| *flag != 0) })
        }
        _ => None,
    }
}

/// Passes on what a client may ask of a running program, and its answers in order (RFC 4254 §5.4).
/// Ends only when the client closes. What cannot be passed on waits in the client's channel, which is bounded.
async fn requests(
    client: &Channel,
    target: &Channel,
    watched: Watched<'_>,
    answers: &mut VecDeque<oneshot::Receiver<bool>>,
) -> Ending {
    loop {
        let full = answers.len() >= REPLIES_MAX;
        tokio::select! {
            biased;
            answer = next_answer(answers) => client.reply(answer),
            request = client.recv_request(), if !full => {
                let Some(request) = request else { return Ending::ClientLeft };
                if request.name == "window-change" {
                    watched.window(&request.payload);
                }
                if let Some(answer) = pass_on(client, target, &request).await {
                    answers.push_back(answer);
                }
            }
            () = client.closed(), if full => return Ending::ClientLeft,
        }
    }
}

/// Passes on one request, or refuses it; the answer, where one is wanted.
async fn pass_on(
    client: &Channel,
    target: &Channel,
    request: &ChannelRequest,
) -> Option<oneshot::Receiver<bool>> {
    let answer = if PASSED_ON.contains(&request.name.as_str()) {
        tokio::select! {
            () = target.room() => {}
            () = client.closed() => return None,
        }
        target.request(&request.name, request.want_reply, &request.payload)
    } else {
        let (refused, answer) = oneshot::channel();
        // The receiver is in our hands.
        let _kept = refused.send(false);
        answer
    };
    request.want_reply.then_some(answer)
}

async fn next_answer(answers: &mut VecDeque<oneshot::Receiver<bool>>) -> bool {
    let Some(front) = answers.front_mut() else { return pending().await };
    let answer = front.await.unwrap_or(false);
    answers.pop_front();
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::testing::connected;
    use crate::ssh::{ChannelKind, Connection, ConnectionEvent};

    fn request(name: &str, payload: &'static [u8]) -> ChannelRequest {
        ChannelRequest { name: name.to_owned(), want_reply: false, payload: Bytes::from_static(payload) }
    }

    /// Lets nothing to the client until it is told to, and ends everything when it is told that.
    #[derive(Default)]
    struct Guard {
        seen: Mutex<Vec<(&'static str, Vec<u8>)>>,
        open: tokio::sync::SetOnce<()>,
        broken: tokio::sync::SetOnce<()>,
    }

    impl Guard {
        fn saw(&self, what: &'static str, data: &[u8]) {
            self.seen.lock().expect("not poisoned").push((what, data.to_vec()));
        }
    }

    impl Witness for Guard {
        fn to_target(&self, data: &[u8]) {
            self.saw("in", data);
        }

        fn to_client(&self, data: &[u8]) {
            self.saw("out", data);
        }

        fn stderr_to_client(&self, data: &[u8]) {
            self.saw("err", data);
        }

        fn window(&self, columns: u32, rows: u32) {
            self.saw("size", format!("{columns}x{rows}").as_bytes());
        }

        fn target_ready(&self) -> bool {
            true
        }

        fn client_ready(&self) -> bool {
            self.open.initialized()
        }

        fn wait_target(&self) -> crate::tasks::BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }

        fn wait_client(&self) -> crate::tasks::BoxFuture<'_, ()> {
            Box::pin(async {
                self.open.wait().await;
            })
        }

        fn broken(&self) -> crate::tasks::BoxFuture<'_, (Ending, &'static str)> {
            Box::pin(async {
                self.broken.wait().await;
                (Ending::RecordingFailed, "it broke.")
            })
        }
    }

    async fn channel(opener: &Connection, acceptor: &Connection) -> (Channel, Channel) {
        let accepted = async {
            let Ok(ConnectionEvent::Open(open)) = acceptor.next().await else {
                panic!("a channel is opened")
            };
            open.accept()
        };
        let (opened, accepted) = tokio::join!(opener.open(&ChannelKind::Session), accepted);
        (opened.expect("opened"), accepted)
    }

    #[tokio::test]
    async fn a_witness_sees_all_holds_up_its_direction_only_and_can_end_it() {
        let (client_end, ours_to_client) = connected().await;
        let (ours_to_target, target_end) = connected().await;
        let (client, near_client) = channel(&client_end, &ours_to_client).await;
        let (near_target, target) = channel(&ours_to_target, &target_end).await;
        let guard = std::sync::Arc::new(Guard::default());
        let relay = tokio::spawn({
            let guard = std::sync::Arc::clone(&guard);
            async move {
                let (_order, stop) = watch::channel(None);
                let activity = Activity::default();
                run(&near_client, &near_target, &activity, stop, Hold::Whole, Some(&*guard)).await
            }
        });
        target.write(Bytes::from_static(b"held back")).await.expect("written");
        client.write(Bytes::from_static(b"typed")).await.expect("written");
        assert_eq!(target.recv().await, Some(ChannelEvent::Data(Bytes::from_static(b"typed").into())));
        let size = [0, 0, 0, 132, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 0];
        drop(client.request("window-change", false, &size));
        assert!(matches!(target.recv().await, Some(ChannelEvent::Request(_))));
        assert!(guard.seen.lock().expect("not poisoned").iter().all(|(what, _)| *what != "out"));
        guard.open.set(()).expect("once");
        assert_eq!(client.recv().await, Some(ChannelEvent::Data(Bytes::from_static(b"held back").into())));
        target.write_extended(STDERR, Bytes::from_static(b"amiss")).await.expect("written");
        assert!(matches!(client.recv().await, Some(ChannelEvent::Extended(STDERR, _))));
        let seen = guard.seen.lock().expect("not poisoned").clone();
        let expected: [(_, &[u8]); 4] =
            [("in", b"typed"), ("size", b"132x40"), ("out", b"held back"), ("err", b"amiss")];
        assert_eq!(seen, expected.map(|(what, data)| (what, data.to_vec())));
        guard.broken.set(()).expect("once");
        let Some(ChannelEvent::Extended(STDERR, said)) = client.recv().await else {
            panic!("it is told why")
        };
        assert_eq!(&*said, b"\r\ndrawbridge: it broke.\r\n");
        assert_eq!(relay.await.expect("no panic").ending, Ending::RecordingFailed);
    }

    #[test]
    fn exits_are_read_and_nonsense_is_passed_over() {
        assert_eq!(read_exit(&request("exit-status", &[0, 0, 0, 37])), Some(Exit::Status { code: 37 }));
        let signal = request("exit-signal", b"\0\0\0\x04TERM\x01\0\0\0\0\0\0\0\0");
        let term = Exit::Signal { name: "TERM".to_owned(), core_dumped: true };
        assert_eq!(read_exit(&signal), Some(term));
        assert_eq!(read_exit(&request("exit-signal", b"\xff\xff\xff\xffTERM")), None);
        assert_eq!(read_exit(&request("exit-status", b"\0")), None);
        assert_eq!(read_exit(&request("eow@openssh.com", b"")), None);
    }
}
