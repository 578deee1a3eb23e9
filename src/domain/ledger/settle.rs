//! Settlement: compares the usage of an ended period with what Stripe has billed for it.

mod invoices;
mod periods;

use super::LedgerHandle;
use super::deliver::is_refusal;
use crate::billing::InvoiceLine;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Answer, Event, Total};
use crate::ledger::values::{Aggregate, HOUR, Meter, Time};

use invoices::{Billed, BilledLine};

/// How long after a period's end its invoice is waited for. Invoices can be set to be drafts for 72 hours. A subscription
/// that was cancelled may have none.
const INVOICED_AFTER: i64 = 80 * HOUR;

/// The state of a total that is to be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    Settled,
    /// It is not known yet what Stripe bills.
    Waits,
    /// The period has become longer, as if a trial is extended, and ends then.
    Runs(Time),
}

/// A quantity that Stripe billed.
struct BilledQuantity {
    n: i64,
    /// Whether it can no longer change, so that what is missing may be sent again.
    is_final: bool,
}

impl BilledQuantity {
    fn finally(n: i64) -> Self {
        Self { n, is_final: true }
    }
}

impl Domain {
    /// Compares a total with what Stripe has billed.
    pub(super) async fn settle_total(
        &self,
        handle: &LedgerHandle,
        ledger: &Ledger,
        total: &Total,
        now: Time,
    ) -> Result<Settlement> {
        let billed = match &total.meter {
            Some(meter) => {
                if let Some(end) = self.longer_end(total, now).await? {
                    return Ok(Settlement::Runs(end));
                }
                // Once it is settled, the total would no longer be checked for a level that continues.
                if self.may_continue_later(ledger, total, meter).await? {
                    return Ok(Settlement::Waits);
                }
                self.billed_by_meter(handle, meter, total, now).await?
            }
            None => self.billed(handle, total, now).await?,
        };
        let Some(billed) = billed else {
            return Ok(Settlement::Waits);
        };
        let settle = Event::Settle {
            total: total.id,
            billed: billed.n,
            is_final: billed.is_final,
        };
        let answers = ledger.submit(vec![settle], now).await?;
        let Some(Ok(answer)) = answers.into_iter().next() else {
            return Ok(Settlement::Waits);
        };
        if let Answer::Settled { expected, billed } = answer
            && expected != billed
        {
            self.stripe().metrics().ledger_differences.inc();
            tracing::error!(
                org = %total.org, feature = %total.feature, item = %total.item, expected, billed,
                "Stripe has billed a quantity that differs from the ledger's"
            );
        }
        Ok(Settlement::Settled)
    }

    /// The quantity that Stripe billed for a total; `None` if that is not known yet.
    async fn billed(
        &self,
        handle: &LedgerHandle,
        total: &Total,
        now: Time,
    ) -> Result<Option<BilledQuantity>> {
        let summary = self.summary_of(total.item.as_str(), total.period).await;
        let is_removed = match summary {
            Ok(Some(summary)) => match summary.period.end.map(Time::from_seconds) {
                Some(end) if end <= now => {
                    return Ok(Some(BilledQuantity::finally(summary.total_usage)));
                }
                // A summary is open until it is invoiced, which may never happen if the subscription has ended.
                None if is_over(total, now) && self.longer_end(total, now).await?.is_none() => {
                    false
                }
                _ => return Ok(None),
            },
            // The subscription ended within the period, so Stripe has no summary of the period.
            Ok(None) => false,
            // The item was removed, or its price was changed to one that has no usage records.
            Err(error) if is_refusal(&error) => true,
            Err(error) => return Err(error.into()),
        };
        // The charge for a level of a removed item may have been credited, since the next item bills the level.
        if is_removed && total.aggregate.is_level() {
            return Ok(Some(BilledQuantity::finally(total.billable())));
        }
        // The invoice of the subscription's end, or of the change that removed the item, bills its usage.
        self.billed_on_invoices(handle, total, now).await
    }

