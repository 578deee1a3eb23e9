//! What the server says about itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tokio::sync::Mutex;

use super::error::Error;
use super::json::Empty;
use super::{Accounts, Shared};
use crate::domain;

/// The document that describes this API, as it is in the repository.
pub const OPENAPI_YAML: &str = include_str!("../../openapi.yaml");

/// The same as JSON.
pub const OPENAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// How long an answer of Stripe's counts: probes come often, and must not use up the rate.
const READY_FOR: Duration = Duration::from_secs(10);

/// How long a failure counts.
const UNREADY_FOR: Duration = Duration::from_secs(2);

/// How long Stripe may take to answer a probe.
const PROBE: Duration = Duration::from_secs(5);

/// The process is alive.
pub(super) async fn healthz() -> Empty {
    Empty
}

/// Stripe can be reached.
pub(super) async fn readyz(State(app): State<Shared>) -> Result<Empty, Error> {
    app.readiness.check(&app.accounts).await?;
    Ok(Empty)
}

/// What was found out last about reaching Stripe. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Readiness(Arc<Mutex<Option<Seen>>>);

struct Seen {
    until: Instant,
    reached: domain::Result<()>,
}

impl Readiness {
    /// Asks Stripe, unless that was done a moment ago. Probes that come meanwhile wait for the same answer.
    async fn check(&self, accounts: &Accounts) -> domain::Result<()> {
        let mut last = self.0.lock().await;
        if let Some(seen) = &*last
            && Instant::now() < seen.until
        {
            return seen.reached.clone();
        }
        let asked = tokio::time::timeout(PROBE, accounts.reach_stripe()).await;
        let reached = asked.unwrap_or(Err(domain::Error::TimedOut));
        let counts = if reached.is_ok() {
            READY_FOR
        } else {
            UNREADY_FOR
        };
        *last = Some(Seen {
            until: Instant::now() + counts,
            reached: reached.clone(),
        });
        reached
    }
}

/// Everything that is counted.
pub(super) async fn metrics(State(app): State<Shared>) -> Result<impl IntoResponse, Error> {
    let text = app.metrics.encode(app.accounts.headroom());
    let text = text.map_err(|cause| Error::internal(&cause))?;
    Ok(([(CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text))
}

pub(super) async fn openapi_yaml() -> impl IntoResponse {
    document("application/yaml", OPENAPI_YAML)
}

pub(super) async fn openapi_json() -> impl IntoResponse {
    document("application/json", OPENAPI_JSON)
}

fn document(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, HeaderValue::from_static(content_type))],
        text,
    )
}
