//! `/v1/invoices`, as far as it changes nothing, and the endpoints of all of it.

use serde_json::{Value, json};

use super::{Invoice, InvoiceLine, URL, WHAT, actions, drafts, preview, view};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::route::{Route, route};
use crate::resource::subscription::COLLECTION_METHODS;
use crate::store::context::Ctx;
use crate::store::page::Page;

pub(crate) const ROUTES: &[Route] = &[
    route("GET", "/v1/invoices", list, "list:invoice"),
    route("POST", "/v1/invoices", drafts::create, "invoice"),
    route("GET", "/v1/invoices/upcoming", preview::upcoming, "invoice"),
    route(
        "GET",
        "/v1/invoices/upcoming/lines",
        preview::upcoming_lines,
        "list:line_item",
    ),
    route("GET", "/v1/invoices/:id", retrieve, "invoice"),
    route("POST", "/v1/invoices/:id", drafts::update, "invoice"),
    route("DELETE", "/v1/invoices/:id", drafts::delete, "invoice"),
    route(
        "POST",
        "/v1/invoices/:id/finalize",
        drafts::finalize,
        "invoice",
    ),
    route("POST", "/v1/invoices/:id/pay", actions::pay, "invoice"),
    route("POST", "/v1/invoices/:id/void", actions::void, "invoice"),
    route(
        "POST",
        "/v1/invoices/:id/mark_uncollectible",
        actions::mark_uncollectible,
        "invoice",
    ),
    route("GET", "/v1/invoices/:id/lines", lines, "list:line_item"),
];

/// `GET /v1/invoices`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let holder = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?),
        None => None,
    };
    let subscription = params.string("subscription")?;
    let status = params.one_of(
        "status",
        &["draft", "open", "paid", "uncollectible", "void"],
    )?;
    let created = Created::read(params)?;
    let collection = params.one_of("collection_method", COLLECTION_METHODS)?;
    params.unmodelled(&["due_date"])?;
    params.finish()?;
    let keep = |invoice: &Invoice| {
        collection != Some("send_invoice")
            && (holder.is_some() || subscription.is_some() || invoice.clock.is_none())
            && subscription.is_none_or(|id| invoice.subscription.as_deref() == Some(id))
            && status.is_none_or(|status| invoice.status.as_str() == status)
            && created.accepts(invoice.created)
    };
    let table = &ctx.account.billing.invoices;
    let cut = match holder {
        Some(holder) => page.of_positions(table, &holder.invoices, WHAT, keep)?,
        None => page.of_table(table, WHAT, keep)?,
    };
    Ok(cut.to_json(URL, |invoice| view::invoice(ctx.account, invoice)))
}

/// `GET /v1/invoices/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(view::invoice(ctx.account, find(ctx)?))
}

/// `GET /v1/invoices/:id/lines`
pub(crate) fn lines(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    params.finish()?;
    let invoice = find(ctx)?;
    page_of_lines(ctx, &page, invoice, &format!("{URL}/{}/lines", invoice.id))
}

/// The lines of an invoice in their own order, which is not by age.
pub(crate) fn page_of_lines(
    ctx: &Ctx<'_>,
    page: &Page,
    invoice: &Invoice,
    url: &str,
) -> Result<Value> {
    let rows: Vec<&InvoiceLine> = invoice.lines.iter().collect();
    let cut = page.of_rows(&rows, "line item")?;
    let mut list = cut.to_json(url, |line| view::line(ctx.account, invoice, line));
    if let Some(fields) = list.as_object_mut() {
        fields.insert("total_count".into(), json!(rows.len()));
    }
    Ok(list)
}

pub(crate) fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Invoice> {
    let id = ctx.arg(0);
    let invoice = ctx.account.billing.invoices.get(&id);
    invoice.ok_or_else(|| Error::not_found(WHAT, &id))
}
