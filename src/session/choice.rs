//! Which login? Asked on the client's terminal, in plain text, before anything is started.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::entrance::Guest;
use super::prelude::Prelude;
use super::resolve::{self, Logins};
use super::{Services, sentences};
use crate::console::shown;
use crate::domain::{Login, Target};
use crate::ssh::{Channel, ChannelEvent};

/// How long somebody may think about it.
const CHOICE: Duration = Duration::from_mins(2);
/// How many answers that are none are put up with.
const TRIES_MAX: u32 = 5;
/// The most digits of an answer.
const DIGITS_MAX: usize = 3;

/// The login for a channel: the one that was named, the only one, or the one that is chosen on its terminal. The error
/// is a sentence, which names the choices where there is no terminal.
pub(super) async fn login(
    services: &Services,
    guest: &Guest,
    target: &Arc<Target>,
    typed: Option<&str>,
    channel: &Channel,
    prelude: &mut Prelude,
) -> Result<Login, String> {
    if typed.is_some() {
        return resolve::login(services, guest, target, typed);
    }
    let choices = match resolve::logins(services, guest, target)? {
        Logins::One(login) => return Ok(login),
        Logins::Several(choices) => choices,
    };
    if prelude.pty.is_none() {
        return Err(sentences::several_logins(target, &choices));
    }
    let asking = tokio::time::timeout(CHOICE, ask(channel, prelude, target, &choices));
    let chosen = tokio::select! {
        chosen = asking => chosen.ok().flatten(),
        () = services.tasks.token().cancelled() => return Err(sentences::SHUTTING_DOWN.to_owned()),
        () = guest.withdrawn.cancelled() => return Err(sentences::WITHDRAWN.to_owned()),
    };
    chosen.ok_or_else(|| sentences::NOTHING_CHOSEN.to_owned())
}

/// Asks until there is an answer; nothing when there is none. What is typed after the answer, ahead of the program, is
/// dropped: it was meant for a machine that was not there yet.
async fn ask(channel: &Channel, prelude: &mut Prelude, target: &Target, choices: &[Login]) -> Option<Login> {
    // A client that waits to hear that its program has started would not show the question.
    if std::mem::take(&mut prelude.start.want_reply) {
        channel.reply(true);
    }
    channel.write(Bytes::from(question(target, choices))).await.ok()?;
    let mut line = Line::default();
    for _ in 0..TRIES_MAX {
        let number = loop {
            match channel.recv().await? {
                ChannelEvent::Data(data) => {
                    let (echo, step) = line.feed(&data);
                    channel.write(Bytes::from(echo)).await.ok()?;
                    match step {
                        Step::Going => {}
                        Step::Entered(number) => break number,
                        Step::Cancelled => return None,
                    }
                }
                ChannelEvent::Request(request) => {
                    if request.name == "window-change" {
                        prelude.resize(&request.payload);
                    }
                    if request.want_reply {
                        channel.reply(false);
                    }
                }
                ChannelEvent::Eof => return None,
                ChannelEvent::Extended(..) => {}
            }
        };
        if let Some(login) = number.checked_sub(1).and_then(|index| choices.get(index)) {
            return Some(login.clone());
        }
        let again = format!("There is no number {number}. {PROMPT}");
        channel.write(Bytes::from(again)).await.ok()?;
    }
    None
}

const PROMPT: &str = "Which one? [1] ";

fn question(target: &Target, choices: &[Login]) -> String {
    let name = shown(target.display_name());
    let mut text = format!("{name} has several logins for you (q to leave):\r\n");
    for (login, number) in choices.iter().zip(1..) {
        text.push_str(&format!("  {number}) {login}\r\n"));
    }
    text + PROMPT
}

/// A line of at most [`DIGITS_MAX`] digits, being typed on a terminal that echoes nothing by itself.
#[derive(Debug, Default)]
struct Line {
    digits: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Going,
    /// The number that was entered; the first where there was none.
    Entered(usize),
    Cancelled,
}

impl Line {
    /// Takes what was typed; answers what the terminal shows, and what has come of it.
    fn feed(&mut self, typed: &[u8]) -> (String, Step) {
        let mut echo = String::new();
        for byte in typed {
            match byte {
                b'0'..=b'9' if self.digits.len() < DIGITS_MAX => {
                    self.digits.push(char::from(*byte));
                    echo.push(char::from(*byte));
                }
                // Backspace sends either, as the terminal is set.
                0x08 | 0x7f if self.digits.pop().is_some() => echo.push_str("\x08 \x08"),
                b'\r' | b'\n' => {
                    echo.push_str("\r\n");
                    let digits = std::mem::take(&mut self.digits);
                    let number = if digits.is_empty() { 1 } else { digits.parse().unwrap_or_default() };
                    return (echo, Step::Entered(number));
                }
                // Ctrl-C, Ctrl-D.
                b'q' | b'Q' | 0x03 | 0x04 => return (echo, Step::Cancelled),
                _ => {}
            }
        }
        (echo, Step::Going)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::testing::target;

    fn typed(pieces: &[&str]) -> (String, Step) {
        let mut line = Line::default();
        let mut shown = String::new();
        for piece in pieces {
            let (echo, step) = line.feed(piece.as_bytes());
            shown.push_str(&echo);
            if step != Step::Going {
                return (shown, step);
            }
        }
        (shown, Step::Going)
    }

    #[test]
    fn the_question() {
        let logins = ["ec2-user", "ubuntu"].map(|login| Login::parse(login).expect("a login"));
        insta::assert_snapshot!(question(&target("web\u{1b}[2J", 1), &logins).replace('\r', "␍"));
    }

    #[test]
    fn an_answer_is_a_number_or_nothing() {
        assert_eq!(typed(&["\r"]), ("\r\n".to_owned(), Step::Entered(1)));
        assert_eq!(typed(&["2", "\n"]), ("2\r\n".to_owned(), Step::Entered(2)));
        assert_eq!(typed(&["1\x7f\x7f2\r"]), ("1\x08 \x082\r\n".to_owned(), Step::Entered(2)));
        assert_eq!(typed(&["0\r"]).1, Step::Entered(0));
        assert_eq!(typed(&["\x1b[2J2\r"]), ("22\r\n".to_owned(), Step::Entered(22)));
        assert_eq!(typed(&["1", "x"]).1, Step::Going);
        for cancel in ["q", "1q", "\x03", "\x04"] {
            assert_eq!(typed(&[cancel]).1, Step::Cancelled, "{cancel:?}");
        }
    }

    #[test]
    fn a_paste_of_a_megabyte_is_at_most_three_digits() {
        let (shown, step) = typed(&[&"9".repeat(1 << 20), "\r"]);
        assert_eq!((shown.as_str(), step), ("999\r\n", Step::Entered(999)));
    }
}
