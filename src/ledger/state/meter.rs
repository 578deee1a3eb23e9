//! Delivery to billing meters, by events.
//!
//! An event carries a part of a sum, or a level. It is numbered and stored before it is handed out, and repeated
//! unchanged: Stripe counts one event with its identifier within 24 hours. Nothing newer is sent for the total until
//! its outcome is known. Once it can no longer be repeated, it is [decided](super::decide) whether Stripe has counted
//! it.

use super::super::values::{Aggregate, HOUR, MINUTE, Meter, Target, Time};
use super::decide::Question;
use super::deliver::{REPEATABLE, URGENT, has_passed, read};
use super::event::{MeterEvent, Move, Seal, Sealed, Summed};
use super::total::{
    Check, Comparison, LARGEST_ON_METER, OpenSet, Parked, Total, TotalId, minute_of,
};
use super::{Answer, Refusal, State};

/// How long after a period's end its events still count. Stripe finalizes its invoice an hour after the end.
const COUNTED_FOR: i64 = 55 * MINUTE;
/// How long after an event's last repetition the summary of its minute shows whether Stripe has counted it.
const DECIDED_AFTER: i64 = HOUR;
/// How long after the last event Stripe's total is compared with the ledger's. Stripe sets no limit to the time that it
/// takes to process an event.
const COMPARED_AFTER: i64 = 5 * MINUTE;
/// The minimum time between two events of a total, so that no two are in one minute.
const GAP: i64 = MINUTE;
/// The time between two attempts to continue a level in the next period.
const CONTINUE_AGAIN: i64 = 10 * MINUTE;
/// The same, once the period has been over for [`OFTEN_FOR`]. An org that does not pay may have no next period for months.
const CONTINUE_LATER: i64 = HOUR;
/// How long after a period's end its levels are continued without much delay.
const OFTEN_FOR: i64 = 72 * HOUR;

/// What a total with a meter needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    /// Read the quantity that Stripe has on the item.
    Adopt,
    /// Send an event.
    Send,
    /// Repeat the last event.
    Repeat,
    /// Wait until it can be found out whether Stripe has counted the last event.
    Wait,
    /// Read whether Stripe has counted the last event.
    Decide,
    /// Read how much of the total Stripe has counted, because it has dropped events.
    Compare,
    /// Move usage that is too late for the period.
    MoveLate,
    /// Continue the level in the next period.
    Continue,
}

impl Step {
    fn of(total: &Total, now: Time) -> Self {
        if let Some(open) = total.delivery.open {
            let end = repeatable_until(total, open);
            return if now < end {
                Self::Repeat
            } else if now < end.plus(DECIDED_AFTER) {
                Self::Wait
            } else {
                Self::Decide
            };
        }
        // The preview is that of the running period.
        if !total.adopted && now < total.period.end {
            return Self::Adopt;
        }
        // After that, settlement compares.
        if total.delivery.check == Check::BeforeNext && now < counted_until(total) {
            let compared = total.delivery.compared.map(|compared| compared.at);
            let is_due = is_comparable(total, now) && has_passed(compared, COMPARED_AFTER, now);
            return if is_due { Self::Compare } else { Self::Wait };
        }
        Self::without_comparison(total, now)
    }

    /// The step before a change of the org's plan. If there is nothing to send, the change does not wait for a
    /// comparison.
    fn for_plan_change(total: &Total, now: Time) -> Self {
        match Self::of(total, now) {
            Self::Compare | Self::Wait if !total.is_undelivered() => {
                Self::without_comparison(total, now)
            }
            step => step,
        }
    }

    fn for_seal(total: &Total, seal: &Seal, now: Time) -> Self {
        match seal.org {
            Some(_) => Self::for_plan_change(total, now),
            None => Self::of(total, now),
        }
    }

    fn without_comparison(total: &Total, now: Time) -> Self {
        if total.needs_set() {
            return if now < counted_until(total) {
                Self::Send
            } else {
                Self::MoveLate
            };
        }
        if may_continue(total) && now >= total.period.end {
            Self::Continue
        } else {
            Self::Nothing
        }
    }
}

