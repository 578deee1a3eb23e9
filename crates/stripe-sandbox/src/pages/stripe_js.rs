//! `/v3/`: a stand-in for Stripe.js, which is not available offline. An app's page can set up a card with it as with
//! the original: `Stripe(key)`, `elements({clientSecret})`, `create('payment').mount(…)`, `confirmSetup(…)`. The cards
//! are Stripe's test numbers.
//!
//! Pages of any origin may load the script and confirm, because the intent's client secret authorizes that, as at
//! Stripe.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::{layout, owner};
use crate::engine::setup;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::form::Form;
use crate::resource::payment_method::{MethodRef, card};
use crate::resource::setup_intent::SetupIntent;
use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// The script.
pub(super) async fn script() -> Response {
    layout::asset("text/javascript; charset=utf-8", include_str!("stripe.js"))
}

/// The form that the script sends.
struct Confirmation {
    client_secret: String,
    number: String,
    return_url: String,
}

/// Confirms a set-up intent with a card number, and returns the URL to go to next.
pub(super) async fn confirm_setup(
    State(sandbox): State<Sandbox>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let confirmed = match read(&body) {
        Ok(confirmation) => confirm(&sandbox, &headers, &confirmation).await,
        Err(error) => Err(error),
    };
    let (status, body) = match confirmed {
        Ok(next) => (StatusCode::OK, json!({ "next": next })),
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, error.to_json())
        }
    };
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (
        status,
        headers.map(|(name, value)| (name, HeaderValue::from_static(value))),
        body.to_string(),
    )
        .into_response()
}

fn read(body: &[u8]) -> Result<Confirmation> {
    let mut form = Form::default();
    form.read(body)?;
    let params = Params::new(&form);
    let confirmation = Confirmation {
        client_secret: params.required("client_secret")?.to_owned(),
        number: params.string("number")?.unwrap_or_default().to_owned(),
        return_url: params.required("return_url")?.to_owned(),
    };
    params.finish()?;
    Ok(confirmation)
}

async fn confirm(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    confirmation: &Confirmation,
) -> Result<Option<String>> {
    let secret = &confirmation.client_secret;
    let holds = |account: &Account| find(account, secret).is_some();
    let account = owner(sandbox, holds).await;
    let account = account.ok_or_else(|| Error::no_such("setupintent", secret, "client_secret"))?;
    let settings = sandbox.call_settings(headers);
    let _turn = account.turn().await;
    sandbox.in_turn(&account, Vec::new(), settings, |ctx| {
        confirm_in(ctx, confirmation)
    })
}

fn confirm_in(ctx: &mut Ctx<'_>, confirmation: &Confirmation) -> Result<Option<String>> {
    let secret = &confirmation.client_secret;
    let id = find(ctx.account, secret);
    let id = id.ok_or_else(|| Error::no_such("setupintent", secret, "client_secret"))?;
    ctx.account
        .setup_intents
        .get(&id)
        .map_or(Ok(()), SetupIntent::check_unconfirmed)?;
    let card = MethodRef::Token(card::by_number(&confirmation.number)?);
    let back = confirmation.return_url.clone();
    setup::confirm(ctx, &id, card, Some(back))?;
    let intent = ctx.account.setup_intents.get(&id);
    Ok(intent.and_then(|intent| {
        let authenticates = intent.authentication_url.clone();
        authenticates.or_else(|| intent.url_to_return_to(true))
    }))
}

/// The intent with that client secret.
fn find(account: &Account, client_secret: &str) -> Option<Id> {
    let (id, _) = client_secret.split_once("_secret_")?;
    let intent = account.setup_intents.get(id)?;
    (intent.secret == client_secret).then(|| intent.id.clone())
}
