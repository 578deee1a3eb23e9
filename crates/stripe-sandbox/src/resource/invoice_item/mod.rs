//! An invoice item as state: an amount that a customer's next invoice takes. Prorations are such, and what a client
//! adds.

pub(crate) mod input;
pub(crate) mod routes;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::price::amounts;
use super::subscription::Subscription;
use crate::engine::catalog;
use crate::money::currency::Currency;
use crate::money::lines::Line;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::state::Account;
use crate::store::table::{Row, Table};

/// Lines of one invoice that a credit is for.
#[derive(Clone, Debug)]
pub(crate) struct CreditedLines {
    pub(crate) invoice: Id,
    pub(crate) lines: Vec<Id>,
}

impl CreditedLines {
    pub(crate) fn to_json(&self) -> Value {
        let lines: Vec<&str> = self.lines.iter().map(|line| &**line).collect();
        json!({"invoice": &*self.invoice, "invoice_line_items": lines})
    }
}

#[derive(Clone, Debug)]
pub(crate) struct InvoiceItem {
    pub(crate) id: Id,
    pub(crate) customer: Id,
    pub(crate) clock: Option<Id>,
    pub(crate) created: i64,
    pub(crate) currency: Currency,
    /// Whose invoices take it; without one, the customer's next invoice does.
    pub(crate) subscription: Option<Id>,
    /// The subscription item that a proration is for.
    pub(crate) item: Option<Id>,
    pub(crate) price: Option<Id>,
    /// The invoice lines that a credit gives back.
    pub(crate) credited: Option<Box<CreditedLines>>,
    /// As invoices show it; the description may be empty.
    pub(crate) line: Line,
    pub(crate) metadata: Metadata,
    /// The invoice that has taken it.
    pub(crate) invoice: Option<Id>,
}

impl Row for InvoiceItem {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl InvoiceItem {
    /// Whether an invoice of this subscription takes it: one for another subscription only once that has ended.
    fn goes_to(&self, account: &Account, subscription: &Subscription) -> bool {
        let live = |id: &Id| {
            let other = account.billing.subscriptions.get(id);
            other.is_some_and(|other| !other.status.ended())
        };
        self.currency == subscription.currency
            && self
                .subscription
                .as_ref()
                .is_none_or(|id| *id == subscription.id || !live(id))
    }

    pub(crate) fn to_json(&self, account: &Account) -> Value {
        let price = self.price.as_ref();
        let (unit_amount, unit_amount_decimal) = amounts(Some(self.line.rate));
        let mut object = json!({
            "id": &*self.id,
            "object": "invoiceitem",
            "amount": self.line.amount,
            "currency": self.currency.as_str(),
            "customer": &*self.customer,
            "date": self.created,
            "description": (!self.line.description.is_empty()).then_some(&self.line.description),
            "discountable": self.line.discountable,
            "discounts": [],
            "invoice": self.invoice.as_deref(),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "period": {"end": self.line.period.1, "start": self.line.period.0},
            "price": price.map(|id| catalog::price(account, id).to_json()),
            "proration": self.line.proration,
            "quantity": self.line.quantity,
            "subscription": self.subscription.as_deref(),
            "tax_rates": [],
            "test_clock": self.clock.as_deref(),
            "unit_amount": unit_amount,
            "unit_amount_decimal": unit_amount_decimal,
        });
        if let (Some(item), Some(fields)) = (&self.item, object.as_object_mut()) {
            fields.insert("subscription_item".into(), json!(&**item));
        }
        object
    }
}

/// All of them, and for each customer the positions of those that wait for an invoice, oldest first.
#[derive(Debug, Default)]
pub(crate) struct InvoiceItems {
    pub(crate) table: Table<InvoiceItem>,
    waiting: HashMap<Id, Vec<u32>>,
}

impl InvoiceItems {
    /// Adds one; it waits unless it is on an invoice already.
    pub(crate) fn insert(&mut self, item: InvoiceItem) {
        let waits = item.invoice.is_none();
        let customer = item.customer.clone();
        let position = self.table.insert(item);
        if waits {
            self.waiting.entry(customer).or_default().push(position);
        }
    }

