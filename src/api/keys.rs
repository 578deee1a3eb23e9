//! Who may call: the keys that a server accepts, or, where each caller brings a Stripe key, any key at all.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::audit::Audited;
use super::error::Error;
use super::strangers::Stranger;
use super::{Accounts, Shared, tenants};
use crate::admission::Share;
use crate::domain::{self, Domain};
use crate::net::bounded_address;
use crate::num;
use crate::stripe::Client;

/// What a key lets its callers do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look at plans, limits and phases; not at a customer's details or cards.
    Read,
    /// Record usage.
    Report,
    /// Everything.
    Admin,
}

impl Role {
    /// As the file of keys has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Report => "report",
            Self::Admin => "admin",
        }
    }
}

/// A key that callers may have.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The key itself; never to be shown.
    pub secret: String,
    /// What it is called where it must not be shown.
    pub name: Option<String>,
    /// What it allows.
    pub role: Role,
}

impl From<String> for ApiKey {
    /// A key that allows everything.
    fn from(secret: String) -> Self {
        Self {
            secret,
            name: None,
            role: Role::Admin,
        }
    }
}

impl From<&str> for ApiKey {
    fn from(secret: &str) -> Self {
        secret.to_owned().into()
    }
}

impl FromStr for ApiKey {
    type Err = ();

    /// `KEY`, or `NAME:ROLE:KEY`. No key has a colon, since Basic authorization could not carry it.
    fn from_str(line: &str) -> Result<Self, ()> {
        let (name, role, secret) = match line.split(':').collect::<Vec<_>>()[..] {
            [secret] => (None, Role::Admin, secret),
            [name, role, secret] if !name.is_empty() => {
                let roles = [Role::Read, Role::Report, Role::Admin];
                let role = roles.into_iter().find(|known| known.as_str() == role);
                (Some(name.to_owned()), role.ok_or(())?, secret)
            }
            _ => return Err(()),
        };
        if secret.is_empty() {
            return Err(());
        }
        Ok(Self {
            secret: secret.to_owned(),
            name,
            role,
        })
    }
}

/// The keys that callers need one of; none: open to everybody. Only their digests are kept. Clones share them, so that
/// they can be [replaced](Self::replace) while the server runs.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<Arc<[Key]>>>);

#[derive(Clone)]
pub(super) struct Key {
    digest: [u8; 32],
    name: String,
    role: Role,
    share: Share,
}

impl Keys {
    /// The digests of `keys`.
    pub fn new<K: Into<ApiKey>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(Arc::new(RwLock::new(digests(keys, &[]))))
    }

    /// Accepts `keys` from now on, and no others; whether that was done. No keys at all would open the server to
    /// everybody, and are not taken.
    pub fn replace<K: Into<ApiKey>>(&self, keys: impl IntoIterator<Item = K>) -> bool {
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

    /// The key that `headers` carry, if they do. Digests of equal length are compared, all of them and
    /// to the end, so that the time taken tells nothing about a key.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Option<Key> {
        let given = Sha256::digest(presented(headers)?);
        let keys = self.current();
        let same = |key: &&Key| bool::from(key.digest.as_slice().ct_eq(given.as_slice()));
        let found: Vec<_> = keys.iter().filter(same).collect();
        found.first().map(|key| (*key).clone())
    }
}

/// Keys that stay keep the requests that they have in flight.
fn digests<K: Into<ApiKey>>(keys: impl IntoIterator<Item = K>, old: &[Key]) -> Arc<[Key]> {
    let key = |key: K| {
        let key: ApiKey = key.into();
        let digest: [u8; 32] = Sha256::digest(&key.secret).into();
        let known = old.iter().find(|key| key.digest == digest);
        Key {
            name: key.name.unwrap_or_else(|| short(&digest)),
            role: key.role,
            share: known.map(|key| key.share.clone()).unwrap_or_default(),
            digest,
        }
    };
    keys.into_iter().map(key).collect()
}

/// Enough of a key's digest to tell it from others; with so many digits that it never looks like a card's number.
pub(super) fn short(digest: &[u8; 32]) -> String {
    num::hex(&digest[..10])
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
    /// The name of the caller's key; without keys, all callers are one.
    pub(super) key: Option<String>,
    /// Where it calls from.
    pub(super) peer: Option<IpAddr>,
    /// What the caller may do.
    role: Role,
    /// Where Stripe has not accepted the key yet.
    _stranger: Option<Suspect>,
    /// Until the answer is there, a caller's account must stay the one that others with its key find.
    _account: Option<tenants::Held>,
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

/// Lets a request through that may act on an account, and finds that account.
pub(super) async fn authorize(
    State(app): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let caller = caller(&app, &parts).await?;
    let needed = needed(&parts);
    let mut request = Request::from_parts(parts, body);
    if caller.role < needed {
        let refused = Error::forbidden(format!(
            "this API key has the role {}, and this request needs {}",
            caller.role.as_str(),
            needed.as_str()
        ));
        let refused = refused.into_response();
        if !request.method().is_safe() {
            Audited::of(&app, &mut request, &caller).tell(&refused);
        }
        return Ok(refused);
    }
    request.extensions_mut().insert(Arc::new(caller));
    Ok(next.run(request).await)
}

/// The role that a request needs.
fn needed(request: &Parts) -> Role {
    let query = request.uri.query().unwrap_or_default();
    let mut query = form_urlencoded::parse(query.as_bytes());
    let mut shows_details = || query.any(|(name, value)| name == "include" && value == "info");
    match request.uri.path() {
        "/v1/report" => Role::Report,
        // A customer's details and cards.
        "/v1/payment_methods" => Role::Admin,
        "/v1/whois" if shows_details() => Role::Admin,
        _ if request.method.is_safe() => Role::Read,
        _ => Role::Admin,
    }
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
    fn a_line_is_a_key_or_a_name_a_role_and_a_key() {
        let read = |line: &str| {
            line.parse::<ApiKey>()
                .map(|key| (key.name, key.role, key.secret))
        };
        let name = |name: &str| Some(name.to_owned());
        assert_eq!(read("one"), Ok((None, Role::Admin, "one".to_owned())));
        for role in [Role::Read, Role::Report, Role::Admin] {
            let line = format!("front end:{}:one", role.as_str());
            assert_eq!(read(&line), Ok((name("front end"), role, "one".to_owned())));
        }
        for line in [
            "",
            "a:b",
            "a:write:b",
            "a:READ:b",
            ":read:b",
            "a:read:",
            "a:read:b:c",
            "::",
        ] {
            assert_eq!(read(line), Err(()), "{line}");
        }
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

    /// A card's number has up to 19 digits, and whoever looks through logs for them finds digests of digits alone.
    #[test]
    fn a_digest_is_longer_than_a_cards_number() {
        assert_eq!(short(&[0x42; 32]), "42".repeat(10));
    }
}
