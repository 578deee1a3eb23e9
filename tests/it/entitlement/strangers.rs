//! Slow requests from strangers that look like Stripe's deliveries.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Method;
use futures::future::join_all;
use futures::{poll, stream};
use serde_json::json;
use testing::time::hold_time;

use super::events::{PATH, deliver, event, signature, start};
use crate::harness::{Answer, TestApp};

/// How many deliveries are read concurrently.
const AT_ONCE: usize = 64;

/// How long a delivery may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends a head, and no body.
async fn send_head(app: &TestApp, signature: &str) -> Answer {
    let never = stream::pending::<Result<Bytes, Infallible>>();
    let request = app.request(Method::POST, PATH);
    let request = request.header("stripe-signature", signature);
    request.streamed(Body::from_stream(never)).send().await
}

#[tokio::test]
async fn slow_requests_delay_deliveries_for_seconds_at_most() {
    let app = start().await;
    let genuine = event(
        "customer.updated",
        &json!({"object": "customer", "id": "cus_1"}),
    );
    let now = app.sandbox().clock().unix();
    let _held = hold_time();
    for unsigned in [String::new(), signature("whsec_guess", now - 301, "")] {
        // The server refuses the delivery before its body arrives.
        let refused = send_head(&app, &unsigned).await;
        refused.fails(400, "invalid_request");
    }
    let looks_signed = signature("whsec_guess", now, "");
    let strangers = (0..AT_ONCE - 1).map(|_| send_head(&app, &looks_signed));
    let mut strangers = std::pin::pin!(join_all(strangers));
    assert!(poll!(strangers.as_mut()).is_pending());
    deliver(&app, &genuine).await.ok();

    let mut last = std::pin::pin!(send_head(&app, &looks_signed));
    assert!(poll!(last.as_mut()).is_pending());
    // The server reads no further deliveries at present, and Stripe tries again later.
    deliver(&app, &genuine).await.fails(503, "overloaded");

    tokio::time::advance(2 * BODY_TIMEOUT).await;
    last.await.fails(408, "request_timeout");
    for stranger in strangers.await {
        stranger.fails(408, "request_timeout");
    }
    deliver(&app, &genuine).await.ok();
}
