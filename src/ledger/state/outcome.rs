//! Outcomes of sets, and of events of meters.

use super::super::values::Time;
use super::event::Outcome;
use super::total::{Check, TotalId};
use super::{Answer, Refusal, State};

impl State {
    pub(super) fn answered(
        &mut self,
        id: TotalId,
        number: u64,
        outcome: &Outcome,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let mut total = self.owned(id)?;
        let delivery = &mut total.delivery;
        let Some(open) = delivery.open.filter(|_| delivery.number == number) else {
            return Ok(Answer::Ignored);
        };
        match outcome {
            Outcome::Lost => return Ok(Answer::Done),
            Outcome::Unsent => {
                delivery.open = None;
                self.keep(total, now);
                return Ok(Answer::Done);
            }
            Outcome::Gone { is_new } => {
                if *is_new {
                    delivery.open = None;
                }
                delivery.sent = None;
                // The last invoice takes nothing, as the next one would.
                let last = total.period.end.plus(-1);
                total.item_end = Some(now.min(last));
                self.keep(total, now);
                return Ok(Answer::Done);
            }
            Outcome::Done => {
                if delivery.check == Check::AfterNext {
                    delivery.check = Check::BeforeNext;
                }
                total.tell(open);
            }
            Outcome::Ended => delivery.unsure = true,
            Outcome::Refused { .. } if delivery.unsure => {
                // The late part depends on Stripe's summary.
                delivery.check = Check::BeforeNext;
            }
            Outcome::Refused { reason, next } => {
                delivery.open = None;
                return Ok(self.refused(total, reason, next.as_ref(), now));
            }
        }
        total.delivery.open = None;
        total.delivery.changed = None;
        self.keep(total, now);
        Ok(Answer::Done)
    }
}
