//! Draft invoices and their finalization.

use super::sums::recompute;
use super::{balance, catalog, collection, finalization, unbilled_lines};
use crate::money::charge_amount;
use crate::money::lines::Line;
use crate::resource::customer_balance::Cause;
use crate::resource::invoice::{self, Invoice, InvoiceLine, Reason, Status, TaxStatus, view};
use crate::resource::subscription::Subscription;
use crate::resource::subscription::pause::PauseBehavior;
use crate::resource::subscription_item::Item;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::due_queue::Due;
use crate::store::ids::Id;

/// How long Stripe leaves a draft with `auto_advance` a draft, in seconds: an hour.
const STRIPES_DRAFT: i64 = 3600;

/// How many seconds a lost last credit stays a draft before it is marked as uncollectible. Stripe was recorded to take
/// a few seconds.
const UNTIL_LOST: i64 = 3;

/// Stores a new invoice and records its event. Renewals and the first invoices of schedules stay drafts for the
/// configured time; others are finalized and collected at once.
pub(crate) fn add_invoice(ctx: &mut Ctx<'_>, invoice: Invoice, at: i64) {
    let id = invoice.id.clone();
    for discount in invoice.discounts() {
        ctx.account
            .billing
            .discounts
            .insert(discount.id.clone(), discount.clone());
    }
    let pause = pause_behavior(ctx.account, &invoice);
    ctx.account.insert_invoice(invoice);
    if pause == Some(PauseBehavior::KeepAsDraft) {
        ctx.account.invoice_mut(&id).auto_advance = false;
    }
    let invoice = ctx.account.invoice(&id);
    let waits = stays_draft(ctx.account, invoice);
    let object = invoice::view::invoice(ctx.account, invoice);
    ctx.event("invoice.created", &object, at);
    match pause {
        Some(behavior) => apply_pause(ctx, &id, behavior, at),
        None if waits => schedule(ctx, &id, at),
        None => finalize(ctx, &id, at),
    }
}

/// Stores an invoice for a credit that is lost: a draft for a few seconds, then uncollectible.
pub(crate) fn add_lost_credit(ctx: &mut Ctx<'_>, invoice: Invoice, at: i64) {
    let id = invoice.id.clone();
    ctx.account.insert_invoice(Invoice {
        loses_credit: true,
        ..invoice
    });
    let object = invoice::view::invoice(ctx.account, ctx.account.invoice(&id));
    ctx.event("invoice.created", &object, at);
    finalize_at(ctx, &id, at.saturating_add(UNTIL_LOST));
}

/// The treatment of the invoice by a pause of the subscription's collection, if there is one.
fn pause_behavior(account: &Account, invoice: &Invoice) -> Option<PauseBehavior> {
    let subscription = account
        .billing
        .subscriptions
        .get(invoice.subscription.as_ref()?)?;
    Some(subscription.pause?.behavior)
}

/// Applies a pause to an invoice. Nothing is collected; an invoice of amount 0 is paid as usual.
fn apply_pause(ctx: &mut Ctx<'_>, id: &Id, behavior: PauseBehavior, at: i64) {
    if behavior == PauseBehavior::KeepAsDraft {
        return;
    }
    mark_final(ctx, id, at);
    match behavior {
        PauseBehavior::Void => collection::void(ctx, id, at),
        _ if ctx.account.invoice(id).amount_due == 0 => collection::mark_paid(ctx, id, at),
        _ => collection::mark_uncollectible(ctx, id, at),
    }
}

fn stays_draft(account: &Account, invoice: &Invoice) -> bool {
    let subscription = invoice.subscription.as_ref();
    let subscription = subscription.and_then(|id| account.billing.subscriptions.get(id));
    match invoice.reason {
        Reason::Cycle => true,
        Reason::Create => subscription.is_some_and(|subscription| subscription.is_from_schedule),
        Reason::Update | Reason::Manual | Reason::Upcoming => false,
    }
}

/// Finalizes a draft that is due.
pub(crate) fn finalize_due(ctx: &mut Ctx<'_>, position: u32, at: i64) {
    let invoice = ctx.account.billing.invoices.at(position);
    let id = invoice
        .expect("a removed draft leaves the due queue")
        .id
        .clone();
    collection::with_events(ctx, &id, at, |ctx| finalize(ctx, &id, at));
}

/// Removes a draft from the due queue.
pub(crate) fn unschedule(account: &mut Account, id: &Id) {
    let billing = &mut account.billing;
    let Some(position) = billing.invoices.position(id) else {
        return;
    };
    if let Some(invoice) = billing.invoices.at_mut(position)
        && let Some(until) = invoice.draft_until.take()
    {
        let clock = invoice.clock.clone();
        let due = Due::Invoice(position);
        billing.due_queue.remove(clock.as_ref(), until, due);
    }
}

/// Sets `auto_advance`, and schedules or unschedules the finalization of a draft. A final invoice without a payment
/// attempt is collected at once (our choice; Stripe takes an hour).
pub(crate) fn advance(ctx: &mut Ctx<'_>, id: &Id, auto_advance: bool, at: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.auto_advance = auto_advance;
    let (status, untried) = (invoice.status, !invoice.attempts.any);
    match (status, auto_advance) {
        (Status::Draft, true) if invoice.draft_until.is_some() => {}
        (Status::Draft, true) => schedule(ctx, id, at),
        (Status::Draft, false) => unschedule(ctx.account, id),
        (Status::Open, true) if untried => drop(collection::collect(ctx, id, None, at)),
        _ => {}
    }
}

