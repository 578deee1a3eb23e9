//! `limits` and `report`: the limits and usage of an org, and the recording of usage.

mod addition;
mod allowance;
mod carried;
mod claim;
mod figure;
mod free;
mod keyed;
mod keyed_clobber;
mod on_meters;
mod publication;
mod record;
mod recorded;
mod sent_events;
mod totals;
mod writes;

use std::sync::Arc;

use super::entitlement::{Answered, Read, ReportEffect, Source, Terms, UsageSnapshot};
use super::org::ResolvedOrg;
use super::refs::{FeatureName, OrgName};
use super::subscription::Detail;
use super::{Domain, Error, Failure, OrgReport, Result};
use crate::billing::{Price, Subscription};

use record::LOOK_UPS;

pub use allowance::Allowance;
pub(super) use carried::{Billed, Carried, SCHEDULED, SETTLED};
pub(super) use claim::key_reused;
pub(super) use figure::Figure;
pub(super) use free::{FREE_USAGE, FreeUsage};
pub(super) use keyed::KeyedReports;
pub(super) use publication::SettledPublications;
pub use recorded::RecordedUsage;
pub(super) use sent_events::SentEvents;
pub(super) use totals::UsedByItem;
pub(super) use writes::Writes;

/// The limit and usage of a feature in the running period.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FeatureUsage {
    /// The feature, on any plan.
    pub feature: FeatureName,
    /// Units; 1 for a licensed feature.
    pub used: i64,
    /// Units; [`i64::MAX`] if there is no limit.
    pub limit: i64,
    /// The part of `used` that is only reserved, and not billed.
    #[serde(skip_serializing_if = "is_zero")]
    pub reserved: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Usage to record.
#[derive(Clone, Debug)]
pub struct Report {
    /// The feature, on any plan.
    pub feature: FeatureName,
    /// Units.
    pub n: i64,
    /// When the usage happened, in Unix seconds; `None`: now.
    pub at: Option<i64>,
    /// Whether to set the period's usage to `n` instead of adding to it.
    pub clobber: bool,
}

impl Domain {
    /// The org's limits and usage, by feature name. Empty if the org is granted nothing.
    pub async fn limits(&self, org: &OrgName) -> Result<Answered<Arc<[FeatureUsage]>>> {
        if let Some(ledger) = self.ledger() {
            return self.limits_with_ledger(ledger, org).await;
        }
        let known = self.entitlement::<UsageSnapshot>(org).await?;
        let is_sent = known.value.has_meters() && {
            let sent = &self.shared().await?.sent_events;
            sent.are_pending_in(&known.value)
        };
        let mut answered = known.map(|usage| usage.rows());
        if is_sent {
            answered.source = Source::Sent;
        }
        Ok(answered)
    }

    pub(super) async fn read_usage(&self, org: &OrgName) -> Result<Read<UsageSnapshot>> {
        let mut org = self.resolve_org(org).await?;
        let mut reads = 1;
        loop {
            match self.read_usage_of(&org).await {
                Ok(usage) => return Ok(usage),
                // The plan changed between two reads.
                Err(failure) if failure.is_item_gone() && reads < LOOK_UPS => reads += 1,
                Err(failure) => {
                    org = self
                        .resolve_again(&org, failure.without_item().into())
                        .await?;
                    reads = 1;
                }
            }
        }
    }

