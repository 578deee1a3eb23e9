//! Reports with a client's idempotency key. Reports with the same key count once.
//!
//! Stripe remembers the key (see [`claim`](super::claim)), so this holds across restarts, servers and changes of plan.
//! This process also remembers it, but only to answer repetitions without calling Stripe.

use sha2::{Digest, Sha256};

use super::Report;
use super::claim::{Claim, ReportKey, key_reused};
use super::record::{LOOK_UPS, outcome_unknown};
use crate::billing::{Subscription, SubscriptionItem};
use crate::domain::client_keys::ClientKeys;
use crate::domain::entitlement::{ReportEffect, UsageSnapshot};
use crate::domain::org::ResolvedOrg;
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Failure, Result};
use crate::num::hex;

/// The remembered keys of reports. Stripe knows all of them.
pub(in crate::domain) type KeyedReports = ClientKeys<State>;

#[derive(Default)]
pub(in crate::domain) enum State {
    /// Not claimed, as far as this server knows.
    #[default]
    New,
    /// Claimed, with an unknown outcome: Stripe may have counted the report.
    Begun(Progress),
    /// Counted.
    Done,
}

/// The progress of a report.
pub(in crate::domain) struct Progress {
    /// The item to record on instead of the claim's, if the claim's item was removed.
    moved_to: Option<Box<(Subscription, SubscriptionItem)>>,
    /// The number of the next usage record. The earlier ones are known to have counted nothing.
    pub(super) attempt: u32,
}

/// The maximum number of usage records of a report that counted nothing.
pub(super) const RECORDS: u32 = 10;

impl Domain {
    pub(super) async fn report_once(
        &self,
        org: &OrgName,
        report: &Report,
        key: &str,
        remembered: Option<&UsageSnapshot>,
    ) -> Result<ReportEffect> {
        let key = ReportKey {
            name: self.stripe_key_of(key),
            report: digest(org, report),
        };
        let shared = self.shared().await?;
        let keys = shared.memory.reports();
        let scoped_key = (shared.number, key.name.clone());
        let slot = keys
            .slot(&scoped_key, key.report)
            .await
            .ok_or_else(key_reused)?;
        let mut state = self.hold_key(&slot.state).await?;
        if matches!(*state, State::Done) {
            return Ok(ReportEffect::None);
        }
        let recorded = self
            .record_claimed(org, report, &key, &mut state, remembered)
            .await;
        match &recorded {
            Ok(_) => *state = State::Done,
            // The key is unused, or belongs to another report.
            Err(_) if matches!(*state, State::New) => keys.forget(&scoped_key).await,
            Err(_) => {}
        }
        recorded
    }

    async fn record_claimed(
        &self,
        org: &OrgName,
        report: &Report,
        key: &ReportKey,
        state: &mut State,
        remembered: Option<&UsageSnapshot>,
    ) -> Result<ReportEffect> {
        let mut org = self.resolve_org(org).await?;
        loop {
            let recorded = self.record_once(&org, report, key, state, remembered);
            match recorded.await {
                Ok(counted) => return Ok(counted),
                Err(failure) => org = self.resolve_again(&org, failure.into()).await?,
            }
        }
    }

    /// Claims the key, and records on the claim's item or on its replacement.
    async fn record_once(
        &self,
        org: &ResolvedOrg,
        report: &Report,
        key: &ReportKey,
        state: &mut State,
        remembered: Option<&UsageSnapshot>,
    ) -> Result<ReportEffect, Failure> {
        let customer = &*org.customer;
        let mut claim = self.claim(customer, &report.feature, key).await?;
        if !matches!(state, State::Begun(_)) {
            *state = State::Begun(Progress {
                moved_to: None,
                attempt: 1,
            });
        }
        let State::Begun(progress) = state else {
            return Ok(ReportEffect::None);
        };
        if let Some(moved_to) = &progress.moved_to {
            (claim.subscription, claim.item) = (**moved_to).clone();
        }
        for _ in 1..LOOK_UPS {
            if claim.item.price.meter().is_some() {
                let reported = self.report_event(org, report, &key.name, remembered).await;
                // The org's current plan may refuse what an earlier plan accepted.
                let is_refused = matches!(
                    reported,
                    Err(Failure::Domain(
                        Error::FeatureNotFound | Error::FeatureNotReportable | Error::Invalid(_)
                    ))
                );
                if is_refused && claim.is_repeated && self.is_event_sent(&key.name).await? {
                    return Ok(ReportEffect::Unknown);
                }
                return reported;
            }
            let sets_sum = report.clobber && claim.item.price.is_sum();
            let recorded = if sets_sum {
                self.set_sum_once(customer, &claim, report, key).await
            } else {
                self.add_once(&claim, report, key, progress).await
            };
            match recorded {
                Err(failure) if failure.is_item_gone() => {
                    tracing::info!(error = %failure, "the plan has changed; looking up the item again");
                    let found = self.metered_item(customer, &report.feature).await?;
                    (claim.subscription, claim.item) = found.clone();
                    progress.moved_to = Some(Box::new(found));
                    progress.attempt += 1;
                }
                Ok(()) if sets_sum || claim.is_repeated || progress.attempt > 1 => {
                    return Ok(ReportEffect::Unknown);
                }
                outcome => {
                    return outcome.map(|()| ReportEffect::of_record(report, &claim.item.id));
                }
            }
        }
        Err(Error::plan_is_changing().into())
    }

