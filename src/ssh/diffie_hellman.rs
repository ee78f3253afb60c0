//! Diffie-Hellman over the 2048-bit group 14 (RFC 3526 §3, RFC 4253 §8), our side only as the client: for
//! targets whose SSH server is too old for elliptic curves, where the operator lists them.
//!
//! aws-lc-rs has no arithmetic for this; `crypto-bigint`'s exponentiation takes the same time whatever the
//! exponent is.

use crypto_bigint::modular::runtime_mod::{DynResidue, DynResidueParams};
use crypto_bigint::{Encoding, U512, U2048};
use zeroize::{Zeroize, Zeroizing};

use super::error::ProtocolError;

/// 2^2048 - 2^1984 - 1 + 2^64 * (floor(2^1918 * pi) + 124476)
const PRIME: U2048 = U2048::from_be_hex(concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74",
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437",
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05",
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB",
    "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718",
    "3995497CEA956AE515D2261898FA051015728E5A8AACAA68FFFFFFFFFFFFFFFF",
));
const GENERATOR: U2048 = U2048::from_u8(2);
/// The group has 112 bits of strength; an exponent of more than twice that adds nothing.
const EXPONENT_BITS: usize = U512::BITS;
const BYTES: usize = U2048::BYTES;

/// The secret exponent of one key exchange.
pub(super) struct Exponent(U512);

impl Drop for Exponent {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Exponent {
    /// A fresh one, and our public number as the content of an `mpint`.
    pub(super) fn generate() -> Result<(Self, Vec<u8>), ProtocolError> {
        let mut bytes = Zeroizing::new([0; U512::BYTES]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice())
            .map_err(|_| ProtocolError("the system has no randomness"))?;
        let exponent = Self(U512::from_be_bytes(*bytes));
        let public = exponent.raise(&GENERATOR);
        Ok((exponent, mpint_content(public.as_slice())))
    }

    /// The shared number, big-endian; `peer` is the content of the `mpint` that the peer sent.
    pub(super) fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, ProtocolError> {
        let peer = public_number(peer).ok_or(ProtocolError("the peer's public number is out of bounds"))?;
        Ok(Zeroizing::new(self.raise(&peer).to_vec()))
    }

    fn raise(&self, base: &U2048) -> Zeroizing<[u8; BYTES]> {
        let base = DynResidue::new(base, DynResidueParams::new(&PRIME));
        let mut power = base.pow_bounded_exp(&self.0, EXPONENT_BITS).retrieve();
        let bytes = Zeroizing::new(power.to_be_bytes());
        power.zeroize();
        bytes
    }
}

/// Reads a public number: more than 1 and less than p - 1 (RFC 8268 §4), for the rest give our secret away.
fn public_number(content: &[u8]) -> Option<U2048> {
    if content.first().is_none_or(|top| top & 0x80 != 0) {
        return None; // negative, or no number at all
    }
    let start = content.iter().position(|byte| *byte != 0).unwrap_or(content.len());
    let digits = content.get(start..)?;
    let mut bytes = [0; BYTES];
    bytes.get_mut(BYTES.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    let number = U2048::from_be_bytes(bytes);
    let highest = PRIME.wrapping_sub(&GENERATOR);
    (number > U2048::ONE && number <= highest).then_some(number)
}

fn mpint_content(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let digits = number.get(start..).unwrap_or_default();
    let mut content = Vec::with_capacity(digits.len() + 1);
    if digits.first().is_some_and(|top| top & 0x80 != 0) {
        content.push(0);
    }
    content.extend_from_slice(digits);
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(number: &U2048) -> Vec<u8> {
        mpint_content(&number.to_be_bytes())
    }

    #[test]
    fn two_exponents_agree() {
        let (ours, our_public) = Exponent::generate().expect("random");
        let (theirs, their_public) = Exponent::generate().expect("random");
        assert_ne!(our_public, their_public);
        assert_eq!(ours.agree(&their_public).expect("sound"), theirs.agree(&our_public).expect("sound"));
    }

    #[test]
    fn powers_of_the_generator_are_right() {
        let power = |exponent: u8| Exponent(U512::from_u8(exponent)).raise(&GENERATOR);
        assert_eq!(*power(10), U2048::from_u16(1024).to_be_bytes());
    }

    /// A digit that is mistyped would leave no prime (Fermat).
    #[test]
    fn the_prime_is_one() {
        let two = DynResidue::new(&GENERATOR, DynResidueParams::new(&PRIME));
        assert_eq!(two.pow(&PRIME).retrieve(), GENERATOR);
    }

    #[test]
    fn numbers_that_give_the_secret_away_are_refused() {
        let (exponent, _) = Exponent::generate().expect("random");
        let minus = |n: u8| PRIME.wrapping_sub(&U2048::from_u8(n));
        for bad in [U2048::ZERO, U2048::ONE, minus(1), PRIME, U2048::MAX] {
            assert!(exponent.agree(&content(&bad)).is_err(), "{bad}");
        }
        for good in [GENERATOR, minus(2)] {
            exponent.agree(&content(&good)).expect("in bounds");
        }
        for bad in [&[][..], &[0], &[0, 0], &[0x82], &[0xff; 256], &[1; 257], &[1; 5000]] {
            assert!(exponent.agree(bad).is_err(), "{} bytes", bad.len());
        }
    }
}
