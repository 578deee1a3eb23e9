//! Set-up intents, which attach a payment method for later use.

pub(crate) mod routes;

use serde_json::{Value, json};

use super::json::{next_action, with_outcome};
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

/// A set-up intent.
#[derive(Clone, Debug)]
pub(crate) struct SetupIntent {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) customer: Option<Id>,
    pub(crate) payment_method: Option<Id>,
    pub(crate) status: &'static str,
    /// The URL where the customer authenticates, if the intent waits for it.
    pub(crate) authentication_url: Option<String>,
    pub(crate) return_url: Option<String>,
    /// Why the last attempt failed.
    pub(crate) last_error: Option<Value>,
    pub(crate) secret: String,
    pub(crate) description: Option<String>,
    pub(crate) usage: &'static str,
    pub(crate) metadata: Metadata,
    pub(crate) types: Vec<String>,
}

impl Row for SetupIntent {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl SetupIntent {
    /// Whether the customer was asked to authenticate and has not answered.
    pub(crate) fn awaits_authentication(&self) -> bool {
        self.status == "requires_action"
    }

    /// Where the customer goes when the attempt has ended.
    pub(crate) fn url_to_return_to(&self, has_succeeded: bool) -> Option<String> {
        let back = self.return_url.as_deref()?;
        Some(with_outcome(
            back,
            "setup_intent",
            &self.id,
            &self.secret,
            has_succeeded,
        ))
    }

    fn next_action(&self) -> Option<Value> {
        let url = self.authentication_url.as_ref()?;
        Some(next_action(url, self.return_url.as_deref()))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "setup_intent",
            "application": null,
            "automatic_payment_methods": null,
            "cancellation_reason": null,
            "client_secret": self.secret,
            "created": self.created,
            "customer": self.customer.as_deref(),
            "description": self.description,
            "flow_directions": null,
            "last_setup_error": self.last_error,
            "latest_attempt": null,
            "livemode": false,
            "mandate": null,
            "metadata": self.metadata.to_json(),
            "next_action": self.next_action(),
            "on_behalf_of": null,
            "payment_method": self.payment_method.as_deref(),
            "payment_method_options": {
                "card": {"mandate_options": null, "network": null, "request_three_d_secure": "automatic"},
            },
            "payment_method_types": self.types,
            "single_use_mandate": null,
            "status": self.status,
            "usage": self.usage,
        })
    }
}
