//! Stripe's `pause_collection`. Invoices are still made during the pause, which determines how they are treated.

use serde_json::{Value, json};

/// How an invoice that is made during the pause is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PauseBehavior {
    /// It stays a draft, until a request finalizes it.
    KeepAsDraft,
    /// It is finalized and marked as uncollectible.
    MarkUncollectible,
    /// It is finalized and voided.
    Void,
}

impl PauseBehavior {
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
    pub(crate) behavior: PauseBehavior,
    /// When the pause ends by itself.
    pub(crate) resumes_at: Option<i64>,
}

impl Pause {
    pub(crate) fn to_json(self) -> Value {
        json!({"behavior": self.behavior.as_str(), "resumes_at": self.resumes_at})
    }
}
