//! Invoice items: amounts for a customer's next invoice, such as prorations or items that a client adds.

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

/// The invoice lines that a credit refers to.
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
    /// The subscription whose invoice includes it. Without one, the customer's next invoice includes it.
    pub(crate) subscription: Option<Id>,
    /// The subscription item that a proration is for.
    pub(crate) item: Option<Id>,
    pub(crate) price: Option<Id>,
    /// The invoice lines that a credit refers to.
    pub(crate) credited: Option<Box<CreditedLines>>,
    /// Its line on an invoice; the description may be empty.
    pub(crate) line: Line,
    pub(crate) metadata: Metadata,
    /// The invoice that includes it.
    pub(crate) invoice: Option<Id>,
}

impl Row for InvoiceItem {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// All invoice items, and the positions of each customer's pending ones, oldest first.
#[derive(Debug, Default)]
pub(crate) struct InvoiceItems {
    pub(crate) table: Table<InvoiceItem>,
    pending_positions: HashMap<Id, Vec<u32>>,
}

impl InvoiceItems {
    /// Adds an item. It is pending unless it is on an invoice already.
    pub(crate) fn insert(&mut self, item: InvoiceItem) {
        let is_pending = item.invoice.is_none();
        let customer = item.customer.clone();
        let position = self.table.insert(item);
        if is_pending {
            self.pending_positions
                .entry(customer)
                .or_default()
                .push(position);
        }
    }

    /// The pending items of a customer, oldest first.
    pub(crate) fn pending(&self, customer: &str) -> impl DoubleEndedIterator<Item = &InvoiceItem> {
        let positions = self.pending_positions.get(customer).into_iter().flatten();
        positions.filter_map(|position| self.table.at(*position))
    }

    /// Marks items as included in an invoice.
    pub(crate) fn mark_invoiced(&mut self, ids: impl Iterator<Item = Id>, invoice: &Id) {
        for id in ids {
            let Some(position) = self.table.position(&id) else {
                continue;
            };
            if let Some(item) = self.table.at_mut(position) {
                item.invoice = Some(invoice.clone());
                let customer = item.customer.clone();
                self.remove_pending_position(&customer, position);
            }
        }
    }

    /// Makes the items of a deleted draft pending again.
    pub(crate) fn make_pending(&mut self, invoice: &Id) {
        for position in 0..self.table.end() {
            let item = self.table.at_mut(position);
            let Some(item) = item.filter(|item| item.invoice.as_ref() == Some(invoice)) else {
                continue;
            };
            item.invoice = None;
            let pending_positions = self
                .pending_positions
                .entry(item.customer.clone())
                .or_default();
            pending_positions.push(position);
            pending_positions.sort_unstable();
        }
    }

    /// Deletes an item.
    pub(crate) fn remove(&mut self, id: &str) {
        let Some(position) = self.table.position(id) else {
            return;
        };
        if let Some(item) = self.table.remove(id) {
            self.remove_pending_position(&item.customer, position);
        }
    }

    /// Deletes the pending items of a deleted customer.
    pub(crate) fn remove_pending(&mut self, customer: &str) {
        let ids: Vec<Id> = self.pending(customer).map(|item| item.id.clone()).collect();
        for id in ids {
            self.remove(&id);
        }
    }

    /// Deletes all items of a customer.
    pub(crate) fn erase(&mut self, customer: &Id) {
        self.pending_positions.remove(customer);
        let items = self.table.iter();
        let of_customer = items.filter(|item| item.customer == *customer);
        for id in of_customer.map(|item| item.id.clone()).collect::<Vec<_>>() {
            self.table.remove(&id);
        }
    }

    fn remove_pending_position(&mut self, customer: &Id, position: u32) {
        if let Some(pending_positions) = self.pending_positions.get_mut(customer) {
            pending_positions.retain(|other| *other != position);
            if pending_positions.is_empty() {
                self.pending_positions.remove(customer);
            }
        }
    }
}

/// A quantity of a one-time price.
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
