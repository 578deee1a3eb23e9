//! Checking a ledger for damage.

use super::super::super::state::{Entry, Figure, Reservation, Total, TotalId};
use super::super::columns::Record;
use super::super::{StoreError, rows};
use super::{Reader, from_row};

/// A problem in a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The total with the problem; `None` if it concerns the file.
    pub total: Option<TotalId>,
    /// The description of the problem.
    pub what: String,
}

impl Problem {
    fn of_file(what: impl Into<String>) -> Self {
        Self {
            total: None,
            what: what.into(),
        }
    }

    fn of(total: TotalId, what: impl Into<String>) -> Self {
        Self {
            total: Some(total),
            what: what.into(),
        }
    }
}

impl Reader {
    /// Checks every page and row of one consistent snapshot, and recomputes every total. Calls `each` with every
    /// problem.
    pub fn verify(&self, mut each: impl FnMut(Problem)) -> Result<(), StoreError> {
        let _moment = self.connection.unchecked_transaction()?;
        self.verify_pages(&mut each)?;
        let select = format!("SELECT {}, digest FROM totals ORDER BY id", rows::TOTAL);
        self.check_rows::<Total>(&select, &mut each, |total, each| {
            self.verify_total(&total, each)
        })?;
        let select = format!("SELECT {}, digest FROM reservations", rows::RESERVATION);
        self.check_rows::<Reservation>(&select, &mut each, |_, _| Ok(()))?;
        self.verify_owners(&mut each)
    }

    fn verify_pages(&self, each: &mut impl FnMut(Problem)) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
        let mut faults = statement.query([])?;
        while let Some(row) = faults.next()? {
            let what: String = row.get(0)?;
            if what != "ok" {
                each(Problem::of_file(what));
            }
        }
        Ok(())
    }

    /// Calls `check` with the record of each intact row, and `each` with a problem for every damaged row.
    fn check_rows<R: Record>(
        &self,
        select: &str,
        each: &mut impl FnMut(Problem),
        mut check: impl FnMut(R, &mut dyn FnMut(Problem)) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare(select)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            match from_row(row) {
                Ok(record) => check(record, each)?,
                Err(StoreError::Damaged(what)) => each(Problem::of_file(what)),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn verify_total(&self, total: &Total, each: &mut dyn FnMut(Problem)) -> Result<(), StoreError> {
        let mut figure = self.compacted(total.id)?;
        let select = format!(
            "SELECT {}, digest FROM entries WHERE total = ?1 ORDER BY id",
            rows::ENTRY
        );
        let mut statement = self.connection.prepare_cached(&select)?;
        let mut rows = statement.query([total.id.0.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let entry: Entry = match from_row(row) {
                Ok(entry) => entry,
                Err(StoreError::Damaged(what)) => {
                    each(Problem::of(total.id, what));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let after = figure.after(total.aggregate, entry.kind, entry.n, entry.at);
            if after.is_none_or(|after| after.n != entry.after) {
                let (id, n) = (entry.id.0, entry.after);
                let what = format!("entry {id} does not come to {n}");
                each(Problem::of(total.id, what));
            }
            figure = after.unwrap_or(figure);
            figure.n = entry.after;
        }
        if figure.n != total.n {
            let what = format!("the total is {}, its entries come to {}", total.n, figure.n);
            each(Problem::of(total.id, what));
        }
        Ok(())
    }

    /// The figure of a total's compacted entries.
    fn compacted(&self, total: TotalId) -> Result<Figure, StoreError> {
        let sql = "SELECT coalesce(sum(n), 0) FROM daily_totals WHERE total = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let n = statement.query_row([total.0.cast_signed()], |row| row.get(0))?;
        Ok(Figure { n, level_at: None })
    }

    /// Checks that every entry and daily total belongs to a total.
    fn verify_owners(&self, each: &mut impl FnMut(Problem)) -> Result<(), StoreError> {
        for (table, what) in [("entries", "entries"), ("daily_totals", "daily totals")] {
            let sql =
                format!("SELECT count(*) FROM {table} WHERE total NOT IN (SELECT id FROM totals)");
            let lost: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
            if lost > 0 {
                each(Problem::of_file(format!("{lost} {what} have no total")));
            }
        }
        Ok(())
    }
}
