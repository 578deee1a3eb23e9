//! Checks a ledger for damage.

use rusqlite::types::Value;

use super::super::super::state::{Entry, Figure, Reservation, Total, TotalId};
use super::super::columns::{Columns, Record, from_values, int, number};
use super::super::{StoreError, rows};
use super::{Length, Reader};

/// How many totals are read at once, before their entries.
const PAGE: usize = 100;

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
        self.in_snapshot(Length::Full, || {
            self.0.check(&mut |what| each(Problem::of_file(what)))?;
            self.verify_totals(&mut each)?;
            let select = format!("SELECT {}, digest FROM reservations", rows::RESERVATION);
            self.each(&select, &[], |row| {
                check_row::<Reservation>(row, |what| each(Problem::of_file(what))).map(drop)
            })?;
            self.verify_owners(&mut each)
        })
    }

    /// Checks all totals, page by page, since the entries of a total cannot be read between the rows of other totals.
    fn verify_totals(&self, each: &mut dyn FnMut(Problem)) -> Result<(), StoreError> {
        let columns = rows::TOTAL;
        let select =
            format!("SELECT {columns}, digest FROM totals WHERE id > $1 ORDER BY id LIMIT {PAGE}");
        let mut last = i64::MIN;
        loop {
            let mut page = Vec::new();
            self.each(&select, &[int(last)], |row| {
                page.push(row);
                Ok::<_, StoreError>(())
            })?;
            let count = page.len();
            for row in page {
                if let Some(Value::Integer(id)) = row.first() {
                    last = *id;
                }
                let total: Option<Total> = check_row(row, |what| each(Problem::of_file(what)))?;
                if let Some(total) = total {
                    self.verify_total(&total, each)?;
                }
            }
            if count < PAGE {
                return Ok(());
            }
        }
    }

    fn verify_total(&self, total: &Total, each: &mut dyn FnMut(Problem)) -> Result<(), StoreError> {
        let mut figure = self.compacted(total.id)?;
        let select = format!(
            "SELECT {}, digest FROM entries WHERE total = $1 ORDER BY id",
            rows::ENTRY
        );
        self.each(&select, &[number(total.id.0)], |row| {
            let entry = check_row::<Entry>(row, |what| each(Problem::of(total.id, what)))?;
            let Some(entry) = entry else {
                return Ok::<_, StoreError>(());
            };
            let after = figure.after(total.aggregate, entry.kind, entry.n, entry.at);
            if after.is_none_or(|after| after.n != entry.after) {
                let (id, n) = (entry.id.0, entry.after);
                let what = format!("entry {id} does not come to {n}");
                each(Problem::of(total.id, what));
            }
            figure = after.unwrap_or(figure);
            figure.n = entry.after;
            Ok(())
        })?;
        if figure.n != total.n {
            let what = format!("the total is {}, its entries come to {}", total.n, figure.n);
            each(Problem::of(total.id, what));
        }
        Ok(())
    }

    /// The figure of a total's compacted entries.
    fn compacted(&self, total: TotalId) -> Result<Figure, StoreError> {
        let sql = "SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM daily_totals WHERE total = $1";
        let days = self.rows(sql, &[number(total.0)], Columns::int)?;
        let n = days.into_iter().sum();
        Ok(Figure { n, level_at: None })
    }

    /// Checks that every entry and daily total belongs to a total.
    fn verify_owners(&self, each: &mut dyn FnMut(Problem)) -> Result<(), StoreError> {
        for (table, what) in [("entries", "entries"), ("daily_totals", "daily totals")] {
            let sql = format!(
                "SELECT count(*) FROM {table} \
                 WHERE NOT EXISTS (SELECT 1 FROM totals WHERE totals.id = {table}.total)"
            );
            let lost: i64 = self.rows(&sql, &[], Columns::int)?.into_iter().sum();
            if lost > 0 {
                each(Problem::of_file(format!("{lost} {what} have no total")));
            }
        }
        Ok(())
    }
}

/// Decodes a row; `None` if it is damaged. Then calls `each` with a description of the damage.
fn check_row<R: Record>(
    row: Vec<Value>,
    mut each: impl FnMut(String),
) -> Result<Option<R>, StoreError> {
    match from_values(row) {
        Ok(record) => Ok(Some(record)),
        Err(StoreError::Damaged(what)) => {
            each(what);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
