//! Refunds, which return the money of a charge to the card.

pub(crate) mod routes;

use serde_json::{Value, json};

use super::balance_transaction;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

const NAME: &str = "refund";

/// A refund.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) charge: Id,
    pub(crate) intent: Id,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) reason: Option<&'static str>,
    pub(crate) metadata: Metadata,
}

impl Row for Refund {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Refund {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": &*balance_transaction::id_of(&self.id),
            "charge": &*self.charge,
            "created": self.created,
            "currency": self.currency.as_str(),
            "metadata": self.metadata.to_json(),
            "payment_intent": &*self.intent,
            "reason": self.reason,
            "receipt_number": null,
            "source_transfer_reversal": null,
            "status": "succeeded",
            "transfer_reversal": null,
        })
    }
}
