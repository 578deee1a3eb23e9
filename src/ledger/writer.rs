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
/// How long the writer tries to find out whether requests were stored.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long it tries before the waiting requests fail. A connection that breaks twice in a row is no outage yet.
const FAIL_WAITING_AFTER: Duration = Duration::from_secs(1);
/// The time between two tries.
const RESOLVE_EVERY: Duration = Duration::from_millis(100);

/// An open ledger. Clones share it. When the last one is dropped, the writer stores the queue and ends.
#[derive(Clone, Debug)]
pub struct Ledger {
    queue: mpsc::Sender<Command>,
    view: Arc<View>,
}

/// The writer's thread.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

/// Why a request was not acknowledged. Nothing was stored, unless the power or the connection failed during the commit.
/// Therefore callers that repeat reports should use an idempotency key.
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
    SendNotice(Notice, Caller<()>),
    Reservation(ReservationId, Now, Caller<Option<(Reservation, Time)>>),
    Compact {
        before: Time,
        max: usize,
        answer: Caller<usize>,
    },
}

struct Submission {
    request: Request,
    caller: Caller<Answers>,
}

/// The channel to the caller that waits for an answer.
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
        self.request(|caller| Command::Submit(Submission { request, caller }))
            .await
    }

    /// The reservation with this id, held or ended, and the time to compare with its expiry: `now`, or the time of the
    /// database that processes share.
    pub async fn reservation(
        &self,
        id: ReservationId,
        now: impl Into<Now>,
    ) -> Result<Option<(Reservation, Time)>, Unavailable> {
        let now = now.into();
        self.request(|answer| Command::Reservation(id, now, answer))
            .await
    }

    /// Replaces the entries of at most `max` settled totals whose periods ended before `before` by daily totals.
    /// Returns how many totals it compacted. Their idempotency keys are deleted, so `before` must be at least 35 days
    /// ago.
    pub async fn compact(&self, before: Time, max: usize) -> Result<usize, Unavailable> {
        let make = |answer| Command::Compact {
            before,
            max,
            answer,
        };
        self.request(make).await
    }

    /// Reads the changes of other processes since the last call, and returns their notices. Does nothing if the ledger
    /// is not shared.
    pub async fn sync(&self) -> Result<Vec<Notice>, Unavailable> {
        self.request(Command::Sync).await
    }

    /// Sends a notice to the other processes.
    pub async fn send_notice(&self, notice: Notice) -> Result<(), Unavailable> {
        self.request(|caller| Command::SendNotice(notice, caller))
            .await
    }

    /// How long ago the changes of other processes were read; zero if the ledger is not shared.
    pub fn behind(&self) -> Duration {
        self.view.behind()
    }

    /// The number of an org's plan, from memory: other processes may have changed it since.
    pub fn plan(&self, org: &str) -> PlanNumber {
        self.view.plan(org)
    }

    /// The approximate time of the database that processes share, without a query; `None` if the ledger is not shared.
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

    /// The used quantity as [`used`](Self::used) gives it, and the units that are reserved at `now`, after the same
    /// commit.
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

    async fn request<T>(&self, make: impl FnOnce(Caller<T>) -> Command) -> Result<T, Unavailable> {
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
                Command::SendNotice(notice, caller) => {
                    let sent = self.transactor.send_notice(&notice);
                    let _ = caller.send(sent.map_err(unavailable));
                }
                Command::Reservation(id, now, caller) => {
                    let found = self.transactor.reservation(&id, now);
                    let _ = caller.send(found.map_err(unavailable));
                }
                Command::Compact {
                    before,
                    max,
                    answer,
                } => {
                    let done = self.transactor.compact(before, max);
                    let _ = answer.send(done.map_err(unavailable));
                }
            }
        }
    }

    fn sync(&mut self) -> Result<Vec<Notice>, StoreError> {
        let began = Instant::now();
        let figures = self.transactor.sync()?;
        self.view.publish(figures);
        // Before `synced`: an answer that claims to be this recent must know these plans.
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
            tracing::warn!(%error, "snapshots of orgs cannot be stored in the ledger");
        }
        other
    }

    /// Applies and stores requests, and only then publishes their figures. While it is unknown whether they are stored,
    /// nothing else can be stored. If that takes long, the commands in the queue fail.
    fn write(
        &mut self,
        requests: &[Request],
        queue: &mut mpsc::Receiver<Command>,
    ) -> Result<Vec<Answers>, StoreError> {
        let start = Instant::now();
        let done = loop {
            match self.transactor.transact(requests) {
                Err(StoreError::OutcomeUnknown(cause)) if start.elapsed() < RESOLVE_TIMEOUT => {
                    if start.elapsed() >= FAIL_WAITING_AFTER {
                        let cause = cause.to_string().into();
                        let error = unavailable(StoreError::Unreachable(cause));
                        while let Ok(command) = queue.try_recv() {
                            command.fail(&error);
                        }
                    }
                    std::thread::sleep(RESOLVE_EVERY);
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
        // Sending fails if the caller has left, which does no harm.
        match self {
            Self::Submit(submission) => drop(submission.caller.send(Err(error))),
            Self::Keep(_) => {}
            Self::Sync(caller) => drop(caller.send(Err(error))),
            Self::SendNotice(_, caller) => drop(caller.send(Err(error))),
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
