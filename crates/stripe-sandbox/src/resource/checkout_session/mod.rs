//! Checkout sessions.

pub(crate) mod basket;
mod input;
pub(crate) mod pay;
pub(crate) mod routes;
pub(crate) mod view;

use super::discount::AppliedCoupon;
use super::subscription::BillingMode;
use super::subscription_item::ItemSpec;
use crate::money::currency::Currency;
use crate::params::metadata::Metadata;
use crate::store::ids::Id;
use crate::store::table::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Complete,
    Expired,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Expired => "expired",
        }
    }
}

/// What the customer does on the page: Stripe's `mode`.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// A card is saved for later, with this set-up intent.
    Setup { intent: Id },
    /// A subscription starts.
    Subscription(Box<Purchase>),
}

/// The subscription to buy.
#[derive(Clone, Debug)]
pub(crate) struct Purchase {
    pub(crate) specs: Vec<ItemSpec>,
    pub(crate) currency: Currency,
    pub(crate) billing_mode: BillingMode,
    pub(crate) metadata: Metadata,
    pub(crate) description: Option<String>,
    pub(crate) coupon: Option<AppliedCoupon>,
    /// The length of the trial in days from payment, or its end in seconds; at most one of the two.
    pub(crate) trial_days: Option<i64>,
    pub(crate) trial_end: Option<i64>,
    /// The amount due on payment, in cents, before the coupon; and the coupon's discount.
    pub(crate) subtotal: i64,
    pub(crate) discount: i64,
}

impl Purchase {
    /// The amount due on payment, in cents.
    pub(crate) fn due(&self) -> i64 {
        self.subtotal - self.discount
    }
}

#[derive(Clone, Debug)]
pub(crate) struct CheckoutSession {
    pub(crate) id: Id,
    pub(crate) created: i64,
    pub(crate) expires_at: i64,
    pub(crate) status: Status,
    pub(crate) mode: Mode,
    pub(crate) customer: Option<Id>,
    pub(crate) customer_email: Option<String>,
    pub(crate) success_url: String,
    pub(crate) cancel_url: Option<String>,
    /// The URL of the page.
    pub(crate) url: String,
    pub(crate) automatic_tax: bool,
    pub(crate) collects_tax_ids: bool,
    pub(crate) billing_address: Option<&'static str>,
    pub(crate) client_reference: Option<String>,
    pub(crate) locale: Option<&'static str>,
    pub(crate) promotion_codes: Option<bool>,
    pub(crate) collection: &'static str,
    pub(crate) metadata: Metadata,
    /// The subscription that was created.
    pub(crate) subscription: Option<Id>,
    pub(crate) invoice: Option<Id>,
    /// The customer's e-mail address, name and phone at completion.
    pub(crate) details: Option<[Option<String>; 3]>,
}

impl Row for CheckoutSession {
    fn id(&self) -> &Id {
        &self.id
    }
}

const URL: &str = "/v1/checkout/sessions";

const NAME: &str = "checkout session";
