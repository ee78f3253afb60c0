//! Dial, exchange keys, verify, log in; the push beside it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure::UpstreamError;
use super::host_key::{Believed, Disbelief};
use super::{Connector, Settings};
use crate::credential::{EphemeralKey, InjectError, Injected, PublicHalf};
use crate::domain::{Fingerprint, PinVoucher, Target};
use crate::policy::Permit;
use crate::ssh::{self, ClientAuthError, ClientConfig, Connection, Limits, Negotiated, Signer, Unverified};
use crate::tcp::PromptTcp;
use crate::vouch::Vouched;

/// How long a push that is under way is waited for once dialling has failed: its outcome belongs in the audit.
pub(super) const PUSH_LINGER: Duration = Duration::from_secs(2);
/// Channels on one upstream; those that a target opens are refused one by one, on record.
const TARGET_CHANNELS_MAX: usize = 1024;

/// An SSH connection to the target, logged in.
#[derive(Debug)]
pub struct Upstream {
    /// The connection. Dropping it ends every channel on it.
    pub connection: Connection,
    /// What is known of it.
    pub facts: Facts,
}

/// What an upstream connection turned out to be.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The target's identification line.
    pub target_ident: String,
    /// The target's host key.
    pub host_key: Fingerprint,
    /// What vouched for it.
    pub vouched: Vouched,
    /// What had vouched for the pin when it was set, where the pin vouched.
    pub pin_vouched_by: Option<PinVoucher>,
    /// The pin in whose place a host certificate has put this key.
    pub replaced: Option<Fingerprint>,
    /// The algorithms.
    pub negotiated: Option<Negotiated>,
}

/// What became of a push.
#[derive(Debug)]
pub struct Pushed {
    /// The key that was pushed.
    pub fingerprint: Fingerprint,
    /// The confirmation, or why there is none.
    pub result: Result<Injected, InjectError>,
    /// How long it took.
    pub took: Duration,
}

/// An attempt to connect, told whole: the session narrates it.
#[derive(Debug)]
pub struct Attempt {
    /// The address that was dialled.
    pub address: SocketAddr,
    /// The push; nothing when it was still under way as the attempt failed.
    pub pushed: Option<Pushed>,
    /// The connection, or why there is none.
    pub result: Result<Upstream, UpstreamError>,
    /// From the start to the end.
    pub took: Duration,
}

/// The one-session key, as the engine asks for it.
struct KeySigner<'a>(&'a EphemeralKey);

impl Signer for KeySigner<'_> {
    fn public_blob(&self) -> Vec<u8> {
        self.0.public_blob()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).map(|signature| signature.to_vec()).unwrap_or_default()
    }
}

impl Connector {
    /// Connects to the permit's target as the permit's login.
    pub async fn connect(&self, permit: &Permit) -> Attempt {
        let started = Instant::now();
        let target = permit.target();
        let address = SocketAddr::new(target.private_ip, target.port);
        let mut pushed = None;
        let result = self.attempt(permit, address, &mut pushed).await;
        Attempt { address, pushed, result, took: started.elapsed() }
    }

    async fn attempt(
        &self,
        permit: &Permit,
        address: SocketAddr,
        pushed: &mut Option<Pushed>,
    ) -> Result<Upstream, UpstreamError> {
        let target = permit.target();
        let pin = self.pins.pin(target).await.map_err(UpstreamError::Pins)?;
        let pin = pin.as_ref();
        let key = EphemeralKey::generate().map_err(|_| UpstreamError::Key)?;
        let known_type = self.chain.known_type(target, pin);
        let exchange = self.push_and_dial(permit, address, known_type, key.public_half(), pushed);
        // What fails first ends both: nobody waits for a console of a machine that cannot be reached.
        let (unverified, console) =
            tokio::try_join!(exchange, async { Ok::<_, UpstreamError>(self.console(target, pin).await) })?;
        let (unverified, believed) = match self.believe(target, pin, &console, &unverified).await {
            Ok(believed) => (unverified, believed),
            Err(Disbelief::Failed(error)) => return Err(error),
            Err(Disbelief::AskFor { key_type, .. }) => {
                let again = self.dial(target, address, Some(key_type)).await?;
                match self.believe(target, pin, &console, &again).await {
                    Ok(believed) => (again, believed),
                    Err(Disbelief::Failed(error) | Disbelief::AskFor { otherwise: error, .. }) => {
                        return Err(error);
                    }
                }
            }
        };
        let facts = facts(&unverified, believed);
        let connection =
            log_in(unverified, permit.login().as_str(), &key, self.settings.handshake_timeout).await?;
        Ok(Upstream { connection, facts })
    }

