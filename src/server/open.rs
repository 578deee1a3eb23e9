//! Who is connected: a bound on all connections, and on those of one address.
//!
//! A connection that is one too many takes the place of one that has not brought a request yet, the oldest first: those who
//! only connect, however many they are, keep nobody out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The connections of a listener. Clones are about the same ones.
#[derive(Clone, Debug)]
pub(super) struct Open {
    most: usize,
    most_of_peer: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    arrivals: u64,
    /// Every connection that is open, and where it comes from; none if its address is not bounded.
    all: HashMap<u64, Option<IpAddr>>,
    /// Those that have not brought a request yet.
    silent: BTreeMap<u64, CancellationToken>,
    peers: HashMap<IpAddr, BTreeSet<u64>>,
}

/// The place of a connection, which is free once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Open,
    number: u64,
    /// Cancelled when another connection gets the place.
    pub(super) lost: CancellationToken,
}

impl Open {
    pub(super) fn new(most: usize, most_of_peer: usize) -> Self {
        Self {
            most,
            most_of_peer,
            state: Arc::default(),
        }
    }

    /// A place for one more connection from `peer`; none if all have brought requests.
    pub(super) fn enter(&self, peer: Option<IpAddr>) -> Option<Place> {
        let mut state = self.state();
        let of_peer = peer.and_then(|peer| state.peers.get(&peer));
        if of_peer.is_some_and(|open| open.len() >= self.most_of_peer) {
            let silent = of_peer?.iter().copied();
            let oldest = silent
                .clone()
                .find(|number| state.silent.contains_key(number))?;
            state.close(oldest);
        } else if state.all.len() >= self.most {
            let (oldest, _) = state.silent.first_key_value()?;
            let oldest = *oldest;
            state.close(oldest);
        }
        state.arrivals += 1;
        let (number, lost) = (state.arrivals, CancellationToken::new());
        state.all.insert(number, peer);
        state.silent.insert(number, lost.clone());
        if let Some(peer) = peer {
            state.peers.entry(peer).or_default().insert(number);
        }
        Some(Place {
            open: self.clone(),
            number,
            lost,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, number: u64) {
        if let Some(lost) = self.silent.get(&number) {
            lost.cancel();
        }
        self.leave(number);
    }

    fn leave(&mut self, number: u64) {
        self.silent.remove(&number);
        let Some(Some(peer)) = self.all.remove(&number) else {
            return;
        };
        if let Some(open) = self.peers.get_mut(&peer) {
            open.remove(&number);
            if open.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }
}

impl Place {
    /// The connection has brought a request.
    pub(super) fn speaks(&self) {
        self.open.state().silent.remove(&self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.state().leave(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn who_is_silent_makes_room_and_who_speaks_stays() {
        let open = Open::new(3, 3);
        let [a, b, c] = [(); 3].map(|()| open.enter(None).expect("room"));
        b.speaks();
        let d = open.enter(None).expect("room");
        assert!(a.lost.is_cancelled() && !b.lost.is_cancelled() && !c.lost.is_cancelled());
        c.speaks();
        d.speaks();
        assert!(open.enter(None).is_none());
        drop(a);
        assert!(open.enter(None).is_none(), "its place was given away");
        drop(b);
        assert!(open.enter(None).is_some());
        drop((c, d));
        assert!(open.state().all.is_empty());
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let open = Open::new(10, 2);
        let [a, b] = [(); 2].map(|()| open.enter(Some(PEER)).expect("room"));
        b.speaks();
        let c = open.enter(Some(PEER)).expect("room");
        assert!(a.lost.is_cancelled());
        c.speaks();
        assert!(open.enter(Some(PEER)).is_none());
        assert!(open.enter(Some([192, 0, 2, 1].into())).is_some());
        assert!(
            open.enter(None).is_some(),
            "a proxy's connections are many people's"
        );
        drop((a, b, c));
        assert!(open.state().peers.is_empty());
    }
}
