//! One client, from its TCP connection to its end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use super::addressing::{self, Addressing};
use super::entrance::{self, Guest, NotLetIn};
use super::live::algorithms;
use super::resolve::{self, Logins};
use super::story::Story;
use super::visit::{Errand, Visit};
use super::{Peer, Services, choice, console, forward, gateway, program, sentences};
use crate::audit::{Event, Text, Way};
use crate::domain::{ChannelNumber, ConnectionId, Ending, Login, Target, TargetRef};
use crate::ssh::{
    self, Channel, ChannelKind, ChannelOpen, CloseReason, Closed, Connection, ConnectionEvent, GlobalRequest,
    HostCertificate, Opener, RefusalCode, ServerConfig, ServerIdentity, Stream,
};
use crate::target::Resolution;

/// How long sessions may take to say goodbye at shutdown before their connection is ended.
pub(super) const GOODBYE: Duration = Duration::from_secs(3);

/// Serves one client until it is over. `logged_in` is called once, when it has authenticated.
pub async fn serve<S: Stream>(
    services: Arc<Services>,
    peer: Peer,
    stream: S,
    logged_in: impl FnOnce() + Send + 'static,
) {
    let id = ConnectionId::fresh();
    let story = Story::of_connection(&services, id);
    let started = Instant::now();
    let opened = Event::ConnectionOpened {
        client_addr: peer.client.ip().to_canonical(),
        client_port: peer.client.port(),
        listener: peer.listener,
    };
    if story.tell(opened).await.is_err() {
        return;
    }
    // A task of its own: should it panic, this one still puts the ending on record (decision 0001).
    let (at_home, told) = (Arc::clone(&services), story.clone());
    let visit = tokio::spawn(async move {
        let shutdown = at_home.tasks.token().clone();
        let entered = tokio::select! {
            entered = enter(&at_home, &told, peer, stream) => entered,
            () = shutdown.cancelled() => Err((Ending::ShuttingDown, String::new())),
        };
        let (guest, connection) = match entered {
            Ok(entered) => entered,
            Err(refusal) => return refusal,
        };
        logged_in();
        host(&at_home, &told, guest, &connection).await
    });
    let (ending, detail) = visit.await.unwrap_or_else(|fault| {
        tracing::error!(connection = %id, %fault, "a connection was ended by a fault; please report this");
        (Ending::InternalFault, String::new())
    });
    tracing::debug!(connection = %id, ending = ending.label(), detail, "a client's connection is over");
    let ended = Event::ConnectionEnded {
        ending,
        detail: (!detail.is_empty()).then(|| Text::from(detail)),
        duration: started.elapsed(),
    };
    // It has ended whether or not that can be written; the failure is in the operator's log.
    let _on_record = story.record(ended).await;
}

type Over = (Ending, String);

/// Key exchange and login, each with its deadline.
async fn enter<S: Stream>(
    services: &Services,
    story: &Story,
    peer: Peer,
    stream: S,
) -> Result<(Guest, Connection), Over> {
    let settings = &services.settings;
    let too_slow = |phase: &str| (Ending::ClientLeft, format!("no {phase} within the time allowed"));
    let config = outer_config(services);
    let accepting = ssh::accept(stream, &config);
    let client = tokio::time::timeout(settings.handshake_timeout, accepting)
        .await
        .map_err(|_| too_slow("key exchange"))?
        .map_err(|closed| over(&closed))?;
    let identified = Event::ClientIdentified {
        client_version: Text::from(client.client_ident()),
        algorithms: algorithms(client.negotiated().as_ref()),
    };
    story.tell(identified).await.map_err(|_| unrecorded())?;
    let authenticating = entrance::authenticate(services, story, peer, client);
    match tokio::time::timeout(settings.login_grace, authenticating).await {
        Ok(Ok(entered)) => Ok(entered),
        Ok(Err(NotLetIn::Closed(closed))) => Err(over(&closed)),
        Ok(Err(NotLetIn::TooManyAttempts)) => {
            Err((Ending::Refused, "too many attempts to log in".to_owned()))
        }
        Ok(Err(NotLetIn::Unrecorded)) => Err(unrecorded()),
        Err(_) => Err(too_slow("login")),
    }
}

fn unrecorded() -> Over {
    (Ending::AuditUnavailable, String::new())
}

