//! Applies Stripe's events to remembered entitlements. The content of an event is not trusted: it only decides what is
//! read again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Domain, SharedState, UsageSnapshot};
use crate::billing::Event;
use crate::domain::org::ORG;
use crate::domain::refs::OrgName;
use crate::domain::{Error, Lane, Result};
use telemetry::error_chain;

/// The notice of an event for the other servers that share the ledger.
#[derive(Serialize, Deserialize)]
struct EventNotice {
    kind: String,
    customer: Option<String>,
}

/// The orgs whose remembered entitlements an event outdates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affected {
    /// The event's customer is read again.
    Customer,
    /// The event's customer is read again at once, since its subscriptions or schedules may have to be changed.
    Purchase,
    /// The event's customer is read again. Its Checkout page has expired.
    Expiry,
    /// The event's customer was deleted.
    Deleted,
    /// Many orgs may be affected.
    AllOrgs,
    /// No remembered org is affected.
    NoOrg,
}

impl Affected {
    fn of(kind: &str) -> Self {
        match kind {
            "customer.deleted" => Self::Deleted,
            "checkout.session.expired" => Self::Expiry,
            "customer.subscription.created"
            // A schedule that was to follow the subscription must be canceled.
            | "customer.subscription.deleted"
            | "checkout.session.completed"
            | "checkout.session.async_payment_succeeded" => Self::Purchase,
            // No org can have a new object in its plan yet.
            "price.created" | "product.created" | "plan.created" | "coupon.created" => Self::NoOrg,
            _ => match kind.split('.').next().unwrap_or_default() {
                "customer"
                | "subscription_schedule"
                | "invoice"
                | "checkout"
                | "payment_method"
                | "setup_intent" => Self::Customer,
                "price" | "product" | "plan" | "coupon" => Self::AllOrgs,
                _ => Self::NoOrg,
            },
        }
    }
}

impl Domain {
    /// Applies an event whose signature is valid. Events of other accounts, and about unknown objects, are ignored.
    ///
    /// # Errors
    /// If the body is not an event, or Stripe cannot be asked for the key's account.
    pub async fn stripe_event(&self, body: &[u8]) -> Result<()> {
        let event = Event::read(body).map_err(|cause| {
            Error::Invalid(format!("the body is no event of Stripe's: {cause}"))
        })?;
        self.stripe().metrics().stripe_events.inc();
        let credentials = self.stripe().credentials();
        if event.account != credentials.account || event.live != credentials.is_live() {
            return Ok(());
        }
        if event.reports_meter_errors() {
            return self.apply_meter_errors(&event.id).await;
        }
        let notice = EventNotice {
            kind: event.kind.clone(),
            customer: event.customer.clone(),
        };
        let notice = serde_json::to_string(&notice).expect("two texts are JSON");
        let shared = self.shared().await?;
        let now = self.account.clock.millis();
        shared.memory.entitlements().note_event(now);
        self.apply_event(&shared, &event).await?;
        // If this fails, Stripe sends the event again.
        self.send_notice(&event.id, notice).await
    }

    /// Applies another server's notice of an event. That server makes the calls to Stripe that the event requires.
    pub(in crate::domain) async fn apply_notice(&self, notice: &str) -> Result<()> {
        let Ok(EventNotice { kind, customer }) = serde_json::from_str(notice) else {
            tracing::warn!(
                "cannot read a notice from another server, which may have a later version"
            );
            return Ok(());
        };
        let shared = self.shared().await?;
        let now = self.account.clock.millis();
        shared.memory.entitlements().note_event(now);
        self.outdate_by_event(&shared, &kind, customer.as_deref())
            .await
            .map(drop)
    }

    /// Applies an event of this account.
    pub(super) async fn apply_event(&self, shared: &SharedState, event: &Event) -> Result<()> {
        let customer = event.customer.as_deref();
        let org = self.outdate_by_event(shared, &event.kind, customer).await?;
        if let Some(customer) = customer.filter(|_| Affected::of(&event.kind) == Affected::Purchase)
        {
            self.read_in_background(customer.into(), org);
        }
        Ok(())
    }

