//! The extractors of handlers. They read bodies, query parameters and headers strictly.

use std::borrow::Cow;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::audit::Change;
use super::error::Error;
use super::layers::RequestContext;
use super::not_json::NotJson;
use super::{Shared, decode};
use crate::admission::{Admission, BodyBuffer};
use crate::domain::Domain;
use crate::domain::refs::OrgName;

/// The header with the test clock of a request's orgs.
pub const TEST_CLOCK: &str = "tier-clock";

/// The maximum length of an idempotency key, as with Stripe.
pub(super) const MAX_IDEMPOTENCY_KEY: usize = 255;

/// The JSON body of a write, read by [`decode`]. The content type is ignored, because clients send various ones. The
/// body goes to the audit log, and the request counts for its org.
pub(super) struct AuditedJson<T>(pub T);

impl<T: DeserializeOwned + Change> FromRequest<Shared> for AuditedJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Error> {
        let context = RequestContext::of(request.extensions())?.clone();
        let body = RawBody::from_request(request, app).await?;
        let request: T = decode::from_slice(&body.bytes).map_err(|fault| {
            let other = fault.is_syntax_error().then(|| body.not_json()).flatten();
            other.unwrap_or_else(|| fault.into())
        })?;
        context.set_change(request.org(), request.change());
        if let Some(org) = request.org() {
            count_for_org(&context, org)?;
        }
        Ok(Self(request))
    }
}

/// Counts the request for an org.
pub(super) fn count_for_org(context: &RequestContext, org: &OrgName) -> Result<(), Error> {
    match context.domain().and_then(Domain::admission) {
        Some(admission) => Ok(admission.count_for_org(org.as_str())?),
        None => Ok(()),
    }
}

/// An unparsed body, within the size limit.
pub(super) struct RawBody {
    pub(super) bytes: Vec<u8>,
    content_type: Option<HeaderValue>,
    /// The body's part of the memory for bodies.
    _room: Option<BodyBuffer>,
}

impl RawBody {
    /// The error for a body that is a form and not JSON. None if it is not recognized as a form.
    pub(super) fn not_json(&self) -> Option<Error> {
        let encoding = NotJson::of(&self.bytes, self.content_type.as_ref())?;
        Some(Error::invalid(encoding.to_string()))
    }
}

impl FromRequest<Shared> for RawBody {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Error> {
        let domain = RequestContext::of(request.extensions())?.domain();
        let mut room = domain.and_then(Domain::admission).map(Admission::buffer);
        let content_type = request.headers().get(CONTENT_TYPE).cloned();
        let body = request.into_body();
        let read = read(body, app.limits.body, room.as_mut());
        let read = tokio::time::timeout(app.limits.body_timeout, read).await;
        Ok(Self {
            bytes: read.unwrap_or_else(|_| Err(Error::too_slow()))?,
            content_type,
            _room: room,
        })
    }
}

/// Reads a body to its end. Fails if it is larger than `max` bytes, or if its headers announce that.
pub(super) async fn read(
    body: Body,
    max: usize,
    mut room: Option<&mut BodyBuffer>,
) -> Result<Vec<u8>, Error> {
    let mut grow_to = |size| room.as_mut().map_or(Ok(()), |room| room.grow_to(size));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max {
        return Err(Error::too_large(max));
    }
    grow_to(announced)?;
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Error::invalid("the body could not be read to its end"))?;
        let size = bytes.len() + chunk.len();
        if size > max {
            return Err(Error::too_large(max));
        }
        grow_to(size)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The account that the request acts on, on the test clock in the header `Tier-Clock` if there is one.
impl FromRequestParts<Shared> for Domain {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let domain = RequestContext::of(&parts.extensions)?.domain();
        let domain = domain.ok_or_else(|| Error::internal(&"no account was chosen"))?;
        let domain = match text_header(&parts.headers, TEST_CLOCK)? {
            Some(clock) => domain.on_test_clock(clock),
            None => domain.clone(),
        };
        Ok(if asks_for_no_cache(&parts.headers) {
            domain.asking_stripe()
        } else {
            domain
        })
    }
}

/// The org in the query. The request counts for that org.
pub(super) struct Org(pub OrgName);

impl FromRequestParts<Shared> for Org {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let org = query(parts).find(|(name, _)| name == "org");
        let text = org.as_ref().map_or("", |(_, value)| value);
        let org = text.parse().map_err(crate::domain::Error::from)?;
        count_for_org(RequestContext::of(&parts.extensions)?, &org)?;
        Ok(Self(org))
    }
}

/// The test clock that the query names.
pub(super) enum ClockQuery {
    /// By its id.
    Id(String),
    /// By an org that is on it.
    Of(OrgName),
}

impl FromRequestParts<Shared> for ClockQuery {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let named = |wanted| query(parts).find(|(name, value)| name == wanted && !value.is_empty());
        if let Some((_, id)) = named("id") {
            return Ok(Self::Id(id.into_owned()));
        }
        match named("org") {
            Some((_, org)) => Ok(Self::Of(org.parse().map_err(crate::domain::Error::from)?)),
            None => Err(Error::invalid(
                "id must name a test clock: ?id=clock_…, or org an org that is on one",
            )),
        }
    }
}

/// The query parameter `include`, which may be repeated. Unknown values are ignored.
pub(super) struct Include {
    /// The customer's details.
    pub info: bool,
    /// The generation of the prices that a push creates.
    pub generation: bool,
    /// The role of the caller's key.
    pub role: bool,
}

impl FromRequestParts<Shared> for Include {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let names = |wanted: &str| {
            let mut values = query(parts).filter(|(name, _)| name == "include");
            values.any(|(_, value)| value == wanted)
        };
        Ok(Self {
            info: names("info"),
            generation: names("generation"),
            role: names("role"),
        })
    }
}

/// The `Idempotency-Key` of the client, if it sent one.
pub(super) struct IdempotencyKey(pub Option<String>);

impl FromRequestParts<Shared> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let key = text_header(&parts.headers, "idempotency-key")?;
        if key.is_some_and(|key| key.len() > MAX_IDEMPOTENCY_KEY) {
            return Err(Error::invalid(format!(
                "Idempotency-Key must not exceed {MAX_IDEMPOTENCY_KEY} characters"
            )));
        }
        Ok(Self(key.map(str::to_owned)))
    }
}

/// The parameters of the query, in order.
pub(super) fn query(parts: &Parts) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
}

/// A query parameter by its name. An empty one counts as absent.
pub(super) fn parameter<'a>(parts: &'a Parts, name: &str) -> Option<Cow<'a, str>> {
    let found = query(parts).find(|(key, value)| key == name && !value.is_empty());
    found.map(|(_, value)| value)
}

/// A parameter that is `true` or `false`. Absent means false.
pub(super) fn flag(parts: &Parts, name: &str) -> Result<bool, Error> {
    match parameter(parts, name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Error::invalid(format!(
            "{name} must be true or false, not {other:?}"
        ))),
    }
}

/// Whether the client sent `Cache-Control: no-cache`.
fn asks_for_no_cache(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter();
    let mut directives = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
}

/// The value of a header. An empty one counts as absent.
fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    let Some(value) = headers.get(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.to_str() {
        // HTTP allows spaces and tabs in a header, but no id or key of Stripe's has them.
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(text)),
        _ => Err(Error::invalid(format!(
            "the header {name} must be visible ASCII, without spaces"
        ))),
    }
}
