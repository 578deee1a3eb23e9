//! Failures of a step of an operation, which the operation may retry.

use super::Error;
use crate::stripe;

/// Why a step failed. It keeps Stripe's error, which decides whether another attempt may help.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Stripe's own error.
    #[error(transparent)]
    Stripe(#[from] stripe::Error),
    /// Another request changed the plan in the meantime.
    #[error("the plan was changed meanwhile: {0}")]
    Overtaken(#[source] stripe::Error),
    /// Any other error.
    #[error(transparent)]
    Domain(#[from] Error),
}

impl Failure {
    /// Turns the failure of a call about an item into [`Failure::Overtaken`], if the item is gone.
    pub(super) fn of_item(failure: impl Into<Self>) -> Self {
        match failure.into() {
            Self::Stripe(error) if error.is_item_gone() => Self::Overtaken(error),
            other => other,
        }
    }

    /// Whether the item that the call was about is gone.
    pub(super) fn is_item_gone(&self) -> bool {
        match self {
            Self::Stripe(error) | Self::Overtaken(error) => error.is_item_gone(),
            Self::Domain(_) => false,
        }
    }

    /// The failure to report after too many attempts on items that are gone. It does not contain Stripe's ids.
    pub(super) fn without_item(self) -> Self {
        if self.is_item_gone() {
            Error::plan_is_changing().into()
        } else {
            self
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stripe(error) | Failure::Overtaken(error) => error.into(),
            Failure::Domain(error) => error,
        }
    }
}
