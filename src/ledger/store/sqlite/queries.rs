//! Queries of a reader of a file.

use std::ops::ControlFlow;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::StoreError;
use super::super::read::{Length, Queries};
use super::values;

/// A file that is open for reading.
#[derive(Debug)]
pub(super) struct OpenForReading(pub(super) Connection);

impl Queries for OpenForReading {
    fn query(
        &self,
        sql: &str,
        parameters: &[Value],
        each: &mut dyn FnMut(Vec<Value>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(parameters))?;
        while let Some(row) = rows.next()? {
            if each(values(row)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn begin(&self, _: Length) -> Result<(), StoreError> {
        Ok(self.0.execute_batch("BEGIN")?)
    }

    fn end(&self) -> Result<(), StoreError> {
        Ok(self.0.execute_batch("COMMIT")?)
    }

    fn check(&self, each: &mut dyn FnMut(String)) -> Result<(), StoreError> {
        self.query("PRAGMA integrity_check", &[], &mut |row| {
            match row.into_iter().next() {
                Some(Value::Text(what)) if what == "ok" => {}
                Some(Value::Text(what)) => each(what),
                other => each(format!("the check of the pages answers {other:?}")),
            }
            ControlFlow::Continue(())
        })
    }
}
