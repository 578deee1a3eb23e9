//! Limits on load: how many requests run at the same time, and for how long. A request over a limit is refused at once,
//! because a queue would delay everybody, and callers in it would time out before they are served.

use std::panic::resume_unwind;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use tracing::Instrument as _;

use super::auth::Caller;
use super::{Next, RequestContext};
use crate::admission::AdmissionLimits;
use crate::api::Shared;
use crate::api::error::{Code, Error};
use crate::domain::{CallerState, Error as DomainError, Lane};
use crate::metrics::{HttpRequest, Metrics};
use crate::net::bounded_address;

/// The time-out of requests that make many calls to Stripe, as a multiple of the usual one.
const BULK_FACTOR: u32 = 10;

/// Limits on the size, the duration and the number of requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// The largest request body, in bytes.
    pub body: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request may take. Push and pull may take ten times as long.
    pub request_timeout: Duration,
    /// Bytes of all bodies in memory. At least a few of the largest bodies fit.
    pub bodies: usize,
    /// Requests in flight.
    pub concurrent: usize,
    /// Requests in flight with one API key.
    pub concurrent_per_key: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            // A model with several thousand features fits.
            body: 1 << 20,
            bodies: 64 << 20,
            body_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(60),
            concurrent: 1024,
            concurrent_per_key: 256,
        }
    }
}

impl RequestLimits {
    /// The limits on requests without a key: all of them together have as many slots as one key.
    pub(in crate::api) fn anonymous(&self) -> AdmissionLimits {
        AdmissionLimits {
            server: self.concurrent,
            caller: self.concurrent_per_key.min(self.concurrent),
            bytes: self.bytes(),
        }
    }

    fn bytes(&self) -> usize {
        self.bodies.max(self.body.saturating_mul(4))
    }

    fn admission(&self, caller: &Caller) -> AdmissionLimits {
        AdmissionLimits {
            server: self.concurrent,
            caller: if caller.key.is_some() {
                self.concurrent_per_key
            } else {
                self.concurrent
            },
            bytes: self.bytes(),
        }
    }
}

/// Refuses requests without a slot, and times out those that take too long.
///
/// A write that has begun runs to its end, even if its caller leaves: half of its changes may be in Stripe, and the
/// caller's next attempt must wait for the org's lock until all of them are. A write that has not begun when its caller
/// leaves or times out never begins, because the caller may have changed its mind. `tower-http`'s time-out cancels the
/// handler in both cases, and answers without a body.
pub(super) async fn limit(app: &Shared, request: Request, next: Next) -> Result<Response, Error> {
    let context = RequestContext::of(request.extensions())?.clone();
    let caller = context.caller();
    let caller = caller.ok_or_else(|| Error::internal(&"no account was chosen"))?;
    let peer = caller.peer.map(bounded_address);
    let admitted = app
        .slots
        .admit(&caller.slots, peer, app.limits.admission(caller))?;
    let writes = !request.method().is_safe();
    let state = if writes {
        CallerState::new()
    } else {
        CallerState::default()
    };
    let lane = context.lane();
    let admission = admitted.admission().clone();
    let domain = caller.domain.for_caller(lane, state.clone(), admission);
    context.set_domain(domain);
    let wait = app.limits.request_timeout
        * match lane {
            Lane::Bulk => BULK_FACTOR,
            _ => 1,
        };
    let handled = async move {
        let _held = admitted;
        next.run(request).await
    };
    if writes {
        let (audit, metrics, caller) = (app.audit.clone(), app.metrics.clone(), state.clone());
        let handled = async move {
            let response = handled.await;
            if caller.has_left() {
                log_late_end(&context, &metrics, &response);
            }
            audit.record(&context, &response);
            response
        };
        let write = app.writes.spawn(handled.in_current_span());
        // The caller leaves when it hangs up, which drops this future, or when it gets the time-out answer.
        let waiting = CallerWaits(Some(state));
        let ended = tokio::time::timeout(wait, write).await;
        let ended = ended.map_err(|_| waiting.time_out())?;
        waiting.end();
        Ok(ended.unwrap_or_else(|ended| resume_unwind(ended.into_panic())))
    } else {
        let ended = tokio::time::timeout(wait, handled).await;
        ended.map_err(|_| DomainError::TimedOut { source: None }.into())
    }
}

/// A caller that waits for a write. Dropping this means that the caller has left.
struct CallerWaits(Option<CallerState>);

impl CallerWaits {
    /// The write has ended, so that the caller does not leave it.
    fn end(mut self) {
        self.0 = None;
    }

    /// The time is up. Returns the error for the caller.
    fn time_out(&self) -> DomainError {
        match &self.0 {
            Some(state) if state.leave() => DomainError::Abandoned,
            _ => DomainError::TimedOut { source: None },
        }
    }
}

impl Drop for CallerWaits {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.leave();
        }
    }
}

/// Logs and counts a write that ended after its caller had left. The request's own log line was written before.
fn log_late_end(context: &RequestContext, metrics: &Metrics, response: &Response) {
    let (endpoint, status) = (context.endpoint(), response.status().as_u16());
    let code = Code::of(response);
    tracing::info!(
        request_id = context.id_text(),
        endpoint,
        status,
        code = (!code.is_empty()).then_some(code),
        "a write ended after its caller had left"
    );
    let ended = HttpRequest {
        endpoint,
        status,
        code,
    };
    metrics.left_writes.get_or_create(&ended).inc();
}
