//! Invoices and their lines.

use serde::Deserialize;

use super::Price;
use super::object::{Expandable, Metadata, identified, or_default};
use crate::stripe::Page;

/// An invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// `in_…`.
    pub id: String,
    /// Unix seconds.
    #[serde(default)]
    pub created: i64,
    /// `draft`, `open`, `paid`, `uncollectible` or `void`.
    #[serde(default)]
    pub status: Option<String>,
    /// `charge_automatically` or `send_invoice`.
    #[serde(default)]
    pub collection_method: String,
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
    /// `processing`, `succeeded`, …
    #[serde(default)]
    pub status: String,
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
