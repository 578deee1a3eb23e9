//! Webhooks: events on their way to the endpoints that want them.
//!
//! Each endpoint has a [queue](queue::Queue), and as long as something waits in it, a task that sends one
//! [delivery](delivery::Delivery) after the other. A delivery is settled when the endpoint has answered 2xx, or when
//! there is no other try. No call waits for any of this.

mod delivery;
mod queue;
mod signature;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clock::Clock;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::delivery::{Delivery, Outcome, Unsettled};
use self::queue::Queue;
use crate::resource::webhook_endpoint::{Endpoints, Outgoing};
use crate::store::ids::Id;
use crate::store::locked;

/// How often Stripe tries again in test mode, in the course of a few hours.
const RETRIES: u32 = 3;

/// What has become of deliveries so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deliveries {
    /// Answered 2xx.
    pub delivered: u64,
    /// Tries that were not answered 2xx in time.
    pub failed_tries: u64,
    /// Given up: the last try has failed, or the endpoint is disabled or deleted.
    pub given_up: u64,
    /// Never sent, because too many waited for the endpoint.
    pub overflowed: u64,
    /// Never sent, because a [rule](crate::Rule) says so.
    pub dropped: u64,
    /// Waiting or being sent.
    pub unsettled: usize,
}

/// All queues. Dropped, it ends whatever is under way.
#[derive(Debug)]
pub(crate) struct Webhooks {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    http: reqwest::Client,
    clock: Clock,
    /// How long after a failed first try the second is, in milliseconds; the next waits are twice as long each.
    backoff: i64,
    queues: Mutex<HashMap<Id, Queue>>,
    counts: Mutex<Deliveries>,
    unsettled: Arc<watch::Sender<usize>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Webhooks {
    pub(crate) fn new(clock: Clock, backoff: Duration) -> Self {
        let stop = CancellationToken::new();
        let shared = Shared {
            http: client(),
            clock,
            backoff: i64::try_from(backoff.as_millis()).unwrap_or(i64::MAX),
            queues: Mutex::default(),
            counts: Mutex::default(),
            unsettled: Arc::default(),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
        };
        Self {
            shared: Arc::new(shared),
            _stop: stop.drop_guard(),
        }
    }

    /// Sends an event to an endpoint, once for each of `waits`, after so many milliseconds.
    pub(crate) fn send(&self, outgoing: &Outgoing, waits: &[i64]) {
        if waits.is_empty() {
            locked(&self.shared.counts).dropped += 1;
        }
        let now = self.shared.clock.millis();
        for (index, wait) in waits.iter().enumerate() {
            let unsettled = Unsettled::new(&self.shared.unsettled);
            let delivery = Delivery::new(outgoing.clone(), index > 0, unsettled);
            let due = now.saturating_add(*wait);
            self.shared.add(&outgoing.to.endpoint, delivery, due, None);
        }
    }

    /// Waits until nothing waits or is being sent.
    pub(crate) async fn settled(&self) {
        let mut unsettled = self.shared.unsettled.subscribe();
        // The sender is in `self`.
        let _ = unsettled.wait_for(|count| *count == 0).await;
    }

    /// What has become of deliveries so far.
    pub(crate) fn counts(&self) -> Deliveries {
        Deliveries {
            unsettled: *self.shared.unsettled.borrow(),
            ..*locked(&self.shared.counts)
        }
    }

    /// Ends whatever is on its way to these endpoints.
    pub(crate) fn forget(&self, endpoints: &Endpoints) {
        let mut queues = locked(&self.shared.queues);
        for endpoint in locked(endpoints).iter() {
            if let Some(queue) = queues.remove(&endpoint.id) {
                queue.closed.cancel();
            }
        }
    }

    /// Sends at once what waits for its first try, in the order in which it would have been sent: all of it, or that of
    /// one account's events.
    pub(crate) fn release(&self, account: Option<&str>) {
        let now = self.shared.clock.millis();
        for queue in locked(&self.shared.queues).values_mut() {
            queue.release(account, now);
        }
    }

    /// Ends all deliveries, for good.
    pub(crate) fn stop(&self) {
        self.shared.stop.cancel();
        locked(&self.shared.queues).clear();
    }
}

/// What the task of a queue does next.
enum Step {
    Send(Box<Delivery>),
    /// Nothing is due before this time.
    Wait(i64),
    /// Nothing waits.
    End,
}

impl Shared {
    /// Adds a delivery to its endpoint's queue, and sees to it that a task works on that. One that was in a queue before
    /// ends with that queue.
    fn add(
        self: &Arc<Self>,
        endpoint: &Id,
        delivery: Delivery,
        due: i64,
        before: Option<&CancellationToken>,
    ) {
        let mut queues = locked(&self.queues);
        let is_over = before.is_some_and(CancellationToken::is_cancelled);
        if is_over || self.stop.is_cancelled() {
            return;
        }
        let queue = queues.entry(endpoint.clone()).or_default();
        if !queue.add(delivery, due) {
            locked(&self.counts).overflowed += 1;
            return;
        }
        if queue.has_worker() {
            return;
        }
        let (shared, endpoint) = (self.clone(), endpoint.clone());
        let (changed, closed) = (queue.changed.clone(), queue.closed.clone());
        queue.worker = Some(self.tasks.spawn(async move {
            let ended = async {
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    () = closed.cancelled() => {}
                }
            };
            let work = async {
                loop {
                    match shared.next(&endpoint, &closed) {
                        Step::Send(delivery) => shared.deliver(&endpoint, *delivery, &closed).await,
                        Step::Wait(due) => tokio::select! {
                            () = shared.clock.sleep_until(due) => {}
                            () = changed.notified() => {}
                        },
                        Step::End => break,
                    }
                }
            };
            tokio::select! {
                () = ended => {}
                () = work => {}
            }
        }));
    }

    fn next(&self, endpoint: &Id, closed: &CancellationToken) -> Step {
        let mut queues = locked(&self.queues);
        let Some(queue) = queues.get_mut(endpoint).filter(|_| !closed.is_cancelled()) else {
            return Step::End;
        };
        match queue.due() {
            Some(due) if due > self.clock.millis() => Step::Wait(due),
            Some(_) => queue
                .take()
                .map_or(Step::End, |delivery| Step::Send(Box::new(delivery))),
            None => {
                queues.remove(endpoint);
                Step::End
            }
        }
    }

    /// Sends it, or arranges for another try.
    async fn deliver(
        self: &Arc<Self>,
        endpoint: &Id,
        mut delivery: Delivery,
        queue: &CancellationToken,
    ) {
        let outcome = delivery.send(&self.http, self.clock.unix()).await;
        {
            let mut counts = locked(&self.counts);
            match outcome {
                Outcome::Delivered => counts.delivered += 1,
                Outcome::Failed => counts.failed_tries += 1,
                Outcome::NoEndpoint => counts.given_up += 1,
            }
            if outcome == Outcome::Failed && delivery.failed >= RETRIES {
                counts.given_up += 1;
                return;
            }
        }
        if outcome == Outcome::Failed {
            let wait = self.backoff.saturating_mul(1 << delivery.failed);
            let due = self.clock.millis().saturating_add(wait);
            delivery.failed += 1;
            self.add(endpoint, delivery, due, Some(queue));
        }
    }
}

/// A client that takes answers as they are: a redirect is no 2xx.
fn client() -> reqwest::Client {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("these settings go together")
}