/// Until when events of the total's period count.
fn counted_until(total: &Total) -> Time {
    match total.item_end {
        Some(end) if end < total.period.end => end,
        _ => total.period.end.plus(COUNTED_FOR),
    }
}

fn repeatable_until(total: &Total, open: OpenSet) -> Time {
    open.since.plus(REPEATABLE).min(counted_until(total))
}

/// Whether the total has a level that its meter loses at the end of the period.
pub(super) fn may_continue(total: &Total) -> bool {
    total.meter.is_some() && total.aggregate == Aggregate::Perpetual && total.n != 0
}

/// Whether the next step of a total with a meter is due.
pub(super) fn is_due(total: &Total, seal: &Seal, now: Time) -> bool {
    let step = Step::for_seal(total, seal, now);
    if let Some(org) = &seal.org {
        // A plan change does not wait for usage that moves to another period.
        let concerns = match step {
            Step::Nothing | Step::MoveLate | Step::Continue => false,
            Step::Repeat => now < total.period.end,
            _ => true,
        };
        return total.org == *org && concerns;
    }
    let delivery = &total.delivery;
    let is_urgent = now >= total.end().plus(-URGENT);
    let may_follow = has_passed(delivery.sent, GAP, now);
    match step {
        Step::Nothing | Step::Wait => false,
        Step::Compare => true,
        Step::Adopt | Step::Send => {
            is_urgent || may_follow && has_passed(delivery.changed, seal.deliver_after, now)
        }
        Step::Repeat | Step::Decide | Step::MoveLate => may_follow,
        Step::Continue => {
            let since = delivery.sent.filter(|sent| *sent >= total.period.end);
            let is_later = now >= total.period.end.plus(OFTEN_FOR);
            let wait = if is_later {
                CONTINUE_LATER
            } else {
                CONTINUE_AGAIN
            };
            has_passed(since, wait, now)
        }
    }
}

/// Whether the only step left is to continue the total's level.
pub(super) fn is_to_continue(total: &Total, now: Time) -> bool {
    total.meter.is_some() && Step::of(total, now) == Step::Continue
}

/// Whether the open event of the total can neither be repeated nor be on its way to Stripe.
pub(super) fn is_decidable(total: &Total, open: OpenSet, now: Time) -> bool {
    now >= repeatable_until(total, open).plus(DECIDED_AFTER)
}

/// Whether Stripe has had the time to process all events of the total.
pub(super) fn is_comparable(total: &Total, now: Time) -> bool {
    has_passed(total.delivery.sent, COMPARED_AFTER, now)
}

impl State {
    /// Whether a newer total has taken over the total's level already.
    pub(super) fn has_continued(&self, total: &Total, now: Time) -> bool {
        let newest = || self.totals_of(&total.org, &total.feature).pop();
        is_to_continue(total, now) && newest().is_none_or(|newest| newest.id != total.id)
    }

    pub(super) fn hand_out_event(
        &mut self,
        mut total: Total,
        meter: &Meter,
        seal: &Seal,
        now: Time,
        sealed: &mut Sealed,
    ) {
        match Step::for_seal(&total, seal, now) {
            Step::Nothing => return,
            Step::Wait => {
                // A plan change does not wait for an item or a period that is over.
                sealed.waiting += usize::from(now < total.end());
                return;
            }
            Step::Adopt => sealed.summaries.push(read(&total, Summed::Preview)),
            Step::Decide => {
                if let Some(open) = total.delivery.open {
                    let Question { start, end, .. } = Question::of(&total, open);
                    let meter = meter.clone();
                    let minutes = Summed::Minutes { meter, start, end };
                    sealed.summaries.push(read(&total, minutes));
                }
            }
            Step::Compare => {
                let period = Summed::Period(meter.clone());
                sealed.summaries.push(read(&total, period));
                let value = total.delivery.compared.and_then(|compared| compared.value);
                total.delivery.compared = Some(Comparison { at: now, value });
                return self.put_total(total, now);
            }
            step @ (Step::MoveLate | Step::Continue) => sealed.moves.push(Move {
                total: total.id,
                org: total.org.clone(),
                feature: total.feature.clone(),
                is_late: step == Step::MoveLate,
            }),
            Step::Send if total.aggregate.is_level() && total.n > LARGEST_ON_METER => {
                total.parked = Some(Parked {
                    reason: "a meter takes no value of more than 15 digits".into(),
                    since: now,
                });
            }
            Step::Send => {
                seal_event(&mut total, seal.date, now);
                sealed.events.extend(event(&total, meter));
            }
            Step::Repeat => {
                total.delivery.attempts = total.delivery.attempts.max(1) + 1;
                sealed.events.extend(event(&total, meter));
            }
        }
        total.delivery.sent = Some(now);
        self.put_total(total, now);
    }

