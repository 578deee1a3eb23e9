//! Counting of meter events, for a customer's metered items and on draft invoices of past periods.

use rust_decimal::Decimal;

use super::unbilled_lines;
use super::{catalog, finalization};
use crate::money::metering::Reading;
use crate::resource::invoice::Status;
use crate::resource::meter_event::Counted;
use crate::resource::thin_event::{DropReason, MeterErrors, ThinEvent};
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;

/// A customer's usage of a meter in a span of time (end exclusive). A negative total counts as 0. In a preview, only
/// processed events count.
pub(crate) fn used(account: &Account, meter: &Id, customer: &str, span: (i64, i64)) -> Decimal {
    let meter = account.meters.get(meter).expect("meters are never deleted");
    let events = &account.meter_events;
    let total = events.total(meter, customer, span, events.received_until);
    total.max(Decimal::ZERO)
}

/// The time up to which an item that ends at `at` counts: past the latest event, which may be minutes ahead.
pub(crate) fn after_latest(account: &Account, meter: &Id, customer: &str, at: i64) -> i64 {
    let latest = account.meter_events.latest(meter, customer);
    latest.map_or(at, |latest| at.max(latest.saturating_add(1)))
}

/// Counts an event.
pub(crate) fn record(
    ctx: &mut Ctx<'_>,
    meter: &Id,
    customer: &Id,
    timestamp: i64,
    value: Decimal,
) -> Counted {
    let reading = Reading {
        value,
        received: ctx.now_millis,
    };
    let events = &mut ctx.account.meter_events;
    let counted = events.count(meter, customer, timestamp, reading);
    update_drafts(ctx, &counted);
    counted
}

/// Cancels an event.
pub(crate) fn cancel(ctx: &mut Ctx<'_>, identifier: &str) {
    if let Some(counted) = ctx.account.meter_events.cancel(identifier) {
        update_drafts(ctx, &counted);
    }
}

/// Drops the events of a meter that has just been deactivated and has not processed them yet.
pub(crate) fn drop_unprocessed(ctx: &mut Ctx<'_>, meter: &Id) {
    let processed = ctx.now_millis.saturating_sub(ctx.settings.meter_lag);
    let events = ctx.account.meter_events.received_after(meter, processed);
    for (identifier, received) in events {
        cancel(ctx, &identifier);
        let invalid = DropReason {
            code: "archived_meter",
            message: "The meter is archived.".to_owned(),
        };
        report_dropped(ctx, meter, &identifier, invalid, received);
    }
}

/// Adds an event that will be dropped to the meter's error report for the time at which the event is processed.
pub(crate) fn report_dropped(
    ctx: &mut Ctx<'_>,
    meter: &Id,
    identifier: &str,
    invalid: DropReason,
    received: i64,
) {
    let processed = received.saturating_add(ctx.settings.meter_lag);
    if let Some(errors) = ctx.account.thin_events.report_at(meter, processed) {
        errors.add(identifier, invalid);
        return;
    }
    let mut errors = MeterErrors::at(processed);
    errors.add(identifier, invalid);
    let id = ctx.account.ids.next("evt_test", 46);
    let event = ThinEvent::of_meter(id, meter, errors);
    let to = ctx.account.destinations(event.kind);
    ctx.thin_event(event, to);
}

/// Updates the usage on draft invoices of past periods.
fn update_drafts(ctx: &mut Ctx<'_>, counted: &Counted) {
    for (draft, item, price, period) in usage_on_drafts(ctx.account, counted) {
        let invoice = ctx.account.invoice(&draft);
        let subscription = invoice.subscription.as_ref();
        let subscription = subscription.and_then(|id| ctx.account.billing.subscriptions.get(id));
        let Some(subscription) = subscription else {
            continue;
        };
        let quantity = used(ctx.account, &counted.meter, &counted.customer, period);
        let lines =
            unbilled_lines::usage_lines(ctx.account, subscription, &price, quantity, period);
        finalization::replace_usage_lines(ctx.account, &draft, &item, &price, lines);
    }
}

/// The drafts with usage of a meter at a time: the invoice, the item, its price, and the period.
fn usage_on_drafts(account: &Account, counted: &Counted) -> Vec<(Id, Id, Id, (i64, i64))> {
    let customer = account.customers.get(&counted.customer);
    let positions = customer.map_or(&[][..], |customer| &customer.invoices);
    let invoices = positions.iter();
    let invoices = invoices.filter_map(|position| account.billing.invoices.at(*position));
    let mut found: Vec<(Id, Id, Id, (i64, i64))> = Vec::new();
    for invoice in invoices.filter(|invoice| invoice.status == Status::Draft) {
        for line in invoice
            .lines
            .iter()
            .filter(|line| line.invoice_item.is_none())
        {
            let (Some(item), Some(price)) = (&line.item, &line.price) else {
                continue;
            };
            let (start, end) = line.line.period;
            let counts = catalog::meter(account, price) == Some(&counted.meter)
                && (start..end).contains(&counted.timestamp);
            let known = || {
                found
                    .iter()
                    .any(|(draft, of, ..)| *draft == invoice.id && of == item)
            };
            if counts && !known() {
                let place = (
                    invoice.id.clone(),
                    item.clone(),
                    price.clone(),
                    (start, end),
                );
                found.push(place);
            }
        }
    }
    found
}
