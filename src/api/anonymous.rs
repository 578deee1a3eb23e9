//! The extractors of operations that need no key. Such operations act on no account, but they cost time and memory, so
//! all of their callers share the slots of one caller.

use std::convert::Infallible;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::uri::Authority;

use super::Shared;
use super::error::Error;
use super::extract::read;
use crate::admission::Admitted;
use crate::net::bounded_address;

/// The longest body without a key, in bytes. Answers to it are longer, and stay in memory until the caller has read
/// them.
const MAX_OPEN_BODY: usize = 256 << 10;

/// One of the slots of requests without a key, held until this is dropped.
pub(super) struct AnonymousSlot(Admitted);

impl FromRequestParts<Shared> for AnonymousSlot {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Error> {
        let peer = app.proxies.origin(&parts.headers, &parts.extensions);
        let peer = peer.map(bounded_address);
        let limits = app.limits.anonymous();
        Ok(Self(app.slots.admit(&app.anonymous, peer, limits)?))
    }
}

/// The body of an operation that needs no key, within the size limit.
pub(super) struct OpenBody {
    pub(super) bytes: Vec<u8>,
    _room: crate::admission::BodyBuffer,
    _slot: AnonymousSlot,
}

impl FromRequest<Shared> for OpenBody {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let slot = AnonymousSlot::from_request_parts(&mut parts, app).await?;
        let mut room = slot.0.admission().buffer();
        let read = read(body, MAX_OPEN_BODY.min(app.limits.body), Some(&mut room));
        let read = tokio::time::timeout(app.limits.body_timeout, read).await;
        Ok(Self {
            bytes: read.unwrap_or_else(|_| Err(Error::too_slow()))?,
            _room: room,
            _slot: slot,
        })
    }
}

/// The server's base URL as the caller reaches it. None if the request names no host.
pub(super) struct BaseUrl(pub(super) Option<String>);

impl FromRequestParts<Shared> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Infallible> {
        Ok(Self(base_url(app, parts)))
    }
}

/// The server's base URL as the caller reaches it. None if the request names no host.
pub(super) fn base_url(app: &Shared, head: &Parts) -> Option<String> {
    let named = || {
        let host = head.headers.get(HOST)?.to_str().ok()?;
        host.parse::<Authority>().ok()
    };
    let host = head.uri.authority().cloned().or_else(named)?;
    let https = app.https || app.proxies.says_https(&head.headers, &head.extensions);
    let scheme = if https { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}
