//! Who may call: the keys that a server accepts, or, where each caller brings a Stripe key, any key at all.

use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::error::Error;
use super::{Accounts, Shared, tenants};
use crate::admission::Share;
use crate::domain::Domain;

/// The keys that callers need one of; none: open to everybody. Only their digests are kept. Clones share them, so that
/// they can be [replaced](Self::replace) while the server runs.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<Arc<[Key]>>>);

#[derive(Clone)]
struct Key {
    digest: [u8; 32],
    share: Share,
}

impl Keys {
    /// The digests of `keys`.
    pub fn new<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(Arc::new(RwLock::new(digests(keys, &[]))))
    }

    /// Accepts `keys` from now on, and no others; whether that was done. No keys at all would open the server to
    /// everybody, and are not taken.
    pub fn replace<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> bool {
        let new = digests(keys, &self.current());
        if new.is_empty() {
            return false;
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        true
    }

    /// Whether everybody may call.
    pub fn is_open(&self) -> bool {
        self.current().is_empty()
    }

    fn current(&self) -> Arc<[Key]> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The share of the key that `headers` carry, if they do. Digests of equal length are compared, all of them and
    /// to the end, so that the time taken tells nothing about a key.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Option<Share> {
        let given = Sha256::digest(presented(headers)?);
        let keys = self.current();
        let same = |key: &&Key| bool::from(key.digest.as_slice().ct_eq(given.as_slice()));
        let found: Vec<_> = keys.iter().filter(same).collect();
        found.first().map(|key| key.share.clone())
    }
}

/// Keys that stay keep the requests that they have in flight.
fn digests<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>, old: &[Key]) -> Arc<[Key]> {
    let key = |key: K| {
        let digest = Sha256::digest(key).into();
        let known = old.iter().find(|key| key.digest == digest);
        known.cloned().unwrap_or_else(|| Key {
            digest,
            share: Share::default(),
        })
    };
    keys.into_iter().map(key).collect()
}

/// The user of Basic authorization, or the Bearer token. An empty user means that the client has no key.
fn presented(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        rest.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
        pair.split_once(':')?.0.to_owned()
    } else {
        return None;
    };
    Some(key).filter(|key| !key.is_empty())
}

/// Who sent a request.
pub(super) struct Caller {
    /// The account that the request acts on.
    pub(super) domain: Domain,
    /// The caller's requests in flight.
    pub(super) share: Share,
    /// Whether the caller is known by a key; without keys, all callers are one.
    pub(super) has_key: bool,
    /// Until the answer is there, a caller's account must stay the one that others with its key find.
    _account: Option<tenants::Held>,
}

/// Lets a request through that may act on an account, and finds that account.
pub(super) async fn authorize(
    State(app): State<Shared>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    let caller = caller(&app, request.headers())?;
    request.extensions_mut().insert(Arc::new(caller));
    Ok(next.run(request).await)
}

fn caller(app: &Shared, headers: &HeaderMap) -> Result<Caller, Error> {
    let (domain, share, account) = match &app.accounts {
        Accounts::One(domain) => {
            let share = if app.keys.is_open() {
                app.everybody.clone()
            } else {
                app.keys.admit(headers).ok_or_else(Error::unauthorized)?
            };
            (domain.clone(), share, None)
        }
        Accounts::Many(cloud) => {
            let key = presented(headers).ok_or_else(Error::unauthorized)?;
            let account = cloud.hold(&key).ok_or_else(Error::overloaded)?;
            let (domain, share) = (account.domain.clone(), account.share.clone());
            (domain, share, Some(account))
        }
    };
    Ok(Caller {
        domain,
        share,
        has_key: account.is_some() || !app.keys.is_open(),
        _account: account,
    })
}

/// Lets a request through that has one of the server's own keys, if it has any.
pub(super) async fn own_key(
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_key_is_the_basic_user_or_the_bearer_token() {
        let keys = Keys::new(["one", "two"]);
        for value in [
            "Basic b25lOg==",
            "basic dHdvOnBhc3N3b3Jk",
            "Bearer two",
            "bearer one",
        ] {
            assert!(keys.admit(&with(value)).is_some(), "{value}");
        }
        for value in [
            "",
            "Basic",
            "Basic Og==",
            "Basic b25l",
            "Basic !",
            "Bearer",
            "Bearer ",
            "Bearer three",
            "Bearer on",
            "Digest one",
            "one",
        ] {
            assert!(keys.admit(&with(value)).is_none(), "{value}");
        }
        assert!(keys.admit(&HeaderMap::new()).is_none());
    }

    #[test]
    fn keys_are_replaced_for_all_clones_but_never_by_none() {
        let keys = Keys::new(["one"]);
        let clone = keys.clone();
        assert!(keys.replace(["two"]));
        assert!(clone.admit(&with("Bearer one")).is_none());
        assert!(clone.admit(&with("Bearer two")).is_some());
        assert!(!keys.replace([""; 0]));
        assert!(clone.admit(&with("Bearer two")).is_some() && !clone.is_open());
        assert!(Keys::default().is_open());
    }
}
