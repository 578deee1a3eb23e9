//! The JSON of payment methods at 2022-11-15, by themselves and on charges.

use serde_json::{Value, json};

use super::{BillingDetails, PaymentMethod};

impl PaymentMethod {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "payment_method",
            "billing_details": self.billing.to_json(),
            "card": self.card_json(),
            "created": self.created,
            "customer": self.customer.as_deref(),
            "livemode": false,
            "metadata": self.metadata.to_json(),
            "type": "card",
        })
    }

    /// The `billing_details` of a charge with it.
    pub(crate) fn billing_json(&self) -> Value {
        self.billing.to_json()
    }

    /// The `payment_method_details` of a charge with it.
    pub(crate) fn charged_json(&self) -> Value {
        json!({
            "card": {
                "brand": self.card.brand,
                "checks": self.checks_json(),
                "country": self.card.country,
                "exp_month": self.expiry.month,
                "exp_year": self.expiry.year,
                "fingerprint": self.fingerprint(),
                "funding": self.card.funding,
                "installments": null,
                "last4": self.card.last4(),
                "mandate": null,
                "network": self.card.brand,
                "three_d_secure": null,
                "wallet": null,
            },
            "type": "card",
        })
    }

    fn fingerprint(&self) -> String {
        format!("sandbox{}{}", self.card.brand, self.card.last4())
    }

    fn card_json(&self) -> Value {
        json!({
            "brand": self.card.brand,
            "checks": self.checks_json(),
            "country": self.card.country,
            "exp_month": self.expiry.month,
            "exp_year": self.expiry.year,
            "fingerprint": self.fingerprint(),
            "funding": self.card.funding,
            "generated_from": null,
            "last4": self.card.last4(),
            "networks": {"available": [self.card.brand], "preferred": null},
            "three_d_secure_usage": {"supported": true},
            "wallet": null,
        })
    }

    fn checks_json(&self) -> Value {
        json!({
            "address_line1_check": null,
            "address_postal_code_check": null,
            "cvc_check": self.cvc_check,
        })
    }
}

impl BillingDetails {
    pub(crate) fn to_json(&self) -> Value {
        let nowhere = || {
            json!({
                "city": null,
                "country": null,
                "line1": null,
                "line2": null,
                "postal_code": null,
                "state": null,
            })
        };
        json!({
            "address": self.address.clone().unwrap_or_else(nowhere),
            "email": self.email,
            "name": self.name,
            "phone": self.phone,
        })
    }
}
