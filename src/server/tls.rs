//! The server's certificate. It can be replaced while the server runs.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// A certificate chain and its key, read from files. Clones share the current ones.
#[derive(Clone, Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or lacks the PEM block that is needed.
    #[error("cannot read {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The key does not belong to the certificate.
    #[error("the certificate in {path} cannot be served: {cause}")]
    Mismatch {
        /// The certificate's file.
        path: String,
        /// What is wrong with it.
        cause: rustls::Error,
    },
}

impl Tls {
    /// Reads the chain in `cert` and the key in `key`, both PEM.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(cert: PathBuf, key: PathBuf) -> Result<Self, Error> {
        let config = Arc::new(RwLock::new(Arc::new(read(&cert, &key)?)));
        Ok(Self { cert, key, config })
    }

    /// Reads the files again. New connections get the new certificate.
    ///
    /// # Errors
    /// See [`Error`]. The certificate in use stays.
    pub fn reload(&self) -> Result<(), Error> {
        let new = Arc::new(read(&self.cert, &self.key)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(config.clone())
    }
}

fn read(cert: &PathBuf, key: &PathBuf) -> Result<ServerConfig, Error> {
    let broken = |path: &PathBuf| {
        let path = path.display().to_string();
        move |cause: rustls::pki_types::pem::Error| Error::File {
            path,
            cause: cause.to_string(),
        }
    };
    let chain: Vec<CertificateDer<'_>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(broken(cert))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(broken(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|cause| Error::Mismatch {
            path: cert.display().to_string(),
            cause,
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
