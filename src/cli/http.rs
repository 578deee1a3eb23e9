//! HTTP clients for everything except Stripe's API: a tier server, a model on the web, Stripe's dashboard.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::redirect::Policy;

use crate::net;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for `url` with a time-out and compiled-in root certificates. It uses the environment's proxies, but not for
/// this machine.
pub(super) fn client(
    url: &reqwest::Url,
    timeout: Duration,
    redirects: Policy,
) -> anyhow::Result<reqwest::Client> {
    builder(url, timeout)
        .tls_backend_preconfigured(net::client_tls())
        .redirect(redirects)
        .build()
        .context("cannot set up HTTP")
}

/// A client that does not verify the server's certificate. It is only for public data, from a server whose certificate
/// may be self-signed or name another host.
pub(super) fn unverified_client(
    url: &reqwest::Url,
    timeout: Duration,
) -> anyhow::Result<reqwest::Client> {
    // Without a verifier, the client needs the TLS provider of the process. If one is already installed, it is the
    // same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder(url, timeout)
        .tls_danger_accept_invalid_certs(true)
        .redirect(Policy::none())
        .build()
        .context("cannot set up HTTP")
}

fn builder(url: &reqwest::Url, timeout: Duration) -> reqwest::ClientBuilder {
    let mut builder = reqwest::Client::builder();
    if url.host_str().is_some_and(net::is_loopback_host) {
        builder = builder.no_proxy();
    }
    builder
        .timeout(timeout)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("tier/", env!("CARGO_PKG_VERSION")))
}

/// Parses an absolute URL. `what` names it in errors, which do not quote it, because it may have a password in it.
pub(super) fn url(text: &str, what: &str) -> anyhow::Result<reqwest::Url> {
    let url = reqwest::Url::parse(text).with_context(|| format!("{what} is not a URL"))?;
    anyhow::ensure!(
        matches!(url.scheme(), "http" | "https") && url.has_host(),
        "{what} must begin with http:// or https://"
    );
    Ok(url)
}

/// A URL without the parts that may be secret: user, password, query and fragment.
pub(super) fn redacted(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_shown() {
        let url = url(
            "https://me:secret@example.com:8443/a/b?token=secret#secret",
            "x",
        )
        .unwrap();
        assert_eq!(redacted(&url), "https://example.com:8443/a/b");
    }

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        for text in [
            "",
            "localhost:8080",
            "file:///etc/passwd",
            "ftp://example.com",
            "/v1",
        ] {
            assert!(url(text, "x").is_err(), "{text}");
        }
    }
}
