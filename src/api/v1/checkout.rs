//! Checkout pages, on which an org enters a card and may subscribe.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::schedule::TaxRequest;
use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::{AuditedJson, IdempotencyKey};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Required;
use crate::domain::refs::{OrgName, Reference};
use crate::domain::{Checkout, Domain, Lane, Tax};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Interactive, Role::Admin);
    [Operation::post(
        "checkout",
        "/v1/checkout",
        access,
        checkout,
    )]
}

async fn checkout(
    domain: Domain,
    IdempotencyKey(key): IdempotencyKey,
    AuditedJson(request): AuditedJson<CheckoutRequest>,
) -> Result<Json<CheckoutPage>, Error> {
    let (org, checkout) = (request.org.0.clone(), request.into());
    let url = domain.checkout(&org, &checkout, key.as_deref()).await?;
    Ok(Json(CheckoutPage { url }))
}

/// `POST /v1/checkout`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckoutRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// Where the browser goes afterwards.
    #[serde(default)]
    pub success_url: String,
    /// Where the browser goes if the person cancels.
    #[serde(default)]
    pub cancel_url: String,
    /// Plans, and single features of plans. Empty: the page only asks for a card.
    #[serde(default)]
    pub features: Vec<Reference>,
    /// Length of the trial, in days. Zero or less is none.
    #[serde(default)]
    pub trial_days: i64,
    /// Whether the page asks for an address.
    #[serde(default)]
    pub require_billing_address: bool,
    /// Settings for tax.
    #[serde(default)]
    pub tax: TaxRequest,
}

impl From<CheckoutRequest> for Checkout {
    fn from(request: CheckoutRequest) -> Self {
        Self {
            success_url: request.success_url,
            cancel_url: request.cancel_url,
            features: request.features,
            trial_days: request.trial_days,
            require_billing_address: request.require_billing_address,
            tax: Tax {
                automatic: request.tax.automatic,
                collect_id: request.tax.collect_id,
            },
        }
    }
}

impl Change for CheckoutRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        let features: Vec<_> = self.features.iter().map(ToString::to_string).collect();
        json!({"features": features, "trial_days": self.trial_days})
    }
}

/// `POST /v1/checkout`
#[derive(Serialize)]
struct CheckoutPage {
    url: String,
}
