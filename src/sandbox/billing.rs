//! The billing half of an account: subscriptions, schedules, usage, invoices and checkout sessions.
//!
//! What things are: [`subscription`], [`schedule`], [`invoice`], [`invoice_item`], [`credit_note`], [`session`].
//! What becomes of them: [`new_subscription`], [`change`], [`item_set`], [`proration`], [`renewal`], [`phases`],
//! [`drafts`], [`invoicing`], [`finalization`], [`collection`]; and when: [`timeline`], with the
//! [`engine`](super::engine).
//! The endpoints: [`subscriptions`], [`subscription_items`], [`schedules`], [`invoice_items`], [`invoices`] with
//! [`preview`] and [`preview_params`] (on a [`copy`]), [`draft_invoices`] with [`draft_lines`], [`invoice_actions`],
//! [`checkout`].
//! How their parameters are read: [`subscription_params`], [`payment_params`], [`items`], [`schedule_params`],
//! [`phase_params`], [`invoice_item_params`], [`checkout_params`], [`currency`]. How objects are shown: [`mod@render`], [`invoice_json`], [`session`].
//! Prices in the terms of the arithmetic in [`cycle`](super::cycle): [`catalog`].

pub(crate) mod added_items;
pub(crate) mod catalog;
pub(crate) mod change;
pub(crate) mod checkout;
pub(crate) mod checkout_params;
pub(crate) mod collection;
pub(crate) mod copy;
pub(crate) mod credit_note;
pub(crate) mod currency;
pub(crate) mod draft_invoices;
pub(crate) mod draft_lines;
pub(crate) mod drafts;
pub(crate) mod finalization;
pub(crate) mod invoice;
pub(crate) mod invoice_actions;
pub(crate) mod invoice_item;
pub(crate) mod invoice_item_params;
pub(crate) mod invoice_items;
pub(crate) mod invoice_json;
pub(crate) mod invoices;
pub(crate) mod invoicing;
pub(crate) mod item_set;
pub(crate) mod items;
pub(crate) mod new_subscription;
pub(crate) mod pause;
pub(crate) mod payment_params;
pub(crate) mod phase_params;
pub(crate) mod phases;
pub(crate) mod preview;
pub(crate) mod preview_params;
pub(crate) mod proration;
pub(crate) mod render;
pub(crate) mod renewal;
pub(crate) mod schedule;
pub(crate) mod schedule_params;
pub(crate) mod schedules;
pub(crate) mod session;
pub(crate) mod subscription;
pub(crate) mod subscription_items;
pub(crate) mod subscription_params;
pub(crate) mod subscriptions;
pub(crate) mod timeline;

use std::collections::HashMap;

use serde_json::Value;

use self::change::Cancellation;
use self::credit_note::CreditNote;
use self::invoice::Invoice;
use self::invoice_item::InvoiceItems;
use self::schedule::Schedule;
use self::session::Session;
use self::subscription::Subscription;
use self::timeline::{Due, Timelines};
use super::context::Ctx;
use super::coupon::Discount;
use super::ids::Id;
use super::payment;
use super::routes::{Route, route};
use super::state::Account;
use super::table::Table;

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
pub(crate) const ROUTES: &[&[Route]] = &[OWN_ROUTES, credit_note::ROUTES];

