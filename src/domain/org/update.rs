//! Writes an org's details to its customer.

use std::sync::Arc;

use super::OrgInfoUpdate;
use crate::billing::Customer;
use crate::domain::{Domain, Error, Result};

/// A customer that was created or updated.
pub(in crate::domain) struct WrittenCustomer {
    pub(in crate::domain) id: Arc<str>,
    /// The new default payment method, if one was written.
    pub(in crate::domain) default_payment_method: Option<String>,
    /// The attached payment method, if the customer did not have it before.
    pub(in crate::domain) attached: Option<String>,
    /// Whether this request created it.
    pub(in crate::domain) is_new: bool,
}

/// A payment method that was attached.
pub(in crate::domain) struct AttachedMethod {
    pub(in crate::domain) id: String,
    /// Whether the customer did not have it before.
    pub(in crate::domain) is_new: bool,
}

impl WrittenCustomer {
    pub(super) fn new(id: Arc<str>, customer: Customer) -> Self {
        Self {
            id,
            default_payment_method: customer.default_payment_method,
            attached: None,
            is_new: false,
        }
    }
}

impl Domain {
    /// Writes `info` to an existing customer.
    pub(in crate::domain) async fn update_customer(
        &self,
        id: Arc<str>,
        info: &OrgInfoUpdate,
    ) -> Result<WrittenCustomer> {
        let attached = match info.payment_method.as_str() {
            "" => None,
            method => Some(self.attach_and_compare(&id, method).await?),
        };
        let update = info.update(attached.as_ref().map(|attached| attached.id.as_str()));
        let written = if update.is_empty() {
            // There is nothing to write, but the customer must exist.
            let existing = self.existing_customer(&id).await;
            existing.map(|_| WrittenCustomer {
                id: id.clone(),
                default_payment_method: None,
                attached: None,
                is_new: false,
            })
        } else {
            let written = self.billing().update_customer(&id, &update).send().await;
            let written = written.map(|customer| WrittenCustomer::new(id.clone(), customer));
            written.map_err(Error::from)
        };
        let new = attached.filter(|attached| attached.is_new);
        let new = new.map(|attached| attached.id);
        match written {
            Ok(written) => Ok(WrittenCustomer {
                attached: new,
                ..written
            }),
            Err(error) => {
                if error.is_refusal() {
                    self.detach(new.as_slice()).await;
                }
                Err(error)
            }
        }
    }

    /// Attaches a payment method. Also returns whether it is new to the customer.
    pub(in crate::domain) async fn attach_and_compare(
        &self,
        customer: &str,
        method: &str,
    ) -> Result<AttachedMethod> {
        let before = self.billing().payment_method(method).await;
        let id = self.attach_payment_method(customer, method).await?;
        // A test token gets a new id each time. A method that could not be read may have belonged to the customer
        // before.
        let is_new = id != method || before.is_ok_and(|before| before.customer.is_none());
        Ok(AttachedMethod { id, is_new })
    }

    /// Detaches payment methods that a refused request had attached.
    pub(in crate::domain) async fn detach(&self, methods: &[String]) {
        for method in methods {
            let detached = self.billing().detach_payment_method(method).send().await;
            if let Err(error) = detached {
                tracing::warn!(%error, method, "cannot detach the payment method of a refused request");
            }
        }
    }

    /// Reads the customer from Stripe.
    ///
    /// # Errors
    /// [`Error::CustomerVanished`] if it was deleted.
    pub(in crate::domain) async fn existing_customer(&self, id: &str) -> Result<Customer> {
        let customer = self.billing().customer(id).await?;
        if customer.deleted {
            return Err(Error::CustomerVanished { source: None });
        }
        Ok(customer)
    }

    /// Restores the details from before `info` was written, after the rest of the request was refused.
    pub(in crate::domain) async fn restore_details(&self, info: &OrgInfoUpdate, before: &Customer) {
        let undo = info.undo(before);
        if undo.is_empty() {
            return;
        }
        let undo = self
            .billing()
            .update_customer(&before.id, &undo)
            .ignore_answer();
        let undone = undo.send().await;
        if let Err(error) = undone {
            tracing::warn!(%error, customer = before.id, "cannot restore the org's details after a refused request");
        }
    }

    /// Attaches a payment method, or the card that a test token such as `pm_card_us` stands for. Returns its id.
    pub(in crate::domain) async fn attach_payment_method(
        &self,
        customer: &str,
        method: &str,
    ) -> Result<String> {
        let attach = self.billing().attach_payment_method(method, customer);
        let attached = attach.send().await.map_err(|error| match error.api() {
            Some(refusal)
                if matches!(refusal.status, 400 | 404) && !refusal.is_customer_missing() =>
            {
                Error::InvalidPaymentMethod(refusal.message.clone())
            }
            _ => error.into(),
        })?;
        Ok(attached.id)
    }
}
