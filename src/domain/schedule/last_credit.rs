//! The credit of a last invoice.
//!
//! In 2026, Stripe was recorded to make the last invoice of a canceled subscription uncollectible if it only credits
//! unused time, seconds after the cancellation and without adding the credit to the customer's balance. That was with a
//! newer version than that of usage records, for which a credit is known to reach the balance. Stripe does not say when it
//! happens. So the last invoice of a subscription on meters is looked at once it is final, and a credit that the balance did
//! not get is added to it.

use super::notes::has_metadata_room;
use super::usage_charge::CHARGE;
use crate::billing::{
    Invoice, InvoiceStatus, Metadata, NewBalanceTransaction, Subscription, SubscriptionStatus,
};
use crate::domain::Domain;
use crate::stripe;

/// The metadata key that names the last invoice once it has been looked at.
const CREDITED: &str = "tier.credited";

impl Subscription {
    /// Whether its last invoice may have a credit that was lost.
    pub(in crate::domain) fn may_have_lost_credit(&self) -> bool {
        let last = self.latest_invoice.as_ref();
        self.status == SubscriptionStatus::Canceled
            && last.is_some()
            && self.is_on_meters()
            && self.metadata.get(CREDITED) != last
    }
}

impl Domain {
    /// Adds the credit of the last invoice to the customer's balance, once, if Stripe has not done so. Returns whether
    /// nothing is left to do. A refusal must not block other requests, so the next one tries again.
    pub(super) async fn restore_last_credit(
        &self,
        customer: &str,
        ended: &Subscription,
        done: &mut Metadata,
    ) -> Result<bool, stripe::Error> {
        let Some(invoice) = ended.latest_invoice.as_deref() else {
            return Ok(true);
        };
        let restored = async {
            let invoice = self.billing().invoice(invoice).await?;
            self.restore_credit_of(customer, &invoice).await
        };
        match restored.await {
            Err(error) if error.is_definite() || error.is_replayed() => {
                tracing::error!(%error, customer, invoice, "the credit of a last invoice cannot be restored");
                Ok(false)
            }
            Ok(true) => {
                // Without room for the note, the next request looks again.
                if has_metadata_room(ended) {
                    done.insert(CREDITED.to_owned(), invoice.to_owned());
                }
                Ok(true)
            }
            restored => restored,
        }
    }

    async fn restore_credit_of(
        &self,
        customer: &str,
        invoice: &Invoice,
    ) -> Result<bool, stripe::Error> {
        if invoice.total >= 0 {
            return Ok(true);
        }
        // It may still become uncollectible.
        if invoice.is(&InvoiceStatus::Draft) || invoice.is(&InvoiceStatus::Open) {
            return Ok(false);
        }
        let name = format!("credit:{}", invoice.id);
        if !invoice.is(&InvoiceStatus::Uncollectible) || self.is_credited(customer, &name).await? {
            return Ok(true);
        }
        let credit = self.billing().change_balance(&NewBalanceTransaction {
            customer,
            amount: invoice.total,
            currency: &invoice.currency,
            description: "Unused time that was paid",
            metadata: &[(CHARGE.to_owned(), name.clone())].into(),
        });
        // All servers and attempts use the same key, since Stripe would accept a second credit.
        credit.key(name).send().await?;
        Ok(true)
    }

    /// Stripe keeps idempotency keys for a day only.
    async fn is_credited(&self, customer: &str, name: &str) -> Result<bool, stripe::Error> {
        let changes = self.billing().balance_transactions(customer).await?;
        let mut names = changes.iter().filter_map(|one| one.metadata.get(CHARGE));
        Ok(names.any(|own| own == name))
    }
}
