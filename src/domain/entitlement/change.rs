//! Applies this server's own changes to remembered entitlements, so that the next answer includes them.

use std::sync::Arc;

use super::store::{ChangeResult, Entry};
use super::{CachedPhase, Terms, UsageSnapshot};
use crate::billing::Subscription;
use crate::domain::org::ResolvedOrg;
use crate::domain::{Domain, Result};
use crate::ledger::values::PlanNumber;

impl Domain {
    /// Records that the change in progress has turned the subscription `before` into `after`, which Stripe returned for
    /// a request sent at `sent_at` (Unix milliseconds). `None`: no subscription.
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
        let key = shared.key(&org.name);
        let customer = Arc::clone(&org.customer);
        // The result is remembered once the change has ended.
        let plan = self.plan_number(&org.name).after_change();
        let Some(after) = after.filter(Subscription::grants) else {
            let usage = unsubscribed(UsageSnapshot::default(), sent_at, plan);
            self.save_snapshot(&key, &customer, &usage, None);
            let result = ChangeResult::Changed {
                customer,
                usage,
                phase: Some(unsubscribed(CachedPhase::NONE, sent_at, plan)),
            };
            store.record_result(&key, result);
            return Ok(());
        };
        let remembered = store.remembered_usage(&key);
        let usage = remembered.as_ref().map(|entry| &*entry.value);
        let usage = UsageSnapshot::changed(before, &after, usage, store.plans());
        if let Some(usage) = usage.filter(|_| after.test_clock.is_none()) {
            // The usage of unchanged items was not read again.
            let read_at = remembered.map_or(sent_at, |entry| entry.read_at.min(sent_at));
            let usage = Entry {
                value: Arc::new(usage.of_plan(plan)),
                read_at,
                until: after.next_boundary(),
                terms: Some(Terms::of(&after)),
                is_outdated: false,
                plan,
            };
            self.save_snapshot(&key, &customer, &usage, None);
            let result = ChangeResult::Changed {
                customer,
                usage,
                phase: None,
            };
            store.record_result(&key, result);
        }
        Ok(())
    }

    /// Records that the change in progress created the org's customer, which has no entitlements yet.
    pub(in crate::domain) async fn note_new_customer(&self, org: &ResolvedOrg) -> Result<()> {
        let now = self.account.clock.millis();
        self.note_change(org, None, None, now).await
    }

    /// Records that the change in progress did not affect entitlements. It has no effect if the org's customer has
    /// changed.
    pub(in crate::domain) async fn note_no_change(&self, org: &ResolvedOrg) -> Result<()> {
        let shared = self.shared().await?;
        if let Some(store) = self.entitlements(&shared) {
            let key = shared.key(&org.name);
            store.record_result(&key, ChangeResult::Unchanged(Arc::clone(&org.customer)));
        }
        Ok(())
    }
}

/// An entry for an org without a subscription that grants anything.
fn unsubscribed<T>(value: T, read_at: i64, plan: PlanNumber) -> Entry<T> {
    Entry {
        value: Arc::new(value),
        read_at,
        until: None,
        terms: None,
        is_outdated: false,
        plan,
    }
}
