//! What an update does to a field.

use crate::error::Result;

/// Nothing, empty it (`field=`), or set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldUpdate<T> {
    #[default]
    Keep,
    Unset,
    Set(T),
}

impl<T> FieldUpdate<T> {
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

    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> FieldUpdate<U> {
        match self {
            Self::Keep => FieldUpdate::Keep,
            Self::Unset => FieldUpdate::Unset,
            Self::Set(value) => FieldUpdate::Set(change(value)),
        }
    }

    /// [`map`](Self::map) by what can fail.
    pub(crate) fn try_map<U>(self, change: impl FnOnce(T) -> Result<U>) -> Result<FieldUpdate<U>> {
        Ok(match self {
            Self::Keep => FieldUpdate::Keep,
            Self::Unset => FieldUpdate::Unset,
            Self::Set(value) => FieldUpdate::Set(change(value)?),
        })
    }
}
