//! Pages on which an org leaves a card, and subscribes.

use super::answers::CheckoutPage;
use super::error::Error;
use super::extract::{Changing, IdempotencyKey};
use super::json::Json;
use super::types::{CheckoutRequest, TaxRequest};
use crate::domain::{Checkout, Domain, Tax};

/// `POST /v1/checkout`
pub(super) async fn checkout(
    domain: Domain,
    IdempotencyKey(key): IdempotencyKey,
    Changing(request): Changing<CheckoutRequest>,
) -> Result<Json<CheckoutPage>, Error> {
    let (org, checkout) = (request.org.0.clone(), request.into());
    let url = domain.checkout(&org, &checkout, key.as_deref()).await?;
    Ok(Json(CheckoutPage { url }))
}

impl From<CheckoutRequest> for Checkout {
    fn from(request: CheckoutRequest) -> Self {
        Self {
            success_url: request.success_url,
            cancel_url: request.cancel_url,
            features: request.features,
            trial_days: request.trial_days,
            require_billing_address: request.require_billing_address,
            tax: request.tax.into(),
        }
    }
}

impl From<TaxRequest> for Tax {
    fn from(tax: TaxRequest) -> Self {
        Self {
            automatic: tax.automatic.unwrap_or(false),
            collect_id: tax.collect_id,
        }
    }
}
