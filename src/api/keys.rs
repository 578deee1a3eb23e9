//! The API keys that a server accepts, and the role of each.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::admission::CallerSlots;
use crate::num;

/// What a key allows. Each role includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read plans, limits and phases, but not a customer's details or cards.
    Read,
    /// Record usage.
    Report,
    /// Everything.
    Admin,
}

impl Role {
    /// The role as it is in the key file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Report => "report",
            Self::Admin => "admin",
        }
    }
}

/// An API key that the server accepts.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key itself.
    pub secret: SecretString,
    /// The name of the key in logs, where the key itself must not be shown.
    pub name: Option<String>,
    /// The role, which decides what it allows.
    pub role: Role,
}

impl From<String> for ApiKey {
    /// A key that allows everything.
    fn from(secret: String) -> Self {
        Self {
            secret: secret.into(),
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

    /// `KEY`, or `NAME:ROLE:KEY`. A key has no colon, since Basic authorization could not carry it.
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
            secret: secret.into(),
            name,
            role,
        })
    }
}

/// The server's API keys. Callers need one of them. Without keys, the server is open to everybody. Only digests are
/// kept. Clones share the keys, so that they can be [replaced](Self::replace) while the server runs.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<Arc<[Key]>>>);

#[derive(Clone)]
pub(super) struct Key {
    digest: [u8; 32],
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    /// The slots of its requests.
    pub(super) slots: CallerSlots,
}

impl Keys {
    /// The digests of `keys`.
    pub fn new<K: Into<ApiKey>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(Arc::new(RwLock::new(digests(keys, &[]))))
    }

    /// Replaces the keys by `keys`, and returns whether it did. An empty list is ignored, since it would open the
    /// server to everybody.
    pub fn replace<K: Into<ApiKey>>(&self, keys: impl IntoIterator<Item = K>) -> bool {
        let new = digests(keys, &self.current());
        if new.is_empty() {
            return false;
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        true
    }

    /// Whether the server has no keys, so that everybody may call.
    pub fn is_open(&self) -> bool {
        self.current().is_empty()
    }

    fn current(&self) -> Arc<[Key]> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The key in `Authorization`, if the server accepts it.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Option<Key> {
        self.find(&presented(headers)?)
    }

    /// The key with this secret, if the server accepts it. All digests are compared in constant time, so that timing
    /// reveals nothing about a key.
    pub(super) fn find(&self, secret: &str) -> Option<Key> {
        let digest = Sha256::digest(secret);
        let keys = self.current();
        let same = |key: &&Key| bool::from(key.digest.as_slice().ct_eq(digest.as_slice()));
        let found = keys.iter().filter(same);
        // Does not stop at a match, so that all digests are compared.
        found.fold(None, |_, key| Some(key)).cloned()
    }
}

/// The digests of `keys`. A key that was among the `old` ones keeps its slots.
fn digests<K: Into<ApiKey>>(keys: impl IntoIterator<Item = K>, old: &[Key]) -> Arc<[Key]> {
    let key = |key: K| {
        let key: ApiKey = key.into();
        let digest: [u8; 32] = Sha256::digest(key.secret.expose_secret()).into();
        let known = old.iter().find(|key| key.digest == digest);
        Key {
            name: key.name.unwrap_or_else(|| short(&digest)).into(),
            role: key.role,
            slots: known.map(|key| key.slots.clone()).unwrap_or_default(),
            digest,
        }
    };
    keys.into_iter().map(key).collect()
}

/// The first 20 hexadecimal digits of a key's digest, to tell keys apart. That is longer than a card number, so that
/// scanners do not mistake it for one.
pub(super) fn short(digest: &[u8; 32]) -> String {
    num::hex(&digest[..10])
}

/// The user of Basic authorization, or the Bearer token. None if that is empty, as from a client without a key. The
/// crate `headers` could parse this, but needs four more crates.
pub(super) fn presented(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        Cow::Borrowed(rest)
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
        Cow::Owned(pair.split_once(':')?.0.to_owned())
    } else {
        return None;
    };
    Some(key).filter(|key| !key.is_empty())
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
                .map(|key| (key.name, key.role, key.secret.expose_secret().to_owned()))
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

    /// Scanners for card numbers look for up to 19 digits, and a digest may have no letters.
    #[test]
    fn a_short_digest_has_twenty_hex_digits() {
        assert_eq!(short(&[0x42; 32]), "42".repeat(10));
    }
}
