//! Protects the controls, the viewer and the checkout pages from other web pages. They need no key, and browsers let
//! any page send requests to loopback ports. Without this guard, any page that the user visits could reset the sandbox
//! or pay.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use url::{Host, Url};

use crate::error::Error;
use crate::pages::viewer::target::viewer_target;
use crate::sandbox::Sandbox;

/// The header in which browsers describe where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Refuses requests from other web pages and under foreign host names.
pub(crate) async fn guard(
    State(sandbox): State<Sandbox>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_viewer = viewer_target(request.method(), path, request.headers()).is_some();
    let is_control = path.starts_with("/_sandbox/");
    if !is_viewer && !is_control && !path.starts_with("/c/") {
        return next.run(request).await;
    }
    // Any page may link to the viewer, because it cannot read the linked page.
    let must_be_own = !request.method().is_safe()
        || is_control
        || (is_viewer && !is_navigation(request.headers()));
    match check(
        &sandbox,
        request.uri().host(),
        request.headers(),
        must_be_own,
    ) {
        Ok(()) => next.run(request).await,
        Err(message) => {
            let error = Error::invalid(message).status(StatusCode::FORBIDDEN.as_u16());
            let json = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::FORBIDDEN, json, error.to_json().to_string()).into_response()
        }
    }
}

/// Whether the browser navigates to the page, rather than loading it from another page.
fn is_navigation(headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, value: &str| headers.get(name).is_some_and(|is| is == value);
    says(SEC_FETCH_MODE, "navigate") && says(SEC_FETCH_DEST, "document")
}

fn check(
    sandbox: &Sandbox,
    authority: Option<&str>,
    headers: &HeaderMap,
    must_be_own: bool,
) -> Result<(), &'static str> {
    let options = &sandbox.0.options;
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let public = options.public_url.as_deref().map(Url::parse);
    let public = public.and_then(Result::ok);
    let host = text(header::HOST);
    let name = authority.or(host.map(without_port));
    let is_public = public.as_ref().is_some_and(|url| url.host_str() == name);
    // Browsers always send a host name.
    if options.loopback_only && !is_public && !name.is_none_or(is_loopback) {
        return Err(
            "This sandbox only answers to names of this machine: use 127.0.0.1 or localhost.",
        );
    }
    let foreign = "Other web pages may not use the sandbox's controls and pages.";
    let site = text(SEC_FETCH_SITE);
    let is_own = matches!(site, Some("same-origin"));
    if must_be_own && site.is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return Err(foreign);
    }
    match text(header::ORIGIN) {
        None => Ok(()),
        // Some browsers hide the origin of a page's own form.
        Some("null") if is_own => Ok(()),
        Some(origin) if is_origin_of(origin, host, public.as_ref()) => Ok(()),
        Some(_) => Err(foreign),
    }
}

/// Whether `name` can only mean this machine. It is not resolved, because anybody can point their own name at this
/// machine.
fn is_loopback(name: &str) -> bool {
    match Host::parse(name) {
        // RFC 6761 keeps names below `localhost` out of the DNS.
        Ok(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Err(_) => false,
    }
}

/// Whether `origin` is the address of this request, or the public URL.
fn is_origin_of(origin: &str, host: Option<&str>, public: Option<&Url>) -> bool {
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    let is_public = public.is_some_and(|public| public.origin() == url.origin());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    is_public || (authority.is_some() && authority == host)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
