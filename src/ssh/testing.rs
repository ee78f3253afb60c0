//! What tests of several rooms need of the engine.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use super::auth::Signer;
use super::wire::Put;

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
