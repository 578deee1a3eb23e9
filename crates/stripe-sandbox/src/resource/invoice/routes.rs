//! `/v1/invoices`

use serde_json::{Value, json};

use super::{Invoice, InvoiceLine, preview_input, view};
use crate::engine::{copy, preview};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::subscription::routes::COLLECTION_METHODS;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::Row;

const URL: &str = "/v1/invoices";
const WHAT: &str = "invoice";
impl Row for InvoiceLine {
    fn id(&self) -> &Id {
        &self.id
    }
}

/// `GET /v1/invoices`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let holder = match params.string("customer")? {
        Some(id) => Some(customer::named(ctx, id, "customer")?),
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

/// `GET /v1/invoices/upcoming`
pub(crate) fn upcoming(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    previewed(ctx, params, |ctx, invoice| {
        Ok(view::invoice(ctx.account, invoice))
    })
}

/// `GET /v1/invoices/upcoming/lines`
pub(crate) fn upcoming_lines(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    previewed(ctx, params, |ctx, invoice| {
        let url = format!("{URL}/upcoming/lines?customer={}", invoice.customer);
        page_of_lines(ctx, &page, invoice, &url)
    })
}

/// The lines of an invoice in their own order, which is not by age.
fn page_of_lines(ctx: &Ctx<'_>, page: &Page, invoice: &Invoice, url: &str) -> Result<Value> {
    let rows: Vec<&InvoiceLine> = invoice.lines.iter().collect();
    let cut = page.of_rows(&rows, "line item")?;
    let mut list = cut.to_json(url, |line| view::line(ctx.account, invoice, line));
    if let Some(fields) = list.as_object_mut() {
        fields.insert("total_count".into(), json!(rows.len()));
    }
    Ok(list)
}

/// Shows the upcoming invoice that a request asks for: the subscription's or the customer's next one, or what would
/// come of a change.
fn previewed(
    ctx: &mut Ctx<'_>,
    params: &Params<'_>,
    show: impl FnOnce(&Ctx<'_>, &Invoice) -> Result<Value>,
) -> Result<Value> {
    let (customer, subscription) = whose(ctx, params)?;
    let changes = preview_input::changes(params)?;
    let show = |ctx: &Ctx<'_>, invoice: Option<Invoice>| {
        params.finish()?;
        let invoice = invoice.ok_or_else(|| {
            Error::invalid(format!("No upcoming invoices for customer: {customer}"))
                .code("invoice_upcoming_none")
                .status(404)
        })?;
        show(ctx, &invoice)
    };
    if changes {
        return copy::on_copy(ctx, &customer, |ctx| {
            let subscription = subscription.as_ref();
            let invoice = preview_input::after_change(ctx, params, &customer, subscription)?;
            show(ctx, invoice)
        });
    }
    let found = subscription.and_then(|id| ctx.account.billing.subscriptions.get(&id));
    let invoice = match found {
        Some(subscription) => preview::of_subscription(ctx.account, subscription),
        None => preview::of_customer(ctx.account, &customer),
    };
    show(ctx, invoice)
}

/// The customer whose invoice it is, and the subscription that it is for, if one is named.
fn whose(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Id, Option<Id>)> {
    let holder = match params.string("customer")? {
        Some(id) => Some(customer::named(ctx, id, "customer")?),
        None => None,
    };
    if let Some(id) = params.string("subscription")? {
        let found = ctx.account.billing.subscriptions.get(id);
        let theirs = found.filter(|found| holder.is_none_or(|holder| holder.id == found.customer));
        let found = theirs.ok_or_else(|| Error::no_such("subscription", id, "subscription"))?;
        return Ok((found.customer.clone(), Some(found.id.clone())));
    }
    let scheduled = || {
        let id = params.string("schedule").ok()??;
        let schedule = ctx.account.billing.schedules.get(id)?;
        Some((schedule.customer.clone(), None))
    };
    let named = holder.map(|holder| (holder.id.clone(), None));
    named.or_else(scheduled).ok_or_else(|| {
        Error::invalid("You must either provide a `customer` or a `subscription` to the upcoming invoice endpoint.")
    })
}

pub(crate) fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Invoice> {
    let id = ctx.arg(0);
    let invoice = ctx.account.billing.invoices.get(&id);
    invoice.ok_or_else(|| Error::not_found(WHAT, &id))
}
