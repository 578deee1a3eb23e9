//! What an update does to a field.

use super::error::Result;

/// Nothing, empty it (`field=`), or set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Change<T> {
    #[default]
    Keep,
    Unset,
    Set(T),
}

impl<T> Change<T> {
    /// Does it.
    pub(crate) fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Unset => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// The value that is set, if one is: all there is on creation.
    pub(crate) fn value(self) -> Option<T> {
        match self {
            Self::Keep | Self::Unset => None,
            Self::Set(value) => Some(value),
        }
    }

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Change<U> {
        match self {
            Self::Keep => Change::Keep,
            Self::Unset => Change::Unset,
            Self::Set(value) => Change::Set(change(value)),
        }
    }

    /// [`map`](Self::map) by what can fail.
    pub(crate) fn try_map<U>(self, change: impl FnOnce(T) -> Result<U>) -> Result<Change<U>> {
        Ok(match self {
            Self::Keep => Change::Keep,
            Self::Unset => Change::Unset,
            Self::Set(value) => Change::Set(change(value)?),
        })
    }
}
