//! `/v1/customers`, and their search.

use serde_json::{Value, json};

use super::input::{self, NewCustomer, find};
use super::search::base36;
use super::search_query::{Query, parse};
use super::{Customer, NAME};
use crate::engine::balance;
use crate::engine::customers::{self, erase_links, schedule_reindex};
use crate::engine::discounts::record_change;
use crate::engine::payment_methods::attach_to;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::params::filter::Created;
use crate::resource::customer_balance::Cause;
use crate::resource::discount::{AppliedCoupon, Discount};
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::page::Page;

const URL: &str = "/v1/customers";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST", "/v1/customers", "customer", input::read_new, create),
        Route::new("GET", "/v1/customers", "list:customer", read_list, list),
        Route::new(
            "GET",
            "/v1/customers/search",
            "list:customer",
            read_search,
            search,
        ),
        Route::without_params("GET", "/v1/customers/:id", "customer", retrieve),
        Route::new("POST", "/v1/customers/:id", "customer", read_update, update),
        Route::without_params("DELETE", "/v1/customers/:id", "customer", delete),
    ]
}

/// `POST /v1/customers`
fn create(ctx: &mut Ctx<'_>, given: NewCustomer) -> Result<Value> {
    let mut customer = given.customer;
    let id = ctx.account.ids.next("cus", 14);
    let now = customer.created;
    customer.id = id.clone();
    if let Some(clock) = &customer.test_clock
        && let Some(clock) = ctx.account.clocks.get_mut(clock)
    {
        clock.customers.push(id.clone());
    }
    let position = ctx.account.customers.table.insert(customer);
    let method = given
        .payment_method
        .map(|method| attach_to(ctx, method, &id));
    let discount = given
        .coupon
        .map(|coupon| Discount::new(ctx, coupon, id.clone(), None, now));
    if let Some(customer) = ctx.account.customers.get_mut(&id) {
        if given.becomes_default {
            customer.default_payment_method = method;
        }
        if discount.is_some() {
            customer.rare_mut().discount.clone_from(&discount);
        }
    }
    schedule_reindex(ctx, position);
    let balance = find(ctx, &id)?.balance;
    balance::record(ctx, &id, balance, Cause::Initial, now);
    let answer = find(ctx, &id)?.to_json(now);
    ctx.event("customer.created", &answer, now);
    record_change(ctx, None, discount.as_ref(), now);
    Ok(answer)
}

/// `GET /v1/customers/:id`. A deleted customer is shown as deleted.
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = ctx.arg(0);
    let customer = ctx.account.customers.get_even_deleted(&id);
    let customer = customer.ok_or_else(|| Error::not_found(NAME, &id))?;
    Ok(customer.to_json(ctx.time_of(&id)))
}

/// Reads the updated customer and the coupon to apply.
fn read_update(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
) -> Result<(Customer, FieldUpdate<AppliedCoupon>)> {
    let old = find(ctx, &ctx.arg(0))?;
    input::read_change(ctx, old.clone(), params)
}

/// `POST /v1/customers/:id`. Without parameters it changes nothing.
fn update(
    ctx: &mut Ctx<'_>,
    (mut customer, coupon): (Customer, FieldUpdate<AppliedCoupon>),
) -> Result<Value> {
    let id = customer.id.clone();
    let now = ctx.time_of(&id);
    let old = find(ctx, &id)?;
    let (before, balance) = (old.to_json(now), old.balance);
    if !matches!(coupon, FieldUpdate::Keep) {
        let discount = coupon.map(|coupon| Discount::new(ctx, coupon, id.clone(), None, now));
        let before = customer.discount().cloned();
        discount.apply(&mut customer.rare_mut().discount);
        record_change(ctx, before.as_ref(), customer.discount(), now);
    }
    let after = customer.to_json(now);
    let position = ctx.account.customers.table.position(&id);
    if let Some(row) = ctx.account.customers.get_mut(&id) {
        *row = customer;
    }
    let added = find(ctx, &id)?.balance - balance;
    balance::record(ctx, &id, added, Cause::Adjustment, now);
    if after != before {
        if let Some(position) = position {
            schedule_reindex(ctx, position);
        }
        ctx.update_event("customer.updated", &before, &after, now);
    }
    Ok(after)
}

