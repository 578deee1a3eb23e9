//! Settlement: compares the usage of an ended period with what Stripe has billed for it.

use super::LedgerHandle;
use super::deliver::is_refusal;
use crate::billing::{InvoiceLine, InvoiceStatus};
use crate::domain::entitlement::UsageSnapshot;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Failure, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Answer, Event, Move, Total};
use crate::ledger::values::{Aggregate, HOUR, Meter, Time};

/// How long after a period's end its invoice is waited for. Invoices can be set to be drafts for 72 hours. A subscription
/// that was cancelled may have none.
const INVOICED_AFTER: i64 = 80 * HOUR;

impl Domain {
    /// Compares a total with what Stripe has billed. Returns false if that is not known yet.
    pub(super) async fn settle_total(
        &self,
        handle: &LedgerHandle,
        ledger: &Ledger,
        total: &Total,
        now: Time,
    ) -> Result<bool> {
        let billed = match &total.meter {
            Some(meter) => {
                if total.aggregate == Aggregate::Perpetual && total.n != 0 {
                    // Once it is settled, the total would no longer be checked for a level that continues.
                    let level = Move {
                        total: total.id,
                        org: total.org.clone(),
                        feature: total.feature.clone(),
                        is_late: false,
                    };
                    self.move_usage(ledger, &level).await?;
                }
                if self.runs_longer(total, now).await? {
                    return Ok(false);
                }
                self.billed_by_meter(handle, meter, total, now).await?
            }
            None => self.billed(handle, total, now).await?,
        };
        let Some(billed) = billed else {
            return Ok(false);
        };
        let settle = Event::Settle {
            total: total.id,
            billed,
        };
        let answers = ledger.submit(vec![settle], now).await?;
        if let Some(Ok(Answer::Settled { expected, billed })) = answers.into_iter().next()
            && expected != billed
        {
            self.stripe().metrics().ledger_differences.inc();
            tracing::error!(
                org = %total.org, feature = %total.feature, item = %total.item, expected, billed,
                "Stripe has billed a quantity that differs from the ledger's"
            );
        }
        Ok(true)
    }

    /// Whether the period has become longer, and has not ended. A trial that was extended does this.
    async fn runs_longer(&self, total: &Total, now: Time) -> Result<bool> {
        let names = (total.org.as_str().parse(), total.feature.as_str().parse());
        let (Ok(org), Ok(feature)) = names else {
            return Ok(false);
        };
        let usage = match self.entitlement::<UsageSnapshot>(&org).await {
            Err(Error::OrgNotFound) => return Ok(false),
            usage => usage?.value,
        };
        let target = usage.target(&org, &feature, now).ok();
        Ok(target.is_some_and(|target| {
            target.item == total.item
                && target.period.start == total.period.start
                && now < target.period.end
        }))
    }

    /// The quantity that Stripe billed for a total; `None` if its period has become longer, and has not ended.
    async fn billed(&self, handle: &LedgerHandle, total: &Total, now: Time) -> Result<Option<i64>> {
        let summary = self.summary_of(total.item.as_str(), total.period).await;
        let is_removed = match summary {
            Ok(Some(summary)) => {
                let end = summary.period.end.map(Time::from_seconds);
                let has_ended = end.is_some_and(|end| end <= now);
                return Ok(has_ended.then_some(summary.total_usage));
            }
            // The subscription ended within the period, so Stripe has no summary of the period.
            Ok(None) => false,
            // The item was removed, or its price was changed to one that has no usage records.
            Err(error) if is_refusal(&error) => true,
            Err(error) => return Err(error.into()),
        };
        // The charge for a level of a removed item may have been credited, since the next item bills the level.
        if is_removed && total.aggregate.is_level() {
            return Ok(Some(total.billable()));
        }
        // The invoice of the subscription's end, or of the change that removed the item, bills its usage.
        self.billed_on_invoices(handle, total, now).await
    }

