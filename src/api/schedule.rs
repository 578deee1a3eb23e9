//! Who shall be on which plan, and when.

use super::error::Error;
use super::extract::{Changing, IdempotencyKey};
use super::json::Empty;
use super::types::{InfoRequest, PhaseRequest, SubscribeRequest};
use crate::domain::{Domain, OrgInfoUpdate, RequestedPhase, Subscribe};

/// `POST /v1/subscribe`
pub(super) async fn subscribe(
    domain: Domain,
    IdempotencyKey(key): IdempotencyKey,
    Changing(request): Changing<SubscribeRequest>,
) -> Result<Empty, Error> {
    let (org, subscribe) = (request.org.0.clone(), request.into());
    domain
        .subscribe_once(&org, &subscribe, key.as_deref())
        .await?;
    Ok(Empty)
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
            automatic_tax: request.tax.automatic,
            key: None,
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