/// Schedules the finalization of a draft after the configured time. If that is 0, a draft made by a request still lasts
/// as long as at Stripe, because otherwise nothing could be added to it.
pub(crate) fn schedule(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    unschedule(ctx.account, id);
    let invoice = ctx.account.invoice_mut(id);
    let lasts = match ctx.settings.invoice_draft {
        0 if invoice.reason == Reason::Manual => STRIPES_DRAFT,
        configured => configured,
    };
    let until = at.saturating_add(lasts);
    if until == at {
        return finalize(ctx, id, at);
    }
    finalize_at(ctx, id, until);
}

fn finalize_at(ctx: &mut Ctx<'_>, id: &Id, until: i64) {
    let invoice = ctx.account.invoice_mut(id);
    invoice.draft_until = Some(until);
    let clock = invoice.clock.clone();
    let billing = &mut ctx.account.billing;
    if let Some(position) = billing.invoices.position(id) {
        let due = Due::Invoice(position);
        billing.due_queue.add(clock.as_ref(), until, due);
    }
}

/// Finalizes the draft and collects it. A draft of a deleted customer stays a draft.
fn finalize(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    if ctx.account.invoice(id).loses_credit {
        unschedule(ctx.account, id);
        return collection::mark_uncollectible(ctx, id, at);
    }
    mark_final(ctx, id, at);
    if ctx.account.invoice(id).status != Status::Draft {
        collection::start(ctx, id, at);
    }
}

/// The draft invoice that bills an item's usage at `timestamp`, if the period is over and its invoice is still a draft.
pub(crate) fn draft_of_usage<'a>(
    account: &'a Account,
    subscription: &Subscription,
    item: &Item,
    timestamp: i64,
) -> Option<&'a Invoice> {
    let customer = account.customers.get(&subscription.customer)?;
    let newest_first = customer.invoices.iter().rev();
    newest_first
        .filter_map(|position| account.billing.invoices.at(*position))
        .filter(|invoice| invoice.status == Status::Draft)
        .find(|invoice| {
            let (start, end) = invoice.period;
            (start..end).contains(&timestamp) && invoice.lines.iter().any(|line| is_for(line, item))
        })
}

/// Whether a line is for the usage of an item.
fn is_for(line: &InvoiceLine, item: &Item) -> bool {
    line.item.as_ref() == Some(&item.id)
        && line.price.as_ref() == Some(&item.price)
        && line.invoice_item.is_none()
}

/// Updates the lines of an item's usage on a draft.
pub(crate) fn update_usage_lines(
    account: &mut Account,
    draft: &Id,
    subscription: u32,
    item: &Item,
) {
    let (start, end) = account.invoice(draft).period;
    let usage = catalog::aggregate(account, &item.price).total(&item.records, start, end);
    let owner = account.subscription(subscription);
    let lines =
        unbilled_lines::usage_lines(account, owner, &item.price, usage.into(), (start, end));
    replace_usage_lines(account, draft, &item.id, &item.price, lines);
}

/// Replaces the lines of an item's usage on a draft.
pub(crate) fn replace_usage_lines(
    account: &mut Account,
    draft: &Id,
    item: &Id,
    price: &Id,
    lines: Vec<Line>,
) {
    let mut invoice = account.invoice(draft).clone();
    let is_for = |line: &InvoiceLine| {
        line.item.as_ref() == Some(item)
            && line.price.as_ref() == Some(price)
            && line.invoice_item.is_none()
    };
    let place = invoice.lines.iter().position(is_for);
    invoice.lines.retain(|line| !is_for(line));
    let lines = lines.into_iter().map(|line| InvoiceLine {
        id: account.ids.next("il", 24),
        line,
        price: Some(price.clone()),
        item: Some(item.clone()),
        invoice_item: None,
        discount: 0,
    });
    let lines: Vec<InvoiceLine> = lines.collect();
    let place = place.unwrap_or(invoice.lines.len());
    invoice.lines.splice(place..place, lines);
    recompute(account, &mut invoice);
    *account.invoice_mut(draft) = invoice;
}

/// Makes a draft final: gives it a number and applies the customer's balance.
pub(crate) fn mark_final(ctx: &mut Ctx<'_>, id: &Id, at: i64) {
    finalization::unschedule(ctx.account, id);
    let invoice = ctx.account.invoice(id).clone();
    let Some(customer) = ctx.account.customers.get_mut(&invoice.customer) else {
        return;
    };
    let number = customer.next_invoice_number();
    let tax = invoice.automatic_tax.map(|_| TaxStatus::of(customer));
    let starting_balance = customer.balance;
    let owed = invoice.total.saturating_add(starting_balance);
    let due = charge_amount::due(owed, invoice.currency);
    let ending_balance = owed - due;
    customer.currency = Some(invoice.currency);
    let cause = match ending_balance {
        // The whole amount is too small to be charged.
        rest if rest > 0 && due == 0 && invoice.total > 0 => Cause::InvoiceTooSmall(id.clone()),
        _ => Cause::AppliedToInvoice(id.clone()),
    };
    let applied = ending_balance - starting_balance;
    balance::change(ctx, &invoice.customer, applied, cause, at);
    let hosted_url = ctx.settings.invoice_url(id);
    let invoice = ctx.account.invoice_mut(id);
    invoice.number = Some(number);
    invoice.hosted_url = Some(hosted_url);
    invoice.automatic_tax = tax;
    invoice.status = Status::Open;
    invoice.finalized_at = Some(at);
    invoice.starting_balance = starting_balance;
    invoice.ending_balance = ending_balance;
    invoice.amount_due = due;
    let object = view::invoice(ctx.account, ctx.account.invoice(id));
    ctx.event("invoice.finalized", &object, at);
}
