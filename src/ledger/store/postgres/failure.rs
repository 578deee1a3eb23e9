//! Classifies errors of PostgreSQL: whether the transaction can be repeated, and whether it may have been committed.

use std::error::Error as _;

use tokio_postgres::error::SqlState;

use super::super::StoreError;

/// Why a statement or a transaction failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was rolled back because of another transaction. It can be repeated.
    Conflict(tokio_postgres::Error),
    /// The connection was lost, or the server ended it. If it was committing, it may have committed.
    Lost(StoreError),
    /// It was rolled back.
    Store(StoreError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            let is_io = matches!(error.source(), Some(cause) if cause.is::<std::io::Error>());
            return if error.is_closed() || is_io {
                Self::Lost(StoreError::Unreachable(error.into()))
            } else {
                Self::Store(StoreError::Database(error.into()))
            };
        };
        let is_any_of = |codes: &[SqlState]| codes.contains(code);
        if is_any_of(&[
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]) {
            Self::Conflict(error)
        } else if code.code().starts_with("08") || is_any_of(&CONNECTION_ENDED) {
            Self::Lost(StoreError::Unreachable(error.into()))
        } else if is_any_of(&[SqlState::DISK_FULL]) {
            Self::Store(StoreError::Full)
        } else if is_any_of(&[
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::FEATURE_NOT_SUPPORTED,
        ]) {
            // The server has become a standby; the second code is its answer to BEGIN. Another host may accept writes.
            Self::Lost(StoreError::ReadOnly)
        } else if is_any_of(&[SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED]) {
            // Another process blocks the database. Applied one by one, the requests would wait as long again, each of
            // them.
            Self::Store(StoreError::Unreachable(error.into()))
        } else {
            Self::Store(StoreError::Database(error.into()))
        }
    }
}

/// The codes with which a server ends a connection or refuses one.
const CONNECTION_ENDED: [SqlState; 5] = [
    SqlState::ADMIN_SHUTDOWN,
    SqlState::CRASH_SHUTDOWN,
    SqlState::CANNOT_CONNECT_NOW,
    SqlState::TOO_MANY_CONNECTIONS,
    SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
];

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflict(error) => Self::Database(error.into()),
            Failure::Lost(error) | Failure::Store(error) => error,
        }
    }
}
