//! Lists with a ledger: Stripe is told of usage afterwards, and seconds pass between requests.
//!
//! Usage that is recorded in the second in which a plan ends is not billed with it, so a server waits for that second to
//! pass. Here no time passes by waiting. So Stripe has been told of all features once before a plan changes.

use std::collections::BTreeSet;

use super::ops::{FEATURES, ORGS, Request};
use super::run::{Outcome, Run};
use tier::domain::DeliveryCounts;

/// Longer than reports wait for others to be told with.
pub(super) const ROUND: i64 = 31;

/// Longer than the time between two events of a total.
const ROUND_ON_METERS: i64 = 61;

/// How many rounds of deliveries there may be.
const ROUNDS: u32 = 40;

/// The feature of which a request may record usage.
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
    /// What has to be true before a request, with a ledger.
    pub(super) async fn before_request(&mut self, org: u8, request: Request) -> Outcome {
        if !self.world.has_ledger() {
            return Ok(());
        }
        self.pass(2).await?;
        let known = &mut self.orgs[usize::from(org)];
        if let Some(feature) = recorded(request) {
            known.reported.insert(feature);
        }
        if request.is_change() && !known.reported.is_subset(&known.told) {
            self.deliver_all().await?;
        }
        Ok(())
    }

    /// Whether two requests about an org may be made at the same time. `delivered` has the features of which usage was
    /// delivered before the requests were prepared.
    pub(super) fn may_be_at_once(
        &self,
        org: u8,
        requests: [Request; 2],
        delivered: &BTreeSet<&'static str>,
    ) -> bool {
        let changes = requests.iter().any(|request| request.is_change());
        let told = &self.orgs[usize::from(org)].told;
        let mut recorded = requests.into_iter().filter_map(recorded);
        // Usage records keep the second of the first one. An event has the second in which it is sent.
        let keeps_second = !self.world.usage().is_on_meters();
        let has_second =
            |feature| keeps_second && told.contains(feature) && delivered.contains(feature);
        !self.world.has_ledger() || !changes || recorded.all(has_second)
    }

    /// One round of deliveries, in which calls may fail.
    pub(super) async fn deliver(&mut self) -> Outcome {
        self.pass(ROUND).await?;
        self.arm_faults();
        let server = self.world.server(0);
        let delivered = server.domain().deliver().await;
        self.clear_faults();
        delivered.map(drop).map_err(|error| error.to_string())
    }

    /// Lets the server tell Stripe all that it has.
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
                    known.told = known.reported.clone();
                }
                return Ok(());
            }
        }
        Err("there is no end of deliveries".to_owned())
    }

    /// Tells Stripe what it is time to tell. Says whether there was nothing.
    async fn deliver_due(&self) -> Outcome<bool> {
        let server = self.world.server(0);
        let delivered = server.domain().deliver().await;
        let delivered = delivered.map_err(|error| error.to_string())?;
        if delivered.refused > 0 || delivered.unanswered > 0 {
            return Err(format!("{delivered:?}"));
        }
        Ok(delivered == DeliveryCounts::default())
    }

    /// Lets seconds pass.
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
