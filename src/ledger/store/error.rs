//! Errors of the store.

use rusqlite::ErrorCode;

/// An error of the database client.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a ledger cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full.
    #[error("the disk of the ledger is full")]
    Full,
    /// The file is read-only.
    #[error("the ledger is read-only")]
    ReadOnly,
    /// Another process has the ledger open.
    #[error("the ledger is in use by another process")]
    InUse,
    /// The file is damaged.
    #[error("the ledger is damaged: {0}")]
    Damaged(String),
    /// The file was deleted or replaced while the ledger was open.
    #[error("the ledger's file is no longer where it was opened: restore it, and start again")]
    Gone,
    /// A later version of the program wrote the file.
    #[error("the ledger has version {found}, and this program knows versions up to {known}")]
    Newer {
        /// The file's version.
        found: usize,
        /// The latest version that the program knows.
        known: usize,
    },
    /// An earlier version of the program wrote the ledger, and it was opened for reading only.
    #[error(
        "the ledger has version {found}, and this program reads version {known}: start the server with this program first"
    )]
    Older {
        /// The file's version.
        found: usize,
        /// The version that the program reads.
        known: usize,
    },
    /// The file has several names (hard links), so another process could open it under another one.
    #[error(
        "the ledger's file has {names} names (hard links), and must have one: remove the others, or copy the file"
    )]
    Linked {
        /// The number of names.
        names: u64,
    },
    /// The ledger belongs to another account.
    #[error("the ledger belongs to {found}, not to {wanted}")]
    OtherAccount {
        /// The account that it belongs to.
        found: String,
        /// The account that tried to open it.
        wanted: String,
    },
    /// The ledger was moved elsewhere, or a move was begun and not finished.
    #[error(
        "the ledger was moved to {to}: give servers that, or if the move was cut off, repeat `tier ledger migrate`"
    )]
    Moved {
        /// Where it is.
        to: String,
    },
    /// The destination of a move has a ledger with usage already.
    #[error("there is a ledger with usage already")]
    NotEmpty,
    /// The records read back differ from the written ones.
    #[error("what was written was not stored: {0}")]
    NotStored(String),
    /// Not a ledger file.
    #[error("the file is not a ledger")]
    NotALedger,
    /// A database without the tables of a ledger.
    #[error("the database has no ledger")]
    NoLedger,
    /// The file cannot be accessed.
    #[error("the ledger's file cannot be used")]
    File(#[from] std::io::Error),
    /// The database cannot be reached.
    #[error("the ledger's database cannot be reached")]
    Unreachable(#[source] Cause),
    /// All connections for reading are in use.
    #[error("too many questions are being answered from the ledger's database: ask again")]
    ManyReaders,
    /// The database's URL, or a file that it names, is unusable, for the reason given.
    #[error("{0}")]
    Setting(String),
    /// A lease has ended, because it could not be extended in time.
    #[error("this server's lease has ended, and another one may go on")]
    LeaseLost,
    /// The connection was lost during a commit, and it could not be found out since whether the database has committed.
    #[error("the connection to the ledger's database was lost during a commit")]
    OutcomeUnknown(#[source] Cause),
    /// Any other database error.
    #[error("the ledger's database failed")]
    Database(#[source] Cause),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged(error.to_string()),
            Some(ErrorCode::NotADatabase) => Self::NotALedger,
            _ => Self::Database(error.into()),
        }
    }
}
