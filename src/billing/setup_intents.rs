//! Set-up intents: a person enters a card in a Stripe element on the app's page, and Stripe attaches it to a customer.

use serde::Deserialize;

use super::{Billing, Write};
use crate::stripe::Error;

/// A set-up intent.
#[derive(Clone, Debug, Deserialize)]
pub struct SetupIntent {
    /// `seti_…`.
    pub id: String,
    /// Its status, such as `succeeded` or `requires_action`.
    pub status: String,
    /// The secret with which a browser confirms it.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The customer.
    #[serde(default)]
    pub customer: Option<String>,
    /// `pm_…`.
    #[serde(default)]
    pub payment_method: Option<String>,
    /// The error of the last attempt.
    #[serde(default)]
    pub last_setup_error: Option<SetupError>,
    /// What the person has to do.
    #[serde(default)]
    pub next_action: Option<NextAction>,
}

/// Why a card was not set up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SetupError {
    /// The error code.
    pub code: Option<String>,
    /// The bank's reason.
    pub decline_code: Option<String>,
    /// A page that explains the code.
    pub doc_url: Option<String>,
    /// The message for people.
    pub message: Option<String>,
    /// The parameter that is wrong.
    pub param: Option<String>,
    /// The kind of error.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// What a person has to do before a card is set up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NextAction {
    /// The page to go to.
    pub redirect_to_url: Option<Redirect>,
    /// The kind of action.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// A page to go to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Redirect {
    /// Where the browser returns to.
    pub return_url: Option<String>,
    /// The URL of the page.
    pub url: Option<String>,
}

impl SetupIntent {
    /// Whether the card is attached.
    pub fn has_succeeded(&self) -> bool {
        self.status == "succeeded"
    }
}

impl Billing<'_> {
    /// Creates a set-up intent for a customer's card.
    pub fn create_setup_intent(self, customer: &str) -> Write<SetupIntent> {
        let request = self.post("/v1/setup_intents").param("customer", customer);
        Write::new(request.param("payment_method_types[]", "card"))
    }

    /// A set-up intent.
    pub async fn setup_intent(self, id: &str) -> Result<SetupIntent, Error> {
        self.get(("/v1/setup_intents/*", id)).send().await
    }
}
