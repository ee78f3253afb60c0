//! Peers that break the rules: one end of the engine is made to say what it never says by itself.

use std::time::Duration;

use tokio::io::duplex;

use super::wire::{Put, message};
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

struct TestKey(aws_lc_rs::signature::Ed25519KeyPair);

impl Signer for TestKey {
    fn public_blob(&self) -> Vec<u8> {
        use aws_lc_rs::signature::KeyPair;
        let mut out = Vec::new();
        out.string(b"ssh-ed25519").string(self.0.public_key().as_ref());
        out
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

fn fresh_key() -> TestKey {
    TestKey(aws_lc_rs::signature::Ed25519KeyPair::generate().expect("key"))
}

fn server_config() -> ServerConfig {
    let key = HostKey::generate("test").expect("host key");
    ServerConfig {
        identity: ServerIdentity { key: std::sync::Arc::new(key), certificate: None },
        rekey: RekeyPolicy::default(),
        limits: Limits::default(),
    }
}

async fn patiently<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("finished in time")
}

/// Both ends after the key exchange, before the login.
async fn strangers(server: ServerConfig, client: ClientConfig) -> (Unverified, Unauthenticated) {
    let (near, far) = duplex(64 * 1024);
    let (near, far) = patiently(async { tokio::join!(connect(near, &client), accept(far, &server)) }).await;
    (near.expect("keys exchanged"), far.expect("keys exchanged"))
}

/// Both ends of an open connection, client first.
async fn pair_of(server: ServerConfig, client: ClientConfig) -> (Connection, Connection) {
    let (unverified, unauthenticated) = strangers(server, client).await;
    let key = fresh_key();
    let let_in = async {
        unauthenticated.next().await.expect("a request");
        unauthenticated.succeed()
    };
    let (near, far) = patiently(async { tokio::join!(unverified.authenticate("someone", &key), let_in) }).await;
    (near.expect("let in"), far)
}

async fn pair() -> (Connection, Connection) {
    pair_of(server_config(), ClientConfig::default()).await
}

/// Makes one end say something, whatever its state.
fn say(connection: &Connection, message: &[u8]) {
    connection.shared.lock().send(message, &[]);
}

async fn protocol_error(connection: &Connection) -> String {
    let closed = patiently(connection.closed()).await;
    assert!(matches!(*closed.0, CloseReason::Protocol(_)), "{closed}");
    closed.to_string()
}

#[tokio::test]
async fn a_peer_cannot_confirm_or_refuse_the_channel_that_it_asks_for_itself() {
    for answer in [numbers::CHANNEL_OPEN_CONFIRMATION, numbers::CHANNEL_OPEN_FAILURE] {
        let (client, server) = pair().await;
        let opening = client.open(&ChannelKind::Session);
        let asked = async {
            let ConnectionEvent::Open(asked) = server.next().await.expect("an event") else {
                panic!("a channel was asked for")
            };
            asked
        };
        tokio::select! {
            _ = opening => panic!("nobody has answered"),
            asked = asked => {
                let mut forged = message(answer);
                forged.uint32(0).uint32(0).uint32(1000).uint32(1000);
                say(&client, &forged);
                let error = protocol_error(&server).await;
                assert!(error.contains("not open"), "{error}");
                drop(asked);
            }
        }
    }
}
