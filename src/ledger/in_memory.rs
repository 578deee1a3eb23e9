//! A ledger that only one process writes. All records that can still change are in memory.

use super::state::{Reservation, State};
use super::store::{Names, Snapshot, Store, StoreError};
use super::transactor::{Answers, Figures, Learned, Notice, Now, Request, Transacted, Transactor};
use super::values::{ReservationId, Time};
use super::view::{all_figures, changed_figures};

/// A store, and the state of its ledger.
#[derive(Debug)]
pub(super) struct InMemory<S> {
    store: S,
    state: State,
}

impl<S: Store> InMemory<S> {
    pub(super) fn load(mut store: S) -> Result<Self, StoreError> {
        let state = State::load(store.load()?);
        Ok(Self { store, state })
    }

    fn apply(&mut self, requests: &[Request]) -> Result<Vec<Answers>, StoreError> {
        let names = Names::of(requests);
        self.state.recall(self.store.recall(&names)?);
        Ok(self.state.apply_all(requests, None))
    }
}

impl<S: Store> Transactor for InMemory<S> {
    fn figures(&mut self) -> Result<Figures, StoreError> {
        Ok(all_figures(&self.state))
    }

    /// Applies and stores the requests, and only then commits the state.
    fn transact(&mut self, requests: &[Request]) -> Result<Transacted, StoreError> {
        let answers = self.apply(requests)?;
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
        let figures = changed_figures(&self.state);
        self.state.commit();
        Ok(Transacted { answers, figures })
    }

    fn give_up(&mut self) {}

    fn reservation(
        &mut self,
        id: &ReservationId,
        now: Now,
    ) -> Result<Option<(Reservation, Time)>, StoreError> {
        let now = now.or(None);
        if let Ok(held) = self.state.reservation(id) {
            return Ok(Some((held.clone(), now)));
        }
        let names = Names {
            keys: Vec::new(),
            reservations: vec![id.clone()],
        };
        let found = self.store.recall(&names)?.reservations.pop();
        Ok(found.map(|reservation| (reservation, now)))
    }

    fn sync(&mut self) -> Result<Figures, StoreError> {
        // Nobody else writes the store.
        Ok(Vec::new())
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn learned(&mut self) -> Learned {
        Learned::default()
    }

    fn send_notice(&mut self, _: &Notice) -> Result<(), StoreError> {
        Ok(())
    }

    fn keep(&mut self, snapshots: &[Snapshot]) -> Result<(), StoreError> {
        self.store.keep(snapshots)
    }

    fn compact(&mut self, before: Time, max: usize) -> Result<usize, StoreError> {
        self.store.compact(before, max)
    }
}
