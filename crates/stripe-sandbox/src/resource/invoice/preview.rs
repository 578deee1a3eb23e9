//! `/v1/invoices/upcoming`: the next invoice, or the invoice that a change would make.

use serde_json::Value;

use super::view::{self, page_of_lines};
use super::{Attempts, Invoice, Reason, Status as InvoiceStatus, URL};
use crate::engine::cancellation::{self, Cancellation};
use crate::engine::copy::DryRun;
use crate::engine::{new_subscription, pending_items, phases, preview, subscription_update};
use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::form::{self, Form, Node};
use crate::resource::discount::Discount;
use crate::resource::subscription::{self, Prorate};
use crate::resource::subscription_schedule::Status;
use crate::resource::{coupon, customer, invoice_item};
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;

/// Computes the answer, or the error if there is no invoice, on a copy of the customer's data.
pub(super) fn read_upcoming(
    ctx: &mut DryRun<'_, '_>,
    params: &Params<'_>,
) -> Result<Result<Value>> {
    previewed(ctx, params, |ctx, invoice| {
        Ok(view::invoice(ctx.account, invoice))
    })
}

/// `GET /v1/invoices/upcoming`
pub(super) fn upcoming(_: &mut Ctx<'_>, answer: Result<Value>) -> Result<Value> {
    answer
}

pub(super) fn read_upcoming_lines(
    ctx: &mut DryRun<'_, '_>,
    params: &Params<'_>,
) -> Result<Result<Value>> {
    let page = Page::read(params)?;
    previewed(ctx, params, |ctx, invoice| {
        let url = format!("{URL}/upcoming/lines?customer={}", invoice.customer);
        page_of_lines(ctx, &page, invoice, &url)
    })
}

/// `GET /v1/invoices/upcoming/lines`
pub(super) fn upcoming_lines(_: &mut Ctx<'_>, answer: Result<Value>) -> Result<Value> {
    answer
}

/// The upcoming invoice of a request: the next invoice of the subscription or the customer, or the invoice that a
/// change would make.
fn previewed(
    ctx: &mut DryRun<'_, '_>,
    params: &Params<'_>,
    show: impl FnOnce(&Ctx<'_>, &Invoice) -> Result<Value>,
) -> Result<Result<Value>> {
    let (customer, subscription) = customer_and_subscription(ctx, params)?;
    let changes = changes(params)?;
    let show = |ctx: &Ctx<'_>, invoice: Option<Invoice>| {
        let invoice = invoice.ok_or_else(|| {
            Error::invalid(format!("No upcoming invoices for customer: {customer}"))
                .code("invoice_upcoming_none")
                .status(404)
        })?;
        show(ctx, &invoice)
    };
    if changes {
        return ctx.on_copy(&customer, |ctx| {
            let subscription = subscription.as_ref();
            let invoice = after_change(ctx, params, &customer, subscription)?;
            Ok(show(ctx, invoice))
        });
    }
    let found = subscription.and_then(|id| ctx.account.billing.subscriptions.get(&id));
    let invoice = match found {
        Some(subscription) => preview::of_subscription(ctx.account, subscription),
        None => preview::of_customer(ctx.account, &customer),
    };
    Ok(show(ctx, invoice))
}

