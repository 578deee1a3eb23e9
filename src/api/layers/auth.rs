//! Who calls: a key of the server's own, or, where each caller brings a Stripe key, any key at all.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::RequestContext;
use super::strangers::Stranger;
use crate::admission::Share;
use crate::api::Shared;
use crate::api::accounts::{self, Accounts};
use crate::api::error::Error;
use crate::api::keys::{Role, presented, short};
use crate::domain::{self, Domain};
use crate::net::bounded_address;
use crate::stripe::Client;

/// Who sent a request.
pub(in crate::api) struct Caller {
    /// The account that the request acts on.
    pub(super) domain: Domain,
    /// The caller's requests in flight.
    pub(super) share: Share,
    /// The name of the caller's key; without keys, all callers are one.
    pub(in crate::api) key: Option<String>,
    /// Where it calls from.
    pub(in crate::api) peer: Option<IpAddr>,
    /// What the caller may do.
    role: Role,
    /// Where Stripe has not accepted the key yet.
    _stranger: Option<Suspect>,
    /// Until the answer is there, a caller's account must stay the one that others with its key find.
    _account: Option<accounts::Held>,
}

/// A request with a key that Stripe has not accepted yet. If it refuses it, that is remembered.
struct Suspect {
    stranger: Stranger,
    stripe: Client,
}

impl Drop for Suspect {
    fn drop(&mut self) {
        if self.stripe.is_key_refused() {
            self.stranger.is_refused();
        }
    }
}

/// Finds who sent a request, and so the account that it acts on; or the answer to one that may not.
pub(super) async fn authorize(app: &Shared, request: &Parts) -> Result<(), Response> {
    let context = RequestContext::of(&request.extensions).map_err(Error::into_response)?;
    let caller = caller(app, request).await.map_err(Error::into_response)?;
    let caller = context.note_caller(caller);
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
        app.audit.tell(context, &refused);
    }
    Err(refused)
}

async fn caller(app: &Shared, request: &Parts) -> Result<Caller, Error> {
    let headers = &request.headers;
    let peer = app.proxies.origin(headers, &request.extensions);
    match &app.accounts {
        Accounts::One(domain) if app.keys.is_open() => Ok(Caller {
            domain: domain.clone(),
            share: app.everybody.clone(),
            key: None,
            peer,
            role: Role::Admin,
            _stranger: None,
            _account: None,
        }),
        Accounts::One(domain) => {
            let key = app.keys.admit(headers).ok_or_else(Error::unauthorized)?;
            Ok(Caller {
                domain: domain.clone(),
                share: key.share,
                key: Some(key.name),
                peer,
                role: key.role,
                _stranger: None,
                _account: None,
            })
        }
        Accounts::Many(cloud) => {
            let key = presented(headers).ok_or_else(Error::unauthorized)?;
            let digest = Sha256::digest(&key).into();
            let account = cloud.hold(&key).ok_or_else(Error::overloaded)?;
            let stripe = account.domain.stripe();
            let stranger = if stripe.is_key_accepted() {
                None
            } else {
                let most = app.limits.concurrent;
                let stranger = cloud
                    .strangers
                    .enter(digest, peer.map(bounded_address), most)?;
                Some(Suspect {
                    stranger,
                    stripe: stripe.clone(),
                })
            };
            // A body is not read before the key is known to be good. What has none asks Stripe by itself.
            if stranger.is_some() && !request.method.is_safe() {
                let asked = account.domain.check_key();
                let asked = tokio::time::timeout(app.limits.request_timeout, asked).await;
                asked.unwrap_or(Err(domain::Error::Abandoned))?;
            }
            Ok(Caller {
                domain: account.domain.clone(),
                share: account.share.clone(),
                key: Some(short(&digest)),
                peer,
                role: Role::Admin,
                _stranger: stranger,
                _account: Some(account),
            })
        }
    }
}

/// Lets a request through that has one of the server's own keys, if it has any.
pub(in crate::api) async fn own_key(
    State(app): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    if app.keys.is_open() || app.keys.admit(request.headers()).is_some() {
        Ok(next.run(request).await)
    } else {
        Err(Error::unauthorized())
    }
}
