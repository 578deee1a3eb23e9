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
        // It was handed out more than once, or by a version that did not count: one that had it before may have sent it.
        let may_be_sent = total.meter.is_some() && delivery.attempts != 1;
        match outcome {
            Outcome::Lost => return Ok(Answer::Done),
            Outcome::Unsent | Outcome::Refused { .. } if may_be_sent => return Ok(Answer::Done),
            Outcome::Unsent => {
                delivery.open = None;
                self.keep(total, now);
                return Ok(Answer::Done);
            }
            // What is late is decided when its period no longer takes it.
            Outcome::Gone if may_be_sent && now >= total.period.end => return Ok(Answer::Done),
            Outcome::Gone => {
                if !may_be_sent {
                    delivery.open = None;
                    delivery.sent = None;
                }
                // With an end within the period, nothing counts with it later.
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