    /// The quantity that Stripe billed for a total with a meter; `None` if it may still come. An invoice line covers all
    /// items with its price, so any difference is attributed to the newest total.
    async fn billed_by_meter(
        &self,
        handle: &LedgerHandle,
        meter: &Meter,
        total: &Total,
        now: Time,
    ) -> Result<Option<i64>> {
        let period = total.period;
        let all = totals_beside(handle, total).await?.into_iter();
        let all = all.filter(|other| other.meter == total.meter);
        let (others, later): (Vec<Total>, Vec<Total>) =
            all.partition(|other| other.period.start == period.start);
        if others.iter().any(|other| other.id > total.id) {
            return Ok(Some(total.billable()));
        }
        let Some(lines) = self.lines_since(&meter.customer, period.start).await? else {
            // There is nothing to compare with.
            return Ok(Some(total.billable()));
        };
        let is_over = now >= period.end.plus(INVOICED_AFTER);
        let mut billed = is_over.then_some(0_i64);
        for BilledLine { line, is_final } in lines {
            let Some(price) = line.price.filter(|price| price.meter() == Some(&*meter.id)) else {
                continue;
            };
            // Stripe does not document whether the line of such a price counts units or packs.
            if price.transform_quantity.is_some() {
                return Ok(Some(total.billable()));
            }
            let start = Time::from_seconds(line.period.start);
            if line.amount >= 0 && is_of_period(start, total, &later) {
                if !is_final && !is_over {
                    return Ok(None);
                }
                let quantity = line.quantity.unwrap_or(0);
                billed = Some(billed.unwrap_or(0).saturating_add(quantity));
            }
        }
        let recorded = |total: &Total| match total.aggregate {
            Aggregate::Sum => total.delivery.delivered.saturating_add(total.external),
            Aggregate::Max | Aggregate::Last | Aggregate::Perpetual => total.delivery.delivered,
        };
        let recorded = others.iter().map(recorded);
        Ok(billed.map(|billed| recorded.fold(billed, i64::saturating_sub)))
    }

    /// The quantity that invoices of the org's customer bill for a total; `None` if that can still change.
    async fn billed_on_invoices(
        &self,
        handle: &LedgerHandle,
        total: &Total,
        now: Time,
    ) -> Result<Option<i64>> {
        let Ok(org) = total.org.as_str().parse::<OrgName>() else {
            return Ok(Some(0));
        };
        let customer = match self.resolve_org(&org).await {
            Err(Error::OrgNotFound) => return Ok(Some(0)),
            org => org?.customer,
        };
        let mut later = totals_beside(handle, total).await?;
        later.retain(|other| other.item == total.item && other.period.start > total.period.start);
        let lines = self.lines_since(&customer, total.period.start).await?;
        let of_total = lines.into_iter().flatten().filter(|billed| {
            let line = &billed.line;
            let item = line.subscription_item.as_deref();
            let start = Time::from_seconds(line.period.start);
            item == Some(total.item.as_str())
                && !line.proration
                && is_of_period(start, total, &later)
        });
        let is_over = now >= total.period.end.plus(INVOICED_AFTER);
        let mut quantities = of_total.map(|billed| {
            let quantity = billed.line.quantity.unwrap_or(0);
            (billed.is_final || is_over).then_some(quantity)
        });
        Ok(quantities.try_fold(0_i64, |sum, quantity| Some(sum.saturating_add(quantity?))))
    }

    /// The lines of a customer's invoices since a time; `None` if Stripe no longer has the customer.
    async fn lines_since(&self, customer: &str, since: Time) -> Result<Option<Vec<BilledLine>>> {
        let invoices = self
            .billing()
            .customer_invoices_since(customer, since.seconds());
        let invoices = match invoices.await.map_err(|error| Failure::from(error).into()) {
            Err(Error::CustomerVanished { .. }) => return Ok(None),
            invoices => invoices?,
        };
        let lines = invoices.into_iter().flat_map(|invoice| {
            let is_final = !invoice.is(&InvoiceStatus::Draft);
            let lines = invoice.into_lines().into_iter();
            lines.map(move |line| BilledLine { line, is_final })
        });
        Ok(Some(lines.collect()))
    }
}

/// A line of an invoice.
struct BilledLine {
    line: InvoiceLine,
    /// Whether the invoice is finalized, so that the line can no longer change. A void invoice is too: its usage was
    /// billed, and somebody decided that it is not paid.
    is_final: bool,
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

/// Whether a line that begins at `start` bills the period of `total`. A trial or a change of plan may have begun a new
/// period within it, which is that of one of the `later` totals.
fn is_of_period(start: Time, total: &Total, later: &[Total]) -> bool {
    total.period.contains(start) && !later.iter().any(|later| later.period.contains(start))
}
