//! Why a ledger cannot be used.

use rusqlite::ErrorCode;

/// Why a ledger cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no room for more.
    #[error("the disk of the ledger is full")]
    Full,
    /// Nothing can be written.
    #[error("the ledger is read-only")]
    ReadOnly,
    /// Another process has it.
    #[error("the ledger is in use by another process")]
    InUse,
    /// It is damaged.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// Its file was deleted, or another one is in its place.
    #[error("the ledger's file is no longer where it was opened: restore it, and start again")]
    Gone,
    /// It is of a later version of the program.
    #[error("the ledger has version {found}, and this program knows versions up to {known}")]
    Newer {
        /// The file's version.
        found: usize,
        /// The latest version that the program knows.
        known: usize,
    },
    /// It belongs to another account.
    #[error("the ledger belongs to {found}, not to {wanted}")]
    OtherAccount {
        /// The account that it belongs to.
        found: String,
        /// The account that was to use it.
        wanted: String,
    },
    /// It is something else.
    #[error("the file is not a ledger")]
    NotALedger,
    /// The file cannot be reached.
    #[error("the ledger's file cannot be used")]
    File(#[from] std::io::Error),
    /// Anything else that the database says.
    #[error("the ledger's database failed")]
    Database(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            Some(ErrorCode::NotADatabase) => Self::NotALedger,
            _ => Self::Database(error),
        }
    }
}
