//! Customer balance transactions: each change of a customer's balance, with its cause.

pub(crate) mod routes;

use serde_json::{Value, json};

use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

const OBJECT: &str = "customer_balance_transaction";

const NAME: &str = "customer balance transaction";

/// Why a balance has changed.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// A request changed it.
    Adjustment,
    /// The customer was created with it.
    Initial,
    /// An invoice used a part of the balance, or added a credit or an amount that cannot be charged.
    AppliedToInvoice(Id),
    /// An invoice that is too small to be charged was added to the balance.
    InvoiceTooSmall(Id),
    /// A voided invoice returned the part that it had used.
    UnappliedFromInvoice(Id),
    CreditNote {
        invoice: Id,
        note: Id,
    },
}

impl Cause {
    /// Stripe's `type`.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Adjustment => "adjustment",
            Self::Initial => "initial",
            Self::AppliedToInvoice(_) => "applied_to_invoice",
            Self::InvoiceTooSmall(_) => "invoice_too_small",
            Self::UnappliedFromInvoice(_) => "unapplied_from_invoice",
            Self::CreditNote { .. } => "credit_note",
        }
    }

    fn invoice(&self) -> Option<&Id> {
        match self {
            Self::Adjustment | Self::Initial => None,
            Self::AppliedToInvoice(id)
            | Self::InvoiceTooSmall(id)
            | Self::UnappliedFromInvoice(id)
            | Self::CreditNote { invoice: id, .. } => Some(id),
        }
    }

    fn credit_note(&self) -> Option<&Id> {
        match self {
            Self::CreditNote { note, .. } => Some(note),
            _ => None,
        }
    }
}

/// A customer balance transaction.
#[derive(Clone, Debug)]
pub(crate) struct CustomerBalanceTransaction {
    pub(crate) id: Id,
    pub(crate) customer: Id,
    pub(crate) created: i64,
    /// In cents; negative is a credit.
    pub(crate) amount: i64,
    pub(crate) ending_balance: i64,
    pub(crate) currency: Currency,
    pub(crate) cause: Cause,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
}

impl Row for CustomerBalanceTransaction {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl CustomerBalanceTransaction {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": OBJECT,
            "amount": self.amount,
            "created": self.created,
            "credit_note": self.cause.credit_note().map(|id| &**id),
            "currency": self.currency.as_str(),
            "customer": &*self.customer,
            "description": self.description,
            "ending_balance": self.ending_balance,
            "invoice": self.cause.invoice().map(|id| &**id),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "type": self.cause.as_str(),
        })
    }
}
