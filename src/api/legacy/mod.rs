//! The API of 2022, `/api/v1`, for the clients of that time: their requests and answers over today's domain.
//!
//! Those clients accept any JSON as an answer, expect `not_found` for everything that is not found, and send orgs in
//! the query without encoding them.

mod account;
mod login;
mod pricing;
mod schedule;
mod setup;
mod usage;

pub use login::DeviceLogin;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;

use super::extract::count_for_org;
use super::layers::RequestContext;
use super::operation::Operation;
use super::{Error, Shared, decode};
use crate::domain;
use crate::domain::refs::OrgName;

/// The operations of all nouns.
pub(super) fn operations() -> impl Iterator<Item = Operation> {
    account::operations()
        .into_iter()
        .chain(login::operations())
        .chain(pricing::operations())
        .chain(schedule::operations())
        .chain(setup::operations())
        .chain(usage::operations())
}

/// Decodes `body` as each kind of request, for fuzzing.
pub(super) fn decode_all(body: &[u8]) {
    decode::exercise::<schedule::AppendRequest>(body);
    decode::exercise::<usage::ReserveRequest>(body);
}

/// An error as the clients of 2022 expect it: everything that is not found has one code, and the status 404.
pub(super) struct LegacyError(Error);

impl From<domain::Error> for LegacyError {
    fn from(error: domain::Error) -> Self {
        Self(Error::legacy(error))
    }
}

impl From<Error> for LegacyError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for LegacyError {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// The org in the query. Clients do not encode it, so a `+` is not a space.
pub(super) struct LegacyOrg(pub OrgName);

impl FromRequestParts<Shared> for LegacyOrg {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default();
        let org = query.split('&').find_map(|pair| pair.strip_prefix("org="));
        let org = percent_decode_str(org.unwrap_or_default()).decode_utf8_lossy();
        let org = org.parse().map_err(domain::Error::from)?;
        count_for_org(RequestContext::of(&parts.extensions)?, &org)?;
        Ok(Self(org))
    }
}
