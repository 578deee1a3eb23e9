//! Opening the file: for one process and one account, in a known version.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use rustix::fs::{FlockOperation, flock};

use super::super::read::Reader;
use super::migrate::{LATEST, migrate, version};
use super::queries::OpenForReading;
use super::{Sqlite, StoreError};

/// The application id of a ledger's SQLite file: "tier" in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x7469_6572;

/// Separates the account and the new location in the file of a ledger that was moved.
pub(super) const MOVED: &str = ", moved to ";

/// A ledger file that this process has locked, before its account is checked.
#[derive(Debug)]
pub struct Unclaimed {
    connection: Connection,
    opened: OpenedFile,
    lock: Lock,
}

/// The path and inode of the opened file, to notice that it was deleted or replaced: writes to a deleted file are lost.
#[derive(Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    file: (u64, u64),
}

impl OpenedFile {
    fn of(path: &Path) -> Result<Self, StoreError> {
        let path = path.canonicalize()?;
        let file = identity(&path)?;
        Ok(Self { path, file })
    }

    /// Fails if the file was deleted or replaced.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match identity(&self.path) {
            Ok(file) if file == self.file => Ok(()),
            _ => Err(StoreError::Gone),
        }
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let file = std::fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

impl Unclaimed {
    /// Opens the file, creating it if it does not exist.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        if path.exists() {
            check_names(path)?;
        }
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "busy_timeout", 5_000)?;
        connection.pragma_update(None, "cache_size", -8_192)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        check_application(&connection)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        if version(&connection)? == 0 {
            tracing::info!(path = %path.display(), "creating a new ledger");
        }
        migrate(&mut connection, APPLICATION_ID)?;
        Ok(Self {
            connection,
            opened: OpenedFile::of(path)?,
            lock,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// The ledger's account, if the API key with this digest is known to belong to it.
    pub fn account_of_key(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT account FROM ledger, account_keys WHERE digest = ?1";
        let found = self.connection.query_row(sql, [digest], |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Stores that the API key with this digest belongs to `account`.
    pub fn remember_key(&self, account: &str, digest: &str) -> Result<(), StoreError> {
        check_owner(&self.connection, account)?;
        let sql = "INSERT INTO account_keys (digest) VALUES (?1) ON CONFLICT DO NOTHING";
        self.connection.execute(sql, [digest])?;
        Ok(())
    }

    /// Opens the ledger for `account`. A new ledger belongs to it from now on.
    pub fn claim(self, account: &str) -> Result<Sqlite, StoreError> {
        check_owner(&self.connection, account)?;
        let sql = "INSERT INTO ledger (account) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM ledger)";
        self.connection.execute(sql, [account])?;
        Ok(Sqlite {
            connection: self.connection,
            opened: self.opened,
            _lock: self.lock,
        })
    }
}

impl Sqlite {
    /// Opens the ledger of `account`, creating it if it does not exist.
    pub fn open(path: &Path, account: &str) -> Result<Self, StoreError> {
        Unclaimed::open(path)?.claim(account)
    }

    /// Limits the file to this many pages of 4,096 bytes, to simulate a full disk.
    pub fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        self.connection
            .pragma_update(None, "max_page_count", pages)?;
        Ok(())
    }
}

/// Opens a ledger for reading, even while another process writes it.
pub fn read(path: &Path) -> Result<Reader, StoreError> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(StoreError::NotALedger);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "busy_timeout", 5_000)?;
    check_application(&connection)?;
    check_names(path)?;
    match version(&connection)? {
        0 => Err(StoreError::NotALedger),
        LATEST => Ok(Reader::new(OpenForReading(connection))),
        found => Err(StoreError::Older {
            found,
            known: LATEST,
        }),
    }
}

/// Keeps other processes from writing. SQLite's own locks last for one transaction only.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    /// Unlocks explicitly. Closing the file is not enough: a child process that is being started still has it open.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.0, FlockOperation::Unlock) {
            tracing::error!(%error, "the ledger's lock cannot be released");
        }
    }
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let mut name = OsString::from(canonical(path)?);
    name.push(".lock");
    let file = File::create(PathBuf::from(name)).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly
        }
        _ => StoreError::File(error),
    })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse),
        Err(error) => Err(StoreError::File(error.into())),
    }
}

/// The canonical path of a file that may not exist yet.
fn canonical(path: &Path) -> Result<PathBuf, StoreError> {
    if let Ok(path) = path.canonicalize() {
        return Ok(path);
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}

/// Refuses a file that has more than one name (hard links). The write-ahead log and the lock belong to a name, not to
/// the file, so under another name the last writes and the lock would be missing.
fn check_names(path: &Path) -> Result<(), StoreError> {
    match std::fs::metadata(path)?.nlink() {
        ..=1 => Ok(()),
        names => Err(StoreError::Linked { names }),
    }
}

fn check_application(connection: &Connection) -> Result<(), StoreError> {
    let found: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let sql = "SELECT count(*) FROM sqlite_master";
    let tables: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    let version = version(connection)?;
    if version > LATEST && found == APPLICATION_ID {
        return Err(StoreError::Newer {
            found: version,
            known: LATEST,
        });
    }
    if found == APPLICATION_ID || (tables == 0 && version == 0) {
        return Ok(());
    }
    Err(StoreError::NotALedger)
}

/// Checks that the ledger belongs to `wanted`, or is new and belongs to nobody.
fn check_owner(connection: &Connection, wanted: &str) -> Result<(), StoreError> {
    let sql = "SELECT account FROM ledger";
    let found = connection.query_row(sql, [], |row| row.get(0));
    let Some(found): Option<String> = found.optional()? else {
        return Ok(());
    };
    if found == wanted {
        return Ok(());
    }
    Err(match found.split_once(MOVED) {
        Some((account, to)) if account == wanted => StoreError::Moved { to: to.to_owned() },
        _ => StoreError::OtherAccount {
            found,
            wanted: wanted.to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{StoreError, lock};

    #[test]
    fn a_closed_ledger_is_free_though_a_child_still_has_its_lock_open() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tier.db");
        let first = lock(&path).expect("free");
        let inherited = first.0.try_clone().expect("a second descriptor");
        assert!(matches!(lock(&path), Err(StoreError::InUse)));
        drop(first);
        lock(&path).expect("free again");
        drop(inherited);
    }
}
