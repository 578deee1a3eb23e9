//! `tier.state`: the account that commands in a directory use after `tier switch`.

use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::CliError;
use crate::config::file;

/// The file, in the working directory.
pub(super) const STATE_FILE: &str = "tier.state";

/// The connected account that commands in this directory use. The names are those of the Go version, whose files stay
/// readable.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct State {
    /// `acct_…`.
    #[serde(rename = "ID")]
    pub(super) id: String,
    /// RFC 3339. The year 1 if it is not known.
    #[serde(rename = "Created", default)]
    pub(super) created: String,
    #[serde(rename = "Type", default)]
    kind: String,
    /// Further data. Tier writes only whether the account was deleted.
    #[serde(rename = "Meta", default)]
    meta: Value,
}

/// The key in `Meta` of a deleted account.
const DELETED: &str = "deleted";

impl State {
    pub(super) fn new(id: String, created: String) -> Self {
        Self {
            id,
            created,
            kind: String::new(),
            meta: Value::Null,
        }
    }

    /// Records that the account was deleted. The file stays, since without it commands would silently use another
    /// account.
    pub(super) fn mark_deleted(&mut self) {
        self.meta = json!({ DELETED: true });
    }

    fn is_deleted(&self) -> bool {
        self.meta.get(DELETED) == Some(&Value::Bool(true))
    }
}

/// The advice for leaving an account that is gone.
pub(super) fn removal_advice() -> String {
    format!("remove {STATE_FILE} to go back: rm {STATE_FILE}")
}

/// The account that commands in this directory use, if it is not the key's own.
///
/// # Errors
/// As [`read`], or if the account was deleted.
pub(super) fn current() -> anyhow::Result<Option<State>> {
    let state = read()?;
    if let Some(State { id, .. }) = state.as_ref().filter(|state| state.is_deleted()) {
        let message = format!("{id}, which {STATE_FILE} names, was deleted by `tier clean`");
        let failure = CliError::new(message);
        return Err(failure.advise(removal_advice()).into());
    }
    Ok(state)
}

/// The state of this directory, if there is one.
///
/// # Errors
/// If the file cannot be read, or was not written by `tier switch`. If it were ignored, commands would use the wrong
/// account.
pub(super) fn read() -> anyhow::Result<Option<State>> {
    let advice = "remove it to leave isolation mode, then run `tier switch` again";
    let read = file::read(Path::new(STATE_FILE));
    let state: Option<State> =
        read.map_err(|fault| CliError::new(fault.to_string()).advise(advice))?;
    if state
        .as_ref()
        .is_some_and(|state| !is_account_id(&state.id))
    {
        let message = format!("{STATE_FILE} does not name an account");
        return Err(CliError::new(message).advise(advice).into());
    }
    Ok(state)
}

/// Makes commands in this directory use an account.
pub(super) fn write(state: &State) -> anyhow::Result<()> {
    let json = serde_json::to_vec(state)?;
    file::write(Path::new(STATE_FILE), &json).with_context(|| format!("cannot write {STATE_FILE}"))
}

/// Whether a text is an account's id. It becomes the value of a header, so its characters matter.
pub(super) fn is_account_id(text: &str) -> bool {
    text.strip_prefix("acct_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_an_id_that_fits_into_a_header() {
        assert!(is_account_id("acct_1Abc"));
        for text in [
            "", "acct_", "acct_1\n", "acct_1 2", "acct_é", "cus_1", "acct_1/x",
        ] {
            assert!(!is_account_id(text), "{text:?}");
        }
    }
}
