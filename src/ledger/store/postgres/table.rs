//! Rows as values of PostgreSQL. Many rows are written in one statement, as one array for each column.

use rusqlite::types::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::super::columns::{Record, from_values, to_row};
use super::super::{StoreError, rows};
use super::failure::Failure;

/// A parameter of a statement, with its type, so that no statement has to be prepared.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A table whose rows have a digest.
#[derive(Debug)]
pub(super) struct Table {
    name: &'static str,
    columns: &'static str,
    /// The columns of text. All columns that are neither in `texts` nor in `bytes` are integers.
    texts: &'static [&'static str],
    bytes: &'static [&'static str],
}

pub(super) const TOTALS: Table = Table {
    name: "totals",
    columns: rows::TOTAL,
    texts: &[
        "org",
        "feature",
        "item",
        "aggregate",
        "parked_reason",
        "meter",
        "customer",
    ],
    bytes: &[],
};

pub(super) const ENTRIES: Table = Table {
    name: "entries",
    columns: rows::ENTRY,
    texts: &["kind", "key", "key_org"],
    bytes: &["key_body"],
};

pub(super) const RESERVATIONS: Table = Table {
    name: "reservations",
    columns: rows::RESERVATION,
    texts: &["id", "org", "feature", "state"],
    bytes: &[],
};

/// The values of one column.
#[derive(Debug)]
enum Array {
    Integers(Vec<Option<i64>>),
    Texts(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// A statement that writes many rows.
#[derive(Debug)]
pub(super) struct Write {
    sql: String,
    columns: Vec<Array>,
}

impl Table {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The list of its columns for a `SELECT`, with the digest last.
    pub(super) fn selected(&self) -> String {
        let names: Vec<String> = self
            .names()
            .map(|column| format!("{}.{column}", self.name))
            .collect();
        names.join(", ")
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split(',').map(str::trim).chain(["digest"])
    }

    fn array(&self, name: &str) -> Array {
        if self.texts.contains(&name) {
            Array::Texts(Vec::new())
        } else if self.bytes.contains(&name) {
            Array::Bytes(Vec::new())
        } else {
            Array::Integers(Vec::new())
        }
    }

    /// Inserts new rows.
    pub(super) fn insert<'a, R: Record + 'a>(
        &self,
        records: impl IntoIterator<Item = &'a R>,
    ) -> Write {
        let names: Vec<&str> = self.names().collect();
        let mut columns: Vec<Array> = names.iter().map(|name| self.array(name)).collect();
        for record in records {
            for (column, value) in columns.iter_mut().zip(to_row(record)) {
                column.push(value);
            }
        }
        let placeholders: Vec<String> = (1..)
            .zip(&columns)
            .map(|(number, column)| format!("${number}::{}", column.sql_type()))
            .collect();
        let sql = format!(
            "INSERT INTO {} ({}) SELECT * FROM unnest({})",
            self.name,
            names.join(", "),
            placeholders.join(", ")
        );
        Write { sql, columns }
    }

    /// Inserts rows, and replaces those with the same id.
    pub(super) fn upsert<'a, R: Record + 'a>(
        &self,
        records: impl IntoIterator<Item = &'a R>,
    ) -> Write {
        let changes: Vec<String> = self
            .names()
            .filter(|name| *name != "id")
            .map(|name| format!("{name} = excluded.{name}"))
            .collect();
        let mut write = self.insert(records);
        write.sql += " ON CONFLICT (id) DO UPDATE SET ";
        write.sql += &changes.join(", ");
        write
    }
}

impl Array {
    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Integers(all), Value::Integer(n)) => all.push(Some(n)),
            (Self::Texts(all), Value::Text(text)) => all.push(Some(text)),
            (Self::Bytes(all), Value::Blob(bytes)) => all.push(Some(bytes)),
            (Self::Integers(all), _) => all.push(None),
            (Self::Texts(all), _) => all.push(None),
            (Self::Bytes(all), _) => all.push(None),
        }
    }

    fn sql_type(&self) -> &'static str {
        match self {
            Self::Integers(_) => "bigint[]",
            Self::Texts(_) => "text[]",
            Self::Bytes(_) => "bytea[]",
        }
    }

    fn parameter(&self) -> Parameter<'_> {
        match self {
            Self::Integers(all) => (all, Type::INT8_ARRAY),
            Self::Texts(all) => (all, Type::TEXT_ARRAY),
            Self::Bytes(all) => (all, Type::BYTEA_ARRAY),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Integers(all) => all.len(),
            Self::Texts(all) => all.len(),
            Self::Bytes(all) => all.len(),
        }
    }
}

impl Write {
    /// Executes the statement, unless there are no rows.
    pub(super) async fn execute(
        &self,
        client: &tokio_postgres::Client,
    ) -> Result<(), tokio_postgres::Error> {
        if self.columns[0].len() == 0 {
            return Ok(());
        }
        let parameters: Vec<_> = self.columns.iter().map(Array::parameter).collect();
        client.execute_typed(&self.sql, &parameters).await?;
        Ok(())
    }
}

/// Decodes rows, after checking their digests.
pub(super) fn records<R: Record>(rows: &[Row]) -> Result<Vec<R>, Failure> {
    rows.iter()
        .map(|row| from_values(values(row, 0..row.len())?).map_err(Failure::Store))
        .collect()
}

/// The values of some columns of a row.
pub(super) fn values(row: &Row, columns: std::ops::Range<usize>) -> Result<Vec<Value>, Failure> {
    let value = |at: usize| -> Result<Value, tokio_postgres::Error> {
        Ok(match *row.columns()[at].type_() {
            Type::TEXT => row.try_get::<_, Option<String>>(at)?.map(Value::Text),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Value::Blob),
            _ => row.try_get::<_, Option<i64>>(at)?.map(Value::Integer),
        }
        .unwrap_or(Value::Null))
    };
    let values: Result<Vec<Value>, _> = columns.map(value).collect();
    values.map_err(|error| Failure::Store(StoreError::Database(error.into())))
}
