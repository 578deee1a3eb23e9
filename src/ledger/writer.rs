//! The writer: a thread that stores all reports, many in one commit.
//!
//! There is no timer. Requests that arrive during a commit wait in the queue and form the next commit. A single report
//! is stored at once, and a thousand together cost hardly more than one.

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::state::{Answer, Event, ItemUsed, Refusal, Reservation, State, Used};
use super::store::{Names, Snapshot, Store, StoreError};
use super::values::{ReservationId, Time};
use super::view::View;

/// The capacity of the queue, in requests.
const QUEUE: usize = 8_192;
/// The maximum number of events in one commit. The events of one request are never split.
const MAX_BATCH: usize = 1_024;

/// An open ledger. Clones share it. When the last one is dropped, the writer stores the queue and ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: mpsc::Sender<Command>,
    view: Arc<View>,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

/// Why a request was not acknowledged. Nothing was stored, unless the power failed during the commit: reports that may
/// be repeated should use an idempotency key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unavailable {
    /// The queue is full.
    #[error("too many reports are waiting for the ledger")]
    Busy,
    /// The writer has ended.
    #[error("the ledger is closed")]
    Closed,
    /// The store failed. Later requests retry.
    #[error("the ledger cannot be written")]
    Store(#[source] Arc<StoreError>),
}

enum Command {
    Submit(Submission),
    Keep(Snapshot),
    Reservation(
        ReservationId,
        oneshot::Sender<Result<Option<Reservation>, Unavailable>>,
    ),
    Compact {
        before: Time,
        most: usize,
        answer: oneshot::Sender<Result<usize, Unavailable>>,
    },
}

struct Submission {
    events: Vec<Event>,
    now: Time,
    answer: oneshot::Sender<Result<Answers, Unavailable>>,
}

/// The answer or refusal of each event, in order.
pub type Answers = Vec<Result<Answer, Refusal>>;

impl Ledger {
    /// Opens the ledger in `store`, and starts its writer.
    pub fn start(mut store: impl Store + 'static) -> Result<(Self, Writer), StoreError> {
        let state = State::load(store.load()?);
        let view = Arc::new(View::of(&state));
        let (sender, queue) = mpsc::channel(QUEUE);
        let ledger = Self {
            queue: sender,
            view: view.clone(),
        };
        let mut run = Run { store, state, view };
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let writer = thread.spawn(move || run.serve(queue))?;
        Ok((ledger, Writer(writer)))
    }

    /// Applies `events` in this order, in one commit, and answers when they are stored. A refused event does not stop
    /// the others. `now` is the time of the events' org, which differs from the server's if the org is on a test clock.
    pub async fn submit(&self, events: Vec<Event>, now: Time) -> Result<Answers, Unavailable> {
        let make = |answer| {
            Command::Submit(Submission {
                events,
                now,
                answer,
            })
        };
        self.ask(make).await
    }

    /// The reservation with that id, whether it is held or has ended.
    pub async fn reservation(&self, id: ReservationId) -> Result<Option<Reservation>, Unavailable> {
        self.ask(|answer| Command::Reservation(id, answer)).await
    }

    /// Replaces the entries of at most `most` settled totals whose periods ended before `before` by daily totals.
    /// Returns how many totals it compacted. Their idempotency keys are deleted, so `before` must be at least 35 days
    /// ago.
    pub async fn compact(&self, before: Time, most: usize) -> Result<usize, Unavailable> {
        let make = |answer| Command::Compact {
            before,
            most,
            answer,
        };
        self.ask(make).await
    }

    /// The used quantity of a feature in the period that began at `period_start`, from memory; `None` if nothing was
    /// reported.
    pub fn used(&self, org: &str, feature: &str, period_start: Time) -> Option<Used> {
        self.view.used(org, feature, period_start)
    }

    /// The used quantity of each item of an org, oldest period first, from memory.
    pub fn items(&self, org: &str) -> Vec<ItemUsed> {
        self.view.items(org)
    }

    /// The used quantity as [`used`](Self::used) gives it, and the units that are reserved at `now`, after the same commit.
    pub fn used_and_reserved(
        &self,
        org: &str,
        feature: &str,
        period_start: Time,
        now: Time,
    ) -> (Option<Used>, i64) {
        self.view.used_and_reserved(org, feature, period_start, now)
    }