    /// Those of a customer that wait, oldest first.
    pub(crate) fn waiting(&self, customer: &str) -> impl DoubleEndedIterator<Item = &InvoiceItem> {
        let positions = self.waiting.get(customer).into_iter().flatten();
        positions.filter_map(|position| self.table.at(*position))
    }

    /// An invoice has taken these.
    pub(crate) fn invoiced(&mut self, ids: impl Iterator<Item = Id>, invoice: &Id) {
        for id in ids {
            let Some(position) = self.table.position(&id) else {
                continue;
            };
            if let Some(item) = self.table.at_mut(position) {
                item.invoice = Some(invoice.clone());
                let customer = item.customer.clone();
                self.unlist(&customer, position);
            }
        }
    }

    /// A draft that had taken some is gone: they wait again.
    pub(crate) fn released(&mut self, invoice: &Id) {
        for position in 0..self.table.end() {
            let item = self.table.at_mut(position);
            let Some(item) = item.filter(|item| item.invoice.as_ref() == Some(invoice)) else {
                continue;
            };
            item.invoice = None;
            let waiting = self.waiting.entry(item.customer.clone()).or_default();
            waiting.push(position);
            waiting.sort_unstable();
        }
    }

    /// Forgets one.
    pub(crate) fn remove(&mut self, id: &str) {
        let Some(position) = self.table.position(id) else {
            return;
        };
        if let Some(item) = self.table.remove(id) {
            self.unlist(&item.customer, position);
        }
    }

    /// Forgets what waits for a customer that goes away.
    pub(crate) fn remove_waiting(&mut self, customer: &str) {
        let ids: Vec<Id> = self.waiting(customer).map(|item| item.id.clone()).collect();
        for id in ids {
            self.remove(&id);
        }
    }

    /// Forgets all of a customer's.
    pub(crate) fn erase(&mut self, customer: &Id) {
        self.waiting.remove(customer);
        let items = self.table.iter();
        let theirs = items.filter(|item| item.customer == *customer);
        for id in theirs.map(|item| item.id.clone()).collect::<Vec<_>>() {
            self.table.remove(&id);
        }
    }

    fn unlist(&mut self, customer: &Id, position: u32) {
        if let Some(waiting) = self.waiting.get_mut(customer) {
            waiting.retain(|other| *other != position);
            if waiting.is_empty() {
                self.waiting.remove(customer);
            }
        }
    }
}

/// What waits for the next invoice of a subscription, newest first.
pub(crate) fn waiting<'a>(
    account: &'a Account,
    subscription: &'a Subscription,
) -> impl Iterator<Item = &'a InvoiceItem> {
    let items = &account.billing.invoice_items;
    let waiting = items.waiting(&subscription.customer).rev();
    waiting.filter(|item| item.goes_to(account, subscription))
}

/// Stores one, with an id, and tells of it.
pub(crate) fn add(ctx: &mut Ctx<'_>, mut item: InvoiceItem) -> Id {
    item.id = ctx.account.ids.next("ii", 24);
    let (id, at) = (item.id.clone(), item.created);
    let object = item.to_json(ctx.account);
    ctx.account.billing.invoice_items.insert(item);
    ctx.event("invoiceitem.created", &object, at);
    id
}

/// Takes prorations of a subscription back that no invoice has taken.
pub(crate) fn remove_prorations(ctx: &mut Ctx<'_>, subscription: u32, at: i64) {
    let subscription = ctx.account.subscription(subscription);
    let items = &ctx.account.billing.invoice_items;
    let own = |item: &&InvoiceItem| {
        item.line.proration && item.subscription.as_ref() == Some(&subscription.id)
    };
    let gone: Vec<Id> = items
        .waiting(&subscription.customer)
        .filter(own)
        .map(|item| item.id.clone())
        .collect();
    for id in gone {
        remove(ctx, &id, at);
    }
}

/// Removes one, and tells of it.
pub(crate) fn remove(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    let items = &mut ctx.account.billing.invoice_items;
    if let Some(item) = items.table.get(id).cloned() {
        items.remove(id);
        let object = item.to_json(ctx.account);
        ctx.event("invoiceitem.deleted", &object, at);
    }
}
