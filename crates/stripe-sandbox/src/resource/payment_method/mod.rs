//! Payment methods: cards from Stripe's test tokens and numbers.

pub(crate) mod card;
pub(crate) mod input;
pub(crate) mod routes;
mod types;
mod view;

pub(crate) use self::types::{cards_only, types_param};

use serde_json::Value;

use self::card::{Card, ChargeOutcome, Presence};
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

/// Stripe's name for it in messages.
const NAME: &str = "PaymentMethod";

/// A payment method.
#[derive(Clone, Debug)]
pub(crate) struct PaymentMethod {
    pub(crate) id: Id,
    pub(crate) created: i64,
    /// The customer to whom it is attached.
    pub(crate) customer: Option<Id>,
    /// Whether it was detached, or charged without being attached. It can then no longer be used.
    pub(crate) is_used_up: bool,
    /// Whether it was set up for payments without the customer.
    pub(crate) is_set_up: bool,
    pub(crate) card: &'static Card,
    pub(crate) expiry: Expiry,
    pub(crate) cvc_check: Option<&'static str>,
    pub(crate) billing: BillingDetails,
    pub(crate) metadata: Metadata,
}

/// The last month in which a card is valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    pub(crate) month: i64,
    pub(crate) year: i64,
}

/// Stripe's `billing_details`.
#[derive(Clone, Debug, Default)]
pub(crate) struct BillingDetails {
    pub(crate) address: Option<Value>,
    pub(crate) email: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
}

impl Row for PaymentMethod {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl PaymentMethod {
    /// A new payment method, unattached and without an id. Its card expires in a year.
    pub(crate) fn new(card: &'static Card, now: i64) -> Self {
        use chrono::Datelike as _;
        let today = chrono::DateTime::from_timestamp(now, 0).unwrap_or_default();
        Self {
            id: Id::default(),
            created: now,
            customer: None,
            is_used_up: false,
            is_set_up: false,
            card,
            expiry: Expiry {
                month: i64::from(today.month()),
                year: i64::from(today.year()) + 1,
            },
            cvc_check: None,
            billing: BillingDetails::default(),
            metadata: Metadata::default(),
        }
    }

    /// The outcome of a charge.
    pub(crate) fn charge(&self, presence: Presence) -> ChargeOutcome {
        self.card.charge(presence, self.is_set_up)
    }
}

/// The payment method that a parameter names.
#[derive(Clone, Debug)]
pub(crate) enum MethodRef {
    /// An existing payment method.
    Existing(Id),
    /// A test token. A payment method is created from it when it is used.
    Token(&'static Card),
}
