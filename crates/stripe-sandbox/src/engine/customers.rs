//! Deletion of customers with everything that belongs to them, and creation of customers by checkout.

use super::cancellation::{self, Cancellation};
use super::{balance, finalization, payment, phases, sessions};
use crate::resource::customer::Customer;
use crate::resource::customer::tax_location::{checkout_address, is_recognized};
use crate::resource::subscription;
use crate::resource::subscription_schedule::Schedule;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::due_queue::Due;
use crate::store::ids::Id;

/// Creates a customer for a checkout session that was paid without one. The customer is not on a test clock.
pub(crate) fn insert_for_checkout(ctx: &mut Ctx<'_>, email: Option<String>) -> Id {
    let mut customer = Customer::new(ctx.now);
    let id = ctx.account.ids.next("cus", 14);
    customer.id = id.clone();
    customer.email = email.map(String::into_boxed_str);
    let rendered = customer.to_json(ctx.now);
    let position = ctx.account.customers.table.insert(customer);
    schedule_reindex(ctx, position);
    ctx.event("customer.created", &rendered, ctx.now);
    id
}

/// Schedules an update of the search index, which finds the change only after its lag.
pub(crate) fn schedule_reindex(ctx: &mut Ctx<'_>, position: u32) {
    let due = ctx.now_millis + ctx.settings.search_lag;
    ctx.account.customers.index.mark_changed(position, due);
    ctx.account.customers.update_index(ctx.now_millis);
}

/// Gives the customer an address, if there is no usable one. Stripe's checkout page asks for it when automatic taxes
/// are on; the sandbox's page does not.
pub(crate) fn fill_in_address(ctx: &mut Ctx<'_>, customer: &Id) {
    let now = ctx.time_of(customer);
    let Some(row) = ctx.account.customers.get_mut(customer) else {
        return;
    };
    if is_recognized(row) {
        return;
    }
    let before = row.to_json(now);
    let rare = row.rare_mut();
    rare.shipping = None;
    rare.address = Some(checkout_address());
    let after = row.to_json(now);
    ctx.update_event("customer.updated", &before, &after, now);
}

/// Cancels the subscriptions of a customer that is being deleted, at once and without an invoice.
pub(crate) fn customer_deleted(ctx: &mut Ctx<'_>, customer: &Id) {
    let now = ctx.time_of(customer);
    for position in ctx.account.subscriptions_of(customer) {
        let subscription = ctx.account.subscription(position);
        if !subscription.status.is_ended() {
            let before = subscription::view::subscription(ctx.account, subscription, ctx.now);
            let options = Cancellation {
                invoice_now: false,
                prorate: false,
            };
            cancellation::cancel(ctx, position, options, now);
            subscription::events::changed(ctx, position, &before, now);
        }
    }
    ctx.account.billing.invoice_items.remove_pending(customer);
    let waiting: Vec<Id> = schedules_of(ctx.account, customer)
        .filter(|schedule| schedule.status.is_live())
        .map(|schedule| schedule.id.clone())
        .collect();
    for id in waiting {
        phases::cancel_schedule(ctx, &id, now);
    }
}

/// Erases the billing data of a customer whose test clock is being deleted.
pub(crate) fn customer_erased(account: &mut Account, customer: &Id) {
    payment::customer_erased(account, customer);
    account.billing.invoice_items.erase(customer);
    account.meter_events.erase(customer);
    let notes = account.billing.credit_notes.iter();
    let notes = notes.filter(|note| note.customer == *customer);
    for id in notes.map(|note| note.id.clone()).collect::<Vec<_>>() {
        account.billing.credit_notes.remove(&id);
    }
    let invoices = account
        .customers
        .get(customer)
        .map(|customer| customer.invoices.clone());
    for position in invoices.unwrap_or_default() {
        let invoice = account.billing.invoices.at(position);
        if let Some(id) = invoice.map(|invoice| invoice.id.clone()) {
            finalization::unschedule(account, &id);
            account.billing.invoices.remove(&id);
        }
    }
    for position in account.subscriptions_of(customer) {
        let subscription = account.subscription(position);
        let (id, clock, due) = (
            subscription.id.clone(),
            subscription.clock.clone(),
            subscription.due,
        );
        if let Some(at) = due {
            let due = Due::Subscription(position);
            account.billing.due_queue.remove(clock.as_ref(), at, due);
        }
        account.billing.items.retain(|_, of| *of != position);
        account.billing.subscriptions.remove(&id);
    }
    let schedules: Vec<Id> = schedules_of(account, customer)
        .map(|schedule| schedule.id.clone())
        .collect();
    for id in schedules {
        if let Some(position) = account.billing.schedules.position(&id) {
            phases::unschedule_start(account, position);
        }
        account.billing.schedules.remove(&id);
    }
    sessions::erase(account, customer);
}

/// A customer's schedules, oldest first.
fn schedules_of<'a>(
    account: &'a Account,
    customer: &str,
) -> impl Iterator<Item = &'a Schedule> + use<'a> {
    let customer = account.customers.get(customer);
    let positions = customer
        .into_iter()
        .flat_map(|customer| &customer.schedules);
    positions.filter_map(|position| account.billing.schedules.at(*position))
}

/// Erases a customer whose test clock is being deleted. Its billing data must have been erased before.
pub(crate) fn erase(account: &mut Account, id: &Id) {
    erase_links(account, id);
    balance::customer_erased(account, id);
    if let Some(position) = account.customers.table.position(id) {
        account.customers.index.forget(position);
    }
    account.customers.table.remove(id);
}

/// Detaches the customer's payment methods and removes the customer from the test clock.
pub(crate) fn erase_links(account: &mut Account, id: &Id) {
    let Some(customer) = account.customers.get_mut(id) else {
        return;
    };
    let clock = customer.test_clock.clone();
    let methods = std::mem::take(&mut customer.payment_methods);
    customer.default_payment_method = None;
    for position in methods {
        if let Some(method) = account.payment_methods.at_mut(position) {
            method.customer = None;
            method.is_used_up = true;
        }
    }
    if let Some(clock) = clock.and_then(|clock| account.clocks.get_mut(&clock)) {
        clock.customers.retain(|other| other != id);
    }
}
