//! The Stripe key in use, from the variable or from `tier connect`.

use std::fmt;

use super::key_file::{KeyFile, KeyFileError};
use super::variable;

/// The Stripe key in use, and its source.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StripeKey {
    /// The secret key. It must never be shown.
    pub secret: String,
    /// The source as `whoami` shows it: `STRIPE_API_KEY`, or the path of the file.
    pub source: String,
    /// The account of the key (`acct_…`), if it is known.
    pub account: Option<String>,
    /// The publishable key, with which browsers call Stripe, if it is known.
    pub publishable: Option<String>,
}

/// The source that `whoami` shows with a sandbox.
const SANDBOX: &str = "sandbox";

/// The publishable key of a sandbox.
const SANDBOX_PUBLISHABLE_KEY: &str = "pk_test_sandbox";

impl StripeKey {
    /// A key for a sandbox.
    pub fn of_sandbox(secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
            source: SANDBOX.to_owned(),
            account: None,
            publishable: Some(SANDBOX_PUBLISHABLE_KEY.to_owned()),
        }
    }

    /// Whether it is a live key.
    pub fn is_live(&self) -> bool {
        self.secret.contains("_live_")
    }

    /// The publishable key: the `named` one, unless this key is for a sandbox, or else the one that is saved beside it.
    /// None if it is not a publishable key of the same mode, since a secret key must not reach a browser.
    pub fn publishable_with(&self, named: Option<&str>) -> Option<String> {
        let saved = self.publishable.as_deref();
        let key = named.filter(|_| !self.is_of_sandbox()).or(saved)?.trim();
        let mode = if self.is_live() {
            "pk_live_"
        } else {
            "pk_test_"
        };
        key.starts_with(mode).then(|| key.to_owned())
    }

    /// Whether it is for a sandbox.
    pub fn is_of_sandbox(&self) -> bool {
        self.source == SANDBOX
    }
}

impl fmt::Debug for StripeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StripeKey")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Why there is no usable Stripe key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// A live key without `--live`. A live key moves real money, so its use must be intended.
    #[error("--live is required if stripe key is a live key")]
    LiveKeyWithoutFlag,
    /// A test key with `--live`.
    #[error("--live provided with test key")]
    TestKeyWithFlag,
    /// No source has a key.
    #[error(
        "no Stripe key: set STRIPE_API_KEY, run `tier connect` to get one from your Stripe account, \
         or try Tier without an account with --sandbox"
    )]
    Missing,
    /// The file of `tier connect` exists, but has another format.
    #[error(transparent)]
    BrokenFile(#[from] KeyFileError),
}

/// `STRIPE_API_KEY`, else the key that `tier connect` saved.
///
/// # Errors
/// If there is no key, or if its mode is not the one of `live`.
pub fn stripe_key(live: bool) -> Result<StripeKey, KeyError> {
    // A variable that was filled from a file may end with a newline.
    let secret = variable("STRIPE_API_KEY").map(|secret| secret.trim().to_owned());
    match secret.filter(|secret| !secret.is_empty()) {
        Some(secret) => check_mode(
            StripeKey {
                secret,
                source: "STRIPE_API_KEY".to_owned(),
                account: None,
                publishable: None,
            },
            live,
        ),
        None => check_mode(saved_key(live)?, live),
    }
}

/// Checks that a key agrees with the `--live` flag.
fn check_mode(key: StripeKey, live: bool) -> Result<StripeKey, KeyError> {
    match (key.is_live(), live) {
        (true, false) => Err(KeyError::LiveKeyWithoutFlag),
        (false, true) => Err(KeyError::TestKeyWithFlag),
        _ => Ok(key),
    }
}

fn saved_key(live: bool) -> Result<StripeKey, KeyError> {
    let path = KeyFile::path().ok_or(KeyError::Missing)?;
    let source = path.display().to_string();
    let profile = KeyFile::open(path)?.profile()?.ok_or(KeyError::Missing)?;
    let (secret, publishable) = if live {
        let publishable = profile.livemode_key_publishable;
        (profile.livemode_key_secret, publishable)
    } else {
        let publishable = profile.testmode_key_publishable;
        (profile.testmode_key_secret, publishable)
    };
    if secret.is_empty() {
        return Err(KeyError::Missing);
    }
    Ok(StripeKey {
        secret,
        source,
        account: Some(profile.account_id).filter(|id| !id.is_empty()),
        publishable: Some(publishable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> StripeKey {
        StripeKey {
            secret: secret.to_owned(),
            source: "STRIPE_API_KEY".to_owned(),
            account: None,
            publishable: Some("pk_test_saved".to_owned()),
        }
    }

    #[test]
    fn browsers_get_a_publishable_key_of_the_same_mode() {
        let browsers = |secret: &str, named| key(secret).publishable_with(named);
        let given = |key: &str| Some(key.to_owned());
        assert_eq!(browsers("sk_test_1", None), given("pk_test_saved"));
        let named = browsers("sk_test_1", Some("pk_test_named\n"));
        assert_eq!(named, given("pk_test_named"));
        assert_eq!(browsers("rk_live_1", Some("pk_live_1")), given("pk_live_1"));
        for wrong in ["pk_live_1", "sk_test_1", "rk_test_1", "x"] {
            assert_eq!(browsers("sk_test_1", Some(wrong)), None, "{wrong}");
        }
        assert_eq!(browsers("sk_live_1", None), None);
        let sandbox = StripeKey::of_sandbox("sk_test_sandbox");
        let key = sandbox.publishable_with(Some("pk_test_named"));
        assert_eq!(key, given("pk_test_sandbox"));
    }

    #[test]
    fn the_live_flag_and_the_key_must_agree() {
        assert_eq!(
            check_mode(key("sk_live_1"), false),
            Err(KeyError::LiveKeyWithoutFlag)
        );
        assert_eq!(
            check_mode(key("rk_test_1"), true),
            Err(KeyError::TestKeyWithFlag)
        );
        assert_eq!(check_mode(key("rk_live_1"), true), Ok(key("rk_live_1")));
        assert_eq!(check_mode(key("sk_test_1"), false), Ok(key("sk_test_1")));
    }

    #[test]
    fn a_key_is_not_shown() {
        assert!(!format!("{:?}", key("sk_test_secret")).contains("secret"));
    }
}
