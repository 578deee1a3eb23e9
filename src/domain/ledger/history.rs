//! Usage over time, as the ledger's file has it.

use super::target::feature_in_ledger;
use super::{LedgerHandle, org_in_ledger};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Error, Result};
use crate::ledger::store::sqlite::Span;
use crate::ledger::values::Time;

/// The most spans in one answer.
const MOST_SPANS: i64 = 10_000;

const DAY: i64 = 24 * 60 * 60;

/// What usage over time is added up by.
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

/// Usage over time that is asked for.
#[derive(Clone, Debug)]
pub struct UsageQuery {
    /// The feature, whatever the plan.
    pub feature: FeatureName,
    /// Unix seconds; none: a day ago by hours, 30 days ago by days, and all that there is by periods.
    pub from: Option<i64>,
    /// Unix seconds; none: now.
    pub to: Option<i64>,
    /// What it is added up by.
    pub by: UsageBy,
}

/// Usage in one hour, day or period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageSpan {
    /// When it begins, in Unix seconds.
    pub from: i64,
    /// When it ends, in Unix seconds.
    pub to: i64,
    /// By how much the period's total changed in it.
    pub n: i64,
    /// The period's total at its end.
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
    /// From when until when.
    fn range(&self, now: i64) -> Result<(Time, Time)> {
        // What is used in this second belongs to it.
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
        if length.is_some_and(|length| to.saturating_sub(from) / (length / 1_000) > MOST_SPANS) {
            return Err(Error::Invalid(format!(
                "from and to must not be more than {MOST_SPANS} hours or days apart"
            )));
        }
        Ok((Time::from_seconds(from), Time::from_seconds(to)))
    }
}

impl Domain {
    /// The usage of a feature over time, oldest first. Spans without usage are left out.
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

    /// The ledger that something needs.
    pub(super) fn needed_ledger(&self, what: &str) -> Result<&LedgerHandle> {
        self.ledger().ok_or_else(|| {
            let how = "start the server with --ledger FILE";
            Error::Invalid(format!("{what} needs a ledger: {how}"))
        })
    }
}