    /// Adds to a sum, or sets a level, once.
    async fn add_once(
        &self,
        claim: &Claim,
        report: &Report,
        key: &ReportKey,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let item = &claim.item;
        let shared = self.shared().await?;
        let write = shared.writes.begin(&item.id);
        // If Stripe fails, the change of the total shows whether the record was counted.
        let is_comparable = !report.clobber && item.price.is_sum() && !claim.is_repeated;
        let before = if is_comparable {
            Some(self.period_usage(&item.id, None).await?.total)
        } else {
            None
        };
        loop {
            let name = key.record_key(progress.attempt);
            match self.add_record(&item.id, report.record(), Some(name)).await {
                Ok(()) => return Ok(()),
                // Only this report uses the key, so it was sent before, for an item that is no longer known.
                Err(error) if error.is_idempotency_conflict() => {
                    tracing::error!(item = %item.id, n = report.n, "this report was sent before for another item; it is unknown whether it was counted");
                    return Err(outcome_unknown());
                }
                Err(error) if error.is_replayed() && error.is_stripe_failure() => {
                    let after = match self.period_usage(&item.id, None).await {
                        Ok(after) => after.total,
                        // The record may have been counted before the item was removed.
                        Err(error) if error.is_item_gone() => {
                            tracing::error!(item = %item.id, n = report.n, "Stripe replays a failure, and the plan has changed since; it is unknown whether this report was counted");
                            return Err(outcome_unknown());
                        }
                        Err(error) => return Err(error.into()),
                    };
                    if before.is_none() && !report.clobber || progress.attempt >= RECORDS {
                        tracing::error!(item = %item.id, n = report.n, after, "Stripe replays a failure; it is unknown whether this report was counted");
                        return Err(outcome_unknown());
                    }
                    match was_counted(before, after, report, write.is_alone()) {
                        Some(true) => return Ok(()),
                        Some(false) => progress.attempt += 1,
                        None => {
                            tracing::error!(item = %item.id, n = report.n, before, after, "Stripe replays a failure; it is unknown whether this report was counted");
                            return Err(outcome_unknown());
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The prefix of Stripe's idempotency keys for a client's key. Stripe accepts up to 255 characters. A digest is
    /// short, and cannot collide with this server's other keys.
    fn stripe_key_of(&self, key: &str) -> String {
        format!("report:{}", hex(&self.client_key_digest(key)))
    }
}

/// Whether the report was counted, according to the change of the total while it was sent; `None` if that is unknown.
fn was_counted(before: Option<i64>, after: i64, report: &Report, is_alone: bool) -> Option<bool> {
    // A level can be set again.
    let Some(before) = before else {
        return Some(false);
    };
    match after.checked_sub(before)? {
        0 if report.n == 0 => Some(true),
        0 => Some(false),
        change if change == report.n && is_alone => Some(true),
        _ => None,
    }
}

fn digest(org: &OrgName, report: &Report) -> [u8; 32] {
    let text = format!(
        "{org}\n{}\n{}\n{:?}\n{}",
        report.feature, report.n, report.at, report.clobber
    );
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_shows_the_outcome_of_a_report_only_if_nothing_else_changed_it() {
        let report = |n| Report {
            feature: "feature:x".parse().expect("a name"),
            n,
            at: None,
            clobber: false,
        };
        for (before, after, n, alone, counted) in [
            (Some(3), 8, 5, true, Some(true)),
            (Some(3), 3, 5, true, Some(false)),
            (Some(3), 3, 5, false, Some(false)),
            (Some(3), 8, 5, false, None),
            (Some(3), 7, 5, true, None),
            (Some(3), 13, 5, true, None),
            (Some(9), 0, 5, true, None),
            (Some(3), 3, 0, true, Some(true)),
            (None, 8, 5, true, Some(false)),
        ] {
            let found = was_counted(before, after, &report(n), alone);
            assert_eq!(found, counted, "{before:?} {after} {n} {alone}");
        }
    }
}
