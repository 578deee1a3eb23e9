//! What Stripe keeps of a customer besides money: name, e-mail address, metadata.

use std::collections::BTreeMap;

use crate::domain::{Error, Result};
use crate::stripe::Form;
use crate::stripe::types::Customer;

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

    /// Stripe attaches `payment_method` by itself when it creates a customer.
    pub(super) fn creation_form(&self) -> Form {
        let mut form = Form::new();
        form.push_some("payment_method", filled(&self.payment_method));
        form.append(self.common_form(&self.default_payment_method));
        form
    }

    /// `attached` is the id that [`payment_method`](Self::payment_method) got on being attached: a
    /// test token is another one each time, so the default must name what it became.
    pub(super) fn update_form(&self, attached: Option<&str>) -> Form {
        let named = self.default_payment_method.as_str();
        let same = attached.filter(|_| named == self.payment_method);
        self.common_form(same.unwrap_or(named))
    }

    /// What sets everything that this writes back to what it was `before`.
    pub(super) fn undo_form(&self, before: &Customer) -> Form {
        let settings = &before.invoice_settings;
        let texts = [
            ("email", &self.email, &before.email),
            ("name", &self.name, &before.name),
            ("description", &self.description, &before.description),
            ("phone", &self.phone, &before.phone),
            (
                "invoice_settings[default_payment_method]",
                &self.default_payment_method,
                &settings.default_payment_method,
            ),
        ];
        let mut form = Form::new();
        for (name, written, was) in texts {
            if !written.is_empty() {
                // An empty text unsets.
                form.push(name, was.as_deref().unwrap_or_default());
            }
        }
        for key in self.metadata.keys() {
            let was = before.metadata.get(key).map_or("", String::as_str);
            form.push(format!("metadata[{key}]"), was);
        }
        form
    }

    fn common_form(&self, default_payment_method: &str) -> Form {
        let mut form = Form::new();
        form.push_some("email", filled(&self.email));
        form.push_some("name", filled(&self.name));
        form.push_some("description", filled(&self.description));
        form.push_some("phone", filled(&self.phone));
        for (key, value) in &self.metadata {
            form.push(format!("metadata[{key}]"), value);
        }
        form.push_some(
            "invoice_settings[default_payment_method]",
            filled(default_payment_method),
        );
        form
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
