//! `/v1/invoices` for drafts: create, update, finalize and delete. The texts of an invoice can also be updated when it
//! is final.

use serde_json::{Value, json};

use super::{Invoice, InvoiceDetails, NAME, Reason, Status, view};
use crate::engine::sums::{applicable, recompute};
use crate::engine::{collection, draft_lines, finalization, one_currency};
use crate::error::{Error, Result};
use crate::money::charge_amount;
use crate::money::currency::{self, Currency};
use crate::params::Params;
use crate::resource::customer::{self, Customer};
use crate::resource::invoice_item::InvoiceItem;
use crate::resource::subscription::{self, Subscription};
use crate::store::context::Ctx;
use crate::store::ids::Id;

const UNMODELLED: &[&str] = &[
    "account_tax_ids",
    "application_fee_amount",
    "custom_fields",
    "days_until_due",
    "default_source",
    "default_tax_rates",
    "discounts",
    "due_date",
    "effective_at",
    "on_behalf_of",
    "payment_settings",
    "rendering_options",
    "shipping_cost",
    "shipping_details",
    "statement_descriptor",
    "transfer_data",
];

/// Reads a new draft, without an id.
pub(super) fn read_create(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Invoice> {
    let (customer, subscription) = customer_and_subscription(ctx, params)?;
    let given = params.currency("currency")?;
    let currency = subscription
        .map(|subscription| subscription.currency)
        .or(given)
        .or(customer.currency)
        .unwrap_or_else(currency::usd);
    if given.is_some_and(|given| given != currency) {
        return Err(Error::invalid(format!(
            "The `currency` of a subscription's invoice is the subscription's: `{}`.",
            currency.as_str()
        ))
        .param("currency"));
    }
    one_currency::check(ctx.account, customer, currency, None)?;
    let includes = params.one_of(
        "pending_invoice_items_behavior",
        &["exclude", "include", "include_and_require"],
    )?;
    let details = details(ctx, params, &customer.id, InvoiceDetails::default())?;
    params.unmodelled(&["automatic_tax?", "from_invoice"])?;
    let auto_advance = params.boolean("auto_advance")?.unwrap_or(false);
    let at = ctx.time_of(&customer.id);
    let start = subscription.map_or(at, |subscription| subscription.first_period().0);
    let discount = match subscription {
        Some(subscription) => applicable(ctx.account, subscription, at),
        None => customer.discount().cloned(),
    };
    let taken = match includes {
        Some("include" | "include_and_require") => {
            pending(ctx, &customer.id, subscription, currency)
        }
        _ => Vec::new(),
    };
    if taken.is_empty() && includes == Some("include_and_require") {
        return Err(Error::invalid("Nothing to invoice for customer")
            .code("invoice_no_customer_line_items"));
    }
    let lines = taken.into_iter().map(draft_lines::line_of).collect();
    Ok(Invoice {
        subscription: subscription.map(|subscription| subscription.id.clone()),
        clock: customer.test_clock.clone(),
        period: (start.min(at), at),
        discount,
        lines,
        auto_advance,
        details,
        subscription_metadata: subscription
            .map(|subscription| subscription.metadata.clone())
            .unwrap_or_default(),
        ..Invoice::new(customer.id.clone(), currency, Reason::Manual, at)
    })
}

/// `POST /v1/invoices`: creates a draft. It includes pending items only with `pending_invoice_items_behavior=include`.
pub(super) fn create(ctx: &mut Ctx<'_>, draft: Invoice) -> Result<Value> {
    let (auto_advance, at) = (draft.auto_advance, draft.created);
    let id = store(ctx, draft);
    if auto_advance {
        finalization::schedule(ctx, &id, at);
    }
    Ok(view::invoice(ctx.account, ctx.account.invoice(&id)))
}

/// Stores a new draft and records its event. Its items stop being pending.
fn store(ctx: &mut Ctx<'_>, mut invoice: Invoice) -> Id {
    recompute(ctx.account, &mut invoice);
    invoice.id = ctx.account.ids.next("in", 24);
    for line in &mut invoice.lines {
        line.id = ctx.account.ids.next("il", 24);
    }
    let taken = invoice.lines.iter();
    let taken = taken.filter_map(|line| line.invoice_item.clone());
    let billing = &mut ctx.account.billing;
    billing.invoice_items.mark_invoiced(taken, &invoice.id);
    if let Some(discount) = &invoice.discount {
        let discounts = &mut billing.discounts;
        discounts.insert(discount.id.clone(), discount.clone());
    }
    let (id, at) = (invoice.id.clone(), invoice.created);
    let object = view::invoice(ctx.account, &invoice);
    ctx.account.insert_invoice(invoice);
    ctx.event("invoice.created", &object, at);
    id
}

/// The customer, and the subscription if one is named.
fn customer_and_subscription<'a>(
    ctx: &'a Ctx<'_>,
    params: &Params<'_>,
) -> Result<(&'a Customer, Option<&'a Subscription>)> {
    let subscription = match params.string("subscription")? {
        Some(id) => {
            let found = ctx.account.billing.subscriptions.get(id);
            Some(found.ok_or_else(|| Error::no_such("subscription", id, "subscription"))?)
        }
        None => None,
    };
    let customer = match (params.string("customer")?, subscription) {
        (Some(id), _) => customer::input::named(ctx, id, "customer")?,
        (None, Some(subscription)) => {
            customer::input::named(ctx, &subscription.customer, "customer")?
        }
        (None, None) => return Err(params.missing("customer")),
    };
    if let Some(subscription) = subscription
        && subscription.customer != customer.id
    {
        return Err(Error::no_such(
            "subscription",
            &subscription.id,
            "subscription",
        ));
    }
    Ok((customer, subscription))
}

