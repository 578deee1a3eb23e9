//! What makes a client's idempotency key the key of one report, on every server and after every restart.
//!
//! A key is claimed at Stripe before anything is recorded, by an update of the customer that changes nothing: it unsets a
//! key of its metadata that is not there. The idempotency key of that call is made of the client's key, its parameters
//! of the report. So another report under the same key is refused by Stripe, and the same report is given the answer
//! that the first one got, word for word. In that answer are the customer's subscriptions as they were: whoever repeats
//! the report finds the very item that it was for, whatever the org is subscribed to by then, and can repeat the very
//! call. A call to Stripe is not spent on it: without a claim the subscriptions would be read instead.

use sha2::{Digest as _, Sha256};

use super::record::metered_item;
use crate::billing::{CustomerUpdate, Metadata, Subscription, SubscriptionItem};
use crate::domain::refs::FeatureName;
use crate::domain::subscription::{self, Detail, Subscriptions};
use crate::domain::{Domain, Error, Failure, Result};
use crate::num::hex;

/// How often a claim is made under the next key because Stripe tells an earlier failure.
const CLAIMS: u32 = 10;

/// A client's key, in the words of Stripe's calls.
pub(super) struct Key {
    /// What the idempotency keys of its calls begin with.
    pub(super) name: String,
    /// The digest of the report that came with it.
    pub(super) report: [u8; 32],
}

impl Key {
    /// A write without effect, by whose parameters the claim says which report it is for.
    pub(super) fn report_mark(&self) -> CustomerUpdate<'static> {
        mark(&self.report[..8])
    }

    /// Likewise, for a call that says that the report is done.
    pub(super) fn done_mark(&self) -> CustomerUpdate<'static> {
        mark(&self.own_digest())
    }

    /// Says which report a published addition is for. It tells nothing of the key.
    pub(super) fn digest(&self) -> String {
        hex(&self.own_digest())
    }

    fn own_digest(&self) -> [u8; 8] {
        let own = Sha256::new()
            .chain_update(&self.name)
            .chain_update(self.report);
        *own.finalize().first_chunk().expect("of 32 bytes")
    }

    /// The idempotency key of the record itself, as its `attempt`, from 1.
    pub(super) fn of_record(&self, attempt: u32) -> String {
        format!("{}:{attempt}", self.name)
    }

    /// The idempotency key of the call that notes that the report is done.
    pub(super) fn of_end(&self) -> String {
        format!("{}:done", self.name)
    }
}

/// A key that is claimed.
pub(super) struct Claim {
    /// The org's subscription, as it was when the key was claimed.
    pub(super) subscription: Subscription,
    /// The item that the report was for when the key was claimed.
    pub(super) item: SubscriptionItem,
    /// Whether it was claimed before: the report may have been recorded already.
    pub(super) repeated: bool,
}

impl Domain {
    /// Claims `key` for its report, or finds that this was done before.
    pub(super) async fn claim(
        &self,
        customer: &str,
        feature: &FeatureName,
        key: &Key,
    ) -> Result<Claim, Failure> {
        let (subscriptions, repeated) = self.claimed_subscriptions(customer, key).await?;
        match found(subscriptions, feature, repeated) {
            // There was nothing to record on then. There may be by now.
            Err(_) if repeated => {
                let now = self.subscriptions(customer, Detail::Items).await?;
                Ok(found(now, feature, true)?)
            }
            found => Ok(found?),
        }
    }

    async fn claimed_subscriptions(
        &self,
        customer: &str,
        key: &Key,
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
            match claim.clone().key(name).send_once().await {
                Err(error) if error.is_idempotency_conflict() => return Err(reused().into()),
                Err(error)
                    if error.is_replayed() && error.is_failure_of_stripes() && attempt < CLAIMS =>
                {
                    attempt += 1;
                }
                answer => break answer?,
            }
        };
        if answer.value.deleted {
            return Err(Error::CustomerVanished { source: None }.into());
        }
        let repeated = answer.replayed || attempt > 1;
        match answer.value.subscriptions {
            // An org has one or two; only with many of somebody else's are they not all here.
            Some(page) if !page.has_more => Ok((subscription::sort_out(page.data), repeated)),
            _ => Ok((self.subscriptions(customer, Detail::Items).await?, repeated)),
        }
    }
}

/// Unsets a key of metadata that is not there.
fn mark(digest: &[u8]) -> CustomerUpdate<'static> {
    let key = format!("tier.report.{}", hex(digest));
    CustomerUpdate {
        metadata: Metadata::from([(key, String::new())]),
        ..CustomerUpdate::default()
    }
}

fn found(subscriptions: Subscriptions, feature: &FeatureName, repeated: bool) -> Result<Claim> {
    let (subscription, item) = metered_item(subscriptions, feature)?;
    Ok(Claim {
        subscription,
        item,
        repeated,
    })
}

pub(in crate::domain) fn reused() -> Error {
    Error::Invalid(
        "the Idempotency-Key was used before with another report; use a new key for each".into(),
    )
}