    /// The quantity that Stripe billed for a total with a meter; `None` if that is not known yet. A line covers all items
    /// with its price, so what is missing is attributed to the newest totals that delivered as much.
    async fn billed_by_meter(
        &self,
        handle: &LedgerHandle,
        meter: &Meter,
        total: &Total,
        now: Time,
    ) -> Result<Option<BilledQuantity>> {
        let expected = total.billable();
        let period = total.period;
        let all = totals_beside(handle, total).await?.into_iter();
        let all = all.filter(|other| other.meter == total.meter);
        let (others, later): (Vec<Total>, Vec<Total>) =
            all.partition(|other| other.period.start == period.start);
        let is_undecided = |other: &Total| other.parked.is_none() && other.delivery.open.is_some();
        if others.iter().any(is_undecided) {
            return Ok(None);
        }
        let Some(lines) = self.lines_since(&meter.customer, period.start).await? else {
            // There is nothing to compare with.
            return Ok(Some(BilledQuantity::finally(expected)));
        };
        let mut billed = Billed::default();
        for BilledLine { line, invoice } in lines {
            let Some(price) = &line.price else {
                continue;
            };
            let is_of_meter = price.meter() == Some(&*meter.id) && line.amount >= 0;
            if !is_of_meter || !is_of_period(&line, total, &later) {
                continue;
            }
            // Stripe does not document whether the line of a price for packs counts units or packs.
            if price.transform_quantity.is_some() {
                return Ok(Some(BilledQuantity::finally(expected)));
            }
            // Invoices that were made earlier bill a part of the period.
            billed.add(&line, invoice, invoice.created >= period.end);
        }
        let recorded = others.iter().map(recorded);
        let recorded = recorded.fold(expected, i64::saturating_add);
        let is_over = is_over(total, now);
        if billed.n != recorded && !is_over && !(billed.is_complete && billed.is_final) {
            return Ok(None);
        }
        if billed.n < recorded && self.was_trial(&meter.customer, period).await? {
            return Ok(Some(BilledQuantity::finally(expected)));
        }
        let missing = missing_of(total, &others, recorded.saturating_sub(billed.n));
        Ok(Some(BilledQuantity {
            n: expected.saturating_sub(missing),
            is_final: billed.is_final,
        }))
    }

    /// The quantity that invoices of the org's customer bill for a total; `None` if that can still change.
    async fn billed_on_invoices(
        &self,
        handle: &LedgerHandle,
        total: &Total,
        now: Time,
    ) -> Result<Option<BilledQuantity>> {
        let Ok(org) = total.org.as_str().parse::<OrgName>() else {
            return Ok(Some(BilledQuantity::finally(0)));
        };
        let customer = match self.resolve_org(&org).await {
            Err(Error::OrgNotFound) => return Ok(Some(BilledQuantity::finally(0))),
            org => org?.customer,
        };
        let mut later = totals_beside(handle, total).await?;
        later.retain(|other| other.item == total.item && other.period.start > total.period.start);
        let lines = self.lines_since(&customer, total.period.start).await?;
        // The invoice that was made when the item began has a line of 0.
        let began = total.period.start.max(total.item_start);
        let mut billed = Billed::default();
        for BilledLine { line, invoice } in lines.into_iter().flatten() {
            if line.subscription_item.as_deref() == Some(total.item.as_str())
                && !line.proration
                && is_of_period(&line, total, &later)
            {
                billed.add(&line, invoice, invoice.created > began);
            }
        }
        let is_final = billed.is_complete && billed.is_final;
        let is_known = billed.n == total.billable() || is_final || is_over(total, now);
        Ok(is_known.then_some(BilledQuantity {
            n: billed.n,
            is_final,
        }))
    }
}

/// Whether a missing invoice is no longer waited for.
fn is_over(total: &Total, now: Time) -> bool {
    now >= total.period.end.plus(INVOICED_AFTER)
}

/// The part of the units that `total` and the `others` of its period miss on their bill which is attributed to `total`:
/// newer ones miss up to what was recorded on them, and the oldest one the rest. Negative if too much was billed.
fn missing_of(total: &Total, others: &[Total], missing: i64) -> i64 {
    let is_newest = others.iter().all(|other| other.id < total.id);
    if missing <= 0 {
        return if is_newest { missing } else { 0 };
    }
    let newer = others.iter().filter(|other| other.id > total.id);
    let newer = newer.map(|other| recorded(other).max(0));
    let rest = newer.fold(missing, i64::saturating_sub).max(0);
    let is_oldest = others.iter().all(|other| other.id > total.id);
    if is_oldest {
        rest
    } else {
        rest.min(recorded(total).max(0))
    }
}

/// The quantity that the ledger and other programs have recorded in Stripe.
fn recorded(total: &Total) -> i64 {
    match total.aggregate {
        Aggregate::Sum => total.delivery.delivered.saturating_add(total.external),
        Aggregate::Max | Aggregate::Last | Aggregate::Perpetual => total.delivery.delivered,
    }
}

/// The other totals of the org's feature, in periods that begin with that of `total` or later.
async fn totals_beside(handle: &LedgerHandle, total: &Total) -> Result<Vec<Total>> {
    let (org, feature, start) = (total.org.clone(), total.feature.clone(), total.period.start);
    let mut all = handle
        .read(move |reader| reader.totals_since(&org, &feature, start))
        .await?;
    all.retain(|other| other.id != total.id);
    Ok(all)
}

/// Whether a line bills the period of `total`. A trial or a change of plan may have begun a new period within it, which is
/// that of one of the `later` totals.
fn is_of_period(line: &InvoiceLine, total: &Total, later: &[Total]) -> bool {
    let start = Time::from_seconds(line.period.start);
    total.period.contains(start) && !later.iter().any(|later| later.period.contains(start))
}
