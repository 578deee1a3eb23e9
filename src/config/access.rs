//! The API keys of callers, and errors in the settings that protect the server.

use std::path::PathBuf;

use super::ListenAddr;
use crate::api::ApiKey;

/// A setting that the server refuses to start with.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There are no keys, so everybody in the network could bill.
    #[error(
        "listening on {0} without an API key would let everybody there bill your customers: \
         set TIER_API_KEY or --api-key-file, or pass --insecure-no-auth"
    )]
    Open(ListenAddr),
    /// The server's own keys are not used with `--cloud`.
    #[error(
        "with --cloud each caller's API key is its Stripe key, so the keys in TIER_API_KEY would have no effect: \
        unset it, or leave out --cloud"
    )]
    CloudKeys,
    /// A webhook secret is for one account, and `--cloud` has many.
    #[error(
        "STRIPE_WEBHOOK_SECRET is for the events of one account, and --cloud serves many: unset it, or leave out --cloud"
    )]
    CloudEvents,
    /// A checkout link is for one account, and `--cloud` has many.
    #[error(
        "a checkout link is for one account, and --cloud serves many: unset TIER_LINK_SECRET, or leave out --cloud"
    )]
    CloudLinks,
    /// A secret that could be guessed from a link.
    #[error(
        "TIER_LINK_SECRET must have 32 characters or more, since anyone who guesses it can make checkout links: `openssl rand -hex 32` \
         prints a good one"
    )]
    ShortLinkSecret,
    /// A ledger is for one account, and `--cloud` has many.
    #[error(
        "a ledger belongs to one account, and --cloud serves many: leave out --ledger (or unset TIER_LEDGER), or leave out --cloud"
    )]
    CloudLedger,
    /// The key file cannot be read.
    #[error("cannot read --api-key-file {}: {cause}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        cause: std::io::Error,
    },
    /// A line of the file is malformed. It is not shown, because it may be a key.
    #[error(
        "--api-key-file {}: line {line} is neither KEY nor NAME:ROLE:KEY, with read, report or admin as ROLE",
        .path.display()
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// The file has no key, so everybody could call.
    #[error("--api-key-file {} has no key: write one key per line", .0.display())]
    NoKey(PathBuf),
}

/// The sources of the callers' keys.
#[derive(Clone)]
pub struct ApiKeys {
    pub(super) from_environment: Vec<String>,
    pub(super) file: Option<PathBuf>,
}

impl ApiKeys {
    /// Reads the keys.
    ///
    /// # Errors
    /// If the file cannot be read, has a malformed line, or has no key.
    pub fn read(&self) -> Result<Vec<ApiKey>, AccessError> {
        let from_environment = self.from_environment.iter().cloned();
        let mut keys: Vec<ApiKey> = from_environment.map(ApiKey::from).collect();
        if let Some(path) = &self.file {
            let text = std::fs::read_to_string(path).map_err(|cause| AccessError::File {
                path: path.clone(),
                cause,
            })?;
            // Some editors begin a file with a byte order mark.
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let lines = (1..).zip(text.lines().map(str::trim));
            let in_file = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
            let before = keys.len();
            for (line, text) in in_file {
                let path = || path.clone();
                let key = text
                    .parse()
                    .map_err(|()| AccessError::Line { path: path(), line });
                keys.push(key?);
            }
            if keys.len() == before {
                return Err(AccessError::NoKey(path.clone()));
            }
        }
        Ok(keys)
    }
}
