//! Where a ledger is kept: in a file of one process, or in a database that processes share.

use std::fmt;
use std::path::{Path, PathBuf};
#[cfg(feature = "postgres")]
use std::time::Duration;

#[cfg(feature = "postgres")]
use super::store::postgres::{self, Database, Leases, Pool, Postgres};
use super::store::read::Reader;
use super::store::sqlite;
use super::{Ledger, Replicas, StoreError, Writer};

/// How long a lease lasts after its holder has died, hung or lost the database.
#[cfg(feature = "postgres")]
const LEASE: Duration = Duration::from_secs(30);

/// Where a ledger is kept.
#[derive(Clone, Debug)]
pub enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    #[cfg(feature = "postgres")]
    Database(Box<Database>),
}

/// A server's readers of its ledger. They do not wait for the writer.
#[derive(Clone, Debug)]
pub enum Readers {
    /// They read the file.
    File(PathBuf),
    /// They use these connections to the database.
    #[cfg(feature = "postgres")]
    Database(Pool),
}

/// A ledger that is ready to be written, before its account is checked.
#[derive(Debug)]
pub enum Unclaimed {
    /// In a file that this process has locked.
    File(sqlite::Unclaimed),
    /// In a database.
    #[cfg(feature = "postgres")]
    Database(Box<Database>),
}

impl Location {
    /// Parses the path of a file, or the `postgres://` URL of a database.
    ///
    /// # Errors
    /// If the URL is invalid, or this program was built without PostgreSQL.
    pub fn named(name: &Path) -> Result<Self, StoreError> {
        let text = name.to_string_lossy();
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Ok(Self::File(name.to_owned()));
        }
        #[cfg(feature = "postgres")]
        return Ok(Self::Database(Box::new(Database::parse(&text)?)));
        #[cfg(not(feature = "postgres"))]
        Err(StoreError::Setting(
            "this program was built without PostgreSQL (the feature `postgres`)".to_owned(),
        ))
    }

    /// Opens the ledger for reading, even while other processes write it.
    ///
    /// This must be called, and the reader used and dropped, on a thread that may block.
    pub fn read(&self) -> Result<Reader, StoreError> {
        match self {
            Self::File(path) => sqlite::read(path),
            #[cfg(feature = "postgres")]
            Self::Database(database) => postgres::read(database),
        }
    }

    /// The readers of a server. `connections` is the maximum number of connections to a database.
    pub fn readers(&self, connections: usize) -> Readers {
        let _ = connections;
        match self {
            Self::File(path) => Readers::File(path.clone()),
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                Readers::Database(Pool::new((**database).clone(), connections))
            }
        }
    }

    /// Migrates the tables to the latest version. In a database, creates them if there are none.
    ///
    /// This must be called on a thread that may block.
    pub fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Self::File(path) => {
                std::fs::metadata(path)?;
                sqlite::Unclaimed::open(path).map(drop)
            }
            #[cfg(feature = "postgres")]
            Self::Database(database) => postgres::make_tables(database),
        }
    }

    /// The processes that share the ledger.
    pub fn replicas(&self) -> Replicas {
        match self {
            Self::File(_) => Replicas::default(),
            #[cfg(feature = "postgres")]
            Self::Database(database) => Replicas::sharing(Leases::new((**database).clone(), LEASE)),
        }
    }

    /// Prepares for writing: locks the file, and creates it if there is none. Does not connect to a database yet.
    pub fn open(&self) -> Result<Unclaimed, StoreError> {
        Ok(match self {
            Self::File(path) => Unclaimed::File(sqlite::Unclaimed::open(path)?),
            #[cfg(feature = "postgres")]
            Self::Database(database) => Unclaimed::Database(database.clone()),
        })
    }
}

impl Readers {
    /// Reads the ledger, on a thread that may block, even while processes write it.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let result = match self {
            Self::File(path) => {
                let path = path.clone();
                tokio::task::spawn_blocking(move || query(&sqlite::read(&path)?))
            }
            #[cfg(feature = "postgres")]
            Self::Database(pool) => {
                let reader = pool.reader().await?;
                tokio::task::spawn_blocking(move || query(&reader))
            }
        };
        result.await.map_err(std::io::Error::other)?
    }
}

#[cfg_attr(
    not(feature = "postgres"),
    expect(clippy::unused_async, reason = "a database is awaited, a file is not")
)]
impl Unclaimed {
    /// The ledger's account, if the API key with this digest is known to belong to it.
    pub async fn account_of_key(self, digest: &str) -> (Self, Result<Option<String>, StoreError>) {
        match self {
            Self::File(file) => {
                let account = file.account_of_key(digest);
                (Self::File(file), account)
            }
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let account = postgres::account_of_key(&database, digest).await;
                (Self::Database(database), account)
            }
        }
    }

    /// Opens the ledger for `account`, and stores that the API key with this digest belongs to it. A new ledger
    /// belongs to the account from now on.
    pub async fn claim(self, account: &str, digest: &str) -> Result<(Ledger, Writer), StoreError> {
        match self {
            Self::File(file) => {
                file.remember_key(account, digest)?;
                Ledger::start(file.claim(account)?)
            }
            #[cfg(feature = "postgres")]
            Self::Database(database) => {
                let (account, digest) = (account.to_owned(), digest.to_owned());
                let open = move || {
                    let mut opened = Postgres::open(*database, &account)?;
                    opened.remember_key(&digest)?;
                    Ok(opened)
                };
                let started = tokio::task::spawn_blocking(|| Ledger::start_with(open)).await;
                started.map_err(std::io::Error::other)?
            }
        }
    }

    /// A copy with which to try again after a failure. `None` for a file: the lock on it cannot be copied.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::File(_) => None,
            #[cfg(feature = "postgres")]
            Self::Database(database) => Some(Self::Database(database.clone())),
        }
    }
}

/// The path of a file. A database's URL is left out, since it may contain a password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "postgres")]
            Self::Database(database) => database.fmt(f),
        }
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}
