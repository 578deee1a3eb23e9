//! What an org's subscriptions say about an ended period.

use crate::domain::entitlement::UsageSnapshot;
use crate::domain::ledger::on_meters::Moved;
use crate::domain::ledger::target::period_in_ledger;
use crate::domain::refs::OrgName;
use crate::domain::subscription::Detail;
use crate::domain::{Domain, Error, Result};
use crate::ledger::Ledger;
use crate::ledger::state::{Move, Total};
use crate::ledger::values::{Aggregate, Meter, Period, Time};

impl Domain {
    /// The end of the period, if it has become longer and has not ended. A trial that was extended does this, also if its
    /// items were replaced.
    pub(super) async fn longer_end(&self, total: &Total, now: Time) -> Result<Option<Time>> {
        let Ok(org) = total.org.as_str().parse::<OrgName>() else {
            return Ok(None);
        };
        let usage = match self.entitlement::<UsageSnapshot>(&org).await {
            Err(Error::OrgNotFound) => return Ok(None),
            usage => usage?.value,
        };
        let period = period_in_ledger(usage.period_at(now.seconds()));
        let runs = period.start == total.period.start && now < period.end;
        Ok(runs.then_some(period.end))
    }

    /// Whether a period was a trial. Its usage is free, and if no payment follows, it is on no invoice.
    pub(super) async fn was_trial(&self, customer: &str, period: Period) -> Result<bool> {
        let found = match self.subscriptions(customer, Detail::History).await {
            Err(Error::CustomerVanished { .. }) => return Ok(false),
            found => found?,
        };
        let mut all = found
            .current
            .iter()
            .chain(&found.superseded)
            .chain(&found.ended);
        let (start, end) = (period.start.seconds(), period.end.seconds());
        Ok(all.any(|subscription| {
            let trial = subscription.trial_start.zip(subscription.trial_end);
            trial.is_some_and(|(from, to)| from <= start && end <= to)
        }))
    }

    /// Continues a level in the next period. Returns whether it may have to continue later: while the plan is being
    /// changed, or after a payment that makes the subscription grant its features again.
    pub(super) async fn may_continue_later(
        &self,
        ledger: &Ledger,
        total: &Total,
        meter: &Meter,
    ) -> Result<bool> {
        if total.aggregate != Aggregate::Perpetual || total.n == 0 {
            return Ok(false);
        }
        let level = Move {
            total: total.id,
            org: total.org.clone(),
            feature: total.feature.clone(),
            is_late: false,
        };
        match self.move_usage(ledger, &level).await? {
            Moved::Done => Ok(false),
            Moved::Refused => Ok(true),
            Moved::Nowhere => {
                let current = match self.subscriptions(&meter.customer, Detail::Items).await {
                    Err(Error::CustomerVanished { .. }) => None,
                    subscriptions => subscriptions?.current,
                };
                Ok(current.is_some_and(|current| !current.grants()))
            }
        }
    }
}
