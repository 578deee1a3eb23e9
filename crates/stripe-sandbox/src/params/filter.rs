//! The time filter of many lists: `created=1`, or `created[gte]=1` and the like.

use super::Params;
use crate::error::Result;

/// Bounds on a time; both inclusive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Created {
    from: i64,
    to: i64,
}

impl Created {
    /// Reads `created`.
    pub(crate) fn read(params: &Params<'_>) -> Result<Self> {
        Self::read_from(params, "created")
    }

    /// Reads the filter from another parameter.
    pub(crate) fn read_from(params: &Params<'_>, key: &str) -> Result<Self> {
        let mut range = Self {
            from: i64::MIN,
            to: i64::MAX,
        };
        if !params.has(key) {
            return Ok(range);
        }
        if let Ok(Some(bounds)) = params.object(key) {
            for (bound, shift, lower) in [
                ("gt", 1, true),
                ("gte", 0, true),
                ("lt", -1, false),
                ("lte", 0, false),
            ] {
                let Some(at) = bounds.timestamp(bound)? else {
                    continue;
                };
                if lower {
                    range.from = range.from.max(at + shift);
                } else {
                    range.to = range.to.min(at + shift);
                }
            }
        } else if let Some(at) = params.timestamp(key)? {
            (range.from, range.to) = (at, at);
        }
        Ok(range)
    }

    pub(crate) fn accepts(self, at: i64) -> bool {
        (self.from..=self.to).contains(&at)
    }
}
