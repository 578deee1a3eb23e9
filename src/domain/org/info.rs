//! The details of a customer: name, e-mail address, metadata.

use std::collections::BTreeMap;

use crate::billing::{Customer, CustomerUpdate, Metadata};
use crate::domain::{Error, Result};

/// The prefix of Tier's own metadata keys.
const RESERVED_PREFIX: &str = "tier.";

/// An org's details.
#[derive(Clone, Debug)]
pub struct OrgInfo {
    /// E-mail address. This and the other texts are empty if unset.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Phone number.
    pub phone: String,
    /// Unix seconds.
    pub created: i64,
    /// The app's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// The default payment method of invoices: `pm_…`.
    pub default_payment_method: String,
}

impl From<Customer> for OrgInfo {
    fn from(customer: Customer) -> Self {
        let mut metadata = customer.metadata;
        metadata.retain(|key, _| !key.starts_with(RESERVED_PREFIX));
        Self {
            email: customer.email.unwrap_or_default(),
            name: customer.name.unwrap_or_default(),
            description: customer.description.unwrap_or_default(),
            phone: customer.phone.unwrap_or_default(),
            created: customer.created,
            metadata,
            default_payment_method: customer.default_payment_method.unwrap_or_default(),
        }
    }
}

/// An update of an org's details. An empty text changes nothing. Metadata with an empty value deletes the key.
#[derive(Clone, Debug, Default)]
pub struct OrgInfoUpdate {
    /// E-mail address.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Phone number.
    pub phone: String,
    /// The app's own metadata.
    pub metadata: BTreeMap<String, String>,
    /// A payment method to attach.
    pub payment_method: String,
    /// The new default payment method of invoices.
    pub default_payment_method: String,
}

impl OrgInfoUpdate {
    pub(in crate::domain) fn check(&self) -> Result<()> {
        if self
            .metadata
            .keys()
            .any(|key| key.starts_with(RESERVED_PREFIX))
        {
            return Err(Error::ReservedMetadata);
        }
        let is_valid = |key: &String| !key.is_empty() && !key.contains(['[', ']']);
        if let Some(key) = self.metadata.keys().find(|key| !is_valid(key)) {
            return Err(Error::Invalid(format!(
                "metadata keys must not be empty or have brackets: {key:?}"
            )));
        }
        Ok(())
    }

    /// The payment method to attach, if any.
    pub(super) fn method_to_attach(&self) -> Option<&str> {
        non_empty(&self.payment_method)
    }

    /// The update of the customer. `attached` is the id of the attached [`payment_method`](Self::payment_method), which
    /// differs from a test token. If the default is the same payment method, it is set by that id.
    pub(super) fn update<'a>(&'a self, attached: Option<&'a str>) -> CustomerUpdate<'a> {
        let default = self.default_payment_method.as_str();
        let same = attached.filter(|_| default == self.payment_method);
        CustomerUpdate {
            email: non_empty(&self.email),
            name: non_empty(&self.name),
            description: non_empty(&self.description),
            phone: non_empty(&self.phone),
            metadata: self.metadata.clone(),
            default_payment_method: non_empty(same.unwrap_or(default)),
        }
    }

    /// The update that restores the details of `before`.
    pub(super) fn undo<'a>(&self, before: &'a Customer) -> CustomerUpdate<'a> {
        let restored = |written: &str, old: &'a Option<String>| {
            non_empty(written).map(|_| old.as_deref().unwrap_or_default())
        };
        let metadata = self.metadata.keys().map(|key| {
            let old = before.metadata.get(key).cloned().unwrap_or_default();
            (key.clone(), old)
        });
        CustomerUpdate {
            email: restored(&self.email, &before.email),
            name: restored(&self.name, &before.name),
            description: restored(&self.description, &before.description),
            phone: restored(&self.phone, &before.phone),
            metadata: metadata.collect::<Metadata>(),
            default_payment_method: restored(
                &self.default_payment_method,
                &before.default_payment_method,
            ),
        }
    }
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
