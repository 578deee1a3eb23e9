//! Metadata: up to 50 short texts on an object, merged on update.

use serde_json::Value;

use crate::error::{Error, Result};

const MAX_KEYS: usize = 50;

const MAX_KEY_CHARS: usize = 40;

const MAX_VALUE_CHARS: usize = 500;

/// An object's metadata, in order of insertion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata(Vec<(Box<str>, Box<str>)>);

/// The changes of a request to metadata: `metadata[k]=v` sets, `metadata[k]=` removes, `metadata=` clears.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    clear: bool,
    set: Vec<(Box<str>, Box<str>)>,
}

impl Changes {
    /// Removes all keys.
    pub(crate) fn clear() -> Self {
        Self {
            clear: true,
            set: Vec::new(),
        }
    }

    /// Adds a change. `param` is its full name, for errors.
    pub(crate) fn set(&mut self, key: &str, value: &str, param: &str) -> Result<()> {
        if key.chars().count() > MAX_KEY_CHARS {
            return Err(Error::malformed(
                param,
                format!(
                    "Metadata keys must be at most {MAX_KEY_CHARS} characters; '{key}' is longer."
                ),
            ));
        }
        if key.contains(['[', ']']) {
            return Err(Error::malformed(
                param,
                "Metadata keys must not contain square brackets.",
            ));
        }
        if value.chars().count() > MAX_VALUE_CHARS {
            return Err(Error::malformed(
                param,
                format!(
                    "Metadata values can have up to {MAX_VALUE_CHARS} characters; the value of '{key}' is longer."
                ),
            ));
        }
        self.set.push((key.into(), value.into()));
        Ok(())
    }

    /// The metadata after these changes. `before` is the metadata so far, empty on creation.
    pub(crate) fn apply(self, before: &Metadata) -> Result<Metadata> {
        let mut after = if self.clear {
            Metadata::default()
        } else {
            before.clone()
        };
        for (key, value) in self.set {
            if value.is_empty() {
                after.0.retain(|(other, _)| *other != key);
                continue;
            }
            match after.0.iter_mut().find(|(other, _)| *other == key) {
                Some((_, old)) => *old = value,
                None => after.0.push((key, value)),
            }
        }
        after.check_size()?;
        Ok(after)
    }
}

impl Changes {
    /// The changes as metadata to apply later: empty values are kept and will remove keys then.
    pub(crate) fn deferred(self) -> Result<Metadata> {
        let given = self.set.len();
        let mut kept = Metadata(Vec::with_capacity(given));
        for (key, value) in self.set {
            kept.0.retain(|(other, _)| *other != key);
            kept.0.push((key, value));
        }
        kept.check_size()?;
        Ok(kept)
    }
}

impl Metadata {
    fn check_size(&self) -> Result<()> {
        if self.0.len() > MAX_KEYS {
            return Err(Error::malformed(
                "metadata",
                format!("Metadata can have up to {MAX_KEYS} keys."),
            ));
        }
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    pub(crate) fn to_json(&self) -> Value {
        self.iter()
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(pairs: &[(&str, &str)]) -> Changes {
        let mut changes = Changes::default();
        for (key, value) in pairs {
            changes.set(key, value, "metadata").expect("short");
        }
        changes
    }

    #[test]
    fn updates_merge_and_empty_values_unset() {
        let first = changes(&[("a", "1"), ("b", "2"), ("none", "")])
            .apply(&Metadata::default())
            .expect("few keys");
        assert_eq!(first.to_json(), serde_json::json!({"a": "1", "b": "2"}));
        let second = changes(&[("a", ""), ("c", "3"), ("b", "4")])
            .apply(&first)
            .expect("few keys");
        assert_eq!(second.to_json(), serde_json::json!({"b": "4", "c": "3"}));
        let cleared = Changes::clear().apply(&second).expect("no keys");
        assert_eq!(cleared, Metadata::default());
    }

    #[test]
    fn sizes_are_limited() {
        let mut one = Changes::default();
        assert!(one.set(&"k".repeat(41), "v", "metadata").is_err());
        assert!(one.set("k", &"v".repeat(501), "metadata").is_err());
        for n in 0..51 {
            one.set(&format!("k{n}"), "v", "metadata").expect("short");
        }
        assert!(one.apply(&Metadata::default()).is_err());
    }
}
