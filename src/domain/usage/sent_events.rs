//! Events that were sent to billing meters and that Stripe may not have processed yet. Stripe documents no time limit.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::UsedByItem;
use crate::billing::{Subscription, SubscriptionItem};
use crate::domain::entitlement::UsageSnapshot;

/// How long after the last event the sent events count although Stripe's total does not include them. After that,
/// Stripe has dropped them, or another program has changed the total.
const TRUSTED_FOR: Duration = Duration::from_secs(5 * 60);

/// The maximum number of earlier levels of an item that are remembered. With that many, no level is attributed to
/// another server.
const MAX_EARLIER_LEVELS: usize = 64;

/// The number of items at which outdated ones are removed.
const PRUNE_AT: usize = 10_000;

/// The events of one account, by subscription item.
#[derive(Debug, Default)]
pub(in crate::domain) struct SentEvents(Mutex<HashMap<String, Sent>>);

/// The events that were sent for an item in a period.
#[derive(Clone, Debug)]
struct Sent {
    /// When the period began, in Unix seconds.
    period: i64,
    /// The total with all events.
    total: i64,
    is_level: bool,
    /// The levels before this one, which may still be Stripe's total.
    earlier: Vec<i64>,
    /// Whether Stripe's total may still lack events.
    is_pending: bool,
    /// When the last event was sent.
    last: Instant,
}

impl Sent {
    /// Whether Stripe's total `shown` includes the events.
    fn is_included_in(&self, shown: i64) -> bool {
        !self.is_pending
            || if self.is_level {
                shown == self.total
            } else {
                shown >= self.total
            }
    }

    /// Whether Stripe's level `shown` was sent by another server.
    fn is_from_another_server(&self, shown: i64) -> bool {
        let is_own = shown == 0 || shown == self.total || self.earlier.contains(&shown);
        self.is_level && self.earlier.len() < MAX_EARLIER_LEVELS && !is_own
    }

    /// Whether the events belong to the subscription's running period, and are recent enough to count.
    fn is_current_for(&self, subscription: &Subscription) -> bool {
        self.period == subscription.current_period_start && self.last.elapsed() < TRUSTED_FOR
    }
}

impl SentEvents {
    /// Whether the total of an item is known, so that an event can be added to it.
    pub(super) fn has_total_of(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
    ) -> bool {
        let items = self.items();
        let known = items.get(&item.id);
        known.is_some_and(|sent| sent.is_current_for(subscription))
    }

    /// Adds an event of `n` units. `before` is the total without it; it is ignored if the total is known.
    pub(super) fn add(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
        before: i64,
        n: i64,
    ) {
        let mut items = self.items();
        if items.len() >= PRUNE_AT {
            items.retain(|_, sent| sent.last.elapsed() < TRUSTED_FOR);
        }
        let known = items.remove(&item.id);
        let known = known.filter(|sent| sent.is_current_for(subscription));
        let before = known.as_ref().map_or(before, |sent| sent.total);
        let is_level = item.price.is_level();
        let pending = known.filter(|sent| sent.is_pending);
        let mut earlier = pending.map(|sent| sent.earlier).unwrap_or_default();
        if is_level && earlier.len() < MAX_EARLIER_LEVELS && !earlier.contains(&before) {
            earlier.push(before);
        }
        let total = if is_level {
            n
        } else {
            before.saturating_add(n)
        };
        let sent = Sent {
            period: subscription.current_period_start,
            total,
            is_level,
            earlier,
            is_pending: true,
            last: Instant::now(),
        };
        items.insert(item.id.clone(), sent);
    }

    /// The total of an item, including events that Stripe's total `shown` lacks.
    pub(super) fn total_with_sent(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
        shown: i64,
    ) -> i64 {
        let mut items = self.items();
        match items.get_mut(&item.id) {
            None => shown,
            Some(sent) if !sent.is_current_for(subscription) => {
                items.remove(&item.id);
                shown
            }
            Some(sent) => {
                if sent.is_included_in(shown) {
                    (sent.is_pending, sent.total) = (false, shown);
                }
                if sent.is_from_another_server(shown) {
                    shown
                } else {
                    sent.total
                }
            }
        }
    }

    /// Whether Stripe's totals `shown` may lack events of the subscription.
    pub(super) fn are_pending(&self, subscription: &Subscription, shown: &UsedByItem) -> bool {
        self.any_sent(subscription, shown, |sent, total| {
            !sent.is_included_in(total)
        })
    }

    /// Like [`are_pending`](Self::are_pending), not counting levels that another server's have replaced.
    pub(super) fn are_pending_unreplaced(
        &self,
        subscription: &Subscription,
        shown: &UsedByItem,
    ) -> bool {
        self.any_sent(subscription, shown, |sent, total| {
            !sent.is_included_in(total) && !sent.is_from_another_server(total)
        })
    }

