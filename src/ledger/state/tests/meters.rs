//! A model of Stripe's meters: each identifier counts once a day, and an event counts with its period until the
//! period's invoice is final.

use super::*;

/// How long after a period's end its invoice is a draft.
const DRAFT_FOR: i64 = HOUR;
/// How long Stripe remembers an identifier.
const KEPT_FOR: i64 = 24 * HOUR;

#[derive(Clone, Debug, Default)]
pub(super) struct Meters {
    received: Vec<(MeterEvent, Time)>,
    /// The identifiers of events that are not counted.
    dropped: HashSet<String>,
    /// Meters of removed items, and when those were removed.
    pub(super) removed: HashMap<Arc<str>, Time>,
}

impl Meters {
    /// Receives an event. `fails`: it answers 500; the value tells whether it counts the event first.
    pub(super) fn receive(&mut self, event: &MeterEvent, fails: Option<bool>, now: Time) -> u16 {
        let mut all = self.received.iter();
        let known =
            all.find(|(known, at)| known.identifier == event.identifier && now < at.plus(KEPT_FOR));
        if let Some((known, _)) = known {
            let first = |event: &MeterEvent| MeterEvent {
                is_new: false,
                ..event.clone()
            };
            assert_eq!(first(known), first(event), "a repetition differs");
        } else if fails != Some(false) {
            self.received.push((event.clone(), now));
        }
        if fails.is_some() { 500 } else { 200 }
    }

    /// Drops the event that was received last, if the ledger has sent it, and returns its total and value. A
    /// repetition is ignored.
    pub(super) fn drop_last(&mut self) -> Option<(TotalId, i64)> {
        let (last, _) = self.received.last()?;
        let is_new = last.number != 0 && self.dropped.insert(last.identifier.clone());
        is_new.then_some((last.total, last.value))
    }

    /// How many units of a total were taken back.
    pub(super) fn refunds(&self, total: TotalId) -> i64 {
        let events = self.received.iter();
        let refunds = events.filter(|(event, _)| event.total == total && event.value < 0);
        refunds.map(|(event, _)| -event.value).sum()
    }

    /// Counts the dropped events after all.
    pub(super) fn process_all(&mut self) {
        self.dropped.clear();
    }

    /// The summary of a meter's events whose timestamps, in seconds, are in a range.
    pub(super) fn counted(
        &self,
        meter: &Meter,
        seconds: std::ops::Range<i64>,
        aggregate: Aggregate,
    ) -> i64 {
        self.sum(meter, aggregate, |event, _| {
            seconds.contains(&event.timestamp)
        })
    }

    /// What the invoice of a period bills.
    pub(super) fn billed(&self, meter: &Meter, period: Period, aggregate: Aggregate) -> i64 {
        let removed = self.removed.get(&meter.id);
        self.sum(meter, aggregate, |event, received| {
            let is_in_time = received < period.end.plus(DRAFT_FOR)
                && removed.is_none_or(|removed| received <= *removed);
            is_in_time && period.contains(Time::from_seconds(event.timestamp))
        })
    }

    fn sum(
        &self,
        meter: &Meter,
        aggregate: Aggregate,
        is_in: impl Fn(&MeterEvent, Time) -> bool,
    ) -> i64 {
        let events = self.received.iter();
        let counted = events.filter(|(event, at)| {
            let is_dropped = self.dropped.contains(&event.identifier);
            event.meter == *meter && !is_dropped && is_in(event, *at)
        });
        let counted = counted.map(|(event, _)| event);
        if aggregate == Aggregate::Sum {
            return counted.map(|event| event.value).sum();
        }
        // Of several events of one second, the last received one counts.
        counted
            .max_by_key(|event| event.timestamp)
            .map_or(0, |event| event.value)
    }
}
