//! Applies Stripe's events to remembered entitlements. The content of an event is not trusted: it only says what to
//! read again.

use std::sync::Arc;

use super::{Domain, Key, SharedState, UsageSnapshot};
use crate::billing::Event;
use crate::domain::org::ORG;
use crate::domain::refs::OrgName;
use crate::domain::{Error, Lane, Result};
use telemetry::error_chain;

/// The orgs whose answers an event outdates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Affected {
    /// The event's customer is read again.
    Customer,
    /// The event's customer is read again, and may have a second subscription that supersedes the first.
    Purchase,
    /// The event's customer is read again, and its Checkout page has expired.
    Expiry,
    /// The event's customer is read again, and was deleted.
    Gone,
    /// Many orgs may be affected.
    Everybody,
    /// No remembered org is affected.
    Nobody,
}

impl Affected {
    fn of(kind: &str) -> Self {
        match kind {
            "customer.deleted" => Self::Gone,
            "checkout.session.expired" => Self::Expiry,
            "customer.subscription.created"
            | "checkout.session.completed"
            | "checkout.session.async_payment_succeeded" => Self::Purchase,
            // No org has a new object in its plan yet.
            "price.created" | "product.created" | "plan.created" | "coupon.created" => Self::Nobody,
            _ => match kind.split('.').next().unwrap_or_default() {
                "customer"
                | "subscription_schedule"
                | "invoice"
                | "checkout"
                | "payment_method"
                | "setup_intent" => Self::Customer,
                "price" | "product" | "plan" | "coupon" => Self::Everybody,
                _ => Self::Nobody,
            },
        }
    }
}

impl Domain {
    /// Applies an event with a valid signature. Events of other accounts, and about unknown objects, are ignored.
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
        let shared = self.shared().await?;
        let now = self.account.clock.millis();
        shared.memory.entitlements().note_event(now);
        self.apply_event(&shared, &event).await
    }

    /// Applies an event of this account.
    pub(super) async fn apply_event(&self, shared: &SharedState, event: &Event) -> Result<()> {
        let store = shared.memory.entitlements();
        let affected = Affected::of(&event.kind);
        if affected == Affected::Everybody {
            store.outdate_all(self.account.clock.millis());
        }
        let Some(customer) = &event.customer else {
            return Ok(());
        };
        let org = store.org_of(shared.number, customer);
        if let Some(org) = &org {
            let key = (shared.number, org.clone());
            store.outdate(&key);
            if affected == Affected::Expiry {
                store.expect_no_purchase(&key);
            }
            if affected == Affected::Gone {
                self.forget_customer(org).await?;
            }
        } else {
            store.overtake_reads();
        }
        if affected == Affected::Purchase {
            self.read_in_background(customer.as_str().into(), org);
        }
        Ok(())
    }

    /// Reads the customer's org, which also ends a superseded subscription.
    pub(super) fn read_in_background(&self, customer: Arc<str>, org: Option<OrgName>) {
        let domain = self.in_background(Lane::Bulk);
        let name = format!("event:{customer}");
        self.background().start(name, async move {
            let outcome = match domain.read_customer(&customer, org).await {
                Ok(()) => "ok",
                Err(error) => {
                    // The next read of the org finds the same.
                    tracing::warn!(error = error_chain(&error), %customer, "could not read the customer of an event");
                    "failed"
                }
            };
            domain.stripe().metrics().ran("event", outcome);
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
        let key: Key = (shared.number, org);
        domain.ask::<UsageSnapshot>(store, &key).await.map(drop)
    }

    /// The org of a customer, if any, and the test clock that it is on.
    async fn org_of(
        &self,
        customer: &str,
        known: Option<OrgName>,
    ) -> Result<Option<(OrgName, Option<String>)>> {
        // A remembered org is on no test clock.
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
            ("customer.deleted", Affected::Gone),
            ("customer.discount.created", Affected::Customer),
            ("customer.subscription.created", Affected::Purchase),
            ("customer.subscription.trial_will_end", Affected::Customer),
            ("subscription_schedule.released", Affected::Customer),
            ("invoice.payment_failed", Affected::Customer),
            ("checkout.session.completed", Affected::Purchase),
            ("checkout.session.expired", Affected::Expiry),
            ("payment_method.detached", Affected::Customer),
            ("price.updated", Affected::Everybody),
            ("product.created", Affected::Nobody),
            ("coupon.deleted", Affected::Everybody),
            ("test_helpers.test_clock.ready", Affected::Nobody),
            ("v1.billing.meter.error_report_triggered", Affected::Nobody),
            ("", Affected::Nobody),
        ] {
            assert_eq!(Affected::of(kind), affected, "{kind}");
        }
    }
}
