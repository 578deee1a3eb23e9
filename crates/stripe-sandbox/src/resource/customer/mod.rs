//! Customers, and the [index](search) for their search.

pub(crate) mod input;
pub(crate) mod routes;
mod search;
mod search_query;
pub(crate) mod tax_location;

use serde_json::{Value, json};

use self::search::Index;
use super::discount::Discount;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::{Row, Table};

const NAME: &str = "customer";

/// A customer. There can be very many, so rare properties are in [`RareFields`].
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) deleted: bool,
    pub(crate) email: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) description: Option<Box<str>>,
    pub(crate) phone: Option<Box<str>>,
    pub(crate) metadata: Metadata,
    pub(crate) test_clock: Option<Id>,
    /// `invoice_settings.default_payment_method`
    pub(crate) default_payment_method: Option<Id>,
    /// In cents. A negative balance is a credit, which lowers the next amount due.
    pub(crate) balance: i64,
    /// The currency of the last invoice.
    pub(crate) currency: Option<Currency>,
    /// Whether a payment has failed and is still due.
    pub(crate) delinquent: bool,
    /// Whether a payment method was ever attached.
    pub(crate) had_payment_method: bool,
    pub(crate) next_invoice_sequence: u32,
    pub(crate) rare: Option<Box<RareFields>>,
    /// Positions in the tables of the account, ascending.
    pub(crate) payment_methods: Vec<u32>,
    pub(crate) subscriptions: Vec<u32>,
    pub(crate) invoices: Vec<u32>,
    pub(crate) omitted_invoices: OmittedInvoices,
    pub(crate) schedules: Vec<u32>,
}

/// The invoices that a [copy](crate::engine::copy) of a customer omits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OmittedInvoices {
    None,
    /// Only paid, void and uncollectible ones.
    Settled,
    /// Some that are not paid yet.
    Unpaid,
}

/// Properties that few customers have.
#[derive(Clone, Debug, Default)]
pub(crate) struct RareFields {
    pub(crate) discount: Option<Discount>,
    pub(crate) address: Option<Value>,
    pub(crate) shipping: Option<Value>,
    pub(crate) invoice_prefix: Option<String>,
    pub(crate) preferred_locales: Vec<String>,
    pub(crate) tax_exempt: Option<&'static str>,
    pub(crate) footer: Option<String>,
    next_payment_fails: bool,
}

impl Row for Customer {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Customer {
    pub(crate) fn new(created: i64) -> Self {
        Self {
            id: Id::default(),
            created,
            deleted: false,
            email: None,
            name: None,
            description: None,
            phone: None,
            metadata: Metadata::default(),
            test_clock: None,
            default_payment_method: None,
            balance: 0,
            currency: None,
            delinquent: false,
            had_payment_method: false,
            next_invoice_sequence: 1,
            rare: None,
            payment_methods: Vec::new(),
            subscriptions: Vec::new(),
            invoices: Vec::new(),
            omitted_invoices: OmittedInvoices::None,
            schedules: Vec::new(),
        }
    }

    pub(crate) fn rare_mut(&mut self) -> &mut RareFields {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn has_invoices(&self) -> bool {
        self.omitted_invoices != OmittedInvoices::None || !self.invoices.is_empty()
    }

    /// The discount on all of the customer's invoices.
    pub(crate) fn discount(&self) -> Option<&Discount> {
        self.rare.as_ref()?.discount.as_ref()
    }

    /// Whether the next charge of an attached card is declined, regardless of the card.
    pub(crate) fn next_payment_fails(&self) -> bool {
        self.rare
            .as_ref()
            .is_some_and(|rare| rare.next_payment_fails)
    }

    pub(crate) fn set_next_payment_fails(&mut self, fails: bool) {
        if fails != self.next_payment_fails() {
            self.rare_mut().next_payment_fails = fails;
        }
    }

    /// The prefix of the customer's invoice numbers.
    pub(crate) fn invoice_prefix(&self) -> String {
        let given = self
            .rare
            .as_ref()
            .and_then(|rare| rare.invoice_prefix.clone());
        given.unwrap_or_else(|| {
            let end = self.id.len().saturating_sub(8);
            self.id[end..].to_ascii_uppercase()
        })
    }

    /// Takes the number of the customer's next invoice.
    pub(crate) fn next_invoice_number(&mut self) -> String {
        let number = format!(
            "{}-{:04}",
            self.invoice_prefix(),
            self.next_invoice_sequence
        );
        self.next_invoice_sequence += 1;
        number
    }

    /// The JSON at the customer's time `now`.
    pub(crate) fn to_json(&self, now: i64) -> Value {
        if self.deleted {
            return json!({"id": &*self.id, "object": "customer", "deleted": true});
        }
        let rare = self.rare.as_deref();
        let locales = rare.map_or(&[][..], |rare| &rare.preferred_locales);
        json!({
            "id": &*self.id,
            "object": "customer",
            "address": rare.and_then(|rare| rare.address.clone()),
            "balance": self.balance,
            "created": self.created,
            "currency": self.currency.as_ref().map(Currency::as_str),
            "default_source": null,
            "delinquent": self.delinquent,
            "description": self.description,
            "discount": self.discount().map(|discount| discount.to_json(now)),
            "email": self.email,
            "invoice_prefix": self.invoice_prefix(),
            "invoice_settings": {
                "custom_fields": null,
                "default_payment_method": self.default_payment_method.as_deref(),
                "footer": rare.and_then(|rare| rare.footer.as_deref()),
                "rendering_options": null,
            },
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "name": self.name,
            "next_invoice_sequence": self.next_invoice_sequence,
            "phone": self.phone,
            "preferred_locales": locales,
            "shipping": rare.and_then(|rare| rare.shipping.clone()),
            "tax_exempt": rare.and_then(|rare| rare.tax_exempt).unwrap_or("none"),
            "test_clock": self.test_clock.as_deref(),
        })
    }
}

/// An account's customers. Deleted ones are kept, because Stripe still shows them as deleted.
#[derive(Debug, Default)]
pub(crate) struct Customers {
    pub(crate) table: Table<Customer>,
    pub(crate) index: Index,
}

impl Customers {
    /// Only this customer, without a search index.
    pub(crate) fn only(customer: Customer) -> Self {
        let mut customers = Self::default();
        customers.table.insert(customer);
        customers
    }

    /// A customer that is not deleted.
    pub(crate) fn get(&self, id: &str) -> Option<&Customer> {
        self.table.get(id).filter(|customer| !customer.deleted)
    }

    /// A customer that is not deleted.
    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Customer> {
        self.table.get_mut(id).filter(|customer| !customer.deleted)
    }

    /// A customer, deleted or not.
    pub(crate) fn get_even_deleted(&self, id: &str) -> Option<&Customer> {
        self.table.get(id)
    }

    pub(crate) fn table(&self) -> &Table<Customer> {
        &self.table
    }
}
