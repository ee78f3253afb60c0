//! `ssh bastion` on a terminal: the menu on the client's channel, and sessions in place.
//!
//! The terminal is the menu's or a session's, never both: it is given back before a session starts and taken
//! again when it has ended on record. A choice goes the way of a name that was typed: resolved, decided and told to
//! the audit by the same code.
//!
//! What is not here: what the menu looks like and what keys mean (`crate::menu`), and who may reach what (`policy`).

mod browse;
mod listing;
mod pen;
#[cfg(test)]
mod tests;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::entrance::Guest;
use super::prelude::{Prelude, string};
use super::story::Story;
use super::visit::{Errand, Visit};
use super::{Services, program, resolve, sentences};
use crate::audit::Way;
use crate::domain::{Ending, Login, Target};
use crate::menu::{Keys, Look, Menu, Screen};
use crate::relay::{Loan, Outcome};
use crate::ssh::{Channel, ChannelEvent, Opener};

/// How long a client may take to read the last words.
const FAREWELL: Duration = Duration::from_secs(2);
/// What the fields of a `window-change` take (RFC 4254 §6.7): columns, rows, and both in pixels.
const WINDOW_BYTES: usize = 16;

/// How the terminal of that prelude is to be drawn on; nothing where there is none that a menu fits on.
pub(super) fn look(prelude: &Prelude) -> Option<Look> {
    let (_, pty) = prelude.pty.as_ref()?;
    let variables = prelude.environment.iter().filter_map(|fields| variable(fields));
    Look::of(pty.term.as_str(), Look::is_utf8(variables))
}

/// The fields of an `env` request.
fn variable(fields: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = string(fields)?;
    let (value, _) = string(rest)?;
    Some((name, value))
}

/// Shows the menu until the client leaves, and closes the channel. `prelude` asks for a shell on a terminal
/// that [`look`] approves of.
pub(super) async fn serve(
    services: &Arc<Services>,
    story: &Story,
    guest: &Arc<Guest>,
    opener: &Opener,
    client: &Channel,
    prelude: &Prelude,
    look: Look,
) {
    if prelude.start.want_reply {
        client.reply(true);
    }
    let (columns, rows) = prelude.pty.as_ref().map_or((0, 0), |(_, pty)| (pty.columns, pty.rows));
    let mut host = Host {
        services,
        story,
        guest,
        opener,
        client,
        prelude,
        window: None,
        menu: Menu::new(guest.identity.user.as_str()),
        screen: Screen::new(look, columns, rows),
        keys: Keys::default(),
        input: Bytes::new(),
    };
    loop {
        let mut parting = host.browse().await;
        if let Parting::For(target, login) = parting {
            match host.visit(&target, login).await {
                Some(after) => parting = after,
                None => continue,
            }
        }
        return host.part(&parting).await;
    }
}

/// How the menu was left.
#[derive(Debug)]
enum Parting {
    /// For a session.
    For(Arc<Target>, Login),
    /// The client has closed the channel, or the connection is over.
    Gone,
    /// As its user wanted.
    Wanted,
    /// For a reason that its user is told.
    Because(&'static str),
}

/// Whether the client may still write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Open,
    Over,
}

/// The menu on one channel.
struct Host<'h> {
    services: &'h Arc<Services>,
    story: &'h Story,
    guest: &'h Arc<Guest>,
    /// Opens channels towards the client, for what a target forwards.
    opener: &'h Opener,
    client: &'h Channel,
    prelude: &'h Prelude,
    /// The fields of the latest `window-change`.
    window: Option<Bytes>,
    menu: Menu,
    screen: Screen,
    keys: Keys,
    /// What was read from the channel and not yet used.
    input: Bytes,
}

