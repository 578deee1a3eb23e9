//! Usage that Stripe refuses. Late usage moves into the next period; other usage is parked until an operator decides.

use std::sync::Arc;

use super::super::values::{Aggregate, Target, Time};
use super::open::Draft;
use super::total::{Check, EntryKind, Parked, Total, TotalId};
use super::{Answer, Refusal, State};

impl State {
    /// Handles a permanent refusal of the last set of `total`. `next` is the feature's current target, if there is a
    /// period that can take late usage.
    pub(super) fn refused(
        &mut self,
        total: Total,
        reason: &Arc<str>,
        next: Option<&Target>,
        now: Time,
    ) -> Answer {
        let n = total.n - total.delivery.delivered;
        if n < 0 && total.n == 0 && self.has_moved(&total) {
            return self.give_up_moved(total, now);
        }
        if let Some(next) = next
            && let Some(answer) = self.carry_on_meter(&total, next, now)
        {
            return answer;
        }
        let later = next.filter(|next| {
            let is_moved = total.aggregate == Aggregate::Sum && next.item != total.item;
            is_moved || next.period.start > total.period.start
        });
        if let Some(draft) = later.and_then(|next| self.move_late(&total, next, now).ok()) {
            self.write(draft, now);
            return Answer::Late { n, parked: false };
        }
        let parked = Parked {
            reason: reason.clone(),
            since: now,
        };
        self.put_total(
            Total {
                parked: Some(parked),
                ..total
            },
            now,
        );
        Answer::Late { n, parked: true }
    }

    /// Moves a level to the item that its feature has now in the same period. `None`: it does not move.
    fn carry_on_meter(&mut self, total: &Total, next: &Target, now: Time) -> Option<Answer> {
        let is_same_period = next.period.start == total.period.start;
        let moves = total.aggregate.is_level() && next.item != total.item && is_same_period;
        if total.meter.is_none() || !moves {
            return None;
        }
        self.put_total(total.clone(), now);
        let draft = self.open(next, next.period, now).ok()?;
        if !draft.totals.iter().any(|carried| carried.id == total.id) {
            return None;
        }
        self.write(draft, now);
        let n = total.n;
        Some(Answer::Late { n, parked: false })
    }

    /// Moves undelivered usage into the target's period. A `max` or `last` level has no meaning in the next period, so
    /// it is not moved.
    fn move_late(&self, total: &Total, next: &Target, now: Time) -> Result<Draft, Refusal> {
        let delivered = total.delivery.delivered;
        let n = total.n - delivered;
        let mut draft = self.open(next, next.period, now)?;
        let index = draft.totals.len();
        let at = total.period.end;
        match total.aggregate {
            Aggregate::Sum => {
                draft.totals.push(total.clone());
                draft.enter(index, EntryKind::LateOut, -n, at)?;
                draft.enter(0, EntryKind::LateIn, n, now)?;
            }
            // The running period has the level already, and only needs to deliver it.
            Aggregate::Perpetual => {
                let main = draft.main();
                if total.n != 0 && main.n == 0 {
                    // It is the level of a subscription that is over.
                    return Err(Refusal::OutsidePeriod);
                }
                // A meter has no level in a new period until one is sent.
                main.delivery.unsure |= main.meter.is_none();
                draft.totals.push(total.clone());
                draft.enter(index, EntryKind::CarryOut, delivered, at)?;
            }
            Aggregate::Max | Aggregate::Last => return Err(Refusal::OutsidePeriod),
        }
        Ok(draft)
    }

    /// Sends parked usage again.
    pub(super) fn retry(&mut self, id: TotalId, now: Time) -> Result<Answer, Refusal> {
        let mut total = self.total_by_id(id)?;
        total.parked.take().ok_or(Refusal::NotParked)?;
        total.delivery.sent = None;
        if total.meter.is_some() {
            total.delivery.unsure = false;
        }
        self.put_total(total, now);
        Ok(Answer::Done)
    }

    /// Writes parked usage off: the total becomes the delivered quantity.
    pub(super) fn write_off(&mut self, id: TotalId, now: Time) -> Result<Answer, Refusal> {
        let mut total = self.total_by_id(id)?;
        total.parked.take().ok_or(Refusal::NotParked)?;
        total.delivery.unsure = false;
        total.delivery.check = Check::No;
        let delivered = total.delivery.delivered;
        let mut draft = Draft::of(total);
        draft.enter(0, EntryKind::WriteOff, delivered, now)?;
        self.write(draft, now);
        Ok(Answer::Done)
    }

    /// Whether another item of the feature has taken over the total's level.
    fn has_moved(&self, total: &Total) -> bool {
        let mut others = self.totals_of(&total.org, &total.feature).into_iter();
        let is_later = |other: &Total| other.id > total.id && other.item != total.item;
        total.aggregate.is_level() && others.any(is_later)
    }

    /// Stops delivery to an item that no longer exists and whose level has moved to another item. Its bill can no
    /// longer change.
    fn give_up_moved(&mut self, mut total: Total, now: Time) -> Answer {
        total.delivery.delivered = 0;
        total.delivery.unsure = false;
        total.delivery.check = Check::No;
        self.put_total(total, now);
        Answer::Late {
            n: 0,
            parked: false,
        }
    }
}
