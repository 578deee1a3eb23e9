//! The customer that an org is, and how it pays.

use super::answers::{OrgInfo, PaymentMethods, Whois};
use super::error::Error;
use super::extract::{Include, Org};
use super::json::Json;
use crate::domain::Domain;

/// `GET /v1/whois`
pub(super) async fn whois(
    domain: Domain,
    Org(org): Org,
    include: Include,
) -> Result<Json<Whois>, Error> {
    let (stripe_id, info) = if include.info {
        let (stripe_id, info) = domain.lookup_org(&org).await?;
        (stripe_id, Some(OrgInfo::from(info)))
    } else {
        (domain.whois(&org).await?, None)
    };
    let stripe_id = stripe_id.to_string();
    Ok(Json(Whois {
        info,
        org,
        stripe_id,
    }))
}

/// `GET /v1/payment_methods`
pub(super) async fn payment_methods(
    domain: Domain,
    Org(org): Org,
) -> Result<Json<PaymentMethods>, Error> {
    let methods = domain.payment_methods(&org).await?.methods;
    Ok(Json(PaymentMethods { org, methods }))
}
