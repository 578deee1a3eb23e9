//! The credit of a last invoice.
//!
//! In recordings of 2026, Stripe made the last invoice of a canceled subscription uncollectible if it only credits
//! unused time, seconds after the cancellation, without adding the credit to the customer's balance. The recordings use
//! a newer API version than that of usage records, with which credits do reach the balance. Stripe does not document
//! when this happens. So the last invoice of a subscription on meters is checked once it is final, and a lost credit is
//! added to the balance.

use super::notes::has_metadata_room;
use super::usage_charge::CHARGE;
use crate::billing::{
    Invoice, InvoiceStatus, Metadata, NewBalanceTransaction, Subscription, SubscriptionStatus,
};
use crate::domain::Domain;
use crate::stripe;

/// The metadata key of the last invoice, once its credit was checked.
const CREDITED: &str = "tier.credited";

impl Subscription {
    /// Whether its last invoice may have a lost credit.
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
    /// this is settled. If Stripe refuses, the next request tries again.
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
                // Without room for the note, the next request checks again.
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

    /// Whether the balance has the credit. The idempotency key proves it for a day only.
    async fn is_credited(&self, customer: &str, name: &str) -> Result<bool, stripe::Error> {
        let transactions = self.billing().balance_transactions(customer).await?;
        let transactions = transactions.iter();
        let mut names = transactions.filter_map(|transaction| transaction.metadata.get(CHARGE));
        Ok(names.any(|known| known == name))
    }
}
