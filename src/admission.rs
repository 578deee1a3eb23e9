//! How many requests are worked on at once, and how callers and orgs share the places.
//!
//! The places of the server are shared by callers (API keys), and those of a caller by orgs. Whoever asks for one more
//! place is refused once it has three times as many as would be left. One busy org, or any number of them, so always
//! leaves places to the others. A request that waits for another one to finish gives its place away meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

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
    /// Whether a caller who has `taken` may have one more of those `left` in the server.
    fn has_room(self, taken: usize, left: usize) -> bool {
        // Who may have all shares with nobody.
        let is_only_one = self.caller >= self.server;
        taken < self.caller && (is_only_one || is_fair(taken, left))
    }

    /// Whether a caller whose bodies have `taken` bytes may have `more` of those `left` in the server.
    fn has_bytes(self, taken: usize, more: usize, left: usize) -> bool {
        let is_only_one = self.caller >= self.server;
        let after = left.checked_sub(more);
        after.is_some_and(|after| {
            taken == 0 || is_only_one || taken + more <= after.saturating_mul(SHARE)
        })
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
    /// The org has its share.
    #[error("too many requests in flight for this org")]
    Org,
    /// As many requests as may do so wait to change the same org.
    #[error("too many requests are waiting to change this org, and nothing was done")]
    OrgQueue,
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
    taken: Arc<Mutex<Taken>>,
    /// Once cancelled, nobody waits any longer.
    pub stopping: CancellationToken,
}

/// The places of one caller. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Share(Arc<Mutex<CallersTaken>>);

#[derive(Debug, Default)]
struct Taken {
    working: usize,
    waiting: usize,
    bytes: usize,
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
    /// Lets a request of the caller with this `share` in, if there is a place for it.
    pub fn admit(&self, share: &Share, bounds: Bounds) -> Result<Admitted, Refused> {
        let mut callers = locked(&share.0);
        let mut servers = locked(&self.taken);
        let left = bounds.server.saturating_sub(servers.working);
        if left == 0 {
            return Err(Refused::Server);
        }
        if !bounds.has_room(callers.all.working, left) {
            return Err(Refused::Caller);
        }
        servers.working += 1;
        callers.all.working += 1;
        Ok(Admitted(Admission(Arc::new(Request {
            places: self.clone(),
            share: share.clone(),
            bounds,
            state: Mutex::new(State {
                now: Now::Working,
                org: None,
            }),
        }))))
    }
}

impl Places {
    /// How many requests wait for others to finish.
    pub fn waiting(&self) -> usize {
        locked(&self.taken).waiting
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

    /// Room in memory for a body, of which nothing is there yet.
    pub fn buffer(&self) -> Buffer {
        Buffer {
            admission: self.clone(),
            bytes: 0,
        }
    }

    fn change(&self, to: Now) -> Result<(), Refused> {
        let Request {
            places,
            share,
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
            let left = bounds.server.saturating_sub(servers.waiting);
            if left == 0 || !bounds.has_room(callers.all.waiting, left) {
                return Err(Refused::Queue);
            }
        }
        state.now = to;
        servers.change(from, to);
        callers.all.change(from, to);
        if let Some(org) = &state.org {
            callers.change_org(org, from, to);
        }
        Ok(())
    }
}

/// Room in memory that a body takes until this is dropped.
#[derive(Debug)]
pub struct Buffer {
    admission: Admission,
    bytes: usize,
}

impl Buffer {
    /// Makes the room as large as `bytes`, if it is smaller.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), Refused> {
        let more = bytes.saturating_sub(self.bytes);
        let Request {
            places,
            share,
            bounds,
            ..
        } = &*self.admission.0;
        let mut callers = locked(&share.0);
        let mut servers = locked(&places.taken);
        let left = bounds.bytes.saturating_sub(servers.bytes);
        if more > 0 && !bounds.has_bytes(callers.all.bytes, more, left) {
            return Err(Refused::Bytes);
        }
        servers.bytes += more;
        callers.all.bytes += more;
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Request { places, share, .. } = &*self.admission.0;
        locked(&share.0).all.bytes -= self.bytes;
        locked(&places.taken).bytes -= self.bytes;
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
mod tests {
    use super::*;

    fn bounds(server: usize, caller: usize) -> Bounds {
        Bounds {
            server,
            caller,
            bytes: 1000,
        }
    }

    /// As many requests as are let in.
    fn all(places: &Places, share: &Share, bounds: Bounds) -> Vec<Admitted> {
        std::iter::from_fn(|| places.admit(share, bounds).ok()).collect()
    }

