//! Invoice items: amounts that a customer's next invoice takes. Prorations are such, and what a client adds.

pub(crate) mod input;
pub(crate) mod routes;
mod view;

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::money::currency::Currency;
use crate::money::lines::Line;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

/// Lines of one invoice that a credit is for.
#[derive(Clone, Debug)]
pub(crate) struct CreditedLines {
    pub(crate) invoice: Id,
    pub(crate) lines: Vec<Id>,
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

/// So many of a price that is paid once.
#[derive(Clone, Debug)]
pub(crate) struct AddedItem {
    pub(crate) price: Id,
    pub(crate) quantity: i64,
}

impl AddedItem {
    pub(crate) fn to_json(&self) -> Value {
        json!({"price": &*self.price, "quantity": self.quantity, "tax_rates": []})
    }
}
