//! Tracks the activity of a connection, and when it times out.
//!
//! Only requests keep a connection open. Bytes do not, because a client could send a few now and then for ever.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::frames::Protocol;
use super::refusal::Sender;

/// How many bytes of a head are kept. Browsers send `Accept` early and cookies last.
const MAX_BEGINNING: usize = 4096;

/// The activity of a connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    protocol: Protocol,
    /// When the head that is being read, or the opening of HTTP/2, began.
    head_since: Option<Instant>,
    /// The beginning of the last head of HTTP/1, in case hyper refuses it.
    beginning: Vec<u8>,
    /// The number of requests in flight.
    in_flight: usize,
    /// The number of bodies that are being read. Some may be of requests that are already answered.
    bodies: usize,
    /// When the last request ended.
    idle_since: Instant,
}

/// What took too long on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimedOut {
    /// The rest of a head, or of the opening of HTTP/2.
    Head,
    /// The next request.
    Request,
}

/// A request in flight. Dropping it ends the request.
pub(super) struct RequestGuard(Arc<Activity>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.idle_since = Instant::now();
    }
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State {
            protocol: Protocol::Unknown(0),
            head_since: None,
            beginning: Vec::new(),
            in_flight: 0,
            bodies: 0,
            idle_since: Instant::now(),
        }))
    }

    /// Locks the state. A poisoned lock can be used, because no change leaves the state half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> RequestGuard {
        let mut state = self.lock();
        state.in_flight += 1;
        if matches!(state.protocol, Protocol::Http1) {
            state.head_since = None;
            // An idle connection keeps little memory.
            state.beginning.clear();
            state.beginning.shrink_to(MAX_BEGINNING / 4);
        }
        RequestGuard(self.clone())
    }

    pub(super) fn body_begins(&self) {
        self.lock().bodies += 1;
    }

    pub(super) fn body_ends(&self) {
        self.lock().bodies -= 1;
    }

    /// Records bytes that the connection has received.
    pub(super) fn read(&self, all: &[u8]) {
        let state = &mut *self.lock();
        let bytes = state.protocol.learn(all);
        let in_head = match &mut state.protocol {
            Protocol::Http2(frames) => {
                if frames.follow(bytes) {
                    state.head_since = None;
                }
                frames.is_open()
            }
            // While a request is in flight, these bytes are of its body, or of a request that waits for its answer.
            Protocol::Http1 | Protocol::Unknown(_) => state.in_flight == 0 && state.bodies == 0,
        };
        if !in_head {
            return;
        }
        if state.head_since.is_none() {
            state.head_since = Some(Instant::now());
            state.beginning.clear();
        }
        if !matches!(state.protocol, Protocol::Http2(_)) {
            let room = MAX_BEGINNING - state.beginning.len();
            state.beginning.extend(&all[..all.len().min(room)]);
        }
    }

    /// The sender of the last head of HTTP/1, read from its beginning.
    pub(super) fn sender(&self) -> Option<Sender> {
        Sender::of(&self.lock().beginning)
    }

    /// Completes when a head or the next request has taken too long.
    pub(super) async fn timed_out_after(
        &self,
        head_timeout: Duration,
        idle_timeout: Duration,
    ) -> TimedOut {
        loop {
            let now = Instant::now();
            // Sleeps in steps, because a head may begin meanwhile.
            let mut wake = now + head_timeout.min(idle_timeout);
            if let Some((until, timed_out)) = self.next_timeout(head_timeout, idle_timeout) {
                if until <= now {
                    return timed_out;
                }
                wake = wake.min(until);
            }
            tokio::time::sleep_until(wake).await;
        }
    }

    /// When the connection times out next, and on what.
    fn next_timeout(
        &self,
        head_timeout: Duration,
        idle_timeout: Duration,
    ) -> Option<(Instant, TimedOut)> {
        let state = self.lock();
        let head = state
            .head_since
            .map(|since| (since + head_timeout, TimedOut::Head));
        let is_idle = state.in_flight == 0;
        let request = is_idle.then(|| (state.idle_since + idle_timeout, TimedOut::Request));
        head.into_iter()
            .chain(request)
            .min_by_key(|(until, _)| *until)
    }
}
