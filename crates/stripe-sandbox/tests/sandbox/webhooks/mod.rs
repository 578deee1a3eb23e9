//! Webhooks: endpoints, and the delivery of events to them.

mod deliveries;
mod endpoints;
mod faults;
mod thin;

use std::time::Duration;

use clock::Clock;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use stripe_sandbox::Options;
use testing::receiver::Webhook;

use super::{Api, with_manual_clock};

/// The seconds between the first try and the second.
const BACKOFF: i64 = 60;

/// A sandbox whose clock the test sets.
async fn sandbox() -> (Api, Clock) {
    let options = Options {
        webhook_backoff: Duration::from_secs(BACKOFF.unsigned_abs()),
        search_lag: Duration::ZERO,
        ..with_manual_clock()
    };
    let clock = options.clock.clone();
    (Api::with(options).await, clock)
}

/// Creates an endpoint for these types of events.
async fn endpoint(api: &Api, url: &str, events: &[&str]) -> Value {
    let events = events
        .iter()
        .map(|event| format!("&enabled_events[]={event}"));
    let form = format!("url={url}{}", events.collect::<String>());
    api.post("/v1/webhook_endpoints", &form).await.ok()
}

/// Checks a signature by the steps in Stripe's documentation.
#[track_caller]
fn check_signature(webhook: &Webhook, secret: &str, unix: i64) {
    let signature = webhook.header("stripe-signature");
    let (time, hex) = signature.split_once(",v1=").expect("time and signature");
    assert_eq!(time, format!("t={unix}"));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("{unix}.{}", webhook.body).as_bytes());
    let expected = mac.finalize().into_bytes();
    let pairs = expected.iter().enumerate();
    for (index, byte) in pairs {
        assert_eq!(hex[2 * index..2 * index + 2], format!("{byte:02x}"));
    }
    assert_eq!(hex.len(), 2 * expected.len());
}
