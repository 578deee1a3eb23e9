//! Remembers which key last used an isolated account.
//!
//! If Stripe refuses a key, its error is the same for an account that is gone and for somebody else's account. If the
//! key has used the account before, the account is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::CliError;
use super::state::{self, STATE_FILE};
use crate::config::{KeyFile, file};
use crate::num;

/// A connected account, and the key to use it with.
#[derive(Clone)]
pub(super) struct Isolation {
    account: String,
    /// The digest of account and key that is stored. It does not reveal the key.
    key_digest: String,
}

/// Digests of keys, by the account that they used.
type LastKeys = BTreeMap<String, String>;

impl Isolation {
    pub(super) fn new(account: &str, key: &str) -> Self {
        let digest = Sha256::digest(format!("{account} {key}"));
        Self {
            account: account.to_owned(),
            key_digest: num::hex(&digest),
        }
    }

    /// Remembers that the key has used the account. Failures are ignored, since this only improves error messages.
    pub(super) fn remember(self) {
        let Some(path) = path() else { return };
        let mut last_keys = read(&path);
        last_keys.insert(self.account, self.key_digest);
        if let Ok(json) = serde_json::to_vec_pretty(&last_keys) {
            let _ = file::write_into_private_folder(&path, &json);
        }
    }

    /// Whether the key was the last one to use the account.
    fn has_used_account(&self) -> bool {
        let last_keys = path().map(|path| read(&path)).unwrap_or_default();
        last_keys.get(&self.account) == Some(&self.key_digest)
    }

    /// The error for a key that Stripe refuses in the account of `tier.state`.
    pub(super) fn refusal(&self) -> CliError {
        if self.has_used_account() {
            let message = format!(
                "{}, which {STATE_FILE} names, is gone: it was deleted, or this key may no longer use it",
                self.account
            );
            return CliError::new(message).advise(state::removal_advice());
        }
        CliError::new(
            "Running in isolated mode without the API key that started it; See 'tier switch -h'.",
        )
    }

    /// The error of `tier switch` for an account that the key cannot use.
    pub(super) fn refusal_to_switch(&self) -> CliError {
        let account = &self.account;
        let (message, advice) = if self.has_used_account() {
            let message =
                format!("{account} is gone: it was deleted, or this key may no longer use it");
            (message, "`tier switch -c` creates another")
        } else {
            let message = format!("{account} is not an account that this key can use");
            let advice = "check its id, and that STRIPE_API_KEY is the key that created it";
            (message, advice)
        };
        CliError::new(message)
            .code("account_invalid")
            .advise(advice)
    }
}

/// The path of the file, beside the saved keys.
fn path() -> Option<PathBuf> {
    Some(KeyFile::path()?.with_file_name("isolated.json"))
}

/// Reads the file. If it cannot be read it counts as empty, because it only improves error messages.
fn read(path: &Path) -> LastKeys {
    file::read(path).ok().flatten().unwrap_or_default()
}
