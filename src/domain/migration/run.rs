//! Moves the orgs of a migration, many at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};

use super::progress::Progress;
use super::record::Record;
use super::targets::{Target, Targets};
use super::{MigrationState, Terms};
use crate::domain::{Domain, Error, Lane, Result};
use crate::telemetry::error_chain;

/// How often an org is tried whose change fails for a reason that passes.
const PASSES: u32 = 4;

/// The pause before the second of these passes, in first waits of a call to Stripe. It doubles each time.
const PAUSE: u32 = 20;

/// After so many failures in a row Stripe is taken to be unavailable, and the rest of the pass is not tried.
const MOST_FAILURES: usize = 25;

impl Domain {
    pub(super) async fn running_migration(&self, id: &str) -> Result<Option<Arc<Progress>>> {
        Ok(self.shared().await?.migrations.get(id))
    }

    /// Begins to move the orgs, unless this process is at it already.
    pub(super) async fn run_migration(
        &self,
        record: Record,
        terms: Terms,
        targets: Targets,
    ) -> Result<MigrationState> {
        let shared = self.shared().await?;
        let at_work = match shared.migrations.begin(&record.id, &targets) {
            Ok(at_work) => at_work,
            Err(running) => return Ok(running),
        };
        let state = at_work.0.state();
        let domain = self.in_background(Lane::Bulk);
        // Of its own: one that ends at this moment is not in its way.
        let name = format!("migrate:{}", uuid::Uuid::new_v4());
        self.background().start(name, async move {
            let moves = domain.move_all(&record, &terms, targets.orgs, &at_work.0);
            moves.await;
        });
        Ok(state)
    }

    async fn move_all(
        &self,
        record: &Record,
        terms: &Terms,
        mut orgs: Vec<Target>,
        progress: &Progress,
    ) {
        for pass in 0..PASSES {
            orgs = self.move_once(record, terms, orgs, progress).await;
            if orgs.is_empty() || self.background().is_stopping() {
                break;
            }
            if pass + 1 < PASSES {
                let pause = self.stripe().first_wait() * (PAUSE << pass);
                self.background().pause(pause).await;
            }
        }
        if self.background().is_stopping() {
            tracing::info!(
                migration = record.id,
                "a migration is interrupted, since the server stops"
            );
            return;
        }
        let state = progress.state();
        if let Err(error) = self
            .end_record(&MigrationState {
                is_done: true,
                ..state
            })
            .await
        {
            tracing::warn!(
                error = error_chain(&error),
                migration = record.id,
                "the end of a migration is not noted"
            );
        }
        progress.end();
    }

    /// Tries each org once. Returns those whose failure may pass.
    async fn move_once(
        &self,
        record: &Record,
        terms: &Terms,
        orgs: Vec<Target>,
        progress: &Progress,
    ) -> Vec<Target> {
        let failures_in_a_row = AtomicUsize::new(0);
        let failures = &failures_in_a_row;
        let moves: Vec<_> = orgs
            .into_iter()
            .map(|target| async move {
                let gives_up = failures.load(Ordering::Relaxed) >= MOST_FAILURES;
                if gives_up || self.background().is_stopping() {
                    return Some(target);
                }
                // On the heap, since there may be very many of these futures.
                match Box::pin(self.move_org(&target, record, terms)).await {
                    Err(error) if passes(&error) => {
                        failures.fetch_add(1, Ordering::Relaxed);
                        let org = &target.org;
                        tracing::info!(error = error_chain(&error), %org, migration = record.id, "an org is not moved yet");
                        progress.fail(org.clone(), error);
                        return Some(target);
                    }
                    outcome => progress.count(target.org, outcome, record),
                }
                failures.store(0, Ordering::Relaxed);
                None
            })
            .collect();
        let moves = stream::iter(moves).buffer_unordered(self.parallel());
        moves.filter_map(std::future::ready).collect().await
    }
}

/// Whether a failure may pass by itself.
fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::RateLimited { .. }
            | Error::Busy { .. }
            | Error::Listing { .. }
            | Error::Abandoned
            | Error::NotAdmitted(_)
            | Error::Unavailable { .. }
            | Error::Undelivered
            | Error::LedgerUnavailable(_)
            | Error::OutcomeUnknown(_)
            | Error::Unfinished(_)
            | Error::TimedOut { .. }
    )
}
