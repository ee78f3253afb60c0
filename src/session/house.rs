//! One guest's connection: which of its channels and requests go where.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use super::addressing::{self, Addressing};
use super::entrance::Guest;
use super::resolve::{self, Logins};
use super::story::Story;
use super::visit::{Errand, Visit};
use super::{Services, choice, console, forward, gateway, program, sentences};
use crate::audit::{Event, Text, Way};
use crate::domain::{ChannelNumber, Login, Target, TargetRef};
use crate::ssh::{Channel, ChannelKind, ChannelOpen, GlobalRequest, Opener, RefusalCode};
use crate::target::Resolution;

/// Where a channel goes when it does not simply go to a target.
#[derive(Debug)]
enum Otherwise {
    /// To drawbridge itself, which says this where there is something to say.
    Console(Option<String>),
    /// To a target with several logins: it has to be asked for one.
    Ask(Arc<Target>),
}

/// What the channels of one guest's connection share.
#[derive(Debug)]
pub(super) struct House {
    services: Arc<Services>,
    story: Story,
    guest: Arc<Guest>,
    client: Opener,
    direct: OnceCell<Arc<Visit>>,
    /// Whether the SSH user name, where it is a single word, is a target's: forwards are through that one then.
    word_is_a_target: OnceLock<bool>,
    /// Channels for the bastion itself so far.
    calls: AtomicU32,
    pub(super) channels: TaskTracker,
}

impl House {
    pub(super) fn new(
        services: &Arc<Services>,
        story: &Story,
        guest: &Arc<Guest>,
        client: Opener,
    ) -> Arc<Self> {
        Arc::new(Self {
            services: Arc::clone(services),
            story: story.clone(),
            guest: Arc::clone(guest),
            client,
            direct: OnceCell::new(),
            word_is_a_target: OnceLock::new(),
            calls: AtomicU32::new(0),
            channels: TaskTracker::new(),
        })
    }

    /// A channel that the client opens: for a target, for the console, or for where the bastion is to connect.
    pub(super) async fn open(self: Arc<Self>, open: ChannelOpen) {
        match open.kind.clone() {
            ChannelKind::Session => match self.direct().await {
                Ok(visit) => visit.open(open).await,
                Err(Otherwise::Console(why)) => {
                    console::serve(
                        &self.services,
                        &self.story,
                        &self.guest,
                        &self.client,
                        why,
                        open.accept(),
                    )
                    .await;
                }
                Err(Otherwise::Ask(target)) => self.ask_which(target, open.accept()).await,
            },
            ChannelKind::DirectTcpip { host, port, originator, originator_port } => {
                match self.connects_through(port).await {
                    Ok(Some(visit)) => visit.open(open).await,
                    Ok(None) => {
                        let originator = format!("{originator}:{originator_port}");
                        gateway::serve(self.call(host, port, originator), open).await;
                    }
                    Err(sentence) => open.refuse(RefusalCode::AdministrativelyProhibited, &sentence),
                }
            }
            kind @ ChannelKind::Other { .. } if forward::is_for_the_target(&kind) => {
                match self.forwards_through().await {
                    Ok(Some(visit)) => visit.open(open).await,
                    Ok(None) => {
                        self.decline(kind.name()).await;
                        open.refuse(RefusalCode::AdministrativelyProhibited, sentences::NO_SOCKETS_HERE);
                    }
                    Err(sentence) => {
                        self.decline(kind.name()).await;
                        open.refuse(RefusalCode::AdministrativelyProhibited, &sentence);
                    }
                }
            }
            ChannelKind::Other { name, .. } => {
                self.decline(&name).await;
                open.refuse(RefusalCode::UnknownKind, sentences::SESSIONS_ONLY);
            }
        }
    }

    fn call(&self, host: String, port: u32, originator: String) -> gateway::Call {
        gateway::Call {
            services: Arc::clone(&self.services),
            story: self.story.clone(),
            guest: Arc::clone(&self.guest),
            number: ChannelNumber(self.calls.fetch_add(1, Ordering::Relaxed).saturating_add(1)),
            host,
            port,
            originator,
        }
    }

    /// The visit that forwards belong to, or none where they are the bastion's own; the error is a sentence.
    ///
    /// A single word may be what `ssh` filled in: it costs no look-up, and what it was found to mean holds for
    /// the whole connection, so that all of its forwards go the same way.
    async fn forwards_through(&self) -> Result<Option<&Arc<Visit>>, String> {
        if let Addressing::Word(word) = addressing::read(&self.guest.ssh_user) {
            let is_a_target = || {
                let own = addressing::is_own_name(&word, &self.guest.identity.user);
                let known = TargetRef::parse(&word).map(|word| self.services.inventory.known(&word));
                !own && matches!(known, Ok(Resolution::Found(_) | Resolution::Ambiguous(_)))
            };
            if !*self.word_is_a_target.get_or_init(is_a_target) {
                return Ok(None);
            }
        }
        match self.direct().await {
            Ok(visit) => Ok(Some(visit)),
            Err(Otherwise::Console(Some(sentence))) => Err(sentence),
            Err(Otherwise::Console(None)) => Ok(None),
            Err(Otherwise::Ask(target)) => {
                let several = resolve::login(&self.services, &self.guest, &target, None).err();
                Err(several.unwrap_or_else(|| sentences::NO_LOGIN.to_owned()))
            }
        }
    }

