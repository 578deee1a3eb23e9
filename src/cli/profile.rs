//! The two files that commands write: `tier.state`, which `tier switch` leaves in the working directory, and the
//! keys that `tier connect` gets. Both appear whole or not at all, readable by their owner only, and one that cannot
//! be read is never overwritten.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failure::Failure;

/// In the working directory.
pub(super) const STATE_FILE: &str = "tier.state";

/// The connected account that commands in this directory act in. The names are Go's, whose files stay readable.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct State {
    /// `acct_…`.
    #[serde(rename = "ID")]
    pub(super) id: String,
    /// RFC 3339; the year 1 if it is not known.
    #[serde(rename = "Created", default)]
    pub(super) created: String,
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(rename = "Meta", default)]
    meta: Value,
}

impl State {
    pub(super) fn new(id: String, created: String) -> Self {
        Self {
            id,
            created,
            kind: String::new(),
            meta: Value::Null,
        }
    }
}

/// The state of this directory, if it has one.
///
/// # Errors
/// It cannot be read, or is not what `tier switch` writes. To go on without would act in the wrong account.
pub(super) fn read_state() -> anyhow::Result<Option<State>> {
    let path = Path::new(STATE_FILE);
    let advice = "remove it to leave isolation mode, then run `tier switch` again";
    let Some(bytes) = read(path, advice)? else {
        return Ok(None);
    };
    let state: State =
        serde_json::from_slice(&bytes).map_err(|cause| broken(path, &cause, advice))?;
    if !is_account_id(&state.id) {
        let message = format!("{STATE_FILE} does not name an account");
        return Err(Failure::new(message).advise(advice).into());
    }
    Ok(Some(state))
}

/// Puts this directory's commands into an account.
pub(super) fn write_state(state: &State) -> anyhow::Result<()> {
    let json = serde_json::to_vec(state)?;
    write_atomically(Path::new(STATE_FILE), &json)
        .with_context(|| format!("cannot write {STATE_FILE}"))
}

/// Whether a text is an account's id. It becomes a header's value, so what is in it counts.
pub(super) fn is_account_id(text: &str) -> bool {
    text.strip_prefix("acct_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

/// What Stripe gives to whom a browser has let in.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Profile {
    pub(super) redeemed: bool,
    pub(super) account_id: String,
    pub(super) account_display_name: String,
    pub(super) livemode_key_secret: String,
    pub(super) livemode_key_publishable: String,
    pub(super) testmode_key_secret: String,
    pub(super) testmode_key_publishable: String,
}

/// The file of keys: all of it, since other profiles in it are not ours to drop.
pub(super) struct ConfigFile {
    path: PathBuf,
    content: Map<String, Value>,
}

impl ConfigFile {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read: it would be lost if it were written now.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let advice = "repair it, or move it away, and run `tier connect` again";
        let content: Map<String, Value> = match read(&path, advice)? {
            None => Map::new(),
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|cause| broken(&path, &cause, advice))?
            }
        };
        if content
            .get("profiles")
            .is_some_and(|profiles| !profiles.is_object())
        {
            let message = format!("{} is not what tier wrote (profiles)", path.display());
            return Err(Failure::new(message).advise(advice).into());
        }
        Ok(Self { path, content })
    }

    /// Writes the file with `profile` in it, as the one that every command uses.
    pub(super) fn save(mut self, profile: &Profile) -> anyhow::Result<PathBuf> {
        let profiles = self
            .content
            .entry("profiles")
            .or_insert_with(|| Map::new().into());
        profiles["tier"] = serde_json::to_value(profile)?;
        let json = serde_json::to_vec_pretty(&self.content)?;
        write_private(&self.path, &json)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.path)
    }
}

/// A file's bytes; none if there is no such file.
fn read(path: &Path, advice: &str) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => {
            let message = format!("cannot read {}: {cause}", path.display());
            Err(Failure::new(message).advise(advice).into())
        }
    }
}

/// The cause's own text is not shown: it may quote the file, and so a key.
fn broken(path: &Path, cause: &serde_json::Error, advice: &str) -> anyhow::Error {
    let (line, column) = (cause.line(), cause.column());
    let what = if cause.is_data() {
        "is not what tier wrote"
    } else {
        "is not valid JSON"
    };
    let message = format!("{} {what} (line {line}, column {column})", path.display());
    Failure::new(message).advise(advice).into()
}

/// Writes a file into a folder that only its owner may open.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    }
    write_atomically(path, bytes)
}

/// Writes beside `path`, and then puts that in its place; only the owner may read it.
fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_profiles_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/config.json");
        write_private(&path, br#"{"x":1,"profiles":{"other":{"k":"v"}}}"#).unwrap();
        let profile = Profile {
            account_id: "acct_1".to_owned(),
            ..Profile::default()
        };
        ConfigFile::open(path.clone())
            .unwrap()
            .save(&profile)
            .unwrap();
        let json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(json["x"], 1);
        assert_eq!(json["profiles"]["other"]["k"], "v");
        assert_eq!(json["profiles"]["tier"]["account_id"], "acct_1");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1, "no temporary file is left");
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for text in [
            r#"["sk_test_secret"]"#,
            "{\"sk_test_secret",
            "\"sk_test_secret\"",
        ] {
            fs::write(&path, text).unwrap();
            let fault = format!("{:#}", ConfigFile::open(path.clone()).err().unwrap());
            assert!(fault.contains("line 1, column"), "{fault}");
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn profiles_of_another_shape_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for text in [r#"{"profiles":["sk_test_secret"]}"#, r#"{"profiles":null}"#] {
            fs::write(&path, text).unwrap();
            let fault = format!("{:#}", ConfigFile::open(path.clone()).err().unwrap());
            assert!(
                fault.contains("is not what tier wrote (profiles)"),
                "{fault}"
            );
        }
    }

    #[test]
    fn an_account_has_an_id_that_fits_into_a_header() {
        assert!(is_account_id("acct_1Abc"));
        for text in [
            "", "acct_", "acct_1\n", "acct_1 2", "acct_é", "cus_1", "acct_1/x",
        ] {
            assert!(!is_account_id(text), "{text:?}");
        }
    }
}
