//! Usage that is set under a client's idempotency key, where it adds up: what has to be added depends on what is there,
//! so a repetition cannot simply be the same call. The addition is made under the key of the total that was seen, as one
//! without a client's key is, and the client's key is marked afterwards: the same total under two keys is added once.

use super::addition::Addition;
use super::claim::{Claim, Key};
use super::record::cannot_be_lowered;
use super::{Report, totals::PeriodUsage};
use crate::domain::{Domain, Failure};
use crate::stripe;

impl Domain {
    /// Brings the total of the claim's period to `n`, once, and notes that this is done.
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
            // Another server has asked whether it is done.
            Err(error) if error.is_idempotency_conflict() => {}
            Err(error) => tracing::warn!(%error, "could not note that a report is done"),
        }
        Ok(())
    }

    /// Adds what is missing. Of several that saw the same total, one adds.
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
        let _open = self.share(&shared.items, &item.id).await?;
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

    /// The total that `n` is compared with.
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

    /// Where an item that the total is made of is gone, and its usage with it: whether the report was done before.
    ///
    /// # Errors
    /// `gone`, if it was not.
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

    /// Whether the key's report was done before. To find out, a call is made as if it were not: Stripe refuses that if its
    /// end was noted.
    async fn is_done(&self, customer: &str, key: &Key) -> Result<bool, stripe::Error> {
        let ask = self
            .billing()
            .update_customer(customer, &key.report_mark())
            .unread();
        match ask.key(key.of_end()).send().await {
            // What it adds may have been added although the end was not noted.
            Ok(_) => self.was_added_for(customer, &key.digest()).await,
            Err(error) if error.is_idempotency_conflict() => Ok(true),
            Err(error) => Err(error),
        }
    }
}

enum Seen {
    /// It is done already.
    Done,
    Total(PeriodUsage),
}
