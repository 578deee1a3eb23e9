//! Decides, from a meter's summary, whether Stripe has counted an event that can no longer be repeated.

use super::super::values::{MINUTE, SECOND, Time};
use super::total::{OpenSet, Parked, Total, delivered_after, minute_of};
use super::{Answer, State};

/// The minutes whose summary shows whether an event was counted.
pub(super) struct Question {
    /// The first second, and the first second after the end.
    pub(super) start: i64,
    pub(super) end: i64,
    /// The summary if the event was counted, and if it was not.
    if_counted: i64,
    if_not: i64,
    /// Whether these are all minutes since the beginning of the period.
    is_since_start: bool,
}

impl Question {
    pub(super) fn of(total: &Total, open: OpenSet) -> Self {
        let delivery = &total.delivery;
        let start = minute_of(open.timestamp);
        let in_minute = delivered_after(true, total.aggregate, delivery.in_minute, open.n);
        let minute = Self {
            start,
            end: start + MINUTE / SECOND,
            if_counted: in_minute,
            if_not: delivery.in_minute,
            is_since_start: false,
        };
        if minute.if_counted != minute.if_not {
            return minute;
        }
        // A level of 0 that is alone in its minute leaves no trace there. The last level since the period's start
        // shows it.
        Self {
            start: minute_of(total.period.start.seconds()),
            if_counted: open.n,
            if_not: delivery.delivered,
            is_since_start: true,
            ..minute
        }
    }
}

impl State {
    /// Applies the summary `value`, which shows whether Stripe has counted the event `open`.
    pub(super) fn decide(
        &mut self,
        mut total: Total,
        open: OpenSet,
        value: i64,
        now: Time,
    ) -> Answer {
        let question = Question::of(&total, open);
        let is_shared = if question.is_since_start {
            self.shares_meter(&total)
        } else {
            self.shares_minute(&total, open)
        };
        if value == question.if_counted && !is_shared {
            total.record_delivered(open);
        } else if value != question.if_not {
            total.delivery.unsure = true;
            total.parked = Some(Parked {
                reason: "what the meter has counted when an event was sent is neither with it nor without it".into(),
                since: now,
            });
        }
        total.delivery.open = None;
        self.put_total(total, now);
        Answer::Done
    }

    /// Whether the minute of the event may have events of another total: of the period before or after, or of another
    /// item with the same price.
    fn shares_minute(&self, total: &Total, open: OpenSet) -> bool {
        let minute = minute_of(open.timestamp);
        let others = self.totals_of(&total.org, &total.feature).into_iter();
        let mut others = others.filter(|other| other.id != total.id && other.meter == total.meter);
        others.any(|other| {
            let start = other.period.start.max(other.item_start);
            let is_last = other.delivery.timestamp.map(minute_of) == Some(minute);
            let may_be_first = other.delivery.number > 0 && minute_of(start.seconds()) == minute;
            is_last || may_be_first
        })
    }
}
