//! The Stripe account in use, and an org's customer in it.

use serde::Serialize;

use super::{LegacyError, LegacyOrg};
use crate::api::Role;
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::v1::account::Whoami;
use crate::domain::refs::OrgName;
use crate::domain::{self, Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = |role| Access::Account(Lane::Check, role);
    [
        Operation::get("legacyWhoami", "/api/v1/whoami", access(Role::Read), whoami),
        Operation::get("legacyOrg", "/api/v1/org", access(Role::Admin), org),
    ]
}

async fn whoami(domain: Domain) -> Result<Json<LegacyWhoami>, LegacyError> {
    let account = domain.whoami().await?;
    Ok(Json(LegacyWhoami {
        org: format!("org:{}", account.id),
        account: account.into(),
    }))
}

/// `GET /api/v1/whoami`. The account counts as the caller's org.
#[derive(Serialize)]
struct LegacyWhoami {
    org: String,
    #[serde(flatten)]
    account: Whoami,
}

async fn org(
    domain: Domain,
    LegacyOrg(org): LegacyOrg,
) -> Result<Json<LegacyOrgDetails>, LegacyError> {
    let details = domain.lookup_org_account(&org).await?;
    Ok(Json(LegacyOrgDetails::of(org, details)))
}

/// `GET /api/v1/org`
#[derive(Serialize)]
struct LegacyOrgDetails {
    id: OrgName,
    name: OrgName,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_payment_method: Option<PaymentMethod>,
    delinquent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    live_mode: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

/// A payment method. Unknown fields are left out.
#[derive(Serialize)]
struct PaymentMethod {
    id: String,
    billing_details: BillingDetails,
    card: Card,
}

#[derive(Serialize)]
struct BillingDetails {
    address: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

#[derive(Serialize)]
struct Address {
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

#[derive(Serialize)]
struct Card {
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp_month: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp_year: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last4: Option<String>,
}

impl LegacyOrgDetails {
    fn of(org: OrgName, details: domain::OrgAccount) -> Self {
        let customer = details.customer;
        let non_empty = |text: Option<String>| text.filter(|text| !text.is_empty());
        let method = customer.default_payment_method;
        let discount = customer
            .discount
            .and_then(|discount| discount.coupon.amount_off);
        Self {
            id: org.clone(),
            name: org,
            default_payment_method: method.map(PaymentMethod::from),
            delinquent: customer.delinquent.unwrap_or(false),
            discount,
            phone: non_empty(customer.phone),
            email: non_empty(customer.email),
            live_mode: customer.livemode,
            url: details.url,
        }
    }
}

impl From<domain::PaymentMethodDetails> for PaymentMethod {
    fn from(method: domain::PaymentMethodDetails) -> Self {
        let details = method.billing_details;
        let (address, card) = (details.address.unwrap_or_default(), method.card);
        Self {
            id: method.id,
            billing_details: BillingDetails {
                address: Address {
                    city: address.city,
                    country: address.country,
                    line1: address.line1,
                    line2: address.line2,
                    postal_code: address.postal_code,
                    state: address.state,
                },
                email: details.email,
                name: details.name,
                phone: details.phone,
            },
            card: Card {
                brand: card.brand,
                exp_month: card.exp_month,
                exp_year: card.exp_year,
                last4: card.last4,
            },
        }
    }
}
