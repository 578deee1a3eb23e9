//! Accounts: the one that a key opens, and those that it has connected.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::Row;

const URL: &str = "/v1/accounts";

/// What is known about an account as such.
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
    /// The account that a key opens is ready for charges; a connected one has yet to be onboarded.
    onboarded: bool,
}

impl Row for Profile {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl Profile {
    /// The account that a key opens.
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

/// `GET /v1/account`
pub(crate) fn own(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(ctx.account.profile.to_json())
}

/// `POST /v1/accounts`
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let kind = params.one_of("type", &["standard", "express", "custom"])?;
    let business_type = params.one_of(
        "business_type",
        &["company", "government_entity", "individual", "non_profit"],
    )?;
    let (mut business_name, mut business_url) = (None, None);
    if let Some(business) = params.object("business_profile")? {
        business_name = business.nullable("name")?.value().map(str::to_owned);
        business_url = business.nullable("url")?.value().map(str::to_owned);
        business.unmodelled(&[
            "mcc",
            "monthly_estimated_revenue",
            "product_description",
            "support_address",
            "support_email",
            "support_phone",
            "support_url",
        ])?;
    }
    let metadata = params.metadata()?.apply(&Metadata::default())?;
    let country = params.string("country")?.unwrap_or("US").to_owned();
    let email = params.string("email")?.map(str::to_owned);
    params.unmodelled(&[
        "account_token",
        "bank_account",
        "capabilities",
        "company",
        "default_currency",
        "documents",
        "external_account",
        "individual",
        "settings",
        "tos_acceptance",
    ])?;
    params.finish()?;
    let profile = Profile {
        id: ctx.account.ids.next("acct", 16),
        created: ctx.now,
        deleted: false,
        kind: kind.unwrap_or("standard"),
        email,
        country,
        default_currency: "usd",
        business_type,
        business_name,
        business_url,
        metadata,
        onboarded: false,
    };
    let answer = profile.to_json();
    ctx.account.connected.insert(profile);
    Ok(answer)
}

/// `GET /v1/accounts/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    if id == *ctx.account.profile.id {
        return Ok(ctx.account.profile.to_json());
    }
    let profile = ctx.account.connected.get(&id);
    let profile = profile.filter(|profile| !profile.deleted);
    Ok(profile.ok_or_else(|| no_access(None, &id))?.to_json())
}

/// `GET /v1/accounts`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let created = crate::params::filter::Created::read(params)?;
    params.finish()?;
    let cut = page.of_table(&ctx.account.connected, "account", |profile| {
        !profile.deleted && created.accepts(profile.created)
    })?;
    Ok(cut.to_json(URL, Profile::to_json))
}

/// `DELETE /v1/accounts/:id`
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let id = ctx.arg(0);
    let profile = ctx.account.connected.get_mut(&id);
    let profile = profile
        .filter(|profile| !profile.deleted)
        .ok_or_else(|| no_access(None, &id))?;
    profile.deleted = true;
    Ok(json!({"id": id, "object": "account", "deleted": true}))
}

/// The error for an account that is not the key's. `key` is the key as it may be shown, where Stripe shows it.
pub(crate) fn no_access(key: Option<&str>, id: &str) -> Error {
    let key = key.map_or_else(String::new, |key| format!(" '{key}'"));
    Error::invalid(format!(
        "The provided key{key} does not have access to account '{id}' (or that account does not exist). Application access may have been revoked."
    ))
    .code("account_invalid")
    .status(403)
}