impl Host<'_> {
    /// One session. Nothing when the menu goes on.
    async fn visit(&mut self, target: &Target, login: Login) -> Option<Parting> {
        let name = printable(target.display_name());
        let line = format!("drawbridge: connecting to {name} as {}...\r\n", printable(login.as_str()));
        let given_back = BytesMut::from_iter(self.screen.leave().into_iter().chain(line.into_bytes()));
        tokio::select! {
            written = self.client.write(given_back.freeze()) => if written.is_err() { return Some(Parting::Gone) },
            () = self.services.tasks.token().cancelled() => return Some(Parting::Because(sentences::SHUTTING_DOWN)),
            () = self.guest.withdrawn.cancelled() => return Some(Parting::Because(sentences::WITHDRAWN)),
        }
        // A session may last for days.
        self.menu.forget_list();
        let loan = Loan::new(std::mem::take(&mut self.input));
        let result = self.run(target, login, &loan).await;
        if let Some(window) = loan.window() {
            self.resize(window);
        }
        if self.client.is_closed() {
            return Some(Parting::Gone);
        }
        if self.forget_input().await == Input::Over || loan.client_eof() {
            return Some(Parting::Wanted);
        }
        match result.map(|outcome| said_about(&outcome)) {
            Ok(Some(sentences::SHUTTING_DOWN)) => return Some(Parting::Because(sentences::SHUTTING_DOWN)),
            Ok(Some(sentence)) => self.menu.say(sentence),
            Ok(None) => {}
            // A notice is one paragraph.
            Err(told) => self.menu.say(told.replace('\n', " ")),
        }
        None
    }

    /// The same steps as for a name that was typed, by the id: the record and the answers are the same.
    async fn run(&self, target: &Target, login: Login, loan: &Loan) -> Result<Outcome, String> {
        let (services, id) = (self.services, target.id.as_str());
        let target = resolve::resolve(services, self.story, self.guest, id, Way::Console).await?;
        let errand = Errand {
            story: self.story.clone(),
            guest: Arc::clone(self.guest),
            target,
            login,
            way: Way::Console,
            client: self.opener.clone(),
            found_at: services.clock.now(),
        };
        let visit = Visit::new(services, errand);
        let result = program::serve_in_place(&visit, self.client, &self.prelude_of_shell(), loan).await;
        visit.end().await;
        result
    }

    /// What the client asked for, with the size that its terminal has by now.
    fn prelude_of_shell(&self) -> Prelude {
        let mut prelude = self.prelude.for_a_shell();
        if let Some(window) = &self.window {
            prelude.resize(window);
        }
        prelude
    }

    /// Takes the fields of a `window-change`. False when they are none.
    fn resize(&mut self, window: Bytes) -> bool {
        let Some((columns, rows)) = columns_and_rows(&window) else { return false };
        self.screen.resize(columns, rows);
        self.window = Some(window);
        true
    }

    /// Whatever was typed for a session that is over, or never was, is not for the menu: an Enter among it would
    /// open the next one.
    async fn forget_input(&mut self) -> Input {
        self.input.clear();
        self.keys = Keys::default();
        loop {
            let event = tokio::select! {
                biased;
                event = self.client.recv_data() => event,
                () = ready(()) => return Input::Open,
            };
            match event {
                Some(ChannelEvent::Data(_) | ChannelEvent::Extended(..) | ChannelEvent::Request(_)) => {}
                Some(ChannelEvent::Eof) | None => return Input::Over,
            }
        }
    }

    async fn part(&mut self, parting: &Parting) {
        let (sentence, code) = match parting {
            Parting::Gone => return self.client.close(),
            Parting::Wanted | Parting::For(..) => (None, 0),
            Parting::Because(sentence) => (Some(sentence), 255),
        };
        let mut last = BytesMut::from(self.screen.leave().as_ref());
        if let Some(sentence) = sentence {
            last.put_slice(format!("drawbridge: {sentence}\r\n").as_bytes());
        }
        let client = self.client;
        let read = async {
            // A client that has gone needs no word.
            let _written = client.write(last.freeze()).await;
            client.exit_status(code);
            client.eof();
            client.close();
            // OpenSSH's client closes after it has printed everything, and prints nothing more once the
            // connection ends.
            client.closed().await;
        };
        // A client that does not read will not read this either.
        let _in_time = tokio::time::timeout(FAREWELL, read).await;
        client.close();
    }
}

/// What is worth saying about how a session ended.
fn said_about(outcome: &Outcome) -> Option<&'static str> {
    match outcome.ending {
        Ending::Finished | Ending::ClientLeft => None,
        Ending::MaxSession => Some(sentences::MAX_SESSION),
        Ending::Idle => Some(sentences::IDLE),
        Ending::ShuttingDown => Some(sentences::SHUTTING_DOWN),
        Ending::AuditUnavailable => Some(sentences::AUDIT_UNAVAILABLE),
        Ending::Killed => Some(sentences::KILLED),
        Ending::PermissionEnded => Some(sentences::PERMISSION_ENDED),
        Ending::TargetReplaced => Some(sentences::TARGET_REPLACED),
        Ending::RecordingFailed => Some(sentences::RECORDING_FAILED),
        Ending::TargetLeft
        | Ending::Interrupted
        | Ending::Refused
        | Ending::UpstreamFailed
        | Ending::ProtocolError
        | Ending::InternalFault => Some(sentences::TARGET_LEFT),
    }
}

fn columns_and_rows(window: &[u8]) -> Option<(u32, u32)> {
    let (columns, rest) = window.split_first_chunk::<4>()?;
    let rows = rest.first_chunk::<4>()?;
    (window.len() == WINDOW_BYTES).then(|| (u32::from_be_bytes(*columns), u32::from_be_bytes(*rows)))
}

fn printable(text: &str) -> String {
    text.chars().take(64).map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}
