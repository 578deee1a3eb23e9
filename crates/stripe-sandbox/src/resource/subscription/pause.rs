//! A pause in collecting what a subscription owes: Stripe's `pause_collection`. Invoices are made all the same; it says
//! what becomes of them.

use serde_json::{Value, json};

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
    pub(crate) const ALL: [Self; 3] = [Self::KeepAsDraft, Self::MarkUncollectible, Self::Void];

    pub(crate) fn as_str(self) -> &'static str {
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
