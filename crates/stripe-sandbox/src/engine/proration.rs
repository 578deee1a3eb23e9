//! Prorations by the rules of classic and flexible billing: the credits and charges of a change within a period, each
//! for the period of its item.
//!
//! Classic billing credits the item's current price and quantity, whether or not they were billed. Flexible billing
//! credits what was actually billed (the item's debits), each debit once. Credits and charges include the
//! subscription's discount. A change of the discount in the same request comes first.

use super::sums::applicable;
use super::unbilled_lines::UnbilledLine;
use super::{catalog, cycles};
use crate::money::discount::{Reduction, spread};
use crate::money::lines::{Line, ProrationKind, ProrationParams};
use crate::money::period::BillingInterval;
use crate::resource::coupon::Duration;
use crate::resource::discount::Discount;
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::{Debit, Item, ItemSpec};
use crate::store::account::Account;
use crate::store::ids::Id;

/// The credit or charge for an item.
#[derive(Debug)]
pub(crate) struct Proration {
    /// `None` if the item does not exist yet.
    pub(super) item: Option<Id>,
    pub(super) price: Id,
    pub(super) kind: ProrationKind,
    pub(super) line: Line,
}

impl From<Proration> for UnbilledLine {
    fn from(proration: Proration) -> Self {
        Self {
            line: proration.line,
            price: Some(proration.price),
            item: proration.item,
            invoice_item: None,
        }
    }
}

/// The context of a subscription's prorations: the time, the time from which they are computed, and the discounts.
pub(crate) struct ProrationContext<'a> {
    account: &'a Account,
    subscription: &'a Subscription,
    credits: Option<Reduction>,
    charges: Option<Reduction>,
    from: i64,
    at: i64,
}

/// The remaining part of a running period, and the period for which a full price is charged.
#[derive(Clone, Copy, Debug)]
struct Remainder {
    span: (i64, i64),
    full_period: (i64, i64),
}

impl<'a> ProrationContext<'a> {
    /// Prorates the periods that run at `at` from `from` to their ends, with the discounts at `at`.
    pub(crate) fn new(
        account: &'a Account,
        subscription: &'a Subscription,
        from: i64,
        at: i64,
    ) -> Self {
        let off = |discount: Discount| catalog::reduction(&discount.coupon);
        Self {
            account,
            subscription,
            credits: last_discount(account, subscription, at).map(off),
            charges: discount_of_prices(account, subscription, at).map(off),
            from,
            at,
        }
    }

    /// The rest of the running period of items with this interval. `None` if the period is over, because the renewal
    /// charges the next one.
    fn remainder(&self, interval: BillingInterval) -> Option<Remainder> {
        let cycle = cycles::after_change(self.subscription, interval, self.at);
        let (start, end) = cycle.period;
        (self.at < end).then_some(Remainder {
            span: (self.from.clamp(start, end), end),
            full_period: cycle.full_period,
        })
    }

    /// The credits for changed and removed items, then the charges for their replacements, in the order of the items.
    /// If a new period begins, all items are credited and the new period charges them.
    pub(crate) fn credits_and_charges(
        &self,
        specs: &[ItemSpec],
        matches: &[Option<usize>],
        restart: bool,
    ) -> Vec<Proration> {
        let sells = |index: usize, item: &Item| {
            let spec = matches.iter().position(|matched| *matched == Some(index));
            spec.is_some_and(|spec| specs[spec].matches_item(item))
        };
        let items = self.subscription.items.iter().enumerate();
        let changed = items.filter(|(index, item)| restart || !sells(*index, item));
        let credits = changed.flat_map(|(_, item)| self.credits(item));
        if restart {
            return credits.collect();
        }
        credits.chain(self.charges(specs, matches)).collect()
    }

    /// The credits for all items of a subscription that ends.
    pub(crate) fn credits_at_end(&self) -> Vec<Proration> {
        let items = self.subscription.items.iter();
        items.flat_map(|item| self.credits(item)).collect()
    }

