//! Usage over time, from the ledger.

use super::target::feature_in_ledger;
use super::{LedgerHandle, org_in_ledger};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Error, Result};
use crate::ledger::store::read::Span;
use crate::ledger::values::Time;

/// The maximum number of spans in one answer.
const MAX_SPANS: i64 = 10_000;

const DAY: i64 = 24 * 60 * 60;

/// The length of the spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageBy {
    /// Hours, UTC.
    Hour,
    /// Days, UTC.
    #[default]
    Day,
    /// Billing periods.
    Period,
}

/// A query of usage over time.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// The feature, on any plan.
    pub feature: FeatureName,
    /// The start in Unix seconds. `None`: a day before the end for hours, 30 days before it for days, and no start for
    /// periods.
    pub from: Option<i64>,
    /// The end in Unix seconds; `None`: now.
    pub to: Option<i64>,
    /// The length of the spans.
    pub by: UsageBy,
}

/// Usage in one hour, day or period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageSpan {
    /// The start, in Unix seconds.
    pub from: i64,
    /// The end, in Unix seconds.
    pub to: i64,
    /// The change of the period's total in the span.
    pub n: i64,
    /// The period's total at the end of the span.
    pub total: i64,
}

impl UsageBy {
    fn span(self) -> Span {
        match self {
            Self::Hour => Span::Hour,
            Self::Day => Span::Day,
            Self::Period => Span::Period,
        }
    }
}

impl UsageQuery {
    /// The start and end of the query.
    fn range(&self, now: i64) -> Result<(Time, Time)> {
        // Usage in the current second is included.
        let to = self.to.unwrap_or(now + 1);
        let from = self.from.unwrap_or(match self.by {
            UsageBy::Hour => to.saturating_sub(DAY),
            UsageBy::Day => to.saturating_sub(30 * DAY),
            UsageBy::Period => i64::MIN,
        });
        if from >= to {
            return Err(Error::Invalid("from must be before to".to_owned()));
        }
        let length = self.by.span().millis();
        if length.is_some_and(|length| to.saturating_sub(from) / (length / 1_000) > MAX_SPANS) {
            return Err(Error::Invalid(format!(
                "from and to must not be more than {MAX_SPANS} hours or days apart"
            )));
        }
        Ok((Time::from_seconds(from), Time::from_seconds(to)))
    }
}

impl Domain {
    /// The usage of a feature over time, oldest first, without empty spans.
    ///
    /// # Errors
    /// If there is no ledger, or it cannot be read.
    pub async fn usage(&self, org: &OrgName, query: &UsageQuery) -> Result<Vec<UsageSpan>> {
        let handle = self.needed_ledger("usage over time")?;
        let range = query.range(self.ledger_time().await?.seconds())?;
        let (org, feature) = (org_in_ledger(org), feature_in_ledger(&query.feature));
        let span = query.by.span();
        let usage = handle.read(move |reader| reader.usage(&org, &feature, span, range));
        let spans = usage.await?.into_iter().map(|usage| UsageSpan {
            from: usage.from.seconds(),
            to: usage.to.seconds(),
            n: usage.n,
            total: usage.total,
        });
        Ok(spans.collect())
    }

    /// The ledger.
    ///
    /// # Errors
    /// [`Error::Invalid`], which says that `what` needs a ledger, if there is none.
    pub(super) fn needed_ledger(&self, what: &str) -> Result<&LedgerHandle> {
        self.ledger().ok_or_else(|| {
            let how = "start the server with --ledger FILE";
            Error::Invalid(format!("{what} needs a ledger: {how}"))
        })
    }
}
