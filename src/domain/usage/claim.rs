//! Claims, which bind a client's idempotency key to one report across servers and restarts.
//!
//! Before anything is recorded, the key is claimed at Stripe by an update of the customer that changes nothing: it
//! unsets a metadata key that does not exist. The idempotency key of that call is derived from the client's key, and
//! its parameters from the report. So Stripe refuses a different report with the same key, and replays the first answer
//! to the same report. That answer contains the customer's subscriptions at that time, so a repeated report finds its
//! original item, even after a change of plan, and can repeat exactly the same call. The claim costs no extra call,
//! since the subscriptions are needed anyway.

use sha2::{Digest as _, Sha256};

use super::record::metered_item;
use crate::billing::{CustomerUpdate, Metadata, Subscription, SubscriptionItem};
use crate::domain::refs::FeatureName;
use crate::domain::subscription::{self, Detail, Subscriptions};
use crate::domain::{Domain, Error, Failure, Result};
use crate::num::hex;

/// How often a claim is repeated with the next key because Stripe replays an earlier failure.
const CLAIMS: u32 = 10;

/// A client's key, as it is used in calls to Stripe.
pub(super) struct ReportKey {
    /// The prefix of the idempotency keys of its calls.
    pub(super) name: String,
    /// The digest of its report.
    pub(super) report: [u8; 32],
}

impl ReportKey {
    /// A write without effect, whose parameters identify the report.
    pub(super) fn report_mark(&self) -> CustomerUpdate<'static> {
        mark(&self.report[..8])
    }

    /// A write without effect that marks the report as done.
    pub(super) fn done_mark(&self) -> CustomerUpdate<'static> {
        mark(&self.digest_bytes())
    }

    /// Identifies the report of a published addition, without revealing the key.
    pub(super) fn digest(&self) -> String {
        hex(&self.digest_bytes())
    }

    fn digest_bytes(&self) -> [u8; 8] {
        let own = Sha256::new()
            .chain_update(&self.name)
            .chain_update(self.report);
        *own.finalize().first_chunk().expect("of 32 bytes")
    }

    /// The idempotency key of the usage record in an attempt, from 1.
    pub(super) fn record_key(&self, attempt: u32) -> String {
        format!("{}:{attempt}", self.name)
    }

    /// The idempotency key of the call that marks the report as done.
    pub(super) fn done_key(&self) -> String {
        format!("{}:done", self.name)
    }
}

/// A claimed key.
pub(super) struct Claim {
    /// The org's subscription when the key was claimed.
    pub(super) subscription: Subscription,
    /// The report's item when the key was claimed.
    pub(super) item: SubscriptionItem,
    /// Whether the key had been claimed before, so that the report may have been recorded already.
    pub(super) is_repeated: bool,
}

impl Domain {
    /// Claims `key` for its report, or returns the earlier claim.
    pub(super) async fn claim(
        &self,
        customer: &str,
        feature: &FeatureName,
        key: &ReportKey,
    ) -> Result<Claim, Failure> {
        let (subscriptions, is_repeated) = self.claimed_subscriptions(customer, key).await?;
        match found(subscriptions, feature, is_repeated) {
            // At the time of the first claim there was no item to record on, but there may be one now.
            Err(_) if is_repeated => {
                let now = self.subscriptions(customer, Detail::Items).await?;
                Ok(found(now, feature, true)?)
            }
            found => Ok(found?),
        }
    }

    async fn claimed_subscriptions(
        &self,
        customer: &str,
        key: &ReportKey,
    ) -> Result<(Subscriptions, bool), Failure> {
        let claim = self
            .billing()
            .update_customer_and_read_subscriptions(customer, &key.report_mark());
        let mut attempt = 1;
        let answer = loop {
            let name = match attempt {
                1 => key.name.clone(),
                _ => format!("{}:claim:{attempt}", key.name),
            };
            match claim.clone().key(name).send_detecting_replay().await {
                Err(error) if error.is_idempotency_conflict() => return Err(key_reused().into()),
                Err(error)
                    if error.is_replayed() && error.is_stripe_failure() && attempt < CLAIMS =>
                {
                    attempt += 1;
                }
                answer => break answer?,
            }
        };
        if answer.value.deleted {
            return Err(Error::CustomerVanished { source: None }.into());
        }
        let is_repeated = answer.replayed || attempt > 1;
        match answer.value.subscriptions {
            // An org has one or two subscriptions. Some are missing only if the customer has many from others.
            Some(all) if all.next.is_none() => Ok((subscription::classify(all.items), is_repeated)),
            _ => Ok((
                self.subscriptions(customer, Detail::Items).await?,
                is_repeated,
            )),
        }
    }
}

/// An update that unsets a metadata key that does not exist.
fn mark(digest: &[u8]) -> CustomerUpdate<'static> {
    let key = format!("tier.report.{}", hex(digest));
    CustomerUpdate {
        metadata: Metadata::from([(key, String::new())]),
        ..CustomerUpdate::default()
    }
}

fn found(subscriptions: Subscriptions, feature: &FeatureName, is_repeated: bool) -> Result<Claim> {
    let (subscription, item) = metered_item(subscriptions, feature)?;
    Ok(Claim {
        subscription,
        item,
        is_repeated,
    })
}

pub(in crate::domain) fn key_reused() -> Error {
    Error::Invalid(
        "the Idempotency-Key was used before with another report; use a new key for each".into(),
    )
}