/// The pending items of the customer, or of one subscription, newest first.
fn pending<'a>(
    ctx: &'a Ctx<'_>,
    customer: &Id,
    subscription: Option<&Subscription>,
    currency: Currency,
) -> Vec<&'a InvoiceItem> {
    let is_wanted = |item: &&InvoiceItem| {
        item.currency == currency
            && subscription.is_none_or(|only| item.subscription.as_ref() == Some(&only.id))
    };
    let all = ctx.account.billing.invoice_items.pending(customer);
    all.rev().filter(is_wanted).collect()
}

/// The texts and settings of an invoice.
fn details(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
    customer: &Id,
    mut details: InvoiceDetails,
) -> Result<InvoiceDetails> {
    let text = |key| Ok::<_, Error>(params.nullable(key)?.map(str::to_owned));
    text("description")?.apply(&mut details.description);
    text("footer")?.apply(&mut details.footer);
    details.metadata = params.metadata()?.apply(&details.metadata)?;
    subscription::shared_input::payment_method(ctx, params, customer)?
        .apply(&mut details.default_payment_method);
    subscription::shared_input::collection_method(params)?;
    params.unmodelled(UNMODELLED)?;
    Ok(details)
}

/// Reads the texts and settings of an update, and `auto_advance`.
pub(super) fn read_update(
    ctx: &Ctx<'_>,
    params: &Params<'_>,
) -> Result<(InvoiceDetails, Option<bool>)> {
    let invoice = find(ctx)?;
    let details = details(ctx, params, &invoice.customer, invoice.details.clone())?;
    params.unmodelled(&["automatic_tax?"])?;
    Ok((details, params.boolean("auto_advance")?))
}

/// `POST /v1/invoices/:id`: updates a draft, or the texts of a final invoice.
pub(super) fn update(
    ctx: &mut Ctx<'_>,
    (details, advance): (InvoiceDetails, Option<bool>),
) -> Result<Value> {
    let invoice = find(ctx)?;
    let (id, at) = (invoice.id.clone(), ctx.time_of(&invoice.customer));
    collection::with_events(ctx, &id, at, |ctx| {
        ctx.account.invoice_mut(&id).details = details;
        if let Some(advance) = advance {
            finalization::advance(ctx, &id, advance, at);
        }
    });
    Ok(view::invoice(ctx.account, find(ctx)?))
}

/// Reads the `auto_advance` of a finalization.
pub(super) fn read_finalize(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<bool> {
    let advance = params.boolean("auto_advance")?;
    let invoice = find(ctx)?;
    if invoice.status != Status::Draft {
        return Err(Error::invalid(
            "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
        )
        .code("invoice_not_editable"));
    }
    charge_amount::check_largest(invoice.amount_due, invoice.currency)?;
    Ok(advance.unwrap_or(invoice.auto_advance))
}

/// `POST /v1/invoices/:id/finalize`
pub(super) fn finalize(ctx: &mut Ctx<'_>, advance: bool) -> Result<Value> {
    let invoice = find(ctx)?;
    let (id, at) = (invoice.id.clone(), ctx.time_of(&invoice.customer));
    collection::with_events(ctx, &id, at, |ctx| {
        finalization::mark_final(ctx, &id, at);
        ctx.account.invoice_mut(&id).auto_advance = advance;
        collection::create_intent(ctx, &id, at);
        if ctx.account.invoice(&id).amount_due == 0 {
            collection::mark_paid(ctx, &id, at);
        } else if advance {
            collection::collect(ctx, &id, None, at);
        }
    });
    Ok(view::invoice(ctx.account, find(ctx)?))
}

/// `DELETE /v1/invoices/:id`: deletes a draft without a subscription.
pub(super) fn delete(ctx: &mut Ctx<'_>) -> Result<Value> {
    let invoice = find(ctx)?;
    if invoice.status != Status::Draft || invoice.subscription.is_some() {
        return Err(Error::invalid(
            "You can only delete draft invoices that are not of a subscription. Void this one instead.",
        ));
    }
    let (id, customer) = (invoice.id.clone(), invoice.customer.clone());
    let at = ctx.time_of(&customer);
    let before = view::invoice(ctx.account, invoice);
    let position = ctx.account.billing.invoices.position(&id);
    ctx.account.billing.invoices.remove(&id);
    ctx.account.billing.invoice_items.make_pending(&id);
    if let Some(row) = ctx.account.customers.get_mut(&customer) {
        row.invoices.retain(|other| Some(*other) != position);
    }
    ctx.event("invoice.deleted", &before, at);
    Ok(json!({"id": &*id, "object": "invoice", "deleted": true}))
}

pub(super) fn find<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Invoice> {
    let id = ctx.arg(0);
    let invoice = ctx.account.billing.invoices.get(&id);
    invoice.ok_or_else(|| Error::not_found(NAME, &id))
}
