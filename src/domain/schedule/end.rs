//! Ends subscriptions, and cancels schedules that have not started.

use super::customer_state::CustomerState;
use super::proration::{UnusedTime, UnusedTimeCause};
use crate::billing::{Metadata, Subscription, SubscriptionUpdate};
use crate::domain::org::ResolvedOrg;
use crate::domain::request_key;
use crate::domain::revision::Revision;
use crate::domain::{Domain, Error, Failure, Result, Superseded};
use crate::stripe;

impl Domain {
    /// Once the org's subscription is paid for, ends the superseded ones and cancels schedules that have not started.
    pub(in crate::domain) async fn end_superseded(
        &self,
        org: &ResolvedOrg,
        state: &CustomerState,
        now: i64,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let Some(current) = state.current.as_ref().filter(|s| s.is_paid_for()) else {
            return Ok(());
        };
        let audit = |ended: &str| {
            self.stripe().metrics().superseded.inc();
            self.background().emit(&Superseded {
                org: org.name.clone(),
                ended: ended.to_owned(),
                by: current.id.clone(),
            });
        };
        // Stripe itself ends the subscription that the current one follows.
        let superseded = state.superseded.iter();
        for old in superseded.filter(|old| !current.is_about_to_replace(old, now)) {
            let waiting = self.transfer_levels(org, old, current, revision).await?;
            self.end_subscription(org, old, now, revision).await?;
            self.set_waiting_levels(org, (old, current), &waiting, revision)
                .await?;
            audit(&old.id);
        }
        for schedule in &state.obsolete {
            let key = format!("supersede:{}:{}", schedule.id, current.id);
            self.cancel_schedule(&schedule.id, Some(key)).await?;
            audit(&schedule.id);
        }
        Ok(())
    }

    /// Ends a subscription now: bills its usage, and credits its paid, unused time.
    pub(super) async fn end_subscription(
        &self,
        org: &ResolvedOrg,
        subscription: &Subscription,
        now: i64,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let on_meters = subscription.is_on_meters();
        if on_meters {
            self.await_events(subscription).await?;
            // If this is interrupted, a later read of the org checks the last invoice.
            self.shared().await?.forget_settled(org);
        }
        self.settle_subscription(org, subscription, revision)
            .await?;
        let noted = self
            .note_unused_time_at_end(org, subscription, now, revision)
            .await?;
        let is_uncredited = noted
            .as_ref()
            .is_some_and(|noted| noted.cause == UnusedTimeCause::End);
        let id = subscription.id.as_str();
        let ended = self
            .billing()
            .end_subscription(id, subscription.generation(), !is_uncredited);
        let ended = match ended.await {
            // Another request has ended it since it was read, or an earlier attempt did, whose answer was lost.
            Err(error) if error.is_subscription_over() && (noted.is_some() || on_meters) => {
                self.billing().subscription(id).await?
            }
            Err(error) if error.is_subscription_over() => return Ok(()),
            ended => ended?,
        };
        self.settle_notes(org, &ended, false, revision).await?;
        let Some(noted) = noted else { return Ok(()) };
        // Another request may have changed the plan between the note and the end, and replaced the note.
        if UnusedTime::noted(&ended).is_none_or(|found| found.cause != noted.cause) {
            let unused_time = UnusedTime {
                at: ended.ended_at.unwrap_or(now),
                ..noted
            };
            self.settle_unused_time(&org.customer, &ended, unused_time, false, revision)
                .await?;
        }
        Ok(())
    }

    /// Cancels obsolete schedules, unless the org's subscription still waits for its payment.
    pub(in crate::domain) async fn cancel_obsolete(
        &self,
        state: &CustomerState,
    ) -> Result<(), Failure> {
        if state.current.is_none() || state.is_paid_for() {
            for schedule in &state.obsolete {
                self.cancel_schedule(&schedule.id, None).await?;
            }
        }
        Ok(())
    }

    /// Completes a change that an earlier attempt of the same request may have left incomplete.
    pub(in crate::domain) async fn complete_repeated(&self, state: &CustomerState) -> Result<()> {
        let completed = async {
            self.cancel_obsolete(state).await?;
            self.settle_succession(state).await
        };
        completed.await.map_err(Error::from)
    }

    /// Cancels a schedule that has not started.
    pub(super) async fn cancel_schedule(
        &self,
        schedule: &str,
        key: Option<String>,
    ) -> Result<(), stripe::Error> {
        let mut cancel = self.billing().cancel_schedule(schedule);
        if let Some(key) = key {
            cancel = cancel.key(key);
        }
        match cancel.send().await {
            // Another request has canceled it since it was read.
            Err(error) if error.is_schedule_over() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Notes the request's key on the subscription that it ended. The call that ends a subscription accepts no
    /// metadata.
    pub(super) async fn note_keys(&self, subscription: &str, revision: &Revision) {
        let Some(keys) = revision.request_keys() else {
            return;
        };
        let update = SubscriptionUpdate {
            metadata: Metadata::from([(request_key::KEYS.to_owned(), keys.to_owned())]),
            ..SubscriptionUpdate::default()
        };
        let note = self.billing().update_subscription(subscription, &update);
        if let Err(error) = note.ignore_answer().send().await {
            tracing::warn!(%error, subscription, "cannot note the key of a cancellation: another server may not recognize a repeated request");
        }
    }
}
