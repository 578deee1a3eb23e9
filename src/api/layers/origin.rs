//! Checks which web pages may call. Browsers send a page's requests to loopback ports too, so without this check a
//! server on loopback would be open to every page that somebody visits on the machine.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, RETRY_AFTER, USER_AGENT,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::RequestContext;
use super::observe::X_REQUEST_ID;
use crate::api::error::Error;
use crate::api::extract::TEST_CLOCK;
use crate::net::is_loopback_host;

/// How long a browser may cache the answer to a preflight request.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The origins whose pages may call, and which `Host` names are accepted.
#[derive(Clone, Default)]
pub struct Origins {
    /// As browsers send them: `https://app.example`.
    pub allowed: Arc<[HeaderValue]>,
    /// Whether to accept loopback names only. This is for servers without keys that only this machine can reach,
    /// because a page could point its own host name at this machine ("DNS rebinding").
    pub loopback_only: bool,
}

impl Origins {
    /// Answers preflight requests, and lets the allowed origins read answers.
    pub(in crate::api) fn cors(&self) -> CorsLayer {
        let sent = [TEST_CLOCK, "idempotency-key"].map(HeaderName::from_static);
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

    /// Refuses requests of pages that may not call. Health probes are exempt, because they reveal nothing. So are forms
    /// of the server's own pages.
    pub(super) fn check(&self, context: &RequestContext, request: &Request) -> Result<(), Error> {
        if context.is_probe() {
            return Ok(());
        }
        let (headers, uri) = (request.headers(), request.uri());
        let own_form = context.operation().is_some_and(|op| op.is_form);
        if let Some(origin) = headers.get(ORIGIN)
            && !self.allowed.contains(origin)
            && !(own_form && is_own(origin, headers, uri))
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

/// Whether `origin` has the name and the port that the request was sent to. The scheme may differ, because the server
/// does not know which one a proxy in front of it uses.
fn is_own(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
    let authority = uri.authority().map(Authority::as_str);
    let host = || headers.get(HOST).and_then(|host| host.to_str().ok());
    let (Some(host), Ok(origin)) = (authority.or_else(host), origin.to_str()) else {
        return false;
    };
    let origin = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

/// Whether the request's host name can only mean this machine. Browsers always send one.
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
    fn a_host_is_checked_without_its_port() {
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
