//! Records as columns of a table, with a digest of the columns. All stores keep the same columns.

use rusqlite::types::Value;
use sha2::{Digest, Sha256};

use super::super::values::Time;
use super::StoreError;

/// A type that is stored as a row of a table.
pub(super) trait Record: Sized {
    /// How many columns each migration has appended since rows have a digest, oldest first. If a row has no values in
    /// the columns of the last migrations, these are left out of its digest, so that the digests of older rows stay
    /// valid.
    const ADDED: &'static [usize] = &[];

    /// Its columns, without the digest.
    fn values(&self) -> Vec<Value>;

    /// Decodes the columns, and fails on values that [`values`](Self::values) never produces.
    fn from_values(columns: &mut Columns) -> Result<Self, BadColumn>;
}

/// Encodes a record, with the digest as the last column.
pub(super) fn to_row<R: Record>(record: &R) -> Vec<Value> {
    let mut values = record.values();
    values.push(Value::Integer(digest(digested::<R>(&values))));
    values
}

/// The columns that a record's digest covers.
fn digested<R: Record>(values: &[Value]) -> &[Value] {
    let mut digested = values;
    for count in R::ADDED.iter().rev() {
        let (first, added) = digested.split_at(digested.len().saturating_sub(*count));
        if added.iter().any(|value| *value != Value::Null) {
            break;
        }
        digested = first;
    }
    digested
}

/// Decodes a row, after checking the digest in its last column.
pub(super) fn from_values<R: Record>(mut values: Vec<Value>) -> Result<R, StoreError> {
    let first = format!("{:?}", values.first());
    let damaged = || StoreError::Damaged(format!("the row {first} is not as it was written"));
    let Some(Value::Integer(written)) = values.pop() else {
        return Err(damaged());
    };
    if written != digest(digested::<R>(&values)) {
        return Err(damaged());
    }
    R::from_values(&mut Columns::of(values)).map_err(|_| damaged())
}

/// Whether the last of these values is the digest of the others.
pub(super) fn is_sound(values: &[Value]) -> bool {
    let Some((last, values)) = values.split_last() else {
        return false;
    };
    *last == Value::Integer(digest(values))
}

pub(super) fn digest(values: &[Value]) -> i64 {
    let mut hash = Sha256::new();
    for value in values {
        match value {
            Value::Null => hash.update([0]),
            Value::Integer(n) => {
                hash.update([1]);
                hash.update(n.to_le_bytes());
            }
            Value::Real(n) => {
                hash.update([2]);
                hash.update(n.to_le_bytes());
            }
            Value::Text(text) => bytes(&mut hash, 3, text.as_bytes()),
            Value::Blob(blob) => bytes(&mut hash, 4, blob),
        }
    }
    let first = hash.finalize().first_chunk::<8>().copied();
    i64::from_le_bytes(first.expect("a hash of 32 bytes"))
}

fn bytes(hash: &mut Sha256, kind: u8, bytes: &[u8]) {
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// A column with a value that is never written there.
pub(super) struct BadColumn;

/// The columns of a row, read from left to right.
pub(super) struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    pub(super) fn of(row: Vec<Value>) -> Self {
        Self(row.into_iter())
    }

    pub(super) fn value(&mut self) -> Result<Value, BadColumn> {
        self.0.next().ok_or(BadColumn)
    }

    pub(super) fn int(&mut self) -> Result<i64, BadColumn> {
        match self.value()? {
            Value::Integer(n) => Ok(n),
            _ => Err(BadColumn),
        }
    }

    pub(super) fn optional(&mut self) -> Result<Option<i64>, BadColumn> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Integer(n) => Ok(Some(n)),
            _ => Err(BadColumn),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, BadColumn> {
        self.int()?.try_into().map_err(|_| BadColumn)
    }

    pub(super) fn time(&mut self) -> Result<Time, BadColumn> {
        self.int().map(Time::from_millis)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Time>, BadColumn> {
        Ok(self.optional()?.map(Time::from_millis))
    }

    pub(super) fn flag(&mut self) -> Result<bool, BadColumn> {
        self.int().map(|n| n != 0)
    }

    pub(super) fn text(&mut self) -> Result<String, BadColumn> {
        match self.value()? {
            Value::Text(text) => Ok(text),
            _ => Err(BadColumn),
        }
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, BadColumn> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            _ => Err(BadColumn),
        }
    }
}

pub(super) fn int(n: i64) -> Value {
    Value::Integer(n)
}

pub(super) fn optional(n: Option<i64>) -> Value {
    n.map_or(Value::Null, Value::Integer)
}

pub(super) fn number(n: u64) -> Value {
    Value::Integer(n.try_into().expect("numbers are counted from one"))
}

pub(super) fn time(time: Time) -> Value {
    Value::Integer(time.millis())
}

pub(super) fn optional_time(time: Option<Time>) -> Value {
    optional(time.map(Time::millis))
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn flag(flag: bool) -> Value {
    Value::Integer(flag.into())
}
