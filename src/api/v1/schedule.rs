//! Changes of an org's plan and details.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::org::InvoiceSettings;
use crate::api::Role;
use crate::api::audit::Change;
use crate::api::error::Error;
use crate::api::extract::{AuditedJson, IdempotencyKey};
use crate::api::json::Empty;
use crate::api::operation::{Access, Operation};
use crate::api::values::{OptionalTime, Required, Time};
use crate::domain::refs::{OrgName, Reference};
use crate::domain::{Domain, Lane, OrgInfoUpdate, RequestedPhase, Subscribe};

pub(in crate::api) fn operations() -> [Operation; 1] {
    let access = Access::Account(Lane::Interactive, Role::Admin);
    [Operation::post(
        "subscribe",
        "/v1/subscribe",
        access,
        subscribe,
    )]
}

async fn subscribe(
    domain: Domain,
    IdempotencyKey(key): IdempotencyKey,
    AuditedJson(request): AuditedJson<SubscribeRequest>,
) -> Result<Empty, Error> {
    let (org, subscribe) = (request.org.0.clone(), request.into());
    domain
        .subscribe_once(&org, &subscribe, key.as_deref())
        .await?;
    Ok(Empty)
}

/// `POST /v1/subscribe`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeRequest {
    /// The org.
    pub org: Required<OrgName>,
    /// The payment method of future invoices: `pm_…`.
    #[serde(default)]
    pub payment_method_id: String,
    /// Settings for tax.
    #[serde(default)]
    pub tax: TaxRequest,
    /// Customer details to write. Unset leaves them as they are.
    #[serde(default)]
    pub info: Option<InfoRequest>,
    /// The phases of the subscription. Empty leaves it as it is.
    #[serde(default)]
    pub phases: Vec<PhaseRequest>,
}

/// Settings for tax.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TaxRequest {
    /// Whether Stripe computes tax. Unset leaves it as it is.
    pub automatic: Option<bool>,
    /// Whether Checkout asks for a tax id.
    pub collect_id: bool,
}

/// The customer details that can be written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct InfoRequest {
    /// E-mail address. Here and in the next three fields, empty leaves it as it is.
    pub email: String,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Phone number.
    pub phone: String,
    /// Ignored. Clients send back the answer of `whois`.
    pub created: IgnoredAny,
    /// Keys to set; an empty value deletes the key.
    pub metadata: BTreeMap<String, Option<String>>,
    /// A payment method to attach: `pm_…`.
    pub payment_method: String,
    /// How invoices are paid.
    pub invoice_settings: InvoiceSettings,
}

/// One phase of a subscription.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PhaseRequest {
    /// Whether the whole phase is a trial.
    pub trial: bool,
    /// When the phase begins. Unset is now.
    pub effective: OptionalTime,
    /// Plans, and single features of plans.
    pub features: Vec<Reference>,
    /// The id of a coupon. Unset keeps the current one, and empty removes it.
    pub coupon: Option<String>,
    /// Ignored. Clients send back the answer of `phase`.
    pub coupon_data: IgnoredAny,
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
            appends: false,
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

impl Change for SubscribeRequest {
    fn org(&self) -> Option<&OrgName> {
        Some(&self.org.0)
    }

    fn change(&self) -> Value {
        let phases: Vec<_> = self.phases.iter().map(PhaseRequest::change).collect();
        json!({
            "phases": phases,
            "payment_method": self.payment_method_id,
            "info": self.info.as_ref().map(InfoRequest::written),
        })
    }
}

impl PhaseRequest {
    fn change(&self) -> Value {
        let features: Vec<_> = self.features.iter().map(ToString::to_string).collect();
        json!({
            "features": features, "effective": self.effective.0.map(Time), "trial": self.trial,
            "coupon": self.coupon,
        })
    }
}

impl InfoRequest {
    /// The names of the written fields.
    fn written(&self) -> Vec<String> {
        let texts = [
            ("email", &self.email),
            ("name", &self.name),
            ("description", &self.description),
            ("phone", &self.phone),
            ("payment_method", &self.payment_method),
            (
                "invoice_settings.default_payment_method",
                &self.invoice_settings.default_payment_method,
            ),
        ];
        let written = texts.into_iter().filter(|(_, text)| !text.is_empty());
        let keys = self.metadata.keys().map(|key| format!("metadata.{key}"));
        written
            .map(|(name, _)| name.to_owned())
            .chain(keys)
            .collect()
    }
}
