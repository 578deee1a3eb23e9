//! A file whose ledger is being moved to a database. From when the database may have the ledger, no server may write
//! the file.

use std::path::Path;

use rusqlite::{OptionalExtension as _, params};

use super::super::StoreError;
use super::super::read::Reader;
use super::open::{MOVED, Unclaimed, read};

/// The file of a move. This process has locked it, so that no server writes it.
#[derive(Debug)]
pub struct MovingFile {
    file: Unclaimed,
    /// Reads over a second connection, beside the one with the lock.
    reader: Reader,
}

/// A move of a ledger to a database, as it is noted in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The id of the move in the database.
    pub id: String,
    /// The database, without its password.
    pub place: String,
    /// The ledger's account.
    pub account: String,
    /// Whether the database is known to have the ledger.
    pub is_done: bool,
}

impl MovingFile {
    /// Locks the file, which must exist, and migrates it to the latest version.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        std::fs::metadata(path)?;
        let file = Unclaimed::open(path)?;
        let reader = read(path)?;
        Ok(Self { file, reader })
    }

    /// A reader of the file's records.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The move that was begun, if any.
    pub fn begun_move(&self) -> Result<Option<Move>, StoreError> {
        let connection = self.file.connection();
        if !connection.table_exists(None, "moves")? {
            return Ok(None);
        }
        let sql = "SELECT id, place, account, is_done FROM moves";
        let found = connection.query_row(sql, [], |row| {
            Ok(Move {
                id: row.get(0)?,
                place: row.get(1)?,
                account: row.get(2)?,
                is_done: row.get(3)?,
            })
        });
        Ok(found.optional()?)
    }

    /// The digests of the API keys that are known to belong to the ledger's account.
    pub fn keys(&self) -> Result<Vec<String>, StoreError> {
        let connection = self.file.connection();
        let has_begun = connection.table_exists(None, "moved_keys")?;
        let table = if has_begun {
            "moved_keys"
        } else {
            "account_keys"
        };
        let mut statement = connection.prepare(&format!("SELECT digest FROM {table}"))?;
        let keys = statement.query_map([], |row| row.get(0))?;
        Ok(keys.collect::<Result<_, _>>()?)
    }

    /// Notes that the database may have the ledger. From now on servers refuse the file, even those of earlier
    /// versions: it belongs to no account, and has no known keys.
    pub fn begin(&mut self, new: &Move) -> Result<(), StoreError> {
        let transaction = self.file.connection_mut().transaction()?;
        transaction.execute_batch(
            "CREATE TABLE moves (id TEXT NOT NULL, place TEXT NOT NULL, account TEXT NOT NULL, \
             is_done INTEGER NOT NULL); CREATE TABLE moved_keys AS SELECT digest FROM account_keys; \
             DELETE FROM account_keys",
        )?;
        transaction.execute(
            "INSERT INTO moves (id, place, account, is_done) VALUES (?1, ?2, ?3, 0)",
            params![new.id, new.place, new.account],
        )?;
        let owner = format!("{}{MOVED}{}", new.account, new.place);
        transaction.execute("UPDATE ledger SET account = ?1", [owner])?;
        Ok(transaction.commit()?)
    }

    /// Undoes [`begin`](Self::begin), since the database does not have the ledger.
    pub fn undo(&mut self, begun: &Move) -> Result<(), StoreError> {
        let transaction = self.file.connection_mut().transaction()?;
        transaction.execute("UPDATE ledger SET account = ?1", [&begun.account])?;
        transaction.execute_batch(
            "INSERT INTO account_keys SELECT digest FROM moved_keys; DROP TABLE moved_keys; DROP TABLE moves",
        )?;
        Ok(transaction.commit()?)
    }

    /// Notes that the database has the ledger.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        let connection = self.file.connection();
        connection.execute("UPDATE moves SET is_done = 1", [])?;
        Ok(())
    }
}
