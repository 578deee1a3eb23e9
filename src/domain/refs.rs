//! Names of orgs, plans and features. They are parsed once, where they enter the program. The rest of the code uses
//! these types.
//!
//! | type | looks like |
//! |---|---|
//! | [`OrgName`] | `org:acme` |
//! | [`PlanName`] | `plan:pro@2` |
//! | [`FeatureName`] | `feature:seats` |
//! | [`FeaturePlan`] | `feature:seats@plan:pro@2` |
//!
//! Clones share the text. Names are ordered by their text.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::num::hex;

/// The maximum length of an org name in characters: the limit of a metadata value in Stripe.
pub const MAX_ORG_CHARS: usize = 500;

/// The maximum number of characters of an invalid text that an error repeats.
const SHOWN_CHARS: usize = 120;

/// A text that is not a valid name. The message is for clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// An empty org.
    #[error("org is required: org must be prefixed with \"org:\"")]
    OrgMissing,
    /// An org without the `org:` prefix, or with nothing after it.
    #[error("org must be prefixed with \"org:\"")]
    Org,
    /// An org that does not fit into Stripe's metadata.
    #[error("org must not exceed {MAX_ORG_CHARS} characters")]
    OrgTooLong,
    /// A plan or feature that breaks `rule`; `text` is the input (shortened if it is very long).
    #[error("{rule}: {text:?}")]
    Name {
        /// The rule, as part of the message.
        rule: &'static str,
        /// The invalid text.
        text: String,
    },
}

impl RefError {
    fn name(rule: &'static str, text: &str) -> Self {
        let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self::Name { rule, text: shown }
    }
}

/// Implements what the four kinds of name have in common, based on their field `text`.
macro_rules! text_type {
    ($name:ident) => {
        impl $name {
            /// The whole name, prefix included.
            pub fn as_str(&self) -> &str {
                &self.text
            }
        }
        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.text
            }
        }
        parsed_type!($name);
    };
}

/// Makes a `FromStr` type (de)serialise as its text.
macro_rules! parsed_type {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = RefError;
            fn try_from(text: String) -> Result<Self, RefError> {
                text.parse()
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

mod reference;

pub use reference::Reference;

/// A customer of the app: `org:` and any text, compared byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrgName {
    text: Arc<str>,
}
text_type!(OrgName);

impl FromStr for OrgName {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        match text.strip_prefix("org:") {
            None if text.is_empty() => Err(RefError::OrgMissing),
            None | Some("") => Err(RefError::Org),
            Some(_) if text.chars().count() > MAX_ORG_CHARS => Err(RefError::OrgTooLong),
            Some(_) => Ok(Self { text: text.into() }),
        }
    }
}

/// One version of a plan, `plan:NAME@VERSION`. Once pushed it never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanName {
    text: Arc<str>,
}
text_type!(PlanName);

impl PlanName {
    /// The part between `plan:` and `@`.
    pub fn name(&self) -> &str {
        self.split().0
    }

    /// The part after `@`.
    pub fn version(&self) -> &str {
        self.split().1
    }

    /// The id of the plan's product in Stripe.
    pub fn product_id(&self) -> String {
        stripe_id(&self.text)
    }

    /// The `NAME` in `plan:NAME`, which stands for all versions of the plan.
    ///
    /// # Errors
    /// If the text does not have that form.
    pub(super) fn name_without_version(text: &str) -> Result<&str, RefError> {
        match text.strip_prefix("plan:") {
            Some(name) if is_name(name) => Ok(name),
            Some(_) => Err(RefError::name("plan name must match [a-zA-Z0-9:-]+", text)),
            None => {
                error_of_similar_kind(text)?;
                Err(RefError::name("plan name must start with 'plan:'", text))
            }
        }
    }

    fn split(&self) -> (&str, &str) {
        let rest = &self.text["plan:".len()..];
        rest.split_once('@')
            .expect("a plan name was parsed, so it has a version")
    }
}

impl FromStr for PlanName {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        let Some(rest) = text.strip_prefix("plan:") else {
            error_of_similar_kind(text)?;
            return Err(RefError::name("plan name must start with 'plan:'", text));
        };
        let Some((name, version)) = rest.split_once('@').filter(|(_, v)| !v.is_empty()) else {
            return Err(RefError::name("plan must have version", text));
        };
        if !is_name(name) {
            return Err(RefError::name("plan name must match [a-zA-Z0-9:-]+", text));
        }
        if !is_version(version) {
            return Err(RefError::name(
                "plan version must match [a-zA-Z0-9-]+",
                text,
            ));
        }
        Ok(Self { text: text.into() })
    }
}

