//! Cards that are entered on a page of the app's own.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::AuditedJson;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Required;
use crate::api::{Role, Shared};
use crate::domain::refs::OrgName;
use crate::domain::{self, Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = || Access::Account(Lane::Interactive, Role::Admin);
    [
        Operation::post("setup", "/v1/setup", access(), setup),
        Operation::post("confirmSetup", "/v1/setup/confirm", access(), confirm),
    ]
}

async fn setup(
    State(app): State<Shared>,
    domain: Domain,
    AuditedJson(request): AuditedJson<SetupRequest>,
) -> Result<Json<StartedSetup>, Error> {
    let started = domain.start_setup(&request.org.0).await?;
    Ok(Json(StartedSetup {
        setup_intent: started.id,
        client_secret: started.client_secret,
        account: started.account,
        connected: started.connected,
        publishable_key: app.publishable_key.clone(),
        stripe_js: app.stripe_js.clone(),
    }))
}

async fn confirm(
    domain: Domain,
    AuditedJson(request): AuditedJson<ConfirmSetupRequest>,
) -> Result<Json<ConfirmedSetup>, Error> {
    let (org, id) = (&request.org.0, &request.setup_intent);
    Ok(Json(domain.finish_setup(org, id).await?.into()))
}

/// `POST /v1/setup`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct SetupRequest {
    /// The org.
    pub org: Required<OrgName>,
}

impl Change for SetupRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        json!({})
    }
}

/// `POST /v1/setup/confirm`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct ConfirmSetupRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// The set-up intent (`seti_…`). Stripe puts it into the query of the page that it returns to.
    #[serde(default)]
    pub setup_intent: String,
}

impl Change for ConfirmSetupRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        json!({ "setup_intent": self.setup_intent })
    }
}

/// The data that a page needs to ask for a card.
#[derive(Serialize)]
struct StartedSetup {
    setup_intent: String,
    client_secret: String,
    account: String,
    connected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    publishable_key: Option<String>,
    /// The script that stands in for Stripe.js. None for Stripe itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    stripe_js: Option<String>,
}

/// The state of a set-up intent.
#[derive(Serialize)]
struct ConfirmedSetup {
    setup_intent: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method: Option<String>,
    /// The page that the customer has to visit first.
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_url: Option<String>,
    /// The error of the last attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<SetupError>,
}

#[derive(Serialize)]
struct SetupError {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl From<domain::SetupIntent> for ConfirmedSetup {
    fn from(intent: domain::SetupIntent) -> Self {
        let action = intent.next_action.unwrap_or_default();
        let redirect = action.redirect_to_url.unwrap_or_default();
        Self {
            setup_intent: intent.id,
            status: intent.status,
            payment_method: intent.payment_method,
            redirect_url: redirect.url,
            error: intent.last_setup_error.map(|error| SetupError {
                code: error.code,
                decline_code: error.decline_code,
                message: error.message,
            }),
        }
    }
}
