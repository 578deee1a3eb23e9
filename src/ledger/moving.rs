//! Moves the ledger of a file to a database.
//!
//! Everything is written in one transaction. Right before it is committed, the file is marked as moved, so that servers
//! can never write to both. An interrupted move is repeated: if the database has the move's id, it was committed.

use std::path::Path;

use super::store::postgres::{Counts, Database, Destination, Import};
use super::store::sqlite::{Move, MovingFile};
use super::{Snapshot, StoreError};

/// The result of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The ledger's account.
    pub account: String,
    /// How many records were moved; `None` if an earlier attempt had moved them.
    pub counts: Option<Counts>,
}

/// Moves the ledger of the file at `path`, which no server has open, to a database without usage.
///
/// This must be called on a thread that may block.
///
/// # Errors
/// If the file is damaged or was moved elsewhere, or the database has another ledger. Then nothing was moved. After
/// [`StoreError::OutcomeUnknown`] the ledger may have been moved: repeat the call.
pub fn move_ledger(path: &Path, database: &Database) -> Result<Moved, StoreError> {
    let mut file = MovingFile::open(path)?;
    let place = database.to_string();
    let begun = file.begun_move()?;
    if let Some(begun) = begun.as_ref().filter(|begun| begun.place != place) {
        let to = begun.place.clone();
        return Err(StoreError::Moved { to });
    }
    let current = match &begun {
        Some(begun) => begun.clone(),
        None => Move {
            id: uuid::Uuid::new_v4().to_string(),
            account: file.reader().account()?,
            place,
            is_done: false,
        },
    };
    let mut import = match Import::begin(database, &current.account, &current.id)? {
        Destination::Moved => {
            file.finish()?;
            return Ok(Moved {
                account: current.account,
                counts: None,
            });
        }
        Destination::Empty(_) if current.is_done => {
            return Err(StoreError::Moved { to: current.place });
        }
        Destination::Empty(import) => import,
    };
    let counts = copy(&file, &current, &mut import)?;
    if begun.is_none() {
        file.begin(&current)?;
    }
    match import.commit(&current.id) {
        Ok(()) => {}
        Err(unknown @ StoreError::OutcomeUnknown(_)) => return Err(unknown),
        Err(failed) => {
            file.undo(&current)?;
            return Err(failed);
        }
    }
    file.finish()?;
    Ok(Moved {
        account: current.account,
        counts: Some(counts),
    })
}

/// Checks the file's records, copies them, and checks the copies.
fn copy(file: &MovingFile, current: &Move, import: &mut Import) -> Result<Counts, StoreError> {
    let reader = file.reader();
    let mut problem = None;
    reader.verify(|found| {
        problem.get_or_insert(found.what);
    })?;
    if let Some(problem) = problem {
        return Err(StoreError::Damaged(problem));
    }
    reader.export(|record| import.add(record))?;
    let mut snapshots: Vec<Snapshot> = Vec::new();
    reader.snapshots(|snapshot| {
        snapshots.push(snapshot);
        Ok::<_, StoreError>(())
    })?;
    import.add_account(&current.account, &file.keys()?, &snapshots)?;
    import.check()
}
