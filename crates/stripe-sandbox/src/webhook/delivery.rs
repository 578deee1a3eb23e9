//! Delivery of an event to an endpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::signature;
use crate::resource::webhook_endpoint::{Outgoing, WebhookEndpoint};
use crate::store::locked;

/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What Stripe calls itself.
const USER_AGENT: &str = "Stripe/1.0 (+https://stripe.com/docs/webhooks)";

/// A delivery: an event, an endpoint, and the number of failed tries.
#[derive(Debug)]
pub(super) struct Delivery {
    outgoing: Outgoing,
    /// Whether this is an extra copy, which does not count as a receipt of the event.
    is_copy: bool,
    /// How many tries have failed.
    pub(super) failed: u32,
    _unsettled: Unsettled,
}

/// The outcome of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TryOutcome {
    Delivered,
    Failed,
    /// The endpoint is disabled or deleted, so there is no retry.
    NoEndpoint,
}

impl Delivery {
    pub(super) fn new(outgoing: Outgoing, is_copy: bool, unsettled: Unsettled) -> Self {
        Self {
            outgoing,
            is_copy,
            failed: 0,
            _unsettled: unsettled,
        }
    }

    /// Sends the event at `unix` seconds.
    pub(super) async fn send(&self, http: &reqwest::Client, unix: i64) -> TryOutcome {
        let endpoint = self.endpoint().filter(|endpoint| !endpoint.disabled);
        let Some(endpoint) = endpoint else {
            return TryOutcome::NoEndpoint;
        };
        let body = self.body();
        let signature = signature::header(&endpoint.secret, unix, &body);
        let request = http
            .post(&endpoint.url)
            .timeout(TIMEOUT)
            .header("user-agent", USER_AGENT)
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", signature)
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                if !self.is_copy {
                    self.outgoing.event.mark_received();
                }
                TryOutcome::Delivered
            }
            _ => TryOutcome::Failed,
        }
    }

    /// The current state of the endpoint; `None` if it was deleted.
    pub(super) fn endpoint(&self) -> Option<WebhookEndpoint> {
        let to = &self.outgoing.to;
        locked(&to.endpoints).get(&to.endpoint).cloned()
    }

    /// The account of the event.
    pub(super) fn account(&self) -> &str {
        &self.outgoing.to.account
    }

    /// The event, formatted as by Stripe.
    fn body(&self) -> String {
        let mut event = self.outgoing.event.to_json();
        if self.outgoing.to.is_platform_endpoint {
            let name = if self.outgoing.event.is_thin {
                "context"
            } else {
                "account"
            };
            event[name] = json!(self.account());
        }
        serde_json::to_string_pretty(&event).expect("JSON can be written")
    }
}

/// The number of unsettled deliveries, by the URL of their endpoint. URLs without any are not in the map.
pub(super) type UnsettledCounts = watch::Sender<HashMap<String, usize>>;

/// Counts a delivery as unsettled until it is dropped.
#[derive(Debug)]
pub(super) struct Unsettled {
    counts: Arc<UnsettledCounts>,
    url: String,
}

impl Unsettled {
    pub(super) fn new(counts: &Arc<UnsettledCounts>, url: &str) -> Self {
        counts.send_modify(|counts| *counts.entry(url.to_owned()).or_default() += 1);
        Self {
            counts: counts.clone(),
            url: url.to_owned(),
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| {
            if let Some(count) = counts.get_mut(&self.url) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&self.url);
                }
            }
        });
    }
}
