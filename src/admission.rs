//! How many requests are worked on at once, and how callers, addresses and orgs share the places.
//!
//! The places of the server are shared by callers (API keys) and by the addresses that they call from, and those of a
//! caller by orgs. Whoever asks for one more place is refused once it has three times as many as would be left. One busy
//! org, or any number of them, so always leaves places to the others. A request that waits for another one to finish gives
//! its place away meanwhile.

mod buffer;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

pub use buffer::Buffer;

/// One share may have this many times as many places as are left.
const SHARE: usize = 3;

/// How many requests there may be at once. As many may wait for others to finish.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// In the server.
    pub server: usize,
    /// Of one caller.
    pub caller: usize,
    /// Bytes of bodies that are in memory, in the server.
    pub bytes: usize,
}

impl Bounds {
    /// Whether there is one caller, who shares with nobody.
    fn is_for_one(self) -> bool {
        self.caller >= self.server
    }

    /// Whether a caller who has `taken` may have one more of those `left` in the server.
    fn has_room(self, taken: usize, left: usize) -> bool {
        taken < self.caller && self.is_fair(taken, left)
    }

    /// Whether a caller, or an address, may have one more by what is left to others.
    fn is_fair(self, taken: usize, left: usize) -> bool {
        self.is_for_one() || is_fair(taken, left)
    }
}

/// Whether one more may be taken, where `left` are, that one included.
fn is_fair(taken: usize, left: usize) -> bool {
    taken < left.saturating_mul(SHARE)
}

/// Why a request is not let in, or not allowed to wait. Nothing was done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The server has no place left.
    #[error("too many requests in flight")]
    Server,
    /// The caller has its share.
    #[error("too many requests in flight for this API key")]
    Caller,
    /// The address has its share.
    #[error("too many requests in flight from this address")]
    Peer,
    /// The org has its share.
    #[error("too many requests in flight for this org")]
    Org,
    /// As many requests as may do so wait to change the same org.
    #[error("too many requests are waiting to change this org, and nothing was done")]
    OrgQueue,
    /// As many requests as may do so wait for one with the same idempotency key.
    #[error("too many requests are waiting for one with the same Idempotency-Key")]
    KeyQueue,
    /// The bodies of requests take as much memory as they may.
    #[error("too many bytes of request bodies in flight")]
    Bytes,
    /// Too many requests wait for others to finish.
    #[error("too many requests are waiting for others to finish, and nothing was done")]
    Queue,
    /// The server stops, and what has not begun does not begin.
    #[error("the server is stopping, and nothing was done")]
    Stopping,
}

/// The places of a server. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Places {
    taken: Arc<Mutex<ServersTaken>>,
    /// Once cancelled, nobody waits any longer.
    pub stopping: CancellationToken,
}

/// The places of one caller. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Share(Arc<Mutex<CallersTaken>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    working: usize,
    waiting: usize,
    bytes: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct ServersTaken {
    all: Taken,
    /// By address, where anything is taken from it.
    peers: HashMap<IpAddr, Taken>,
}

#[derive(Debug, Default)]
struct CallersTaken {
    all: Taken,
    /// Requests that are worked on, by org.
    orgs: HashMap<String, usize>,
}

/// A request that was let in. Its place is free once this is dropped.
#[derive(Debug)]
pub struct Admitted(Admission);

/// What a request that was let in can do about its place. Clones are about the same request.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Request>);

#[derive(Debug)]
struct Request {
    places: Places,
    share: Share,
    /// Where it comes from; none if the places of that are not bounded.
    peer: Option<IpAddr>,
    bounds: Bounds,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    now: Now,
    org: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Working,
    Waiting,
    Gone,
}

impl Places {
    /// Lets a request of the caller with this `share` in, from the address `peer`, if there is a place for it.
    pub fn admit(
        &self,
        share: &Share,
        peer: Option<IpAddr>,
        bounds: Bounds,
    ) -> Result<Admitted, Refused> {
        let mut callers = locked(&share.0);
        let mut servers = locked(&self.taken);
        let left = bounds.server.saturating_sub(servers.all.working);
        if left == 0 {
            return Err(Refused::Server);
        }
        if !bounds.has_room(callers.all.working, left) {
            return Err(Refused::Caller);
        }
        if !bounds.is_fair(servers.of_peer(peer).working, left) {
            return Err(Refused::Peer);
        }
        servers.change(peer, |taken| taken.working += 1);
        callers.all.working += 1;
        Ok(Admitted(Admission(Arc::new(Request {
            places: self.clone(),
            share: share.clone(),
            peer,
            bounds,
            state: Mutex::new(State {
                now: Now::Working,
                org: None,
            }),
        }))))
    }

