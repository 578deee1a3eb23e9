//! Meter events: what was used, by whom and when; and their adjustments.
//!
//! The time of an event, its default, and the limits on it go by the customer's time, which is a test clock's if the
//! customer is on one. When it was received goes by the account's time: an event is known to summaries and previews
//! after a lag, its identifier is unique for a day, and it can be canceled for a day. (Both are our choice: Stripe does
//! not say how events relate to test clocks.) An event that cannot be counted is dropped when it is processed, after that
//! lag, and a [thin event](super::thin_event) reports it. That includes the events of a meter that is deactivated before.

mod input;
pub(crate) mod routes;

use std::collections::{HashMap, VecDeque};

use rust_decimal::Decimal;

use super::meter::Meter;
use crate::money::metering::{Aggregation, Reading, Readings};
use crate::store::ids::Id;

/// How long identifiers are remembered, and events can be canceled, in milliseconds.
const REMEMBERED: i64 = 24 * 60 * 60 * 1000;

/// An event that was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) event_name: Box<str>,
    /// What it counts for; `None` if it was dropped or canceled.
    pub(crate) counted: Option<Counted>,
    pub(crate) at_millis: i64,
}

/// The reading of an event.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) meter: Id,
    pub(crate) customer: Id,
    pub(crate) timestamp: i64,
    number: u64,
}

/// The events of an account.
#[derive(Debug, Default)]
pub(crate) struct MeterEvents {
    /// By meter, then by customer.
    readings: HashMap<Id, HashMap<Id, Readings>>,
    by_identifier: HashMap<Box<str>, Received>,
    /// The identifiers in the order of receipt.
    order: VecDeque<(i64, Box<str>)>,
    count: u64,
    /// In a preview, the time of receipt up to which events are known, in milliseconds.
    pub(crate) received_until: Option<i64>,
}

impl MeterEvents {
    /// The total of a customer from the first time to the second (exclusive). It may be negative. `received_until` limits it to
    /// what was received by then.
    pub(crate) fn total(
        &self,
        meter: &Meter,
        customer: &str,
        (start, end): (i64, i64),
        received_until: Option<i64>,
    ) -> Decimal {
        let readings = self.readings.get(&meter.id);
        let readings = readings.and_then(|customers| customers.get(customer));
        let aggregation = Aggregation {
            formula: meter.formula,
            window: meter.window,
            received_until,
        };
        readings.map_or(Decimal::ZERO, |readings| {
            readings.total(aggregation, start, end)
        })
    }

    /// The time of a customer's latest event of a meter.
    pub(crate) fn latest(&self, meter: &Id, customer: &str) -> Option<i64> {
        self.readings.get(meter)?.get(customer)?.latest()
    }

    /// Whether an event with the identifier was received within a day.
    pub(crate) fn has(&self, identifier: &str, at_millis: i64) -> bool {
        self.received(identifier, at_millis).is_some()
    }

    /// The event with the identifier, if it was received within a day.
    pub(crate) fn received(&self, identifier: &str, at_millis: i64) -> Option<&Received> {
        let received = self.by_identifier.get(identifier);
        received.filter(|received| at_millis - received.at_millis < REMEMBERED)
    }

    /// The events of a meter that were received after a time and still count, oldest first: their identifiers, and when
    /// they were received.
    pub(crate) fn received_after(&self, meter: &Id, millis: i64) -> Vec<(Box<str>, i64)> {
        let newest = self.order.iter().rev();
        let newest = newest.take_while(|(at, _)| *at > millis);
        let counts = |(at, identifier): &(i64, Box<str>)| {
            let received = self.by_identifier.get(identifier)?;
            let counted = received.counted.as_ref()?;
            (counted.meter == *meter).then(|| (identifier.clone(), *at))
        };
        let mut found: Vec<_> = newest.filter_map(counts).collect();
        found.reverse();
        found
    }

    /// Counts a value for a customer.
    pub(crate) fn count(
        &mut self,
        meter: &Id,
        customer: &Id,
        timestamp: i64,
        reading: Reading,
    ) -> Counted {
        self.count += 1;
        let customers = self.readings.entry(meter.clone()).or_default();
        let readings = customers.entry(customer.clone()).or_default();
        readings.add(timestamp, self.count, reading);
        Counted {
            meter: meter.clone(),
            customer: customer.clone(),
            timestamp,
            number: self.count,
        }
    }

    /// Remembers an event by its identifier, and forgets those that are too old.
    pub(crate) fn remember(&mut self, identifier: &str, received: Received) {
        let now = received.at_millis;
        self.order.push_back((now, identifier.into()));
        self.by_identifier.insert(identifier.into(), received);
        while let Some((at, _)) = self.order.front()
            && now - at >= REMEMBERED
            && let Some((at, old)) = self.order.pop_front()
        {
            if self
                .by_identifier
                .get(&old)
                .is_some_and(|received| received.at_millis == at)
            {
                self.by_identifier.remove(&old);
            }
        }
    }

    /// Takes an event back. The identifier stays taken. Returns what it counted for, if it still did.
    pub(crate) fn cancel(&mut self, identifier: &str) -> Option<Counted> {
        let counted = self.by_identifier.get_mut(identifier)?.counted.take()?;
        let customers = self.readings.get_mut(&counted.meter)?;
        let readings = customers.get_mut(&counted.customer)?;
        readings.cancel(counted.timestamp, counted.number);
        Some(counted)
    }

    /// Erases the events of a customer whose test clock is being deleted.
    pub(crate) fn erase(&mut self, customer: &Id) {
        for customers in self.readings.values_mut() {
            customers.remove(customer);
        }
    }
}
