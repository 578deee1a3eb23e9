//! TLS to the database: which connections use it, and with which certificates.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_rustls::TlsConnector;

use super::super::StoreError;

/// Makes TLS connections that check the server's certificate and its name.
#[derive(Clone, Debug)]
pub(super) struct Rustls(Arc<ClientConfig>);

/// A connection attempt to the server with this name.
pub(super) struct ToServer {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// A TLS connection.
pub(super) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

/// The parameters about TLS in the URL of a database.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    mode: Option<String>,
    root: Option<String>,
}

impl Parameters {
    /// Takes the parameters about TLS out of a URL.
    pub(super) fn take(url: &str) -> (String, Self) {
        let mut taken = Self::default();
        let Some((rest, query)) = url.split_once('?') else {
            return (url.to_owned(), taken);
        };
        let mut others = form_urlencoded::Serializer::new(String::new());
        let mut has_others = false;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "sslmode" => taken.mode = Some(value.into_owned()),
                "sslrootcert" => taken.root = Some(value.into_owned()),
                _ => {
                    // The URL's parser does not decode a plus sign as a space.
                    others.append_pair(&name, &value);
                    has_others = true;
                }
            }
        }
        let others = others.finish().replace('+', "%20");
        let url = if has_others {
            format!("{rest}?{others}")
        } else {
            rest.to_owned()
        };
        (url, taken)
    }

    /// Decides whether to use TLS. By default, it is used unless the server is on this machine.
    pub(super) fn apply(self, config: &mut Config) -> Result<Option<Rustls>, StoreError> {
        let uses_tls = match self.mode.as_deref() {
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            None => self.root.is_some() || !config.get_hosts().iter().all(is_local),
            Some(other) => {
                return Err(refused(format!(
                    "sslmode={other} does not protect the connection: use verify-full, or disable in a network that nobody listens to"
                )));
            }
        };
        if !uses_tls {
            config.ssl_mode(SslMode::Disable);
            return Ok(None);
        }
        config.ssl_mode(SslMode::Require);
        let mut tls = match self.root.as_deref() {
            Some(path) => with_roots(Path::new(path))?,
            None => crate::net::client_tls(),
        };
        tls.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Some(Rustls(Arc::new(tls))))
    }
}

/// Whether a server can only be on this machine.
fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => crate::net::is_loopback_host(name),
        Host::Unix(_) => true,
    }
}

/// Accepts certificates that a certificate in the file has signed.
fn with_roots(path: &Path) -> Result<ClientConfig, StoreError> {
    let unusable = |cause: String| refused(format!("sslrootcert {}: {cause}", path.display()));
    let mut roots = rustls::RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(crate::net::client_tls_with(roots))
}

fn refused(reason: String) -> StoreError {
    StoreError::Setting(reason)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Rustls {
    type Stream = Stream<S>;
    type TlsConnect = ToServer;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<ToServer, Self::Error> {
        Ok(ToServer {
            config: self.0.clone(),
            name: ServerName::try_from(domain.to_owned())?,
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for ToServer {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream<S>>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connecting = TlsConnector::from(self.config).connect(self.name, stream);
            Ok(Stream(connecting.await?))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> tokio_postgres::tls::TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether connections to a database use TLS.
    fn uses_tls(url: &str) -> Result<bool, StoreError> {
        let (url, tls) = Parameters::take(url);
        let mut config: Config = url.parse().expect("a URL");
        let tls = tls.apply(&mut config)?;
        assert_eq!(config.get_ssl_mode() == SslMode::Require, tls.is_some());
        Ok(tls.is_some())
    }

    #[test]
    fn only_this_machine_is_reached_without_tls_by_default() {
        for (url, expected) in [
            ("postgres://tier@db.example/tier", true),
            ("postgres://tier@127.0.0.1/tier", false),
            ("postgres://tier@localhost,db.example/tier", true),
            ("postgres://tier@%2Fvar%2Frun%2Fpostgresql/tier", false),
            ("postgres://tier@127.0.0.1/tier?sslmode=require", true),
            ("postgres://tier@127.0.0.1/tier?sslmode=verify-full", true),
            ("postgres://tier@db.example/tier?sslmode=disable", false),
        ] {
            assert_eq!(uses_tls(url).expect("valid"), expected, "{url}");
        }
        for url in [
            "postgres://tier@db.example/tier?sslmode=prefer",
            "postgres://tier@db.example/tier?sslrootcert=no-such-file",
        ] {
            assert!(uses_tls(url).is_err(), "{url}");
        }
    }

    #[test]
    fn other_parameters_are_kept() {
        let url = "postgres://u:p%40@h/d?options=-csearch_path%3Dtier&sslmode=disable&application_name=a%20b";
        let (rest, tls) = Parameters::take(url);
        let config: Config = rest.parse().expect("a URL");
        assert_eq!(config.get_options(), Some("-csearch_path=tier"));
        assert_eq!(config.get_application_name(), Some("a b"));
        assert_eq!(tls.mode.as_deref(), Some("disable"));
    }
}