/// The customer of the invoice, and its subscription if one is named.
fn customer_and_subscription(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<(Id, Option<Id>)> {
    let customer = match params.string("customer")? {
        Some(id) => Some(customer::input::named(ctx, id, "customer")?),
        None => None,
    };
    if let Some(id) = params.string("subscription")? {
        let found = ctx.account.billing.subscriptions.get(id);
        let found =
            found.filter(|found| customer.is_none_or(|customer| customer.id == found.customer));
        let found = found.ok_or_else(|| Error::no_such("subscription", id, "subscription"))?;
        return Ok((found.customer.clone(), Some(found.id.clone())));
    }
    let scheduled = || {
        let id = params.string("schedule").ok()??;
        let schedule = ctx.account.billing.schedules.get(id)?;
        Some((schedule.customer.clone(), None))
    };
    let named = customer.map(|customer| (customer.id.clone(), None));
    named.or_else(scheduled).ok_or_else(|| {
        Error::invalid("You must either provide a `customer` or a `subscription` to the upcoming invoice endpoint.")
    })
}

/// The names of a preview's parameters in an update or a creation.
const RENAMED: &[(&str, &str)] = &[
    ("coupon", "coupon"),
    ("subscription_billing_cycle_anchor", "billing_cycle_anchor"),
    ("subscription_cancel_at", "cancel_at"),
    ("subscription_cancel_at_period_end", "cancel_at_period_end"),
    ("subscription_items", "items"),
    ("subscription_proration_behavior", "proration_behavior"),
    ("subscription_proration_date", "proration_date"),
    ("subscription_start_date", "backdate_start_date"),
    ("subscription_trial_end", "trial_end"),
    ("subscription_trial_from_plan", "trial_from_plan"),
];

const UNMODELLED: &[&str] = &[
    "automatic_tax",
    "currency",
    "customer_details",
    "discounts",
    "subscription_default_tax_rates",
    "subscription_resume_at",
];

/// Refuses parameters that are not modelled, and returns whether the request would change anything.
fn changes(params: &Params<'_>) -> Result<bool> {
    params.unmodelled(UNMODELLED)?;
    let others = ["invoice_items", "schedule", "subscription_cancel_now"];
    let mut names = RENAMED.iter().map(|(name, _)| *name).chain(others);
    Ok(names.any(|name| params.has(name)))
}

/// The invoice after the change, which is applied to `ctx`, a copy.
fn after_change(
    ctx: &mut Ctx<'_>,
    params: &Params<'_>,
    customer: &Id,
    subscription: Option<&Id>,
) -> Result<Option<Invoice>> {
    add_items(ctx, params, customer)?;
    let position = subscription.and_then(|id| ctx.account.billing.subscriptions.position(id));
    if params.has("schedule") {
        return of_schedule(ctx, params, subscription.is_some());
    }
    let now = ctx.time_of(customer);
    let previewed = match position {
        Some(position) => {
            change_subscription(ctx, params, position, now)?;
            Some(position)
        }
        None if params.has("subscription_items") => Some(create(ctx, params, customer)?),
        None => {
            discount_customer(ctx, params, customer, now)?;
            None
        }
    };
    Ok(match previewed {
        Some(position) => issued(ctx)
            .or_else(|| preview::of_subscription(ctx.account, ctx.account.subscription(position))),
        None => preview::of_customer(ctx.account, customer),
    })
}

/// `invoice_items`: added as pending items.
pub(super) fn add_items(ctx: &mut Ctx<'_>, params: &Params<'_>, customer: &Id) -> Result<()> {
    for given in params.objects("invoice_items")?.unwrap_or_default() {
        given.unmodelled(&["invoiceitem"])?;
        let customer = customer::input::named(ctx, customer, "customer")?;
        let item = invoice_item::input::read_new(ctx, &given, customer)?;
        pending_items::add(ctx, item);
    }
    Ok(())
}

fn change_subscription(
    ctx: &mut Ctx<'_>,
    params: &Params<'_>,
    position: u32,
    now: i64,
) -> Result<()> {
    let form = params.renamed(RENAMED);
    let cancel_now = params.boolean("subscription_cancel_now")?.unwrap_or(false);
    update(ctx, &form, cancel_now, position, now).map_err(under_its_own_name)
}

/// Updates or cancels the subscription with the parameters in `form`.
pub(super) fn update(
    ctx: &mut Ctx<'_>,
    form: &Form,
    cancel_now: bool,
    position: u32,
    now: i64,
) -> Result<()> {
    let given = Params::new(form);
    let subscription = ctx.account.subscription(position);
    subscription::update_input::check_live(subscription)?;
    subscription::update_input::check_allowed_if_incomplete(subscription, &given)?;
    let update = subscription::update_input::read(ctx, &given, subscription, now)?;
    given.unmodelled(&["backdate_start_date"])?;
    given.finish()?;
    if cancel_now {
        let options = Cancellation {
            invoice_now: true,
            prorate: update.prorate != Prorate::Never,
        };
        cancellation::cancel(ctx, position, options, now);
    } else {
        subscription_update::apply_update(ctx, position, update, now);
    }
    Ok(())
}

fn create(ctx: &mut Ctx<'_>, params: &Params<'_>, customer: &Id) -> Result<u32> {
    let form: Form = params.renamed(RENAMED);
    create_of(ctx, form, customer).map_err(under_its_own_name)
}

/// Creates a subscription with the parameters in `form`, without a payment check.
pub(super) fn create_of(ctx: &mut Ctx<'_>, mut form: Form, customer: &Id) -> Result<u32> {
    let text = |text: &str| Node::from(form::Value::Text(text.to_owned()));
    form.set("customer", text(customer));
    form.set("payment_behavior", text("default_incomplete"));
    let given = Params::new(&form);
    let (new, now) = subscription::input::read_new(ctx, &given, ctx.presence)?;
    given.finish()?;
    let id = new_subscription::create(ctx, &new, now);
    let position = ctx.account.billing.subscriptions.position(&id);
    Ok(position.expect("just created"))
}

pub(super) fn of_schedule(
    ctx: &mut Ctx<'_>,
    params: &Params<'_>,
    with_subscription: bool,
) -> Result<Option<Invoice>> {
    let id = params.required("schedule")?;
    let position = ctx.account.billing.schedules.position(id);
    let position =
        position.ok_or_else(|| Error::no_such("subscription schedule", id, "schedule"))?;
    let schedule = ctx.account.schedule(position);
    let start = schedule.phases.first().map(|phase| phase.start);
    match (schedule.status, start) {
        (Status::NotStarted, Some(start)) if !with_subscription => {
            phases::start(ctx, position, start);
            Ok(issued(ctx))
        }
        _ => Err(Error::invalid(
            "Only a schedule that has not started can be previewed, and not together with a subscription.",
        )
        .param("schedule")),
    }
}

/// `coupon` without a subscription: it applies to the customer.
fn discount_customer(
    ctx: &mut Ctx<'_>,
    params: &Params<'_>,
    customer_id: &Id,
    now: i64,
) -> Result<()> {
    if !params.has("coupon") {
        return Ok(());
    }
    let coupon = match params.nullable("coupon")?.value() {
        Some(id) => Some(coupon::input::applicable(ctx, id, "coupon", now)?),
        None => None,
    };
    let discount =
        coupon.map(|coupon| Discount::new(ctx, coupon.into(), customer_id.clone(), None, now));
    if let Some(customer) = ctx.account.customers.get_mut(customer_id) {
        customer.rare_mut().discount = discount;
    }
    Ok(())
}

/// The invoice that the change made at once, as an upcoming invoice.
pub(super) fn issued(ctx: &Ctx<'_>) -> Option<Invoice> {
    let mut invoice = ctx.account.billing.invoices.iter().next_back()?.clone();
    invoice.id = Id::default();
    invoice.number = None;
    invoice.status = InvoiceStatus::Draft;
    invoice.reason = Reason::Upcoming;
    invoice.auto_advance = true;
    invoice.attempts = Attempts::default();
    invoice.payment_intent = None;
    invoice.draft_until = None;
    invoice.finalized_at = None;
    invoice.paid_at = None;
    invoice.marked_uncollectible_at = None;
    invoice.voided_at = None;
    preview::assign_line_ids(&mut invoice);
    Some(invoice)
}

/// Restores the parameter's original name in an error.
fn under_its_own_name(mut error: Error) -> Error {
    let original = |param: &String| {
        let head = param.split('[').next()?;
        let (name, _) = RENAMED.iter().find(|(_, other)| *other == head)?;
        Some(format!("{name}{}", &param[head.len()..]))
    };
    if let Some(name) = error.param.as_ref().and_then(original) {
        error.param = Some(name);
    }
    error
}
