//! `POST /v1/stripe/webhook`: receives Stripe's events.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::HeaderName;
use clock::Clock;
use secrecy::SecretString;
use tokio::sync::Semaphore;

use super::error::Error;
use super::extract::read;
use super::json::Empty;
use super::operation::{Access, Operation};
use super::{Accounts, Shared};
use crate::stripe::{Signature, SignatureError};

const STRIPE_SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

/// Where Stripe delivers events.
pub const WEBHOOK_PATH: &str = "/v1/stripe/webhook";

/// How many deliveries are read at the same time. Anybody can send something that looks like a delivery, and Stripe
/// repeats deliveries that are refused.
const MAX_CONCURRENT: usize = 64;

/// The maximum size of a delivery, in bytes. Events are far smaller.
const MAX_SIZE: usize = 512 * 1024;

/// How long a delivery may take to arrive. Stripe's arrive in one piece.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The secrets that sign Stripe's deliveries. Clones share them.
#[derive(Clone)]
pub struct WebhookSecrets(Arc<Inner>);

struct Inner {
    secrets: Vec<SecretString>,
    clock: Clock,
    slots: Semaphore,
}

impl WebhookSecrets {
    /// One secret, or several during a rotation. None if there are no secrets, so that there is no endpoint.
    pub fn new(secrets: Vec<SecretString>, clock: Clock) -> Option<Self> {
        let inner = Inner {
            secrets,
            clock,
            slots: Semaphore::new(MAX_CONCURRENT),
        };
        (!inner.secrets.is_empty()).then(|| Self(Arc::new(inner)))
    }
}

pub(super) fn operations() -> [Operation; 1] {
    let access = Access::Everybody;
    [Operation::post(
        "stripeWebhook",
        WEBHOOK_PATH,
        access,
        webhook,
    )]
}

async fn webhook(
    State(app): State<Shared>,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Empty, Error> {
    let (Some(webhook), Accounts::One(domain)) = (&app.webhook, &app.accounts) else {
        return Err(Error::not_found());
    };
    let Inner {
        secrets,
        clock,
        slots,
    } = &*webhook.0;
    let signature = headers.get(STRIPE_SIGNATURE);
    let signature = signature.and_then(|value| value.to_str().ok());
    // A delivery that is not signed, or was signed long ago, is refused before it takes a slot.
    let signature =
        Signature::read(signature.unwrap_or_default(), clock.unix()).map_err(refused)?;
    let _slot = slots.try_acquire().map_err(|_| Error::overloaded())?;
    let max = MAX_SIZE.min(app.limits.body);
    let body = tokio::time::timeout(BODY_TIMEOUT, read(request.into_body(), max, None)).await;
    let body = body.unwrap_or_else(|_| Err(Error::too_slow()))?;
    signature.verify(&body, secrets).map_err(refused)?;
    domain.stripe_event(&body).await?;
    Ok(Empty)
}

fn refused(cause: SignatureError) -> Error {
    Error::invalid(cause.to_string())
}
