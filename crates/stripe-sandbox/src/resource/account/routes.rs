//! `/v1/account` and `/v1/accounts`

use serde_json::{Value, json};

use super::{Profile, URL, no_access};
use crate::error::Result;
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::page::Page;

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/v1/account", own, "account"),
    route("POST", "/v1/accounts", create, "account"),
    route("GET", "/v1/accounts", list, "list:account"),
    route("GET", "/v1/accounts/:id", retrieve, "account"),
    route("DELETE", "/v1/accounts/:id", delete, "account"),
];

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
