//! Events that were sent to billing meters, until Stripe has processed them. Stripe gives no bound for that.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Used;
use crate::billing::{Subscription, SubscriptionItem};
use crate::domain::entitlement::UsageSnapshot;

/// How long after the last event what was sent counts although Stripe does not show it. By then Stripe has dropped it,
/// or somebody has corrected the total.
const KEPT: Duration = Duration::from_secs(5 * 60);

/// How many earlier levels of an item are known at most. With more, none is taken for another server's.
const EARLIER_LEVELS: usize = 64;

/// The number of items at which those that are no longer needed are removed.
const MANY: usize = 10_000;

/// The events of one account, by subscription item.
#[derive(Debug, Default)]
pub(in crate::domain) struct SentEvents(Mutex<HashMap<String, Sent>>);

/// What was sent for an item in a period.
#[derive(Clone, Debug)]
struct Sent {
    /// When the period began, in Unix seconds.
    period: i64,
    /// The total with all events.
    total: i64,
    is_level: bool,
    /// The levels before this one, which Stripe may still show.
    earlier: Vec<i64>,
    /// Whether Stripe has not shown this total yet.
    is_open: bool,
    last: Instant,
}

impl Sent {
    /// Whether a total that Stripe shows has the events in it.
    fn is_in(&self, shown: i64) -> bool {
        !self.is_open
            || if self.is_level {
                shown == self.total
            } else {
                shown >= self.total
            }
    }

    /// Whether the level that Stripe shows is one that another server has sent.
    fn is_of_others(&self, shown: i64) -> bool {
        let is_own = shown == 0 || shown == self.total || self.earlier.contains(&shown);
        self.is_level && self.earlier.len() < EARLIER_LEVELS && !is_own
    }

    fn is_of(&self, subscription: &Subscription) -> bool {
        self.period == subscription.current_period_start && self.last.elapsed() < KEPT
    }
}

impl SentEvents {
    /// Whether the total of an item is known, so that an event can be added to it.
    pub(super) fn knows(&self, subscription: &Subscription, item: &SubscriptionItem) -> bool {
        let items = self.items();
        let known = items.get(&item.id);
        known.is_some_and(|sent| sent.is_of(subscription))
    }

    /// Notes an event of `n` units. `before` is the total without it, unless it is known.
    pub(super) fn add(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
        before: i64,
        n: i64,
    ) {
        let mut items = self.items();
        if items.len() >= MANY {
            items.retain(|_, sent| sent.last.elapsed() < KEPT);
        }
        let known = items.remove(&item.id);
        let known = known.filter(|sent| sent.is_of(subscription));
        let before = known.as_ref().map_or(before, |sent| sent.total);
        let is_level = item.price.is_level();
        let open = known.filter(|sent| sent.is_open);
        let mut earlier = open.map(|sent| sent.earlier).unwrap_or_default();
        if is_level && earlier.len() < EARLIER_LEVELS && !earlier.contains(&before) {
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
            is_open: true,
            last: Instant::now(),
        };
        items.insert(item.id.clone(), sent);
    }

    /// The total of an item of which Stripe shows `shown`, with what it has not processed.
    pub(super) fn complete(
        &self,
        subscription: &Subscription,
        item: &SubscriptionItem,
        shown: i64,
    ) -> i64 {
        let mut items = self.items();
        match items.get_mut(&item.id) {
            None => shown,
            Some(sent) if !sent.is_of(subscription) => {
                items.remove(&item.id);
                shown
            }
            Some(sent) => {
                if sent.is_in(shown) {
                    (sent.is_open, sent.total) = (false, shown);
                }
                if sent.is_of_others(shown) {
                    shown
                } else {
                    sent.total
                }
            }
        }
    }

    /// Whether Stripe may not have processed all events of the subscription, of whose items it shows `shown`.
    pub(super) fn are_open(&self, subscription: &Subscription, shown: &Used) -> bool {
        self.any_in(subscription, shown, |sent, total| !sent.is_in(total))
    }

