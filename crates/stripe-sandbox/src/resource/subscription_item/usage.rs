//! `/v1/subscription_items/:id/usage_records`: the usage that is reported for an item.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Value, json};

use super::input::too_large;
use super::view::find;
use super::{Item, MAX_QUANTITY};
use crate::engine::{catalog, finalization};
use crate::error::{Error, Result};
use crate::money::usage::AggregateUsage;
use crate::params::Params;
use crate::resource::subscription::Subscription;
use crate::store::account::Account;
use crate::store::context::Ctx;
use crate::store::ids::Id;
use crate::store::page::Page;
use crate::store::table::Row;

/// How long after a period's end its usage is still accepted, in seconds, because clocks differ. The invoice is final
/// by then, so the usage counts in the new period.
const BEHIND: i64 = 300;

/// How far in the future a record may be, in seconds, because clocks differ.
const AHEAD: i64 = 300;

/// A usage report: how much, when, and whether it replaces the quantity at that time.
pub(super) struct UsageReport {
    quantity: i64,
    timestamp: i64,
    set: bool,
}

pub(super) fn read_report(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<UsageReport> {
    let (subscription, item) = find(ctx)?;
    if catalog::meter(ctx.account, &item.price).is_some() {
        return Err(Error::invalid(format!(
            "Cannot create a usage record for `{}` because it is not on the legacy metered billing system. Call /v1/billing/meter_events instead.",
            item.id
        )));
    }
    let quantity = params
        .integer_from("quantity", 0)?
        .ok_or_else(|| params.missing("quantity"))?;
    let now = ctx.time_of(&subscription.customer);
    Ok(UsageReport {
        quantity,
        timestamp: params.timestamp_or_now("timestamp", now)?.unwrap_or(now),
        set: params.one_of("action", &["increment", "set"])? == Some("set"),
    })
}

/// `POST /v1/subscription_items/:id/usage_records`: adds a quantity to that of its timestamp, or replaces it.
pub(super) fn report(ctx: &mut Ctx<'_>, record: UsageReport) -> Result<Value> {
    let UsageReport {
        quantity,
        timestamp,
        set,
    } = record;
    let (subscription, item) = find(ctx)?;
    let now = ctx.time_of(&subscription.customer);
    let draft = finalization::draft_of_usage(ctx.account, subscription, item, timestamp);
    let draft = draft.map(|draft| draft.id.clone());
    let from = match draft {
        Some(_) => timestamp,
        None => earliest(ctx.account, subscription, item, now),
    };
    check(subscription, item, timestamp, from, now)?;
    let start = subscription.period_of(item).0;
    let before = item.records.get(timestamp);
    let after = if set {
        quantity
    } else {
        before.saturating_add(quantity)
    };
    // Late usage without a draft counts in the running period: only the difference to the usage that was billed, which
    // cannot be reduced.
    let is_late = draft.is_none() && timestamp < start;
    let carried = if is_late {
        let difference = after.saturating_sub(before);
        item.records.get(start).saturating_add(difference).max(0)
    } else {
        0
    };
    if after.max(carried) > MAX_QUANTITY {
        return Err(too_large("quantity".into()));
    }
    let id = item.id.clone();
    let record = ctx.account.ids.next("mbur", 24);
    let position = ctx.account.billing.items[&id];
    let items = &mut ctx.account.subscription_mut(position).items;
    if let Some(item) = items.iter_mut().find(|item| item.id == id) {
        item.records.set(timestamp, after);
        if is_late {
            item.records.set(start, carried);
        }
        if let Some(draft) = draft {
            let item = item.clone();
            finalization::update_usage_lines(ctx.account, &draft, position, &item);
        }
    }
    Ok(json!({
        "id": &*record,
        "object": "usage_record",
        "livemode": false,
        "quantity": quantity,
        "subscription_item": &*id,
        "timestamp": timestamp,
    }))
}

fn check(
    subscription: &Subscription,
    item: &Item,
    timestamp: i64,
    from: i64,
    now: i64,
) -> Result<()> {
    if subscription.status.is_ended() {
        return Err(Error::invalid(
            "Cannot create the usage record because the subscription has been canceled.",
        ));
    }
    if item.quantity.is_some() {
        return Err(Error::invalid(format!(
            "Cannot create the usage record because the price of `{}` is not metered. Usage can only be reported for prices with `usage_type=metered`.",
            item.id
        )));
    }
    if timestamp < from {
        return Err(Error::invalid("Cannot create the usage record with this timestamp because timestamps must be after the subscription's last invoice period (or current period start time).").param("timestamp"));
    }
    if timestamp > now + AHEAD {
        return Err(Error::invalid("Cannot create the usage record with this timestamp because timestamps must not be in the future.").param("timestamp"));
    }
    Ok(())
}

/// The earliest accepted timestamp: the start of the period, and for sums a little before it, during the period's first
/// minutes.
fn earliest(account: &Account, subscription: &Subscription, item: &Item, now: i64) -> i64 {
    let start = subscription.period_of(item).0;
    let sums = catalog::aggregate(account, &item.price) == AggregateUsage::Sum;
    let late = sums && now < start + BEHIND;
    // Usage cannot be older than the item.
    let earliest = if late { start - BEHIND } else { start };
    earliest.max(item.counts_since.min(start))
}

/// The usage of one period.
struct Summary {
    id: Id,
    invoice: Option<Id>,
    period: (i64, i64),
    total: i64,
}

impl Row for Summary {
    fn id(&self) -> &Id {
        &self.id
    }
}

pub(super) fn read_summaries(ctx: &Ctx<'_>, params: &Params<'_>) -> Result<Page> {
    let page = Page::read(params)?;
    let (_, item) = find(ctx)?;
    if catalog::meter(ctx.account, &item.price).is_some() {
        return Err(Error::invalid(format!(
            "Cannot list usage record summaries for `{}` because it is not on the legacy metered billing system. Call /v1/billing/meters/:id/event_summaries instead.",
            item.id
        )));
    }
    Ok(page)
}

/// `GET /v1/subscription_items/:id/usage_record_summaries`: one total per period, starting with the running one, which
/// has no end yet.
pub(super) fn summaries(ctx: &mut Ctx<'_>, page: Page) -> Result<Value> {
    let (subscription, item) = find(ctx)?;
    if item.quantity.is_some() {
        return Err(Error::invalid(format!(
            "The price of `{}` is not metered: it has no usage.",
            item.id
        )));
    }
    let summaries = periods(ctx.account, subscription, item);
    let rows: Vec<&Summary> = summaries.iter().collect();
    let url = format!("/v1/subscription_items/{}/usage_record_summaries", item.id);
    let rows = page.of_rows(&rows, "usage record summary")?;
    Ok(rows.to_json(&url, |summary| {
        json!({
            "id": &*summary.id,
            "object": "usage_record_summary",
            "invoice": summary.invoice.as_deref(),
            "livemode": false,
            "period": {"end": summary.invoice.as_ref().map(|_| summary.period.1), "start": summary.period.0},
            "subscription_item": &*item.id,
            "total_usage": summary.total,
        })
    }))
}

fn periods(account: &Account, subscription: &Subscription, item: &Item) -> Vec<Summary> {
    let name = item.id.trim_start_matches("si_");
    let summary = |invoice: Option<Id>, period: (i64, i64), total| Summary {
        id: format!("sis_{name}{}", period.0).into(),
        invoice,
        period,
        total,
    };
    let (start, end) = subscription.period_of(item);
    let running = catalog::aggregate(account, &item.price).total(&item.records, start, end);
    let running = (!subscription.status.is_ended()).then(|| summary(None, (start, end), running));
    let customer = account.customers.get(&subscription.customer);
    let positions = customer.map_or(&[][..], |customer| &customer.invoices);
    let billed = positions.iter().rev().filter_map(|position| {
        let invoice = account.billing.invoices.at(*position)?;
        let mut lines = invoice
            .lines
            .iter()
            .filter(|line| {
                line.item.as_ref() == Some(&item.id)
                    && line.invoice_item.is_none()
                    && line.line.period.1 <= invoice.created
            })
            .peekable();
        let period = lines.peek()?.line.period;
        let total: Decimal = lines.map(|line| line.line.quantity).sum();
        let total = total.to_i64().unwrap_or(i64::MAX);
        Some(summary(Some(invoice.id.clone()), period, total))
    });
    running.into_iter().chain(billed).collect()
}