    /// Stores a snapshot if there is room in the queue. The caller does not learn whether it was stored.
    pub fn keep(&self, snapshot: Snapshot) {
        let _ = self.queue.try_send(Command::Keep(snapshot));
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Unavailable>>) -> Command,
    ) -> Result<T, Unavailable> {
        let (sender, answer) = oneshot::channel();
        let sent = self.queue.try_send(make(sender));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Busy,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Closed,
        })?;
        answer.await.map_err(|_| Unavailable::Closed)?
    }
}

impl Writer {
    /// Waits until the whole queue is stored. All [ledgers](Ledger) must have been dropped.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the ledger's writer has failed");
        }
    }
}

struct Run<S> {
    store: S,
    state: State,
    view: Arc<View>,
}

impl<S: Store> Run<S> {
    fn serve(&mut self, mut queue: mpsc::Receiver<Command>) {
        let mut next = None;
        while let Some(command) = next.take().or_else(|| queue.blocking_recv()) {
            match command {
                Command::Submit(first) => next = self.gather(first, &mut queue),
                Command::Keep(snapshot) => next = self.keep(snapshot, &mut queue),
                Command::Reservation(id, answer) => {
                    let _ = answer.send(self.reservation(id).map_err(unavailable));
                }
                Command::Compact {
                    before,
                    most,
                    answer,
                } => {
                    let done = self.store.compact(before, most);
                    let _ = answer.send(done.map_err(unavailable));
                }
            }
        }
    }

    /// Stores `first` and the submissions that wait behind it. Returns the first command of another kind.
    fn gather(
        &mut self,
        first: Submission,
        queue: &mut mpsc::Receiver<Command>,
    ) -> Option<Command> {
        let mut count = first.events.len();
        let mut batch = vec![first];
        let mut other = None;
        while count < MAX_BATCH
            && other.is_none()
            && let Ok(next) = queue.try_recv()
        {
            match next {
                Command::Submit(next) => {
                    count += next.events.len();
                    batch.push(next);
                }
                command => other = Some(command),
            }
        }
        match self.write(&batch) {
            // One request may be at fault, and must not fail the others.
            Err(StoreError::Database(_)) if batch.len() > 1 => {
                for submission in batch {
                    let result = self.write(std::slice::from_ref(&submission));
                    answer(vec![submission], result);
                }
            }
            result => answer(batch, result),
        }
        other
    }

    /// Stores the snapshots that wait. Returns the first command of another kind.
    fn keep(&mut self, first: Snapshot, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let mut snapshots = vec![first];
        let mut other = None;
        while snapshots.len() < MAX_BATCH
            && other.is_none()
            && let Ok(next) = queue.try_recv()
        {
            match next {
                Command::Keep(snapshot) => snapshots.push(snapshot),
                command => other = Some(command),
            }
        }
        if let Err(error) = self.store.keep(&snapshots) {
            tracing::warn!(%error, "what was read of orgs cannot be kept in the ledger");
        }
        other
    }

    /// Applies and stores a batch, and only then publishes it.
    fn write(&mut self, batch: &[Submission]) -> Result<Vec<Answers>, StoreError> {
        let mut names = Names::default();
        let events = batch.iter().flat_map(|submission| &submission.events);
        events.for_each(|event| names.add(event));
        self.state.recall(self.store.recall(&names)?);
        let mut answers = Vec::with_capacity(batch.len());
        for submission in batch {
            let events = submission.events.iter();
            let answered = events.map(|event| self.state.apply(event, submission.now));
            answers.push(answered.collect());
        }
        let pending = self.state.pending();
        let stored = if pending.is_empty() {
            Ok(())
        } else {
            self.store.append(&pending)
        };
        if let Err(error) = stored {
            self.state.rollback();
            return Err(error);
        }
        let changes = View::changes(&self.state);
        self.state.commit();
        self.view.publish(changes);
        Ok(answers)
    }

    fn reservation(&mut self, id: ReservationId) -> Result<Option<Reservation>, StoreError> {
        if let Ok(held) = self.state.reservation(&id) {
            return Ok(Some(held.clone()));
        }
        let names = Names {
            keys: Vec::new(),
            reservations: vec![id],
        };
        Ok(self.store.recall(&names)?.reservations.pop())
    }
}

fn answer(batch: Vec<Submission>, result: Result<Vec<Answers>, StoreError>) {
    match result {
        Ok(answers) => {
            for (submission, answers) in batch.into_iter().zip(answers) {
                // The caller may have left; the events happened all the same.
                let _ = submission.answer.send(Ok(answers));
            }
        }
        Err(error) => {
            let error = unavailable(error);
            for submission in batch {
                let _ = submission.answer.send(Err(error.clone()));
            }
        }
    }
}

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable::Store(Arc::new(error))
}
