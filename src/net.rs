//! What everybody who opens a connection has to agree on: which names are this machine's own, and whom TLS trusts.

use std::net::IpAddr;
use std::sync::Arc;

/// Who is at the other end of a connection; with each of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: IpAddr,
}

/// Whether `host` can only be this machine: a loopback address, with or without the brackets of IPv6, `localhost`, or a
/// name below it, which RFC 6761 keeps out of the DNS. Nothing is looked up: what a name of somebody else's leads to
/// is for its owner to say, and may change from one moment to the next.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// TLS as a client, with Mozilla's roots, compiled in: an image needs no certificate files, and start-up reads none.
pub(crate) fn client_tls() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_lead_nowhere_else_are_loopback() {
        for host in [
            "localhost",
            "LOCALHOST",
            "app.localhost",
            "App.LocalHost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "::1",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "127.0.0.1.example.com",
            "127.0.0.1:80",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
