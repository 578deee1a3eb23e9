//! Limits on requests whose key Stripe has not accepted yet. Anybody can make up keys, and each costs a call to Stripe.
//!
//! Keys that Stripe refused are remembered for a minute, and not sent to Stripe again. The number of keys that are
//! refused within that time is limited, and so is the number of requests with unknown keys in flight, both in total and
//! per address.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::api::accounts::Digest;

/// How long a refused key is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many keys may be refused within [`REMEMBERED`].
const MAX_REFUSED: usize = 1000;

/// How many of the refused keys may come from one address.
const MAX_REFUSED_OF_PEER: usize = 60;

/// Requests with unknown keys may take one slot in this many of the server's.
const FRACTION_OF_ALL: usize = 2;

/// Requests with unknown keys from one address may take one slot in this many.
const FRACTION_OF_PEER: usize = 8;

/// Counts requests with unknown keys, and remembers refused keys. Clones share it.
#[derive(Clone, Default)]
pub(in crate::api) struct UnknownKeys(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    in_flight: usize,
    /// The refusals that are remembered, oldest first.
    refused: VecDeque<(Instant, Digest, Option<IpAddr>)>,
    keys: HashMap<Digest, usize>,
    peers: HashMap<IpAddr, Peer>,
}

#[derive(Default)]
struct Peer {
    in_flight: usize,
    refused: usize,
}

/// Why a request with an unknown key is refused.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::api) enum UnknownKeyError {
    /// Stripe has refused the key.
    Key,
    /// The address has reached a limit.
    Peer,
    /// All requests with unknown keys together have reached a limit.
    All,
}

/// A request with an unknown key, until this is dropped.
pub(super) struct UnknownKeyRequest {
    unknown_keys: UnknownKeys,
    key: Digest,
    peer: Option<IpAddr>,
}

impl UnknownKeys {
    /// Admits a request with an unknown key to a server that runs at most `max` requests at the same time.
    pub(super) fn enter(
        &self,
        key: Digest,
        peer: Option<IpAddr>,
        max: usize,
    ) -> Result<UnknownKeyRequest, UnknownKeyError> {
        let mut state = self.state();
        state.forget(Instant::now());
        if state.keys.contains_key(&key) {
            return Err(UnknownKeyError::Key);
        }
        if let Some(known) = peer.and_then(|peer| state.peers.get(&peer)) {
            let is_full = known.in_flight >= max.div_ceil(FRACTION_OF_PEER);
            if is_full || known.refused >= MAX_REFUSED_OF_PEER {
                return Err(UnknownKeyError::Peer);
            }
        }
        if state.in_flight >= max.div_ceil(FRACTION_OF_ALL) || state.refused.len() >= MAX_REFUSED {
            return Err(UnknownKeyError::All);
        }
        state.in_flight += 1;
        if let Some(peer) = peer {
            state.peers.entry(peer).or_default().in_flight += 1;
        }
        Ok(UnknownKeyRequest {
            unknown_keys: self.clone(),
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

impl UnknownKeyRequest {
    /// Remembers that Stripe has refused the key.
    pub(super) fn note_refusal(&self) {
        let mut state = self.unknown_keys.state();
        state
            .refused
            .push_back((Instant::now(), self.key, self.peer));
        *state.keys.entry(self.key).or_default() += 1;
        state.of_peer(self.peer, |peer| peer.refused += 1);
    }
}

impl Drop for UnknownKeyRequest {
    fn drop(&mut self) {
        let mut state = self.unknown_keys.state();
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
        unknown_keys: &UnknownKeys,
        number: u16,
        peer: Option<IpAddr>,
    ) -> Result<UnknownKeyRequest, UnknownKeyError> {
        unknown_keys.enter(key(number), peer, 64)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_key_is_remembered_for_a_while() {
        let unknown_keys = UnknownKeys::default();
        enter(&unknown_keys, 1, PEER)
            .expect("nothing is known of it")
            .note_refusal();
        assert_eq!(
            enter(&unknown_keys, 1, PEER).err(),
            Some(UnknownKeyError::Key)
        );
        assert!(enter(&unknown_keys, 2, PEER).is_ok());
        tokio::time::advance(REMEMBERED).await;
        assert!(enter(&unknown_keys, 1, PEER).is_ok());
        let state = unknown_keys.state();
        assert!(state.keys.is_empty() && state.peers.is_empty() && state.refused.is_empty());
    }

    #[test]
    fn one_address_is_limited_and_so_is_the_total() {
        let unknown_keys = UnknownKeys::default();
        let mut held = Vec::new();
        for number in 0..8 {
            held.push(enter(&unknown_keys, number, PEER).expect("room"));
        }
        assert_eq!(
            enter(&unknown_keys, 8, PEER).err(),
            Some(UnknownKeyError::Peer)
        );
        for number in 8..32 {
            held.push(enter(&unknown_keys, number, None).expect("room"));
        }
        assert_eq!(
            enter(&unknown_keys, 32, None).err(),
            Some(UnknownKeyError::All)
        );
        held.clear();
        for number in 0..60 {
            enter(&unknown_keys, number, PEER)
                .expect("room")
                .note_refusal();
        }
        assert_eq!(
            enter(&unknown_keys, 60, PEER).err(),
            Some(UnknownKeyError::Peer)
        );
        for number in 60..1000 {
            enter(&unknown_keys, number, None)
                .expect("room")
                .note_refusal();
        }
        assert_eq!(
            enter(&unknown_keys, 1000, None).err(),
            Some(UnknownKeyError::All)
        );
    }
}
