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
        let mut total = self.total_by_id(id)?;
        let delivery = &mut total.delivery;
        let Some(open) = delivery.open.filter(|_| delivery.number == number) else {
            return Ok(Answer::Ignored);
        };
        // It was handed out more than once, or by a tier version that did not count attempts: an earlier sender may
        // have sent it.
        let may_be_sent = total.meter.is_some() && delivery.attempts != 1;
        match outcome {
            Outcome::Lost => return Ok(Answer::Done),
            Outcome::Unsent | Outcome::Refused { .. } if may_be_sent => return Ok(Answer::Done),
            Outcome::Unsent => {
                delivery.open = None;
                self.put_total(total, now);
                return Ok(Answer::Done);
            }
            // Late usage is handled once its period can no longer take it.
            Outcome::Gone if may_be_sent && now >= total.period.end => return Ok(Answer::Done),
            Outcome::Gone => {
                if !may_be_sent {
                    delivery.open = None;
                    delivery.sent = None;
                }
                // With an end within the period, nothing counts with it later.
                let last = total.period.end.plus(-1);
                total.item_end = Some(now.min(last));
                self.put_total(total, now);
                return Ok(Answer::Done);
            }
            Outcome::Done => {
                if delivery.check == Check::AfterNext {
                    delivery.check = Check::BeforeNext;
                }
                total.record_delivered(open);
            }
            Outcome::Ended => delivery.unsure = true,
            Outcome::Refused { .. } if delivery.unsure => {
                // Stripe's summary shows how much of it is late.
                delivery.check = Check::BeforeNext;
            }
            Outcome::Refused { reason, next } => {
                delivery.open = None;
                return Ok(self.refused(total, reason, next.as_ref(), now));
            }
        }
        total.delivery.open = None;
        total.delivery.changed = None;
        self.put_total(total, now);
        Ok(Answer::Done)
    }
}
