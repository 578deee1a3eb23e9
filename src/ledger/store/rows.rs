//! Rows of the tables.

use rusqlite::types::Value;

use super::super::state::{
    Check, Comparison, Delivery, Entry, EntryId, EntryKind, Key, OpenSet, Parked, Reservation,
    ReservationState, Total, TotalId,
};
use super::super::values::{Aggregate, Meter, Period};
use super::columns::{
    BadColumn, Columns, Record, flag, int, number, optional, optional_time, text, time,
};

/// The columns of `totals` without the digest, in the order of the values.
pub(super) const TOTAL: &str = "id, org, feature, item, aggregate, period_start, period_end, item_start, item_end, n, \
     level_at, others, adopted, set_timestamp, moved, set_number, open_n, open_timestamp, open_since, told, unsure, \
     check_summary, changed, sent, parked_reason, parked_since, settled, meter, customer, in_minute, attempts, \
     compared, compared_value";
/// The columns of `entries`.
pub(super) const ENTRY: &str = "id, total, accepted, at, kind, n, after_n, key, key_org, key_body";
/// The columns of `reservations`.
pub(super) const RESERVATION: &str =
    "id, org, feature, n, made, expires, on_test_clock, state, committed";

impl Record for Total {
    fn values(&self) -> Vec<Value> {
        let delivery = &self.delivery;
        let open = delivery.open;
        let parked = self.parked.as_ref();
        vec![
            number(self.id.0),
            text(self.org.as_str()),
            text(self.feature.as_str()),
            text(self.item.as_str()),
            text(self.aggregate.name()),
            time(self.period.start),
            time(self.period.end),
            time(self.item_start),
            optional_time(self.item_end),
            int(self.n),
            optional_time(self.level_at),
            int(self.external),
            flag(self.adopted),
            optional(delivery.timestamp),
            flag(delivery.moved),
            number(delivery.number),
            optional(open.map(|open| open.n)),
            optional(open.map(|open| open.timestamp)),
            optional_time(open.map(|open| open.since)),
            int(delivery.delivered),
            flag(delivery.unsure),
            int(match delivery.check {
                Check::No => 0,
                Check::BeforeNext => 1,
                Check::AfterNext => 2,
            }),
            optional_time(delivery.changed),
            optional_time(delivery.sent),
            parked.map_or(Value::Null, |parked| text(&parked.reason)),
            optional_time(parked.map(|parked| parked.since)),
            optional(self.settled),
            self.meter
                .as_ref()
                .map_or(Value::Null, |meter| text(&meter.id)),
            self.meter
                .as_ref()
                .map_or(Value::Null, |meter| text(&meter.customer)),
            optional(self.meter.as_ref().map(|_| delivery.in_minute)),
            match delivery.attempts {
                0 => Value::Null,
                attempts => number(attempts),
            },
            optional_time(delivery.compared.map(|compared| compared.at)),
            optional(delivery.compared.and_then(|compared| compared.value)),
        ]
    }

    const ADDED: &'static [usize] = &[3, 3];

    fn from_values(columns: &mut Columns) -> Result<Self, BadColumn> {
        let mut total = Self {
            id: TotalId(columns.number()?),
            org: columns.text()?.as_str().into(),
            feature: columns.text()?.as_str().into(),
            item: columns.text()?.as_str().into(),
            meter: None,
            aggregate: Aggregate::from_name(&columns.text()?).ok_or(BadColumn)?,
            period: Period {
                start: columns.time()?,
                end: columns.time()?,
            },
            item_start: columns.time()?,
            item_end: columns.optional_time()?,
            n: columns.int()?,
            level_at: columns.optional_time()?,
            external: columns.int()?,
            adopted: columns.flag()?,
            delivery: delivery(columns)?,
            parked: match (columns.optional_text()?, columns.optional_time()?) {
                (Some(reason), Some(since)) => Some(Parked {
                    reason: reason.into(),
                    since,
                }),
                _ => None,
            },
            settled: columns.optional()?,
        };
        let (id, customer) = (columns.optional_text()?, columns.optional_text()?);
        let in_minute = columns.optional()?;
        match (id, customer, in_minute) {
            (None, None, None) => {}
            (Some(id), Some(customer), Some(in_minute)) => {
                total.meter = Some(Meter {
                    id: id.into(),
                    customer: customer.into(),
                });
                total.delivery.in_minute = in_minute;
            }
            _ => return Err(BadColumn),
        }
        total.delivery.attempts = match columns.optional()? {
            None => 0,
            Some(attempts) => attempts.try_into().map_err(|_| BadColumn)?,
        };
        total.delivery.compared = match (columns.optional_time()?, columns.optional()?) {
            (None, None) => None,
            (Some(at), value) => Some(Comparison { at, value }),
            (None, Some(_)) => return Err(BadColumn),
        };
        Ok(total)
    }
}

