//! The connections of a listener: a bound on all of them, and on those of one address.
//!
//! A connection that is one too many takes the place of one that has no request in flight: first of those that have not
//! brought one yet, then of those idle. The address with the most of them gives one up, the one that has been so for
//! longest. So those who only connect, or only stay, keep nobody out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
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
    all: HashMap<u64, Arc<Connection>>,
    /// How many each address has.
    peers: HashMap<IpAddr, usize>,
}

/// What decides which connection makes room. It changes with each request, so it is behind no lock.
#[derive(Debug)]
struct Connection {
    /// Where it comes from; none if its address is not bounded.
    peer: Option<IpAddr>,
    opened: Instant,
    /// Requests in flight, or [`LOST`].
    in_flight: AtomicUsize,
    has_spoken: AtomicBool,
    /// Without a request in flight: since when, in microseconds after it was opened.
    idle_since: AtomicU64,
    /// Cancelled when another connection gets the place.
    lost: CancellationToken,
}

/// Where more than one in so many places is taken, there are many connections.
const MANY: usize = 8;

/// In place of the requests in flight, on a connection whose place another one has got.
const LOST: usize = usize::MAX;

/// The place of a connection, which is free once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    open: Open,
    number: u64,
    connection: Arc<Connection>,
    /// There were many when it came.
    pub(super) is_one_of_many: bool,
}

/// A request in flight, until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Connection>);

impl Open {
    pub(super) fn new(most: usize, most_of_peer: usize) -> Self {
        Self {
            most,
            most_of_peer,
            state: Arc::default(),
        }
    }

