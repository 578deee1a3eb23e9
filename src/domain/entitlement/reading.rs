//! Reads entitlements from Stripe: once for all waiting requests, and again if a report has overtaken the read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::store::{Entry, OrgKey, Overtaken, Reader};
use super::{Entitlements, Readable};
use crate::domain::{Domain, Error, Lane, Result};

/// How long an exclusive read waits for the reports in flight. New reports wait behind it.
const EXCLUSIVE_WAIT: Duration = Duration::from_secs(1);

/// How long exclusive reads are skipped after one has timed out, in milliseconds.
const EXCLUSIVE_PAUSE: i64 = 10_000;

impl Domain {
    /// Reads the value from Stripe, once for all concurrent requests for the same value with the same API key.
    pub(super) async fn ask_stripe<T: Readable>(
        &self,
        store: &Arc<Entitlements>,
        key: &OrgKey,
    ) -> Result<Entry<T>> {
        let reader = store.enter(key);
        let credentials = Arc::as_ptr(&self.account).addr();
        let name = (key.clone(), reader.generation::<T>(), credentials);
        let read = |stripe| {
            let domain = Self {
                stripe,
                admission: None,
                ..self.clone()
            };
            let (store, key) = (Arc::clone(store), key.clone());
            async move { domain.read_and_remember(&store, &key).await }
        };
        T::reads(store).share(name, self.stripe(), read).await
    }

    /// Reads the value, and remembers it unless a write may have overtaken the read. If a report overtook it, it is
    /// read once more while reports wait.
    pub(super) async fn read_and_remember<T: Readable>(
        &self,
        store: &Entitlements,
        key: &OrgKey,
    ) -> Result<Entry<T>> {
        let reader = store.enter(key);
        let (entry, overtaken) = self.read_once(&reader, key).await?;
        if overtaken != Overtaken::ByUsage {
            return Ok(entry);
        }
        let now = self.account.clock.millis();
        if store.skips_exclusive_read(key, now) {
            return Ok(entry);
        }
        let shared = self.shared().await?;
        let exclusive = shared.reports.exclusive(key.1.as_str());
        let Ok(_exclusive) = tokio::time::timeout(EXCLUSIVE_WAIT, exclusive).await else {
            // A report in flight hangs, and would delay the reports that wait.
            store.skip_exclusive_reads(key, now + EXCLUSIVE_PAUSE);
            return Ok(entry);
        };
        Ok(self.read_once(&reader, key).await?.0)
    }

    async fn read_once<T: Readable>(
        &self,
        reader: &Reader<'_>,
        key: &OrgKey,
    ) -> Result<(Entry<T>, Overtaken)> {
        let (_, org) = key;
        let read_at = self.account.clock.millis();
        let begun = reader.begin();
        let plan = self.plan_number(org);
        let read = T::read(self, org).await;
        if let Err(Error::OrgNotFound) = &read {
            reader.forget();
        }
        let read = read?;
        self.account.last_read.store(read_at, Ordering::Relaxed);
        self.shared().await?.outage.clear();
        let entry = Entry {
            value: Arc::new(read.value),
            read_at,
            until: read.until,
            terms: read.terms,
            is_outdated: false,
            plan,
        };
        let overtaken = if read.is_on_test_clock {
            Overtaken::No
        } else {
            let before = reader.remembered(read_at);
            T::save_to_ledger(self, key, &read.customer, &entry, before.as_ref());
            reader.remember(begun, &read.customer, &entry)
        };
        Ok((entry, overtaken))
    }

    /// Refreshes the value in the background.
    pub(super) fn refresh<T: Readable>(&self, key: &OrgKey) {
        let (number, org) = key;
        let name = format!("refresh:{}:{number}:{org}", T::NAME);
        let domain = self.in_background(Lane::Bulk);
        let key = key.clone();
        self.background().start_abortable(name, async move {
            let refreshed = async {
                let shared = domain.shared().await?;
                domain
                    .ask_stripe::<T>(shared.memory.entitlements(), &key)
                    .await
            };
            let outcome = match refreshed.await {
                Ok(_) => "ok",
                Err(error) => {
                    tracing::debug!(%error, org = %key.1, "could not refresh a remembered org");
                    "failed"
                }
            };
            domain.stripe().metrics().count_run("refresh", outcome);
        });
    }
}
