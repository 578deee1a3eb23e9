//! Events that Stripe has accepted and dropped later: its report names a few of them, and the meter tells how much it lacks.

use super::super::values::{Aggregate, Time};
use super::total::{Check, Parked, Total, TotalId};
use super::{Answer, Refusal, State};

impl State {
    /// Has what the meter has counted of a total compared before anything else is sent for it.
    pub(super) fn dropped(&mut self, id: TotalId, now: Time) -> Result<Answer, Refusal> {
        let mut total = self.owned(id)?;
        if total.meter.is_none() || total.delivery.number == 0 || !is_live(&total) {
            return Ok(Answer::Ignored);
        }
        total.delivery.check = Check::BeforeNext;
        self.keep(total, now);
        Ok(Answer::Done)
    }

    /// Parks what the meter has not counted of a total. `value` was read when Stripe had had the time to process all of it;
    /// if it is missed, it must be read twice. None: it cannot be read, so the settlement decides.
    pub(super) fn counted(
        &mut self,
        id: TotalId,
        number: u64,
        value: Option<i64>,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let mut total = self.owned(id)?;
        let delivery = &mut total.delivery;
        let is_asked = delivery.compared.is_some() && delivery.open.is_none();
        if !is_asked || delivery.number != number || !is_live(&total) {
            return Ok(Answer::Ignored);
        }
        let told = total.delivery.told;
        let has = value.map_or(told, |value| match total.aggregate {
            Aggregate::Sum => value.saturating_sub(total.others).max(0),
            Aggregate::Max | Aggregate::Last | Aggregate::Perpetual => value,
        });
        let lacks = match total.aggregate {
            Aggregate::Sum | Aggregate::Max => has < told,
            // Without a level, it may have moved to another item.
            Aggregate::Last | Aggregate::Perpetual => told != 0 && has != told,
        };
        // Settlement decides about what cannot be told apart from another item's.
        let is_lost = lacks && !self.shares_meter(&total);
        if is_lost
            && let Some(compared) = &mut total.delivery.compared
            && compared.value != value
        {
            compared.value = value;
            self.keep(total, now);
            return Ok(Answer::Done);
        }
        total.delivery.check = Check::No;
        if !is_lost {
            self.keep(total, now);
            return Ok(Answer::Done);
        }
        let reason = "Stripe has accepted it, and has dropped it";
        park_dropped(&mut total, has, reason, now);
        // Stripe gives no bound for its delay, and may count it yet: only a person has it sent again.
        total.delivery.unsure = true;
        let n = total.n - total.delivery.told;
        self.keep(total, now);
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

/// Parks what Stripe has accepted and does not bill. `has` is what it bills.
pub(super) fn park_dropped(total: &mut Total, has: i64, reason: &str, now: Time) {
    total.delivery.told = has;
    total.parked = Some(Parked {
        reason: reason.into(),
        since: now,
    });
}
