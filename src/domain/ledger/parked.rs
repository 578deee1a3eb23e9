//! Usage that Stripe has refused for good, and what a person decides about it.

use crate::domain::{Domain, Error, Result};
use crate::ledger::state::{Event, Refusal, Total, TotalId};
use crate::ledger::store::sqlite::Reader;

/// Usage of one item in one period that Stripe has refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedUsage {
    /// The number of its total.
    pub id: u64,
    /// Whose usage.
    pub org: String,
    /// Of what.
    pub feature: String,
    /// The subscription item.
    pub item: String,
    /// When its period began, in Unix seconds.
    pub from: i64,
    /// When its period ends, in Unix seconds.
    pub to: i64,
    /// Units that Stripe does not have.
    pub n: i64,
    /// The period's total.
    pub total: i64,
    /// Stripe's reason.
    pub reason: String,
    /// Since when it is parked, in Unix seconds.
    pub since: i64,
}

/// What becomes of parked usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkedDecision {
    /// Stripe is told again.
    Retry,
    /// It is given up: the total becomes what Stripe has.
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
            n: total.n.saturating_sub(total.delivery.told),
            total: total.n,
            reason: parked.reason.to_string(),
            since: parked.since.seconds(),
        })
    }
}

impl Domain {
    /// All parked usage, the oldest first.
    pub async fn parked(&self) -> Result<Vec<ParkedUsage>> {
        let handle = self.needed_ledger("parked usage")?;
        let totals = handle.read(Reader::parked).await?;
        Ok(totals.iter().filter_map(ParkedUsage::of).collect())
    }

    /// Decides what becomes of the parked usage of the total of that number.
    pub async fn decide_parked(&self, id: u64, decision: ParkedDecision) -> Result<()> {
        let handle = self.needed_ledger("parked usage")?;
        let event = match decision {
            ParkedDecision::Retry => Event::Retry(TotalId(id)),
            ParkedDecision::WriteOff => Event::WriteOff(TotalId(id)),
        };
        let now = self.ledger_time().await?;
        let answers = handle.opened()?.submit(vec![event], now).await?;
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
