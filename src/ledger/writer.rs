//! The writer: a thread that stores all reports, many in one commit.
//!
//! There is no timer. Requests that arrive during a commit wait in the queue and form the next commit. A single report
//! is stored at once, and a thousand together cost hardly more than one.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::in_memory::InMemory;
use super::state::{Event, ItemUsed, Reservation, Used};
use super::store::{Snapshot, Store, StoreError};
use super::transactor::{Answers, Notice, Now, Request, Transactor};
use super::values::{PlanNumber, ReservationId, Time};
use super::view::View;

/// The capacity of the queue, in requests.
const QUEUE: usize = 8_192;
/// The maximum number of events in one commit. The events of one request are never split.
const MAX_BATCH: usize = 1_024;
/// How long the store is asked whether it has stored a request.
const ASK_FOR: Duration = Duration::from_secs(15);
/// How long it is asked before the requests that wait fail. A line that is cut twice in a row is no outage.
const FAIL_OTHERS_AFTER: Duration = Duration::from_secs(1);
/// The time between two questions.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// An open ledger. Clones share it. When the last one is dropped, the writer stores the queue and ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: mpsc::Sender<Command>,
    view: Arc<View>,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

/// Why a request was not acknowledged. Nothing was stored, unless the power or the connection failed during the commit:
/// reports that may be repeated should use an idempotency key.
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
    Sync(Caller<Vec<Notice>>),
    Tell(Notice, Caller<()>),
    Reservation(ReservationId, Now, Caller<Option<(Reservation, Time)>>),
    Compact {
        before: Time,
        most: usize,
        answer: Caller<usize>,
    },
}

struct Submission {
    request: Request,
    caller: Caller<Answers>,
}

/// Who waits for an answer.
type Caller<T> = oneshot::Sender<Result<T, Unavailable>>;

impl Ledger {
    /// Opens the ledger in `store`, which only this process writes, and starts its writer.
    pub fn start(store: impl Store + 'static) -> Result<(Self, Writer), StoreError> {
        Self::start_with(|| InMemory::load(store))
    }