    #[test]
    fn places_are_taken_and_given_back() {
        let (places, share, two) = (Places::default(), Share::default(), bounds(2, 2));
        let mut admitted = all(&places, &share, two);
        assert_eq!(admitted.len(), 2);
        let refused = |share: &Share, bounds| places.admit(share, bounds).map(drop);
        assert_eq!(refused(&share, two), Err(Refused::Server));
        admitted.pop();
        assert_eq!(refused(&share, bounds(2, 1)), Err(Refused::Caller));
        assert_eq!(refused(&share, two), Ok(()));
        assert_eq!(refused(&share, bounds(0, 0)), Err(Refused::Server));
    }

    #[test]
    fn many_busy_callers_leave_places_to_the_next() {
        let (places, bounds) = (Places::default(), bounds(1024, 256));
        let mut busy = Vec::new();
        for caller in 0..5 {
            let admitted = all(&places, &Share::default(), bounds);
            assert!(!admitted.is_empty(), "caller {caller}");
            busy.push(admitted);
        }
        assert_eq!(busy[0].len(), 256);
        assert!(places.admit(&Share::default(), bounds).is_ok());
    }

    #[test]
    fn many_busy_orgs_leave_places_to_the_next() {
        let (places, share, bounds) = (Places::default(), Share::default(), bounds(1024, 256));
        let mut busy = Vec::new();
        for org in ["org:a", "org:b", "org:c"] {
            let before = busy.len();
            loop {
                let admitted = places.admit(&share, bounds).expect("a place");
                if admitted.admission().for_org(org).is_err() {
                    break;
                }
                busy.push(admitted);
            }
            assert!(busy.len() > before, "{org}");
        }
        let other = places.admit(&share, bounds).expect("a place");
        assert_eq!(other.admission().for_org("org:d"), Ok(()));
        drop(other);
        busy.clear();
        assert!(locked(&share.0).orgs.is_empty());
    }

    #[tokio::test]
    async fn who_waits_has_no_place_and_gets_one_afterwards() {
        let (places, share, one) = (Places::default(), Share::default(), bounds(1, 1));
        let first = places.admit(&share, one).expect("a place");
        first.admission().for_org("org:a").expect("room");
        let waits = first.admission().wait(async {
            let second = places.admit(&share, one).expect("the place of the first");
            second.admission().for_org("org:a").expect("room");
            let waits = second.admission().wait(async {});
            assert_eq!(waits.await, Err(Refused::Queue));
        });
        assert_eq!(waits.await, Ok(()));
        assert!(places.admit(&share, one).is_err());
        drop(first);
        let taken = locked(&places.taken);
        assert_eq!((taken.working, taken.waiting), (0, 0));
    }

    #[tokio::test]
    async fn nobody_waits_once_the_server_stops() {
        let (places, share) = (Places::default(), Share::default());
        let admitted = places.admit(&share, bounds(1, 1)).expect("a place");
        let mut waits = Box::pin(admitted.admission().wait(std::future::pending::<()>()));
        assert!(futures::poll!(&mut waits).is_pending());
        places.stopping.cancel();
        assert_eq!(waits.await, Err(Refused::Stopping));
        let late = admitted.admission().wait(async {});
        assert_eq!(late.await, Err(Refused::Stopping));
    }

    #[test]
    fn the_bytes_of_all_bodies_are_bounded_and_no_caller_takes_them_all() {
        let (places, bounds) = (Places::default(), bounds(100, 50));
        let (one, other) = (Share::default(), Share::default());
        let buffers = |share: &Share| {
            let admitted = places.admit(share, bounds).expect("a place");
            let buffer = || {
                let mut buffer = admitted.admission().buffer();
                buffer.grow_to(100).map(|()| buffer)
            };
            std::iter::from_fn(|| buffer().ok()).collect::<Vec<_>>()
        };
        let ones = buffers(&one);
        assert_eq!(ones.len(), 7, "three times as much as is left");
        assert!(!buffers(&other).is_empty());
        let admitted = places.admit(&one, bounds).expect("a place");
        let mut large = admitted.admission().buffer();
        assert_eq!(large.grow_to(1001), Err(Refused::Bytes));
        drop(ones);
        assert_eq!(large.grow_to(1000), Ok(()));
        drop(large);
        assert_eq!(locked(&places.taken).bytes, 0);
    }

    #[tokio::test]
    async fn a_request_that_is_gone_takes_no_place_again() {
        let (places, share) = (Places::default(), Share::default());
        let admitted = places.admit(&share, bounds(1, 1)).expect("a place");
        let admission = admitted.admission().clone();
        drop(admitted);
        assert_eq!(admission.wait(async {}).await, Ok(()));
        assert_eq!(locked(&places.taken).working, 0);
    }
}
