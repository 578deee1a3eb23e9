//! The billing half of an account: subscriptions, schedules, usage, invoices and checkout sessions.
//!
//! What things are: [`subscription`], [`schedule`], [`invoice`], [`invoice_item`], [`credit_note`], [`session`].
//! What becomes of them: [`new_subscription`], [`subscription_update`], [`change`], [`item_set`], [`proration`],
//! [`renewal`], [`phases`], [`added_items`], [`pause`], [`drafts`], [`invoicing`], [`finalization`], [`collection`],
//! [`subscription_status`]; and when: [`timeline`], with the [`engine`](crate::engine).
//! The endpoints: [`subscriptions`], [`subscription_items`], [`schedules`], [`invoice_items`], [`invoices`] with
//! [`preview`] and [`preview_params`] (on a [`copy`]), [`draft_invoices`] with [`draft_lines`], [`invoice_actions`],
//! [`checkout`].
//! How their parameters are read: [`subscription_params`], [`update_params`], [`payment_params`], [`items`],
//! [`item_changes`] with [`clear_usage`],
//! [`schedule_params`], [`phase_params`], [`shared_params`], [`invoice_item_params`], [`checkout_params`] with
//! [`checkout_discount`], [`currency`]. How objects are shown: [`mod@render`], [`invoice_json`], [`session`].
//! Prices in the terms of the arithmetic in [`cycle`](crate::money): [`catalog`].

use std::collections::HashMap;

use serde_json::Value;

use super::checkout_session::{self, Session};
use super::credit_note::{self, CreditNote};
use super::discount::Discount;
use super::invoice::{self, Invoice};
use super::invoice_item::InvoiceItems;
use super::routes::Route;
use super::subscription::{self, Subscription};
use super::subscription_schedule::Schedule;
use super::{billing_routes, payments, subscription_item};
use crate::engine::change::{self, Cancellation};
use crate::engine::timeline::{Due, Timelines};
use crate::engine::{finalization, phases};
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::state::Account;
use crate::store::table::Table;

/// The tables and indexes of the billing half. A customer has its own positions in the first three.
#[derive(Debug, Default)]
pub(crate) struct Billing {
    pub(crate) subscriptions: Table<Subscription>,
    pub(crate) invoices: Table<Invoice>,
    pub(crate) invoice_items: InvoiceItems,
    pub(crate) credit_notes: Table<CreditNote>,
    pub(crate) schedules: Table<Schedule>,
    pub(crate) sessions: Table<Session>,
    /// Which subscription an item belongs to, by position.
    pub(crate) items: HashMap<Id, u32>,
    /// Discounts that are on an invoice, for `expand[]`.
    pub(crate) discounts: HashMap<Id, Discount>,
    pub(crate) timelines: Timelines,
}

/// The billing half's endpoints.
pub(crate) const ROUTES: &[&[Route]] = &[billing_routes::ROUTES, credit_note::ROUTES];

/// Renders an object of the billing half by its id, for `expand[]`.
pub(crate) fn render(account: &Account, now: i64, id: &str) -> Option<Value> {
    let billing = &account.billing;
    let kind = id.split('_').next()?;
    match kind {
        "in" => Some(invoice::view::invoice(account, billing.invoices.get(id)?)),
        "cn" => Some(credit_note::to_json(account, billing.credit_notes.get(id)?)),
        "ii" => Some(billing.invoice_items.table.get(id)?.to_json(account)),
        "di" => {
            let discount = billing.discounts.get(id)?;
            Some(discount.to_json(account.time_of(&discount.customer, now)))
        }
        "si" => subscription_item::rendered(account, id),
        "cs" => Some(checkout_session::to_json(billing.sessions.get(id)?)),
        "sub" if id.starts_with("sub_sched_") => {
            Some(subscription::view::schedule(billing.schedules.get(id)?))
        }
        "sub" => Some(subscription::view::subscription(
            account,
            billing.subscriptions.get(id)?,
        )),
        _ => None,
    }
}

/// Renders what an object shows only when it is expanded, such as a customer's `subscriptions`.
pub(crate) fn include(account: &Account, object: &Value, field: &str) -> Option<Value> {
    let id = object["id"].as_str()?;
    match (object["object"].as_str()?, field) {
        ("customer", "subscriptions") => Some(subscription::routes::of_customer(account, id)),
        ("checkout.session", "line_items") => Some(checkout_session::routes::first_line_items(
            account,
            account.billing.sessions.get(id)?,
        )),
        _ => None,
    }
}

/// A payment method is no longer the customer's, so it is the default of none of their subscriptions and schedules.
pub(crate) fn payment_method_detached(account: &mut Account, customer: &Id, method: &Id) {
    let forget = |default: &mut Option<Id>| {
        if default.as_ref() == Some(method) {
            *default = None;
        }
    };
    let Some(holder) = account.customers.get(customer) else {
        return;
    };
    for position in &holder.subscriptions {
        if let Some(held) = account.billing.subscriptions.at_mut(*position) {
            forget(&mut held.default_payment_method);
        }
    }
    for position in &holder.schedules {
        if let Some(schedule) = account.billing.schedules.at_mut(*position) {
            forget(&mut schedule.defaults.default_payment_method);
            for phase in &mut schedule.phases {
                forget(&mut phase.default_payment_method);
            }
        }
    }
}

