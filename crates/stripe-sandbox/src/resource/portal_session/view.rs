//! The configuration of the portal at 2022-11-15. An account has only the default configuration, which Stripe creates
//! by itself.

use serde_json::{Value, json};

use crate::resource::account::Profile;

/// The id of the account's configuration.
pub(crate) fn configuration_id(account: &Profile) -> String {
    format!("bpc_{}", account.id.trim_start_matches("acct_"))
}

/// The account's configuration, with the features of the page.
pub(crate) fn configuration(account: &Profile) -> Value {
    json!({
        "id": configuration_id(account),
        "object": "billing_portal.configuration",
        "active": true,
        "application": null,
        "business_profile": {
            "headline": null,
            "privacy_policy_url": null,
            "terms_of_service_url": null,
        },
        "created": account.created,
        "default_return_url": null,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": false},
            "invoice_history": {"enabled": false},
            "payment_method_update": {"enabled": false},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": false, "options": []},
                "enabled": true,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_pause": {"enabled": false},
            "subscription_update": {
                "default_allowed_updates": [],
                "enabled": false,
                "products": null,
                "proration_behavior": "none",
            },
        },
        "is_default": true,
        "livemode": false,
        "login_page": {"enabled": false, "url": null},
        "metadata": {},
        "updated": account.created,
    })
}
