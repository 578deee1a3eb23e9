//! `/c/authenticate/<intent>`: the page on which a customer authenticates a payment or refuses to.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::{at_account, html, respond, to};
use crate::engine::authentication;
use crate::error::Error;
use crate::params::Params;
use crate::params::form::Form;
use crate::sandbox::Sandbox;
use crate::store::account::Account;
use crate::store::context::Ctx;

pub(crate) async fn show(State(sandbox): State<Sandbox>, Path(intent): Path<String>) -> Response {
    at_intent(&sandbox, &intent, |ctx| page(ctx, &intent, None)).await
}

pub(crate) async fn decide(
    State(sandbox): State<Sandbox>,
    Path(intent): Path<String>,
    body: Bytes,
) -> Response {
    at_intent(&sandbox, &intent, |ctx| {
        let decided = agrees(&body).and_then(|agrees| authentication::decide(ctx, &intent, agrees));
        match decided {
            Ok(Some(target)) => to(&target),
            Ok(None) => page(ctx, &intent, None),
            Err(error) => page(ctx, &intent, Some(&error)),
        }
    })
    .await
}

/// The answer of the form; without one, yes.
fn agrees(body: &[u8]) -> Result<bool, Error> {
    let mut form = Form::default();
    form.read(body)?;
    let params = Params::new(&form);
    let outcome = params.one_of("outcome", &["complete", "fail"])?;
    params.finish()?;
    Ok(outcome != Some("fail"))
}

async fn at_intent(
    sandbox: &Sandbox,
    intent: &str,
    work: impl FnOnce(&mut Ctx<'_>) -> Response,
) -> Response {
    let holds = |account: &Account| authentication::request(account, intent).is_some();
    at_account(sandbox, holds, work).await
}

fn page(ctx: &mut Ctx<'_>, intent: &str, error: Option<&Error>) -> Response {
    let Some(request) = authentication::request(ctx.account, intent) else {
        return respond(StatusCode::NOT_FOUND, html::unknown());
    };
    let message = error.map(|error| error.message.as_str());
    let status = match error {
        Some(_) => StatusCode::CONFLICT,
        None => StatusCode::OK,
    };
    respond(status, html::authentication(&request, message))
}
