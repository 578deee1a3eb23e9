//! Carries a list out, and compares.

use std::cell::Cell;
use std::time::Duration;

use serde_json::{Value, json};
use tier::sandbox::{Action, Amount, Rule, When};

use super::model::{self, Org, Verdict};
use super::ops::{COMBINATIONS, FEATURES, Fault, HOUR, ORGS, Op};
use crate::harness::{Answer, START, STRIPE_KEY, Settings, TestApp};

/// A server over a sandbox, used for one list after the other.
pub(super) struct World {
    app: TestApp,
    http: reqwest::Client,
    lists: Cell<usize>,
}

/// One list under way.
struct Run<'a> {
    world: &'a World,
    list: usize,
    now: i64,
    orgs: Vec<Org>,
    keys: usize,
    /// What goes wrong in the next operation.
    faults: Vec<Rule>,
    /// Whether calls to Stripe may go wrong now.
    faulty: bool,
}

type Outcome<T = ()> = Result<T, String>;

pub(super) fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

impl World {
    pub(super) async fn start(invoice_draft: Duration) -> Self {
        // Fails if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = Settings {
            retries: 4,
            invoice_draft,
            first_wait: Duration::from_micros(10),
            ..Settings::default()
        };
        let http = reqwest::Client::builder().no_proxy().build();
        Self {
            app: TestApp::with(settings).await,
            http: http.expect("a client"),
            lists: Cell::new(0),
        }
    }

    /// Runs a list on an account that is empty but for the model.
    pub(super) async fn run(&self, ops: &[Op]) -> Outcome {
        self.app.sandbox().clear_faults();
        self.app.sandbox().reset();
        self.app.set_clock(START);
        self.app.post("/v1/push", model::PRICING).await.ok();
        // The server remembers orgs, so each list has its own.
        let list = self.lists.replace(self.lists.get() + 1);
        let orgs = vec![Org::default(); usize::from(ORGS)];
        let mut run = Run {
            world: self,
            list,
            now: START,
            orgs,
            keys: 0,
            faults: Vec::new(),
            faulty: false,
        };
        for (i, op) in ops.iter().enumerate() {
            run.step(*op)
                .await
                .map_err(|reason| format!("operation {i}, {op:?}: {reason}"))?;
        }
        for org in 0..ORGS {
            run.check_all_usage(org).await?;
        }
        Ok(())
    }
}

