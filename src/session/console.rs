//! `ssh bastion`: drawbridge itself answers. Commands are `console`'s; a word that is none is a target.

mod perform;

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::timeout;

use super::entrance::{self, Guest};
use super::limits::Tightening;
use super::prelude::{self, Prelude};
use super::standing::{Claim, Claimed, Role};
use super::story::Story;
use super::visit::{Errand, Visit};
use super::{Services, addressing, choice, menu, program, resolve, sentences};
use crate::audit::{CommandLine, Event, Text, Way};
use crate::console::{self, Answer, Clinic, Desk, Live, Probe, Size, Verdict};
use crate::domain::{Action, Identity};
use crate::policy::{Limits, Permit};
use crate::ssh::{Channel, Closed, Opener, STDERR};

/// How much of an answer is written at a time.
const BATCH: usize = 32 * 1024;

/// Serves one session channel that is for nobody but drawbridge; `why` says what is wrong with where it was to go.
pub(super) async fn serve(
    services: &Arc<Services>,
    story: &Story,
    guest: &Arc<Guest>,
    client: &Opener,
    why: Option<String>,
    channel: Channel,
) {
    let Some(prelude) = read(services, guest, &channel).await else { return };
    if let Some(sentence) = why {
        return program::deny(&channel, &prelude, &sentence).await;
    }
    let reception = Reception { services, story, guest, client };
    match (&prelude.action, prelude.command_line()) {
        (Action::Exec { .. }, Some(line)) => reception.line(channel, &prelude, line).await,
        (Action::Shell, _) if prelude.pty.is_some() => reception.open_menu(channel, &prelude).await,
        (Action::Shell, _) => reception.command(channel, &prelude, b"").await,
        _ => program::deny(&channel, &prelude, sentences::NO_SUBSYSTEM).await,
    }
}

/// What is asked of a channel, within the time for it.
pub(super) async fn read(services: &Services, guest: &Guest, channel: &Channel) -> Option<Prelude> {
    let asking = prelude::read(channel, guest.extensions.permit_pty);
    tokio::time::timeout(services.settings.login_grace, asking).await.ok().flatten()
}

/// One guest at the bastion itself.
#[derive(Debug, Clone, Copy)]
struct Reception<'a> {
    services: &'a Arc<Services>,
    story: &'a Story,
    guest: &'a Arc<Guest>,
    /// Opens channels towards the client, for what a target forwards.
    client: &'a Opener,
}

