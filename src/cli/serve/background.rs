//! The background work of one account: the sweep, and the ledger's deliveries.

use std::time::Duration;

use anyhow::Context as _;

use crate::background::Tasks;
use crate::config;
use crate::domain::{self, Domain, Lane, LedgerHandle, LedgerSettings};
use crate::ledger::Location;

/// The length of a month, for costs per month.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often the opening of the ledger is tried again, if Stripe could not confirm its account at the start.
const OPEN_EVERY: Duration = Duration::from_secs(15);

/// How often due totals of the ledger are delivered.
const DELIVER_EVERY: Duration = Duration::from_secs(1);

/// How often ended periods of the ledger are settled, and undelivered usage is counted.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);

/// How often expired reservations are removed from the ledger. They stop counting when they expire, not when they are
/// removed.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// The extra wait after a failed read of the database.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The ledger of the settings, if they name one. It is opened later, once its account is known.
pub(super) fn ledger(settings: &config::Serve) -> anyhow::Result<Option<LedgerHandle>> {
    let Some(name) = settings.ledger()? else {
        return Ok(None);
    };
    let location = Location::named(name).context("cannot use --ledger")?;
    let ledger_settings = LedgerSettings {
        deliver_after: settings.ledger.deliver_after.0,
        keep: settings.ledger.ledger_keep.0,
        connections: settings.ledger.ledger_connections.into(),
    };
    let ledger = LedgerHandle::new(location.clone(), ledger_settings);
    let ledger = ledger.with_context(|| format!("cannot use --ledger {location}"))?;
    Ok(Some(ledger))
}

/// Starts the tasks of an account.
pub(super) async fn start(
    tasks: &mut Tasks,
    domain: &Domain,
    settings: &config::Serve,
) -> anyhow::Result<()> {
    let every = settings.freshness.reconcile.0;
    let swept = domain.clone();
    tasks.repeat("sweep", every, move || {
        sweep(swept.in_background(Lane::Bulk), every)
    });
    start_ledger(tasks, domain, settings.ledger.sync_every.0).await
}

/// Opens the ledger, if there is one, and starts its tasks.
async fn start_ledger(
    tasks: &mut Tasks,
    domain: &Domain,
    sync_every: Duration,
) -> anyhow::Result<()> {
    if !domain.has_ledger() {
        return Ok(());
    }
    match domain.open_ledger().await {
        Ok(()) => {}
        Err(error @ domain::Error::LedgerUnavailable(_)) => {
            return Err(error).context("cannot use --ledger");
        }
        Err(error) => tracing::warn!(
            %error,
            "the account of the ledger cannot be confirmed, because Stripe cannot be reached: no usage is accepted until it is"
        ),
    }
    let unopened = domain.clone();
    tasks.repeat("open-ledger", OPEN_EVERY, move || {
        let domain = unopened.in_background(Lane::Bulk);
        async move { domain.open_ledger().await }
    });
    let reader = domain.clone();
    tasks.repeat("sync-ledger", sync_every, move || {
        sync(reader.in_background(Lane::Bulk))
    });
    let sender = domain.clone();
    tasks.repeat("deliver", DELIVER_EVERY, move || {
        deliver(sender.in_background(Lane::Bulk))
    });
    let reserving = domain.clone();
    tasks.repeat("expire-reservations", EXPIRE_EVERY, move || {
        let domain = reserving.in_background(Lane::Bulk);
        async move { domain.expire_reservations().await }
    });
    let domain = domain.clone();
    tasks.repeat("maintain-ledger", MAINTAIN_EVERY, move || {
        let domain = domain.in_background(Lane::Bulk);
        async move { domain.maintain_ledger().await }
    });
    Ok(())
}

/// Reads what other servers have changed in a shared ledger.
async fn sync(domain: Domain) -> Result<(), domain::Error> {
    let synced = domain.sync_ledger().await;
    if synced.is_err() {
        tokio::time::sleep(WAIT_AFTER_FAILURE).await;
    }
    synced
}

async fn deliver(domain: Domain) -> Result<(), domain::Error> {
    if domain.has_open_ledger() {
        domain.deliver().await?;
    }
    Ok(())
}

/// Finds changes that no event reported, and logs the number of calls. Stripe allows about 500 reads per payment, and
/// at least 10,000 a month.
async fn sweep(domain: Domain, every: Duration) -> Result<(), domain::Error> {
    let found = domain.sweep().await?;
    let sweeps_a_month = MONTH.as_millis().div_ceil(every.as_millis().max(1));
    let calls_a_month = sweeps_a_month.saturating_mul(found.calls.try_into().unwrap_or(u128::MAX));
    tracing::info!(
        subscriptions = found.subscriptions,
        drifted = found.drifted,
        unsettled = found.unsettled,
        calls = found.calls,
        calls_a_month,
        "swept"
    );
    Ok(())
}
