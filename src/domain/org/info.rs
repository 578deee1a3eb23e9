//! What Stripe keeps of a customer besides money: name, e-mail address, metadata.

use std::collections::BTreeMap;

use crate::billing::{Customer, CustomerUpdate, Metadata};
use crate::domain::{Error, Result};

/// Metadata keys that are Tier's own begin with this.
const RESERVED_PREFIX: &str = "tier.";

/// An org's particulars.
#[derive(Clone, Debug)]
pub struct OrgInfo {
    /// Empty if unset, like all texts here.
    pub email: String,
    /// Display name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Phone number.
    pub phone: String,
    /// Unix seconds.
    pub created: i64,
    /// The app's own pairs.
    pub metadata: BTreeMap<String, String>,
    /// What invoices are paid with: `pm_…`.
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
            default_payment_method: customer
                .invoice_settings
                .default_payment_method
                .unwrap_or_default(),
        }
    }
}

/// Particulars to write. An empty text leaves what is there; metadata with an empty value deletes
/// that key.
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
    /// The app's own pairs.
    pub metadata: BTreeMap<String, String>,
    /// A payment method to attach.
    pub payment_method: String,
    /// What invoices are to be paid with.
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
        let legal = |key: &String| !key.is_empty() && !key.contains(['[', ']']);
        if let Some(key) = self.metadata.keys().find(|key| !legal(key)) {
            return Err(Error::Invalid(format!(
                "metadata keys must not be empty or have brackets: {key:?}"
            )));
        }
        Ok(())
    }

    /// The payment method to attach, if any. Stripe does that by itself when it creates a customer.
    pub(super) fn attaches(&self) -> Option<&str> {
        filled(&self.payment_method)
    }

    /// What is written to the customer. `attached` is the id that [`payment_method`](Self::payment_method) got on being
    /// attached: a test token is another one each time, so the default must name what it became.
    pub(super) fn update<'a>(&'a self, attached: Option<&'a str>) -> CustomerUpdate<'a> {
        let named = self.default_payment_method.as_str();
        let same = attached.filter(|_| named == self.payment_method);
        CustomerUpdate {
            email: filled(&self.email),
            name: filled(&self.name),
            description: filled(&self.description),
            phone: filled(&self.phone),
            metadata: self.metadata.clone(),
            default_payment_method: filled(same.unwrap_or(named)),
        }
    }

    /// What sets everything that this writes back to what it was `before`.
    pub(super) fn undo<'a>(&self, before: &'a Customer) -> CustomerUpdate<'a> {
        let was = |written: &str, was: &'a Option<String>| {
            filled(written).map(|_| was.as_deref().unwrap_or_default())
        };
        let metadata = self.metadata.keys().map(|key| {
            let was = before.metadata.get(key).cloned().unwrap_or_default();
            (key.clone(), was)
        });
        let settings = &before.invoice_settings;
        CustomerUpdate {
            email: was(&self.email, &before.email),
            name: was(&self.name, &before.name),
            description: was(&self.description, &before.description),
            phone: was(&self.phone, &before.phone),
            metadata: metadata.collect::<Metadata>(),
            default_payment_method: was(
                &self.default_payment_method,
                &settings.default_payment_method,
            ),
        }
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
