//! `/v1/invoices/create_preview`: the next invoice of a subscription, or the invoice that a change would make. It
//! replaces `/v1/invoices/upcoming` in later versions.
//!
//! A preview is kept for three days under its id, with all its lines.

use serde_json::{Value, json};

use super::preview::{self, add_items, issued, of_schedule};
use super::previews::{MAX_KEPT, Preview, PreviewLine};
use super::view::{self, line};
use super::{Invoice, URL};
use crate::engine::copy::DryRun;
use crate::engine::preview::of_subscription;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::form::Form;
use crate::resource::customer;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

/// How long a preview is kept: 72 hours.
const KEPT_FOR: i64 = 72 * 60 * 60;

/// The parameters of `subscription_details`, and their names in an update or a new subscription.
const DETAILS: &[(&str, &str)] = &[
    ("billing_cycle_anchor", "billing_cycle_anchor"),
    ("billing_mode", "billing_mode"),
    ("cancel_at", "cancel_at"),
    ("cancel_at_period_end", "cancel_at_period_end"),
    ("items", "items"),
    ("metadata", "metadata"),
    ("proration_behavior", "proration_behavior"),
    ("proration_date", "proration_date"),
    ("start_date", "backdate_start_date"),
    ("trial_end", "trial_end"),
];

const DETAILS_UNMODELLED: &[&str] = &[
    "billing_schedules",
    "default_tax_rates?",
    "pause",
    "resume_at",
];

const UNMODELLED: &[&str] = &[
    "automatic_tax",
    "currency",
    "customer_account",
    "customer_details",
    "issuer",
    "on_behalf_of?",
    "schedule_details",
];

/// Computes the preview, or the error if there is no invoice, on a copy of the customer's data. Only meter events that
/// have been processed count.
pub(super) fn read(ctx: &mut DryRun<'_, '_>, params: &Params<'_>) -> Result<Result<Preview>> {
    params.unmodelled(UNMODELLED)?;
    params.one_of_modelled("preview_mode", &["next"], &["recurring"])?;
    let (customer, subscription) = customer_and_subscription(ctx, params)?;
    let received_until = ctx.now_millis - ctx.settings.meter_lag;
    ctx.on_copy(&customer, |ctx| {
        ctx.account.meter_events.received_until = Some(received_until);
        let invoice = invoice(ctx, params, &customer, subscription.as_ref());
        let preview = invoice.map(|invoice| match invoice {
            Some(invoice) => Ok(preview_of(ctx, &invoice)),
            None => Err(nothing(&customer)),
        });
        ctx.account.meter_events.received_until = None;
        preview
    })
}

fn nothing(customer: &str) -> Error {
    Error::invalid(format!("No upcoming invoices for customer: {customer}"))
        .code("invoice_upcoming_none")
        .status(404)
}

/// The customer of the preview, and its subscription if one is named.
fn customer_and_subscription(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Id, Option<Id>)> {
    let customer = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?.id.clone()),
        None => None,
    };
    if let Some(id) = params.string("subscription")? {
        if let Some(other) = ["schedule"].iter().find(|other| params.has(other)) {
            return Err(Error::invalid(format!(
                "You may only specify one of these parameters: {other}, subscription."
            ))
            .param(*other));
        }
        let found = ctx.account.billing.subscriptions.get(id);
        let is_theirs = |id: &Id| customer.as_ref().is_none_or(|customer| customer == id);
        let found = found.filter(|found| is_theirs(&found.customer));
        let found = found.ok_or_else(|| Error::no_such("subscription", id, "subscription"))?;
        return Ok((found.customer.clone(), Some(found.id.clone())));
    }
    if let Some(id) = params.string("schedule")? {
        let found = ctx.account.billing.schedules.get(id);
        let found = found.ok_or_else(|| Error::no_such("subscription schedule", id, "schedule"))?;
        return Ok((found.customer.clone(), None));
    }
    let sells = params
        .object("subscription_details")?
        .is_some_and(|details| details.has("items"));
    match customer {
        Some(customer) if sells || params.has("invoice_items") => Ok((customer, None)),
        Some(_) => Err(Error::invalid("You must provide one of these parameters: invoice_items, schedule, subscription, subscription_details[items].").code("parameter_missing")),
        None => Err(Error::invalid("You must provide one of these parameters: customer, schedule, subscription.").code("parameter_missing")),
    }
}

