//! Stripe's summaries: adoption of items that have usage, usage that other programs recorded, and sets with a lost
//! outcome.

use super::super::values::{Aggregate, Time};
use super::deliver::is_stale;
use super::meter;
use super::open::Draft;
use super::total::{Check, EntryKind, Parked, Total, TotalId};
use super::{Answer, Refusal, State};

impl State {
    /// Applies a summary. `number` is the last set's number when the read began. A summary that was read while a set
    /// was in flight may or may not include it, and is ignored.
    pub(super) fn summary(
        &mut self,
        id: TotalId,
        number: u64,
        value: i64,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let mut total = self.total_by_id(id)?;
        if total.delivery.number != number {
            return Ok(Answer::Ignored);
        }
        if total.meter.is_some() {
            return self.summary_on_meter(total, value, now);
        }
        let open = total.delivery.open;
        if open.is_some_and(|open| !is_stale(open, now)) {
            return Ok(Answer::Ignored);
        }
        if open.is_some() {
            return Ok(self.abandon_set(total, now));
        }
        if !total.adopted {
            return self.adopt(total, value, now);
        }
        if total.delivery.unsure {
            return Ok(self.resolve(total, value, now));
        }
        total.delivery.check = Check::No;
        let answer = compare(&mut total, value);
        self.put_total(total, now);
        Ok(answer)
    }

    fn summary_on_meter(
        &mut self,
        mut total: Total,
        value: i64,
        now: Time,
    ) -> Result<Answer, Refusal> {
        match total.delivery.open {
            Some(open) if meter::is_decidable(&total, open, now) => {
                return Ok(self.decide(total, open, value, now));
            }
            Some(_) => return Ok(Answer::Ignored),
            None => {}
        }
        if !total.adopted {
            return self.adopt_on_meter(total, value, now);
        }
        // During a comparison, dropped usage would look as if other programs had recorded less.
        let is_compared = total.delivery.check == Check::BeforeNext;
        if total.aggregate != Aggregate::Sum || is_compared || !meter::is_comparable(&total, now) {
            return Ok(Answer::Ignored);
        }
        let answer = compare(&mut total, value);
        self.put_total(total, now);
        Ok(answer)
    }

    /// Adopts what a meter had counted before the ledger's first event. A level becomes the ledger's, since a meter has
    /// only the last level.
    fn adopt_on_meter(
        &mut self,
        mut total: Total,
        value: i64,
        now: Time,
    ) -> Result<Answer, Refusal> {
        total.adopted = true;
        total.delivery.sent = None;
        if total.aggregate == Aggregate::Sum {
            total.external = value;
            self.put_total(total, now);
            return Ok(Answer::Done);
        }
        total.delivery.delivered = value;
        let level = match total.aggregate {
            Aggregate::Max => total.n.max(value),
            _ if total.has_level() => total.n,
            _ => value,
        };
        let is_new = level != total.n;
        let mut draft = Draft::of(total);
        if is_new {
            draft.enter(0, EntryKind::Adopt, level, now)?;
        }
        self.write(draft, now);
        Ok(Answer::Done)
    }

    /// Abandons a set that is so old that Stripe may have forgotten its key and that it can no longer be in flight. A
    /// newer set follows, and the summary is read again after that.
    fn abandon_set(&mut self, mut total: Total, now: Time) -> Answer {
        let delivery = &mut total.delivery;
        delivery.open = None;
        delivery.unsure = true;
        delivery.check = Check::AfterNext;
        delivery.sent = None;
        self.put_total(total, now);
        Answer::Done
    }

    /// Adopts the usage that an item had before the ledger's first delivery.
    fn adopt(&mut self, mut total: Total, value: i64, now: Time) -> Result<Answer, Refusal> {
        total.adopted = true;
        total.delivery.check = Check::No;
        total.delivery.sent = None;
        let has_level = total.has_level();
        match total.aggregate {
            // Usage that other programs recorded cannot be lowered.
            Aggregate::Sum | Aggregate::Max => total.external = value,
            // The next set overwrites it, even with 0.
            Aggregate::Last | Aggregate::Perpetual if has_level => {
                total.delivery.unsure = total.n != value;
            }
            Aggregate::Last | Aggregate::Perpetual if value != 0 => {
                total.delivery.delivered = value;
                let mut draft = Draft::of(total);
                draft.enter(0, EntryKind::Adopt, value, now)?;
                self.write(draft, now);
                return Ok(Answer::Done);
            }
            Aggregate::Last | Aggregate::Perpetual => {}
        }
        self.put_total(total, now);
        Ok(Answer::Done)
    }

    /// Resolves a set with a lost outcome that was followed by a refused set. The summary shows whether it was
    /// recorded. If the summary matches neither quantity, another program may have recorded too, and the total is
    /// parked for an operator.
    fn resolve(&mut self, mut total: Total, value: i64, now: Time) -> Answer {
        let delivery = &mut total.delivery;
        if delivery.check != Check::BeforeNext {
            return Answer::Ignored;
        }
        let delivered = match total.aggregate {
            Aggregate::Sum => value.saturating_sub(total.external),
            Aggregate::Max | Aggregate::Last | Aggregate::Perpetual => value,
        };
        let likely = total.n.min(delivery.delivered)..=total.n.max(delivery.delivered);
        if likely.contains(&delivered) {
            delivery.delivered = delivered;
            delivery.unsure = false;
        } else {
            total.parked = Some(Parked {
                reason: "what Stripe has recorded is not what it was told".into(),
                since: now,
            });
        }
        delivery.check = Check::No;
        delivery.sent = None;
        self.put_total(total, now);
        Answer::Done
    }
}

/// Compares a summary with the total. Every set has been answered, so another program recorded any difference.
fn compare(total: &mut Total, value: i64) -> Answer {
    let delivered = total.delivery.delivered;
    match total.aggregate {
        Aggregate::Sum => total.external = value.saturating_sub(delivered).max(0),
        Aggregate::Max => total.external = if value > delivered { value } else { 0 },
        Aggregate::Last | Aggregate::Perpetual if value != delivered => {
            total.delivery.moved = true;
            total.delivery.unsure = true;
            return Answer::Overwritten {
                found: value,
                delivered,
            };
        }
        Aggregate::Last | Aggregate::Perpetual => {}
    }
    Answer::Done
}