    /// Starts a writer that opens its ledger with `open`. Blocks until it is open.
    pub fn start_with<T: Transactor>(
        open: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<(Self, Writer), StoreError> {
        let view = Arc::new(View::default());
        let (sender, queue) = mpsc::channel(QUEUE);
        let ledger = Self {
            queue: sender,
            view: view.clone(),
        };
        let (opened, outcome) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let writer = thread.spawn(move || match Run::open(open, view) {
            Ok(mut run) => {
                let _ = opened.send(Ok(()));
                run.serve(queue);
            }
            Err(error) => drop(opened.send(Err(error))),
        })?;
        let outcome = outcome.recv();
        outcome.map_err(|_| std::io::Error::other("the ledger's writer has failed"))??;
        Ok((ledger, Writer(writer)))
    }

    /// Applies `events` in this order, in one commit, and answers when they are stored. A refused event does not stop
    /// the others.
    pub async fn submit(
        &self,
        events: Vec<Event>,
        now: impl Into<Now>,
    ) -> Result<Answers, Unavailable> {
        let now = now.into();
        let request = Request { events, now };
        self.ask(|caller| Command::Submit(Submission { request, caller }))
            .await
    }

    /// The reservation with that id, whether it is held or has ended, and the time by which it expires: `now`, or that of the
    /// database that processes share.
    pub async fn reservation(
        &self,
        id: ReservationId,
        now: impl Into<Now>,
    ) -> Result<Option<(Reservation, Time)>, Unavailable> {
        let now = now.into();
        self.ask(|answer| Command::Reservation(id, now, answer))
            .await
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

    /// Reads what other processes have changed since the last call, and returns what they have told. A process that is alone
    /// has nothing to read.
    pub async fn sync(&self) -> Result<Vec<Notice>, Unavailable> {
        self.ask(Command::Sync).await
    }

    /// Tells other processes.
    pub async fn tell(&self, notice: Notice) -> Result<(), Unavailable> {
        self.ask(|caller| Command::Tell(notice, caller)).await
    }

    /// How long ago the changes of other processes were read; zero if this process is alone.
    pub fn behind(&self) -> Duration {
        self.view.behind()
    }

    /// The number of an org's plan, from memory: other processes may have changed it since.
    pub fn plan(&self, org: &str) -> PlanNumber {
        self.view.plan(org)
    }

    /// The time of the database that processes share, as far as it is known without asking; `None` if this process is alone.
    pub fn shared_time(&self) -> Option<Time> {
        self.view.shared_time()
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.clone()
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

    async fn ask<T>(&self, make: impl FnOnce(Caller<T>) -> Command) -> Result<T, Unavailable> {
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

struct Run<T> {
    transactor: T,
    view: Arc<View>,
}

impl<T: Transactor> Run<T> {
    fn open(
        open: impl FnOnce() -> Result<T, StoreError>,
        view: Arc<View>,
    ) -> Result<Self, StoreError> {
        let mut transactor = open()?;
        let began = Instant::now();
        view.publish(transactor.figures()?);
        view.learn(transactor.learned());
        if transactor.is_shared() {
            view.synced(began);
        }
        Ok(Self { transactor, view })
    }

    fn serve(&mut self, mut queue: mpsc::Receiver<Command>) {
        let mut next = None;
        while let Some(command) = next.take().or_else(|| queue.blocking_recv()) {
            match command {
                Command::Submit(first) => next = self.gather(first, &mut queue),
                Command::Keep(snapshot) => next = self.keep(snapshot, &mut queue),
                Command::Sync(caller) => {
                    let _ = caller.send(self.sync().map_err(unavailable));
                }
                Command::Tell(notice, caller) => {
                    let told = self.transactor.tell(&notice);
                    let _ = caller.send(told.map_err(unavailable));
                }
                Command::Reservation(id, now, caller) => {
                    let found = self.transactor.reservation(&id, now);
                    let _ = caller.send(found.map_err(unavailable));
                }
                Command::Compact {
                    before,
                    most,
                    answer,
                } => {
                    let done = self.transactor.compact(before, most);
                    let _ = answer.send(done.map_err(unavailable));
                }
            }
        }
    }

    fn sync(&mut self) -> Result<Vec<Notice>, StoreError> {
        let began = Instant::now();
        let figures = self.transactor.sync()?;
        self.view.publish(figures);
        // An answer that says it is that young must know the plans that were read.
        let notices = self.view.learn(self.transactor.learned());
        if self.transactor.is_shared() {
            self.view.synced(began);
        }
        Ok(notices)
    }

    /// Stores `first` and the submissions that wait behind it. Returns the first command of another kind.
    fn gather(
        &mut self,
        first: Submission,
        queue: &mut mpsc::Receiver<Command>,
    ) -> Option<Command> {
        let mut count = first.request.events.len();
        let mut requests = vec![first.request];
        let mut callers = vec![first.caller];
        let mut other = None;
        while count < MAX_BATCH
            && other.is_none()
            && let Ok(next) = queue.try_recv()
        {
            match next {
                Command::Submit(next) => {
                    count += next.request.events.len();
                    requests.push(next.request);
                    callers.push(next.caller);
                }
                command => other = Some(command),
            }
        }
        match self.write(&requests, queue) {
            // One request may be at fault, and must not fail the others.
            Err(StoreError::Database(_)) if requests.len() > 1 => {
                for (request, caller) in requests.iter().zip(callers) {
                    let result = self.write(std::slice::from_ref(request), queue);
                    answer(vec![caller], result);
                }
            }
            result => answer(callers, result),
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
        if let Err(error) = self.transactor.keep(&snapshots) {
            tracing::warn!(%error, "what was read of orgs cannot be kept in the ledger");
        }
        other
    }

    /// Applies and stores requests, and only then publishes their figures. While it is unknown whether they are stored,
    /// nothing else can be. If that takes long, what waits in the queue fails.
    fn write(
        &mut self,
        requests: &[Request],
        queue: &mut mpsc::Receiver<Command>,
    ) -> Result<Vec<Answers>, StoreError> {
        let start = Instant::now();
        let done = loop {
            match self.transactor.transact(requests) {
                Err(StoreError::OutcomeUnknown(cause)) if start.elapsed() < ASK_FOR => {
                    if start.elapsed() >= FAIL_OTHERS_AFTER {
                        let cause = cause.to_string().into();
                        let error = unavailable(StoreError::Unreachable(cause));
                        while let Ok(command) = queue.try_recv() {
                            command.fail(&error);
                        }
                    }
                    std::thread::sleep(ASK_AGAIN);
                }
                Err(error) => {
                    self.transactor.give_up();
                    return Err(error);
                }
                Ok(done) => break done,
            }
        };
        self.view.publish(done.figures);
        self.view.learn(self.transactor.learned());
        Ok(done.answers)
    }
}

impl Command {
    fn fail(self, error: &Unavailable) {
        let error = error.clone();
        // Who has left does not miss the answer.
        match self {
            Self::Submit(submission) => drop(submission.caller.send(Err(error))),
            Self::Keep(_) => {}
            Self::Sync(caller) => drop(caller.send(Err(error))),
            Self::Tell(_, caller) => drop(caller.send(Err(error))),
            Self::Reservation(_, _, caller) => drop(caller.send(Err(error))),
            Self::Compact { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}

fn answer(callers: Vec<Caller<Answers>>, result: Result<Vec<Answers>, StoreError>) {
    match result {
        Ok(answers) => {
            for (caller, answers) in callers.into_iter().zip(answers) {
                // The caller may have left; the events happened all the same.
                let _ = caller.send(Ok(answers));
            }
        }
        Err(error) => {
            let error = unavailable(error);
            for caller in callers {
                let _ = caller.send(Err(error.clone()));
            }
        }
    }
}

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable::Store(Arc::new(error))
}
