//! `/v1/test_helpers/test_clocks`

use serde_json::{Value, json};

use super::{MAX_WITHOUT_SUBSCRIPTIONS, NAME, TestClock};
use crate::engine;
use crate::engine::customers;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/test_helpers/test_clocks";

const OBJECT: &str = "test_helpers.test_clock";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "POST",
            "/v1/test_helpers/test_clocks",
            OBJECT,
            read_create,
            create,
        ),
        Route::new(
            "GET",
            "/v1/test_helpers/test_clocks",
            "list:test_helpers.test_clock",
            read_list,
            list,
        ),
        Route::without_params("GET", "/v1/test_helpers/test_clocks/:id", OBJECT, retrieve),
        Route::without_params("DELETE", "/v1/test_helpers/test_clocks/:id", OBJECT, delete),
        Route::new(
            "POST",
            "/v1/test_helpers/test_clocks/:id/advance",
            OBJECT,
            read_advance,
            advance,
        )
        .long(),
    ]
}

/// Reads the time and the name of a new clock.
fn read_create(_: &Ctx<'_>, params: &Params<'_>) -> Result<(i64, Option<String>)> {
    let frozen_time = params
        .timestamp("frozen_time")?
        .ok_or_else(|| params.missing("frozen_time"))?;
    let name = params.nullable("name")?.value().map(str::to_owned);
    Ok((frozen_time, name))
}

/// `POST /v1/test_helpers/test_clocks`
fn create(ctx: &mut Ctx<'_>, (frozen_time, name): (i64, Option<String>)) -> Result<Value> {
    let clock = TestClock {
        id: ctx.account.ids.next("clock", 24),
        created: ctx.now,
        frozen_time,
        name,
        customers: Vec::new(),
    };
    let answer = clock.to_json();
    ctx.account.clocks.insert(clock);
    ctx.event("test_helpers.test_clock.created", &answer, ctx.now);
    Ok(answer)
}

/// `GET /v1/test_helpers/test_clocks/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx, &ctx.arg(0))?.to_json())
}

fn read_list(_: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    Page::read(params)
}

/// `GET /v1/test_helpers/test_clocks`
fn list(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    let rows = page.of_table(&ctx.account.clocks, NAME, |_| true)?;
    Ok(rows.to_json(URL, TestClock::to_json))
}

/// Reads the time to which a clock is advanced.
fn read_advance(_: &Ctx<'_>, params: &Params<'_>) -> Result<i64> {
    params
        .timestamp("frozen_time")?
        .ok_or_else(|| params.missing("frozen_time"))
}

/// `POST /v1/test_helpers/test_clocks/:id/advance`
///
/// Everything that is due happens within this call. Like Stripe's, the answer still says `advancing`; the next read of
/// the clock says `ready`.
fn advance(ctx: &mut Ctx<'_>, to: i64) -> Result<Value> {
    advance_to(ctx, &ctx.arg(0), to)
}

/// Advances a clock. Refuses more than Stripe allows at a time.
pub(crate) fn advance_to(ctx: &mut Ctx<'_>, id: &str, to: i64) -> Result<Value> {
    let clock = find(ctx, id)?;
    let (id, from) = (clock.id.clone(), clock.frozen_time);
    if to <= from {
        return Err(refused(
            "Test clocks can only be advanced into the future: `frozen_time` must be after the clock's current time.",
        ));
    }
    match engine::two_intervals(ctx, &id, from) {
        Some(farthest) if to > farthest => {
            return Err(refused(
                "You can only advance a test clock by up to two intervals of the shortest subscription on it at a time.",
            ));
        }
        None if to - from > MAX_WITHOUT_SUBSCRIPTIONS => {
            return Err(refused(
                "You can only advance a test clock without subscriptions by up to two years at a time.",
            ));
        }
        _ => {}
    }
    let settings = ctx.settings.without_request();
    let settings = std::mem::replace(&mut ctx.settings, settings);
    engine::run_until(ctx, Some(&id), to);
    ctx.settings = settings;
    let clock = ctx.account.clocks.get_mut(&id);
    let clock = clock.ok_or_else(|| Error::not_found(NAME, &id))?;
    clock.frozen_time = to;
    let ready = clock.to_json();
    let mut advancing = ready.clone();
    advancing["status"] = json!("advancing");
    ctx.event("test_helpers.test_clock.advancing", &advancing, ctx.now);
    ctx.event("test_helpers.test_clock.ready", &ready, ctx.now);
    Ok(advancing)
}

/// `DELETE /v1/test_helpers/test_clocks/:id`
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let before = find(ctx, &id)?.to_json();
    let clock = ctx.account.clocks.remove(&id);
    for customer in clock.map(|clock| clock.customers).unwrap_or_default() {
        customers::customer_erased(ctx.account, &customer);
        customers::erase(ctx.account, &customer);
    }
    ctx.event("test_helpers.test_clock.deleted", &before, ctx.now);
    Ok(json!({"id": id, "object": "test_helpers.test_clock", "deleted": true}))
}

fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Result<&'a TestClock> {
    let clock = ctx.account.clocks.get(id);
    clock.ok_or_else(|| Error::not_found(NAME, id))
}

fn refused(message: &str) -> Error {
    Error::invalid(message).param("frozen_time")
}
