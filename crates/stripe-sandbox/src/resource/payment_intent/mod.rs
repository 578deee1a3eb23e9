//! Payment intents.

mod input;
pub(crate) mod routes;

use serde_json::{Value, json};

use super::json::{next_action, with_outcome};
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

/// Stripe's name for it in messages.
pub(crate) const NAME: &str = "payment_intent";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    RequiresPaymentMethod,
    RequiresConfirmation,
    RequiresAction,
    RequiresCapture,
    Succeeded,
    Canceled,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture => "requires_capture",
            Self::Succeeded => "succeeded",
            Self::Canceled => "canceled",
        }
    }
}

/// A payment intent.
#[derive(Clone, Debug)]
pub(crate) struct PaymentIntent {
    pub(crate) id: Id,
    pub(crate) secret: String,
    pub(crate) created: i64,
    pub(crate) customer: Option<Id>,
    /// The invoice that it pays.
    pub(crate) invoice: Option<Id>,
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) status: Status,
    pub(crate) payment_method: Option<Id>,
    pub(crate) latest_charge: Option<Id>,
    /// The captured amount, in cents.
    pub(crate) received: i64,
    /// The error of the last attempt, as it was returned.
    pub(crate) last_error: Option<Value>,
    /// The URL where the customer authenticates, if the intent waits for it.
    pub(crate) authentication_url: Option<String>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) cancellation_reason: Option<&'static str>,
    pub(crate) details: IntentDetails,
}

/// The settings that a request chooses.
#[derive(Clone, Debug, Default)]
pub(crate) struct IntentDetails {
    /// `capture_method=manual`: the amount is authorized first and captured later.
    pub(crate) manual_capture: bool,
    /// The JSON of `automatic_payment_methods`.
    pub(crate) automatic_methods: Option<Value>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Metadata,
    pub(crate) receipt_email: Option<String>,
    pub(crate) return_url: Option<String>,
    pub(crate) setup_future_usage: Option<&'static str>,
    pub(crate) shipping: Option<Value>,
    pub(crate) statement_descriptor: Option<String>,
    pub(crate) statement_descriptor_suffix: Option<String>,
}

impl Row for PaymentIntent {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl PaymentIntent {
    /// A new intent without an id, which waits for a payment method.
    pub(crate) fn new(amount: i64, currency: Currency, now: i64, details: IntentDetails) -> Self {
        Self {
            id: Id::default(),
            secret: String::new(),
            created: now,
            customer: None,
            invoice: None,
            amount,
            currency,
            status: Status::RequiresPaymentMethod,
            payment_method: None,
            latest_charge: None,
            received: 0,
            last_error: None,
            authentication_url: None,
            canceled_at: None,
            cancellation_reason: None,
            details,
        }
    }

    /// Whether it can still be confirmed or changed.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(
            self.status,
            Status::RequiresPaymentMethod | Status::RequiresConfirmation | Status::RequiresAction
        )
    }

    /// Whether the customer was asked to authenticate and has not answered.
    pub(crate) fn awaits_authentication(&self) -> bool {
        self.status == Status::RequiresAction
    }

    pub(crate) fn to_json(&self) -> Value {
        let details = &self.details;
        let capturable = if self.status == Status::RequiresCapture {
            self.amount
        } else {
            0
        };
        json!({
            "id": &*self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": capturable,
            "amount_details": {"tip": {}},
            "amount_received": self.received,
            "application": null,
            "application_fee_amount": null,
            "automatic_payment_methods": details.automatic_methods,
            "canceled_at": self.canceled_at,
            "cancellation_reason": self.cancellation_reason,
            "capture_method": if details.manual_capture { "manual" } else { "automatic" },
            "client_secret": self.secret,
            "confirmation_method": "automatic",
            "created": self.created,
            "currency": self.currency.as_str(),
            "customer": self.customer.as_deref(),
            "description": details.description,
            "invoice": self.invoice.as_deref(),
            "last_payment_error": self.last_error,
            "latest_charge": self.latest_charge.as_deref(),
            "livemode": false,
            "metadata": details.metadata.to_json(),
            "next_action": self.next_action(),
            "on_behalf_of": null,
            "payment_method": self.payment_method.as_deref(),
            "payment_method_options": {
                "card": {
                    "installments": null,
                    "mandate_options": null,
                    "network": null,
                    "request_three_d_secure": "automatic",
                },
            },
            "payment_method_types": ["card"],
            "processing": null,
            "receipt_email": details.receipt_email,
            "review": null,
            "setup_future_usage": details.setup_future_usage,
            "shipping": details.shipping,
            "source": null,
            "statement_descriptor": details.statement_descriptor,
            "statement_descriptor_suffix": details.statement_descriptor_suffix,
            "status": self.status.as_str(),
            "transfer_data": null,
            "transfer_group": null,
        })
    }

    /// Where the customer goes when the attempt has ended.
    pub(crate) fn url_to_return_to(&self) -> Option<String> {
        let back = self.details.return_url.as_deref()?;
        let has_succeeded = matches!(self.status, Status::Succeeded | Status::RequiresCapture);
        Some(with_outcome(
            back,
            "payment_intent",
            &self.id,
            &self.secret,
            has_succeeded,
        ))
    }

    fn next_action(&self) -> Option<Value> {
        let url = self.authentication_url.as_ref()?;
        Some(next_action(url, self.details.return_url.as_deref()))
    }
}
