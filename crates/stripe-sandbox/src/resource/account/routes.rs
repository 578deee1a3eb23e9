//! `/v1/account` and `/v1/accounts`

use serde_json::{Value, json};

use super::{Profile, URL, no_access};
use crate::error::Result;
use crate::params::Params;
use crate::params::filter::Created;
use crate::params::metadata::Metadata;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::locked;
use crate::store::page::Page;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::without_params("GET", "/v1/account", "account", retrieve_own),
        Route::new("POST", "/v1/accounts", "account", read_create, create),
        Route::new("GET", "/v1/accounts", "list:account", read_list, list),
        Route::without_params("GET", "/v1/accounts/:id", "account", retrieve),
        Route::without_params("DELETE", "/v1/accounts/:id", "account", delete),
    ]
}

/// `GET /v1/account`
fn retrieve_own(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(ctx.account.profile.to_json())
}

/// Reads a new account, without an id.
fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Profile> {
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
    Ok(Profile {
        id: Id::default(),
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
    })
}

/// `POST /v1/accounts`
fn create(ctx: &mut Ctx<'_>, mut profile: Profile) -> Result<Value> {
    profile.id = ctx.account.ids.next("acct", 16);
    let answer = profile.to_json();
    locked(&ctx.account.connected).insert(profile);
    Ok(answer)
}

/// `GET /v1/accounts/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    if id == *ctx.account.profile.id {
        return Ok(ctx.account.profile.to_json());
    }
    let connected = locked(&ctx.account.connected);
    let profile = connected.get(&id);
    let profile = profile.filter(|profile| !profile.deleted);
    Ok(profile.ok_or_else(|| no_access(None, &id))?.to_json())
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<(Page, Created)> {
    Ok((Page::read(params)?, Created::read(params)?))
}

/// `GET /v1/accounts`
fn list(ctx: &mut Ctx<'_>, (page, created): (Page, Created)) -> Result<Value> {
    let connected = locked(&ctx.account.connected);
    let rows = page.of_table(&connected, "account", |profile| {
        !profile.deleted && created.accepts(profile.created)
    })?;
    Ok(rows.to_json(URL, Profile::to_json))
}

/// `DELETE /v1/accounts/:id`
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let mut connected = locked(&ctx.account.connected);
    let profile = connected.get_mut(&id);
    let profile = profile
        .filter(|profile| !profile.deleted)
        .ok_or_else(|| no_access(None, &id))?;
    profile.deleted = true;
    Ok(json!({"id": id, "object": "account", "deleted": true}))
}
