//! Setting a sum with a client's idempotency key. The difference to add depends on the current total, so a repetition
//! may need a different call. The addition uses the key of the observed total, as without a client's key, and the
//! report is marked as done afterwards. Two requests with different keys that set the same total add once.

use super::addition::Addition;
use super::claim::{Claim, ReportKey};
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
        key: &ReportKey,
    ) -> Result<(), Failure> {
        self.raise_total(customer, claim, report, key).await?;
        let done = self
            .billing()
            .update_customer(customer, &key.done_mark())
            .ignore_answer();
        match done.key(key.done_key()).send().await {
            Ok(_) => {}
            // Another server has taken the key to check whether the report is done.
            Err(error) if error.is_idempotency_conflict() => {}
            Err(error) => tracing::warn!(%error, "could not mark a report as done"),
        }
        Ok(())
    }

    /// Adds what is missing to `n`. Of several requests that saw the same total, only one adds.
    async fn raise_total(
        &self,
        customer: &str,
        claim: &Claim,
        report: &Report,
        key: &ReportKey,
    ) -> Result<(), Failure> {
        let item = &claim.item;
        let shared = self.shared().await?;
        let _held = self.hold(&shared.totals, &item.id).await?;
        let _write = shared.writes.begin(&item.id);
        let elsewhere = self
            .used_elsewhere(&claim.subscription, item, &report.feature)
            .await;
        let elsewhere = match elsewhere {
            Ok(elsewhere) => elsewhere,
            Err(Failure::Stripe(error)) if error.is_item_gone() && claim.is_repeated => {
                return self.confirm_done(error, customer, key).await;
            }
            Err(failure) => return Err(failure),
        };
        let mut attempts = self.begin_additions(&item.id).await?;
        loop {
            let seen = match self
                .observe_total(customer, claim, elsewhere, report, key)
                .await?
            {
                Observed::Done => return Ok(()),
                Observed::Total(seen) => seen,
            };
            let total = seen.total.saturating_add(elsewhere);
            let missing = report.n.saturating_sub(total);
            if missing == 0 {
                return Ok(());
            }
            if missing < 0 {
                if claim.is_repeated && self.is_done(customer, key).await? {
                    return Ok(());
                }
                return Err(cannot_be_lowered(report, total).into());
            }
            let addition = Addition::new(item, seen, missing, report, key.digest());
            if self
                .add_to_total(customer, &addition, &mut attempts)
                .await?
            {
                return Ok(());
            }
        }
    }

    /// Reads the total to compare with `n`. `elsewhere` is the usage on other items.
    async fn observe_total(
        &self,
        customer: &str,
        claim: &Claim,
        elsewhere: i64,
        report: &Report,
        key: &ReportKey,
    ) -> Result<Observed, Failure> {
        let item = &claim.item;
        let running = match self.period_usage(&item.id, None).await {
            Ok(running) => running,
            Err(error) if error.is_item_gone() && claim.is_repeated => {
                self.confirm_done(error, customer, key).await?;
                return Ok(Observed::Done);
            }
            Err(error) => return Err(error.into()),
        };
        let began = claim.subscription.current_period_start;
        if claim.is_repeated && running.start.is_some_and(|start| start > began) {
            let then = self.period_usage(&item.id, Some(began)).await?;
            if then.total.saturating_add(elsewhere) >= report.n {
                return Ok(Observed::Done);
            }
        }
        Ok(Observed::Total(running))
    }

    /// Checks that the report was done before its item was removed.
    ///
    /// # Errors
    /// `gone` if it was not done.
    async fn confirm_done(
        &self,
        gone: stripe::Error,
        customer: &str,
        key: &ReportKey,
    ) -> Result<(), Failure> {
        if self.is_done(customer, key).await? {
            Ok(())
        } else {
            Err(gone.into())
        }
    }

    /// Whether the key's report was done before. Makes a call that Stripe refuses if the report was marked as done.
    async fn is_done(&self, customer: &str, key: &ReportKey) -> Result<bool, stripe::Error> {
        let check = self
            .billing()
            .update_customer(customer, &key.report_mark())
            .ignore_answer();
        match check.key(key.done_key()).send().await {
            // The addition may have been made without marking the report as done.
            Ok(_) => self.was_added_for(customer, &key.digest()).await,
            Err(error) if error.is_idempotency_conflict() => Ok(true),
            Err(error) => Err(error),
        }
    }
}

enum Observed {
    /// The report was done before.
    Done,
    Total(PeriodUsage),
}