impl Reception<'_> {
    /// `ssh bastion` on a terminal: the menu, where the terminal can show one, else the help.
    async fn open_menu(self, channel: Channel, prelude: &Prelude) {
        let Self { services, story, guest, client } = self;
        match menu::look(prelude) {
            Some(look) => menu::serve(services, story, guest, client, &channel, prelude, look).await,
            None => self.command(channel, prelude, b"").await,
        }
    }

    /// A command, or a target and what to do there. A word that is both is a command.
    async fn line(self, channel: Channel, prelude: &Prelude, line: &[u8]) {
        let (word, rest) = first_word(line);
        let word = String::from_utf8_lossy(word);
        if word.is_empty() || console::is_command(&word) {
            self.command(channel, prelude, line).await;
        } else {
            self.visit(channel, prelude, &word, rest).await;
        }
    }

    /// Answers a command, on record. An empty one stands for a shell, which there is not.
    async fn command(self, channel: Channel, prelude: &Prelude, line: &[u8]) {
        for requested in &prelude.declined {
            let (requested, reason) = (Text::from(requested.as_str()), Text::from("not-carried"));
            // It does not happen in any case.
            let _on_record = self.story.tell(Event::ChannelRefused { requested, reason }).await;
        }
        let Ok(identity) = self.guest.as_of_now(self.services) else {
            let sentence = entrance::withdrawn(self.story, &prelude.start.name).await;
            return program::deny(&channel, prelude, &sentence).await;
        };
        let answer = self.answer(identity, line).await;
        let event = Event::ConsoleCommand {
            user: self.guest.identity.user.clone(),
            client_addr: self.guest.identity.client_addr,
            command: CommandLine::from_bytes(line),
            exit_status: answer.verdict.code().into(),
        };
        if self.story.record(event).await.is_err() {
            return program::deny(&channel, prelude, sentences::AUDIT_UNAVAILABLE).await;
        }
        if prelude.start.want_reply {
            channel.reply(true);
        }
        let claim = answer.live.as_ref().and_then(Live::permit).map(|permit| self.claim(permit));
        let order = self.ordered(claim.as_ref());
        if let Err(closed) = deliver(&channel, perform::size(prelude), answer, order).await {
            tracing::debug!(%closed, "a client left before it had its answer");
        }
    }

    /// What is given while a permit holds, and no longer.
    fn claim(self, permit: &Permit) -> Claim {
        let limits = Tightening::new(Limits::default());
        let claimed = Claimed::Work(permit.clone());
        self.services.standing.claim(self.guest, self.story, claimed, Role::Session, &limits)
    }

    /// Waits until an answer has to end before its time; says why.
    async fn ordered(self, claim: Option<&Claim>) -> &'static str {
        let permission = async {
            match claim {
                Some(claim) => claim.ended().await.1,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.services.tasks.token().cancelled() => sentences::SHUTTING_DOWN,
            () = self.guest.withdrawn.cancelled() => sentences::WITHDRAWN,
            sentence = permission => sentence,
        }
    }

    async fn answer(self, identity: Arc<Identity>, line: &[u8]) -> Answer {
        if line.is_empty() {
            return Answer { verdict: Verdict::No, ..Answer::text(console::help()) };
        }
        let command = match console::parse(&String::from_utf8_lossy(line)) {
            Ok(command) => command,
            Err(answer) => return answer,
        };
        let services = self.services;
        let desk = Desk {
            identity,
            policy: services.policy.current(),
            inventory: services.inventory.clone(),
            now: services.clock.now(),
            address: services.address.clone().unwrap_or_else(|| self.guest.peer.listener.into()),
            host_ca: services.host_ca.public_line(),
            archive: services.archive.clone(),
            clinic: Some(Clinic {
                surveyor: Arc::clone(&services.surveyor),
                probe: Probe::With(services.connector.clone()),
                patience: services.diagnosis_patience,
                ledger: Arc::new(self.story.clone()),
            }),
        };
        desk.answer(command).await
    }

    /// `ssh bastion [LOGIN@]TARGET [COMMAND]`: as if the target had been named in the user name.
    async fn visit(self, channel: Channel, prelude: &Prelude, word: &str, command: &[u8]) {
        let Self { services, story, guest, client } = self;
        // Whoever asked hears it here: a question about the login may come before the program starts.
        if prelude.start.want_reply {
            channel.reply(true);
        }
        let mut prelude =
            if command.is_empty() { prelude.for_a_shell() } else { prelude.for_a_command(command) };
        let (login, typed) = addressing::read_word(word);
        let target = match resolve::resolve(services, story, guest, typed, Way::Console).await {
            Ok(target) => target,
            Err(sentence) => {
                let sentence = format!("{sentence}\n{}", sentences::COMMANDS);
                return program::deny(&channel, &prelude, &sentence).await;
            }
        };
        let login = match choice::login(services, guest, &target, login, &channel, &mut prelude).await {
            Ok(login) => login,
            Err(sentence) => return program::deny(&channel, &prelude, &sentence).await,
        };
        let (story, guest, client) = (story.clone(), Arc::clone(guest), client.clone());
        let found_at = services.clock.now();
        let errand = Errand { story, guest, target, login, way: Way::Console, client, found_at };
        let visit = Visit::new(services, errand);
        program::serve(&visit, &channel, &prelude).await;
        visit.end().await;
    }
}

/// The first word, and what follows it to the last byte.
fn first_word(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).unwrap_or((line, b""));
    (word, rest.trim_ascii_start())
}

/// Lines for a reader: a terminal in raw mode goes straight down at a line feed alone.
fn lines(text: String, on_terminal: bool) -> String {
    if on_terminal { text.replace('\n', "\r\n") } else { text }
}

/// Writes an answer as fast as its reader takes it, and closes. What is given live ends by `order`.
async fn deliver(
    channel: &Channel,
    terminal: Option<Size>,
    answer: Answer,
    order: impl Future<Output = &'static str>,
) -> Result<(), Closed> {
    let on_terminal = terminal.is_some();
    let Answer { mut verdict, output, live, complaint } = answer;
    let mut batch = String::new();
    for piece in output {
        batch.push_str(&lines(piece, on_terminal));
        if batch.len() >= BATCH {
            channel.write(Bytes::from(std::mem::take(&mut batch))).await?;
            // The next batch is work, too: others on this thread may come first.
            tokio::task::yield_now().await;
        }
    }
    channel.write(Bytes::from(batch)).await?;
    if let Some(live) = live {
        verdict = perform::perform(channel, terminal, live, order).await?;
    }
    channel.write_extended(STDERR, Bytes::from(lines(complaint, on_terminal))).await?;
    channel.exit_status(verdict.code().into());
    channel.eof();
    channel.close();
    // OpenSSH's client closes after it has printed everything, and prints nothing more once the connection ends.
    let _in_time = timeout(perform::FAREWELL, channel.closed()).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_first_word_is_passed_on_to_the_last_byte() {
        let parted = |line| first_word(line);
        assert_eq!(parted(b"web-1"), (&b"web-1"[..], &b""[..]));
        assert_eq!(parted(b"  web-1   echo 'a  b' \xff "), (&b"web-1"[..], &b"echo 'a  b' \xff "[..]));
        assert_eq!(parted(b" "), (&b""[..], &b""[..]));
    }
}
