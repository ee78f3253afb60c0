//! TLS towards receivers: who may vouch for them, and how we prove ourselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of certificates or a key cannot be read.
    #[error("{path} cannot be read: {detail}; it must be a PEM file that drawbridge may read")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The system has no CAs that could vouch for anybody.
    #[error(
        "this system lists no CA certificates; install its ca-certificates package, or name a file with `ca`"
    )]
    NoRoots,
    /// The certificate and the key are not usable, or not for each other.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] tokio_rustls::rustls::Error),
}

/// How to speak TLS with a receiver. `ca` has the CAs that may vouch for it, and `own` a certificate and its key.
pub(super) fn client_config(
    ca: Option<&Path>,
    own: Option<(&Path, &Path)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(ca)?);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let read_key = PrivateKeyDer::from_pem_file(key).map_err(|error| at(key, &error))?;
            builder.with_client_auth_cert(certificates(certificate)?, read_key)?
        }
    };
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| at(path, &error))?;
            }
        }
        // Some that a system lists are broken or expired; the others still count.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() { Err(TlsError::NoRoots) } else { Ok(roots) }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| at(path, &error))?;
    if certificates.is_empty() {
        return Err(TlsError::File { path: path.to_owned(), detail: "it has no certificate".to_owned() });
    }
    Ok(certificates)
}

fn at(path: &Path, error: &impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), detail: error.to_string() }
}
