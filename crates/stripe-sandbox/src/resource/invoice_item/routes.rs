//! `/v1/invoiceitems`

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::InvoiceItem;
use super::input::{UNMODELLED, period, quantity, read_cost, read_new};
use crate::engine::{collection, draft_lines, pending_items};
use crate::error::{Error, Result};
use crate::money::{round_half_up, times};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;
use crate::params::filter::Created;
use crate::resource::customer;
use crate::resource::invoice::Status;
use crate::resource::route::{Route, route};
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/invoiceitems";

const WHAT: &str = "invoiceitem";

pub(crate) const ROUTES: &[Route] = &[
    route("POST", "/v1/invoiceitems", create, "invoiceitem"),
    route("GET", "/v1/invoiceitems", list, "list:invoiceitem"),
    route("GET", "/v1/invoiceitems/:id", retrieve, "invoiceitem"),
    route("POST", "/v1/invoiceitems/:id", update, "invoiceitem"),
    route("DELETE", "/v1/invoiceitems/:id", delete, "invoiceitem"),
];

/// `POST /v1/invoiceitems`: for the next invoice, or for a draft that is named.
pub(crate) fn create(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let holder = customer::input::named(ctx, params.required("customer")?, "customer")?;
    let mut item = read_new(ctx, params, holder)?;
    if let Some(id) = params.string("invoice")? {
        let invoice = ctx.account.billing.invoices.get(id);
        let invoice = invoice.ok_or_else(|| Error::no_such("invoice", id, "invoice"))?;
        draft_lines::check_room(invoice, &item, "invoice")?;
        item.invoice = Some(invoice.id.clone());
    }
    params.finish()?;
    let (draft, at) = (item.invoice.clone(), item.created);
    let id = pending_items::add(ctx, item);
    on_draft(ctx, draft.as_ref(), at, |ctx, draft| {
        let item = get(ctx, &id).clone();
        draft_lines::put(ctx.account, draft, &item);
    });
    Ok(get(ctx, &id).to_json(ctx.account))
}

/// Changes the draft that an item is on, if it is on one.
fn on_draft(
    ctx: &mut Ctx<'_>,
    draft: Option<&Id>,
    at: i64,
    change: impl FnOnce(&mut Ctx<'_>, &Id),
) {
    if let Some(draft) = draft {
        collection::act(ctx, draft, at, |ctx| change(ctx, draft));
    }
}

fn get<'a>(ctx: &'a Ctx<'_>, id: &Id) -> &'a InvoiceItem {
    let item = ctx.account.billing.invoice_items.table.get(id);
    item.expect("the caller has found it")
}

/// `GET /v1/invoiceitems/:id`
pub(crate) fn retrieve(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    Ok(find(ctx)?.to_json(ctx.account))
}

/// `GET /v1/invoiceitems`
pub(crate) fn list(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let page = Page::read(params)?;
    let holder = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?),
        None => None,
    };
    let invoice = params.string("invoice")?;
    let pending = params.boolean("pending")?;
    let created = Created::read(params)?;
    params.finish()?;
    let keep = |item: &InvoiceItem| {
        let named = match holder {
            Some(holder) => item.customer == holder.id,
            None => invoice.is_some() || item.clock.is_none(),
        };
        named
            && invoice.is_none_or(|id| item.invoice.as_deref() == Some(id))
            && pending.is_none_or(|pending| item.invoice.is_none() == pending)
            && created.accepts(item.created)
    };
    let table = &ctx.account.billing.invoice_items.table;
    let cut = page.of_table(table, WHAT, keep)?;
    Ok(cut.to_json(URL, |item| item.to_json(ctx.account)))
}

/// `POST /v1/invoiceitems/:id`
pub(crate) fn update(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    let item = find(ctx)?;
    check_editable(ctx, item)?;
    let mut changed = item.clone();
    let now = ctx.time_of(&item.customer);
    let only_quantity = ["amount", "price", "unit_amount", "unit_amount_decimal"]
        .iter()
        .all(|key| !params.has(key));
    if only_quantity {
        if let Some(quantity) = quantity(params)? {
            changed.line.quantity = quantity;
            changed.line.amount = round_half_up(times(Decimal::from(quantity), changed.line.rate));
        }
    } else if let Some(cost) = read_cost(ctx, params)? {
        if cost
            .currency
            .is_some_and(|currency| currency != item.currency)
        {
            return Err(
                Error::invalid("The price must be in the currency of the invoice item.")
                    .param("price"),
            );
        }
        changed.line.quantity = cost.quantity;
        changed.line.rate = cost.rate;
        changed.line.amount = cost.amount();
        changed.price = cost.price;
    }
    match params.nullable("description")? {
        FieldUpdate::Keep => {}
        FieldUpdate::Unset => changed.line.description.clear(),
        FieldUpdate::Set(text) => text.clone_into(&mut changed.line.description),
    }
    if let Some(discountable) = params.boolean("discountable")? {
        changed.line.discountable = discountable;
    }
    if let Some(period) = period(params)? {
        changed.line.period = period;
    }
    changed.metadata = params.metadata()?.apply(&item.metadata)?;
    params.unmodelled(UNMODELLED)?;
    params.finish()?;
    let before = item.to_json(ctx.account);
    let after = changed.to_json(ctx.account);
    let items = &mut ctx.account.billing.invoice_items.table;
    if let Some(item) = items.get_mut(&changed.id.clone()) {
        item.clone_from(&changed);
    }
    if after != before {
        ctx.update_event("invoiceitem.updated", &before, &after, now);
    }
    on_draft(ctx, changed.invoice.as_ref(), now, |ctx, draft| {
        draft_lines::put(ctx.account, draft, &changed);
    });
    Ok(after)
}

/// `DELETE /v1/invoiceitems/:id`
pub(crate) fn delete(ctx: &mut Ctx<'_>, params: &Params<'_>) -> Result<Value> {
    params.finish()?;
    let item = find(ctx)?;
    check_editable(ctx, item)?;
    let (id, at) = (item.id.clone(), ctx.time_of(&item.customer));
    let draft = item.invoice.clone();
    on_draft(ctx, draft.as_ref(), at, |ctx, draft| {
        draft_lines::remove(ctx.account, draft, &id);
    });
    pending_items::remove(ctx, &id, at);
    Ok(json!({"id": &*id, "object": "invoiceitem", "deleted": true}))
}

/// Whether an item waits, or is on a draft.
fn check_editable(ctx: &Ctx<'_>, item: &InvoiceItem) -> Result<()> {
    let invoice = item.invoice.as_ref();
    match invoice.and_then(|id| ctx.account.billing.invoices.get(id)) {
        Some(invoice) if invoice.status != Status::Draft => Err(draft_lines::not_editable()),
        _ => Ok(()),
    }
}

fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a InvoiceItem> {
    let id = ctx.arg(0);
    let item = ctx.account.billing.invoice_items.table.get(&id);
    item.ok_or_else(|| Error::not_found(WHAT, &id))
}
