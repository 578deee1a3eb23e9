//! The pricing pages that the operator has listed as public, and a cached copy of the model that they show.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::accounts::Accounts;
use crate::domain::pricing::Model;
use crate::domain::{self, DEFAULT_PAGE, Domain, Lane, PricingPage, PricingPages};

/// How long the model is cached. Anybody may open public pages, and must not be able to use up the rate limit.
const MODEL_CACHED_FOR: Duration = Duration::from_secs(60);

/// How long a failed read of the model is cached.
const FAILURE_CACHED_FOR: Duration = Duration::from_secs(2);

/// The listed pages. Clones share them.
#[derive(Clone, Default)]
pub struct ListedPages(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pages: RwLock<Arc<PricingPages>>,
    /// The last model that was read. The lock is held during a read, so that requests share it.
    model: Mutex<Option<CachedModel>>,
    /// How often the model has changed since the server started.
    changes: AtomicU64,
}

struct CachedModel {
    model: Result<Arc<Model>, domain::Error>,
    until: Instant,
    /// The number of changes when the read began.
    changes: u64,
}

impl ListedPages {
    /// Lists these pages in place of all others.
    pub fn replace(&self, pages: PricingPages) {
        let mut listed = self.0.pages.write().unwrap_or_else(PoisonError::into_inner);
        *listed = Arc::new(pages);
    }

    /// Whether `path` is that of a listed page.
    pub(super) fn is_public(&self, path: &str, accounts: &Accounts) -> bool {
        let page = ["/v1/pricing", "/pricing"]
            .iter()
            .find_map(|start| path.strip_prefix(start));
        let name = match page {
            Some("") => DEFAULT_PAGE,
            Some(rest) => rest.trim_start_matches('/'),
            None => return false,
        };
        matches!(accounts, Accounts::One(_)) && self.pages().has(name)
    }

    /// The listed page of that name.
    pub(super) async fn page(
        &self,
        name: &str,
        domain: &Domain,
    ) -> Result<Option<PricingPage>, domain::Error> {
        let pages = self.pages();
        if !pages.has(name) {
            return Ok(None);
        }
        Ok(pages.page(name, &*self.model(domain).await?))
    }

    /// The listed page of that name, for a model that the caller has read.
    pub(super) fn page_of(&self, name: &str, model: &Model) -> Option<PricingPage> {
        self.pages().page(name, model)
    }

    /// Discards the cached model, because the model has changed. Does not wait for a read in flight.
    pub(super) fn forget_model(&self) {
        self.0.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn pages(&self) -> Arc<PricingPages> {
        let pages = self.0.pages.read();
        pages.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model, at most a minute old. If Stripe does not answer, the last model that was read.
    pub(super) async fn model(&self, domain: &Domain) -> Result<Arc<Model>, domain::Error> {
        let mut cached = self.0.model.lock().await;
        let changes = self.0.changes.load(Ordering::Relaxed);
        let is_current =
            |cached: &&CachedModel| cached.changes == changes && Instant::now() < cached.until;
        if let Some(cached) = cached.as_ref().filter(is_current) {
            return cached.model.clone();
        }
        // The cached model is not taken out, because this future may be cancelled during the read.
        let before = cached.as_ref().and_then(|cached| cached.model.clone().ok());
        let read = domain.in_background(Lane::Bulk).pull().await.map(Arc::new);
        let model = match (read, before) {
            (Err(error), Some(before)) => {
                tracing::warn!(%error, "pricing pages show an older model, because Stripe could not be read");
                Ok(before)
            }
            (read, _) => read,
        };
        let lifetime = if model.is_ok() {
            MODEL_CACHED_FOR
        } else {
            FAILURE_CACHED_FOR
        };
        *cached = Some(CachedModel {
            model: model.clone(),
            until: Instant::now() + lifetime,
            changes,
        });
        model
    }
}
