//! The first periods of a new subscription, and if it is backdated, the charges for the time before its creation.
//!
//! In flexible billing, periods are counted from the start date as usual, and the first invoice has all of them. In
//! classic billing, the first period begins with the creation, and the first invoice has one line for the elapsed time,
//! up to the billing cycle anchor if one is set. (Stripe's guide shows that line on the first invoice; its comparison
//! of the billing modes shows it on the invoice of the next cycle.)

use super::catalog;
use super::new_subscription::NewSubscription;
use super::next_period::{self, Anchor, Period, PeriodCharge};
use super::unbilled_lines::{UnbilledLine, attach};
use crate::money::lines::Line;
use crate::money::proration::share_of_intervals;
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::Item;
use crate::store::account::Account;

impl NewSubscription {
    /// The end of the trial that begins at `at`, if any.
    pub(super) fn trial(&self, at: i64) -> Option<i64> {
        self.trial_end.filter(|end| *end > at)
    }

    /// Whether nothing is charged until the anchor.
    pub(super) fn is_free_at_first(&self, at: i64) -> bool {
        self.anchor.is_some_and(|anchor| anchor.is_free_before) && self.trial(at).is_none()
    }

    /// Whether the time before the creation is charged.
    fn charges_elapsed(&self, at: i64) -> bool {
        self.prorates && self.start_date < at
    }

    /// The time from which the usage of its items counts. In classic billing it is the creation (our choice).
    pub(super) fn counts_from(&self, at: i64) -> i64 {
        if self.billing_mode.is_flexible() && self.charges_elapsed(at) {
            self.start_date
        } else {
            at
        }
    }

    /// How a licensed price charges for one of the first periods. In classic billing, a period that is cut short is
    /// charged in part even if nothing is prorated.
    fn charge(&self, period: &Period, at: i64) -> PeriodCharge {
        let is_cut_by_start = period.start != period.full.0;
        match (self.billing_mode.is_flexible(), self.prorates) {
            // The line for the elapsed time already includes this period.
            (false, _) if self.charges_elapsed(at) && self.anchor.is_some() => {
                PeriodCharge::Nothing
            }
            // The anchor is the start date. The time until the next period is free, like the time before an explicit
            // anchor (our choice).
            (true, false) if self.start_date < at && is_cut_by_start => PeriodCharge::Nothing,
            (true, false) => PeriodCharge::Full,
            (true, true) | (false, _) => PeriodCharge::Part,
        }
    }
}

/// The first periods of a new subscription. In flexible billing, those since a start date in the past precede the
/// running ones.
pub(super) fn first_periods(
    subscription: &Subscription,
    new: &NewSubscription,
    at: i64,
) -> Vec<Period> {
    let is_flexible = subscription.billing_mode.is_flexible();
    let mut periods = if is_flexible && new.charges_elapsed(at) {
        next_period::of_all_since(subscription, new.start_date, at)
    } else {
        let anchoring = new.trial(at).map_or(Anchor::Unchanged, Anchor::TrialEnd);
        next_period::of_all(subscription, at, anchoring)
    };
    for period in &mut periods {
        period.charge = new.charge(period, at);
    }
    periods
}

/// The first periods that run at `at`.
pub(super) fn running(periods: &[Period], at: i64) -> impl Iterator<Item = &Period> {
    periods.iter().filter(move |period| at < period.end)
}

/// The lines of classic billing for the time since a start date in the past: one for each licensed item.
pub(super) fn elapsed(
    account: &Account,
    subscription: &Subscription,
    new: &NewSubscription,
    first: &[Period],
    at: i64,
) -> Vec<UnbilledLine> {
    if subscription.billing_mode.is_flexible() || !new.charges_elapsed(at) {
        return Vec::new();
    }
    let until = match new.anchor {
        Some(_) => first.first().map_or(at, |period| period.end),
        None => at,
    };
    let span = (new.start_date, until);
    let items = subscription.items.iter();
    let lines = items.flat_map(|item| attach(item, in_one_line(account, item, span)));
    lines.collect()
}

/// The line of a licensed item for a span of time, whose intervals are counted from the start of the span.
fn in_one_line(account: &Account, item: &Item, span: (i64, i64)) -> Vec<Line> {
    let Some(quantity) = item.quantity else {
        return Vec::new();
    };
    let terms = catalog::price_terms(account, &item.price);
    let mut lines = terms.charged(quantity.into(), span);
    for line in &mut lines {
        line.amount = share_of_intervals(line.amount, item.interval, span);
        line.proration = true;
    }
    lines
}
