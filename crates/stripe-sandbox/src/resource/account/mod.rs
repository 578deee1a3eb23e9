//! Accounts: those of secret keys, and the connected accounts that they have created.

pub(crate) mod routes;

use serde_json::{Value, json};

use crate::error::Error;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

const URL: &str = "/v1/accounts";

/// The properties of an account.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) deleted: bool,
    kind: &'static str,
    email: Option<String>,
    country: String,
    default_currency: &'static str,
    business_type: Option<&'static str>,
    pub(crate) business_name: Option<String>,
    business_url: Option<String>,
    metadata: Metadata,
    /// Whether the account is ready for charges. The account of a key is; a connected account still has to be
    /// onboarded.
    onboarded: bool,
}

impl Row for Profile {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Profile {
    /// The account of a key.
    pub(crate) fn of_key(id: Id, now: i64) -> Self {
        Self {
            id,
            created: now,
            deleted: false,
            kind: "standard",
            email: Some("sandbox@example.com".to_owned()),
            country: "US".to_owned(),
            default_currency: "usd",
            business_type: None,
            business_name: Some("Sandbox".to_owned()),
            business_url: None,
            metadata: Metadata::default(),
            onboarded: true,
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let requirements = json!({
            "alternatives": [],
            "current_deadline": null,
            "currently_due": [],
            "disabled_reason": if self.onboarded { Value::Null } else { json!("requirements.past_due") },
            "errors": [],
            "eventually_due": [],
            "past_due": [],
            "pending_verification": [],
        });
        let state = if self.onboarded { "active" } else { "inactive" };
        json!({
            "id": &*self.id,
            "object": "account",
            "business_profile": {
                "mcc": null,
                "name": self.business_name,
                "product_description": null,
                "support_address": null,
                "support_email": null,
                "support_phone": null,
                "support_url": null,
                "url": self.business_url,
            },
            "business_type": self.business_type,
            "capabilities": {"card_payments": state, "transfers": state},
            "charges_enabled": self.onboarded,
            "controller": {"type": "account"},
            "country": self.country,
            "created": self.created,
            "default_currency": self.default_currency,
            "details_submitted": self.onboarded,
            "email": self.email,
            "external_accounts": {
                "object": "list",
                "data": [],
                "has_more": false,
                "url": format!("{URL}/{}/external_accounts", self.id),
            },
            "future_requirements": requirements,
            "metadata": self.metadata.to_json(),
            "payouts_enabled": self.onboarded,
            "requirements": requirements,
            "settings": self.settings(),
            "tos_acceptance": {"date": null, "ip": null, "user_agent": null},
            "type": self.kind,
        })
    }

    fn settings(&self) -> Value {
        json!({
            "bacs_debit_payments": {},
            "branding": {"icon": null, "logo": null, "primary_color": null, "secondary_color": null},
            "card_issuing": {"tos_acceptance": {"date": null, "ip": null}},
            "card_payments": {
                "decline_on": {"avs_failure": false, "cvc_failure": false},
                "statement_descriptor_prefix": null,
                "statement_descriptor_prefix_kana": null,
                "statement_descriptor_prefix_kanji": null,
            },
            "dashboard": {"display_name": self.business_name, "timezone": "Etc/UTC"},
            "payments": {
                "statement_descriptor": null,
                "statement_descriptor_kana": null,
                "statement_descriptor_kanji": null,
                "statement_descriptor_prefix_kana": null,
                "statement_descriptor_prefix_kanji": null,
            },
            "payouts": {
                "debit_negative_balances": true,
                "schedule": {"delay_days": 2, "interval": "daily"},
                "statement_descriptor": null,
            },
            "sepa_debit_payments": {},
        })
    }
}

/// The error for an account that the key cannot access. `key` is the masked key, if Stripe's message has it.
pub(crate) fn no_access(key: Option<&str>, id: &str) -> Error {
    let key = key.map_or_else(String::new, |key| format!(" '{key}'"));
    Error::invalid(format!(
        "The provided key{key} does not have access to account '{id}' (or that account does not exist). Application access may have been revoked."
    ))
    .code("account_invalid")
    .status(403)
}
