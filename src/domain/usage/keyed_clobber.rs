//! Setting a sum under a client's idempotency key. The difference to add depends on the current total, so a repetition
//! cannot be the same call. The addition uses the key of the observed total, as without a client's key, and the
//! client's key is marked as done afterwards. Two requests with different keys that set the same total add once.

use super::addition::Addition;
use super::claim::{Claim, Key};
use super::record::cannot_be_lowered;
use super::{Report, totals::PeriodUsage};
use crate::domain::{Domain, Failure};
use crate::stripe;

impl Domain {
    /// Sets the total of the claim's period to `n`, once, and marks the report as done.
    pub(super) async fn set_sum_once(
        &self,
        customer: &str,
        claim: &Claim,
        report: &Report,
        key: &Key,
    ) -> Result<(), Failure> {
        self.bring_total(customer, claim, report, key).await?;
        let done = self
            .billing()
            .update_customer(customer, &key.done_mark())
            .unread();
        match done.key(key.of_end()).send().await {
            Ok(_) => {}
            // Another server has checked whether it is done.
            Err(error) if error.is_idempotency_conflict() => {}
            Err(error) => tracing::warn!(%error, "could not note that a report is done"),
        }
        Ok(())
    }

    /// Adds the difference. Of several requests that saw the same total, one adds.
    async fn bring_total(
        &self,
        customer: &str,
        claim: &Claim,
        report: &Report,
        key: &Key,
    ) -> Result<(), Failure> {
        let item = &claim.item;
        let shared = self.shared().await?;
        let _held = self.hold(&shared.totals, &item.id).await?;
        let _write = shared.writes.begin(&item.id);
        let beside = self
            .used_beside(&claim.subscription, item, &report.feature)
            .await;
        let beside = match beside {
            Ok(beside) => beside,
            Err(Failure::Stripe(error)) if error.is_item_gone() && claim.repeated => {
                return self.done_before(error, customer, key).await;
            }
            Err(failure) => return Err(failure),
        };
        let mut tries = self.begin_additions(&item.id).await?;
        loop {
            let seen = match self.seen_by(customer, claim, beside, report, key).await? {
                Seen::Done => return Ok(()),
                Seen::Total(seen) => seen,
            };
            let total = seen.total.saturating_add(beside);
            let missing = report.n.saturating_sub(total);
            if missing == 0 {
                return Ok(());
            }
            if missing < 0 {
                if claim.repeated && self.is_done(customer, key).await? {
                    return Ok(());
                }
                return Err(cannot_be_lowered(report, total).into());
            }
            let addition = Addition::new(item, seen, missing, report, key.digest());
            if self.add_to_total(customer, &addition, &mut tries).await? {
                return Ok(());
            }
        }
    }

    /// The total to compare with `n`.
    async fn seen_by(
        &self,
        customer: &str,
        claim: &Claim,
        beside: i64,
        report: &Report,
        key: &Key,
    ) -> Result<Seen, Failure> {
        let item = &claim.item;
        let running = match self.period_usage(&item.id, None).await {
            Ok(running) => running,
            Err(error) if error.is_item_gone() && claim.repeated => {
                self.done_before(error, customer, key).await?;
                return Ok(Seen::Done);
            }
            Err(error) => return Err(error.into()),
        };
        let began = claim.subscription.current_period_start;
        if claim.repeated && running.start.is_some_and(|start| start > began) {
            let then = self.period_usage(&item.id, Some(began)).await?;
            if then.total.saturating_add(beside) >= report.n {
                return Ok(Seen::Done);
            }
        }
        Ok(Seen::Total(running))
    }

    /// Whether the report was done before, when an item of the total was removed together with its usage.
    ///
    /// # Errors
    /// `gone`, if it was not done.
    async fn done_before(
        &self,
        gone: stripe::Error,
        customer: &str,
        key: &Key,
    ) -> Result<(), Failure> {
        if self.is_done(customer, key).await? {
            Ok(())
        } else {
            Err(gone.into())
        }
    }

    /// Whether the key's report was done before. It makes a call that Stripe refuses if the report was marked as done.
    async fn is_done(&self, customer: &str, key: &Key) -> Result<bool, stripe::Error> {
        let ask = self
            .billing()
            .update_customer(customer, &key.report_mark())
            .unread();
        match ask.key(key.of_end()).send().await {
            // The addition may have been made without marking the report as done.
            Ok(_) => self.was_added_for(customer, &key.digest()).await,
            Err(error) if error.is_idempotency_conflict() => Ok(true),
            Err(error) => Err(error),
        }
    }
}

enum Seen {
    /// The report was done before.
    Done,
    Total(PeriodUsage),
}
