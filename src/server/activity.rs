//! What happens on a connection, and what it has been waited for too long.
//!
//! Bytes alone do not keep a connection open: anybody can send some now and then for ever. Requests do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::frames::Protocol;

/// What happens on a connection.
#[derive(Debug)]
pub(super) struct Activity(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    protocol: Protocol,
    /// Since when a head, or the opening of HTTP/2, has been under way.
    head: Option<Instant>,
    /// Requests that are being worked on.
    working: usize,
    /// Bodies that are being read; perhaps of requests that were answered before.
    bodies: usize,
    /// Without any: since when.
    idle: Instant,
}

/// What did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitedFor {
    /// The rest of a head, or of the opening of HTTP/2.
    Head,
    /// A request.
    Request,
}

/// A request that is being worked on until this is dropped.
pub(super) struct Working(Arc<Activity>);

impl Drop for Working {
    fn drop(&mut self) {
        let mut seen = self.0.lock();
        seen.working -= 1;
        seen.idle = Instant::now();
    }
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Seen {
            protocol: Protocol::Unknown(0),
            head: None,
            working: 0,
            bodies: 0,
            idle: Instant::now(),
        }))
    }

    /// A panic elsewhere does not make what was seen wrong.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(self: &Arc<Self>) -> Working {
        let mut seen = self.lock();
        seen.working += 1;
        if matches!(seen.protocol, Protocol::Http1) {
            seen.head = None;
        }
        Working(self.clone())
    }

    pub(super) fn body_begins(&self) {
        self.lock().bodies += 1;
    }

    pub(super) fn body_ends(&self) {
        self.lock().bodies -= 1;
    }

    pub(super) fn read(&self, bytes: &[u8]) {
        let seen = &mut *self.lock();
        let bytes = seen.protocol.learn(bytes);
        let in_head = match &mut seen.protocol {
            Protocol::Http2(frames) => {
                if frames.follow(bytes) {
                    seen.head = None;
                }
                frames.is_open()
            }
            // While a request is worked on, these are its body's, or wait until it was answered.
            Protocol::Http1 | Protocol::Unknown(_) => seen.working == 0 && seen.bodies == 0,
        };
        if in_head {
            seen.head.get_or_insert_with(Instant::now);
        }
    }

    /// Completes when a head, or a request, has been awaited for too long.
    pub(super) async fn stalls(&self, head_timeout: Duration, idle_timeout: Duration) -> WaitedFor {
        loop {
            let now = Instant::now();
            // In steps, since a head may begin meanwhile.
            let mut wake = now + head_timeout.min(idle_timeout);
            if let Some((until, waited_for)) = self.patience(head_timeout, idle_timeout) {
                if until <= now {
                    return waited_for;
                }
                wake = wake.min(until);
            }
            tokio::time::sleep_until(wake).await;
        }
    }

    /// Until when is waited for what.
    fn patience(
        &self,
        head_timeout: Duration,
        idle_timeout: Duration,
    ) -> Option<(Instant, WaitedFor)> {
        let seen = self.lock();
        let head = seen
            .head
            .map(|since| (since + head_timeout, WaitedFor::Head));
        let is_idle = seen.working == 0;
        let request = is_idle.then(|| (seen.idle + idle_timeout, WaitedFor::Request));
        head.into_iter()
            .chain(request)
            .min_by_key(|(until, _)| *until)
    }
}
