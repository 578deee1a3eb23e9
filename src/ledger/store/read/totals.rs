//! Reads totals.

use rusqlite::types::Value;

use super::Reader;
use crate::ledger::state::Total;
use crate::ledger::store::columns::{from_values, text, time};
use crate::ledger::store::{StoreError, rows};
use crate::ledger::values::{Feature, Org, Time};

impl Reader {
    /// All totals, in the order in which they were opened.
    pub fn totals(&self) -> Result<Vec<Total>, StoreError> {
        self.totals_where("true ORDER BY id", &[])
    }

    /// The totals that Stripe refused permanently, longest waiting first.
    pub fn parked(&self) -> Result<Vec<Total>, StoreError> {
        self.totals_where("parked_since IS NOT NULL ORDER BY parked_since, id", &[])
    }

    /// The unsettled totals that are at least partly delivered, by item.
    pub fn delivered(&self) -> Result<Vec<Total>, StoreError> {
        self.totals_where(
            "settled IS NULL AND set_number > 0 ORDER BY item, period_start",
            &[],
        )
    }

    /// The unsettled totals that have sent events to a meter: all totals of `meter`, or without one, those of `items`.
    pub fn sent_to_meter(
        &self,
        meter: Option<&str>,
        items: &[&str],
    ) -> Result<Vec<Total>, StoreError> {
        let (column, values) = match &meter {
            Some(meter) => ("meter", std::slice::from_ref(meter)),
            None => ("item", items),
        };
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let placeholders: Vec<String> = (1..=values.len()).map(|n| format!("${n}")).collect();
        let values: Vec<Value> = values.iter().map(|value| text(value)).collect();
        let condition = format!(
            "{column} IN ({}) AND meter IS NOT NULL AND settled IS NULL AND parked_since IS NULL \
             AND set_number > 0 ORDER BY id",
            placeholders.join(", ")
        );
        self.totals_where(&condition, &values)
    }

    /// At most `max` delivered, unsettled totals whose periods ended before `before`, oldest first.
    pub fn unsettled(&self, before: Time, max: usize) -> Result<Vec<Total>, StoreError> {
        let before = before.millis();
        let condition = format!(
            "settled IS NULL AND parked_since IS NULL AND open_n IS NULL AND n = told AND unsure = 0 \
             AND period_end < {before} ORDER BY period_end, id LIMIT {max}"
        );
        self.totals_where(&condition, &[])
    }

    /// The totals of a feature of an org in the periods that began at `start` and later, oldest first.
    pub fn totals_since(
        &self,
        org: &Org,
        feature: &Feature,
        start: Time,
    ) -> Result<Vec<Total>, StoreError> {
        let values = [text(org.as_str()), text(feature.as_str()), time(start)];
        let condition = "org = $1 AND feature = $2 AND period_start >= $3 ORDER BY id";
        self.totals_where(condition, &values)
    }

    /// The settled totals whose billed quantity differs from the ledger's.
    pub fn billed_differently(&self) -> Result<Vec<Total>, StoreError> {
        let mut totals = self.totals_where("settled IS NOT NULL ORDER BY id", &[])?;
        totals.retain(|total| {
            total
                .settled
                .is_some_and(|billed| billed != total.billable())
        });
        Ok(totals)
    }

    pub(super) fn totals_where(
        &self,
        condition: &str,
        values: &[Value],
    ) -> Result<Vec<Total>, StoreError> {
        let columns = rows::TOTAL;
        let sql = format!("SELECT {columns}, digest FROM totals WHERE {condition}");
        let mut totals = Vec::new();
        self.each(&sql, values, |row| -> Result<(), StoreError> {
            totals.push(from_values(row)?);
            Ok(())
        })?;
        Ok(totals)
    }
}
