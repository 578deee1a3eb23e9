//! The context that all calls of one request share: its urgency, and the calls that were made.
//!
//! Work that several requests wait for has a context of its own. It is as urgent as the most urgent of them, and each
//! of its calls is recorded for all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::caller_state::CallerState;
use super::limit::{Lane, Ticket};

/// The maximum number of calls recorded for a request's log line.
const RECORDED_CALLS: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Context {
    pub(super) ticket: Ticket,
    calls: Mutex<Vec<Option<String>>>,
    /// The requests that wait for this work.
    waiting: Mutex<Vec<Arc<Context>>>,
    /// The work that this waits for.
    awaited: Mutex<Vec<Weak<Context>>>,
    caller: CallerState,
}

impl Context {
    pub(super) fn new(lane: Lane) -> Self {
        Self {
            ticket: Ticket::new(lane),
            ..Self::default()
        }
    }

    pub(super) fn of_caller(lane: Lane, caller: CallerState) -> Self {
        Self {
            caller,
            ..Self::new(lane)
        }
    }

    /// The context of a new request of the same caller.
    pub(super) fn for_request(&self, lane: Lane) -> Self {
        Self {
            caller: self.caller.clone(),
            ..Self::new(lane)
        }
    }

    pub(super) fn caller(&self) -> &CallerState {
        &self.caller
    }

    /// The request ids of the calls, in the order of their answers; `None` for a call without an answer.
    pub(super) fn calls(&self) -> Vec<Option<String>> {
        locked(&self.calls).clone()
    }

    /// Records a call, also for all requests that wait for this work.
    pub(super) fn note_call(&self, request_id: Option<&str>) {
        {
            let mut calls = locked(&self.calls);
            // A context without a request lives as long as its client, and must not grow with it.
            if calls.len() < RECORDED_CALLS {
                calls.push(request_id.map(Into::into));
            }
        }
        for waiting in self.waiting() {
            waiting.note_call(request_id);
        }
    }

    /// Records that a call was let through, also for all requests that wait for this work.
    pub(super) fn begin(&self) {
        self.ticket.begin();
        for waiting in self.waiting() {
            waiting.begin();
        }
    }

    fn waiting(&self) -> Vec<Arc<Self>> {
        locked(&self.waiting).clone()
    }

    fn raise(&self, lane: Lane) {
        self.ticket.raise(lane);
        let awaited: Vec<_> = locked(&self.awaited)
            .iter()
            .filter_map(Weak::upgrade)
            .collect();
        for work in awaited {
            work.raise(lane);
        }
    }

    /// Registers this request as waiting for `work` until the guard is dropped.
    pub(super) fn wait_for(self: &Arc<Self>, work: &Arc<Self>) -> Waiting {
        locked(&self.awaited).push(Arc::downgrade(work));
        for call in work.calls() {
            self.note_call(call.as_deref());
        }
        locked(&work.waiting).push(self.clone());
        work.raise(self.ticket.lane());
        if self.ticket.has_begun() {
            work.ticket.begin();
        }
        if work.ticket.has_begun() {
            self.begin();
        }
        Waiting {
            waiter: self.clone(),
            work: work.clone(),
        }
    }
}

/// A request waits for work until this is dropped.
pub(super) struct Waiting {
    waiter: Arc<Context>,
    work: Arc<Context>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = locked(&self.work.waiting);
        if let Some(at) = waiting
            .iter()
            .position(|waiter| Arc::ptr_eq(waiter, &self.waiter))
        {
            waiting.swap_remove(at);
        }
        drop(waiting);
        let work = Arc::downgrade(&self.work);
        let mut awaited = locked(&self.waiter.awaited);
        if let Some(at) = awaited.iter().position(|awaited| awaited.ptr_eq(&work)) {
            awaited.swap_remove(at);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_work_has_the_highest_urgency_and_records_its_calls_for_every_request() {
        let [inner, outer, check, person] =
            [Lane::Bulk, Lane::Bulk, Lane::Check, Lane::Interactive]
                .map(|lane| Arc::new(Context::new(lane)));
        let _nested = outer.wait_for(&inner);
        let checking = check.wait_for(&outer);
        assert_eq!(inner.ticket.lane(), Lane::Check);
        inner.note_call(Some("req_1"));
        inner.begin();
        drop(checking);
        let _waiting = person.wait_for(&outer);
        assert_eq!(inner.ticket.lane(), Lane::Interactive);
        inner.note_call(Some("req_2"));
        let calls = |context: &Context| context.calls().into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(calls(&check), ["req_1"], "it has left");
        assert_eq!(calls(&person), ["req_1", "req_2"]);
        assert_eq!(calls(&outer), ["req_1", "req_2"]);
        assert!(check.ticket.has_begun() && person.ticket.has_begun());
    }
}
