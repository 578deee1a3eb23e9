//! An org's Stripe customer, and its cards.

use std::collections::BTreeMap;

use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::Role;
use crate::api::error::Error;
use crate::api::extract::{Include, Org};
use crate::api::json::Json;
use crate::api::operation::{Access, Operation};
use crate::api::values::Time;
use crate::domain::refs::OrgName;
use crate::domain::{self, Domain, Lane};

pub(in crate::api) fn operations() -> [Operation; 2] {
    let access = |role| Access::Account(Lane::Check, role);
    [
        Operation::get("whois", "/v1/whois", access(Role::Read), whois).with_info(Role::Admin),
        Operation::get(
            "paymentMethods",
            "/v1/payment_methods",
            access(Role::Admin),
            payment_methods,
        ),
    ]
}

async fn whois(domain: Domain, Org(org): Org, include: Include) -> Result<Json<Whois>, Error> {
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

/// An answer of `whois` without a look-up, for benchmarks.
pub(in crate::api) fn whois_of_nobody(org: OrgName) -> impl IntoResponse {
    let stripe_id = "cus_NffrFeUfNV2Hib".to_owned();
    let info = None;
    Json(Whois {
        info,
        org,
        stripe_id,
    })
}

/// Like [`whois`], without calls to Stripe, for benchmarks.
pub(in crate::api) async fn whois_without_stripe(
    _: Domain,
    Org(org): Org,
    _: Include,
) -> impl IntoResponse {
    whois_of_nobody(org)
}

async fn payment_methods(domain: Domain, Org(org): Org) -> Result<Json<PaymentMethods>, Error> {
    let methods = domain.payment_methods(&org).await?.methods;
    Ok(Json(PaymentMethods { org, methods }))
}

/// `GET /v1/whois`
#[derive(Serialize)]
struct Whois {
    #[serde(flatten)]
    info: Option<OrgInfo>,
    org: OrgName,
    stripe_id: String,
}

/// The customer's details, which `include=info` adds.
#[derive(Serialize)]
struct OrgInfo {
    email: String,
    name: String,
    description: String,
    phone: String,
    created: Time,
    metadata: BTreeMap<String, String>,
    /// Always empty: Stripe accepts it but does not return it.
    payment_method: &'static str,
    invoice_settings: InvoiceSettings,
}

impl From<domain::OrgInfo> for OrgInfo {
    fn from(info: domain::OrgInfo) -> Self {
        Self {
            email: info.email,
            name: info.name,
            description: info.description,
            phone: info.phone,
            created: Time(info.created),
            metadata: info.metadata,
            payment_method: "",
            invoice_settings: InvoiceSettings {
                default_payment_method: info.default_payment_method,
            },
        }
    }
}

/// `GET /v1/payment_methods`
#[derive(Serialize)]
struct PaymentMethods {
    org: OrgName,
    methods: Vec<Value>,
}

/// How invoices are paid.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InvoiceSettings {
    /// The default payment method (`pm_…`), or empty.
    pub default_payment_method: String,
}
