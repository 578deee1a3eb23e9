//! Where the tests keep their ledgers: in files, or in PostgreSQL if `tests/postgres/run` says so.

use std::path::Path;

use tier::ledger::Location;

/// The location of the ledger that a test would keep in this file.
pub(crate) fn place(file: &Path) -> Location {
    #[cfg(feature = "postgres")]
    if let Some(database) = shared::database(file) {
        return Location::Database(Box::new(database));
    }
    Location::File(file.to_owned())
}

#[cfg(feature = "postgres")]
mod shared {
    use std::collections::HashMap;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use testing::postgres::Schema;
    use tier::ledger::store::postgres::Database;

    /// The schemas that replace the files.
    static SCHEMAS: Mutex<Option<HashMap<PathBuf, Schema>>> = Mutex::new(None);

    pub(super) fn database(file: &Path) -> Option<Database> {
        #[expect(clippy::disallowed_methods, reason = "a setting of tests alone")]
        let server = std::env::var("TIER_TEST_POSTGRES_LEDGERS").ok()?;
        let mut schemas = SCHEMAS.lock().expect("no panic");
        let schemas = schemas.get_or_insert_default();
        let schema = schemas.entry(file.to_owned());
        let schema = schema.or_insert_with(|| Schema::create(&server));
        let database = Database::parse(schema.url()).expect("a URL");
        Some(database.without_clock())
    }
}