const OWN_ROUTES: &[Route] = &[
    route(
        "POST",
        "/v1/subscriptions",
        subscriptions::create,
        "subscription",
    ),
    route(
        "GET",
        "/v1/subscriptions",
        subscriptions::list,
        "list:subscription",
    ),
    route(
        "GET",
        "/v1/subscriptions/:id",
        subscriptions::retrieve,
        "subscription",
    ),
    route(
        "POST",
        "/v1/subscriptions/:id",
        subscriptions::update,
        "subscription",
    ),
    route(
        "DELETE",
        "/v1/subscriptions/:id",
        subscriptions::cancel,
        "subscription",
    ),
    route(
        "POST",
        "/v1/subscriptions/:id/resume",
        subscriptions::resume,
        "subscription",
    ),
    route(
        "GET",
        "/v1/subscription_items",
        subscription_items::list,
        "list:subscription_item",
    ),
    route(
        "POST",
        "/v1/subscription_items",
        subscription_items::create,
        "subscription_item",
    ),
    route(
        "GET",
        "/v1/subscription_items/:id",
        subscription_items::retrieve,
        "subscription_item",
    ),
    route(
        "POST",
        "/v1/subscription_items/:id",
        subscription_items::update,
        "subscription_item",
    ),
    route(
        "DELETE",
        "/v1/subscription_items/:id",
        subscription_items::delete,
        "subscription_item",
    ),
    route(
        "POST",
        "/v1/invoiceitems",
        invoice_items::create,
        "invoiceitem",
    ),
    route(
        "GET",
        "/v1/invoiceitems",
        invoice_items::list,
        "list:invoiceitem",
    ),
    route(
        "GET",
        "/v1/invoiceitems/:id",
        invoice_items::retrieve,
        "invoiceitem",
    ),
    route(
        "POST",
        "/v1/invoiceitems/:id",
        invoice_items::update,
        "invoiceitem",
    ),
    route(
        "DELETE",
        "/v1/invoiceitems/:id",
        invoice_items::delete,
        "invoiceitem",
    ),
    route(
        "POST",
        "/v1/subscription_items/:id/usage_records",
        subscription_items::report,
        "usage_record",
    ),
    route(
        "GET",
        "/v1/subscription_items/:id/usage_record_summaries",
        subscription_items::summaries,
        "list:usage_record_summary",
    ),
    route(
        "POST",
        "/v1/subscription_schedules",
        schedules::create,
        "subscription_schedule",
    ),
    route(
        "GET",
        "/v1/subscription_schedules",
        schedules::list,
        "list:subscription_schedule",
    ),
    route(
        "GET",
        "/v1/subscription_schedules/:id",
        schedules::retrieve,
        "subscription_schedule",
    ),
    route(
        "POST",
        "/v1/subscription_schedules/:id",
        schedules::update,
        "subscription_schedule",
    ),
    route(
        "POST",
        "/v1/subscription_schedules/:id/release",
        schedules::release,
        "subscription_schedule",
    ),
    route(
        "POST",
        "/v1/subscription_schedules/:id/cancel",
        schedules::cancel,
        "subscription_schedule",
    ),
    route("GET", "/v1/invoices", invoices::list, "list:invoice"),
    route("POST", "/v1/invoices", draft_invoices::create, "invoice"),
    route(
        "GET",
        "/v1/invoices/upcoming",
        invoices::upcoming,
        "invoice",
    ),
    route(
        "GET",
        "/v1/invoices/upcoming/lines",
        invoices::upcoming_lines,
        "list:line_item",
    ),
    route("GET", "/v1/invoices/:id", invoices::retrieve, "invoice"),
    route(
        "POST",
        "/v1/invoices/:id",
        draft_invoices::update,
        "invoice",
    ),
    route(
        "DELETE",
        "/v1/invoices/:id",
        draft_invoices::delete,
        "invoice",
    ),
    route(
        "POST",
        "/v1/invoices/:id/finalize",
        draft_invoices::finalize,
        "invoice",
    ),
    route(
        "POST",
        "/v1/invoices/:id/pay",
        invoice_actions::pay,
        "invoice",
    ),
    route(
        "POST",
        "/v1/invoices/:id/void",
        invoice_actions::void,
        "invoice",
    ),
    route(
        "POST",
        "/v1/invoices/:id/mark_uncollectible",
        invoice_actions::mark_uncollectible,
        "invoice",
    ),
    route(
        "GET",
        "/v1/invoices/:id/lines",
        invoices::lines,
        "list:line_item",
    ),
    route(
        "POST",
        "/v1/checkout/sessions",
        checkout::create,
        "checkout.session",
    ),
    route(
        "GET",
        "/v1/checkout/sessions",
        checkout::list,
        "list:checkout.session",
    ),
    route(
        "GET",
        "/v1/checkout/sessions/:id",
        checkout::retrieve,
        "checkout.session",
    ),
    route(
        "GET",
        "/v1/checkout/sessions/:id/line_items",
        checkout::line_items,
        "list:item",
    ),
    route(
        "POST",
        "/v1/checkout/sessions/:id/expire",
        checkout::expire,
        "checkout.session",
    ),
];

/// Renders an object of the billing half by its id, for `expand[]`.
pub(crate) fn render(account: &Account, now: i64, id: &str) -> Option<Value> {
    let billing = &account.billing;
    let kind = id.split('_').next()?;
    match kind {
        "in" => Some(invoice_json::invoice(account, billing.invoices.get(id)?)),
        "cn" => Some(credit_note::to_json(account, billing.credit_notes.get(id)?)),
        "ii" => Some(billing.invoice_items.table.get(id)?.to_json(account)),
        "di" => {
            let discount = billing.discounts.get(id)?;
            Some(discount.to_json(account.time_of(&discount.customer, now)))
        }
        "si" => subscription_items::rendered(account, id),
        "cs" => Some(session::to_json(billing.sessions.get(id)?)),
        "sub" if id.starts_with("sub_sched_") => Some(render::schedule(billing.schedules.get(id)?)),
        "sub" => Some(render::subscription(
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
        ("customer", "subscriptions") => Some(subscriptions::of_customer(account, id)),
        ("checkout.session", "line_items") => Some(checkout::first_line_items(
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
            let before = render::subscription(ctx.account, held);
            let how = Cancellation {
                invoice_now: false,
                prorate: false,
            };
            change::cancel(ctx, position, how, now);
            render::changed(ctx, position, &before, now);
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
    payment::customer_erased(account, customer);
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
    session::erase(account, customer);
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