    /// Outdates the entitlements that an event affects. Returns the org of its customer, if the org is remembered.
    async fn outdate_by_event(
        &self,
        shared: &SharedState,
        kind: &str,
        customer: Option<&str>,
    ) -> Result<Option<OrgName>> {
        let store = shared.memory.entitlements();
        let affected = Affected::of(kind);
        if affected == Affected::AllOrgs {
            store.outdate_all(self.account.clock.millis());
        }
        let Some(customer) = customer else {
            return Ok(None);
        };
        let org = store.org_of(shared.number, customer);
        if let Some(org) = &org {
            let key = shared.key(org);
            store.outdate(&key);
            if affected == Affected::Expiry {
                store.expect_no_purchase(&key);
            }
            if affected == Affected::Deleted {
                self.forget_customer(org).await?;
            }
        } else {
            store.overtake_reads();
        }
        Ok(org)
    }

    /// Reads the customer's org, which also ends superseded subscriptions.
    pub(super) fn read_in_background(&self, customer: Arc<str>, org: Option<OrgName>) {
        let domain = self.in_background(Lane::Bulk);
        let name = format!("event:{customer}");
        self.background().start(name, async move {
            let outcome = match domain.read_customer(&customer, org).await {
                Ok(()) => "ok",
                Err(error) => {
                    // The next read of the org finds the same work to do.
                    tracing::warn!(error = error_chain(&error), %customer, "could not read the customer of an event");
                    "failed"
                }
            };
            domain.stripe().metrics().count_run("event", outcome);
        });
    }

    async fn read_customer(&self, customer: &str, org: Option<OrgName>) -> Result<()> {
        let Some((org, clock)) = self.org_of(customer, org).await? else {
            return Ok(());
        };
        let domain = match clock {
            Some(clock) => self.on_test_clock(clock),
            None => self.clone(),
        };
        let shared = self.shared().await?;
        let Some(store) = domain.entitlements(&shared) else {
            return domain.read_usage(&org).await.map(drop);
        };
        let key = shared.key(&org);
        domain
            .ask_stripe::<UsageSnapshot>(store, &key)
            .await
            .map(drop)
    }

    /// The org of a customer, if any, and the org's test clock.
    async fn org_of(
        &self,
        customer: &str,
        known: Option<OrgName>,
    ) -> Result<Option<(OrgName, Option<String>)>> {
        // A remembered org is not on a test clock.
        if let Some(org) = known {
            return Ok(Some((org, None)));
        }
        let customer = self.billing().customer(customer).await?;
        let org = customer.metadata.get(ORG).and_then(|org| org.parse().ok());
        let org = org.filter(|_| !customer.deleted);
        Ok(org.map(|org| (org, customer.test_clock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_outdate_the_affected_answers() {
        for (kind, affected) in [
            ("customer.updated", Affected::Customer),
            ("customer.deleted", Affected::Deleted),
            ("customer.discount.created", Affected::Customer),
            ("customer.subscription.created", Affected::Purchase),
            ("customer.subscription.trial_will_end", Affected::Customer),
            ("subscription_schedule.released", Affected::Customer),
            ("invoice.payment_failed", Affected::Customer),
            ("checkout.session.completed", Affected::Purchase),
            ("checkout.session.expired", Affected::Expiry),
            ("payment_method.detached", Affected::Customer),
            ("price.updated", Affected::AllOrgs),
            ("product.created", Affected::NoOrg),
            ("coupon.deleted", Affected::AllOrgs),
            ("test_helpers.test_clock.ready", Affected::NoOrg),
            ("v1.billing.meter.error_report_triggered", Affected::NoOrg),
            ("", Affected::NoOrg),
        ] {
            assert_eq!(Affected::of(kind), affected, "{kind}");
        }
    }
}
