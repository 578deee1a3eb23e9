//! What this server's own changes do to what is remembered: what Stripe has answered to them is in the next answer.

use std::sync::Arc;

use super::store::{Entry, Made};
use super::{InForce, Key, Terms, UsageSnapshot};
use crate::billing::Subscription;
use crate::domain::org::ResolvedOrg;
use crate::domain::{Domain, Result};

impl Domain {
    /// The change of an org that is under way has made this of its subscription, as Stripe answered to what was sent at a time
    /// in Unix milliseconds. None: the org has nothing now.
    pub(in crate::domain) async fn note_change(
        &self,
        org: &ResolvedOrg,
        before: Option<&Subscription>,
        after: Option<Subscription>,
        sent_at: i64,
    ) -> Result<()> {
        let shared = self.shared().await?;
        let Some(store) = self.entitlements(&shared) else {
            return Ok(());
        };
        let key: Key = (shared.number, org.name.clone());
        let customer = Arc::clone(&org.customer);
        let Some(after) = after.filter(Subscription::grants) else {
            let usage = nothing(UsageSnapshot::default(), sent_at);
            self.keep_in_ledger(&key, &customer, &usage, None);
            let made = Made::Other {
                customer,
                usage,
                phase: Some(nothing(InForce::NONE, sent_at)),
            };
            store.note_made(&key, made);
            return Ok(());
        };
        let remembered = store.remembered_usage(&key);
        let usage = remembered.as_ref().map(|entry| &*entry.value);
        let usage = UsageSnapshot::changed(before, &after, usage, store.plans());
        if let Some(usage) = usage.filter(|_| after.test_clock.is_none()) {
            // The usage of items that stay is as old as it was.
            let read_at = remembered.map_or(sent_at, |entry| entry.read_at.min(sent_at));
            let usage = Entry {
                value: Arc::new(usage),
                read_at,
                until: after.next_boundary(),
                terms: Some(Terms::of(&after)),
                is_outdated: false,
            };
            self.keep_in_ledger(&key, &customer, &usage, None);
            let made = Made::Other {
                customer,
                usage,
                phase: None,
            };
            store.note_made(&key, made);
        }
        Ok(())
    }

    /// The change of an org that is under way has made the customer that it has now, with nothing to use.
    pub(in crate::domain) async fn note_new_customer(&self, org: &ResolvedOrg) -> Result<()> {
        let now = self.account.clock.millis();
        self.note_change(org, None, None, now).await
    }

    /// The change of an org that is under way has left what it may use as it was, if this is still its customer.
    pub(in crate::domain) async fn note_no_change(&self, org: &ResolvedOrg) -> Result<()> {
        let shared = self.shared().await?;
        if let Some(store) = self.entitlements(&shared) {
            let key = (shared.number, org.name.clone());
            store.note_made(&key, Made::Same(Arc::clone(&org.customer)));
        }
        Ok(())
    }
}

/// A part of an org without a subscription that grants anything.
fn nothing<T>(value: T, read_at: i64) -> Entry<T> {
    Entry {
        value: Arc::new(value),
        read_at,
        until: None,
        terms: None,
        is_outdated: false,
    }
}
