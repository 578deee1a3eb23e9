//! The sandbox's pages for people: the [checkout] page, with the basket, a choice of test cards, and buttons to pay and
//! to go back; the customer [portal]; the page for [authentication] of a payment; `/thanks`, a return page for apps
//! without one; and the [viewer], which shows everything that is in the sandbox. There is also a [stand-in for
//! Stripe.js](stripe_js).
//!
//! The templates escape all text.

pub(crate) mod authentication;
mod checkout;
mod item;
pub(crate) mod layout;
mod portal;
mod stripe_js;
pub(crate) mod viewer;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use maud::html;
use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::accounts::LockedAccount;
use crate::store::context::Ctx;

/// The routes of the pages; the API and the viewer handle everything else.
pub(crate) fn router() -> Router<Sandbox> {
    Router::new()
        .route("/c/pay/{session}", get(checkout::show).post(checkout::pay))
        .route(
            "/c/portal/{session}",
            get(portal::show).post(portal::change),
        )
        .route("/thanks", get(thanks))
        .route(
            "/c/authenticate/{intent}",
            get(authentication::show).post(authentication::decide),
        )
        .route("/v3/", get(stripe_js::script))
        .route("/v3/confirm_setup", post(stripe_js::confirm_setup))
        .route("/_sandbox/style.css", get(layout::style))
        .route("/_sandbox/refresh.js", get(layout::refresh))
        .route("/_sandbox/advance", post(viewer::controls::advance))
        .route(
            "/_sandbox/next_payment",
            post(viewer::controls::next_payment),
        )
}

/// A page that a `success_url` can point to.
async fn thanks() -> Response {
    let body = html! {
        h1 { "Thank you" }
        p { "You may close this page." }
    };
    layout::page(StatusCode::OK, "Thank you", &body)
}

/// Runs `work` in the account that holds an object, after everything that is due.
async fn with_account(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    holds: impl Fn(&Account) -> bool,
    work: impl FnOnce(&mut Ctx<'_>) -> Response,
) -> Response {
    match owner(sandbox, holds).await {
        Some(account) => {
            let settings = sandbox.call_settings(headers);
            let _turn = account.turn().await;
            sandbox.in_turn(&account, Vec::new(), settings, work)
        }
        None => unknown(),
    }
}

/// The page for an unknown session or intent.
fn unknown() -> Response {
    let body = html! {
        h1 { "No such page" }
        p { "The link is wrong, or the sandbox was restarted after the link was created." }
    };
    layout::page(StatusCode::NOT_FOUND, "No such page", &body)
}

/// The account that holds an object. Busy accounts are searched last, so that they do not block the pages of others.
async fn owner(sandbox: &Sandbox, holds: impl Fn(&Account) -> bool) -> Option<Arc<LockedAccount>> {
    let mut busy = Vec::new();
    for account in sandbox.0.accounts.newest() {
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

/// `303 See Other`, so that a reload does not pay again.
pub(crate) fn redirect(target: &str) -> Response {
    let target = utf8_percent_encode(target, CONTROLS).to_string();
    let location = HeaderValue::from_str(&target).expect("nothing but visible ASCII is left");
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
