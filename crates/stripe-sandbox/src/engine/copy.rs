//! Copies of a customer's data, on which changes are tried out.

use std::ops::Deref;
use std::sync::Arc;

use crate::resource::coupon::Coupon;
use crate::resource::customer::{Customer, Customers, OmittedInvoices};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// A copy of an account with one customer. To stay cheap, it takes the account's products, prices, meters, clocks and
/// payment methods, which no change of a subscription touches, and gives them back when it is dropped.
struct CustomerCopy<'a> {
    from: &'a mut Account,
    copy: Account,
}

impl<'a> CustomerCopy<'a> {
    fn new(from: &'a mut Account, customer: &Id) -> Self {
        let mut copy = from.without_data();
        for coupon in from.coupons.iter() {
            copy.coupons.insert(Arc::new(coupon.copy()));
        }
        for code in from.promotion_codes.iter() {
            let coupon = copied_coupon(&copy, from, code.coupon());
            copy.promotion_codes.insert(Arc::new(code.copy(coupon)));
        }
        fill(&mut copy, from, customer);
        let mut copied = Self { from, copy };
        copied.swap();
        copied
    }

    fn swap(&mut self) {
        let (from, copy) = (&mut *self.from, &mut self.copy);
        std::mem::swap(&mut from.products, &mut copy.products);
        std::mem::swap(&mut from.prices, &mut copy.prices);
        std::mem::swap(&mut from.meters, &mut copy.meters);
        std::mem::swap(&mut from.meter_events, &mut copy.meter_events);
        std::mem::swap(&mut from.clocks, &mut copy.clocks);
        std::mem::swap(&mut from.payment_methods, &mut copy.payment_methods);
    }
}

impl Drop for CustomerCopy<'_> {
    fn drop(&mut self) {
        self.swap();
    }
}

/// The copy of a promotion code's coupon. A deleted one has none yet.
fn copied_coupon(copy: &Account, from: &Account, coupon: &Arc<Coupon>) -> Arc<Coupon> {
    let is_listed = |listed: &&Arc<Coupon>| Arc::ptr_eq(listed, coupon);
    let listed = from.coupons.get(&coupon.id).filter(is_listed);
    let copied = listed.and_then(|listed| copy.coupons.get(&listed.id));
    copied.map_or_else(|| Arc::new(coupon.copy()), Arc::clone)
}

/// Copies the customer with its subscriptions, schedules and pending invoice items, but without its invoices.
fn fill(copy: &mut Account, from: &Account, id: &Id) {
    let Some(customer) = from.customers.get(id) else {
        return;
    };
    let mut copied = customer.clone();
    copied.subscriptions.clear();
    copied.schedules.clear();
    copied.omitted_invoices = omitted_invoices(from, customer);
    copied.invoices.clear();
    copy.customers = Customers::only(copied);
    for position in &customer.subscriptions {
        let subscription = from.subscription(*position).clone();
        let items: Vec<Id> = subscription
            .items
            .iter()
            .map(|item| item.id.clone())
            .collect();
        let position = copy.insert_subscription(subscription);
        copy.billing
            .items
            .extend(items.into_iter().map(|item| (item, position)));
    }
    for position in &customer.schedules {
        copy.insert_schedule(from.schedule(*position).clone());
    }
    for item in from.billing.invoice_items.pending(id) {
        copy.billing.invoice_items.insert(item.clone());
    }
}

/// What a copy without invoices has to know of them.
fn omitted_invoices(from: &Account, customer: &Customer) -> OmittedInvoices {
    if from.has_unpaid_invoices(customer) {
        OmittedInvoices::Unpaid
    } else if customer.has_invoices() {
        OmittedInvoices::Settled
    } else {
        OmittedInvoices::None
    }
}

/// Runs `work` on a copy of a customer's data, which is then discarded.
pub(crate) fn on_copy<T>(
    ctx: &mut Ctx<'_>,
    customer: &Id,
    work: impl FnOnce(&mut Ctx<'_>) -> T,
) -> T {
    let (now, now_millis, presence) = (ctx.now, ctx.now_millis, ctx.presence);
    let (args, settings) = (ctx.args.clone(), ctx.settings.clone());
    let mut copied = CustomerCopy::new(ctx.account, customer);
    work(&mut Ctx {
        account: &mut copied.copy,
        now,
        now_millis,
        args,
        settings,
        presence,
        awaits_confirmation: false,
    })
}

/// A [`Ctx`] for requests that only try changes out: it can read the account, and change copies of it.
pub(crate) struct DryRun<'c, 'a>(&'c mut Ctx<'a>);

impl<'c, 'a> DryRun<'c, 'a> {
    pub(crate) fn new(ctx: &'c mut Ctx<'a>) -> Self {
        Self(ctx)
    }

    /// See [`on_copy`].
    pub(crate) fn on_copy<T>(&mut self, customer: &Id, work: impl FnOnce(&mut Ctx<'_>) -> T) -> T {
        on_copy(self.0, customer, work)
    }
}

impl<'a> Deref for DryRun<'_, 'a> {
    type Target = Ctx<'a>;

    fn deref(&self) -> &Ctx<'a> {
        self.0
    }
}
