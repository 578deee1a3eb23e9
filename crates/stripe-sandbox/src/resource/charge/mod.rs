//! Charges: attempts to take money, successful or failed.

pub(crate) mod routes;
pub(crate) mod view;

use serde_json::Value;

use super::payment_intent::PaymentIntent;
use super::payment_method::card::Decline;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

pub(crate) const NAME: &str = "charge";

/// A charge. Its details are copied from the payment intent.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) intent: Id,
    pub(crate) customer: Option<Id>,
    invoice: Option<Id>,
    payment_method: Id,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    /// In cents.
    pub(crate) captured: i64,
    /// When the money was captured, if it was.
    pub(crate) captured_at: Option<i64>,
    /// Whether the amount is authorized and not captured yet.
    pub(crate) is_uncaptured: bool,
    /// In cents.
    pub(crate) refunded: i64,
    pub(crate) failure: Option<Failure>,
    pub(crate) description: Option<String>,
    receipt_email: Option<String>,
    shipping: Option<Value>,
    statement_descriptor: Option<String>,
    statement_descriptor_suffix: Option<String>,
    metadata: Metadata,
}

/// Why a charge failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    code: &'static str,
    message: &'static str,
    reason: &'static str,
}

impl Failure {
    pub(crate) fn of(decline: Decline) -> Self {
        Self {
            code: decline.code,
            message: decline.message,
            reason: decline.reason.unwrap_or(decline.code),
        }
    }
}

impl Row for Charge {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Charge {
    pub(crate) fn new(
        id: Id,
        intent: &PaymentIntent,
        method: &Id,
        failure: Option<Failure>,
        at: i64,
    ) -> Self {
        let details = &intent.details;
        let captures = failure.is_none() && !details.manual_capture;
        Self {
            id,
            created: at,
            intent: intent.id.clone(),
            customer: intent.customer.clone(),
            invoice: intent.invoice.clone(),
            payment_method: method.clone(),
            amount: intent.amount,
            currency: intent.currency,
            captured: if captures { intent.amount } else { 0 },
            captured_at: captures.then_some(at),
            is_uncaptured: failure.is_none() && details.manual_capture,
            refunded: 0,
            failure,
            description: details.description.clone(),
            receipt_email: details.receipt_email.clone(),
            shipping: details.shipping.clone(),
            statement_descriptor: details.statement_descriptor.clone(),
            statement_descriptor_suffix: details.statement_descriptor_suffix.clone(),
            metadata: details.metadata.clone(),
        }
    }

    /// The amount that can still be refunded, in cents.
    pub(crate) fn refundable(&self) -> i64 {
        if self.failure.is_some() || self.is_uncaptured {
            return 0;
        }
        self.amount - self.refunded
    }
}
