//! The table of a listener's connections, with a limit on all of them and on those of one address.
//!
//! When the table is full, a new connection evicts one without a request in flight. Connections that never had a
//! request are evicted before idle ones, and within each group the address with the most connections loses the one
//! that has waited longest. So clients that only connect, or only stay connected, keep nobody out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The table of a listener's connections. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct ConnectionTable {
    max: usize,
    max_of_peer: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    arrivals: u64,
    all: HashMap<u64, Arc<Connection>>,
    /// How many connections each address has.
    peers: HashMap<IpAddr, usize>,
}

/// The state of a connection that decides whether it is evicted. Every request changes it, so it has no lock.
#[derive(Debug)]
struct Connection {
    /// The address it comes from. None if connections from there are not limited.
    peer: Option<IpAddr>,
    opened: Instant,
    /// The number of its requests in flight, or [`EVICTED`].
    in_flight: AtomicUsize,
    had_request: AtomicBool,
    /// When it last became idle, in microseconds after it was opened.
    idle_since: AtomicU64,
    /// Cancelled when another connection takes this one's slot.
    evicted: CancellationToken,
}

/// The table counts as busy when more than one slot in this many is taken.
const BUSY_FRACTION: usize = 8;

/// The value of `in_flight` of an evicted connection.
const EVICTED: usize = usize::MAX;

/// The slot of a connection. Dropping it frees the slot.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    table: ConnectionTable,
    number: u64,
    connection: Arc<Connection>,
    /// Whether the table was busy when the connection was accepted.
    pub(super) table_was_busy: bool,
}

/// A request in flight. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct InFlightGuard(Arc<Connection>);

impl ConnectionTable {
    pub(super) fn new(max: usize, max_of_peer: usize) -> Self {
        Self {
            max,
            max_of_peer,
            state: Arc::default(),
        }
    }

