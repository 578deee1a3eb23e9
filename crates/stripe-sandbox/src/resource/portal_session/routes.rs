//! `/v1/billing_portal/sessions`. The page behind a session's `url` is in [`pages`](crate::pages).

use serde_json::Value;

use super::{PortalSession, UNVISITED, view};
use crate::error::Result;
use crate::params::Params;
use crate::resource::customer;
use crate::resource::route::Route;
use crate::store::context::Ctx;

/// The languages of Stripe's portal; the sandbox's page is always in English.
const LOCALES: &[&str] = &[
    "auto", "bg", "cs", "da", "de", "el", "en", "en-AU", "en-CA", "en-GB", "en-IE", "en-IN",
    "en-NZ", "en-SG", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu", "id", "it",
    "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl",
    "sv", "th", "tr", "vi", "zh", "zh-HK", "zh-TW",
];

const UNMODELLED: &[&str] = &["flow_data", "on_behalf_of"];

/// Parameters that 2026-10-28.endive added.
const UNMODELLED_2026: &[&str] = &["after_expiration", "customer_account"];

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::new(
        "POST",
        "/v1/billing_portal/sessions",
        "billing_portal.session",
        read,
        create,
    )]
}

/// Reads the session, without its id and URL.
fn read(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<PortalSession> {
    params.unmodelled(UNMODELLED)?;
    if ctx.has_meters() {
        params.unmodelled(UNMODELLED_2026)?;
    }
    let customer = customer::input::named(ctx, params.required("customer")?, "customer")?;
    let configuration = view::configuration_id(&ctx.account.profile);
    params.only_default("configuration", &configuration)?;
    Ok(PortalSession {
        id: "".into(),
        created: ctx.now,
        expires_at: ctx.now + UNVISITED,
        customer: customer.id.clone(),
        configuration,
        locale: params.one_of("locale", LOCALES)?,
        return_url: params.web_address("return_url")?,
        url: String::new(),
    })
}

/// `POST /v1/billing_portal/sessions`
fn create(ctx: &mut Ctx<'_>, mut session: PortalSession) -> Result<Value> {
    session.id = ctx.account.ids.next("bps", 24);
    session.url = format!("{}/c/portal/{}", ctx.settings.public_url, session.id);
    let object = session.to_json();
    ctx.account.billing.portal_sessions.insert(session);
    ctx.event("billing_portal.session.created", &object, ctx.now);
    Ok(object)
}
