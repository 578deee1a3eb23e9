//! Whether an event was counted that can no longer be repeated: the meter tells.

use super::super::values::{MINUTE, SECOND, Time};
use super::total::{OpenSet, Parked, Total, minute_of, told_after};
use super::{Answer, State};

/// Which minutes tell whether an event was counted.
pub(super) struct Question {
    /// Seconds.
    pub(super) start: i64,
    pub(super) end: i64,
    /// What the meter has counted in them if it was, and if it was not.
    with: i64,
    without: i64,
    /// Whether they are all from the beginning of the period.
    is_of_period: bool,
}

impl Question {
    pub(super) fn of(total: &Total, open: OpenSet) -> Self {
        let delivery = &total.delivery;
        let start = minute_of(open.timestamp);
        let in_minute = told_after(true, total.aggregate, delivery.in_minute, open.n);
        let minute = Self {
            start,
            end: start + MINUTE / SECOND,
            with: in_minute,
            without: delivery.in_minute,
            is_of_period: false,
        };
        if minute.with != minute.without {
            return minute;
        }
        // A level of 0 that is alone in its minute. The last one up to there is that, or the one before.
        Self {
            start: minute_of(total.period.start.seconds()),
            with: open.n,
            without: delivery.told,
            is_of_period: true,
            ..minute
        }
    }
}

impl State {
    /// Applies the summary that tells whether an event was counted that can no longer be repeated.
    pub(super) fn decide(
        &mut self,
        mut total: Total,
        open: OpenSet,
        value: i64,
        now: Time,
    ) -> Answer {
        let question = Question::of(&total, open);
        let is_shared = if question.is_of_period {
            self.shares_meter(&total)
        } else {
            self.shares_minute(&total, open)
        };
        if value == question.with && !is_shared {
            total.tell(open);
        } else if value != question.without {
            total.delivery.unsure = true;
            total.parked = Some(Parked {
                reason: "what the meter has counted when an event was sent is neither with it nor without it".into(),
                since: now,
            });
        }
        total.delivery.open = None;
        self.keep(total, now);
        Answer::Done
    }

    /// Whether the minute of the event may have events of another total: of the period before or after, or of another item
    /// with the same price.
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