    async fn read_usage_of(&self, org: &ResolvedOrg) -> Result<Read<UsageSnapshot>, Failure> {
        let customer = &org.customer;
        let in_ledger = self.ledger_items(&org.name);
        let plan = self.plan_number(&org.name);
        let remembered = self.remembered_usage(&org.name).await?;
        let had_meters = remembered.is_some_and(|usage| usage.has_meters());
        // A rate limit is reported at once. Other errors matter only if the lines are needed.
        let lines = async {
            if had_meters {
                return Ok(None);
            }
            match self.upcoming_usage(customer, None).await {
                Err(error @ Error::RateLimited { .. }) => Err(error),
                lines => Ok(Some(lines)),
            }
        };
        // The remembered value must expire when a phase ends.
        let shared = self.shared().await?;
        let plans = shared.memory.entitlements().plans();
        let detail = match self.entitlements(&shared) {
            Some(_) => Detail::Schedule,
            None => Detail::Items,
        };
        let subscriptions = self.subscriptions(customer, detail);
        let (subscriptions, lines) = tokio::try_join!(subscriptions, lines)?;
        self.settle_in_background(org, &subscriptions).await;
        let Some(current) = subscriptions.current.filter(Subscription::grants) else {
            return Ok(Read::unsubscribed(UsageSnapshot::default(), customer));
        };
        let has_others =
            !subscriptions.superseded.is_empty() || !subscriptions.payment_pending.is_empty();
        let (mut used, carried) = if current.is_on_meters() {
            let (used, removed) = self.usage_on_meters(&current).await?;
            self.settle_levels_in_background(org, &current, &removed)
                .await;
            (used, removed)
        } else {
            let lines = match lines {
                Some(lines) => lines?,
                None => self.upcoming_usage(customer, None).await?,
            };
            let used = self.complete_usage(customer, &current, lines, has_others);
            (used.await?, self.carried_to_items(&current).await?)
        };
        let levels = match self.levels_of_predecessor(&org.name, &current).await {
            Err(Failure::Stripe(error)) if error.is_definite() => {
                let org = &org.name;
                tracing::error!(%error, %org, "the levels of the earlier subscription are unknown");
                None
            }
            levels => levels?,
        };
        for level in levels.into_iter().flatten() {
            let total = used.entry(level.to).or_default();
            if *total == 0 {
                *total = level.n;
            }
        }
        let usage = UsageSnapshot::new(&current, &used, &carried, plans);
        self.submit_external_usage(&in_ledger, &usage).await;
        Ok(Read {
            value: usage.of_plan(plan),
            customer: Arc::clone(customer),
            until: current.next_boundary(),
            is_on_test_clock: current.test_clock.is_some(),
            terms: Some(Terms::of(&current)),
        })
    }

    /// Records usage. With `key`, repetitions of the same report count once. This holds for 24 hours, or with a ledger
    /// for as long as it keeps its entries.
    pub async fn report(&self, org: &OrgName, report: &Report, key: Option<&str>) -> Result<()> {
        if let Some(ledger) = self.ledger() {
            let report = OrgReport {
                org: org.clone(),
                report: report.clone(),
                key: key.map(str::to_owned),
            };
            let mut outcomes = self.report_to_ledger(ledger, &[report]).await?;
            return outcomes.pop().unwrap_or(Ok(()));
        }
        if report.n < 0 {
            return Err(Error::Invalid(
                "n must not be negative: only a server with --ledger takes usage back".into(),
            ));
        }
        let shared = self.shared().await?;
        let _no_plan_change = self.prevent_plan_change(org).await?;
        let mut reporting = self.reporting(&shared, org);
        let remembered = reporting
            .as_ref()
            .and_then(|reporting| reporting.usage.as_deref());
        let recorded = self.record_reported(org, report, key, remembered);
        let outcome = match &reporting {
            Some(reporting) => {
                reporting
                    .write
                    .watch(self.stripe().caller(), recorded)
                    .await
            }
            None => recorded.await,
        };
        if let Some(reporting) = &mut reporting {
            match &outcome {
                Ok(effect) => reporting.write.record_effect(effect.clone()),
                Err(error) if error.is_refusal() => {
                    reporting.write.record_effect(ReportEffect::None);
                }
                Err(_) => {}
            }
        }
        outcome.map(drop)
    }

    /// Records a report in Stripe. Returns its effect.
    async fn record_reported(
        &self,
        org: &OrgName,
        report: &Report,
        key: Option<&str>,
        remembered: Option<&UsageSnapshot>,
    ) -> Result<ReportEffect> {
        if let Some(key) = key {
            return self.report_once(org, report, key, remembered).await;
        }
        let identifier = uuid::Uuid::new_v4().to_string();
        let mut org = self.resolve_org(org).await?;
        loop {
            match self.record(&org, report, &identifier, remembered).await {
                Ok(effect) => return Ok(effect),
                Err(failure) => org = self.resolve_again(&org, failure.into()).await?,
            }
        }
    }
}

impl Price {
    /// Whether reports are added up over a period.
    fn is_sum(&self) -> bool {
        !self.aggregate().is_level()
    }
}
