//! Events that Stripe accepted and dropped later. Its report names a few of them; the meter's summary shows the
//! quantity.

use super::super::values::{Aggregate, Time};
use super::total::{Check, Parked, Total, TotalId};
use super::{Answer, Refusal, State};

impl State {
    /// Requests that the meter's summary is compared with the total before anything else is sent for it.
    pub(super) fn dropped(&mut self, id: TotalId, now: Time) -> Result<Answer, Refusal> {
        let mut total = self.total_by_id(id)?;
        if total.meter.is_none() || total.delivery.number == 0 || !is_live(&total) {
            return Ok(Answer::Ignored);
        }
        total.delivery.check = Check::BeforeNext;
        self.put_total(total, now);
        Ok(Answer::Done)
    }

    /// Parks the part of a total that the meter has not counted. `value` is the meter's summary, read after Stripe had
    /// time to process all events. Usage is parked once two summaries in a row lack it. `None`: there is no summary,
    /// so the settlement decides.
    pub(super) fn counted(
        &mut self,
        id: TotalId,
        number: u64,
        value: Option<i64>,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let mut total = self.total_by_id(id)?;
        let delivery = &mut total.delivery;
        let is_requested = delivery.compared.is_some() && delivery.open.is_none();
        if !is_requested || delivery.number != number || !is_live(&total) {
            return Ok(Answer::Ignored);
        }
        let delivered = total.delivery.delivered;
        let has = value.map_or(delivered, |value| match total.aggregate {
            Aggregate::Sum => value.saturating_sub(total.external).max(0),
            Aggregate::Max | Aggregate::Last | Aggregate::Perpetual => value,
        });
        let lacks = match total.aggregate {
            Aggregate::Sum | Aggregate::Max => has < delivered,
            // Without a level, it may have moved to another item.
            Aggregate::Last | Aggregate::Perpetual => delivered != 0 && has != delivered,
        };
        // If another item shares the meter, its usage cannot be told apart: settlement decides.
        let is_lost = lacks && !self.shares_meter(&total);
        if is_lost
            && let Some(compared) = &mut total.delivery.compared
            && compared.value != value
        {
            compared.value = value;
            self.put_total(total, now);
            return Ok(Answer::Done);
        }
        total.delivery.check = Check::No;
        if !is_lost {
            self.put_total(total, now);
            return Ok(Answer::Done);
        }
        let reason = "Stripe has accepted it, and has dropped it";
        park_dropped(&mut total, has, reason, now);
        // Stripe sets no limit to its delay and may still count it, so only an operator may have it sent again.
        total.delivery.unsure = true;
        let n = total.n - total.delivery.delivered;
        self.put_total(total, now);
        Ok(Answer::Late { n, parked: true })
    }

    /// Whether another item of the feature has the total's meter at the same time.
    pub(super) fn shares_meter(&self, total: &Total) -> bool {
        let mut others = self.totals_of(&total.org, &total.feature).into_iter();
        others.any(|other| {
            let is_other = other.id != total.id && other.meter == total.meter;
            is_other
                && other.period.start < total.period.end
                && total.period.start < other.period.end
        })
    }
}

fn is_live(total: &Total) -> bool {
    total.parked.is_none() && total.settled.is_none()
}

/// Parks usage that Stripe accepted and does not bill. `has` is the quantity that it bills.
pub(super) fn park_dropped(total: &mut Total, has: i64, reason: &str, now: Time) {
    total.delivery.delivered = has;
    total.parked = Some(Parked {
        reason: reason.into(),
        since: now,
    });
}
