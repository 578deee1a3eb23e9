//! The checkout page `/c/pay/<session>`, with the basket, a choice of test cards, and buttons to pay and to go back;
//! the page for [authentication] of a payment; and `/thanks`, to which an app without a page of its own may return.
//!
//! The pages are plain HTML without scripts. All untrusted text is escaped; see [`html`].

pub(crate) mod authentication;
pub(crate) mod html;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::error::Error;
use crate::params::Params;
use crate::params::form::Form;
use crate::resource::checkout_session::pay;
use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::accounts::LockedAccount;
use crate::store::context::{Ctx, Origin};

/// The pages load nothing, run no scripts, and cannot be framed.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

/// The routes of the pages; the API handles everything else.
pub(crate) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/c/pay/{session}", get(show).post(pay))
        .route("/thanks", get(thanks))
        .route(
            "/c/authenticate/{intent}",
            get(authentication::show).post(authentication::decide),
        )
}

/// What a `success_url` may point to when somebody tries things out.
async fn thanks() -> Response {
    respond(StatusCode::OK, html::thanks())
}

async fn show(State(sandbox): State<Sandbox>, Path(session): Path<String>) -> Response {
    at_session(&sandbox, &session, |ctx| page(ctx, &session, None)).await
}

async fn pay(State(sandbox): State<Sandbox>, Path(session): Path<String>, body: Bytes) -> Response {
    let (card, code) = match choices(&body) {
        Ok(choices) => choices,
        Err(error) => {
            return at_session(&sandbox, &session, |ctx| page(ctx, &session, Some(&error))).await;
        }
    };
    at_session(&sandbox, &session, |ctx| {
        match pay::pay(ctx, &session, &card, code.as_deref()) {
            Ok(target) => to(&target),
            Err(error) => page(ctx, &session, Some(&error)),
        }
    })
    .await
}

/// The chosen card (by default the usual one) and the promotion code that was entered.
fn choices(body: &[u8]) -> Result<(String, Option<String>), Error> {
    let mut form = Form::default();
    form.read(body)?;
    let params = Params::new(&form);
    let card = params.string("card")?.unwrap_or("pm_card_visa").to_owned();
    let code = params.nullable("promotion_code")?.value();
    let code = code.map(str::trim).filter(|code| !code.is_empty());
    params.finish()?;
    Ok((card, code.map(str::to_owned)))
}

/// Runs `work` in the account of the session.
async fn at_session(
    sandbox: &Sandbox,
    session: &str,
    work: impl FnOnce(&mut Ctx<'_>) -> Response,
) -> Response {
    let holds = |account: &Account| account.billing.sessions.contains(session);
    at_account(sandbox, holds, work).await
}

/// Runs `work` in the account that holds an object, after everything that is due.
async fn at_account(
    sandbox: &Sandbox,
    holds: impl Fn(&Account) -> bool,
    work: impl FnOnce(&mut Ctx<'_>) -> Response,
) -> Response {
    match owner(sandbox, holds).await {
        Some(account) => {
            let origin = Origin {
                search_lag: sandbox.0.options.search_lag_millis(),
                invoice_draft: sandbox.0.options.invoice_draft_seconds(),
                ..Origin::default()
            };
            let _turn = account.turn().await;
            sandbox.in_turn(&account, Vec::new(), origin, work)
        }
        None => respond(StatusCode::NOT_FOUND, html::unknown()),
    }
}

/// Busy accounts are asked last, so that they do not block the pages of others.
async fn owner(sandbox: &Sandbox, holds: impl Fn(&Account) -> bool) -> Option<Arc<LockedAccount>> {
    let mut busy = Vec::new();
    for account in sandbox.0.accounts.all() {
        match account.free_turn() {
            Some(_turn) if holds(&account.account()) => return Some(account.clone()),
            Some(_) => {}
            None => busy.push(account.clone()),
        }
    }
    for account in busy {
        let turn = account.turn().await;
        if holds(&account.account()) {
            drop(turn);
            return Some(account);
        }
    }
    None
}

/// The page of the session as it is now, with an error message if there is one.
fn page(ctx: &mut Ctx<'_>, session: &str, error: Option<&Error>) -> Response {
    let Some(session) = ctx.account.billing.sessions.get(session) else {
        return respond(StatusCode::NOT_FOUND, html::unknown());
    };
    let message = error.map(|error| error.message.as_str());
    let status = match error {
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::OK,
    };
    respond(status, html::checkout(ctx.account, session, message))
}

fn respond(status: StatusCode, body: String) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Browsers hide the origin of a form from its own server if no referrer is sent.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(body)).into_response()
}

/// `303 See Other`, so that a reload does not pay again.
fn to(target: &str) -> Response {
    let target = utf8_percent_encode(target, CONTROLS).to_string();
    let location = HeaderValue::from_str(&target).expect("nothing but visible ASCII is left");
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