/// A set-up intent of the customer has succeeded: a subscription that waited for it has something to pay with.
pub(crate) fn setup_succeeded(account: &mut Account, customer: &Id, intent: &Id, method: &Id) {
    for position in positions(account, customer) {
        let held = account.subscription_mut(position);
        if held.pending_setup_intent.as_ref() == Some(intent) {
            held.pending_setup_intent = None;
            held.default_payment_method = Some(method.clone());
        }
    }
}

/// A customer is being deleted: its subscriptions are canceled at once, without an invoice.
pub(crate) fn customer_deleted(ctx: &mut Ctx<'_>, customer: &Id) {
    let now = ctx.time_of(customer);
    for position in positions(ctx.account, customer) {
        let held = ctx.account.subscription(position);
        if !held.status.ended() {
            let before = subscription::view::subscription(ctx.account, held);
            let how = Cancellation {
                invoice_now: false,
                prorate: false,
            };
            change::cancel(ctx, position, how, now);
            subscription::view::changed(ctx, position, &before, now);
        }
    }
    ctx.account.billing.invoice_items.remove_waiting(customer);
    let waiting: Vec<Id> = schedules_of(ctx.account, customer)
        .filter(|schedule| schedule.status.live())
        .map(|schedule| schedule.id.clone())
        .collect();
    for id in waiting {
        phases::call_off(ctx, &id, now);
    }
}

/// A test clock and its customers are going away with everything that is theirs, without a trace.
pub(crate) fn customer_erased(account: &mut Account, customer: &Id) {
    payments::customer_erased(account, customer);
    account.billing.invoice_items.erase(customer);
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
            finalization::forget(account, &id);
            account.billing.invoices.remove(&id);
        }
    }
    for position in positions(account, customer) {
        let held = account.subscription(position);
        let (id, clock, due) = (held.id.clone(), held.clock.clone(), held.due);
        if let Some(at) = due {
            let due = Due::Subscription(position);
            account.billing.timelines.remove(clock.as_ref(), at, due);
        }
        account.billing.items.retain(|_, of| *of != position);
        account.billing.subscriptions.remove(&id);
    }
    let schedules: Vec<Id> = schedules_of(account, customer)
        .map(|schedule| schedule.id.clone())
        .collect();
    for id in schedules {
        if let Some(position) = account.billing.schedules.position(&id) {
            phases::forget_start(account, position);
        }
        account.billing.schedules.remove(&id);
    }
    checkout_session::erase(account, customer);
}

/// The positions of a customer's subscriptions.
fn positions(account: &Account, customer: &str) -> Vec<u32> {
    let customer = account.customers.get(customer);
    customer.map_or_else(Vec::new, |customer| customer.subscriptions.clone())
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

impl Account {
    /// The subscription at a position that an index or the timeline gave.
    pub(crate) fn subscription(&self, position: u32) -> &Subscription {
        let subscription = self.billing.subscriptions.at(position);
        subscription.expect("indexes drop a subscription's position together with it")
    }

    /// See [`subscription`](Self::subscription).
    pub(crate) fn subscription_mut(&mut self, position: u32) -> &mut Subscription {
        let subscription = self.billing.subscriptions.at_mut(position);
        subscription.expect("indexes drop a subscription's position together with it")
    }

    /// The schedule at a position that an index or the timeline gave.
    pub(crate) fn schedule(&self, position: u32) -> &Schedule {
        let schedule = self.billing.schedules.at(position);
        schedule.expect("indexes drop a schedule's position together with it")
    }

    /// See [`schedule`](Self::schedule).
    pub(crate) fn schedule_mut(&mut self, position: u32) -> &mut Schedule {
        let schedule = self.billing.schedules.at_mut(position);
        schedule.expect("indexes drop a schedule's position together with it")
    }

    /// Adds a subscription to the table and to its customer.
    pub(crate) fn insert_subscription(&mut self, subscription: Subscription) -> u32 {
        let customer = subscription.customer.clone();
        let position = self.billing.subscriptions.insert(subscription);
        if let Some(customer) = self.customers.get_mut(&customer) {
            customer.subscriptions.push(position);
        }
        position
    }

    /// Adds a schedule to the table and to its customer.
    pub(crate) fn insert_schedule(&mut self, schedule: Schedule) -> u32 {
        let customer = schedule.customer.clone();
        let position = self.billing.schedules.insert(schedule);
        if let Some(customer) = self.customers.get_mut(&customer) {
            customer.schedules.push(position);
        }
        position
    }

    /// Adds an invoice to the table and to its customer.
    pub(crate) fn insert_invoice(&mut self, invoice: Invoice) {
        let customer = invoice.customer.clone();
        let position = self.billing.invoices.insert(invoice);
        if let Some(customer) = self.customers.get_mut(&customer) {
            customer.invoices.push(position);
        }
    }
}
