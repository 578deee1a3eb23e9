//! Admission control: limits on how many requests run at the same time, shared fairly.
//!
//! The server has a number of slots. Callers (API keys) and the addresses that they call from share them, and the orgs of
//! one caller share the caller's slots. A request is refused if its caller, address or org already holds three times as
//! many slots as would be left, so a busy one always leaves some to the others. A request that waits for another request
//! to finish gives up its slot while it waits.

mod buffer;
mod counts;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

pub use buffer::BodyBuffer;
use counts::{CallerCounts, ServerCounts};

/// A caller, address or org may hold this many times as many slots as are left.
const FAIR_FACTOR: usize = 3;

/// How many requests may run at the same time. The same number may wait for others to finish.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionLimits {
    /// Requests in the server.
    pub server: usize,
    /// Requests of one caller.
    pub caller: usize,
    /// Bytes of request bodies that the server holds in memory.
    pub bytes: usize,
}

impl AdmissionLimits {
    /// Whether one caller may use the whole server, so that slots need not be shared.
    fn is_for_one(self) -> bool {
        self.caller >= self.server
    }

    /// Whether a caller that holds `taken` slots may have one more of the `left` ones.
    fn has_room(self, taken: usize, left: usize) -> bool {
        taken < self.caller && self.is_fair(taken, left)
    }

    /// Whether a caller or an address that holds `taken` slots leaves enough to others if it gets one more.
    fn is_fair(self, taken: usize, left: usize) -> bool {
        self.is_for_one() || is_fair(taken, left)
    }
}

/// Whether a holder of `taken` slots may have one more. `left` includes that one.
fn is_fair(taken: usize, left: usize) -> bool {
    taken < left.saturating_mul(FAIR_FACTOR)
}

/// Why a request was not admitted, or may not wait. Nothing was done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// No slot is left in the server.
    #[error("too many requests in flight")]
    Server,
    /// The caller holds its share of slots.
    #[error("too many requests in flight for this API key")]
    Caller,
    /// The address holds its share of slots.
    #[error("too many requests in flight from this address")]
    Peer,
    /// The org holds its share of slots.
    #[error("too many requests in flight for this org")]
    Org,
    /// The queue of requests that change this org is full.
    #[error("too many requests are waiting to change this org, and nothing was done")]
    OrgQueue,
    /// The queue of requests with this idempotency key is full.
    #[error("too many requests are waiting for one with the same Idempotency-Key")]
    KeyQueue,
    /// Request bodies fill the memory that is set aside for them.
    #[error("too many bytes of request bodies in flight")]
    Bytes,
    /// Too many requests wait for others to finish.
    #[error("too many requests are waiting for others to finish, and nothing was done")]
    Queue,
    /// The server is stopping, and the request had not begun.
    #[error("the server is stopping, and nothing was done")]
    Stopping,
}

/// The slots of a server. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RequestSlots {
    counts: Arc<Mutex<ServerCounts>>,
    /// Once this is cancelled, requests that wait are refused.
    pub stopping: CancellationToken,
}

/// The slots of one caller. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct CallerSlots(Arc<Mutex<CallerCounts>>);

/// A request that was admitted. Dropping it frees its slot.
#[derive(Debug)]
pub struct Admitted(Admission);

/// The slot of an admitted request. Clones are about the same request.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Request>);

#[derive(Debug)]
struct Request {
    slots: RequestSlots,
    caller: CallerSlots,
    /// The address that the request comes from; none if addresses are not limited.
    peer: Option<IpAddr>,
    limits: AdmissionLimits,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: Stage,
    org: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Waiting,
    Finished,
}

