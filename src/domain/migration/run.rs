//! Moves the orgs of a migration, many in parallel.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};

use super::progress::Progress;
use super::record::MigrationRecord;
use super::targets::{Target, Targets};
use super::{MigrationState, ResolvedExchange};
use crate::domain::{Domain, Error, Lane, Result};
use telemetry::error_chain;

/// How many times an org is tried if its change fails for a temporary reason.
const PASSES: u32 = 4;

/// The pause before the second pass, in units of the first wait between attempts of a call. It doubles each time.
const PAUSE: u32 = 20;

/// After this many failures in a row, Stripe counts as unavailable, and the rest of the pass is skipped.
const MAX_FAILURES: usize = 25;

impl Domain {
    pub(super) async fn migration_progress(&self, id: &str) -> Result<Option<Arc<Progress>>> {
        Ok(self.shared().await?.migrations.get(id))
    }

    /// Begins to move the orgs, unless this process is already doing so.
    pub(super) async fn run_migration(
        &self,
        record: MigrationRecord,
        exchange: ResolvedExchange,
        targets: Targets,
    ) -> Result<MigrationState> {
        let shared = self.shared().await?;
        let running = match shared.migrations.begin(&record.id, &targets) {
            Ok(running) => running,
            Err(running) => return Ok(running),
        };
        let state = running.0.state();
        let domain = self.in_background(Lane::Bulk);
        // A unique name, so that a task that is just ending does not block this one.
        let name = format!("migrate:{}", uuid::Uuid::new_v4());
        self.background().start(name, async move {
            let moves = domain.move_all(&record, &exchange, targets.orgs, &running.0);
            moves.await;
        });
        Ok(state)
    }

    async fn move_all(
        &self,
        record: &MigrationRecord,
        exchange: &ResolvedExchange,
        mut orgs: Vec<Target>,
        progress: &Progress,
    ) {
        for pass in 0..PASSES {
            orgs = self.move_once(record, exchange, orgs, progress).await;
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
                "a migration is interrupted, because the server is stopping"
            );
            return;
        }
        let state = progress.state();
        if let Err(error) = self
            .note_end_of_migration(&MigrationState {
                is_done: true,
                ..state
            })
            .await
        {
            tracing::warn!(
                error = error_chain(&error),
                migration = record.id,
                "the end of a migration could not be noted"
            );
        }
        progress.finish();
    }

    /// Tries each org once. Returns those with a temporary failure.
    async fn move_once(
        &self,
        record: &MigrationRecord,
        exchange: &ResolvedExchange,
        orgs: Vec<Target>,
        progress: &Progress,
    ) -> Vec<Target> {
        let failures_in_a_row = AtomicUsize::new(0);
        let failures = &failures_in_a_row;
        let moves: Vec<_> = orgs
            .into_iter()
            .map(|target| async move {
                let gives_up = failures.load(Ordering::Relaxed) >= MAX_FAILURES;
                if gives_up || self.background().is_stopping() {
                    return Some(target);
                }
                // Boxed, since there may be very many of these futures.
                match Box::pin(self.move_org(&target, record, exchange)).await {
                    Err(error) if is_temporary(&error) => {
                        failures.fetch_add(1, Ordering::Relaxed);
                        let org = &target.org;
                        tracing::info!(error = error_chain(&error), %org, migration = record.id, "an org could not be moved yet");
                        progress.note_failure(org.clone(), error);
                        return Some(target);
                    }
                    outcome => progress.note_outcome(target.org, outcome, record),
                }
                failures.store(0, Ordering::Relaxed);
                None
            })
            .collect();
        let moves = stream::iter(moves).buffer_unordered(self.parallel());
        moves.filter_map(std::future::ready).collect().await
    }
}

/// Whether a failure may be temporary.
fn is_temporary(error: &Error) -> bool {
    matches!(
        error,
        Error::RateLimited { .. }
            | Error::Busy { .. }
            | Error::Listing { .. }
            | Error::Abandoned
            | Error::NotAdmitted(_)
            | Error::Unavailable { .. }
            | Error::Undelivered
            | Error::Unprocessed
            | Error::PlanChanging
            | Error::TooSoon
            | Error::LedgerUnavailable(_)
            | Error::OutcomeUnknown(_)
            | Error::Unfinished(_)
            | Error::TimedOut { .. }
    )
}