impl Run<'_> {
    async fn step(&mut self, op: Op) -> Outcome {
        let at = |hours: u8| self.now + i64::from(hours) * HOUR;
        let references = |of: u8| json!(COMBINATIONS[usize::from(of)]);
        let time = |at: i64| {
            json!(
                chrono::DateTime::from_timestamp(at, 0)
                    .expect("a time")
                    .to_rfc3339()
            )
        };
        match op {
            Op::Subscribe { org, to, trial } => {
                self.subscribe(org, json!([{"features": references(to), "trial": trial}]))
                    .await?;
                let now = self.now;
                self.org(org).subscribe(now, to);
            }
            Op::TrialThenPaid { org, to, hours } => {
                let phases = json!([{"features": references(to), "trial": true},
                    {"features": references(to), "effective": time(at(hours))}]);
                self.subscribe(org, phases).await?;
                let now = self.now;
                self.org(org).subscribe(now, to);
            }
            Op::Schedule { org, to, hours } => {
                let (now, at) = (self.now, at(hours));
                self.subscribe(
                    org,
                    json!([{"features": references(to), "effective": time(at)}]),
                )
                .await?;
                self.org(org).schedule(now, at, Some(to));
            }
            Op::Phases {
                org,
                now,
                then,
                hours,
            } => {
                let start = at(hours);
                let phases = json!([{"features": references(now)},
                    {"features": references(then), "effective": time(start)}]);
                self.subscribe(org, phases).await?;
                let present = self.now;
                self.org(org).subscribe(present, now);
                self.org(org).schedule(present, start, Some(then));
            }
            Op::CancelLater { org, hours } => {
                let (now, at) = (self.now, at(hours));
                self.subscribe(org, json!([{"effective": time(at)}]))
                    .await?;
                self.org(org).schedule(now, at, None);
            }
            Op::Cancel { org } => {
                self.subscribe(org, json!([{}])).await?;
                self.org(org).cancel();
            }
            Op::Report {
                org,
                feature,
                n,
                keyed,
            } => self.report(org, feature, n, keyed).await?,
            Op::Clobber { org, feature, n } => self.clobber(org, feature, n).await?,
            Op::Advance { hours } => {
                self.now = at(hours);
                self.world.app.set_clock(self.now);
                self.clear_faults();
                for org in 0..ORGS {
                    let now = self.now;
                    self.org(org).advance(now);
                    self.check(org).await?;
                }
            }
            Op::Fault { fault, calls } => {
                self.faults.push(rule(fault, calls));
                return Ok(());
            }
        }
        self.clear_faults();
        match op {
            Op::Subscribe { org, .. }
            | Op::TrialThenPaid { org, .. }
            | Op::Schedule { org, .. }
            | Op::Phases { org, .. }
            | Op::CancelLater { org, .. }
            | Op::Cancel { org }
            | Op::Report { org, .. }
            | Op::Clobber { org, .. } => self.check(org).await,
            Op::Advance { .. } | Op::Fault { .. } => Ok(()),
        }
    }

    fn org(&mut self, org: u8) -> &mut Org {
        &mut self.orgs[usize::from(org)]
    }

    fn name(&self, org: u8) -> String {
        format!("org:{}-{org}", self.list)
    }

    /// From now on calls go wrong.
    fn arm_faults(&mut self) {
        for rule in self.faults.drain(..) {
            self.world.app.sandbox().add_fault(rule);
            self.faulty = true;
        }
    }

    fn clear_faults(&mut self) {
        self.world.app.sandbox().clear_faults();
        self.faults.clear();
        self.faulty = false;
    }

    /// Asks until it is done: what was asked for is a state, so that asking again changes nothing.
    async fn subscribe(&mut self, org: u8, phases: Value) -> Outcome {
        let body = json!({"org": self.name(org), "phases": phases});
        let before = self.period(org).await?;
        self.ask(&body).await?;
        if self.org(org).current().is_some() && self.period(org).await? != before {
            let now = self.now;
            self.org(org).restart(now);
        }
        Ok(())
    }

    async fn ask(&mut self, body: &Value) -> Outcome {
        self.arm_faults();
        let first = self.world.app.post_json("/v1/subscribe", body).await;
        if self.is_done(&first)? {
            return Ok(());
        }
        self.clear_faults();
        let second = self.world.app.post_json("/v1/subscribe", body).await;
        if self.is_done(&second)? {
            Ok(())
        } else {
            Err(format!("not even without faults: {second:?}"))
        }
    }

    /// Whether the server says that it was done; if not, it must be for a fault of Stripe's.
    fn is_done(&self, answer: &Answer) -> Outcome<bool> {
        match answer.status.as_u16() {
            200 => Ok(true),
            429 | 502 | 503 | 504 if self.faulty => Ok(false),
            _ => Err(format!("unexpected answer: {answer:?}")),
        }
    }

    async fn report(&mut self, org: u8, feature: u8, n: u8, keyed: bool) -> Outcome {
        let feature = FEATURES[usize::from(feature)];
        let body = json!({"org": self.name(org), "feature": feature, "n": n});
        let now = self.now;
        let expected = self.org(org).report(now, feature, n.into(), false);
        let after = |org: &mut Org| org.report(now, feature, n.into(), true);
        self.keys += 1;
        let key = keyed.then(|| format!("{}-{}", self.list, self.keys));
        self.use_up(org, &body, key, expected, after).await
    }

    async fn clobber(&mut self, org: u8, feature: u8, n: u8) -> Outcome {
        let feature = FEATURES[usize::from(feature)];
        let body = json!({"org": self.name(org), "feature": feature, "n": n, "clobber": true});
        let (now, period) = (self.now, self.period(org).await?);
        if !self.org(org).claims(feature, period) {
            // What is missing to `n` is not known.
            return Ok(());
        }
        let expected = self.org(org).clobber(now, period, feature, n.into(), false);
        let after = |org: &mut Org| org.clobber(now, period, feature, n.into(), true);
        self.use_up(org, &body, None, expected, after).await
    }

    /// Sends a report and holds the answer to what is `expected`; `apply` notes it in the model.
    async fn use_up(
        &mut self,
        org: u8,
        body: &Value,
        key: Option<String>,
        expected: Verdict,
        apply: impl Fn(&mut Org) -> Verdict,
    ) -> Outcome {
        self.arm_faults();
        let mut answer = self.send_report(body, key.as_deref()).await;
        if self.is_fault(&answer) && key.is_some() {
            self.clear_faults();
            answer = self.send_report(body, key.as_deref()).await;
        }
        let text = |code: &str| answer.status.as_u16() == 400 && answer.json()["code"] == code;
        let known = self.org(org).known;
        match expected {
            _ if !known && text("org_not_found") => Ok(()),
            Verdict::NotFound if text("feature_not_found") => Ok(()),
            Verdict::Invalid if text("invalid_request") => Ok(()),
            Verdict::Counted if answer.status == 200 => {
                apply(self.org(org));
                if key.is_some() {
                    self.clear_faults();
                    self.send_report(body, key.as_deref()).await.ok();
                }
                Ok(())
            }
            // A fault's own answer, which a repetition under a key gets as well.
            _ if self.is_fault(&answer) || key.is_some() && is_unsure(&answer) => {
                self.clear_faults();
                self.find_out(org, body["feature"].as_str().unwrap_or_default(), apply)
                    .await
            }
            _ => Err(format!("expected {expected:?}, got {answer:?}")),
        }
    }

    async fn send_report(&self, body: &Value, key: Option<&str>) -> Answer {
        let request = self
            .world
            .app
            .request(axum::http::Method::POST, "/v1/report");
        let request = request.body(body.to_string());
        match key {
            Some(key) => request.header("idempotency-key", key).send().await,
            None => request.send().await,
        }
    }

    fn is_fault(&self, answer: &Answer) -> bool {
        self.faulty && matches!(answer.status.as_u16(), 429 | 502 | 503 | 504)
    }

    /// A report was not acknowledged: it was counted once or not at all.
    async fn find_out(
        &mut self,
        org: u8,
        feature: &str,
        apply: impl Fn(&mut Org) -> Verdict,
    ) -> Outcome {
        if !self.org(org).known {
            return Ok(());
        }
        let period = self.period(org).await?;
        let counted = if self.org(org).claims(feature, period) {
            self.limits(org).await? != self.claimed(org, period).await?
        } else {
            self.check_all_usage(org).await.is_err()
        };
        if counted {
            apply(self.org(org));
        }
        Ok(())
    }

    /// What `/v1/limits` should say. Where nothing is claimed, what it says.
    async fn claimed(&mut self, org: u8, period: i64) -> Outcome<Vec<(String, i64, i64)>> {
        let said = self.limits(org).await?;
        let model = &self.orgs[usize::from(org)];
        let mut expected = model.limits(period);
        for (feature, used, _) in &mut expected {
            let row = said.iter().find(|(name, ..)| name == feature);
            if let Some(row) = row.filter(|_| !model.claims(feature, period)) {
                *used = row.1;
            }
        }
        Ok(expected)
    }

    /// Compares everything that can be seen of an org.
    async fn check(&mut self, org: u8) -> Outcome {
        let path = format!("/v1/phase?org={}", self.name(org));
        if !self.org(org).known {
            self.world.app.get(&path).await.fails(400, "org_not_found");
            return Ok(());
        }
        let live = self.live_subscriptions(org).await?;
        let current = self.org(org).current();
        if live.len() != usize::from(current.is_some()) {
            return Err(format!(
                "{} live subscriptions, current {current:?}",
                live.len()
            ));
        }
        let (period, limits) = (self.period(org).await?, self.limits(org).await?);
        let expected = self.claimed(org, period).await?;
        if limits != expected {
            return Err(format!("limits are {limits:?}, expected {expected:?}"));
        }
        let phase = self.world.app.get(&path).await;
        let features = match phase.status.as_u16() {
            404 => json!(null),
            200 => phase.json()["features"].clone(),
            _ => return Err(format!("phase: {phase:?}")),
        };
        let expected = current.map_or(json!(null), |current| json!(model::features(current)));
        if features == expected {
            Ok(())
        } else {
            Err(format!("phase is {phase:?}, expected {expected}"))
        }
    }

    async fn limits(&self, org: u8) -> Outcome<Vec<(String, i64, i64)>> {
        let answer = self
            .world
            .app
            .get(&format!("/v1/limits?org={}", self.name(org)))
            .await;
        if answer.status != 200 {
            return Err(format!("limits: {answer:?}"));
        }
        let answer = answer.json();
        let rows = answer["usage"].as_array().ok_or("no usage")?.iter();
        let row = |row: &Value| {
            let feature = row["feature"].as_str()?.to_owned();
            Some((feature, row["used"].as_i64()?, row["limit"].as_i64()?))
        };
        rows.map(row)
            .collect::<Option<_>>()
            .ok_or_else(|| format!("limits: {answer}"))
    }

    /// Reads Stripe itself.
    async fn stripe(&self, path: &str) -> Outcome<Vec<Value>> {
        let url = format!("{}{path}", self.world.app.stripe_url());
        let request = self.world.http.get(url).bearer_auth(STRIPE_KEY);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        list["data"].as_array().cloned().ok_or(text)
    }

    /// What may still bill the org.
    async fn live_subscriptions(&self, org: u8) -> Outcome<Vec<Value>> {
        let name = self.name(org);
        let customers = self.stripe("/v1/customers?limit=100").await?;
        let own: Vec<_> = customers
            .iter()
            .filter(|c| c["metadata"]["tier.org"] == name.as_str())
            .collect();
        match own[..] {
            [customer] => {
                let id = customer["id"].as_str().ok_or("a customer without an id")?;
                self.stripe(&format!("/v1/subscriptions?customer={id}&limit=100"))
                    .await
            }
            _ => Err(format!("{} customers for {name}", own.len())),
        }
    }

    /// When the running billing period began, by Stripe's word: what is counted in it is the model's matter.
    async fn period(&mut self, org: u8) -> Outcome<i64> {
        if !self.org(org).known {
            return Ok(self.now);
        }
        let live = self.live_subscriptions(org).await?;
        Ok(live
            .first()
            .and_then(|s| s["current_period_start"].as_i64())
            .unwrap_or(self.now))
    }

    /// Over all periods, sums are what was acknowledged.
    async fn check_all_usage(&mut self, org: u8) -> Outcome {
        if !self.org(org).known {
            return Ok(());
        }
        for subscription in self.live_subscriptions(org).await? {
            for item in subscription["items"]["data"].as_array().ok_or("no items")? {
                let full = item["price"]["metadata"]["tier.feature"]
                    .as_str()
                    .unwrap_or_default();
                let Some(expected) = self.org(org).summed(full) else {
                    continue;
                };
                let id = item["id"].as_str().unwrap_or_default();
                let path = format!("/v1/subscription_items/{id}/usage_record_summaries?limit=100");
                let periods = self.stripe(&path).await?;
                let total: i64 = periods
                    .iter()
                    .filter_map(|period| period["total_usage"].as_i64())
                    .sum();
                if total != expected {
                    return Err(format!(
                        "{full}: {total} in Stripe, {expected} acknowledged"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Stripe failed, and it is not known what became of the call.
fn is_unsure(answer: &Answer) -> bool {
    answer.status == 502 || answer.status == 503 && answer.json()["code"] == "outcome_unknown"
}

/// `calls` calls to Stripe in a row go wrong.
fn rule(fault: Fault, calls: u8) -> Rule {
    let (action, when) = match fault {
        Fault::DropBefore => (Action::Drop, When::Before),
        Fault::DropAfter => (Action::Drop, When::After),
        Fault::CutBody => (Action::CutBody, When::After),
        Fault::TooMany => (Action::Status(429, None), When::Before),
        Fault::ServerError => (Action::Status(500, None), When::After),
        Fault::Conflict => (Action::Status(409, None), When::Before),
        Fault::Garbage => (Action::GarbageJson, When::After),
    };
    Rule {
        when,
        amount: Amount::Count(calls.into()),
        ..Rule::new("*", "/v1/*", action)
    }
}
