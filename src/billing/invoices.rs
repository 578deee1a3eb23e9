//! Invoices and their lines.

use serde::Deserialize;

use super::object::{Expandable, Metadata, identified, or_default};
use super::words::words;
use super::{Billing, Done, Price, Write};
use crate::stripe::{Error, Page};

/// An invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// `in_…`; empty for one that is only previewed.
    #[serde(default)]
    pub id: String,
    /// Unix seconds.
    #[serde(default)]
    pub created: i64,
    /// What has become of it.
    #[serde(default)]
    pub status: Option<InvoiceStatus>,
    /// How it is to be paid.
    #[serde(default)]
    pub collection_method: CollectionMethod,
    /// When it is to be paid, Unix seconds; none if it is charged automatically.
    #[serde(default)]
    pub due_date: Option<i64>,
    /// Cents.
    #[serde(default)]
    pub amount_remaining: i64,
    /// Cents, discounts deducted and taxes included.
    #[serde(default)]
    pub total: i64,
    /// What credit notes have taken off it before it was paid, cents.
    #[serde(default)]
    pub pre_payment_credit_notes_amount: i64,
    /// What credit notes have given back since, cents.
    #[serde(default)]
    pub post_payment_credit_notes_amount: i64,
    /// The payment under way.
    #[serde(default)]
    pub payment_intent: Option<Expandable<PaymentIntent>>,
    /// The payment that was made.
    #[serde(default)]
    pub charge: Option<Expandable<Charge>>,
    /// The first ten at least.
    pub lines: Page<InvoiceLine>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// A payment.
#[derive(Clone, Debug, Deserialize)]
pub struct PaymentIntent {
    /// `pi_…`.
    pub id: String,
    /// What has become of it.
    #[serde(default)]
    pub status: PaymentStatus,
}

/// A payment that was made.
#[derive(Clone, Debug, Deserialize)]
pub struct Charge {
    /// `ch_…`.
    pub id: String,
    /// Cents.
    #[serde(default)]
    pub amount_refunded: i64,
}

/// A line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceLine {
    /// `il_…`.
    #[serde(default)]
    pub id: String,
    /// The subscription item it bills.
    #[serde(default)]
    pub subscription_item: Option<String>,
    /// `ii_…`, of what waited for the invoice.
    #[serde(default)]
    pub invoice_item: Option<String>,
    /// What it sells.
    #[serde(default)]
    pub price: Option<Price>,
    /// How many.
    #[serde(default)]
    pub quantity: Option<i64>,
    /// Cents, discounts not deducted.
    #[serde(default)]
    pub amount: i64,
    /// What discounts take off it.
    #[serde(default, deserialize_with = "or_default")]
    pub discount_amounts: Vec<DiscountAmount>,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// The time that it is for.
    #[serde(default)]
    pub period: Period,
    /// Whether it corrects an earlier charge.
    #[serde(default)]
    pub proration: bool,
}

/// What a discount takes off a line.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DiscountAmount {
    /// Cents.
    pub amount: i64,
    /// `di_…`.
    pub discount: String,
}

/// The time that a line is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Period {
    /// Unix seconds.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
}

identified!(Invoice, InvoiceLine);

words! {
    /// What has become of an invoice.
    InvoiceStatus {
        /// It may be changed.
        Draft = "draft",
        /// It is to be paid.
        Open = "open",
        /// It was paid.
        Paid = "paid",
        /// It will not be paid.
        Uncollectible = "uncollectible",
        /// It counts for nothing.
        Void = "void",
    }
}

words! {
    /// How an invoice is to be paid.
    CollectionMethod {
        /// Stripe charges what the customer pays with.
        ChargeAutomatically = "charge_automatically",
        /// The customer pays it.
        SendInvoice = "send_invoice",
    }
}

words! {
    /// What has become of a payment.
    PaymentStatus {
        /// The bank is at it.
        Processing = "processing",
        /// It was made.
        Succeeded = "succeeded",
    }
}

impl Invoice {
    /// Whether that has become of it.
    pub fn is(&self, status: &InvoiceStatus) -> bool {
        self.status.as_ref() == Some(status)
    }

    /// Whether a payment is under way.
    pub fn is_processing(&self) -> bool {
        let payment = self.payment_intent.as_ref();
        let payment = payment.and_then(Expandable::object);
        payment.is_some_and(|payment| payment.status == PaymentStatus::Processing)
    }

    /// Cents that were refunded.
    pub fn refunded(&self) -> i64 {
        let charge = self.charge.as_ref().and_then(Expandable::object);
        charge.map_or(0, |charge| charge.amount_refunded)
    }
}

impl Billing<'_> {
    /// An invoice.
    pub async fn invoice(self, id: &str) -> Result<Invoice, Error> {
        self.get((INVOICE, id)).send().await
    }

    /// A subscription's invoices since a time (Unix seconds), newest first, each with all its lines and its payment.
    pub async fn invoices_since(
        self,
        subscription: &str,
        time: i64,
    ) -> Result<Vec<Invoice>, Error> {
        self.invoices_of("subscription", subscription, time).await
    }

    /// Likewise, of all of a customer's subscriptions.
    pub async fn customer_invoices_since(
        self,
        customer: &str,
        time: i64,
    ) -> Result<Vec<Invoice>, Error> {
        self.invoices_of("customer", customer, time).await
    }

    async fn invoices_of(
        self,
        whose: &'static str,
        id: &str,
        time: i64,
    ) -> Result<Vec<Invoice>, Error> {
        let request = self
            .get(INVOICES)
            .param(whose, id)
            .param("created[gte]", time)
            .expand("data.payment_intent")
            .expand("data.charge");
        let mut invoices: Vec<Invoice> = request.list().await?;
        for invoice in &mut invoices {
            if invoice.lines.has_more {
                let path = ("/v1/invoices/*/lines", invoice.id.as_str());
                invoice.lines.data = self.get(path).list().await?;
            }
        }
        Ok(invoices)
    }

    /// Invoices what waits for a customer's next invoice.
    pub fn invoice_pending_items(self, customer: &str) -> Write<Done> {
        let request = self
            .post(INVOICES)
            .param("customer", customer)
            .param("auto_advance", true);
        Write::new(request.param("pending_invoice_items_behavior", "include"))
    }

    /// Lets Stripe finalize and collect an invoice by itself, or not.
    pub fn set_auto_advance(self, id: &str, auto_advance: bool) -> Write<Done> {
        let request = self.post((INVOICE, id));
        Write::new(request.param("auto_advance", auto_advance))
    }

    /// Finalizes a draft, which Stripe does not collect by itself.
    pub fn finalize_invoice(self, id: &str) -> Write<Done> {
        let request = self.post(("/v1/invoices/*/finalize", id));
        Write::new(request.param("auto_advance", false))
    }

    /// Lets an invoice count for nothing.
    pub fn void_invoice(self, id: &str) -> Write<Done> {
        Write::new(self.post(("/v1/invoices/*/void", id)))
    }
}

const INVOICES: &str = "/v1/invoices";
const INVOICE: &str = "/v1/invoices/*";
