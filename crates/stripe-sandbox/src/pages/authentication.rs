//! `/c/authenticate/<intent>`: the page on which a customer authenticates a payment or refuses to.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use maud::html;
use rust_decimal::Decimal;

use super::{layout, redirect, unknown, with_account};
use crate::engine::authentication;
use crate::error::Error;
use crate::money::format::money;
use crate::params::Params;
use crate::params::form::Form;
use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::context::Ctx;

pub(crate) async fn show(
    State(sandbox): State<Sandbox>,
    Path(intent): Path<String>,
    headers: HeaderMap,
) -> Response {
    with_intent(&sandbox, &headers, &intent, |ctx| page(ctx, &intent, None)).await
}

pub(crate) async fn decide(
    State(sandbox): State<Sandbox>,
    Path(intent): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    with_intent(&sandbox, &headers, &intent, |ctx| {
        let decided = agrees(&body).and_then(|agrees| authentication::decide(ctx, &intent, agrees));
        match decided {
            Ok(Some(target)) => redirect(&target),
            Ok(None) => page(ctx, &intent, None),
            Err(error) => page(ctx, &intent, Some(&error)),
        }
    })
    .await
}

/// Whether the customer agrees. A form without an answer means yes.
fn agrees(body: &[u8]) -> Result<bool, Error> {
    let mut form = Form::default();
    form.read(body)?;
    let params = Params::new(&form);
    let outcome = params.one_of("outcome", &["complete", "fail"])?;
    params.finish()?;
    Ok(outcome != Some("fail"))
}

async fn with_intent(
    sandbox: &Sandbox,
    headers: &HeaderMap,
    intent: &str,
    work: impl FnOnce(&mut Ctx<'_>) -> Response,
) -> Response {
    let holds = |account: &Account| authentication::request(account, intent).is_some();
    with_account(sandbox, headers, holds, work).await
}

fn page(ctx: &mut Ctx<'_>, intent: &str, error: Option<&Error>) -> Response {
    let Some(request) = authentication::request(ctx.account, intent) else {
        return unknown();
    };
    let status = match error {
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::OK,
    };
    let sum = request.sum.as_ref();
    let sum = sum.map(|(amount, currency)| money(Decimal::from(*amount), currency));
    let body = html! {
        h1 { "Your bank asks" }
        @if let Some(error) = error { p class="error" role="alert" { (error.message) } }
        @if request.is_pending {
            @match &sum {
                Some(sum) => p { "Do you want to pay " (sum) "?" },
                None => p { "May your card be charged for later payments?" },
            }
            form method="post" {
                div class="buttons" {
                    button name="outcome" value="complete" { "Yes, it is me" }
                    button name="outcome" value="fail" { "No" }
                }
            }
        } @else {
            p { "There is nothing to decide any more. You may close this page." }
        }
    };
    layout::page(status, "Authentication", &body)
}
