//! Invoices and their lines.

use serde::Deserialize;

use super::object::{Expandable, Metadata, complete, identified, or_default};
use super::string_enum::string_enum;
use super::{Ack, Billing, ListPage, Price, Write};
use crate::stripe::{Error, Page};

/// An invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// `in_…`. Empty for a preview.
    #[serde(default)]
    pub id: String,
    /// The number that the customer sees. A draft has none.
    #[serde(default)]
    pub number: Option<String>,
    /// Unix seconds. For a preview, when Stripe will create it.
    #[serde(default)]
    pub created: i64,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// Its status.
    #[serde(default)]
    pub status: Option<InvoiceStatus>,
    /// How it is collected.
    #[serde(default)]
    pub collection_method: CollectionMethod,
    /// When it is due, in Unix seconds. None if it is charged automatically.
    #[serde(default)]
    pub due_date: Option<i64>,
    /// Cents.
    #[serde(default)]
    pub amount_paid: i64,
    /// Cents.
    #[serde(default)]
    pub amount_remaining: i64,
    /// Cents. None if no tax was computed.
    #[serde(default)]
    pub tax: Option<i64>,
    /// Cents, after discounts and with taxes.
    #[serde(default)]
    pub total: i64,
    /// Cents that credit notes took off before it was paid.
    #[serde(default)]
    pre_payment_credit_notes_amount: i64,
    /// Cents that credit notes gave back after it was paid.
    #[serde(default)]
    post_payment_credit_notes_amount: i64,
    /// The page on which the customer sees and pays it. A draft has none.
    #[serde(default)]
    pub hosted_invoice_url: Option<String>,
    /// The URL of its PDF.
    #[serde(default)]
    pub invoice_pdf: Option<String>,
    #[serde(default)]
    payment_intent: Option<Expandable<PaymentIntent>>,
    /// The charge that paid it.
    #[serde(default)]
    charge: Option<Expandable<Charge>>,
    /// At least the first ten lines.
    pub(super) lines: Page<InvoiceLine>,
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Deserialize)]
struct PaymentIntent {
    #[serde(default)]
    status: PaymentStatus,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum PaymentStatus {
    /// The bank is processing it.
    Processing,
    #[default]
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Deserialize)]
struct Charge {
    /// Cents.
    #[serde(default)]
    amount_refunded: i64,
}

/// A line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceLine {
    /// `il_…`.
    #[serde(default)]
    pub id: String,
    /// The subscription item that it bills.
    #[serde(default)]
    pub subscription_item: Option<String>,
    /// The invoice item that it came from: `ii_…`.
    #[serde(default)]
    pub invoice_item: Option<String>,
    /// The price.
    #[serde(default)]
    pub price: Option<Price>,
    /// The quantity.
    #[serde(default)]
    pub quantity: Option<i64>,
    /// Cents, before discounts.
    #[serde(default)]
    pub amount: i64,
    /// What each discount takes off.
    #[serde(default, deserialize_with = "or_default")]
    pub discount_amounts: Vec<DiscountAmount>,
    /// The currency: three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// The text on the invoice.
    #[serde(default)]
    pub description: Option<String>,
    /// The period that it bills.
    #[serde(default)]
    pub period: Period,
    /// Whether it is a proration, which corrects an earlier charge.
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

/// The period that a line bills.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Period {
    /// Unix seconds.
    pub start: i64,
    /// Unix seconds.
    pub end: i64,
}

identified!(Invoice, InvoiceLine);

string_enum! {
    /// The status of an invoice.
    InvoiceStatus {
        /// It can still change.
        Draft = "draft",
        /// It is due.
        Open = "open",
        /// It was paid.
        Paid = "paid",
        /// It is not expected to be paid.
        Uncollectible = "uncollectible",
        /// It is void.
        Void = "void",
    }
}

