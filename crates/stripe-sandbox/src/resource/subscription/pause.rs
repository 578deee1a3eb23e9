//! A pause in collecting what a subscription owes: Stripe's `pause_collection`. Invoices are made all the same; it says
//! what becomes of them.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::params::Params;
use crate::params::field_update::FieldUpdate;

const KEY: &str = "pause_collection";

/// What becomes of an invoice that is made during the pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behavior {
    /// It stays a draft, until a request finalizes it.
    KeepAsDraft,
    /// It is finalized, and given up.
    MarkUncollectible,
    /// It is finalized, and void.
    Void,
}

impl Behavior {
    const ALL: [Self; 3] = [Self::KeepAsDraft, Self::MarkUncollectible, Self::Void];

    fn as_str(self) -> &'static str {
        match self {
            Self::KeepAsDraft => "keep_as_draft",
            Self::MarkUncollectible => "mark_uncollectible",
            Self::Void => "void",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pause {
    pub(crate) behavior: Behavior,
    /// When it ends by itself.
    pub(crate) resumes_at: Option<i64>,
}

impl Pause {
    pub(crate) fn to_json(self) -> Value {
        json!({"behavior": self.behavior.as_str(), "resumes_at": self.resumes_at})
    }
}

/// `pause_collection`, of which an empty one ends the pause.
pub(crate) fn read(params: &Params<'_>, now: i64) -> Result<FieldUpdate<Pause>> {
    let Some(given) = params.object(KEY)? else {
        return Ok(FieldUpdate::Keep);
    };
    if params.is_unset(KEY) {
        return Ok(FieldUpdate::Unset);
    }
    let behavior = given.variant("behavior", &Behavior::ALL, Behavior::as_str)?;
    let behavior = behavior.ok_or_else(|| given.missing("behavior"))?;
    let resumes_at = given.timestamp("resumes_at")?;
    if resumes_at.is_some_and(|at| at <= now) {
        return Err(Error::malformed(
            given.name("resumes_at"),
            "Invalid timestamp: `resumes_at` must be in the future.",
        ));
    }
    Ok(FieldUpdate::Set(Pause {
        behavior,
        resumes_at,
    }))
}