    /// Gives a slot to a new connection from `peer`. None if the table is full and every connection that could be
    /// evicted has requests in flight.
    pub(super) fn insert(&self, peer: Option<IpAddr>) -> Option<ConnectionSlot> {
        let mut state = self.state();
        let of_peer = peer.and_then(|peer| state.peers.get(&peer));
        if of_peer.is_some_and(|open| *open >= self.max_of_peer) {
            state.make_room(|connection| connection.peer == peer)?;
        } else if state.all.len() >= self.max {
            state.make_room(|_| true)?;
        }
        state.arrivals += 1;
        let number = state.arrivals;
        let connection = Arc::new(Connection::new(peer));
        state.all.insert(number, connection.clone());
        if let Some(peer) = peer {
            *state.peers.entry(peer).or_default() += 1;
        }
        Some(ConnectionSlot {
            table_was_busy: state.all.len() > self.max.div_ceil(BUSY_FRACTION),
            table: self.clone(),
            number,
            connection,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Evicts one of the connections that `may` be evicted. None if all of them have requests in flight.
    fn make_room(&mut self, may: impl Fn(&Connection) -> bool) -> Option<()> {
        // If the chosen connection has just got a request, another one is chosen.
        loop {
            let number = self.next_to_evict(&may)?;
            if self.all.get(&number)?.evict() {
                self.leave(number);
                return Some(());
            }
        }
    }

    fn next_to_evict(&self, may: &impl Fn(&Connection) -> bool) -> Option<u64> {
        let without_request = || {
            let all = self.all.iter().filter(|(_, connection)| may(connection));
            all.filter_map(|(number, connection)| Some((*number, connection.idle_state()?)))
        };
        let mut of_peer = HashMap::<_, usize>::new();
        for (_, idle_state) in without_request() {
            *of_peer
                .entry((idle_state.never_had_request, idle_state.peer))
                .or_default() += 1;
        }
        let order = |(number, idle_state): &(u64, IdleConnection)| {
            // The connections of a proxy belong to many clients.
            let idle_of_peer = idle_state
                .peer
                .map(|_| of_peer.get(&(idle_state.never_had_request, idle_state.peer)));
            (
                idle_state.never_had_request,
                idle_of_peer,
                Reverse((idle_state.since, *number)),
            )
        };
        without_request()
            .max_by_key(order)
            .map(|(number, _)| number)
    }

    fn leave(&mut self, number: u64) {
        let Some(peer) = self.all.remove(&number).and_then(|gone| gone.peer) else {
            return;
        };
        if let Some(open) = self.peers.get_mut(&peer) {
            *open -= 1;
            if *open == 0 {
                self.peers.remove(&peer);
            }
        }
    }
}

/// A connection without a request in flight.
struct IdleConnection {
    peer: Option<IpAddr>,
    /// Whether it never had a request.
    never_had_request: bool,
    since: Instant,
}

impl Connection {
    fn new(peer: Option<IpAddr>) -> Self {
        Self {
            peer,
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            had_request: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            evicted: CancellationToken::new(),
        }
    }

    fn idle_state(&self) -> Option<IdleConnection> {
        let idle = std::time::Duration::from_micros(self.idle_since.load(Ordering::Relaxed));
        (self.in_flight.load(Ordering::Acquire) == 0).then(|| IdleConnection {
            peer: self.peer,
            never_had_request: !self.had_request.load(Ordering::Relaxed),
            since: self.opened + idle,
        })
    }

    /// Evicts the connection, unless it has a request in flight. Returns whether it did.
    fn evict(&self) -> bool {
        let order = Ordering::Relaxed;
        let evicted = self
            .in_flight
            .compare_exchange(0, EVICTED, order, order)
            .is_ok();
        if evicted {
            self.evicted.cancel();
        }
        evicted
    }
}

impl ConnectionSlot {
    /// Counts a request of the connection. None if the connection was evicted.
    pub(super) fn begin(&self) -> Option<InFlightGuard> {
        let connection = &self.connection;
        let more = |requests| (requests != EVICTED).then(|| requests + 1);
        let order = Ordering::Relaxed;
        connection.in_flight.fetch_update(order, order, more).ok()?;
        connection.had_request.store(true, order);
        Some(InFlightGuard(connection.clone()))
    }

    /// Cancelled when another connection takes the slot.
    pub(super) fn evicted(&self) -> &CancellationToken {
        &self.connection.evicted
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.table.state().leave(self.number);
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let since = self.0.opened.elapsed().as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.0.idle_since.store(since, Ordering::Relaxed);
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    /// Inserts a connection for each of `peers`, one after the other.
    async fn insert<const N: usize>(
        open: &ConnectionTable,
        peer: Option<IpAddr>,
    ) -> [ConnectionSlot; N] {
        let mut slots = Vec::new();
        for _ in 0..N {
            slots.push(open.insert(peer).expect("room"));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        slots.try_into().expect("as many")
    }

    async fn speak(slot: &ConnectionSlot) {
        let request = slot.begin().expect("the slot is its own");
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(request);
    }

    fn evicted(slots: &[&ConnectionSlot]) -> Vec<bool> {
        let evicted = slots.iter().map(|slot| slot.evicted().is_cancelled());
        evicted.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn silent_connections_are_evicted_first_then_the_longest_idle_and_never_busy_ones() {
        let open = ConnectionTable::new(3, 3);
        let [first, second, silent] = insert(&open, None).await;
        speak(&second).await;
        speak(&first).await;
        let works = |slot: &ConnectionSlot| slot.begin().expect("the slot is its own");
        let third = open.insert(None).expect("room");
        assert_eq!(evicted(&[&first, &second, &silent]), [false, false, true]);
        assert!(silent.begin().is_none(), "another connection has its slot");
        let _third_works = works(&third);
        let fourth = open.insert(None).expect("room");
        assert_eq!(evicted(&[&first, &second, &third]), [false, true, false]);
        let (_first_works, fourth_works) = (works(&first), works(&fourth));
        assert!(open.insert(None).is_none());
        drop((second, silent));
        assert!(open.insert(None).is_none(), "their slots were given away");
        drop(fourth_works);
        assert!(open.insert(None).is_some());
        assert_eq!(evicted(&[&fourth]), [true]);
        drop((first, third, fourth));
        assert!(open.state().all.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_with_the_most_makes_room() {
        let open = ConnectionTable::new(6, 6);
        let [long_idle] = insert(&open, Some(peer(1))).await;
        let [of_proxy, too] = insert(&open, None).await;
        for slot in [&long_idle, &of_proxy, &too] {
            speak(slot).await;
        }
        let [a, b, c] = insert(&open, Some(peer(2))).await;
        for slot in [&b, &a, &c] {
            speak(slot).await;
        }
        let [silent] = insert(&open, Some(peer(3))).await;
        assert_eq!(evicted(&[&a, &b, &c]), [false, true, false]);
        let [_last] = insert(&open, Some(peer(4))).await;
        assert_eq!(evicted(&[&a, &c, &silent]), [false, false, true]);
        assert_eq!(evicted(&[&long_idle, &of_proxy, &too]), [false; 3]);
    }

    #[test]
    fn one_address_does_not_take_all_slots() {
        let open = ConnectionTable::new(10, 2);
        let [a, b] = [(); 2].map(|()| open.insert(Some(peer(1))).expect("room"));
        let _working = b.begin();
        let c = open.insert(Some(peer(1))).expect("room");
        assert!(a.evicted().is_cancelled());
        let _working_too = c.begin();
        assert!(open.insert(Some(peer(1))).is_none());
        assert!(open.insert(Some(peer(2))).is_some());
        assert!(
            open.insert(None).is_some(),
            "a proxy's connections are many people's"
        );
        drop((a, b, c));
        assert!(open.state().peers.is_empty());
    }
}
