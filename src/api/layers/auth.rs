//! Authentication: by the server's own keys or, with `--cloud`, by the Stripe key that each caller brings.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::unknown_keys::UnknownKeyRequest;
use super::{Next, RequestContext};
use crate::admission::CallerSlots;
use crate::api::Shared;
use crate::api::accounts::{self, Accounts};
use crate::api::error::Error;
use crate::api::keys::{Role, presented, short};
use crate::domain::{self, Domain};
use crate::net::bounded_address;
use crate::stripe::Client;

/// The name, in the audit log, of callers with a checkout link.
const VISITOR: &str = "checkout link";

/// Who sent a request.
pub(in crate::api) struct Caller {
    /// The account that the request acts on.
    pub(super) domain: Domain,
    /// The slots of the caller's requests.
    pub(super) slots: CallerSlots,
    /// The name of the caller's key. None if the server has no keys, so that all callers count as one.
    pub(in crate::api) key: Option<Arc<str>>,
    /// The address of the caller.
    pub(in crate::api) peer: Option<IpAddr>,
    /// What the caller may do.
    role: Role,
    /// Set if Stripe has not accepted the key yet.
    _unknown_key: Option<UnknownKeyGuard>,
    /// Keeps the account in memory until the request is answered, so that other requests with this key use the same
    /// one.
    _account: Option<accounts::PinnedAccount>,
}

impl Caller {
    /// The caller's role.
    pub(in crate::api) fn role(&self) -> Role {
        self.role
    }

    /// Whether the caller may do what needs `role`.
    pub(in crate::api) fn has(&self, role: Role) -> bool {
        self.role >= role
    }
}

/// A request with a key that Stripe has not accepted yet. Dropping it remembers the key if Stripe has refused it.
struct UnknownKeyGuard {
    request: UnknownKeyRequest,
    stripe: Client,
}

impl Drop for UnknownKeyGuard {
    fn drop(&mut self) {
        if self.stripe.is_key_refused() {
            self.request.note_refusal();
        }
    }
}

/// Finds the caller of a request and the account that it acts on, or returns the answer that refuses it.
pub(super) async fn authorize(app: &Shared, request: &Parts) -> Result<(), Response> {
    let context = RequestContext::of(&request.extensions).map_err(Error::into_response)?;
    let caller = caller(app, request).await.map_err(Error::into_response)?;
    let caller = context.set_caller(caller);
    let operation = context.operation();
    let needed = operation.and_then(|operation| operation.role(request));
    let Some(needed) = needed.filter(|needed| caller.role < *needed) else {
        return Ok(());
    };
    let refused = Error::forbidden(format!(
        "this API key has the role {}, and this request needs {}",
        caller.role.as_str(),
        needed.as_str()
    ));
    let refused = refused.into_response();
    if !request.method.is_safe() {
        app.audit.record(context, &refused);
    }
    Err(refused)
}

/// Makes the visitor of a checkout link the caller. Visitors share their slots with all callers that need no key.
pub(super) fn admit_visitor(app: &Shared, request: &Parts) -> Result<(), Error> {
    let Accounts::One(domain) = &app.accounts else {
        return Err(Error::not_found());
    };
    RequestContext::of(&request.extensions)?.set_caller(Caller {
        domain: domain.clone(),
        slots: app.anonymous.clone(),
        key: Some(VISITOR.into()),
        peer: app.proxies.origin(&request.headers, &request.extensions),
        role: Role::Read,
        _unknown_key: None,
        _account: None,
    });
    Ok(())
}

async fn caller(app: &Shared, request: &Parts) -> Result<Caller, Error> {
    let headers = &request.headers;
    let peer = app.proxies.origin(headers, &request.extensions);
    match &app.accounts {
        Accounts::One(domain) if app.keys.is_open() => Ok(Caller {
            domain: domain.clone(),
            slots: app.everybody.clone(),
            key: None,
            peer,
            role: Role::Admin,
            _unknown_key: None,
            _account: None,
        }),
        Accounts::One(domain) => {
            let key = app.keys.admit(headers).ok_or_else(Error::unauthorized)?;
            Ok(Caller {
                domain: domain.clone(),
                slots: key.slots,
                key: Some(key.name),
                peer,
                role: key.role,
                _unknown_key: None,
                _account: None,
            })
        }
        Accounts::Many(cloud) => {
            let key = presented(headers).ok_or_else(Error::unauthorized)?;
            let digest = Sha256::digest(key.as_bytes()).into();
            let account = cloud.pin(&key).ok_or_else(Error::overloaded)?;
            let stripe = account.domain.stripe();
            let unknown_key = if stripe.is_key_accepted() {
                None
            } else {
                let max = app.limits.concurrent;
                let request = cloud
                    .unknown_keys
                    .enter(digest, peer.map(bounded_address), max)?;
                Some(UnknownKeyGuard {
                    request,
                    stripe: stripe.clone(),
                })
            };
            // A body is only read once Stripe has accepted the key. A request without a body calls Stripe anyway.
            if unknown_key.is_some() && !request.method.is_safe() {
                let check = account.domain.check_key();
                let checked = tokio::time::timeout(app.limits.request_timeout, check).await;
                checked.unwrap_or(Err(domain::Error::Abandoned))?;
            }
            Ok(Caller {
                domain: account.domain.clone(),
                slots: account.slots.clone(),
                key: Some(short(&digest).into()),
                peer,
                role: Role::Admin,
                _unknown_key: unknown_key,
                _account: Some(account),
            })
        }
    }
}

/// Requires one of the server's API keys, if it has any.
pub(in crate::api) async fn require_api_key(app: Shared, request: Request, next: Next) -> Response {
    if app.keys.is_open() || app.keys.admit(request.headers()).is_some() {
        next.run(request).await
    } else {
        Error::unauthorized().into_response()
    }
}
