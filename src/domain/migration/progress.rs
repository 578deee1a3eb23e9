//! The progress of the migrations that this process has begun.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::record::MigrationRecord;
use super::targets::Targets;
use super::{Exchange, MigrationFailure, MigrationState};
use crate::domain::refs::OrgName;
use crate::domain::{Error, Result};

/// How many migrations are remembered. Beyond that, those that have stopped are forgotten.
const REMEMBERED: usize = 64;

/// The migrations that this process has begun.
#[derive(Default)]
pub(in crate::domain) struct Migrations(Mutex<BTreeMap<String, Arc<Progress>>>);

/// The progress of a migration.
pub(super) struct Progress {
    id: String,
    total: usize,
    done: AtomicUsize,
    failed: Mutex<BTreeMap<OrgName, Error>>,
    /// Whether every org was tried.
    is_done: AtomicBool,
    /// Whether it has stopped running.
    has_stopped: AtomicBool,
}

/// Marks a migration as running until it is dropped.
pub(super) struct RunningMigration(pub(super) Arc<Progress>);

/// The outcome for an org.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Moved,
    /// It was moved before.
    MovedBefore,
    /// It does not have the plan.
    NotOnPlan,
}

impl Migrations {
    pub(super) fn get(&self, id: &str) -> Option<Arc<Progress>> {
        locked(&self.0).get(id).cloned()
    }

    /// Begins to count the orgs of a migration.
    ///
    /// # Errors
    /// The progress, if this process is already running it.
    pub(super) fn begin(
        &self,
        id: &str,
        targets: &Targets,
    ) -> Result<RunningMigration, MigrationState> {
        let mut known = locked(&self.0);
        if let Some(running) = known.get(id).filter(|known| !known.has_stopped()) {
            return Err(running.state());
        }
        if known.len() >= REMEMBERED {
            known.retain(|_, known| !known.has_stopped());
        }
        let progress = Arc::new(Progress {
            id: id.to_owned(),
            total: targets.moved + targets.orgs.len(),
            done: AtomicUsize::new(targets.moved),
            failed: Mutex::default(),
            is_done: AtomicBool::new(false),
            has_stopped: AtomicBool::new(false),
        });
        known.insert(id.to_owned(), Arc::clone(&progress));
        Ok(RunningMigration(progress))
    }
}

impl Progress {
    pub(super) fn has_stopped(&self) -> bool {
        self.has_stopped.load(Ordering::Acquire)
    }

    pub(super) fn state(&self) -> MigrationState {
        // This is read first, so that the counts are complete.
        let is_done = self.is_done.load(Ordering::Acquire);
        let failed = locked(&self.failed);
        let failures = failed.iter().map(|(org, error)| MigrationFailure {
            org: org.clone(),
            error: error.clone(),
        });
        MigrationState {
            id: self.id.clone(),
            is_done,
            total: self.total,
            done: self.done.load(Ordering::Acquire),
            failed: failures.collect(),
        }
    }

    /// Notes that every org was tried.
    pub(super) fn finish(&self) {
        self.is_done.store(true, Ordering::Release);
    }

    /// Notes the failure of an org that is tried again.
    pub(super) fn note_failure(&self, org: OrgName, error: Error) {
        locked(&self.failed).insert(org, error);
    }

    /// Notes the outcome of an org that is not tried again.
    pub(super) fn note_outcome(
        &self,
        org: OrgName,
        outcome: Result<Outcome>,
        record: &MigrationRecord,
    ) {
        let is_named = record.request.orgs.is_some();
        let error = match outcome {
            Ok(Outcome::NotOnPlan) if is_named => {
                let reason = match &record.request.exchange {
                    Exchange::Plan { from, .. } => {
                        format!("the org does not have the plan: {:?}", from.as_str())
                    }
                    Exchange::ToMeters(_) => "no plan of the org is billed by usage records".into(),
                };
                Some(Error::Invalid(reason))
            }
            // It was deleted, or got another plan, since it was listed.
            Err(Error::OrgNotFound) if !is_named => None,
            Ok(_) => None,
            Err(error) => Some(error),
        };
        let mut failed = locked(&self.failed);
        if let Some(error) = error {
            failed.insert(org, error);
        } else {
            failed.remove(&org);
            self.done.fetch_add(1, Ordering::Release);
        }
    }
}

impl Drop for RunningMigration {
    fn drop(&mut self) {
        self.0.has_stopped.store(true, Ordering::Release);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
