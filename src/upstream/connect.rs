//! Dial, exchange keys, verify, log in; the push beside it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure::UpstreamError;
use super::host_key::{Doubt, PinnedKey, Vouched, verify};
use super::{Connector, Settings};
use crate::credential::{EphemeralKey, InjectError, Injected, PublicHalf};
use crate::domain::{Fingerprint, Target};
use crate::policy::Permit;
use crate::ssh::{self, ClientAuthError, ClientConfig, Connection, Limits, Negotiated, Signer, Unverified};
use crate::tcp::PromptTcp;

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
        let key = EphemeralKey::generate().map_err(|_| UpstreamError::Key)?;
        let unverified = {
            let mut push = pin!(self.push(permit, key.public_half()));
            let mut dial = pin!(dial(target, address, &self.settings, pin.as_ref()));
            tokio::select! {
                outcome = &mut push => {
                    let failed = outcome.result.as_ref().err().cloned();
                    *pushed = Some(outcome);
                    if let Some(error) = failed {
                        return Err(UpstreamError::Push(error));
                    }
                    dial.await?
                }
                dialled = &mut dial => match dialled {
                    Ok(unverified) => {
                        let outcome = push.await;
                        let failed = outcome.result.as_ref().err().cloned();
                        *pushed = Some(outcome);
                        if let Some(error) = failed {
                            return Err(UpstreamError::Push(error));
                        }
                        unverified
                    }
                    Err(error) => {
                        *pushed = timeout(PUSH_LINGER, push).await.ok();
                        return Err(error);
                    }
                },
            }
        };
        let (host_key, vouched) = self.believe(target, pin.as_ref(), &unverified).await?;
        let facts = Facts {
            target_ident: unverified.server_ident(),
            host_key,
            vouched,
            negotiated: unverified.negotiated(),
        };
        let connection =
            log_in(unverified, permit.login().as_str(), &key, self.settings.handshake_timeout).await?;
        Ok(Upstream { connection, facts })
    }

    pub(super) async fn push(&self, permit: &Permit, key: &PublicHalf) -> Pushed {
        let started = Instant::now();
        let result = self.injector.inject(permit, key).await;
        Pushed { fingerprint: key.fingerprint().clone(), result, took: started.elapsed() }
    }

    async fn believe(
        &self,
        target: &Target,
        pin: Option<&PinnedKey>,
        unverified: &Unverified,
    ) -> Result<(Fingerprint, Vouched), UpstreamError> {
        let blob = unverified.host_key();
        let shown = Fingerprint::of_blob(&blob);
        let trust = self.settings.trust_on_first_use;
        match verify(&*self.pins, target, pin, &blob, trust, self.clock.now()).await {
            Ok(vouched) => Ok((shown, vouched)),
            Err(Doubt::Changed { pinned }) => Err(UpstreamError::HostKeyChanged { pinned, shown }),
            Err(Doubt::Unknown) => Err(UpstreamError::HostKeyUnknown { shown }),
            Err(Doubt::Pins(error)) => Err(UpstreamError::Pins(error)),
        }
    }
}

pub(super) fn dial<'a>(
    target: &Target,
    address: SocketAddr,
    settings: &'a Settings,
    pin: Option<&'a PinnedKey>,
) -> impl Future<Output = Result<Unverified, UpstreamError>> + use<'a> {
    let config = ClientConfig {
        known_host_key: pin.map(|pin| pin.key_type.clone()),
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
