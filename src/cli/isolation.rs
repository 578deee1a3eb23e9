//! Which key an isolated account was last reached with. When Stripe does not let a key into such an account, it says the same
//! of an account that is gone and of one that is somebody else's; the key that has been in tells them apart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::failure::Failure;
use super::state::{self, STATE_FILE};
use crate::config::{KeyFile, file};
use crate::num;

/// A connected account, and the key that is to act in it.
#[derive(Clone)]
pub(super) struct Isolation {
    account: String,
    /// Says nothing of the key to whoever reads the file that it is kept in.
    key_digest: String,
}

/// The digests of keys, by the accounts that they were in.
type Reached = BTreeMap<String, String>;

impl Isolation {
    pub(super) fn new(account: &str, key: &str) -> Self {
        let digest = Sha256::digest(format!("{account} {key}"));
        Self {
            account: account.to_owned(),
            key_digest: num::hex(&digest),
        }
    }

    /// Remembers that the key acts in the account. Without a home directory, or a place in it, nothing is remembered, and less
    /// can be said later.
    pub(super) fn remember(self) {
        let Some(path) = path() else { return };
        let mut reached = read(&path);
        reached.insert(self.account, self.key_digest);
        if let Ok(json) = serde_json::to_vec_pretty(&reached) {
            let _ = file::write_into_private_folder(&path, &json);
        }
    }

    /// Whether the key has acted in the account.
    fn has_reached(&self) -> bool {
        let reached = path().map(|path| read(&path)).unwrap_or_default();
        reached.get(&self.account) == Some(&self.key_digest)
    }

    /// Why Stripe does not let the key into the account that `tier.state` names.
    pub(super) fn refusal(&self) -> Failure {
        if self.has_reached() {
            let message = format!(
                "{}, which {STATE_FILE} names, is gone: it was deleted, or does not let this key in any more",
                self.account
            );
            return Failure::new(message).advise(state::way_back());
        }
        Failure::new(
            "Running in isolated mode without the API key that started it; See 'tier switch -h'.",
        )
    }

    /// Why `tier switch` does not go there.
    pub(super) fn refusal_to_switch(&self) -> Failure {
        let account = &self.account;
        let (message, advice) = if self.has_reached() {
            let message =
                format!("{account} is gone: it was deleted, or does not let this key in any more");
            (message, "`tier switch -c` makes another")
        } else {
            let message = format!("{account} is not an account that this key can act in");
            let advice = "check its id, and that STRIPE_API_KEY is the key that it was made with";
            (message, advice)
        };
        Failure::new(message).code("account_invalid").advise(advice)
    }
}

/// Beside the keys.
fn path() -> Option<PathBuf> {
    Some(KeyFile::path()?.with_file_name("isolated.json"))
}

/// What cannot be read is as good as nothing: it only makes messages better.
fn read(path: &Path) -> Reached {
    file::read(path).ok().flatten().unwrap_or_default()
}
