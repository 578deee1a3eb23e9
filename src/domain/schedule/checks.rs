//! What can be wrong with a request, asked of Stripe before anything is written.

use std::collections::BTreeSet;

use crate::domain::plan_change::{Held, ResolvedPhase};
use crate::domain::{Domain, Error, Result};

/// Whether a payment method is the customer's yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    Attached,
    Free,
}

impl Domain {
    /// Checks the coupons that are asked for anew.
    ///
    /// # Errors
    /// [`Error::Refused`] for a coupon that does not exist, [`Error::Invalid`] for one that cannot be used any more.
    pub(super) async fn check_coupons(&self, asked: &[ResolvedPhase], held: &Held) -> Result<()> {
        let named = asked.iter().filter_map(|phase| phase.coupon.as_deref());
        let new: BTreeSet<&str> = named
            .filter(|id| !id.is_empty() && !held.has_coupon(id))
            .collect();
        for id in new {
            let coupon = self.billing().coupon(id).await?;
            if !coupon.valid {
                return Err(Error::Invalid(format!(
                    "This coupon is no longer valid: {id}"
                )));
            }
            let currencies = asked.iter().flat_map(|phase| &phase.features);
            let mut currencies = currencies.map(|feature| &feature.billing.currency);
            let own = coupon.currency.filter(|_| coupon.amount_off.is_some());
            if let Some(own) = own
                && let Some(other) = currencies.find(|currency| **currency != own)
            {
                return Err(Error::Invalid(format!(
                    "The coupon `{id}` takes off an amount in `{own}`, and the subscription is in `{other}`."
                )));
            }
        }
        Ok(())
    }

    /// Checks that the payment method `id` exists and is nobody else's. A test token such as `pm_card_us` is none.
    pub(super) async fn check_payment_method(
        &self,
        id: &str,
        customer: Option<&str>,
    ) -> Result<Attachment> {
        let unknown = || Error::InvalidPaymentMethod(format!("No such PaymentMethod: '{id}'"));
        let found = match self.billing().payment_method(id).await {
            Err(error) if error.is_missing() => return Err(unknown()),
            found => found?,
        };
        match found.customer.as_deref() {
            _ if found.id != id => Err(unknown()),
            None => Ok(Attachment::Free),
            holder if holder == customer => Ok(Attachment::Attached),
            Some(_) => Err(Error::InvalidPaymentMethod(
                "The payment method you provided has already been attached to a customer.".into(),
            )),
        }
    }
}