    /// Pushes the key and exchanges keys with the target side by side.
    async fn push_and_dial(
        &self,
        permit: &Permit,
        address: SocketAddr,
        known_type: Option<String>,
        key: &PublicHalf,
        pushed: &mut Option<Pushed>,
    ) -> Result<Unverified, UpstreamError> {
        let mut push = pin!(self.push(permit, key));
        let mut dial = pin!(self.dial(permit.target(), address, known_type));
        tokio::select! {
            outcome = &mut push => {
                taken(pushed, outcome)?;
                dial.await
            }
            dialled = &mut dial => match dialled {
                Ok(unverified) => {
                    taken(pushed, push.await)?;
                    Ok(unverified)
                }
                Err(error) => {
                    *pushed = timeout(PUSH_LINGER, push).await.ok();
                    Err(error)
                }
            },
        }
    }

    pub(super) async fn push(&self, permit: &Permit, key: &PublicHalf) -> Pushed {
        let started = Instant::now();
        let result = self.injector.inject(permit, key).await;
        Pushed { fingerprint: key.fingerprint().clone(), result, took: started.elapsed() }
    }

    /// The TCP connection and the key exchange on it.
    fn dial<'a>(
        &'a self,
        target: &Target,
        address: SocketAddr,
        known_host_key: Option<String>,
    ) -> impl Future<Output = Result<Unverified, UpstreamError>> + use<'a> {
        let host_keys = HostKeys { known_host_key, host_certificates: self.chain.asks_for_certificates() };
        dial(target, address, &self.settings, host_keys)
    }
}

/// Which host keys a target is asked for.
#[derive(Debug, Default)]
pub(super) struct HostKeys {
    /// The type that is asked for before others.
    known_host_key: Option<String>,
    /// Whether certificates are.
    host_certificates: bool,
}

/// The TCP connection and the key exchange on it.
pub(super) fn dial<'a>(
    target: &Target,
    address: SocketAddr,
    settings: &'a Settings,
    host_keys: HostKeys,
) -> impl Future<Output = Result<Unverified, UpstreamError>> + use<'a> {
    let HostKeys { known_host_key, host_certificates } = host_keys;
    let config = ClientConfig {
        known_host_key,
        host_certificates,
        legacy: settings.legacy_targets.contains(&target.id),
        limits: Limits {
            channels_max: TARGET_CHANNELS_MAX,
            keepalive_interval: settings.keepalive_interval,
            keepalive_max: settings.keepalive_max,
        },
        ..ClientConfig::default()
    };
    async move {
        let stream = dial_tcp(address, settings).await?;
        let patience = settings.handshake_timeout;
        let exchanged = ssh::connect_within(stream, &config, patience).await;
        exchanged.map_err(|failed| UpstreamError::of_exchange(failed, patience))
    }
}

/// Notes what became of a push.
///
/// # Errors
/// When it failed.
pub(super) fn taken(pushed: &mut Option<Pushed>, outcome: Pushed) -> Result<(), UpstreamError> {
    let failed = outcome.result.as_ref().err().cloned();
    *pushed = Some(outcome);
    failed.map_or(Ok(()), |error| Err(UpstreamError::Push(error)))
}

fn facts(unverified: &Unverified, believed: Believed) -> Facts {
    Facts {
        target_ident: unverified.server_ident(),
        host_key: believed.fingerprint,
        vouched: believed.vouched,
        pin_vouched_by: believed.pin_vouched_by,
        replaced: believed.replaced,
        negotiated: unverified.negotiated(),
    }
}

/// The TCP connection alone.
pub(super) async fn dial_tcp(address: SocketAddr, settings: &Settings) -> Result<PromptTcp, UpstreamError> {
    let stream = match timeout(settings.connect_timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(dial_error(&error, settings)),
        Err(_) => return Err(UpstreamError::ConnectTimeout(settings.connect_timeout)),
    };
    PromptTcp::new(stream).map_err(|error| UpstreamError::Unreachable(error.kind()))
}

fn dial_error(error: &io::Error, settings: &Settings) -> UpstreamError {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the system's list of errors is open")]
    match error.kind() {
        io::ErrorKind::ConnectionRefused => UpstreamError::ConnectionRefused,
        io::ErrorKind::TimedOut => UpstreamError::ConnectTimeout(settings.connect_timeout),
        kind => UpstreamError::Unreachable(kind),
    }
}

async fn log_in(
    unverified: Unverified,
    login: &str,
    key: &EphemeralKey,
    patience: Duration,
) -> Result<Connection, UpstreamError> {
    match timeout(patience, unverified.authenticate(login, &KeySigner(key))).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(ClientAuthError::Refused { offers })) => {
            Err(UpstreamError::LoginRejected { offers: offers.join(", ") })
        }
        // sshd cuts a login it will not have (MaxAuthTries 1, AllowUsers) as readily as it refuses it.
        Ok(Err(ClientAuthError::Closed(closed))) => {
            Err(UpstreamError::LoginClosed(closed.0.as_ref().clone()))
        }
        Err(_) => Err(UpstreamError::LoginTimeout(patience)),
    }
}
