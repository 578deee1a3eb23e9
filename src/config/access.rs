//! The keys of callers, and why a server does not start with these settings.

use std::path::PathBuf;

use super::ListenAddr;
use crate::api::ApiKey;

/// Why the server does not start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Everybody in the network could bill.
    #[error(
        "listening on {0} without an API key would let everybody there bill your customers: \
         set TIER_API_KEY or --api-key-file, or say --insecure-no-auth"
    )]
    Open(ListenAddr),
    /// There are keys that would mean nothing.
    #[error(
        "with --cloud each caller's API key is its Stripe key, so the keys in TIER_API_KEY would let nobody in and \
         keep nobody out: unset it, or leave out --cloud"
    )]
    CloudKeys,
    /// The events would be those of one account.
    #[error(
        "the events that STRIPE_WEBHOOK_SECRET is for are those of one account, and --cloud serves many: unset it, or \
         leave out --cloud"
    )]
    CloudEvents,
    /// The file cannot be read.
    #[error("cannot read --api-key-file {}: {cause}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A line of the file is nothing that it can be. It may be a key, and is not shown.
    #[error(
        "--api-key-file {}: line {line} is neither KEY nor NAME:ROLE:KEY, with read, report or admin as ROLE",
        .path.display()
    )]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The file has no key, which would mean that everybody may call.
    #[error("--api-key-file {} has no key: write one a line", .0.display())]
    NoKey(PathBuf),
}

/// Where the keys of callers come from.
#[derive(Clone)]
pub struct ApiKeys {
    pub(super) from_environment: Vec<String>,
    pub(super) file: Option<PathBuf>,
}

impl ApiKeys {
    /// The keys in force now.
    ///
    /// # Errors
    /// The file cannot be read, has a line that is nothing, or has no key.
    pub fn read(&self) -> Result<Vec<ApiKey>, AccessError> {
        let from_environment = self.from_environment.iter().cloned();
        let mut keys: Vec<ApiKey> = from_environment.map(ApiKey::from).collect();
        if let Some(path) = &self.file {
            let text = std::fs::read_to_string(path).map_err(|cause| AccessError::File {
                path: path.clone(),
                cause,
            })?;
            // Some editors begin a text with a mark of its byte order.
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
