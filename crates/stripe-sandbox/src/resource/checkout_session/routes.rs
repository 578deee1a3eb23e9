//! `/v1/checkout/sessions`. The page behind a session's `url` is in [`pages`](crate::pages).

use serde_json::Value;

use super::basket::{LineItem, basket, in_trial, line_item};
use super::{CheckoutSession, Mode, NAME, Status, URL, input, view};
use crate::engine::{sessions, setup};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::metadata::Metadata;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::due_queue::Due;
use crate::store::page::Page;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "POST",
            "/v1/checkout/sessions",
            "checkout.session",
            input::read,
            create,
        ),
        Route::new(
            "GET",
            "/v1/checkout/sessions",
            "list:checkout.session",
            read_list,
            list,
        ),
        Route::without_params(
            "GET",
            "/v1/checkout/sessions/:id",
            "checkout.session",
            retrieve,
        ),
        Route::new(
            "GET",
            "/v1/checkout/sessions/:id/line_items",
            "list:item",
            read_line_items,
            line_items,
        ),
        Route::without_params(
            "POST",
            "/v1/checkout/sessions/:id/expire",
            "checkout.session",
            expire,
        ),
    ]
}

/// `POST /v1/checkout/sessions`
fn create(ctx: &mut Ctx<'_>, given: (CheckoutSession, Option<Metadata>)) -> Result<Value> {
    let (mut session, intent) = given;
    session.id = ctx.account.ids.next("cs_test", 58);
    session.url = format!("{}/c/pay/{}", ctx.settings.public_url, session.id);
    if let Some(metadata) = intent {
        let now = session
            .customer
            .as_ref()
            .map_or(ctx.now, |customer| ctx.time_of(customer));
        let intent = setup::insert(ctx, session.customer.clone(), metadata, now);
        session.mode = Mode::Setup { intent };
    }
    let expires_at = session.expires_at;
    let answer = view::to_json(&session);
    let billing = &mut ctx.account.billing;
    let position = billing.sessions.insert(session);
    billing
        .due_queue
        .add(None, expires_at, Due::Session(position));
    Ok(answer)
}

/// `GET /v1/checkout/sessions/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(view::to_json(find(ctx)?))
}

/// The filter of a list.
struct Filter {
    page: Page,
    customer: Option<String>,
    subscription: Option<String>,
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let filter = Filter {
        page: Page::read(params)?,
        customer: params.string("customer")?.map(str::to_owned),
        subscription: params.string("subscription")?.map(str::to_owned),
    };
    params.unmodelled(&["customer_details", "payment_intent", "payment_link"])?;
    Ok(filter)
}

/// `GET /v1/checkout/sessions`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let (customer, subscription) = (filter.customer.as_deref(), filter.subscription.as_deref());
    let sessions = &ctx.account.billing.sessions;
    let rows = filter.page.of_table(sessions, NAME, |session| {
        customer.is_none_or(|id| session.customer.as_deref() == Some(id))
            && subscription.is_none_or(|id| session.subscription.as_deref() == Some(id))
    })?;
    Ok(rows.to_json(URL, view::to_json))
}

fn read_line_items(_: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    Page::read(params)
}

/// `GET /v1/checkout/sessions/:id/line_items`
fn line_items(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    let session = find(ctx)?;
    let items = basket(ctx.account, session);
    let rows: Vec<&LineItem> = items.iter().collect();
    let url = format!("{URL}/{}/line_items", session.id);
    let trial = in_trial(session);
    Ok(page
        .of_rows(&rows, "line item")?
        .to_json(&url, |item| line_item(ctx.account, item, trial)))
}

/// `POST /v1/checkout/sessions/:id/expire`
fn expire(ctx: &mut Ctx<'_>) -> Result<Value> {
    let session = find(ctx)?;
    if session.status != Status::Open {
        return Err(Error::invalid(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of {}.",
            session.status.as_str()
        )));
    }
    let position = ctx.account.billing.sessions.position(&ctx.arg(0));
    let position = position.expect("found above");
    sessions::expire(ctx, position, ctx.now);
    Ok(view::to_json(find(ctx)?))
}

fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a CheckoutSession> {
    let id = ctx.arg(0);
    let session = ctx.account.billing.sessions.get(&id);
    session.ok_or_else(|| Error::not_found(NAME, &id))
}