    fn charges(
        &self,
        specs: &[ItemSpec],
        matches: &[Option<usize>],
    ) -> impl Iterator<Item = Proration> {
        let offs = self.charges_off(specs).into_iter();
        let specs = specs.iter().zip(matches).zip(offs);
        specs.filter_map(|((spec, matched), off)| {
            let item = matched.map(|index| &self.subscription.items[index]);
            if item.is_some_and(|item| spec.matches_item(item)) {
                return None;
            }
            let remainder = self.remainder(spec.interval)?;
            Some(Proration {
                item: item.map(|item| item.id.clone()),
                price: spec.price.clone(),
                kind: ProrationKind::Charge,
                line: self.line(
                    &spec.price,
                    spec.quantity?,
                    ProrationKind::Charge,
                    (off, remainder),
                ),
            })
        })
    }

    /// The discount of each item's charge. Flexible billing spreads an amount over the licensed items in proportion to
    /// their cost; in classic billing each item gets the full amount.
    fn charges_off(&self, specs: &[ItemSpec]) -> Vec<Option<Reduction>> {
        let is_flexible = self.subscription.billing_mode.is_flexible();
        let Some(off @ Reduction::Amount(_)) = self.charges.filter(|_| is_flexible) else {
            return vec![self.charges; specs.len()];
        };
        let cost = |spec: &ItemSpec| {
            let terms = catalog::price_terms(self.account, &spec.price);
            (
                spec.quantity
                    .map_or(0, |quantity| terms.scheme.amount(quantity)),
                true,
            )
        };
        let costs: Vec<(i64, bool)> = specs.iter().map(cost).collect();
        let parts = spread(off, &costs).into_iter();
        parts.map(|part| Some(Reduction::Amount(part))).collect()
    }

    /// The credits for an item. Flexible billing has one for each debit.
    fn credits(&self, item: &Item) -> Vec<Proration> {
        let Some(remainder) = self.remainder(item.interval) else {
            return Vec::new();
        };
        if !self.subscription.billing_mode.is_flexible() {
            return self.credit(item, remainder).into_iter().collect();
        }
        let Remainder { span, .. } = remainder;
        let credit = |debit: &Debit| Proration {
            item: Some(item.id.clone()),
            price: item.price.clone(),
            kind: ProrationKind::Credit,
            line: catalog::price_terms(self.account, &item.price).unused(
                debit.quantity,
                debit.amount,
                span,
                debit.period,
            ),
        };
        let debits = item.debits.iter();
        let debits = debits.filter(|debit| span.0 < debit.period.1);
        debits.map(credit).collect()
    }

    fn credit(&self, item: &Item, remainder: Remainder) -> Option<Proration> {
        Some(Proration {
            item: Some(item.id.clone()),
            price: item.price.clone(),
            kind: ProrationKind::Credit,
            line: self.line(
                &item.price,
                item.quantity?,
                ProrationKind::Credit,
                (self.credits, remainder),
            ),
        })
    }

    fn line(
        &self,
        price: &str,
        quantity: i64,
        kind: ProrationKind,
        (off, Remainder { span, full_period }): (Option<Reduction>, Remainder),
    ) -> Line {
        catalog::price_terms(self.account, price).prorated(&ProrationParams {
            kind,
            quantity,
            off,
            rest: span,
            full_period,
        })
    }
}

/// The discount that applies to prices. A discount with duration `once` applies to an invoice instead (our choice:
/// Stripe does not document it for prorations).
fn discount_of_prices(account: &Account, subscription: &Subscription, at: i64) -> Option<Discount> {
    applicable(account, subscription, at)
        .filter(|discount| discount.coupon.duration != Duration::Once)
}

/// The discount with which the running period was charged. It applies until the discounts are changed, even if it has
/// been used up or has ended since. Without it, the current discount.
fn last_discount(account: &Account, subscription: &Subscription, at: i64) -> Option<Discount> {
    let over = |discount: &&Discount| {
        discount.coupon.duration == Duration::Once || discount.end.is_some_and(|end| end <= at)
    };
    let used = subscription.charged_discount.as_ref().filter(over);
    used.cloned()
        .or_else(|| discount_of_prices(account, subscription, at))
}
