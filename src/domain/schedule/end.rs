//! Ends of subscriptions, and of schedules that have not begun.

use super::found::Found;
use super::unpaid::{GivenBack, How};
use crate::billing::{Metadata, Subscription, SubscriptionUpdate};
use crate::domain::org::ResolvedOrg;
use crate::domain::request_key;
use crate::domain::revision::Revision;
use crate::domain::{Domain, Failure, Result, Superseded};
use crate::stripe;

impl Domain {
    /// Ends the subscriptions whose place the org's has taken, and calls off what waits, once the org's is paid for.
    pub(in crate::domain) async fn end_superseded(
        &self,
        org: &ResolvedOrg,
        found: &Found,
        now: i64,
        revision: &Revision,
    ) -> Result<(), Failure> {
        let Some(current) = found.current.as_ref().filter(|s| s.is_paid_for()) else {
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
        for old in &found.superseded {
            self.hand_levels_over(&org.customer, old, current, revision)
                .await?;
            self.end_subscription(&org.customer, old, now, revision)
                .await?;
            audit(&old.id);
        }
        for schedule in &found.obsolete {
            let key = format!("supersede:{}:{}", schedule.id, current.id);
            self.call_off(&schedule.id, Some(key)).await?;
            audit(&schedule.id);
        }
        Ok(())
    }

    /// Ends a subscription now, billing what was used and giving back what was paid and is not.
    pub(super) async fn end_subscription(
        &self,
        customer: &str,
        subscription: &Subscription,
        now: i64,
        revision: &Revision,
    ) -> Result<(), Failure> {
        self.settle_subscription(customer, subscription, revision)
            .await?;
        let noted = self
            .note_unpaid_at_end(customer, subscription, now, revision)
            .await?;
        let is_uncredited = noted.as_ref().is_some_and(|noted| noted.how == How::End);
        let id = subscription.id.as_str();
        let ended = match self.billing().end_subscription(id, !is_uncredited).await {
            // Ended by somebody else since we looked, or by our own try whose answer was lost.
            Err(error) if error.is_subscription_over() && noted.is_some() => {
                self.billing().subscription(id).await?
            }
            Err(error) if error.is_subscription_over() => return Ok(()),
            ended => ended?,
        };
        self.settle_notes(customer, &ended, false, revision).await?;
        let Some(noted) = noted else { return Ok(()) };
        // Another request may have changed the plan between the note and the end, and noted something else.
        if GivenBack::noted(&ended).is_none_or(|found| found.how != noted.how) {
            let given_back = GivenBack {
                at: ended.ended_at.unwrap_or(now),
                ..noted
            };
            self.settle_given_back(customer, &ended, given_back, false, revision)
                .await?;
        }
        Ok(())
    }

    /// Cancels a schedule that has not begun.
    pub(super) async fn call_off(
        &self,
        schedule: &str,
        key: Option<String>,
    ) -> Result<(), stripe::Error> {
        let mut cancel = self.billing().cancel_schedule(schedule);
        if let Some(key) = key {
            cancel = cancel.key(key);
        }
        match cancel.send().await {
            // Called off by somebody else since we looked.
            Err(error) if error.is_schedule_over() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Notes the request's key on what it has ended: an end takes no metadata along.
    pub(super) async fn note_keys(&self, subscription: &str, revision: &Revision) {
        let Some(keys) = revision.request_keys() else {
            return;
        };
        let update = SubscriptionUpdate {
            metadata: Metadata::from([(request_key::KEYS.to_owned(), keys.to_owned())]),
            ..SubscriptionUpdate::default()
        };
        let note = self.billing().update_subscription(subscription, &update);
        if let Err(error) = note.unread().send().await {
            tracing::warn!(%error, subscription, "another server will not know the key of this cancellation");
        }
    }
}