    /// Moves usage that is too late for its period to the feature's current target `next`, or parks it.
    pub(super) fn too_late(
        &mut self,
        id: TotalId,
        next: Option<&Target>,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let total = self.total_by_id(id)?;
        if total.meter.is_none() || Step::of(&total, now) != Step::MoveLate {
            return Ok(Answer::Ignored);
        }
        if let Some(next) = next {
            self.check_plan(next)?;
            if next.item == total.item && next.period == total.period {
                // A scheduled change has not removed the item, or was taken back.
                let item_end = next.item_end;
                self.put_total(Total { item_end, ..total }, now);
                return Ok(Answer::Done);
            }
        }
        let is_gone = total.item_end.is_some_and(|end| end < total.period.end);
        let reason = if is_gone {
            "the subscription item is gone"
        } else {
            "the period's invoice can no longer take it"
        };
        let reason = reason.into();
        Ok(self.refused(total, &reason, next, now))
    }

    /// Begins a new period of a level that its meter has lost.
    pub(super) fn continue_level(
        &mut self,
        id: TotalId,
        target: &Target,
        now: Time,
    ) -> Result<Answer, Refusal> {
        let total = self.total_by_id(id)?;
        self.check_plan(target)?;
        if !may_continue(&total) || target.period.start <= total.period.start {
            return Ok(Answer::Ignored);
        }
        let draft = self.open(target, target.period, now)?;
        if !draft.has_entries() {
            return Ok(Answer::Ignored);
        }
        self.write(draft, now);
        Ok(Answer::Done)
    }
}

/// Makes the total's next event.
fn seal_event(total: &mut Total, date: Time, now: Time) {
    let timestamp = timestamp(total, date);
    let n = match total.aggregate {
        Aggregate::Sum => total.n.saturating_sub(total.delivery.delivered),
        Aggregate::Max | Aggregate::Last | Aggregate::Perpetual => total.n,
    };
    let delivery = &mut total.delivery;
    if delivery.timestamp.map(minute_of) != Some(minute_of(timestamp)) {
        delivery.in_minute = 0;
    }
    delivery.number += 1;
    delivery.attempts = 1;
    delivery.timestamp = Some(timestamp);
    delivery.open = Some(OpenSet {
        n: n.clamp(-LARGEST_ON_METER, LARGEST_ON_METER),
        timestamp,
        since: now,
    });
}

/// The second of the next event: now, within the period, and not before the last event. The last level counts, so each
/// level gets a later second than the one before, as long as the period has one left.
fn timestamp(total: &Total, date: Time) -> i64 {
    let first = total.period.start.max(total.item_start).seconds() + 1;
    let last = total.end().seconds() - 1;
    let earliest = match total.delivery.timestamp {
        Some(before) => before + i64::from(total.aggregate.is_level()),
        None => first,
    };
    let is_late = date.seconds() > last && total.aggregate.is_level();
    let wanted = if is_late { earliest } else { date.seconds() };
    wanted.max(earliest).min(last)
}

fn event(total: &Total, meter: &Meter) -> Option<MeterEvent> {
    let (open, number) = (total.delivery.open?, total.delivery.number);
    Some(MeterEvent {
        total: total.id,
        number,
        org: total.org.clone(),
        feature: total.feature.clone(),
        item: total.item.clone(),
        meter: meter.clone(),
        is_new: total.delivery.attempts == 1,
        period_end: total.period.end,
        value: open.n,
        timestamp: open.timestamp,
        // The time distinguishes it from an event of an earlier ledger that was lost.
        identifier: format!(
            "{}:{}:{number}:{}",
            total.item,
            total.period.start.seconds(),
            open.since.millis()
        ),
    })
}
