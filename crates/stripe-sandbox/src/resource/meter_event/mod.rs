//! Meter events, which report a customer's usage, and their adjustments.
//!
//! The timestamp of an event, its default and its limits follow the customer's time, which may be that of a test clock.
//! The time of receipt follows the account's time: summaries and previews include an event after a lag, its identifier
//! is unique for a day, and it can be canceled for a day. (Both are our choice: Stripe does not document how events
//! relate to test clocks.) An event that cannot be counted is dropped when it is processed, after the lag, and a [thin
//! event](super::thin_event) reports it. So is an event whose meter is deactivated before that.

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
    /// The reading that it added; `None` if it was dropped or canceled.
    pub(crate) counted: Option<Counted>,
    pub(crate) at_millis: i64,
}

/// The reading that an event added.
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
    /// In a preview, only events received up to this time count, in milliseconds.
    pub(crate) received_until: Option<i64>,
}

impl MeterEvents {
    /// A customer's total in a span of time (end exclusive). It may be negative. `received_until` limits it to events
    /// received by then.
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

    /// Stores an event by its identifier, and deletes those that are too old.
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

    /// Cancels an event and returns the reading that it had added, if it still counted. Its identifier stays in use.
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
