//! `/c/pay/<session>`: the checkout page.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::{Markup, html};
use rust_decimal::Decimal;

use super::{item, layout, redirect, unknown, with_account};
use crate::error::Error;
use crate::money::format::money;
use crate::money::period::day;
use crate::params::Params;
use crate::params::form::Form;
use crate::resource::checkout_session::basket;
use crate::resource::checkout_session::{CheckoutSession, Mode, Purchase, Status, pay};
use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::context::Ctx;

/// The cards to choose from: test token and name.
const CARDS: [(&str, &str); 3] = [
    ("pm_card_visa", "Visa •••• 4242"),
    ("pm_card_mastercard", "Mastercard •••• 4444"),
    (
        "pm_card_chargeCustomerFail",
        "Visa •••• 0341 (is declined when charged)",
    ),
];

pub(crate) async fn show(
    State(sandbox): State<Sandbox>,
    Path(session): Path<String>,
    headers: HeaderMap,
) -> Response {
    with_session(&sandbox, &headers, &session, |ctx| {
        page(ctx, &session, None)
    })
    .await
}

pub(crate) async fn pay(
    State(sandbox): State<Sandbox>,
    Path(session): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    with_session(&sandbox, &headers, &session, |ctx| {
        let paid =
            choices(&body).and_then(|(card, code)| pay::pay(ctx, &session, &card, code.as_deref()));
        match paid {
            Ok(target) => redirect(&target),
            Err(error) => page(ctx, &session, Some(&error)),
        }
    })
    .await
}

/// The chosen card (by default Visa) and the entered promotion code.
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
async fn with_session(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    session: &str,
    work: impl FnOnce(&mut Ctx<'_>) -> Response,
) -> Response {
    let holds = |account: &Account| account.billing.sessions.contains(session);
    with_account(sandbox, headers, holds, work).await
}

/// The current page of the session. `error` is the reason why a payment failed.
fn page(ctx: &mut Ctx<'_>, session: &str, error: Option<&Error>) -> Response {
    let account = &*ctx.account;
    let Some(session) = account.billing.sessions.get(session) else {
        return unknown();
    };
    let status = match error {
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::OK,
    };
    let seller = account.profile.business_name.as_deref();
    let back = session.cancel_url.as_ref();
    let back = back.filter(|_| session.status != Status::Complete);
    let body = html! {
        p class="note" { (seller.unwrap_or("Sandbox")) }
        @if let Some(error) = error { p class="error" role="alert" { (error.message) } }
        @match session.status {
            Status::Open => (open(account, session)),
            Status::Complete => {
                h1 { "This checkout is complete" }
                p { "There is nothing more to do." }
            }
            Status::Expired => {
                h1 { "This checkout has expired" }
                p { "Go back to where you came from and start again." }
            }
        }
        @if let Some(url) = back { p { a href=(url) rel="noreferrer" { "Back" } } }
    };
    layout::page(status, "Checkout", &body)
}

fn open(account: &Account, session: &CheckoutSession) -> Markup {
    let customer = session.customer.as_ref();
    let customer = customer.and_then(|id| account.customers.get(id));
    let email = customer
        .and_then(|customer| customer.email.as_deref())
        .or(session.customer_email.as_deref());
    html! {
        @match &session.mode {
            Mode::Setup { .. } => {
                h1 { "Save a card" }
                p { "The card is kept for later payments. Nothing is charged now." }
            }
            Mode::Subscription(purchase) => (purchased(account, session, purchase)),
        }
        @if let Some(email) = email { p class="note" { "For " (email) } }
        (form(session))
    }
}

fn purchased(account: &Account, session: &CheckoutSession, purchase: &Purchase) -> Markup {
    html! {
        h1 { "Subscribe" }
        @for item in basket::basket(account, session) { (item::details(&item.terms, item.quantity)) }
        @if let Some(coupon) = &purchase.coupon { p { "With coupon " (coupon.coupon.id) } }
        @if let Some(trial) = trial(purchase.trial_days, purchase.trial_end) {
            p { strong { (trial) } }
        }
        p { "Due today: " strong { (due(purchase)) } }
    }
}

fn due(purchase: &Purchase) -> String {
    money(Decimal::from(purchase.due()), purchase.currency.as_str())
}

fn form(session: &CheckoutSession) -> Markup {
    let button = match &session.mode {
        Mode::Setup { .. } => "Save card".to_owned(),
        Mode::Subscription(_) if basket::in_trial(session) => "Start trial".to_owned(),
        Mode::Subscription(purchase) => format!("Pay {}", due(purchase)),
    };
    html! {
        form method="post" action={ "/c/pay/" (session.id) } {
            label {
                "Card"
                select name="card" {
                    @for (token, name) in CARDS { option value=(token) { (name) } }
                }
            }
            @if session.promotion_codes == Some(true) {
                label { "Promotion code" input name="promotion_code" autocomplete="off"; }
            }
            button type="submit" { (button) }
        }
    }
}

fn trial(days: Option<i64>, end: Option<i64>) -> Option<String> {
    match (days, end) {
        (Some(1), _) => Some("Free for 1 day, then as above.".to_owned()),
        (Some(days), _) => Some(format!("Free for {days} days, then as above.")),
        (None, Some(end)) => Some(format!("Free until {}, then as above.", day(end))),
        (None, None) => None,
    }
}
