//! Which web pages may call. A browser sends a page's requests to loopback ports too, so a server that is open to the
//! machine would otherwise be open to every page that is visited on it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, USER_AGENT,
};
use axum::http::{HeaderMap, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::RequestContext;
use super::observe::X_REQUEST_ID;
use crate::api::error::Error;
use crate::net::is_loopback_host;

/// How long a browser may remember what it was allowed.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The origins whose pages may call, and whether the server may be called by any name.
#[derive(Clone, Default)]
pub struct Origins {
    /// As browsers send them: `https://app.example`.
    pub allowed: Arc<[HeaderValue]>,
    /// Nobody has to show a key, and only this machine can reach the port, so only names that cannot lead anywhere else
    /// are accepted: a page could give a name of its own this machine's address ("DNS rebinding").
    pub loopback_only: bool,
}

impl Origins {
    /// Answers the browser's questions before a call, and marks answers as readable by the allowed origins.
    pub(in crate::api) fn cors(&self) -> CorsLayer {
        let sent = ["tier-clock", "idempotency-key"].map(HeaderName::from_static);
        let sent = [AUTHORIZATION, CONTENT_TYPE, USER_AGENT]
            .into_iter()
            .chain(sent);
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.allowed.iter().cloned()))
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers(sent.collect::<Vec<_>>())
            .expose_headers([X_REQUEST_ID, RETRY_AFTER])
            .max_age(REMEMBERED)
    }

    /// Refuses what comes from a page that may not call. Probes are for machines, and tell nothing.
    pub(super) fn check(&self, context: &RequestContext, request: &Request) -> Result<(), Error> {
        if context.is_probe() {
            return Ok(());
        }
        let (headers, uri) = (request.headers(), request.uri());
        if let Some(origin) = headers.get(ORIGIN)
            && !self.allowed.contains(origin)
        {
            return Err(Error::forbidden(
                "calls from this web page are not allowed: start the server with --cors-origin and the page's origin",
            ));
        }
        if self.loopback_only && !named_loopback(headers, uri) {
            return Err(Error::forbidden(
                "where no key is needed, only loopback names may be called: use 127.0.0.1 or localhost",
            ));
        }
        Ok(())
    }
}

/// Whether the host that the client believes to be calling can only be this machine. No host: no browser.
fn named_loopback(headers: &HeaderMap, uri: &Uri) -> bool {
    let header = || headers.get(HOST).map(HeaderValue::to_str);
    match uri.authority() {
        Some(authority) => is_loopback_host(authority.host()),
        None => match header() {
            None => true,
            Some(Ok(host)) => is_loopback_host(without_port(host)),
            Some(Err(_)) => false,
        },
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_judged_without_its_port() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "app.localhost:1",
            "127.9.9.9:8080",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_loopback_host(without_port(host)), "{host}");
        }
        for host in [
            "",
            "localhost.example.com:8080",
            "10.0.0.1:8080",
            "0.0.0.0:8080",
            "[::]:80",
            "127.0.0.1:80.example.com",
        ] {
            assert!(!is_loopback_host(without_port(host)), "{host}");
        }
    }
}
