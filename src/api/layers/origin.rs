//! Checks which web pages may call. Browsers send a page's requests to loopback ports too, so without this check a
//! server on loopback would be open to every page that somebody visits on the machine.

use std::net::IpAddr;
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
use crate::api::App;
use crate::api::error::Error;
use crate::api::extract::TEST_CLOCK;
use crate::net::is_loopback_host;

/// How long a browser may cache the answer to a preflight request.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The origins whose pages may call, and the `Host` names that are accepted.
#[derive(Clone, Default)]
pub struct Origins {
    /// The allowed origins, as browsers send them: `https://app.example`.
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

    /// Refuses requests from pages that may not call. Exempt are health probes, because they reveal nothing, listed
    /// pricing pages, which are public, and calls from the server's own pages.
    pub(super) fn check(
        &self,
        context: &RequestContext,
        request: &Request,
        app: &App,
    ) -> Result<(), Error> {
        if context.is_probe() {
            return Ok(());
        }
        let (headers, uri) = (request.headers(), request.uri());
        if let Some(origin) = headers.get(ORIGIN)
            && !self.allowed.contains(origin)
            && !(is_same_host(origin, headers, uri) && own_page_may_call(context, origin, app))
            && !app.shows_everybody(uri.path())
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
fn is_same_host(origin: &HeaderValue, headers: &HeaderMap, uri: &Uri) -> bool {
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

/// Whether a page whose origin has the server's name may call. If somebody else has pointed that name at this machine
/// ("DNS rebinding"), the page is not the server's, but it has no key either. So it may call operations that need a
/// key, and those that the server's own pages call without one.
fn own_page_may_call(context: &RequestContext, origin: &HeaderValue, app: &App) -> bool {
    let allowed = context.operation().is_some_and(|operation| {
        operation.is_for_own_pages || app.needs_key() && operation.access.role().is_some()
    });
    allowed || has_fixed_name(origin)
}

/// Whether the host of `origin` is a loopback name or an IP address, which nobody else can point at this machine.
fn has_fixed_name(origin: &HeaderValue) -> bool {
    let authority = origin
        .to_str()
        .ok()
        .and_then(|text| text.split("://").nth(1));
    let host = authority.map(without_port).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    is_loopback_host(host) || address.parse::<IpAddr>().is_ok()
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
