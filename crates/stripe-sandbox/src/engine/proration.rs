//! Stripe's prorations by the rules of classic and flexible billing: the credits and charges of a change within a period.
//!
//! A credit is for the item's current price and quantity, whether or not that was ever billed. Flexible billing credits
//! what was debited instead, and each debit once. Credits and charges include the subscription's discount. A
//! change of the discount in the same request comes first.

use super::sums::applicable;
use super::{catalog, pending_items};
use crate::money::discount::{Off, spread};
use crate::money::lines::{Kind, Line, Proration as Share};
use crate::resource::coupon::Duration;
use crate::resource::discount::Discount;
use crate::resource::invoice::InvoiceLine;
use crate::resource::invoice_item::{CreditedLines, InvoiceItem};
use crate::resource::subscription::Subscription;
use crate::resource::subscription_item::{Debit, Item, ItemSpec};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The credit or charge for an item.
#[derive(Debug)]
pub(crate) struct Proration {
    /// `None` if the item for the price does not exist yet.
    item: Option<Id>,
    price: Id,
    kind: Kind,
    line: Line,
}

/// The proration of a subscription at a time: the discounts, and the remaining part of the period.
pub(crate) struct ProrationContext<'a> {
    account: &'a Account,
    subscription: &'a Subscription,
    credits: Option<Off>,
    charges: Option<Off>,
    rest: (i64, i64),
}

impl<'a> ProrationContext<'a> {
    /// Prorates the rest of the running period from `from` on, with the discounts at `at`.
    pub(crate) fn new(
        account: &'a Account,
        subscription: &'a Subscription,
        from: i64,
        at: i64,
    ) -> Self {
        let (start, end) = subscription.period;
        let off = |discount: Discount| catalog::off(&discount.coupon);
        Self {
            account,
            subscription,
            credits: last_discount(account, subscription, at).map(off),
            charges: discount_of_prices(account, subscription, at).map(off),
            rest: (from.clamp(start, end), end),
        }
    }

    /// The credits for changed and removed items, then the charges for their replacements, in the order of the items.
    /// If a new period begins, all items are credited and the new period charges them.
    pub(crate) fn change(
        &self,
        specs: &[ItemSpec],
        pairs: &[Option<usize>],
        restart: bool,
    ) -> Vec<Proration> {
        let sells = |index: usize, item: &Item| {
            let spec = pairs.iter().position(|pair| *pair == Some(index));
            spec.is_some_and(|spec| specs[spec].sells(item))
        };
        let items = self.subscription.items.iter().enumerate();
        let changed = items.filter(|(index, item)| restart || !sells(*index, item));
        let credits = changed.flat_map(|(_, item)| self.credits(item));
        if restart {
            return credits.collect();
        }
        credits.chain(self.charges(specs, pairs)).collect()
    }

    /// The credits for all items of a subscription that ends.
    pub(crate) fn end(&self) -> Vec<Proration> {
        let items = self.subscription.items.iter();
        items.flat_map(|item| self.credits(item)).collect()
    }

    fn charges(
        &self,
        specs: &[ItemSpec],
        pairs: &[Option<usize>],
    ) -> impl Iterator<Item = Proration> {
        let offs = self.charges_off(specs).into_iter();
        let specs = specs.iter().zip(pairs).zip(offs);
        specs.filter_map(|((spec, pair), off)| {
            let item = pair.map(|index| &self.subscription.items[index]);
            if item.is_some_and(|item| spec.sells(item)) {
                return None;
            }
            Some(Proration {
                item: item.map(|item| item.id.clone()),
                price: spec.price.clone(),
                kind: Kind::Charge,
                line: self.line(&spec.price, spec.quantity?, Kind::Charge, off),
            })
        })
    }

    /// The discount of each item's charge. Flexible billing distributes an amount in proportion to what the licensed
    /// items cost; in classic billing each item has the whole.
    fn charges_off(&self, specs: &[ItemSpec]) -> Vec<Option<Off>> {
        let is_flexible = self.subscription.billing_mode.is_flexible();
        let Some(off @ Off::Amount(_)) = self.charges.filter(|_| is_flexible) else {
            return vec![self.charges; specs.len()];
        };
        let cost = |spec: &ItemSpec| {
            let priced = catalog::priced(self.account, &spec.price);
            (
                spec.quantity
                    .map_or(0, |quantity| priced.scheme.amount(quantity)),
                true,
            )
        };
        let costs: Vec<(i64, bool)> = specs.iter().map(cost).collect();
        let parts = spread(off, &costs).into_iter();
        parts.map(|part| Some(Off::Amount(part))).collect()
    }

    /// The credits for an item: in flexible billing one for each debit, of what was debited.
    fn credits(&self, item: &Item) -> Vec<Proration> {
        if !self.subscription.billing_mode.is_flexible() {
            return self.credit(item).into_iter().collect();
        }
        let credit = |debit: &Debit| Proration {
            item: Some(item.id.clone()),
            price: item.price.clone(),
            kind: Kind::Credit,
            line: catalog::priced(self.account, &item.price).unused(
                debit.quantity,
                debit.amount,
                self.rest,
                debit.period,
            ),
        };
        let debits = item.debits.iter();
        let debits = debits.filter(|debit| self.rest.0 < debit.period.1);
        debits.map(credit).collect()
    }