/// `DELETE /v1/customers/:id`: cancels the customer's subscriptions at once.
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
    let id = find(ctx, &ctx.arg(0))?.id.clone();
    customers::customer_deleted(ctx, &id);
    let now = ctx.time_of(&id);
    let before = find(ctx, &id)?.to_json(now);
    erase_links(ctx.account, &id);
    let position = ctx.account.customers.table.position(&id);
    if let Some(customer) = ctx.account.customers.get_mut(&id) {
        customer.deleted = true;
        customer.rare = None;
    }
    if let Some(position) = position {
        schedule_reindex(ctx, position);
    }
    ctx.event("customer.deleted", &before, now);
    Ok(json!({"id": &*id, "object": "customer", "deleted": true}))
}

/// The filter of a list.
struct Filter {
    page: Page,
    created: Created,
    email: Option<String>,
    clock: Option<String>,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let filter = Filter {
        page: Page::read(params)?,
        created: Created::read(params)?,
        email: params.string("email")?.map(str::to_owned),
        clock: params.string("test_clock")?.map(str::to_owned),
    };
    if let Some(clock) = &filter.clock
        && !ctx.account.clocks.contains(clock)
    {
        return Err(Error::no_such("test clock", clock, "test_clock"));
    }
    Ok(filter)
}

/// `GET /v1/customers`: includes those on a test clock only if the clock is named.
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let (email, clock) = (filter.email.as_deref(), filter.clock.as_deref());
    let table = &ctx.account.customers.table;
    let rows = filter.page.of_table(table, NAME, |customer| {
        !customer.deleted
            && customer.test_clock.as_deref() == clock
            && filter.created.accepts(customer.created)
            && email.is_none_or(|email| customer.email.as_deref() == Some(email))
    })?;
    Ok(rows.to_json(URL, |customer| {
        customer.to_json(ctx.account.time_on(customer.test_clock.as_ref(), ctx.now))
    }))
}

/// The query and the page of a search.
struct Search {
    query: Query,
    limit: usize,
    /// The last position of the previous page.
    before: Option<u32>,
}

fn read_search(_: &Ctx<'_>, params: &Params<'_>) -> Result<Search> {
    let query = parse(params.required("query")?)?;
    let limit = match params.integer("limit")?.unwrap_or(10) {
        limit @ 1..=100 => usize::try_from(limit).expect("at most 100"),
        limit => {
            return Err(Error::malformed(
                "limit",
                format!("Invalid integer: {limit}; the limit is 1 to 100."),
            )
            .code("parameter_invalid_integer"));
        }
    };
    let before = match params.string("page")? {
        Some(page) => Some(u32::from_str_radix(page, 36).map_err(|_| {
            Error::malformed(
                "page",
                format!("Invalid page: {page}. Use the `next_page` of the answer before."),
            )
        })?),
        None => None,
    };
    Ok(Search {
        query,
        limit,
        before,
    })
}

/// `GET /v1/customers/search`: newest first.
fn search(ctx: &mut Ctx<'_>, search: Search) -> Result<Value> {
    let customers = &mut ctx.account.customers;
    customers.update_index(ctx.now_millis);
    let found = customers.index.find(&search.query);
    let mut positions = found
        .iter()
        .rev()
        .filter(|at| search.before.is_none_or(|before| **at < before));
    let page: Vec<u32> = positions.by_ref().take(search.limit).copied().collect();
    let has_more = positions.next().is_some();
    let next_page = page.last().filter(|_| has_more).map(|last| base36(*last));
    let customers = page
        .iter()
        .filter_map(|at| ctx.account.customers.table().at(*at));
    let data: Vec<Value> = customers
        .map(|customer| {
            customer.to_json(ctx.account.time_on(customer.test_clock.as_ref(), ctx.now))
        })
        .collect();
    Ok(json!({
        "object": "search_result",
        "data": data,
        "has_more": has_more,
        "next_page": next_page,
        "url": "/v1/customers/search",
    }))
}
