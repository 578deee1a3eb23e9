//! What a key may do.
//!
//! Stripe does not list the permissions of a restricted key. So each is tested by calls that change nothing: a list of
//! one object, a write to an object that does not exist, or a write without a required parameter.

use super::{Billing, CLASSIC, Price, WITH_METERS};
use crate::stripe::{ApiVersion, Error};

/// The id of an object that does not exist.
const MISSING_ID: &str = "tier_doctor";

/// A permission that Stripe's dashboard grants to a restricted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The dashboard's name of the resource.
    pub resource: &'static str,
    /// What fails without it.
    pub needed_for: &'static str,
    read: Option<&'static str>,
    write: Option<&'static str>,
    version: ApiVersion,
}

/// Reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing, which includes reading.
    Write,
}

impl Permission {
    /// The access that Tier needs.
    pub fn access(&self) -> Access {
        if self.write.is_some() {
            Access::Write
        } else {
            Access::Read
        }
    }
}

const fn permission(
    resource: &'static str,
    needed_for: &'static str,
    read: Option<&'static str>,
    write: Option<&'static str>,
) -> Permission {
    Permission {
        resource,
        needed_for,
        read,
        write,
        version: CLASSIC,
    }
}

/// Every permission that Tier needs.
pub const PERMISSIONS: [Permission; 15] = [
    permission(
        "Customers",
        "orgs",
        Some("/v1/customers"),
        Some("/v1/customers/*"),
    ),
    permission(
        "Products",
        "push and pull",
        Some("/v1/products"),
        Some("/v1/products/*"),
    ),
    permission(
        "Prices",
        "push, pull and every change of plan",
        Some("/v1/prices"),
        Some("/v1/prices/*"),
    ),
    permission("Coupons", "coupons", Some("/v1/coupons"), None),
    permission(
        "Subscriptions",
        "subscribe, limits and report",
        Some("/v1/subscriptions"),
        Some("/v1/subscription_schedules/*"),
    ),
    permission(
        "Usage Records",
        "report",
        None,
        Some("/v1/subscription_items/*/usage_records"),
    ),
    permission(
        "Invoices",
        "limits, and charges and credits of a change of plan",
        Some("/v1/invoices"),
        Some("/v1/invoices/*"),
    ),
    permission(
        "Credit notes",
        "credits of a change of plan",
        Some("/v1/credit_notes"),
        Some("/v1/credit_notes/*/void"),
    ),
    permission(
        "Checkout Sessions",
        "checkout",
        Some("/v1/checkout/sessions"),
        Some("/v1/checkout/sessions/*/expire"),
    ),
    permission(
        "Setup Intents",
        "the payment form",
        Some("/v1/setup_intents"),
        Some("/v1/setup_intents/*/cancel"),
    ),
    permission(
        "Payment Methods",
        "payment methods of orgs",
        None,
        Some("/v1/payment_methods/*/detach"),
    ),
    Permission {
        version: WITH_METERS,
        ..permission(
            "Billing Meters",
            "plans on billing meters",
            Some("/v1/billing/meters"),
            Some("/v1/billing/meters/*"),
        )
    },
    Permission {
        version: WITH_METERS,
        ..permission(
            "Billing Meter Events",
            "report, with plans on billing meters",
            None,
            Some("/v1/billing/meter_events"),
        )
    },
    permission(
        "Events",
        "changes that webhooks missed",
        Some("/v1/events"),
        None,
    ),
    permission(
        "Webhook Endpoints",
        "tier webhook",
        Some("/v1/webhook_endpoints"),
        Some("/v1/webhook_endpoints/*"),
    ),
];

impl Billing<'_> {
    /// Stripe's message if it refuses a call because the key lacks the permission.
    ///
    /// # Errors
    /// If a call fails for another reason.
    pub async fn refusal_of(self, permission: &Permission) -> Result<Option<String>, Error> {
        let read = permission.read.map(|path| {
            let list = self.client.get(permission.version, path);
            list.param("limit", 1)
        });
        let write = permission
            .write
            .map(|path| self.client.post(permission.version, (path, MISSING_ID)));
        for call in read.into_iter().chain(write) {
            match call.send::<serde_json::Value>().await {
                Ok(_) => {}
                Err(error) => match error.api() {
                    Some(refused) if refused.status == 403 => {
                        return Ok(Some(refused.message.clone()));
                    }
                    // The object does not exist, or lacks a parameter.
                    Some(refused) if matches!(refused.status, 400 | 404) => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(None)
    }

    /// Whether Stripe lets the account create metered prices without a meter. Creates a free price, at most once a day,
    /// and archives it, since prices cannot be deleted.
    pub async fn accepts_classic_prices(self) -> Result<bool, Error> {
        let price = self
            .post("/v1/prices")
            .param("currency", "usd")
            .param("product_data[name]", "tier-probe")
            .param("unit_amount", 0)
            .param("recurring[interval]", "month")
            .param("recurring[usage_type]", "metered")
            .param("recurring[aggregate_usage]", "max");
        let price: Price = match price.idempotency_key("tier-doctor-probe").send().await {
            Ok(price) => price,
            Err(error) if error.is_meter_needed() => return Ok(false),
            Err(error) => return Err(error),
        };
        self.set_price_active(&price.id, false).send().await?;
        Ok(price.meter().is_none())
    }
}
