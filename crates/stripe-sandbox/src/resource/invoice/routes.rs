//! All endpoints of `/v1/invoices`, and the handlers of those that only read.

use serde_json::Value;

use super::drafts::{self, find};
use super::view::{self, page_of_lines};
use super::{Invoice, NAME, URL, actions, create_preview, preview};
use crate::error::Result;
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::route::Route;
use crate::resource::subscription::COLLECTION_METHODS;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::version::ApiVersion;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET", "/v1/invoices", "list:invoice", read_list, list),
        Route::new(
            "POST",
            "/v1/invoices",
            "invoice",
            drafts::read_create,
            drafts::create,
        ),
        Route::on_copy(
            "GET",
            "/v1/invoices/upcoming",
            "invoice",
            preview::read_upcoming,
            preview::upcoming,
        )
        .until(ApiVersion::V2022_11_15),
        Route::on_copy(
            "GET",
            "/v1/invoices/upcoming/lines",
            "list:line_item",
            preview::read_upcoming_lines,
            preview::upcoming_lines,
        )
        .until(ApiVersion::V2022_11_15),
        Route::on_copy(
            "POST",
            "/v1/invoices/create_preview",
            "invoice",
            create_preview::read,
            create_preview::create,
        )
        .since(ApiVersion::V2026_10_28),
        Route::without_params("GET", "/v1/invoices/:id", "invoice", retrieve),
        Route::new(
            "POST",
            "/v1/invoices/:id",
            "invoice",
            drafts::read_update,
            drafts::update,
        ),
        Route::without_params("DELETE", "/v1/invoices/:id", "invoice", drafts::delete),
        Route::new(
            "POST",
            "/v1/invoices/:id/finalize",
            "invoice",
            drafts::read_finalize,
            drafts::finalize,
        ),
        Route::new(
            "POST",
            "/v1/invoices/:id/pay",
            "invoice",
            actions::read_pay,
            actions::pay,
        ),
        Route::without_params("POST", "/v1/invoices/:id/void", "invoice", actions::void),
        Route::without_params(
            "POST",
            "/v1/invoices/:id/mark_uncollectible",
            "invoice",
            actions::mark_uncollectible,
        ),
        Route::new(
            "GET",
            "/v1/invoices/:id/lines",
            "list:line_item",
            read_lines,
            lines,
        ),
    ]
}

/// The filter of a list.
struct Filter {
    page: Page,
    customer: Option<Id>,
    subscription: Option<String>,
    status: Option<&'static str>,
    created: Created,
    only_sent: bool,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    let filter = Filter {
        page: Page::read(params)?,
        customer: customer::input::customer_param(ctx, params)?.map(|customer| customer.id.clone()),
        subscription: params.string("subscription")?.map(str::to_owned),
        status: params.one_of(
            "status",
            &["draft", "open", "paid", "uncollectible", "void"],
        )?,
        created: Created::read(params)?,
        only_sent: params.one_of("collection_method", COLLECTION_METHODS)? == Some("send_invoice"),
    };
    params.unmodelled(&["due_date"])?;
    Ok(filter)
}

impl Filter {
    fn accepts(&self, invoice: &Invoice) -> bool {
        let subscription = self.subscription.as_deref();
        !self.only_sent
            && (self.customer.is_some() || subscription.is_some() || invoice.clock.is_none())
            && subscription.is_none_or(|id| invoice.subscription.as_deref() == Some(id))
            && (self.status).is_none_or(|status| invoice.status.as_str() == status)
            && self.created.accepts(invoice.created)
    }
}

/// `GET /v1/invoices`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let table = &ctx.account.billing.invoices;
    let keep = |invoice: &Invoice| filter.accepts(invoice);
    let rows = match &filter.customer {
        Some(id) => {
            let customer = customer::input::named(ctx, id, "customer")?;
            filter
                .page
                .of_positions(table, &customer.invoices, NAME, keep)?
        }
        None => filter.page.of_table(table, NAME, keep)?,
    };
    Ok(rows.to_json(URL, |invoice| view::invoice(ctx.account, invoice)))
}

/// `GET /v1/invoices/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    if let Some(preview) = create_preview::retrieve(ctx, &ctx.arg(0)) {
        return Ok(preview);
    }
    Ok(view::invoice(ctx.account, find(ctx)?))
}

fn read_lines(_: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    Page::read(params)
}

/// `GET /v1/invoices/:id/lines`
fn lines(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    if let Some(lines) = create_preview::page_of_lines(ctx, &page, &ctx.arg(0)) {
        return lines;
    }
    let invoice = find(ctx)?;
    page_of_lines(ctx, &page, invoice, &format!("{URL}/{}/lines", invoice.id))
}
