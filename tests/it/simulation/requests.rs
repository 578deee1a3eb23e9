//! Sends requests, one after the other or concurrently, and computes which states are possible after them.

use std::iter;

use axum::http::Method;

use super::calls::{Reserved, body, is_unsure, no_calls_after};
use super::model::{GRACE, GRACE_ON_METERS, Verdict};
use super::ops::{Request, Reservation, SERVERS};
use super::run::{Outcome, Run, Usage};
use super::sent::{History, Sent};
use crate::harness::Answer;
use testing::time::until;

/// A request, and the server to which it was sent.
#[derive(Clone)]
struct Try {
    at: u8,
    key: Option<String>,
    sent: Sent,
}

/// More seconds than the preparation of a request takes.
const SOON: i64 = 30;

fn numbered(place: usize) -> Reservation {
    place.try_into().expect("lists are short")
}

impl Run<'_> {
    pub(super) async fn ask(&mut self, at: u8, org: u8, request: Request) -> Outcome {
        let Some(request) = self.prepare(org, request).await? else {
            return Ok(());
        };
        self.arm_faults();
        let key = self.key(request);
        let answer = self.send(at, org, request, key.as_deref()).await;
        let sent = self.sent(request, &answer)?;
        self.settle().await;
        self.conclude(org, &[Try { at, key, sent }]).await
    }

    /// Sends a request during which the server crashes.
    pub(super) async fn die(&mut self, org: u8, request: Request, calls: u8) -> Outcome {
        let Some(request) = self.prepare(org, request).await? else {
            return Ok(());
        };
        self.faults.push(no_calls_after(calls));
        self.arm_faults();
        let key = self.key(request);
        let answer = self.send(0, org, request, key.as_deref()).await;
        let sent = self.sent(request, &answer)?;
        self.settle().await;
        self.world.server(0).sandbox().clear_faults();
        self.world.restart(0).await;
        self.conclude(org, &[Try { at: 0, key, sent }]).await
    }

    pub(super) async fn at_once(
        &mut self,
        at: [u8; 2],
        orgs: [u8; 2],
        requests: [Request; 2],
        hang_up: Option<u8>,
    ) -> Outcome {
        // Two equal requests are one request that was sent twice.
        let is_same = orgs[0] == orgs[1] && requests[0] == requests[1];
        let delivered_before = self.orgs[usize::from(orgs[0])].delivered.clone();
        let Some(one) = self.prepare(orgs[0], requests[0]).await? else {
            return Ok(());
        };
        let other = if is_same {
            Some(one)
        } else {
            self.prepare(orgs[1], requests[1]).await?
        };
        let Some(other) = other else {
            return Ok(());
        };
        let requests = [one, other];
        if orgs[0] == orgs[1] && !self.may_be_at_once(orgs[0], requests, &delivered_before) {
            return Ok(());
        }
        self.arm_faults();
        let first = self.key(requests[0]);
        let second = if is_same {
            first.clone()
        } else {
            self.key(requests[1])
        };
        let (one, other, read, _) = tokio::join!(
            self.send_until(at[0], orgs[0], requests[0], first.as_deref(), hang_up),
            self.send(at[1], orgs[1], requests[1], second.as_deref()),
            self.read(orgs[0]),
            self.unless_calls(hang_up, self.read(orgs[1])),
        );
        read?;
        let one = self.sent_or_left(requests[0], one.as_ref())?;
        let other = self.sent(requests[1], &other)?;
        let tries = [(at[0], first, one), (at[1], second, other)];
        let tries = tries.map(|(at, key, sent)| Try { at, key, sent });
        self.settle().await;
        if orgs[0] == orgs[1] {
            return self.conclude(orgs[0], &tries).await;
        }
        let was_faulty = self.faulty;
        for (org, one) in iter::zip(orgs, tries) {
            self.faulty = was_faulty;
            self.conclude(org, &[one]).await?;
        }
        Ok(())
    }

    pub(super) async fn hang_up(
        &mut self,
        at: u8,
        org: u8,
        request: Request,
        calls: u8,
        again: Option<u8>,
    ) -> Outcome {
        let Some(request) = self.prepare(org, request).await? else {
            return Ok(());
        };
        self.arm_faults();
        let key = self.key(request);
        let answer = self
            .send_until(at, org, request, key.as_deref(), Some(calls))
            .await;
        let sent = self.sent_or_left(request, answer.as_ref())?;
        let mut tries = vec![Try { at, key, sent }];
        if answer.is_none()
            && let Some(at) = again
        {
            let key = tries[0].key.clone();
            let answer = self.send(at, org, request, key.as_deref()).await;
            let sent = self.sent(request, &answer)?;
            tries.push(Try { at, key, sent });
        }
        self.settle().await;
        self.conclude(org, &tries).await
    }

    /// Reads the org at both servers. Concurrent requests must not make these reads fail.
    async fn read(&self, org: u8) -> Outcome {
        for at in 0..SERVERS {
            let path = format!("/v1/limits?org={}", self.name(org));
            let answer = self.world.server(at).get(&path).await;
            let is_known = answer.status != 400 || answer.json()["code"] != "org_not_found";
            if is_known && answer.status != 200 && !self.is_fault(&answer) {
                return Err(format!("meanwhile: {answer:?}"));
            }
        }
        Ok(())
    }

    /// Waits until the servers have completed the requests whose callers hung up.
    pub(super) async fn settle(&self) {
        for server in 0..SERVERS {
            self.world.server(server).settled().await;
        }
    }

    /// Repeats the failed requests that can be repeated, and those with a key. Then compares the org with the model.
    async fn conclude(&mut self, org: u8, tries: &[Try]) -> Outcome {
        let was_faulty = self.faulty;
        self.clear_faults();
        let mut after = Vec::new();
        for Try { at, key, sent } in tries {
            let request = sent.request;
            let may_be = request.is_change() || request.is_keyed() || request.ends_reservation();
            let may_have_failed = was_faulty || self.world.usage() == Usage::Events;
            let failed = sent.told.is_none() && may_have_failed && may_be;
            if failed || request.is_keyed() && sent.told == Some(Verdict::Done) {
                let other = (at + 1) % SERVERS;
                let answer = self.send(other, org, request, key.as_deref()).await;
                after.push(self.sent(request, &answer)?);
            }
        }
        let at_once: Vec<_> = tries.iter().map(|one| one.sent).collect();
        let known = &self.orgs[usize::from(org)];
        let history = History {
            at_once: &at_once,
            after: &after,
            apart: tries.iter().any(|one| one.at != tries[0].at),
            now: self.now,
            period: known.period,
        };
        let mut states = history.outcomes_of(&known.states)?;
        let seen = self.look(org, tries[0].at).await?;
        if seen.period.start != known.period.start
            && at_once.iter().any(|sent| sent.request.is_change())
        {
            for state in &mut states {
                state.restart(self.now);
            }
        }
        let known = &mut self.orgs[usize::from(org)];
        known.states = states;
        if at_once.iter().any(|sent| sent.request.is_change()) {
            known.reported.clear();
            known.delivered.clear();
        }
        self.compare(org, &seen)
            .await
            .map_err(|reason| format!("told {at_once:?} and then {after:?}: {reason}"))
    }

    /// Prepares a request. Returns None if the model cannot predict its result.
    pub(super) async fn prepare(&mut self, org: u8, request: Request) -> Outcome<Option<Request>> {
        if !self.is_claimed(org, request) {
            return Ok(None);
        }
        self.before_request(org, request).await?;
        let mut reservations = self.reservations.borrow_mut();
        let is_own = |one: &Reserved| one.org == org && one.id.is_some();
        let numbers = (0..reservations.len()).rev();
        let mut own = numbers.filter(|number| is_own(&reservations[*number]));
        let mut last = |nth: u8| Some(numbered(own.nth(nth.into())?));
        Ok(match request {
            Request::Commit { number, n } => {
                last(number).map(|number| Request::Commit { number, n })
            }
            Request::Release { number } => last(number).map(|number| Request::Release { number }),
            Request::Reserve {
                feature, n, hours, ..
            } => {
                let number = numbered(reservations.len());
                reservations.push(Reserved { org, id: None });
                Some(Request::Reserve {
                    feature,
                    n,
                    hours,
                    number,
                })
            }
            other => Some(other),
        })
    }

    /// Whether the model can predict the usage on which the request depends.
    fn is_claimed(&self, org: u8, request: Request) -> bool {
        if let Request::ReportAt { ago, .. } = request {
            // Other tests check usage of an earlier period that may not exist.
            let period = self.orgs[usize::from(org)].period;
            let is_before = self.now - i64::from(ago) * 60 < period.start;
            let grace = if self.world.usage().is_on_meters() {
                GRACE_ON_METERS
            } else {
                GRACE
            };
            return self.now + SOON < period.end
                && !(is_before && self.now < period.start + grace + SOON);
        }
        let Some(feature) = request.depends_on() else {
            return true;
        };
        let known = &self.orgs[usize::from(org)];
        let mut states = known.states.iter();
        states.all(|state| state.claims(feature, known.period.start))
    }

    pub(super) fn key(&mut self, request: Request) -> Option<String> {
        self.keys += 1;
        let key = format!("{}-{}", self.list, self.keys);
        request.is_keyed().then_some(key)
    }

    pub(super) async fn send(
        &self,
        at: u8,
        org: u8,
        request: Request,
        key: Option<&str>,
    ) -> Answer {
        let reservations = self.reservations.borrow().clone();
        let (path, body) = body(request, &self.name(org), self.now, &reservations);
        let server = self.world.server(at);
        let call = server.request(Method::POST, path).body(body.to_string());
        match key {
            Some(key) => call.header("idempotency-key", key).send().await,
            None => call.send().await,
        }
    }

    /// Sends a request whose caller hangs up after `calls` calls to Stripe. None if the caller hung up.
    async fn send_until(
        &self,
        at: u8,
        org: u8,
        request: Request,
        key: Option<&str>,
        calls: Option<u8>,
    ) -> Option<Answer> {
        self.unless_calls(calls, self.send(at, org, request, key))
            .await
    }

    /// Drops the future once the servers have made more than `calls` further calls to Stripe.
    async fn unless_calls<T>(
        &self,
        calls: Option<u8>,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let Some(calls) = calls else {
            return Some(future.await);
        };
        let server = self.world.server(0);
        let last = server.stripe_calls() + u64::from(calls);
        let gone = until("a call to Stripe", async || {
            (server.stripe_calls() > last).then_some(())
        });
        tokio::select! {
            biased;
            output = future => Some(output),
            () = gone => None,
        }
    }

    /// The result of a request that was answered 200.
    fn accepted(&self, request: Request, answer: &Answer) -> Verdict {
        let Request::Reserve { number, .. } = request else {
            return Verdict::Done;
        };
        let answer = answer.json();
        let Some(id) = answer["id"].as_str() else {
            return Verdict::Full;
        };
        let mut reservations = self.reservations.borrow_mut();
        reservations[usize::from(number)].id = Some(id.to_owned());
        Verdict::Done
    }

    fn sent_or_left(&self, request: Request, answer: Option<&Answer>) -> Outcome<Sent> {
        match answer {
            Some(answer) => self.sent(request, answer),
            None => Ok(Sent {
                request,
                told: None,
            }),
        }
    }

    /// Whether the server waited for events of an item that the other server has removed.
    fn is_overtaken(&self, answer: &Answer) -> bool {
        let waited = || answer.body.contains("not processed earlier usage yet");
        self.world.usage() == Usage::Events && answer.status == 503 && waited()
    }

    /// The request with the result that its answer states.
    pub(super) fn sent(&self, request: Request, answer: &Answer) -> Outcome<Sent> {
        let code = |code: &str| answer.status == 400 && answer.json()["code"] == code;
        let told = if answer.status == 200 {
            Some(self.accepted(request, answer))
        } else if answer.status == 409 && answer.json()["code"] == "reservation_expired" {
            Some(Verdict::Ended)
        } else if code("org_not_found") {
            Some(Verdict::NoOrg)
        } else if code("feature_not_found") {
            Some(Verdict::NotFound)
        } else if code("invalid_request") && !request.is_change() {
            Some(Verdict::Invalid)
        } else if self.is_fault(answer)
            || request.is_keyed() && is_unsure(answer)
            || request.is_change() && self.is_overtaken(answer)
        {
            None
        } else {
            return Err(format!("{request:?} is answered {answer:?}"));
        };
        Ok(Sent { request, told })
    }
}