/// A feature of any plan, `feature:NAME`. Usage is reported and limited by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureName {
    text: Arc<str>,
}
text_type!(FeatureName);

impl FeatureName {
    /// The part after `feature:`.
    pub fn name(&self) -> &str {
        &self.text["feature:".len()..]
    }

    /// The beginning of its SHA-256 digest in hexadecimal, for metadata, where a name may be too long.
    pub(super) fn digest(&self) -> String {
        hex(&Sha256::digest(self.text.as_bytes())[..8])
    }

    /// This feature as `plan` grants it.
    pub fn on(&self, plan: &PlanName) -> FeaturePlan {
        FeaturePlan {
            text: format!("{self}@{plan}").into(),
        }
    }
}

impl FromStr for FeatureName {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        let Some(name) = text.strip_prefix("feature:") else {
            error_of_similar_kind(text)?;
            return Err(RefError::name(
                "feature name must start with 'feature:'",
                text,
            ));
        };
        if !is_name(name) {
            return Err(RefError::name(
                "feature name must match [a-zA-Z0-9:-]+",
                text,
            ));
        }
        Ok(Self { text: text.into() })
    }
}

/// A feature of one plan, `feature:NAME@plan:NAME@VERSION`. It has a price.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeaturePlan {
    text: Arc<str>,
}
text_type!(FeaturePlan);

impl FeaturePlan {
    /// The feature without its plan.
    pub fn feature(&self) -> FeatureName {
        FeatureName {
            text: self.split().0.into(),
        }
    }

    /// The plan that grants it.
    pub fn plan(&self) -> PlanName {
        PlanName {
            text: self.split().1.into(),
        }
    }

    /// The price's lookup key in Stripe, and the id of the price's product.
    pub fn lookup_key(&self) -> String {
        stripe_id(&self.text)
    }

    fn split(&self) -> (&str, &str) {
        self.text
            .split_once('@')
            .expect("a feature plan was parsed, so it names a plan")
    }
}

impl FromStr for FeaturePlan {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        match Reference::feature(text)? {
            Reference::Feature(feature_plan) => Ok(feature_plan),
            Reference::Plan(_) | Reference::FeatureVersion(_) => {
                Err(RefError::name(FEATURE_PLAN_VERSION, text))
            }
        }
    }
}

const FEATURE_PLAN_VERSION: &str =
    "feature plan version must match [a-zA-Z0-9-]+ or be a valid plan";

/// Parses the text as the kind of name that its prefix suggests, and returns that error if there is one. It is more
/// helpful than the error of the expected kind, since a misspelt name is more likely than a misplaced one.
fn error_of_similar_kind(text: &str) -> Result<(), RefError> {
    if text.starts_with("plan:") {
        text.parse::<PlanName>().map(drop)
    } else if text.starts_with("feature:") && text.contains('@') {
        text.parse::<FeaturePlan>().map(drop)
    } else if text.starts_with("feature:") {
        text.parse::<FeatureName>().map(drop)
    } else {
        Ok(())
    }
}

/// A warning about a valid name that some clients cannot read.
pub fn warning(name: &impl AsRef<str>) -> Option<String> {
    let name = name.as_ref();
    name.contains('-').then(|| {
        format!(
            "{name}: the published Go client refuses names with \"-\", and its Can then allows everything"
        )
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b':' || b == b'-')
}

fn is_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Whether the id or lookup key of a Stripe object was chosen by Tier.
pub(super) fn is_stripe_id_of_tier(id: &str) -> bool {
    id.starts_with("tier__")
}

/// The id of a name in Stripe, as in the original Tier: `:` and `@` are not allowed, so they become `-`. The original
/// did not allow `-` in names; it becomes `_2d`, so that `a-b` and `a:b` differ (names have no `_`).
fn stripe_id(name: &str) -> String {
    let mut id = String::with_capacity("tier__".len() + name.len());
    id.push_str("tier__");
    for c in name.chars() {
        match c {
            '-' => id.push_str("_2d"),
            c if c.is_ascii_alphanumeric() => id.push(c),
            _ => id.push('-'),
        }
    }
    id
}

#[cfg(test)]
mod tests;