    fn credit(&self, item: &Item) -> Option<Proration> {
        Some(Proration {
            item: Some(item.id.clone()),
            price: item.price.clone(),
            kind: Kind::Credit,
            line: self.line(&item.price, item.quantity?, Kind::Credit, self.credits),
        })
    }

    fn line(&self, price: &str, quantity: i64, kind: Kind, off: Option<Off>) -> Line {
        catalog::priced(self.account, price).prorated(&Share {
            kind,
            quantity,
            off,
            rest: self.rest,
            whole: self.subscription.whole,
        })
    }
}

/// The discount that applies to prices. A discount with duration `once` applies to an invoice instead (our choice:
/// Stripe does not document it for prorations).
fn discount_of_prices(account: &Account, subscription: &Subscription, at: i64) -> Option<Discount> {
    applicable(account, subscription, at)
        .filter(|discount| discount.coupon.duration != Duration::Once)
}

/// The discount of the running period's charges. It counts until the discounts are changed, even if it has been used up
/// or has ended meanwhile. Without one, it is the current discount.
fn last_discount(account: &Account, subscription: &Subscription, at: i64) -> Option<Discount> {
    let over = |discount: &&Discount| {
        discount.coupon.duration == Duration::Once || discount.end.is_some_and(|end| end <= at)
    };
    let used = subscription.charged_with.as_ref().filter(over);
    used.cloned()
        .or_else(|| discount_of_prices(account, subscription, at))
}

/// Adds pending prorations for the next invoice. That shows pending items newest first, so the last one is added first.
/// The items of the change must exist. Returns the ids of the prorations.
pub(crate) fn add(
    ctx: &mut Ctx<'_>,
    position: u32,
    prorations: Vec<Proration>,
    at: i64,
) -> Vec<Id> {
    settle_debits(ctx.account.subscription_mut(position), &prorations);
    let add = |proration| {
        let Proration {
            item,
            price,
            kind,
            line,
        } = proration;
        let subscription = ctx.account.subscription(position);
        let made = || {
            let mut items = subscription.items.iter().rev();
            let made = items.find(|item| item.price == price);
            made.expect("what is charged is an item").id.clone()
        };
        let item = item.unwrap_or_else(made);
        if kind == Kind::Charge {
            debit(ctx.account.subscription_mut(position), &item, &line);
        }
        let subscription = ctx.account.subscription(position);
        let credited = match kind {
            Kind::Credit => credited(ctx.account, subscription, &item, &price, line.period.1),
            Kind::Charge => None,
        };
        let pending = InvoiceItem {
            item: Some(item),
            price: Some(price),
            credited: credited.map(Box::new),
            ..pending_items::of_subscription(subscription, line, at)
        };
        pending_items::add(ctx, pending)
    };
    prorations.into_iter().rev().map(add).collect()
}

/// Forgets the debits that these prorations credit.
fn settle_debits(subscription: &mut Subscription, prorations: &[Proration]) {
    for item in &mut subscription.items {
        let credits = |proration: &Proration| {
            proration.kind == Kind::Credit && proration.item.as_ref() == Some(&item.id)
        };
        if prorations.iter().any(credits) {
            item.debits.clear();
        }
    }
}

/// Notes what a proration charges.
fn debit(subscription: &mut Subscription, item: &Id, line: &Line) {
    if !subscription.billing_mode.is_flexible() {
        return;
    }
    let held = subscription.items.iter_mut().find(|held| held.id == *item);
    if let Some(held) = held {
        held.debits.push(Debit {
            quantity: held.quantity.unwrap_or_default(),
            amount: line.amount,
            period: line.period,
        });
    }
}

/// The lines of the last invoice that charged an item for the time up to `end`.
fn credited(
    account: &Account,
    subscription: &Subscription,
    item: &Id,
    price: &Id,
    end: i64,
) -> Option<CreditedLines> {
    let charges = |line: &&InvoiceLine| {
        line.item.as_ref() == Some(item)
            && line.price.as_ref() == Some(price)
            && line.line.period.1 == end
            && line.line.amount >= 0
    };
    let customer = account.customers.get(&subscription.customer)?;
    let mut newest_first = customer.invoices.iter().rev();
    newest_first.find_map(|position| {
        let invoice = account.billing.invoices.at(*position)?;
        let lines = invoice.lines.iter().filter(charges);
        let lines: Vec<Id> = lines.map(|line| line.id.clone()).collect();
        (!lines.is_empty()).then(|| CreditedLines {
            invoice: invoice.id.clone(),
            lines,
        })
    })
}

/// Unlinks prorations from their ended subscription, so that the customer's next invoice includes them.
pub(crate) fn leave_to_customer(account: &mut Account, ids: &[Id]) {
    for id in ids {
        if let Some(waiting) = account.billing.invoice_items.table.get_mut(id) {
            waiting.subscription = None;
            waiting.item = None;
        }
    }
}
