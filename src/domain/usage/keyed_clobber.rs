//! Usage that is set under a client's idempotency key, where it adds up: what has to be added depends on what is there,
//! so a repetition cannot simply be the same call.

use super::claim::{Claim, Key};
use super::keyed::{Progress, RECORDS};
use super::record::{cannot_be_lowered, total_key};
use super::{Report, totals::PeriodUsage};
use crate::billing::SubscriptionItem;
use crate::domain::revision::Attempts;
use crate::domain::{Domain, Failure};
use crate::stripe;

impl Domain {
    /// Brings the total of the claim's period to `n`, once. Of several that saw the same total, one adds: whoever has
    /// reserved it.
    pub(super) async fn set_sum_once(
        &self,
        customer: &str,
        claim: &Claim,
        report: &Report,
        key: &Key,
        progress: &mut Progress,
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
                return self.done_before(error, item, report, key).await;
            }
            Err(failure) => return Err(failure),
        };
        let mut attempts = Attempts::default();
        loop {
            let seen = match self.seen_by(claim, beside, report, key).await? {
                Seen::Done => return Ok(()),
                Seen::Total(seen) => seen,
            };
            let total = seen.total.saturating_add(beside);
            let missing = report.n.saturating_sub(total);
            if missing == 0 {
                return Ok(());
            }
            if missing < 0 {
                if claim.repeated && self.was_recorded(item, report, key).await? {
                    return Ok(());
                }
                return Err(cannot_be_lowered(report, total).into());
            }
            let reserve = self
                .billing()
                .update_customer(customer, &key.mark())
                .unread()
                .key(total_key(item, seen, &mut attempts));
            if let Err(error) = reserve.send().await {
                self.look_again(&mut attempts, error).await?;
                continue;
            }
            let record = report.addition(missing);
            let name = key.of_record(progress.attempt);
            match self.add_record(&item.id, record, Some(name)).await {
                Ok(()) => return Ok(()),
                // It was tried before with another quantity, or to no avail: the total would not be below `n` otherwise.
                Err(error)
                    if (error.is_idempotency_conflict() || error.is_replayed())
                        && !error.is_item_gone()
                        && progress.attempt < RECORDS =>
                {
                    progress.attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The total that `n` is compared with.
    async fn seen_by(
        &self,
        claim: &Claim,
        beside: i64,
        report: &Report,
        key: &Key,
    ) -> Result<Seen, Failure> {
        let item = &claim.item;
        let running = match self.period_usage(item, None).await {
            Ok(running) => running,
            Err(error) if error.is_item_gone() && claim.repeated => {
                self.done_before(error, item, report, key).await?;
                return Ok(Seen::Done);
            }
            Err(error) => return Err(error.into()),
        };
        let began = claim.subscription.current_period_start;
        if claim.repeated && running.start.is_some_and(|start| start > began) {
            let then = self.period_usage(item, Some(began)).await?;
            if then.total.saturating_add(beside) >= report.n {
                return Ok(Seen::Done);
            }
        }
        Ok(Seen::Total(running))
    }

    /// Where an item that the total is made of is gone, and its usage with it: whether the report was recorded before.
    ///
    /// # Errors
    /// `gone`, if it was not.
    async fn done_before(
        &self,
        gone: stripe::Error,
        item: &SubscriptionItem,
        report: &Report,
        key: &Key,
    ) -> Result<(), Failure> {
        if self.was_recorded(item, report, key).await? {
            Ok(())
        } else {
            Err(gone.into())
        }
    }

    /// Whether the key's record was written. To find out, nothing is added under the same key: Stripe refuses that only
    /// if something else was sent with it.
    async fn was_recorded(
        &self,
        item: &SubscriptionItem,
        report: &Report,
        key: &Key,
    ) -> Result<bool, stripe::Error> {
        let nothing = report.addition(0);
        let added = self.add_record(&item.id, nothing, Some(key.of_record(1)));
        match added.await {
            Ok(()) => Ok(false),
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
