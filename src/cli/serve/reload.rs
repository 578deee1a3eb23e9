//! Reading again on SIGHUP: keys, certificate and pricing pages.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::Signal;

use crate::api::{Keys, ListedPages};
use crate::config::ApiKeys;
use crate::domain::PricingPages;
use crate::server::Tls;

/// The file of pricing pages, and the pages that are in use.
pub(super) struct Pages {
    pub(super) file: Option<PathBuf>,
    pub(super) listed: ListedPages,
}

impl Pages {
    /// Reads the file, if there is one. Returns whether there is.
    pub(super) fn read(&self) -> anyhow::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let cannot = || format!("cannot use --pricing-pages {}", file.display());
        let text = std::fs::read_to_string(file).with_context(cannot)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        self.listed
            .replace(PricingPages::parse(text).with_context(cannot)?);
        Ok(true)
    }
}

/// Reads keys, certificate and pricing pages again after each SIGHUP. If that fails, the old ones stay in use.
pub(super) async fn reload_at(
    mut signal: Signal,
    source: ApiKeys,
    keys: Keys,
    tls: Option<Tls>,
    pages: Pages,
) {
    while signal.recv().await.is_some() {
        match source.read() {
            // Without a file the keys cannot have changed, and a server without keys stays open.
            Ok(new) if new.is_empty() => {}
            Ok(new) => {
                keys.replace(new);
                tracing::info!("API keys reloaded");
            }
            Err(error) => tracing::error!(%error, "API keys not reloaded"),
        }
        match tls.as_ref().map(Tls::reload) {
            None => {}
            Some(Ok(())) => tracing::info!("certificate reloaded"),
            Some(Err(error)) => tracing::error!(%error, "certificate not reloaded"),
        }
        match pages.read() {
            Ok(false) => {}
            Ok(true) => tracing::info!("pricing pages reloaded"),
            Err(error) => tracing::error!("pricing pages not reloaded: {error:#}"),
        }
    }
}
