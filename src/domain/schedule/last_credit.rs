//! The credit of a last invoice.
//!
//! With meters, Stripe was seen to make the last invoice of a canceled subscription uncollectible if it only credits
//! unused time, without adding the credit to the customer's balance. It does not say when. So the last invoice is looked
//! at, and a credit that the balance did not get is added to it.

use super::notes::has_metadata_room;
use super::usage_charge::CHARGE;
use crate::billing::{InvoiceStatus, Metadata, NewBalanceTransaction, Subscription};
use crate::domain::Domain;
use crate::domain::revision::Revision;
use crate::stripe;

/// The metadata key that says that the last invoice has been looked at.
pub(super) const CREDITED: &str = "tier.credited";

impl Subscription {
    /// Whether its last invoice may have a credit that was lost.
    pub(super) fn may_have_lost_credit(&self) -> bool {
        self.ended_at.is_some()
            && self.latest_invoice.is_some()
            && self.is_on_meters()
            && !self.metadata.contains_key(CREDITED)
    }
}

impl Domain {
    /// Adds the credit of the last invoice to the customer's balance, once, if Stripe has not done so.
    pub(super) async fn restore_last_credit(
        &self,
        customer: &str,
        ended: &Subscription,
        revision: &Revision,
        done: &mut Metadata,
    ) -> Result<(), stripe::Error> {
        let Some(invoice) = &ended.latest_invoice else {
            return Ok(());
        };
        let invoice = self.billing().invoice(invoice).await?;
        let is_lost = invoice.is(&InvoiceStatus::Uncollectible) && invoice.total < 0;
        let name = format!("credit:{}", invoice.id);
        if is_lost && !self.is_credited(customer, &name).await? {
            let credit = self.billing().change_balance(&NewBalanceTransaction {
                customer,
                amount: invoice.total,
                currency: &invoice.currency,
                description: "Unused time that was paid",
                metadata: &[(CHARGE.to_owned(), name.clone())].into(),
            });
            credit.key(revision.fixed(&name)).send().await?;
        }
        // Without room for the note, only the request that ended the subscription has looked.
        if has_metadata_room(ended) {
            done.insert(CREDITED.to_owned(), invoice.id);
        }
        Ok(())
    }

    /// Stripe keeps idempotency keys for a day only.
    async fn is_credited(&self, customer: &str, name: &str) -> Result<bool, stripe::Error> {
        let changes = self.billing().balance_transactions(customer).await?;
        let mut names = changes.iter().filter_map(|one| one.metadata.get(CHARGE));
        Ok(names.any(|own| own == name))
    }
}
