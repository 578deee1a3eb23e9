//! How much a server takes on at once, and for how long. What is over the limit is told so at once: a queue would only
//! make everybody late, and its callers would have given up by the time they are served.

use std::panic::resume_unwind;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument as _;

use super::RequestContext;
use super::auth::Caller;
use crate::admission::Bounds;
use crate::api::Shared;
use crate::api::error::{Code, Error};
use crate::domain::{CallerState, Error as DomainError, Lane};
use crate::metrics::{HttpRequest, Metrics};
use crate::net::bounded_address;

/// How much longer than other requests those may take that make many calls to Stripe.
const BULK_FACTOR: u32 = 10;

/// What a request may take, and how many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest request body, in bytes.
    pub body: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request may take; push and pull, ten times as long.
    pub request_timeout: Duration,
    /// Bytes of all bodies that are in memory; room for a few of the largest there always is.
    pub bodies: usize,
    /// Requests in flight.
    pub concurrent: usize,
    /// Requests in flight with one API key.
    pub concurrent_per_key: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // A model with some thousand features fits.
            body: 1 << 20,
            bodies: 64 << 20,
            body_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(60),
            concurrent: 1024,
            concurrent_per_key: 256,
        }
    }
}

impl Limits {
    fn bounds(&self, caller: &Caller) -> Bounds {
        Bounds {
            server: self.concurrent,
            caller: if caller.key.is_some() {
                self.concurrent_per_key
            } else {
                self.concurrent
            },
            bytes: self.bodies.max(self.body.saturating_mul(4)),
        }
    }
}

/// Turns away what is too much for the server, and ends the wait for what takes too long.
///
/// A write that has begun is carried through whoever still waits for it: half of it may be in Stripe, and the caller's
/// next try must find its lock held until all of it is. One that has not begun when its caller leaves, or when its time is
/// up, does not begin: the caller may have decided otherwise by then. The time-outs of `tower-http` know neither, and answer
/// without a body.
pub(super) async fn limit(app: &Shared, request: Request, next: Next) -> Result<Response, Error> {
    let context = RequestContext::of(request.extensions())?.clone();
    let caller = context.caller();
    let caller = caller.ok_or_else(|| Error::internal(&"no account was chosen"))?;
    let peer = caller.peer.map(bounded_address);
    let admitted = app
        .places
        .admit(&caller.share, peer, app.limits.bounds(caller))?;
    let writes = !request.method().is_safe();
    let state = if writes {
        CallerState::new()
    } else {
        CallerState::default()
    };
    let lane = context.lane();
    let admission = admitted.admission().clone();
    let domain = caller.domain.for_caller(lane, state.clone(), admission);
    context.note_domain(domain);
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
                tell_late_end(&context, &metrics, &response);
            }
            audit.tell(&context, &response);
            response
        };
        let write = app.writes.spawn(handled.in_current_span());
        // The caller leaves if it hangs up, by which this is dropped, and when it is told that it took too long.
        let waits = Waits(Some(state));
        let ended = tokio::time::timeout(wait, write).await;
        let ended = ended.map_err(|_| waits.give_up())?;
        waits.end();
        Ok(ended.unwrap_or_else(|ended| resume_unwind(ended.into_panic())))
    } else {
        let ended = tokio::time::timeout(wait, handled).await;
        ended.map_err(|_| DomainError::TimedOut.into())
    }
}

/// A caller that waits for a write, until this is dropped.
struct Waits(Option<CallerState>);

impl Waits {
    /// The write has ended.
    fn end(mut self) {
        self.0 = None;
    }

    /// The time is up: what the caller is told.
    fn give_up(&self) -> DomainError {
        match &self.0 {
            Some(state) if state.leave() => DomainError::Abandoned,
            _ => DomainError::TimedOut,
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.leave();
        }
    }
}

/// Tells of a write that has ended after its caller had left: its line in the log was written when the caller did.
fn tell_late_end(context: &RequestContext, metrics: &Metrics, response: &Response) {
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
