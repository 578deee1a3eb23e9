//! Endpoints about the server itself: probes, metrics and the API's description.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::error::Error;
use super::json::Empty;
use super::operation::{Access, Operation};
use super::{Accounts, Shared, docs};
use crate::domain;
use crate::metrics::Format;

/// The OpenAPI description of this API, as in the repository.
pub const OPENAPI_YAML: &str = include_str!("../../openapi.yaml");

/// The OpenAPI description as JSON.
pub const OPENAPI_JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// How long a success is cached. Probes are frequent, and must not use up the rate limit.
const READY_FOR: Duration = Duration::from_secs(10);

/// How long a failure is cached.
const UNREADY_FOR: Duration = Duration::from_secs(2);

/// How long Stripe may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a probe waits for Stripe. Probes time out soon, and an error is more helpful than no answer.
const PROBE_WAIT: Duration = Duration::from_secs(2);

pub(super) fn operations() -> [Operation; 6] {
    use Access::{Everybody, Operator, Probe};
    [
        Operation::get("healthz", "/healthz", Probe, healthz),
        Operation::get("readyz", "/readyz", Probe, readyz),
        Operation::get("metrics", "/metrics", Operator, metrics),
        Operation::get("docs", "/docs", Everybody, docs::page),
        Operation::get("openapiYaml", "/openapi.yaml", Everybody, openapi_yaml),
        Operation::get("openapiJson", "/openapi.json", Everybody, openapi_json),
    ]
}

/// Shows that the process is alive.
async fn healthz() -> Empty {
    Empty
}

/// Shows whether Stripe can be reached.
async fn readyz(State(app): State<Shared>) -> Result<Empty, Error> {
    app.readiness.check(&app.accounts).await?;
    Ok(Empty)
}

/// The last check of whether Stripe can be reached. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Readiness(Arc<Mutex<Option<Check>>>);

/// One call to Stripe. It continues after the probe that began it has left, because otherwise probes that time out
/// early would cause more and more calls.
struct Check {
    started: Instant,
    result: watch::Receiver<Option<CheckResult>>,
    _task: JoinSet<()>,
}

struct CheckResult {
    until: Instant,
    reached: domain::Result<()>,
}

impl Check {
    fn start(accounts: Accounts) -> Self {
        let (sender, result) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let reached = tokio::time::timeout(PROBE_TIMEOUT, accounts.reach_stripe()).await;
            let reached = reached.unwrap_or(Err(domain::Error::TimedOut { source: None }));
            let lifetime = if reached.is_ok() {
                READY_FOR
            } else {
                UNREADY_FOR
            };
            let until = Instant::now() + lifetime;
            sender.send_replace(Some(CheckResult { until, reached }));
        });
        Self {
            started: Instant::now(),
            result,
            _task: task,
        }
    }

    /// Whether the result is still cached, or still pending.
    fn is_current(&self) -> bool {
        match &*self.result.borrow() {
            Some(result) => Instant::now() < result.until,
            None => self.result.has_changed().is_ok(),
        }
    }
}

impl Readiness {
    /// Calls Stripe, unless the last result is still cached. Concurrent probes wait for the same call, for at most
    /// [`PROBE_WAIT`].
    async fn check(&self, accounts: &Accounts) -> Result<(), Error> {
        let (started, mut result) = {
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !last.as_ref().is_some_and(Check::is_current) {
                *last = None;
            }
            let check = last.get_or_insert_with(|| Check::start(accounts.clone()));
            (check.started, check.result.clone())
        };
        let answered = result.wait_for(Option::is_some);
        let answered = tokio::time::timeout_at(started + PROBE_WAIT, answered).await;
        let Ok(Ok(result)) = answered else {
            return Err(Error::no_answer_yet(started.elapsed()));
        };
        match &*result {
            Some(result) => Ok(result.reached.clone()?),
            None => Err(Error::no_answer_yet(started.elapsed())),
        }
    }
}

/// All metrics.
async fn metrics(
    State(app): State<Shared>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Error> {
    let accept = headers.get_all(ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
    let format = Format::of_accept(&accept.join(","));
    let waiting = i64::try_from(app.slots.waiting());
    app.metrics.waiting.set(waiting.unwrap_or(i64::MAX));
    let text = app.metrics.encode(format, app.accounts.headroom());
    let text = text.map_err(|cause| Error::internal(&cause))?;
    Ok(([(CONTENT_TYPE, format.content_type())], text))
}

async fn openapi_yaml() -> impl IntoResponse {
    document("application/yaml", OPENAPI_YAML)
}

async fn openapi_json() -> impl IntoResponse {
    document("application/json", OPENAPI_JSON)
}

fn document(content_type: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, HeaderValue::from_static(content_type))],
        text,
    )
}
