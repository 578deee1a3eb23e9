//! The pricing pages that the operator has listed, which are public, and the model that they show.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::accounts::Accounts;
use crate::domain::pricing::Model;
use crate::domain::{self, DEFAULT_PAGE, Domain, Lane, PricingPage, PricingPages};

/// How long the model is kept that pages show. Anybody may ask for public ones, and must not use up the rate limit.
const KEPT: Duration = Duration::from_secs(60);

/// How long it is kept that Stripe did not answer.
const FAILURE_KEPT: Duration = Duration::from_secs(2);

/// The listed pages. Clones share them.
#[derive(Clone, Default)]
pub struct ListedPages(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pages: RwLock<Arc<PricingPages>>,
    /// The last model that was read. Its lock is held meanwhile, so that requests share a read.
    model: Mutex<Option<Kept>>,
    /// How often the model has changed since the server started.
    changes: AtomicU64,
}

struct Kept {
    model: Result<Arc<Model>, domain::Error>,
    until: Instant,
    /// How many changes there had been when its read began.
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

    /// The listed page of that name, of a model that was read before.
    pub(super) fn page_of(&self, name: &str, model: &Model) -> Option<PricingPage> {
        self.pages().page(name, model)
    }

    /// Has the model read again, because it has changed. It does not wait for a read that is going on.
    pub(super) fn forget_model(&self) {
        self.0.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn pages(&self) -> Arc<PricingPages> {
        let pages = self.0.pages.read();
        pages.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model, as it was a minute ago at most. If Stripe does not answer, it is what it was before.
    pub(super) async fn model(&self, domain: &Domain) -> Result<Arc<Model>, domain::Error> {
        let mut kept = self.0.model.lock().await;
        let changes = self.0.changes.load(Ordering::Relaxed);
        let is_current = |kept: &&Kept| kept.changes == changes && Instant::now() < kept.until;
        if let Some(kept) = kept.as_ref().filter(is_current) {
            return kept.model.clone();
        }
        // It stays, because this may be cancelled while Stripe is waited for.
        let before = kept.as_ref().and_then(|kept| kept.model.clone().ok());
        let read = domain.in_background(Lane::Bulk).pull().await.map(Arc::new);
        let model = match (read, before) {
            (Err(error), Some(before)) => {
                tracing::warn!(%error, "pricing pages show the model as it was before");
                Ok(before)
            }
            (read, _) => read,
        };
        let lasts = if model.is_ok() { KEPT } else { FAILURE_KEPT };
        *kept = Some(Kept {
            model: model.clone(),
            until: Instant::now() + lasts,
            changes,
        });
        model
    }
}
