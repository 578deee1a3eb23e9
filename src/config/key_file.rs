//! The file in which `tier connect` stores keys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::file::{self, Unreadable};
use super::variable;

/// The file cannot be read. Overwriting it would lose its content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}\nrepair it, or move it away, and run `tier connect` again")]
pub struct KeyFileError(#[from] Unreadable);

/// The keys and the account that Stripe returns after the user has consented. The field names are Stripe's.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Profile {
    /// Whether the user has consented. Before that, all other fields are empty.
    pub redeemed: bool,
    /// `acct_…`.
    pub account_id: String,
    /// The account's display name.
    pub account_display_name: String,
    /// The live key.
    pub livemode_key_secret: String,
    /// The live publishable key.
    pub livemode_key_publishable: String,
    /// The test key.
    pub testmode_key_secret: String,
    /// The test publishable key.
    pub testmode_key_publishable: String,
}

/// The key file. All of it is preserved when one profile is saved, because it may have other profiles.
pub struct KeyFile {
    path: PathBuf,
    content: Map<String, Value>,
}

impl KeyFile {
    /// Its path. None without a home directory.
    pub fn path() -> Option<PathBuf> {
        let home = variable("HOME")?;
        Some(PathBuf::from(home).join(".config/tier/config.json"))
    }

    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: PathBuf) -> Result<Self, KeyFileError> {
        let content: Map<String, Value> = file::read(&path)?.unwrap_or_default();
        if content
            .get("profiles")
            .is_some_and(|profiles| !profiles.is_object())
        {
            return Err(Unreadable::unknown(&path, "profiles").into());
        }
        Ok(Self { path, content })
    }

    /// The profile that every command uses, if there is one.
    ///
    /// # Errors
    /// If it does not have the format that [`save`](Self::save) writes.
    pub fn profile(&self) -> Result<Option<Profile>, KeyFileError> {
        let profile = self.content.get("profiles").and_then(|all| all.get("tier"));
        let profile = profile.map(Profile::deserialize).transpose();
        profile.map_err(|_| Unreadable::unknown(&self.path, "profiles.tier").into())
    }

    /// Writes the file with `profile` as the one that every command uses.
    ///
    /// # Errors
    /// If the file or its folder cannot be written.
    pub fn save(mut self, profile: &Profile) -> std::io::Result<()> {
        let profiles = self
            .content
            .entry("profiles")
            .or_insert_with(|| Map::new().into());
        profiles["tier"] = serde_json::to_value(profile)?;
        let json = serde_json::to_vec_pretty(&self.content)?;
        file::write_into_private_folder(&self.path, &json)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    #[test]
    fn other_profiles_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/config.json");
        file::write_into_private_folder(&path, br#"{"x":1,"profiles":{"other":{"k":"v"}}}"#)
            .unwrap();
        let profile = Profile {
            account_id: "acct_1".to_owned(),
            ..Profile::default()
        };
        KeyFile::open(path.clone()).unwrap().save(&profile).unwrap();
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
            let fault = format!("{:#}", KeyFile::open(path.clone()).err().unwrap());
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
            let fault = format!("{:#}", KeyFile::open(path.clone()).err().unwrap());
            assert!(
                fault.contains("is not what tier wrote (profiles)"),
                "{fault}"
            );
        }
    }
}
