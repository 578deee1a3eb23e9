//! Invoice items: what waits for a customer's next invoice.

use serde::Deserialize;

use super::object::{Metadata, identified};
use super::{Period, Price};

/// What waits for a customer's next invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceItem {
    /// `ii_…`.
    pub id: String,
    /// Cents.
    #[serde(default)]
    pub amount: i64,
    /// Three lower-case letters.
    #[serde(default)]
    pub currency: String,
    /// What it is for.
    #[serde(default)]
    pub price: Option<Price>,
    /// Whose invoice it waits for.
    #[serde(default)]
    pub subscription: Option<String>,
    /// The subscription item whose time it charges or credits.
    #[serde(default)]
    pub subscription_item: Option<String>,
    /// Whether it corrects an earlier charge.
    #[serde(default)]
    pub proration: bool,
    /// When it was made, Unix seconds.
    #[serde(default)]
    pub date: i64,
    /// The time that it is for.
    #[serde(default)]
    pub period: Period,
    /// The invoice that it is on; none while it waits for one.
    #[serde(default)]
    pub invoice: Option<String>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

identified!(InvoiceItem);
