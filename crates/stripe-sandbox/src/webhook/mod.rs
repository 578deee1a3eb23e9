//! Delivery of events to webhook endpoints.
//!
//! Each endpoint has a [queue](queue::Queue). While the queue is not empty, a task sends its
//! [deliveries](delivery::Delivery) one after the other. A delivery is settled when the endpoint has answered 2xx, or
//! after the last try. Calls do not wait for deliveries.

mod delivery;
mod queue;
mod signature;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use clock::Clock;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::delivery::{Delivery, TryOutcome, Unsettled, UnsettledCounts};
use self::queue::Queue;
use crate::resource::webhook_endpoint::{Outgoing, WebhookEndpoints};
use crate::store::ids::Id;
use crate::store::locked;

/// The number of retries, as by Stripe in test mode, within a few hours.
const RETRIES: u32 = 3;

/// Counts of deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deliveries {
    /// Answered 2xx.
    pub delivered: u64,
    /// Tries that were not answered 2xx in time.
    pub failed_tries: u64,
    /// Given up, because the last try failed or the endpoint is disabled or deleted.
    pub given_up: u64,
    /// Never sent, because the endpoint's queue was full.
    pub overflowed: u64,
    /// Never sent, because of a [rule](crate::Rule).
    pub dropped: u64,
    /// Waiting or being sent.
    pub unsettled: usize,
}

/// All queues. Dropping it ends all deliveries.
#[derive(Debug)]
pub(crate) struct Webhooks {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    /// Made for the first delivery, because most sandboxes have none.
    http: LazyLock<reqwest::Client>,
    clock: Clock,
    /// The wait before the second try, in milliseconds. Each wait after that is twice as long.
    backoff: i64,
    queues: Mutex<HashMap<Id, Queue>>,
    counts: Mutex<Deliveries>,
    unsettled: Arc<UnsettledCounts>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Webhooks {
    pub(crate) fn new(clock: Clock, backoff: Duration) -> Self {
        let stop = CancellationToken::new();
        let shared = Shared {
            http: LazyLock::new(client),
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

    /// Sends an event to an endpoint, once for each of `waits`: its extra delay in milliseconds.
    pub(crate) fn send(&self, outgoing: &Outgoing, waits: &[i64]) {
        if waits.is_empty() {
            locked(&self.shared.counts).dropped += 1;
        }
        let now = self.shared.clock.millis();
        for (index, wait) in waits.iter().enumerate() {
            let unsettled = Unsettled::new(&self.shared.unsettled, &outgoing.to.url);
            let delivery = Delivery::new(outgoing.clone(), index > 0, unsettled);
            let due = now.saturating_add(outgoing.wait).saturating_add(*wait);
            self.shared.add(&outgoing.to.endpoint, delivery, due, None);
        }
    }

    /// Waits until all deliveries are settled: those to a URL, or to all.
    pub(crate) async fn settled(&self, url: Option<&str>) {
        let mut unsettled = self.shared.unsettled.subscribe();
        let is_settled = |counts: &HashMap<String, usize>| match url {
            Some(url) => !counts.contains_key(url),
            None => counts.is_empty(),
        };
        // This cannot fail, because the sender is in `self`.
        let _ = unsettled.wait_for(is_settled).await;
    }

    /// Counts of the deliveries so far.
    pub(crate) fn counts(&self) -> Deliveries {
        Deliveries {
            unsettled: self.shared.unsettled.borrow().values().sum(),
            ..*locked(&self.shared.counts)
        }
    }

    /// Ends all deliveries to these endpoints.
    pub(crate) fn forget(&self, endpoints: &WebhookEndpoints) {
        let mut queues = locked(&self.shared.queues);
        for endpoint in locked(endpoints).iter() {
            if let Some(queue) = queues.remove(&endpoint.id) {
                queue.closed.cancel();
            }
        }
    }

    /// Sends deliveries that wait for their first try at once, in order: all of them, or those of one account's events.
    pub(crate) fn release(&self, account: Option<&str>) {
        let now = self.shared.clock.millis();
        for queue in locked(&self.shared.queues).values_mut() {
            queue.release(account, now);
        }
    }

    /// Ends all deliveries for good.
    pub(crate) fn stop(&self) {
        self.shared.stop.cancel();
        locked(&self.shared.queues).clear();
    }
}

/// The next step of a queue's task.
enum Step {
    Send(Box<Delivery>),
    /// Nothing is due before this time.
    Wait(i64),
    /// The queue is empty.
    End,
}

impl Shared {
    /// Adds a delivery to its endpoint's queue, and starts a task for the queue if there is none. A retry is dropped if
    /// the queue that it was in (`before`) was closed.
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
        if !queues.contains_key(endpoint) {
            self.discard_deleted(&mut queues);
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
            tokio::select! {
                () = shared.stop.cancelled() => {}
                () = closed.cancelled() => {}
                () = shared.work(&endpoint, &changed, &closed) => {}
            }
        }));
    }

    /// Sends a queue's deliveries when they are due, until the queue is empty.
    async fn work(self: &Arc<Self>, endpoint: &Id, changed: &Notify, closed: &CancellationToken) {
        loop {
            match self.next(endpoint, closed) {
                Step::Send(delivery) => self.deliver(endpoint, *delivery, closed).await,
                Step::Wait(due) => tokio::select! {
                    () = self.clock.sleep_until(due) => {}
                    () = changed.notified() => {}
                },
                Step::End => break,
            }
        }
    }

    /// Discards the queues of deleted endpoints, so that there are never many more queues than endpoints.
    fn discard_deleted(&self, queues: &mut HashMap<Id, Queue>) {
        queues.retain(|_, queue| {
            let is_kept = !queue.is_of_deleted();
            if !is_kept {
                queue.closed.cancel();
                locked(&self.counts).given_up += queue.len();
            }
            is_kept
        });
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

    /// Tries a delivery, and schedules another try if it fails.
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
                TryOutcome::Delivered => counts.delivered += 1,
                TryOutcome::Failed => counts.failed_tries += 1,
                TryOutcome::NoEndpoint => counts.given_up += 1,
            }
            if outcome == TryOutcome::Failed && delivery.failed >= RETRIES {
                counts.given_up += 1;
                return;
            }
        }
        if outcome == TryOutcome::Failed {
            let wait = self.backoff.saturating_mul(1 << delivery.failed);
            let due = self.clock.millis().saturating_add(wait);
            delivery.failed += 1;
            self.add(endpoint, delivery, due, Some(queue));
        }
    }
}

/// The HTTP client. It does not follow redirects, because a redirect counts as a failure.
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
        // Stripe sends title-case header names.
        .http1_title_case_headers()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("these settings go together")
}
