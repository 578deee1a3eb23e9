//! Usage that Stripe refused permanently, and an operator's decision about it.

use crate::domain::{Domain, Error, Result};
use crate::ledger::state::{Event, Refusal, Total, TotalId};
use crate::ledger::store::read::Reader;

/// Refused usage of one item in one period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedUsage {
    /// The id of its total.
    pub id: u64,
    /// The org.
    pub org: String,
    /// The feature.
    pub feature: String,
    /// The subscription item.
    pub item: String,
    /// The start of its period, in Unix seconds.
    pub from: i64,
    /// The end of its period, in Unix seconds.
    pub to: i64,
    /// The units that Stripe has not recorded.
    pub n: i64,
    /// The period's total.
    pub total: i64,
    /// Stripe's reason.
    pub reason: String,
    /// When it was parked, in Unix seconds.
    pub since: i64,
}

/// An operator's decision about parked usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedDecision {
    /// Send it again.
    Retry,
    /// Write it off: lower the total to the quantity that Stripe has recorded.
    WriteOff,
}

impl ParkedUsage {
    fn of(total: &Total) -> Option<Self> {
        let parked = total.parked.as_ref()?;
        Some(Self {
            id: total.id.0,
            org: total.org.to_string(),
            feature: total.feature.to_string(),
            item: total.item.to_string(),
            from: total.period.start.seconds(),
            to: total.period.end.seconds(),
            n: total.n.saturating_sub(total.delivery.delivered),
            total: total.n,
            reason: parked.reason.to_string(),
            since: parked.since.seconds(),
        })
    }
}

impl Domain {
    /// All parked usage, oldest first.
    pub async fn parked(&self) -> Result<Vec<ParkedUsage>> {
        let handle = self.needed_ledger("parked usage")?;
        let totals = handle.read(Reader::parked).await?;
        Ok(totals.iter().filter_map(ParkedUsage::of).collect())
    }

    /// Applies a decision to the parked usage of total `id`.
    pub async fn decide_parked(&self, id: u64, decision: ParkedDecision) -> Result<()> {
        let handle = self.needed_ledger("parked usage")?;
        let event = match decision {
            ParkedDecision::Retry => Event::Retry(TotalId(id)),
            ParkedDecision::WriteOff => Event::WriteOff(TotalId(id)),
        };
        let now = self.ledger_time().await?;
        let answers = handle
            .opened()?
            .submit(vec![event], self.by_clock(now))
            .await?;
        let refusal = answers.into_iter().find_map(Result::err);
        let Some(refusal) = refusal else {
            return Ok(());
        };
        Err(Error::Invalid(match refusal {
            Refusal::UnknownTotal => format!("there is no parked usage with the id {id}"),
            Refusal::NotParked => format!("the usage with the id {id} is not parked"),
            other => other.to_string(),
        }))
    }
}
