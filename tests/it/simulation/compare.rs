//! Compares what the servers and Stripe show of an org with the states that the model allows.

use super::model::Org;
use super::ops::{HOUR, ORGS, Request, SERVERS};
use super::run::{Outcome, Run};
use super::seen::{self, Seen};
use crate::owed::owed;
use tier::metrics::Format;

/// How many cents rounding may lose or gain in a whole list. An hour of the cheapest plan costs more, and so does a
/// unit of usage, so no real difference is overlooked.
const ROUNDING: i64 = 20;

/// The number of seconds after which every period has ended and its invoice is final.
const INVOICED_AFTER: i64 = 48 * HOUR;

impl Run<'_> {
    pub(super) async fn look(&self, org: u8, at: u8) -> Outcome<Seen> {
        let (one, other) = (self.world.server((at + 1) % SERVERS), self.world.server(at));
        Seen::of(self.world, &self.name(org), [&one, &other], self.now).await
    }

    /// Keeps the states that agree with `seen`, and with the usage in Stripe if several do.
    pub(super) async fn compare(&mut self, org: u8, seen: &Seen) -> Outcome {
        self.compare_seen(org, seen)?;
        if self.orgs[usize::from(org)].states.len() > 1 {
            self.compare_usage(org, seen).await?;
        }
        Ok(())
    }

    /// Keeps the states that agree with `seen`, without reading usage from Stripe.
    pub(super) fn compare_seen(&mut self, org: u8, seen: &Seen) -> Outcome {
        let known = &mut self.orgs[usize::from(org)];
        if known.period.start != seen.period.start {
            known.reported.clear();
            known.delivered.clear();
        }
        known.period = seen.period;
        keep(&mut known.states, |state| seen.compare(state))
    }

    async fn compare_usage(&mut self, org: u8, seen: &Seen) -> Outcome {
        let usage = if self.world.has_ledger() {
            self.deliver_all().await?;
            self.look(org, 0).await?.usage(self.world).await?
        } else {
            seen.usage(self.world).await?
        };
        let on_meters = self.world.usage().is_on_meters();
        let known = &mut self.orgs[usize::from(org)];
        keep(&mut known.states, |state| {
            seen::compare_usage(&usage, state, on_meters)
        })
    }

    /// At the end of a list, compares each org's usage over all periods. Then cancels the org and compares its debt.
    pub(super) async fn compare_all(&mut self) -> Outcome {
        self.clear_faults();
        for org in 0..ORGS {
            let seen = self.look(org, 0).await?;
            self.compare_usage(org, &seen).await?;
            if self.orgs[usize::from(org)]
                .states
                .iter()
                .any(|state| state.known)
            {
                self.ask(org % SERVERS, org, Request::Cancel).await?;
                self.compare_money(org).await?;
            }
        }
        self.compare_ledger().await
    }

    /// Checks that Stripe has billed all usage in the ledger, once all periods have been invoiced.
    async fn compare_ledger(&mut self) -> Outcome {
        if !self.world.has_ledger() {
            return Ok(());
        }
        self.deliver_all().await?;
        self.now += INVOICED_AFTER;
        self.world.server(0).set_clock(self.now);
        self.settle_periods(&["undelivered", "parked", "differences_total"])
            .await
    }

    /// Lets the server settle the periods that have ended. Afterwards, each of these metrics must be zero.
    pub(super) async fn settle_periods(&self, are_zero: &[&str]) -> Outcome {
        if !self.world.has_ledger() {
            return Ok(());
        }
        let server = self.world.server(0);
        let settled = server.domain().maintain_ledger().await;
        settled.map_err(|error| error.to_string())?;
        let text = server.metrics().encode(Format::Classic, []);
        let text = text.map_err(|error| error.to_string())?;
        for name in are_zero {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("tier_ledger_{name} ")));
            if line != Some("0") {
                return Err(format!("{name}: {}", line.unwrap_or("not counted")));
            }
        }
        Ok(())
    }

    async fn compare_money(&mut self, org: u8) -> Outcome {
        let server = self.world.server(0);
        let path = format!("/v1/whois?org={}", self.name(org));
        let customer = server.get(&path).await.ok().json()["stripe_id"].clone();
        let customer = customer.as_str().ok_or("no customer")?;
        let owed = owed(&server, Some(customer)).await;
        let known = &mut self.orgs[usize::from(org)];
        keep(&mut known.states, |state| {
            if (owed - state.owed()).abs() <= ROUNDING {
                return Ok(());
            }
            let expected = state.owed();
            Err(format!("org {org} owes {owed} cents, expected {expected}"))
        })
    }
}

/// Keeps the states that pass the check. Fails if none does.
fn keep(states: &mut Vec<Org>, check: impl Fn(&Org) -> Outcome) -> Outcome {
    let mut reason = String::new();
    states.retain(|state| match check(state) {
        Ok(()) => true,
        Err(why) => {
            reason = why;
            false
        }
    });
    if states.is_empty() {
        Err(reason)
    } else {
        Ok(())
    }
}
