//! What an org may use of one feature, and usage that is answered with what is used after it.

use std::time::Duration;

use super::{FeatureUsage, Report};
use crate::domain::clock::CLOCK_SKEW;
use crate::domain::entitlement::{Kind, UsageSnapshot};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Error, ReservationRequest, Result};

/// What an org may use of a feature in the running period, and has used. Nothing where it is granted nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Units; 1 for a licensed feature.
    pub used: i64,
    /// Units; [`i64::MAX`] for none.
    pub limit: i64,
}

impl Allowance {
    fn of(usage: &[FeatureUsage], feature: &FeatureName) -> Self {
        let mut rows = usage.iter();
        let row = rows.find(|row| row.feature == *feature);
        row.map_or(Self::default(), |row| Self {
            used: row.used,
            limit: row.limit,
        })
    }
}

impl Domain {
    /// What the org may use of a feature. An unknown org may use nothing.
    pub async fn allowance(&self, org: &OrgName, feature: &FeatureName) -> Result<Allowance> {
        match self.limits(org).await {
            Ok(usage) => Ok(Allowance::of(&usage.value, feature)),
            Err(Error::OrgNotFound) => Ok(Allowance::default()),
            Err(error) => Err(error),
        }
    }

    /// Adds usage, also beyond the limit, and answers with what is used after it. Of several additions at the same time,
    /// each is answered on top of those before it. A negative `n` gives usage back, which needs a ledger. The time of the
    /// report is a client's, whose clock may be up to [`CLOCK_SKEW`] from ours.
    pub async fn add_usage(&self, org: &OrgName, report: &Report) -> Result<Allowance> {
        if report.n < 0 && !self.has_ledger() {
            return Err(Error::Invalid(
                "refunds need the ledger: start the server with --ledger FILE".into(),
            ));
        }
        if self.has_ledger() {
            let usage = self.entitlement::<UsageSnapshot>(org).await?.value;
            if usage.sums(&report.feature) {
                let report = self.with_clock_skew(report, &usage).await?;
                return self.add_to_ledger(org, report).await;
            }
        }
        let shared = self.shared().await?;
        let name = format!("{org} {}", report.feature);
        // It keeps its place while it waits, so no more wait than an org may have requests in flight.
        let _held = tokio::select! {
            biased;
            () = self.stripe().caller().leaves() => return Err(Error::Abandoned),
            held = shared.totals.exclusive(&name) => held,
        };
        let mut usage = self.entitlement::<UsageSnapshot>(org).await?.value;
        let is_level = usage.is_level(&report.feature);
        if is_level && !self.has_ledger() {
            // The new level is written over the one that Stripe has, which another instance may have changed.
            usage = self
                .asking_stripe()
                .entitlement::<UsageSnapshot>(org)
                .await?
                .value;
        }
        let mut addition = self.with_clock_skew(report, &usage).await?;
        let before = if self.has_ledger() {
            self.allowance(org, &report.feature).await?
        } else {
            Allowance::of(&usage.rows(), &report.feature)
        };
        let used = before.used.saturating_add(report.n);
        if is_level {
            // A report of a level says what it is, and not by how much it changes.
            if used < 0 {
                return Err(Error::Invalid(format!(
                    "usage cannot be lowered below 0: {} is used",
                    before.used
                )));
            }
            addition.n = used;
            addition.clobber = report.n < 0;
        }
        self.report(org, &addition, None).await?;
        Ok(Allowance { used, ..before })
    }

    async fn add_to_ledger(&self, org: &OrgName, report: Report) -> Result<Allowance> {
        if report.n > 0 && report.at.is_none() {
            // The ledger says what is used after this one, whatever is in the same commit.
            let addition = ReservationRequest {
                feature: report.feature,
                n: report.n,
                ttl: Duration::from_secs(1),
                commit: true,
                ignores_limit: true,
            };
            let reserved = self.reserve(org, &addition).await?;
            return Ok(Allowance {
                used: reserved.used,
                limit: reserved.limit,
            });
        }
        self.report(org, &report, None).await?;
        self.allowance(org, &report.feature).await
    }

    /// The report, as of now if its time is about now, and as of the beginning of the period if it is shortly before that.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it belongs to a plan that is over. What was used then is billed at that plan's price, and can
    /// neither be added to nor taken back.
    async fn with_clock_skew(&self, report: &Report, usage: &UsageSnapshot) -> Result<Report> {
        let now = self.now().await?;
        let start = usage.period_at(now).start;
        if let (Some(at), Some(changed)) = (report.at, usage.sold_since(&report.feature)) {
            let skew = if report.n < 0 { 0 } else { CLOCK_SKEW };
            if (start..changed.saturating_sub(skew)).contains(&at) {
                return Err(Error::Invalid(
                    "at that time another plan was in force, and what was used then is billed already".into(),
                ));
            }
        }
        let at = report.at.and_then(|at| match at {
            _ if at.saturating_sub(now).saturating_abs() <= CLOCK_SKEW => None,
            _ if (start.saturating_sub(CLOCK_SKEW)..start).contains(&at) => Some(start),
            at => Some(at),
        });
        Ok(Report {
            at,
            ..report.clone()
        })
    }
}

impl UsageSnapshot {
    /// Whether usage of the feature adds up.
    fn sums(&self, feature: &FeatureName) -> bool {
        let item = self.metered_item(feature);
        item.is_some_and(|item| item.sold.kind == Kind::Sum)
    }

    /// Whether usage of the feature is a level, which each report states anew.
    fn is_level(&self, feature: &FeatureName) -> bool {
        let item = self.metered_item(feature);
        item.is_some_and(|item| matches!(item.sold.kind, Kind::Max | Kind::Last | Kind::Perpetual))
    }

    /// When a change of plan gave the feature the item that it has now, in Unix seconds.
    fn sold_since(&self, feature: &FeatureName) -> Option<i64> {
        let item = self.metered_item(feature)?;
        (item.created > self.began()).then_some(item.created)
    }
}
