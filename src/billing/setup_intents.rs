//! Set-up intents: a person enters a card on a page with Stripe's elements, and it is attached to a customer.

use serde::Deserialize;

use super::{Billing, Write};
use crate::stripe::Error;

/// A set-up intent.
#[derive(Clone, Debug, Deserialize)]
pub struct SetupIntent {
    /// `seti_…`.
    pub id: String,
    /// `succeeded`, or what is still missing.
    pub status: String,
    /// With which a browser may go on with it.
    #[serde(default)]
    pub client_secret: Option<String>,
    /// Whose it is.
    #[serde(default)]
    pub customer: Option<String>,
    /// `pm_…`.
    #[serde(default)]
    pub payment_method: Option<String>,
    /// Why the last try failed.
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
    /// For programs.
    pub code: Option<String>,
    /// What the card's bank says.
    pub decline_code: Option<String>,
    /// A page that explains the code.
    pub doc_url: Option<String>,
    /// For people.
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
    /// Go to a page.
    pub redirect_to_url: Option<Redirect>,
    /// The kind of action.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// A page to go to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Redirect {
    /// Where the person comes back to.
    pub return_url: Option<String>,
    /// Where it is.
    pub url: Option<String>,
}

impl SetupIntent {
    /// Whether the card is attached.
    pub fn has_succeeded(&self) -> bool {
        self.status == "succeeded"
    }
}

impl Billing<'_> {
    /// Makes a set-up intent for a customer's card.
    pub fn create_setup_intent(self, customer: &str) -> Write<SetupIntent> {
        let request = self.post("/v1/setup_intents").param("customer", customer);
        Write::new(request.param("payment_method_types[]", "card"))
    }

    /// A set-up intent.
    pub async fn setup_intent(self, id: &str) -> Result<SetupIntent, Error> {
        self.get(("/v1/setup_intents/*", id)).send().await
    }
}
