//! Who is on which plan, and when.

use super::answers::{CheckoutPage, Phase, Phases};
use super::error::Error;
use super::extract::{Org, Strict};
use super::json::{Empty, Json};
use super::types::{CheckoutRequest, InfoRequest, PhaseRequest, SubscribeRequest, TaxRequest};
use crate::domain::{Checkout, Domain, OrgInfoUpdate, RequestedPhase, Subscribe, Tax};

/// `POST /v1/subscribe`
pub(super) async fn subscribe(
    domain: Domain,
    Strict(request): Strict<SubscribeRequest>,
) -> Result<Empty, Error> {
    let (org, subscribe) = (request.org.0.clone(), request.into());
    domain.subscribe(&org, &subscribe).await?;
    Ok(Empty)
}

/// `POST /v1/checkout`
pub(super) async fn checkout(
    domain: Domain,
    Strict(request): Strict<CheckoutRequest>,
) -> Result<Json<CheckoutPage>, Error> {
    let (org, checkout) = (request.org.0.clone(), request.into());
    let url = domain.checkout(&org, &checkout).await?;
    Ok(Json(CheckoutPage { url }))
}

/// `GET /v1/phase`
pub(super) async fn phase(domain: Domain, Org(org): Org) -> Result<Json<Phase>, Error> {
    Ok(Json(domain.phase(&org).await?.into()))
}

/// `GET /v1/phases`
pub(super) async fn phases(domain: Domain, Org(org): Org) -> Result<Json<Phases>, Error> {
    Ok(Json(domain.phases(&org).await?.into()))
}

impl From<SubscribeRequest> for Subscribe {
    fn from(request: SubscribeRequest) -> Self {
        Self {
            info: request.info.map(OrgInfoUpdate::from),
            phases: request
                .phases
                .into_iter()
                .map(RequestedPhase::from)
                .collect(),
            payment_method: request.payment_method_id,
            tax: request.tax.into(),
        }
    }
}

impl From<PhaseRequest> for RequestedPhase {
    fn from(phase: PhaseRequest) -> Self {
        Self {
            effective: phase.effective.0,
            trial: phase.trial,
            features: phase.features,
            coupon: phase.coupon,
        }
    }
}

impl From<InfoRequest> for OrgInfoUpdate {
    fn from(info: InfoRequest) -> Self {
        let metadata = info.metadata.into_iter();
        Self {
            email: info.email,
            name: info.name,
            description: info.description,
            phone: info.phone,
            metadata: metadata
                .filter_map(|(key, value)| Some((key, value?)))
                .collect(),
            payment_method: info.payment_method,
            default_payment_method: info.invoice_settings.default_payment_method,
        }
    }
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
            automatic: tax.automatic,
            collect_id: tax.collect_id,
        }
    }
}
