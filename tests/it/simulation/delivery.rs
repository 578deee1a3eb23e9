//! Lists with a ledger. Usage is delivered to Stripe later, and seconds pass between requests.
//!
//! Usage that is recorded in the second in which a plan ends is not billed with that plan, so a server waits for that
//! second to pass. Waiting takes no time here. Instead, usage of every reported feature is delivered to Stripe before a
//! plan changes.

use std::collections::BTreeSet;

use super::ops::{FEATURES, ORGS, Request};
use super::run::{Outcome, Run};
use tier::domain::DeliveryCounts;

/// More seconds than a report waits to be delivered together with later ones.
pub(super) const ROUND: i64 = 31;

/// More seconds than there are between two events of a total.
const ROUND_ON_METERS: i64 = 61;

/// The number of rounds after which all usage must be delivered.
const ROUNDS: u32 = 40;

/// The feature whose usage a request may record.
fn recorded(request: Request) -> Option<&'static str> {
    match request {
        Request::Report { feature, .. }
        | Request::ReportAt { feature, .. }
        | Request::Clobber { feature, .. } => Some(FEATURES[usize::from(feature)]),
        Request::Commit { .. } => Some(FEATURES[0]),
        _ => None,
    }
}

impl Run<'_> {
    /// Prepares a request to a server with a ledger: lets time pass, and delivers usage before a plan change.
    pub(super) async fn before_request(&mut self, org: u8, request: Request) -> Outcome {
        if !self.world.has_ledger() {
            return Ok(());
        }
        self.pass(2).await?;
        let known = &mut self.orgs[usize::from(org)];
        if let Some(feature) = recorded(request) {
            known.reported.insert(feature);
        }
        if request.is_change() && !known.reported.is_subset(&known.delivered) {
            self.deliver_all().await?;
        }
        Ok(())
    }

    /// Whether two requests about an org may be made at the same time. `delivered_before` has
    /// the features whose usage was delivered before the requests were prepared.
    pub(super) fn may_be_at_once(
        &self,
        org: u8,
        requests: [Request; 2],
        delivered_before: &BTreeSet<&'static str>,
    ) -> bool {
        let changes = requests.iter().any(|request| request.is_change());
        let delivered = &self.orgs[usize::from(org)].delivered;
        let mut recorded = requests.into_iter().filter_map(recorded);
        // A usage record keeps the second of the first delivery. An event has the second in which it is sent.
        let keeps_second = !self.world.usage().is_on_meters();
        let has_second = |feature| {
            keeps_second && delivered_before.contains(feature) && delivered.contains(feature)
        };
        !self.world.has_ledger() || !changes || recorded.all(has_second)
    }

    /// Runs one round of deliveries, in which calls may fail.
    pub(super) async fn deliver(&mut self) -> Outcome {
        self.pass(ROUND).await?;
        self.arm_faults();
        let server = self.world.server(0);
        let delivered = server.domain().deliver().await;
        self.clear_faults();
        delivered.map(drop).map_err(|error| error.to_string())
    }

    /// Lets the server deliver all its usage to Stripe.
    pub(super) async fn deliver_all(&mut self) -> Outcome {
        if !self.world.has_ledger() {
            return Ok(());
        }
        let round = if self.world.usage().is_on_meters() {
            ROUND_ON_METERS
        } else {
            ROUND
        };
        for _ in 0..ROUNDS {
            let idle = self.deliver_due().await?;
            self.pass(round).await?;
            if idle && self.deliver_due().await? {
                for known in &mut self.orgs {
                    // A report that was not acknowledged may not have been counted, and then has no second.
                    let mut delivered = known.reported.clone();
                    delivered
                        .retain(|feature| known.states.iter().all(|org| org.has_recorded(feature)));
                    known.delivered = delivered;
                }
                return Ok(());
            }
        }
        Err("there is no end of deliveries".to_owned())
    }

    /// Delivers the usage that is due. Returns whether nothing was due.
    async fn deliver_due(&self) -> Outcome<bool> {
        let server = self.world.server(0);
        let delivered = server.domain().deliver().await;
        let delivered = delivered.map_err(|error| error.to_string())?;
        if delivered.refused > 0 || delivered.unanswered > 0 {
            return Err(format!("{delivered:?}"));
        }
        Ok(delivered == DeliveryCounts::default())
    }

    /// Lets `seconds` pass, and compares each org whose period or phase has ended.
    async fn pass(&mut self, seconds: i64) -> Outcome {
        let now = self.now + seconds;
        let is_due = |run: &Self, org: u8| {
            let known = &run.orgs[usize::from(org)];
            known.period.end <= now || known.states.iter().any(|state| state.is_due(now))
        };
        let due: Vec<u8> = (0..ORGS).filter(|org| is_due(self, *org)).collect();
        if !due.is_empty() {
            while !self.deliver_due().await? {}
        }
        self.now = now;
        self.world.server(0).set_clock(now);
        for known in &mut self.orgs {
            for state in &mut known.states {
                state.advance(now);
            }
        }
        for org in due {
            let seen = self.look(org, 0).await?;
            self.compare_seen(org, &seen)?;
        }
        Ok(())
    }
}
