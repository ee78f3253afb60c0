//! What tests of several rooms need of the engine.

use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use tokio::io::duplex;

use super::auth::Signer;
use super::wire::Put;
use super::{
    ClientConfig, Connection, HostKey, Limits, Offer, RekeyPolicy, ServerConfig, ServerIdentity, accept,
    connect,
};

/// A key pair that exists for one test.
pub(crate) struct TestKey(Ed25519KeyPair);

impl TestKey {
    pub(crate) fn fresh() -> Self {
        Self(Ed25519KeyPair::generate().expect("key"))
    }
}

impl Signer for TestKey {
    fn public_blob(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.string(b"ssh-ed25519").string(self.0.public_key().as_ref());
        out
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// A client's and a server's end of an open connection.
pub(crate) async fn connected() -> (Connection, Connection) {
    let (near, far) = duplex(64 * 1024);
    let key = TestKey::fresh();
    let config = ServerConfig {
        identity: ServerIdentity {
            key: Arc::new(HostKey::generate("target").expect("key")),
            certificate: None,
        },
        offer: Offer::default(),
        rekey: RekeyPolicy::default(),
        limits: Limits::default(),
    };
    let config_of_client = ClientConfig::default();
    let client = async {
        let unverified = connect(near, &config_of_client).await.expect("keys exchanged");
        unverified.authenticate("someone", &key).await.expect("let in")
    };
    let server = async {
        let unauthenticated = accept(far, &config).await.expect("keys exchanged");
        unauthenticated.next().await.expect("a request");
        unauthenticated.succeed()
    };
    tokio::join!(client, server)
}