/// The invoice after the changes, which are applied to `ctx`, a copy.
fn invoice(
    ctx: &mut Ctx<'_>,
    params: &Params<'_>,
    customer: &Id,
    subscription: Option<&Id>,
) -> Result<Option<Invoice>> {
    add_items(ctx, params, customer)?;
    if params.has("schedule") {
        return of_schedule(ctx, params, false);
    }
    let details = params.object("subscription_details")?;
    let cancels = match &details {
        Some(details) => {
            details.unmodelled(DETAILS_UNMODELLED)?;
            details.boolean("cancel_now")?.unwrap_or(false)
        }
        None => false,
    };
    let (form, changes) = form(params, details.as_ref());
    let position = subscription.and_then(|id| ctx.account.billing.subscriptions.position(id));
    let previewed = match position {
        Some(position) if changes || cancels => {
            let now = ctx.time_of(customer);
            let updated = preview::update(ctx, &form, cancels, position, now);
            updated.map_err(under_its_own_name)?;
            position
        }
        Some(position) => position,
        None if form_sells(&form) => {
            preview::create_of(ctx, form, customer).map_err(under_its_own_name)?
        }
        None => return Ok(only_items(ctx, customer)),
    };
    Ok(issued(ctx).or_else(|| of_subscription(ctx.account, ctx.account.subscription(previewed))))
}

/// The changes as an update would have them, and whether there are any.
fn form(params: &Params<'_>, details: Option<&Params<'_>>) -> (Form, bool) {
    let mut form = details.map_or_else(Form::default, |details| details.renamed(DETAILS));
    if let Some(discounts) = params.get("discounts") {
        form.set("discounts", discounts.clone());
        discounts.mark_read();
    }
    let changes = !Params::new(&form).keys().is_empty();
    (form, changes)
}

fn form_sells(form: &Form) -> bool {
    Params::new(form).has("items")
}

/// The invoice of pending items without a subscription.
fn only_items(ctx: &mut Ctx<'_>, customer: &Id) -> Option<Invoice> {
    crate::engine::preview::of_pending(ctx.account, customer, ctx.time_of(customer))
}

/// Restores the parameter's original name in an error.
fn under_its_own_name(mut error: Error) -> Error {
    let original = |param: &String| {
        let head = param.split('[').next()?;
        let (name, _) = DETAILS.iter().find(|(_, other)| *other == head)?;
        Some(format!(
            "subscription_details[{name}]{}",
            &param[head.len()..]
        ))
    };
    if let Some(name) = error.param.as_ref().and_then(original) {
        error.param = Some(name);
    }
    error
}

/// The preview of an invoice, without an id.
fn preview_of(ctx: &Ctx<'_>, invoice: &Invoice) -> Preview {
    let lines = invoice.lines.iter().map(|each| PreviewLine {
        id: each.id.clone(),
        json: line(ctx.account, invoice, each),
    });
    Preview {
        id: Id::default(),
        created: ctx.now,
        invoice: view::invoice(ctx.account, invoice),
        lines: lines.collect(),
    }
}

/// `POST /v1/invoices/create_preview`
pub(super) fn create(ctx: &mut Ctx<'_>, preview: Result<Preview>) -> Result<Value> {
    let mut preview = preview?;
    preview.id = ctx.account.ids.next("upcoming_in", 24);
    let url = format!("{URL}/{}/lines", preview.id);
    let mut invoice = json!({"id": &*preview.id});
    if let (Some(to), Some(from)) = (invoice.as_object_mut(), preview.invoice.as_object()) {
        to.extend(from.clone());
    }
    invoice["lines"]["url"] = json!(url);
    preview.invoice = invoice;
    let answer = preview.invoice.clone();
    let previews = &mut ctx.account.billing.previews;
    previews.push_back(preview);
    while previews.len() > MAX_KEPT {
        previews.pop_front();
    }
    Ok(answer)
}

/// The preview with this id, if it is still kept.
fn find<'a>(ctx: &'a Ctx<'_>, id: &str) -> Option<&'a Preview> {
    let mut previews = ctx.account.billing.previews.iter();
    let found = previews.find(|preview| *preview.id == *id)?;
    (ctx.now - found.created < KEPT_FOR).then_some(found)
}

/// The preview with this id, as an invoice.
pub(super) fn retrieve(ctx: &Ctx<'_>, id: &str) -> Option<Value> {
    Some(find(ctx, id)?.invoice.clone())
}

/// A page of the lines of the preview with this id.
pub(super) fn page_of_lines(ctx: &Ctx<'_>, page: &Page, id: &str) -> Option<Result<Value>> {
    let preview = find(ctx, id)?;
    let rows: Vec<&PreviewLine> = preview.lines.iter().collect();
    let url = format!("{URL}/{id}/lines");
    let rows = page.of_rows(&rows, "line item");
    Some(rows.map(|rows| rows.to_json(&url, |line| line.json.clone())))
}
