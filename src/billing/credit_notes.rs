//! Credit notes: what is taken off an invoice after it was made.

use serde::Deserialize;

use super::object::{Expandable, Metadata, Object, identified};
use crate::stripe::Page;

/// What was taken off an invoice after it was made.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNote {
    /// `cn_…`.
    pub id: String,
    /// `in_…`.
    #[serde(default)]
    pub invoice: String,
    /// `issued` or `void`.
    #[serde(default)]
    pub status: String,
    /// Cents, discounts deducted and taxes included.
    #[serde(default)]
    pub amount: i64,
    /// The refund that pays it out, if one does.
    #[serde(default)]
    pub refund: Option<Expandable<Object>>,
    /// The first ten at least.
    pub lines: Page<CreditNoteLine>,
    /// Free pairs.
    #[serde(default)]
    pub metadata: Metadata,
}

/// What was taken off one line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct CreditNoteLine {
    /// `cnli_…`.
    pub id: String,
    /// Cents, discounts not deducted.
    #[serde(default)]
    pub amount: i64,
    /// `il_…`.
    #[serde(default)]
    pub invoice_line_item: Option<String>,
}

identified!(CreditNote, CreditNoteLine);