    /// As [`Self::forwards_through`], for a TCP connection: to the port of SSH it is a jump all the same where the name is
    /// a single word.
    async fn connects_through(&self, port: u32) -> Result<Option<&Arc<Visit>>, String> {
        let word = matches!(addressing::read(&self.guest.ssh_user), Addressing::Word(_));
        if word && port == u32::from(gateway::SSH_PORT) { Ok(None) } else { self.forwards_through().await }
    }

    /// What is asked of the connection as a whole is for the target that it goes to, if it goes to one.
    pub(super) async fn answer(&self, request: GlobalRequest) {
        let is_forward = forward::is_request(&request.name);
        let visit = if is_forward { self.forwards_through().await.ok().flatten() } else { None };
        match visit {
            Some(visit) => visit.answer(request).await,
            None => self.decline(&request.name).await,
        }
        // A request that was not answered is, with a failure, as it is dropped.
    }

    async fn decline(&self, requested: &str) {
        let event =
            Event::ChannelRefused { requested: Text::from(requested), reason: Text::from("not-carried") };
        // It does not happen in any case.
        let _on_record = self.story.tell(event).await;
    }

    /// The visit that the SSH user name asks for, or why there is none; nothing to say where the name is no target.
    /// A failure is not remembered: the instance may have been started since.
    async fn direct(&self) -> Result<&Arc<Visit>, Otherwise> {
        self.direct.get_or_try_init(|| self.find_direct()).await
    }

    async fn find_direct(&self) -> Result<Arc<Visit>, Otherwise> {
        let (typed_login, typed) = match addressing::read(&self.guest.ssh_user) {
            Addressing::Direct { login, target } => (Some(login), target),
            Addressing::Word(word)
                if word.is_empty() || addressing::is_own_name(&word, &self.guest.identity.user) =>
            {
                return Err(Otherwise::Console(None));
            }
            Addressing::Word(word) => (None, word),
        };
        let (services, guest) = (&self.services, &self.guest);
        let found = resolve::look_for(services, &self.story, guest, &typed, Way::Direct).await;
        let target = found.map_err(|nowhere| {
            // A single word that is no target may be the name that ssh filled in: that is no mistake.
            let filled_in = typed_login.is_none() && nowhere.may_be_no_target;
            Otherwise::Console((!filled_in).then_some(nowhere.sentence))
        })?;
        let login = match typed_login {
            Some(typed) => resolve::login(services, guest, &target, Some(&typed)),
            None => match resolve::logins(services, guest, &target) {
                Ok(Logins::One(login)) => Ok(login),
                Ok(Logins::Several(_)) => return Err(Otherwise::Ask(target)),
                Err(sentence) => Err(sentence),
            },
        };
        Ok(self.visit(target, login.map_err(|sentence| Otherwise::Console(Some(sentence)))?))
    }

    fn visit(&self, target: Arc<Target>, login: Login) -> Arc<Visit> {
        let (story, guest, client) = (self.story.clone(), Arc::clone(&self.guest), self.client.clone());
        let found_at = self.services.clock.now();
        Visit::new(&self.services, Errand { story, guest, target, login, way: Way::Direct, client, found_at })
    }

    /// Serves a channel to a target that has several logins. What is chosen holds for the whole connection.
    async fn ask_which(&self, target: Arc<Target>, channel: Channel) {
        let Some(mut prelude) = console::read(&self.services, &self.guest, &channel).await else { return };
        let asked = choice::login(&self.services, &self.guest, &target, None, &channel, &mut prelude).await;
        let login = match asked {
            Ok(login) => login,
            Err(sentence) => return program::deny(&channel, &prelude, &sentence).await,
        };
        let visit = self.direct.get_or_init(async || self.visit(Arc::clone(&target), login.clone())).await;
        if visit.errand.login == login {
            return program::serve(visit, &channel, &prelude).await;
        }
        // Two channels asked at once, and got different answers.
        let visit = self.visit(target, login);
        program::serve(&visit, &channel, &prelude).await;
        visit.end().await;
    }

    /// Why nothing can come of a connection whose user name leads nowhere, for a client that opens no channel and so
    /// would never read it. A single word is no promise of a target, and costs no look-up here.
    pub(super) async fn leads_nowhere(&self) -> Option<String> {
        let direct = matches!(addressing::read(&self.guest.ssh_user), Addressing::Direct { .. });
        if !direct || self.guest.as_of_now(&self.services).is_err() {
            return None;
        }
        // Found anew by the first channel: until then the machine behind a name may be replaced.
        match self.find_direct().await {
            Err(Otherwise::Console(sentence)) => sentence,
            Ok(_) | Err(Otherwise::Ask(_)) => None,
        }
    }

    /// The connection is over: its sessions end, and everything that was under way has ended on record.
    pub(super) async fn ended(&self) {
        if let Some(visit) = self.direct.get() {
            visit.end().await;
        }
        self.channels.close();
        self.channels.wait().await;
    }
}
