//! The JSON files that commands write. They are written atomically, and only their owner may read them.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::position::Position;

/// Why a file cannot be read. Its content is never quoted, because it may be a key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    /// The error for a file that is JSON, but does not have the format that tier writes at `place`.
    pub(crate) fn unknown(path: &Path, place: &str) -> Self {
        Self(format!(
            "{} is not what tier wrote ({place})",
            path.display()
        ))
    }
}

/// Reads a file. None if there is no such file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Unreadable> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            let message = format!("cannot read {}: {cause}", path.display());
            return Err(Unreadable(message));
        }
    };
    serde_json::from_slice(&bytes).map_err(|cause| {
        let Position { line, column } = Position::of_json_error(&bytes, &cause);
        let place = format!("line {line}, column {column}");
        if cause.is_data() {
            return Unreadable::unknown(path, &place);
        }
        Unreadable(format!("{} is not valid JSON ({place})", path.display()))
    })
}

/// Writes a file into a folder that only its owner may open. The folder is created if it does not exist.
pub(crate) fn write_into_private_folder(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    write(path, bytes)
}

/// Writes a file beside `path` and renames it, so that it is replaced atomically. Only its owner may read it.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
