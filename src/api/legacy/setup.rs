//! Cards that a customer enters on the app's own page, with Stripe's elements.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::LegacyError;
use crate::api::error::Error;
use crate::api::extract::AuditedJson;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::v1::setup::{ConfirmSetupRequest, SetupRequest};
use crate::api::{Role, Shared};
use crate::domain::{self, Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = || Access::Account(Lane::Interactive, Role::Admin);
    [
        Operation::post(
            "legacyStripeOptions",
            "/api/v1/stripe/options",
            access(),
            options,
        ),
        Operation::post("legacyStripeSetup", "/api/v1/stripe/setup", access(), setup),
    ]
}

async fn options(
    State(app): State<Shared>,
    domain: Domain,
    AuditedJson(request): AuditedJson<SetupRequest>,
) -> Result<Json<StripeOptions>, LegacyError> {
    let publishable_key = app.publishable_key.clone();
    let publishable_key = publishable_key.ok_or_else(Error::no_publishable_key)?;
    let started = domain.start_setup(&request.org.0).await?;
    Ok(Json(StripeOptions {
        publishable_key,
        account_id: started.account,
        client_secret: started.client_secret,
        connected: started.connected,
        stripe_js: app.stripe_js.clone(),
    }))
}

async fn setup(
    domain: Domain,
    AuditedJson(request): AuditedJson<ConfirmSetupRequest>,
) -> Result<Response, LegacyError> {
    let (org, id) = (&request.org.0, &request.setup_intent);
    let intent = domain.finish_setup(org, id).await?;
    let succeeded = intent.has_succeeded();
    let mut response = Json(SetupIntent::from(intent)).into_response();
    if !succeeded {
        // On failure, the client throws the body.
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(response)
}

/// The settings for Stripe's elements on a page.
#[derive(Serialize)]
struct StripeOptions {
    #[serde(rename = "publishableKey")]
    publishable_key: String,
    #[serde(rename = "accountID")]
    account_id: String,
    #[serde(rename = "clientSecret")]
    client_secret: String,
    /// Whether the account is a connected one. In 2022 all were.
    connected: bool,
    /// The script that stands in for Stripe.js. None for Stripe itself.
    #[serde(rename = "stripeJS", skip_serializing_if = "Option::is_none")]
    stripe_js: Option<String>,
}

/// The state of a set-up intent. Clients recognize it by its fields, so fields with objects are never left out, and
/// never null.
#[derive(Serialize)]
struct SetupIntent {
    id: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_method: Option<String>,
    last_setup_error: SetupError,
    next_action: NextAction,
    /// The redirect of `next_action` once more, because the client's documentation has it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_to_url: Option<Redirect>,
}

#[derive(Serialize)]
struct SetupError {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

#[derive(Serialize)]
struct NextAction {
    redirect_to_url: Redirect,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

#[derive(Clone, Default, Serialize)]
struct Redirect {
    #[serde(skip_serializing_if = "Option::is_none")]
    return_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl From<domain::SetupIntent> for SetupIntent {
    fn from(intent: domain::SetupIntent) -> Self {
        let error = intent.last_setup_error.unwrap_or_default();
        let action = intent.next_action.unwrap_or_default();
        let redirect = action.redirect_to_url.map(|redirect| Redirect {
            return_url: redirect.return_url,
            url: redirect.url,
        });
        Self {
            id: intent.id,
            status: intent.status,
            payment_method: intent.payment_method,
            last_setup_error: SetupError {
                code: error.code,
                decline_code: error.decline_code,
                doc_url: error.doc_url,
                message: error.message,
                param: error.param,
                kind: error.kind,
            },
            next_action: NextAction {
                redirect_to_url: redirect.clone().unwrap_or_default(),
                kind: action.kind,
            },
            redirect_to_url: redirect,
        }
    }
}
