//! Sessions of the customer portal, in which customers cancel and renew their subscriptions.

pub(crate) mod changes;
pub(crate) mod routes;
pub(crate) mod view;

use serde_json::{Value, json};

use crate::store::ids::Id;
use crate::store::table::Row;

/// How long Stripe's link is valid before the first visit, in seconds.
const UNVISITED: i64 = 5 * 60;

/// How long Stripe's portal stays open after each visit, in seconds.
const AFTER_VISIT: i64 = 3600;

#[derive(Clone, Debug)]
pub(crate) struct PortalSession {
    pub(crate) id: Id,
    pub(crate) created: i64,
    expires_at: i64,
    pub(crate) customer: Id,
    configuration: String,
    locale: Option<&'static str>,
    pub(crate) return_url: Option<String>,
    /// The URL of the page.
    url: String,
}

impl Row for PortalSession {
    fn id(&self) -> &Id {
        &self.id
    }
}

impl PortalSession {
    pub(crate) fn is_open(&self, now: i64) -> bool {
        now < self.expires_at
    }

    /// Extends an open session after a visit.
    pub(crate) fn extend(&mut self, now: i64) {
        if self.is_open(now) {
            self.expires_at = self.expires_at.max(now + AFTER_VISIT);
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "id": &*self.id,
            "object": "billing_portal.session",
            "configuration": self.configuration,
            "created": self.created,
            "customer": &*self.customer,
            "flow": null,
            "livemode": false,
            "locale": self.locale,
            "on_behalf_of": null,
            "return_url": self.return_url,
            "url": self.url,
        })
    }
}
