//! What handlers take from a request, read strictly: bodies, the org of a query, the headers that mean something.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::error::Error;
use super::layers::Trail;
use super::{Shared, decode};
use crate::domain::Domain;
use crate::domain::refs::OrgName;

/// The longest idempotency key, as with Stripe.
const MAX_IDEMPOTENCY_KEY: usize = 255;

/// A JSON body, read as [`decode`] says. The content type is not looked at: clients send any.
pub(super) struct Strict<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Shared> for Strict<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Error> {
        let RawBody(bytes) = RawBody::from_request(request, app).await?;
        Ok(Self(decode::from_slice(&bytes)?))
    }
}

/// A request about one org.
pub(super) trait AboutOrg {
    /// Which.
    fn org(&self) -> &OrgName;
}

/// A JSON body about one org, which has a share of its caller's places.
pub(super) struct OfOrg<T>(pub T);

impl<T: DeserializeOwned + AboutOrg> FromRequest<Shared> for OfOrg<T> {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Error> {
        let domain = request.extensions().get::<Domain>().cloned();
        let Strict(body) = Strict::<T>::from_request(request, app).await?;
        share_places(domain.as_ref(), body.org())?;
        Ok(Self(body))
    }
}

fn share_places(domain: Option<&Domain>, org: &OrgName) -> Result<(), Error> {
    match domain.and_then(Domain::admission) {
        Some(admission) => Ok(admission.for_org(org.as_str())?),
        None => Ok(()),
    }
}

/// A body as it came, within the size limit.
pub(super) struct RawBody(pub Bytes);

impl FromRequest<Shared> for RawBody {
    type Rejection = Error;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Error> {
        let body = Bytes::from_request(request, app);
        let Ok(body) = tokio::time::timeout(app.limits.body_timeout, body).await else {
            return Err(Error::too_slow());
        };
        match body {
            Ok(bytes) => Ok(Self(bytes)),
            Err(refused) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Error::too_large(app.limits.body))
            }
            Err(_) => Err(Error::invalid("the body could not be read to its end")),
        }
    }
}

/// The account that the request acts on, in the time of the test clock that the header `Tier-Clock` names.
impl FromRequestParts<Shared> for Domain {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let chosen = parts.extensions.get::<Self>().zip(parts.extensions.get());
        let (account, lane) = chosen.ok_or_else(|| Error::internal(&"no account was chosen"))?;
        let mut domain = account.for_request(*lane);
        if let Some(clock) = text_header(&parts.headers, "tier-clock")? {
            domain = domain.on_test_clock(clock);
        }
        if let Some(Trail(trail)) = parts.extensions.get() {
            trail.get_or_init(|| domain.clone());
        }
        Ok(domain)
    }
}

/// The org that the query names, which has a share of its caller's places.
pub(super) struct Org(pub OrgName);

impl FromRequestParts<Shared> for Org {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let org = query(parts).find(|(name, _)| name == "org");
        let text = org.as_ref().map_or("", |(_, value)| value);
        let org = text.parse().map_err(crate::domain::Error::from)?;
        share_places(parts.extensions.get(), &org)?;
        Ok(Self(org))
    }
}

/// The test clock that the query names.
pub(super) struct ClockId(pub String);

impl FromRequestParts<Shared> for ClockId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        match query(parts).find(|(name, value)| name == "id" && !value.is_empty()) {
            Some((_, id)) => Ok(Self(id.into_owned())),
            None => Err(Error::invalid("id must name a test clock: ?id=clock_…")),
        }
    }
}

/// What `include` asks for beyond the usual; it may be repeated.
pub(super) struct Include {
    /// The customer's details.
    pub info: bool,
}

impl FromRequestParts<Shared> for Include {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let mut include = Self { info: false };
        for (_, value) in query(parts).filter(|(name, _)| name == "include") {
            match &*value {
                "info" => include.info = true,
                other => {
                    return Err(Error::invalid(format!(
                        "include must be \"info\", not {other:?}"
                    )));
                }
            }
        }
        Ok(include)
    }
}

/// The client's own `Idempotency-Key`, if it sent one.
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

fn query(parts: &Parts) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
}

/// A header's value; an empty one counts as absent.
fn text_header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Error> {
    let Some(value) = headers.get(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    match value.to_str() {
        // Spaces and tabs are text to HTTP, but in no id or key of Stripe's.
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(text)),
        _ => Err(Error::invalid(format!(
            "the header {name} must be visible ASCII, without spaces"
        ))),
    }
}