    /// The same, without the levels in whose place Stripe shows another server's.
    pub(super) fn are_open_unreplaced(&self, subscription: &Subscription, shown: &Used) -> bool {
        self.any_in(subscription, shown, |sent, total| {
            !sent.is_in(total) && !sent.is_of_others(total)
        })
    }

    /// Whether `check` holds for what was sent for an item, and for the total that Stripe shows of it.
    fn any_in(
        &self,
        subscription: &Subscription,
        shown: &Used,
        check: impl Fn(&Sent, i64) -> bool,
    ) -> bool {
        let items = self.items();
        let mut own = subscription.items.iter();
        own.any(|item| {
            let total = shown.get(&item.id).copied().unwrap_or(0);
            let sent = items.get(&item.id);
            sent.is_some_and(|sent| sent.is_of(subscription) && check(sent, total))
        })
    }

    /// Whether the subscription has events that Stripe has not shown yet.
    pub(super) fn has_any(&self, subscription: &Subscription) -> bool {
        let items = self.items();
        let mut own = subscription.items.iter();
        own.any(|item| {
            let sent = items.get(&item.id);
            sent.is_some_and(|sent| sent.is_of(subscription) && sent.is_open)
        })
    }

    /// Whether what is used of these items has events in it that Stripe has not shown yet.
    pub(super) fn are_in(&self, usage: &UsageSnapshot) -> bool {
        let items = self.items();
        let mut own = usage.items().iter();
        own.any(|item| {
            let sent = items.get(&*item.id);
            sent.is_some_and(|sent| {
                let is_counted = sent.period == usage.period().start && sent.last.elapsed() < KEPT;
                sent.is_open && is_counted
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

    fn used(n: i64) -> Used {
        Used::from([("si".to_owned(), n)])
    }

    #[test]
    fn a_sum_counts_what_was_sent_until_it_is_shown() {
        let (sent, of) = (SentEvents::default(), subscription("sum", 0));
        let item = &of.items[0];
        assert_eq!(sent.complete(&of, item, 7), 7);
        assert!(!sent.knows(&of, item) && !sent.has_any(&of));
        sent.add(&of, item, 7, 3);
        // The total is known now, so the caller's is not used.
        sent.add(&of, item, 0, 2);
        assert!(sent.knows(&of, item) && sent.are_open(&of, &used(10)));
        assert_eq!(sent.complete(&of, item, 7), 12);
        assert_eq!(sent.complete(&of, item, 10), 12);
        assert!(!sent.are_open(&of, &used(12)) && sent.has_any(&of));
        // Others have reported 8.
        assert_eq!(sent.complete(&of, item, 20), 20);
        assert!(!sent.has_any(&of));
        // Somebody has corrected it.
        assert_eq!(sent.complete(&of, item, 5), 5);
        sent.add(&of, item, 0, 1);
        assert_eq!(sent.complete(&of, item, 5), 6);
    }

    #[test]
    fn a_level_is_the_last_one_sent_until_it_is_shown() {
        let (sent, of) = (SentEvents::default(), subscription("last", 0));
        let item = &of.items[0];
        sent.add(&of, item, 9, 4);
        assert_eq!(sent.complete(&of, item, 9), 4);
        assert!(sent.are_open_unreplaced(&of, &used(9)));
        sent.add(&of, item, 0, 5);
        assert_eq!(sent.complete(&of, item, 4), 5, "it has processed the first");
        assert!(sent.are_open_unreplaced(&of, &used(4)));
        assert_eq!(sent.complete(&of, item, 30), 30, "another server's");
        assert!(sent.are_open(&of, &used(30)));
        assert!(!sent.are_open_unreplaced(&of, &used(30)));
        assert_eq!(sent.complete(&of, item, 5), 5);
        assert_eq!(sent.complete(&of, item, 30), 30, "another server's");
    }

    #[test]
    fn a_new_period_begins_without_events() {
        let (sent, of) = (SentEvents::default(), subscription("sum", 0));
        sent.add(&of, &of.items[0], 0, 4);
        let next = subscription("sum", 100);
        let item = &next.items[0];
        assert!(!sent.has_any(&next) && !sent.knows(&next, item));
        assert_eq!(sent.complete(&next, item, 0), 0);
    }
}
