//! What an error of PostgreSQL says about a transaction.

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
        } else if code.code().starts_with("08") || is_any_of(&ENDED) {
            Self::Lost(StoreError::Unreachable(error.into()))
        } else if is_any_of(&[SqlState::DISK_FULL]) {
            Self::Store(StoreError::Full)
        } else if is_any_of(&[
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::FEATURE_NOT_SUPPORTED,
        ]) {
            // It has become a standby, which says the second one at the beginning. Another host may accept writes.
            Self::Lost(StoreError::ReadOnly)
        } else if is_any_of(&[SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED]) {
            // Another process holds up the database. The requests alone would wait as long, one after another.
            Self::Store(StoreError::Unreachable(error.into()))
        } else {
            Self::Store(StoreError::Database(error.into()))
        }
    }
}

/// The server ends the connection, or takes none.
const ENDED: [SqlState; 5] = [
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
