//! Checks of a request against Stripe, before the first write.

use std::collections::BTreeSet;

use super::customer_state::CustomerState;
use crate::domain::catalog::PricedFeature;
use crate::domain::plan_change::{CurrentPlan, ResolvedPhase};
use crate::domain::{Domain, Error, Result};

/// Whether a payment method is attached to the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    Attached,
    Unattached,
}

/// Checks that the request adds no archived feature. It may keep one that the org has, or is scheduled to get.
///
/// # Errors
/// [`Error::PlanArchived`] for the first such feature.
pub(super) fn check_archived(
    requested: &[ResolvedPhase],
    state: Option<&CustomerState>,
) -> Result<()> {
    let has =
        |feature: &PricedFeature| state.is_some_and(|state| state.has_price(&feature.price_id));
    let mut features = requested.iter().flat_map(|phase| &phase.features);
    match features.find(|feature| feature.archived && !has(feature)) {
        None => Ok(()),
        Some(archived) => Err(Error::PlanArchived(archived.name.plan().to_string())),
    }
}

impl Domain {
    /// Checks the coupons that the request adds.
    ///
    /// # Errors
    /// [`Error::Refused`] for a coupon that does not exist, and [`Error::Invalid`] for one that is no longer valid.
    pub(in crate::domain) async fn check_coupons(
        &self,
        requested: &[ResolvedPhase],
        current_plan: &CurrentPlan,
    ) -> Result<()> {
        let ids = requested.iter().filter_map(|phase| phase.coupon.as_deref());
        let new: BTreeSet<&str> = ids
            .filter(|id| !id.is_empty() && !current_plan.has_coupon(id))
            .collect();
        for id in new {
            let coupon = self.billing().coupon(id).await?;
            if !coupon.valid {
                return Err(Error::Invalid(format!(
                    "This coupon is no longer valid: {id}"
                )));
            }
            let currencies = requested.iter().flat_map(|phase| &phase.features);
            let mut currencies = currencies.map(|feature| &feature.billing.currency);
            let required = coupon.currency.filter(|_| coupon.amount_off.is_some());
            if let Some(required) = required
                && let Some(currency) = currencies.find(|currency| **currency != required)
            {
                return Err(Error::Invalid(format!(
                    "The coupon `{id}` takes off an amount in `{required}`, and the subscription is in `{currency}`."
                )));
            }
        }
        Ok(())
    }

    /// Checks that the payment method `id` exists and belongs to no other customer. A test token such as `pm_card_us`
    /// belongs to none.
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
            None => Ok(Attachment::Unattached),
            holder if holder == customer => Ok(Attachment::Attached),
            Some(_) => Err(Error::InvalidPaymentMethod(
                "The payment method you provided has already been attached to a customer.".into(),
            )),
        }
    }
}
