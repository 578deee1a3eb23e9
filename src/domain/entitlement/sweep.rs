//! The sweep: periodically lists all subscriptions of the account, and compares them with the remembered terms. It
//! makes up for lost events, and finds superseded subscriptions of orgs that nobody reads.

use std::collections::HashMap;

use super::{Domain, Entitlements, SharedState, Terms};
use crate::billing::Subscription;
use crate::domain::Result;

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepCounts {
    /// Tier's subscriptions that may be billed.
    pub subscriptions: usize,
    /// Orgs whose remembered terms differ from Stripe's.
    pub drifted: usize,
    /// Orgs that are read again, because a subscription supersedes another, or has pending work.
    pub unsettled: usize,
    /// Calls to Stripe, not counting those that read orgs again.
    pub calls: usize,
}

/// The maximum number of calls for events. With more events, everything is outdated instead.
const EVENT_PAGES: usize = 50;

/// A customer's subscriptions, newest first.
#[derive(Default)]
struct Customer {
    subscriptions: Vec<Listed>,
}

/// The relevant fields of a listed subscription.
struct Listed {
    terms: Terms,
    is_paid_for: bool,
    grants: bool,
    is_unsettled: bool,
}

impl Customer {
    /// Whether a subscription supersedes another, or has pending work.
    fn is_unsettled(&self) -> bool {
        let mut all = self.subscriptions.iter();
        let newest_paid = all.position(|listed| listed.is_paid_for);
        let is_last = newest_paid.is_none_or(|paid| paid + 1 == self.subscriptions.len());
        !is_last || self.subscriptions.iter().any(|listed| listed.is_unsettled)
    }

    /// The terms of the subscription that grants something.
    fn granted(&self) -> Option<Terms> {
        let all = &self.subscriptions;
        let paid = all.iter().find(|listed| listed.is_paid_for);
        let current = paid.or_else(|| all.iter().find(|listed| listed.grants))?;
        Some(current.terms)
    }
}

impl Domain {
    /// Lists all subscriptions, and the events since the last sweep. Outdates orgs whose terms differ, and reads orgs
    /// with pending work.
    pub async fn sweep(&self) -> Result<SweepCounts> {
        let shared = self.shared().await?;
        let store = shared.memory.entitlements();
        let began = self.account.clock.millis();
        self.replay_events(&shared, store).await?;
        let mut swept = SweepCounts::default();
        let mut customers: HashMap<String, Customer> = HashMap::new();
        let mut after = None;
        loop {
            let part = self.billing().all_subscriptions(after.as_deref()).await?;
            for subscription in part.items.into_iter().filter(Subscription::is_managed) {
                swept.subscriptions += 1;
                let listed = Listed::of(&subscription);
                let customer = customers.entry(subscription.customer).or_default();
                customer.subscriptions.push(listed);
            }
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        for (customer, listed) in &customers {
            if listed.is_unsettled() {
                swept.unsettled += 1;
                self.read_in_background(
                    customer.as_str().into(),
                    store.org_of(shared.number, customer),
                );
            }
        }
        for (customer, org) in store.customers_of(shared.number) {
            let key = shared.key(&org);
            let granted = customers.get(&*customer).and_then(Customer::granted);
            if store.outdate_if_changed(&key, granted, began) {
                swept.drifted += 1;
            }
        }
        swept.calls = self.stripe().calls().len();
        self.stripe()
            .metrics()
            .drifted
            .inc_by(u64::try_from(swept.drifted).unwrap_or(u64::MAX));
        Ok(swept)
    }

    /// Applies the events since the last sweep. The first sweep only records the newest event.
    async fn replay_events(&self, shared: &SharedState, store: &Entitlements) -> Result<()> {
        let mut last = store.last_swept_event().lock().await;
        let Some(mut newest) = last.clone() else {
            *last = self.billing().newest_event().await?.map(|event| event.id);
            return Ok(());
        };
        for _ in 0..EVENT_PAGES {
            let part = match self.billing().events_after(&newest).await {
                // Stripe keeps events for 30 days.
                Err(error) if error.is_invalid_request() => break,
                part => part?,
            };
            let Some(first) = part.items.first() else {
                *last = Some(newest);
                return Ok(());
            };
            newest.clone_from(&first.id);
            for event in &part.items {
                self.apply_event(shared, event).await?;
            }
            if part.next.is_none() {
                *last = Some(newest);
                return Ok(());
            }
        }
        // There are too many events, or they are no longer kept.
        let now = self.account.clock.millis();
        store.outdate_all(now);
        *last = self.billing().newest_event().await?.map(|event| event.id);
        Ok(())
    }
}

impl Listed {
    fn of(subscription: &Subscription) -> Self {
        Self {
            is_paid_for: subscription.is_paid_for(),
            grants: subscription.grants(),
            is_unsettled: subscription.is_unsettled(),
            terms: Terms::of(subscription),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(subscriptions: &[(&str, bool, bool)]) -> Customer {
        let listed = subscriptions
            .iter()
            .map(|&(id, is_paid_for, grants)| Listed {
                terms: Terms::named(id),
                is_paid_for,
                grants,
                is_unsettled: false,
            });
        Customer {
            subscriptions: listed.collect(),
        }
    }

    #[test]
    fn the_newest_paid_subscription_is_granted_and_older_ones_are_unsettled() {
        let (paid, late, unpaid) = ((true, true), (false, true), (false, false));
        for (statuses, granted, is_unsettled) in [
            (&[][..], None, false),
            (&[paid], Some("0"), false),
            (&[paid, paid], Some("0"), true),
            (&[paid, late], Some("0"), true),
            (&[unpaid, paid], Some("1"), false),
            (&[unpaid, late], Some("1"), false),
            (&[late, late], Some("0"), false),
            (&[unpaid, unpaid], None, false),
        ] {
            let ids = ["0", "1"];
            let all: Vec<_> = statuses
                .iter()
                .zip(ids)
                .map(|(&(is_paid_for, grants), id)| (id, is_paid_for, grants))
                .collect();
            let customer = customer(&all);
            assert_eq!(customer.granted(), granted.map(Terms::named), "{all:?}");
            assert_eq!(customer.is_unsettled(), is_unsettled, "{all:?}");
        }
    }
}