impl RequestSlots {
    /// Admits a request of `caller` from the address `peer`, if there is a slot for it.
    pub fn admit(
        &self,
        caller: &CallerSlots,
        peer: Option<IpAddr>,
        limits: AdmissionLimits,
    ) -> Result<Admitted, AdmissionError> {
        let mut of_caller = locked(&caller.0);
        let mut of_server = locked(&self.counts);
        let left = limits.server.saturating_sub(of_server.all.running);
        if left == 0 {
            return Err(AdmissionError::Server);
        }
        if !limits.has_room(of_caller.all.running, left) {
            return Err(AdmissionError::Caller);
        }
        if !limits.is_fair(of_server.of_peer(peer).running, left) {
            return Err(AdmissionError::Peer);
        }
        of_server.change(peer, |counts| counts.running += 1);
        of_caller.all.running += 1;
        Ok(Admitted(Admission(Arc::new(Request {
            slots: self.clone(),
            caller: caller.clone(),
            peer,
            limits,
            state: Mutex::new(State {
                stage: Stage::Running,
                org: None,
            }),
        }))))
    }

    /// How many requests wait for others to finish.
    pub fn waiting(&self) -> usize {
        locked(&self.counts).all.waiting
    }
}

impl Admitted {
    /// The slot of this request.
    pub fn admission(&self) -> &Admission {
        &self.0
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let finished = self.0.change(Stage::Finished);
        debug_assert!(finished.is_ok(), "only waiting can be refused");
    }
}

impl Admission {
    /// Counts the request for `org`, if that org has a slot left.
    pub fn count_for_org(&self, org: &str) -> Result<(), AdmissionError> {
        let Request { caller, limits, .. } = &*self.0;
        let mut state = locked(&self.0.state);
        let mut of_caller = locked(&caller.0);
        let left = (limits.caller + 1).saturating_sub(of_caller.all.running);
        let taken = of_caller.orgs.get(org).copied().unwrap_or_default();
        if !is_fair(taken, left) {
            return Err(AdmissionError::Org);
        }
        if state.stage == Stage::Running && state.org.is_none() {
            of_caller.orgs.insert(org.to_owned(), taken + 1);
            state.org = Some(org.to_owned());
        }
        Ok(())
    }

    /// Waits for `other`, which ends when other requests do. The request has no slot meanwhile.
    pub async fn wait<T>(&self, other: impl Future<Output = T>) -> Result<T, AdmissionError> {
        let stopping = &self.0.slots.stopping;
        if stopping.is_cancelled() {
            return Err(AdmissionError::Stopping);
        }
        let _waiting = WaitingGuard::begin(self)?;
        tokio::select! {
            biased;
            ended = other => Ok(ended),
            () = stopping.cancelled() => Err(AdmissionError::Stopping),
        }
    }

    fn change(&self, to: Stage) -> Result<(), AdmissionError> {
        let Request {
            slots,
            caller,
            peer,
            limits,
            state,
        } = &*self.0;
        let mut state = locked(state);
        let mut of_caller = locked(&caller.0);
        let mut of_server = locked(&slots.counts);
        let from = state.stage;
        if from == Stage::Finished {
            return Ok(());
        }
        if to == Stage::Waiting {
            let left = limits.server.saturating_sub(of_server.all.waiting);
            let of_peer = of_server.of_peer(*peer).waiting;
            let is_fair =
                limits.has_room(of_caller.all.waiting, left) && limits.is_fair(of_peer, left);
            if left == 0 || !is_fair {
                return Err(AdmissionError::Queue);
            }
        }
        state.stage = to;
        of_server.change(*peer, |counts| counts.change(from, to));
        of_caller.all.change(from, to);
        if let Some(org) = &state.org {
            of_caller.change_org(org, from, to);
        }
        Ok(())
    }
}

/// A request that waits until this is dropped.
struct WaitingGuard<'a>(&'a Admission);

impl<'a> WaitingGuard<'a> {
    fn begin(admission: &'a Admission) -> Result<Self, AdmissionError> {
        admission.change(Stage::Waiting)?;
        Ok(Self(admission))
    }
}

impl Drop for WaitingGuard<'_> {
    /// Takes a slot even if none is free. The request was admitted before, and another request has finished for each
    /// one that continues.
    fn drop(&mut self) {
        let running = self.0.change(Stage::Running);
        debug_assert!(running.is_ok(), "only waiting can be refused");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
