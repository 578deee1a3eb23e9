//! The update of a field.

use crate::error::Result;

/// Keep the field, unset it (`field=`), or set it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldUpdate<T> {
    #[default]
    Keep,
    Unset,
    Set(T),
}

impl<T> FieldUpdate<T> {
    /// Applies the update.
    pub(crate) fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Unset => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// The value, if one is set. For creation, where keeping and unsetting are the same.
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

    /// Like [`map`](Self::map), with a function that can fail.
    pub(crate) fn try_map<U>(self, change: impl FnOnce(T) -> Result<U>) -> Result<FieldUpdate<U>> {
        Ok(match self {
            Self::Keep => FieldUpdate::Keep,
            Self::Unset => FieldUpdate::Unset,
            Self::Set(value) => FieldUpdate::Set(change(value)?),
        })
    }
}