fn over(closed: &Closed) -> Over {
    let ending = match closed.0.as_ref() {
        CloseReason::Protocol(_) | CloseReason::NoCommonAlgorithm { .. } | CloseReason::NotSsh => {
            Ending::ProtocolError
        }
        CloseReason::Eof
        | CloseReason::PeerDisconnected { .. }
        | CloseReason::Io(_)
        | CloseReason::KeepaliveTimeout
        | CloseReason::HostKeyChanged
        | CloseReason::Local => Ending::ClientLeft,
    };
    (ending, closed.to_string())
}

/// The bastion cannot know by which names it is called, so its certificate is for any; the plain key serves
/// clients that do not know the CA.
fn outer_config(services: &Services) -> ServerConfig {
    let certify =
        |names: &[String]| services.host_ca.certify(&services.host_key, names, services.clock.now());
    let certificate = certify(&["*".to_owned()])
        .and_then(|usual| Ok(HostCertificate { usual, before_openssh_10_3: Some(certify(&[])?) }));
    if let Err(error) = &certificate {
        tracing::error!(%error, "the bastion's own host certificate could not be made");
    }
    ServerConfig {
        identity: ServerIdentity { key: Arc::clone(&services.host_key), certificate: certificate.ok() },
        offer: services.settings.offer,
        rekey: services.settings.rekey,
        limits: services.settings.limits,
    }
}

/// The guest is in: jumps, connections by the bastion, a direct visit, or a word with drawbridge itself.
async fn host(services: &Arc<Services>, story: &Story, guest: Guest, connection: &Connection) -> Over {
    let house = Arc::new(House {
        services: Arc::clone(services),
        story: story.clone(),
        guest: Arc::new(guest),
        client: connection.opener(),
        direct: OnceCell::new(),
        word_is_a_target: OnceLock::new(),
        calls: AtomicU32::new(0),
        channels: TaskTracker::new(),
    });
    let (requests, mut queue) = forward::Queue::new();
    let asked = Arc::clone(&house);
    let answering = house.channels.track_future(async move {
        while let Some(request) = queue.recv().await {
            asked.answer(request).await;
        }
    });
    services.tasks.spawn_named("requests", answering);
    let mut requests = Some(requests);
    let shutdown = services.tasks.token().clone();
    let result = loop {
        tokio::select! {
            event = connection.next() => match event {
                Ok(ConnectionEvent::Open(open)) => {
                    let house = Arc::clone(&house);
                    let tracked = house.channels.clone();
                    services.tasks.spawn_named("channel", tracked.track_future(house.open(open)));
                }
                Ok(ConnectionEvent::Global(request)) => {
                    if let Some(requests) = &requests {
                        requests.put(request);
                    }
                }
                Err(closed) => break over(&closed),
            },
            () = shutdown.cancelled() => {
                // Sessions say goodbye; what waits for the client, such as a channel on which nothing is asked
                // or a jump that does not log in, ends with the connection.
                requests = None;
                let _in_time = tokio::time::timeout(GOODBYE, house.ended()).await;
                connection.disconnect(sentences::SHUTTING_DOWN);
                break (Ending::ShuttingDown, String::new());
            }
        }
    };
    drop(requests);
    house.ended().await;
    result
}

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
struct House {
    services: Arc<Services>,
    story: Story,
    guest: Arc<Guest>,
    client: Opener,
    direct: OnceCell<Arc<Visit>>,
    /// Whether the SSH user name, where it is a single word, is a target's: forwards are through that one then.
    word_is_a_target: OnceLock<bool>,
    /// Channels for the bastion itself so far.
    calls: AtomicU32,
    channels: TaskTracker,
}

impl House {
    async fn open(self: Arc<Self>, open: ChannelOpen) {
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
                        open.refuse(RefusalCode::AdministrativelyProhibited, sentences::NO_FORWARDING);
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
    async fn answer(&self, request: GlobalRequest) {
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
        Visit::new(&self.services, Errand { story, guest, target, login, way: Way::Direct, client })
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

    /// The connection is over: its sessions end, and everything that was under way has ended on record.
    async fn ended(&self) {
        if let Some(visit) = self.direct.get() {
            visit.end().await;
        }
        self.channels.close();
        self.channels.wait().await;
    }
}
