//! Moves the ledger of a file to a database.
//!
//! The database gets everything in one transaction. Right before its commit the file is noted as moved, so that at no time
//! servers can write both. A move that is cut off is repeated: if its name is in the database, it was committed.

use std::path::Path;

use super::store::postgres::{Counts, Database, Destination, Import};
use super::store::sqlite::{Leaving, Move};
use super::{Snapshot, StoreError};

/// A move that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The ledger's account.
    pub account: String,
    /// How many records were moved. None: the database had them already.
    pub counts: Option<Counts>,
}

/// Moves the ledger of the file at `path`, which no server has open, to a database without usage.
///
/// This must be called on a thread that may block.
///
/// # Errors
/// If the file is damaged or was moved elsewhere, or the database has another ledger. Then nothing was moved, except that after
/// [`StoreError::OutcomeUnknown`] it may have been: repeat it.
pub fn move_ledger(path: &Path, database: &Database) -> Result<Moved, StoreError> {
    let mut file = Leaving::open(path)?;
    let place = database.to_string();
    let begun = file.begun()?;
    if let Some(begun) = begun.as_ref().filter(|begun| begun.place != place) {
        let to = begun.place.clone();
        return Err(StoreError::Moved { to });
    }
    let this = match &begun {
        Some(begun) => begun.clone(),
        None => Move {
            id: uuid::Uuid::new_v4().to_string(),
            account: file.reader().account()?,
            place,
            is_done: false,
        },
    };
    let mut import = match Import::begin(database, &this.account, &this.id)? {
        Destination::Moved => {
            file.finish()?;
            return Ok(Moved {
                account: this.account,
                counts: None,
            });
        }
        Destination::Empty(_) if this.is_done => {
            return Err(StoreError::Moved { to: this.place });
        }
        Destination::Empty(import) => import,
    };
    let counts = copy(&file, &this, &mut import)?;
    if begun.is_none() {
        file.begin(&this)?;
    }
    match import.commit(&this.id) {
        Ok(()) => {}
        Err(unknown @ StoreError::OutcomeUnknown(_)) => return Err(unknown),
        Err(failed) => {
            file.undo(&this)?;
            return Err(failed);
        }
    }
    file.finish()?;
    Ok(Moved {
        account: this.account,
        counts: Some(counts),
    })
}

/// Copies everything, after it was checked in the file, and checks it in the database.
fn copy(file: &Leaving, this: &Move, import: &mut Import) -> Result<Counts, StoreError> {
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
    reader.snapshots(|one| {
        snapshots.push(one);
        Ok::<_, StoreError>(())
    })?;
    import.add_account(&this.account, &file.keys()?, &snapshots)?;
    import.check()
}
