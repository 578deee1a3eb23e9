//! Outages of Stripe, with or without the end of a period in them. Usage is accepted, and delivered afterwards.

use super::calls::no_calls_after;
use super::delivery::ROUND;
use super::ops::{HOUR, ORGS, Request};
use super::run::{Outcome, Run};
use tier::domain::DeliveryCounts;

const DAY: i64 = 24 * HOUR;

/// For how many seconds after its end a period may still take usage: while its invoice is a draft, and on meters until it
/// is known which events Stripe has counted. No outage ends in that time, since the period of its usage would be unknown.
const SETTLED_AFTER: i64 = 2 * HOUR;

/// How long a total waits after an attempt at delivery, in seconds.
const PAUSE: i64 = 60;

/// More seconds than all deliveries after an outage take.
const CATCHING_UP: i64 = 1_200;

impl Run<'_> {
    pub(super) async fn outage(&mut self, org: u8, calls: u8, hours: u8, last: Request) -> Outcome {
        let first = Request::Report {
            feature: 0,
            n: calls.try_into().map_err(|_| "too many calls")?,
            keyed: true,
        };
        self.deliver_all().await?;
        for request in [first, last] {
            if self.prepare(org, request).await?.is_none() {
                return Ok(());
            }
        }
        let until = self.end_of_outage(org, hours);
        let known = &self.orgs[usize::from(org)];
        let period = known.period;
        if known.states.iter().any(|state| state.is_due(until)) {
            // A server cannot read a phase that begins during the outage, so it accepts no usage for that phase.
            return Ok(());
        }
        // After this read, the server remembers the org, and accepts its usage during the outage.
        self.look(org, 0).await?;
        // This fault replaces all others: no call reaches Stripe, so no call can fail there.
        self.faults = vec![no_calls_after(0)];
        self.arm_faults();
        let key = self.key(first);
        let answer = self.send(0, org, first, key.as_deref()).await;
        let first = self.sent(first, &answer)?;
        self.attempt_delivery_during_outage(self.now + ROUND)
            .await?;
        self.attempt_delivery_during_outage(until).await?;
        self.now = until;
        // Two equal reports are one report that was sent twice.
        let last_key = if last == first.request {
            key.clone()
        } else {
            self.key(last)
        };
        let answer = self.send(0, org, last, last_key.as_deref()).await;
        let last = self.sent(last, &answer)?;
        self.settle().await;
        self.clear_faults();
        for org in 0..ORGS {
            for state in &mut self.orgs[usize::from(org)].states {
                state.advance(until);
            }
            let seen = self.look(org, 0).await?;
            let known = &mut self.orgs[usize::from(org)];
            if known.period.start != seen.period.start {
                known.delivered.clear();
            }
            known.period = seen.period;
        }
        self.catch_up().await?;
        // Usage that was too late for the ended period is counted in the present one, after that period's own report.
        let is_late = self.orgs[usize::from(org)].period.start != period.start;
        let mut sent = vec![first, last];
        if is_late {
            sent.reverse();
        }
        for (one, key) in [(first, key), (last, last_key)] {
            if one.request.is_keyed() {
                let answer = self.send(0, org, one.request, key.as_deref()).await;
                sent.push(self.sent(one.request, &answer)?);
            }
        }
        self.catch_up().await?;
        self.judge_at(org, &sent, until).await
    }

    /// The end of an outage of about `hours` hours, in Unix seconds.
    fn end_of_outage(&self, org: u8, hours: u8) -> i64 {
        let until = self.now + i64::from(hours) * HOUR;
        let ends = self.orgs[usize::from(org)].period.end;
        if ends == i64::MAX {
            return until;
        }
        match (until - ends).rem_euclid(DAY) {
            ..SETTLED_AFTER => until + SETTLED_AFTER,
            after if after > DAY - CATCHING_UP => until + CATCHING_UP + SETTLED_AFTER,
            _ => until,
        }
    }

    /// Attempts a round of deliveries at `at`, none of which reaches Stripe.
    async fn attempt_delivery_during_outage(&self, at: i64) -> Outcome {
        let server = self.world.server(0);
        server.set_clock(at);
        let delivered = server.domain().deliver().await;
        let delivered = delivered.map_err(|error| error.to_string())?;
        if delivered.delivered > 0 || delivered.refused > 0 {
            return Err(format!("{delivered:?} during an outage of Stripe"));
        }
        Ok(())
    }

    /// Lets the server deliver all its usage to Stripe, which may refuse late usage.
    async fn catch_up(&mut self) -> Outcome {
        let server = self.world.server(0);
        let mut busy = self.now;
        for _ in 0..CATCHING_UP / ROUND / 3 {
            let delivered = server.domain().deliver().await;
            let delivered = delivered.map_err(|error| error.to_string())?;
            if delivered != DeliveryCounts::default() {
                busy = self.now;
            }
            if self.now - busy >= PAUSE {
                for known in &mut self.orgs {
                    for state in &mut known.states {
                        state.advance(self.now);
                    }
                }
                return Ok(());
            }
            self.now += ROUND;
            server.set_clock(self.now);
        }
        Err("there is no end of deliveries after an outage".to_owned())
    }
}
