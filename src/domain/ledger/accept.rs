//! Reports of usage, acknowledged once they are in the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedRwLockReadGuard;
use tokio::time::Instant;

use super::change::MAX_WAIT;
use super::{LedgerHandle, org_in_ledger};
use crate::domain::entitlement::{Kind, Source, UsageSnapshot};
use crate::domain::refs::{FeatureName, OrgName};
use crate::domain::usage::{Report, key_reused};
use crate::domain::{Domain, Error, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{self, Answer, Change, Event, Key, LARGEST, LARGEST_ON_METER, Refusal};
use crate::ledger::values::Time;

/// How many orgs one request looks up in parallel.
const LOOK_UPS: usize = 20;

/// A report of usage of an org.
#[derive(Clone, Debug)]
pub struct OrgReport {
    /// The org.
    pub org: OrgName,
    /// The report.
    pub report: Report,
    /// The client's idempotency key. Repeated reports with the same key count once.
    pub key: Option<String>,
}

/// An org whose usage is reported. Its plan cannot change until this is dropped.
pub(super) struct ReportedOrg {
    pub(super) usage: Arc<UsageSnapshot>,
    _no_plan_change: OwnedRwLockReadGuard<()>,
}

impl Domain {
    /// Records usage of many orgs in one commit. Returns the result of each report.
    ///
    /// # Errors
    /// If there is no ledger, or it cannot be written; then no report is recorded.
    pub async fn report_all(&self, reports: &[OrgReport]) -> Result<Vec<Result<()>>> {
        let handle = self.needed_ledger("a batch of reports")?;
        self.report_to_ledger(handle, reports).await
    }

    /// Records reports in the ledger in one commit. Returns the result of each report. If another server is changing an
    /// org's plan, the org's reports are recorded after the change.
    ///
    /// # Errors
    /// If the ledger cannot be written; then no report is recorded.
    pub(in crate::domain) async fn report_to_ledger(
        &self,
        handle: &LedgerHandle,
        reports: &[OrgReport],
    ) -> Result<Vec<Result<()>>> {
        let deadline = Instant::now() + MAX_WAIT;
        let mut outcomes = self.store_reports(handle, reports).await?;
        loop {
            let is_waiting = |outcome: &Result<()>| matches!(outcome, Err(Error::PlanChanging));
            let waiting: Vec<usize> = (0..reports.len())
                .filter(|index| is_waiting(&outcomes[*index]))
                .collect();
            if waiting.is_empty() {
                return Ok(outcomes);
            }
            let again: Vec<OrgReport> = waiting.iter().map(|at| reports[*at].clone()).collect();
            let orgs: BTreeSet<&OrgName> = again.iter().map(|report| &report.org).collect();
            let changed = orgs
                .into_iter()
                .map(|org| self.await_plan_change(handle, org, deadline));
            let new = match try_join_all(changed).await {
                Ok(_) => self.store_reports(handle, &again).await,
                Err(error) => Err(error),
            };
            match new {
                Ok(new) => {
                    for (index, outcome) in waiting.into_iter().zip(new) {
                        outcomes[index] = outcome;
                    }
                }
                Err(error) => {
                    // The rest of the reports are recorded.
                    for index in waiting {
                        outcomes[index] = Err(error.clone());
                    }
                    return Ok(outcomes);
                }
            }
        }
    }

    async fn store_reports(
        &self,
        handle: &LedgerHandle,
        reports: &[OrgReport],
    ) -> Result<Vec<Result<()>>> {
        let ledger = handle.opened()?;
        let now = self.ledger_time().await?;
        let orgs = self.reported_orgs(reports).await;
        let event = |report: &OrgReport| match &orgs[&report.org] {
            Ok(known) => event(report, &known.usage, ledger, now),
            Err(error) => Err(error.clone()),
        };
        let mut outcomes: Vec<Result<()>> = Vec::with_capacity(reports.len());
        let mut events = Vec::new();
        let mut indices = Vec::new();
        for (index, report) in reports.iter().enumerate() {
            let event = event(report);
            let outcome = event.as_ref().map(drop).map_err(Error::clone);
            // A report that is refused now may be a repetition of one that was accepted, whose answer was lost.
            if let Some(event) = event.ok().or_else(|| repeat_event(report)) {
                events.push(event);
                indices.push(index);
            }
            outcomes.push(outcome);
        }
        let answers = ledger.submit(events, self.by_clock(now)).await?;
        for (index, answer) in indices.into_iter().zip(answers) {
            match answer {
                Ok(Answer::Ignored) => {}
                Ok(_) => outcomes[index] = Ok(()),
                Err(refusal) => {
                    let OrgReport { org, report, .. } = &reports[index];
                    let known = orgs[org].as_ref();
                    let elsewhere = known.map_or(0, |known| {
                        elsewhere(&known.usage, ledger, org, &report.feature, now)
                    });
                    outcomes[index] = Err(refusal_error(report, refusal, elsewhere));
                }
            }
        }
        for org in orgs.keys() {
            self.deliver_before_clock_moves(handle, org).await;
        }
        Ok(outcomes)
    }

    async fn reported_orgs(&self, reports: &[OrgReport]) -> BTreeMap<OrgName, Result<ReportedOrg>> {
        let orgs: BTreeSet<&OrgName> = reports.iter().map(|report| &report.org).collect();
        let known = stream::iter(orgs.into_iter().cloned()).map(|org| async {
            let of_org = reports.iter().filter(|report| report.org == org);
            let features: Vec<&FeatureName> = of_org.map(|report| &report.report.feature).collect();
            let known = self.reported_org(&org, &features).await;
            (org, known)
        });
        known.buffer_unordered(LOOK_UPS).collect().await
    }

    /// Looks up an org. A remembered snapshot that lacks one of these features is not trusted, since the plan may have
    /// been changed outside this server.
    pub(super) async fn reported_org(
        &self,
        org: &OrgName,
        features: &[&FeatureName],
    ) -> Result<ReportedOrg> {
        let no_plan_change = self.prevent_plan_change(org).await?;
        let mut usage = self.entitlement::<UsageSnapshot>(org).await?;
        let has_item = |feature: &&FeatureName| usage.value.metered_item(feature).is_some();
        if usage.source == Source::Memory && !features.iter().all(has_item) {
            usage = self
                .asking_stripe()
                .entitlement::<UsageSnapshot>(org)
                .await?;
        }
        Ok(ReportedOrg {
            usage: usage.value,
            _no_plan_change: no_plan_change,
        })
    }
}

fn event(report: &OrgReport, usage: &UsageSnapshot, ledger: &Ledger, now: Time) -> Result<Event> {
    let OrgReport { org, report, key } = report;
    let target = usage.target(org, &report.feature, now)?;
    let change = if report.clobber {
        let elsewhere = elsewhere(usage, ledger, org, &report.feature, now);
        if report.n < elsewhere {
            return Err(too_low(&report.feature, elsewhere));
        }
        Change::SetTotal(report.n - elsewhere)
    } else {
        Change::Add(report.n)
    };
    Ok(Event::Report(state::Report {
        target,
        change,
        at: report.at.map(Time::from_seconds),
        key: key.as_deref().map(|key| ledger_key(key, report)),
        recorded: usage
            .metered_item(&report.feature)
            .map_or(0, |item| item.used),
    }))
}

/// The event that finds out whether a report was accepted before; `None` without an idempotency key.
fn repeat_event(report: &OrgReport) -> Option<Event> {
    Some(Event::Repeat {
        org: org_in_ledger(&report.org),
        key: ledger_key(report.key.as_deref()?, &report.report),
    })
}

fn ledger_key(key: &str, report: &Report) -> Key {
    Key {
        text: key.into(),
        body: digest(report),
    }
}

/// A digest that distinguishes reports with the same key.
fn digest(report: &Report) -> [u8; 16] {
    let Report {
        feature,
        n,
        at,
        clobber,
    } = report;
    let digest = Sha256::digest(format!("{feature}\n{n}\n{at:?}\n{clobber}"));
    std::array::from_fn(|i| digest[i])
}

/// The usage of a sum on items that are not in the ledger; 0 for other aggregates. The ledger cannot take it back.
fn elsewhere(
    usage: &UsageSnapshot,
    ledger: &Ledger,
    org: &OrgName,
    feature: &FeatureName,
    now: Time,
) -> i64 {
    let item = usage.metered_item(feature);
    match item.map(|item| item.sold.kind) {
        Some(Kind::Sum) => usage.used_outside(ledger, org, feature, now).elsewhere,
        _ => 0,
    }
}

/// The error for a refused report. `elsewhere` is the usage on items that are not in the ledger.
fn refusal_error(report: &Report, refusal: Refusal, elsewhere: i64) -> Error {
    match refusal {
        Refusal::KeyReused => key_reused(),
        Refusal::PlanChanged => Error::PlanChanging,
        Refusal::TooLow { least } => too_low(&report.feature, least.saturating_add(elsewhere)),
        Refusal::TooFarAhead => Error::Invalid("at must be at most 5 minutes ahead".to_owned()),
        Refusal::OutsidePeriod => Error::Invalid(
            "at must be in the running billing period, or in the one before until 4 minutes after its end (50 minutes if a \
             meter bills it)"
                .to_owned(),
        ),
        Refusal::TooLarge => Error::Invalid(format!(
            "the total of {} in a period can be {LARGEST} at most, and {LARGEST_ON_METER} if a meter bills it",
            report.feature
        )),
        other => Error::Invalid(other.to_string()),
    }
}

fn too_low(feature: &FeatureName, least: i64) -> Error {
    Error::Invalid(format!(
        "usage of {feature} cannot be lowered below {least} in this period"
    ))
}
