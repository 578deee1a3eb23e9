//! How the billing cycles of a subscription follow its items.

use crate::money::period::BillingInterval;
use crate::resource::subscription::Subscription;
use crate::resource::subscription::cycle::{Cycle, intervals};

/// The cycle of items with this interval after a change at `at`: the running cycle, or a new one.
///
/// The period of a new cycle is counted from the anchor, as if the cycle had always run, and its items are charged for
/// the rest of it. In a trial, the period is the trial. If the running period is over, the new cycle begins with the
/// renewal that follows (our choice).
pub(crate) fn after_change(
    subscription: &Subscription,
    interval: BillingInterval,
    at: i64,
) -> Cycle {
    if let Some(cycle) = subscription.cycle(interval) {
        return *cycle;
    }
    if subscription.in_trial() {
        let period = subscription.first_period();
        return Cycle {
            interval,
            period,
            full_period: period,
        };
    }
    if subscription.first_end() <= at {
        return Cycle::about_to_begin(interval, at);
    }
    let full_period = interval.containing(subscription.anchor, at);
    let begun = subscription.trial.map(|(_, end)| end);
    let begun = begun.unwrap_or(subscription.start_date);
    let end = subscription.ends_between(at, full_period.1);
    Cycle {
        interval,
        period: (full_period.0.max(begun), end.unwrap_or(full_period.1)),
        full_period,
    }
}

/// Updates a subscription's cycles after its items have changed at `at`. In classic billing, the single cycle goes on;
/// if the interval changes, the caller restarts the cycle.
pub(crate) fn follow_items(subscription: &mut Subscription, at: i64) {
    let intervals = intervals(subscription.items.iter().map(|item| item.interval));
    if !subscription.billing_mode.is_flexible() {
        for (cycle, interval) in subscription.cycles.iter_mut().zip(intervals) {
            cycle.interval = interval;
        }
        return;
    }
    let cycles = intervals.into_iter();
    let cycles = cycles.map(|interval| after_change(subscription, interval, at));
    subscription.cycles = cycles.collect();
}
