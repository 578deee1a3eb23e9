//! `/c/portal/<session>`: the customer portal.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::{Markup, html};

use super::{item, layout, redirect, unknown, with_account};
use crate::engine::catalog;
use crate::error::Error;
use crate::money::period::day;
use crate::params::Params;
use crate::params::form::Form;
use crate::resource::portal_session::PortalSession;
use crate::resource::portal_session::changes::{self, PortalChange};
use crate::resource::subscription::{Status, Subscription};
use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::context::Ctx;

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

pub(crate) async fn change(
    State(sandbox): State<Sandbox>,
    Path(session): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    with_session(&sandbox, &headers, &session, |ctx| {
        let changed = read_change(&body).and_then(|change| changes::apply(ctx, &session, &change));
        match changed {
            Ok(()) => redirect(&path(&session)),
            Err(error) => page(ctx, &session, Some(&error)),
        }
    })
    .await
}

fn path(session: &str) -> String {
    format!("/c/portal/{session}")
}

fn read_change(body: &[u8]) -> Result<PortalChange, Error> {
    let mut form = Form::default();
    form.read(body)?;
    PortalChange::read(&Params::new(&form))
}

/// Runs `work` in the account of the session.
async fn with_session(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    session: &str,
    work: impl FnOnce(&mut Ctx<'_>) -> Response,
) -> Response {
    let holds = |account: &Account| account.billing.portal_sessions.contains(session);
    with_account(sandbox, headers, holds, work).await
}

/// The current page of the session. `error` is the reason why a change was refused.
fn page(ctx: &mut Ctx<'_>, session: &str, error: Option<&Error>) -> Response {
    let now = ctx.now;
    let Some(session) = ctx.account.billing.portal_sessions.get_mut(session) else {
        return unknown();
    };
    session.extend(now);
    let session = session.clone();
    let status = match error {
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::OK,
    };
    let seller = ctx.account.profile.business_name.as_deref();
    let body = html! {
        p class="note" { (seller.unwrap_or("Sandbox")) }
        @if let Some(error) = error { p class="error" role="alert" { (error.message) } }
        @if session.is_open(now) {
            (open(ctx.account, &session))
        } @else {
            h1 { "This page has expired" }
            p { "Go back to where you came from and open it again." }
        }
        @if let Some(url) = &session.return_url { p { a href=(url) rel="noreferrer" { "Back" } } }
    };
    layout::page(status, "Subscriptions", &body)
}

/// The customer and its subscriptions, newest first.
fn open(account: &Account, session: &PortalSession) -> Markup {
    let customer = account.customers.get(&session.customer);
    let email = customer.and_then(|customer| customer.email.as_deref());
    let positions = account.subscriptions_of(&session.customer);
    let all = positions.iter().rev().map(|at| account.subscription(*at));
    let live: Vec<&Subscription> = all
        .filter(|subscription| !subscription.status.is_ended())
        .collect();
    html! {
        h1 { "Your subscriptions" }
        @if let Some(email) = email { p class="note" { "For " (email) } }
        @if live.is_empty() { p { "There are none." } }
        @for subscription in live { section { (subscription_section(account, session, subscription)) } }
    }
}

fn subscription_section(
    account: &Account,
    session: &PortalSession,
    subscription: &Subscription,
) -> Markup {
    let mixed = subscription.is_mixed();
    html! {
        @for item in &subscription.items {
            (item::details(&catalog::price_terms(account, &item.price), item.quantity))
            @if mixed { (period(subscription.period_of(item).1)) }
        }
        p { strong { (state(subscription)) } }
        @if !mixed { (period(subscription.first_end())) }
        @if let Some(end) = subscription.ends_at() {
            p { "Ends on " strong { (day(end)) } "." }
        }
        @if subscription.schedule.is_some() {
            p class="note" { "Later changes are scheduled, so it cannot be canceled here." }
        }
        @if changes::is_changeable(subscription) { (button(session, subscription)) }
    }
}

fn period(end: i64) -> Markup {
    html! { p { "Current period ends on " (day(end)) "." } }
}

fn state(subscription: &Subscription) -> &'static str {
    match subscription.status {
        Status::Trialing => "Free trial",
        Status::Active => "Active",
        Status::PastDue => "A payment is overdue",
        Status::Incomplete => "Waits for the first payment",
        Status::Paused => "Waits for a payment method",
        Status::Canceled | Status::IncompleteExpired => "Ended",
    }
}

fn button(session: &PortalSession, subscription: &Subscription) -> Markup {
    let (name, text) = match subscription.ends_at() {
        None => ("cancel", "Cancel subscription"),
        Some(_) => ("renew", "Don't cancel"),
    };
    html! {
        form method="post" action=(path(&session.id)) {
            button type="submit" name=(name) value=(subscription.id) { (text) }
        }
    }
}
