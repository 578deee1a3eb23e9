//! Callers whose key is not known to be good: anybody can invent keys, and each asks Stripe.
//!
//! Keys that Stripe refused are remembered for a while, and are not asked about again. There is a bound on how many may
//! be refused in that time, and on how many requests with unknown keys there are at once: in all, and from one address.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::accounts::Digest;

/// How long a refusal is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many keys may be refused in that time.
const MOST_REFUSED: usize = 1000;

/// How many of those may come from one address.
const MOST_REFUSED_OF_PEER: usize = 60;

/// Of the requests that a server takes on at once, one in so many may have an unknown key.
const IN_ALL: usize = 2;

/// Likewise from one address.
const OF_PEER: usize = 8;

/// What is known of strangers. Clones share it.
#[derive(Clone, Default)]
pub(in crate::api) struct Strangers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    in_flight: usize,
    /// In order of time.
    refused: VecDeque<(Instant, Digest, Option<IpAddr>)>,
    keys: HashMap<Digest, usize>,
    peers: HashMap<IpAddr, Peer>,
}

#[derive(Default)]
struct Peer {
    in_flight: usize,
    refused: usize,
}

/// Why a stranger is not let in.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) enum Refused {
    /// Stripe has refused the key.
    Key,
    /// Its address has used up what one may.
    Peer,
    /// All strangers together have.
    All,
}

/// A request with an unknown key, until this is dropped.
pub(super) struct Stranger {
    strangers: Strangers,
    key: Digest,
    peer: Option<IpAddr>,
}

impl Strangers {
    /// Lets in a request with an unknown key, where there may be `most` requests at once.
    pub(super) fn enter(
        &self,
        key: Digest,
        peer: Option<IpAddr>,
        most: usize,
    ) -> Result<Stranger, Refused> {
        let mut state = self.state();
        state.forget(Instant::now());
        if state.keys.contains_key(&key) {
            return Err(Refused::Key);
        }
        if let Some(seen) = peer.and_then(|peer| state.peers.get(&peer)) {
            let is_full = seen.in_flight >= most.div_ceil(OF_PEER);
            if is_full || seen.refused >= MOST_REFUSED_OF_PEER {
                return Err(Refused::Peer);
            }
        }
        if state.in_flight >= most.div_ceil(IN_ALL) || state.refused.len() >= MOST_REFUSED {
            return Err(Refused::All);
        }
        state.in_flight += 1;
        if let Some(peer) = peer {
            state.peers.entry(peer).or_default().in_flight += 1;
        }
        Ok(Stranger {
            strangers: self.clone(),
            key,
            peer,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while let Some((at, key, peer)) = self.refused.front().copied() {
            if now < at + REMEMBERED {
                break;
            }
            self.refused.pop_front();
            if let Some(times) = self.keys.get_mut(&key) {
                *times -= 1;
                if *times == 0 {
                    self.keys.remove(&key);
                }
            }
            self.of_peer(peer, |peer| peer.refused -= 1);
        }
    }

    fn of_peer(&mut self, address: Option<IpAddr>, change: impl FnOnce(&mut Peer)) {
        let Some(address) = address else { return };
        let peer = self.peers.entry(address).or_default();
        change(peer);
        if peer.in_flight == 0 && peer.refused == 0 {
            self.peers.remove(&address);
        }
    }
}

impl Stranger {
    /// Stripe has refused its key.
    pub(super) fn is_refused(&self) {
        let mut state = self.strangers.state();
        state
            .refused
            .push_back((Instant::now(), self.key, self.peer));
        *state.keys.entry(self.key).or_default() += 1;
        state.of_peer(self.peer, |peer| peer.refused += 1);
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut state = self.strangers.state();
        state.in_flight -= 1;
        state.of_peer(self.peer, |peer| peer.in_flight -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn key(number: u16) -> Digest {
        let [high, low] = number.to_be_bytes();
        let mut key = [0; 32];
        (key[0], key[1]) = (high, low);
        key
    }

    fn enter(
        strangers: &Strangers,
        number: u16,
        peer: Option<IpAddr>,
    ) -> Result<Stranger, Refused> {
        strangers.enter(key(number), peer, 64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_remembered_for_a_while() {
        let strangers = Strangers::default();
        enter(&strangers, 1, PEER)
            .expect("nothing is known of it")
            .is_refused();
        assert_eq!(enter(&strangers, 1, PEER).err(), Some(Refused::Key));
        assert!(enter(&strangers, 2, PEER).is_ok());
        tokio::time::advance(REMEMBERED).await;
        assert!(enter(&strangers, 1, PEER).is_ok());
        let state = strangers.state();
        assert!(state.keys.is_empty() && state.peers.is_empty() && state.refused.is_empty());
    }

    #[test]
    fn one_address_has_a_bound_and_all_have() {
        let strangers = Strangers::default();
        let mut held = Vec::new();
        for number in 0..8 {
            held.push(enter(&strangers, number, PEER).expect("room"));
        }
        assert_eq!(enter(&strangers, 8, PEER).err(), Some(Refused::Peer));
        for number in 8..32 {
            held.push(enter(&strangers, number, None).expect("room"));
        }
        assert_eq!(enter(&strangers, 32, None).err(), Some(Refused::All));
        held.clear();
        for number in 0..60 {
            enter(&strangers, number, PEER).expect("room").is_refused();
        }
        assert_eq!(enter(&strangers, 60, PEER).err(), Some(Refused::Peer));
        for number in 60..1000 {
            enter(&strangers, number, None).expect("room").is_refused();
        }
        assert_eq!(enter(&strangers, 1000, None).err(), Some(Refused::All));
    }
}
