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
use crate::resource::route::Route;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

const URL: &str = "/v1/invoiceitems";

const NAME: &str = "invoiceitem";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "POST",
            "/v1/invoiceitems",
            "invoiceitem",
            read_create,
            create,
        ),
        Route::new(
            "GET",
            "/v1/invoiceitems",
            "list:invoiceitem",
            read_list,
            list,
        ),
        Route::without_params("GET", "/v1/invoiceitems/:id", "invoiceitem", retrieve),
        Route::new(
            "POST",
            "/v1/invoiceitems/:id",
            "invoiceitem",
            read_update,
            update,
        ),
        Route::without_params("DELETE", "/v1/invoiceitems/:id", "invoiceitem", delete),
    ]
}

/// Reads a new item, without an id.
fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<InvoiceItem> {
    let customer = customer::input::named(ctx, params.required("customer")?, "customer")?;
    let mut item = read_new(ctx, params, customer)?;
    if let Some(id) = params.string("invoice")? {
        let invoice = ctx.account.billing.invoices.get(id);
        let invoice = invoice.ok_or_else(|| Error::no_such("invoice", id, "invoice"))?;
        draft_lines::check_room(invoice, &item, "invoice")?;
        item.invoice = Some(invoice.id.clone());
    }
    Ok(item)
}

/// `POST /v1/invoiceitems`: for the next invoice, or for a named draft.
fn create(ctx: &mut Ctx<'_>, item: InvoiceItem) -> Result<Value> {
    let (draft, at) = (item.invoice.clone(), item.created);
    let id = pending_items::add(ctx, item);
    on_draft(ctx, draft.as_ref(), at, |ctx, draft| {
        let item = get(ctx, &id).clone();
        draft_lines::put(ctx.account, draft, &item);
    });
    Ok(get(ctx, &id).to_json(ctx.account))
}

/// Changes the draft that contains the item, if there is one.
fn on_draft(
    ctx: &mut Ctx<'_>,
    draft: Option<&Id>,
    at: i64,
    change: impl FnOnce(&mut Ctx<'_>, &Id),
) {
    if let Some(draft) = draft {
        collection::with_events(ctx, draft, at, |ctx| change(ctx, draft));
    }
}

fn get<'a>(ctx: &'a Ctx<'_>, id: &Id) -> &'a InvoiceItem {
    let item = ctx.account.billing.invoice_items.table.get(id);
    item.expect("the caller has found it")
}

/// `GET /v1/invoiceitems/:id`
fn retrieve(ctx: &mut Ctx<'_>) -> Result<Value> {
    Ok(find(ctx)?.to_json(ctx.account))
}

/// The filter of a list.
struct Filter {
    page: Page,
    customer: Option<Id>,
    invoice: Option<String>,
    pending: Option<bool>,
    created: Created,
}

fn read_list(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Filter> {
    Ok(Filter {
        page: Page::read(params)?,
        customer: customer::input::customer_param(ctx, params)?.map(|customer| customer.id.clone()),
        invoice: params.string("invoice")?.map(str::to_owned),
        pending: params.boolean("pending")?,
        created: Created::read(params)?,
    })
}

/// `GET /v1/invoiceitems`
fn list(ctx: &mut Ctx<'_>, filter: Filter) -> Result<Value> {
    let invoice = filter.invoice.as_deref();
    let keep = |item: &InvoiceItem| {
        let named = match &filter.customer {
            Some(customer) => item.customer == *customer,
            None => invoice.is_some() || item.clock.is_none(),
        };
        named
            && invoice.is_none_or(|id| item.invoice.as_deref() == Some(id))
            && (filter.pending).is_none_or(|pending| item.invoice.is_none() == pending)
            && filter.created.accepts(item.created)
    };
    let table = &ctx.account.billing.invoice_items.table;
    let rows = filter.page.of_table(table, NAME, keep)?;
    Ok(rows.to_json(URL, |item| item.to_json(ctx.account)))
}

fn read_update(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<InvoiceItem> {
    let item = find(ctx)?;
    check_editable(ctx, item)?;
    let mut changed = item.clone();
    let others = [
        "amount",
        "price",
        "pricing",
        "unit_amount",
        "unit_amount_decimal",
    ];
    let only_quantity = others.iter().all(|key| !params.has(key));
    if only_quantity {
        if let Some(quantity) = quantity(params)? {
            changed.line.quantity = Decimal::from(quantity);
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
        changed.line.quantity = Decimal::from(cost.quantity);
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
    Ok(changed)
}

/// `POST /v1/invoiceitems/:id`
fn update(ctx: &mut Ctx<'_>, changed: InvoiceItem) -> Result<Value> {
    let now = ctx.time_of(&changed.customer);
    let before = find(ctx)?.to_json(ctx.account);
    let after = changed.to_json(ctx.account);
    let items = &mut ctx.account.billing.invoice_items.table;
    if let Some(item) = items.get_mut(&changed.id) {
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
fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
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

/// Checks that an item is pending or on a draft.
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
    item.ok_or_else(|| Error::not_found(NAME, &id))
}