    /// A place for one more connection from `peer`; none if all that could make room have requests in flight.
    pub(super) fn enter(&self, peer: Option<IpAddr>) -> Option<Place> {
        let mut state = self.state();
        let of_peer = peer.and_then(|peer| state.peers.get(&peer));
        if of_peer.is_some_and(|open| *open >= self.most_of_peer) {
            state.make_room(|connection| connection.peer == peer)?;
        } else if state.all.len() >= self.most {
            state.make_room(|_| true)?;
        }
        state.arrivals += 1;
        let number = state.arrivals;
        let connection = Arc::new(Connection::new(peer));
        state.all.insert(number, connection.clone());
        if let Some(peer) = peer {
            *state.peers.entry(peer).or_default() += 1;
        }
        Some(Place {
            is_one_of_many: state.all.len() > self.most.div_ceil(MANY),
            open: self.clone(),
            number,
            connection,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Closes the connection that makes room, of those that `may`; none if all of them have requests in flight.
    fn make_room(&mut self, may: impl Fn(&Connection) -> bool) -> Option<()> {
        // A request may have come meanwhile: then another one makes room.
        loop {
            let number = self.first_to_go(&may)?;
            if self.all.get(&number)?.lose() {
                self.leave(number);
                return Some(());
            }
        }
    }

    fn first_to_go(&self, may: &impl Fn(&Connection) -> bool) -> Option<u64> {
        let without_request = || {
            let all = self.all.iter().filter(|(_, connection)| may(connection));
            all.filter_map(|(number, connection)| Some((*number, connection.waits()?)))
        };
        let mut of_peer = HashMap::<_, usize>::new();
        for (_, waits) in without_request() {
            *of_peer.entry((waits.is_silent, waits.peer)).or_default() += 1;
        }
        let order = |(number, waits): &(u64, Waits)| {
            // Those of a proxy are many people's.
            let has = waits
                .peer
                .map(|_| of_peer.get(&(waits.is_silent, waits.peer)));
            (waits.is_silent, has, Reverse((waits.since, *number)))
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
struct Waits {
    peer: Option<IpAddr>,
    /// It has not brought one yet.
    is_silent: bool,
    since: Instant,
}

impl Connection {
    fn new(peer: Option<IpAddr>) -> Self {
        Self {
            peer,
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            has_spoken: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            lost: CancellationToken::new(),
        }
    }

    fn waits(&self) -> Option<Waits> {
        let idle = std::time::Duration::from_micros(self.idle_since.load(Ordering::Relaxed));
        (self.in_flight.load(Ordering::Acquire) == 0).then(|| Waits {
            peer: self.peer,
            is_silent: !self.has_spoken.load(Ordering::Relaxed),
            since: self.opened + idle,
        })
    }

    /// Gives its place away, unless a request is in flight; whether it did.
    fn lose(&self) -> bool {
        let order = Ordering::Relaxed;
        let lost = self
            .in_flight
            .compare_exchange(0, LOST, order, order)
            .is_ok();
        if lost {
            self.lost.cancel();
        }
        lost
    }
}

impl Place {
    /// The connection has brought a request; none if its place is another one's by now.
    pub(super) fn begin(&self) -> Option<InFlight> {
        let connection = &self.connection;
        let more = |requests| (requests != LOST).then(|| requests + 1);
        let order = Ordering::Relaxed;
        connection.in_flight.fetch_update(order, order, more).ok()?;
        connection.has_spoken.store(true, order);
        Some(InFlight(connection.clone()))
    }

    /// Cancelled when another connection gets the place.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.connection.lost
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.state().leave(self.number);
    }
}

impl Drop for InFlight {
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

    /// As many connections, one after the other.
    async fn enter<const N: usize>(open: &Open, peer: Option<IpAddr>) -> [Place; N] {
        let mut places = Vec::new();
        for _ in 0..N {
            places.push(open.enter(peer).expect("room"));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        places.try_into().expect("as many")
    }

    async fn speak(place: &Place) {
        let request = place.begin().expect("the place is its own");
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(request);
    }

    fn lost(places: &[&Place]) -> Vec<bool> {
        let lost = places.iter().map(|place| place.lost().is_cancelled());
        lost.collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_makes_room_first_then_who_is_idle_for_longest_and_who_works_stays() {
        let open = Open::new(3, 3);
        let [first, second, silent] = enter(&open, None).await;
        speak(&second).await;
        speak(&first).await;
        let works = |place: &Place| place.begin().expect("the place is its own");
        let third = open.enter(None).expect("room");
        assert_eq!(lost(&[&first, &second, &silent]), [false, false, true]);
        assert!(silent.begin().is_none(), "its place is another one's");
        let _third_works = works(&third);
        let fourth = open.enter(None).expect("room");
        assert_eq!(lost(&[&first, &second, &third]), [false, true, false]);
        let (_first_works, fourth_works) = (works(&first), works(&fourth));
        assert!(open.enter(None).is_none());
        drop((second, silent));
        assert!(open.enter(None).is_none(), "their places were given away");
        drop(fourth_works);
        assert!(open.enter(None).is_some());
        assert_eq!(lost(&[&fourth]), [true]);
        drop((first, third, fourth));
        assert!(open.state().all.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_address_with_the_most_makes_room() {
        let open = Open::new(6, 6);
        let [long_idle] = enter(&open, Some(peer(1))).await;
        let [of_proxy, too] = enter(&open, None).await;
        for place in [&long_idle, &of_proxy, &too] {
            speak(place).await;
        }
        let [a, b, c] = enter(&open, Some(peer(2))).await;
        for place in [&b, &a, &c] {
            speak(place).await;
        }
        let [silent] = enter(&open, Some(peer(3))).await;
        assert_eq!(lost(&[&a, &b, &c]), [false, true, false]);
        let [_last] = enter(&open, Some(peer(4))).await;
        assert_eq!(lost(&[&a, &c, &silent]), [false, false, true]);
        assert_eq!(lost(&[&long_idle, &of_proxy, &too]), [false; 3]);
    }

    #[test]
    fn one_address_does_not_take_all_places() {
        let open = Open::new(10, 2);
        let [a, b] = [(); 2].map(|()| open.enter(Some(peer(1))).expect("room"));
        let _working = b.begin();
        let c = open.enter(Some(peer(1))).expect("room");
        assert!(a.lost().is_cancelled());
        let _working_too = c.begin();
        assert!(open.enter(Some(peer(1))).is_none());
        assert!(open.enter(Some(peer(2))).is_some());
        assert!(
            open.enter(None).is_some(),
            "a proxy's connections are many people's"
        );
        drop((a, b, c));
        assert!(open.state().peers.is_empty());
    }
}