    /// How many requests wait for others to finish.
    pub fn waiting(&self) -> usize {
        locked(&self.taken).all.waiting
    }
}

impl Admitted {
    /// What the request can do about its place.
    pub fn admission(&self) -> &Admission {
        &self.0
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let gone = self.0.change(Now::Gone);
        debug_assert!(gone.is_ok(), "only waiting is refused");
    }
}

impl Admission {
    /// Notes which org the request is about, if that one has room for it.
    pub fn for_org(&self, org: &str) -> Result<(), Refused> {
        let Request { share, bounds, .. } = &*self.0;
        let mut state = locked(&self.0.state);
        let mut callers = locked(&share.0);
        let left = (bounds.caller + 1).saturating_sub(callers.all.working);
        let taken = callers.orgs.get(org).copied().unwrap_or_default();
        if !is_fair(taken, left) {
            return Err(Refused::Org);
        }
        if state.now == Now::Working && state.org.is_none() {
            callers.orgs.insert(org.to_owned(), taken + 1);
            state.org = Some(org.to_owned());
        }
        Ok(())
    }

    /// Awaits `other`, which is for other requests to finish, without a place.
    pub async fn wait<T>(&self, other: impl Future<Output = T>) -> Result<T, Refused> {
        let stopping = &self.0.places.stopping;
        if stopping.is_cancelled() {
            return Err(Refused::Stopping);
        }
        let _waiting = Waiting::begin(self)?;
        tokio::select! {
            biased;
            ended = other => Ok(ended),
            () = stopping.cancelled() => Err(Refused::Stopping),
        }
    }

    fn change(&self, to: Now) -> Result<(), Refused> {
        let Request {
            places,
            share,
            peer,
            bounds,
            state,
        } = &*self.0;
        let mut state = locked(state);
        let mut callers = locked(&share.0);
        let mut servers = locked(&places.taken);
        let from = state.now;
        if from == Now::Gone {
            return Ok(());
        }
        if to == Now::Waiting {
            let left = bounds.server.saturating_sub(servers.all.waiting);
            let of_peer = servers.of_peer(*peer).waiting;
            let is_fair =
                bounds.has_room(callers.all.waiting, left) && bounds.is_fair(of_peer, left);
            if left == 0 || !is_fair {
                return Err(Refused::Queue);
            }
        }
        state.now = to;
        servers.change(*peer, |taken| taken.change(from, to));
        callers.all.change(from, to);
        if let Some(org) = &state.org {
            callers.change_org(org, from, to);
        }
        Ok(())
    }
}

/// A request that waits until this is dropped.
struct Waiting<'a>(&'a Admission);

impl<'a> Waiting<'a> {
    fn begin(admission: &'a Admission) -> Result<Self, Refused> {
        admission.change(Now::Waiting)?;
        Ok(Self(admission))
    }
}

impl Drop for Waiting<'_> {
    /// A place is taken even if none is free: the request was let in before, and only as many go on as have finished.
    fn drop(&mut self) {
        let working = self.0.change(Now::Working);
        debug_assert!(working.is_ok(), "only waiting is refused");
    }
}

impl Taken {
    fn change(&mut self, from: Now, to: Now) {
        match from {
            Now::Working => self.working -= 1,
            Now::Waiting => self.waiting -= 1,
            Now::Gone => {}
        }
        match to {
            Now::Working => self.working += 1,
            Now::Waiting => self.waiting += 1,
            Now::Gone => {}
        }
    }
}

impl ServersTaken {
    fn of_peer(&self, peer: Option<IpAddr>) -> Taken {
        let taken = peer.and_then(|peer| self.peers.get(&peer));
        taken.copied().unwrap_or_default()
    }

    fn change(&mut self, peer: Option<IpAddr>, change: impl Fn(&mut Taken)) {
        change(&mut self.all);
        let Some(peer) = peer else { return };
        let taken = self.peers.entry(peer).or_default();
        change(taken);
        if *taken == Taken::default() {
            self.peers.remove(&peer);
        }
    }
}

impl CallersTaken {
    fn change_org(&mut self, org: &str, from: Now, to: Now) {
        let taken = self.orgs.get(org).copied().unwrap_or_default();
        let taken = taken + usize::from(to == Now::Working) - usize::from(from == Now::Working);
        if taken == 0 {
            self.orgs.remove(org);
        } else {
            self.orgs.insert(org.to_owned(), taken);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
