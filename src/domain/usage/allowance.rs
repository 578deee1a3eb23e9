//! An org's limit and usage of one feature, and reports that return the new usage.

use std::time::Duration;

use super::{FeatureUsage, Report};
use crate::domain::clock::CLOCK_SKEW;
use crate::domain::entitlement::{Kind, UsageSnapshot};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::{Domain, Error, ReservationRequest, Result};

/// An org's limit and usage of a feature in the running period. Both are 0 if the feature is not granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Units; 1 for a licensed feature.
    pub used: i64,
    /// Units; [`i64::MAX`] if there is no limit.
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
    /// The org's limit and usage of a feature. An unknown org is granted nothing.
    pub async fn allowance(&self, org: &OrgName, feature: &FeatureName) -> Result<Allowance> {
        match self.limits(org).await {
            Ok(usage) => Ok(Allowance::of(&usage.value, feature)),
            Err(Error::OrgNotFound) => Ok(Allowance::default()),
            Err(error) => Err(error),
        }
    }

    /// Adds usage, even beyond the limit, and returns the new usage. Each of several concurrent additions gets the
    /// usage after its own. A negative `n` gives usage back, which needs a ledger. The report's time comes from a
    /// client, whose clock may differ from ours by up to [`CLOCK_SKEW`].
    pub async fn add_usage(&self, org: &OrgName, report: &Report) -> Result<Allowance> {
        if report.n < 0 && !self.has_ledger() {
            return Err(Error::Invalid(
                "refunds need the ledger: start the server with --ledger FILE".into(),
            ));
        }
        if self.has_ledger() {
            let usage = self.entitlement::<UsageSnapshot>(org).await?.value;
            if usage.is_sum(&report.feature) {
                let report = self.with_clock_skew(report, &usage).await?;
                return self.add_to_ledger(org, report).await;
            }
        }
        let shared = self.shared().await?;
        let name = format!("{org} {}", report.feature);
        // A waiting request keeps its admission, so the limit of an org's requests also limits those that wait.
        let _held = tokio::select! {
            biased;
            () = self.stripe().caller().leaves() => return Err(Error::Abandoned),
            held = shared.totals.exclusive(&name) => held,
        };
        let mut usage = self.entitlement::<UsageSnapshot>(org).await?.value;
        let is_level = usage.is_level(&report.feature);
        if is_level && !self.has_ledger() {
            // The new level replaces Stripe's, which another server may have changed.
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
            // A report of a level contains the new level, not the difference.
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
            // A reservation returns the usage after it, whatever else is in the same commit.
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

    /// The report with a corrected time: now if its time differs from now by at most [`CLOCK_SKEW`], and the start of
    /// the period if its time is at most that long before the start.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the time is before the last change of plan. Usage at that time is billed already, so it
    /// can no longer change.
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
    fn is_sum(&self, feature: &FeatureName) -> bool {
        let item = self.metered_item(feature);
        item.is_some_and(|item| item.sold.kind == Kind::Sum)
    }

    /// Whether usage of the feature is a level, which each report replaces.
    fn is_level(&self, feature: &FeatureName) -> bool {
        let item = self.metered_item(feature);
        item.is_some_and(|item| matches!(item.sold.kind, Kind::Max | Kind::Last | Kind::Perpetual))
    }

    /// When a change of plan created the feature's current item, in Unix seconds; `None` if the subscription began with
    /// it.
    fn sold_since(&self, feature: &FeatureName) -> Option<i64> {
        let item = self.metered_item(feature)?;
        (item.created > self.began()).then_some(item.created)
    }
}