string_enum! {
    /// How an invoice is collected.
    CollectionMethod {
        /// Stripe charges the customer's payment method.
        ChargeAutomatically = "charge_automatically",
        /// Stripe sends it to the customer, who pays it.
        SendInvoice = "send_invoice",
    }
}

impl Invoice {
    /// Its lines: at least the first ten.
    pub fn lines(&self) -> &[InvoiceLine] {
        &self.lines.data
    }

    /// Like [`lines`](Self::lines), by value.
    pub fn into_lines(self) -> Vec<InvoiceLine> {
        self.lines.data
    }

    /// Whether it has this status.
    pub fn is(&self, status: &InvoiceStatus) -> bool {
        self.status.as_ref() == Some(status)
    }

    /// Whether a payment is being processed.
    pub fn is_processing(&self) -> bool {
        let payment = self.payment_intent.as_ref();
        let payment = payment.and_then(Expandable::object);
        payment.is_some_and(|payment| payment.status == PaymentStatus::Processing)
    }

    /// Cents that credit notes took off or gave back.
    pub fn credited(&self) -> i64 {
        let (before, after) = (
            self.pre_payment_credit_notes_amount,
            self.post_payment_credit_notes_amount,
        );
        before.saturating_add(after)
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
        self.list_invoices("subscription", subscription, time).await
    }

    /// Like [`invoices_since`](Self::invoices_since), for all of a customer's subscriptions.
    pub async fn customer_invoices_since(
        self,
        customer: &str,
        time: i64,
    ) -> Result<Vec<Invoice>, Error> {
        self.list_invoices("customer", customer, time).await
    }

    async fn list_invoices(
        self,
        filter: &'static str,
        id: &str,
        time: i64,
    ) -> Result<Vec<Invoice>, Error> {
        let request = self
            .get(INVOICES)
            .param(filter, id)
            .param("created[gte]", time)
            .expand("data.payment_intent")
            .expand("data.charge");
        let mut invoices: Vec<Invoice> = request.list().await?;
        self.complete_lines(&mut invoices).await?;
        Ok(invoices)
    }

    /// A page of a customer's invoices, newest first, each with all its lines, starting `after` the one with this id.
    pub async fn invoices_after(
        self,
        customer: &str,
        limit: usize,
        after: Option<&str>,
    ) -> Result<ListPage<Invoice>, Error> {
        let request = self
            .get(INVOICES)
            .param("customer", customer)
            .param("limit", limit)
            .param_some("starting_after", after);
        let mut page: ListPage<Invoice> = request.send().await?;
        self.complete_lines(&mut page.items).await?;
        Ok(page)
    }

    async fn complete_lines(self, invoices: &mut [Invoice]) -> Result<(), Error> {
        for invoice in invoices {
            let all = self.get(("/v1/invoices/*/lines", invoice.id.as_str()));
            complete(&mut invoice.lines, all).await?;
        }
        Ok(())
    }

    /// Creates an invoice of a customer's pending items.
    pub fn invoice_pending_items(self, customer: &str) -> Write<Ack> {
        let request = self
            .post(INVOICES)
            .param("customer", customer)
            .param("auto_advance", true);
        Write::new(request.param("pending_invoice_items_behavior", "include"))
    }

    /// Sets whether Stripe finalizes and collects an invoice automatically.
    pub fn set_auto_advance(self, id: &str, auto_advance: bool) -> Write<Ack> {
        let request = self.post((INVOICE, id));
        Write::new(request.param("auto_advance", auto_advance))
    }

    /// Finalizes a draft. Stripe does not collect it automatically.
    pub fn finalize_invoice(self, id: &str) -> Write<Ack> {
        let request = self.post(("/v1/invoices/*/finalize", id));
        Write::new(request.param("auto_advance", false))
    }

    /// Voids an invoice.
    pub fn void_invoice(self, id: &str) -> Write<Ack> {
        Write::new(self.post(("/v1/invoices/*/void", id)))
    }
}

const INVOICES: &str = "/v1/invoices";
const INVOICE: &str = "/v1/invoices/*";