    /// Whether `check` holds for the events and Stripe's total of any item.
    fn any_sent(
        &self,
        subscription: &Subscription,
        shown: &UsedByItem,
        check: impl Fn(&Sent, i64) -> bool,
    ) -> bool {
        let items = self.items();
        let mut item_list = subscription.items.iter();
        item_list.any(|item| {
            let total = shown.get(&item.id).copied().unwrap_or(0);
            let sent = items.get(&item.id);
            sent.is_some_and(|sent| sent.is_current_for(subscription) && check(sent, total))
        })
    }

    /// Whether the subscription has events that Stripe may not have processed yet.
    pub(super) fn has_pending(&self, subscription: &Subscription) -> bool {
        let items = self.items();
        let mut item_list = subscription.items.iter();
        item_list.any(|item| {
            let sent = items.get(&item.id);
            sent.is_some_and(|sent| sent.is_current_for(subscription) && sent.is_pending)
        })
    }

    /// Whether `usage` includes events that Stripe may not have processed yet.
    pub(super) fn are_pending_in(&self, usage: &UsageSnapshot) -> bool {
        let items = self.items();
        let mut item_list = usage.items().iter();
        item_list.any(|item| {
            let sent = items.get(&*item.id);
            sent.is_some_and(|sent| {
                let is_counted =
                    sent.period == usage.period().start && sent.last.elapsed() < TRUSTED_FOR;
                sent.is_pending && is_counted
            })
        })
    }

    fn items(&self) -> MutexGuard<'_, HashMap<String, Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(aggregate: &str, began: i64) -> Subscription {
        serde_json::from_value(serde_json::json!({
            "id": "sub", "status": "active", "current_period_start": began,
            "items": {"data": [{"id": "si", "price": {"id": "price",
                "metadata": {"tier.feature": "feature:x@plan:p@1", "tier.aggregate": aggregate},
                "recurring": {"interval": "month", "usage_type": "metered", "meter": "mtr"}}}]},
        }))
        .expect("a subscription")
    }

    fn used(n: i64) -> UsedByItem {
        UsedByItem::from([("si".to_owned(), n)])
    }

    #[test]
    fn a_sum_counts_what_was_sent_until_it_is_shown() {
        let (sent, of) = (SentEvents::default(), subscription("sum", 0));
        let item = &of.items[0];
        assert_eq!(sent.total_with_sent(&of, item, 7), 7);
        assert!(!sent.has_total_of(&of, item) && !sent.has_pending(&of));
        sent.add(&of, item, 7, 3);
        // The total is known now, so the caller's is not used.
        sent.add(&of, item, 0, 2);
        assert!(sent.has_total_of(&of, item) && sent.are_pending(&of, &used(10)));
        assert_eq!(sent.total_with_sent(&of, item, 7), 12);
        assert_eq!(sent.total_with_sent(&of, item, 10), 12);
        assert!(!sent.are_pending(&of, &used(12)) && sent.has_pending(&of));
        // Others have reported 8.
        assert_eq!(sent.total_with_sent(&of, item, 20), 20);
        assert!(!sent.has_pending(&of));
        // Somebody has corrected it.
        assert_eq!(sent.total_with_sent(&of, item, 5), 5);
        sent.add(&of, item, 0, 1);
        assert_eq!(sent.total_with_sent(&of, item, 5), 6);
    }

    #[test]
    fn a_level_is_the_last_one_sent_until_it_is_shown() {
        let (sent, of) = (SentEvents::default(), subscription("last", 0));
        let item = &of.items[0];
        sent.add(&of, item, 9, 4);
        assert_eq!(sent.total_with_sent(&of, item, 9), 4);
        assert!(sent.are_pending_unreplaced(&of, &used(9)));
        sent.add(&of, item, 0, 5);
        assert_eq!(
            sent.total_with_sent(&of, item, 4),
            5,
            "it has processed the first"
        );
        assert!(sent.are_pending_unreplaced(&of, &used(4)));
        assert_eq!(sent.total_with_sent(&of, item, 30), 30, "another server's");
        assert!(sent.are_pending(&of, &used(30)));
        assert!(!sent.are_pending_unreplaced(&of, &used(30)));
        assert_eq!(sent.total_with_sent(&of, item, 5), 5);
        assert_eq!(sent.total_with_sent(&of, item, 30), 30, "another server's");
    }

    #[test]
    fn a_new_period_begins_without_events() {
        let (sent, of) = (SentEvents::default(), subscription("sum", 0));
        sent.add(&of, &of.items[0], 0, 4);
        let next = subscription("sum", 100);
        let item = &next.items[0];
        assert!(!sent.has_pending(&next) && !sent.has_total_of(&next, item));
        assert_eq!(sent.total_with_sent(&next, item, 0), 0);
    }
}
