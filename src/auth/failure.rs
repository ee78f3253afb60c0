//! Why somebody was not let in. For the audit and the operator; outside, all of them look the same.

use thiserror::Error;

use crate::signature::{RSA_BITS_MIN, SignatureError};

/// Why an attempt was refused. The reasons are small whatever the stranger sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuthFailure {
    /// No user has this key.
    #[error("no user has this key")]
    UnknownKey,
    /// The key or certificate is fine, but the name is another user's.
    #[error("the user name is that of a user whom this key does not belong to")]
    WrongUser,
    /// Several users have the key, and the name picks none of them.
    #[error("several users have this key or principal; the SSH user name has to say which")]
    AmbiguousUser,
    /// The line's `expiry-time` has passed.
    #[error("the key's expiry-time has passed")]
    KeyExpired,
    /// The certificate's window has passed.
    #[error("the certificate has expired")]
    CertificateExpired,
    /// The certificate's window has not begun.
    #[error("the certificate is not valid yet")]
    CertificateNotYetValid,
    /// The client's address is not one that `from=` or `source-address` allows.
    #[error("the key or certificate may not be used from the client's address")]
    SourceAddress,
    /// A revocation list names the key, the certificate or its CA.
    #[error("the key, the certificate or its CA is revoked")]
    Revoked,
    /// The certificate is signed by a CA that is not trusted.
    #[error("the certificate's CA is not trusted")]
    UntrustedCa,
    /// The CA's signature on the certificate does not verify.
    #[error("the CA's signature on the certificate is not valid")]
    CaSignature,
    /// A host certificate, or a type that does not exist.
    #[error("the certificate is not a user certificate")]
    WrongCertificateType,
    /// None of the certificate's principals is a user's name or alias, or it has none at all.
    #[error("no principal of the certificate is the name or an alias of a user")]
    Principals,
    /// A critical option that drawbridge does not enforce, by (bounded) name.
    #[error("the certificate has the critical option {0:?}, which is not supported here")]
    CriticalOption(String),
    /// An RSA key, or the RSA key of a CA, that is too short.
    #[error("the RSA key has {bits} bits; at least {RSA_BITS_MIN} are needed")]
    WeakKey {
        /// The length of its modulus.
        bits: usize,
    },
    /// A kind of key or an algorithm that drawbridge does not know, or the two do not belong together.
    #[error("the kind of key or the signature algorithm is not supported")]
    UnsupportedAlgorithm,
    /// The bytes are no key and no certificate, or too many.
    #[error("the key or certificate is malformed")]
    Malformed,
    /// A FIDO key signed without being touched.
    #[error("the security key was not touched")]
    TouchMissing,
    /// A FIDO key signed without PIN or biometrics where that is required, or is no FIDO key.
    #[error("the security key did not verify its user (PIN or biometrics), which is required")]
    VerificationMissing,
}

impl AuthFailure {
    /// The label in metrics and audit.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown-key",
            Self::WrongUser => "wrong-user",
            Self::AmbiguousUser => "ambiguous-user",
            Self::KeyExpired => "key-expired",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotYetValid => "certificate-not-yet-valid",
            Self::SourceAddress => "source-address",
            Self::Revoked => "revoked",
            Self::UntrustedCa => "untrusted-ca",
            Self::CaSignature => "ca-signature",
            Self::WrongCertificateType => "wrong-certificate-type",
            Self::Principals => "principals",
            Self::CriticalOption(_) => "critical-option",
            Self::WeakKey { .. } => "weak-key",
            Self::UnsupportedAlgorithm => "unsupported-algorithm",
            Self::Malformed => "malformed",
            Self::TouchMissing => "touch-missing",
            Self::VerificationMissing => "verification-missing",
        }
    }
}

impl From<SignatureError> for AuthFailure {
    /// For errors while reading a key. A CA's signature is judged where it is checked.
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::WeakKey { bits } => Self::WeakKey { bits },
            SignatureError::UnsupportedKey
            | SignatureError::UnsupportedAlgorithm
            | SignatureError::WrongAlgorithm => Self::UnsupportedAlgorithm,
            SignatureError::MalformedKey
            | SignatureError::MalformedSignature
            | SignatureError::BadSignature => Self::Malformed,
        }
    }
}
