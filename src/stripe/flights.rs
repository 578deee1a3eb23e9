//! Single flight: work that several requests need at the same time is done once for all of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::Client;
use super::context::Context;

/// Work in flight, by key.
#[derive(Debug)]
pub struct Flights<K, V>(Mutex<HashMap<K, Flight<V>>>);

#[derive(Debug)]
struct Flight<V> {
    answer: Shared<BoxFuture<'static, V>>,
    context: Arc<Context>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    /// Runs `work`, or waits for work with the same `key` that is in flight. The work calls Stripe with its argument, a
    /// client whose calls are as urgent as the most urgent request that waits.
    pub async fn share<F>(&self, key: K, client: &Client, work: impl FnOnce(Client) -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (answer, context) = {
            let mut flights = self.flights();
            let flight = flights.entry(key.clone()).or_insert_with(|| {
                let client = client.for_work();
                Flight {
                    context: client.context().clone(),
                    answer: work(client).boxed().shared(),
                }
            });
            (flight.answer.clone(), flight.context.clone())
        };
        let _waiting = client.context().wait_for(&context);
        let _entry = Entry {
            flights: self,
            key: &key,
            answer: &answer,
        };
        answer.clone().await
    }

    /// Whether nothing is in flight.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.flights().is_empty()
    }
}

impl<K, V> Flights<K, V> {
    fn flights(&self) -> MutexGuard<'_, HashMap<K, Flight<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for work. The first request to leave, because it has its answer or gave up, removes the work
/// from the map. The others still drive the work, but no new request joins.
struct Entry<'a, K: Eq + Hash, V: Clone> {
    flights: &'a Flights<K, V>,
    key: &'a K,
    answer: &'a Shared<BoxFuture<'static, V>>,
}

impl<K: Eq + Hash, V: Clone> Drop for Entry<'_, K, V> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        let listed = flights.get(self.key);
        let gone = if listed.is_some_and(|listed| listed.answer.ptr_eq(self.answer)) {
            flights.remove(self.key)
        } else {
            None
        };
        // Dropped outside the lock, since the work may contain flights of its own.
        drop(flights);
        drop(gone);
    }
}
