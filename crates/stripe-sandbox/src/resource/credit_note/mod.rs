//! Credit notes, which reduce a final invoice.
//!
//! For an unpaid invoice, a credit note lowers the amount due and pays nothing out. For a paid one, it returns money:
//! to the card, to the customer's balance, or outside of Stripe.

mod input;
mod lines;
pub(crate) mod routes;
pub(crate) mod view;

use rust_decimal::Decimal;

use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

/// A credit note.
#[derive(Clone, Debug)]
pub(crate) struct CreditNote {
    pub(crate) id: Id,
    pub(crate) invoice: Id,
    pub(crate) customer: Id,
    pub(crate) created: i64,
    pub(crate) currency: Currency,
    number: String,
    lines: Vec<CreditNoteLine>,
    /// In cents, before the invoice's discount.
    subtotal: i64,
    payout: Payout,
    /// The refund to the card, made with the note or before it.
    refund: Option<Id>,
    /// The credit to the customer's balance.
    balance_transaction: Option<Id>,
    reason: Option<&'static str>,
    memo: Option<String>,
    metadata: Metadata,
    voided_at: Option<i64>,
}

impl Row for CreditNote {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// How a credit note returns money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payout {
    /// It returns nothing: the invoice was not paid, so less is due.
    BeforePayment,
    /// It returns these amounts, in cents.
    AfterPayment {
        to_balance: i64,
        out_of_band: Option<i64>,
        /// To the card.
        to_card: i64,
    },
}

/// A line: the credit of an invoice line, or a custom line.
#[derive(Clone, Debug)]
pub(crate) struct CreditNoteLine {
    id: Id,
    /// The credited invoice line; a custom line has none.
    of: Option<Id>,
    description: Option<String>,
    /// In cents, before the discount.
    amount: i64,
    /// The share of the invoice line's discount for the amount.
    discount: i64,
    /// For custom lines, and where units of an invoice line are credited.
    quantity: Option<i64>,
    unit_amount: Option<Decimal>,
}

impl Row for CreditNoteLine {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl CreditNote {
    /// The credited total, in cents.
    fn total(&self) -> i64 {
        self.subtotal - self.total_discount()
    }

    fn total_discount(&self) -> i64 {
        self.lines.iter().map(|line| line.discount).sum()
    }

    fn is_issued(&self) -> bool {
        self.voided_at.is_none()
    }
}
