//! The next periods of a subscription's billing cycles.

use super::draft_lines::MAX_LINES;
use crate::money::period::BillingInterval;
use crate::resource::subscription::Subscription;
use crate::resource::subscription::cycle::Cycle;

/// Stripe's `billing_cycle_anchor`: the time from which the next periods are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Unchanged,
    Now,
    /// The end of the trial that begins.
    TrialEnd(i64),
}

/// A period that is about to begin, for the items with this interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) interval: BillingInterval,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The period for which a full price is charged; see
    /// [`Cycle::full_period`](crate::resource::subscription::cycle::Cycle::full_period).
    pub(crate) full: (i64, i64),
    pub(crate) is_trial: bool,
    pub(crate) anchor: i64,
    pub(crate) charge: PeriodCharge,
}

/// How much of a licensed price is charged for a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeriodCharge {
    /// The share of the full period.
    Part,
    /// The full price, even if the period is cut short.
    Full,
    Nothing,
}

impl Period {
    /// The period of a cycle that begins at `at`. It is shorter if the subscription is to end within it.
    fn next(
        subscription: &Subscription,
        interval: BillingInterval,
        at: i64,
        anchoring: Anchor,
    ) -> Self {
        let (anchor, full, is_trial) = match anchoring {
            Anchor::TrialEnd(end) => (end, (at, end), true),
            Anchor::Now => (at, interval.containing(at, at), false),
            Anchor::Unchanged => {
                let anchor = subscription.anchor;
                (anchor, interval.containing(anchor, at), false)
            }
        };
        let cut = subscription.ends_between(at, full.1);
        if subscription.billing_mode.is_flexible() {
            // The end of the subscription neither shortens a trial nor becomes the anchor.
            return Self {
                interval,
                start: at,
                end: cut.filter(|_| !is_trial).unwrap_or(full.1),
                full,
                is_trial,
                anchor,
                charge: PeriodCharge::Part,
            };
        }
        Self {
            interval,
            start: at,
            end: cut.unwrap_or(full.1),
            full,
            is_trial,
            anchor: cut.unwrap_or(anchor),
            charge: PeriodCharge::Part,
        }
    }
}

/// The next periods of all cycles, which begin together at `at`.
pub(crate) fn of_all(subscription: &Subscription, at: i64, anchoring: Anchor) -> Vec<Period> {
    let cycles = subscription.cycles.iter();
    let next = cycles.map(|cycle| Period::next(subscription, cycle.interval, at, anchoring));
    next.collect()
}

/// The next periods of the cycles whose running period is over at `at`.
pub(crate) fn of_due(subscription: &Subscription, at: i64) -> Vec<Period> {
    let due = subscription
        .cycles
        .iter()
        .filter(|cycle| cycle.period.1 <= at);
    let next = due.map(|cycle| Period::next(subscription, cycle.interval, at, Anchor::Unchanged));
    next.collect()
}

/// The maximum number of past periods to compute: more would not fit on an invoice.
const MAX_PERIODS: usize = MAX_LINES + 1;

/// The periods of all cycles since `start`, up to the one that runs at `at`.
pub(crate) fn of_all_since(subscription: &Subscription, start: i64, at: i64) -> Vec<Period> {
    let since = |cycle: &Cycle| {
        let interval = cycle.interval;
        let next = move |start| Period::next(subscription, interval, start, Anchor::Unchanged);
        let following = move |before: &Period| (before.end <= at).then(|| next(before.end));
        std::iter::successors(Some(next(start)), following).take(MAX_PERIODS)
    };
    subscription.cycles.iter().flat_map(since).collect()
}
