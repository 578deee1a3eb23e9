//! Reports with a client's idempotency key: the same key and the same report count once.
//!
//! Stripe remembers the key too, so this holds across restarts and instances. What is remembered
//! here lets a repetition be answered without Stripe, tells the same report from another one, and
//! covers a plan change, by which Stripe sees other parameters.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{Failure, Report};
use crate::domain::refs::OrgName;
use crate::domain::{Domain, Error, Result};
use crate::num::hex;

/// How long a key is remembered: as long as Stripe promises to.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// The keys of the last 24 hours, each with the number of its account.
pub(in crate::domain) struct KeyedReports(Cache<(u64, String), Arc<Slot>>);

/// What is known of one key.
struct Slot {
    /// The digest of the report that came with it.
    report: [u8; 32],
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not sent yet.
    New,
    /// Sent, and the outcome is not known: Stripe may have counted it.
    Unsure,
    /// Counted.
    Done,
}

impl KeyedReports {
    /// Room for `most` keys; of those beyond, Stripe's memory is all there is.
    pub(in crate::domain) fn new(most: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(most)
            .time_to_live(REMEMBERED)
            // A report is repeated soon or never, so the newest keys are the ones to have.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self(cache)
    }
}

impl Domain {
    pub(super) async fn report_once(
        &self,
        org: &OrgName,
        report: &Report,
        key: &str,
    ) -> Result<()> {
        let digest = digest(org, report);
        let name = self.name_of(key);
        let slots = &self.account.memory.reports().0;
        let entry = (self.account.number, name.clone());
        let fresh = async {
            Arc::new(Slot {
                report: digest,
                state: Mutex::new(State::New),
            })
        };
        let slot = slots.get_with(entry.clone(), fresh).await;
        if slot.report != digest {
            return Err(reused());
        }
        let mut state = slot.state.lock().await;
        if *state == State::Done {
            return Ok(());
        }
        // What a clobber sends depends on what is recorded by then, and would not tell Stripe
        // whether this is the same report. The key does: it is spent by this report alone. If it is
        // spent and the total is not below `n`, this was counted; below, Stripe may have refused it.
        let stripe_key = if report.clobber {
            format!("{name}:{}", hex(&digest))
        } else {
            name.clone()
        };
        match self.record_for(org, report, &stripe_key).await {
            Ok(()) => {
                *state = State::Done;
                Ok(())
            }
            // Stripe knows the key with other parameters. If we sent them, they were this report's.
            Err(Failure::Stripe(error)) if error.is_idempotency_conflict() => {
                if *state == State::Unsure {
                    *state = State::Done;
                    return Ok(());
                }
                slots.invalidate(&entry).await;
                Err(reused())
            }
            Err(failure) => {
                match &failure {
                    Failure::Stripe(error) if error.is_inconclusive() => {
                        *state = State::Unsure;
                    }
                    // Nothing was counted, so the key is free for a corrected report.
                    _ if *state == State::New => slots.invalidate(&entry).await,
                    _ => {}
                }
                Err(failure.into())
            }
        }
    }

    /// A client's key as Stripe is sent it. Stripe takes up to 255 characters; a digest is short, and cannot meet the
    /// keys that this server makes for other purposes. Each test clock is a world of its own.
    fn name_of(&self, key: &str) -> String {
        let clock = self.test_clock.as_deref().unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(clock)
            .chain_update([0])
            .chain_update(key)
            .finalize();
        format!("report:{}", hex(&digest))
    }

    /// Like [`Domain::with_customer`], keeping Stripe's own error.
    async fn record_for(&self, org: &OrgName, report: &Report, key: &str) -> Result<(), Failure> {
        let attempt = || async move {
            let customer = self.customer(org).await?;
            self.record(&customer, report, Some(key)).await
        };
        self.again_if_gone(org, Failure::is_customer_gone, attempt)
            .await
    }
}

impl Failure {
    fn is_customer_gone(&self) -> bool {
        match self {
            Self::Stripe(error) => error
                .api()
                .is_some_and(crate::stripe::ApiError::is_customer_missing),
            Self::Domain(error) => error.is_customer_gone(),
        }
    }
}

fn reused() -> Error {
    Error::Invalid(
        "the Idempotency-Key was used before with another report; use a new key for each".into(),
    )
}

fn digest(org: &OrgName, report: &Report) -> [u8; 32] {
    let text = format!(
        "{org}\n{}\n{}\n{:?}\n{}",
        report.feature, report.n, report.at, report.clobber
    );
    Sha256::digest(text.as_bytes()).into()
}
