//! Events, with which Stripe reports changes.

use serde::Deserialize;
use serde_json::Value;

use super::{Billing, ListPage};
use crate::stripe::{Error, Page};

/// An event: its type, and the account and customer that it is about.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "Envelope")]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// Its type, such as `customer.subscription.updated`.
    pub kind: String,
    /// The customer that it is about, if there is one.
    pub customer: Option<String>,
    /// The connected account that it is about: `acct_…`. None: the account that the endpoint belongs to.
    pub account: Option<String>,
    /// Whether it is from live mode.
    pub live: bool,
}

impl Billing<'_> {
    /// The newest event of the account.
    pub async fn newest_event(self) -> Result<Option<Event>, Error> {
        let request = self.get("/v1/events").param("limit", 1);
        let page: Page<Event> = request.send().await?;
        Ok(page.data.into_iter().next())
    }

    /// An event between two times (Unix seconds) that Stripe has not delivered to all its endpoints, if there is one.
    pub async fn undelivered_event(self, since: i64, until: i64) -> Result<Option<Event>, Error> {
        let request = self
            .get("/v1/events")
            .param("delivery_success", false)
            .param("created[gte]", since)
            .param("created[lte]", until)
            .param("limit", 1);
        let page: Page<Event> = request.send().await?;
        Ok(page.data.into_iter().next())
    }

    /// The page of events right after `event`, newest first. The next page is of newer ones.
    pub async fn events_after(self, event: &str) -> Result<ListPage<Event>, Error> {
        let request = self.get("/v1/events").param("limit", 100);
        let page: Page<Event> = request.param("ending_before", event).send().await?;
        let newest = page.data.first().filter(|_| page.has_more);
        Ok(ListPage {
            next: newest.map(|newest| newest.id.clone()),
            items: page.data,
        })
    }
}

/// The `object` of a thin event. Other events may also have a `context`.
const THIN: &str = "v2.core.event";

#[derive(Deserialize)]
struct Envelope {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    account: Option<String>,
    /// The account of a thin event.
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    object: String,
    #[serde(default)]
    livemode: Option<bool>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    object: Value,
}

impl Event {
    /// Reads the body of a delivery. Events of unknown types and events without an object are accepted.
    ///
    /// # Errors
    /// If it is not an event.
    pub fn read(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body)
    }
}

impl From<Envelope> for Event {
    fn from(envelope: Envelope) -> Self {
        let object = envelope.data.unwrap_or_default().object;
        let is_customer = object["object"] == "customer";
        let customer = if is_customer {
            &object["id"]
        } else {
            &object["customer"]
        };
        // An id, or the object if it was expanded.
        let customer = customer.as_str().or_else(|| customer["id"].as_str());
        Self {
            customer: customer.map(str::to_owned),
            id: envelope.id,
            kind: envelope.kind,
            account: if envelope.object == THIN {
                envelope.context
            } else {
                envelope.account
            },
            live: envelope.livemode.unwrap_or(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_names_its_customer_as_an_id_or_an_object() {
        let customer = |object: Value| {
            let event = json!({"id": "evt_1", "type": "x", "data": {"object": object}});
            let event = Event::read(event.to_string().as_bytes()).expect("an event");
            event.customer
        };
        let itself = json!({"object": "customer", "id": "cus_1"});
        assert_eq!(customer(itself).as_deref(), Some("cus_1"));
        let of_subscription = json!({"object": "subscription", "id": "sub_1", "customer": "cus_2"});
        assert_eq!(customer(of_subscription).as_deref(), Some("cus_2"));
        let expanded = json!({"object": "invoice", "customer": {"id": "cus_3"}});
        assert_eq!(customer(expanded).as_deref(), Some("cus_3"));
        for none in [
            json!({"object": "price", "id": "price_1"}),
            json!(null),
            json!([1]),
            json!("x"),
        ] {
            assert_eq!(customer(none), None);
        }
        let nulls = Event::read(br#"{"id":"evt_1","type":"x","livemode":null,"data":null}"#);
        assert!(!nulls.expect("an event").live);
        let bare =
            Event::read(br#"{"id":"evt_1","object":"v2.core.event","type":"v1.billing.meter.x"}"#);
        assert_eq!(bare.expect("an event").customer, None);
        let thin = br#"{"id":"evt_1","object":"v2.core.event","context":"acct_1","type":"v1.x"}"#;
        let thin = Event::read(thin).expect("an event");
        assert_eq!(thin.account.as_deref(), Some("acct_1"));
        let both =
            br#"{"id":"evt_1","object":"event","account":"acct_2","context":"acct_1","type":"x"}"#;
        let both = Event::read(both).expect("an event");
        assert_eq!(both.account.as_deref(), Some("acct_2"));
        for broken in [&b"{}"[..], b"[]", b"", b"\"x\"", br#"{"id":1,"type":"x"}"#] {
            Event::read(broken).unwrap_err();
        }
    }
}