fn delivery(columns: &mut Columns) -> Result<Delivery, BadColumn> {
    Ok(Delivery {
        timestamp: columns.optional()?,
        moved: columns.flag()?,
        in_minute: 0,
        number: columns.number()?,
        open: match (
            columns.optional()?,
            columns.optional()?,
            columns.optional_time()?,
        ) {
            (Some(n), Some(timestamp), Some(since)) => Some(OpenSet {
                n,
                timestamp,
                since,
            }),
            _ => None,
        },
        delivered: columns.int()?,
        unsure: columns.flag()?,
        check: match columns.int()? {
            0 => Check::No,
            1 => Check::BeforeNext,
            2 => Check::AfterNext,
            _ => return Err(BadColumn),
        },
        changed: columns.optional_time()?,
        sent: columns.optional_time()?,
        attempts: 0,
        compared: None,
    })
}

impl Record for Entry {
    fn values(&self) -> Vec<Value> {
        let key = self.key.as_ref();
        vec![
            number(self.id.0),
            number(self.total.0),
            time(self.accepted),
            time(self.at),
            text(self.kind.name()),
            int(self.n),
            int(self.after),
            key.map_or(Value::Null, |(_, key)| text(&key.text)),
            key.map_or(Value::Null, |(org, _)| text(org.as_str())),
            key.map_or(Value::Null, |(_, key)| Value::Blob(key.body.to_vec())),
        ]
    }

    fn from_values(columns: &mut Columns) -> Result<Self, BadColumn> {
        Ok(Self {
            id: EntryId(columns.number()?),
            total: TotalId(columns.number()?),
            accepted: columns.time()?,
            at: columns.time()?,
            kind: EntryKind::from_name(&columns.text()?).ok_or(BadColumn)?,
            n: columns.int()?,
            after: columns.int()?,
            key: match (
                columns.optional_text()?,
                columns.optional_text()?,
                columns.value()?,
            ) {
                (Some(key), Some(org), Value::Blob(body)) => Some((
                    org.as_str().into(),
                    Key {
                        text: key.into(),
                        body: body.try_into().map_err(|_| BadColumn)?,
                    },
                )),
                _ => None,
            },
        })
    }
}

impl Record for Reservation {
    fn values(&self) -> Vec<Value> {
        let (state, committed) = match self.state {
            ReservationState::Held => ("held", None),
            ReservationState::Committed(n) => ("committed", Some(n)),
            ReservationState::Released => ("released", None),
            ReservationState::Expired => ("expired", None),
        };
        vec![
            text(self.id.as_str()),
            text(self.org.as_str()),
            text(self.feature.as_str()),
            int(self.n),
            time(self.made),
            time(self.expires),
            flag(self.on_test_clock),
            text(state),
            optional(committed),
        ]
    }

    fn from_values(columns: &mut Columns) -> Result<Self, BadColumn> {
        Ok(Self {
            id: columns.text()?.as_str().into(),
            org: columns.text()?.as_str().into(),
            feature: columns.text()?.as_str().into(),
            n: columns.int()?,
            made: columns.time()?,
            expires: columns.time()?,
            on_test_clock: columns.flag()?,
            state: match (columns.text()?.as_str(), columns.optional()?) {
                ("held", None) => ReservationState::Held,
                ("committed", Some(n)) => ReservationState::Committed(n),
                ("released", None) => ReservationState::Released,
                ("expired", None) => ReservationState::Expired,
                _ => return Err(BadColumn),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::{digest, from_values, to_row};
    use super::*;
    use crate::ledger::values::Time;

    fn total(meter: Option<Meter>, compared: Option<Comparison>) -> Total {
        let start = Time::from_seconds(1_700_000_000);
        Total {
            id: TotalId(1),
            org: "org:a".into(),
            feature: "feature:x".into(),
            item: "si_1".into(),
            delivery: Delivery {
                attempts: u64::from(compared.is_some()),
                compared,
                ..Delivery::default()
            },
            meter,
            aggregate: Aggregate::Sum,
            period: Period {
                start,
                end: start.plus(1),
            },
            item_start: start,
            item_end: None,
            n: 1,
            level_at: None,
            external: 0,
            adopted: true,
            parked: None,
            settled: None,
        }
    }

    /// The rows of earlier versions had fewer columns, and their digests stay.
    #[test]
    fn the_digest_is_of_the_columns_that_have_values() {
        let meter = Meter {
            id: "mtr_1".into(),
            customer: "cus_1".into(),
        };
        let compared = Comparison {
            at: Time::from_seconds(1_700_000_000),
            value: None,
        };
        for (total, columns) in [
            (total(None, None), 27),
            (total(Some(meter.clone()), None), 30),
            (total(Some(meter), Some(compared)), 33),
        ] {
            let row = to_row(&total);
            assert_eq!(row.len(), 34);
            let last = Value::Integer(digest(&row[..columns]));
            assert_eq!(row.last(), Some(&last), "{columns}");
            assert_eq!(from_values::<Total>(row).ok(), Some(total));
        }
    }
}
